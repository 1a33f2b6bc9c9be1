"""The classes and Dice of a patient are known at every α, as exact fractions say."""

from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gliomalib.fusion import average, exact_sweep
from gliomalib.schema import MismatchError, Volume
from gliomalib.scoring import metrics
from tests.fusion.simulated import volume
from tests.fusion.small_volumes import (
    ANY,
    LABELS,
    REGIONS,
    TIES,
    TINY,
    looked_at,
    patient,
    softmax,
    voxels,
)


def confusions_at(steps: exact_sweep.Steps, alphas: Any) -> Any:
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
    steps = exact_sweep.steps_of(p2d, p3d, labels)
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
        steps = exact_sweep.steps_of(p2d, p3d, labels)
        curve = exact_sweep.dice_at(steps, (3,), "brats")
        for alpha in np.linspace(0, 1, 21):
            fused = average.weighted_average(p2d, p3d, alpha).probabilities.argmax(axis=0)
            counts = metrics.confusion_matrix(labels, fused)
            moved.append(abs(steps.at(alpha) - counts).sum() // 2)
            assert moved[-1] <= exact_sweep.ties(p2d, p3d, alpha)
            off.append(abs(curve.at(alpha) - metrics.dice(counts, (3,), "brats")))
    # a tolerance of 0.001 in Dice would have stopped here
    assert max(moved) >= 1 and max(off) > 0.001


def test_steps_of_other_volumes_differ_in_more_than_ties() -> None:
    p2d, p3d, labels = with_a_tiny_class(1)
    swapped = exact_sweep.steps_of(p3d, p2d, labels).at(0.6)
    counts = exact_sweep.steps_of(p2d, p3d, labels).at(0.6)
    assert abs(swapped - counts).sum() // 2 > exact_sweep.ties(p2d, p3d, 0.6)


def test_where_the_branches_agree_nothing_is_stored() -> None:
    p2d, _, labels = patient(0)
    steps = exact_sweep.steps_of(p2d, p2d, labels)
    assert steps.alphas.tolist() == [0, 1]
    assert len(steps.moves) == 0
    found = confusions_at(steps, [0.3])[0]
    classes = p2d.probabilities.argmax(axis=0)
    np.testing.assert_array_equal(found, metrics.confusion_matrix(labels, classes))


def test_a_voxel_can_pass_through_all_classes() -> None:
    # tangents of a parabola
    low, high = [16 / 32, 15 / 32, 12 / 32, 7 / 32], [16 / 32, 23 / 32, 28 / 32, 31 / 32]
    steps = exact_sweep.steps_of(*voxels((high, low, 2)))
    assert steps.alphas.tolist() == [0, 0.125, 0.375, 0.625, 1]
    assert steps.moves.tolist() == [[2, 0, 1], [2, 1, 2], [2, 2, 3]]
    # the lower of two equal classes has the single α, so the change comes just after it
    assert steps.cells.tolist() == [3, 5, 7]


def test_volumes_that_do_not_belong_together_are_refused() -> None:
    p2d, p3d, labels = patient(0)
    with pytest.raises(MismatchError, match="cannot be fused"):
        exact_sweep.steps_of(p2d, softmax(1, (4, 4, 3)), labels)
    with pytest.raises(MismatchError, match="the labels have shape"):
        exact_sweep.steps_of(p2d, p3d, labels[:2])
    with pytest.raises(ValueError, match="go up to 4"):
        exact_sweep.steps_of(p2d, p3d, np.full_like(labels, 4))
    p2d.probabilities[0, 0, 0, 0] = np.nan
    with pytest.raises(ValueError, match="probabilities of p run from"):
        exact_sweep.steps_of(p2d, p3d, labels)


@pytest.mark.parametrize("alpha", [-0.01, 1.01, float("nan")])
def test_weights_outside_of_the_branches_are_refused(alpha: float) -> None:
    steps = exact_sweep.steps_of(*patient(0))
    with pytest.raises(ValueError, match=f"alpha is {alpha}"):
        exact_sweep.dice_at(steps, (1,), "brats").at(alpha)


@pytest.mark.parametrize("classes", REGIONS)
@pytest.mark.parametrize("empty", ["brats", "exclude"])
def test_dice_is_that_of_the_confusion_at_every_alpha(
    classes: tuple[int, ...], empty: metrics.EmptyRule
) -> None:
    for seed in range(5):
        p2d, p3d, labels = patient(seed, (2, 2, 1))
        steps = exact_sweep.steps_of(p2d, p3d, labels)
        curve = exact_sweep.dice_at(steps, classes, empty)
        everywhere = looked_at(steps)
        slow = [metrics.dice(m, classes, empty) for m in confusions_at(steps, everywhere)]
        np.testing.assert_array_equal(curve.at(everywhere), slow)
        np.testing.assert_array_equal(curve.values, curve.at(looked_at(curve)))


def test_only_alphas_that_change_dice_are_kept() -> None:
    wrong_either_way = ([0, 0, 1.0, 0], [1.0, 0, 0, 0], 3)
    turns_right = ([0, 1.0, 0, 0], [0.75, 0.25, 0, 0], 1)
    steps = exact_sweep.steps_of(*voxels(wrong_either_way, turns_right))
    assert steps.alphas.tolist() == [0, 1 / 3, 0.5, 1]
    assert exact_sweep.dice_at(steps, (1,), "brats").alphas.tolist() == [0, 1 / 3, 1]
    assert exact_sweep.dice_at(steps, (1,), "brats").between.tolist() == [0, 1]


def test_unknown_classes_and_rules_are_refused() -> None:
    steps = exact_sweep.steps_of(*patient(0))
    with pytest.raises(ValueError, match="classes"):
        exact_sweep.dice_at(steps, (4,), "brats")
    with pytest.raises(ValueError, match="empty is"):
        exact_sweep.dice_at(steps, (1,), "ignore")  # type: ignore[arg-type]
