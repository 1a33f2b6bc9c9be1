"""Fusion keeps to its formula and refuses volumes that do not belong."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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


def volume(seed: int, sharpness: float = 3, grid: Grid = GRID) -> Volume:
    scores = np.exp(sharpness * np.random.default_rng(seed).normal(size=(4, *grid.shape)))
    return Volume((scores / scores.sum(axis=0)).astype(np.float16), grid)


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


def test_the_average_is_to_the_bit_that_of_whole_arrays() -> None:
    p2d, p3d = volume(1), volume(2)
    one, other = (each.probabilities.astype(np.float32) for each in (p2d, p3d))
    for alpha in (0.0, 0.1, 0.6, 1.0):
        slow = (np.float32(alpha) * one + np.float32(1 - alpha) * other).astype(np.float16)
        found = average.weighted_average(p2d, p3d, alpha).probabilities
        np.testing.assert_array_equal(found.view(np.uint16), slow.view(np.uint16))


@pytest.mark.parametrize("alpha", [-0.01, 1.01, float("nan")])
def test_alpha_must_lie_between_the_branches(alpha: float) -> None:
    with pytest.raises(SettingsError, match=f"alpha is {alpha}"):
        average.weighted_average(volume(0), volume(1), alpha)


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
    check_same_grid(one, volume(1))
    for act in (
        lambda: check_same_grid(one, strange),
        lambda: average.weighted_average(one, strange, 0.6),
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
        average.check_labels(volume(0), np.zeros((3, 4), np.uint8))


@pytest.mark.parametrize("right", [0.0, -0.0, 1.0])
def test_the_ends_are_probabilities(right: float) -> None:
    good = volume(0)
    good.probabilities[2, 0, 1, 1] = right
    average.check_probabilities(good)


@pytest.mark.parametrize("wrong", [np.nan, -np.nan, -0.5, -6e-8, 1.001, 1.5, np.inf])
def test_what_is_no_probability_is_refused(wrong: float) -> None:
    bad = volume(0)
    bad.probabilities[2, 0, 1, 1] = wrong
    with pytest.raises(ValueError, match="probabilities of patient-1 run from"):
        average.weighted_average(volume(1), bad, 0.6)
    with pytest.raises(ValueError, match="probabilities of patient-1 run from"):
        average.check_probabilities(bad)


def test_labels_that_are_not_canonical_are_refused() -> None:
    with pytest.raises(ValueError, match="go up to 4"):
        average.check_labels(volume(0), np.full(SHAPE, 4, np.uint8))
