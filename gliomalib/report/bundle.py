"""What of a study's report is passed on, and all of it as one archive that works unpacked."""

import zipfile
from collections.abc import Iterable
from pathlib import Path

from gliomalib import settings
from gliomalib.provenance import open_atomic
from gliomalib.report.pages import Report, render

FOLDERS = {
    **{"html": "*.html", "tables": "*.csv*", "records": "*.json", "figures": "*"},
    "notebooks": "*.ipynb",
}
"""Folders of a report and what of them is passed on; pictures of patients are not."""

CRATE = "ro-crate-metadata.json"

FILES = ("index.html", "answer.txt", "summary.pdf", "cite.bib", CRATE)
"""What lies beside these folders."""

PATIENTS = "html/patient*"
"""Pages that stay out where they may show volumes of real patients."""


def write(report: Report, report_dir: Path) -> Path:
    """Write ``<study>.zip`` into a study's folder, whole or not at all, and return it.

    It is made of the files that are there, so it comes last.
    """
    study = report.study.study
    # outside of the archive the list of all studies lies where this page leads to the only one
    top = render("archive.html.j2", study=study)
    note = render("archive.txt.j2", study=study, kept_back=kept_back(report.study))
    paths = files(report.study, report_dir)
    pages = ((f"{study}/{path.relative_to(report_dir)}", path) for path in paths)
    texts = (("index.html", top.encode()), (f"{study}/README.txt", note.encode()))
    return pack(report_dir / f"{study}.zip", [*texts, *pages])


def kept_back(study: settings.Study) -> bool:
    """Return whether the pages of patients hold what may not be passed on."""
    return study.real_data and study.report.real_volumes


def files(study: settings.Study, report_dir: Path) -> list[Path]:
    """Return the files of a report that may be passed on, in order of their names."""
    paths = [report_dir / name for name in FILES]
    for folder, pattern in FOLDERS.items():
        paths += (report_dir / folder).glob(pattern)
    closed = PATIENTS if kept_back(study) else "-"
    present = (path for path in paths if path.is_file() and not path.name.startswith("."))
    return sorted(path for path in present if not path.match(closed))


def pack(path: Path, content: Iterable[tuple[str, Path | bytes]]) -> Path:
    """Write named bytes, or those of files, as a zip, whole or not at all; return ``path``.

    No date of a file is in it: the same content gives the same bytes.
    """
    with open_atomic(path) as stream, zipfile.ZipFile(stream, "w") as archive:
        for name, source in content:
            entry = zipfile.ZipInfo(name)
            entry.external_attr = 0o644 << 16
            data = source if isinstance(source, bytes) else source.read_bytes()
            archive.writestr(entry, data, zipfile.ZIP_DEFLATED)
    return path
