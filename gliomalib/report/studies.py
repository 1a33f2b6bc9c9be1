"""The list of the studies whose results lie side by side."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from gliomalib import digits, records, settings
from gliomalib.parameters import LAST_NOTEBOOK
from gliomalib.provenance import write_atomic
from gliomalib.report import entries, facts, phrases
from gliomalib.report.pages import render
from gliomalib.schema import Record, RecordError, SettingsError

BETWEEN = re.compile(r"(?<=[.!?])\s+(?=[A-Z\"“])")
"""Between two sentences of a text; a point inside of a number ends none."""


@dataclass(frozen=True)
class Listed:
    """One study of the list.

    ``data`` says whose patients they are, ``answer`` is how the answer begins, or empty,
    ``days`` (UTC) and ``commits`` are those that the records state, ``faults`` are sentences that a
    reader must see with it, ``page`` whether there is an index.
    """

    name: str
    title: str
    real_data: bool | None
    data: str
    answer: str
    days: tuple[str, ...]
    commits: tuple[str, ...]
    faults: tuple[str, ...]
    page: bool


def write(reports_dir: Path, built: str = "") -> Path:
    """Write ``index.html`` with every study that has records there, and return it.

    ``built`` is a study whose own index is about to be written.
    """
    studies = [
        _listed(path, built)
        for path in sorted(reports_dir.iterdir())
        if path.is_dir() and (path.name == built or any((path / "records").glob("*.json")))
    ]
    return write_atomic(reports_dir / "index.html", render("studies.html.j2", studies=studies))


def _listed(folder: Path, built: str) -> Listed:
    made: dict[str, Record] = {}
    faults = []
    for path in sorted((folder / "records").glob("*.json")):
        try:
            made[path.stem] = records.read(path)
        except RecordError:
            faults.append(f"The record of {path.stem} cannot be read.")
    study = _settings(folder.name, made)
    return Listed(
        name=folder.name,
        title=study.title if study else "",
        real_data=None if study is None else study.real_data,
        data=_patients(made),
        answer=opening(made[LAST_NOTEBOOK].conclusion) if LAST_NOTEBOOK in made else "",
        days=_stated(made, "date"),
        commits=_stated(made, "commit"),
        faults=(*faults, *_absent(folder.name, made)),
        page=folder.name == built or (folder / "index.html").is_file(),
    )


def opening(text: str) -> str:
    """Return the first two sentences of an answer: on what data it stands, and what it is."""
    return " ".join(BETWEEN.split(text.strip())[:2])


def _settings(name: str, made: Mapping[str, Record]) -> settings.Study | None:
    """Return what a record says of its study, else its parameter file, else nothing."""
    for record in made.values():
        try:
            return settings.Study.model_validate(record.parameters)
        except ValidationError:
            continue
    try:
        return settings.load(name)
    except SettingsError:
        return None


def _stated(made: Mapping[str, Record], what: str) -> tuple[str, ...]:
    """Return what the records state of their origin, each answer once, in order."""
    stated = {str(record.provenance.get(what, "not stated")) for record in made.values()}
    return tuple(sorted(stated))


def _patients(made: Mapping[str, Record]) -> str:
    first = made.get(facts.FIRST)
    values = {} if first is None else {value.name: value.value for value in first.values}
    if not {"patients_internal", "patients_external"} <= set(values):
        return "how many patients is not known"
    internal = digits.counted(int(values["patients_internal"]), "patient")
    return f"{internal}, {values['patients_external']:.0f} external"


def _absent(name: str, made: Mapping[str, Record]) -> list[str]:
    found = []
    if LAST_NOTEBOOK not in made:
        found.append(f"There is no answer: notebook {LAST_NOTEBOOK} left no record.")
    others = sorted({record.study for record in made.values()} - {name})
    if others:
        found.append(f"Some records belong to another study: {phrases.listed(others)}.")
    try:
        wanted = entries.expected(settings.load(name))
    except SettingsError:
        text = "Its parameter file is not in the project: nobody can tell what is missing."
        return [*found, text]
    lacking = [run for run in wanted if run not in made]
    if lacking:
        found.append(f"{len(lacking)} of its {digits.counted(len(wanted), 'run')} left no record.")
    return found
