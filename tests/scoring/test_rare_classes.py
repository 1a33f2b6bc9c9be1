"""Macro scores where few patients have a class: coverage, no draw without it, and the note."""

from collections.abc import Mapping

import numpy as np
import pytest

from gliomalib.schema import Confusion, FloatArray
from gliomalib.scoring import bootstrap, metrics, rare_classes

WRONG = np.array([[0, 0.02, 0.9, 0.08], [0.1, 0, 0.5, 0.4], [0.6, 0.1, 0, 0.3], [0.1, 0.3, 0.6, 0]])
"""Where the wrong slices of each class go."""


def macro(stack: FloatArray) -> Mapping[str, FloatArray]:
    scores = metrics.stacked_scores(stack)
    return {name: scores[name] for name in ("recall", "f1")}


def floating(stack: FloatArray) -> Mapping[str, FloatArray]:
    """Return macro recall and F1 of weighted counts."""
    tp, truth, predicted = np.einsum("...ii->...i", stack), stack.sum(-1), stack.sum(-2)
    with np.errstate(invalid="ignore"):
        of_class = {"recall": tp / truth, "f1": 2 * tp / (truth + predicted)}
    return {name: np.nan_to_num(scores).mean(axis=-1) for name, scores in of_class.items()}


def study(rng: np.random.Generator, n: int, recall: float = 0.5) -> Confusion:
    """Return slices of n patients, a tenth of whom have necrotic core; recalls differ."""
    matrices = np.zeros((n, 4, 4), np.int64)
    has = np.ones((n, 4), bool)
    has[:, 1], has[:, 3] = rng.random(n) < 0.1, rng.random(n) < 0.85
    for label, (mean, right) in enumerate(((20, 0.95), (4, recall), (12, 0.85), (5, 0.7))):
        counts = (1 + rng.poisson(mean, n)) * has[:, label]
        tp = rng.binomial(counts, rng.beta(4 * right, 4 * (1 - right), n))
        matrices[:, label] = rng.multinomial(counts - tp, WRONG[label])
        matrices[:, label, label] = tp
    return matrices


def test_macro_intervals_cover_with_a_class_that_a_tenth_of_the_patients_have() -> None:
    rng = np.random.default_rng(1)
    truth = floating(study(rng, 200_000).sum(axis=0)[None].astype(float))
    covered: dict[str, list[bool]] = {"recall": [], "f1": []}
    # 500 studies would leave a standard error of .01 in each coverage
    while len(covered["f1"]) < 1_500:
        counts = study(rng, 60)
        if rare_classes.too_rare(counts):
            continue
        intervals = rare_classes.intervals(counts, floating, len(covered["f1"]), 300)
        for name, interval in intervals.items():
            low, high = interval.ends
            covered[name].append(low <= truth[name][0] <= high)
    assert 0.93 <= np.mean(covered["recall"]) <= 0.97
    assert 0.93 <= np.mean(covered["f1"]) <= 0.97


def test_no_draw_loses_a_class() -> None:
    rng = np.random.default_rng(5)
    while rare_classes.too_rare(counts := study(rng, 40)) or (counts[:, 1].any(axis=1)).sum() > 5:
        pass
    seen = []

    def scores(stack: FloatArray) -> Mapping[str, FloatArray]:
        seen.append((stack.sum(axis=-1) > 0).all())
        return floating(stack)

    rare_classes.intervals(counts, scores, 1, 2_000)
    assert seen == [True]
    lost = []

    def plain(stack: FloatArray) -> Mapping[str, FloatArray]:
        lost.append((stack.sum(axis=-1) == 0).any())
        return floating(stack)

    bootstrap.confusion_intervals(counts, plain, 1, 2_000)
    assert any(lost)


def test_without_a_rare_class_it_is_the_interval_of_the_bootstrap() -> None:
    rng = np.random.default_rng(7)
    counts = (
        1 + rng.poisson(8, (50, 4, 4)) + np.eye(4, dtype=np.int64) * rng.poisson(30, (50, 1, 1))
    )
    ours, plain = (
        one(counts, macro, 1, 4_000)
        for one in (rare_classes.intervals, bootstrap.confusion_intervals)
    )
    for name in ours:
        assert ours[name].value == plain[name].value and ours[name].n == 50
        assert ours[name].ends == pytest.approx(plain[name].ends, abs=0.004)


def test_equal_patients_leave_nothing_to_chance() -> None:
    counts = np.tile(3 * np.eye(4, dtype=np.int64) + 1, (12, 1, 1))
    interval = rare_classes.intervals(counts, floating, 1, 100)["recall"]
    assert interval.ends == pytest.approx((4 / 7, 4 / 7))


def test_a_class_in_too_few_patients_is_named_and_has_no_interval() -> None:
    counts = np.tile(np.diag([5, 0, 3, 1]), (10, 1, 1))
    counts[0, 1, 1] = 12
    assert rare_classes.too_rare(counts) == (
        "necrotic core is in 1 of 10 patients: no macro score over four classes"
    )
    with pytest.raises(ValueError, match="necrotic core is in 1 of 10 patients"):
        rare_classes.intervals(counts, floating, 1)
    counts[: rare_classes.FEWEST, 1, 1] = 12
    assert not rare_classes.too_rare(counts)


def test_a_score_that_is_undefined_is_named() -> None:
    counts = np.tile(3 * np.eye(4, dtype=np.int64) + 1, (12, 1, 1))

    def late(stack: FloatArray) -> Mapping[str, FloatArray]:
        share = stack[:, 0, 0] / stack.sum(axis=(1, 2))
        return {"right": share, "lost": np.where(np.arange(len(share)) < 50, share, np.nan)}

    with pytest.raises(ValueError, match="lost is undefined in some draw"):
        rare_classes.intervals(counts, late, 1, 100)
