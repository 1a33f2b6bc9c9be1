"""The tables of two runs, cell by cell: equal, apart by so much, or not the same table."""

import csv
import io
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gliomalib import records
from gliomalib.parameters import LAST_NOTEBOOK
from gliomalib.report.pages import TIMES
from gliomalib.schema import split_run_name

CLOCKED = f"{LAST_NOTEBOOK}.compute"
"""The table of wall times and memory; those of the notebook ``TIMES`` are a clock's as well."""

CLOSE = 1e-9
"""Relative difference up to which two numbers are one number."""

OF_THE_RUN = ("run commit",)
"""Columns that say where a row comes from, and nothing of what came out."""


@dataclass(frozen=True)
class TablePair:
    """A table of both runs: ``kind`` is equal, differs or clock; ``how`` says by how much."""

    name: str
    kind: str
    how: str = ""


def pair(run: str, name: str, a: Path, b: Path) -> TablePair:
    """Return how the table ``name`` of a run in A differs from that in B."""
    if split_run_name(run)[0] == TIMES or name == CLOCKED:
        return TablePair(name, "clock")
    try:
        how = difference(*(records.table_text(path) for path in (a, b)))
    except (ValueError, csv.Error) as error:
        how = f"as one cannot be read ({error})"
    return TablePair(name, "differs" if how else "equal", how)


def difference(a: str, b: str) -> str:
    """Return how two tables, CSV, differ: in their form, in words, or by how much; or nothing."""
    left, right = (_rows(text) for text in (a, b))
    if len(left) != len(right):
        return f"in the number of rows, {len(left)} in A and {len(right)} in B"
    if [row.keys() for row in left] != [row.keys() for row in right]:
        return "in columns"
    cells = [(x[name], y[name]) for x, y in zip(left, right, strict=True) for name in x]
    apart = [gap for gap in map(_gap, cells) if gap > CLOSE]
    if not apart:
        return ""
    where = f"{len(apart)} of {len(cells)} cells"
    return (
        f"in words in {where}" if math.inf in apart else f"by {max(apart):.2g} at most in {where}"
    )


def _rows(text: str) -> list[Mapping[str, str]]:
    # what a clock decides is a row of the verdict table
    rows = (row for row in csv.DictReader(io.StringIO(text, "")) if row.get("notebook") != TIMES)
    return [{name: row[name] for name in row if name not in OF_THE_RUN} for row in rows]


def _gap(cell: tuple[str, str]) -> float:
    """Return the relative difference of two numbers, infinite where two cells differ as text."""
    if cell[0] == cell[1]:
        return 0.0
    try:
        x, y = map(float, cell)
    except (TypeError, ValueError):
        return math.inf
    # 0.0 and -0.0 differ as text
    return abs(x - y) / (max(abs(x), abs(y)) or 1.0) if math.isfinite(x - y) else math.inf
