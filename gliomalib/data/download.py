"""The open data set: fetched by pooch, checked by its digest before it is unpacked.

A download that breaks off starts again from the beginning. Over a bad line the archive can be
fetched by hand into its folder (``curl -C - -O <address>``, which is printed).
"""

import shutil
import tarfile
import tempfile
from pathlib import Path

import pooch  # type: ignore[import-untyped]
import requests

from gliomalib.data.catalogue import find
from gliomalib.schema import DataError

MONAI_TASKS = {"msd_task01": "Task01_BrainTumour"}
"""Key of an open set → what MONAI calls it, which is also the folder in its archive."""


def fetch_open(key: str, target: str | Path) -> Path:
    """Fetch an open set of the catalogue, unpack it in ``target`` and return its folder.

    Address and MD5 are MONAI's own. A folder that is there is taken for whole: it gets its name
    only after the last file. Raises ``SettingsError`` for an unknown key, and ``DataError`` for a
    set that must be got elsewhere, want of room, what cannot be unpacked, and as `fetch`.
    """
    target, dataset = Path(target), find(key)
    if dataset.access != "open":
        raise DataError(
            f"{dataset.title} cannot be fetched from here ({dataset.access}): get it at "
            f"{dataset.page} ({dataset.provider}); once the files are there, {dataset.how}"
        )
    task = MONAI_TASKS[key]
    if (target / task).is_dir():
        return target / task
    # MONAI takes seconds to import, and nothing else here needs it
    from monai.apps.datasets import DecathlonDataset  # noqa: PLC0415

    target.mkdir(parents=True, exist_ok=True)
    _check_room(target, round((dataset.size_gb or 0) * 1e9))
    return _unpack(fetch(DecathlonDataset.resource[task], DecathlonDataset.md5[task], target), task)


def fetch(url: str, md5: str, folder: Path) -> Path:
    """Fetch ``url`` into ``folder`` under its own name, with a progress bar; return the file.

    A file that has the ``md5`` (hex digits) already is not fetched again. Raises ``DataError`` for
    another digest and for what cannot be fetched; nothing new is left then.
    """
    path = folder / url.rpartition("/")[2]
    by_hand = f"in {folder} by curl -C - -O {url}"
    if path.exists() and pooch.file_hash(path, alg="md5") != md5:
        # pooch would replace it, and with it what was fetched by hand so far
        raise DataError(f"{path}: its MD5 is not {md5}; complete it {by_hand}, or delete it")
    bar = pooch.HTTPDownloader(progressbar=True, chunk_size=2**20, timeout=60.0)
    try:
        pooch.retrieve(url, f"md5:{md5}", path.name, folder, downloader=bar)
    except requests.RequestException as error:
        raise DataError(f"{url}: {error}; run this again, or fetch it {by_hand}") from None
    except ValueError:
        raise DataError(f"{url}: its MD5 is not {md5}; it was deleted, run this again") from None
    return path


def _unpack(archive: Path, name: str) -> Path:
    """Unpack beside the archive; a killed process leaves a hidden ``.unpacking-…`` at most."""
    with (
        tarfile.open(archive) as content,
        tempfile.TemporaryDirectory(dir=archive.parent, prefix=".unpacking-") as staging,
    ):
        _check_room(archive.parent, sum(member.size for member in content))
        try:
            content.extractall(staging, filter="data")
        except tarfile.TarError as error:
            raise DataError(f"{archive}: not unpacked ({error}); take another copy") from None
        return (Path(staging) / name).rename(archive.parent / name)


def _check_room(folder: Path, n_bytes: int) -> None:
    free = shutil.disk_usage(folder).free
    if n_bytes > free:
        raise DataError(f"{folder}: {n_bytes:,} bytes are needed and {free:,} are free; make room")
