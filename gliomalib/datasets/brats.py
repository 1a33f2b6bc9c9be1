"""BraTS 2018 to 2021 as downloaded: case folders, and one identity for a patient across years."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gliomalib.schema import SEQUENCES, Case, DataError

CASE_FOLDERS: Mapping[str, str] = {
    "brats2018": r"Brats18_\w+",
    "brats2019": r"BraTS19_\w+",
    "brats2020": r"BraTS20_(Training|Validation)_\d{3}",
    "brats2021": r"BraTS2021_\d{5}",
}
"""Release → pattern of the name of a case folder."""

LOOKED_FOR = (
    "case folders Brats18_*, BraTS19_*, BraTS20_Training_NNN or BraTS2021_NNNNN that hold "
    "<case>_{t1,t1ce,t2,flair,seg}.nii or .nii.gz"
)

TABLE_NAME = re.compile(r"name_mapping\w*\.csv")
GRADES = ("HGG", "LGG")
_YEAR_COLUMN = re.compile(r"BraTS_(\d{4})_subject_ID")
_NO_ENTRY = ("", "NA")


@dataclass(frozen=True)
class Identity:
    """One patient of the organisers' tables: the subject ID of each year, and the grade."""

    ids: Mapping[int, str]
    grade: str | None

    @property
    def patient_id(self) -> str:
        """The 2020 subject ID where there is one, otherwise the newest."""
        return self.ids.get(2020) or self.ids[max(self.ids)]


def cases(root: Path) -> list[Case]:
    """Return the cases of every BraTS release at or below ``root``.

    Raises ``DataError`` for a missing sequence, an ambiguous mask, a case ID that stands twice
    and name tables that contradict each other.
    """
    folders, tables = _search(root)
    _check_unique([folder for _, folder in folders])
    known = identities([row for table in tables for row in read_mapping(table)])
    return [_case(release, folder, known.get(folder.name)) for release, folder in folders]


def read_mapping(path: Path) -> list[Identity]:
    """Read the organisers' table of subject IDs across years, one identity a row.

    Raises ``DataError`` for a table without a subject ID column or a row without any ID.
    """
    with path.open(encoding="utf-8-sig", newline="") as stream:
        rows = list(csv.DictReader(stream))
    names = rows[0] if rows else {}
    columns = {name: int(match[1]) for name in names if (match := _YEAR_COLUMN.fullmatch(name))}
    if not columns:
        raise DataError(f"{path}: no column BraTS_<year>_subject_ID; give the organisers' table")
    return [_identity(row, columns, f"{path}, line {line}") for line, row in enumerate(rows, 2)]


def identities(rows: list[Identity]) -> dict[str, Identity]:
    """Return subject ID → patient, for the IDs of all years; rows that share an ID are merged.

    Raises ``DataError`` where two rows disagree about who a patient is.
    """
    known: dict[str, Identity] = {}
    for row in rows:
        merged = row
        for name in row.ids.values():
            if name in known:
                merged = _merged(merged, known[name])
        known |= dict.fromkeys(merged.ids.values(), merged)
    return known


def _identity(row: Mapping[str, str | None], columns: Mapping[str, int], where: str) -> Identity:
    entries = {year: (row[name] or "").strip() for name, year in columns.items()}
    ids = {year: entry for year, entry in entries.items() if entry not in _NO_ENTRY}
    if not ids:
        raise DataError(f"{where}: no subject ID in this row; correct the table")
    grade = (row.get("Grade") or "").strip()
    return Identity(ids, None if grade in _NO_ENTRY else grade)


def _merged(one: Identity, other: Identity) -> Identity:
    for year in sorted(set(one.ids) & set(other.ids)):
        if one.ids[year] != other.ids[year]:
            raise DataError(
                f"the name tables contradict each other: one patient is {one.ids[year]} and "
                f"{other.ids[year]} in {year}; keep only the organisers' newest table"
            )
    return Identity({**other.ids, **one.ids}, one.grade or other.grade)


def _search(root: Path) -> tuple[list[tuple[str, Path]], list[Path]]:
    """Return the case folders with their releases, and the tables of subject IDs."""
    folders, tables = [], []
    # links are followed, as large releases often lie on another disk
    for place, below, files in os.walk(root, followlinks=True):
        folder = Path(place)
        release = _release_of(folder.name)
        if release:
            folders.append((release, folder))
            below.clear()
            continue
        below[:] = sorted(name for name in below if not _hidden(name))
        tables += [folder / name for name in sorted(files) if TABLE_NAME.fullmatch(name)]
    return folders, tables


def _release_of(name: str) -> str | None:
    matching = (key for key, pattern in CASE_FOLDERS.items() if re.fullmatch(pattern, name))
    return next(matching, None)


def _hidden(name: str) -> bool:
    return name.startswith((".", "__MACOSX"))


def _check_unique(folders: list[Path]) -> None:
    first: dict[str, Path] = {}
    for folder in folders:
        if folder.name in first:
            raise DataError(
                f"case {folder.name} stands twice, in {first[folder.name]} and {folder}; remove one"
            )
        first[folder.name] = folder


def _case(release: str, folder: Path, identity: Identity | None) -> Case:
    files = sorted(
        path
        for path in folder.iterdir()
        if path.name.endswith((".nii", ".nii.gz")) and not _hidden(path.name)
    )
    images = {name: _sequence(folder, files, name) for name in SEQUENCES}
    above = folder.parent.name
    return Case(
        case_id=folder.name,
        patient_id=identity.patient_id if identity else folder.name,
        release=release,
        images=images,
        segmentation=_mask(folder, [path for path in files if path not in images.values()]),
        grade=above if above in GRADES else identity.grade if identity else None,
    )


def _sequence(folder: Path, files: list[Path], sequence: str) -> Path:
    found = _named(files, f"{folder.name}_{sequence}")
    if len(found) != 1:
        what = "is missing" if not found else f"stands twice ({_names(found)})"
        raise DataError(
            f"{folder}: case {folder.name}: sequence {sequence} {what}; "
            f"expected one file {folder.name}_{sequence}.nii or .nii.gz"
        )
    return found[0]


def _mask(folder: Path, others: list[Path]) -> Path | None:
    # BraTS 2020 as distributed has a mask of another name (W39_1998.09.19_Segm.nii), so a case's
    # only file that is no sequence counts as its mask if it calls itself a segmentation.
    proper = _named(others, f"{folder.name}_seg")
    candidates = proper or [path for path in others if "seg" in path.name.lower()]
    if not others:
        return None
    if len(candidates) == 1 and (proper or len(others) == 1):
        return candidates[0]
    raise DataError(
        f"{folder}: case {folder.name}: cannot tell the mask among {_names(others)}; "
        f"name it {folder.name}_seg.nii or .nii.gz and take the rest away"
    )


def _named(files: list[Path], stem: str) -> list[Path]:
    return [path for path in files if path.name in (f"{stem}.nii", f"{stem}.nii.gz")]


def _names(paths: list[Path]) -> str:
    return ", ".join(path.name for path in paths)
