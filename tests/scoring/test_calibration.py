"""Calibration agrees with scikit-learn and a slow version, in one go and patient by patient."""

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss

from gliomalib.scoring import calibration
from gliomalib.scoring.calibration import brier, expected_error, table, tally


def predictions(count: int, seed: int = 0, classes: int = 4) -> tuple[Any, Any]:
    """Probabilities, and a truth that follows them: calibrated by construction."""
    generator = np.random.default_rng(seed)
    probabilities = generator.dirichlet(np.full(classes, 0.4), count)
    drawn = generator.random((count, 1)) > probabilities.cumsum(axis=1)
    return probabilities, np.minimum(drawn.sum(axis=1), classes - 1)


def sure(confidence: float, right: int, count: int) -> tuple[Any, Any]:
    """``count`` equal predictions of class 1, of which some are right."""
    rest = (1 - confidence) / 3
    probabilities = np.tile([rest, confidence, rest, rest], (count, 1))
    return probabilities, np.where(np.arange(count) < right, 1, 2)


def slow_error(probabilities: Any, truth: Any) -> float:
    """Return the calibration error, bin by bin (low, high]."""
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == truth
    total = 0.0
    for low, high in pairwise(np.linspace(0, 1, calibration.BINS + 1)):
        inside = (confidence > low) & (confidence <= high)
        if inside.any():
            total += inside.sum() * abs(confidence[inside].mean() - right[inside].mean())
    return float(total / len(truth))


@pytest.mark.parametrize("classes", [2, 4])
def test_the_brier_score_and_the_table_agree_with_scikit_learn(classes: int) -> None:
    probabilities, truth = predictions(3000, classes=classes)
    found = tally(probabilities, truth)
    expected = brier_score_loss(truth, probabilities, labels=range(classes), scale_by_half=False)
    assert brier(found) == pytest.approx(expected)
    right = probabilities.argmax(axis=1) == truth
    accuracy, confidence = calibration_curve(right, probabilities.max(axis=1), n_bins=15)
    bins = table(found)
    np.testing.assert_allclose(bins["accuracy"], accuracy, atol=1e-9)
    np.testing.assert_allclose(bins["confidence"], confidence, atol=1e-9)
    assert bins["n"].sum() == 3000


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 300))
def test_the_calibration_error_is_the_slow_one(seed: int, count: int) -> None:
    probabilities, truth = predictions(count, seed)
    found = expected_error(tally(probabilities, truth))
    assert found == pytest.approx(slow_error(probabilities, truth))


def test_scores_of_known_predictions() -> None:
    probabilities = np.array([[1.0, 0, 0, 0], [0.25, 0.25, 0.25, 0.25], [0.2, 0.5, 0.3, 0.0]])
    found = tally(probabilities, np.array([0, 3, 2]))
    assert found[0].sum() == 3
    assert brier(found) == pytest.approx((0 + 0.75 + (0.04 + 0.25 + 0.49)) / 3)
    # of four equal classes the first is the prediction, and it is wrong
    bins = table(found).set_index("confidence")
    assert bins["accuracy"].to_dict() == {0.25: 0.0, 0.5: 0.0, 1.0: 1.0}
    assert expected_error(found) == pytest.approx((0.25 + 0.5 + 0) / 3)


def test_an_edge_belongs_to_the_bin_below() -> None:
    bins = table(tally(*sure(0.4, 1, 2)))
    assert bins[["low", "high"]].to_numpy().tolist() == [[5 / 15, 6 / 15]]


@pytest.mark.parametrize("kind", [np.float64, np.float16])
def test_patients_put_together_are_all_at_once(kind: Any) -> None:
    probabilities, truth = predictions(5000)
    stored, parts = probabilities.astype(kind), np.split(np.arange(5000), [10, 11, 2000])
    np.testing.assert_allclose(sum(tally(stored[p], truth[p]) for p in parts), tally(stored, truth))


@pytest.mark.parametrize(
    ("probabilities", "truth", "words"),
    [
        ([[0.5, 0.4]], [0], "sum to 0.9"),
        ([[1.2, -0.2]], [0], "from -0.2"),
        ([[math.nan, 0.5]], [0], "from nan"),
    ],
)
def test_what_is_no_prediction_is_refused(probabilities: Any, truth: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        tally(np.array(probabilities), np.array(truth))
