"""Three ways in which the paper's pipeline can fail, each with numbers and a verdict.

Class collapse, ring artefacts at the edge of the fusion, and branches that do not lie on one
another. What is counted is counted patient by patient (``ring_counts``, ``branch_shift``), so that
volumes pass one at a time; a verdict is about the cohort and has an interval over its patients.
The thresholds were chosen before any real result was seen.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from gliomalib.schema import (
    CLASS_NAMES,
    Confusion,
    MismatchError,
    StoredCase,
    Volume,
    check_same_grid,
)
from gliomalib.scoring import bootstrap

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Verdict = Literal["found", "not found", "cannot tell"]

MIN_PATIENTS = 5
"""With fewer patients no verdict about a cohort is given."""

LEAST_SHARE = 0.02
LOST_RECALL, LOST_SHARE = 0.05, 0.1
"""A class of at least ``LEAST_SHARE`` is collapsed where less than ``LOST_RECALL`` of it is found,
or where it is predicted less than ``LOST_SHARE`` times as often as it occurs."""

RING_EXCESS, MIN_SHELL = 0.01, 20
"""Share of the shell that new enhancing tumour must exceed (0.001 in clean simulated branches,
where the ratio to the control is above 1 too), and voxels that a shell must have."""

REACH, SHIFT_GAIN = 4, 0.1
"""Voxels along each axis up to which shifts are tried, and the share of the branches' squared
difference that one must remove: clean simulated branches 0.05 at most, moved by two voxels 0.18
at least."""

SHIFT_MEAN, SHIFT_SHARE = 0.5, 0.05
"""Mean shift in voxels, or share of shifted patients, from which a cohort is misaligned."""

NO_MATCH, MIN_TUMOUR = 0.5, 50
"""Where more of the squared probabilities still differs after the best shift, or a branch has
fewer tumour voxels, a patient tells nothing about a shift."""

ENHANCING = CLASS_NAMES.index("enhancing tumour")


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
    verdict: Verdict | None


@dataclass(frozen=True)
class Collapse:
    """Whether a class is lost, what became of each, and both in a sentence."""

    verdict: Verdict
    sentence: str
    classes: tuple[ClassFate, ...]


@dataclass(frozen=True)
class RingCounts:
    """Enhancing tumour that is none, in voxels of one patient that are not enhancing in truth.

    ``shell`` is the number of such voxels that one branch alone calls tumour, ``control`` that of
    the nearest ones further in and further out together. ``new`` and ``new_control`` are what
    fusion calls enhancing there although neither branch does; ``fused``, ``p2d`` and ``p3d`` all
    that each calls enhancing in the shell.
    """

    patient_id: str
    shell: int
    control: int
    new: int
    new_control: int
    fused: int
    p2d: int
    p3d: int

    @property
    def excess(self) -> float:
        """Share of the shell that is new, less that of the control."""
        return self.new / max(self.shell, 1) - self.new_control / max(self.control, 1)

    @property
    def ratio(self) -> float:
        """Rate of the new ones in the shell over that in the control; half a voxel is added."""
        expected = self.new_control * self.shell / max(self.control, 1)
        return (self.new + 0.5) / (expected + 0.5)


@dataclass(frozen=True)
class Rings:
    """Whether fusion makes rings: mean ``excess``, geometric mean ``ratio``, and the patients."""

    verdict: Verdict
    sentence: str
    excess: bootstrap.Interval | None
    ratio: bootstrap.Interval | None
    patients: tuple[RingCounts, ...]


@dataclass(frozen=True)
class BranchShift:
    """Where the 3D branch lies: ``shift`` voxels further along each axis than the 2D branch.

    ``gain`` is the share of the squared difference of the probabilities that is removed by moving
    it back, ``remaining`` what is then left of it (0: equal, 1: without overlap). All are None
    where a branch has hardly any tumour.
    """

    patient_id: str
    verdict: Verdict
    shift: tuple[int, int, int] | None
    gain: float | None
    remaining: float | None


@dataclass(frozen=True)
class Misalignment:
    """Whether branches are misaligned: mean shift by axis, share of shifted patients, patients."""

    verdict: Verdict
    sentence: str
    mean_shift: tuple[bootstrap.Interval, ...]
    share: bootstrap.Interval | None
    patients: tuple[BranchShift, ...]


def class_collapse(confusions: Confusion, seed: int, draws: int = bootstrap.DRAWS) -> Collapse:
    """Say whether a class is lost, and to which other one.

    A class is collapsed where the upper end of the 95 % interval over patients of its recall lies
    below ``LOST_RECALL``, or that of its frequency below ``LOST_SHARE``; one odd patient, however
    large, widens the interval and gives no alarm. Where only the estimate lies below, or fewer
    than ``MIN_PATIENTS`` have the class, it cannot be told.

    Parameters
    ----------
    confusions
        Slices or voxels of each patient, shape (patients, 4, 4), rows the truth.
    seed, draws
        Seed and size of the bootstrap.

    Raises
    ------
    ValueError
        For another shape, negative counts or no patient.
    """
    counts = np.asarray(confusions)
    if counts.ndim != 3 or counts.shape[1:] != (4, 4) or not len(counts) or (counts < 0).any():
        raise ValueError(
            f"confusions have shape {counts.shape} and the least count {counts.min(initial=0)}; "
            "needed are (patients, 4, 4) and counts that are not negative"
        )
    fates = tuple(_fate(counts, label, seed, draws) for label in range(len(CLASS_NAMES)))
    verdict = _worst([fate.verdict for fate in fates if fate.verdict])
    return Collapse(verdict, _collapse_sentence(verdict, fates, len(counts)), fates)


def _fate(counts: Confusion, label: int, seed: int, draws: int) -> ClassFate:
    total = counts.sum(axis=0)
    whole = total if label == 0 else total[1:]
    share = float(total[label].sum() / max(whole.sum(), 1))
    missed = np.where(np.arange(len(total)) == label, -1, total[label])
    taker = int(missed.argmax())
    taken = float(missed[taker] / max(total[label].sum(), 1))
    own = counts[counts[:, label].sum(axis=1) > 0]
    if not len(own):
        return ClassFate(CLASS_NAMES[label], 0, share, None, None, CLASS_NAMES[taker], taken, None)

    def scores(stack: Floats) -> dict[str, Floats]:
        truth, predicted = stack[:, label].sum(axis=1), stack[:, :, label].sum(axis=1)
        return {"recall": stack[:, label, label] / truth, "frequency": predicted / truth}

    found = bootstrap.confusion_intervals(own, scores, seed, draws)
    recall, frequency = found["recall"], found["frequency"]
    verdict = _worst([_below(recall, LOST_RECALL), _below(frequency, LOST_SHARE)])
    return ClassFate(
        CLASS_NAMES[label], len(own), share, recall, frequency, CLASS_NAMES[taker], taken,
        verdict if share >= LEAST_SHARE else None,
    )  # fmt: skip


def _below(interval: bootstrap.Interval, threshold: float) -> Verdict:
    if interval.n < MIN_PATIENTS:
        return "cannot tell"
    if _ends(interval)[1] < threshold:
        return "found"
    return "cannot tell" if interval.value < threshold else "not found"


def _worst(verdicts: Sequence[Verdict]) -> Verdict:
    if "found" in verdicts:
        return "found"
    return "cannot tell" if "cannot tell" in verdicts or not verdicts else "not found"


def _collapse_sentence(verdict: Verdict, fates: Sequence[ClassFate], patients: int) -> str:
    named = ", ".join(
        f"{fate.name} (recall {_percent(fate.recall)}, {fate.taken:.0%} became {fate.taken_by})"
        for fate in fates
        if fate.verdict == verdict
    )
    if verdict == "found":
        return f"Lost in {patients} patients: {named}."
    if verdict == "not found":
        return f"No class is lost in {patients} patients: {named}."
    return f"Patients are too few or too different to judge: {named or 'every class is too small'}."


def ring_counts(case: StoredCase, fused: Volume, p2d: Volume, p3d: Volume) -> RingCounts:
    """Count false enhancing tumour where the branches differ about the tumour's boundary.

    The shell lies between the two boundaries: voxels that one branch calls tumour (any class) and
    the other does not. Its control are as many voxels again just inside of what both call tumour,
    and as many just outside of what either does, the nearest ones first, as far as there are any.
    Raises ``MismatchError`` where grids differ.
    """
    check_same_grid(p2d, p3d)
    check_same_grid(fused, p2d)
    if case.grid != fused.grid or case.labels.shape != fused.grid.shape:
        raise MismatchError(
            f"the labels of {case.grid.patient_id} (shape {case.labels.shape}) are not on the grid "
            f"of the volumes of {fused.grid.patient_id}; take the case they were predicted from"
        )
    flat, deep, both = (one.probabilities.argmax(axis=0) for one in (p2d, p3d, fused))
    common, either = (flat > 0) & (deep > 0), (flat > 0) | (deep > 0)
    counted = case.labels != ENHANCING
    shell = either & ~common & counted
    spacing, size = case.grid.spacing_mm, int(shell.sum())
    control = _nearest(common, counted, size, spacing) | _nearest(~either, counted, size, spacing)
    new = (both == ENHANCING) & (flat != ENHANCING) & (deep != ENHANCING)
    return RingCounts(
        case.grid.patient_id, size, int(control.sum()),
        int((new & shell).sum()), int((new & control).sum()),
        *(int(((labels == ENHANCING) & shell).sum()) for labels in (both, flat, deep)),
    )  # fmt: skip


def _nearest(region: Mask, counted: Mask, size: int, spacing_mm: tuple[float, ...]) -> Mask:
    """Return the ``size`` counted voxels of ``region`` that lie nearest to its boundary."""
    depth = ndimage.distance_transform_edt(region, sampling=spacing_mm)
    places = np.flatnonzero(region & counted)
    # stable, so that of equally near voxels the same are taken on every machine
    order = np.argsort(depth.ravel()[places], kind="stable")[:size]
    chosen = np.zeros(region.shape, dtype=np.bool_)
    chosen.ravel()[places[order]] = True
    return chosen


def ring_artefacts(
    patients: Sequence[RingCounts], seed: int, draws: int = bootstrap.DRAWS
) -> Rings:
    """Say whether fusion makes enhancing tumour of its own between the branches' boundaries.

    What a branch calls enhancing by itself is its own error, passed on; a ring of the fusion is
    what neither branch says. It is found where, over patients, the mean excess over the control
    lies above ``RING_EXCESS`` and the geometric mean ratio above 1, each with its 95 % interval;
    not found where the interval of the excess lies below ``RING_EXCESS``; else it cannot be told.
    Patients with a shell below ``MIN_SHELL`` voxels are left out and counted in the sentence.
    """
    used = [one for one in patients if one.shell >= MIN_SHELL]
    left_out = f"{len(patients) - len(used)} of {len(patients)} patients without a shell left out"
    if len(used) < MIN_PATIENTS:
        sentence = f"{len(used)} patients are too few for a verdict ({left_out})."
        return Rings("cannot tell", sentence, None, None, tuple(patients))
    excess = bootstrap.mean_interval([one.excess for one in used], seed, draws)
    logs = bootstrap.mean_interval([math.log(one.ratio) for one in used], seed, draws)
    low, high = _ends(logs)
    ratio = replace(logs, value=math.exp(logs.value), ci95=(math.exp(low), math.exp(high)))
    verdict: Verdict = "cannot tell"
    if _ends(excess)[0] > RING_EXCESS and low > 0:
        verdict = "found"
    elif _ends(excess)[1] < RING_EXCESS:
        verdict = "not found"
    passed_on = np.mean([[one.fused, one.p2d, one.p3d] for one in used], axis=0)
    sentence = (
        f"Between the branches' boundaries fusion makes new enhancing tumour in "
        f"{_percent(excess)} of the voxels more than beside them; false enhancing voxels there: "
        f"{passed_on[0]:.1f} fused, {passed_on[1]:.1f} 2D, {passed_on[2]:.1f} 3D a patient "
        f"({left_out})."
    )
    return Rings(verdict, sentence, excess, ratio, tuple(patients))


def branch_shift(p2d: Volume, p3d: Volume) -> BranchShift:
    """Estimate by how many whole voxels the 3D branch is displaced against the 2D branch.

    Of all shifts of up to ``REACH`` voxels an axis the one is taken that makes the squared
    difference of the probabilities smallest: tumour and each of its three classes, so that inner
    borders count as well. Since the squares stay the same this is the largest cross-correlation.
    A shift is found where it removes ``SHIFT_GAIN`` of the difference; at ``REACH`` it may be
    larger still. Raises ``MismatchError`` where grids differ: here the grids agree and what lies
    on them may not.
    """
    check_same_grid(p2d, p3d)
    name = p2d.grid.patient_id
    flat, deep = _evidence(p2d), _evidence(p3d)
    if min((flat[0] > 0.5).sum(), (deep[0] > 0.5).sum()) < MIN_TUMOUR:
        return BranchShift(name, "cannot tell", None, None, None)
    box = ndimage.find_objects((np.maximum(flat[0], deep[0]) > 0.1).astype(np.uint8))[0]
    inside = (slice(None), *box)
    differences = _differences(flat[inside], deep[inside])
    best = np.unravel_index(differences.argmin(), differences.shape)
    shift = (int(best[0]) - REACH, int(best[1]) - REACH, int(best[2]) - REACH)
    unmoved, moved = differences[REACH, REACH, REACH], differences[best]
    gain = float(1 - moved / unmoved) if any(shift) else 0.0
    verdict: Verdict = "not found"
    if gain >= SHIFT_GAIN:
        verdict = "found"
    elif moved > NO_MATCH:
        verdict = "cannot tell"
    return BranchShift(name, verdict, shift, gain, float(moved))


def _evidence(volume: Volume) -> Floats:
    """Return the probabilities of tumour and of its classes, which are 0 outside of the grid."""
    values = volume.probabilities.astype(np.float64)
    values[0] = 1 - values[0]
    return values


def _differences(a: Floats, b: Floats) -> Floats:
    """Return |a − b|² over |a|² + |b|² for ``b`` moved back by each shift, each axis rising."""
    # zeros behind each axis keep what leaves at one end from coming back at the other
    shape = [fft.next_fast_len(size + REACH, real=True) for size in a.shape[1:]]
    spectra = [fft.rfftn(part, shape, axes=(1, 2, 3)) for part in (a, b)]
    product = (spectra[0].conj() * spectra[1]).sum(axis=0)
    lags = np.arange(-REACH, REACH + 1)
    common = fft.irfftn(product, shape)[np.ix_(lags, lags, lags)]
    squares = (a**2).sum() + (b**2).sum()
    return np.asarray(np.maximum(1 - 2 * common / squares, 0.0))


def misalignment(
    patients: Sequence[BranchShift], seed: int, draws: int = bootstrap.DRAWS
) -> Misalignment:
    """Say whether the branches of a cohort are displaced against each other.

    Found where the mean shift along some axis is at least ``SHIFT_MEAN`` voxels and its 95 %
    interval over patients leaves out 0 (all displaced alike, also if too little to be found in
    one of them), or where the share of patients with a shift of their own has a Wilson interval
    above ``SHIFT_SHARE``. Not found where no patient has one and the means are small; with a few
    it cannot be told. Patients in whom it cannot be told are left out and counted.
    """
    used = [one for one in patients if one.verdict != "cannot tell"]
    left_out = f"{len(patients) - len(used)} of {len(patients)} patients cannot be judged"
    if len(used) < MIN_PATIENTS:
        sentence = f"{len(used)} patients are too few for a verdict ({left_out})."
        return Misalignment("cannot tell", sentence, (), None, tuple(patients))
    shifts = np.array([one.shift for one in used], dtype=np.float64)
    means = tuple(bootstrap.mean_interval(axis, seed, draws) for axis in shifts.T)
    shifted = [one for one in used if one.verdict == "found"]
    share = bootstrap.wilson(len(shifted), len(used))
    together = any(
        abs(one.value) >= SHIFT_MEAN and not _ends(one)[0] <= 0 <= _ends(one)[1] for one in means
    )
    verdict: Verdict = "cannot tell" if shifted else "not found"
    if together or _ends(share)[0] > SHIFT_SHARE:
        verdict = "found"
    sentence = (
        f"The 3D branch lies {', '.join(f'{one.value:+.1f}' for one in means)} voxels from the 2D "
        f"branch in the mean; {len(shifted)} of {len(used)} patients are shifted ({left_out})."
    )
    return Misalignment(verdict, sentence, means, share, tuple(patients))


def _ends(interval: bootstrap.Interval) -> tuple[float, float]:
    return interval.ci95 or (interval.value, interval.value)


def _percent(interval: bootstrap.Interval | None) -> str:
    if interval is None:
        return "unknown"
    value, low, high = (round(one, 3) + 0.0 for one in (interval.value, *_ends(interval)))
    return f"{value:.1%} ({low:.1%} to {high:.1%})"
