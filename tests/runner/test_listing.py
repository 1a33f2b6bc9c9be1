"""What makes a folder of patients another one, and what does not."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from gliomalib import provenance
from gliomalib.runner.listing import listing


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Write a release of some files, long ago as far as one can see."""
    folder = tmp_path / "patients"
    for name in ("case/t1.nii", "case/seg.nii", "dataset.json", "names.csv"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("0000")
    return folder


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let files that were written just now be old enough for their times to be believed."""
    monkeypatch.setattr("gliomalib.runner.listing.SETTLED_NS", -(10**9))


def test_what_was_read_once_is_not_read_again(
    folder: Path, settled: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = folder.parent / "seen.json"
    first = listing(folder, kept)
    read: list[str] = []
    digest = provenance.file_digest

    def noted(path: Path) -> str:
        read.append(path.name)
        return digest(path)

    monkeypatch.setattr(provenance, "file_digest", noted)
    assert listing(folder, kept) == first and read == []
    (folder / "case" / "seg.nii").write_text("1111")
    assert listing(folder, kept) != first and read == ["seg.nii"]


def in_place(path: Path) -> None:
    with path.open("r+b") as stream:
        stream.write(b"1")


def with_its_old_time(path: Path) -> None:
    """Correct a file as programs do that put the old time back."""
    before = path.stat()
    in_place(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def replaced(path: Path) -> None:
    """Put another file of the same size and time in its place."""
    before = path.stat()
    other = path.with_name("other")
    other.write_text("1111")
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(path)


@pytest.mark.parametrize("change", [in_place, with_its_old_time, replaced])
@pytest.mark.parametrize("name", ["case/seg.nii", "dataset.json", "names.csv"])
def test_a_file_corrected_in_place_is_another(
    change: Callable[[Path], None], name: str, folder: Path, settled: None
) -> None:
    kept = folder.parent / "seen.json"
    before = listing(folder, kept)
    change(folder / name)
    after = listing(folder, kept)
    assert {place for place in after if after[place] != before[place]} == {name}


def test_two_changes_within_one_tick_are_told_apart(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, kept = folder / "case" / "seg.nii", folder.parent / "seen.json"
    stat = Path.stat
    frozen = stat(path)
    monkeypatch.setattr(Path, "stat", lambda at, **how: frozen if at == path else stat(at, **how))
    before = listing(folder, kept)
    path.write_text("1111")
    assert listing(folder, kept) != before, "a clock that stands still hides nothing"


def test_files_of_two_disks_may_look_alike(
    folder: Path, settled: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "case" / "t1.nii").write_text("1111")
    stat = Path.stat
    alike = stat(folder / "case" / "seg.nii")
    monkeypatch.setattr(
        Path, "stat", lambda at, **how: alike if at.suffix == ".nii" else stat(at, **how)
    )
    kept = folder.parent / "seen.json"
    before = listing(folder, kept)
    assert listing(folder, kept) == before


def test_touched_copied_and_moved_files_are_the_same(folder: Path, settled: None) -> None:
    kept = folder.parent / "seen.json"
    before = listing(folder, kept)
    os.utime(folder / "names.csv", (0, 0))
    assert listing(folder, kept) == before
    shutil.copytree(folder, folder.parent / "copy")
    assert listing(folder.parent / "copy", kept) == before
    folder.rename(folder.parent / "moved")
    assert listing(folder.parent / "moved", kept) == before


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "case" / "new.nii").write_text("new"),
        lambda folder: (folder / "linked" / "new.nii").write_text("new"),
        lambda folder: (folder / "names.csv").unlink(),
        lambda folder: (folder / "gone").unlink(),
        lambda folder: (folder / "case").rename(folder / "another"),
    ],
)
def test_what_comes_goes_or_is_renamed_is_seen(
    change: Callable[[Path], object], folder: Path, settled: None
) -> None:
    (folder.parent / "elsewhere").mkdir()
    (folder / "linked").symlink_to("../elsewhere")
    (folder / "gone").symlink_to("nowhere")
    kept = folder.parent / "seen.json"
    before = listing(folder, kept)
    (folder / ".DS_Store").write_text("hidden")
    assert listing(folder, kept) == before, "no reader sees it"
    change(folder)
    assert listing(folder, kept) != before


def test_links_are_followed(folder: Path, settled: None) -> None:
    """As in a folder of datalad, where every file is a link into a hidden one."""
    kept, there = folder.parent / "seen.json", folder.parent / "annex"
    shutil.move(folder / "case", there)
    (folder / "case").symlink_to(there)
    (folder / "alone.nii").symlink_to(there / "t1.nii")
    before = listing(folder, kept)
    in_place(there / "t1.nii")
    after = listing(folder, kept)
    changed = {place for place in after if after[place] != before[place]}
    assert changed == {"case/t1.nii", "alone.nii"}


def test_what_cannot_be_read_ends_nothing(folder: Path) -> None:
    (folder / "gone.nii").symlink_to("nowhere")
    (folder / "circle.nii").symlink_to("circle.nii")
    os.mkfifo(folder / "pipe.nii")
    (folder / os.fsdecode(b"\xff.nii")).write_text("0000")
    found = listing(folder, folder.parent / "seen.json")
    assert len(found) == 8
    assert found["pipe.nii"] == "no file"
    (folder / "gone.nii").unlink()
    (folder / "gone.nii").write_text("here again")
    assert listing(folder, folder.parent / "seen.json")["gone.nii"] != found["gone.nii"]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b"null"])
def test_a_damaged_memory_costs_time_only(content: bytes, folder: Path, settled: None) -> None:
    kept = folder.parent / "seen.json"
    before = listing(folder, kept)
    kept.write_bytes(content)
    assert listing(folder, kept) == before


def test_a_memory_that_may_not_be_written_stops_nothing(folder: Path, settled: None) -> None:
    (folder.parent / "file").write_text("")
    assert listing(folder, folder.parent / "file" / "seen.json")
