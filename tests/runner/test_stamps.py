"""Stamps tie a record to its digest; the page has a digest of its own."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest

from gliomalib import provenance
from gliomalib.runner import stamps
from tests.toy_project import FIRST, Project, finished, leave, write_notebook


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
