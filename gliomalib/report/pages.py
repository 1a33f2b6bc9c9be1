"""The pages of a report, made from entries by the templates."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from gliomalib import settings
from gliomalib.report import cells, entries, words
from gliomalib.report.entries import Entry
from gliomalib.schema import Record, RecordError

MOST_BYTES = 3_000_000
"""A page above this opens slowly on a telephone; the index says so."""

FEW_PATIENTS = 50
"""Below this many patients a bootstrap interval of a mean is not to be trusted."""

TONES = {
    "reproduced": "yes",
    "holds": "yes",
    "not reproduced": "no",
    "does not hold": "no",
    "inconclusive": "open",
    "not testable on this data": "none",
    "not run": "none",
}
"""Mark and colour of each verdict; one that is not listed here is shown without either."""

SHARED = ("commit", "lock_sha256", "code_digest", "data_digest")
"""What should be the same in all records of a study."""

SHARED_NAMES = {
    "commit": "commit",
    "lock_sha256": "lock (SHA-256)",
    "code_digest": "code digest",
    "data_digest": "data digest",
}


@dataclass(frozen=True)
class Report:
    """All that the templates are given; nothing in it is computed from images or labels."""

    study: settings.Study
    entries: Sequence[Entry]
    verdicts: Sequence[dict[str, str]]
    verdict_fault: str
    overview: Path | None
    large_pages: dict[str, int] = field(default_factory=dict)

    @property
    def records(self) -> dict[str, Record]:
        """The records that are there, by name."""
        return {entry.name: entry.record for entry in self.entries if entry.record is not None}

    @property
    def pages(self) -> list[str]:
        """The runs that have a page of their own, in order."""
        return [entry.name for entry in self.entries if entry.executed is not None]

    @property
    def answer(self) -> str:
        """The study's answer in one paragraph, empty where nobody gave it."""
        last = self.records.get(entries.LAST)
        return last.conclusion if last is not None else ""

    @property
    def most_patients(self) -> int:
        """The largest number of patients behind a result, which is a value with an interval.

        Those whom a table names, or whom the study found, are counted elsewhere.
        """
        values = [value for record in self.records.values() for value in record.values]
        return max((value.n_patients for value in values if value.ci95), default=0)

    @property
    def caveats(self) -> dict[str, list[str]]:
        """Each caveat once, with the runs that state it; none for those of the whole study."""
        found: dict[str, list[str]] = {caveat: [] for caveat in self.study.caveats}
        for name, record in self.records.items():
            for caveat in record.caveats:
                if caveat not in self.study.caveats:
                    found.setdefault(caveat, []).append(name)
        return found

    @property
    def provenance(self) -> dict[str, dict[str, list[str]]]:
        """What the records say of their origin → each answer → the runs that give it."""
        found: dict[str, dict[str, list[str]]] = {}
        for name, record in self.records.items():
            said = {SHARED_NAMES[key]: record.provenance.get(key, "not stated") for key in SHARED}
            said |= record.provenance.get("versions", {})
            for key, answer in {**said, "seed": record.seed, "device": record.device}.items():
                found.setdefault(key, {}).setdefault(str(answer), []).append(name)
        return found

    @property
    def differing(self) -> list[str]:
        """What of commit, lock, code and data is not the same in all records."""
        return [name for name in SHARED_NAMES.values() if len(self.provenance.get(name, {})) > 1]

    @property
    def wall_s(self) -> float:
        """Wall time of all runs that finished."""
        return sum(record.wall_s for record in self.records.values())


def collect(study: settings.Study, report_dir: Path) -> Report:
    """Read what is there of a study, beside what was expected."""
    try:
        rows, fault = entries.verdicts(report_dir), ""
    except RecordError as error:
        rows, fault = [], str(error)
    overview = report_dir / "figures" / "overview.png"
    return Report(
        study=study,
        entries=entries.entries(study, report_dir),
        verdicts=rows,
        verdict_fault=fault,
        overview=overview if overview.is_file() else None,
    )


def notebook_page(report: Report, entry: Entry) -> str:
    """Return the page of one executed notebook. Raises ``RecordError`` where there is no copy."""
    if entry.executed is None:
        raise RecordError(f"{entry.name}: there is no executed copy to make a page from; run it")
    place = report.pages.index(entry.name)
    body = cells.body(entry.executed, number_of(entry.name), report.pages)
    return (
        _environment()
        .get_template("notebook.html.j2")
        .render(
            report=report,
            entry=entry,
            # cells.body escapes whatever is not a plain tag
            body=Markup(body),
            previous=report.pages[place - 1] if place else None,
            following=report.pages[place + 1] if place + 1 < len(report.pages) else None,
        )
    )


def index_page(report: Report) -> str:
    """Return the first page of a report."""
    picture = ""
    if report.overview is not None:
        picture = base64.b64encode(report.overview.read_bytes()).decode()
    return _environment().get_template("index.html.j2").render(report=report, picture=picture)


def number_of(name: str) -> str:
    """Return the number of a notebook, ``05`` of ``05_fusion``."""
    return name.partition("_")[0]


@lru_cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(cells.TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": words.number,
        "range_of": words.range_of,
        "text_or_number": words.text_or_number,
        "duration": words.duration,
        "memory": words.memory,
        "listed": words.listed,
        "number_of": number_of,
    }
    sheet = (cells.TEMPLATES / "report.css").read_text(encoding="utf-8")
    constants: dict[str, Any] = {"tones": TONES, "few": FEW_PATIENTS, "last": entries.LAST}
    environment.globals |= {**constants, "counted": words.counted, "sheet": Markup(sheet)}
    return environment
