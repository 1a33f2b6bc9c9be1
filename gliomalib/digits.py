"""Numbers as a reader wants to see them: sensible digits, a true minus sign."""

import math
import re

from gliomalib.schema import Value

MINUS = "\N{MINUS SIGN}"
TIMES = "\N{MULTIPLICATION SIGN}"
NARROW = "\N{NARROW NO-BREAK SPACE}"
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
MOST_DECIMALS = 6

NEGATIVE = re.compile(r"(?<![\w.)\]\-+/])-(?=\.?\d)")
"""A hyphen that stands for the sign of a number: not after a word, a bracket or another sign."""


def decimals(value: float, ends: tuple[float, float] | None = None) -> int:
    """Return how many decimals to show: two digits of the half interval, else four digits."""
    if ends is not None and math.isfinite(width := abs(ends[1] - ends[0])) and width:
        wanted = math.ceil(-math.log10(width / 2)) + 1
    elif value == int(value):
        wanted = 0
    else:
        wanted = 3 - math.floor(math.log10(abs(value)))
    return min(max(wanted, 0), MOST_DECIMALS)


def number(value: float, ends: tuple[float, float] | None = None) -> str:
    """Return ``value`` as text, rounded as its interval (or four digits) makes sense of it."""
    if not math.isfinite(value):
        return "undefined" if math.isnan(value) else f"{_sign(value)}∞"
    if ends is None and 0 < abs(value) < 1e-4:
        mantissa, exponent = f"{value:.1e}".split("e")
        power = str(int(exponent)).translate(SUPERSCRIPTS)
        return f"{mantissa.replace('-', MINUS)} {TIMES} 10{power}"
    text = fixed(value, decimals(value, ends))
    return text.rstrip("0").rstrip(".") if ends is None and "." in text else text


def interval(value: float, ends: tuple[float, float]) -> str:
    """Return ``0.61 to 0.85``, both ends with as many decimals as ``value`` is shown with."""
    low, high = ends
    if not math.isfinite(low + high):
        return "interval undefined"
    places = decimals(value if math.isfinite(value) else low, ends)
    return f"{fixed(low, places)} to {fixed(high, places)}"


def with_minus(text: str) -> str:
    """Return ``text`` with a minus sign before negative numbers; hyphens and ranges stay."""
    return NEGATIVE.sub(MINUS, text)


def fixed(value: float, places: int) -> str:
    """Return ``value`` with so many decimals, thousands apart, no sign before a zero."""
    grouped = f"{abs(value):,.{places}f}" if abs(value) >= 10_000 else f"{abs(value):.{places}f}"
    sign = _sign(value) if float(grouped.replace(",", "")) else ""
    return f"{sign}{grouped.replace(',', NARROW)}"


def _sign(value: float) -> str:
    return MINUS if value < 0 else ""


def spoken(value: Value, places: int = 3, *, signed: bool = False) -> str:
    """Return a value with its interval, patients and trainings, ready for a sentence."""
    sign, who = "+" if signed else "", counted(value.n_patients, "patient")
    if value.n_seeds:
        who += f", {counted(value.n_seeds, 'training')}"
    text = f"{value.value:{sign}.{places}f}"
    if value.ci95 is None:
        return f"{text} ({who}, no interval)"
    low, high = value.ci95
    return f"{text} (95 % interval {low:{sign}.{places}f} to {high:{sign}.{places}f}, {who})"


def counted(amount: int, noun: str) -> str:
    """Return ``3 patients``, ``1 patient``, ``2 boxes``."""
    plural = {"box": "boxes", "copy": "copies"}.get(noun, f"{noun}s")
    return f"{fixed(amount, 0)} {noun if amount == 1 else plural}"


def percent(share: float, places: int = 0) -> str:
    """Return a share as ``43 %``; the space before the sign does not break."""
    return f"{100 * share:.{places}f}\N{NO-BREAK SPACE}%"
