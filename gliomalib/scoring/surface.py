"""The distance between the surfaces of two masks."""

from typing import get_args

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import KDTree

from gliomalib.scoring.metrics import EmptyRule, check_choice

HD95_WORST_MM = 373.12866
"""Diagonal of the BraTS grid of 240×240×155 voxels of 1 mm, the score of a missed tumour."""


def hd95(
    truth_mask: NDArray[np.bool_],
    predicted_mask: NDArray[np.bool_],
    spacing_mm: tuple[float, ...],
    empty: EmptyRule,
) -> float:
    """Return the 95th percentile of the Hausdorff distance in millimetres.

    Convention, the same as MONAI's ``compute_hausdorff_distance(percentile=95)``: the surface of
    a mask is its voxels with a face neighbour outside of it (the edge of the array is outside);
    distances run between voxel centres, from each surface voxel to the nearest one of the other
    mask; the 95th percentile (linear between order statistics) is taken for each direction, and
    the larger one counts. Surface voxels are not weighted by their area.

    The masks are boolean, of one shape (X, Y, Z) or (X, Y); ``spacing_mm`` is the voxel size along
    each axis and ``empty`` the rule of ``metrics.EmptyRule``. Raises ``ValueError`` for masks that
    are not boolean, shapes or spacing that do not match, and an unknown rule.
    """
    check_choice("empty", empty, get_args(EmptyRule))
    for name, mask in (("truth", truth_mask), ("prediction", predicted_mask)):
        if mask.dtype != np.bool_:
            raise ValueError(f"the mask of the {name} has dtype {mask.dtype}; make it boolean")
    shapes = truth_mask.shape, predicted_mask.shape
    if shapes[0] != shapes[1]:
        raise ValueError(f"truth has shape {shapes[0]}, prediction {shapes[1]}: not equal")
    if len(spacing_mm) != truth_mask.ndim or not all(step > 0 for step in spacing_mm):
        raise ValueError(
            f"spacing_mm {spacing_mm} must be {truth_mask.ndim} positive numbers, one for each axis"
        )
    some_truth, some_predicted = bool(truth_mask.any()), bool(predicted_mask.any())
    if not (some_truth or some_predicted):
        return 0.0 if empty == "brats" else float("nan")
    if not (some_truth and some_predicted):
        return HD95_WORST_MM
    truth, predicted = (_surface(mask) * spacing_mm for mask in (truth_mask, predicted_mask))
    # a tree of the few surface voxels instead of a distance transform of the whole grid
    there, back = KDTree(predicted).query(truth)[0], KDTree(truth).query(predicted)[0]
    return float(max(np.quantile(there, 0.95), np.quantile(back, 0.95)))


def _surface(mask: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Return the indices (n, dimensions) of the surface voxels of ``mask``."""
    # eroding the box of the mask is enough: what lies outside of it counts as outside either way
    box = ndimage.find_objects(mask.astype(np.uint8))[0]
    inside = mask[box]
    start = [part.start for part in box]
    return np.asarray(np.argwhere(inside & ~ndimage.binary_erosion(inside)) + start)
