"""Intervals cover what they say, keep patients together and refuse what they cannot average."""

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from gliomalib.scoring import bootstrap, metrics


def bounds(interval: bootstrap.Interval) -> tuple[float, float]:
    """Return the interval, which must be there."""
    assert interval.ci95 is not None
    return interval.ci95


def accuracy(stack: Any) -> Any:
    """Share of the diagonal of each matrix."""
    return np.trace(stack, axis1=-2, axis2=-1) / stack.sum(axis=(-2, -1))


def of_sums(matrices: Any, score: Any, seed: int, draws: int) -> bootstrap.Interval:
    """Return the interval of a single score."""
    scores = bootstrap.confusion_intervals(
        matrices, lambda sums: {"score": score(sums)}, seed, draws
    )
    return scores["score"]


def patients(count: int, seed: int = 0) -> Any:
    """Confusion matrices of patients whose own accuracy varies a lot."""
    generator = np.random.default_rng(seed)
    skill = generator.random(count)
    matrices = generator.integers(1, 20, (count, 3, 3))
    matrices[:, range(3), range(3)] += (200 * skill[:, None]).astype(int)
    return matrices


# --- means over patients


@pytest.mark.parametrize(("count", "least"), [(5, 0.88), (20, 0.92), (40, 0.93)])
def test_the_interval_of_a_mean_covers_it(count: int, least: float) -> None:
    # plain percentile intervals cover 82 % of five patients: this is what the test would catch
    generator, hits, trials = np.random.default_rng(7), 0, 400
    for trial in range(trials):
        low, high = bounds(bootstrap.mean_interval(generator.normal(0.7, 0.1, count), trial, 600))
        hits += low <= 0.7 <= high
    assert least <= hits / trials <= 0.98


def test_the_same_seed_gives_the_same_interval_whatever_the_block(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    values = np.random.default_rng(0).random(12)
    found = bootstrap.mean_interval(values, 3, 2500)
    assert found == bootstrap.mean_interval(values, 3, 2500)
    assert found != bootstrap.mean_interval(values, 4, 2500)
    monkeypatch.setattr(bootstrap, "BLOCK", 7)
    assert bounds(bootstrap.mean_interval(values, 3, 2500)) == pytest.approx(bounds(found))


def test_one_patient_has_no_interval() -> None:
    found = bootstrap.mean_interval([0.5], 0)
    assert found == bootstrap.Interval(0.5, None, 1)
    assert found.ends == (0.5, 0.5)
    assert of_sums(patients(1), accuracy, 0, 50).ci95 is None
    assert bootstrap.argmax_intervals([[0.1, 0.2]], [0, 1], 0, 0, 50)["alpha"].ci95 is None
    assert bootstrap.grouped_interval([[0.1, 0.4]], 0, 50).ends == (0.25, 0.25)
    few, some = bootstrap.with_ones([0.5]), bootstrap.with_ones([0.2, 0.4])
    for groups, value in (((few, some), 0.2), ((some, few), -0.2)):
        of_groups = bootstrap.unpaired_interval(*groups, bootstrap.ratio, 1, 100)
        assert (of_groups.value, of_groups.ci95) == (pytest.approx(value), None)


@pytest.mark.parametrize(("count", "share"), [(5, 0.0009541), (10, 0.0085506), (20, 0.0158808)])
def test_the_percentiles_move_outwards_as_hesterberg_lists(count: int, share: float) -> None:
    values = np.random.default_rng(0).random(count)
    picked = np.random.default_rng(3).integers(count, size=(1000, count))
    expected = np.quantile(values[picked].mean(axis=1), [share, 1 - share])
    found = bootstrap.mean_interval(values, 3, 1000)
    assert (found.value, found.n) == (pytest.approx(values.mean()), count)
    assert bounds(found) == pytest.approx(tuple(expected), abs=1e-5)


@pytest.mark.parametrize("values", [[], [0.1, math.nan], [0.1, math.inf], [[0.1, 0.2]], 0.5])
def test_a_mean_of_no_numbers_is_refused(values: Any) -> None:
    with pytest.raises(ValueError, match=r"NaN or infinite|needed is one value per patient"):
        bootstrap.mean_interval(values, 0)


def test_no_draws_are_refused() -> None:
    with pytest.raises(ValueError, match="draws is 0"):
        bootstrap.mean_interval([0.1, 0.2], 0, 0)


# --- scores of sums over patients


def test_a_score_is_of_the_summed_matrices_of_whole_patients() -> None:
    matrices, seed, draws = patients(8), 5, 400
    found = of_sums(matrices, accuracy, seed, draws)
    generator = np.random.default_rng(seed)
    slow = []
    for _ in range(draws):
        total = np.zeros((3, 3))
        for patient in generator.integers(8, size=8):
            total += matrices[patient]
        slow.append(accuracy(total))
    spread = np.array(slow)
    assert found.value == pytest.approx(accuracy(matrices.sum(axis=0)))
    low, high = bounds(found)
    assert spread.min() <= low <= np.quantile(spread, 0.025)
    assert np.quantile(spread, 0.975) <= high <= spread.max()


def test_matrices_are_summed_and_not_averaged() -> None:
    matrices = np.full((6, 2, 2), 5)
    found = of_sums(matrices, lambda sums: sums.sum(axis=(1, 2)), 0, 50)
    assert (found.value, found.ci95) == (120.0, (120.0, 120.0))


def test_a_score_that_is_undefined_in_some_draw_is_refused() -> None:
    rare = np.zeros((5, 2, 2), dtype=int)
    rare[:, 0, 0], rare[0, 1, 1] = 10, 1
    assert bootstrap.confusion_intervals(rare, metrics.stacked_scores, 0, 200)["recall"].ci95

    def present(stack: Any) -> Any:
        truth = stack.sum(axis=-1)
        return np.where(truth > 0, np.ones_like(truth), np.nan).mean(axis=-1)

    with pytest.raises(ValueError, match=r"score is undefined in [1-9]\d* of 200 draws"):
        of_sums(rare, present, 0, 200)


ALPHAS = np.linspace(0, 1, 11)


def test_the_best_alpha_of_divided_patients_is_not() -> None:
    curves = np.stack([ALPHAS if patient % 2 else 1 - ALPHAS for patient in range(10)])
    assert bounds(bootstrap.argmax_intervals(curves, ALPHAS, 0, 0, 500)["alpha"]) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("curve", "best"),
    [
        (np.ones(11), 0.5),
        (np.where(ALPHAS > 0.55, 1, 0), 0.8),
        (np.where(ALPHAS > 0.65, 1, 0), 0.8),
        (np.eye(11)[0] + np.eye(11)[9] + np.eye(11)[10], 0.9),
        (np.ones(11) + 1e-14 * ALPHAS, 0.5),
    ],
)
def test_the_middle_of_equally_good_alphas_counts(curve: Any, best: float) -> None:
    found = bootstrap.argmax_intervals(np.tile(curve, (4, 1)), ALPHAS, 1, 0, 50)
    assert found["alpha"].value == pytest.approx(best)
    assert bounds(found["alpha"]) == pytest.approx((best, best))
    assert bounds(found["lost"]) == pytest.approx((curve.max() - curve[-1],) * 2)


def test_a_curve_needs_its_alphas_in_order() -> None:
    for alphas in ([0, 1], [0, 1, 0.5], [0, 0.5, 0.5]):
        with pytest.raises(ValueError, match="rising"):
            bootstrap.argmax_intervals(np.ones((2, 3)), alphas, 0, 0)
    with pytest.raises(ValueError, match=r"0\.6 among them"):
        bootstrap.argmax_intervals(np.ones((2, 3)), [0, 0.5, 1], 0.6, 0)


# --- repeated measurements


def slow_medians(repeats: Any, draws: int) -> Any:
    """Medians after drawing patients, then as many of the measurements of each, one by one."""
    generator, medians = np.random.default_rng(8), []
    for _ in range(draws):
        drawn = [repeats[generator.integers(len(repeats))] for _ in repeats]
        medians.append(np.median([generator.choice(own, len(own)) for own in drawn]))
    return np.array(medians)


def test_repeated_measurements_have_the_interval_of_a_slow_bootstrap_at_95_percent() -> None:
    generator = np.random.default_rng(9)
    repeats = generator.normal(0, 1, (12, 1)) + generator.normal(0, 0.3, (12, 3))
    medians, ends = slow_medians(repeats, 6000), {}
    for level in (0.90, 0.95):
        reach = stats.t.ppf((1 - level) / 2, 11) * math.sqrt(12 / 11)
        share = stats.norm.cdf(reach)
        ends[level] = np.quantile(medians, [share, 1 - share])
    found = bootstrap.grouped_interval(repeats, 3, 20_000)
    assert (found.value, found.n) == (np.median(repeats), 12)
    assert bounds(found) == pytest.approx(tuple(ends[0.95]), abs=0.02)
    # the test can fail: another level is further away than that
    assert abs(ends[0.95] - ends[0.90]).min() > 0.06


# --- two groups of different patients


def of_means(a: Any, b: Any, seed: int = 1, draws: int = 2000) -> tuple[float, float, float]:
    """Return the difference of two means and both ends of its interval."""
    groups = bootstrap.with_ones(a), bootstrap.with_ones(b)
    found = bootstrap.unpaired_interval(*groups, bootstrap.ratio, seed, draws)
    return (found.value, *bounds(found))


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


def test_a_difference_of_means_is_as_wide_as_welchs_interval() -> None:
    rng = np.random.default_rng(5)
    a, b = rng.normal(0.7, 0.1, 9), rng.normal(0.6, 0.2, 6)
    value, low, high = of_means(a, b, draws=50_000)
    expected = stats.ttest_ind(a, b, equal_var=False).confidence_interval(0.95)
    assert value == pytest.approx(a.mean() - b.mean())
    assert high - low == pytest.approx(expected.high - expected.low, rel=0.1)
    back = of_means(b, a[::-1], draws=50_000)
    assert np.allclose([value, low, high], [-back[0], -back[2], -back[1]], atol=0.01)
    # without any spread the interval is a point
    assert of_means(np.full(4, 0.7), np.full(3, 0.5)) == pytest.approx((0.2, 0.2, 0.2))


def test_a_difference_moves_patients_with_all_their_slices() -> None:
    # all slices of a patient right or all wrong: as uncertain as so many patients, not slices
    right, wrong = np.diag([50.0, 0, 0, 0]), np.zeros((4, 4))
    wrong[0, 1] = 50
    inside = np.stack([right] * 8 + [wrong] * 2)
    outside = np.stack([right] * 5 + [wrong] * 5)

    def share(sums: np.ndarray) -> np.ndarray:
        return metrics.stacked_scores(sums)["accuracy"]

    found = bootstrap.unpaired_interval(inside, outside, share, 1, 4000)
    low, high = bounds(found)
    assert found.value == pytest.approx(0.3) and found.n == 20
    spread = stats.ttest_ind([1] * 8 + [0] * 2, [1] * 5 + [0] * 5, equal_var=False)
    expected = spread.confidence_interval(0.95)
    assert high - low == pytest.approx(expected.high - expected.low, rel=0.15)


def test_an_empty_group_and_an_undefined_score_are_errors() -> None:
    some = bootstrap.with_ones([0.1, 0.2])
    for other, words in (([], "no patient"), ([np.nan, 0.2], "undefined in some draw")):
        with pytest.raises(ValueError, match=words):
            group = bootstrap.with_ones(other)
            bootstrap.unpaired_interval(some, group, bootstrap.ratio, 1, 100)
