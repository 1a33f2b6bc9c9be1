"""A study's pages, tables, records and figures as one archive that works where it is unpacked."""

import zipfile
from pathlib import Path

from gliomalib.provenance import open_atomic
from gliomalib.report.pages import Report, render

FOLDERS = {
    **{"html": "*.html", "notebooks": "*.ipynb", "tables": "*.csv*"},
    **{"records": "*.json", "figures": "*"},
}
"""What goes in beside the index; stored pictures of patients do not."""


def write(report: Report, report_dir: Path) -> Path:
    """Write ``<study>.zip`` into a study's folder, whole or not at all, and return it.

    It is made of the files that are there, so it comes last. Pages of patients stay out where they
    may show volumes of real patients.
    """
    study = report.study.study
    kept_back = report.study.real_data and report.study.report.real_volumes
    # outside of the archive the list of all studies lies where this page leads to the only one
    top = render("archive.html.j2", study=study)
    note = render("archive.txt.j2", study=study, kept_back=kept_back)
    with (
        open_atomic(report_dir / f"{study}.zip") as stream,
        zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, strict_timestamps=False) as archive,
    ):
        archive.writestr("index.html", top)
        archive.writestr(f"{study}/README.txt", note)
        for path in _files(report_dir):
            if not (kept_back and path.match("html/patient*")):
                archive.write(path, f"{study}/{path.relative_to(report_dir)}")
    return report_dir / f"{study}.zip"


def _files(report_dir: Path) -> list[Path]:
    paths = [report_dir / "index.html"]
    for folder, pattern in FOLDERS.items():
        paths += (report_dir / folder).glob(pattern)
    return sorted(path for path in paths if path.is_file() and not path.name.startswith("."))
