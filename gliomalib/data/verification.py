"""A folder of patients before any study: a table of its cases and one of all faults.

``inspection`` looks into one case; this module asks it for every case below a folder, and compares
the files with those that a study has read.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from gliomalib.data import inspection
from gliomalib.data.inspection import Inspection
from gliomalib.data.readers import layout, msd, tables
from gliomalib.data.readers.survey import Survey, look
from gliomalib.data.readers.unused import Unused
from gliomalib.schema import CLASS_NAMES, SEQUENCES, Case, DataError, Fault

CASE_COLUMNS = (
    *("case_id", "patient_id", "release", "files"),
    *("shape", "spacing_mm", "axes"),
    *CLASS_NAMES[1:],
    *("same_scan_as", "faults"),
)
FAULT_COLUMNS = ("case_id", "release", "kind", "path", "message")
UNUSED_COLUMNS = ("kind", "files", "path", "message")

NO_CASE = (tables.KIND, msd.DESCRIPTION)
"""Kinds of faults of a file that tells of many cases and is none."""


@dataclass(frozen=True)
class Verification:
    """What `verify` found: cases, faults, notes, and what is not used.

    ``cases`` has the columns ``CASE_COLUMNS``, the voxels of each class among them; ``faults`` has
    ``FAULT_COLUMNS``, and so have ``notes``, doubts about cases that can be used. ``unused`` has
    ``UNUSED_COLUMNS``.
    """

    root: Path
    cases: pd.DataFrame
    faults: pd.DataFrame
    unused: pd.DataFrame
    notes: pd.DataFrame

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong."""
        return self.faults.empty

    def as_json(self) -> dict[str, Any]:
        """Return everything as plain values, missing ones as None."""
        tables = {"cases": self.cases, "faults": self.faults}
        tables |= {"notes": self.notes, "unused": self.unused}
        rows = {
            name: table.astype(object).where(table.notna(), None).to_dict("records")
            for name, table in tables.items()
        }
        return {"root": str(self.root), "sound": self.sound, **rows}


def verify(
    root: str | Path,
    used: Mapping[Path, str] | None = None,
    workers: int | None = None,
    mask_pattern: str = "",
) -> Verification:
    """Look into every file at or below ``root`` and return all that is wrong, raising nothing.

    ``used`` gives the digest of files as a study has read them (see `used_files`); one that has
    changed or gone since is a fault, and so is a folder with none of them. ``workers`` cases are
    read side by side (None: one per processor). A mask whose name matches ``mask_pattern`` is the
    expert's, whatever it is called.
    """
    root = Path(root)
    surveyed = _survey(root)
    inspections = inspection.inspect_all(
        surveyed.cases, signatures=False, workers=workers, mask_pattern=mask_pattern
    )
    faults = [*surveyed.faults, *(fault for scan in inspections for fault in scan.faults)]
    if used is not None:
        faults += _changes(root, [scan.case for scan in inspections], used)
    return Verification(
        root=root,
        cases=_case_table(inspections, faults),
        faults=_fault_table(faults),
        notes=_fault_table([note for scan in inspections for note in scan.notes]),
        unused=pd.DataFrame(
            [
                (entry.kind, entry.files, str(entry.path), entry.message)
                for entry in surveyed.unused
            ],
            columns=UNUSED_COLUMNS,
        ),
    )


def used_files(cases: pd.DataFrame) -> dict[Path, str]:
    """Return file → digest of a study's table of cases, for `verify`."""
    digests: dict[Path, str] = {}
    for _, row in cases.dropna(subset=["digests"]).iterrows():
        # digests are in the order of the files that a case has, and not every case has a mask
        paths = [Path(row[name]) for name in (*SEQUENCES, "seg") if not pd.isna(row[name])]
        digests |= dict(zip(paths, str(row["digests"]).split(), strict=True))
    return digests


def _survey(root: Path) -> Survey:
    """Return what a folder holds; a folder that cannot be read is one fault.

    Where each case is nothing but its mask, as in a study of masks, it lacks nothing.
    """
    try:
        surveyed = look(root)
        if surveyed.cases or {fault.kind for fault in surveyed.faults} != {layout.MISSING}:
            return surveyed
        masks = look(root, masks=True)
        alone = {case.segmentation.parent for case in masks.cases if case.segmentation}
        if alone != {fault.path for fault in surveyed.faults}:
            return surveyed
        because = "cases are masks without images here, which only a study of masks takes"
        return replace(masks, unused=(*masks.unused, Unused(root, "masks alone", because)))
    except DataError as error:
        return Survey((), (_fault(root, error.kind, str(error)),))
    except OSError as error:
        message = f"{root}: cannot be read ({error.strerror}); change the permissions above"
        return Survey((), (_fault(root, "no permission", message),))


def _changes(root: Path, cases: Sequence[Case], used: Mapping[Path, str]) -> Iterator[Fault]:
    """Yield a fault for every file below ``root``, with links, that the study read otherwise."""
    # resolved, because the study may have come to the same files through a link; and a folder may
    # hold links to files that lie elsewhere
    resolved = {path.resolve(): digest for path, digest in used.items()}
    here = {path.resolve() for case in cases for path in case.files.values()}
    below = [
        path
        for path in used
        if path.resolve() in here
        or path.is_relative_to(root)
        or path.resolve().is_relative_to(root.resolve())
    ]
    if not below:
        message = "the study has read no file below this folder; give the folder that it has read"
        yield _fault(root, "nothing to compare", f"{root}: {message}")
        return
    for case in cases:
        for path, digest in zip(case.files.values(), case.digests, strict=True):
            # a file that could not be read now has no digest and another fault
            if digest and resolved.get(path.resolve(), digest) != digest:
                advice = "run 01_data_exploration again or put the old file back"
                sentence = f"is not the file that the study has read; {advice}"
                yield case.fault(path, "file replaced", sentence)
    for path in below:
        if not path.exists():
            yield _fault(path, "file gone", f"{path}: the study has read this file; put it back")


def _fault(path: Path, kind: str, message: str) -> Fault:
    return Fault(layout.NOBODY, layout.NOBODY, layout.NOBODY, path, kind, message)


def _fault_table(faults: Sequence[Fault]) -> pd.DataFrame:
    rows = [{**asdict(fault), "path": str(fault.path)} for fault in faults]
    return pd.DataFrame(rows, columns=FAULT_COLUMNS)


def _case_table(inspections: Sequence[Inspection], faults: Sequence[Fault]) -> pd.DataFrame:
    n_faults = Counter(fault.case_id for fault in faults)
    first: dict[str, str] = {}
    rows = []
    for scan in inspections:
        case_id = scan.case.case_id
        same = first.setdefault(scan.content, case_id) if scan.content else case_id
        rows.append({**_row(scan), "same_scan_as": None if same == case_id else same})
    # cases that are not complete were not inspected: their faults are all that is known of them
    listed = {layout.NOBODY, *(row["case_id"] for row in rows)}
    others = dict.fromkeys(
        (fault.case_id, fault.patient_id, fault.release)
        for fault in faults
        if fault.kind not in NO_CASE and fault.case_id not in listed
    )
    rows += [dict(zip(CASE_COLUMNS[:4], (*who, 0), strict=True)) for who in others]
    table = pd.DataFrame(rows, columns=CASE_COLUMNS)
    table["faults"] = [n_faults[case_id] for case_id in table["case_id"]]
    # a count stays a whole number where another case has none
    return table.astype(dict.fromkeys(CLASS_NAMES[1:], "Int64"))


def _row(scan: Inspection) -> dict[str, Any]:
    case, voxels = scan.case, scan.voxels or (None,) * len(CLASS_NAMES)
    return {
        "case_id": case.case_id,
        "patient_id": case.patient_id,
        "release": case.release,
        "files": len(set(case.files.values())),
        **scan.grid,
        **dict(zip(CLASS_NAMES[1:], voxels[1:], strict=True)),
    }
