"""The answer of a study to take away: plain text, one page of PDF, and how to cite it."""

import re
from pathlib import Path
from typing import Any

from gliomalib.parameters import LAST_NOTEBOOK
from gliomalib.provenance import write_atomic
from gliomalib.report import documents, entries, references
from gliomalib.report.pages import Report, render
from gliomalib.verdicts import claims

EXPERIENCE = ("Easy", "Difficult", "Communication")
"""What the last notebook says of the work, each as a paragraph that begins with its name."""


def write(report: Report, report_dir: Path) -> None:
    """Write ``answer.txt``, ``summary.pdf`` and ``cite.bib`` into the folder of a study.

    The summary has the headings that ReScience and MLRC ask for. Statements that find no room on
    it are left out from the last one on, and it says how many.
    """
    # matplotlib takes its time to import, and what else reads this package needs none of it
    from gliomalib.figures import one_page  # noqa: PLC0415

    content = _content(report)
    write_atomic(report_dir / "answer.txt", render("answer.txt.j2", **content))
    texts = (
        render("summary.txt.j2", **content, shown=shown)
        for shown in range(len(content["decided"]), -1, -1)
    )
    versions = ([part.strip() for part in text.split("\n\n") if part.strip()] for text in texts)
    page = one_page.draw(f"Reproducibility summary of the study {report.study.study}", versions)
    write_atomic(report_dir / "summary.pdf", page)
    dates, commits = (
        ", ".join(sorted(report.provenance.get(key, ()))) for key in ("date (UTC)", "commit")
    )
    years = re.findall(r"\d{4}(?=-\d\d-\d\d)", dates)
    own = {
        "key": report.study.study,
        "title": f"{{Study {report.study.study}: {re.sub('[{}]', '', report.study.title)}}}",
        "year": years[-1] if years else "",
        "note": f"records of {dates or 'no date'}, commit {commits or 'unknown'}",
    }
    cite = references.bibtex(report.paper, content["texts"]["Data"], **own)
    write_atomic(report_dir / "cite.bib", f"{cite}\n")


def _content(report: Report) -> dict[str, Any]:
    """Return what the texts are made of; statements that decide nothing go by their verdict."""
    statements, left_out = report.statements, dict[str, list[str]]()
    for statement in statements:
        if not statement.decided:
            left_out.setdefault(statement.row["verdict"], []).append(statement.row["claim"])
    last = next(entry for entry in report.entries if entry.name == LAST_NOTEBOOK)
    text = "\n\n".join(entries.texts(last.name, last.executed))
    work = {label: entries.paragraph(label, text) for label in EXPERIENCE}
    return {
        "report": report,
        "statements": statements,
        "decided": [statement for statement in statements if statement.decided],
        "left_out": left_out,
        "last": last,
        "work": {k: re.sub(r"\((\d\d)\)", r"(notebook \1)", text) for k, text in work.items()},
        "texts": documents.sections(report),
        "groups": claims.GROUPS,
    }
