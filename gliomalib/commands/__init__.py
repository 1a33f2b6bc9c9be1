"""The verbs of ``python -m gliomalib``, a module for each group, and how they speak."""

import argparse
import sys
from typing import TypeAlias

Verbs: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
"""What a group adds its verbs to."""


def say(line: str) -> None:
    """Write one line to standard output at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
