"""A folder of patients before any study: every case and every fault in one pass."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from gliomalib.data.readers import survey
from gliomalib.data import inspection
from gliomalib.data.inspection import Inspection
from gliomalib.schema import CLASS_NAMES, DataError, Fault

REPLACED = "file replaced"
"""The kind of fault of a file that is not the one that a study has looked at."""

GONE = "file gone"
"""The kind of fault of a file that a study has looked at and that is there no more."""

APART = "nothing to compare"
"""The kind of fault of a folder below which a study has looked at no file."""

_NOBODY = "–"


@dataclass(frozen=True)
class Verification:
    """What `verify` found: one row a case, one row a fault, and how much it read.

    ``cases`` has case_id, patient_id, release, files, shape, spacing_mm, axes, the voxels of each
    class, same_scan_as and faults; ``faults`` has case_id, release, kind, path, message.
    """

    root: Path
    cases: pd.DataFrame
    faults: pd.DataFrame
    n_bytes: int
    seconds: float

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong."""
        return self.faults.empty

    def as_json(self) -> dict[str, Any]:
        """Return everything as plain values, missing ones as None."""
        tables = {"cases": self.cases, "faults": self.faults}
        rows = {
            name: table.astype(object).where(table.notna(), None).to_dict("records")
            for name, table in tables.items()
        }
        facts = {"root": str(self.root), "n_bytes": self.n_bytes, "seconds": self.seconds}
        return {**facts, "sound": self.sound, **rows}


def verify(
    root: Path, used: Mapping[Path, str] | None = None, workers: int | None = None
) -> Verification:
    """Look into every file at or below ``root`` and return all that is wrong, raising nothing.

    ``used`` gives the digest of files as a study has read them (see `used_files`); one that has
    changed or gone since is a fault, and so is a folder with none of them. ``workers`` cases are
    read side by side (None: one a processor).
    """
    started = time.monotonic()
    try:
        there = survey.survey(root)
    except DataError as error:
        there = survey.Survey((), (_of_nobody(root, error.kind, str(error)),))
    except OSError as error:
        message = f"{root}: cannot be looked into ({error.strerror}); change the permissions above"
        there = survey.Survey((), (_of_nobody(root, "no permission", message),))
    found = inspection.inspect_all(there.cases, signatures=False, workers=workers)
    faults = [*there.faults, *(fault for one in found for fault in one.faults)]
    faults += _changed(root, found, used) if used is not None else []
    return Verification(
        root=root,
        cases=_case_table(found, faults),
        faults=_fault_table(faults),
        n_bytes=sum(one.n_bytes for one in found),
        seconds=round(time.monotonic() - started, 3),
    )


def used_files(cases: pd.DataFrame) -> dict[Path, str]:
    """Return file → digest of a study's table of cases, for `verify`."""
    columns = ["t1", "t1ce", "t2", "flair", "seg"]
    digests: dict[Path, str] = {}
    for _, row in cases.dropna(subset=["digests"]).iterrows():
        paths = [Path(row[name]) for name in columns if not pd.isna(row[name])]
        digests |= dict(zip(paths, str(row["digests"]).split(), strict=True))
    return digests


def _changed(root: Path, found: Sequence[Inspection], used: Mapping[Path, str]) -> list[Fault]:
    """Return a fault for every file below ``root`` that is not as the study has read it."""
    below = {path.resolve(): digest for path, digest in used.items()}
    below = {path: below[path] for path in below if path.is_relative_to(root.resolve())}
    if not below:
        message = (
            f"{root}: the study has read no file below this folder, so none was compared; give "
            "the folder that it has read"
        )
        return [_of_nobody(root, APART, message)]
    gone = [
        _of_nobody(path, GONE, f"{path}: the study has read this file and it is gone; put it back")
        for path in below
        if not path.exists()
    ]
    return [*(fault for one in found for fault in _replaced(one, below)), *gone]


def _of_nobody(path: Path, kind: str, message: str) -> Fault:
    return Fault(_NOBODY, _NOBODY, _NOBODY, path, kind, message)


def _replaced(one: Inspection, used: Mapping[Path, str]) -> Iterable[Fault]:
    case = one.case
    for path, digest in zip(case.files.values(), case.digests, strict=True):
        if digest and used.get(path.resolve(), digest) != digest:
            message = (
                f"{path}: is not the file that the study has read; run 01_data_exploration again "
                "or put the old file back"
            )
            yield Fault(case.case_id, case.patient_id, case.release, path, REPLACED, message)


def _case_table(found: Sequence[Inspection], faults: Sequence[Fault]) -> pd.DataFrame:
    first: dict[str, str] = {}
    rows = []
    for one in found:
        if one.content:
            first.setdefault(one.content, one.case.case_id)
        rows.append(_row(one, first.get(one.content or "", one.case.case_id)))
    known = {_NOBODY, *(one.case.case_id for one in found)}
    rows += [
        {"case_id": name, "patient_id": patient, "release": release, "files": 0}
        for name, patient, release in dict.fromkeys(
            (fault.case_id, fault.patient_id, fault.release) for fault in faults
        )
        if name not in known
    ]
    columns = [*_row_names(), *CLASS_NAMES[1:], "same_scan_as"]
    wrong = Counter(fault.case_id for fault in faults)
    table = pd.DataFrame(
        [{**row, "faults": wrong[row["case_id"]]} for row in rows], columns=[*columns, "faults"]
    )
    # a count stays a whole number where another case has none
    return table.astype(dict.fromkeys(CLASS_NAMES[1:], "Int64"))


def _row_names() -> list[str]:
    return ["case_id", "patient_id", "release", "files", "shape", "spacing_mm", "axes"]


def _row(one: Inspection, same: str) -> dict[str, Any]:
    voxels = one.voxels or (None,) * len(CLASS_NAMES)
    return {
        "case_id": one.case.case_id,
        "patient_id": one.case.patient_id,
        "release": one.case.release,
        "files": len(set(one.case.files.values())),
        "shape": "×".join(map(str, one.shape)) if one.shape else None,
        "spacing_mm": "×".join(f"{s:.4g}" for s in one.spacing_mm) if one.spacing_mm else None,
        "axes": one.axes,
        **dict(zip(CLASS_NAMES[1:], voxels[1:], strict=True)),
        "same_scan_as": None if same == one.case.case_id else same,
    }


def _fault_table(faults: Sequence[Fault]) -> pd.DataFrame:
    rows = [
        (fault.case_id, fault.release, fault.kind, str(fault.path), fault.message)
        for fault in faults
    ]
    return pd.DataFrame(rows, columns=["case_id", "release", "kind", "path", "message"])
