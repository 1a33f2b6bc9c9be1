"""The table of cases that notebook 01 writes and every later one reads."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from gliomalib.data.inspection import Inspection
from gliomalib.provenance import write_atomic
from gliomalib.schema import SEQUENCES, Case, DataError, Exclusion, SettingsError, StoredError

PARTS = ("internal", "external", "duplicate", "excluded", "unused")
"""Trained and tested on; tested on only; the same patient again; faulty; not asked for, no mask, or
no site in a split by site."""

COLUMNS = (
    *("case_id", "patient_id", "release", "part", "grade", "site", "years"),
    *(*SEQUENCES, "seg", "channels", "digests", "content", "shape", "spacing_mm", "axes"),
    *("kind", "same_as", "note"),
)
"""``years``, ``kind``, ``same_as`` and ``note`` are those of an ``Entry``, ``content`` that of an
``Inspection``; all cells are text or missing, ``site`` is empty text where it is not known."""

MADE_BY = "01_data_exploration"
"""The notebook that writes the table of cases and the splits."""


@dataclass(frozen=True)
class Entry:
    """A case with its part, what inspecting it found, and why it is not used.

    ``kind`` says why in words that name no patient and no file, empty if the case is used;
    ``same_as`` is the case that is used in its place; ``detail`` is ``kind`` with names of files.
    An external phantom whose anatomy an internal one has too is used, and has both fields.
    ``years`` are those in which the organisers' tables of subject IDs name the patient.
    """

    case: Case
    part: str
    kind: str = ""
    same_as: str | None = None
    detail: str = ""
    seen: Inspection | None = None
    years: tuple[int, ...] = ()

    @property
    def note(self) -> str | None:
        """What a reader is told of why the case is not used, None if there is nothing to say."""
        text = f"{self.kind} as {self.same_as}" if self.same_as else self.detail or self.kind
        return text or None


def table_of(entries: Sequence[Entry]) -> pd.DataFrame:
    """Return one row an entry, with ``COLUMNS``, sorted by part, patient and case."""
    order = sorted(entries, key=lambda e: (PARTS.index(e.part), e.case.patient_id, e.case.case_id))
    return pd.DataFrame(map(_row, order), columns=list(COLUMNS), dtype="str")


def write_cases(table: pd.DataFrame, path: str | Path) -> Path:
    """Write the table of cases as CSV, whole or not at all."""
    return write_atomic(Path(path), table.to_csv(index=False))


def read_cases(path: str | Path) -> pd.DataFrame:
    """Read the table that `write_cases` wrote.

    Raises ``DataError`` where it is missing, is no table or has other columns.
    """
    path = Path(path)
    if not path.is_file():
        raise StoredError(f"{path}: the table of cases is missing; run {MADE_BY}")
    try:
        # a path may hold "\r", which is written as it is and ends no line
        table = pd.read_csv(
            path, dtype="str", keep_default_na=False, na_values=[""], lineterminator="\n"
        )
    except ValueError as error:
        reason = " ".join(str(error).split())
        raise StoredError(f"{path}: cannot be read ({reason}); run {MADE_BY} again") from None
    if tuple(table.columns) != COLUMNS:
        raise StoredError(
            f"{path}: columns are {', '.join(table.columns)}, expected {', '.join(COLUMNS)}; "
            f"run {MADE_BY} again"
        )
    return table.fillna({"site": ""})


def case_of(row: Mapping[str, Any] | pd.Series) -> Case:
    """Return the case that a row of the table stands for.

    Raises ``DataError`` for an excluded case, which has no complete set of files.
    """
    images = {name: Path(row[name]) for name in SEQUENCES if not pd.isna(row[name])}
    # a mask alone is a case; where the study wants images, 01 has excluded it
    if len(images) < len(SEQUENCES) and (images or pd.isna(row["seg"])):
        raise DataError(f"case {row['case_id']} is {row['part']} and cannot be read: {row['note']}")
    return Case(
        case_id=row["case_id"],
        patient_id=row["patient_id"],
        release=row["release"],
        images=images,
        segmentation=None if pd.isna(row["seg"]) else Path(row["seg"]),
        grade=None if pd.isna(row["grade"]) else row["grade"],
        channels=_words(row["channels"]),
        digests=_words(row["digests"]),
        site=row["site"],
    )


def cases_of(table: pd.DataFrame, part: str) -> list[Case]:
    """Return the cases of one part of the table, in its order.

    Raises ``SettingsError`` for a part that is none of ``PARTS``.
    """
    if part not in PARTS:
        raise SettingsError(f"there is no part {part!r}: take one of {', '.join(PARTS)}")
    return [case_of(row) for _, row in table[table["part"] == part].iterrows()]


def twins(cases: pd.DataFrame) -> dict[str, str]:
    """Return external patient → internal patient with the same anatomy, for phantoms of two sites.

    Whoever is an internal one of these may train no network. Empty for real patients.
    """
    internal = cases[cases["part"] == "internal"].set_index("case_id")["patient_id"]
    external = cases[(cases["part"] == "external") & cases["same_as"].isin(internal.index)]
    return dict(zip(external["patient_id"], internal[external["same_as"]], strict=True))


def exclusions(cases: pd.DataFrame) -> tuple[Exclusion, ...]:
    """Return who was left out for faulty files, in the order of the table, for a record."""
    excluded = cases[cases["part"] == "excluded"]
    columns = excluded[["case_id", "release", "kind", "note"]]
    return tuple(Exclusion(*row) for row in columns.itertuples(index=False))


def _row(entry: Entry) -> dict[str, Any]:
    case = entry.case
    return {
        "case_id": case.case_id,
        "patient_id": case.patient_id,
        "release": case.release,
        "part": entry.part,
        "grade": case.grade,
        "site": case.site,
        "years": " ".join(map(str, entry.years)) or None,
        **{name: str(case.images[name]) if name in case.images else None for name in SEQUENCES},
        "seg": str(case.segmentation) if case.segmentation else None,
        "channels": " ".join(case.channels) or None,
        # a file that could not be read has none, and then nobody could tell whose the others are
        "digests": " ".join(case.digests) if case.digests and all(case.digests) else None,
        **({"content": entry.seen.content, **entry.seen.grid} if entry.seen else {}),
        "kind": entry.kind or None,
        "same_as": entry.same_as,
        "note": entry.note,
    }


def _words(cell: Any) -> tuple[str, ...]:
    return () if pd.isna(cell) else tuple(str(cell).split())
