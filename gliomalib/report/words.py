"""Numbers and states as a reader wants to see them: sensible digits, plain words."""

from __future__ import annotations

import math
from collections.abc import Sequence

from gliomalib.schema import Value

MINUS = "\N{MINUS SIGN}"
TIMES = "\N{MULTIPLICATION SIGN}"
NARROW = "\N{NARROW NO-BREAK SPACE}"
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
MOST_DECIMALS = 6


def decimals(value: float, interval: tuple[float, float] | None = None) -> int:
    """Return how many decimals to show: two digits of the half interval, else four digits."""
    if interval is not None and math.isfinite(width := abs(interval[1] - interval[0])) and width:
        wanted = math.ceil(-math.log10(width / 2)) + 1
    elif value == int(value):
        wanted = 0
    else:
        wanted = 3 - math.floor(math.log10(abs(value)))
    return min(max(wanted, 0), MOST_DECIMALS)


def number(value: float, interval: tuple[float, float] | None = None) -> str:
    """Return ``value`` as text, rounded as its interval (or four digits) makes sense of it."""
    if not math.isfinite(value):
        return "undefined" if math.isnan(value) else f"{_sign(value)}∞"
    if interval is None and 0 < abs(value) < 1e-4:
        mantissa, exponent = f"{value:.1e}".split("e")
        power = str(int(exponent)).translate(SUPERSCRIPTS)
        return f"{mantissa.replace('-', MINUS)} {TIMES} 10{power}"
    text = _fixed(value, decimals(value, interval))
    return text.rstrip("0").rstrip(".") if interval is None and "." in text else text


def range_of(entry: Value) -> str:
    """Return the 95 % interval of a value, or in words why there is none."""
    if entry.ci95 is None:
        if not entry.n_patients and not math.isnan(entry.value):
            return "no interval: not over patients"
        return f"no interval: {counted(entry.n_patients, 'patient')}"
    low, high = entry.ci95
    if not math.isfinite(low + high):
        return "interval undefined"
    places = decimals(entry.value if math.isfinite(entry.value) else low, entry.ci95)
    return f"{_fixed(low, places)} to {_fixed(high, places)}"


def text_or_number(text: str) -> str:
    """Return a table's cell with sensible digits where it is a number, else unchanged."""
    try:
        return number(float(text))
    except ValueError:
        return text


def counted(amount: int, noun: str) -> str:
    """Return ``3 patients``, ``1 patient``."""
    return f"{_fixed(amount, 0)} {noun}" if amount == 1 else f"{_fixed(amount, 0)} {noun}s"


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


def _fixed(value: float, places: int) -> str:
    grouped = f"{abs(value):,.{places}f}" if abs(value) >= 10_000 else f"{abs(value):.{places}f}"
    shown = _sign(value) if float(grouped.replace(",", "")) else ""
    return f"{shown}{grouped.replace(',', NARROW)}"


def _sign(value: float) -> str:
    return MINUS if value < 0 else ""
