"""Lost classes, rings and shifted branches in the held-out patients of a study.

``diagnostics`` says how each failure is told from arrays; here it is asked of a study's patients
and becomes a table, values and a sentence. Every patient is tested in one fold (``splits``).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gliomalib import settings
from gliomalib.fusion import average
from gliomalib.pipeline import folds
from gliomalib.schema import CLASS_NAMES, Confusion, Value, Volume
from gliomalib.scoring import alignment, bootstrap, collapse, metrics, rings, tables

NUMBERS = {"found": 1.0, "not found": 0.0, "cannot tell": math.nan}
"""What a verdict is as the value of a record."""

EDEMA = CLASS_NAMES.index("edema")
OTHERS = [label for label in range(1, len(CLASS_NAMES)) if label != EDEMA]
"""The tumour classes that a collapsed network calls edema."""

PLANTED = 2
"""Voxels by which the control moves a 3D volume along the first axis."""

OVERLAP = 0.7
"""Dice of the two branches' tumours from which a shift of that size must show; in branches of five
real patients it showed at 0.63 and above, and not at 0.58."""


@dataclass(frozen=True)
class Diagnosis:
    """Whether a failure is there: verdict, one sentence, a table to look at, values to keep."""

    verdict: collapse.Finding
    sentence: str
    table: pd.DataFrame
    values: tuple[Value, ...]


@dataclass(frozen=True)
class Control:
    """Whether a planted failure was found; not ``possible`` where no patient can show it."""

    possible: bool
    found: bool
    sentence: str


def voxel_confusions(material: folds.Material, network: str) -> Confusion:
    """Return a 4×4 matrix of voxels for every held-out patient, shape (patients, 4, 4)."""
    found: list[Confusion] = []
    for split, part, patient in folds.scored(material):
        if part == "test":
            predicted = folds.volume(material, network, split.fold, patient)
            found.append(tables.confusion_of(material.store.get(patient), predicted))
    return np.stack(found)


def class_collapse(counts: Confusion, study: settings.Study, unit: str) -> Diagnosis:
    """Say whether a class is lost, and how much of the tumour is taken for edema.

    ``counts`` are those of ``voxel_confusions``, or of slices (``tables.patient_confusions``);
    ``unit`` says which. The table has one row a class: its share in the truth and in the
    prediction, recall with interval, what most of the missed was called, verdict. Raises what
    ``collapse.class_collapse`` raises.
    """
    draws = study.evaluation.bootstrap
    found = collapse.class_collapse(counts, _seed(study, "collapse", unit), draws)
    sentence = _sentence(f"Class collapse of {unit}", found.verdict, found.sentence)
    value = Value(
        "class_collapse", NUMBERS[found.verdict], n_patients=len(counts), rule=_rule(sentence)
    )
    table = _fates(counts, found)
    return Diagnosis(found.verdict, sentence, table, (value, to_edema(counts, study, unit)))


def to_edema(counts: Confusion, study: settings.Study, unit: str) -> Value:
    """Return how much of the necrotic core and enhancing tumour is called edema.

    The share is of all such voxels or slices together, its interval by resampling the patients
    who have any; NaN where nobody has.
    """
    own = counts[counts[:, OTHERS].sum(axis=(1, 2)) > 0]
    rule = f"share of the {unit} of necrotic core and enhancing tumour that are called edema"
    if not len(own):
        return Value("collapse_to_edema", math.nan, rule=f"{rule}; no patient has any")

    def share(stack: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        return {"share": stack[:, OTHERS, EDEMA].sum(axis=1) / stack[:, OTHERS].sum(axis=(1, 2))}

    seed, draws = _seed(study, "edema", unit), study.evaluation.bootstrap
    found = bootstrap.confusion_intervals(own, share, seed, draws)["share"]
    return Value("collapse_to_edema", found.value, found.ci95, len(own), rule=rule)


def ring_artefacts(material: folds.Material) -> Diagnosis:
    """Say whether fusion makes rings of enhancing tumour in the held-out patients.

    The table has one row a patient, see ``rings.RingCounts``.
    """
    study, counted = material.study, list(_rings(material))
    found = rings.ring_artefacts(counted, _seed(study, "rings"), study.evaluation.bootstrap)
    sentence = _sentence("Ring artefacts", found.verdict, found.sentence)
    judged = sum(one.shell >= rings.MIN_SHELL for one in counted)
    values = (
        Value("ring_artefacts", NUMBERS[found.verdict], n_patients=judged, rule=_rule(sentence)),
        _of("ring_excess", found.excess, judged,
            "share of the voxels between the branches' boundaries that only fusion calls "
            "enhancing, less that of the nearest voxels beside them, mean over patients"),
        _of("ring_ratio", found.ratio, judged,
            "rate of such voxels between the boundaries over that beside them, geometric mean"),
    )  # fmt: skip
    table = pd.DataFrame(
        {"patient_id": one.patient_id, "between": one.shell, "beside": one.control,
         "new between": one.new, "new beside": one.new_control, "excess": one.excess,
         "ratio": one.ratio}
        for one in counted
    )  # fmt: skip
    return Diagnosis(found.verdict, sentence, table, values)


def misalignment(material: folds.Material) -> Diagnosis:
    """Say whether the 3D branch is displaced against the 2D branch in the held-out patients.

    The table has one row a patient, see ``alignment.BranchShift``.
    """
    study = material.study
    shifts = [alignment.branch_shift(flat, deep) for _, flat, deep in _pairs(material)]
    found = alignment.misalignment(shifts, _seed(study, "shift"), study.evaluation.bootstrap)
    sentence = _sentence("Misaligned branches", found.verdict, found.sentence)
    judged = [one for one in shifts if one.shift is not None and one.verdict != "cannot tell"]
    lengths = [math.hypot(*one.shift) for one in judged if one.shift is not None]
    mean = None
    if lengths:
        mean = bootstrap.mean_interval(lengths, _seed(study, "length"), study.evaluation.bootstrap)
    values = (
        Value("misalignment", NUMBERS[found.verdict], n_patients=len(judged), rule=_rule(sentence)),
        replace(
            _of("mean_branch_shift", mean, len(judged),
                "length of the shift that fits the branches best, mean over the patients in whom "
                "it can be told"),
            unit="voxels",
        ),
    )  # fmt: skip
    return Diagnosis(found.verdict, sentence, _shift_table(shifts), values)


def planted_shift(material: folds.Material) -> Control:
    """Move a 3D volume by ``PLANTED`` voxels and say whether that is found.

    The held-out patient is taken in whom the tumours of the two branches overlap most. Below a
    Dice of ``OVERLAP`` the branches see different things, and no shift of one against the other
    could be told: the control is not possible, and says so.
    """
    best, flat, deep = max(
        ((_overlap(flat, deep), flat, deep) for _, flat, deep in _pairs(material)),
        key=lambda one: one[0],
    )
    if best < OVERLAP:
        text = (
            f"A shift of {PLANTED} voxels could not be planted: the tumours of the two branches "
            f"overlap with a Dice of {best:.2f} at best, needed is {OVERLAP:g}."
        )
        return Control(False, False, text)
    moved = alignment.branch_shift(flat, _moved(deep))
    text = (
        f"A 3D volume moved by {PLANTED} voxels along the first axis ({flat.grid.patient_id}): "
        f"shift {moved.verdict}, estimated as {moved.shift}."
    )
    return Control(True, moved.verdict == "found", text)


def _overlap(flat: Volume, deep: Volume) -> float:
    one, other = tables.predicted_labels(flat), tables.predicted_labels(deep)
    dice = metrics.dice(metrics.confusion_matrix(one, other), tables.REGIONS["WT"], "exclude")
    # two branches without any tumour have nothing that could be moved
    return 0.0 if math.isnan(dice) else dice


def _moved(volume: Volume) -> Volume:
    """Return a volume that lies further along the first axis; what it leaves is no tumour."""
    values = np.roll(volume.probabilities, PLANTED, axis=1)
    values[:, :PLANTED], values[0, :PLANTED] = 0, 1
    return replace(volume, probabilities=values)


def _rings(material: folds.Material) -> Iterator[rings.RingCounts]:
    for case, flat, deep in _pairs(material):
        fused = average.weighted_average(flat, deep, material.study.fusion.alpha)
        yield rings.ring_counts(case, fused, flat, deep)


def _pairs(material: folds.Material) -> Iterator[tables.CaseVolumes]:
    return folds.branch_volumes(material, "test")


def _fates(counts: Confusion, found: collapse.Collapse) -> pd.DataFrame:
    total = counts.sum(axis=0) / max(counts.sum(), 1)
    rows = []
    for label, fate in enumerate(found.classes):
        recall = fate.recall or bootstrap.Interval(math.nan, None, 0)
        low, high = recall.ci95 or (math.nan, math.nan)
        rows.append(
            {"class": fate.name, "patients": fate.patients, "true share": total[label].sum(),
             "predicted share": total[:, label].sum(), "recall": recall.value, "low": low,
             "high": high, "most missed became": fate.taken_by, "share of it": fate.taken,
             "verdict": fate.verdict or "too rare to judge"}
        )  # fmt: skip
    return pd.DataFrame(rows)


def _shift_table(shifts: list[alignment.BranchShift]) -> pd.DataFrame:
    rows = []
    for one in shifts:
        along = one.shift or (None, None, None)
        axes = dict(zip(("x, voxels", "y, voxels", "z, voxels"), along, strict=True))
        rows.append(
            {"patient_id": one.patient_id, **axes, "difference removed": one.gain,
             "difference left": one.remaining, "shift": one.verdict}
        )  # fmt: skip
    return pd.DataFrame(rows)


def _of(name: str, found: bootstrap.Interval | None, n: int, rule: str) -> Value:
    if found is None:
        return Value(name, math.nan, n_patients=n, rule=f"{rule}; too few patients to tell")
    return Value(name, found.value, found.ci95, n, rule=rule)


def _sentence(what: str, verdict: collapse.Finding, sentence: str) -> str:
    return f"{what}: {verdict}; {sentence[0].lower()}{sentence[1:]}"


def _rule(sentence: str) -> str:
    return f"1 found, 0 not found, no number where it cannot be told. {sentence}"


def _seed(study: settings.Study, *names: str) -> int:
    return settings.named_seed(study.seed, "failures", *names)
