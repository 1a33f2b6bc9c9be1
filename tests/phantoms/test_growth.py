"""The growth model against what is known of the Fisher–KPP equation."""

import numpy as np
import pytest

from gliomalib.phantoms.growth import CHUNK_DAYS, grow, grow_until

RATE, DIFFUSIVITY, SPACING_MM = 0.02, 0.32, 1.0


def _front_mm(density: np.ndarray) -> float:
    """Place along the first axis where the density falls below a half."""
    line = density[:, 0, 0]
    last = int(np.flatnonzero(line >= 0.5)[-1])
    return SPACING_MM * (last + (line[last] - 0.5) / (line[last] - line[last + 1]))


def _rod(length: int) -> tuple[np.ndarray, np.ndarray]:
    density = np.zeros((length, 1, 1), np.float32)
    density[:5] = 1.0
    return density, np.full(density.shape, DIFFUSIVITY, np.float32)


def test_a_front_moves_with_the_speed_of_fisher() -> None:
    density, diffusivity = _rod(260)
    early = grow(density, diffusivity, RATE, SPACING_MM, 400.0)
    late = grow(early, diffusivity, RATE, SPACING_MM, 800.0)
    speed = (_front_mm(late) - _front_mm(early)) / 800.0
    # Bramson 1983: a front lags behind 2 sqrt(D r) by 1.5 sqrt(D / r) ln t
    lag = 1.5 * np.sqrt(DIFFUSIVITY / RATE) * np.log(1200.0 / 400.0) / 800.0
    assert speed == pytest.approx(2.0 * np.sqrt(DIFFUSIVITY * RATE) - lag, rel=0.03)


def test_it_spreads_faster_in_white_than_in_grey_matter() -> None:
    density = np.zeros((61, 9, 9), np.float32)
    density[28:33] = 0.5
    diffusivity = np.full(density.shape, 0.3, np.float32)
    diffusivity[:30] = 0.04
    grown = grow(density, diffusivity, RATE, SPACING_MM, 120.0)
    grey, white = (grown[:30, 4, 4][::-1] > 0.1).sum(), (grown[31:, 4, 4] > 0.1).sum()
    assert white > 1.7 * grey


def test_without_births_the_number_of_cells_stays() -> None:
    rng = np.random.default_rng(1)
    density = rng.random((12, 13, 14)).astype(np.float32)
    diffusivity = rng.random(density.shape).astype(np.float32)
    spread = grow(density, diffusivity, 1e-9, 2.0, 50.0)
    assert spread.sum(dtype=float) == pytest.approx(density.sum(dtype=float), rel=1e-5)
    assert spread.std() < 0.5 * density.std()


def test_no_cell_enters_fluid_or_crosses_it() -> None:
    density = np.zeros((30, 10, 10), np.float32)
    density[3, 5, 5] = 1.0
    diffusivity = np.full(density.shape, 0.3, np.float32)
    diffusivity[15] = 0.0
    grown = grow(density, diffusivity, 0.03, 1.0, 600.0)
    assert grown[:15].min() > 0.9
    assert grown[15:].max() == 0.0


def test_density_stays_between_0_and_1() -> None:
    rng = np.random.default_rng(2)
    density = rng.random((15, 15, 15)).astype(np.float32)
    diffusivity = (rng.random(density.shape) > 0.3).astype(np.float32)
    grown = grow(density, diffusivity, 0.05, 3.0, 90.0)
    assert grown.min() >= 0.0
    assert grown.max() <= 1.0


def test_growth_stops_when_there_is_enough() -> None:
    density, diffusivity = _rod(200)
    grown = grow_until(
        density, diffusivity, RATE, SPACING_MM, lambda u: np.count_nonzero(u > 0.5) >= 60
    )
    while np.count_nonzero(density > 0.5) < 60:
        density = grow(density, diffusivity, RATE, SPACING_MM, CHUNK_DAYS)
    assert np.array_equal(grown, density)


def test_a_tumour_that_is_shut_in_ends_without_being_enough() -> None:
    density = np.zeros((9, 9, 9), np.float32)
    density[4, 4, 4] = 1.0
    diffusivity = np.zeros_like(density)
    diffusivity[3:6, 3:6, 3:6] = 0.3
    grown = grow_until(density, diffusivity, RATE, SPACING_MM, lambda u: u.sum() > 500)
    assert np.count_nonzero(grown) == 27
