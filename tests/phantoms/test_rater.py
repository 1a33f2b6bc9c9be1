"""A second expert: agrees as experts do, is the same twice, and marks no crumbs."""

import numpy as np
import pytest

from gliomalib.phantoms import rater
from gliomalib.phantoms.grid import Dice
from gliomalib.phantoms.patient import PhantomPlan, make_patient
from gliomalib.schema import Labels
from gliomalib.scoring import metrics


@pytest.fixture(scope="module")
def phantoms() -> list[Labels]:
    return [make_patient(PhantomPlan(seed=2, spacing_mm=2.0), n).labels for n in range(1, 9)]


def agreement(phantoms: list[Labels], classes: tuple[int, ...]) -> float:
    counts = [
        metrics.confusion_matrix(labels, rater.redrawn(labels, 2.0, Dice(number)))
        for number, labels in enumerate(phantoms)
    ]
    return float(np.nanmean([metrics.dice(each, classes, "exclude") for each in counts]))


@pytest.mark.parametrize(
    ("classes", "low", "high"),
    [((1,), 0.74, 0.88), ((3,), 0.72, 0.89), ((2,), 0.76, 0.88), ((1, 2, 3), 0.87, 0.94)],
)
def test_two_experts_agree_as_those_of_menze_did(
    phantoms: list[Labels], classes: tuple[int, ...], low: float, high: float
) -> None:
    assert low <= agreement(phantoms, classes) <= high


def test_the_same_chance_is_the_same_expert(phantoms: list[Labels]) -> None:
    first, again, other = (rater.redrawn(phantoms[0], 2.0, Dice(seed)) for seed in (1, 1, 2))
    assert np.array_equal(first, again) and not np.array_equal(first, other)
    assert set(np.unique(first)) <= set(np.unique(phantoms[0]))


def test_islands_are_left_out_and_a_ball_stays() -> None:
    labels = np.zeros((40, 40, 40), np.uint8)
    x, y, z = np.indices(labels.shape)
    labels[(x - 20) ** 2 + (y - 20) ** 2 + (z - 20) ** 2 < 10**2] = 2
    labels[18:20, 18:20, 18:20] = 3
    labels[2:4, 2:4, 2:4] = 1
    drawn = rater.redrawn(labels, 2.0, Dice(0))
    assert set(np.unique(drawn)) == {0, 2}
    assert np.count_nonzero(drawn) == pytest.approx(np.count_nonzero(labels == 2), rel=0.15)


def test_no_tumour_stays_none() -> None:
    assert not rater.redrawn(np.zeros((20, 20, 20), np.uint8), 2.0, Dice(0)).any()
