"""The difference of two groups of different patients covers the truth, and is Welch's for means."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats as distributions

from gliomalib.scoring import metrics, unpaired


def of_means(one: np.ndarray, other: np.ndarray, seed: int = 1, draws: int = 2000) -> tuple:
    found = unpaired.difference(
        unpaired.pairs(one), unpaired.pairs(other), unpaired.mean, seed, draws
    )
    assert found.ci95 is not None
    return (found.value, *found.ci95)


@pytest.mark.parametrize(("sizes", "spreads"), [((10, 8), (0.1, 0.1)), ((5, 5), (0.05, 0.2))])
def test_the_interval_covers_a_known_drop(
    sizes: tuple[int, int], spreads: tuple[float, float]
) -> None:
    covered = 0
    for draw in range(100):
        rng = np.random.default_rng((3, draw))
        inside, outside = (
            rng.normal(mean, spread, n)
            for mean, spread, n in zip((0.75, 0.62), spreads, sizes, strict=True)
        )
        _, low, high = of_means(inside, outside, draw, 1000)
        covered += low <= 0.13 <= high
    assert 90 <= covered <= 100


def test_scores_that_are_no_normal_sample_are_covered_too() -> None:
    """Dice with a tail of missed tumours at 0, 30 patients a group."""
    rng = np.random.default_rng(4)
    covered = 0
    for draw in range(100):
        inside, outside = (
            np.where(rng.random(30) < share, 0, rng.beta(8, 3, 30)) for share in (0.05, 0.15)
        )
        _, low, high = of_means(inside, outside, draw, 1000)
        covered += low <= 0.10 * 8 / 11 <= high
    assert covered >= 90


def test_it_is_as_wide_as_welchs_interval() -> None:
    rng = np.random.default_rng(5)
    one, other = rng.normal(0.7, 0.1, 9), rng.normal(0.6, 0.2, 6)
    value, low, high = of_means(one, other, draws=50_000)
    expected = distributions.ttest_ind(one, other, equal_var=False).confidence_interval(0.95)
    assert value == pytest.approx(one.mean() - other.mean())
    assert high - low == pytest.approx(expected.high - expected.low, rel=0.1)


def test_the_order_of_groups_and_of_patients_does_not_matter() -> None:
    rng = np.random.default_rng(6)
    one, other = rng.normal(0.7, 0.1, 12), rng.normal(0.6, 0.1, 9)
    value, low, high = of_means(one, other, draws=20_000)
    back = of_means(other, one, draws=20_000)
    assert np.allclose([value, low, high], [-back[0], -back[2], -back[1]], atol=0.01)
    assert of_means(one[::-1], other, draws=20_000)[0] == pytest.approx(value)


def test_patients_move_with_all_their_slices() -> None:
    """All slices of a patient right or all wrong: as uncertain as so many patients, not slices."""
    right, wrong = np.diag([50.0, 0, 0, 0]), np.zeros((4, 4))
    wrong[0, 1] = 50
    inside = np.stack([right] * 8 + [wrong] * 2)
    outside = np.stack([right] * 5 + [wrong] * 5)

    def accuracy(sums: np.ndarray) -> np.ndarray:
        return metrics.stacked_scores(sums.astype(np.int64), "macro", "exclude")["accuracy"]

    found = unpaired.difference(inside, outside, accuracy, 1, 4000)
    low, high = found.ci95 or (0, 0)
    assert found.value == pytest.approx(0.3) and found.n == 20
    spread = distributions.ttest_ind([1] * 8 + [0] * 2, [1] * 5 + [0] * 5, equal_var=False)
    expected = spread.confidence_interval(0.95)
    assert high - low == pytest.approx(expected.high - expected.low, rel=0.15)


def test_a_single_patient_has_no_interval() -> None:
    one, two = unpaired.pairs([0.5]), unpaired.pairs([0.2, 0.4])
    for groups, value in (((one, two), 0.2), ((two, one), -0.2)):
        found = unpaired.difference(*groups, unpaired.mean, 1, 100)
        assert found.value == pytest.approx(value) and found.ci95 is None
        assert "single patient" in found.method


def test_groups_without_spread_differ_by_a_point() -> None:
    assert of_means(np.full(4, 0.7), np.full(3, 0.5)) == pytest.approx((0.2, 0.2, 0.2))


def test_an_empty_group_and_an_undefined_score_are_errors() -> None:
    some = unpaired.pairs([0.1, 0.2])
    with pytest.raises(ValueError, match="no patient"):
        unpaired.difference(some, unpaired.pairs([]), unpaired.mean, 1, 100)
    with pytest.raises(ValueError, match="undefined in some draw"):
        unpaired.difference(some, unpaired.pairs([np.nan, 0.2]), unpaired.mean, 1, 100)
