"""The report of a study: pages from finished records, tables, figures and notebooks.

Nothing is computed here. The pages are made from the list of what was expected, so that what is
missing is named where a reader would otherwise be misled.
"""

from collections.abc import Iterable
from pathlib import Path

from gliomalib import settings
from gliomalib.provenance import write_atomic
from gliomalib.report import (
    bundle,
    claim_pages,
    documents,
    drawings,
    evidence,
    handouts,
    patient_files,
    patients,
    play,
    studies,
)
from gliomalib.report.pages import collect, index_page

__all__ = ["build"]


def build(study: str, report_dir: str | Path) -> Path:
    """Write the pages of a study, the list of studies and the archive, and return the index.

    ``report_dir`` is the study's folder with ``records``, ``notebooks``, ``tables``, ``figures``;
    the list of the studies lies above it. A page in its ``html`` folder that belongs to nothing
    any more is removed. What is missing or damaged in the folder is named on the index. Raises
    ``SettingsError`` where there is no such study.
    """
    report_dir = Path(report_dir)
    report = collect(settings.load(study), report_dir)
    html = report_dir / "html"
    cohort = patient_files.of_study(report.study, report_dir)
    drawn = [*evidence.every_page(report), *claim_pages.every_page(report)]
    names = _write(html, ((name, drawings.linked(page, cohort.links)) for name, page in drawn))
    names |= _write(html, patients.every_page(report, cohort))
    names |= _write(html, documents.every_page(report, report_dir))
    names |= _write(html, play.every_page(report, report_dir))
    for path in sorted(html.glob("*.html")):
        if path.stem not in names:
            path.unlink()
    studies.write(report_dir.parent, report_dir.name)
    index = write_atomic(report_dir / "index.html", index_page(report))
    handouts.write(report, report_dir)
    bundle.describe(report, report_dir)
    bundle.write(report, report_dir)
    return index


def _write(html: Path, pages: Iterable[tuple[str, str]]) -> set[str]:
    """Write pages by their names without ending; return the names."""
    return {write_atomic(html / f"{name}.html", page).stem for name, page in pages}
