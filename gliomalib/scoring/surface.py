"""The distance between the surfaces of two masks, for all regions of a pair of label volumes."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from gliomalib.schema import N_CLASSES
from gliomalib.scoring.metrics import EmptyRule, check_empty, check_pair

HD95_WORST_MM = 373.12866
"""Diagonal of the BraTS grid of 240×240×155 voxels of 1 mm, the score of a missed tumour."""

QUANTILE = 0.95

REACH = 6
"""Within so many of the finest steps the nearest surface voxel is looked up, beyond it a tree is
asked: 925 places around a voxel of equal sides, which costs less than asking the tree."""

CLOSE = REACH / 2
"""Where so many steps led less than half of the voxels to the other surface, it is far away, and
the tree is asked for all of them: an eighth of the places has been looked at by then."""


def hd95(
    truth: NDArray[Any],
    predicted: NDArray[Any],
    regions: Mapping[str, tuple[int, ...]],
    spacing_mm: tuple[float, ...],
    empty: EmptyRule,
) -> dict[str, float]:
    """Return the 95th percentile of the Hausdorff distance of each region in millimetres.

    Convention, the same as MONAI's ``compute_hausdorff_distance(percentile=95)``: the surface of
    a mask is its voxels with a face neighbour outside of it (the edge of the array is outside);
    distances run between voxel centres, from each surface voxel to the nearest one of the other
    mask; the 95th percentile (linear between order statistics) is taken for each direction, and
    the larger one counts. Surface voxels are not weighted by their area.

    ``truth`` and ``predicted`` are labels 0 … 3 of one shape (X, Y, Z) or (X, Y); the mask of a
    region is the voxels of its classes. ``spacing_mm`` is the voxel size along each axis and
    ``empty`` the rule of ``metrics.EmptyRule``. Raises ``ValueError`` as
    ``metrics.confusion_matrix`` does, for spacing that does not match and for an unknown rule.
    """
    check_empty(empty)
    check_pair(truth, predicted)
    if len(spacing_mm) != truth.ndim or not all(step > 0 for step in spacing_mm):
        raise ValueError(
            f"spacing_mm {spacing_mm} must be {truth.ndim} positive numbers, one for each axis"
        )
    surfaces = [_surfaces(labels, regions) for labels in _boxed(truth, predicted)]
    distances = {}
    for place, region in enumerate(regions):
        one, other = ((surface >> place & 1).astype(np.bool_) for surface in surfaces)
        some = bool(one.any()), bool(other.any())
        if all(some):
            ways = ((one, other), (other, one))
            distances[region] = max(_percentile(a, b, spacing_mm) for a, b in ways)
        elif any(some):
            distances[region] = HD95_WORST_MM
        else:
            distances[region] = 0.0 if empty == "brats" else float("nan")
    return distances


def _boxed(truth: NDArray[Any], predicted: NDArray[Any]) -> list[NDArray[Any]]:
    """Return both in the box of all their labels, with ``REACH`` voxels of nothing around it."""
    marked = (truth | predicted) > 0
    box = []
    for axis in range(marked.ndim):
        others = tuple(other for other in range(marked.ndim) if other != axis)
        used = np.flatnonzero(marked.any(axis=others))
        box.append(slice(used[0], used[-1] + 1) if len(used) else slice(0))
    return [np.pad(labels[tuple(box)], REACH) for labels in (truth, predicted)]


def _surfaces(labels: NDArray[Any], regions: Mapping[str, tuple[int, ...]]) -> NDArray[Any]:
    """Return an integer a voxel: bit r is set where it is on the surface of region r."""
    bits = np.zeros(N_CLASSES, dtype=np.min_scalar_type(2 ** len(regions) - 1))
    for place, classes in enumerate(regions.values()):
        bits[list(classes)] |= bits.dtype.type(1 << place)
    masks = bits[labels]
    inside = masks.copy()
    # nothing lies in the outermost voxels, so that no neighbour is missing
    for axis in range(labels.ndim):
        middle, mask = np.swapaxes(inside, 0, axis)[1:-1], np.swapaxes(masks, 0, axis)
        middle &= mask[:-2]
        middle &= mask[2:]
    return np.asarray(masks & ~inside)


def _percentile(
    surface: NDArray[np.bool_], other: NDArray[np.bool_], spacing_mm: tuple[float, ...]
) -> float:
    """Return the 95th percentile of the distances from one surface to the nearest of another.

    Places around all voxels are looked at from near to far, and voxels drop out once they met the
    other surface; the farthest twentieth never has to, for it does not count. A tree finds the
    nearest voxel for those that are left.
    """
    voxels, others, spacing = np.flatnonzero(surface), other.ravel(), np.array(spacing_mm)
    strides = np.array(surface.strides) // surface.itemsize
    count = len(voxels)
    needed = min(count, int(QUANTILE * (count - 1)) + 2)
    nearest, met = np.full(count, np.inf), 0
    for distance, steps in _shells(spacing_mm):
        far_away = distance > CLOSE * min(spacing_mm) and met < needed / 2
        if met >= needed or far_away:
            break
        hit = others[voxels[:, None] + steps @ strides].any(axis=1)
        voxels = voxels[~hit]
        nearest[met : count - len(voxels)] = distance
        met = count - len(voxels)
    if met < needed:
        tree = KDTree(np.argwhere(other) * spacing)
        places = np.stack(np.unravel_index(voxels, surface.shape), axis=1)
        nearest[met:] = tree.query(places * spacing)[0]
    return float(np.quantile(nearest, QUANTILE))


@lru_cache(maxsize=8)
def _shells(spacing_mm: tuple[float, ...]) -> list[tuple[float, NDArray[np.intp]]]:
    """Return steps (n, dimensions) that go equally far, with how far, from near to far.

    They fill a ball, whose radius is ``REACH`` of the finest steps.
    """
    axes = len(spacing_mm)
    steps = np.indices((2 * REACH + 1,) * axes).reshape(axes, -1).T - REACH
    lengths = np.linalg.norm(steps * spacing_mm, axis=1)
    reached = np.unique(lengths[lengths <= REACH * min(spacing_mm)])
    return [(float(length), steps[lengths == length]) for length in reached]
