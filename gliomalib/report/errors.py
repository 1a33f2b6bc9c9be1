"""Everything that went wrong in a study or was left out of it, heading by heading."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from gliomalib import settings
from gliomalib.report import patient_files, words
from gliomalib.report.entries import Entry
from gliomalib.report.methods import FIRST
from gliomalib.report.pages import Report
from gliomalib.schema import Record, SettingsError
from gliomalib.verdicts import judge

EXCLUDED = "Excluded: "
"""How the caveat of an excluded examination begins, in the record of notebook 01."""

UNDECIDED = ("not run", "not testable on this data")

STATES = {
    "missed": "missed: there is some, and nothing was predicted",
    "spurious": "spurious: there is none, and some was predicted",
}

UNCOMPARED = ("variants", "title", "report", "threads")
"""Settings that change no number of a run."""


@dataclass(frozen=True)
class Item:
    """One thing that went wrong: of whom or what, the sentence, where to read on, how often."""

    subject: str
    text: str
    link: str = ""
    count: int = 1


@dataclass(frozen=True)
class Heading:
    """One kind of fault with all that was found of it; ``nothing`` is said where there is none."""

    title: str
    anchor: str
    found: tuple[Item, ...]
    nothing: str

    @property
    def count(self) -> int:
        """How many things went wrong, of which several may share a line."""
        return sum(item.count for item in self.found)


def headings(report: Report, report_dir: Path) -> tuple[Heading, ...]:
    """Return every kind of fault, also those of which there is none."""
    cohort = patient_files.read(report_dir)
    unread = {fault: Item("the study", fault) for fault in cohort.faults}
    unscored = tuple(item for fault, item in unread.items() if patient_files.SCORES in fault)
    others = tuple(item for item in unread.values() if item not in unscored)
    return (
        Heading("Runs without a record or an executed copy", "missing", _missing(report),
                "Nothing: every expected run left both."),
        Heading("Runs to read with care", "doubts", _doubts(report),
                "Nothing: every run that is there came to its end."),
        Heading("Statements without a verdict", "undecided", _undecided(report),
                "Nothing: every statement was put to a test."),
        Heading("Variants that were not run", "variants", _variants(report),
                "Nothing: every variant of the study left a record, or it has none."),
        _excluded(report),
        _faulty(report, report_dir),
        Heading("Masks that were missed", "missed", (*unscored, *_masks(cohort)),
                "Nothing: no mask of a reported patient is empty in only one of truth and "
                "prediction."),
        Heading("Patients of whom something is missing", "patients", (*others, *_pictures(cohort)),
                "Nothing: pictures and the classifier's answers are there of every one."),
        Heading("What limits every result", "limits",
                tuple(Item("the study", text) for text in report.study.caveats),
                "Nothing: real patients, networks of full size, weights as in the paper."),
        Heading("What limits single results", "caveats", _caveats(report),
                "Nothing: no run states a caveat of its own."),
        Heading("Records of different origin", "origin", _origins(report),
                "Nothing: all records state the same commit, lock, code and data."),
        Heading("Runs with other settings than the study's file", "settings", _deviations(report),
                "Nothing: every record was made with the settings of the study's file."),
        Heading("Large pages", "large", _large(report),
                "Nothing: every page opens quickly."),
    )  # fmt: skip


def deviations(study: settings.Study, name: str, record: Record) -> str:
    """Return in words where a run's settings differ from those of the study's file, or nothing."""
    notebook, _, variant = name.partition(".")
    try:
        own = study.variants.get(notebook, {}).get(variant, {})
        planned = settings.from_parameters(notebook, {"study": study.study, **own})
        made = settings.Study.model_validate(record.parameters)
    except (SettingsError, ValidationError):
        return "Its settings are not those of this version: they cannot be compared."
    before, after = _flat(planned.model_dump()), _flat(made.model_dump())
    changed = [
        key
        for key in before
        if key.partition(".")[0] not in UNCOMPARED and before[key] != after.get(key)
    ]
    told = [f"{key} is {after.get(key)}, the file says {before[key]}" for key in changed]
    return f"{'; '.join(told)}." if told else ""


def _missing(report: Report) -> tuple[Item, ...]:
    return tuple(_of(entry) for entry in report.entries if entry.missing)


def _doubts(report: Report) -> tuple[Item, ...]:
    return tuple(_of(entry) for entry in report.entries if entry.problems and not entry.missing)


def _of(entry: Entry) -> Item:
    return Item(entry.name, " ".join(entry.problems), f"../index.html#{entry.name}")


def _undecided(report: Report) -> tuple[Item, ...]:
    if report.verdict_fault:
        return (Item(settings.LAST, f"No statement is decided: {report.verdict_fault}."),)
    rows = [row for row in report.verdicts if row["verdict"] in UNDECIDED]
    outdated = [
        Item(name, "Its row does not fit the record that is there now: run notebook 15 again.")
        for name in report.outdated
    ]
    alike: dict[str, list[str]] = {}
    for row in rows:
        text = f"{row['verdict']}: {row['reason'] or 'no reason'}"
        alike.setdefault(text, []).append(row["claim"])
    told = [Item(judge.ranges(ids), text, count=len(ids)) for text, ids in alike.items()]
    return (*told, *outdated)


def _variants(report: Report) -> tuple[Item, ...]:
    absent = [entry for entry in report.entries if entry.variant and entry.record is None]
    changed = report.study.variants
    return tuple(
        Item(
            entry.name,
            _told(changed.get(entry.notebook, {}).get(entry.variant, {})),
            f"../index.html#{entry.name}",
        )
        for entry in absent
    )


def _told(changed: Mapping[str, Any]) -> str:
    if not changed:
        return "Its parameters are not in the study's file."
    return f"It would have set {', '.join(f'{key}: {value}' for key, value in changed.items())}."


def _excluded(report: Report) -> Heading:
    title, anchor = "Examinations that were excluded", "excluded"
    record = report.records.get(FIRST)
    if record is None:
        text = f"It cannot be told who was excluded: {FIRST} left no record."
        return Heading(title, anchor, (Item(FIRST, text),), "")
    found = [
        caveat.removeprefix(EXCLUDED).partition(": ")
        for caveat in record.caveats
        if caveat.startswith(EXCLUDED)
    ]
    items = tuple(Item(case, reason) for case, _, reason in found)
    return Heading(title, anchor, items, "Nothing: no examination was left out for a fault.")


def _faulty(report: Report, report_dir: Path) -> Heading:
    title, anchor = "Faulty files", "files"
    path = report_dir / "tables" / f"{FIRST}.faults.csv"
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            rows = list(csv.DictReader(stream))
        # a row that is too short holds None
        items = tuple(
            Item(row["case_id"] or "no name", f"{row['kind']}: {row['what to do']}") for row in rows
        )
    except (OSError, ValueError, KeyError, csv.Error):
        text = f"It cannot be told: tables/{path.name} is missing or damaged; run {FIRST} again."
        items = (Item(FIRST, text),)
    return Heading(title, anchor, items, "Nothing: every file that was looked at could be used.")


def _masks(cohort: patient_files.Cohort) -> tuple[Item, ...]:
    found = []
    for patient in cohort.patients:
        told: dict[str, list[str]] = {}
        for score in patient.scores:
            if score.state in STATES:
                of = f"{score.region} ({score.network}, fold {score.fold})"
                told.setdefault(STATES[score.state], []).append(of)
        text = "; ".join(f"{state}: {words.listed(names)}" for state, names in told.items())
        if text:
            found.append(Item(patient.patient_id, f"{text}.", f"{patient.page}.html"))
    return tuple(found)


def _pictures(cohort: patient_files.Cohort) -> tuple[Item, ...]:
    return tuple(
        Item(patient.patient_id, patient.fault, f"{patient.page}.html")
        for patient in cohort.patients
        if patient.fault
    )


def _caveats(report: Report) -> tuple[Item, ...]:
    return tuple(
        Item(name, caveat, f"../index.html#{name}")
        for caveat, names in report.caveats.items()
        for name in names
        if not caveat.startswith(EXCLUDED)
    )


def _origins(report: Report) -> tuple[Item, ...]:
    return tuple(
        Item(key, "; ".join(f"{answer} in {words.listed(names)}" for answer, names in said.items()))
        for key, said in report.provenance.items()
        if key in report.differing
    )


def _deviations(report: Report) -> tuple[Item, ...]:
    told: dict[str, list[str]] = {}
    for name, record in report.records.items():
        told.setdefault(deviations(report.study, name, record), []).append(name)
    return tuple(Item(words.listed(names), text) for text, names in told.items() if text)


def _large(report: Report) -> tuple[Item, ...]:
    return tuple(
        Item(name, f"It has {words.memory(size)} and opens slowly on a telephone.", f"{name}.html")
        for name, size in report.large_pages.items()
    )


def _flat(content: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in content.items():
        if isinstance(value, Mapping) and key != "variants":
            found |= _flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found
