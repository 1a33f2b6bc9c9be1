"""BraTS 2018 to 2021 as downloaded: case folders, and one identity for a patient across years.

Phantoms lie in the same layout under IDs of their own, and so do their copies in disguise.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gliomalib.data.readers import layout
from gliomalib.data.readers.layout import CaseInfo, Tree
from gliomalib.schema import SEQUENCES, Case, DataError, Fault

CASE_FOLDERS: Mapping[str, str] = {
    "brats2018": r"Brats18_\w+",
    "brats2019": r"BraTS19_\w+",
    "brats2020": r"BraTS20_(Training|Validation)_\d{3}",
    "brats2021": r"BraTS2021_\d{5}",
    "phantom": r"Phantom-[A-Z]-\d{3}",
    "phantom_copy": r"Phantom-[A-Z]-\d{3}-copy",
}
"""Release → pattern of the name of a case folder."""

EXAMPLES = ("Brats18_2013_2_1", "BraTS19_CBICA_ASK_1", "BraTS20_Training_001", "BraTS2021_00000")
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


def find(tree: Tree) -> Iterator[Case | Fault]:
    """Yield the cases of BraTS 2018 to 2021 in a folder, and what is wrong with the others.

    Faults are a missing or duplicated sequence, an ambiguous mask, and a table of names that
    cannot be read or that contradicts another one.
    """
    patients, faults = layout.read_tables(tree, TABLE_NAME, read_mapping, identities, "brats")
    yield from faults
    for folder, files in tree.files.items():
        for release, pattern in CASE_FOLDERS.items():
            if re.fullmatch(pattern, folder.name):
                yield from _cases(release, folder, files, patients.get(folder.name))


def read_mapping(path: str | Path) -> list[Identity]:
    """Read the organisers' table of subject IDs across years, one identity per row.

    Raises ``DataError`` for a table without a subject ID column or a row without any ID.
    """
    rows = layout.rows_of(path)
    names = rows[0] if rows else {}
    columns = {name: int(match[1]) for name in names if (match := _YEAR_COLUMN.fullmatch(name))}
    if not columns:
        raise DataError(f"{path}: no column BraTS_<year>_subject_ID; give the organisers' table")
    return [_identity(row, columns, f"{path}, line {line}") for line, row in enumerate(rows, 2)]


def identities(rows: list[Identity]) -> dict[str, Identity]:
    """Return subject ID → patient, for the IDs of all years; rows that share an ID are merged.

    Raises ``DataError`` where two rows disagree about who a patient is.
    """
    patients: dict[str, Identity] = {}
    for row in rows:
        merged = row
        for name in row.ids.values():
            if name in patients:
                merged = _merged(merged, patients[name])
        # every ID of the merged patient, also those of rows before, points to the whole of it
        patients |= dict.fromkeys(merged.ids.values(), merged)
    return patients


def _identity(row: Mapping[str, str | None], columns: Mapping[str, int], where: str) -> Identity:
    entries = {year: (row[name] or "").strip() for name, year in columns.items()}
    ids = {year: entry for year, entry in entries.items() if entry not in _NO_ENTRY}
    if not ids:
        raise DataError(f"{where}: no subject ID in this row; correct the table")
    grade = (row.get("Grade") or "").strip()
    return Identity(ids, None if grade in _NO_ENTRY else grade)


def _merged(row: Identity, other: Identity) -> Identity:
    for year in sorted(set(row.ids) & set(other.ids)):
        if row.ids[year] != other.ids[year]:
            raise DataError(
                f"the name tables contradict each other: one patient is {row.ids[year]} and "
                f"{other.ids[year]} in {year}; keep only the organisers' newest table"
            )
    return Identity({**other.ids, **row.ids}, row.grade or other.grade)


def _cases(
    release: str, folder: Path, files: Sequence[Path], identity: Identity | None
) -> list[Case | Fault]:
    above = folder.parent.name
    info = CaseInfo(
        case_id=folder.name,
        patient_id=identity.patient_id if identity else folder.name,
        release=release,
        folder=folder,
        grade=above if above in GRADES else identity.grade if identity else None,
    )
    images = layout.images_in(files)
    stems = {sequence: f"{folder.name}_{sequence}" for sequence in SEQUENCES}
    mask = _mask(info, [path for path in images if layout.stem(path) not in stems.values()])
    return layout.assemble(info, images, stems, mask)


def _mask(info: CaseInfo, others: Sequence[Path]) -> Path | Fault | None:
    # BraTS 2020 as distributed has one mask of another name (W39_1998.09.19_Segm.nii), so the only
    # file of a case that is no sequence counts as its mask if its name says segmentation
    proper = layout.named(others, f"{info.case_id}_seg")
    candidates = proper or [path for path in others if "seg" in path.name.lower()]
    if not others:
        return None
    if len(candidates) == 1 and (proper or len(others) == 1):
        return candidates[0]
    return info.fault(
        "ambiguous mask",
        f"cannot tell the mask among {layout.listed(others)}; name it {info.case_id}_seg.nii or "
        ".nii.gz and remove the rest",
    )
