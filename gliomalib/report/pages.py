"""The pages of a report, made from entries by the templates."""

import base64
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup
from pydantic import ValidationError

from gliomalib import digits, settings
from gliomalib.data import catalogue
from gliomalib.parameters import LAST_NOTEBOOK
from gliomalib.report import cleaning, entries, notebooks, phrases, references, site
from gliomalib.report.entries import Entry
from gliomalib.report.statements import Number, Statement, anchor, statements
from gliomalib.schema import Record, RecordError, Value
from gliomalib.verdicts import claims, judge

ORIGIN = {
    "commit": "commit",
    "lock_sha256": "lock (SHA-256)",
    "code_digest": "code digest",
    "data_digest": "data digest",
}
"""What should be the same in all records of a study → what a page calls it."""

PROTOCOLS = ("full protocol", "restricted", "synthetic")
"""On what a verdict can stand, the strongest first."""

ABSENT = "not stated"
UNNAMED = "a machine that its record does not name"

NOTEBOOKS = {
    "FIRST": "01_data_exploration",
    "CROP": "02_preprocessing",
    "UNET2D": "03_train_unet2d",
    "UNET3D": "04_train_unet3d",
    "FUSED": "05_fusion",
    "CLASSES": "06_train_resnet50",
    "OUTSIDE": "13_external_validation",
    "TIMES": "14_efficiency",
}
"""What a sentence calls a notebook → its name."""

FIRST, CROP, UNET2D, UNET3D, FUSED, CLASSES, OUTSIDE, TIMES = NOTEBOOKS.values()


@dataclass(frozen=True)
class Report:
    """All that the templates are given; nothing in it is computed from images or labels.

    ``others`` are the studies that left records beside this one.
    """

    study: settings.Study
    entries: Sequence[Entry]
    verdicts: Sequence[dict[str, str]]
    verdict_fault: str
    example: Path | None = None
    others: tuple[str, ...] = ()

    @cached_property
    def records(self) -> dict[str, Record]:
        """The records that are there, by name."""
        return {entry.name: entry.record for entry in self.entries if entry.record is not None}

    @property
    def pages(self) -> list[str]:
        """The runs that have a page of their own, in order."""
        return [entry.name for entry in self.entries if entry.executed is not None]

    @cached_property
    def statements(self) -> list[Statement]:
        """The rows of the verdict table with the numbers that they stand on."""
        return statements(self.verdicts, self.number, self.study.published)

    @cached_property
    def paper(self) -> claims.Paper:
        """The paper whose claims the study examines."""
        return claims.paper(self.study.published)

    @cached_property
    def tree(self) -> dict[str, list[site.Place]]:
        """The pages of the report by heading."""
        return site.tree(self.statements, self.entries)

    @property
    def protocol(self) -> str:
        """The protocol on which most of the decided statements stand, empty where none does."""
        bases = [each.row.get("rests on") for each in self.statements if each.decided]
        return max((name for name in PROTOCOLS if name in bases), key=bases.count, default="")

    def number(self, run: str, name: str) -> Number | None:
        """Return a value of the record of a run with its place, None where there is none."""
        value = self.value(run, name)
        href = f"html/{run}.html#{anchor(name)}" if run in self.pages else ""
        return Number(value, href) if value else None

    def value(self, run: str, name: str) -> Value | None:
        """Return a value of the record of a run, None where there is none."""
        record = self.records.get(run)
        return next((v for v in record.values if v.name == name), None) if record else None

    def count(self, run: str, name: str) -> int | None:
        """Return a value of a record that counts something, None where there is none or NaN."""
        value = self.value(run, name)
        return int(value.value) if value and math.isfinite(value.value) else None

    def as_run(self, notebook: str) -> settings.Study:
        """Return the settings with which a notebook ran, as its record says.

        Without a record, or where its parameters are not those of this version, the study's.
        """
        record = self.records.get(notebook)
        try:
            return settings.Study.model_validate(record.parameters) if record else self.study
        except ValidationError:
            return self.study

    @property
    def most_patients(self) -> int:
        """The largest number of patients behind a result, which is a value with an interval.

        Those whom a table names, or whom the study found, are counted elsewhere.
        """
        values = [value for record in self.records.values() for value in record.values]
        return max((value.n_patients for value in values if value.ci95), default=0)

    @property
    def processors(self) -> list[str]:
        """The processors that the records name, each once: ``AMD EPYC, 2 cores``."""
        machines = [record.provenance["hardware"] for record in self.records.values()]
        named = [machine for machine in machines if {"processor", "cores"} <= machine.keys()]
        unnamed = [UNNAMED] if len(named) < len(machines) else []
        texts = {f"{machine['processor']}, {machine['cores']} cores" for machine in named}
        return [*sorted(texts), *unnamed]

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
            facts = {"date (UTC)": record.provenance.get("date", ABSENT), **origin(record)}
            # a record of an earlier version has none
            facts |= {"exit code": record.provenance.get("exit_code", "not recorded")}
            for key, answer in {name: str(fact) for name, fact in facts.items()}.items():
                found.setdefault(key, {}).setdefault(answer, []).append(name)
        return found

    @property
    def differing(self) -> list[str]:
        """What of commit, lock, code and data is not the same in all records."""
        return [name for name in ORIGIN.values() if len(self.provenance.get(name, {})) > 1]


def origin(record: Record) -> dict[str, str]:
    """Return commit, lock, code, data, versions, processor, seed and device by what pages say."""
    stated = {title: record.provenance.get(key, ABSENT) for key, title in ORIGIN.items()}
    stated |= record.provenance.get("versions", {})
    stated |= {"processor": record.provenance["hardware"].get("processor", ABSENT)}
    stated |= {"seed": record.seed, "device": record.device}
    return {name: str(answer) for name, answer in stated.items()}


def collect(study: settings.Study, report_dir: Path) -> Report:
    """Read what is there of a study, beside what was expected."""
    try:
        rows = entries.rows(report_dir, entries.VERDICTS, entries.VERDICT_COLUMNS)
        fault = ""
    except RecordError as error:
        rows, fault = [], str(error)
    example = report_dir / "figures" / "fused.png"
    there = example if example.is_file() else None
    beside = (name for name in settings.studies() if name != study.study)
    others = tuple(n for n in beside if any((report_dir.parent / n / "records").glob("*.json")))
    return Report(study, entries.entries(study, report_dir), rows, fault, there, others)


def index_page(report: Report) -> str:
    """Return the first page of a report."""
    return render("index.html.j2", "index.html", report=report)


def render(template: str, place: str = "", **given: Any) -> str:
    """Return a page made by one of the templates, which escapes whatever is not ``Markup``.

    ``place`` is its address from the study's folder; empty for a page above all studies.
    """
    root = "../" if "/" in place else ""
    published = given["report"].study.published if "report" in given else None
    page = _environment(published).get_template(template).render(place=place, root=root, **given)
    page = site.framed(page, given["report"].paper.glossary) if place else page
    # no line ends between a number and its percent sign
    return re.sub(r"(?<=\d) (?=%)", "\N{NO-BREAK SPACE}", page)


def number_of(name: str) -> str:
    """Return the number of a notebook, ``05`` of ``05_fusion``."""
    return name.partition("_")[0]


@lru_cache
def _environment(published: str | None) -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(notebooks.TEMPLATES),
        autoescape=lambda name: name is None or not name.endswith(".txt.j2"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    functions = (
        *(digits.number, digits.with_minus, number_of, anchor, cleaning.breakable, judge.ranges),
        *(phrases.range_of, phrases.duration, phrases.memory, phrases.listed),
        *(phrases.changes, phrases.device),
        references.of_releases,
    )
    environment.filters |= {
        **{function.__name__: function for function in functions},
        "main_answer": lambda answers: max(answers, key=lambda answer: len(answers[answer])),
        "embedded": lambda path: base64.b64encode(path.read_bytes()).decode(),
        "data_set": catalogue.find,
    }
    styles = notebooks.TEMPLATES.glob("*.css")
    sheets = {path.stem: Markup(path.read_text(encoding="utf-8").strip()) for path in styles}
    environment.globals |= {
        **{"sheets": sheets, "last": LAST_NOTEBOOK, "counted": digits.counted, **NOTEBOOKS},
        "paper": claims.paper(published),
        "contents": Markup(site.CONTENTS),
    }
    return environment
