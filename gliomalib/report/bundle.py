"""A study's pages, tables, records and figures as one archive that works where it is unpacked."""

import zipfile
from pathlib import Path

from gliomalib.provenance import open_atomic
from gliomalib.report.pages import Report, render

FOLDERS = {"html": "*.html", "tables": "*.csv*", "records": "*.json", "figures": "*"}
"""What goes in beside the index; executed notebooks and pictures of patients do not."""

EPOCH = (1980, 1, 1, 0, 0, 0)
"""The date of every member: the first that the format knows, so that bytes do not change."""


def write(report: Report, report_dir: Path) -> Path:
    """Write ``<study>.zip`` into a study's folder, whole or not at all, and return it.

    It is made of the files that are there, so it comes last. Equal files give equal bytes.
    """
    study = report.study.study
    path = report_dir / f"{study}.zip"
    # outside of the archive the list of all studies lies where this page leads to the only one
    top = render("archive.html.j2", study=study)
    note = render("archive.txt.j2", study=study, kept_back=_keeps_back(report))
    with open_atomic(path) as stream, zipfile.ZipFile(stream, "w") as archive:
        _add(archive, "index.html", top.encode())
        _add(archive, f"{study}/README.txt", note.encode())
        for name in members(report, report_dir):
            _add(archive, f"{study}/{name}", (report_dir / name).read_bytes())
    return path


def members(report: Report, report_dir: Path) -> tuple[str, ...]:
    """Return the files that go into the archive, seen from the study's folder, sorted.

    Pages of patients stay out where they may show volumes of real patients.
    """
    names = ["index.html"] if (report_dir / "index.html").is_file() else []
    for folder, pattern in FOLDERS.items():
        paths = (path for path in (report_dir / folder).glob(pattern) if path.is_file())
        names += [f"{folder}/{path.name}" for path in paths if not path.name.startswith(".")]
    if _keeps_back(report):
        names = [name for name in names if not name.startswith("html/patient")]
    return tuple(sorted(names))


def _keeps_back(report: Report) -> bool:
    return report.study.real_data and report.study.report.real_volumes


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    member = zipfile.ZipInfo(name, EPOCH)
    member.compress_type = zipfile.ZIP_DEFLATED
    member.create_system = 3  # Unix, whatever system writes it
    member.external_attr = 0o644 << 16
    archive.writestr(member, content, compresslevel=6)
