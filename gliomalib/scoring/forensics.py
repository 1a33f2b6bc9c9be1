"""What a published score can mean, in exact arithmetic of printed numbers.

A printed score stands for every number that prints as it, so the functions take and give spans:
``unrounded`` makes one of a printed score, relations between scores carry it over to another.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor
from typing import Literal, get_args

Rule = Literal["half up", "half even", "truncate"]
"""How digits were cut: to the nearest with ties up or to the even digit, or by dropping them."""

RULES: tuple[Rule, ...] = get_args(Rule)


@dataclass(frozen=True)
class End:
    """One end of a span; an ``open`` end is itself no possible value."""

    value: Fraction
    open: bool = False


@dataclass(frozen=True)
class Span:
    """All numbers between two exact ends."""

    low: End
    high: End

    @property
    def bounds(self) -> tuple[float, float]:
        """Both ends as floats."""
        return float(self.low.value), float(self.high.value)

    def meets(self, other: Span) -> bool:
        """Say whether some number lies in both."""
        return _below(self.low, other.high) and _below(other.low, self.high)

    def gap(self, other: Span) -> Fraction:
        """Return the distance to ``other``, 0 where they touch."""
        below, above = other.low.value - self.high.value, self.low.value - other.high.value
        return max(Fraction(0), below, above)


@dataclass(frozen=True)
class NeededDice:
    """Bounds of the mean Dice of the sub-regions."""

    least: float
    most: float


def unrounded(value: float, decimals: int, rule: Rule) -> Span:
    """Return the shares that print as ``value`` with ``decimals`` digits under ``rule``.

    The value is taken as it is written, 0.9925 as 9925/10000. Raises ``ValueError`` for a value
    outside of 0–1 or with more digits, and for an unknown rule.
    """
    # the shortest decimal that is this float is what was printed; the float itself is not 0.9925
    exact, unit = Fraction(str(float(value))), Fraction(1, 10**decimals)
    if not 0 <= exact <= 1:
        raise ValueError(f"a score is {value}; give it as a share in 0–1, 0.9925 for 99.25 %")
    if exact / unit % 1:
        raise ValueError(f"{value} has more than {decimals} decimals; give as many as are printed")
    if rule not in RULES:
        raise ValueError(f"rule is {rule!r}; choose one of {', '.join(map(repr, RULES))}")
    if rule == "truncate":
        low, high = End(exact), End(exact + unit, open=True)
    else:
        # an odd last digit gives both of its ties away to its even neighbours
        leaves_ties = rule == "half even" and exact / unit % 2 == 1
        low = End(exact - unit / 2, open=leaves_ties)
        high = End(exact + unit / 2, open=leaves_ties or rule == "half up")
    return Span(
        End(Fraction(0)) if low.value < 0 else low, End(Fraction(1)) if high.value > 1 else high
    )


def grim(value: float, decimals: int, n: int, rule: Rule) -> range:
    """Return the counts k for which k/n prints as ``value``; an empty range: there is none.

    Granularity test of Brown and Heathers (2017, doi:10.1177/1948550616673876), for a proportion.
    Raises ``ValueError`` as ``unrounded`` does and for n below 1.
    """
    if n < 1:
        raise ValueError(f"n is {n}; a proportion needs at least one item")
    span = unrounded(value, decimals, rule)
    low, high = span.low.value * n, span.high.value * n
    first = floor(low) + 1 if span.low.open else ceil(low)
    last = ceil(high) - 1 if span.high.open else floor(high)
    return range(first, last + 1)


def held_out(volumes: int, percent: int = 20) -> tuple[int, ...]:
    """Return the sizes that ``percent`` of ``volumes`` can have: rounded down and up.

    Rounding to the nearest gives one of the two, whatever it does with ties.
    """
    return tuple(sorted({volumes * percent // 100, -(-volumes * percent // 100)}))


def f1_from(precision: Span, recall: Span) -> Span:
    """Return 2PR/(P+R), the F1 of one class or of pooled counts.

    The mean F1 of several classes lies below the value for their mean precision and recall
    (Opitz and Burst 2019, arXiv 1911.03347).
    """

    def f1(p: Fraction, r: Fraction) -> Fraction:
        return 2 * p * r / (p + r) if p + r else Fraction(0)

    return Span(carried(f1, precision.low, recall.low), carried(f1, precision.high, recall.high))


def iou_from_f1(f1: Span) -> Span:
    """Return F/(2−F), the IoU of one class or of pooled counts (Taha and Hanbury 2015).

    doi:10.1186/s12880-015-0068-x; F1 and Dice are one number there.
    """

    def iou(f: Fraction) -> Fraction:
        return f / (2 - f)

    return Span(carried(iou, f1.low), carried(iou, f1.high))


def pooled_specificity(precision: Span, recall: Span, classes: int) -> Span:
    """Return 1 − R(1−P)/((K−1)P), the specificity of counts pooled over K one-hot classes.

    N items have N true and (K−1)N false entries. Of them RN are hits, so RN(1−P)/P are false
    alarms, and they are what the specificity misses. Raises ``ValueError`` for K below 2.
    """
    check_classes(classes)

    def specificity(p: Fraction, r: Fraction) -> Fraction:
        return 1 - r * (1 - p) / ((classes - 1) * p)

    # it rises with the precision and falls with the recall: each end takes one of each
    high = carried(specificity, precision.high, recall.low)
    if precision.low.value == 0:
        # no bound follows from a precision of 0 but that a specificity is not negative
        return Span(End(min(Fraction(0), high.value)), high)
    return Span(carried(specificity, precision.low, recall.high), high)


def argmax_specificity(accuracy: Span, classes: int) -> Span:
    """Return 1 − (1−A)/(K−1), the specificity where each item gets exactly one of K classes.

    Each wrong item is one false alarm among the (K−1)N false entries. This is the micro average,
    and the macro average where the K classes are equally frequent: each then has (K−1)N/K
    negatives, and the mean of the false alarm rates is the pooled one. Raises ``ValueError`` for
    K below 2.
    """
    check_classes(classes)

    def specificity(a: Fraction) -> Fraction:
        return 1 - (1 - a) / (classes - 1)

    return Span(carried(specificity, accuracy.low), carried(specificity, accuracy.high))


def right_share(binary: Span, classes: int) -> Span:
    """Return 1 − (1−a)·K/2, the share of right items behind a one-against-the-rest accuracy a.

    Each item gets one of K classes, and a is the mean over classes of "this class or not". A wrong
    item is wrong for two of the K classes, so a = 1 − (1−A)·2/K. Raises ``ValueError`` for K below
    2.
    """
    check_classes(classes)

    def right(a: Fraction) -> Fraction:
        return max(Fraction(0), 1 - (1 - a) * classes / 2)

    return Span(carried(right, binary.low), carried(right, binary.high))


def needed_dice(mean_iou: float, background_iou: float, regions: int = 3) -> NeededDice:
    """Return the Dice that the sub-regions need for a true mean IoU over background and regions.

    Their mean IoU x is fixed, ((regions + 1)·mean − background)/regions. Dice is concave in IoU,
    2I/(1+I), so the mean Dice is at most that of x, where all are equal, and least where as many
    as possible are perfect and the rest empty but for one. Raises ``ValueError`` where no x in
    0–1 gives the mean.
    """
    mean, background = (Fraction(str(float(iou))) for iou in (mean_iou, background_iou))
    total = (regions + 1) * mean - background
    if not 0 <= total <= regions:
        raise ValueError(
            f"a mean IoU of {mean_iou} with a background of {background_iou} needs sub-regions "
            f"of {float(total / regions):.4f}; the IoU lies in 0–1"
        )
    least = (floor(total) + _f1_of_iou(total - floor(total))) / regions
    return NeededDice(float(least), float(_f1_of_iou(total / regions)))


def carried(function: Callable[..., Fraction], *ends: End) -> End:
    """Return the end to which a strictly monotone ``function`` carries the ends of spans.

    It is open where one of them is, but for 0 and 1: a score reaches those whatever else is open,
    as the F1 of a recall of 0 does.
    """
    value = function(*(end.value for end in ends))
    return End(value, any(end.open for end in ends) and value not in (0, 1))


def _f1_of_iou(iou: Fraction) -> Fraction:
    return 2 * iou / (1 + iou)


def _below(low: End, high: End) -> bool:
    touching = low.value == high.value and not (low.open or high.open)
    return low.value < high.value or touching


def check_classes(classes: int) -> None:
    """Raise ``ValueError`` for fewer than two classes."""
    if classes < 2:
        raise ValueError(f"there are {classes} classes; one against the rest needs at least 2")
