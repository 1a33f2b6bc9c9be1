"""What an archive such as Zenodo keeps of a study: report, source, lock, in one file."""

import shutil
import tempfile
from pathlib import Path
from typing import Any

from gliomalib import provenance
from gliomalib.report import bundle, entries, export, references
from gliomalib.report.pages import render
from gliomalib.schema import Record, RecordError
from gliomalib.verdicts import claims


def write(study: str, reports_dir: Path, out: Path, *, mixed: bool = False) -> Path:
    """Write the deposit of a study as a zip, whole or not at all, and return ``out``.

    It holds the report as exported, the source at the commits of its records where the repository
    has them, the lock, a note and a list of SHA-256; no data, store or network. The same input
    gives the same bytes. Raises ``RecordError`` where a record is damaged or, unless ``mixed``,
    where records are of more than one commit, and whatever ``export.write`` raises.
    """
    made = _records(reports_dir / study, mixed)
    commits = sorted({_commit(record) for record in made})
    with tempfile.TemporaryDirectory() as folder:
        parts = Path(folder) / study
        export.write([study], reports_dir, parts / "report")
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
        note = render("deposit.txt.j2", **about, citations=references.sentences(claims.paper()))
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
