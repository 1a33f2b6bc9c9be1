"""Printed numbers stand for exact spans, and relations between scores carry the spans over."""

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gliomalib.scoring import forensics
from gliomalib.scoring.forensics import RULES, Rule, Span, unrounded
from tests.rounding import TIES, printed

VOLUMES = (285, 335, 369, 620, 654, 704, 989)


def exactly(share: Fraction) -> Span:
    """Return the span of one number."""
    return Span(share, share)


# --- what a printed number stands for


@given(
    st.integers(0, 10**6),
    st.integers(1, 10**6),
    st.integers(0, 6),
    st.sampled_from(RULES),
    st.sampled_from(TIES),
)
def test_a_share_is_in_the_span_of_its_print_and_at_most_at_the_end_of_another(
    k: int, n: int, decimals: int, rule: Rule, ties: str
) -> None:
    share = Fraction(min(k, n), n)
    value = printed(share, decimals, rule, ties)
    assert not unrounded(value, decimals, rule).gap(exactly(share))
    unit = Fraction(1, 10**decimals)
    for other in (Fraction(str(value)) - unit, Fraction(str(value)) + unit):
        if 0 <= other <= 1:
            span = unrounded(float(other), decimals, rule)
            assert span.gap(exactly(share)) or share in (span.low, span.high)


@pytest.mark.parametrize("value", [0.0, 1.0])
@pytest.mark.parametrize("rule", RULES)
def test_no_share_lies_outside_of_zero_to_one(value: float, rule: Rule) -> None:
    low, high = unrounded(value, 2, rule).bounds
    assert 0 <= low <= value <= high <= 1


@pytest.mark.parametrize(
    ("value", "decimals", "said"),
    [
        (99.25, 4, "as a share"),
        (-0.1, 1, "as a share"),
        (0.99253, 4, "more than 4 decimals"),
        (0.1 + 0.2, 1, "more than 1 decimals"),
    ],
)
def test_what_is_no_printed_share_is_refused(value: float, decimals: int, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        unrounded(value, decimals, "rounded")


def test_an_unknown_rule_is_refused() -> None:
    rule: Any = "up"
    with pytest.raises(ValueError, match="rule is 'up'; choose one of 'rounded'"):
        unrounded(0.5, 1, rule)


def test_spans_that_touch_have_no_gap() -> None:
    half = Fraction(1, 2)
    lower, upper = Span(Fraction(0), half), Span(half, Fraction(1))
    assert lower.gap(upper) == upper.gap(lower) == 0
    far = Span(Fraction(3, 4), Fraction(1))
    assert lower.gap(far) == far.gap(lower) == Fraction(1, 4)
    assert upper.gap(far) == far.gap(upper) == 0


# --- granularity


@given(st.integers(0, 1000), st.integers(1, 300), st.integers(0, 4), st.sampled_from(RULES))
def test_grim_is_brute_force_over_k(thousandths: int, n: int, decimals: int, rule: Rule) -> None:
    value = printed(Fraction(thousandths, 1000), decimals, "truncated")
    prints = [
        {printed(Fraction(k, n), decimals, rule, ties) for ties in TIES} for k in range(n + 1)
    ]
    slow = [k for k in range(n + 1) if value in prints[k]]
    # a tie next to the value may print as it by a rule that no share here was printed by
    for k in {*forensics.grim(value, decimals, n, rule)} ^ {*slow}:
        assert abs(Fraction(k, n) - Fraction(str(value))) == Fraction(1, 2 * 10**decimals)


def test_grim_falls_into_no_trap_of_floats() -> None:
    assert list(forensics.grim(0.285, 3, 200, "truncated")) == [57]
    assert list(forensics.grim(0.29, 2, 100, "truncated")) == [29]
    assert list(forensics.grim(1, 2, 100, "truncated")) == [100]
    assert list(forensics.grim(0.13, 2, 8, "rounded")) == [1]
    assert list(forensics.grim(0.12, 2, 8, "rounded")) == [1]
    assert list(forensics.grim(0.52, 2, 28, "rounded")) == []


def test_a_fifth_is_rounded_in_every_way() -> None:
    assert forensics.held_out(285) == (57,)
    assert forensics.held_out(369) == (73, 74)
    for volumes in VOLUMES:
        assert {round(volumes / 5), volumes // 5} <= {*forensics.held_out(volumes)}


def test_a_proportion_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="n is 0"):
        forensics.grim(0.5, 1, 0, "rounded")


# --- relations between scores


def test_a_precision_that_may_be_zero_bounds_nothing_below() -> None:
    precision, recall = unrounded(0, 1, "rounded"), exactly(Fraction(1, 50))
    low, high = forensics.pooled_specificity(precision, recall, 4).bounds
    assert low == 0
    assert high == pytest.approx(1 - 0.02 * 0.95 / (3 * 0.05))


def test_the_iou_of_an_f1_is_its_textbook_value() -> None:
    # I/(2 − I) undoes F = 2I/(1 + I): 1/13 and 5/9 of 1/7 and 5/7
    found = forensics.iou_from_f1(Span(Fraction(1, 7), Fraction(5, 7)))
    assert found == Span(Fraction(1, 13), Fraction(5, 9))
    whole = Span(Fraction(0), Fraction(1))
    assert forensics.iou_from_f1(whole) == whole


def test_the_f1_of_nothing_is_nothing() -> None:
    nothing = exactly(Fraction(0))
    assert forensics.f1_from(nothing, nothing) == nothing
    assert forensics.f1_from(Span(Fraction(1, 4), Fraction(1, 2)), nothing) == nothing


# --- the Dice that an IoU needs


def test_the_iou_of_the_paper_needs_the_dice_of_the_winners() -> None:
    assert float(forensics.least_dice(0.8449)) == pytest.approx(0.8501, abs=1e-4)


@given(st.lists(st.integers(0, 100), min_size=3, max_size=3))
def test_no_real_dice_is_lower(hundredths: list[int]) -> None:
    ious = [Fraction(number, 100) for number in hundredths]
    dice = [float(2 * iou / (1 + iou)) for iou in ious]
    least = forensics.least_dice(float((1 + sum(ious, Fraction(0))) / 4))
    assert float(least) - 1e-12 <= sum(dice) / 3


@pytest.mark.parametrize("ious", [(1, 0.5, 0), (1, 1, 0.25), (0.3, 0, 0), (1, 1, 1), (0, 0, 0)])
def test_the_least_dice_is_reached(ious: tuple[float, ...]) -> None:
    dice = [2 * iou / (1 + iou) for iou in ious]
    least = forensics.least_dice((1 + sum(ious)) / 4)
    assert float(least) == pytest.approx(sum(dice) / 3)


@pytest.mark.parametrize("mean", [0.2, 1.1])
def test_no_sub_regions_reach_some_means(mean: float) -> None:
    with pytest.raises(ValueError, match=f"a mean IoU of {mean} needs sub-regions of"):
        forensics.least_dice(mean)
