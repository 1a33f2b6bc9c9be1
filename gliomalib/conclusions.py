"""The one sentence that each notebook ends with, written from its values."""

from __future__ import annotations

from collections.abc import Sequence

from gliomalib.schema import RecordError, Value


def cohort(values: Sequence[Value]) -> str:
    """Say who is in the data and how they were divided."""
    internal, external = _of(values, "patients_internal"), _of(values, "patients_external")
    test, folds = _of(values, "patients_test"), _of(values, "folds")
    folds_text = "one split" if folds.value == 1 else f"{folds.value:.0f} folds"
    return (
        f"{internal.value:.0f} internal patients ({test.value:.0f} of them held out, in "
        f"{folds_text}) and {external.value:.0f} external ones; "
        f"{_of(values, 'duplicates').value:.0f} further examinations of the same patients were set "
        "aside, and no patient is in two parts."
    )


def crop(values: Sequence[Value]) -> str:
    """Say what the crop costs."""
    mean, worst = _of(values, "mean_lost_in_plane"), _of(values, "worst_lost_in_plane")
    ceiling = _of(values, "worst_dice_ceiling")
    return (
        f"The central crop cuts off {100 * mean.value:.1f} % of the tumour on average and "
        f"{100 * worst.value:.0f} % in the worst of {worst.n_patients} patients; in one patient "
        f"no network behind this box could exceed a whole-tumour Dice of {ceiling.value:.2f} on "
        "the full scan."
    )


def segmentation(network: str, values: Sequence[Value]) -> str:
    """Say how a network segments, on held-out and on external patients."""
    whole, mean = _of(values, "dice_WT"), _of(values, "dice_mean")
    missed = sum(one.n_missed for one in values if not one.name.startswith("external_"))
    text = (
        f"{network} reaches a whole-tumour Dice of {spoken(whole)} and a mean of NCR, ED and ET of "
        f"{spoken(mean)}; in {missed} of the scored held-out masks only truth or only prediction "
        "was empty."
    )
    if any(one.name == "external_dice_mean" for one in values):
        text += f" On external patients the mean is {spoken(_of(values, 'external_dice_mean'))}."
    return text


def differences(values: Sequence[Value]) -> str:
    """Say whether the fused volume differs from each branch."""
    parts = []
    for one in values:
        if one.name.startswith("external_"):
            continue
        other = one.name.split("_")[2].upper()
        parts.append(f"{_direction(one)} {other} only by {spoken(one, signed=True)}")
    return f"In mean Dice the fused volume {'; it '.join(parts)}."


def classification(values: Sequence[Value]) -> str:
    """Say how the classifier does, and how many classes it uses."""
    accuracy, balanced = _of(values, "accuracy"), _of(values, "balanced_accuracy")
    classes = _of(values, "classes_predicted")
    return (
        f"On slices of held-out patients the accuracy is {spoken(accuracy)}, the balanced accuracy "
        f"{spoken(balanced)}; {classes.value:.0f} of 4 classes were predicted at least once."
    )


def alpha(values: Sequence[Value]) -> str:
    """Say where the best α lies and what the published one costs."""
    best, lost = _of(values, "best_alpha"), _of(values, "lost_at_published_alpha")
    text = (
        f"The best α for the mean Dice is {spoken(best, digits=2)}; the published 0.6 costs "
        f"{spoken(lost, digits=4)} Dice against it."
    )
    if not any(one.name == "chosen_alpha" for one in values):
        text += " There were no validation patients, so no α was chosen independently."
    return text


def spoken(value: Value, digits: int = 3, *, signed: bool = False) -> str:
    """Return a value with its interval and its number of patients, ready for a sentence."""
    sign = "+" if signed else ""
    text = f"{value.value:{sign}.{digits}f}"
    if value.ci95 is None:
        return f"{text} (no interval: {value.n_patients} patients)"
    low, high = value.ci95
    interval = f"{low:{sign}.{digits}f} to {high:{sign}.{digits}f}"
    return f"{text} (95 % interval {interval}, {value.n_patients} patients)"


def _direction(value: Value) -> str:
    if value.ci95 is None or value.ci95[0] <= 0 <= value.ci95[1]:
        return "is not told apart from"
    return "exceeds" if value.value > 0 else "falls behind"


def _of(values: Sequence[Value], name: str) -> Value:
    for one in values:
        if one.name == name:
            return one
    raise RecordError(f"the value {name!r} is missing; found {', '.join(v.name for v in values)}")
