"""Class collapse: a class that the pipeline no longer finds, and the one that takes its place.

The first of three signatures of failure; ``rings`` and ``alignment`` are the others. What is
counted is counted patient by patient, so that volumes pass one at a time; a finding is about the
cohort and has an interval over its patients. The thresholds of all three were chosen before any
real result was seen.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from gliomalib.digits import percent
from gliomalib.schema import CLASS_NAMES, Confusion, FloatArray
from gliomalib.scoring import bootstrap

Finding = Literal["found", "not found", "cannot tell"]
"""What is said of a failure."""

NUMBERS: Mapping[Finding, float] = {"found": 1.0, "cannot tell": math.nan, "not found": 0.0}
"""What a finding is as the value of a record, worst first."""

MIN_PATIENTS = 5
"""With fewer patients nothing is said of a cohort."""

LEAST_SHARE = 0.02
LOST_RECALL, LOST_SHARE = 0.05, 0.1
"""A class of at least ``LEAST_SHARE`` is collapsed where less than ``LOST_RECALL`` of it is found,
or where it is predicted less than ``LOST_SHARE`` times as often as it occurs."""


@dataclass(frozen=True)
class ClassFate:
    """What became of one class.

    ``share`` is the part of the truth by which ``LEAST_SHARE`` is judged: of the true tumour for
    the three tumour classes, of everything for 'no tumour'. ``recall``, and ``frequency`` (how
    often it is predicted for once that it occurs), are of the ``patients`` who have the class.
    ``taken_by`` is the class that most of what was missed was given to, and ``taken`` the part of
    the true class that went there. ``verdict`` is None for a class too small to be judged.
    """

    name: str
    patients: int
    share: float
    recall: bootstrap.Interval | None
    frequency: bootstrap.Interval | None
    taken_by: str
    taken: float
    verdict: Finding | None


@dataclass(frozen=True)
class Collapse:
    """Whether a class is lost, what became of each, and both in a sentence."""

    verdict: Finding
    sentence: str
    classes: tuple[ClassFate, ...]


def class_collapse(confusions: Confusion, seed: int, draws: int = bootstrap.DRAWS) -> Collapse:
    """Say whether a class is lost, and to which other one.

    ``confusions`` has the slices or voxels of each patient, shape (patients, 4, 4), rows the
    truth. A class is collapsed where the upper end of the 95 % interval over patients of its
    recall lies below ``LOST_RECALL``, or that of its frequency below ``LOST_SHARE``; one odd
    patient, however large, widens the interval and gives no alarm. Where only the estimate lies
    below, or fewer than ``MIN_PATIENTS`` have the class, it cannot be told. Raises ``ValueError``
    for another shape, negative counts or no patient.
    """
    counts = np.asarray(confusions)
    if counts.ndim != 3 or counts.shape[1:] != (4, 4) or not len(counts) or (counts < 0).any():
        raise ValueError(
            f"confusions have shape {counts.shape} and the least count {counts.min(initial=0)}; "
            "needed are (patients, 4, 4) and counts that are not negative"
        )
    fates = tuple(_fate(counts, label, seed, draws) for label in range(len(CLASS_NAMES)))
    verdict = _worst([fate.verdict for fate in fates if fate.verdict])
    return Collapse(verdict, _sentence(verdict, fates, len(counts)), fates)


def _fate(counts: Confusion, label: int, seed: int, draws: int) -> ClassFate:
    total, name = counts.sum(axis=0), CLASS_NAMES[label]
    # beside the background every tumour class is rare, so they are measured by the tumour
    whole = total if label == 0 else total[1:]
    share = float(total[label].sum() / max(whole.sum(), 1))
    missed = np.where(np.arange(len(total)) == label, -1, total[label])
    taker = int(missed.argmax())
    taken_by, taken = CLASS_NAMES[taker], float(missed[taker] / max(total[label].sum(), 1))
    having = counts[counts[:, label].sum(axis=1) > 0]
    if not len(having):
        return ClassFate(name, 0, share, None, None, taken_by, taken, None)

    def scores(stack: FloatArray) -> dict[str, FloatArray]:
        """Return recall and share of a class for each resample of patients."""
        truth, predicted = stack[:, label].sum(axis=1), stack[:, :, label].sum(axis=1)
        return {"recall": stack[:, label, label] / truth, "frequency": predicted / truth}

    intervals = bootstrap.confusion_intervals(having, scores, seed, draws)
    recall, frequency = intervals["recall"], intervals["frequency"]
    verdict = _worst([_below(recall, LOST_RECALL), _below(frequency, LOST_SHARE)])
    judged = verdict if share >= LEAST_SHARE else None
    return ClassFate(name, len(having), share, recall, frequency, taken_by, taken, judged)


def _below(interval: bootstrap.Interval, threshold: float) -> Finding:
    if interval.n < MIN_PATIENTS:
        return "cannot tell"
    if interval.ends[1] < threshold:
        return "found"
    return "cannot tell" if interval.value < threshold else "not found"


def _worst(findings: Sequence[Finding]) -> Finding:
    return min(findings, key=list(NUMBERS).index, default="cannot tell")


def _sentence(verdict: Finding, fates: Sequence[ClassFate], patients: int) -> str:
    named = ", ".join(
        f"{fate.name} (recall {fate.recall.percent() if fate.recall else 'unknown'}, "
        f"{percent(fate.taken)} became {fate.taken_by})"
        for fate in fates
        if fate.verdict == verdict
    )
    if verdict == "found":
        return f"Lost in {patients} patients: {named}."
    if verdict == "not found":
        return f"No class is lost in {patients} patients: {named}."
    return f"Patients are too few or too different to judge: {named or 'every class is too small'}."
