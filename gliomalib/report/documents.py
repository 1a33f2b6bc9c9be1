"""The pages that are no statement, no notebook and no patient, and the methods in sentences."""

import csv
import io
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gliomalib import digits, records
from gliomalib.report import entries, errors, pages, references, site
from gliomalib.report.pages import Report, render
from gliomalib.report.statements import anchor
from gliomalib.schema import CLASS_NAMES, run_name, split_run_name
from gliomalib.scoring import bootstrap, training_noise
from gliomalib.verdicts.claims import Paper


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
    texts = sections(report)
    return _render(
        report,
        "methods",
        sections=texts,
        plain=plain(texts, report.paper),
        references=references.cited(" ".join(texts.values()), report.paper),
        bibtex=references.bibtex(report.paper),
    )


def card_page(report: Report) -> str:
    """Return the model card of the trained networks."""
    return _render(
        report,
        "card",
        texts=sections(report),
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
            columns, *rows = csv.reader(io.StringIO(records.table_text(path), ""))
            counts = digits.counted(len(rows), "row"), digits.counted(len(columns), "column")
            content = ", ".join(counts)
        except (ValueError, csv.Error):
            columns, content = [], "a table that cannot be read"
        yield {"name": name, "path": path, "content": content, "columns": columns}


def sections(report: Report) -> dict[str, str]:
    """Return the methods of a study, heading → paragraph, as ``methods.txt.j2`` words them.

    A number comes from the record of the run that it describes; without a record the settings of
    the study speak, and what only a record knows is said to be unknown.
    """
    text = render(
        "methods.txt.j2",
        report=report,
        class_names=CLASS_NAMES,
        level=bootstrap.LEVEL,
        margin=training_noise.MARGIN,
    )
    _, *parts = re.split(r"^# (.+)\n", text, flags=re.MULTILINE)
    # not str.split: a narrow space that does not break stands inside of a number
    texts = [re.sub(r"[ \n]+", " ", part).strip() for part in parts[1::2]]
    return dict(zip(parts[::2], texts, strict=True))


def plain(found: Mapping[str, str], paper: Paper) -> str:
    """Return sections as plain text to copy, with the list of what they cite."""
    body = "\n\n".join(f"{title}. {text}" for title, text in found.items())
    listed = "\n".join(f"- {work.text} {work.place}" for work in references.cited(body, paper))
    return f"{body}\n\nReferences\n{listed}"
