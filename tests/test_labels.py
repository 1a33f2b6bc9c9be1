"""Labels of each release to canonical ones and back, and regions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gliomalib import labels
from gliomalib.schema import DataError, SettingsError

CANONICAL = hnp.arrays(
    np.uint8, hnp.array_shapes(max_dims=3, max_side=5), elements=st.integers(0, 3)
)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32, np.float64])
@pytest.mark.parametrize("release", labels.RELEASES)
def test_brats_labels_become_canonical(release: str, dtype: type) -> None:
    raw = np.array([[0, 1], [2, 4]], dtype=dtype)
    found = labels.to_canonical(raw, release, "mask.nii")
    assert found.dtype == np.uint8
    assert found.tolist() == [[0, 1], [2, 3]]


@given(CANONICAL, st.sampled_from(labels.RELEASES))
def test_to_raw_is_undone(canonical: np.ndarray, release: str) -> None:
    raw = labels.to_raw(canonical, release)
    assert (labels.to_canonical(raw, release, "x") == canonical).all()


@pytest.mark.parametrize(
    ("value", "shown"),
    [(3, "3 in 2"), (1.5, "1.5 in 2"), (-1, "-1 in 2"), (np.nan, "nan in 2"), (260, "260 in 2")],
)
def test_unknown_label_is_refused(value: float, shown: str) -> None:
    raw = np.array([0, 1, 2, value, value], dtype=np.float32)
    with pytest.raises(DataError, match=f"case_seg.nii.*{shown} voxels.*allowed are 0, 1, 2, 4"):
        labels.to_canonical(raw, "brats2020", "case_seg.nii")


def test_integers_that_would_wrap_are_refused() -> None:
    with pytest.raises(DataError, match="256 in 1 voxels"):
        labels.to_canonical(np.array([0, 256], dtype=np.int16), "brats2018", "x")


def test_unknown_release_and_region_are_refused() -> None:
    zeros = np.zeros(3, dtype=np.uint8)
    with pytest.raises(SettingsError, match=r"brats2023.*known are"):
        labels.to_canonical(zeros, "brats2023", "x")
    with pytest.raises(SettingsError, match=r"region 'XX'.*WT, TC, ET"):
        labels.region_mask(zeros, "XX")
    with pytest.raises(DataError, match="found 4"):
        labels.to_raw(zeros + 4, "brats2020")


@pytest.mark.parametrize(
    ("region", "expected"),
    [("WT", [False, True, True, True]), ("TC", [False, True, False, True]), ("ET", [0, 0, 0, 1])],
)
def test_regions_hold_the_classes_of_the_field(region: str, expected: list[bool]) -> None:
    assert labels.region_mask(np.arange(4, dtype=np.uint8), region).tolist() == expected


@given(CANONICAL)
def test_regions_are_nested(canonical: np.ndarray) -> None:
    whole, core, enhancing = (labels.region_mask(canonical, name) for name in ("WT", "TC", "ET"))
    assert not (core & ~whole).any()
    assert not (enhancing & ~core).any()
    assert (whole == (canonical > 0)).all()
