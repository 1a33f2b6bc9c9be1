"""The command line: ``python -m gliomalib VERB``, which lists its verbs with ``--help``."""

import argparse
import io
import sys
from collections.abc import Sequence

from gliomalib.commands import data, predict, study
from gliomalib.schema import GliomaError


def main(words: Sequence[str] | None = None) -> int:
    """Do what the command line says; return 0, or 1 after one sentence on what is wrong."""
    for stream in (sys.stdout, sys.stderr):
        # a terminal may know neither our signs nor those in the name of a file
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        arguments = _parser().parse_args(words)
        return int(arguments.verb(arguments) or 0)
    except GliomaError as error:
        sys.stderr.write(f"error: {error}\n")
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        sys.stderr.write(f"error: {where}{error.strerror or error}; check disk and permissions\n")
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m gliomalib", description=__doc__)
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    for group in (study, data, predict):
        group.add(verbs)
    return parser


if __name__ == "__main__":
    sys.exit(main())
