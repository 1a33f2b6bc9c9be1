"""Fuse the class probabilities of the 2D and the 3D branch: S = α·S₂D + (1 − α)·S₃D."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gliomalib.schema import (
    N_CLASSES,
    Confusion,
    Float32Array,
    Labels,
    MismatchError,
    SettingsError,
    Volume,
    check_same_grid,
)
from gliomalib.scoring.metrics import confusion_matrix


def weighted_average(p2d: Volume, p3d: Volume, alpha: float) -> Volume:
    """Return S = α·S₂D + (1 − α)·S₃D (arXiv 2502.18775) on the common grid.

    The sum is taken in float32 and stored as float16 (4, X, Y, Z); nothing is renormalised, so
    it sums to 1 as closely as its parts do. ``alpha`` is the weight of the 2D branch, 0–1.
    Raises ``MismatchError`` as ``check_same_grid`` does, ``SettingsError`` for an α outside of
    0–1 and ``ValueError`` for probabilities outside of 0–1 (NaN among them).
    """
    _check_alpha(alpha)
    check_same_grid(p2d, p3d)
    fused = _weighted(in_float32(p2d), in_float32(p3d), alpha)
    return Volume(fused.astype(np.float16), p2d.grid)


def in_float32(volume: Volume) -> Float32Array:
    """Return the probabilities (4, X, Y, Z) of a volume in float32.

    Raises ``ValueError`` for what is outside of 0–1, NaN among it.
    """
    values = volume.probabilities.astype(np.float32)
    low, high = values.min(initial=0), values.max(initial=0)
    # said this way round, so that NaN fails as well
    if not (low >= 0 and high <= 1):
        raise ValueError(
            f"the probabilities of {volume.grid.patient_id} run from {low} to {high}; they must "
            "lie in 0–1, so predict them again"
        )
    return values


def check_labels(volume: Volume, labels: Labels) -> None:
    """Refuse labels that are not on the grid of a volume or not canonical.

    Raises ``MismatchError`` and ``ValueError``.
    """
    name, shape = volume.grid.patient_id, volume.grid.shape
    if labels.shape != shape:
        raise MismatchError(
            f"the labels have shape {labels.shape}, the grid of {name} is {shape}; "
            "take the labels of the same stored case"
        )
    if labels.max(initial=0) >= N_CLASSES:
        raise ValueError(
            f"the labels of {name} go up to {labels.max()}, the classes are 0 to {N_CLASSES - 1}; "
            "convert the labels to the canonical ones first"
        )


def alpha_sweep(p2d: Volume, p3d: Volume, labels: Labels, alphas: Sequence[float]) -> Confusion:
    """Count classes of the fused volume against ``labels`` at every α, exactly.

    The class of a voxel is the argmax of the float32 weighted sum before it is stored as
    float16; of equal classes the lowest index wins. Where both branches have the same argmax,
    every α in 0–1 has it too (the steps of float16 are far above the rounding of float32, so
    rounding makes no new ties there), and these voxels are counted once; only the others are
    weighted at each α.

    Parameters
    ----------
    p2d, p3d
        Volumes (4, X, Y, Z) on one grid.
    labels
        Canonical labels (X, Y, Z) on that grid.
    alphas
        Weights of the 2D branch, each in 0–1, in any order.

    Returns
    -------
    int64, shape (len(alphas), 4, 4); rows are the truth.

    Raises
    ------
    MismatchError
        Where grids or the shape of the labels differ.
    SettingsError
        For an α outside of 0–1.
    ValueError
        For probabilities outside of 0–1 or labels outside of 0–3.
    """
    for alpha in alphas:
        _check_alpha(alpha)
    check_same_grid(p2d, p3d)
    check_labels(p2d, labels)
    flat2d, flat3d = (in_float32(volume).reshape(N_CLASSES, -1) for volume in (p2d, p3d))
    truth, class2d, class3d = labels.ravel(), _argmax(flat2d), _argmax(flat3d)
    agree = class2d == class3d
    settled = confusion_matrix(truth[agree], class2d[agree])
    open2d, open3d, open_truth = flat2d[:, ~agree], flat3d[:, ~agree], truth[~agree]
    counts = np.empty((len(alphas), N_CLASSES, N_CLASSES), dtype=np.int64)
    for row, alpha in enumerate(alphas):
        predicted = _argmax(_weighted(open2d, open3d, alpha))
        counts[row] = settled + confusion_matrix(open_truth, predicted)
    return counts


def _weighted(p2d: Float32Array, p3d: Float32Array, alpha: float) -> Float32Array:
    return np.float32(alpha) * p2d + np.float32(1 - alpha) * p3d


def _argmax(probabilities: Float32Array) -> NDArray[np.uint8]:
    """Return ``probabilities.argmax(axis=0)``, several times faster for a short first axis."""
    best = probabilities[0].copy()
    index = np.zeros(best.shape, dtype=np.uint8)
    for label, values in enumerate(probabilities[1:], start=1):
        np.putmask(index, values > best, np.uint8(label))
        np.maximum(best, values, out=best)
    return index


def _check_alpha(alpha: float) -> None:
    if not 0 <= alpha <= 1:
        raise SettingsError(f"alpha is {alpha}; the weight of the 2D branch must lie in 0–1")
