"""Labels of each release to canonical ones and back."""

import math
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gliomalib import labels
from gliomalib.schema import DataError, SettingsError

UNTIL_2022 = {0: 0, 1: 1, 2: 2, 4: 3}
SINCE_2023 = {0: 0, 1: 1, 2: 2, 3: 3}
EXPECTED = {
    "phantom": UNTIL_2022,
    "phantom_copy": UNTIL_2022,
    "brats2017": UNTIL_2022,
    "brats2018": UNTIL_2022,
    "brats2019": UNTIL_2022,
    "brats2020": UNTIL_2022,
    "brats2021": UNTIL_2022,
    "upenn_gbm": UNTIL_2022,
    "ucsf_pdgm": UNTIL_2022,
    "brats2023": SINCE_2023,
    "brats_africa": SINCE_2023,
    "brats2024": {0: 0, 1: 1, 2: 2, 3: 3, 4: 0},
    "msd_task01": {0: 0, 1: 2, 2: 1, 3: 3},
}
"""Release → raw label → no tumour 0, core 1, edema 2, enhancing tumour 3; everything else is
refused. Written down a second time from the releases' own descriptions."""

CANONICAL = hnp.arrays(
    np.uint8, hnp.array_shapes(max_dims=3, max_side=5), elements=st.integers(0, 3)
)


def test_every_release_is_looked_at_here() -> None:
    assert sorted(labels.RELEASES) == sorted(EXPECTED)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32, np.float64])
@pytest.mark.parametrize("release", EXPECTED)
def test_labels_become_canonical(release: str, dtype: type) -> None:
    raw = np.array([list(EXPECTED[release])], dtype=dtype)
    found = labels.to_canonical(raw, release, "mask.nii")
    assert found.dtype == np.uint8
    assert found.tolist() == [list(EXPECTED[release].values())]


@pytest.mark.parametrize("release", EXPECTED)
def test_what_a_release_does_not_know_is_named_with_file_and_count(release: str) -> None:
    known = EXPECTED[release]
    for value in set(range(-1, 12)) - set(known):
        raw = np.array([*known, value, value, value], dtype=np.int16)
        allowed = ", ".join(map(str, known))
        with pytest.raises(
            DataError,
            match=rf"a_seg.nii \({release}\): unknown label {value} in 3 voxels; "
            f"allowed are {allowed}, so",
        ):
            labels.to_canonical(raw, release, "a_seg.nii")


@given(
    st.sampled_from(["u1", "i1", "<i2", ">u2", "<i8", "<f4", "<f8"]),
    hnp.array_shapes(max_dims=3, max_side=5),
    st.sampled_from(["C", "F", "turned"]),
    st.lists(st.integers(-130, 2**16), max_size=1),
    st.randoms(use_true_random=False),
)
def test_every_voxel_is_looked_up(
    dtype: str, shape: tuple[int, ...], order: str, strange: list[int], rng: Random
) -> None:
    """Whatever its type and its order in memory, a mask becomes what its table says, or none."""
    picked = rng.choices([0, 1, 2, 4], k=math.prod(shape))
    if strange and np.array(strange).astype(dtype) == strange[0]:
        picked[rng.randrange(len(picked))] = strange[0]
    raw = np.array(picked, dtype).reshape(shape, order="F" if order == "F" else "C")
    raw = raw[(slice(None, None, -1),) * raw.ndim] if order == "turned" else raw
    if not set(picked) <= {0, 1, 2, 4}:
        with pytest.raises(DataError, match=f"unknown label {strange[0]} in 1 voxel;"):
            labels.to_canonical(raw, "brats2020", "x")
        return
    canonical = labels.to_canonical(raw, "brats2020", "x")
    for place in np.ndindex(shape):
        assert canonical[place] == UNTIL_2022[int(raw[place])]


@given(CANONICAL, st.sampled_from(labels.RELEASES))
def test_to_raw_is_undone(canonical: np.ndarray, release: str) -> None:
    raw = labels.to_raw(canonical, release)
    assert (labels.to_canonical(raw, release, "x") == canonical).all()


@pytest.mark.parametrize("release", EXPECTED)
def test_to_raw_writes_what_the_release_writes(release: str) -> None:
    written = labels.to_raw(np.arange(4, dtype=np.uint8), release).tolist()
    enhancing = 4 if EXPECTED[release] is UNTIL_2022 else 3
    assert written == ([0, 2, 1, 3] if release == "msd_task01" else [0, 1, 2, enhancing])


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (3, "3 in 2"),
        (1.5, "1.5 in 2"),
        (-1, "-1 in 2"),
        (np.nan, "nan in 2"),
        (260, "260 in 2"),
        (1234567, "1234567 in 2"),
    ],
)
def test_unknown_label_is_refused(value: float, shown: str) -> None:
    raw = np.array([0, 1, 2, value, value], dtype=np.float32)
    with pytest.raises(DataError, match=f"case_seg.nii.*{shown} voxels.*allowed are 0, 1, 2, 4"):
        labels.to_canonical(raw, "brats2020", "case_seg.nii")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("off", [1e-9, -1e-6, 9e-4, -9e-4])
def test_a_label_may_be_off_by_what_scaling_leaves(off: float, dtype: type) -> None:
    raw = np.array([0, 1, 2, 4], dtype) + dtype(off)
    assert labels.to_canonical(raw, "brats2020", "x").tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("off", [0.0011, -0.25, 0.5])
def test_a_label_farther_off_is_refused_with_how_far(off: float) -> None:
    raw = np.array([0, 1, 2, 4 + off, 4 + off])
    with pytest.raises(DataError, match=rf"in 2 voxels \(up to {abs(off)} off a whole number\);"):
        labels.to_canonical(raw, "brats2020", "x")


def test_an_unknown_release_or_label_is_refused() -> None:
    zeros = np.zeros(3, dtype=np.uint8)
    with pytest.raises(SettingsError, match=r"brats2099.*known are"):
        labels.to_canonical(zeros, "brats2099", "x")
    with pytest.raises(DataError, match="found 4"):
        labels.to_raw(zeros + 4, "brats2020")


def test_releases_stand_oldest_first() -> None:
    order = [name for name in labels.RELEASES if name.startswith("brats20")]
    assert order == [f"brats{year}" for year in (*range(2017, 2022), 2023, 2024)]
    # its images and masks are those of BraTS 2016 and 2017: every later release is newer
    assert labels.RELEASES.index("msd_task01") < labels.RELEASES.index("brats2018")
