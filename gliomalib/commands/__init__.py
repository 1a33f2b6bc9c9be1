"""The verbs of ``python -m gliomalib``, a module for each group, and how they speak."""

import argparse
import sys
from typing import TypeAlias

Verbs: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
"""What a group adds its verbs to."""


def positive(text: str) -> int:
    """Return a number of processes or patients. Raises ``ArgumentTypeError`` below 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 on")
    return int(text)


def say(line: str) -> None:
    """Write one line to standard output at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
