"""Fuse the class probabilities of the 2D and the 3D branch: S = α·S₂D + (1 − α)·S₃D."""

import numpy as np

from gliomalib.schema import (
    N_CLASSES,
    Labels,
    MismatchError,
    SettingsError,
    Volume,
    check_same_grid,
)


def weighted_average(p2d: Volume, p3d: Volume, alpha: float) -> Volume:
    """Return S = α·S₂D + (1 − α)·S₃D, as in the paper, on the common grid.

    The sum is taken in float32 and stored as float16 (4, X, Y, Z); nothing is renormalised, so
    it sums to 1 as closely as its parts do. ``alpha`` is the weight of the 2D branch, 0–1.
    Raises ``MismatchError`` as ``check_same_grid`` does, ``SettingsError`` for an α outside of
    0–1 and ``ValueError`` for probabilities outside of 0–1 (NaN among them).
    """
    if not 0 <= alpha <= 1:
        raise SettingsError(f"alpha is {alpha}; the weight of the 2D branch must lie in 0–1")
    check_same_grid(p2d, p3d)
    check_probabilities(p2d)
    check_probabilities(p3d)
    fused = np.empty(p2d.probabilities.shape, dtype=np.float16)
    # slab by slab: what is between stays in the cache of the processor
    for slab in np.ndindex(fused.shape[:2]):
        flat, deep = (each.probabilities[slab].astype(np.float32) for each in (p2d, p3d))
        fused[slab] = np.float32(alpha) * flat + np.float32(1 - alpha) * deep
    return Volume(fused, p2d.grid)


def check_probabilities(volume: Volume) -> None:
    """Raise ``ValueError`` for probabilities outside of 0–1 and for NaN."""
    values = volume.probabilities
    # float16 from 0 on are in the order of their bits, which compare many times faster than they
    bits = values.view(np.int16)
    if bits.min(initial=0) >= 0 and bits.max(initial=0) <= np.float16(1).view(np.int16):
        return
    low, high = np.float32(values.min()), np.float32(values.max())
    # said this way round, so that NaN fails as well
    if not (low >= 0 and high <= 1):
        raise ValueError(
            f"the probabilities of {volume.grid.patient_id} run from {low} to {high}; they must "
            "lie in 0–1, so predict them again"
        )


def check_labels(volume: Volume, labels: Labels) -> None:
    """Raise ``MismatchError`` for labels on another grid, ``ValueError`` for other classes."""
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
