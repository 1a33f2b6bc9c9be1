"""Who takes part: the table of cases, and patients that stand in it twice."""

from __future__ import annotations

import math
import os
from collections.abc import Hashable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from gliomalib import datasets, settings
from gliomalib.datasets import brats, nifti, phantom
from gliomalib.labels import RELEASES
from gliomalib.provenance import write_atomic
from gliomalib.schema import SEQUENCES, Case, DataError, SettingsError
from gliomalib.splits import check_splits, make_splits, read_splits, split_table, write_splits

__all__ = [
    "COLUMNS",
    "PARTS",
    "OverlapFacts",
    "case_of",
    "cases_of",
    "check_splits",
    "gather",
    "make_splits",
    "overlap_facts",
    "read_cases",
    "read_splits",
    "split_table",
    "write_cases",
    "write_splits",
    "year_overlap",
]

PARTS = ("internal", "external", "duplicate", "unused")
"""Trained and tested on; tested on only; the same patient again; not asked for or no mask."""

COLUMNS = ("case_id", "patient_id", "release", "part", "grade", *SEQUENCES, "seg", "note")

FIRST_EXTERNAL = 501
"""Number of the first external phantom; internal ones count from 1, so no ID stands twice."""

MADE_BY = "01_data_exploration"
"""The notebook that writes the table of cases."""

YEARS = (2018, 2019, 2020)
"""The BraTS years that the paper names."""


@dataclass(frozen=True)
class OverlapFacts:
    """What pooling the years does.

    ``expected_share`` is the expected share of test volumes whose patient also has a volume in
    training when ``test_volumes`` of all volumes are drawn at random.
    """

    patients_by_year: Mapping[int, int]
    volumes: int
    patients: int
    test_volumes: int
    expected_share: float


def gather(data: settings.Data, seed: int, source_dir: Path | None, work_dir: Path) -> pd.DataFrame:
    """Return one row per case of the study, nothing dropped; see ``COLUMNS`` and ``PARTS``.

    Phantoms are written under ``work_dir/raw`` first. Of a patient in several releases the case
    of the newest is used; the others, and cases with the very voxels of another case under
    another ID, are ``duplicate``. ``note`` says why a case is not used. Raises ``SettingsError``
    for a missing folder or unusable releases and ``DataError`` for a release without cases and
    for a patient who is both internal and external.
    """
    if data.source == "phantom":
        return _phantom_table(data.phantoms, seed, work_dir / "raw")
    if source_dir is None:
        raise SettingsError(
            "this study reads a folder: pass source_dir to 01_data_exploration, or run "
            "make report DATA=/path"
        )
    _check_releases(data)
    cases = datasets.discover(source_dir)
    parts, notes = _first_parts(cases, data, source_dir)
    _mark_patients(cases, parts, notes)
    _mark_voxels(cases, parts, notes)
    return _table(cases, parts, notes)


def write_cases(table: pd.DataFrame, path: Path) -> Path:
    """Write the table of cases as CSV, whole or not at all."""
    return write_atomic(path, table.to_csv(index=False))


def read_cases(path: Path) -> pd.DataFrame:
    """Read the table that `write_cases` wrote.

    Raises ``DataError`` where it is missing or has other columns.
    """
    if not path.is_file():
        raise DataError(f"{path}: the table of cases is missing; run {MADE_BY}")
    table = pd.read_csv(path, dtype="str", keep_default_na=False, na_values=[""])
    if tuple(table.columns) != COLUMNS:
        raise DataError(
            f"{path}: columns are {', '.join(table.columns)}, expected {', '.join(COLUMNS)}; "
            f"run {MADE_BY} again"
        )
    return table


def case_of(row: Mapping[Hashable, Any] | pd.Series[Any]) -> Case:
    """Return the case that a row of the table stands for."""
    return Case(
        case_id=row["case_id"],
        patient_id=row["patient_id"],
        release=row["release"],
        images={name: Path(row[name]) for name in SEQUENCES},
        segmentation=None if pd.isna(row["seg"]) else Path(row["seg"]),
        grade=None if pd.isna(row["grade"]) else row["grade"],
    )


def cases_of(table: pd.DataFrame, part: str) -> list[Case]:
    """Return the cases of one part of the table, in its order.

    Raises ``SettingsError`` for a part that is none of ``PARTS``.
    """
    if part not in PARTS:
        raise SettingsError(f"there is no part {part!r}: take one of {', '.join(PARTS)}")
    return [case_of(row) for row in table[table["part"] == part].to_dict("records")]


def year_overlap(mapping_csv: Path) -> pd.DataFrame:
    """Return one row a year of the organisers' table of subject IDs across years.

    Columns: year, patients, known (patients also in an earlier year), new, HGG, LGG.
    """
    rows = brats.read_mapping(mapping_csv)
    found = []
    for year in sorted({year for row in rows for year in row.ids}):
        there = [row for row in rows if year in row.ids]
        known = sum(min(row.ids) < year for row in there)
        grades = {grade: sum(row.grade == grade for row in there) for grade in brats.GRADES}
        counts = {"patients": len(there), "known": known, "new": len(there) - known}
        found.append({"year": year, **counts, **grades})
    return pd.DataFrame(found)


def overlap_facts(
    mapping_csv: Path, years: Sequence[int] = YEARS, test_share: float = 0.2
) -> OverlapFacts:
    """Return what pooling ``years`` and splitting by volume does, by the organisers' table.

    A test volume whose patient has m volumes of N has none in training if its m - 1 siblings are
    among the other T - 1 test volumes, with probability C(N-m, T-m) / C(N-1, T-1)
    (hypergeometric). Raises ``DataError`` where a year is not in the table.
    """
    rows = brats.read_mapping(mapping_csv)
    by_year = {year: sum(year in row.ids for row in rows) for year in years}
    absent = [str(year) for year, count in by_year.items() if not count]
    if absent:
        raise DataError(f"{mapping_csv}: nobody in {', '.join(absent)}; give a newer table")
    copies = [sum(year in row.ids for year in years) for row in rows]
    copies = [count for count in copies if count]
    volumes = sum(copies)
    test = max(1, round(test_share * volumes))
    return OverlapFacts(by_year, volumes, len(copies), test, _expected_share(copies, test))


def _expected_share(copies: Sequence[int], test: int) -> float:
    total = sum(copies)
    ways = math.comb(total - 1, test - 1)
    alone = [math.comb(total - m, test - m) / ways if m <= test else 0.0 for m in copies]
    return sum(m * (1 - p) for m, p in zip(copies, alone, strict=True)) / total


def _phantom_table(phantoms: settings.Phantoms, seed: int, raw: Path) -> pd.DataFrame:
    if phantoms.internal >= FIRST_EXTERNAL:
        raise SettingsError(
            f"phantoms.internal is {phantoms.internal}, at most {FIRST_EXTERNAL - 1} are possible"
        )
    wanted = (
        ("internal", phantoms.site, 1, phantoms.internal),
        ("external", phantoms.external_site, FIRST_EXTERNAL, phantoms.external),
    )
    cases: list[Case] = []
    parts: list[str] = []
    for part, site, first, count in wanted:
        if count:
            plan = phantom.PhantomPlan(seed=seed, spacing_mm=phantoms.spacing_mm, site=site)
            cases += _phantom_cases(raw / part, plan, range(first, first + count))
            parts += [part] * count
    return _table(cases, parts, [None] * len(cases))


def _phantom_cases(root: Path, plan: phantom.PhantomPlan, numbers: range) -> list[Case]:
    phantom.write_cohort(root, plan, numbers, os.cpu_count() or 1)
    # an earlier run may have left more patients here than are asked for now
    found = [case for case in datasets.discover(root) if int(case.case_id[-3:]) in numbers]
    if len(found) != len(numbers):
        raise DataError(f"{root}: {len(found)} phantoms, expected {len(numbers)}; delete it")
    return [replace(case, release="phantom") for case in found]


def _check_releases(data: settings.Data) -> None:
    named = [*data.internal_releases, *data.external_releases]
    strange = [name for name in named if name not in RELEASES]
    if strange:
        known = ", ".join(RELEASES)
        raise SettingsError(f"no release {', '.join(strange)}: known releases are {known}")
    if len(set(named)) < len(named) or not data.internal_releases:
        raise SettingsError(
            f"internal_releases {list(data.internal_releases)} must name a release, and none that "
            f"external_releases {list(data.external_releases)} names"
        )


def _first_parts(
    cases: Sequence[Case], data: settings.Data, source: Path
) -> tuple[list[str], list[str | None]]:
    found = sorted({case.release for case in cases})
    for release in (*data.internal_releases, *data.external_releases):
        if release not in found:
            raise DataError(f"{source}: no case of {release}; found only {', '.join(found)}")
    asked = dict.fromkeys(data.internal_releases, "internal")
    asked |= dict.fromkeys(data.external_releases, "external")
    parts, notes = [], []
    for case in cases:
        masked = case.segmentation is not None
        parts.append(asked.get(case.release, "unused") if masked else "unused")
        notes.append(_why_unused(case, asked))
    if "internal" not in parts:
        raise DataError(f"{source}: no case of {', '.join(data.internal_releases)} has a mask")
    return parts, notes


def _why_unused(case: Case, asked: Mapping[str, str]) -> str | None:
    if case.release not in asked:
        return f"{case.release} is not part of the study"
    return None if case.segmentation else "no mask"


def _mark_patients(cases: Sequence[Case], parts: list[str], notes: list[str | None]) -> None:
    groups = _groups((case.patient_id for case in cases), parts)
    both = [name for name, members in groups.items() if len({parts[i] for i in members}) > 1]
    if both:
        raise DataError(
            f"{', '.join(both[:5])}{f' and {len(both) - 5} more' * (len(both) > 5)} are internal "
            "and external; an external release must hold other patients, so take it off the list"
        )
    _keep_first(groups.values(), cases, (parts, notes), "same patient as")


def _mark_voxels(cases: Sequence[Case], parts: list[str], notes: list[str | None]) -> None:
    # Some BraTS 2021 cases are cases of 2020 under another ID, and no table of the download says so
    used = [i for i, part in enumerate(parts) if part in ("internal", "external")]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = pool.map(lambda i: nifti.voxel_digest(cases[i].images["t1"]), used)
        digests = dict(zip(used, found, strict=True))
    groups = _groups((digests.get(i, "") for i in range(len(cases))), parts)
    _keep_first(groups.values(), cases, (parts, notes), "same T1 voxels as")


def _groups(names: Iterable[str], parts: Sequence[str]) -> dict[str, list[int]]:
    groups: dict[str, list[int]] = {}
    for index, (name, part) in enumerate(zip(names, parts, strict=True)):
        if part in ("internal", "external"):
            groups.setdefault(name, []).append(index)
    return groups


def _keep_first(
    groups: Iterable[Sequence[int]],
    cases: Sequence[Case],
    marks: tuple[list[str], list[str | None]],
    why: str,
) -> None:
    """Mark all but one of each group as duplicate: an internal case stays, then the newest."""
    parts, notes = marks
    for members in groups:
        ranked = sorted(
            members,
            key=lambda i: (
                PARTS.index(parts[i]),
                -RELEASES.index(cases[i].release),
                cases[i].case_id,
            ),
        )
        for index in ranked[1:]:
            parts[index] = "duplicate"
            notes[index] = f"{why} {cases[ranked[0]].case_id}"


def _table(
    cases: Sequence[Case], parts: Sequence[str], notes: Sequence[str | None]
) -> pd.DataFrame:
    rows = [
        {
            "case_id": case.case_id,
            "patient_id": case.patient_id,
            "release": case.release,
            "part": part,
            "grade": case.grade,
            **{name: str(case.images[name]) for name in SEQUENCES},
            "seg": str(case.segmentation) if case.segmentation else None,
            "note": note,
        }
        for case, part, note in zip(cases, parts, notes, strict=True)
    ]
    rows.sort(key=lambda row: (PARTS.index(row["part"]), row["patient_id"], row["case_id"]))
    return pd.DataFrame(rows, columns=list(COLUMNS), dtype="str")
