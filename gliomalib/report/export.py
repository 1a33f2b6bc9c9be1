"""Reports of studies to pass on: as a static site, and as one file for an archive."""

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gliomalib import provenance, settings
from gliomalib.report import bundle, entries, references, studies
from gliomalib.report.pages import render
from gliomalib.schema import DataError, Record, RecordError
from gliomalib.verdicts import claims

LARGEST = 50_000_000
"""Bytes of a file above which GitHub warns; it refuses twice as much."""

MARK, MARKED = ".nojekyll", "made by gliomalib export\n"
"""File that keeps GitHub Pages from building anything, and what tells an earlier export by it."""

PACKED = (".gz", ".png", ".pdf")
"""Endings of the files in which no folder of this machine can be read."""


def write(names: Sequence[str], reports_dir: Path, out: Path) -> Path:
    """Write the reports of some studies, or of all that have one, as a site into ``out``.

    It is there whole or not at all, in place of an earlier export. Raises ``DataError`` where
    ``out`` holds anything else. Raises ``RecordError`` for a report that is not there or is not as
    it was made, a file above ``LARGEST``, and one that names a folder of this machine.
    """
    having = (name for name in settings.studies() if (reports_dir / name / "index.html").is_file())
    chosen = names or list(having)
    if not chosen:
        raise RecordError(f"{reports_dir}: no study has a report here; make one first")
    _check_free(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as folder:
        site = Path(folder) / "site"
        for name in chosen:
            _copy(settings.load(name), reports_dir / name, site / name)
        if (reports_dir / studies.BENCHMARKS).is_dir():
            shutil.copytree(reports_dir / studies.BENCHMARKS, site / studies.BENCHMARKS)
        studies.write(site)
        lost = "Cut the address off before the name of a study to get to the front page"
        _stub(site / "404.html", "Not found", f"{lost}: {', '.join(chosen)}.")
        (site / MARK).write_text(MARKED)
        if out.exists():
            out.replace(Path(folder) / "former")
        return site.replace(out)


def _check_free(out: Path) -> None:
    there = {path.name for path in out.iterdir()} if out.exists() else set()
    if there and not (MARK in there and (out / MARK).read_text(encoding="utf-8") == MARKED):
        raise DataError(f"{out}: is neither empty nor an earlier export; name another folder")
    if own := sorted(
        there - {MARK, "404.html", "index.html", studies.BENCHMARKS, *settings.studies()}
    ):
        raise DataError(f"{out}: an export has no {own[0]}; move it or name another folder")


def _copy(study: settings.Study, source: Path, target: Path) -> None:
    """Copy what of a report may be passed on; a page that may not says so in its place."""
    described = bundle.check(source)
    homes = [f"{path}/".encode() for path in (provenance.PROJECT_DIR, Path.home(), source.parent)]
    for path in bundle.files(study, source):
        if path.relative_to(source).as_posix() not in described:
            what = "is not of the report as it was made"
            raise RecordError(f"{path}: {what}; take it away, or make the report again")
        content = path.read_bytes()
        if len(content) > LARGEST:
            raise RecordError(f"{path}: has more than {LARGEST} bytes; a host would refuse it")
        named = [home.decode() for home in homes if len(home) > 2 and home in content]
        if named and path.suffix not in PACKED:
            raise RecordError(f"{path}: names {named[0]}, a folder of this machine; run it again")
        copy = target / path.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
    for path in source.glob(bundle.PATIENTS) if bundle.kept_back(study) else ():
        text = "It shows volumes of real patients, which may not be passed on."
        _stub(target / path.relative_to(source), "Not published", text)


def _stub(path: Path, title: str, text: str) -> None:
    path.write_text(render("stub.html.j2", title=title, text=text), encoding="utf-8")


def deposit(study: str, reports_dir: Path, out: Path, *, mixed: bool = False) -> Path:
    """Write what an archive such as Zenodo keeps of a study as a zip, and return ``out``.

    It is there whole or not at all, the same bytes for the same input: the report as exported, the
    source at the commits of its records where the repository has them, the lock, a note and a list
    of SHA-256; no data, store or network. Raises ``RecordError`` where a record is damaged or,
    unless ``mixed``, where records are of more than one commit, and whatever ``write`` raises.
    """
    made = _records(reports_dir / study, mixed)
    commits = sorted({_commit(record) for record in made})
    with tempfile.TemporaryDirectory() as folder:
        parts = Path(folder) / study
        write([study], reports_dir, parts / "report")
        sources = [commit for commit in commits if provenance.write_source(commit, parts)]
        lock = provenance.PROJECT_DIR / "requirements.lock"
        locks = {record.provenance.get("lock_sha256") for record in made}
        if has_lock := lock.is_file() and provenance.file_digest(lock) in locks:
            shutil.copyfile(lock, parts / lock.name)
        about: dict[str, Any] = {
            "study": study,
            "commits": commits,
            "sources": sources,
            "has_lock": has_lock,
        }
        paper = claims.paper(settings.load(study).published)
        note = render("deposit.txt.j2", **about, citations=references.sentences(paper))
        (parts / "README.txt").write_text(note, encoding="utf-8")
        paths = sorted(path for path in parts.rglob("*") if path.is_file())
        named = [(path.relative_to(parts).as_posix(), path) for path in paths]
        sums = "".join(f"{provenance.file_digest(path)}  {name}\n" for name, path in named)
        (parts / "SHA256SUMS").write_text(sums, encoding="utf-8")
        content = [*named, ("SHA256SUMS", parts / "SHA256SUMS")]
        return bundle.pack(out, ((f"{study}/{name}", path) for name, path in content))


def _records(folder: Path, mixed: bool) -> list[Record]:
    """Return the records of a study, refused where they do not belong together."""
    made, faults = entries.readable(folder)
    if faults:
        raise RecordError(f"{folder}: {faults[0]}")
    runs: dict[str, list[str]] = {}
    for name, record in made.items():
        runs.setdefault(_commit(record), []).append(name)
    if len(runs) > 1 and not mixed:
        whose = "; ".join(f"{commit} ({', '.join(names)})" for commit, names in runs.items())
        what = f"its records are of {len(runs)} commits: {whose}"
        raise RecordError(f"{folder}: {what}; run the study again, or say --mixed")
    return list(made.values())


def _commit(record: Record) -> str:
    return str(record.provenance.get("commit", "unknown"))
