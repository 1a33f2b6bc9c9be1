"""Numbers of one set of predictions are never called impossible, and those of two are found."""

from dataclasses import replace
from fractions import Fraction
from math import lcm
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gliomalib.scoring import contradictions
from gliomalib.scoring.contradictions import PrintedScores, RelationCheck
from gliomalib.scoring.forensics import RULES, Rule
from tests.rounding import printed

PAPER = PrintedScores(0.9925, 0.9930, 0.9910, 0.9919, 0.8449, 0.9976)
SIZES = st.integers(2, 5)


def matrices(k: int) -> st.SearchStrategy[Any]:
    """Return confusion matrices of few and of many items."""
    tops = (2, 300)
    return st.one_of(hnp.arrays(np.int64, (k, k), elements=st.integers(0, top)) for top in tops)


MATRICES = SIZES.flatmap(matrices)
DECIMALS = st.integers(1, 5)
RULE = st.sampled_from(RULES)
Scores = dict[str, Fraction]


def publish(scores: Scores, classes: int, decimals: int, rule: Rule) -> PrintedScores:
    """Print scores as a paper would."""
    values = {name: printed(one, decimals, rule) for name, one in scores.items()}
    return PrintedScores(**values, decimals=decimals, classes=classes)


def ratio(above: int, below: int) -> Fraction | None:
    """Return above/below, None for 0/0."""
    return Fraction(above, below) if below else None


def classwise(confusion: Any) -> list[dict[str, Fraction | None]]:
    """Return the scores of each class against the rest, exactly; None where they are 0/0."""
    total, rows = int(confusion.sum()), []
    for label in range(len(confusion)):
        tp = int(confusion[label, label])
        fn = int(confusion[label].sum()) - tp
        fp = int(confusion[:, label].sum()) - tp
        tn = total - tp - fn - fp
        rows.append(
            {
                "precision": ratio(tp, tp + fp),
                "recall": ratio(tp, tp + fn),
                "f1": ratio(2 * tp, 2 * tp + fn + fp),
                "iou": ratio(tp, tp + fn + fp),
                "specificity": ratio(tn, tn + fp),
            }
        )
    return rows


def averaged(confusion: Any, undefined: str, weights: Any) -> Scores:
    """Average the scores of the classes by ``weights``, 0/0 as 0 or left out."""
    rows, found = classwise(confusion), {}
    for name in rows[0]:
        pairs = [(row[name], int(w)) for row, w in zip(rows, weights, strict=True)]
        if undefined == "zero":
            pairs = [(one or Fraction(0), w) for one, w in pairs]
        known = [(one, w) for one, w in pairs if one is not None]
        assume(sum(w for _, w in known))
        found[name] = sum((one * w for one, w in known), Fraction(0)) / sum(w for _, w in known)
    return found


def accuracy_of(confusion: Any) -> Fraction:
    """Return the share of the diagonal."""
    return Fraction(int(np.trace(confusion)), int(confusion.sum()))


def micro(confusion: Any) -> Scores:
    """Pool the counts of the classes; items may be in a last column that is no class."""
    classes, total = len(confusion), int(confusion.sum())
    tp, claimed = int(np.trace(confusion)), int(confusion[:, :classes].sum())
    assume(claimed)
    fn, fp = total - tp, claimed - tp
    negatives = (classes - 1) * total
    return {
        "precision": Fraction(tp, claimed),
        "recall": Fraction(tp, total),
        "f1": Fraction(2 * tp, 2 * tp + fn + fp),
        "iou": Fraction(tp, tp + fn + fp),
        "specificity": Fraction(negatives - fp, negatives),
    }


def of_readings(published: PrintedScores, *readings: str) -> list[RelationCheck]:
    """Return the findings of these readings, of which there must be some for each."""
    found = [one for one in contradictions.examine(published) if one.reading in readings]
    assert {one.reading for one in found} == set(readings)
    return found


def assert_fine(published: PrintedScores, rule: Rule, *readings: str) -> None:
    """Nothing is held against true numbers, under the very rule that printed them."""
    for one in of_readings(published, *readings):
        assert rule in one.rules, one
        assert (one.verdict, one.gap) == ("possible", 0)


# --- true numbers are never called impossible


@settings(max_examples=300)
@given(MATRICES, st.sampled_from(["zero", "exclude"]), st.booleans(), DECIMALS, RULE)
def test_averages_of_real_classes_are_possible(
    confusion: Any, undefined: str, weighted: bool, decimals: int, rule: Rule
) -> None:
    assume(confusion.sum())
    rows = confusion.sum(axis=1)
    scores = averaged(confusion, undefined, rows if weighted else np.ones(len(rows)))
    published = publish(scores, len(confusion), decimals, rule)
    assert_fine(published, rule, "any average")
    if weighted:
        right = printed(accuracy_of(confusion), decimals, rule)
        assert_fine(replace(published, accuracy=right), rule, "any average", "argmax weighted")


@given(MATRICES, DECIMALS, RULE)
def test_averages_of_equally_frequent_classes_are_possible(
    confusion: Any, decimals: int, rule: Rule
) -> None:
    rows = [int(one) for one in confusion.sum(axis=1)]
    assume(min(rows) > 0)
    factors = [lcm(*rows) // one for one in rows]
    balanced = confusion.astype(object) * np.array(factors, dtype=object)[:, None]
    scores = averaged(balanced, "zero", np.ones(len(rows)))
    scores["accuracy"] = accuracy_of(balanced)
    published = publish(scores, len(confusion), decimals, rule)
    assert_fine(published, rule, "any average", "argmax balanced")


@given(MATRICES, DECIMALS, RULE)
def test_pooled_scores_of_an_argmax_are_possible(confusion: Any, decimals: int, rule: Rule) -> None:
    assume(confusion.sum())
    scores = micro(confusion) | {"accuracy": accuracy_of(confusion)}
    published = publish(scores, len(confusion), decimals, rule)
    readings: tuple[str, ...] = ("any average", "pooled", "argmax pooled", "thresholded")
    assert_fine(published, rule, *readings)


@given(MATRICES, DECIMALS, RULE)
def test_one_against_the_rest_is_possible_and_a_pooled_f1_binds_no_mean_iou(
    confusion: Any, decimals: int, rule: Rule
) -> None:
    assume(confusion.sum())
    scores, k = micro(confusion), len(confusion)
    scores["accuracy"] = 1 - (1 - accuracy_of(confusion)) * Fraction(2, k)
    assert_fine(publish(scores, k, decimals, rule), rule, "one against the rest")
    scores["iou"] = averaged(confusion, "zero", np.ones(k))["iou"]
    assert_fine(publish(scores, k, decimals, rule), rule, "mixed")


@given(SIZES.flatmap(lambda k: st.tuples(matrices(k), matrices(k))), DECIMALS, RULE)
def test_pooled_scores_above_a_threshold_are_possible(
    pair: tuple[Any, Any], decimals: int, rule: Rule
) -> None:
    # the items of the second matrix have no class above the threshold, but still an argmax
    sure, unsure = pair
    scores = micro(np.column_stack([sure, unsure.sum(axis=1)]))
    scores["accuracy"] = accuracy_of(sure + unsure)
    published = publish(scores, len(sure), decimals, rule)
    assert_fine(published, rule, "any average", "pooled", "thresholded")


# --- numbers of two sets of predictions are found


@given(MATRICES, st.sampled_from([-1, 1]), RULE)
def test_a_moved_f1_is_found(confusion: Any, direction: int, rule: Rule) -> None:
    assume(confusion.sum())
    published = publish(micro(confusion), len(confusion), 4, rule)
    assert published.f1 is not None
    moved = round(published.f1 + direction * 0.0003, 4)
    assume(0 <= moved <= 1)
    found = of_readings(replace(published, f1=moved), "pooled")
    f1 = next(one for one in found if one.numbers == ("f1", "precision", "recall"))
    assert f1.verdict == "impossible under one reading"
    assert 0 < f1.gap <= 0.0003


@given(MATRICES, RULE)
def test_an_iou_that_no_average_gives_is_found(confusion: Any, rule: Rule) -> None:
    assume(confusion.sum())
    scores = averaged(confusion, "zero", np.ones(len(confusion)))
    least = float(scores["f1"] / (2 - scores["f1"]))
    assume(least > 0.01)
    published = publish(scores, len(confusion), 4, rule)
    for iou in (round(least - 0.002, 4), round(float(scores["f1"]) + 0.002, 4)):
        if iou <= 1:
            found = of_readings(replace(published, iou=iou), "any average")
            pair = next(one for one in found if one.numbers == ("iou", "f1"))
            assert pair.verdict == "impossible"


# --- the paper


def verdicts(published: PrintedScores) -> dict[tuple[tuple[str, ...], str], RelationCheck]:
    """Return the findings by their numbers and reading."""
    return {(one.numbers, one.reading): one for one in contradictions.examine(published)}


def test_printed_one_against_the_rest_the_accuracy_of_the_paper_is_98_5_percent() -> None:
    one = verdicts(PAPER)[("recall", "accuracy"), "one against the rest"]
    assert one.implied == pytest.approx((0.985, 0.9852), abs=1e-9)
    assert one.verdict == "impossible under one reading", "a pooled recall would print as 98.5 %"
    assert verdicts(PAPER)[("iou", "f1"), "mixed"].verdict == "possible"


def test_the_iou_of_the_paper_belongs_to_no_average_of_the_same_predictions() -> None:
    found = verdicts(PAPER)
    for numbers in (("iou", "f1"), ("iou", "precision", "recall")):
        one = found[numbers, "any average"]
        assert (one.verdict, one.rules) == ("impossible", ())
        assert one.gap == pytest.approx(0.139, abs=1e-3)
        assert one.implied[0] == pytest.approx(0.984, abs=2e-4)
    pooled = found[("iou", "f1"), "pooled"]
    assert pooled.verdict == "impossible under one reading"
    assert pooled.implied == pytest.approx((0.9838, 0.9840), abs=1e-4)


def test_the_f1_of_the_paper_is_possible_if_only_just() -> None:
    # 2PR/(P+R) of the printed numbers is 0.991999: 0.9920 to the nearest, 0.9919 cut off
    found = verdicts(PAPER)
    pooled = found[("f1", "precision", "recall"), "pooled"]
    assert pooled.verdict == "possible"
    assert pooled.rules == RULES
    # the mean of the F1 of several classes may lie anywhere below
    loose = found[("f1", "precision", "recall"), "any average"]
    assert loose.verdict == "possible"
    above = verdicts(replace(PAPER, f1=0.9922))
    assert above[("f1", "precision", "recall"), "any average"].verdict == "impossible"


def test_the_specificity_of_the_paper_is_possible_when_digits_were_dropped() -> None:
    found = verdicts(PAPER)
    pooled = found[("specificity", "precision", "recall"), "pooled"]
    assert (pooled.verdict, pooled.rules) == ("possible", ("truncated",))
    for reading in ("argmax pooled", "argmax balanced"):
        one = found[("specificity", "accuracy"), reading]
        assert one.verdict == "impossible under one reading"
        assert one.implied == pytest.approx((0.9975, 0.9975), abs=5e-5)


def excluded_by_three(scores: PrintedScores) -> tuple[str, ...]:
    """Return the readings that accuracy, precision and recall alone exclude."""
    three = replace(scores, f1=None, iou=None, specificity=None, test_sizes=())
    checks = contradictions.examine(three)
    return tuple(dict.fromkeys(one.reading for one in checks if one.verdict != "possible"))


def test_the_order_of_the_paper_excludes_an_argmax_with_frequencies() -> None:
    assert excluded_by_three(PAPER) == (
        "argmax pooled",
        "argmax weighted",
        "argmax balanced",
        "one against the rest",
    )
    found = verdicts(PAPER)
    assert found[("accuracy", "precision", "recall"), "thresholded"].verdict == "possible"
    assert found[("recall", "accuracy"), "argmax pooled"].gap == pytest.approx(0.0014)
    assert found[("precision", "accuracy"), "argmax pooled"].gap == pytest.approx(0.0004)


LAST = ("one against the rest", "thresholded")


@pytest.mark.parametrize(
    ("scores", "excluded"),
    [
        ((0.99, 0.99, 0.99), ("one against the rest",)),
        (
            (0.98, 0.99, 0.985),
            ("argmax pooled", "argmax weighted", "argmax balanced", *LAST),
        ),
        ((0.99, 0.98, 0.99), ("argmax pooled", *LAST)),
        (
            (0.999, 0.99, 0.98),
            ("argmax pooled", "argmax weighted", "argmax balanced", *LAST),
        ),
    ],
)
def test_other_orders_exclude_other_readings(
    scores: tuple[float, float, float], excluded: tuple[str, ...]
) -> None:
    assert excluded_by_three(PrintedScores(*scores, decimals=3)) == excluded


def test_no_held_out_fifth_gives_the_accuracy_of_the_paper() -> None:
    sizes = (57, 67, 73, 74, 124, 130, 131, 140, 141, 197, 198)
    found = of_readings(replace(PAPER, test_sizes=sizes), "proportion")
    assert [one.numbers for one in found] == [("accuracy", f"n = {n}") for n in sizes]
    assert {one.verdict for one in found} == {"impossible under one reading"}
    closest = min(found, key=lambda one: one.gap)
    assert closest.numbers[1] == "n = 131"
    assert closest.implied == (130 / 131, 1)
    assert closest.gap == pytest.approx(0.99245 - 130 / 131)
    assert of_readings(replace(PAPER, test_sizes=(134,)), "proportion")[0].rules == RULES


@pytest.mark.parametrize(
    ("accuracy", "n", "around"), [(1.0, 5, (0.8, 1.0)), (0.29, 100, (0.29, 0.3)), (0.5, 1, (0, 1))]
)
def test_the_proportions_around_an_accuracy_are_told(
    accuracy: float, n: int, around: tuple[float, float]
) -> None:
    published = PrintedScores(accuracy, decimals=2, test_sizes=(n,))
    assert of_readings(published, "proportion")[0].implied == around


# --- what is asked


def test_only_printed_scores_are_examined() -> None:
    assert contradictions.examine(PrintedScores()) == []
    assert contradictions.examine(PrintedScores(f1=0.9, test_sizes=(10,), decimals=1)) == []
    pair = contradictions.examine(PrintedScores(f1=0.9919, iou=0.8449))
    assert {one.numbers for one in pair} == {("iou", "f1")}


def test_every_reading_is_explained() -> None:
    found = contradictions.examine(replace(PAPER, test_sizes=(57,)))
    assert {one.reading for one in found} == set(contradictions.READINGS)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"accuracy": 99.25}, "as a share"),
        ({"f1": 0.99191}, "more than 4 decimals"),
        ({"test_sizes": (0,)}, "n is 0"),
    ],
)
def test_what_cannot_be_published_is_refused(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        contradictions.examine(replace(PAPER, **change))
