"""Unpack a downloaded archive without trusting it: .tar, .tar.gz, .tgz and .zip.

The listing is checked first, so that most bad archives are refused before a byte is written.
Then everything is written to a hidden folder beside its place and renamed into it at the end:
a file under its own name is always whole. A run that was killed can leave such a folder
(``.unpacking-…``) behind, which may be deleted.
"""

from __future__ import annotations

import gzip
import lzma
import re
import shutil
import stat
import struct
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any, Literal

from gliomalib.schema import DataError

MOST_BYTES = 300 * 10**9
"""Unpacked size that is not exceeded; the largest set of the catalogue has 142 GB."""

MOST_MEMBERS = 100_000
"""Members that are not exceeded; BraTS 2021 has about 6,300 files."""

MOST_IN_HEADER = 2**22
"""Bytes of a tar header (a long name, for instance) that are read at once."""

MOST_AFTER_END = 2**24
"""Bytes of padding after the end of a tar archive that are read, to reach its checksum."""

SUFFIXES = (".tar", ".tar.gz", ".tgz", ".zip")

_CHUNK = 2**20
_DRIVE = re.compile(r"[A-Za-z]:")
_DAMAGE = (
    *(tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error),
    *(EOFError, ValueError, NotImplementedError, RecursionError, OverflowError),
)

Kind = Literal["file", "folder", "link", "device", "locked file"]


@dataclass(frozen=True)
class _Member:
    name: str
    path: PurePosixPath
    size: int
    kind: Kind
    entry: Any


@dataclass(frozen=True)
class _Reader:
    members: Callable[[], Iterator[_Member]]
    stream: Callable[[_Member], IO[bytes]]


@dataclass
class _Budget:
    """Bytes that may come in all: one for what the listing says, one for what is written."""

    archive: Path
    most: int
    used: int = 0

    def take(self, member: _Member, count: int) -> None:
        self.used += count
        if self.used > self.most:
            raise _refused(
                self.archive,
                f"member {member.name!r} goes beyond {self.most:,} bytes in all, as if made to "
                "fill the disk; allow more with most_bytes if you trust it",
            )


def unpack(archive: Path, target: Path, most_bytes: int = MOST_BYTES) -> list[Path]:
    """Unpack ``archive`` into the folder ``target`` and return its files, in its order.

    A file that is there already with the same content is left alone and is in the list as well.
    Files get the permissions 0644, folders 0755. On an error ``target`` has either nothing new or,
    if the disk fails between two renames, some whole files; calling it again goes on from there.

    Raises
    ------
    DataError
        For an archive of another kind, missing, truncated or damaged; for a member with an
        absolute path, ``..``, a drive letter, a backslash, a link, a device or a password, or one
        that stands twice or would land outside of ``target``; for more than ``most_bytes`` or
        ``MOST_MEMBERS``; for too little disk; and for another file in the way.
    """
    with _explained(archive, target), _opened(archive) as reader:
        members = _checked(archive, target, reader.members(), most_bytes)
        budget = _Budget(archive, most_bytes)
        with _staging(target) as staging:
            for member in members:
                _write(reader, member, staging, target, budget)
            return _install(members, staging, target)


# --- reading the two kinds of archive


@contextmanager
def _opened(archive: Path) -> Iterator[_Reader]:
    name = archive.name.lower()
    if not name.endswith(SUFFIXES):
        raise DataError(
            f"{archive}: archives are {', '.join(SUFFIXES)}; unpack this one with its own program"
        )
    if not archive.is_file():
        raise DataError(f"{archive}: there is no such archive; fetch it first")
    if name.endswith(".zip"):
        with zipfile.ZipFile(archive) as content:
            yield _Reader(
                lambda: map(_from_zip, content.infolist()),
                lambda member: content.open(member.entry),
            )
        return
    opened: Any = Path.open if name.endswith(".tar") else gzip.open
    guarded: Any = _Guarded
    with opened(archive, "rb") as raw, tarfile.open(fileobj=guarded(raw), mode="r:") as tar:
        # in tar, links and devices have no stream; they are refused before one is asked for
        stream: Any = tar.extractfile
        yield _Reader(lambda: _from_tar(tar, raw), lambda member: stream(member.entry))


class _Guarded:
    """A stream for tarfile, which reads a header at once, however large it says it is."""

    def __init__(self, raw: IO[bytes]) -> None:
        self.raw = raw
        self.tell, self.seek = raw.tell, raw.seek

    def read(self, count: int = -1) -> bytes:
        if not 0 <= count <= MOST_IN_HEADER:
            raise tarfile.ReadError(f"a header of {count:,} bytes")
        return self.raw.read(count)


def _from_tar(content: tarfile.TarFile, raw: IO[bytes]) -> Iterator[_Member]:
    """Yield the members one by one, so that none is skipped over before it was checked."""
    while (entry := content.next()) is not None:
        kind: Kind = "file" if entry.isreg() else "folder" if entry.isdir() else "device"
        kind = "link" if entry.issym() or entry.islnk() else kind
        yield _Member(entry.name, PurePosixPath(entry.name), entry.size, kind, entry)
    # tarfile takes a damaged or missing header for the end
    raw.seek(content.offset)
    if raw.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
        raise tarfile.ReadError(f"no member and no end at byte {content.offset:,}")
    if len(raw.read(MOST_AFTER_END + 1)) > MOST_AFTER_END:
        raise tarfile.ReadError("it goes on after its end")


def _from_zip(entry: zipfile.ZipInfo) -> _Member:
    # the file type of Unix; 0 where another system packed it
    form = stat.S_IFMT(entry.external_attr >> 16)
    kind: Kind = "folder" if entry.is_dir() else "file"
    if form not in (0, stat.S_IFREG, stat.S_IFDIR):
        kind = "link" if form == stat.S_IFLNK else "device"
    elif entry.flag_bits & 1:
        kind = "locked file"
    # zipfile cuts a name at a zero byte; the check is to see it
    name = entry.orig_filename
    return _Member(name, PurePosixPath(name), entry.file_size, kind, entry)


# --- checks on the listing


def _checked(
    archive: Path, target: Path, found: Iterator[_Member], most_bytes: int
) -> list[_Member]:
    """Return all members of an archive that may be unpacked."""
    members: list[_Member] = []
    kinds: dict[PurePosixPath, Kind] = {}
    announced = _Budget(archive, most_bytes)
    for count, member in enumerate(found, 1):
        if count > MOST_MEMBERS:
            raise _refused(archive, f"it has more than {MOST_MEMBERS:,} members; unpack it by hand")
        _check_member(archive, member)
        announced.take(member, member.size)
        if kinds.get(member.path, "folder") != "folder" or (
            member.kind == "file" and member.path in kinds
        ):
            raise _refused(archive, f"member {member.name!r} stands twice; fetch the archive again")
        kinds[member.path] = member.kind
        members.append(member)
    for member in members:
        _check_place(archive, target, member, kinds)
    if "file" not in kinds.values():
        raise _refused(archive, "it holds no file; fetch it again")
    _check_room(archive, target, members)
    return members


def _check_member(archive: Path, member: _Member) -> None:
    name = member.name
    fault = ""
    if member.kind not in ("file", "folder"):
        fault = f"is a {member.kind}"
    elif name.startswith(("/", "\\")) or _DRIVE.match(name):
        fault = "has an absolute path"
    elif ".." in member.path.parts:
        fault = "leads out of its folder by '..'"
    elif "\\" in name or not name.isprintable():
        fault = "has a backslash or an unprintable character in its name"
    elif member.kind == "file" and not member.path.parts:
        fault = "has no name"
    if fault:
        raise _refused(archive, f"member {name!r} {fault}; take another copy from the provider")


def _check_place(
    archive: Path, target: Path, member: _Member, kinds: dict[PurePosixPath, Kind]
) -> None:
    """Refuse a member that needs a folder where a file is, or that lands outside of target."""
    if any(kinds.get(above) == "file" for above in member.path.parents):
        raise _refused(archive, f"member {member.name!r} lies below a file; fetch it again")
    place = target / member.path
    if not place.resolve().is_relative_to(target.resolve()):
        raise _refused(
            archive,
            f"member {member.name!r} would land in {place.resolve()}, outside of {target}, by a "
            "link that is there; remove the link",
        )
    above = [part for part in place.parents if part.is_relative_to(target)]
    wanted_folders = [*above, place] if member.kind == "folder" else above
    in_the_way = [part for part in wanted_folders if part.exists() and not part.is_dir()]
    if member.kind == "file" and _there(place):
        same_size = place.is_file() and place.stat().st_size == member.size
        in_the_way += [] if same_size and not place.is_symlink() else [place]
    if in_the_way:
        raise _in_the_way(archive, member, in_the_way[0])
    if isinstance(member.entry, tarfile.TarInfo):
        # Python's own rules on top: what it learns to refuse is refused here too
        try:
            tarfile.data_filter(member.entry, str(target))
        except tarfile.FilterError as error:
            raise _refused(archive, f"{error}; take another copy from the provider") from None


def _check_room(archive: Path, target: Path, members: list[_Member]) -> None:
    needed = sum(
        member.size
        for member in members
        if member.kind == "file" and not _there(target / member.path)
    )
    existing = next(part for part in (target, *target.absolute().parents) if part.exists())
    free = shutil.disk_usage(existing).free
    if needed > free:
        raise DataError(
            f"{archive}: {needed:,} bytes are needed in {existing}, {free:,} are free; make room"
        )


# --- writing


@contextmanager
def _staging(target: Path) -> Iterator[Path]:
    """Give a hidden folder on the disk of ``target``, and take it away whatever happens."""
    beside = target if target.is_dir() else target.parent
    _make_folder(beside)
    staging = Path(tempfile.mkdtemp(dir=beside, prefix=".unpacking-"))
    try:
        staging.chmod(0o755)
        yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _write(reader: _Reader, member: _Member, staging: Path, target: Path, budget: _Budget) -> None:
    """Write a member into ``staging``, or compare it with the file that is there already."""
    if member.kind == "folder":
        _make_folder(staging / member.path)
        return
    place = target / member.path
    with reader.stream(member) as content:
        if _there(place):
            _compare(content, member, place, budget)
            return
        path = staging / member.path
        _make_folder(path.parent)
        with path.open("xb") as stream:
            for chunk in _chunks(content, member, budget):
                stream.write(chunk)
        path.chmod(0o644)
    if path.stat().st_size != member.size:
        raise EOFError(
            f"member {member.name!r} has {path.stat().st_size:,} of {member.size:,} bytes"
        )


def _compare(content: IO[bytes], member: _Member, place: Path, budget: _Budget) -> None:
    with place.open("rb") as stream:
        same = all(chunk == stream.read(len(chunk)) for chunk in _chunks(content, member, budget))
        if not same or stream.read(1):
            raise _in_the_way(budget.archive, member, place)


def _chunks(content: IO[bytes], member: _Member, budget: _Budget) -> Iterator[bytes]:
    while chunk := content.read(_CHUNK):
        budget.take(member, len(chunk))
        yield chunk


def _install(members: list[_Member], staging: Path, target: Path) -> list[Path]:
    """Rename what was written to its place and return the place of every file."""
    if not target.exists():
        staging.replace(target)
    for member in members:
        written, place = staging / member.path, target / member.path
        if member.kind == "folder":
            _make_folder(place)
        elif _there(written):
            _make_folder(place.parent)
            written.rename(place)
    return [target / member.path for member in members if member.kind == "file"]


def _make_folder(folder: Path) -> None:
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for place in missing:
        place.chmod(0o755)


def _there(path: Path) -> bool:
    """Say whether anything has this name, a link to nowhere included."""
    return path.is_symlink() or path.exists()


# --- errors


@contextmanager
def _explained(archive: Path, target: Path) -> Iterator[None]:
    """Turn what the libraries raise into one sentence."""
    try:
        yield
    except _DAMAGE as error:
        raise _damaged(archive, error) from None
    except OSError as error:
        if error.errno is None:
            raise _damaged(archive, error) from None
        raise DataError(
            f"{archive}: cannot be unpacked to {target} ({error.strerror}: {error.filename}); "
            "make room or see to the permissions, then unpack it again"
        ) from None


def _damaged(archive: Path, error: BaseException) -> DataError:
    return DataError(f"{archive}: truncated or damaged ({error}); delete it and fetch it again")


def _refused(archive: Path, reason: str) -> DataError:
    return DataError(f"{archive}: not unpacked, {reason}")


def _in_the_way(archive: Path, member: _Member, place: Path) -> DataError:
    return _refused(
        archive, f"another file is where {member.name!r} belongs; move {place} away or delete it"
    )
