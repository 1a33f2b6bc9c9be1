"""How far apart two affines put a voxel."""

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gliomalib.data import affines

SHAPE = (5, 6, 4)


@given(
    scale=st.floats(-0.04, 0.04),
    turn=st.floats(-0.04, 0.04),
    shift=st.tuples(*[st.floats(-0.2, 0.2)] * 3),
)
def test_how_far_apart_affines_are_is_that_of_the_voxel_farthest_apart(
    scale: float, turn: float, shift: tuple[float, float, float]
) -> None:
    first = np.diag([-2.0, 3.0, 1.0, 1.0])
    other = first @ np.diag([1, 1 + scale, 1, 1])
    other[0, 1] += turn
    other[:3, 3] += shift
    voxels = np.array(list(np.ndindex(SHAPE)))
    millimetres = nib.affines.apply_affine(other, voxels) - nib.affines.apply_affine(first, voxels)
    slow = np.linalg.norm(millimetres / [2, 3, 1], axis=1).max()
    assert affines.apart(first, other, SHAPE) == pytest.approx(slow, abs=1e-9)


def test_a_matrix_that_is_not_finite_is_infinitely_far() -> None:
    for entry in (np.nan, np.inf):
        assert affines.apart(np.eye(4), np.full((4, 4), entry), SHAPE) == np.inf
