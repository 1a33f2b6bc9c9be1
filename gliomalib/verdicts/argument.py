"""The argument of notebook 16: answer first, assumptions with their weight, checklists."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, get_args

import pandas as pd
from pydantic import Field

from gliomalib import digits
from gliomalib.inputs import Model, read
from gliomalib.provenance import PROJECT_DIR
from gliomalib.schema import Record
from gliomalib.settings import Study
from gliomalib.verdicts import claims, judge, outcome

ASSUMPTIONS = PROJECT_DIR / "data" / "assumptions.yml"
CHECKLISTS = PROJECT_DIR / "data" / "checklists.yml"

Answer = Literal["yes", "partly", "no", "not applicable"]

HEADINGS: Mapping[str, tuple[claims.Outcome, ...]] = {
    "Reproduced, or holds": ("reproduced", "holds"),
    "Problems confirmed": ("problem confirmed",),
    "Not reproduced, or does not hold": ("not reproduced", "does not hold"),
    "Problems not confirmed": ("problem not confirmed",),
    "Not reached under a restricted protocol": ("not reached under this restriction",),
    "Undecided on these data": ("inconclusive",),
}
"""Headings of the summary → the verdicts that stand under each, in this order."""

BARRED: Mapping[str, tuple[claims.Outcome, ...]] = {
    "Not judged, and why": ("not judged",),
    "Cannot be known from these data, and why": ("not testable on this data", "not run"),
}
"""The same for verdicts whose number decides nothing: these stand by what bars them."""


class Assumption(Model):
    """A choice where the paper is silent; ``source`` is the number that says what hangs on it.

    ``says`` tells what that number is, or, without one, why nothing was varied; ``gate`` is the
    value without which the number says nothing.
    """

    open: str
    taken: str
    setting: str
    says: str
    source: claims.Source | None = None
    gate: claims.Source | None = None


class Assumptions(Model):
    """The file of assumptions."""

    assumptions: tuple[Assumption, ...] = Field(min_length=1)


class Item(Model):
    """One item of a checklist: what it asks, whether it is met, and where (Markdown)."""

    item: str
    asks: str
    answer: Answer
    where: str


class Checklist(Model):
    """A checklist with its source."""

    title: str
    source: str
    items: tuple[Item, ...] = Field(min_length=1)


def summary(judged: Sequence[outcome.Verdict], study: Study) -> str:
    """Return on what data, what holds, what does not, what cannot be known and why, as Markdown."""
    lines = [" ".join((f"**{study.title}.**", *study.caveats)), ""]
    for heading, outcomes in HEADINGS.items():
        items = [_item(verdict) for verdict in judged if verdict.verdict in outcomes]
        lines += [f"**{heading}**", "", *(items or ["- Nothing."]), ""]
    for heading, outcomes in BARRED.items():
        barred = [verdict for verdict in judged if verdict.verdict in outcomes]
        by_obstacle = _by_sentence([(verdict, verdict.reasons) for verdict in barred])
        lines += [f"**{heading}**", "", *by_obstacle, ""] if barred else []
    limited = [(verdict, verdict.restrictions) for verdict in judged if verdict.restrictions]
    if limited:
        lines += ["**Decided under a restriction, and what that could change**", ""]
        lines += [*_by_sentence(limited), ""]
    return "\n".join(lines)


def table(judged: Sequence[outcome.Verdict], groups: str) -> pd.DataFrame:
    """Return the verdicts on some groups, named by the letters of their ids, to read."""
    chosen = [verdict for verdict in judged if verdict.claim.id[0] in groups]
    if not chosen:
        return pd.DataFrame()
    readable = [verdict.claim.told(verdict.obtained) for verdict in chosen]
    rows = outcome.table(chosen)
    rows["obtained"], rows["95 % interval"] = zip(*readable, strict=True)
    rows["notebook"] = rows["notebook"].str.partition("_")[0]
    # a notebook shows these elsewhere, or no statement has such a number
    left_out = ["group", "metric", "level", "decision rule", "reason"]
    optional = ("published", "reference", "restriction", *outcome.RECIPE.values())
    left_out += [name for name in optional if (rows[name] == "–").all()]
    return rows.drop(columns=left_out)


def assumptions(records: Mapping[str, Record], path: str | Path = ASSUMPTIONS) -> pd.DataFrame:
    """Return each assumption with what hangs on it, from the records of a study by name.

    Raises ``SettingsError`` where the file is missing or broken.
    """
    return pd.DataFrame(
        [
            {
                "open in the paper": assumption.open,
                "taken here": assumption.taken,
                "setting": assumption.setting,
                "what hangs on it": _sensitivity(assumption, records),
                "notebook": assumption.source.notebook if assumption.source else "–",
            }
            for assumption in read(path, Assumptions).assumptions
        ]
    )


def checklists(path: str | Path = CHECKLISTS) -> dict[str, Checklist]:
    """Return the filled checklists by their short name.

    Raises ``SettingsError`` where the file is missing or broken.
    """
    return read(path, dict[str, Checklist])


def as_markdown(checklist: Checklist) -> str:
    """Return a checklist as a Markdown table, so that its links work in a notebook."""
    answers = Counter(item.answer for item in checklist.items)
    counts = ", ".join(f"{answers[name]} {name}" for name in get_args(Answer) if answers[name])
    rows = [
        f"| {item.item} | {item.asks} | {item.answer} | {item.where} |" for item in checklist.items
    ]
    head = ["| item | asks for | met | where |", "|---|---|---|---|"]
    return "\n".join([f"{checklist.title} ({checklist.source}): {counts}.", "", *head, *rows])


def _item(verdict: outcome.Verdict) -> str:
    claim = verdict.claim
    if claim.decision.kind == "found":
        return f"- {claim.id}: {claim.statement} {_capital(verdict.reason)}."
    number, bounds = claim.told(verdict.obtained)
    interval = f" ({bounds})" if bounds != "–" else ""
    unit = f" {claim.unit_behind}".rstrip()
    stands_on = f", {verdict.protocol}" if verdict.protocol == "restricted" else ""
    return f"- {claim.id}: {claim.statement} Obtained: {number}{unit}{interval}{stands_on}."


def _by_sentence(pairs: Sequence[tuple[outcome.Verdict, Sequence[str]]]) -> list[str]:
    """Return one line per sentence with the statements that it is about, the widest one first."""
    ids: dict[str, list[str]] = {}
    for verdict, sentences in pairs:
        for sentence in sentences:
            ids.setdefault(sentence, []).append(verdict.claim.id)
    widest_first = sorted(ids.items(), key=lambda item: -len(item[1]))
    return [f"- {_capital(sentence)}: {judge.ranges(names)}." for sentence, names in widest_first]


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def _sensitivity(assumption: Assumption, records: Mapping[str, Record]) -> str:
    if assumption.source is None:
        return assumption.says
    value, gate = (outcome.find(source, records) for source in (assumption.source, assumption.gate))
    if value is None:
        return f"{assumption.says}: not run in this study"
    shut = outcome.closed(assumption.gate, gate) if assumption.gate else []
    return f"{assumption.says}: {'; '.join(shut) or digits.spoken(value)}"
