"""What a deposit holds, that it is the same twice, and which records it refuses."""

import hashlib
import io
import shutil
import tarfile
import zipfile
from pathlib import Path

import pytest

from gliomalib import provenance, records, report
from gliomalib.report import deposit
from gliomalib.schema import RecordError
from tests import planted_report as planted


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a report whose records are of this commit, to be read only."""
    reports = tmp_path_factory.mktemp("finished") / "reports"
    folder = planted.fill(reports / "demo")
    for name in planted.values():
        restate(folder, name, commit=provenance.commit().partition("+")[0])
    report.build("demo", folder)
    return reports


@pytest.fixture
def reports(finished: Path, tmp_path: Path) -> Path:
    """Return a copy of it, to be spoilt by one test."""
    return Path(shutil.copytree(finished, tmp_path / "reports"))


def restate(folder: Path, name: str, **origin: str) -> None:
    """Let a record say something else of where it comes from."""
    made = records.read(records.record_path(folder, name))
    planted.rewrite(folder, name, provenance={**made.provenance, **origin})


def members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_it_holds_report_source_and_sums(finished: Path, tmp_path: Path) -> None:
    parts = members(deposit.write("demo", finished, tmp_path / "d.zip"))
    commit = provenance.commit().partition("+")[0]
    source = f"demo/source-{commit}.tar"
    own = {"demo/report/index.html", "demo/report/demo/ro-crate-metadata.json", source}
    own |= {f"demo/report/demo/{name}" for name in ("summary.pdf", "cite.bib", "answer.txt")}
    assert own | {"demo/README.txt", "demo/SHA256SUMS"} <= set(parts)
    sums = [line.split("  ", 1) for line in parts["demo/SHA256SUMS"].decode().splitlines()]
    assert {f"demo/{name}" for _, name in sums} == set(parts) - {"demo/SHA256SUMS"}
    for digest, name in sums:
        assert hashlib.sha256(parts[f"demo/{name}"]).hexdigest() == digest
    with tarfile.open(fileobj=io.BytesIO(parts[source])) as tar:
        names = tar.getnames()
    assert f"source-{commit}/gliomalib/__init__.py" in names
    assert not [name for name in names if "/reports/" in name]
    assert source.removeprefix("demo/") in parts["demo/README.txt"].decode()


def test_the_same_input_gives_the_same_bytes(reports: Path, tmp_path: Path) -> None:
    first = deposit.write("demo", reports, tmp_path / "a.zip").read_bytes()
    (reports / "demo" / "index.html").touch()
    assert deposit.write("demo", reports, tmp_path / "b.zip").read_bytes() == first


def test_the_lock_is_in_it_where_it_is_that_of_the_records(reports: Path, tmp_path: Path) -> None:
    lock = provenance.PROJECT_DIR / "requirements.lock"
    before = members(deposit.write("demo", reports, tmp_path / "a.zip"))
    assert "demo/requirements.lock" not in before
    assert "lock with which" in before["demo/README.txt"].decode()
    restate(reports / "demo", "05_fusion", lock_sha256=provenance.file_digest(lock))
    report.build("demo", reports / "demo")
    after = members(deposit.write("demo", reports, tmp_path / "b.zip"))
    assert after["demo/requirements.lock"] == lock.read_bytes()


def test_records_of_two_commits_are_refused_unless_asked_for(reports: Path, tmp_path: Path) -> None:
    restate(reports / "demo", "05_fusion", commit="0123456789ab")
    report.build("demo", reports / "demo")
    with pytest.raises(RecordError, match=r"2 commits: .*0123456789ab \(05_fusion\)") as told:
        deposit.write("demo", reports, tmp_path / "d.zip")
    assert str(told.value).endswith("run the study again, or say --mixed")
    assert not list(tmp_path.glob("*d.zip*"))
    note = members(deposit.write("demo", reports, tmp_path / "d.zip", mixed=True))[
        "demo/README.txt"
    ].decode()
    assert "records of commit 0123456789ab is not in here" in note
    assert "more than one commit" in note


@pytest.mark.parametrize("commit", ["unknown", "0123456789ab+changes", "--output=x", "HEAD"])
def test_without_its_commit_there_is_no_source(commit: str, reports: Path, tmp_path: Path) -> None:
    for name in planted.values():
        restate(reports / "demo", name, commit=commit)
    report.build("demo", reports / "demo")
    parts = members(deposit.write("demo", reports, tmp_path / "d.zip"))
    assert not [name for name in parts if "source" in name]
    assert f"records of commit {commit} is not in here" in parts["demo/README.txt"].decode()


def test_a_damaged_record_is_refused(reports: Path, tmp_path: Path) -> None:
    (reports / "demo" / "records" / "05_fusion.json").write_text("{")
    with pytest.raises(RecordError, match=r"05_fusion.json: not a record"):
        deposit.write("demo", reports, tmp_path / "d.zip")
    assert not (tmp_path / "d.zip").exists()
