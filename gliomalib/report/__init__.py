"""The report of a study: pages from finished records, tables, figures and notebooks.

Nothing is computed here. The pages are made from the list of what was expected, so that what is
missing is named where a reader would otherwise be misled.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from gliomalib import settings
from gliomalib.provenance import write_atomic
from gliomalib.report.pages import MOST_BYTES, collect, index_page, notebook_page

__all__ = ["build"]


def build(study: str, report_dir: Path) -> Path:
    """Write ``index.html`` and a page per executed notebook, and return the index.

    Parameters
    ----------
    study
        Name of the study; its parameter file says what was expected.
    report_dir
        The study's folder of results with ``records``, ``notebooks``, ``tables``, ``figures``. A
        page in its ``html`` folder that belongs to no executed notebook any more is removed.

    Raises
    ------
    SettingsError
        Where there is no such study. What is missing or damaged in the folder raises nothing: it
        is named on the index.
    """
    report = collect(settings.load(study), report_dir)
    html = report_dir / "html"
    sizes: dict[str, int] = {}
    for entry in report.entries:
        if entry.executed is not None:
            page = notebook_page(report, entry)
            write_atomic(html / f"{entry.name}.html", page)
            sizes[entry.name] = len(page.encode())
    for path in sorted(html.glob("*.html")):
        if path.stem not in sizes:
            path.unlink()
    large = {name: size for name, size in sizes.items() if size > MOST_BYTES}
    index = index_page(replace(report, large_pages=large))
    return write_atomic(report_dir / "index.html", index)
