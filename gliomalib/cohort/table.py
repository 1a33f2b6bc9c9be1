"""The table of cases that notebook 01 writes and every later one reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from gliomalib.data.inspection import Inspection
from gliomalib.provenance import write_atomic
from gliomalib.schema import SEQUENCES, Case, DataError, Exclusion, SettingsError

PARTS = ("internal", "external", "duplicate", "excluded", "unused")
"""Trained and tested on; tested on only; the same patient again; faulty; not asked for, no mask."""

COLUMNS = (
    "case_id", "patient_id", "release", "part", "grade", *SEQUENCES, "seg", "channels", "digests",
    "shape", "spacing_mm", "axes", "note",
)  # fmt: skip

MADE_BY = "01_data_exploration"
"""The notebook that writes the table of cases."""


@dataclass(frozen=True)
class Entry:
    """A case with its part, why it is not used (None: it is), and what inspecting it found."""

    case: Case
    part: str
    note: str | None = None
    seen: Inspection | None = None


def table_of(entries: Sequence[Entry]) -> pd.DataFrame:
    """Return one row an entry, sorted by part, patient and case."""
    rows = [_row(entry) for entry in entries]
    return in_order(pd.DataFrame(rows, columns=list(COLUMNS), dtype="str"))


def in_order(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table of cases sorted by part, patient and case."""
    rank = {part: number for number, part in enumerate(PARTS)}
    keys = table[["part", "patient_id", "case_id"]].assign(part=table["part"].map(rank))
    order = keys.sort_values(["part", "patient_id", "case_id"], kind="stable").index
    return table.loc[order].reset_index(drop=True)


def write_cases(table: pd.DataFrame, path: Path) -> Path:
    """Write the table of cases as CSV, whole or not at all."""
    return write_atomic(path, table.to_csv(index=False))


def read_cases(path: Path) -> pd.DataFrame:
    """Read the table that `write_cases` wrote.

    Raises ``DataError`` where it is missing, no table or has other columns.
    """
    if not path.is_file():
        raise DataError(f"{path}: the table of cases is missing; run {MADE_BY}")
    try:
        table = pd.read_csv(path, dtype="str", keep_default_na=False, na_values=[""])
    except ValueError as error:
        found = " ".join(str(error).split())
        raise DataError(f"{path}: cannot be read ({found}); run {MADE_BY} again") from None
    if tuple(table.columns) != COLUMNS:
        raise DataError(
            f"{path}: columns are {', '.join(table.columns)}, expected {', '.join(COLUMNS)}; "
            f"run {MADE_BY} again"
        )
    return table


def case_of(row: Mapping[str, Any] | pd.Series) -> Case:
    """Return the case that a row of the table stands for.

    Raises ``DataError`` for an excluded case, which has no complete set of files.
    """
    if any(pd.isna(row[name]) for name in SEQUENCES):
        raise DataError(f"case {row['case_id']} is {row['part']} and cannot be read: {row['note']}")
    return Case(
        case_id=row["case_id"],
        patient_id=row["patient_id"],
        release=row["release"],
        images={name: Path(row[name]) for name in SEQUENCES},
        segmentation=None if pd.isna(row["seg"]) else Path(row["seg"]),
        grade=None if pd.isna(row["grade"]) else row["grade"],
        channels=_words(row["channels"]),
        digests=_words(row["digests"]),
    )


def cases_of(table: pd.DataFrame, part: str) -> list[Case]:
    """Return the cases of one part of the table, in its order.

    Raises ``SettingsError`` for a part that is none of ``PARTS``.
    """
    if part not in PARTS:
        raise SettingsError(f"there is no part {part!r}: take one of {', '.join(PARTS)}")
    return [case_of(row) for _, row in table[table["part"] == part].iterrows()]


def exclusions(table: pd.DataFrame) -> tuple[Exclusion, ...]:
    """Return every examination that was left out for a fault of its files, in the table's order."""
    rows = table[table["part"] == "excluded"]
    return tuple(
        Exclusion(row["case_id"], row["release"], "fault", row["note"])
        for _, row in rows.iterrows()
    )


def _row(entry: Entry) -> dict[str, Any]:
    case, seen = entry.case, entry.seen
    return {
        "case_id": case.case_id,
        "patient_id": case.patient_id,
        "release": case.release,
        "part": entry.part,
        "grade": case.grade,
        **{name: str(case.images[name]) if name in case.images else None for name in SEQUENCES},
        "seg": str(case.segmentation) if case.segmentation else None,
        "channels": " ".join(case.channels) or None,
        # a file that could not be read has none, and then nobody could tell whose the others are
        "digests": " ".join(case.digests) if case.digests and all(case.digests) else None,
        "shape": "×".join(map(str, seen.shape)) if seen and seen.shape else None,
        "spacing_mm": (
            "×".join(f"{size:.4g}" for size in seen.spacing_mm)
            if seen and seen.spacing_mm
            else None
        ),
        "axes": seen.axes if seen else None,
        "note": entry.note,
    }


def _words(cell: Any) -> tuple[str, ...]:
    return () if pd.isna(cell) else tuple(str(cell).split())
