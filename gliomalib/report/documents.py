"""The pages that are no notebook and no patient: methods, model card, errors, downloads."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from gliomalib import digits
from gliomalib.report import card, entries, errors, facts, methods, references
from gliomalib.report.pages import Report, render

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
    sections = methods.sections(report)
    return render(
        "methods.html.j2",
        report=report,
        sections=sections,
        fusion=facts.as_run(report, facts.FUSED).fusion,
        plain=methods.plain(sections),
        references=references.cited(" ".join(section.text for section in sections)),
        bibtex=references.bibtex(),
        planned=planned(report),
    )


def card_page(report: Report) -> str:
    """Return the model card of the trained networks."""
    return render(
        "card.html.j2",
        report=report,
        texts={section.title: section.text for section in methods.sections(report)},
        networks=card.networks(report),
        value_of=partial(facts.value_of, report),
        data=facts.as_run(report, facts.FIRST).data,
        citation=references.citation(),
        machine=facts.machine(report),
        source=references.works()[MODEL_CARDS],
        planned=planned(report),
        **facts.NOTEBOOKS,
    )


def errors_page(report: Report, report_dir: Path) -> str:
    """Return the page of everything that went wrong or was left out."""
    return render("errors.html.j2", report=report, headings=errors.headings(report, report_dir))


def downloads_page(report: Report, report_dir: Path) -> str:
    """Return the list of all tables and records, with rows, columns and sizes."""
    files = [(entry, list(_files(entry, report_dir))) for entry in report.entries]
    listed = {file.address for _, found in files for file in found}
    tables = sorted((report_dir / "tables").glob("*.csv"))
    others = [_table(path, path.stem) for path in tables if f"../tables/{path.name}" not in listed]
    return render("downloads.html.j2", report=report, files_of=files, others=others)


def planned(report: Report) -> list[str]:
    """Return the runs that a methods text rests on and that left no record: it tells the plan."""
    runs = (facts.FIRST, facts.CROP, facts.UNET2D, facts.UNET3D, facts.FUSED, facts.CLASSES)
    return [run for run in runs if run not in report.records]


def file_size(count: int) -> str:
    """Return a number of bytes as bytes, kB or MB (powers of ten)."""
    if count < 1000:
        return digits.counted(count, "byte")
    return f"{count / 1000:.1f} kB" if count < 1_000_000 else f"{count / 1e6:.1f} MB"


def _files(entry: entries.Entry, report_dir: Path) -> Iterator[Download]:
    path = report_dir / "records" / f"{entry.name}.json"
    if path.is_file():
        content = "a record that cannot be read"
        if entry.record is not None:
            content = digits.counted(len(entry.record.values), "value")
        size = file_size(path.stat().st_size)
        yield Download("record", f"../records/{path.name}", content, (), size)
    for table in entry.tables:
        yield _table(report_dir / "tables" / table, Path(table).stem[len(entry.name) + 1 :])


def _table(path: Path, name: str) -> Download:
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            columns, *rows = csv.reader(stream)
        content = f"{digits.counted(len(rows), 'row')}, {digits.counted(len(columns), 'column')}"
    except (OSError, ValueError, csv.Error):
        columns, content = [], "a table that cannot be read"
    size = file_size(path.stat().st_size)
    return Download(name, f"../tables/{path.name}", content, tuple(columns), size)
