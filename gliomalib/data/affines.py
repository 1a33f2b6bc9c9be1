"""Matrices from the voxels of a scan to millimetres: usable ones, and two that are one."""

import math
from collections.abc import Sequence
from itertools import product

import nibabel as nib
import numpy as np

from gliomalib.schema import Affine, DataError, FloatArray

FLAT = 1e-3
"""Volume that three axes of length 1 must span at least; less counts as lying in one plane."""


def check_affine(affine: FloatArray, where: str) -> None:
    """Raise ``DataError`` for a 4×4 matrix that is not finite or whose axes lie in one plane."""
    axes = affine[:3, :3]
    lengths = np.linalg.norm(axes, axis=0)
    usable = bool(np.isfinite(affine).all() and lengths.all())
    if not usable or abs(np.linalg.det(axes / lengths)) < FLAT:
        raise DataError(
            f"{where}: affine is {nested(affine)}, which does not span a volume, so nobody knows "
            "where the voxels lie; correct the header",
            "singular affine",
        )


def axes_of(affine: Affine) -> str:
    """Return where the axes of voxels run, such as LPS."""
    return "".join(nib.orientations.aff2axcodes(np.asarray(affine)))


def nested(affine: FloatArray) -> Affine:
    """Return a 4×4 matrix as nested tuples, which compare and do not change."""
    # adding zero makes one zero of the two that floats have
    return tuple(tuple(float(entry) + 0.0 for entry in row) for row in affine)


def apart(first: FloatArray, other: FloatArray, shape: Sequence[int]) -> float:
    """Return how far two usable affines put a voxel apart, at most, in voxels of the first.

    ``shape`` is that of the scan; one of its corners is where they differ most. A matrix that is
    not finite is infinitely far.
    """
    corners = np.array(list(product(*((0, n - 1) for n in shape[:3]))))
    with np.errstate(all="ignore"):
        moved = nib.affines.apply_affine(np.linalg.inv(first) @ other, corners) - corners
        far = float(np.linalg.norm(moved, axis=1).max())
    return far if math.isfinite(far) else math.inf
