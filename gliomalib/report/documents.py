"""The pages that are no notebook and no patient: methods, model card, errors, downloads."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gliomalib import labels
from gliomalib.report import card, entries, errors, facts, methods, phrases, references, words
from gliomalib.report.pages import Report, render
from gliomalib.schema import CLASS_NAMES, SettingsError

MODEL_CARDS = "mitchell2019"
"""Key of the work whose order a model card follows."""


@dataclass(frozen=True)
class Download:
    """One file to take away: its address, what is in it, its size, what is wrong with it."""

    name: str
    address: str
    content: str
    columns: tuple[str, ...]
    size: str


@dataclass(frozen=True)
class Files:
    """The files of one run."""

    run: str
    heading: str
    found: tuple[Download, ...]


def every_page(report: Report, report_dir: Path) -> Iterator[tuple[str, str]]:
    """Yield the name (without ending) and the HTML of each of these pages.

    ``report.large_pages`` must be known by then: the errors page names them.
    """
    yield "methods", methods_page(report)
    yield "model-card", card_page(report)
    yield "errors", errors_page(report, report_dir)
    yield "downloads", downloads_page(report, report_dir)


def methods_page(report: Report) -> str:
    """Return the methods text of this study, to read and to copy, with references and BibTeX."""
    found = methods.sections(report)
    works = references.cited(" ".join(section.text for section in found))
    try:
        bibtex, fault = references.bibtex(), ""
    except SettingsError as error:
        bibtex, fault = "", str(error)
    return render(
        "methods.html.j2",
        report=report,
        sections=found,
        fusion=facts.as_run(report, facts.FUSED).fusion,
        plain=methods.plain(found),
        references=works,
        bibtex=bibtex,
        bibtex_fault=fault,
        planned=planned(report),
    )


def card_page(report: Report) -> str:
    """Return the model card of the trained networks."""
    texts = {section.title: section.text for section in methods.sections(report)}
    return render(
        "card.html.j2",
        report=report,
        texts=texts,
        networks=card.networks(report),
        phrases=phrases,
        scores=card.scores(report),
        failures=card.failures(report),
        releases=[
            (references.title_of(key), references.licence_of(key)) for key in card.releases(report)
        ],
        licence=_licence(),
        machine=facts.machine(report),
        source=references.works()[MODEL_CARDS],
        classes=CLASS_NAMES,
        regions=tuple(labels.REGIONS),
        planned=planned(report),
    )


def errors_page(report: Report, report_dir: Path) -> str:
    """Return the page of everything that went wrong or was left out."""
    return render("errors.html.j2", report=report, headings=errors.headings(report, report_dir))


def downloads_page(report: Report, report_dir: Path) -> str:
    """Return the list of all tables and records, with rows, columns and sizes."""
    runs = [
        Files(entry.name, entry.heading, tuple(_files(entry, report_dir)))
        for entry in report.entries
    ]
    listed = {file.address for run in runs for file in run.found}
    tables = sorted((report_dir / "tables").glob("*.csv"))
    others = [path for path in tables if f"../tables/{path.name}" not in listed]
    return render(
        "downloads.html.j2",
        report=report,
        runs=runs,
        others=tuple(_table(path, path.stem) for path in others),
        archive=f"{report.study.study}.zip",
    )


def planned(report: Report) -> list[str]:
    """Return the runs that a methods text rests on and that left no record: it tells the plan."""
    runs = (facts.FIRST, facts.CROP, facts.UNET2D, facts.UNET3D, facts.FUSED, facts.CLASSES)
    return [run for run in runs if run not in report.records]


def file_size(count: int) -> str:
    """Return a number of bytes as bytes, kB or MB (powers of ten)."""
    if count < 1000:
        return words.counted(count, "byte")
    return f"{count / 1000:.1f} kB" if count < 1_000_000 else f"{count / 1e6:.1f} MB"


def _files(entry: entries.Entry, report_dir: Path) -> Iterator[Download]:
    path = report_dir / "records" / f"{entry.name}.json"
    if path.is_file():
        content = "a record that cannot be read"
        if entry.record is not None:
            content = words.counted(len(entry.record.values), "value")
        size = file_size(path.stat().st_size)
        yield Download("record", f"../records/{path.name}", content, (), size)
    for table in entry.tables:
        yield _table(report_dir / "tables" / table, Path(table).stem[len(entry.name) + 1 :])


def _table(path: Path, name: str) -> Download:
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            columns, *rows = csv.reader(stream)
        content = f"{words.counted(len(rows), 'row')}, {words.counted(len(columns), 'column')}"
    except (OSError, ValueError, csv.Error):
        columns, content = [], "a table that cannot be read"
    size = file_size(path.stat().st_size)
    return Download(name, f"../tables/{path.name}", content, tuple(columns), size)


def _licence() -> str:
    try:
        return str(references.citation()["license"])
    except SettingsError:
        return ""
