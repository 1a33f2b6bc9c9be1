"""The optimum of a curve and of a mean is the true one, as often as its interval says."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gliomalib.fusion import exact_sweep, optimum
from gliomalib.scoring import bootstrap, metrics
from tests.fusion.simulated import volume
from tests.fusion.small_volumes import ANY, LABELS, REGIONS, TIES, TINY, looked_at, patient, voxels


def best(steps: exact_sweep.Steps, classes: tuple[int, ...], empty: Any) -> optimum.Best:
    return optimum.best_of(exact_sweep.dice_at(steps, classes, empty))


def test_the_optimum_is_the_whole_plateau() -> None:
    rises = ([0.0, 1.0, 0, 0], [0.75, 0.5, 0, 0], 1)  # class 1 from 0.2 on
    falls = ([0.75, 0, 0.5, 0], [0.5, 0, 1.0, 0], 2)  # class 2 until 2/3
    found = best(exact_sweep.steps_of(*voxels(rises, falls)), (1, 2), "brats")
    assert found.value == 1
    assert found.intervals == ((0.2, 2 / 3),)
    assert found.width == pytest.approx(2 / 3 - 0.2)
    assert found.alpha == pytest.approx((2 / 3 + 0.2) / 2)


@settings(max_examples=25, deadline=None)
@given(st.one_of(ANY, TIES, TINY), st.one_of(ANY, TIES, TINY), LABELS, st.sampled_from(REGIONS))
def test_no_alpha_of_a_thousand_is_better_than_the_optimum(
    low: Any, high: Any, labels: Any, classes: tuple[int, ...]
) -> None:
    steps = exact_sweep.steps_of(volume(high), volume(low), labels)
    found = best(steps, classes, "brats")
    # where classes tie in a single α their order decides, which may be luck
    tried = np.setdiff1d(np.linspace(0, 1, 1001), steps.alphas)
    for alpha in tried[:: 1 + 9 * (len(steps.moves) > 20)]:
        fused = alpha * high.astype(np.float64) + (1 - alpha) * low.astype(np.float64)
        if (np.diff(np.sort(fused, axis=0)[-2:], axis=0) < 1e-12).any():
            continue  # float64 may take the other class
        counts = metrics.confusion_matrix(labels, fused.argmax(axis=0))
        assert metrics.dice(counts, classes, "brats") <= found.value + optimum.TIE


def test_two_equal_optima_are_both_named_and_the_wider_one_counts() -> None:
    curve = optimum.Curve(np.array([0, 0.25, 0.5, 1]), np.array([0, 0.8, 0.5, 0.7, 0.7, 0.8, 0.8]))
    found = optimum.best_of(curve)
    assert found.intervals == ((0, 0.25), (0.5, 1))
    assert (found.width, found.alpha, found.value) == (0.75, 0.75, 0.8)


def test_optima_that_differ_by_rounding_only_both_count() -> None:
    almost = np.nextafter(0.8, 0)
    values = np.array([0, 0.8, 0.5, 0.7, 0.7, almost, almost, 0.8, 0])
    curve = optimum.Curve(np.array([0, 0.25, 0.5, 0.75, 1]), values)
    assert optimum.best_of(curve).intervals == ((0, 0.25), (0.5, 1))


@pytest.mark.parametrize(
    ("point", "intervals"),
    [(0.8, ((0, 1),)), (0.9, ((0, 1),)), (0.7, ((0, 0.5), (0.5, 1)))],
)
def test_a_single_alpha_joins_or_parts_but_is_not_the_optimum(point: float, intervals: Any) -> None:
    curve = optimum.Curve(np.array([0, 0.5, 1]), np.array([0.8, 0.8, point, 0.8, 0.8]))
    found = optimum.best_of(curve)
    assert (found.value, found.intervals) == (0.8, intervals)


def test_no_optimum_of_nothing() -> None:
    nothing = exact_sweep.steps_of(*voxels(([1.0, 0, 0, 0], [0.75, 0, 0, 0], 0)))
    assert best(nothing, (1,), "brats").intervals == ((0, 1),)
    with pytest.raises(ValueError, match="NaN at every"):
        best(nothing, (1,), "exclude")


def test_undefined_alphas_are_no_candidates() -> None:
    # class 1 is falsely found from 0.5 on; below there is neither truth nor prediction
    steps = exact_sweep.steps_of(*voxels(([0, 1.0, 0, 0], [1.0, 0, 0, 0], 0)))
    assert best(steps, (1,), "exclude").intervals == ((0.5, 1),)
    assert best(steps, (1,), "brats").intervals == ((0, 0.5),)


def curves_of(count: int, classes: tuple[int, ...] = (1,)) -> list[optimum.Curve]:
    each = (exact_sweep.steps_of(*patient(seed)) for seed in range(count))
    return [exact_sweep.dice_at(steps, classes, "brats") for steps in each]


def test_the_mean_is_the_mean_at_every_alpha() -> None:
    curves = curves_of(7)
    found = optimum.mean_curve(curves)
    assert len(found.alphas) > max(len(curve.alphas) for curve in curves)
    everywhere = looked_at(found)
    slow = np.mean([curve.at(everywhere) for curve in curves], axis=0)
    np.testing.assert_allclose(found.at(everywhere), slow, atol=1e-15)
    assert optimum.best_of(found).value == pytest.approx(slow[1::2].max(), abs=1e-15)


def test_patients_that_undo_each_other_leave_a_flat_mean() -> None:
    # 1/3 + 2/3 and 0.1 + 0.9 and the like are no equal sums in floating point
    generator = np.random.default_rng(0)
    inside = np.sort(generator.random(50))
    up = np.sort(generator.random(101))
    alphas = np.concatenate([[0], inside, [1]])
    values = np.concatenate([up, up[:2]])
    pair = [optimum.Curve(alphas, values), optimum.Curve(alphas, 1 - values)]
    found = optimum.best_of(optimum.mean_curve(pair))
    assert found.intervals == ((0, 1),)
    assert found.value == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("undefined", "expected"),
    [("nan", [0.4, np.nan]), ("exclude", [0.4, 0.5])],
)
def test_nan_in_a_mean_needs_a_rule(undefined: Any, expected: list[float]) -> None:
    nan = np.nan
    ends, half = np.array([0.0, 1]), np.array([0, 0.5, 1])
    curves = [
        optimum.Curve(ends, np.full(3, 0.5)),
        optimum.Curve(half, np.array([0.3, 0.3, 0.3, nan, nan])),
    ]
    with pytest.raises(ValueError, match="1 of 2 curves have NaN"):
        optimum.mean_curve(curves)
    found = optimum.mean_curve(curves, undefined)
    assert found.between.tolist() == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize("undefined", ["nan", "exclude"])
def test_the_mean_of_one_is_that_one(undefined: Any) -> None:
    for empty in ("brats", "exclude"):
        curve = exact_sweep.dice_at(exact_sweep.steps_of(*patient(3, (2, 1, 1))), (1,), empty)
        found = optimum.mean_curve([curve], undefined)
        np.testing.assert_array_equal(found.alphas, curve.alphas)
        np.testing.assert_array_equal(found.values, curve.values)
    flat = optimum.Curve(np.array([0, 0.5, 1]), np.full(5, 0.25))
    assert optimum.mean_curve([flat]).alphas.tolist() == [0, 1]


def test_a_mean_of_no_curve_is_refused() -> None:
    with pytest.raises(ValueError, match="no patient"):
        optimum.mean_curve([])


def test_a_part_of_a_curve_is_the_curve_there() -> None:
    for curve in curves_of(5):
        for low, high in ((0, 1), (0.2, 0.7), (0, curve.alphas[3]), (*curve.alphas[2:4],)):
            part = curve.part(low, high)
            assert (part.alphas[0], part.alphas[-1]) == (low, high)
            np.testing.assert_array_equal(part.values, curve.at(looked_at(part)))
            inside = (curve.alphas > low) & (curve.alphas < high)
            assert part.alphas[1:-1].tolist() == curve.alphas[inside].tolist()


@pytest.mark.parametrize("joined", [10, 60, 10**6])
def test_a_mean_in_parts_is_the_whole_mean(joined: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(optimum, "JOINED", joined)
    curves = curves_of(9, (1, 2))
    whole, mean = optimum.mean_curve(curves), optimum.Mean(curves)
    parts = [*mean.parts]
    assert len(parts) == (
        1 if joined == 10**6 else pytest.approx(len(whole.alphas) / joined, abs=3)
    )
    for part in parts:
        np.testing.assert_array_equal(part.values, whole.at(looked_at(part)))
    assert mean.best == optimum.best_of(whole)
    assert mean.at(0.6) == pytest.approx(float(whole.at(0.6)), abs=1e-15)
    for margin in (0.01, 0.05, 1):
        near = whole.between >= mean.best.value - margin
        assert mean.width_near(margin) == pytest.approx(np.diff(whole.alphas)[near].sum())


@pytest.mark.parametrize(("point", "count"), [(0.8, 1), (0.7, 2)])
def test_an_interval_goes_on_over_the_end_of_a_part(
    point: float, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(optimum, "JOINED", 4)
    curve = optimum.Curve(np.array([0, 0.5, 0.9, 1]), np.array([0.8] * 2 + [point] + [0.8] * 4))
    mean = optimum.Mean([curve, optimum.Curve(np.array([0, 0.4, 1]), np.full(5, 0.8))])
    assert 0.5 in [part.alphas[0] for part in mean.parts], "a part begins at the point"
    assert len(mean.best.intervals) == count and mean.best.width == 1


def test_a_mean_of_undefined_curves_is_refused() -> None:
    nan = optimum.Curve(np.array([0, 0.5, 1]), np.array([0.3, 0.3, 0.3, np.nan, np.nan]))
    with pytest.raises(ValueError, match="1 of 2 curves have NaN"):
        _ = optimum.Mean([nan, *curves_of(1)]).best


def bounds(interval: bootstrap.Interval) -> tuple[float, float]:
    assert interval.ci95 is not None
    return interval.ci95


def networks(best: float, seed: int) -> list[optimum.Curve]:
    """Return Dice curves of fifteen simulated patients whose best weight is ``best``.

    A voxel is tumour or not. Each branch sees the margin between right and wrong class as
    skill + its own normal noise of standard deviation σ, so the weighted sum is right if
    skill + α·e₂ + (1 − α)·e₃ > 0, with probability Φ(skill / √(α²σ₂² + (1 − α)²σ₃²)), for both
    classes alike. Dice rises with it, whatever the share of tumour and the skill are in a patient,
    so the best α is that of least variance, σ₃² / (σ₂² + σ₃²) (Bates and Granger 1969): σ₂² and
    σ₃² in the ratio 1 − best to best.
    """
    generator = np.random.default_rng(seed)
    found = []
    for _ in range(15):
        shape = (10, 10, 10)
        labels = (generator.random(shape) < generator.uniform(0.1, 0.5)).astype(np.uint8)
        skill = generator.uniform(0.1, 0.2)
        both = []
        for share in (1 - best, best):
            margin = skill + 0.3 * np.sqrt(share) * generator.normal(size=shape)
            right = (1 + np.clip(margin, -1, 1)) / 2
            tumour = np.where(labels == 1, right, 1 - right)
            both.append(volume([1 - tumour, tumour, 0 * tumour, 0 * tumour]))
        found.append(exact_sweep.dice_at(exact_sweep.steps_of(*both, labels), (1,), "brats"))
    return found


@pytest.mark.parametrize("best", [0.3, 0.6])
def test_the_interval_covers_the_true_optimum(best: float) -> None:
    hits, widths, losses = 0, [], []
    for seed in range(100):
        found = optimum.optimum_intervals(optimum.Mean(networks(best, seed)), 0.6, seed, 200)
        low, high = bounds(found["alpha"])
        hits += low <= best <= high
        widths.append(high - low)
        losses.append(bounds(found["lost"])[0] > 0.005)
    assert hits >= 90
    assert np.mean(widths) < 0.3
    assert np.mean(losses) == (1 if best == 0.3 else 0)


def test_the_interval_is_that_of_a_slow_bootstrap() -> None:
    curves, seed, draws = curves_of(6), 3, 200
    found = optimum.optimum_intervals(optimum.Mean(curves), 0.6, seed, draws)
    exact = optimum.best_of(optimum.mean_curve(curves))
    assert found["alpha"].value == exact.alpha
    at_given = optimum.mean_curve(curves).at(0.6)
    assert found["lost"].value == pytest.approx(exact.value - at_given, abs=1e-12)
    where, lost = [], []
    for picked in np.random.default_rng(seed).integers(6, size=(draws, 6)):
        drawn = optimum.mean_curve([curves[index] for index in picked])
        best = optimum.best_of(drawn)
        where.append(best.alpha)
        lost.append(best.value - drawn.at(0.6))
    low, high = bounds(found["alpha"])
    assert min(where) - 0.01 <= low <= np.quantile(where, 0.05)
    assert np.quantile(where, 0.95) <= high <= max(where) + 0.01
    # the draws of the library look at the grid only, so they may miss a narrow optimum
    low, high = bounds(found["lost"])
    assert 0 <= low <= np.quantile(lost, 0.05)
    assert np.quantile(lost, 0.9) <= high <= max(lost) + 1e-12


def test_what_cannot_have_an_interval() -> None:
    single = optimum.optimum_intervals(optimum.Mean(curves_of(1)), 0.6, 0, 50)
    assert (single["alpha"].ci95, single["lost"].ci95) == (None, None)
    with pytest.raises(ValueError, match="no patient"):
        optimum.optimum_intervals(optimum.Mean([]), 0.6, 0)
    with pytest.raises(ValueError, match=r"alpha is 1\.2"):
        optimum.optimum_intervals(optimum.Mean(curves_of(2)), 1.2, 0, 50)
