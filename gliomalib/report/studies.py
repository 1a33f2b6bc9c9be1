"""The list of the studies whose results lie side by side."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gliomalib import digits, records, settings
from gliomalib.parameters import LAST_NOTEBOOK
from gliomalib.provenance import write_atomic
from gliomalib.report import entries
from gliomalib.report.pages import FIRST, render
from gliomalib.schema import Record

BETWEEN = re.compile(r"(?<=[.!?])\s+(?=[A-Z\"“])")
"""Between two sentences of a text; a point inside of a number ends none."""


def write(reports_dir: Path, built: str = "") -> Path:
    """Write ``index.html`` with every study of the project that has records there, and return it.

    ``built`` is a study whose own index is about to be written.
    """
    studies = [
        _listed(settings.load(name), reports_dir / name, built)
        for name in settings.studies()
        if name == built or any((reports_dir / name / "records").glob("*.json"))
    ]
    return write_atomic(reports_dir / "index.html", render("studies.html.j2", studies=studies))


def _listed(study: settings.Study, folder: Path, built: str) -> dict[str, Any]:
    """Return what the list says of a study.

    ``data`` is how many patients it has, ``answer`` how the answer begins, or empty, ``origins``
    what its records say of theirs, ``faults`` what a reader must see with it, in sentences,
    ``page`` whether there is an index.
    """
    # a damaged record is one that lacks here; the study's own index says what is wrong with it
    made, _ = entries.readable(folder, "records/*.json", records.read)
    return {
        "study": study,
        "data": _patients(made),
        "answer": opening(made[LAST_NOTEBOOK].conclusion) if LAST_NOTEBOOK in made else "",
        "origins": [record.provenance for record in made.values()],
        "faults": list(_absent(study, made)),
        "page": study.study == built or (folder / "index.html").is_file(),
    }


def opening(text: str) -> str:
    """Return the first two sentences of an answer: on what data it stands, and what it is."""
    return " ".join(BETWEEN.split(text.strip())[:2])


def _patients(made: Mapping[str, Record]) -> str:
    first = made.get(FIRST)
    values = {} if first is None else {value.name: value.value for value in first.values}
    if not {"patients_internal", "patients_external"} <= set(values):
        return "how many patients is not known"
    internal = digits.counted(int(values["patients_internal"]), "patient")
    return f"{internal}, {values['patients_external']:.0f} external"


def _absent(study: settings.Study, made: Mapping[str, Record]) -> Iterator[str]:
    if LAST_NOTEBOOK not in made:
        yield f"There is no answer: notebook {LAST_NOTEBOOK} left no record."
    wanted = entries.expected(study)
    if lacking := [run for run in wanted if run not in made]:
        yield f"{len(lacking)} of its {digits.counted(len(wanted), 'run')} left no record."
