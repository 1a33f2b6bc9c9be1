"""The paper's claims, and questions about them, as testable statements."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from gliomalib import digits
from gliomalib.inputs import Model, read
from gliomalib.provenance import PROJECT_DIR
from gliomalib.schema import Value, run_name
from gliomalib.verdicts.decisions import Decision, Found, in_words, interval, needs_published

PUBLISHED = PROJECT_DIR / "data" / "published.yml"

Outcome = Literal[
    "reproduced",
    "not reproduced",
    "holds",
    "does not hold",
    "problem confirmed",
    "problem not confirmed",
    "not reached under this restriction",
    "inconclusive",
    "not judged",
    "not testable on this data",
    "not run",
]
"""What a verdict says; ``WORDS`` has those of a yes and a no. What stands on a classifier that
failed its control is not judged."""

GROUPS: Mapping[str, str] = {
    "C": "the paper's claims",
    "E": "controls of its experiments",
    "Q": "its open questions",
    "F": "its failure signatures",
    "L": "its limitations",
    "M": "what its unstated choices make of the accuracy",
    "W": "what follows without a network",
}
"""First letter of a statement's id → what it is; only C is claimed by the paper."""

WORDS: Mapping[str, tuple[Outcome, Outcome]] = {
    **dict.fromkeys("EQM", ("holds", "does not hold")),
    **dict.fromkeys("FLW", ("problem confirmed", "problem not confirmed")),
    "C": ("reproduced", "not reproduced"),
}
"""First letter of a statement's id → what a yes and a no are called."""

Frame = Literal["crop", "scan"]

Words = Annotated[str, Field(min_length=1)]
Sentence = Annotated[str, Field(pattern=r"^\S.*[.?]$")]


class Needs(Model):
    """What a study must have before a claim can be tested on it.

    ``min_seeds`` are the trainings of each network behind the number; ``weights`` lists the
    initial weights of the classifier that will do; None: any. ``whole_head`` says whether boxes
    around the tumour, or masks without images, fall short of it.
    """

    real_data: bool
    min_patients: int = Field(ge=0)
    min_seeds: int = Field(default=0, ge=0)
    full_size: bool
    weights: tuple[str, ...] | None = None
    whole_head: bool = True


class Source(Model):
    """Where a number stands: the value of a notebook's record."""

    notebook: str
    variant: str = ""
    value: str

    @property
    def run(self) -> str:
        """Name of the run in whose record the number stands."""
        return run_name(self.notebook, self.variant)


class Fixed(Model):
    """Where a rule was written: its commit, the day, and whether no study had run before.

    ``known`` says what had been seen of the data on which it decides, where that is not all.
    """

    commit: str = Field(pattern=r"^[0-9a-f]{7,40}$")
    date: date
    before_first_run: bool
    known: str = ""

    @property
    def when(self) -> str:
        """When that was, to read behind "rule fixed"."""
        when = "before the first run" if self.before_first_run else "after a first look"
        return self.known or when


class Restricted(Model):
    """What real patients show of a claim where a study falls short of the paper's protocol.

    A ``comparison`` within patients is decided by the claim's own rule. A ``level`` can be reached
    in spite of a restriction; one that is missed may be missed because of it. ``fixed`` is where
    this was written.
    """

    use: Literal["comparison", "level"]
    fixed: Fixed


class Reference(Model):
    """A number that is not the paper's, and whose it is."""

    value: float
    source: str


class Claim(Source):
    """One statement, the number that answers it and the rule for its verdict.

    ``published`` is a share where ``unit`` is %; None where the paper gives no number, and there
    may be a ``reference`` then. ``value`` is the name of the number in the record of ``notebook``
    (and ``variant``), which follows the corrected protocol: patients apart, intervals over them.
    ``figure`` is the id of the cell of its notebook whose picture shows it; empty where none does.
    ``gate`` names the value that must be 1 for any verdict, ``pixel_recipe`` the numbers of the
    rerun of a public notebook, by ``Frame``. Without ``restricted`` a study that falls short of
    ``testable_on`` says nothing of the claim.
    """

    id: str = Field(pattern=r"^[CEQFLMW][1-9][0-9]*$")
    statement: str
    metric: str
    published: float | None = None
    reference: Reference | None = None
    unit: str
    level: Literal["voxel", "slice", "patient", "text"]
    fixed: Fixed
    decision: Decision
    testable_on: Needs
    restricted: Restricted | None = None
    source: str
    figure: str = ""
    gate: Source | None = None
    pixel_recipe: Mapping[Frame, Source] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _has_what_its_rule_compares(self) -> Self:
        if self.compared is None and needs_published(self.decision):
            raise ValueError(f"the rule {self.decision.kind} needs a published number")
        return self

    @property
    def compared(self) -> float | None:
        """The number that the rule compares with: the paper's, else the reference."""
        other = self.reference.value if self.reference else None
        return other if self.published is None else self.published

    @property
    def rule(self) -> str:
        """The decision rule in words, to show before the result."""
        return in_words(self.decision, self.compared, self.shown, self.words)

    @property
    def group(self) -> str:
        """What kind of statement this is."""
        return GROUPS[self.id[0]]

    @property
    def words(self) -> tuple[Outcome, Outcome]:
        """What a yes and a no are called."""
        return WORDS[self.id[0]]

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


class PaperClass(Model):
    """One of the classes that the paper tells apart: its short and its whole name, what it is."""

    short: str = ""
    name: Words
    what: Sentence


class Finding(Model):
    """A question that the front door answers: by which statements, and in which sentences.

    ``answers`` are what the verdict on the first of the statements says to a reader, ``shown_by``
    is the statement whose figure is shown, if not the first.
    """

    question: str = Field(pattern=r"^\S.*\?$")
    statements: tuple[str, ...] = Field(min_length=1)
    shown_by: str = ""
    answers: Mapping[Outcome, Sentence]


class Paper(Model):
    """What the pages say of the paper whose claims are examined; nothing of it stands elsewhere.

    ``topic`` is a few words for titles, ``disease`` and ``meaning`` a sentence each on the illness
    and on what the classes are, ``findings`` what the front door asks, ``glossary`` a word of the
    pages → one sentence.
    """

    title: Words
    authors: tuple[Words, ...] = Field(min_length=1)
    year: int = Field(ge=1900)
    identifier: str = Field(pattern=r"^(arXiv \d{4}\.\d{4,5}|doi 10\.\S+)$")
    address: str = Field(pattern=r"^https://[^\s\"<>]+$")
    topic: Words
    question: str = Field(pattern=r"^\S.*\?$")
    disease: Sentence
    meaning: Sentence
    classes: tuple[PaperClass, ...] = Field(min_length=2)
    findings: tuple[Finding, ...] = ()
    glossary: Mapping[Words, Sentence]

    @property
    def short(self) -> str:
        """What a sentence calls the paper."""
        return f"the paper ({self.identifier})"

    @property
    def citation(self) -> str:
        """The paper in a list of references."""
        return f"{' and '.join(self.authors)}. {self.title}. {self.year}."


class PublishedClaims(Model):
    """The file of the paper's claims."""

    paper: Paper
    claims: tuple[Claim, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _ids_are_unique(self) -> Self:
        counts = Counter(claim.id for claim in self.claims)
        repeated = sorted(name for name, count in counts.items() if count > 1)
        if repeated:
            raise ValueError(f"{', '.join(repeated)} is duplicated; number each claim once")
        return self


def load(path: str | Path | None = None) -> tuple[Claim, ...]:
    """Read the claims of a paper in the order of the file; None is ``PUBLISHED``.

    Raises ``SettingsError`` for a missing file, an unknown or missing key, a value of the wrong
    type, a rule without the number it compares, and a duplicated id.
    """
    return read(PROJECT_DIR / (path or PUBLISHED), PublishedClaims).claims


def paper(path: str | Path | None = None) -> Paper:
    """Read what the same file says of the paper itself; raises what ``load`` raises."""
    return read(PROJECT_DIR / (path or PUBLISHED), PublishedClaims).paper


def printed(claims: Sequence[Claim], notebook: str) -> dict[str, float]:
    """Return the numbers that the paper prints of what ``notebook`` measures, by value name."""
    return {
        claim.value: claim.published
        for claim in claims
        if claim.notebook == notebook and not claim.variant and claim.published is not None
    }
