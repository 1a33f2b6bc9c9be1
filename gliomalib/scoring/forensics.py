"""What a published score can mean, in exact arithmetic of printed numbers.

A printed score stands for every number that prints as it, so the functions take and give spans:
``unrounded`` makes one of a printed score, relations between scores carry it over to another.
"""

from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor
from typing import Literal, Self, get_args

Rule = Literal["rounded", "truncated"]
"""How digits were cut: to the nearest, whatever becomes of ties, or by dropping them."""

RULES: tuple[Rule, ...] = get_args(Rule)


@dataclass(frozen=True)
class Span:
    """All numbers between two exact ends.

    Both ends count as possible, also where a tie prints as the neighbour: what misses such a span
    is impossible by any rule for ties.
    """

    low: Fraction
    high: Fraction

    @property
    def bounds(self) -> tuple[float, float]:
        """Both ends as floats."""
        return float(self.low), float(self.high)

    def gap(self, other: Self) -> Fraction:
        """Return the distance to ``other``, 0 where some number lies in both."""
        return max(Fraction(0), other.low - self.high, self.low - other.high)


def unrounded(value: float, decimals: int, rule: Rule) -> Span:
    """Return the shares that print as ``value`` with ``decimals`` digits under ``rule``.

    The value is taken as it is written, 0.95 as 95/100. Raises ``ValueError`` for a value
    outside of 0–1 or with more digits, and for an unknown rule.
    """
    # the shortest decimal that is this float is what was printed; the float itself is not that
    exact, unit = Fraction(str(float(value))), Fraction(1, 10**decimals)
    if not 0 <= exact <= 1:
        raise ValueError(f"a score is {value}; give it as a share in 0–1, 0.95 for 95 %")
    if exact / unit % 1:
        raise ValueError(f"{value} has more than {decimals} decimals; give as many as are printed")
    if rule not in RULES:
        raise ValueError(f"rule is {rule!r}; choose one of {', '.join(map(repr, RULES))}")
    below, above = (Fraction(0), unit) if rule == "truncated" else (unit / 2, unit / 2)
    return Span(max(Fraction(0), exact - below), min(Fraction(1), exact + above))


def grim(value: float, decimals: int, n: int, rule: Rule) -> range:
    """Return the counts k for which k/n prints as ``value``; an empty range: there is none.

    Granularity test of Brown and Heathers (2017, doi:10.1177/1948550616673876), for a proportion.
    Raises ``ValueError`` as ``unrounded`` does and for n below 1.
    """
    if n < 1:
        raise ValueError(f"n is {n}; a proportion needs at least one item")
    span = unrounded(value, decimals, rule)
    # a share at the upper end of what is cut to a value prints as the next one
    cut = rule == "truncated" and value < 1
    last = ceil(span.high * n) - 1 if cut else floor(span.high * n)
    return range(ceil(span.low * n), last + 1)


def held_out(volumes: int) -> tuple[int, ...]:
    """Return the sizes that a fifth of ``volumes`` can have: rounded down and up.

    Rounding to the nearest gives one of the two, whatever it does with ties.
    """
    return tuple(sorted({volumes // 5, -(-volumes // 5)}))


def f1_from(precision: Span, recall: Span) -> Span:
    """Return 2PR/(P+R), the F1 of one class or of pooled counts.

    The mean F1 of several classes lies below the value for their mean precision and recall
    (Opitz and Burst 2019, arXiv 1911.03347).
    """
    ends = ((precision.low, recall.low), (precision.high, recall.high))
    # the harmonic mean, 0 where both are 0
    low, high = (2 * p * r / (p + r) if p + r else Fraction(0) for p, r in ends)
    return Span(low, high)


def iou_from_f1(f1: Span) -> Span:
    """Return F/(2−F), the IoU of one class or of pooled counts (Taha and Hanbury 2015).

    doi:10.1186/s12880-015-0068-x; F1 and Dice are one number there.
    """
    return Span(f1.low / (2 - f1.low), f1.high / (2 - f1.high))


def pooled_specificity(precision: Span, recall: Span, classes: int) -> Span:
    """Return 1 − R(1−P)/((K−1)P), the specificity of counts pooled over K ≥ 2 one-hot classes.

    N items have N true and (K−1)N false entries. Of them RN are hits, so RN(1−P)/P are false
    alarms, and they are what the specificity misses.
    """

    def specificity(p: Fraction, r: Fraction) -> Fraction:
        """Return the specificity that a precision and a recall imply."""
        return 1 - r * (1 - p) / ((classes - 1) * p)

    # it rises with the precision and falls with the recall: each end takes one of each
    high = specificity(precision.high, recall.low)
    # no bound follows from a precision of 0 but that a specificity is not negative
    low = specificity(precision.low, recall.high) if precision.low else min(Fraction(0), high)
    return Span(low, high)


def argmax_specificity(accuracy: Span, classes: int) -> Span:
    """Return 1 − (1−A)/(K−1), the specificity where each item gets exactly one of K ≥ 2 classes.

    Each wrong item is one false alarm among the (K−1)N false entries. This is the micro average,
    and the macro average where the K classes are equally frequent: each then has (K−1)N/K
    negatives, and the mean of the false alarm rates is the pooled one.
    """
    low, high = (1 - (1 - end) / (classes - 1) for end in (accuracy.low, accuracy.high))
    return Span(low, high)


def right_share(binary: Span, classes: int) -> Span:
    """Return 1 − (1−a)·K/2, the share of right items behind a one-against-the-rest accuracy a.

    Each item gets one of K classes, and a is the mean over classes of "this class or not". A wrong
    item is wrong for two of the K classes, so a = 1 − (1−A)·2/K.
    """
    ends = (binary.low, binary.high)
    low, high = (max(Fraction(0), 1 - (1 - end) * classes / 2) for end in ends)
    return Span(low, high)


def least_dice(mean_iou: float) -> Fraction:
    """Return the least mean Dice of three sub-regions behind a true mean IoU.

    The mean is over them and a perfect background, so the sum of their IoU is 4·mean − 1. Dice is
    concave in IoU, 2I/(1+I): its mean is least where as many as possible are perfect and the rest
    empty but for one. Raises ``ValueError`` where no IoU in 0–1 give the mean.
    """
    total = 4 * Fraction(str(float(mean_iou))) - 1
    if not 0 <= total <= 3:
        raise ValueError(
            f"a mean IoU of {mean_iou} needs sub-regions of {float(total / 3):.4f} beside a "
            "perfect background; the IoU lies in 0–1"
        )
    part = total - floor(total)
    return (floor(total) + 2 * part / (1 + part)) / 3
