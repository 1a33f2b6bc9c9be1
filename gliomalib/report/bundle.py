"""A study's pages, tables, records and figures as one archive that works where it is unpacked."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterable
from html import escape, unescape
from pathlib import Path
from posixpath import dirname, join, normpath
from urllib.parse import unquote, urlsplit

from gliomalib.provenance import open_atomic
from gliomalib.report.pages import Report, render

FOLDERS = {"html": "*.html", "tables": "*.csv", "records": "*.json", "figures": "*"}
"""What goes in beside the index; executed notebooks and pictures of patients do not."""

EPOCH = (1980, 1, 1, 0, 0, 0)
"""The date of every member: the first that the format knows, so that bytes do not change."""

SCRIPT = re.compile(r"(<script\b.*?</script\s*>)", re.DOTALL | re.IGNORECASE)
LINK = re.compile(r"""(<a\b[^>]*?)\shref="([^"]*)\"""", re.IGNORECASE)


def write(report: Report, report_dir: Path) -> Path:
    """Write ``<study>.zip`` into a study's folder, whole or not at all, and return it.

    It is made of the files that are there, so it comes last. Equal files give equal bytes. Links
    of its pages to files that are not in it become text that says so.
    """
    study = report.study.study
    inside = members(report, report_dir)
    path = report_dir / f"{study}.zip"
    note = render("archive.txt.j2", study=study, kept_back=_keeps_back(report))
    with open_atomic(path) as stream, zipfile.ZipFile(stream, "w") as archive:
        _add(archive, f"{study}/README.txt", note.encode())
        for name in inside:
            content = (report_dir / name).read_bytes()
            if name.endswith(".html"):
                content = without_dead_links(content.decode(), name, inside).encode()
            _add(archive, f"{study}/{name}", content)
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


def without_dead_links(page: str, name: str, inside: Iterable[str]) -> str:
    """Return a page whose links to files outside of ``inside`` are text with a word of why.

    ``name`` is the page's own place among them. Links to the web, to places of the same page and
    whatever stands in a script are left as they are.
    """
    kept = frozenset(inside)

    def mended(match: re.Match[str]) -> str:
        target = urlsplit(unescape(match[2]))
        if target.scheme or target.netloc or not target.path:
            return match[0]
        place = normpath(join(dirname(name), unquote(target.path)))
        if place in kept:
            return match[0]
        why = escape(f"Not in this archive: {target.path}")
        return f'{match[1]} role="link" aria-disabled="true" title="{why}"'

    parts = SCRIPT.split(page)
    return "".join(part if SCRIPT.fullmatch(part) else LINK.sub(mended, part) for part in parts)


def _keeps_back(report: Report) -> bool:
    return report.study.real_data and report.study.report.real_volumes


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    member = zipfile.ZipInfo(name, EPOCH)
    member.compress_type = zipfile.ZIP_DEFLATED
    member.create_system = 3  # Unix, whatever system writes it
    member.external_attr = 0o644 << 16
    archive.writestr(member, content, compresslevel=6)
