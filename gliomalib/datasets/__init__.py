"""Examinations on disk: find them and read them.

A new family of data sets is one file here, with ``LOOKED_FOR`` and ``cases(root)``, one row of
``FAMILIES``, and the labels of its releases in ``labels.CONVENTIONS``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gliomalib.datasets import brats, nifti
from gliomalib.schema import Case, DataError, Scan


@dataclass(frozen=True)
class Family:
    """Releases that share a layout: what is looked for, in words, and the function that does it."""

    looked_for: str
    cases: Callable[[Path], list[Case]]


FAMILIES = (Family(brats.LOOKED_FOR, brats.cases),)


def discover(root: Path) -> list[Case]:
    """Return every case of every known release at or below ``root``, by release and case ID.

    Raises ``DataError`` where nothing is recognised, a sequence is missing, a mask is ambiguous
    or a case ID stands twice.
    """
    if not root.is_dir():
        raise DataError(f"{root}: there is no such folder; give the folder of a BraTS release")
    found = [case for family in FAMILIES for case in family.cases(root)]
    if not found:
        wanted = "; ".join(family.looked_for for family in FAMILIES)
        raise DataError(f"{root}: no case recognised; looked for {wanted}; found {_seen(root)}")
    return sorted(found, key=lambda case: (case.release, case.case_id))


def read(case: Case) -> Scan:
    """Return a case in memory: images float32 (4, X, Y, Z), canonical labels or None.

    Raises ``DataError`` for files that are damaged, not on one grid or with unknown labels.
    """
    return nifti.read_case(case)


def _seen(root: Path) -> str:
    names = sorted(path.name + "/" * path.is_dir() for path in root.iterdir())
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return (", ".join(names[:8]) or "an empty folder") + more
