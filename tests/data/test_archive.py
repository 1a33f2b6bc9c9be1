"""Archives: honest ones come out whole, malicious and damaged ones leave nothing behind."""

from __future__ import annotations

import gzip
import io
import os
import stat
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gliomalib.data import archive
from gliomalib.schema import DataError

FILES = {
    "Task01/dataset.json": b"{}",
    "Task01/imagesTr/BRATS_001.nii.gz": bytes(range(256)) * 40,
    "Task01/labelsTr/BRATS_001.nii.gz": b"",
}
SUFFIXES = [".tar", ".tar.gz", ".tgz", ".zip"]


def tar_entry(name: str, content: bytes = b"x", **fields: object) -> tuple[tarfile.TarInfo, bytes]:
    """Return a member with any field set, also to what no honest program writes."""
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    for field, value in fields.items():
        setattr(entry, field, value)
    return entry, content


def write_tar(path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    mode = "w:" if path.suffix == ".tar" else "w:gz"
    with tarfile.open(path, mode) as stream:  # type: ignore[call-overload]
        for entry, content in members:
            stream.addfile(entry, io.BytesIO(content))
    return path


def write_zip(path: Path, *members: tuple[str | zipfile.ZipInfo, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as stream:
        for name, content in members:
            stream.writestr(name, content)
    return path


def write(path: Path, files: dict[str, bytes]) -> Path:
    """Write an honest archive of any kind."""
    if path.suffix == ".zip":
        return write_zip(path, *files.items())
    return write_tar(path, *(tar_entry(name, content) for name, content in files.items()))


def contents(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder, hidden ones and links to files included."""
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "disk" / "data"


# --- honest archives


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("there", [False, True])
def test_an_honest_archive_comes_out_whole(
    suffix: str, there: bool, target: Path, tmp_path: Path
) -> None:
    if there:
        target.mkdir(parents=True)
        (target / "other.txt").write_bytes(b"mine")
    found = archive.unpack(write(tmp_path / f"set{suffix}", FILES), target)
    assert found == [target / name for name in FILES]
    assert contents(target) == FILES | ({"other.txt": b"mine"} if there else {})
    assert os.listdir(target.parent) == ["data"]  # noqa: PTH208 - hidden names count
    for path in found:
        assert stat.S_IMODE(path.stat().st_mode) == 0o644
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o755


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_permissions_are_plain_whatever_the_mask(suffix: str, target: Path, tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        archive.unpack(write(tmp_path / f"a{suffix}", FILES), target)
        archive.unpack(write(tmp_path / f"b{suffix}", {"new/c.txt": b"c"}), target)
    finally:
        os.umask(before)
    for path in [target, *target.rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) == (0o755 if path.is_dir() else 0o644), path


def test_a_new_target_appears_at_once(
    target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(Path, "rename")
    archive.unpack(write(tmp_path / "a.tar", FILES), target)
    assert contents(target) == FILES


def test_odd_permissions_and_owners_are_not_taken_over(target: Path, tmp_path: Path) -> None:
    odd = tar_entry("a/run.sh", mode=0o6777, uid=12345, gid=12345, uname="x")
    closed = tar_entry("b", b"", type=tarfile.DIRTYPE, mode=0o000)
    archive.unpack(write_tar(tmp_path / "a.tar", odd, closed), target)
    assert stat.S_IMODE((target / "a" / "run.sh").stat().st_mode) == 0o644
    assert (target / "a" / "run.sh").stat().st_uid == os.getuid()
    assert stat.S_IMODE((target / "b").stat().st_mode) == 0o755


def test_dots_and_doubled_slashes_in_a_name_mean_nothing(target: Path, tmp_path: Path) -> None:
    root = tar_entry("./", b"", type=tarfile.DIRTYPE)
    packed = write_tar(tmp_path / "a.tar", root, tar_entry("./a//b/./c.nii", b"c"))
    assert archive.unpack(packed, target) == [target / "a/b/c.nii"]
    assert contents(target) == {"a/b/c.nii": b"c"}


def test_empty_folders_and_long_names_survive(target: Path, tmp_path: Path) -> None:
    long = "/".join(["x" * 90] * 4)
    folder = tar_entry("empty/inner", b"", type=tarfile.DIRTYPE)
    archive.unpack(write_tar(tmp_path / "a.tgz", folder, tar_entry(long, b"l")), target)
    assert (target / "empty" / "inner").is_dir()
    assert contents(target) == {long: b"l"}
    zipped = write_zip(tmp_path / "a.zip", ("other/", b""), ("b.txt", b"b"))
    archive.unpack(zipped, target)
    assert (target / "other").is_dir()


@given(
    files=st.dictionaries(
        st.lists(st.text("abc", min_size=1, max_size=3), min_size=1, max_size=3).map("/".join),
        st.binary(max_size=300),
        min_size=1,
        max_size=6,
    ),
    suffix=st.sampled_from(SUFFIXES),
)
def test_what_is_packed_comes_out_or_is_refused(
    files: dict[str, bytes], suffix: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("any")
    packed, target = write(folder / f"a{suffix}", files), folder / "out"
    clash = any(name.startswith(f"{other}/") for name in files for other in files)
    if clash:
        with pytest.raises(DataError, match="lies below a file"):
            archive.unpack(packed, target)
        assert not target.exists()
    else:
        archive.unpack(packed, target)
        assert contents(target) == files


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz", ".zip"])
def test_a_second_time_changes_nothing(suffix: str, target: Path, tmp_path: Path) -> None:
    packed = write(tmp_path / f"a{suffix}", FILES)
    found = archive.unpack(packed, target)
    before = [path.stat().st_mtime_ns for path in found], [path.stat().st_ino for path in found]
    assert archive.unpack(packed, target) == found
    after = [path.stat().st_mtime_ns for path in found], [path.stat().st_ino for path in found]
    assert before == after
    found[1].unlink()
    archive.unpack(packed, target)
    assert contents(target) == FILES
    assert found[0].stat().st_ino == before[1][0]


@pytest.fixture
def never_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail where anything is written: the listing alone must have shown the fault."""
    monkeypatch.delattr(archive.tempfile, "mkdtemp")


@pytest.mark.usefixtures("never_written")
def test_a_file_of_another_size_is_seen_in_the_listing(target: Path, tmp_path: Path) -> None:
    target.mkdir(parents=True)
    (target / "b").write_bytes(b"mine")
    with pytest.raises(DataError, match="another file is where 'b' belongs"):
        archive.unpack(write(tmp_path / "a.tar", {"a": b"1", "b": b"2"}), target)


@pytest.mark.parametrize("other", [b"{ }", b"[]"])
@pytest.mark.parametrize("suffix", [".tar", ".zip"])
def test_another_file_in_the_way_is_kept(
    other: bytes, suffix: str, target: Path, tmp_path: Path
) -> None:
    mine = target / "Task01" / "dataset.json"
    mine.parent.mkdir(parents=True)
    mine.write_bytes(other)
    packed = write(tmp_path / f"a{suffix}", dict(reversed(FILES.items())))
    with pytest.raises(DataError, match=r"another file is where 'Task01/dataset\.json' belongs"):
        archive.unpack(packed, target)
    assert names(target) == ["Task01", "Task01/dataset.json"]
    assert mine.read_bytes() == other


def test_a_file_where_a_folder_belongs_is_kept(target: Path, tmp_path: Path) -> None:
    target.mkdir(parents=True)
    (target / "Task01").write_bytes(b"mine")
    with pytest.raises(DataError, match=r"move .*Task01 away"):
        archive.unpack(write(tmp_path / "a.tar", FILES), target)
    assert contents(target) == {"Task01": b"mine"}
    with pytest.raises(DataError, match=r"move .*Task01 away"):
        archive.unpack(write(tmp_path / "a.zip", FILES), target / "Task01")


# --- malicious archives


def linked_zip() -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo("evil")
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    return entry


def pipe_zip() -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo("evil")
    entry.external_attr = (stat.S_IFIFO | 0o644) << 16
    return entry


MALICIOUS_TAR = {
    "absolute": (tar_entry("/tmp/evil"), "'/tmp/evil' has an absolute path"),
    "dots": (tar_entry("../evil"), "'../evil' leads out of its folder"),
    "dots inside": (tar_entry("a/../../evil"), "leads out of its folder"),
    "dots that come back": (tar_entry("a/../evil"), "leads out of its folder"),
    "drive": (tar_entry("C:evil"), "'C:evil' has an absolute path"),
    "backslashes": (tar_entry("..\\evil"), "has a backslash"),
    "new line": (tar_entry("a\nb"), "unprintable character"),
    "symbolic link": (
        tar_entry("evil", b"", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
        "'evil' is a link",
    ),
    "harmless symbolic link": (
        tar_entry("evil", b"", type=tarfile.SYMTYPE, linkname="good.txt"),
        "'evil' is a link",
    ),
    "hard link": (
        tar_entry("evil", b"", type=tarfile.LNKTYPE, linkname="/etc/passwd"),
        "'evil' is a link",
    ),
    "device": (tar_entry("evil", b"", type=tarfile.CHRTYPE), "'evil' is a device"),
    "block device": (tar_entry("evil", b"", type=tarfile.BLKTYPE), "'evil' is a device"),
    "pipe": (tar_entry("evil", b"", type=tarfile.FIFOTYPE), "'evil' is a device"),
    "unknown kind": (tar_entry("evil", b"", type=b"Z"), "'evil' is a device"),
    "no name": (tar_entry("./."), "has no name"),
    "twice": (tar_entry("./good.txt"), "stands twice"),
    "file and folder": (tar_entry("good.txt", b"", type=tarfile.DIRTYPE), "stands twice"),
    "below a file": (tar_entry("good.txt/evil"), "lies below a file"),
}

MALICIOUS_ZIP = {
    "absolute": ("/tmp/evil", "has an absolute path"),
    "share": ("\\\\host\\evil", "has an absolute path"),
    "dots": ("a/../../evil", "leads out of its folder"),
    "drive": ("c:/evil", "has an absolute path"),
    "link": (linked_zip(), "'evil' is a link"),
    "pipe": (pipe_zip(), "'evil' is a device"),
    "below a file": ("good.txt/evil", "lies below a file"),
    "unprintable": ("a\x1bb", "unprintable character"),
}


def refused(packed: Path, target: Path, message: str, most: int = archive.MOST_BYTES) -> None:
    """Check that an archive is refused, by a sentence with its name, and leaves nothing."""
    before = names(target.parent)
    with pytest.raises(DataError, match=message) as caught:
        archive.unpack(packed, target, most)
    assert str(packed) in str(caught.value)
    assert names(target.parent) == before


@pytest.mark.usefixtures("never_written")
@pytest.mark.parametrize("suffix", [".tar", ".tgz"])
@pytest.mark.parametrize("case", MALICIOUS_TAR)
def test_a_malicious_tar_is_refused(case: str, suffix: str, target: Path, tmp_path: Path) -> None:
    evil, message = MALICIOUS_TAR[case]
    packed = write_tar(tmp_path / f"a{suffix}", tar_entry("good.txt"), evil)
    refused(packed, target, message)


@pytest.mark.usefixtures("never_written")
@pytest.mark.parametrize("case", MALICIOUS_ZIP)
def test_a_malicious_zip_is_refused(case: str, target: Path, tmp_path: Path) -> None:
    name, message = MALICIOUS_ZIP[case]
    refused(write_zip(tmp_path / "a.zip", ("good.txt", b"x"), (name, b"/etc")), target, message)


@pytest.mark.usefixtures("never_written")
def test_a_folder_that_is_a_file_too_is_refused(target: Path, tmp_path: Path) -> None:
    folder = tar_entry("a", b"", type=tarfile.DIRTYPE)
    refused(write_tar(tmp_path / "a.tar", folder, tar_entry("a")), target, "stands twice")


def test_what_python_refuses_is_refused(
    target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def strict(member: tarfile.TarInfo, path: str) -> tarfile.TarInfo:
        raise tarfile.OutsideDestinationError(member, path)

    monkeypatch.setattr(tarfile, "data_filter", strict)
    refused(write_tar(tmp_path / "a.tar", tar_entry("new trick")), target, "not unpacked, 'new tri")


def test_a_zip_name_that_hides_its_end_is_refused(target: Path, tmp_path: Path) -> None:
    packed = write_zip(tmp_path / "a.zip", ("goodXevil", b"x"))
    packed.write_bytes(packed.read_bytes().replace(b"goodXevil", b"good\x00evil"))
    refused(packed, target, "unprintable character")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_zip_member_that_stands_twice_is_refused(target: Path, tmp_path: Path) -> None:
    packed = write_zip(tmp_path / "a.zip", ("a/b", b"1"), ("a//b", b"2"))
    refused(packed, target, "stands twice")


def test_a_locked_zip_is_refused(target: Path, tmp_path: Path) -> None:
    packed = write_zip(tmp_path / "a.zip", ("good.txt", b"x"))
    content = bytearray(packed.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    packed.write_bytes(content)
    refused(packed, target, "'good.txt' is a locked file")


@pytest.mark.parametrize("suffix", [".tar", ".zip"])
def test_a_link_that_is_there_leads_nowhere(suffix: str, target: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    target.mkdir(parents=True)
    (target / "Task01").symlink_to(outside)
    refused(write(tmp_path / f"a{suffix}", FILES), target, "outside of .* remove the link")
    assert names(outside) == []


def test_a_link_in_the_place_of_a_file_is_not_written_through(target: Path, tmp_path: Path) -> None:
    target.mkdir(parents=True)
    (target / "other").write_bytes(b"mine")
    (target / "good.txt").symlink_to("other")
    for content in (b"evil!", b"mine"):
        refused(write(tmp_path / "a.zip", {"good.txt": content}), target, "another file is where")
    assert (target / "other").read_bytes() == b"mine"


def test_a_target_behind_a_link_is_fine(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "data").symlink_to(tmp_path / "disk")
    archive.unpack(write(tmp_path / "a.tar", FILES), tmp_path / "data")
    assert contents(tmp_path / "disk") == FILES


# --- bombs


def test_announced_size_is_bounded_before_anything_is_written(target: Path, tmp_path: Path) -> None:
    for suffix in SUFFIXES:
        packed = write(tmp_path / f"a{suffix}", {"a": bytes(600), "b": bytes(600)})
        refused(packed, target, r"'b' goes beyond 1,199 bytes", most=1199)
        archive.unpack(packed, target / suffix, 1200)


def test_a_tar_bomb_is_not_read_to_its_end(target: Path, tmp_path: Path) -> None:
    entry, _ = tar_entry("huge", b"", size=10**15)
    packed = tmp_path / "a.tar.gz"
    packed.write_bytes(gzip.compress(entry.tobuf() + bytes(10**6)))
    refused(packed, target, "goes beyond")


def test_a_tar_header_that_would_fill_memory_is_refused(target: Path, tmp_path: Path) -> None:
    for kind in (tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE):
        entry, _ = tar_entry("name", b"", type=kind, size=8 * 10**9)
        packed = tmp_path / "a.tar.gz"
        packed.write_bytes(gzip.compress(entry.tobuf(tarfile.GNU_FORMAT) + bytes(10**6)))
        refused(packed, target, "a header of 8,")


def test_a_bomb_behind_the_end_of_a_tar_is_not_read(
    target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "MOST_AFTER_END", 20_000)
    packed = write(tmp_path / "a.tar", FILES)
    zeros = tmp_path / "b.tgz"
    zeros.write_bytes(gzip.compress(packed.read_bytes() + bytes(30_000)))
    refused(zeros, target, "goes on after its end")


def lying_zip(path: Path, size: int, said: int) -> Path:
    """Write a zip whose member is larger than both of its headers say."""
    write_zip(path, ("a.nii", bytes(size)))
    true, false = struct.pack("<L", size), struct.pack("<L", said)
    path.write_bytes(path.read_bytes().replace(true, false))
    return path


def test_a_zip_bomb_that_lies_about_its_size_stops(target: Path, tmp_path: Path) -> None:
    packed = lying_zip(tmp_path / "a.zip", 5_000_000, 1000)
    with zipfile.ZipFile(packed) as stream:
        assert [entry.file_size for entry in stream.infolist()] == [1000]
    refused(packed, target, "truncated or damaged", most=2000)


def test_bytes_are_counted_as_they_are_written(
    target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Were a library to give out more than was announced, it would be stopped all the same."""
    written = 0

    class Longer(io.RawIOBase):
        def read(self, count: int = -1) -> bytes:
            nonlocal written
            written += count
            return bytes(count if written < 20_000_000 else 0)

    packed = write_zip(tmp_path / "a.zip", ("a.nii", b"x"))
    monkeypatch.setattr(zipfile.ZipFile, "open", lambda *_: Longer())
    refused(packed, target, r"'a.nii' goes beyond 3,000,000 bytes", most=3_000_000)
    assert written < 5_000_000


def test_a_member_that_ends_early_is_seen(
    target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = write_zip(tmp_path / "a.zip", ("a.nii", b"xyz"))
    monkeypatch.setattr(zipfile.ZipFile, "open", lambda *_: io.BytesIO(b"xy"))
    refused(packed, target, r"truncated or damaged \(member 'a.nii' has 2 of 3 bytes\)")


def test_the_number_of_members_is_bounded(
    target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "MOST_MEMBERS", 2)
    for suffix in SUFFIXES:
        refused(write(tmp_path / f"a{suffix}", FILES), target, "more than 2 members")


def test_too_little_disk_is_said_beforehand(
    target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive.shutil, "disk_usage", lambda _: SimpleNamespace(free=100))
    refused(write(tmp_path / "a.tar", FILES), target, r"10,242 bytes are needed .* 100 are free")


# --- damaged archives


def _cut(share: float) -> Callable[[bytes], bytes]:
    return lambda content: content[: int(len(content) * share)]


def _flip(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 0xFF]) + content[middle + 1 :]


def _second_header(content: bytes) -> bytes:
    return content[:1024] + b"\xff" * 512 + content[1536:]


DAMAGE = {
    "empty": lambda content: b"",
    "text": lambda content: b"<html>Please log in</html>" * 50,
    "cut in the first header": _cut(0.01),
    "cut in the middle": _cut(0.5),
    "cut near the end": _cut(0.96),
    "one byte short": lambda content: content[:-1],
}
MANY = {f"a/{index}.nii.gz": os.urandom(3000) for index in range(4)}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("suffix", [".tar", ".tar.gz", ".zip"])
def test_a_damaged_archive_leaves_nothing(
    suffix: str, damage: str, target: Path, tmp_path: Path
) -> None:
    packed = write(tmp_path / f"a{suffix}", MANY)
    content = packed.read_bytes()
    if suffix == ".tar":  # what follows is only padding, with no checksum
        content = content[: 4 * (512 + 3072) + 512]
    packed.write_bytes(DAMAGE[damage](content))
    refused(packed, target, "truncated or damaged .* fetch it again")


def test_a_tar_without_padding_after_its_end_is_whole(target: Path, tmp_path: Path) -> None:
    packed = write(tmp_path / "a.tar", MANY)
    packed.write_bytes(packed.read_bytes()[: 4 * (512 + 3072) + 512])
    archive.unpack(packed, target)
    assert contents(target) == MANY


def test_a_tar_cut_between_two_members_is_seen(target: Path, tmp_path: Path) -> None:
    packed = write(tmp_path / "a.tar", {"a": b"1", "b": b"2"})
    packed.write_bytes(packed.read_bytes()[:1024])
    with tarfile.open(packed) as stream:
        assert stream.getnames() == ["a"]  # the library alone would not tell
    refused(packed, target, "no member and no end at byte 1,024")


def test_a_tar_with_a_damaged_header_in_the_middle_is_seen(target: Path, tmp_path: Path) -> None:
    packed = write(tmp_path / "a.tar", {"a": b"1", "b": b"2"})
    packed.write_bytes(_second_header(packed.read_bytes()))
    with tarfile.open(packed) as stream:
        assert stream.getnames() == ["a"]
    refused(packed, target, "no member and no end at byte 1,024")


@pytest.mark.parametrize("suffix", [".tar.gz", ".zip"])
def test_a_flipped_byte_is_seen_by_the_checksum(suffix: str, target: Path, tmp_path: Path) -> None:
    packed = write(tmp_path / f"a{suffix}", MANY)
    packed.write_bytes(_flip(packed.read_bytes()))
    refused(packed, target, "truncated or damaged")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_archive_without_files_is_refused(suffix: str, target: Path, tmp_path: Path) -> None:
    refused(write(tmp_path / f"a{suffix}", {}), target, "holds no file|truncated or damaged")


def test_other_archives_and_missing_ones(target: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.rar: archives are \.tar, \.tar\.gz, \.tgz, \.zip"):
        archive.unpack(tmp_path / "a.rar", target)
    with pytest.raises(DataError, match=r"a\.tar: there is no such archive"):
        archive.unpack(tmp_path / "a.tar", target)


def test_a_disk_that_fails_while_writing(
    target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = write(tmp_path / "a.tar", MANY)
    target.parent.mkdir()

    def full(self: Path, mode: int) -> None:
        if self.name == "2.nii.gz":
            raise OSError(28, "No space left on device", str(self))

    monkeypatch.setattr(Path, "chmod", full)
    refused(packed, target, "No space left on device.* make room")


def test_a_stop_between_two_renames_leaves_whole_files(
    target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target.mkdir(parents=True)
    packed = write(tmp_path / "a.tar", MANY)
    rename = Path.rename

    def stopped(self: Path, place: Path) -> Path:
        if self.name == "2.nii.gz":
            raise KeyboardInterrupt
        return rename(self, place)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", stopped)
        with pytest.raises(KeyboardInterrupt):
            archive.unpack(packed, target)
    some = contents(target)
    assert 0 < len(some) < len(MANY)
    assert some.items() <= MANY.items()
    archive.unpack(packed, target)
    assert contents(target) == MANY
