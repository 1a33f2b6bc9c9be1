"""The one sentence that each notebook ends with, written from its values."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd

from gliomalib.digits import spoken
from gliomalib.schema import RecordError, Value


def cohort(values: Sequence[Value]) -> str:
    """Say who is in the data, how they were divided, and what pooling the years would have done."""
    internal, external = _of(values, "patients_internal"), _of(values, "patients_external")
    test, folds = _of(values, "patients_test"), _of(values, "folds")
    folds_text = "one split" if folds.value == 1 else f"{folds.value:.0f} folds"
    excluded, suspected = _of(values, "excluded").value, _of(values, "linked_by_suspect").value
    text = (
        f"{internal.value:.0f} internal patients ({test.value:.0f} of them held out, in "
        f"{folds_text}) and {external.value:.0f} external ones; "
        f"{_of(values, 'duplicates').value:.0f} further examinations of the same patients were set "
        f"aside ({suspected:.0f} on suspicion), {excluded:.0f} excluded "
        "for a fault of their files, and no patient is in two parts."
    )
    if not any(one.name == "leaking_share" for one in values):
        return f"{text} No table tells who of one BraTS year is in another."
    return (
        f"{text} The tables of names put {_of(values, 'pooled_volumes').value:.0f} volumes of "
        f"{_of(values, 'pooled_patients').value:.0f} patients into the pooled years: split by "
        f"volume, {100 * _of(values, 'leaking_share').value:.0f} % of the test volumes would have "
        "their patient in training."
    )


def exclusions(cases: pd.DataFrame) -> tuple[str, ...]:
    """Return a caveat for every excluded examination, with the reason."""
    left_out = cases[cases["part"] == "excluded"]
    return tuple(
        f"Excluded: {row['case_id']} ({row['release']}): {row['note']}."
        for _, row in left_out.iterrows()
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
    """Say where the best α lies, for Dice and for slices, and what the published one costs."""
    best, lost = _of(values, "best_alpha"), _of(values, "lost_at_published_alpha")
    equal = _of(values, "published_alpha_equivalent").value == 1
    text = (
        f"The best α for the mean Dice is {spoken(best, places=2)}. The published 0.6 costs "
        f"{spoken(lost, places=4)} Dice against the best α, chosen anew in each resample, and is "
        f"{'' if equal else 'not shown to be '}equivalent to the best α of these patients by "
        "±0.01. The α within 0.01 of the best have a width of "
        f"{spoken(_of(values, 'flat_width'), places=2)}."
    )
    text += f" {_levels(values)}"
    if not any(one.name == "chosen_alpha" for one in values):
        text += " There were no validation patients, so no α was chosen independently."
    return text


def forensics(values: Sequence[Value], real_data: bool) -> str:
    """Say what the printed scores cannot be, and what the recipe's scores say of the hypothesis."""
    text = (
        f"The printed F1 forces an IoU of {_of(values, 'iou_that_f1_forces').value:.3f} or more "
        "where both are one and the same average, so the printed IoU is another quantity or "
        "averaged in another way: a mean IoU of the classes would need a mean Dice of "
        f"{_of(values, 'needed_dice_least').value:.2f} or more, Keras's MeanIoU "
        f"{100 * _of(values, 'needed_saturation').value:.0f} % saturated voxels. Of "
        f"{_of(values, 'test_sizes').value:.0f} test sizes "
        f"{_of(values, 'test_sizes_possible').value:.0f} can give the printed accuracy as a share "
        "of volumes."
    )
    if not _recipe(values):
        return f"{text} The recipe was not trained in this study, so the hypothesis was not tested."
    accuracy, dice = _of(values, "recipe_scan_accuracy"), _of(values, "recipe_dice_mean")
    return (
        f"{text} The recipe's pixel accuracy over the whole scan is {spoken(accuracy, 4)}, that of "
        f"'no tumour' everywhere {_of(values, 'constant_scan_accuracy').value:.4f}, and the mean "
        f"Dice of the same predictions {spoken(dice)}. {_hypothesis(values, real_data)}"
    )


def forensic_caveats(values: Sequence[Value]) -> tuple[str, ...]:
    """Return what nobody may read out of the forensics, and whether their second part is there."""
    unproven = (
        "That the authors scored pixels as the recipe does is a hypothesis: these numbers can show "
        "that such code gives such scores, never that it was used."
    )
    absent = "The recipe was not trained in this study: the hypothesis was not put to the test."
    return (unproven,) if _recipe(values) else (unproven, absent)


def _direction(value: Value) -> str:
    if value.ci95 is None or value.ci95[0] <= 0 <= value.ci95[1]:
        return "is not told apart from"
    return "exceeds" if value.value > 0 else "falls behind"


def _levels(values: Sequence[Value]) -> str:
    """Say the same of the classes of slices, which were looked at for eleven α."""
    parts = []
    for name, who in (("accuracy", "the ResNet50"), ("area_rule", "their areas alone")):
        best = _of(values, f"best_alpha_{name}")
        lost = _of(values, f"lost_at_published_alpha_{name}")
        told = f"best at α = {spoken(best, places=1)}, where 0.6 loses {spoken(lost)}"
        if lost.value == 0 and lost.ci95 in (None, (0.0, 0.0)):
            told = f"no better at any other α than at 0.6 ({lost.n_patients} patients)"
        parts.append(f"by {who} {told}")
    return f"In accuracy slices are classified {', and '.join(parts)}."


def _recipe(values: Sequence[Value]) -> bool:
    return any(one.name == "recipe_dice_mean" for one in values)


def _hypothesis(values: Sequence[Value], real_data: bool) -> str:
    """Apply the rule of notebook 12: near in five scores, as "no tumour" is not, far in Dice."""
    near, constant = (
        {frame: _of(values, f"{who}_{frame}_within_a_point").value for frame in ("box", "scan")}
        for who in ("recipe", "constant")
    )
    needed, dice = _of(values, "needed_dice_least").value, _of(values, "recipe_dice_mean")
    low, high = dice.ci95 or (-math.inf, math.inf)
    if low >= needed:
        word = "speaks against the hypothesis, since the Dice is high as well"
    elif high < needed and any(near[frame] == 5 > constant[frame] for frame in near):
        word = "supports the hypothesis, without proving it"
    elif high < needed and 5 in near.values():
        word = "supports nothing, since a predictor that finds no tumour passes it too"
    else:
        word = "leaves the hypothesis open"
    if not real_data:
        word = f"{word}; the patients are synthetic, so it says nothing of the paper"
    return (
        f"Of the 5 scores without the IoU, {max(near.values()):.0f} of the recipe's lie within a "
        f"point of the paper's, and {constant['scan']:.0f} of those of 'no tumour' over the whole "
        f"scan. The recipe's IoU, as Keras computes it, is "
        f"{_of(values, 'recipe_box_iou').value:.3f}. By the rule this {word}."
    )


def _of(values: Sequence[Value], name: str) -> Value:
    for one in values:
        if one.name == name:
            return one
    raise RecordError(f"the value {name!r} is missing; found {', '.join(v.name for v in values)}")
