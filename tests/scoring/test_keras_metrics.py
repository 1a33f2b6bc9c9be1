"""The scores that a Keras model reports, against the obvious count and against their formulas."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gliomalib.scoring import keras_metrics
from gliomalib.scoring.keras_metrics import pooled_counts

SHAPES = st.tuples(st.integers(0, 10**6), st.integers(1, 40))


def one_hot(labels: Any) -> Any:
    """Return one row an item."""
    return np.eye(4, dtype=np.float32)[labels]


def softmax(scores: Any) -> Any:
    """Return float32 probabilities as a network does; large scores saturate."""
    powers = np.exp((scores - scores.max(axis=1, keepdims=True)).astype(np.float32))
    return powers / powers.sum(axis=1, keepdims=True)


def items(seed: int, n: int, spread: float = 20) -> tuple[Any, Any]:
    """Return random truth and probabilities; about half of the rows are saturated."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(4, size=n)
    scores = spread * generator.normal(size=(n, 4))
    return labels, softmax(scores)


def scored(truth: Any, probabilities: Any) -> dict[str, float]:
    """Return the six scores of all items."""
    found = keras_metrics.counted_scores(pooled_counts(truth, probabilities))
    return {name: float(value) for name, value in found.items()}


def mean_iou(truth: Any, probabilities: Any) -> float:
    """Return what Keras calls MeanIoU."""
    return scored(truth, probabilities)["mean_iou"]


def slow_mean_iou(truth: Any, probabilities: Any) -> float:
    """Return the IoU of integer labels 0 … K−1 from flat arrays, label by label."""
    true, claimed = one_hot(truth).ravel().astype(np.int64), probabilities.ravel().astype(np.int64)
    found = []
    for label in range(4):
        both = sum(t == p == label for t, p in zip(true, claimed, strict=True))
        either = sum(label in pair for pair in zip(true, claimed, strict=True))
        if either:
            found.append(both / either)
    return float(np.mean(found))


def slow_scores(truth: Any, probabilities: Any) -> dict[str, float]:
    """Count each entry of each item by itself."""
    n = {"tp": 0, "fp": 0, "fn": 0, "tn": 0}
    for row, claims in zip(one_hot(truth), probabilities, strict=True):
        for true, claim in zip(row, claims, strict=True):
            n[("t" if (claim > 0.5) == (true == 1) else "f") + ("p" if claim > 0.5 else "n")] += 1
    precision = n["tp"] / (n["tp"] + n["fp"]) if n["tp"] + n["fp"] else 0.0
    recall = n["tp"] / (n["tp"] + n["fn"])
    return {
        "precision": precision,
        "recall": recall,
        "f1": 2 * n["tp"] / (2 * n["tp"] + n["fp"] + n["fn"]),
        "specificity": n["tn"] / (n["tn"] + n["fp"]),
    }


# --- MeanIoU


@given(SHAPES)
def test_mean_iou_is_the_count_of_cast_labels(shape: tuple[int, int]) -> None:
    truth, probabilities = items(*shape)
    assert mean_iou(truth, probabilities) == pytest.approx(slow_mean_iou(truth, probabilities))


def test_only_a_probability_of_exactly_one_counts() -> None:
    truth = np.arange(4)
    below, sure = np.nextafter(np.float32(1), np.float32(0)), one_hot(truth)
    almost = np.where(sure == 1, below, np.float32(0))
    assert mean_iou(truth, almost) == 3 / 8
    assert mean_iou(truth, sure) == 1
    # a better prediction scores less than a worse one that is more sure of itself
    wrong = sure.copy()
    wrong[3] = wrong[0]
    assert mean_iou(truth, wrong) > mean_iou(truth, almost)


@given(st.integers(1, 200), st.data())
def test_the_share_is_that_of_the_right_items_with_probability_one(n: int, data: Any) -> None:
    sure = data.draw(st.integers(0, n))
    truth = np.arange(n) % 4
    probabilities = one_hot(truth)
    probabilities[sure:] = 0.1 + 0.6 * probabilities[sure:]
    share = keras_metrics.saturated_share(mean_iou(truth, probabilities))
    assert share == pytest.approx(sure / n, abs=1e-6)


# --- precision, recall, specificity


@given(SHAPES)
def test_pooled_scores_are_the_count_of_each_entry(shape: tuple[int, int]) -> None:
    truth, probabilities = items(*shape, spread=1)
    found = scored(truth, probabilities)
    for name, value in slow_scores(truth, probabilities).items():
        assert found[name] == pytest.approx(value), name
    right = truth == probabilities.argmax(axis=1)
    assert found["accuracy"] == right.mean()


# --- counts that add up


@given(SHAPES, st.integers(1, 6))
def test_counts_of_parts_give_the_scores_of_the_whole(shape: tuple[int, int], parts: int) -> None:
    truth, probabilities = items(*shape)
    cuts = [part for part in np.array_split(np.arange(shape[1]), parts) if len(part)]
    counts = [pooled_counts(truth[part], probabilities[part]) for part in cuts]
    found = keras_metrics.counted_scores(np.sum(counts, axis=0))
    whole = scored(truth, probabilities)
    assert found == whole
    stacked = keras_metrics.counted_scores(np.stack(counts))
    first = scored(truth[cuts[0]], probabilities[cuts[0]])
    assert {name: value[0] for name, value in stacked.items()} == first


def test_a_probability_of_exactly_half_is_neither_claimed_nor_rejected() -> None:
    claims = np.array([[0.5, 0.5, 0, 0], [0.25, 0.75, 0, 0]], np.float32)
    counts = pooled_counts(np.array([0, 1]), claims)
    found = dict(zip(keras_metrics.COUNTED, counts, strict=True))
    assert (found["claimed"], found["tp"], found["tn"]) == (1, 1, 5)


@given(st.lists(st.integers(0, 30), min_size=4, max_size=4).filter(any))
def test_constant_counts_are_those_of_its_arrays(counts: list[int]) -> None:
    truth, claims = constant(counts)
    found = keras_metrics.constant_counts(np.array(counts))
    assert found.tolist() == pooled_counts(truth, claims).tolist()


def test_constant_counts_take_stacks_and_shares() -> None:
    found = keras_metrics.constant_counts(np.array([[3.5, 0.5, 0, 0], [1, 2, 0, 0]]))
    assert found.shape == (2, len(keras_metrics.COUNTED))
    assert keras_metrics.counted_scores(found)["accuracy"].tolist() == [3.5 / 4, 1 / 3]


# --- constant predictors


def constant(counts: list[int]) -> tuple[Any, Any]:
    """Return truth with these counts of classes and a predictor that always says the first."""
    return np.repeat(np.arange(4), counts), one_hot(np.zeros(sum(counts), dtype=int))


@settings(max_examples=50)
@given(st.lists(st.integers(1, 60), min_size=4, max_size=4))
def test_a_constant_predictor_scores_its_share(counts: list[int]) -> None:
    found = keras_metrics.constant_scores(counts[0] / sum(counts))
    assert found == pytest.approx(scored(*constant(counts)))


# --- what is refused


def test_arrays_that_do_not_match_or_lost_their_digits_are_refused() -> None:
    truth, good = items(0, 5)
    for bad, said in (
        (good[:4], r"truth has shape \(5,\), probabilities \(4, 4\)"),
        (good[:, :3], r"probabilities \(5, 3\)"),
        (good.astype(np.float16), "probabilities are float16; give the network's float32"),
        (good.astype(np.float64), "probabilities are float64"),
    ):
        with pytest.raises(ValueError, match=said):
            pooled_counts(truth, bad)


@pytest.mark.parametrize("value", [0.374, 1.001, np.nan])
def test_no_share_gives_some_values(value: float) -> None:
    with pytest.raises(ValueError, match=r"has no such share; it must lie in 0\.375–1"):
        keras_metrics.saturated_share(value)


def test_a_constant_needs_a_share() -> None:
    with pytest.raises(ValueError, match=r"the share of the predicted class is 1\.1"):
        keras_metrics.constant_scores(1.1)
