"""Ring artefacts: enhancing tumour that fusion makes where the branches' boundaries differ.

::

    outside │ shell │ common tumour         ····· one branch alone calls the shell tumour
    ────────┼───────┼──────────────
      c c c │ n n · │ c c c                 n     new: enhancing by fusion, by neither branch
                                            c     control: the nearest voxels on either side
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from gliomalib.schema import CLASS_NAMES, MismatchError, StoredCase, Volume, check_same_grid
from gliomalib.scoring import bootstrap
from gliomalib.scoring.collapse import MIN_PATIENTS, Finding

Mask = NDArray[np.bool_]

RING_EXCESS, MIN_SHELL = 0.01, 20
"""Share of the shell that new enhancing tumour must exceed (0.001 in clean simulated branches,
where the ratio to the control is above 1 too), and voxels that a shell must have."""

ENHANCING = CLASS_NAMES.index("enhancing tumour")


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
    """Whether fusion makes rings: mean ``excess`` and geometric mean ``ratio`` over patients."""

    verdict: Finding
    sentence: str
    excess: bootstrap.Interval | None
    ratio: bootstrap.Interval | None


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
    by_2d, by_3d, by_fusion = (part.probabilities.argmax(axis=0) for part in (p2d, p3d, fused))
    common, either = (by_2d > 0) & (by_3d > 0), (by_2d > 0) | (by_3d > 0)
    # what is enhancing in truth is no false alarm, wherever it lies
    counted = case.labels != ENHANCING
    shell = between(p2d, p3d) & counted
    size, spacing = int(shell.sum()), case.grid.spacing_mm
    control = _nearest(common, counted, size, spacing) | _nearest(~either, counted, size, spacing)
    enhancing, new = by_fusion == ENHANCING, made_by_fusion(fused, p2d, p3d)
    return RingCounts(
        patient_id=case.grid.patient_id,
        shell=size,
        control=int(control.sum()),
        new=int((new & shell).sum()),
        new_control=int((new & control).sum()),
        fused=int((enhancing & shell).sum()),
        p2d=int(((by_2d == ENHANCING) & shell).sum()),
        p3d=int(((by_3d == ENHANCING) & shell).sum()),
    )


def between(p2d: Volume, p3d: Volume) -> Mask:
    """Return the voxels (X, Y, Z) between the boundaries: one branch alone calls them tumour."""
    by_2d, by_3d = (part.probabilities.argmax(axis=0) > 0 for part in (p2d, p3d))
    return np.asarray(by_2d ^ by_3d)


def made_by_fusion(fused: Volume, p2d: Volume, p3d: Volume) -> Mask:
    """Return the voxels (X, Y, Z) that fusion calls enhancing although neither branch does."""
    alone, by_2d, by_3d = (
        part.probabilities.argmax(axis=0) == ENHANCING for part in (fused, p2d, p3d)
    )
    return np.asarray(alone & ~by_2d & ~by_3d)


def repainted(fused: Volume, ring: Mask, *, enhancing: bool) -> Volume:
    """Return a copy whose ring (X, Y, Z) is surely enhancing tumour, or surely something else."""
    values = fused.probabilities.astype(np.float32)
    values[:, ring] *= (np.arange(len(values)) == ENHANCING)[:, None] == enhancing
    values[ENHANCING, ring] += enhancing
    values[:, ring] /= values[:, ring].sum(axis=0)
    return replace(fused, probabilities=values.astype(np.float16))


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
    used = [patient for patient in patients if patient.shell >= MIN_SHELL]
    left_out = f"{len(patients) - len(used)} of {len(patients)} patients without a shell left out"
    if len(used) < MIN_PATIENTS:
        sentence = f"{len(used)} patients are too few for a verdict ({left_out})."
        return Rings("cannot tell", sentence, None, None)
    excess = bootstrap.mean_interval([patient.excess for patient in used], seed, draws)
    # a rate twice as high and one half as high cancel in the mean of logarithms
    logs = bootstrap.mean_interval([math.log(patient.ratio) for patient in used], seed, draws)
    low, high = logs.ends
    ratio = replace(logs, value=math.exp(logs.value), ci95=(math.exp(low), math.exp(high)))
    verdict: Finding = "cannot tell"
    if excess.ends[0] > RING_EXCESS and low > 0:
        verdict = "found"
    elif excess.ends[1] < RING_EXCESS:
        verdict = "not found"
    passed_on = np.mean([[each.fused, each.p2d, each.p3d] for each in used], axis=0)
    sentence = (
        f"Between the branches' boundaries fusion makes new enhancing tumour in "
        f"{excess.percent()} of the voxels more than beside them; false enhancing voxels there: "
        f"{passed_on[0]:.1f} fused, {passed_on[1]:.1f} 2D, {passed_on[2]:.1f} 3D per patient "
        f"({left_out})."
    )
    return Rings(verdict, sentence, excess, ratio)
