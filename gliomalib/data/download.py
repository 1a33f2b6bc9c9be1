"""The open data set: fetched, checked by its digest, and unpacked without trusting the archive.

A download that breaks off starts again from the beginning. Over a bad line the archive can be
fetched by hand, as often as it takes, into the folder where it belongs; ``fetch_open`` then only
checks and unpacks it::

    curl -C - -O <address>

The address is in the error of a download that broke off, and printed when one begins.
"""

import shutil
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

import pooch  # type: ignore[import-untyped]
import requests

from gliomalib.data.catalogue import find
from gliomalib.schema import DataError

MONAI_TASKS = {"msd_task01": "Task01_BrainTumour"}
"""Key of an open set → what MONAI calls it, which is also the folder in its archive."""

MOST_TIMES = 2
"""How many times its size in the catalogue a set may need unpacked; its files are compressed."""


def fetch_open(key: str, target: str | Path) -> Path:
    """Fetch an open set of the catalogue, unpack it in ``target`` and return its folder.

    Address and MD5 are MONAI's own (``monai.apps.DecathlonDataset``). A folder that is there
    already is taken for whole and left alone: it gets its name only after the last file.

    Raises ``SettingsError`` for a key that is not in the catalogue, and ``DataError`` for a set
    that cannot be fetched from here (it says where to get it, and what to do then) and as `fetch`
    and `unpack` do.
    """
    target, dataset = Path(target), find(key)
    if dataset.access != "open" or dataset.size_gb is None:
        first = "register" if dataset.access == "registration" else "download it"
        raise DataError(
            f"{dataset.title} cannot be fetched from here: {first} at {dataset.page} "
            f"({dataset.provider}); once the files are there, {dataset.how}"
        )
    task = MONAI_TASKS[key]
    if (target / task).is_dir():
        return target / task
    n_bytes = round(dataset.size_gb * 1e9)
    target.mkdir(parents=True, exist_ok=True)
    _check_room(target, n_bytes)
    # MONAI takes seconds to import, and nothing else here needs it
    from monai.apps.datasets import DecathlonDataset  # noqa: PLC0415

    archive = fetch(DecathlonDataset.resource[task], DecathlonDataset.md5[task], target)
    return unpack(archive, task, MOST_TIMES * n_bytes)


def fetch(url: str, md5: str, folder: str | Path) -> Path:
    """Fetch ``url`` into ``folder`` under its own name, with a progress bar; return the file.

    A file of that name with the right ``md5`` (hex digits) is not fetched again. Only a file with
    the right digest gets its name. Raises ``DataError`` for a wrong digest, another or an
    incomplete file of that name, and a server that is not reached, refuses or breaks off; it says
    how to resume by hand.
    """
    path = Path(folder) / PurePosixPath(urlsplit(url).path).name
    by_hand = f"in {path.parent} by curl -C - -O {url}"
    if path.exists():
        # pooch would replace it, and with it what was fetched by hand so far
        if pooch.file_hash(path, alg="md5") == md5:
            return path
        raise DataError(
            f"{path}: its MD5 is not {md5}, so it is incomplete or another file; complete it "
            f"{by_hand}, or delete it and run this again"
        )
    bar = pooch.HTTPDownloader(progressbar=True, chunk_size=2**20, timeout=60.0)
    try:
        pooch.retrieve(url, f"md5:{md5}", path.name, path.parent, downloader=bar)
    except requests.RequestException as error:
        raise DataError(
            f"{url}: cannot be fetched ({error}); run this again, which starts from the "
            f"beginning, or fetch it {by_hand} and then run this again"
        ) from None
    except ValueError:
        raise DataError(
            f"{url}: the MD5 of what was sent is not {md5}, so it was deleted; run this again, and "
            "if it is wrong again the provider has changed the file"
        ) from None
    return path


def unpack(archive: str | Path, name: str, most_bytes: int) -> Path:
    """Unpack the folder ``name`` of a tar archive beside the archive and return the folder.

    Everything is written to a hidden folder first (``.unpacking-…``, which may be deleted if a
    killed process has left it), so a folder under its own name is always whole. Raises
    ``DataError``, and leaves nothing behind, for a file that is no tar archive, a member that has
    an absolute path or ``..`` or is a link or a device, more than ``most_bytes`` (B) or than the
    disk has free, and an archive without the folder.
    """
    archive = Path(archive)
    place = archive.parent / name
    try:
        # "r:" is plain tar: a compressed bomb is not even listed
        with (
            tarfile.open(archive, "r:") as content,
            tempfile.TemporaryDirectory(dir=archive.parent, prefix=".unpacking-") as staging,
        ):
            _check(archive, content.getmembers(), most_bytes)
            content.extractall(staging, filter="data")
            unpacked = Path(staging) / name
            if not unpacked.is_dir():
                raise DataError(f"{archive}: has no folder {name}; delete it and fetch it again")
            return unpacked.rename(place)
    except tarfile.TarError as error:
        raise DataError(
            f"{archive}: not unpacked ({error}); delete it and fetch it again"
        ) from None


def _check(archive: Path, members: Sequence[tarfile.TarInfo], most_bytes: int) -> None:
    """Refuse an archive by its listing, before anything is written."""
    for member in members:
        # stricter than Python's filter, which cuts a leading slash and lets links inside pass
        path, fault = PurePosixPath(member.name), ""
        if path.is_absolute() or ".." in path.parts:
            fault = "leads out of its folder"
        elif not (member.isfile() or member.isdir()):
            fault = "is a link or a device"
        if fault:
            raise DataError(f"{archive}: not unpacked, {member.name!r} {fault}; use another copy")
    n_bytes = sum(member.size for member in members)
    if n_bytes > most_bytes:
        raise DataError(
            f"{archive}: not unpacked, it announces {n_bytes:,} bytes and at most {most_bytes:,} "
            "are expected; delete it and fetch it again"
        )
    _check_room(archive.parent, n_bytes)


def _check_room(folder: Path, n_bytes: int) -> None:
    free = shutil.disk_usage(folder).free
    if n_bytes > free:
        raise DataError(f"{folder}: {n_bytes:,} bytes are needed and {free:,} are free; make room")
