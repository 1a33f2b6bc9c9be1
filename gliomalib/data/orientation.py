"""Scans of any orientation brought to that of BraTS: x to the left, y to the back, z upwards."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import nibabel as nib
import nibabel.processing
import numpy as np
from numpy.typing import NDArray

from gliomalib.data import affines, nifti
from gliomalib.schema import Case, FloatArray, Scan

AXES = "LPS"
"""Where the axes of an upright scan run: left, posterior, superior."""

ALIGNED = 1e-3
"""How far an axis of length 1 may lean towards the others and still count as aligned."""

_SIGNS = (-1.0, -1.0, 1.0)
_STAYS = np.array([[0, 1], [1, 1], [2, 1]])


def read(case: Case, stored: Mapping[Path, bytes] | None = None) -> Scan:
    """Return a case in memory, upright, with canonical labels or None.

    However it is stored, its axes run to the patient's left, back and top, see `upright`; the
    bytes of its files may be at hand, ``stored``. It needs no reader, so that a new one leaves the
    code that stored arrays were made with as it is. Raises ``DataError`` as ``nifti.read_case``
    and `upright` do.
    """
    return upright(nifti.read_case(case, stored))


def upright(scan: Scan) -> Scan:
    """Return a scan with the axes of `AXES`, every voxel at the place where it was.

    Exact where each axis of the affine runs along one of the patient's within `ALIGNED`: axes are
    swapped and reversed, no voxel value changes, and a scan that is upright already is returned
    itself. Everything else, oblique or sheared, is interpolated onto an upright grid of the
    scan's own voxel sizes around the same centre, which covers the centres of all voxels: images
    linearly, labels by the nearest voxel, 0 outside of the scan. Interpolation smooths the
    images, and the 0 outside counts as a value of the scan.

    Raises ``DataError`` for an affine that is not finite or whose axes lie in one plane.
    """
    affine = np.asarray(scan.affine, dtype=np.float64)
    affines.check_affine(affine, f"case {scan.case.case_id}")
    directions = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    turn = turn_of(affine)
    # of each column the two smaller entries say how far the axis leans from the patient's
    if (np.sort(np.abs(directions), axis=0)[:2] > ALIGNED).any():
        return _resampled(scan, affine, turn)
    return scan if (turn == _STAYS).all() else _swapped(scan, affine, turn)


def turn_of(affine: FloatArray) -> NDArray[np.int64]:
    """Return where each axis of a scan goes and its sign (3, 2), for its axes to run as `AXES`."""
    wanted = nib.orientations.axcodes2ornt(tuple(AXES))
    turn = nib.orientations.ornt_transform(nib.orientations.io_orientation(affine), wanted)
    return np.asarray(turn, dtype=np.int64)


def turned(values: NDArray[Any], turn: NDArray[np.int64]) -> NDArray[Any]:
    """Return a view of voxels (X, Y, Z) with their axes swapped and reversed as `turn_of` says."""
    view: NDArray[Any] = nib.orientations.apply_orientation(values, turn)
    return view


def _swapped(scan: Scan, affine: FloatArray, turn: NDArray[np.int64]) -> Scan:
    # the affine belongs to the voxels as stored: undo the turn, then apply it
    back = nib.orientations.inv_ornt_aff(turn, scan.shape)
    return replace(
        scan,
        images=tuple(turned(volume, turn) for volume in scan.images),
        labels=None if scan.labels is None else turned(scan.labels, turn),
        spacing_mm=_spacing(scan, turn),
        affine=affines.nested(affine @ back),
    )


def _resampled(scan: Scan, affine: FloatArray, turn: NDArray[np.int64]) -> Scan:
    spacing = _spacing(scan, turn)
    target = _covering(scan.shape, affine, spacing)

    def resampled(volume: NDArray[Any], order: int) -> NDArray[Any]:
        """Return a volume on the target's grid."""
        # "grid-constant", because "constant" drops a first slice that rounding puts at -1e-16
        image = nib.processing.resample_from_to(
            nib.Nifti1Image(volume, affine), target, order=order, mode="grid-constant"
        )
        return np.asarray(image.dataobj)

    return replace(
        scan,
        images=tuple(resampled(v.astype(np.float32), order=1) for v in scan.images),
        labels=None if scan.labels is None else resampled(scan.labels, order=0),
        spacing_mm=spacing,
        affine=affines.nested(target[1]),
    )


def _covering(
    shape: Sequence[int], affine: FloatArray, spacing: Sequence[float]
) -> tuple[tuple[int, ...], FloatArray]:
    """Return shape and affine of the upright grid around a scan; the two share their centre."""
    corners = nib.affines.apply_affine(affine, list(product(*((0, n - 1) for n in shape))))
    low, high = corners.min(axis=0), corners.max(axis=0)
    # a rounding error must not add a voxel, and with it half a voxel of shift
    counts = np.ceil((high - low) / spacing - ALIGNED).astype(int) + 1
    grid = np.diag([*(np.asarray(_SIGNS) * spacing), 1.0])
    grid[:3, 3] = (low + high) / 2 - grid[:3, :3] @ (counts - 1) / 2
    return tuple(counts.tolist()), grid


def _spacing(scan: Scan, turn: NDArray[np.int64]) -> tuple[float, float, float]:
    x, y, z = (scan.spacing_mm[axis] for axis in np.argsort(turn[:, 0]))
    return x, y, z
