"""What is up to date: stamps that tie a record to the digest with which it was made."""

import json
from collections.abc import Iterable, Sequence

from gliomalib import provenance
from gliomalib.runner.chain import wanted
from gliomalib.runner.jobs import Job, cells_of
from gliomalib.runner.listing import remembered

NOT_CODE = {".py", ".pyc"}

DOUBTED = "doubted"
"""Folder of the marks of notebooks whose working files another one found wanting."""


def write_stamp(job: Job) -> None:
    """Say that the record of ``job`` was made with its digest, and from where it read patients."""
    provenance.write_atomic(job.stamp, json.dumps({**_present(job), "place": _place(job)}) + "\n")


def is_current(job: Job) -> bool:
    """Whether the record that lies there is the one that ``job`` would make now."""
    if not (job.stamp.is_file() and job.record.is_file() and job.executed.is_file()):
        return False
    return bool(remembered(job.stamp).items() >= _present(job).items())


def doubt_needed(job: Job) -> None:
    """Have all that ``job`` stands on run again when its study is started next.

    They find what is whole as it was left, and make anew what is missing or damaged.
    """
    for notebook in wanted(job.notebook)[:-1]:
        provenance.write_atomic(job.work_dir / DOUBTED / notebook, "")


def forget_changed(jobs: Iterable[Job]) -> list[str]:
    """Remove the stamps of jobs that are not current and return their names.

    So a record that was checked out, edited or made with other parameters is made again. Moved
    patients make nothing stale; but where anything is, the table of cases, which holds the
    places of files, is written anew as well, for whoever reads it. So is what was doubted.
    """
    jobs = list(jobs)
    doubted = {job.work_dir / DOUBTED / job.notebook: job.notebook for job in jobs}
    again = {notebook for mark, notebook in doubted.items() if mark.is_file()}
    changed = [job for job in jobs if job.notebook in again or not is_current(job)]
    if changed:
        first = [job for job in jobs if job not in changed and not job.needs]
        changed += [job for job in first if remembered(job.stamp).get("place") != _place(job)]
    for path in (*(job.stamp for job in changed), *doubted):
        path.unlink(missing_ok=True)
    return [job.name for job in changed]


def page_digest(jobs: Sequence[Job]) -> str:
    """Return a digest of what the report is made of besides the records: code, templates, text."""
    package = provenance.PACKAGE_DIR
    others = sorted(p for p in package.rglob("*") if p.is_file() and p.suffix not in NOT_CODE)
    parts = {
        "code": provenance.imports_digest(["from gliomalib import report"]),
        "files": {str(path.relative_to(package)): provenance.file_digest(path) for path in others},
        "text": {job.notebook: cells_of(job.path) for job in jobs},
        "jobs": {job.name: job.digest for job in jobs},
    }
    return provenance.digest_of(parts)


def _present(job: Job) -> dict[str, str]:
    return {"digest": job.digest, "record": provenance.file_digest(job.record)}


def _place(job: Job) -> str:
    return str(job.folders.source or job.work_dir)
