"""The command line: ``python -m gliomalib VERB``, which lists its verbs with ``--help``."""

import argparse
import importlib
import io
import sys
from collections.abc import Sequence
from typing import Any, cast

VERBS = {
    "run": ("study", "run one notebook of a study, even if it is up to date"),
    "study": ("study", "run what is out of date in a study, then its report"),
    "verify": ("study", "run a stored study again and say what came out the same"),
    "rehearse": ("study", "try all of a study on four patients, two training steps each"),
    "report": ("study", "make the report of a study from its records"),
    "verdicts": ("study", "judge claims by the records of a study"),
    "compare": ("study", "write a page that sets two runs side by side"),
    "studies": ("study", "list the studies"),
    "export": ("study", "write reports as a static web site"),
    "archive": ("study", "write what a deposit of a study needs, as a zip"),
    "data": ("data", "list, download, verify and make patients"),
    "predict": ("predict", "label cases of your own with a finished study"),
}
"""Verb → the module of ``commands`` that is loaded for it, and what it does."""


def main(words: Sequence[str] | None = None) -> int:
    """Do what the command line says; return 0, or 1 after one sentence on what is wrong."""
    words = sys.argv[1:] if words is None else words
    # jsonschema takes a second to build a grammar of addresses, by which nothing is checked here
    sys.modules.setdefault("rfc3987_syntax", cast(Any, None))
    for stream in (sys.stdout, sys.stderr):
        # a terminal may know neither our signs nor those in the name of a file
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        arguments = _parser(words).parse_args(words)
        return int(arguments.verb(arguments) or 0)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        sys.stderr.write(f"error: {where}{error.strerror or error}; check disk and permissions\n")
    except Exception as error:
        # it brings numpy, of which help needs none
        from gliomalib.schema import GliomaError  # noqa: PLC0415

        if not isinstance(error, GliomaError):
            raise
        sys.stderr.write(f"error: {error}\n")
    return 1


def _parser(words: Sequence[str]) -> argparse.ArgumentParser:
    """Return the parser of a command line: all of its verb, and the names of the others."""
    about = "Test the claims of a published glioma classifier; VERB --help explains each verb."
    parser = argparse.ArgumentParser(prog="python -m gliomalib", description=about)
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    group, _ = VERBS.get(words[0] if words else "", ("", ""))
    if group:
        importlib.import_module(f"gliomalib.commands.{group}").add(verbs)
    for name, (other, text) in VERBS.items():
        if other != group:
            verbs.add_parser(name, help=text)
    return parser


if __name__ == "__main__":
    sys.exit(main())
