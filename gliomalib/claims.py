"""The paper's claims as testable statements, and the verdict on each by a rule set beforehand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import pandas as pd
import yaml
from pydantic import Field, ValidationError, model_validator

from gliomalib.provenance import PROJECT_DIR
from gliomalib.schema import Record, RecordError, SettingsError, Value
from gliomalib.settings import Model

PUBLISHED = PROJECT_DIR / "data" / "published.yml"

Outcome = Literal[
    "reproduced", "not reproduced", "inconclusive", "not testable on this data", "not run"
]

ROUNDING = 1e-9
"""A bound this close to a limit is on it: 0.6 on a grid of steps of 0.01 is not exactly 0.6."""


class AtLeast(Model):
    """As good as published, or less by no more than ``margin``."""

    kind: Literal["at_least"]
    margin: float = Field(ge=0)


class GreaterThanZero(Model):
    """A gain; one below ``smallest_gain`` is not worth having."""

    kind: Literal["greater_than_zero"]
    smallest_gain: float = Field(ge=0)


class Contains(Model):
    """The published number is a possible one; wider than ``max_width`` nothing is excluded."""

    kind: Literal["contains"]
    max_width: float = Field(gt=0)


Decision = Annotated[AtLeast | GreaterThanZero | Contains, Field(discriminator="kind")]


class Needs(Model):
    """What a study must have before a claim can be tested on it.

    ``weights`` lists the initial weights of the classifier that will do; None: any.
    """

    real_data: bool
    min_patients: int = Field(ge=1)
    full_size: bool
    weights: tuple[str, ...] | None = None


class Claim(Model):
    """One statement of the paper, the number that answers it and the rule for its verdict.

    ``published`` is a share where ``unit`` is %; None where the paper gives no number. ``value``
    is the name of the number in the record of ``notebook`` (and ``variant``).
    """

    id: str = Field(pattern=r"^C[1-9][0-9]*$")
    statement: str
    metric: str
    published: float | None = None
    unit: str
    level: Literal["voxel", "slice", "patient"]
    notebook: str
    variant: str = ""
    value: str
    decision: Decision
    testable_on: Needs
    source: str

    @model_validator(mode="after")
    def _has_what_its_rule_compares(self) -> Claim:
        if self.published is None and not isinstance(self.decision, GreaterThanZero):
            raise ValueError(f"the rule {self.decision.kind} needs a published number")
        return self

    @property
    def rule(self) -> str:
        """The decision rule in words, to show before the result."""
        return _in_words(self)


class Published(Model):
    """The file of the paper's claims."""

    paper: str
    title: str
    claims: tuple[Claim, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _ids_are_unique(self) -> Published:
        ids = [claim.id for claim in self.claims]
        twice = sorted({one for one in ids if ids.count(one) > 1})
        if twice:
            raise ValueError(f"{', '.join(twice)} stands twice; number each claim once")
        return self


@dataclass(frozen=True)
class Context:
    """What a study was run on: its data, the size of its networks, the classifier's weights."""

    study: str
    real_data: bool
    full_size: bool
    weights: str


@dataclass(frozen=True)
class Verdict:
    """What became of one claim; ``obtained`` is None where its notebook was not run."""

    claim: Claim
    published: float | None
    obtained: Value | None
    verdict: Outcome
    reason: str


def load(path: Path = PUBLISHED) -> tuple[Claim, ...]:
    """Read the claims of a paper in the order of the file.

    Raises ``SettingsError`` for a missing file, an unknown or missing key, a value of the wrong
    type, a rule without the number it compares, and an id that stands twice.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        return Published.model_validate(content).claims
    except FileNotFoundError:
        raise SettingsError(f"{path}: the paper's claims are missing; restore the file") from None
    except yaml.YAMLError as error:
        raise SettingsError(f"{path}: not YAML ({error}); correct the file") from None
    except ValidationError as error:
        raise SettingsError(f"{path.name}: {_faults(error)}; correct the file") from None


def judge(claim: Claim, record: Record | None, context: Context) -> Verdict:
    """Return the verdict on a claim: not run, then what the data allow, then the claim's rule.

    Parameters
    ----------
    claim
        A claim of ``load``.
    record
        The record of the claim's notebook in this study, None where it was not run.
    context
        What the study was run on.

    Raises
    ------
    RecordError
        Where the record is of another notebook, variant or study, has no value of the claim's
        name, or gives a percentage where a share belongs.
    """
    if record is None:
        unmet = "; ".join(_unmet(claim.testable_on, context, None))
        also = f"; it could not have tested this claim either: {unmet}" if unmet else ""
        reason = f"study {context.study} has no record of {_name(claim)}{also}"
        return Verdict(claim, claim.published, None, "not run", reason)
    obtained = _answer(claim, record, context)
    unmet = "; ".join(_unmet(claim.testable_on, context, obtained))
    if unmet:
        return Verdict(claim, claim.published, obtained, "not testable on this data", unmet)
    interval = _interval(obtained)
    if interval is None:
        reason = f"{obtained.name} has no 95 % interval, so nothing is excluded"
        return Verdict(claim, claim.published, obtained, "inconclusive", reason)
    verdict, reason = _decide(claim, *interval)
    return Verdict(claim, claim.published, obtained, verdict, reason)


def table(verdicts: Sequence[Verdict]) -> pd.DataFrame:
    """Return one row a verdict, in words and percentages, for people to read."""
    rows = [
        {
            "claim": one.claim.id,
            "statement": one.claim.statement,
            "metric": one.claim.metric,
            "level": one.claim.level,
            "published": _shown(one.claim, one.published),
            "obtained": _shown(one.claim, one.obtained.value if one.obtained else None),
            "95 % interval": _shown_interval(one),
            "patients": str(one.obtained.n_patients) if one.obtained else "–",
            "decision rule": one.claim.rule,
            "verdict": one.verdict,
            "reason": one.reason,
            "notebook": one.claim.notebook,
        }
        for one in verdicts
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


COLUMNS = [
    "claim",
    "statement",
    "metric",
    "level",
    "published",
    "obtained",
    "95 % interval",
    "patients",
    "decision rule",
    "verdict",
    "reason",
    "notebook",
]
"""Columns of ``table``, also when it has no row."""


def _name(claim: Claim) -> str:
    return f"{claim.notebook}.{claim.variant}" if claim.variant else claim.notebook


def _answer(claim: Claim, record: Record, context: Context) -> Value:
    found = (record.study, record.notebook, record.variant)
    expected = (context.study, claim.notebook, claim.variant)
    if found != expected:
        raise RecordError(
            f"claim {claim.id} is answered by (study, notebook, variant) {expected}, the record "
            f"is of {found}; give its own record"
        )
    values = {value.name: value for value in record.values}
    if claim.value not in values:
        raise RecordError(
            f"the record of {_name(claim)} has no value {claim.value!r} for claim {claim.id}, "
            f"only {', '.join(values)}; name it so in the notebook or correct published.yml"
        )
    obtained = values[claim.value]
    if claim.unit == "%" and not math.isnan(obtained.value) and not 0 <= obtained.value <= 1:
        raise RecordError(
            f"the record of {_name(claim)} has {claim.value} = {obtained.value}; "
            "records hold shares of 0 to 1, so divide percentages by 100"
        )
    return obtained


def _unmet(needs: Needs, context: Context, obtained: Value | None) -> list[str]:
    unmet = []
    if needs.real_data and not context.real_data:
        unmet.append("the claim is about patients, these are synthetic")
    if needs.full_size and not context.full_size:
        unmet.append("the networks are smaller than the paper's protocol needs")
    if needs.weights is not None and context.weights not in needs.weights:
        unmet.append(
            f"the classifier began from {context.weights} weights, the paper's from ImageNet"
        )
    if obtained is not None and obtained.n_patients < needs.min_patients:
        unmet.append(f"{obtained.n_patients} test patients, at least {needs.min_patients} needed")
    return unmet


def _interval(value: Value) -> tuple[float, float] | None:
    bounds = value.ci95
    # a bound that was not finite comes back from a record's JSON as None
    if bounds is None or any(one is None or not math.isfinite(one) for one in bounds):
        return None
    return bounds if math.isfinite(value.value) else None


def _decide(claim: Claim, low: float, high: float) -> tuple[Outcome, str]:
    if isinstance(claim.decision, AtLeast):
        return _decide_at_least(claim, claim.decision, low, high)
    if isinstance(claim.decision, Contains):
        return _decide_contains(claim, claim.decision, low, high)
    return _decide_greater(claim, claim.decision, low, high)


def _decide_at_least(
    claim: Claim, decision: AtLeast, low: float, high: float
) -> tuple[Outcome, str]:
    limit = _number(claim) - decision.margin
    shown = _shown(claim, limit)
    if low >= limit - ROUNDING:
        return "reproduced", f"the whole interval is at or above {shown}"
    if high < limit - ROUNDING:
        return "not reproduced", f"the whole interval is below {shown}"
    return "inconclusive", f"the interval has values on both sides of {shown}"


def _decide_greater(
    claim: Claim, decision: GreaterThanZero, low: float, high: float
) -> tuple[Outcome, str]:
    least = _shown(claim, decision.smallest_gain)
    if low > ROUNDING:
        small = high < decision.smallest_gain - ROUNDING
        also = f", though every gain in it is below {least}" if small else ""
        return "reproduced", f"the whole interval is above 0{also}"
    if high <= ROUNDING:
        return "not reproduced", "no value of the interval is above 0"
    if high < decision.smallest_gain - ROUNDING:
        return "not reproduced", f"the interval has 0, and every gain in it is below {least}"
    return "inconclusive", f"the interval has 0 and gains of {least} or more"


def _decide_contains(
    claim: Claim, decision: Contains, low: float, high: float
) -> tuple[Outcome, str]:
    shown = _shown(claim, _number(claim))
    # outside stays outside, however wide the interval is
    if not low - ROUNDING <= _number(claim) <= high + ROUNDING:
        return "not reproduced", f"{shown} is outside of the interval"
    if high - low > decision.max_width + ROUNDING:
        width = f"{high - low:.3g}, more than {decision.max_width:g}"
        return "inconclusive", f"{shown} is in the interval, but that is {width} wide"
    return "reproduced", f"not contradicted: {shown} is in the interval"


def _in_words(claim: Claim) -> str:
    decision = claim.decision
    if isinstance(decision, AtLeast):
        limit = _shown(claim, _number(claim) - decision.margin)
        return f"95 % interval at or above {limit}: reproduced; below it: not reproduced"
    if isinstance(decision, Contains):
        return (
            f"{_shown(claim, _number(claim))} in the 95 % interval, and that at most "
            f"{decision.max_width:g} wide: reproduced (not contradicted); outside: not reproduced"
        )
    least = _shown(claim, decision.smallest_gain)
    return (
        "95 % interval above 0: reproduced; not above 0, or with 0 and only gains below "
        f"{least}: not reproduced"
    )


def _number(claim: Claim) -> float:
    if claim.published is None:
        raise SettingsError(f"claim {claim.id} has no published number; give one or another rule")
    return claim.published


def _shown(claim: Claim, value: float | None) -> str:
    if value is None:
        return "–"
    if math.isnan(value):
        return "undefined"
    return f"{100 * value:.2f} %" if claim.unit == "%" else f"{value:.4g}"


def _shown_interval(verdict: Verdict) -> str:
    interval = _interval(verdict.obtained) if verdict.obtained else None
    if interval is None:
        return "–"
    return " to ".join(_shown(verdict.claim, bound) for bound in interval)


def _faults(error: ValidationError) -> str:
    parts = []
    for fault in error.errors():
        where = ".".join(map(str, fault["loc"])) or "the file"
        parts.append(f"{where}: {fault['msg']} (found {fault['input']!r:.60})")
    return "; ".join(parts)
