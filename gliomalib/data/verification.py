"""A folder of patients before any study: a table of its cases and one of all faults.

``inspection`` looks into one case; this module asks it for every case below a folder.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from gliomalib.data import inspection
from gliomalib.data.inspection import Inspection
from gliomalib.data.readers.survey import Survey, survey
from gliomalib.schema import CLASS_NAMES, DataError, Fault

NOBODY = "–"
"""Stands for case, patient and release in a fault of a file or folder as such."""

CASE_COLUMNS = (
    *("case_id", "patient_id", "release", "files"),
    *("shape", "spacing_mm", "axes"),
    *CLASS_NAMES[1:],
    *("same_scan_as", "faults"),
)
FAULT_COLUMNS = ("case_id", "release", "kind", "path", "message")


@dataclass(frozen=True)
class Verification:
    """What `verify` found: one row per case, one row per fault, and how much it read.

    ``cases`` has the columns ``CASE_COLUMNS``, the voxels of each class among them; ``faults`` has
    ``FAULT_COLUMNS``.
    """

    cases: pd.DataFrame
    faults: pd.DataFrame
    n_bytes: int

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong."""
        return self.faults.empty


def verify(root: str | Path, workers: int | None = None) -> Verification:
    """Look into every file at or below ``root`` and return all that is wrong, raising nothing.

    ``workers`` cases are read side by side (None: one per processor).
    """
    cases = _survey(Path(root))
    inspections = inspection.inspect_all(cases.cases, signatures=False, workers=workers)
    faults = [*cases.faults, *(fault for case in inspections for fault in case.faults)]
    rows = [{**asdict(fault), "path": str(fault.path)} for fault in faults]
    return Verification(
        cases=_case_table(inspections, faults),
        faults=pd.DataFrame(rows, columns=FAULT_COLUMNS),
        n_bytes=sum(case.n_bytes for case in inspections),
    )


def _survey(root: Path) -> Survey:
    """Return what a folder holds; a folder that cannot be read is one fault."""
    try:
        return survey(root)
    except DataError as error:
        return Survey((), (_fault(root, error.kind, str(error)),))
    except OSError as error:
        message = f"{root}: cannot be read ({error.strerror}); change the permissions above"
        return Survey((), (_fault(root, "no permission", message),))


def _fault(path: Path, kind: str, message: str) -> Fault:
    return Fault(NOBODY, NOBODY, NOBODY, path, kind, message)


def _case_table(inspections: Sequence[Inspection], faults: Sequence[Fault]) -> pd.DataFrame:
    n_faults = Counter(fault.case_id for fault in faults)
    first: dict[str, str] = {}
    rows = []
    for case in inspections:
        case_id = case.case.case_id
        same = first.setdefault(case.content, case_id) if case.content else case_id
        rows.append({**_row(case), "same_scan_as": None if same == case_id else same})
    # cases that are not complete were not inspected: their faults are all that is known of them
    listed = {NOBODY, *(row["case_id"] for row in rows)}
    others = dict.fromkeys((fault.case_id, fault.patient_id, fault.release) for fault in faults)
    names = CASE_COLUMNS[:4]
    rows += [dict(zip(names, (*who, 0), strict=True)) for who in others if who[0] not in listed]
    table = pd.DataFrame(rows, columns=CASE_COLUMNS)
    table["faults"] = [n_faults[case_id] for case_id in table["case_id"]]
    # a count stays a whole number where another case has none
    return table.astype(dict.fromkeys(CLASS_NAMES[1:], "Int64"))


def _row(case: Inspection) -> dict[str, Any]:
    voxels = case.voxels or (None,) * len(CLASS_NAMES)
    return {
        "case_id": case.case.case_id,
        "patient_id": case.case.patient_id,
        "release": case.case.release,
        "files": len(set(case.case.files.values())),
        **case.grid,
        **dict(zip(CLASS_NAMES[1:], voxels[1:], strict=True)),
    }
