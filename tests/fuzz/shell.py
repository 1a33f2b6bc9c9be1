"""The command line in this very process: exit code, and what it wrote as a terminal gets it."""

import io
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from gliomalib.__main__ import main


@contextmanager
def _streams() -> Iterator[tuple[io.BytesIO, io.BytesIO]]:
    before = sys.stdout, sys.stderr
    raw = io.BytesIO(), io.BytesIO()
    sys.stdout, sys.stderr = (io.TextIOWrapper(stream, "utf-8", newline="") for stream in raw)
    try:
        yield raw
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
            stream.detach()
        sys.stdout, sys.stderr = before


def run(*words: str) -> tuple[int, str, str]:
    """Return exit code, standard output and standard error of a command line."""
    with _streams() as (out, err):
        code = _code(words)
    return code, out.getvalue().decode(), err.getvalue().decode()


def _code(words: Sequence[str]) -> int:
    try:
        return main(list(words))
    except SystemExit as stopped:
        # so argparse ends: 0 after a help, 2 after an error
        return int(stopped.code or 0)
