"""Stamps tie a record to its digest; the page has a digest of its own."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from gliomalib import provenance
from gliomalib.runner import stamps
from gliomalib.runner.jobs import plan
from tests.toy_project import (
    FIFTH,
    FIRST,
    SECOND,
    THIRD,
    Project,
    finished,
    leave,
    write_notebook,
)


def test_a_stamp_holds_for_one_record_and_one_digest(toy: Project) -> None:
    job = finished(toy.planned()[FIRST])
    assert stamps.is_current(job)
    assert not stamps.is_current(replace(job, digest="other"))
    job.record.write_text('{"edited": 1}')
    assert stamps.forget_changed([job]) == [FIRST]
    assert not job.stamp.exists()
    finished(job).executed.unlink()
    assert not stamps.is_current(job)
    finished(job).stamp.write_text("half a st")
    assert not stamps.is_current(job)


def test_moved_patients_alone_make_nothing_stale(toy: Project, tmp_path: Path) -> None:
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
    here, there = (
        plan("toy", replace(toy.folders, source=tmp_path / name), SECOND)
        for name in ("here", "there")
    )
    for job in here:
        finished(job)
    assert stamps.forget_changed(there) == []
    # who reads the table of cases anew needs the present places of the files in it
    there[1].record.unlink()
    assert stamps.forget_changed(there) == [SECOND, FIRST]
    finished(there[0])
    assert stamps.forget_changed(there) == [SECOND]


def test_page_changes_with_text_templates_and_code(
    toy: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = toy.root / "gliomalib"
    shutil.copytree(provenance.PACKAGE_DIR, package)
    monkeypatch.setattr(provenance, "PACKAGE_DIR", package)
    jobs = list(toy.planned().values())
    digests = [stamps.page_digest(jobs), stamps.page_digest(jobs)]
    write_notebook(toy.root, FIRST, leave(FIRST), text="other words")
    digests.append(stamps.page_digest(jobs))
    for name in ("report/templates/index.html.j2", "report/pages.py"):
        path = package / name
        path.write_text(path.read_text() + "\nMORE = 1\n")
        digests.append(stamps.page_digest(jobs))
    assert digests[0] == digests[1]
    assert len(set(digests)) == 4


def test_what_was_found_wanting_is_looked_at_once_more_with_all_it_stands_on(toy: Project) -> None:
    jobs = toy.planned()
    for job in jobs.values():
        finished(job)
    stamps.doubt_needed(jobs[THIRD])
    assert stamps.forget_changed([jobs[FIFTH]]) == [], "a start of another part keeps the marks"
    assert stamps.forget_changed(jobs.values()) == [FIRST, SECOND]
    for name in (FIRST, SECOND):
        finished(jobs[name])
    assert stamps.forget_changed(jobs.values()) == []
