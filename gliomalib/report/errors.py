"""Everything that went wrong in a study or was left out of it, heading by heading."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from gliomalib import settings
from gliomalib.parameters import LAST_NOTEBOOK, from_parameters
from gliomalib.report import entries, patient_files, phrases
from gliomalib.report.pages import FIRST, FUSED, Report
from gliomalib.report.statements import UNDECIDED
from gliomalib.schema import Record, RecordError, SettingsError, split_run_name
from gliomalib.verdicts import judge

FAULTY = ("missed", "spurious")
"""States of a mask that is empty in just one of truth and prediction."""

PARTS = {"pictures": "pictures", "scores": "scores", "answers": "answers of the classifier"}
"""What a reported patient has, and what it is called."""

UNCOMPARED = ("variants", "title", "report", "threads")
"""Settings that change no number of a run."""


@dataclass(frozen=True)
class Item:
    """One thing that went wrong: of whom or what, the sentence, where to read on, how often."""

    subject: str
    text: str
    link: str = ""
    count: int = 1


def headings(report: Report, report_dir: Path) -> dict[str, list[Item]]:
    """Return every kind of fault by its anchor in the page, also those of which there is none.

    What limits results and where records differ in origin stands on a page of its own.
    ``errors.html.j2`` has their titles, and what is said where there is nothing of a kind.
    """
    cohort = patient_files.of_study(report.study, report_dir)
    problems: dict[bool, list[Item]] = {True: [], False: []}
    for entry in report.entries:
        if entry.problems:
            page = f"{entry.name}.html" if entry.executed else ""
            item = Item(entry.name, " ".join(entry.problems), page)
            problems[entry.missing].append(item)
    return {
        "missing": problems[True],
        "doubts": problems[False],
        "undecided": _undecided(report),
        "excluded": _excluded(report),
        "files": _faulty(report_dir),
        "missed": _masks(cohort),
        "patients": [
            *(Item("the study", text) for text in (*cohort.picture_faults, *cohort.table_faults)),
            *_lacking(cohort),
        ],
        "settings": _deviations(report),
    }


def deviations(study: settings.Study, name: str, record: Record) -> str:
    """Return in words where a run's settings differ from those of the study's file, or nothing."""
    notebook, variant = split_run_name(name)
    try:
        changed = study.variants.get(notebook, {}).get(variant, {})
        planned = from_parameters(notebook, {"study": study.study, **changed})
        made = settings.Study.model_validate(record.parameters)
    except (SettingsError, ValidationError):
        return "Its settings are not those of this version: they cannot be compared."
    before, after = (phrases.dotted(study.model_dump()) for study in (planned, made))
    sentences = [
        f"{key} is {after.get(key)}, the file says {value}"
        for key, value in before.items()
        if key.partition(".")[0] not in UNCOMPARED and value != after.get(key)
    ]
    return f"{'; '.join(sentences)}." if sentences else ""


def _undecided(report: Report) -> list[Item]:
    if report.verdict_fault:
        return [Item(LAST_NOTEBOOK, f"No statement is decided: {report.verdict_fault}.")]
    alike: dict[str, list[str]] = {}
    for row in report.verdicts:
        if row["verdict"] in UNDECIDED:
            text = f"{row['verdict']}: {row['reason'] or 'no reason'}"
            alike.setdefault(text, []).append(row["claim"])
    outdated = "Its row does not fit the record that is there now: run notebook 16 again."
    return [
        *(Item(judge.ranges(ids), text, count=len(ids)) for text, ids in alike.items()),
        *(Item(one.row["claim"], outdated) for one in report.statements if one.note),
    ]


def _excluded(report: Report) -> list[Item]:
    if FIRST not in report.records:
        return [Item(FIRST, f"Who was excluded is not known: {FIRST} left no record.")]
    return [Item(f"{e.case_id} ({e.release})", e.reason) for e in report.records[FIRST].exclusions]


def _faulty(report_dir: Path) -> list[Item]:
    try:
        rows = entries.rows(report_dir, f"{FIRST}.faults", ("case_id", "kind", "what to do"))
    except RecordError as error:
        return [Item(FIRST, f"This is not known: {error}.")]
    return [
        Item(row["case_id"] or "no name", f"{row['kind']}: {row['what to do']}") for row in rows
    ]


def _lacking(cohort: patient_files.Cohort) -> Iterator[Item]:
    """Yield who lacks what others have; a table that is missing as a whole is told elsewhere."""
    for part, name in PARTS.items():
        lacking = [patient for patient in cohort.patients if not getattr(patient, part)]
        if part == "pictures" or len(lacking) < len(cohort.patients):
            for patient in lacking:
                yield Item(patient.patient_id, f"There are no {name}.", patient.link)


def _masks(cohort: patient_files.Cohort) -> list[Item]:
    if cohort.table_faults and not any(patient.scores for patient in cohort.patients):
        return [Item(FUSED, f"This is not known: {cohort.table_faults[0]}")]
    items = []
    for patient in cohort.patients:
        faulty: dict[str, list[str]] = {}
        for score in patient.scores:
            if score.state in FAULTY:
                mask = f"{score.region} ({score.network}, fold {score.fold})"
                faulty.setdefault(phrases.STATES[score.state], []).append(mask)
        text = "; ".join(f"{state}: {phrases.listed(names)}" for state, names in faulty.items())
        items += [Item(patient.patient_id, f"{text}.", patient.link)] if text else []
    return items


def _deviations(report: Report) -> list[Item]:
    runs: dict[str, list[str]] = {}
    for name, record in report.records.items():
        runs.setdefault(deviations(report.study, name, record), []).append(name)
    return [Item(phrases.listed(names), text) for text, names in runs.items() if text]
