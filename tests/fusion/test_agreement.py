"""Errors of two branches are counted and correlated as by hand, and bound what fusion gains."""

import numpy as np
import pytest

from gliomalib.fusion import agreement
from gliomalib.schema import MismatchError
from tests.fusion.simulated import patients, volume


def test_errors_are_counted_and_correlated() -> None:
    truth = np.array([0, 0, 0, 0, 1, 1, 2, 2, 3, 3], np.uint8).reshape(10, 1, 1)
    p2d = np.array([0, 0, 0, 1, 1, 2, 3, 1, 0, 3]).reshape(10, 1, 1)
    p3d = np.array([0, 0, 0, 1, 2, 1, 3, 0, 3, 3]).reshape(10, 1, 1)
    pair = tuple(volume(np.moveaxis(np.eye(4)[one], -1, 0)) for one in (p2d, p3d))
    found = agreement.error_correlation(pair, truth)  # type: ignore[arg-type]
    wrong2d, wrong3d = ((one != truth).ravel() for one in (p2d, p3d))
    assert found["phi"] == pytest.approx(np.corrcoef(wrong2d, wrong3d)[0, 1])
    # 2D alone is right in one voxel, 3D alone in two
    assert found["one_right"] == pytest.approx(0.3)
    assert found["disagreement"] == pytest.approx(0.4)


def test_errors_of_a_perfect_net_correlate_with_nothing() -> None:
    (pair, labels), *_ = patients(1, 30, 1)
    found = agreement.error_correlation(pair, labels)
    assert np.isnan(found["phi"])
    assert found["one_right"] == found["disagreement"] > 0
    with pytest.raises(MismatchError, match="the labels have shape"):
        agreement.error_correlation(pair, labels[:3])
