"""The list of the studies whose results lie side by side."""

import logging
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from gliomalib import settings
from gliomalib.parameters import LAST_NOTEBOOK
from gliomalib.provenance import write_atomic
from gliomalib.report import entries
from gliomalib.report.pages import FIRST, render
from gliomalib.schema import SettingsError

log = logging.getLogger(__name__)

BETWEEN = re.compile(r"(?<=[.!?])\s+(?=[A-Z\"“])")
"""Between two sentences of a text; a point inside of a number ends none."""


def write(reports_dir: Path, built: str = "") -> Path:
    """Write ``index.html`` with every study of the project that has records there, and return it.

    ``built`` is a study whose own index is about to be written.
    """
    made = (
        name
        for name in settings.studies()
        if name == built or any((reports_dir / name / "records").glob("*.json"))
    )
    studies = [_listed(study, reports_dir / study.study, built) for study in _loaded(made)]
    return write_atomic(reports_dir / "index.html", render("studies.html.j2", studies=studies))


def _loaded(names: Iterable[str]) -> Iterator[settings.Study]:
    for name in names:
        try:
            yield settings.load(name)
        except SettingsError as error:
            # the file of one study is no reason to have no report of another
            log.warning("%s is not in the list of studies: %s", name, error)


def _listed(study: settings.Study, folder: Path, built: str) -> dict[str, Any]:
    """Return what the list says of a study.

    ``counts`` are the numbers of notebook 01, ``answer`` is how the answer begins, if any,
    ``origins`` what its records say of theirs, ``lacking`` how many of all ``runs`` left none,
    ``page`` whether there is an index.
    """
    # a damaged record is one that lacks here; the study's own index says what is wrong with it
    made, _ = entries.readable(folder)
    runs = entries.expected(study)
    return {
        "study": study,
        "counts": {v.name: v.value for v in made[FIRST].values} if FIRST in made else {},
        "answer": opening(made[LAST_NOTEBOOK].conclusion) if LAST_NOTEBOOK in made else None,
        "origins": [record.provenance for record in made.values()],
        "lacking": sum(run not in made for run in runs),
        "runs": len(runs),
        "page": study.study == built or (folder / "index.html").is_file(),
    }


def opening(text: str) -> str:
    """Return the first two sentences of an answer: on what data it stands, and what it is."""
    return " ".join(BETWEEN.split(text.strip())[:2])
