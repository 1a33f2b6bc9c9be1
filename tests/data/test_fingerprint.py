"""A scan is known again in any dress, a changed voxel is seen, and no two patients are one."""

import hashlib
import struct
import tracemalloc
from collections import Counter
from collections.abc import Callable
from functools import cache, reduce
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from gliomalib.data import fingerprint, nifti
from gliomalib.data.fingerprint import SAME_SCAN, content_digest, signature, suspects
from gliomalib.data.readers import survey
from gliomalib.phantoms.patient import PhantomPlan, make_patient

Voxels = np.ndarray
Disguise = Callable[[Voxels], Voxels]

SIDE = 96
SMALL = hnp.arrays(np.int16, (3, 4, 2), elements=st.integers(-300, 300))
FLOATS = hnp.arrays(
    np.float64, (3, 4, 2), elements=st.floats(allow_nan=False, allow_infinity=False)
)


@cache
def brain(number: int) -> Voxels:
    """Return an ellipsoid of folds of its own under a shading that all brains share, int16."""
    axes = np.meshgrid(*[np.linspace(-1, 1, SIDE)] * 3, indexing="ij")
    radius = np.sqrt(sum((x / half) ** 2 for x, half in zip(axes, (0.75, 0.9, 0.7), strict=True)))
    noise = np.random.default_rng(number).standard_normal((SIDE,) * 3)
    folds = ndimage.gaussian_filter(noise, 3.5)
    values = 600 + 400 * np.cos(3 * radius) + 60 * folds / folds.std()
    made = np.where(radius < 1, values.clip(1, 1500), 0).astype(np.int16)
    made.setflags(write=False)
    return made


def in_background(values: Voxels, background: float = 0) -> Voxels:
    """Return ``values`` in the middle of a larger block of one value."""
    return np.pad(values, 4, constant_values=background)


def minmax(values: Voxels) -> Voxels:
    return ((values - values.min()) / np.ptp(values).astype(float)).astype(np.float32)


def zscore(values: Voxels) -> Voxels:
    """Standardise brain and background alike, so that the background is not 0 any more."""
    inside = values[values != 0]
    return ((values - inside.mean()) / inside.std()).astype(np.float32)


def zscore_inside(values: Voxels) -> Voxels:
    return np.where(values != 0, zscore(values), 0).astype(np.float32)


def gamma(power: float) -> Disguise:
    return lambda values: minmax(values) ** np.float32(power)


def low_contrast(values: Voxels) -> Voxels:
    return np.where(values != 0, 0.05 * values + 900, 0).astype(np.float32)


def cropped(values: Voxels) -> Voxels:
    box = ndimage.find_objects((values != values[0, 0, 0]).astype(np.uint8))[0]
    return values[box]


def noisy(values: Voxels) -> Voxels:
    spread = values[values != 0].std()
    noise = np.random.default_rng(0).normal(0, 0.05 * spread, values.shape)
    return np.where(values != 0, values + noise, 0).astype(np.float32)


def halved(values: Voxels) -> Voxels:
    """Return means of blocks of eight voxels."""
    x, y, z = (size // 2 for size in values.shape)
    blocks = values[: 2 * x, : 2 * y, : 2 * z].astype(np.float32).reshape(x, 2, y, 2, z, 2)
    return blocks.mean(axis=(1, 3, 5))


def resampled(factor: float, order: int = 1) -> Disguise:
    """Interpolate to voxels that are larger by ``factor``."""
    return lambda values: ndimage.zoom(
        values.astype(np.float32), 1 / factor, order=order, grid_mode=True, mode="nearest"
    )


def stretched(values: Voxels) -> Voxels:
    """Give every axis its own number of voxels, as networks of a fixed input want it."""
    factors = [size / old for size, old in zip((56, 64, 80), values.shape, strict=True)]
    return ndimage.zoom(values.astype(np.float32), factors, order=1, grid_mode=True, mode="nearest")


def after(*steps: Disguise) -> Disguise:
    return lambda values: reduce(lambda made, step: step(made), steps, values)


DISGUISES: dict[str, Disguise] = {
    "min–max": minmax,
    "z-score": zscore,
    "z-score, background 0": zscore_inside,
    "gamma 0.5": gamma(0.5),
    "gamma 2": gamma(2),
    "low contrast": low_contrast,
    "background cropped": cropped,
    "background added": in_background,
    "noise": noisy,
    "block means": halved,
    "linear": resampled(1.2),
    "cubic": resampled(1.2, order=3),
    "stretched": stretched,
    "z-score, then linear": after(zscore, resampled(1.2)),
    "gamma, then block means, then cropped": after(gamma(0.5), halved, cropped),
}


@pytest.fixture(scope="module")
def signatures() -> Voxels:
    """Return those of twenty different brains."""
    return np.stack([signature(brain(number)) for number in range(20)])


# --- the digest


@settings(deadline=None)
@given(FLOATS)
def test_the_digest_is_that_of_the_obvious_count(values: Voxels) -> None:
    counted = sorted(Counter((values[values != 0] + 0.0).tolist()).items())
    if counted:
        numbers = b"".join(struct.pack("<d", value) for value, _ in counted)
        counts = b"".join(struct.pack("<q", count) for _, count in counted)
        expected = hashlib.sha256(numbers + counts).hexdigest()
        assert content_digest(in_background(values)) == expected


@settings(deadline=None)
@given(
    SMALL.filter(np.any),
    st.sampled_from(["i2", ">i2", "i4", "i8", "f4", ">f4", "f8"]),
    st.permutations(range(3)),
    st.lists(st.sampled_from([1, -1]), min_size=3, max_size=3),
    st.lists(st.integers(0, 3), min_size=6, max_size=6),
)
def test_the_same_voxels_have_the_same_digest_however_they_are_stored(
    values: Voxels, dtype: str, axes: list[int], flips: list[int], pads: list[int]
) -> None:
    original = in_background(values)
    x, y, z = (slice(None, None, step) for step in flips)
    other = np.pad(original, np.array(pads).reshape(3, 2)).transpose(axes)[x, y, z].astype(dtype)
    assert content_digest(other) == content_digest(original)
    assert content_digest(np.asfortranarray(other)) == content_digest(original)


@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "f2"])
def test_types_without_sign_or_of_two_bytes_count_as_well(dtype: str) -> None:
    values = in_background(np.arange(24).reshape(3, 4, 2))
    assert content_digest(values.astype(dtype)) == content_digest(values)


def test_the_whole_range_of_short_integers_is_told_apart() -> None:
    values = in_background(np.array([-32768, 32767, 1], np.int16).reshape(3, 1, 1))
    assert content_digest(values) == content_digest(values.astype(np.float64))


@settings(deadline=None)
@given(SMALL.filter(np.any), st.integers(0, 23), st.integers(1, 500), st.booleans())
def test_one_other_voxel_makes_another_digest(
    values: Voxels, place: int, step: int, as_float: bool
) -> None:
    original = in_background(values).astype(np.float32 if as_float else np.int16)
    changed = original.copy()
    changed[4:-4, 4:-4, 4:-4].flat[place] += step
    if (changed != 0).any():
        assert content_digest(changed) != content_digest(original)


def test_both_zeros_of_a_float_are_one() -> None:
    values = in_background(np.array([0.0, -0.0, 3.0]).reshape(3, 1, 1), background=-1)
    assert content_digest(values) == content_digest(np.where(values == 0, 0.0, values))
    assert content_digest(values) == content_digest(np.where(values == 0, -0.0, values))


def test_a_background_that_fills_less_than_half_is_found() -> None:
    values = cropped(brain(0)).copy()
    assert np.mean(values == 0) < 0.5
    values[0, 0, 0] = 5
    expected = in_background(values)
    assert content_digest(values) == content_digest(expected)
    assert content_digest(zscore(values)) == content_digest(zscore(expected))


# --- the signature


def test_a_signature_is_a_unit_vector_of_mean_0() -> None:
    vector = signature(brain(0))
    assert vector.shape == (fingerprint.CELLS**3,)
    assert vector.dtype == np.float32
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)
    assert vector.mean() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("name", DISGUISES)
def test_a_scan_is_known_again_in_disguise(name: str, signatures: Voxels) -> None:
    disguised = np.stack([signature(DISGUISES[name](brain(number))) for number in range(2)])
    alike = disguised @ signatures.T
    assert alike.diagonal().min() > SAME_SCAN + 0.1
    assert alike[~np.eye(2, 20, dtype=bool)].max() < SAME_SCAN - 0.2


def test_a_rising_map_of_intensities_leaves_the_signature_as_it_was() -> None:
    values = brain(0)
    mapped = np.where(values != 0, np.sqrt(values.astype(np.float64)) + 5, 0)
    np.testing.assert_allclose(signature(mapped), signature(values), atol=1e-5)


def test_specks_far_from_the_brain_do_not_hide_it() -> None:
    values = in_background(brain(0))
    specked = values.copy()
    specked[0, 0, 0], specked[-2:, 30, 3] = 40, 2000
    assert signature(specked) @ signature(values) > 0.95


@settings(deadline=None)
@given(hnp.arrays(np.int16, (3, 4, 2), elements=st.integers(100, 300)))
def test_any_brain_of_two_intensities_or_more_has_a_signature(values: Voxels) -> None:
    scan = in_background(values)
    if len(np.unique(values)) > 1:
        assert np.linalg.norm(signature(scan)) == pytest.approx(1, abs=1e-4)
    else:
        with pytest.raises(ValueError, match=f"the brain is {values.flat[0]}.0 throughout"):
            signature(scan)


# --- what has no fingerprint


def with_one(value: float) -> Voxels:
    values = zscore(brain(0))
    values[24, 24, 24] = value
    return values


@pytest.mark.parametrize("function", [content_digest, signature])
@pytest.mark.parametrize(
    ("values", "words"),
    [
        (np.full((4, 4, 4), 3, np.int16), "every voxel is 3"),
        (np.full((4, 4, 4), np.nan), "NaN or infinite"),
        (with_one(np.nan), "NaN or infinite"),
        (with_one(np.inf), "NaN or infinite"),
        (with_one(-np.inf), "NaN or infinite"),
        (np.eye(4), r"shape is \(4, 4\)"),
        (np.zeros((0, 4, 4)), r"shape is \(0, 4, 4\)"),
    ],
)
def test_what_is_no_scan_is_refused(
    function: Callable[[Voxels], Any], values: Voxels, words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        function(values)


def test_a_mask_has_a_digest_but_no_signature() -> None:
    mask = np.where(brain(0) != 0, 5, 0).astype(np.uint8)
    mask[48, 48, 48] = 4
    assert content_digest(mask) == content_digest(mask[::-1])
    with pytest.raises(ValueError, match=r"the brain is 5\.0 throughout"):
        signature(mask)


# --- suspects


def test_planted_copies_are_found_the_most_similar_first(signatures: Voxels) -> None:
    faint = signature(after(low_contrast, noisy)(brain(11)))
    coarse = signature(after(zscore, halved)(brain(3)))
    table = np.stack([coarse, *signatures, faint, signatures[7]])
    found = suspects(table)
    assert [pair[:2] for pair in found] == [(8, 22), (12, 21), (0, 4)]
    likes = [similarity for _, _, similarity in found]
    assert likes[0] == pytest.approx(1, abs=1e-5)
    assert likes == sorted(likes, reverse=True)


def test_all_pairs_are_looked_at() -> None:
    rows = np.random.default_rng(0).standard_normal((8, 3)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    obvious = {(i, j) for i, j in combinations(range(8), 2) if rows[i] @ rows[j] >= SAME_SCAN}
    assert 0 < len(obvious) < 28
    found = suspects(rows)
    assert len(found) == len(obvious)
    assert {pair[:2] for pair in found} == obvious
    for i, j, similarity in found:
        assert similarity == pytest.approx(float(rows[i] @ rows[j]), abs=1e-6)


def all_at_once(rows: Voxels) -> list[tuple[int, int, float]]:
    """Compare all pairs in one table, the obvious way."""
    alike = rows @ rows.T
    places = np.argwhere(np.triu(alike >= SAME_SCAN, k=1)).tolist()
    pairs = [(row, column, float(alike[row, column])) for row, column in places]
    return sorted(pairs, key=lambda pair: (-pair[2], pair[0], pair[1]))


@pytest.mark.parametrize("block", [1, 3, 7, 40, 41, 1024])
def test_blocks_find_what_one_table_does(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fingerprint, "BLOCK", block)
    rows = np.random.default_rng(0).standard_normal((41, 3)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    blocks, whole = suspects(list(rows)), all_at_once(rows)
    assert 50 < len(whole) < 400 and {pair[:2] for pair in blocks} == {pair[:2] for pair in whole}
    likes = [similarity for _, _, similarity in blocks]
    np.testing.assert_allclose(likes, [similarity for _, _, similarity in whole], atol=1e-6)
    assert likes == sorted(likes, reverse=True)


def test_memory_does_not_grow_with_the_square_of_the_scans() -> None:
    rows = [np.zeros(1, np.float32)] * 8000
    tracemalloc.start()
    assert suspects(rows) == []
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # a table of 8,000 × 8,000 would take 256 MB
    assert peak < 30e6


def test_none_and_one_have_no_pairs(signatures: Voxels) -> None:
    assert suspects(signatures[:0]) == []
    assert suspects(signatures[:1]) == []


# --- patients


def test_phantoms_are_no_suspects_and_have_digests_of_their_own() -> None:
    # one number is one anatomy at every site
    plans = [PhantomPlan(seed=5, spacing_mm=4.0, site=site) for site in "AB" for _ in range(6)]
    scans = [make_patient(plan, number).images[0] for number, plan in enumerate(plans, 1)]
    assert len({content_digest(scan) for scan in scans}) == 12
    assert suspects(np.stack([signature(scan) for scan in scans])) == []


@pytest.fixture(scope="module")
def real(real_data: Path) -> list[Voxels]:
    """Return the T1 images of the ten real patients, int16."""
    cases = survey.discover(real_data)
    return [nifti.load(case.images["t1"]).values.astype(np.int16) for case in cases]


@pytest.fixture(scope="module")
def real_signatures(real: list[Voxels]) -> Voxels:
    return np.stack([signature(scan) for scan in real])


def test_real_patients_are_told_apart(real: list[Voxels], real_signatures: Voxels) -> None:
    assert len({content_digest(scan) for scan in real}) == len(real) == 10
    assert suspects(real_signatures) == []


def test_real_patients_are_the_same_voxels_in_any_file(real: list[Voxels]) -> None:
    for scan in real:
        turned = np.pad(scan[30:210, ::-1].astype(np.float32), 2).transpose(2, 0, 1)
        changed = scan.copy()
        changed[120, 120, 70] += 1
        assert content_digest(turned) == content_digest(scan) != content_digest(changed)


@pytest.mark.parametrize(
    "disguise",
    [
        after(cropped, minmax, noisy),
        after(zscore, halved),
        after(cropped, gamma(2), resampled(1.2)),
    ],
    ids=["cropped, min–max, noise", "z-score, 2 mm", "cropped, gamma, 1.2 mm"],
)
def test_real_patients_are_known_again_and_nobody_else_is(
    disguise: Disguise, real: list[Voxels], real_signatures: Voxels
) -> None:
    others = np.stack([signature(disguise(scan)) for scan in real])
    found = suspects(np.concatenate([real_signatures, others]))
    assert sorted(pair[:2] for pair in found) == [(i, i + 10) for i in range(10)]
