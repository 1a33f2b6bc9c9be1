"""One process at a time: locks that the system gives back when their holder is gone."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gliomalib.provenance import naming
from gliomalib.runner.jobs import RunError


@contextmanager
def held(path: Path, what: str, wait_s: float = 0.0) -> Iterator[int]:
    """Hold the lock file ``path`` and yield its descriptor, which children may be given.

    A killed process leaves no lock behind: the lock ends with the last process that has the
    descriptor. Raises ``RunError`` when another still has it after ``wait_s`` seconds, and
    ``OSError`` where the disk knows no locks or is full.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    deadline = time.monotonic() + wait_s
    try:
        with naming(path):
            while not _taken(descriptor):
                if time.monotonic() >= deadline:
                    holder = os.pread(descriptor, 20, 0).decode() or "unknown"
                    raise RunError(
                        f"{what} is being run by another process (number {holder}, "
                        "or what it started): wait for it"
                    )
                time.sleep(0.2)
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield descriptor
    finally:
        os.close(descriptor)


def _taken(descriptor: int) -> bool:
    with suppress(BlockingIOError):
        # flock, not lockf: it belongs to the open file, so a child that inherits it holds it
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False
