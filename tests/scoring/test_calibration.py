"""Calibration agrees with scikit-learn and a slow version, in one go and patient by patient."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss, log_loss

from gliomalib.scoring import calibration
from gliomalib.scoring.calibration import Binning, pooled, tally

BINNINGS: tuple[Binning, ...] = ("equal_width", "equal_mass")


def predictions(count: int, seed: int = 0, classes: int = 4) -> tuple[Any, Any]:
    """Probabilities, and a truth that follows them: calibrated by construction."""
    generator = np.random.default_rng(seed)
    probabilities = generator.dirichlet(np.full(classes, 0.4), count)
    drawn = generator.random((count, 1)) > probabilities.cumsum(axis=1)
    return probabilities, np.minimum(drawn.sum(axis=1), classes - 1)


def sure(confidence: float, hits: int, count: int) -> tuple[Any, Any]:
    """``count`` equal predictions of class 1, of which ``hits`` are right."""
    rest = (1 - confidence) / 3
    probabilities = np.tile([rest, confidence, rest, rest], (count, 1))
    return probabilities, np.where(np.arange(count) < hits, 1, 2)


def slow_error(probabilities: Any, truth: Any, edges: Any) -> float:
    """Return the calibration error over bins (low, high] with these edges."""
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == truth
    total = 0.0
    for low, high in pairwise(edges):
        inside = (confidence > low) & (confidence <= high)
        if inside.any():
            total += inside.sum() * abs(confidence[inside].mean() - right[inside].mean())
    return float(total / len(truth))


@pytest.mark.parametrize("classes", [2, 4])
def test_scores_agree_with_scikit_learn(classes: int) -> None:
    probabilities, truth = predictions(3000, classes=classes)
    found, labels = tally(probabilities, truth), range(classes)
    brier = brier_score_loss(truth, probabilities, labels=labels, scale_by_half=False)
    assert found.brier == pytest.approx(brier)
    likelihood = log_loss(truth, probabilities, labels=labels)
    assert found.negative_log_likelihood == pytest.approx(likelihood, rel=1e-6)


@pytest.mark.parametrize(
    ("binning", "strategy"), [("equal_width", "uniform"), ("equal_mass", "quantile")]
)
def test_the_table_agrees_with_scikit_learn(binning: Binning, strategy: str) -> None:
    probabilities, truth = predictions(3000)
    right = probabilities.argmax(axis=1) == truth
    accuracy, confidence = calibration_curve(
        right, probabilities.max(axis=1), n_bins=10, strategy=strategy
    )
    table = tally(probabilities, truth, 10).table(binning)
    # equal masses: a cell at an edge goes to one bin as a whole, a few of 300 predictions
    tolerance = 1e-9 if binning == "equal_width" else 0.02
    assert len(table) == len(accuracy) == (8 if binning == "equal_width" else 10)
    np.testing.assert_allclose(table["accuracy"], accuracy, atol=tolerance)
    np.testing.assert_allclose(table["confidence"], confidence, atol=tolerance / 4)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 300), st.integers(1, 20))
def test_the_error_of_equal_widths_is_the_slow_one(seed: int, count: int, n_bins: int) -> None:
    probabilities, truth = predictions(count, seed)
    expected = slow_error(probabilities, truth, np.linspace(0, 1, n_bins + 1))
    found = tally(probabilities, truth, n_bins)
    assert found.expected_error("equal_width") == pytest.approx(expected)


def test_equal_masses_are_equal() -> None:
    probabilities, truth = predictions(1500)
    confidence = np.sort(probabilities.max(axis=1))
    table = tally(probabilities, truth).table("equal_mass")
    # a cell at an edge stays whole: the last one alone, the surest, holds a dozen
    assert abs(table["n"] - 100).max() <= 12
    assert table["n"].sum() == 1500
    edges = [0, *confidence[99:1499:100], 1]
    slow = slow_error(probabilities, truth, np.array(edges))
    assert tally(probabilities, truth).expected_error("equal_mass") == pytest.approx(slow, abs=0.01)


def test_confidences_of_their_own_are_split_as_numpy_splits_them() -> None:
    confidence = np.linspace(0.3, 0.99, 60)
    rest = (1 - confidence) / 3
    probabilities = np.column_stack([confidence, rest, rest, rest])
    truth = np.random.default_rng(0).integers(0, 2, 60)
    table = tally(probabilities, truth).table("equal_mass")
    parts = np.array_split(confidence, 15)
    assert table["n"].tolist() == [4] * 15
    np.testing.assert_allclose(table["confidence"], [part.mean() for part in parts])
    assert (table["low"] < [part[0] for part in parts]).all()
    assert ([part[-1] for part in parts] <= table["high"]).all()


def test_equal_confidences_stay_together() -> None:
    most, few = sure(0.97, 90, 90), sure(0.5, 3, 10)
    found = tally(np.r_[most[0], few[0]], np.r_[most[1], few[1]], 5)
    for binning in BINNINGS:
        table = found.table(binning)
        assert table["n"].tolist() == [10, 90]
        assert table["accuracy"].tolist() == pytest.approx([0.3, 1.0])
        assert table["confidence"].tolist() == pytest.approx([0.5, 0.97])
        assert found.expected_error(binning) == pytest.approx(0.1 * 0.2 + 0.9 * 0.03)
        assert (table["low"] < table["confidence"]).all()
        assert (table["confidence"] <= table["high"]).all()


def test_probabilities_that_keep_their_word_have_no_error() -> None:
    found = tally(*predictions(200_000))
    squashed, truth = predictions(200_000)
    surer = squashed**3 / (squashed**3).sum(axis=1, keepdims=True)
    for binning in BINNINGS:
        assert found.expected_error(binning) < 0.006
        assert tally(surer, truth).expected_error(binning) > 0.05
    assert found.brier < tally(surer, truth).brier
    assert found.negative_log_likelihood < tally(surer, truth).negative_log_likelihood


def test_scores_of_known_predictions() -> None:
    probabilities = np.array([[1.0, 0, 0, 0], [0.25, 0.25, 0.25, 0.25], [0.2, 0.5, 0.3, 0.0]])
    found = tally(probabilities, np.array([0, 3, 2]))
    assert found.n == 3
    assert found.brier == pytest.approx((0 + 0.75 + (0.04 + 0.25 + 0.49)) / 3)
    assert found.negative_log_likelihood == pytest.approx((0 + math.log(4) - math.log(0.3)) / 3)
    # of four equal classes the first is the prediction, and it is wrong
    table = found.table("equal_width").set_index("confidence")
    assert table["accuracy"].to_dict() == {0.25: 0.0, 0.5: 0.0, 1.0: 1.0}


def test_an_edge_belongs_to_the_bin_below() -> None:
    table = tally(*sure(0.4, 1, 2), 5).table("equal_width")
    assert table[["low", "high"]].to_numpy().tolist() == [[0.2, 0.4]]


def test_a_true_class_of_probability_zero_is_counted_and_not_infinite() -> None:
    impossible = np.tile(np.array([1, 0, 0, 0], np.float16), (5, 1))
    found = tally(impossible, np.array([0, 0, 0, 1, 2]))
    assert found.n_floored == 2
    assert found.negative_log_likelihood == pytest.approx(2 * 24 * math.log(2) / 5)
    assert found.brier == pytest.approx(4 / 5)
    smallest = np.array([[1, calibration.FLOOR, 0, 0]], np.float16)
    assert tally(smallest, np.array([1])).n_floored == 0


@pytest.mark.parametrize("kind", [np.float64, np.float16])
def test_patients_put_together_are_all_at_once(kind: Any) -> None:
    probabilities, truth = predictions(5000)
    probabilities[-1], truth[-1] = [0, 1, 0, 0], 0
    stored = probabilities.astype(kind)
    parts = np.split(np.arange(5000), [10, 11, 2000])
    together = pooled(tally(stored[part], truth[part]) for part in parts)
    whole = tally(stored, truth)
    assert together.n_floored == whole.n_floored > 0
    assert together.n == whole.n == 5000
    assert together.brier == pytest.approx(whole.brier)
    assert together.negative_log_likelihood == pytest.approx(whole.negative_log_likelihood)
    for binning in BINNINGS:
        np.testing.assert_allclose(together.table(binning), whole.table(binning))


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    probabilities, truth = predictions(1000)
    whole = tally(probabilities, truth)
    monkeypatch.setattr(calibration, "BLOCK", 33)
    np.testing.assert_array_equal(tally(probabilities, truth).counts, whole.counts)
    assert tally(probabilities, truth).brier == pytest.approx(whole.brier)


def test_half_precision_is_told_apart_value_by_value() -> None:
    # between 1/4 and 1 float16 has 4097 values: no cell may hold two of them
    values = np.arange(0x3400, 0x3C01, dtype=np.uint16).view(np.float16)
    rest = (1 - values.astype(float)) / 3
    probabilities = np.column_stack([values, rest, rest, rest])
    found = tally(probabilities, np.zeros(len(values), int))
    assert found.counts.max() == 1
    sums = found.confidence[found.counts == 1]
    np.testing.assert_array_equal(sums, probabilities.max(axis=1))


def test_the_memory_is_that_of_the_counts() -> None:
    few, many = tally(*predictions(10)), tally(*predictions(100_000))
    sizes = [
        sum(part.nbytes for part in (one.counts, one.hits, one.confidence)) for one in (few, many)
    ]
    assert sizes[0] == sizes[1] < 200_000


@pytest.mark.parametrize(
    ("probabilities", "truth", "words"),
    [
        ([[0.5, 0.5]], [2], "from 2 to 2"),
        ([[0.5, 0.5]], [-1], "from -1"),
        ([[0.5, 0.5]], [0.0], "float64"),
        ([[0.5, 0.5]], [0, 1], "needed are"),
        ([0.5, 0.5], [0, 1], "needed are"),
        (np.empty((0, 4)), np.empty(0, int), "at least one prediction"),
        ([[0.5, 0.4]], [0], "sum to 0.9"),
        ([[1.2, -0.2]], [0], "from -0.2"),
        ([[math.nan, 0.5]], [0], "from nan"),
    ],
)
def test_what_is_no_prediction_is_refused(probabilities: Any, truth: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        tally(np.array(probabilities), np.array(truth))


def test_wrong_choices_are_refused() -> None:
    found = tally(*predictions(10))
    with pytest.raises(ValueError, match="equal_width, equal_mass"):
        found.table("quantile")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="15 bins and 10 bins"):
        found + tally(*predictions(10), 10)
    with pytest.raises(ValueError, match="n_bins is 0"):
        tally(*predictions(10), 0)
    with pytest.raises(ValueError, match="no patient"):
        pooled([])
