"""Which published scores cannot both be true, reading by reading.

A relation that holds for one set of predictions says what follows from some scores for another;
where that misses what is printed, the numbers are not of one set of predictions in that reading.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from math import floor
from typing import Literal

from gliomalib.schema import N_CLASSES
from gliomalib.scoring import forensics
from gliomalib.scoring.forensics import RULES, End, Rule, Span, unrounded

Consistency = Literal["impossible", "impossible under one reading", "possible"]

Reading = Literal[
    "any average",
    "pooled",
    "argmax pooled",
    "argmax weighted",
    "argmax balanced",
    "thresholded",
    "proportion",
]

READINGS: Mapping[Reading, str] = {
    "any average": "all scores are one and the same average over classes or patients, or pooled, "
    "with one rule for 0/0",
    "pooled": "counts are summed over the one-hot classes before each ratio, or there is one class",
    "argmax pooled": "each item gets the most probable class; counts are pooled (micro average)",
    "argmax weighted": "each item gets one class; classes count by their frequency",
    "argmax balanced": "each item gets one class; classes are equally frequent and count equally",
    "thresholded": "accuracy by argmax, precision and recall pooled over probabilities above 0.5",
    "proportion": "accuracy is the share of right ones among n items",
}
"""What each reading takes the scores to be."""

_SCORES = ("accuracy", "precision", "recall", "f1", "iou", "specificity")

Scores = Mapping[str, Span]
"""Name of a printed score → the numbers that print as it."""


@dataclass(frozen=True)
class PrintedScores:
    """Scores as printed, as shares; None where none is printed.

    ``decimals`` are those of the share (99.25 % has 4), ``classes`` the number of classes K and
    ``test_sizes`` the numbers of test items that come into question.
    """

    accuracy: float | None = None
    precision: float | None = None
    recall: float | None = None
    f1: float | None = None
    iou: float | None = None
    specificity: float | None = None
    decimals: int = 4
    classes: int = N_CLASSES
    test_sizes: tuple[int, ...] = ()


@dataclass(frozen=True)
class RelationCheck:
    """What one relation says of the ``numbers``, the first of which follows from the others.

    ``rules`` are those of rounding under which all of them can be true together. ``implied`` is
    what follows for the first number; ``gap`` and ``overlap`` are how far that is from, and how
    much of it is among, the numbers that print as published. They are given for the first of
    ``rules`` or, where there is none, for the rule that leaves the smallest gap. A printed number
    of 4 decimals stands for a length of 0.0001, so a much shorter overlap is a narrow escape.
    ``n`` is the number of items of a proportion, 0 in all other readings::

        what follows        ├───────────┤                     ├─────┤
        what prints as it                  ├──────┤               ├──────┤
                                         gap                      overlap
    """

    numbers: tuple[str, ...]
    reading: Reading
    implied: tuple[float, float]
    gap: float
    overlap: float
    rules: tuple[Rule, ...]
    n: int = 0

    @property
    def verdict(self) -> Consistency:
        """Possible under some rule of rounding, or impossible.

        ``impossible`` is so under every average that the numbers share. Numbers that were
        averaged in different ways, or are of different predictions, are bound by no relation.
        """
        if self.rules:
            return "possible"
        return "impossible" if self.reading == "any average" else "impossible under one reading"


def examine(scores: PrintedScores) -> list[RelationCheck]:
    """Return what each relation says of the printed scores, possible ones included.

    Every relation among scores that are printed is tried with the same rule of rounding for all,
    under each of ``RULES``; a pair of scores may be bound by several, one for each reading. Raises
    ``ValueError`` as ``unrounded`` does and for fewer than two classes.
    """
    values = {name: getattr(scores, name) for name in _SCORES}
    there = {name: value for name, value in values.items() if value is not None}
    printed = {
        rule: {name: unrounded(value, scores.decimals, rule) for name, value in there.items()}
        for rule in RULES
    }
    checks = [
        _check(relation, printed, scores.classes)
        for relation in _RELATIONS
        if there.keys() >= {*relation.numbers}
    ]
    if scores.accuracy is not None:
        sizes = scores.test_sizes
        checks += [_granularity(scores.accuracy, scores.decimals, n) for n in sizes]
    return checks


def excluded_readings(scores: PrintedScores) -> tuple[Reading, ...]:
    """Return the readings that accuracy, precision and recall alone exclude.

    Where each item gets one class, pooling makes the three equal and weighting by frequency
    makes recall the accuracy, so recall < accuracy < precision excludes both. Thresholding at 0.5
    gives recall ≤ accuracy always, and the order where the items without a class above 0.5 are
    wrong more often than the rest. A macro average over unequal classes can give any order and is
    never excluded here.
    """
    three = replace(scores, f1=None, iou=None, specificity=None, test_sizes=())
    excluded = [check.reading for check in examine(three) if check.verdict != "possible"]
    return tuple(dict.fromkeys(excluded))


@dataclass(frozen=True)
class _Relation:
    """``numbers`` of which the first follows from the others, by ``implied`` (scores, classes)."""

    numbers: tuple[str, ...]
    reading: Reading
    implied: Callable[[Scores, int], Span]


def _f1(scores: Scores, _: int) -> Span:
    return forensics.f1_from(scores["precision"], scores["recall"])


def _mean_f1(scores: Scores, classes: int) -> Span:
    # F1 of a class is concave in its P and R, and at least P + R − 1; both carry over to a mean
    least = forensics.carried(_overlap, scores["precision"].low, scores["recall"].low)
    return Span(least, _f1(scores, classes).high)


def _mean_iou(scores: Scores, _: int) -> Span:
    # IoU of a class is convex in its F1, and never above it
    return Span(forensics.iou_from_f1(scores["f1"]).low, scores["f1"].high)


def _mean_iou_of_both(scores: Scores, _: int) -> Span:
    # P + R − 1 ≤ IoU ≤ min(P, R) in a class, and so for their means
    precision, recall = scores["precision"], scores["recall"]
    most = min(precision.high.value, recall.high.value)
    return Span(forensics.carried(_overlap, precision.low, recall.low), End(most))


def _specificity(scores: Scores, classes: int) -> Span:
    return forensics.pooled_specificity(scores["precision"], scores["recall"], classes)


def _argmax_specificity(scores: Scores, classes: int) -> Span:
    return forensics.argmax_specificity(scores["accuracy"], classes)


def _accuracy(scores: Scores, _: int) -> Span:
    return scores["accuracy"]


def _at_most_precision(scores: Scores, _: int) -> Span:
    # at most one class is above 0.5, so there are no more claims than items
    return Span(End(Fraction(0)), scores["precision"].high)


def _thresholded_accuracy(scores: Scores, _: int) -> Span:
    # a hit above 0.5 is the argmax, and so is a false alarm above 0.5: R ≤ A ≤ 1 − R(1−P)/P
    precision, recall = scores["precision"].high.value, scores["recall"].low
    return Span(recall, End(1 - recall.value * (1 - precision) / precision))


_RELATIONS = (
    _Relation(("f1", "precision", "recall"), "pooled", _f1),
    _Relation(("f1", "precision", "recall"), "any average", _mean_f1),
    _Relation(("iou", "f1"), "pooled", lambda scores, _: forensics.iou_from_f1(scores["f1"])),
    _Relation(("iou", "f1"), "any average", _mean_iou),
    _Relation(("iou", "precision", "recall"), "any average", _mean_iou_of_both),
    _Relation(("specificity", "precision", "recall"), "pooled", _specificity),
    _Relation(("specificity", "accuracy"), "argmax pooled", _argmax_specificity),
    _Relation(("specificity", "accuracy"), "argmax balanced", _argmax_specificity),
    _Relation(("precision", "accuracy"), "argmax pooled", _accuracy),
    _Relation(("recall", "accuracy"), "argmax pooled", _accuracy),
    _Relation(("recall", "accuracy"), "argmax weighted", _accuracy),
    _Relation(("recall", "accuracy"), "argmax balanced", _accuracy),
    _Relation(("recall", "precision"), "thresholded", _at_most_precision),
    _Relation(("accuracy", "precision", "recall"), "thresholded", _thresholded_accuracy),
)


def _overlap(precision: Fraction, recall: Fraction) -> Fraction:
    return max(Fraction(0), precision + recall - 1)


def _check(relation: _Relation, printed: Mapping[Rule, Scores], classes: int) -> RelationCheck:
    first = relation.numbers[0]
    implied = {rule: relation.implied(scores, classes) for rule, scores in printed.items()}
    gaps = {rule: implied[rule].gap(printed[rule][first]) for rule in RULES}
    rules = tuple(rule for rule in RULES if implied[rule].meets(printed[rule][first]))
    shown = rules[0] if rules else min(RULES, key=gaps.__getitem__)
    return RelationCheck(
        numbers=relation.numbers,
        reading=relation.reading,
        implied=implied[shown].bounds,
        gap=float(gaps[shown]),
        overlap=float(implied[shown].overlap(printed[shown][first])),
        rules=rules,
    )


def _granularity(accuracy: float, decimals: int, n: int) -> RelationCheck:
    """Compare the accuracy with the two proportions k/n around it."""
    rules = tuple(rule for rule in RULES if forensics.grim(accuracy, decimals, n, rule))
    k = min(floor(Fraction(str(float(accuracy))) * n), n - 1)
    around = [Fraction(k, n), Fraction(k + 1, n)]
    spans = [unrounded(accuracy, decimals, rule) for rule in rules[:1] or RULES]
    gap = min(span.gap(Span(End(share), End(share))) for span in spans for share in around)
    bounds = float(around[0]), float(around[1])
    numbers = ("accuracy", f"n = {n}")
    return RelationCheck(numbers, "proportion", bounds, float(gap), 0.0, rules, n)
