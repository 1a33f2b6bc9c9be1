"""Fusion keeps to its formula, its sweep is exact, and it refuses volumes that do not belong."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gliomalib.fusion import average
from gliomalib.schema import Grid, MismatchError, SettingsError, Volume, check_same_grid

SHAPE = (3, 4, 2)
GRID = Grid(
    patient_id="patient-1",
    shape=SHAPE,
    spacing_mm=(1.0, 1.0, 2.0),
    crop_start=(4, 5, 6),
    affine=((1.0, 0.0, 0.0, 0.0), (0.0, 1.0, 0.0, 0.0), (0.0, 0.0, 2.0, 0.0), (0.0, 0.0, 0.0, 1.0)),
)
ANY = hnp.arrays(np.float16, (4, *SHAPE), elements=st.floats(0, 1, width=16))
TIES = hnp.arrays(np.float16, (4, *SHAPE), elements=st.sampled_from([0, 0.25, 0.5, 0.75, 1]))
NEAR_ONE = hnp.arrays(
    np.float16, (4, *SHAPE), elements=st.sampled_from([0.9995, 0.999, 0.5, 6e-8, 1.2e-7])
)
LABELS = hnp.arrays(np.uint8, SHAPE, elements=st.integers(0, 3))
ALPHAS = st.lists(
    st.sampled_from([0.0, 1e-9, 0.25, 1 / 3, 0.5, 0.6, 1.0]) | st.floats(0, 1), max_size=5
)


def volume(seed: int, sharpness: float = 3, grid: Grid = GRID) -> Volume:
    """Random probabilities that sum to 1."""
    scores = np.exp(sharpness * np.random.default_rng(seed).normal(size=(4, *grid.shape)))
    return Volume((scores / scores.sum(axis=0)).astype(np.float16), grid)


def slow_sweep(p2d: Volume, p3d: Volume, labels: Any, alphas: Any) -> Any:
    """Return the obvious sweep: each voxel at each weight."""
    counts = np.zeros((len(alphas), 4, 4), dtype=int)
    a, b = p2d.probabilities.astype(np.float32), p3d.probabilities.astype(np.float32)
    for row, alpha in enumerate(alphas):
        fused = np.float32(alpha) * a + np.float32(1 - alpha) * b
        for truth, predicted in zip(labels.ravel(), fused.argmax(axis=0).ravel(), strict=True):
            counts[row, truth, predicted] += 1
    return counts


@settings(max_examples=150, deadline=None)
@given(st.one_of(*[st.tuples(kind, kind) for kind in (ANY, TIES, NEAR_ONE)]), LABELS, ALPHAS)
def test_the_sweep_is_exact_also_with_ties(pair: Any, labels: Any, alphas: Any) -> None:
    p2d, p3d = (Volume(values, GRID) for values in pair)
    found = average.alpha_sweep(p2d, p3d, labels, alphas)
    assert found.dtype == np.int64
    np.testing.assert_array_equal(found, slow_sweep(p2d, p3d, labels, alphas))


def test_a_tie_goes_to_the_lowest_class() -> None:
    p2d, p3d = np.zeros((4, *SHAPE), np.float16), np.zeros((4, *SHAPE), np.float16)
    p2d[2], p3d[1] = 1, 1
    labels = np.full(SHAPE, 3, np.uint8)
    found = average.alpha_sweep(Volume(p2d, GRID), Volume(p3d, GRID), labels, [0.25, 0.5, 0.75])
    np.testing.assert_array_equal(found.argmax(axis=2)[:, 3], [1, 1, 2])


def test_the_sweep_ends_at_the_branches() -> None:
    p2d, p3d, labels = volume(0), volume(1), np.zeros(SHAPE, np.uint8)
    found = average.alpha_sweep(p2d, p3d, labels, [0, 1])
    for row, alone in zip(found, (p3d, p2d), strict=True):
        classes = alone.probabilities.argmax(axis=0)
        np.testing.assert_array_equal(row[0], np.bincount(classes.ravel(), minlength=4))
    assert (found[0] != found[1]).any()


@settings(deadline=None)
@given(st.integers(0, 50), st.floats(0, 1))
def test_the_average_is_the_formula_and_still_sums_to_one(seed: int, alpha: float) -> None:
    p2d, p3d = volume(seed), volume(seed + 100)
    fused = average.weighted_average(p2d, p3d, alpha)
    assert fused.grid == GRID
    assert fused.probabilities.dtype == np.float16
    exact = alpha * p2d.probabilities.astype(float) + (1 - alpha) * p3d.probabilities.astype(float)
    np.testing.assert_allclose(fused.probabilities, exact, atol=3e-4)
    np.testing.assert_allclose(fused.probabilities.sum(axis=0, dtype=float), 1, atol=2e-3)


def test_the_ends_of_the_average_are_the_branches() -> None:
    p2d, p3d = volume(0), volume(1)
    for alpha, alone in ((1, p2d), (0, p3d)):
        fused = average.weighted_average(p2d, p3d, alpha)
        np.testing.assert_array_equal(fused.probabilities, alone.probabilities)


def test_alpha_weighs_the_2d_branch() -> None:
    ones, zeros = np.ones((4, *SHAPE), np.float16), np.zeros((4, *SHAPE), np.float16)
    fused = average.weighted_average(Volume(ones, GRID), Volume(zeros, GRID), 0.6)
    np.testing.assert_array_equal(fused.probabilities, np.float16(0.6))


@pytest.mark.parametrize("alpha", [-0.01, 1.01, float("nan")])
def test_alpha_must_lie_between_the_branches(alpha: float) -> None:
    with pytest.raises(SettingsError, match=f"alpha is {alpha}"):
        average.weighted_average(volume(0), volume(1), alpha)
    with pytest.raises(SettingsError, match=f"alpha is {alpha}"):
        average.alpha_sweep(volume(0), volume(1), np.zeros(SHAPE, np.uint8), [0.5, alpha])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"patient_id": "patient-2"}, "patient_id (patient-1 against patient-2)"),
        ({"spacing_mm": (1.0, 1.0, 1.0)}, "spacing_mm ((1.0, 1.0, 2.0) against (1.0, 1.0, 1.0))"),
        ({"crop_start": (4, 5, 7)}, "crop_start ((4, 5, 6) against (4, 5, 7))"),
        ({"affine": ((2.0,),)}, "affine ("),
        ({"shape": (4, 3, 2)}, "shape ((3, 4, 2) against (4, 3, 2))"),
    ],
)
def test_volumes_that_do_not_belong_together_are_refused(change: Any, words: str) -> None:
    other = replace(GRID, **change)
    one, strange = volume(0), volume(1, grid=other)
    labels = np.zeros(SHAPE, np.uint8)
    check_same_grid(one, volume(1))
    for act in (
        lambda: check_same_grid(one, strange),
        lambda: average.weighted_average(one, strange, 0.6),
        lambda: average.alpha_sweep(one, strange, labels, [0.6]),
    ):
        with pytest.raises(MismatchError) as caught:
            act()
        message = str(caught.value)
        assert words in message
        for grid in (GRID, other):
            assert f"{grid.patient_id} (shape {grid.shape}, crop from {grid.crop_start})" in message
        assert message.count(" against ") == 1


def test_an_array_that_is_not_on_its_grid_is_refused() -> None:
    short = Volume(volume(0).probabilities[:, :2], GRID)
    for pair in ((short, volume(1)), (volume(1), short)):
        with pytest.raises(MismatchError, match=r"patient-1 have shape \(4, 2, 4, 2\)"):
            check_same_grid(*pair)
    with pytest.raises(MismatchError, match="the labels have shape"):
        average.alpha_sweep(volume(0), volume(1), np.zeros((3, 4), np.uint8), [0.6])


@pytest.mark.parametrize("wrong", [np.nan, -0.5, 1.5])
def test_what_is_no_probability_is_refused(wrong: float) -> None:
    bad = volume(0)
    bad.probabilities[2, 0, 1, 1] = wrong
    labels = np.zeros(SHAPE, np.uint8)
    with pytest.raises(ValueError, match="probabilities of patient-1 run from"):
        average.weighted_average(volume(1), bad, 0.6)
    with pytest.raises(ValueError, match="probabilities of patient-1 run from"):
        average.alpha_sweep(bad, volume(1), labels, [0.6])


def test_labels_that_are_not_canonical_are_refused() -> None:
    with pytest.raises(ValueError, match="go up to 4"):
        average.alpha_sweep(volume(0), volume(1), np.full(SHAPE, 4, np.uint8), [0.6])
