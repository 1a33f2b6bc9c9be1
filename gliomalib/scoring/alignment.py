"""Misaligned branches: volumes on one grid whose contents do not lie on one another."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import fft, ndimage, stats

from gliomalib.schema import FloatArray, Volume, check_same_grid
from gliomalib.scoring import bootstrap
from gliomalib.scoring.collapse import MIN_PATIENTS, Finding

REACH, SHIFT_GAIN = 4, 0.1
"""Voxels along each axis up to which shifts are tried, and the share of the branches' squared
difference that one must remove: clean simulated branches 0.05 at most, moved by two voxels 0.18
at least."""

SHIFT_MEAN, SHIFT_SHARE = 0.5, 0.05
"""Mean shift in voxels, or share of shifted patients, from which a cohort is misaligned."""

NO_MATCH, MIN_TUMOUR = 0.5, 50
"""Where more of the squared probabilities still differs after the best shift, or a branch has
fewer tumour voxels, a patient tells nothing about a shift."""


@dataclass(frozen=True)
class BranchShift:
    """Where the 3D branch lies: ``shift`` voxels further along each axis than the 2D branch.

    ``gain`` is the share of the squared difference of the probabilities that is removed by moving
    it back, ``remaining`` what is then left of it (0: equal, 1: without overlap). All are None
    where a branch has hardly any tumour.
    """

    patient_id: str
    verdict: Finding
    shift: tuple[int, int, int] | None
    gain: float | None
    remaining: float | None


@dataclass(frozen=True)
class Misalignment:
    """Whether branches are misaligned, in a sentence, and their mean shift by axis."""

    verdict: Finding
    sentence: str
    mean_shift: tuple[bootstrap.Interval, ...] = ()


def branch_shift(p2d: Volume, p3d: Volume) -> BranchShift:
    """Estimate by how many whole voxels the 3D branch is displaced against the 2D branch.

    Of all shifts of up to ``REACH`` voxels per axis the one is taken that makes the squared
    difference of the probabilities smallest: tumour and each of its three classes, so that inner
    borders count as well. Since the squares stay the same this is the largest cross-correlation.
    A shift is found where it removes ``SHIFT_GAIN`` of the difference; at ``REACH`` it may be
    larger still. Raises ``MismatchError`` where grids differ: here the grids agree and what lies
    on them may not.
    """
    check_same_grid(p2d, p3d)
    name = p2d.grid.patient_id
    tumour_2d, tumour_3d = _evidence(p2d), _evidence(p3d)
    if min((tumour_2d[0] > 0.5).sum(), (tumour_3d[0] > 0.5).sum()) < MIN_TUMOUR:
        return BranchShift(name, "cannot tell", None, None, None)
    # the rest of the brain adds nothing to either sum and much to the time
    there = np.maximum(tumour_2d[0], tumour_3d[0]) > 0.1
    box = (slice(None), *ndimage.find_objects(there.astype(np.uint8))[0])
    differences = _differences(tumour_2d[box], tumour_3d[box])
    best = np.unravel_index(differences.argmin(), differences.shape)
    shift = (int(best[0]) - REACH, int(best[1]) - REACH, int(best[2]) - REACH)
    unmoved, moved = differences[REACH, REACH, REACH], differences[best]
    gain = float(1 - moved / unmoved) if any(shift) else 0.0
    verdict: Finding = "not found"
    if gain >= SHIFT_GAIN:
        verdict = "found"
    elif moved > NO_MATCH:
        verdict = "cannot tell"
    return BranchShift(name, verdict, shift, gain, float(moved))


def _evidence(volume: Volume) -> FloatArray:
    """Return the probabilities of tumour and of its classes, which are 0 outside of the grid."""
    values = volume.probabilities.astype(np.float64)
    values[0] = 1 - values[0]
    return values


def _differences(a: FloatArray, b: FloatArray) -> FloatArray:
    """Return |a − b|² over |a|² + |b|² for ``b`` moved back by each shift, each axis rising."""
    # zeros behind each axis keep what leaves at one end from coming back at the other
    shape = [fft.next_fast_len(size + REACH, real=True) for size in a.shape[1:]]
    spectra = [fft.rfftn(part, shape, axes=(1, 2, 3)) for part in (a, b)]
    # |a − b|² is |a|² + |b|² − 2·a·b, and one transform gives a·b for all shifts at once
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
    above ``SHIFT_SHARE``. Not found where neither is so and no patient has one; with a few it
    cannot be told. Patients in whom it cannot be told are left out and counted.
    """
    used = [patient for patient in patients if patient.verdict != "cannot tell"]
    left_out = f"{len(patients) - len(used)} of {len(patients)} patients cannot be judged"
    if len(used) < MIN_PATIENTS:
        sentence = f"{len(used)} patients are too few for a verdict ({left_out})."
        return Misalignment("cannot tell", sentence)
    shifts = np.array([patient.shift for patient in used], dtype=np.float64)
    means = tuple(bootstrap.mean_interval(axis, seed, draws) for axis in shifts.T)
    shifted = sum(patient.verdict == "found" for patient in used)
    share = stats.binomtest(shifted, len(used)).proportion_ci(bootstrap.LEVEL, method="wilson")
    together = any(
        abs(mean.value) >= SHIFT_MEAN and not mean.ends[0] <= 0 <= mean.ends[1] for mean in means
    )
    verdict: Finding = "cannot tell" if shifted else "not found"
    if together or share.low > SHIFT_SHARE:
        verdict = "found"
    sentence = (
        f"The 3D branch lies {', '.join(f'{mean.value:+.1f}' for mean in means)} voxels from the "
        f"2D branch in the mean; {shifted} of {len(used)} patients are shifted ({left_out})."
    )
    return Misalignment(verdict, sentence, means)
