"""Which published scores cannot both be true, reading by reading.

A relation that holds for one set of predictions says what follows from some scores for another;
where that misses what is printed, the numbers are not of one set of predictions in that reading.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from math import floor
from typing import Literal

from gliomalib.schema import N_CLASSES
from gliomalib.scoring import forensics
from gliomalib.scoring.forensics import RULES, Rule, Span, unrounded

READINGS: Mapping[str, str] = {
    "any average": "all scores are one and the same average over classes or patients, or pooled, "
    "with one rule for 0/0",
    "mixed": "F1 is pooled over items, IoU averaged over classes: neither binds the other, "
    "as a small class may be lost whole",
    "pooled": "counts are summed over the one-hot classes before each ratio, or there is one class",
    "argmax pooled": "each item gets the most probable class; counts are pooled (micro average)",
    "argmax weighted": "each item gets one class; classes count by their frequency",
    "argmax balanced": "each item gets one class; classes are equally frequent and count equally",
    "one against the rest": "each item gets one class; accuracy is the mean over classes of 'this "
    "class or not', the other scores are pooled",
    "thresholded": "accuracy by argmax, precision and recall pooled over probabilities above 0.5",
    "proportion": "accuracy is the share of right ones among n items",
}
"""Reading → what it takes the scores to be."""


@dataclass(frozen=True)
class PrintedScores:
    """Scores as printed, as shares; None where none is printed.

    ``decimals`` are those of the share (87.65 % has 4), ``classes`` the number of classes K and
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
    what follows for the first number and ``gap`` how far that is from the numbers that print as
    published. Both are given for the first of ``rules`` or, where there is none, for the rule that
    leaves the smallest gap::

        implied             ├───────────┤
        what prints so                     ├──────┤
                                         gap
    """

    numbers: tuple[str, ...]
    reading: str
    implied: tuple[float, float]
    gap: float
    rules: tuple[Rule, ...]

    @property
    def verdict(self) -> Literal["impossible", "impossible under one reading", "possible"]:
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
    ``ValueError`` as ``unrounded`` does.
    """
    names = ("accuracy", "precision", "recall", "f1", "iou", "specificity")
    there = {name: value for name in names if (value := getattr(scores, name)) is not None}
    printed = {
        rule: {name: unrounded(value, scores.decimals, rule) for name, value in there.items()}
        for rule in RULES
    }
    checks = [
        _check(relation, printed)
        for relation in _relations(scores.classes)
        if there.keys() >= {*relation.numbers}
    ]
    if scores.accuracy is not None:
        sizes = scores.test_sizes
        checks += [_granularity(scores.accuracy, scores.decimals, n) for n in sizes]
    return checks


@dataclass(frozen=True)
class _Relation:
    """The first of the ``numbers`` follows from the others, in their order, by ``implied``."""

    numbers: tuple[str, ...]
    reading: str
    implied: Callable[..., Span]


def _relations(classes: int) -> tuple[_Relation, ...]:
    pooled_specificity = partial(forensics.pooled_specificity, classes=classes)
    argmax_specificity = partial(forensics.argmax_specificity, classes=classes)
    right_share = partial(forensics.right_share, classes=classes)

    def same(other: Span) -> Span:
        """Return what is given: the two scores are one number."""
        return other

    return (
        _Relation(("f1", "precision", "recall"), "pooled", forensics.f1_from),
        _Relation(("f1", "precision", "recall"), "any average", _mean_f1),
        _Relation(("iou", "f1"), "pooled", forensics.iou_from_f1),
        _Relation(("iou", "f1"), "any average", _mean_iou),
        _Relation(("iou", "precision", "recall"), "any average", _mean_iou_of_both),
        _Relation(("iou", "f1"), "mixed", lambda _: Span(Fraction(0), Fraction(1))),
        _Relation(("specificity", "precision", "recall"), "pooled", pooled_specificity),
        _Relation(("specificity", "accuracy"), "argmax pooled", argmax_specificity),
        _Relation(("specificity", "accuracy"), "argmax balanced", argmax_specificity),
        _Relation(("precision", "accuracy"), "argmax pooled", same),
        _Relation(("recall", "accuracy"), "argmax pooled", same),
        _Relation(("recall", "accuracy"), "argmax weighted", same),
        _Relation(("recall", "accuracy"), "argmax balanced", same),
        _Relation(("precision", "accuracy"), "one against the rest", right_share),
        _Relation(("recall", "accuracy"), "one against the rest", right_share),
        # at most one class is above 0.5, so there are no more claims than items
        _Relation(("recall", "precision"), "thresholded", lambda p: Span(Fraction(0), p.high)),
        _Relation(("accuracy", "precision", "recall"), "thresholded", _thresholded_accuracy),
    )


def _mean_f1(precision: Span, recall: Span) -> Span:
    # F1 of a class is concave in its P and R, and at least P + R − 1; both carry over to a mean
    return Span(_common(precision, recall), forensics.f1_from(precision, recall).high)


def _mean_iou(f1: Span) -> Span:
    # IoU of a class is convex in its F1, and never above it
    return Span(forensics.iou_from_f1(f1).low, f1.high)


def _mean_iou_of_both(precision: Span, recall: Span) -> Span:
    # P + R − 1 ≤ IoU ≤ min(P, R) in a class, and so for their means
    return Span(_common(precision, recall), min(precision.high, recall.high))


def _thresholded_accuracy(precision: Span, recall: Span) -> Span:
    # a hit above 0.5 is the argmax, and so is a false alarm above 0.5: R ≤ A ≤ 1 − R(1−P)/P
    return Span(recall.low, 1 - recall.low * (1 - precision.high) / precision.high)


def _common(precision: Span, recall: Span) -> Fraction:
    """Return the least share that two shares of one whole have in common."""
    return max(Fraction(0), precision.low + recall.low - 1)


def _check(relation: _Relation, printed: Mapping[Rule, Mapping[str, Span]]) -> RelationCheck:
    first, *others = relation.numbers
    implied = {
        rule: relation.implied(*(scores[name] for name in others))
        for rule, scores in printed.items()
    }
    gaps = {rule: implied[rule].gap(printed[rule][first]) for rule in RULES}
    rules = tuple(rule for rule in RULES if not gaps[rule])
    rule = min(RULES, key=gaps.__getitem__)
    bounds, gap = implied[rule].bounds, float(gaps[rule])
    return RelationCheck(relation.numbers, relation.reading, bounds, gap, rules)


def _granularity(accuracy: float, decimals: int, n: int) -> RelationCheck:
    """Compare the accuracy with the two proportions k/n around it."""
    rules = tuple(rule for rule in RULES if forensics.grim(accuracy, decimals, n, rule))
    k = min(floor(Fraction(str(float(accuracy))) * n), n - 1)
    around = [Fraction(k, n), Fraction(k + 1, n)]
    spans = [unrounded(accuracy, decimals, rule) for rule in rules[:1] or RULES]
    gap = min(span.gap(Span(share, share)) for span in spans for share in around)
    bounds = float(around[0]), float(around[1])
    numbers = ("accuracy", f"n = {n}")
    return RelationCheck(numbers, "proportion", bounds, float(gap), rules)
