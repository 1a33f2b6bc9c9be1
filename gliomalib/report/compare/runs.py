"""One of two runs that are set side by side: what its folder of results holds."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from nbformat import NotebookNode

from gliomalib import records
from gliomalib.provenance import PROJECT_DIR
from gliomalib.report import entries, notebooks
from gliomalib.schema import Record, RecordError, SettingsError, split_run_name

Content = TypeVar("Content")

CASES = "01_data_exploration.cases.csv"
"""The table that says who is in the data."""


@dataclass(frozen=True)
class Side:
    """Run ``letter`` (A or B) as it was found, by the names of its records and notebooks.

    ``name`` is what its page is called after, ``label`` the folder without what is above it on
    this machine, ``verdicts`` the verdict table by claim, ``cases`` the lines of the table of
    cases. ``faults`` says in a sentence each what is there and cannot be read.
    """

    letter: str
    name: str
    label: str
    records: Mapping[str, Record]
    notebooks: Mapping[str, NotebookNode]
    verdicts: Mapping[str, Mapping[str, str]]
    cases: tuple[str, ...]
    faults: tuple[str, ...]

    @property
    def studies(self) -> tuple[str, ...]:
        """The studies that its records name; more than one where somebody mixed them."""
        return tuple(sorted({record.study for record in self.records.values()}))


def find(given: str, report_dir: Path) -> Path:
    """Return the folder of a report: of a study in ``report_dir``, or the folder ``given``.

    Raises ``SettingsError`` where there is neither, and ``RecordError`` where there are no
    records in it.
    """
    if not given.strip():
        raise SettingsError(
            "a run to compare is not named: give two, each a study in reports or a folder"
        )
    folders = [report_dir / given, Path(given).expanduser()]
    there = [folder.resolve() for folder in folders if folder.is_dir()]
    for folder in there:
        if any(folder.glob("records/*.json")):
            return folder
    if there:
        raise RecordError(
            f"{there[0]}: there are no records in this folder; give the folder of a report, or "
            "make it with make report STUDY=…"
        )
    known = sorted(path.parent.name for path in report_dir.glob("*/records"))
    raise SettingsError(
        f"there is no report {given!r}: take one of {', '.join(known) or 'those to be made'} in "
        f"{report_dir}, or the folder of a report"
    )


def read(letter: str, folder: Path) -> Side:
    """Read what is there of a run; what is damaged is named in its ``faults``.

    Raises ``RecordError`` where not one record can be read.
    """
    faults: list[str] = []
    readable = _readable(folder, "records/*.json", records.read, faults)
    if not readable:
        raise RecordError(f"{folder}: not one record can be read: {faults[0]}")
    return Side(
        letter=letter,
        name=re.sub(r"[^\w.-]+", "_", folder.name) or "run",
        label=_label(folder),
        records=readable,
        notebooks=_readable(folder, "notebooks/*.ipynb", notebooks.read, faults),
        verdicts=_verdicts(folder, faults),
        cases=_cases(folder, faults),
        faults=tuple(faults),
    )


def in_order(names: Sequence[str]) -> list[str]:
    """Return the names of runs as a study runs them, each notebook before its variants."""
    return sorted(set(names), key=split_run_name)


def _label(folder: Path) -> str:
    # the page is read elsewhere: what is above the folder on this machine says nothing there
    if folder.is_relative_to(PROJECT_DIR):
        return str(folder.relative_to(PROJECT_DIR))
    return "/".join(["…", *folder.parts[1:][-2:]])


def _readable(
    folder: Path, pattern: str, read_file: Callable[[Path], Content], faults: list[str]
) -> dict[str, Content]:
    """Return the content of files by the names of their runs; add what is damaged to ``faults``."""
    found = {}
    for path in sorted(folder.glob(pattern)):
        try:
            found[path.stem] = read_file(path)
        except RecordError as error:
            faults.append(str(error).replace(f"{folder}/", ""))
    return {name: found[name] for name in in_order(list(found))}


def _verdicts(folder: Path, faults: list[str]) -> dict[str, dict[str, str]]:
    try:
        return {row["claim"]: row for row in entries.verdicts(folder)}
    except RecordError as error:
        faults.append(str(error))
        return {}


def _cases(folder: Path, faults: list[str]) -> tuple[str, ...]:
    path = folder / "tables" / CASES
    if not path.is_file():
        faults.append(f"tables/{CASES} is missing: whose data it was is not known")
        return ()
    with path.open(encoding="utf-8", newline="") as stream:
        return tuple(sorted("\t".join(row) for row in list(csv.reader(stream))[1:]))
