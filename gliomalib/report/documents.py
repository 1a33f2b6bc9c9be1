"""The pages that are no statement, no notebook and no patient, such as methods and numbers."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gliomalib import digits, records
from gliomalib.report import entries, errors, methods, pages, references, site
from gliomalib.report.pages import Report, render
from gliomalib.report.statements import anchor
from gliomalib.schema import run_name, split_run_name


def every_page(report: Report, report_dir: Path) -> Iterator[tuple[str, str]]:
    """Yield the name (without ending) and the HTML of each of these pages."""
    yield "methods", methods_page(report)
    yield "model-card", card_page(report)
    headings = errors.headings(report, report_dir)
    yield "errors", _render(report, "errors", headings=headings)
    yield "about", _render(report, "about", citations=references.sentences(report.paper))
    yield "numbers", _render(report, "numbers", address=address)
    yield "glossary", _render(report, "glossary")
    yield "search", _render(report, "search", documents=site.DOCUMENTS)
    files = [(entry, list(_files(entry, report_dir))) for entry in report.entries]
    yield "downloads", _render(report, "downloads", files_of=files)


def methods_page(report: Report) -> str:
    """Return the methods text of this study, to read and to copy, with references and BibTeX."""
    sections = methods.sections(report)
    return _render(
        report,
        "methods",
        sections=sections,
        plain=methods.plain(sections, report.paper),
        references=references.cited(" ".join(sections.values()), report.paper),
        bibtex=references.bibtex(report.paper),
    )


def card_page(report: Report) -> str:
    """Return the model card of the trained networks."""
    return _render(
        report,
        "card",
        texts=methods.sections(report),
        citation=references.citation(),
        source=references.works()["mitchell2019"],
    )


def address(run: str, value: str) -> str:
    """Return where a value stands in the page of all numbers: ``05.seed2/dice_mean``."""
    notebook, variant = split_run_name(run)
    return f"{run_name(pages.number_of(notebook), variant)}/{anchor(value)[len(anchor('')) :]}"


def _render(report: Report, name: str, **given: Any) -> str:
    place = {"card": "html/model-card.html"}.get(name, f"html/{name}.html")
    return render(f"{name}.html.j2", place, report=report, **given)


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
