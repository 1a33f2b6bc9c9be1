"""Who is who: tables of IDs that say which cases are one patient, of what grade, from which site.

The organisers' tables are known by their columns, whatever the file is called: a column
``BraTS_<year>_subject_ID`` or ``BraTS<year>`` for each year, perhaps one that begins with "Site"
(name_mapping.csv of 2019 and 2020; BraTS2023_2017_GLI_Mapping.xlsx, whose columns are known from
code that reads it, and of whose patients one may have several examinations and IDs of 2021).
IDs of 2018 and 2019 name the institution, Brats18_TCIA05_396_1; those of 2017 say TCIA alone.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from gliomalib.data.readers import layout, tables
from gliomalib.data.readers.layout import Tree
from gliomalib.labels import RELEASES
from gliomalib.schema import Case, DataError, Fault

GRADES = ("HGG", "LGG")
SAME_PATIENT = re.compile(r"same_patient\b.*", re.IGNORECASE)
"""A table of the user's own: two columns of IDs, both one patient in each line."""

_CALLED_TABLE = re.compile(r"name_mapping.*|.*GLI_Mapping.*", re.IGNORECASE)
_YEAR_COLUMN = re.compile(r"BraTS[_ ]?(\d{4})(?:[_ ]subject[_ ]ID)?", re.IGNORECASE)
_SITE_IN_ID = re.compile(r"(?:Brats1[78]|BraTS19|Phantom)[_-](2013|(?!TCIA_)[A-Z]+\d*)[_-]\w.*")
_NO_ENTRY = ("", "NA", "N/A")


@dataclass(frozen=True)
class Identity:
    """One patient of the organisers' tables: the ID of each year, the grade, the site or "".

    ``where`` is the table and line that gives each of the IDs.
    """

    ids: Mapping[int, str]
    grade: str | None
    site: str = ""
    where: Mapping[int, str] = field(default_factory=dict, compare=False)

    @property
    def patient_id(self) -> str:
        """The 2020 subject ID where there is one, otherwise the newest."""
        return self.ids.get(2020) or self.ids[max(self.ids)]


def name(tree: Tree, entries: Sequence[Case | Fault]) -> list[Case | Fault]:
    """Return cases and faults with the patient, grade and site that the tables give them.

    A patient whom no table names keeps the ID of his oldest release. What the folder of a case
    says of its grade counts before the tables. Faults of tables come first.
    """
    by_id, faults = tables.read_all(tree, read_mapping, identities, "brats")
    rows = [_all_ids(person) for person in by_id.values()]
    rows += [[entry.case_id, entry.patient_id] for entry in entries]
    read = partial(_same_patient, ids={name for row in rows for name in row})
    same, wrong = tables.read_all(tree, read, list, "brats")
    groups = _merged_groups([*rows, *same])
    faults += wrong
    oldest: dict[str, str] = {}
    for entry in sorted(entries, key=_age):
        oldest.setdefault(min(groups[entry.case_id]), entry.patient_id)
    named = [_named(entry, groups[entry.case_id], by_id, oldest) for entry in entries]
    return [*faults, *named]


def read_mapping(path: str | Path) -> list[Identity]:
    """Read the organisers' table of IDs across years, one identity a row; [] for another table.

    Raises ``DataError`` for a row without any ID, two columns for one year, and for a file
    that cannot be read or has no column of IDs though it is called or begins like such a table.
    """
    path = Path(path)
    ours = bool(_CALLED_TABLE.fullmatch(path.name))
    names = tables.columns_of(path, ours=ours)
    columns = {name: int(match[1]) for name in names if (match := _YEAR_COLUMN.fullmatch(name))}
    if not columns and ours:
        raise DataError(f"{path}: no column BraTS_<year>_subject_ID; give the organisers' table")
    if not columns:
        return []
    if len(set(columns.values())) < len(columns):
        what = f"{', '.join(columns)} give a year more than once"
        raise DataError(f"{path}: columns {what}; keep one column a year")
    rows = tables.rows_of(path)
    sited = next((name for name in names if name.lower().startswith("site")), "")
    people = [_identity(row, columns, f"{path}, line {line}") for line, row in rows.items()]
    numbers = [(row.get(sited) or "").strip() for row in rows.values()]
    return _sited(people, ["" if number in _NO_ENTRY else number for number in numbers])


def named_patients(root: str | Path) -> list[Identity]:
    """Return every patient of the organisers' tables of IDs at or below a folder once.

    Raises ``DataError`` for a table that cannot be read or that contradicts another.
    """
    rows = [row for table in tables.below(layout.scan(root)) for row in read_mapping(table)]
    # a patient stands there under each of its IDs
    return list({id(person): person for person in identities(rows).values()}.values())


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


def site_of(ids: Iterable[str]) -> str:
    """Return the institution that an ID of 2017 to 2019 or of a phantom names, "" if none does."""
    return next((match[1] for name in ids if (match := _SITE_IN_ID.fullmatch(name))), "")


def _named(
    entry: Case | Fault, ids: set[str], by_id: Mapping[str, Identity], oldest: Mapping[str, str]
) -> Case | Fault:
    people = [by_id[name] for name in sorted(ids & by_id.keys())]
    # of several patients of the tables whom something else joins, the first in order of 2020
    first = min(
        people, key=lambda person: (2020 not in person.ids, person.patient_id), default=None
    )
    patient = first.patient_id if first else oldest[min(ids)]
    if isinstance(entry, Fault):
        return replace(entry, patient_id=patient)
    grade = entry.grade or next((person.grade for person in people if person.grade), None)
    site = next((person.site for person in people if person.site), "") or site_of(sorted(ids))
    return replace(entry, patient_id=patient, grade=grade, site=site)


def _age(entry: Case | Fault) -> tuple[int, str]:
    known = entry.release in RELEASES
    return RELEASES.index(entry.release) if known else len(RELEASES), entry.case_id


def _all_ids(person: Identity) -> list[str]:
    # an ID of 2023 is an examination, BraTS-GLI-00008-001, and the patient is its first part
    exam = person.ids.get(2023, "")
    return [*person.ids.values(), *([exam.rpartition("-")[0]] if exam else [])]


def _same_patient(path: Path, ids: Collection[str]) -> list[list[str]]:
    """Return the pairs of IDs of the user's own table, [] for another table.

    A first line of names may be there.

    Raises ``DataError`` for a line that is not two IDs, and for an ID that neither a case here nor
    a table has.
    """
    if not SAME_PATIENT.fullmatch(path.stem):
        return []
    pairs = []
    for line, cells in tables.cells_of(path):
        pair = [cell.strip() for cell in cells]
        strange = [name for name in pair if name not in ids]
        if len(pair) == 2 and len(strange) == 2 and line == 1:
            continue
        if len(pair) != 2 or strange:
            what = f"{strange[0]!r} is no ID" if len(pair) == 2 else f"{len(pair)} cells"
            raise DataError(
                f"{path}, line {line}: {what}, expected two IDs of cases or patients that are here "
                "or in the organisers' tables; correct the line or delete it"
            )
        pairs.append(pair)
    return pairs


def _merged_groups(groups: Iterable[Sequence[str]]) -> dict[str, set[str]]:
    """Return ID → all IDs that groups with a member in common join to it."""
    joined: dict[str, set[str]] = {}
    for group in groups:
        merged = set(group).union(*(joined.get(name, ()) for name in group))
        joined |= dict.fromkeys(merged, merged)
    return joined


def _identity(row: Mapping[str, str | None], columns: Mapping[str, int], where: str) -> Identity:
    entries = {year: (row[name] or "").strip() for name, year in columns.items()}
    ids = {year: entry for year, entry in entries.items() if entry not in _NO_ENTRY}
    if not ids:
        raise DataError(f"{where}: no subject ID in this row; correct the table")
    cells = (cell or "" for name, cell in row.items() if name.lower() == "grade")
    grade = next(cells, "").strip().upper()
    return Identity(
        ids, None if grade in _NO_ENTRY else grade, site_of(ids.values()), dict.fromkeys(ids, where)
    )


def _sited(people: Sequence[Identity], entries: Sequence[str]) -> list[Identity]:
    """Return patients with the sites of a column: the name that an ID gives comes first.

    A number stands for an institution, and is known by its name where the IDs of all its patients
    who have one agree. Where they do not, nobody knows to whom the others belong.
    """
    names: dict[str, set[str]] = {}
    for person, entry in zip(people, entries, strict=True):
        names.setdefault(entry, set()).update({person.site} - {""})
    called = {entry: f"site {entry}" if entry.isdecimal() else entry for entry in names}
    called |= {entry: min(homes) for entry, homes in names.items() if len(homes) == 1}
    called |= {entry: "" for entry, homes in names.items() if len(homes) > 1 or not entry}
    return [
        replace(person, site=person.site or called[entry])
        for person, entry in zip(people, entries, strict=True)
    ]


def _merged(row: Identity, other: Identity) -> Identity:
    for year in sorted(set(row.ids) & set(other.ids)):
        if row.ids[year] != other.ids[year]:
            raise DataError(
                f"{row.where.get(year)}, and {other.where.get(year)}: one patient is "
                f"{row.ids[year]} and {other.ids[year]} in {year}; keep only the organisers' "
                "newest table"
            )
    ids = {**other.ids, **row.ids}
    where = {**other.where, **row.where}
    return Identity(ids, row.grade or other.grade, row.site or other.site, where)
