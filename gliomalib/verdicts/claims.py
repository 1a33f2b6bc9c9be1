"""The paper's claims, and questions about them, as testable statements with a verdict on each."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

import pandas as pd
import yaml
from pydantic import Field, TypeAdapter, ValidationError, model_validator

from gliomalib import digits
from gliomalib.provenance import PROJECT_DIR
from gliomalib.schema import Record, RecordError, SettingsError, Value, run_name
from gliomalib.settings import Model, explain
from gliomalib.verdicts.decisions import (
    NEEDS_PUBLISHED,
    Decision,
    Found,
    decide,
    in_words,
    interval,
)

PUBLISHED = PROJECT_DIR / "data" / "published.yml"

Content = TypeVar("Content")

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
    "M": "what its unstated choices make of the accuracy",
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

    @property
    def run(self) -> str:
        """Name of the run in whose record the number stands."""
        return run_name(self.notebook, self.variant)


class Claim(Source):
    """One statement, the number that answers it and the rule for its verdict.

    ``published`` is a share where ``unit`` is %; None where the paper gives no number. ``value``
    is the name of the number in the record of ``notebook`` (and ``variant``), which follows the
    corrected protocol: patients apart, intervals over them. ``faithful`` names the number of the
    protocol as the paper's text can be read, where that differs.
    """

    id: str = Field(pattern=r"^[CEQFLMW][1-9][0-9]*$")
    statement: str
    metric: str
    published: float | None = None
    unit: str
    level: Literal["voxel", "slice", "patient", "text"]
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

    def told(self, value: Value | None) -> tuple[str, str]:
        """Return a number of a record and its interval to read, with the digits that it allows.

        Percentages and words are those of ``shown``; a dash stands for none. The table of verdicts
        keeps four digits, so that it is found out of date by more than what a reader sees.
        """
        if value is None:
            return self.shown(None), "–"
        ends = interval(value)
        if not self.unit_behind:
            return self.shown(value.value), " to ".join(map(self.shown, ends)) if ends else "–"
        bounds = digits.interval(value.value, ends) if ends else "–"
        return digits.number(value.value, ends), bounds


class PublishedClaims(Model):
    """The file of the paper's claims."""

    paper: str
    title: str
    claims: tuple[Claim, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _ids_are_unique(self) -> PublishedClaims:
        counts = Counter(claim.id for claim in self.claims)
        repeated = sorted(name for name, count in counts.items() if count > 1)
        if repeated:
            raise ValueError(f"{', '.join(repeated)} is duplicated; number each claim once")
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
    obtained: Value | None
    verdict: Outcome
    reasons: tuple[str, ...]
    faithful: Value | None = None

    @property
    def reason(self) -> str:
        """All reasons in one sentence."""
        return "; ".join(self.reasons)


def load(path: str | Path = PUBLISHED) -> tuple[Claim, ...]:
    """Read the claims of a paper in the order of the file.

    Raises ``SettingsError`` for a missing file, an unknown or missing key, a value of the wrong
    type, a rule without the number it compares, and a duplicated id.
    """
    return read(path, PublishedClaims).claims


def read(path: str | Path, kind: type[Content]) -> Content:
    """Return a YAML file as the model, or the collection of models, that it must be.

    Raises ``SettingsError``, which names the file and what is wrong with it.
    """
    path = Path(path)
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        return TypeAdapter(kind).validate_python(content)
    except FileNotFoundError:
        raise SettingsError(f"{path}: this file is missing; restore it") from None
    except yaml.YAMLError as error:
        raise SettingsError(f"{path.name}: not YAML ({error}); correct the file") from None
    except ValidationError as error:
        raise SettingsError(f"{path.name}: {explain(error)}; correct the file") from None


def printed(claims: Sequence[Claim], notebook: str) -> dict[str, float]:
    """Return the numbers that the paper prints of what ``notebook`` measures, by value name."""
    return {
        claim.value: claim.published
        for claim in claims
        if claim.notebook == notebook and not claim.variant and claim.published is not None
    }


def judge(claim: Claim, record: Record | None, context: Context) -> Verdict:
    """Return the verdict on a claim: not run, then what the data allow, then the claim's rule.

    ``record`` is None where the claim's notebook was not run in this study. Raises ``RecordError``
    where it is of another notebook, variant or study, or has a percentage where a share belongs.
    """
    if record is not None:
        _check_own(claim, record, context)
        return judge_values(claim, record.values, context)
    reasons = [f"study {context.study} has no record of {claim.run}"]
    unmet = _unmet(claim.testable_on, context, None)
    if unmet:
        unmet[0] = f"it could not have tested this claim either: {unmet[0]}"
    return Verdict(claim, None, "not run", (*reasons, *unmet))


def judge_values(claim: Claim, values: Sequence[Value], context: Context) -> Verdict:
    """Return the verdict on a claim from the values of its notebook, recorded or about to be.

    Without the claim's value, such as in a variant which the study does not have, it counts as
    not run. Raises ``RecordError`` for a percentage where a share belongs.
    """
    if claim.value not in {value.name for value in values}:
        reason = f"the record of {claim.run} has no {claim.value}: this study did not make it"
        return Verdict(claim, None, "not run", (reason,))
    obtained = _of(claim, values)
    unmet = _unmet(claim.testable_on, context, obtained)
    if unmet:
        return Verdict(claim, obtained, "not testable on this data", tuple(unmet))
    answer, reason = decide(claim.decision, obtained, claim.published, claim.shown)
    words: dict[str, Outcome] = dict(zip(("yes", "no"), claim.words, strict=True))
    return Verdict(claim, obtained, words.get(answer, "inconclusive"), (reason,))


def table(verdicts: Sequence[Verdict]) -> pd.DataFrame:
    """Return one row per verdict, in words and percentages, for people to read."""
    rows = []
    for verdict in verdicts:
        claim, obtained, faithful = verdict.claim, verdict.obtained, verdict.faithful
        bounds = interval(obtained) if obtained else None
        rows.append(
            {
                "claim": claim.id,
                "group": claim.group,
                "statement": claim.statement,
                "metric": claim.metric,
                "level": claim.level,
                "published": claim.shown(claim.published),
                "faithful": claim.shown(faithful.value if faithful else None),
                "obtained": claim.shown(obtained.value if obtained else None),
                "95 % interval": " to ".join(map(claim.shown, bounds)) if bounds else "–",
                "unit": claim.unit_behind or "–",
                "patients": str(obtained.n_patients) if obtained else "–",
                "decision rule": claim.rule,
                "verdict": verdict.verdict,
                "reason": verdict.reason,
                "notebook": claim.notebook,
            }
        )
    return pd.DataFrame(rows)


def number(source: Source, record: Record, context: Context) -> Value:
    """Return the number that a claim, or the faithful protocol of one, finds in its record.

    Raises ``RecordError`` as ``judge`` does, and where the record has no such value.
    """
    _check_own(source, record, context)
    return _of(source, record.values)


def _of(source: Source, values: Sequence[Value]) -> Value:
    by_name = {value.name: value for value in values}
    if source.value not in by_name:
        raise RecordError(
            f"the record of {source.run} has no value {source.value!r} for {_titled(source)}, "
            f"only {', '.join(by_name)}; name it so in the notebook or correct published.yml"
        )
    obtained = by_name[source.value]
    is_share = isinstance(source, Claim) and source.unit == "%"
    if is_share and not math.isnan(obtained.value) and not 0 <= obtained.value <= 1:
        raise RecordError(
            f"the record of {source.run} has {source.value} = {obtained.value}; "
            "records hold shares of 0 to 1, so divide percentages by 100"
        )
    return obtained


def _check_own(source: Source, record: Record, context: Context) -> None:
    actual = (record.study, record.notebook, record.variant)
    expected = (context.study, source.notebook, source.variant)
    if actual != expected:
        raise RecordError(
            f"{_titled(source)} is answered by (study, notebook, variant) {expected}, the record "
            f"is of {actual}; give its own record"
        )


def _titled(source: Source) -> str:
    return f"claim {source.id}" if isinstance(source, Claim) else "a faithful protocol"


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
