"""Volumes of a few voxels that disagree often, tie, or underflow; for exact comparisons."""

from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gliomalib.fusion import exact_sweep, optimum
from gliomalib.schema import Volume
from tests.fusion.simulated import volume

SHAPE = (3, 2, 2)
ANY = hnp.arrays(np.float16, (4, *SHAPE), elements=st.floats(0, 1, width=16))
TIES = hnp.arrays(np.float16, (4, *SHAPE), elements=st.sampled_from([0, 0.25, 0.5, 0.75, 1]))
TINY = hnp.arrays(np.float16, (4, *SHAPE), elements=st.sampled_from([6e-8, 1.2e-7, 0.5, 0.9995]))
LABELS = hnp.arrays(np.uint8, SHAPE, elements=st.integers(0, 3))
REGIONS: list[tuple[int, ...]] = [(0,), (1,), (3,), (1, 3), (1, 2, 3)]


def softmax(seed: int, shape: tuple[int, int, int] = (5, 4, 3)) -> Volume:
    scores = np.exp(2 * np.random.default_rng(seed).normal(size=(4, *shape)))
    return volume(scores / scores.sum(axis=0))


def patient(seed: int, shape: tuple[int, int, int] = (5, 4, 3)) -> tuple[Volume, Volume, Any]:
    """Return two branches that disagree often, and labels."""
    labels = np.random.default_rng(seed + 200).integers(0, 4, shape).astype(np.uint8)
    return softmax(seed, shape), softmax(seed + 100, shape), labels


def voxels(*rows: tuple[list[float], list[float], int]) -> tuple[Volume, Volume, Any]:
    """Return the branches and labels of voxels given as (2D, 3D, truth)."""
    p2d, p3d, truth = zip(*rows, strict=True)
    shape = (len(rows), 1, 1)
    both = [volume(np.array(part).T.reshape(4, *shape)) for part in (p2d, p3d)]
    return both[0], both[1], np.array(truth, np.uint8).reshape(shape)


def looked_at(curve: optimum.Curve | exact_sweep.Steps) -> Any:
    """Return an α of every cell: each single one, and the middle of each interval."""
    middles = (curve.alphas[1:] + curve.alphas[:-1]) / 2
    return np.sort(np.append(curve.alphas, middles))
