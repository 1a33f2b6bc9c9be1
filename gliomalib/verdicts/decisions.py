"""The rules of verdicts: what of a number decides a statement."""

import math
from collections.abc import Callable
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from gliomalib.inputs import Frozen
from gliomalib.schema import SettingsError, Value

Answer = Literal["yes", "no", "open"]
Shown = Callable[[float], str]
"""How a number of this statement is written, with its unit."""

ROUNDING = 1e-9
"""A bound this close to a limit is on it: sixty steps of 0.01 are not exactly 0.6."""

_DIRECTIONS = {"at_least": ("above", "below"), "at_most": ("below", "above")}


class AtLeast(Frozen):
    """No less than ``limit``, or than published by more than ``margin``."""

    kind: Literal["at_least"]
    margin: float = Field(default=0, ge=0)
    limit: float | None = None


class AtMost(Frozen):
    """No more than ``limit``."""

    kind: Literal["at_most"]
    limit: float


class GreaterThanZero(Frozen):
    """A gain; one below ``smallest_gain`` is not worth having."""

    kind: Literal["greater_than_zero"]
    smallest_gain: float = Field(ge=0)


class Contains(Frozen):
    """The published number is a possible one; wider than ``max_width`` nothing is excluded."""

    kind: Literal["contains"]
    max_width: float = Field(gt=0)


class Exact(Frozen):
    """A number that has no interval, as of arithmetic or a stopwatch: ``least`` to ``most``."""

    kind: Literal["exact"]
    least: float = -math.inf
    most: float = math.inf

    @model_validator(mode="after")
    def _has_a_limit(self) -> Self:
        if math.isinf(self.least) and math.isinf(self.most):
            raise ValueError("the rule exact needs least or most")
        return self


class Found(Frozen):
    """A diagnosis of the notebook itself: 1 found, 0 not found, undefined where it cannot tell."""

    kind: Literal["found"]


Decision = Annotated[
    AtLeast | AtMost | GreaterThanZero | Contains | Exact | Found, Field(discriminator="kind")
]


def needs_published(decision: Decision) -> bool:
    """Say whether a rule compares with a published number."""
    return isinstance(decision, Contains) or (
        isinstance(decision, AtLeast) and decision.limit is None
    )


def decide(
    decision: Decision, value: Value, published: float | None, shown: Shown
) -> tuple[Answer, str]:
    """Return whether a number bears a statement out, and why; ``open`` where it cannot tell.

    All rules but ``exact`` and ``found`` look at the 95 % interval only. Raises ``SettingsError``
    where the rule compares with a published number and there is none.
    """
    if isinstance(decision, Exact | Found):
        return _certain(decision, value.value, shown)
    bounds = interval(value)
    if bounds is None:
        return "open", f"{value.name} has no 95 % interval, so nothing is excluded"
    if isinstance(decision, Contains):
        return _contains(decision, _number(published), bounds, shown)
    if isinstance(decision, GreaterThanZero):
        return _greater(decision, *bounds, shown)
    answer, (limit,) = _side(bounds, _ends(decision, published)), limits(decision, published)
    good, bad = _DIRECTIONS[decision.kind]
    reasons = {
        "yes": f"the whole interval is at or {good} {shown(limit)}",
        "no": f"the whole interval is {bad} {shown(limit)}",
        "open": f"the interval has values on both sides of {shown(limit)}",
    }
    return answer, reasons[answer]


def in_words(
    decision: Decision, published: float | None, shown: Shown, words: tuple[str, str]
) -> str:
    """Return a rule as a sentence; ``words`` are what yes and no are called."""
    yes, no = words
    if isinstance(decision, AtLeast | AtMost):
        (limit,), (good, bad) = limits(decision, published), _DIRECTIONS[decision.kind]
        return f"95 % interval at or {good} {shown(limit)}: {yes}; {bad} it: {no}"
    if isinstance(decision, Contains):
        return (
            f"{shown(_number(published))} in the 95 % interval, and that at most "
            f"{decision.max_width:g} wide: {yes} (not contradicted); outside: {no}"
        )
    if isinstance(decision, Exact):
        return f"{_range(decision, shown)}: {yes}; otherwise: {no}"
    if isinstance(decision, Found):
        return f"the notebook's own rule finds it: {yes}; excludes it: {no}"
    return (
        f"95 % interval above 0: {yes}; at or below 0, or around 0 with every gain "
        f"below {shown(decision.smallest_gain)}: {no}"
    )


def limits(decision: Decision, published: float | None) -> tuple[float, ...]:
    """Return the numbers that a rule compares with, to draw; none where it asks for a finding."""
    if isinstance(decision, GreaterThanZero):
        return 0.0, decision.smallest_gain
    return tuple(end for end in _ends(decision, published) if math.isfinite(end))


def interval(value: Value) -> tuple[float, float] | None:
    """Return the 95 % interval of a value, None where it has none or one that is not finite."""
    bounds = value.ci95
    return bounds if bounds and all(map(math.isfinite, (value.value, *bounds))) else None


def _ends(decision: Decision, published: float | None) -> tuple[float, float]:
    """Return the least and the most that a rule allows, infinite where it says nothing of it."""
    if isinstance(decision, Exact):
        return decision.least, decision.most
    if isinstance(decision, AtLeast):
        least = _number(published) - decision.margin if decision.limit is None else decision.limit
        return least, math.inf
    return -math.inf, decision.limit if isinstance(decision, AtMost) else math.inf


def _side(bounds: tuple[float, float], ends: tuple[float, float]) -> Answer:
    """Return whether an interval lies between two ends: all of it, nothing, or a part."""
    (low, high), (least, most) = bounds, ends
    if least - ROUNDING <= low and high <= most + ROUNDING:
        return "yes"
    return "no" if high < least - ROUNDING or low > most + ROUNDING else "open"


def _greater(
    decision: GreaterThanZero, low: float, high: float, shown: Shown
) -> tuple[Answer, str]:
    least = shown(decision.smallest_gain)
    if low > ROUNDING:
        small = high < decision.smallest_gain - ROUNDING
        also = f", though every gain in it is below {least}" if small else ""
        return "yes", f"the whole interval is above 0{also}"
    if high <= ROUNDING:
        return "no", "no value of the interval is above 0"
    if high < decision.smallest_gain - ROUNDING:
        return "no", f"the interval has 0, and every gain in it is below {least}"
    return "open", f"the interval has 0 and gains of {least} or more"


def _contains(
    decision: Contains, number: float, bounds: tuple[float, float], shown: Shown
) -> tuple[Answer, str]:
    low, high = bounds
    # outside stays outside, however wide the interval is
    if _side((number, number), bounds) == "no":
        return "no", f"{shown(number)} is outside of the interval"
    if high - low > decision.max_width + ROUNDING:
        width = f"{high - low:.3g}, more than {decision.max_width:g}"
        return "open", f"{shown(number)} is in the interval, but that is {width} wide"
    return "yes", f"not contradicted: {shown(number)} is in the interval"


def _certain(decision: Exact | Found, number: float, shown: Shown) -> tuple[Answer, str]:
    if isinstance(decision, Exact):
        if math.isnan(number):
            return "open", "the number is undefined"
        told = f"{shown(number)}, and the rule asks for {_range(decision, shown)}"
        return _side((number, number), _ends(decision, None)), told
    if math.isnan(number):
        return "open", "the notebook's rule cannot tell on these patients"
    return ("yes", "the notebook found it") if number else ("no", "the notebook did not find it")


def _range(decision: Exact, shown: Shown) -> str:
    pairs = (("at least", decision.least), ("at most", decision.most))
    return " and ".join(f"{word} {shown(end)}" for word, end in pairs if math.isfinite(end))


def _number(published: float | None) -> float:
    if published is None:
        raise SettingsError("this rule needs a published number; give one or another rule")
    return published
