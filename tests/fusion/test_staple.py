"""STAPLE finds what the paper's algorithm finds, and two raters leave it little to find."""

from typing import Any

import numpy as np
import pytest

from gliomalib.fusion import staple
from gliomalib.schema import MismatchError

SPACING = (2.0, 2.0, 2.0)


def slow_staple(first: Any, second: Any) -> Any:
    """Run the algorithm on one mask voxel by voxel, in loops."""
    raters = [first.ravel().tolist(), second.ravel().tolist()]
    prior = sum(map(sum, raters)) / (2 * first.size)
    yes, no, truth = [0.99999] * 2, [0.99999] * 2, []
    for _ in range(3000):
        truth = []
        for voxel in range(first.size):
            inside, outside = prior, 1 - prior
            for rater in range(2):
                said = raters[rater][voxel]
                inside *= yes[rater] if said else 1 - yes[rater]
                outside *= 1 - no[rater] if said else no[rater]
            truth.append(inside / (inside + outside))
        for rater, said in enumerate(raters):
            yes[rater] = sum(w for w, d in zip(truth, said, strict=True) if d) / sum(truth)
            empty = sum(1 - w for w in truth)
            no[rater] = sum(1 - w for w, d in zip(truth, said, strict=True) if not d) / empty
    return np.array(truth).reshape(first.shape), yes, no


def patterns(first: Any, second: Any) -> Any:
    """Count the voxels of both, the first, the second and neither mask."""
    return np.array(
        [(first & second).sum(), (first & ~second).sum(), (~first & second).sum(),
         (~first & ~second).sum()], float,
    )  # fmt: skip


def test_patterns_give_what_voxels_give() -> None:
    generator = np.random.default_rng(0)
    core = generator.random(30) < 0.3
    first, second = core ^ (generator.random(30) < 0.15), core ^ (generator.random(30) < 0.1)
    counts = patterns(first, second)
    assert (counts > 0).all()
    truth, yes, no = staple.rater_patterns(counts)
    slow = slow_staple(first, second)
    index = 3 - 2 * first.astype(int) - second
    np.testing.assert_allclose(truth[index], slow[0], atol=1e-5)
    np.testing.assert_allclose([yes, no], slow[1:], atol=1e-5)


@pytest.mark.parametrize(
    ("counts", "alone"),
    [
        ((1000, 100, 100, 8800), (0.49, 0.49)),
        ((1000, 100, 100, 300), (0.52, 0.52)),
        ((1000, 150, 50, 8800), (0.49, 0.49)),
    ],
)
def test_two_raters_leave_a_dispute_near_one_half(counts: Any, alone: Any) -> None:
    truth, _, _ = staple.rater_patterns(np.array(counts, float))
    assert tuple(truth[1:3].round(2)) == alone
    assert truth[0] > 0.99
    assert truth[3] < 0.01


@pytest.mark.parametrize("neither", [300, 8900])
def test_voxels_that_one_rater_adds_stay_at_one_half(neither: float) -> None:
    truth, _, _ = staple.rater_patterns(np.array([1000, 100, 0, neither]))
    assert truth[1] == pytest.approx(0.5, abs=1e-6)


def test_of_two_raters_with_nothing_in_common_the_larger_is_believed() -> None:
    truth, yes, _ = staple.rater_patterns(np.array([0.0, 100, 50, 1000]))
    assert truth[1] > 0.7
    assert truth[2] < 0.01
    assert yes == pytest.approx([1, 0], abs=1e-3)


@pytest.mark.parametrize(("counts", "share"), [((0, 0, 0, 9), 0), ((9, 0, 0, 0), 1)])
def test_a_mask_that_nobody_disputes_is_as_it_is(counts: Any, share: float) -> None:
    np.testing.assert_array_equal(staple.rater_patterns(np.array(counts, float))[0], share)


def ball(radius: float, centre: float = 10) -> Any:
    """Return a ball in a volume of 20 voxels a side."""
    return ((np.indices((20, 20, 20)) - centre) ** 2).sum(axis=0) < radius**2


def test_equal_segmentations_stay_as_they_are() -> None:
    labels = np.select([ball(2), ball(4), ball(5)], [1, 3, 2], 0).astype(np.uint8)
    found = staple.staple(labels, labels, SPACING)
    np.testing.assert_array_equal(found.argmax(axis=0), labels)
    assert found.max(axis=0).min() > 0.99


def raters(fixed: int, name: int) -> Any:
    """Return two segmentations that each call some voxels ``name`` which the other does not.

    There are 216 voxels of class ``fixed`` and 216 of class ``name`` without dispute.
    """
    first, second = np.zeros((2, 20, 20, 20), np.uint8)
    for rater in (first, second):
        rater[4:10, 4:10, 4:10], rater[10:16, 4:10, 4:10] = fixed, name
    first[4:10, 4, 4:10] = name
    second[4:10, 9, 4:10] = name
    return first, second


def test_the_more_frequent_class_wins_a_dispute() -> None:
    first, second = raters(2, 3)
    found = staple.staple(first, second, SPACING).argmax(axis=0)
    np.testing.assert_array_equal(found, np.maximum(first, second))
    first[4:10, 10:16, 4:10] = second[4:10, 10:16, 4:10] = 2  # now there is more of class 2
    found = staple.staple(first, second, SPACING).argmax(axis=0)
    np.testing.assert_array_equal(found, np.minimum(first, second))


def test_nothing_beyond_the_margin_counts() -> None:
    # the tumour ends at index 15, and 5 voxels of 2 mm are its margin
    first, second = (np.pad(rater, ((0, 9), (0, 0), (0, 0))) for rater in raters(0, 1))
    found = staple.staple(first, second, SPACING)
    shorter = staple.staple(first[:21], second[:21], SPACING)
    np.testing.assert_array_equal(found[:, :21], shorter)
    np.testing.assert_array_equal(found[0, 21:], 1)
    cut = staple.staple(first[:20], second[:20], SPACING)
    assert not np.array_equal(found[:, :20], cut)


def test_the_margin_is_in_millimetres() -> None:
    first, second = raters(0, 1)
    found = staple.staple(first, second, (5.0, 2.0, 2.0))
    assert (found[0, 17, 6, 6], found[0, 18, 6, 6]) == (pytest.approx(1, abs=0.01), 1)
    assert found[0, 17, 6, 6] < 1


def test_probabilities_sum_to_one_whatever_the_raters_say() -> None:
    generator = np.random.default_rng(0)
    pairs = [generator.integers(0, 4, (2, 5, 4, 3)).astype(np.uint8) for _ in range(20)]
    one = np.zeros((5, 4, 3), np.uint8)
    for voxel in ((0, 0, 0), (4, 3, 2)):
        other = one.copy()
        other[voxel] = 3
        pairs += [np.stack([one, other]), np.stack([other, np.full_like(one, 2)])]
    for first, second in pairs:
        found = staple.staple(first, second, SPACING)
        np.testing.assert_allclose(found.sum(axis=0), 1)
        assert found.min() >= 0


def test_without_tumour_all_is_background() -> None:
    empty = np.zeros((4, 4, 4), np.uint8)
    found = staple.staple(empty, empty, SPACING)
    np.testing.assert_array_equal(found[0], 1)
    np.testing.assert_array_equal(found[1:], 0)


def test_segmentations_of_different_shape_are_refused() -> None:
    with pytest.raises(MismatchError, match=r"\(4, 4, 4\) and \(4, 4, 3\)"):
        staple.staple(np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4, 3), np.uint8), SPACING)
