"""What lies in a folder of patients: as long as that is the same, no result of it is stale."""

import contextlib
import json
import os
import stat
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from gliomalib import provenance
from gliomalib.data.readers import layout

SETTLED_NS = 2_000_000_000
"""Age from which on a time of a file tells: two changes within one tick of a clock look alike."""


def listing(folder: Path, kept: Path) -> dict[str, str]:
    """Return what stands at every place below ``folder`` that a reader sees: place → digest.

    A file that cannot be read has a word instead. A file is read once, and again when its size,
    its times or its inode are not those in the file ``kept``, which is brought up to date. So a
    moved folder changes nothing, nor does a file that is touched or copied.
    """
    tree = layout.scan(folder)
    paths = {str(path.relative_to(folder)): path for path in (*tree.closed, *tree.paths)}
    known, looks = remembered(kept), [_look(place, path) for place, path in paths.items()]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        digests = pool.map(lambda p, look: known.get(look) or _content(p), paths.values(), looks)
        found = dict(zip(paths, digests, strict=True))
    now = {look: digest for look, digest in zip(looks, found.values(), strict=True) if look}
    if now != known:
        # whoever may only read a study can still make its report
        with contextlib.suppress(OSError):
            provenance.write_atomic(kept, json.dumps(now))
    return found


def _look(place: str, path: Path) -> str:
    """Return size, times and inode of a file, empty where they do not tell if it has changed.

    With its place, as files of two disks may have all of these in common.
    """
    try:
        now = path.stat()
    except OSError:
        return ""
    settled = now.st_ctime_ns < time.time_ns() - SETTLED_NS
    times = f"{now.st_mtime_ns} {now.st_ctime_ns}"
    return f"{now.st_size} {times} {now.st_ino} {place}" if settled else ""


def _content(path: Path) -> str:
    try:
        # a pipe would be waited for
        return provenance.file_digest(path) if stat.S_ISREG(path.stat().st_mode) else "no file"
    except OSError as error:
        # a dangling link, for instance: its reader says what is wrong with it
        return os.strerror(error.errno or 0)


def remembered(kept: Path) -> dict[str, Any]:
    """Return what was kept in a JSON file, nothing where it is missing or damaged."""
    try:
        content = json.loads(kept.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
