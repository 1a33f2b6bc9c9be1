"""The rows of the verdict table beside the records that they were made from."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from gliomalib.report.anchors import anchor
from gliomalib.schema import Record, SettingsError, Value
from gliomalib.verdicts import claims

NONE = ("", "–")
"""What the table shows where there is no number."""


@dataclass(frozen=True)
class Number:
    """A number of a record: the run that made it, and where its page shows it (or empty)."""

    run: str
    value: Value
    href: str


@dataclass(frozen=True)
class Statement:
    """One row of the verdict table, with the numbers of the records that answer it.

    ``shown`` and ``interval`` are how the number reads, ``unit`` what stands behind it, or empty.
    ``note`` is a sentence where the table and the records of today do not fit each other; the
    number is then that of the table.
    """

    row: Mapping[str, str]
    obtained: Number | None = None
    faithful: Number | None = None
    shown: str = ""
    interval: str = ""
    unit: str = ""
    note: str = ""


def statements(
    rows: Sequence[dict[str, str]], records: Mapping[str, Record], pages: Collection[str]
) -> list[Statement]:
    """Return every row of the verdict table with the numbers that it stands on.

    A row whose statement is not in ``data/published.yml``, or is answered by another notebook
    there, has no number to link to.
    """
    try:
        known = {claim.id: claim for claim in claims.load()}
    except SettingsError:
        known = {}
    return [_statement(row, known.get(row["claim"]), records, pages) for row in rows]


def number(
    run: str, name: str, records: Mapping[str, Record], pages: Collection[str]
) -> Number | None:
    """Return the value ``name`` in the record of ``run``, None where there is none."""
    record = records.get(run)
    found = [value for value in record.values if value.name == name] if record else []
    href = f"html/{run}.html#{anchor(name)}" if run in pages else ""
    return Number(run, found[0], href) if found else None


def _statement(
    row: Mapping[str, str],
    claim: claims.Claim | None,
    records: Mapping[str, Record],
    pages: Collection[str],
) -> Statement:
    stored = row["obtained"], row.get("interval") or row.get("95 % interval") or ""
    if claim is None or claim.notebook != row["notebook"]:
        return Statement(row, shown=stored[0], interval=stored[1])
    run = _run(claim)
    obtained = number(run, claim.value, records, pages)
    other = claim.faithful
    faithful = number(_run(other), other.value, records, pages) if other else None
    note = _note(row, claim, run, obtained)
    told = claim.told(obtained.value) if obtained and not note else stored
    return Statement(row, obtained, faithful, *told, claim.unit_behind, note)


def _note(row: Mapping[str, str], claim: claims.Claim, run: str, obtained: Number | None) -> str:
    shown = row["obtained"]
    if obtained is None and shown not in NONE:
        return f"The record of {run} with this number is missing now: it cannot be checked."
    if obtained is None or claim.shown(obtained.value.value) == shown:
        return ""
    now = claim.shown(obtained.value.value)
    return f"The record of {run} says {now} now: run notebook 15 again."


def _run(source: claims.Claim | claims.Source) -> str:
    return f"{source.notebook}.{source.variant}" if source.variant else source.notebook
