"""Each rule decides at its borders, says why, and is told before the result."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from gliomalib.schema import SettingsError, Value
from gliomalib.verdicts import claims, decisions

AT_MOST = {"kind": "at_most", "limit": 0.05}
ALL = [
    {"kind": "at_least", "margin": 0.01},
    AT_MOST,
    {"kind": "greater_than_zero", "smallest_gain": 0.01},
    {"kind": "contains", "max_width": 0.2},
    {"kind": "exact", "least": 1},
    {"kind": "found"},
]


def rule(content: dict[str, Any]) -> Any:
    return TypeAdapter(decisions.Decision).validate_python(content)


def decided(content: dict[str, Any], ci95: Any, value: float = 0.0) -> str:
    """Return what a rule says of a number, with 0.6 published."""
    number = Value("number", value, ci95, 40, rule="mean")
    return decisions.decide(rule(content), number, 0.6, "{:g}".format)[0]


@pytest.mark.parametrize(
    ("ci95", "expected"),
    [
        ((-0.1, 0.05), "yes"),
        ((0.02, 0.05 + 1e-12), "yes"),
        ((0.04, 0.0501), "open"),
        ((0.05 + 1e-12, 0.2), "open"),
        ((0.0501, 0.2), "no"),
    ],
)
def test_no_more_than_a_limit(ci95: Any, expected: str) -> None:
    assert decided(AT_MOST, ci95) == expected


@pytest.mark.parametrize(
    ("content", "number", "expected"),
    [
        ({"least": 1}, 1, "yes"),
        ({"least": 1}, 0, "no"),
        ({"most": 0}, 0, "yes"),
        ({"most": 0}, 1, "no"),
        ({"least": 0.5, "most": 0.7}, 0.6, "yes"),
        ({"least": 0.5, "most": 0.7}, 0.71, "no"),
        ({"least": 1}, math.nan, "open"),
    ],
)
def test_an_exact_number_needs_no_interval(content: Any, number: float, expected: str) -> None:
    assert decided({"kind": "exact", **content}, None, number) == expected


@pytest.mark.parametrize(("number", "expected"), [(1, "yes"), (0, "no"), (math.nan, "open")])
def test_a_diagnosis_is_taken_from_its_notebook(number: float, expected: str) -> None:
    assert decided({"kind": "found"}, None, number) == expected


@pytest.mark.parametrize("content", ALL[:4])
@pytest.mark.parametrize("ci95", [None, (math.nan, 1.0), (math.nan, math.nan)])
def test_the_other_rules_look_at_the_interval_only(content: Any, ci95: Any) -> None:
    assert decided(content, ci95, 5.0) == "open"


@pytest.mark.parametrize("content", ALL)
def test_each_rule_is_told_with_both_words(content: Any) -> None:
    told = decisions.in_words(rule(content), 0.6, "{:g}".format, ("holds", "does not hold"))
    assert ": holds" in told and "does not hold" in told


@pytest.mark.parametrize("content", [ALL[0], ALL[3]])
def test_a_rule_that_compares_needs_a_published_number(content: Any) -> None:
    number = Value("number", 0.6, (0.5, 0.7), 40, rule="mean")
    with pytest.raises(SettingsError, match="needs a published number"):
        decisions.decide(rule(content), number, None, "{:g}".format)
    assert decisions.needs_published(rule(content))
    assert not decisions.needs_published(rule({"kind": "at_least", "limit": 0.5}))


def test_an_exact_rule_without_a_limit_is_refused() -> None:
    with pytest.raises(ValidationError, match="least or most"):
        rule({"kind": "exact"})


@given(st.floats(-1, 1), st.floats(0, 1), st.sampled_from(ALL[:3]))
def test_a_wider_interval_never_decides_more(low: float, width: float, content: Any) -> None:
    narrow = decided(content, (low, low + width), low)
    wide = decided(content, (low - 0.1, low + width + 0.1), low)
    assert wide in (narrow, "open") or content["kind"] == "greater_than_zero"
    assert {narrow, wide} != {"yes", "no"}


@pytest.mark.parametrize("claim", claims.load(), ids=lambda claim: claim.id)
def test_a_rule_turns_at_the_limits_that_are_drawn(claim: claims.Claim) -> None:
    step = 1e-6
    limits = decisions.limits(claim.decision, claim.compared)
    if isinstance(claim.decision, decisions.Found | decisions.Contains):
        assert limits == ()
        return
    answers = [
        decisions.decide(claim.decision, Value("x", at, (at, at), 9), claim.compared, str)[0]
        for limit in limits
        for at in (limit - step, limit + step)
    ]
    assert len(set(answers)) > 1, "on the two sides of a limit the rule says two things"
