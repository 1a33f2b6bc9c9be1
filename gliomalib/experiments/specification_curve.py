"""Which choices that the paper leaves open give the accuracy that it prints: notebook 15.

All cells of the multiverse are looked at together, as a specification curve with its test
(Simonsohn, Simmons and Nelson 2020, doi:10.1038/s41562-020-0912-z).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gliomalib import digits, records, settings
from gliomalib.experiments import leakage_splits
from gliomalib.experiments.leakage_audit import SIDE, SPLITS
from gliomalib.experiments.metric_forensics import POINT
from gliomalib.experiments.specifications import CHOICES, TITLES, Answers
from gliomalib.experiments.values import ends, of, pooled, value
from gliomalib.schema import N_CLASSES, FloatArray, Value
from gliomalib.scoring import bootstrap

INTERACTIONS = "interactions"


@dataclass(frozen=True)
class Curve:
    """Every cell of the multiverse: a specification and a way to read its fit.

    ``choices`` has a row per cell and a column per choice, the split varying slowest; ``right``
    and ``asked`` (P, C) are what each patient adds to both sides of a cell's accuracy, which is
    the ratio of their sums.
    """

    choices: pd.DataFrame
    right: FloatArray
    asked: FloatArray
    study: settings.Study

    @property
    def sums(self) -> FloatArray:
        """What belongs to each patient, (P, 2, C): drawn together, the same for all cells."""
        return np.stack([self.right, self.asked], axis=1)

    def of(self, split: str) -> NDArray[np.bool_]:
        """Return which cells have this split, (C,)."""
        return np.asarray(self.choices["split"] == split)


def curve(answers: Answers, study: settings.Study) -> Curve:
    """Return the cells that counts of right slices can be read as."""
    cells, right, asked = [], [], []
    for plan, tested, hits in zip(
        answers.specifications, answers.asked, answers.right, strict=True
    ):
        classes = N_CLASSES - (plan.slices == "tumour")
        for counted in CHOICES["counted"]:
            for reported, hit in zip(CHOICES["reported"], hits, strict=True):
                cells.append({**vars(plan), "counted": counted, "reported": reported})
                each, whole = read(counted, hit, tested, classes)
                right.append(each)
                asked.append(whole)
    return Curve(pd.DataFrame(cells), np.stack(right, 1), np.stack(asked, 1), study)


def read(
    counted: str, right: FloatArray, asked: FloatArray, classes: int
) -> tuple[FloatArray, FloatArray]:
    """Return what patients (P,) add to both sides of an accuracy that is counted in this way.

    One class against the rest, a wrong slice is wrong for two of K classes and right for the
    others, so the accuracy A becomes 1 − (1 − A)·2/K.
    """
    if counted == "patients":
        return right / asked, np.ones(len(asked))
    if counted == "rest":
        return asked - (asked - right) * 2 / classes, asked
    return right, asked


def variance_shares(accuracy: FloatArray, choices: pd.DataFrame) -> dict[str, FloatArray]:
    """Return the share of the variance between cells (m, C) by choice, each (m,).

    η² of the main effects, as in an analysis of variance of a balanced design; what is left over
    are interactions. Without any variance all shares are 0.
    """
    apart = accuracy - accuracy.mean(axis=1, keepdims=True)
    total = (apart**2).mean(axis=1)
    whole = np.where(total > 0, total, 1)
    shares = {}
    for choice in choices:
        masks = [choices[choice] == level for level in choices[choice].unique()]
        of_levels = (mask.mean() * apart[:, mask].mean(axis=1) ** 2 for mask in masks)
        shares[str(choice)] = np.asarray(sum(of_levels) / whole)
    left = np.where(total > 0, 1 - sum(shares.values()), 0)
    return {**shares, INTERACTIONS: left}


def gap_test(curve: Curve, draws: int) -> tuple[float, float]:
    """Return the median gap in accuracy of the split by slice over that by patient, and its p.

    The gap is between cells that are alike but for the split. If the split had no effect, both of
    a patient's results could be swapped, for all cells together: p is the share of such relabelled
    curves whose gap is as large, the curve itself included.
    """
    fair, leaky = (curve.sums[..., curve.of(name)] for name in ("patient", "slice"))
    seed = settings.named_seed(curve.study.seed, "specifications", "swapped", "slice")
    swapped = np.random.default_rng(seed).random((draws, len(fair))) < 0.5
    # the first one is the curve as it is
    swapped[0] = False
    moved = np.tensordot(swapped.astype(float), leaky - fair, axes=1)
    (a, n), (b, m) = np.moveaxis(fair.sum(0) + moved, 1, 0), np.moveaxis(leaky.sum(0) - moved, 1, 0)
    gaps = np.median(b / m - a / n, axis=1)
    return float(gaps[0]), float((gaps >= gaps[0] - 1e-12).mean())


@dataclass(frozen=True)
class Measured:
    """Intervals over patients by name: of each cell by its number, and of what sums them up."""

    cells: pd.DataFrame
    summary: Mapping[str, bootstrap.Interval]


def measured(curve: Curve, printed: float) -> Measured:
    """Return all cells with their accuracy, sorted, and what they say together.

    ``cells`` has the columns of ``choices``, accuracy, low, high. Patients are drawn once for all.
    """
    choices = curve.choices

    def scores(sums: FloatArray) -> dict[str, FloatArray]:
        """Return the numbers of the curve for each resample of patients."""
        accuracy = sums[:, 0] / sums[:, 1]
        named = {str(number): column for number, column in enumerate(accuracy.T)}
        for split in SPLITS:
            part = accuracy[:, curve.of(split)]
            named[f"highest_{split}_accuracy"] = part.max(axis=1)
            named[f"{split}_below_printed"] = (part < printed - POINT).mean(axis=1)
        shares = variance_shares(accuracy, choices)
        others = sum(share for name, share in shares.items() if name not in ("split", INTERACTIONS))
        shares = {f"{name}_share": share for name, share in shares.items()}
        return {**named, **shares, "split_lead": shares["split_share"] - others}

    found = pooled(curve.sums, curve.study, "specifications", "curve", scores=scores)
    intervals = [found.pop(str(number)) for number in range(len(choices))]
    low, high = zip(*map(ends, intervals), strict=True)
    accuracy = [interval.value for interval in intervals]
    cells = choices.assign(accuracy=accuracy, low=low, high=high)
    return Measured(cells.sort_values("accuracy", kind="stable", ignore_index=True), found)


def resnet(run: records.Run) -> pd.DataFrame:
    """Return the cells in which notebook 11 trained the study's ResNet50, with its accuracies.

    Columns as those of ``Measured.cells``; rows only where the trees have such a cell.
    """
    plan = leakage_splits.classifier(run.study)
    audit = records.read_table(run, "11_leakage_audit", "scores")
    rows = audit.query("classifier == 'resnet50' and labels == 'true'")
    cells = rows.rename(columns={"accuracy_low": "low", "accuracy_high": "high"})
    cells = cells.assign(label=plan.label_rule, least="one voxel", slices="all", image=plan.image)
    cells = cells.assign(counted="patients", reported="last")
    cells = cells[[*CHOICES, "accuracy", "low", "high"]]
    return cells[cells["image"].isin(CHOICES["image"])].reset_index(drop=True)


def shares(measured: Measured) -> pd.DataFrame:
    """Return the shares of the variance: choice, share, low, high; interactions last."""
    rows = []
    for choice, title in {**TITLES, INTERACTIONS: INTERACTIONS}.items():
        interval = measured.summary[f"{choice}_share"]
        rows.append([choice, title, interval.value, *ends(interval)])
    return pd.DataFrame(rows, columns=["choice", "title", "share", "low", "high"])


def values(curve: Curve, measured: Measured, printed: float) -> list[Value]:
    """Return the values of the record."""
    rules = {f"{name}_share": f"share of the variance by {TITLES[name]}" for name in TITLES}
    rules[f"{INTERACTIONS}_share"] = "share of the variance that no choice explains by itself"
    rules["split_lead"] = "share of the variance by the split minus the shares of all other choices"
    for split, title in SPLITS.items():
        every = f"{curve.of(split).sum()} specifications {title}"
        rules |= {
            f"highest_{split}_accuracy": f"highest accuracy of {every}",
            f"{split}_below_printed": f"share of {every} below {printed - POINT:.4f}",
        }
    found = [value(name, interval, rules[name]) for name, interval in measured.summary.items()]
    (gap, p), n = gap_test(curve, curve.study.evaluation.bootstrap), len(curve.right)
    rule = "accuracy by slice minus accuracy by patient, median over specifications"
    found.append(Value("gap", 100 * gap, n_patients=n, unit="points", rule=rule))
    rule = f"share of curves with splits swapped within patients and as large a gap: {rule}"
    return [*found, Value("gap_p", p, n_patients=n, rule=rule)]


def conclusion(measured: Measured, values: Sequence[Value], printed: float) -> str:
    """Say how far each split comes, what explains the spread, and how rare the gap would be."""
    best = measured.cells[measured.cells["split"] == "patient"].iloc[-1]
    chosen = [CHOICES[choice][best[choice]] for choice in TITLES]
    numbers = {value.name: value.value for value in values}
    reach = [
        f"{digits.percent(1 - numbers[f'{split}_below_printed'])} of those {title}"
        for split, title in SPLITS.items()
    ]
    bounds = ends(of(values, "highest_patient_accuracy"))
    top = " to ".join(digits.percent(end, 1) for end in bounds)
    others = numbers["split_share"] - numbers["split_lead"]
    return (
        f"Of {len(measured.cells)} specifications, {digits.percent(printed - POINT, 2)} is reached "
        f"by {', '.join(reach)}. The highest that keeps patients apart has "
        f"{digits.percent(best['accuracy'], 1)} (95 % interval {top}): "
        f"{', '.join(chosen[1:])}. The split explains {numbers['split_share']:.2f} of the variance "
        f"between specifications, all other choices together {others:.2f}. With the splits by "
        "patient and by slice swapped at random within patients, "
        f"{digits.percent(numbers['gap_p'], 2)} of the curves have as large a gap."
    )


def caveats(answers: Answers) -> tuple[str, ...]:
    """Return what nobody may read into the numbers."""
    return (
        f"The classifier of the cells is a forest on {SIDE}×{SIDE} pixels and not the paper's "
        "ResNet50, which stands beside it in the cells in which notebook 11 trained it.",
        f"{len(answers.patients)} held-out patients are in every number; left out, as some split "
        f"never tested them: {answers.left_out}.",
        "The best stage was chosen once on all test slices of a turn, and not again in each draw.",
        "The copies in the pooled years are exact, as if the years shared their files.",
    )
