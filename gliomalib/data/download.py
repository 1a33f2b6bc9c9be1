"""Fetch a large file so that a broken line costs minutes and not the whole download."""

from __future__ import annotations

import hashlib
import http.client
import json
import logging
import re
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal
from urllib.parse import urlsplit

from gliomalib.data.archive import unpack
from gliomalib.data.catalogue import find
from gliomalib.provenance import write_atomic
from gliomalib.schema import DataError

log = logging.getLogger(__name__)

Algorithm = Literal["md5", "sha256"]

TRIES = 6
"""Tries in a row that bring the file no further before ``fetch`` gives up."""

WAIT_S = 2.0
"""Wait before the second try; it doubles with each one, up to ``LONGEST_WAIT_S``."""

LONGEST_WAIT_S = 60.0

PROGRESS_S = 5.0
"""Seconds between two lines of progress."""

WORTH_A_TRY = 2**20
"""Bytes that a try must add to the longest part so far, or it counts as failed."""

_CHUNK = 2**18
_MONAI_TASKS = {"msd_task01": "Task01_BrainTumour"}
_TRY_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")


@dataclass(frozen=True)
class _Origin:
    """What the bytes of a part belong to; kept beside it, as the part must not outlive it."""

    url: str
    version: str
    size: int | None


class _DroppedError(Exception):
    """The line broke or the server is busy; what is there is kept and the next try goes on."""


class _ChangedError(Exception):
    """The part is not the beginning of what the server has now."""


def fetch(
    url: str, path: Path, checksum: str, algorithm: Algorithm, timeout_s: float = 60.0
) -> Path:
    """Fetch ``url`` to ``path`` and return it; what is there already and right is not fetched.

    The bytes go to ``<name>.part``. A broken line is taken up where it broke, in this call (the
    wait doubles from try to try) or in a later one, as long as the server says by ETag,
    modification date or size that it still has the same file; otherwise, or where it cannot send
    a part, from the start. ``timeout_s`` is for each answer of the server, not for the whole.
    Only a file with the right ``checksum`` (hex digits) gets its name. With a wrong one the part
    is deleted, since going on from it could never end well. Two processes must not fetch to one
    path at once; if they do, the checksum tells.

    Raises
    ------
    DataError
        For a wrong checksum (both are named), another file at ``path``, no network, an address
        that is not there, a server that keeps breaking off, a full disk or no permission.
    """
    if urlsplit(url).scheme not in ("http", "https"):
        raise DataError(f"{url}: only http and https can be fetched; give such an address")
    expected = checksum.strip().lower()
    with _disk_trouble(path):
        if path.exists():
            return _kept(path, expected, algorithm)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{path.name}.part")
        _download(url, part, timeout_s)
        found = _hash(part, algorithm)
        if found != expected:
            _discard(part)
            raise DataError(
                f"{url}: {algorithm} is {found}, expected {expected}; the download was deleted, "
                "run it again, and if it comes out the same the provider has changed the file"
            )
        part.rename(path)
        _discard(part)
    log.info("%s: complete, %s %s", path.name, algorithm, found)
    return path


def fetch_open(name: str, target: Path) -> Path:
    """Fetch an open set of the catalogue, unpack it in ``target`` and return its folder.

    Address and MD5 are MONAI's own (``monai.apps.DecathlonDataset``), and MONAI's ``check_hash``
    confirms the file at the end. Its ``download_url`` alone does not do: it loads into a
    temporary folder that goes when the line breaks, so each try starts at the first byte of
    7.6 GB. What is there already is neither fetched nor written again, as long as the archive
    stays in ``target``.

    Raises
    ------
    SettingsError
        For a name that is not in the catalogue; it lists the names.
    DataError
        For a set that must be had by hand (it says where, and what to do then), and as ``fetch``
        and ``archive.unpack`` do.
    """
    chosen = find(name)
    if chosen.access != "open":
        first = "register" if chosen.access == "registration" else "download it"
        raise DataError(
            f"{chosen.title} cannot be fetched from here: {first} at {chosen.page} "
            f"({chosen.provider}); once the files are there, {chosen.how}"
        )
    # MONAI takes seconds to import, and nothing else here needs it
    from monai.apps.datasets import DecathlonDataset  # noqa: PLC0415
    from monai.apps.utils import check_hash  # noqa: PLC0415

    task = _MONAI_TASKS[name]
    url, checksum = DecathlonDataset.resource[task], DecathlonDataset.md5[task]
    archive = fetch(url, target / PurePosixPath(urlsplit(url).path).name, checksum, "md5")
    if not check_hash(archive, checksum, "md5"):
        raise DataError(
            f"{archive}: MONAI does not confirm MD5 {checksum}; delete it and run again"
        )
    unpack(archive, target)
    folder = target / task
    if not folder.is_dir():
        raise DataError(f"{archive}: it holds no folder {task}; MONAI's address may have changed")
    return folder


# --- tries


def _download(url: str, part: Path, timeout_s: float) -> None:
    """Bring ``part`` to its full length, whatever number of tries it takes."""
    failed, longest = 0, _size(part)
    while True:
        try:
            _transfer(url, part, timeout_s)
        except _ChangedError as error:
            log.info("%s: starts anew, %s", part.name, error)
            _discard(part)
            reason = str(error)
        except _DroppedError as error:
            reason = str(error)
        else:
            return
        size = _size(part)
        failed = 0 if size >= longest + WORTH_A_TRY else failed + 1
        longest = max(longest, size)
        if failed >= TRIES:
            raise DataError(
                f"{url}: given up after {failed} tries without progress ({reason}); see to the "
                f"network and run it again, {size:,} bytes are kept in {part}"
            )
        wait = min(WAIT_S * 2 ** max(failed - 1, 0), LONGEST_WAIT_S)
        log.info("%s: %s; next try in %.0f s", part.name, reason, wait)
        time.sleep(wait)


def _transfer(url: str, part: Path, timeout_s: float) -> None:
    """Make one request and add to ``part`` what comes; return when it is complete."""
    origin = _origin(part, url)
    start = _size(part) if origin else 0
    if origin and origin.size is not None and start >= origin.size:
        if start > origin.size:
            raise _ChangedError(f"{start:,} bytes are there, the file has {origin.size:,}")
        return
    request = urllib.request.Request(url, headers={"Accept-Encoding": "identity"})
    if origin and start:
        request.add_header("Range", f"bytes={start}-")
        if origin.version:
            request.add_header("If-Range", origin.version)
    with _line_trouble(url), urllib.request.urlopen(request, timeout=timeout_s) as answer:
        if answer.status == 206:
            known = _continued(answer, origin, start)
        else:
            if start:
                log.info("%s: the server sends no part of this file, so from the start", part.name)
            start, known = 0, _Origin(url, _version(answer), _announced(answer))
            _discard(part)
            write_atomic(_note(part), json.dumps(asdict(known)) + "\n")
        _check_room(part, start, known.size)
        _receive(answer.read1, part, start, known.size)


def _continued(answer: Any, origin: _Origin | None, start: int) -> _Origin:
    """Return the origin of a part that goes on; refuse bytes of another place or file."""
    match = _RANGE.fullmatch(answer.headers.get("Content-Range", ""))
    if origin is None or match is None or int(match[1]) != start:
        raise _ChangedError("the server sent another range than asked for")
    if origin.size is not None and match[2] not in ("*", str(origin.size)):
        raise _ChangedError(f"the file had {origin.size:,} bytes and now has {int(match[2]):,}")
    if origin.version and _version(answer) not in ("", origin.version):
        raise _ChangedError("the server has another version of the file")
    return origin


def _receive(read: Callable[[int], bytes], part: Path, start: int, size: int | None) -> None:
    progress = _Progress(part.name.removesuffix(".part"), start, size)
    done = start
    with part.open("ab") as stream:
        while chunk := _chunk(read):
            stream.write(chunk)
            done += len(chunk)
            progress.say(done)
    if size is not None and done < size:
        raise _DroppedError(f"the server broke off at {done:,} of {size:,} bytes")


def _chunk(read: Callable[[int], bytes]) -> bytes:
    """Read what has come by now; errors of the line and of the disk have the same type."""
    try:
        return read(_CHUNK)
    except (OSError, http.client.HTTPException) as error:
        raise _DroppedError(f"the line broke, {error or type(error).__name__}") from None


class _Progress:
    """A line with percent and time left, every few seconds."""

    def __init__(self, name: str, start: int, size: int | None) -> None:
        self.name, self.start, self.size = name, start, size
        self.began = self.said = time.monotonic()

    def say(self, done: int) -> None:
        now = time.monotonic()
        if now - self.said < PROGRESS_S:
            return
        self.said = now
        if self.size is None:
            log.info("%s: %.2f GB so far", self.name, done / 1e9)
            return
        left_s = (self.size - done) * (now - self.began) / max(done - self.start, 1)
        share = 100 * done / self.size
        log.info("%s: %.0f %%, %.0f min left", self.name, share, left_s / 60)


# --- what is known of a part


def _note(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _origin(part: Path, url: str) -> _Origin | None:
    """Return what the part belongs to, or None where it cannot be gone on with."""
    try:
        origin = _Origin(**json.loads(_note(part).read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError):
        return None
    # without a version and a size nothing would tell that the file has changed
    usable = origin.url == url and (origin.version or origin.size is not None)
    return origin if usable and part.is_file() else None


def _version(answer: Any) -> str:
    """Return what ``If-Range`` takes: a strong ETag or the date of modification."""
    tag = str(answer.headers.get("ETag", ""))
    return tag if tag.startswith('"') else str(answer.headers.get("Last-Modified", ""))


def _announced(answer: Any) -> int | None:
    length = answer.headers.get("Content-Length", "")
    return int(length) if length.isdigit() else None


def _size(part: Path) -> int:
    return part.stat().st_size if part.is_file() else 0


def _discard(part: Path) -> None:
    for path in (part, _note(part)):
        path.unlink(missing_ok=True)


def _kept(path: Path, expected: str, algorithm: Algorithm) -> Path:
    found = _hash(path, algorithm)
    if found != expected:
        raise DataError(
            f"{path}: another file is there, {algorithm} is {found}, expected {expected}; move it "
            "away or delete it and run again"
        )
    log.info("%s: is there already", path.name)
    return path


def _hash(path: Path, algorithm: Algorithm) -> str:
    with path.open("rb") as stream:
        new = hashlib.new(algorithm, usedforsecurity=False)
        return hashlib.file_digest(stream, lambda: new).hexdigest()


def _check_room(part: Path, start: int, size: int | None) -> None:
    free = shutil.disk_usage(part.parent).free
    if size is not None and size - start > free:
        raise DataError(
            f"{part}: {size - start:,} bytes are still to come, {free:,} are free; make room and "
            "run it again"
        )


# --- errors


@contextmanager
def _line_trouble(url: str) -> Iterator[None]:
    """Tell what may pass from what will not; trouble of the disk comes after the first bytes."""
    try:
        yield
    except urllib.error.HTTPError as error:
        if error.code == 416:
            raise _ChangedError("the server has no bytes beyond the part") from None
        if error.code in _TRY_AGAIN:
            raise _DroppedError(f"the server said {error.code} {error.reason}") from None
        raise DataError(
            f"{url}: the server said {error.code} {error.reason}; see on the provider's page "
            "whether the file has moved or asks for an account"
        ) from None
    except urllib.error.URLError as error:
        raise _DroppedError(f"no connection, {error.reason}") from None
    except (http.client.HTTPException, ConnectionError, TimeoutError) as error:
        raise _DroppedError(f"no answer, {error or type(error).__name__}") from None


@contextmanager
def _disk_trouble(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataError(
            f"{path}: cannot be written ({error.strerror}: {error.filename or path}); make room or "
            "see to the permissions and run it again, what was fetched is kept"
        ) from None
