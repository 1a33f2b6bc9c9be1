"""What of a report is passed on: what each file is, for programs, and all as one archive."""

import json
import mimetypes
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from gliomalib import provenance, settings
from gliomalib.provenance import open_atomic
from gliomalib.report import phrases, references
from gliomalib.report.pages import Report, render
from gliomalib.schema import Record, RecordError

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
    """Return the files of a report that may be passed on, in order of their names.

    Raises ``RecordError`` for a link that leads elsewhere: what lies there is not of the report.
    """
    paths = [report_dir / name for name in FILES]
    for folder, pattern in FOLDERS.items():
        paths += (report_dir / folder).glob(pattern)
    closed = PATIENTS if kept_back(study) else "-"
    present = (path for path in paths if path.is_file() and not path.name.startswith("."))
    chosen = sorted(path for path in present if not path.match(closed))
    for path in chosen:
        if not _inside(path, report_dir):
            raise RecordError(f"{path}: leads out of the report; put the file itself there")
    return chosen


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


KINDS = {".ipynb": "application/x-ipynb+json", ".bib": "application/x-bibtex", ".csv": "text/csv"}
"""Ending of a file → its kind, where the table of the system may not have it."""


def describe(report: Report, report_dir: Path) -> Path:
    """Write ``ro-crate-metadata.json`` (RO-Crate 1.1, JSON-LD) from the files that are there.

    It names each with its size and SHA-256, so it comes after all of them. Each record is a
    ``CreateAction`` with its settings, its versions and what it left; a record that cannot be read
    is a file and no action.
    """
    paths = [path for path in files(report.study, report_dir) if path.name != CRATE]
    described = [_file(path, report_dir) for path in paths]
    text = render(
        "crate.txt.j2",
        report=report,
        files=described,
        runs=[_run(record, described) for record in report.records.values()],
        project=references.citation(),
    )
    # one entity a line; what several runs share is there once
    entities = [json.loads(line) for line in text.splitlines() if line.strip()]
    stated = ({key: value for key, value in entity.items() if value != ""} for entity in entities)
    context, *graph = {entity.get("@id"): entity for entity in stated}.values()
    content = {**context, "@graph": graph}
    plain = json.dumps(content, indent=1, ensure_ascii=False)
    return provenance.write_atomic(report_dir / CRATE, plain + "\n")


def check(report_dir: Path) -> set[str]:
    """Return the names of the files that a report is made of: its metadata, and what they describe.

    Raises ``RecordError`` where one of these is missing or not what the metadata say.
    """
    path = report_dir / CRATE
    try:
        graph = json.loads(path.read_text(encoding="utf-8"))["@graph"]
        described = [entity for entity in graph if entity["@type"] == "File"]
        digests = {unquote(entity["@id"]): entity["sha256"] for entity in described}
        inside = all(_inside(report_dir / name, report_dir) for name in digests)
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        inside = False
    if not inside:
        raise RecordError(f"{path}: is missing or damaged; make its report anew")
    for name, digest in digests.items():
        file = report_dir / name
        if not file.is_file() or provenance.file_digest(file) != digest:
            what = "has changed since" if file.is_file() else "is missing, which was there when"
            raise RecordError(f"{file}: {what} the report was made; make the report again")
    return {CRATE, *digests}


def _inside(path: Path, folder: Path) -> bool:
    return path.resolve().is_relative_to(folder.resolve())


def _file(path: Path, report_dir: Path) -> dict[str, Any]:
    kind = KINDS.get(path.suffix) or mimetypes.guess_type(path.name.removesuffix(".gz"))[0]
    return {
        "id": quote(str(path.relative_to(report_dir))),
        "name": path.name,
        "size": path.stat().st_size,
        "sha256": provenance.file_digest(path),
        "kind": "application/gzip" if path.suffix == ".gz" else kind or "application/octet-stream",
    }


def _run(record: Record, files: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return a record with its files, its settings and its software, each by its name."""
    origin = record.provenance
    own = {name: value for name, value in record.parameters.items() if name != "variants"}
    own |= {"seed": record.seed, "device": record.device, "data": origin.get("data_digest")}
    # a table has its own name behind that of the run
    left = [f["id"] for f in files if f["name"].split(".csv")[0].rpartition(".")[0] == record.name]
    usage = {"wall time, s": record.wall_s, "peak memory, bytes": record.peak_memory_bytes}
    usage |= {"exit code": origin.get("exit_code", "not recorded")}
    return {
        "id": f"#run-{quote(record.name)}",
        "record": record,
        "instrument": "#" + quote(f"{record.notebook}-{origin.get('commit', 'unknown')}"),
        "files": left,
        "settings": _named("setting", {**phrases.dotted(own), "lock": origin.get("lock_sha256")}),
        "software": _named("software", origin.get("versions", {})),
        "usage": _named("usage", usage | origin.get("hardware", {})),
    }


def _named(kind: str, values: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return names and values as text, with an address that is the same for the same pair."""
    return [
        {"id": f"#{kind}-{quote(f'{name}={value}', safe='')}", "name": name, "value": str(value)}
        for name, value in values.items()
    ]
