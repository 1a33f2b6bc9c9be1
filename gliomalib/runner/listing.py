"""What lies in a folder of patients: as long as that is the same, no result of it is stale."""

import contextlib
import json
import os
import stat
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from gliomalib import provenance
from gliomalib.data.readers import layout

PACKED = (".zip", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz", ".7z", ".rar")
"""What no reader opens, and what is large: only its size counts."""

SETTLED_NS = 2_000_000_000
"""Age from which on a time of a file is trusted: a second change within one tick shows nowhere."""

Seen = tuple[int, ...]
"""Size, both times in nanoseconds and inode of a file: where they are the same, so is the file."""

Known = dict[str, tuple[Seen, str]]
"""What each place looked like, and what it held."""


def listing(folder: Path, kept: Path) -> dict[str, str]:
    """Return what stands at every place below ``folder`` that a reader sees: place → content.

    That is the digest of a file, or a word where it cannot be read. A file is read once, and again
    when its size, times or inode are not those in the file ``kept``, which is brought up to date.
    So a moved folder changes nothing, nor does a file that is touched or copied.
    """
    tree = layout.scan(folder)
    places = {str(path.relative_to(folder)): path for path in (*tree.closed, *tree.paths)}
    seen = {place: _seen(path) for place, path in places.items()}
    known = _read(kept)
    same = {place: known[place][1] for place in seen if (seen[place],) == known.get(place, ())[:1]}
    new = {place: path for place, path in places.items() if place not in same}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = same | dict(zip(new, pool.map(_content, new.values()), strict=True))
    _keep(kept, {place: (seen[place], found[place]) for place in places}, known)
    return found


def _seen(path: Path) -> Seen:
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino


def _content(path: Path) -> str:
    """Return the digest of a file; of anything else a word, and its reader says what is wrong."""
    try:
        found = path.stat()
        # a pipe would be waited for
        if not stat.S_ISREG(found.st_mode):
            return "no file"
        packed = path.name.lower().endswith(PACKED)
        return f"{found.st_size} bytes" if packed else provenance.file_digest(path)
    except OSError as error:
        return str(error.errno)


def _read(kept: Path) -> Known:
    try:
        content = json.loads(kept.read_text(encoding="utf-8"))
        return {place: (tuple(seen), digest) for place, (seen, digest) in content.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        # it saves time and nothing else
        return {}


def _keep(kept: Path, found: Known, known: Known) -> None:
    before = time.time_ns() - SETTLED_NS
    settled = {place: what for place, what in found.items() if what[0] and what[0][2] < before}
    if settled != known:
        # whoever may only read a study can still make its report
        with contextlib.suppress(OSError):
            provenance.write_atomic(kept, json.dumps(settled))
