"""The paper's claims, and questions about them, as testable statements with a verdict on each."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pandas as pd
import yaml
from pydantic import Field, ValidationError, model_validator

from gliomalib import digits
from gliomalib.provenance import PROJECT_DIR
from gliomalib.schema import Record, RecordError, SettingsError, Value, run_name
from gliomalib.settings import Model
from gliomalib.verdicts.decisions import (
    NEEDS_PUBLISHED,
    Decision,
    Found,
    decide,
    in_words,
    interval,
)

PUBLISHED = PROJECT_DIR / "data" / "published.yml"

Outcome = Literal[
    "reproduced",
    "not reproduced",
    "holds",
    "does not hold",
    "inconclusive",
    "not testable on this data",
    "not run",
]
"""The paper's own claims are reproduced or not; a statement of ours holds or does not."""

GROUPS: Mapping[str, str] = {
    "C": "the paper's claims",
    "E": "controls of its experiments",
    "Q": "its open questions",
    "F": "its failure signatures",
    "L": "its limitations",
    "W": "what follows without any images",
}
"""First letter of a statement's id → what it is; only C is claimed by the paper."""


class Needs(Model):
    """What a study must have before a claim can be tested on it.

    ``weights`` lists the initial weights of the classifier that will do; None: any.
    """

    real_data: bool
    min_patients: int = Field(ge=0)
    full_size: bool
    weights: tuple[str, ...] | None = None


class Source(Model):
    """Where a number stands: the value of a notebook's record."""

    notebook: str
    variant: str = ""
    value: str


class Claim(Model):
    """One statement, the number that answers it and the rule for its verdict.

    ``published`` is a share where ``unit`` is %; None where the paper gives no number. ``value``
    is the name of the number in the record of ``notebook`` (and ``variant``), which follows the
    corrected protocol: patients apart, intervals over them. ``faithful`` names the number of the
    protocol as the paper's text can be read, where that differs.
    """

    id: str = Field(pattern=r"^[CEQFLW][1-9][0-9]*$")
    statement: str
    metric: str
    published: float | None = None
    unit: str
    level: Literal["voxel", "slice", "patient", "text"]
    notebook: str
    variant: str = ""
    value: str
    decision: Decision
    testable_on: Needs
    source: str
    faithful: Source | None = None

    @model_validator(mode="after")
    def _has_what_its_rule_compares(self) -> Claim:
        if self.published is None and isinstance(self.decision, NEEDS_PUBLISHED):
            raise ValueError(f"the rule {self.decision.kind} needs a published number")
        return self

    @property
    def rule(self) -> str:
        """The decision rule in words, to show before the result."""
        return in_words(self.decision, self.published, self.shown, self.words)

    @property
    def group(self) -> str:
        """What kind of statement this is."""
        return GROUPS[self.id[0]]

    @property
    def words(self) -> tuple[Outcome, Outcome]:
        """What a yes and a no are called."""
        return ("reproduced", "not reproduced") if self.id[0] == "C" else ("holds", "does not hold")

    @property
    def unit_behind(self) -> str:
        """The unit that stands behind a number as ``shown`` gives it, empty behind % and words."""
        return "" if self.unit == "%" or isinstance(self.decision, Found) else self.unit

    def shown(self, value: float | None) -> str:
        """Return a number as this statement's unit wants it."""
        if value is None:
            return "–"
        if isinstance(self.decision, Found):
            return "cannot tell" if math.isnan(value) else ("found" if value else "not found")
        if math.isnan(value):
            return "undefined"
        return f"{100 * value:.2f} %" if self.unit == "%" else f"{value:.4g}"

    def told(self, found: Value | None) -> tuple[str, str]:
        """Return a number of a record and its interval to read, with the digits that it allows.

        Percentages and words are those of ``shown``; a dash stands for none. The table of verdicts
        keeps four digits, so that it is found out of date by more than what a reader sees.
        """
        if found is None:
            return self.shown(None), "–"
        ends = interval(found)
        if not self.unit_behind:
            return self.shown(found.value), " to ".join(map(self.shown, ends)) if ends else "–"
        bounds = digits.interval(found.value, ends) if ends else "–"
        return digits.number(found.value, ends), bounds


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
    """What became of one claim; ``obtained`` is None where its notebook was not run.

    ``faithful`` is the number of the protocol as the text can be read, None where there is none.
    """

    claim: Claim
    published: float | None
    obtained: Value | None
    verdict: Outcome
    reason: str
    faithful: Value | None = None


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

    A record without the claim's value, such as that of a variant which the study does not have,
    counts as not run.

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
        Where the record is of another notebook, variant or study, or gives a percentage where a
        share belongs.
    """
    if record is None:
        unmet = "; ".join(_unmet(claim.testable_on, context, None))
        also = f"; it could not have tested this claim either: {unmet}" if unmet else ""
        reason = f"study {context.study} has no record of {_name(claim)}{also}"
        return Verdict(claim, claim.published, None, "not run", reason)
    _check_own(claim, record, context)
    if claim.value not in {value.name for value in record.values}:
        reason = f"the record of {_name(claim)} has no {claim.value}: this study did not make it"
        return Verdict(claim, claim.published, None, "not run", reason)
    obtained = number(claim, record, context)
    unmet = "; ".join(_unmet(claim.testable_on, context, obtained))
    if unmet:
        return Verdict(claim, claim.published, obtained, "not testable on this data", unmet)
    answer, reason = decide(claim.decision, obtained, claim.published, claim.shown)
    words: dict[str, Outcome] = dict(zip(("yes", "no"), claim.words, strict=True))
    return Verdict(claim, claim.published, obtained, words.get(answer, "inconclusive"), reason)


def table(verdicts: Sequence[Verdict]) -> pd.DataFrame:
    """Return one row a verdict, in words and percentages, for people to read."""
    rows = [
        {
            "claim": one.claim.id,
            "group": one.claim.group,
            "statement": one.claim.statement,
            "metric": one.claim.metric,
            "level": one.claim.level,
            "published": one.claim.shown(one.published),
            "faithful": one.claim.shown(one.faithful.value if one.faithful else None),
            "obtained": one.claim.shown(one.obtained.value if one.obtained else None),
            "95 % interval": _shown_interval(one),
            "unit": one.claim.unit_behind or "–",
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
    "group",
    "statement",
    "metric",
    "level",
    "published",
    "faithful",
    "obtained",
    "95 % interval",
    "unit",
    "patients",
    "decision rule",
    "verdict",
    "reason",
    "notebook",
]
"""Columns of ``table``, also when it has no row."""


def _name(claim: Claim | Source) -> str:
    return run_name(claim.notebook, claim.variant)


def number(claim: Claim | Source, record: Record, context: Context) -> Value:
    """Return the number that a claim, or the faithful protocol of one, finds in its record.

    Raises ``RecordError`` as ``judge`` does, and where the record has no such value.
    """
    _check_own(claim, record, context)
    values = {value.name: value for value in record.values}
    if claim.value not in values:
        raise RecordError(
            f"the record of {_name(claim)} has no value {claim.value!r} for {_titled(claim)}, "
            f"only {', '.join(values)}; name it so in the notebook or correct published.yml"
        )
    obtained = values[claim.value]
    is_share = isinstance(claim, Claim) and claim.unit == "%"
    if is_share and not math.isnan(obtained.value) and not 0 <= obtained.value <= 1:
        raise RecordError(
            f"the record of {_name(claim)} has {claim.value} = {obtained.value}; "
            "records hold shares of 0 to 1, so divide percentages by 100"
        )
    return obtained


def _check_own(claim: Claim | Source, record: Record, context: Context) -> None:
    found = (record.study, record.notebook, record.variant)
    expected = (context.study, claim.notebook, claim.variant)
    if found != expected:
        raise RecordError(
            f"{_titled(claim)} is answered by (study, notebook, variant) {expected}, the record "
            f"is of {found}; give its own record"
        )


def _titled(claim: Claim | Source) -> str:
    return f"claim {claim.id}" if isinstance(claim, Claim) else "a faithful protocol"


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


def _shown_interval(verdict: Verdict) -> str:
    bounds = interval(verdict.obtained) if verdict.obtained else None
    if bounds is None:
        return "–"
    return " to ".join(verdict.claim.shown(bound) for bound in bounds)


def _faults(error: ValidationError) -> str:
    parts = []
    for fault in error.errors():
        where = ".".join(map(str, fault["loc"])) or "the file"
        parts.append(f"{where}: {fault['msg']} (found {fault['input']!r:.60})")
    return "; ".join(parts)
