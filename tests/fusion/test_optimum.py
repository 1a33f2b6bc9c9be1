"""Dice is known at every α, and its optimum is the true one as often as its interval says."""

from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gliomalib.fusion import average, optimum
from gliomalib.schema import MismatchError, Volume
from gliomalib.scoring import bootstrap, metrics
from tests.fusion.simulated import volume

SHAPE = (3, 2, 2)
ANY = hnp.arrays(np.float16, (4, *SHAPE), elements=st.floats(0, 1, width=16))
TIES = hnp.arrays(np.float16, (4, *SHAPE), elements=st.sampled_from([0, 0.25, 0.5, 0.75, 1]))
TINY = hnp.arrays(np.float16, (4, *SHAPE), elements=st.sampled_from([6e-8, 1.2e-7, 0.5, 0.9995]))
LABELS = hnp.arrays(np.uint8, SHAPE, elements=st.integers(0, 3))
REGIONS: list[tuple[int, ...]] = [(0,), (1,), (3,), (1, 3), (1, 2, 3)]


def softmax(seed: int, shape: tuple[int, int, int] = (5, 4, 3)) -> Volume:
    scores = np.exp(2 * np.random.default_rng(seed).normal(size=(4, *shape)))
    return volume(scores / scores.sum(axis=0))


def patient(seed: int, shape: tuple[int, int, int] = (5, 4, 3)) -> tuple[Volume, Volume, Any]:
    """Return two branches that disagree often, and labels."""
    labels = np.random.default_rng(seed + 200).integers(0, 4, shape).astype(np.uint8)
    return softmax(seed, shape), softmax(seed + 100, shape), labels


def voxels(*rows: tuple[list[float], list[float], int]) -> tuple[Volume, Volume, Any]:
    """Return the branches and labels of voxels given as (2D, 3D, truth)."""
    p2d, p3d, truth = zip(*rows, strict=True)
    shape = (len(rows), 1, 1)
    both = [volume(np.array(part).T.reshape(4, *shape)) for part in (p2d, p3d)]
    return both[0], both[1], np.array(truth, np.uint8).reshape(shape)


def looked_at(curve: optimum.Curve | optimum.Steps) -> Any:
    """Return an α of every cell: each single one, and the middle of each interval."""
    middles = (curve.alphas[1:] + curve.alphas[:-1]) / 2
    return np.sort(np.append(curve.alphas, middles))


def confusions_at(steps: optimum.Steps, alphas: Any) -> Any:
    """Return the matrices (n, 4, 4) at these α: the first one, and all changes up to there."""
    counts = np.repeat(steps.first[None], len(alphas), axis=0)
    for matrix, alpha in zip(counts, alphas, strict=True):
        place = int(np.searchsorted(steps.alphas, alpha, side="right")) - 1
        cell = 2 * place + (steps.alphas[place] != alpha)
        for truth, old, new in steps.moves[steps.cells <= cell]:
            matrix[truth, old] -= 1
            matrix[truth, new] += 1
        np.testing.assert_array_equal(steps.at(float(alpha)), matrix)
    return counts


def best(steps: optimum.Steps, classes: tuple[int, ...], empty: Any) -> optimum.Best:
    return optimum.best_of(optimum.dice_at(steps, classes, empty))


def slow_meetings(low: Any, high: Any) -> set[Fraction]:
    """Return all α in 0–1 at which any two classes of any voxel are equal, as exact fractions."""
    found = {Fraction(0), Fraction(1)}
    for a, b in zip(low.reshape(4, -1).T.tolist(), high.reshape(4, -1).T.tolist(), strict=True):
        for one in range(4):
            for other in range(one):
                start = Fraction(a[one]) - Fraction(a[other])
                end = Fraction(b[one]) - Fraction(b[other])
                if start * end < 0:
                    found.add(start / (start - end))
    return found


def slow_confusion(low: Any, high: Any, labels: Any, alpha: Fraction) -> Any:
    """Count each voxel at one weight in exact fractions; of equal classes the lowest counts."""
    counts = np.zeros((4, 4), int)
    columns = (low.reshape(4, -1).T.tolist(), high.reshape(4, -1).T.tolist())
    for a, b, truth in zip(*columns, labels.ravel(), strict=True):
        sums = [alpha * Fraction(y) + (1 - alpha) * Fraction(x) for x, y in zip(a, b, strict=True)]
        counts[truth, sums.index(max(sums))] += 1
    return counts


@settings(max_examples=40, deadline=None)
@given(st.one_of(*[st.tuples(kind, kind) for kind in (ANY, TIES, TINY)]), LABELS)
def test_every_alpha_has_its_exact_confusion(pair: Any, labels: Any) -> None:
    p2d, p3d = (volume(values) for values in pair)
    steps = optimum.steps_of(p2d, p3d, labels)
    meetings = sorted(slow_meetings(pair[1], pair[0]))
    assert set(steps.alphas) <= {float(alpha) for alpha in meetings}
    everywhere = [*meetings, *((a + b) / 2 for a, b in pairwise(meetings))]
    found = confusions_at(steps, [float(alpha) for alpha in everywhere])
    expected = [slow_confusion(pair[1], pair[0], labels, alpha) for alpha in everywhere]
    np.testing.assert_array_equal(found, expected)


def with_a_tiny_class(seed: int) -> tuple[Volume, Volume, Any]:
    """Return two branches as the networks store them, and labels with 27 voxels of class 3."""
    shape, rng = (24, 24, 12), np.random.default_rng(seed)
    labels = np.zeros(shape, np.uint8)
    labels[4:16, 4:16, 2:10], labels[8:11, 8:11, 4:7] = 2, 3
    sure = 2.0 * (labels == np.arange(4)[:, None, None, None])
    both = (np.exp(sure + rng.normal(size=(4, *shape))) for _ in range(2))
    p2d, p3d = (volume(scores / scores.sum(axis=0)) for scores in both)
    return p2d, p3d, labels


def test_the_stored_average_differs_from_the_steps_in_ties_only() -> None:
    moved, off = [], []
    for seed in range(8):
        p2d, p3d, labels = with_a_tiny_class(seed)
        steps = optimum.steps_of(p2d, p3d, labels)
        curve = optimum.dice_at(steps, (3,), "brats")
        for alpha in np.linspace(0, 1, 21):
            fused = average.weighted_average(p2d, p3d, alpha).probabilities.argmax(axis=0)
            counts = metrics.confusion_matrix(labels, fused)
            moved.append(abs(steps.at(alpha) - counts).sum() // 2)
            assert moved[-1] <= optimum.ties(p2d, p3d, alpha)
            off.append(abs(curve.at(alpha) - metrics.dice(counts, (3,), "brats")))
    # a tolerance of 0.001 in Dice would have stopped here
    assert max(moved) >= 1 and max(off) > 0.001


def test_steps_of_other_volumes_differ_in_more_than_ties() -> None:
    p2d, p3d, labels = with_a_tiny_class(1)
    swapped = optimum.steps_of(p3d, p2d, labels).at(0.6)
    counts = optimum.steps_of(p2d, p3d, labels).at(0.6)
    assert abs(swapped - counts).sum() // 2 > optimum.ties(p2d, p3d, 0.6)


def test_where_the_branches_agree_nothing_is_stored() -> None:
    p2d, _, labels = patient(0)
    steps = optimum.steps_of(p2d, p2d, labels)
    assert steps.alphas.tolist() == [0, 1]
    assert len(steps.moves) == 0
    found = confusions_at(steps, [0.3])[0]
    classes = p2d.probabilities.argmax(axis=0)
    np.testing.assert_array_equal(found, metrics.confusion_matrix(labels, classes))


def test_a_voxel_can_pass_through_all_classes() -> None:
    # tangents of a parabola
    low, high = [16 / 32, 15 / 32, 12 / 32, 7 / 32], [16 / 32, 23 / 32, 28 / 32, 31 / 32]
    steps = optimum.steps_of(*voxels((high, low, 2)))
    assert steps.alphas.tolist() == [0, 0.125, 0.375, 0.625, 1]
    assert steps.moves.tolist() == [[2, 0, 1], [2, 1, 2], [2, 2, 3]]
    # the lower of two equal classes has the single α, so the change comes just after it
    assert steps.cells.tolist() == [3, 5, 7]


def test_volumes_that_do_not_belong_together_are_refused() -> None:
    p2d, p3d, labels = patient(0)
    with pytest.raises(MismatchError, match="cannot be fused"):
        optimum.steps_of(p2d, softmax(1, (4, 4, 3)), labels)
    with pytest.raises(MismatchError, match="the labels have shape"):
        optimum.steps_of(p2d, p3d, labels[:2])
    with pytest.raises(ValueError, match="go up to 4"):
        optimum.steps_of(p2d, p3d, np.full_like(labels, 4))
    p2d.probabilities[0, 0, 0, 0] = np.nan
    with pytest.raises(ValueError, match="probabilities of p run from"):
        optimum.steps_of(p2d, p3d, labels)


@pytest.mark.parametrize("alpha", [-0.01, 1.01, float("nan")])
def test_weights_outside_of_the_branches_are_refused(alpha: float) -> None:
    steps = optimum.steps_of(*patient(0))
    with pytest.raises(ValueError, match=f"alpha is {alpha}"):
        optimum.dice_at(steps, (1,), "brats").at(alpha)


@pytest.mark.parametrize("classes", REGIONS)
@pytest.mark.parametrize("empty", ["brats", "exclude"])
def test_dice_is_that_of_the_confusion_at_every_alpha(
    classes: tuple[int, ...], empty: metrics.EmptyRule
) -> None:
    for seed in range(5):
        p2d, p3d, labels = patient(seed, (2, 2, 1))
        steps = optimum.steps_of(p2d, p3d, labels)
        curve = optimum.dice_at(steps, classes, empty)
        everywhere = looked_at(steps)
        slow = [metrics.dice(m, classes, empty) for m in confusions_at(steps, everywhere)]
        np.testing.assert_array_equal(curve.at(everywhere), slow)
        np.testing.assert_array_equal(curve.values, curve.at(looked_at(curve)))


def test_only_alphas_that_change_dice_are_kept() -> None:
    wrong_either_way = ([0, 0, 1.0, 0], [1.0, 0, 0, 0], 3)
    turns_right = ([0, 1.0, 0, 0], [0.75, 0.25, 0, 0], 1)
    steps = optimum.steps_of(*voxels(wrong_either_way, turns_right))
    assert steps.alphas.tolist() == [0, 1 / 3, 0.5, 1]
    assert optimum.dice_at(steps, (1,), "brats").alphas.tolist() == [0, 1 / 3, 1]
    assert optimum.dice_at(steps, (1,), "brats").between.tolist() == [0, 1]


def test_unknown_classes_and_rules_are_refused() -> None:
    steps = optimum.steps_of(*patient(0))
    with pytest.raises(ValueError, match="classes"):
        optimum.dice_at(steps, (4,), "brats")
    with pytest.raises(ValueError, match="empty is"):
        optimum.dice_at(steps, (1,), "ignore")  # type: ignore[arg-type]


def test_the_optimum_is_the_whole_plateau() -> None:
    rises = ([0.0, 1.0, 0, 0], [0.75, 0.5, 0, 0], 1)  # class 1 from 0.2 on
    falls = ([0.75, 0, 0.5, 0], [0.5, 0, 1.0, 0], 2)  # class 2 until 2/3
    found = best(optimum.steps_of(*voxels(rises, falls)), (1, 2), "brats")
    assert found.value == 1
    assert found.intervals == ((0.2, 2 / 3),)
    assert found.width == pytest.approx(2 / 3 - 0.2)
    assert found.alpha == pytest.approx((2 / 3 + 0.2) / 2)


@settings(max_examples=25, deadline=None)
@given(st.one_of(ANY, TIES, TINY), st.one_of(ANY, TIES, TINY), LABELS, st.sampled_from(REGIONS))
def test_no_alpha_of_a_thousand_is_better_than_the_optimum(
    low: Any, high: Any, labels: Any, classes: tuple[int, ...]
) -> None:
    steps = optimum.steps_of(volume(high), volume(low), labels)
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
    nothing = optimum.steps_of(*voxels(([1.0, 0, 0, 0], [0.75, 0, 0, 0], 0)))
    assert best(nothing, (1,), "brats").intervals == ((0, 1),)
    with pytest.raises(ValueError, match="NaN at every"):
        best(nothing, (1,), "exclude")


def test_undefined_alphas_are_no_candidates() -> None:
    # class 1 is falsely found from 0.5 on; below there is neither truth nor prediction
    steps = optimum.steps_of(*voxels(([0, 1.0, 0, 0], [1.0, 0, 0, 0], 0)))
    assert best(steps, (1,), "exclude").intervals == ((0.5, 1),)
    assert best(steps, (1,), "brats").intervals == ((0, 0.5),)


def curves_of(count: int, classes: tuple[int, ...] = (1,)) -> list[optimum.Curve]:
    each = (optimum.steps_of(*patient(seed)) for seed in range(count))
    return [optimum.dice_at(steps, classes, "brats") for steps in each]


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
        curve = optimum.dice_at(optimum.steps_of(*patient(3, (2, 1, 1))), (1,), empty)
        found = optimum.mean_curve([curve], undefined)
        np.testing.assert_array_equal(found.alphas, curve.alphas)
        np.testing.assert_array_equal(found.values, curve.values)
    flat = optimum.Curve(np.array([0, 0.5, 1]), np.full(5, 0.25))
    assert optimum.mean_curve([flat]).alphas.tolist() == [0, 1]


def test_a_mean_of_no_curve_is_refused() -> None:
    with pytest.raises(ValueError, match="no patient"):
        optimum.mean_curve([])


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
        found.append(optimum.dice_at(optimum.steps_of(*both, labels), (1,), "brats"))
    return found


@pytest.mark.parametrize("best", [0.3, 0.6])
def test_the_interval_covers_the_true_optimum(best: float) -> None:
    hits, widths, losses = 0, [], []
    for seed in range(100):
        found = optimum.optimum_intervals(networks(best, seed), 0.6, seed, 200)
        low, high = bounds(found["alpha"])
        hits += low <= best <= high
        widths.append(high - low)
        losses.append(bounds(found["lost"])[0] > 0.005)
    assert hits >= 90
    assert np.mean(widths) < 0.3
    assert np.mean(losses) == (1 if best == 0.3 else 0)


def test_the_interval_is_that_of_a_slow_bootstrap() -> None:
    curves, seed, draws = curves_of(6), 3, 200
    found = optimum.optimum_intervals(curves, 0.6, seed, draws)
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
    single = optimum.optimum_intervals(curves_of(1), 0.6, 0, 50)
    assert (single["alpha"].ci95, single["lost"].ci95) == (None, None)
    with pytest.raises(ValueError, match="no patient"):
        optimum.optimum_intervals([], 0.6, 0)
    with pytest.raises(ValueError, match=r"alpha is 1\.2"):
        optimum.optimum_intervals(curves_of(2), 1.2, 0, 50)
