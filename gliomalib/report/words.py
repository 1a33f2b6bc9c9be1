"""Counts, intervals, times and sizes in plain words."""

from __future__ import annotations

import math
from collections.abc import Sequence

from gliomalib import digits
from gliomalib.schema import Value


def range_of(entry: Value) -> str:
    """Return the 95 % interval of a value, or in words why there is none."""
    if entry.ci95 is None:
        if not entry.n_patients and not math.isnan(entry.value):
            return "no interval: not over patients"
        return f"no interval: {counted(entry.n_patients, 'patient')}"
    return digits.interval(entry.value, entry.ci95)


def counted(amount: int, noun: str) -> str:
    """Return ``3 patients``, ``1 patient``."""
    return f"{digits.fixed(amount, 0)} {noun}{'' if amount == 1 else 's'}"


def listed(names: Sequence[str]) -> str:
    """Return ``a, b and c``."""
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else "".join(names)


def duration(seconds: float) -> str:
    """Return a wall time in hours, minutes and seconds, the smaller ones left out where idle."""
    if round(seconds, 1) < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def memory(size: int) -> str:
    """Return a number of bytes in MB below one GB, in GB above (powers of ten)."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"
