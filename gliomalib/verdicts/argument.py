"""The argument of notebook 15: answer first, assumptions with their weight, checklists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import yaml
from pydantic import Field, ValidationError

from gliomalib import digits
from gliomalib.provenance import PROJECT_DIR
from gliomalib.schema import Record, SettingsError, run_name
from gliomalib.settings import Model, Study
from gliomalib.verdicts import claims, judge

ASSUMPTIONS = PROJECT_DIR / "data" / "assumptions.yml"
CHECKLISTS = PROJECT_DIR / "data" / "checklists.yml"

HEADINGS: Mapping[str, tuple[claims.Outcome, ...]] = {
    "Holds": ("reproduced", "holds"),
    "Does not hold": ("not reproduced", "does not hold"),
    "Undecided on these data": ("inconclusive",),
}
"""Headings of the summary → the verdicts that stand under each, in this order."""


class Assumption(Model):
    """A choice where the paper is silent; ``source`` is the number that says what hangs on it.

    ``says`` tells what that number is, or, without one, why nothing was varied.
    """

    open: str
    taken: str
    setting: str
    says: str
    source: claims.Source | None = None


class Assumptions(Model):
    """The file of assumptions."""

    assumptions: tuple[Assumption, ...] = Field(min_length=1)


class Item(Model):
    """One item of a checklist: what it asks, whether it is met, and where (Markdown)."""

    item: str
    asks: str
    answer: Literal["yes", "partly", "no", "not applicable"]
    where: str


class Checklist(Model):
    """A checklist with its source."""

    title: str
    source: str
    items: tuple[Item, ...] = Field(min_length=1)


def summary(judged: Sequence[claims.Verdict], study: Study) -> str:
    """Return on what data, what holds, what does not, what cannot be known and why, as Markdown."""
    lines = [" ".join((f"**{study.title}.**", *study.caveats)), ""]
    for heading, outcomes in HEADINGS.items():
        found = [one for one in judged if one.verdict in outcomes]
        lines += [f"**{heading}**", "", *(_told(one) for one in found)]
        lines += ["- Nothing.", ""] if not found else [""]
    untold = [one for one in judged if one.verdict in ("not testable on this data", "not run")]
    if untold:
        lines += ["**Cannot be known from these data, and why**", "", *_reasons(untold), ""]
    return "\n".join(lines)


def table(judged: Sequence[claims.Verdict], groups: str) -> pd.DataFrame:
    """Return the verdicts on some groups, named by the letters of their ids, to read."""
    chosen = [one for one in judged if one.claim.id[0] in groups]
    found = claims.table(chosen)
    told = [one.claim.told(one.obtained) for one in chosen]
    found["obtained"] = [number for number, _ in told]
    found["95 % interval"] = [bounds for _, bounds in told]
    found["notebook"] = found["notebook"].str.partition("_")[0]
    shown = ["claim", "statement", "published", "faithful", "obtained", "95 % interval", "unit",
             "patients", "verdict", "notebook"]  # fmt: skip
    empty = [name for name in ("published", "faithful") if (found[name] == "–").all()]
    return found[shown].drop(columns=empty).rename(columns={"faithful": "pixel recipe"})


def assumptions(records: Mapping[str, Record], path: Path = ASSUMPTIONS) -> pd.DataFrame:
    """Return each assumption with what hangs on it, from the records of a study by name.

    Raises ``SettingsError`` where the file is missing or broken.
    """
    try:
        found = Assumptions.model_validate(_content(path)).assumptions
    except ValidationError as error:
        raise SettingsError(f"{path.name}: {error}; correct the file") from None
    rows = [
        {"open in the paper": one.open, "taken here": one.taken, "setting": one.setting,
         "what hangs on it": _sensitivity(one, records)}
        for one in found
    ]  # fmt: skip
    return pd.DataFrame(rows)


def checklists(path: Path = CHECKLISTS) -> dict[str, Checklist]:
    """Return the filled checklists by their short name.

    Raises ``SettingsError`` where the file is missing or broken.
    """
    try:
        found = _content(path)
        return {name: Checklist.model_validate(entry) for name, entry in found.items()}
    except (ValidationError, AttributeError) as error:
        raise SettingsError(f"{path.name}: {error}; correct the file") from None


def as_markdown(checklist: Checklist) -> str:
    """Return a checklist as a Markdown table, so that its links work in a notebook."""
    counts = {
        answer: sum(one.answer == answer for one in checklist.items)
        for answer in ("yes", "partly", "no", "not applicable")
    }
    told = ", ".join(f"{count} {answer}" for answer, count in counts.items() if count)
    rows = [f"| {one.item} | {one.asks} | {one.answer} | {one.where} |" for one in checklist.items]
    head = ["| item | asks for | met | where |", "|---|---|---|---|"]
    return "\n".join([f"{checklist.title} ({checklist.source}): {told}.", "", *head, *rows])


def _told(one: claims.Verdict) -> str:
    number, bounds = one.claim.told(one.obtained)
    interval = f" ({bounds})" if bounds != "–" else ""
    unit = f" {one.claim.unit_behind}".rstrip()
    if one.claim.decision.kind == "found":
        return f"- {one.claim.id}: {one.claim.statement} {one.reason[0].upper()}{one.reason[1:]}."
    return f"- {one.claim.id}: {one.claim.statement} Obtained: {number}{unit}{interval}."


def _reasons(untold: Sequence[claims.Verdict]) -> list[str]:
    """Return one line an obstacle, each with the statements that it bars."""
    barred: dict[str, list[str]] = {}
    for one in untold:
        for obstacle in one.reason.split("; "):
            barred.setdefault(obstacle, []).append(one.claim.id)
    longest = sorted(barred.items(), key=lambda item: -len(item[1]))
    return [
        f"- {obstacle[0].upper()}{obstacle[1:]}: {judge.ranges(ids)}." for obstacle, ids in longest
    ]


def _sensitivity(one: Assumption, records: Mapping[str, Record]) -> str:
    if one.source is None:
        return one.says
    name = run_name(one.source.notebook, one.source.variant)
    values = {value.name: value for value in records[name].values} if name in records else {}
    if one.source.value not in values:
        return f"{one.says}: not run in this study"
    return f"{one.says}: {digits.spoken(values[one.source.value])}"


def _content(path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingsError(f"{path}: this file is missing; restore it") from None
    except yaml.YAMLError as error:
        raise SettingsError(f"{path.name}: not YAML ({error}); correct the file") from None
