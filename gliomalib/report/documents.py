"""The pages that are no notebook and no patient: methods, model card, errors, downloads."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gliomalib import digits, records
from gliomalib.report import entries, errors, methods, pages, references
from gliomalib.report.pages import Report, render


def every_page(report: Report, report_dir: Path) -> Iterator[tuple[str, str]]:
    """Yield the name (without ending) and the HTML of each of these pages."""
    yield "methods", methods_page(report)
    yield "model-card", card_page(report)
    headings = errors.headings(report, report_dir)
    yield "errors", render("errors.html.j2", report=report, headings=headings)
    files = [(entry, list(_files(entry, report_dir))) for entry in report.entries]
    yield "downloads", render("downloads.html.j2", report=report, files_of=files)


def methods_page(report: Report) -> str:
    """Return the methods text of this study, to read and to copy, with references and BibTeX."""
    sections = methods.sections(report)
    return render(
        "methods.html.j2",
        report=report,
        sections=sections,
        plain=methods.plain(sections, report.paper),
        references=references.cited(" ".join(sections.values()), report.paper),
        bibtex=references.bibtex(report.paper),
        planned=planned(report),
    )


def card_page(report: Report) -> str:
    """Return the model card of the trained networks."""
    return render(
        "card.html.j2",
        report=report,
        texts=methods.sections(report),
        citation=references.citation(),
        source=references.works()["mitchell2019"],
        planned=planned(report),
    )


def planned(report: Report) -> list[str]:
    """Return the runs that a methods text rests on and that left no record: it tells the plan."""
    runs = (pages.FIRST, pages.CROP, pages.UNET2D, pages.UNET3D, pages.FUSED, pages.CLASSES)
    return [run for run in runs if run not in report.records]


def _files(entry: entries.Entry, report_dir: Path) -> Iterator[dict[str, Any]]:
    """Yield each file of a run to take away: its name, its path, what is in it, its columns."""
    path = report_dir / "records" / f"{entry.name}.json"
    if path.is_file():
        content = digits.counted(len(entry.record.values if entry.record else ()), "value")
        yield {"name": "record", "path": path, "content": content, "columns": []}
    for table in entry.tables:
        path, name = report_dir / "tables" / table, table[len(entry.name) + 1 :].split(".csv")[0]
        try:
            columns, *rows = csv.reader(records.table_text(path).splitlines())
            counts = digits.counted(len(rows), "row"), digits.counted(len(columns), "column")
            content = ", ".join(counts)
        except (ValueError, csv.Error):
            columns, content = [], "a table that cannot be read"
        yield {"name": name, "path": path, "content": content, "columns": columns}
