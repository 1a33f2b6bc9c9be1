"""Examinations on disk, found by the readers of all families.

A new family of data sets is one module here, with ``LOOKED_FOR``, ``EXAMPLES`` (names as they
look), ``NAMING`` and ``find(tree)``, its name in ``FAMILIES``, and the labels of its releases in
``labels.CONVENTIONS``.
"""

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from gliomalib.data.readers import brats, brats_gli, layout, msd, people, ucsf, unused, upenn
from gliomalib.data.readers.unused import Unused
from gliomalib.schema import Case, DataError, Fault

FAMILIES = (brats, brats_gli, msd, ucsf, upenn)
"""Modules, one for the releases that share a layout."""

UNKNOWN = "unknown layout"
"""The kind of fault of a folder in which nothing is recognised."""


@dataclass(frozen=True)
class Survey:
    """What a folder holds by its names: complete cases, faults of others, and what is not used."""

    cases: tuple[Case, ...]
    faults: tuple[Fault, ...]
    unused: tuple[Unused, ...] = ()


def survey(root: str | Path, *, masks: bool = False) -> Survey:
    """Return every case of every known release at or below ``root``, by release and case ID.

    A case with a fault is among the faults and not among the cases. With ``masks`` a case is its
    mask and lacks nothing where it has no images. Raises ``DataError`` where there is no such
    folder, it may not be read, or nothing in it is recognised.
    """
    surveyed = look(root, masks=masks)
    unknown = [fault for fault in surveyed.faults if fault.kind == UNKNOWN]
    if unknown:
        raise DataError(unknown[0].message, UNKNOWN)
    return surveyed


def look(root: str | Path, *, masks: bool = False) -> Survey:
    """Return what `survey` does, with a fault where nothing is recognised."""
    root = Path(root)
    if not root.is_dir():
        what = "is a file" if root.exists() else "there is no such folder"
        raise DataError(f"{root}: {what}; give the folder of a data set", "no such folder")
    tree = layout.scan(root)
    if root in tree.closed:
        raise DataError(f"{root}: this folder may not be read; change its permissions (chmod u+rx)")
    entries = people.name(tree, [entry for family in FAMILIES for entry in family.find(tree)])
    entries += layout.closed_faults(tree)
    every = [entry for entry in entries if isinstance(entry, Case)]
    # a mask that lacks its images stands beside the faults that say so
    cases, duplicates = _unique(c for c in every if masks or c.images or not c.segmentation)
    namings = [family.NAMING for family in FAMILIES if family.NAMING]
    examples = [name for family in FAMILIES for name in family.EXAMPLES]
    rest = unused.find(tree, [*entries, *duplicates], namings, examples)
    faults = [entry for entry in entries if isinstance(entry, Fault)] + duplicates
    if masks:
        # of a case without a mask nothing would be left that names it
        there = {case.case_id for case in cases}
        faults = [f for f in faults if f.kind != layout.MISSING or f.case_id not in there]
    if not cases and not faults:
        whose = (layout.NOBODY, layout.NOBODY, layout.NOBODY)
        faults.append(Fault(*whose, root, UNKNOWN, _unrecognised(root, rest)))
    return Survey(tuple(cases), tuple(faults), tuple(rest))


def discover(root: str | Path) -> list[Case]:
    """Return every case of every known release at or below ``root``, by release and case ID.

    Raises ``DataError`` for the first fault of `survey`, with the number of all.
    """
    surveyed = survey(root)
    if surveyed.faults:
        raise DataError(sentence(surveyed.faults, root), surveyed.faults[0].kind)
    return list(surveyed.cases)


def sentence(faults: Sequence[Fault], root: str | Path) -> str:
    """Return the first fault, and where to see the others, in one line."""
    command = f"python -m gliomalib data verify {shlex.quote(str(root))}"
    others = f" (and {len(faults) - 1} more: {command} lists them)"
    return faults[0].message + (others if len(faults) > 1 else "")


def _unique(cases: Iterable[Case]) -> tuple[list[Case], list[Fault]]:
    first: dict[str, Case] = {}
    duplicates = []
    for case in sorted(cases, key=lambda case: (case.release, case.case_id)):
        if case.case_id in first:
            copies = (first[case.case_id], case)
            there, here = (next(iter(copy.files.values())).parent for copy in copies)
            message = f"case {case.case_id} is duplicated, in {there} and {here}; remove one"
            whose = (case.case_id, case.patient_id, case.release)
            duplicates.append(Fault(*whose, here, "duplicate ID", message))
        else:
            first[case.case_id] = case
    return list(first.values()), duplicates


def _unrecognised(root: Path, rest: Sequence[Unused]) -> str:
    wanted = "; ".join(family.LOOKED_FOR for family in FAMILIES)
    telling = [entry.message for entry in rest if entry.kind not in unused.UNKNOWN]
    why = "".join(f"; {message}" for message in telling[:1])
    return f"{root}: no case recognised; looked for {wanted}; found {_listing(root)}{why}"


def _listing(root: Path) -> str:
    names = sorted(path.name + "/" * path.is_dir() for path in root.iterdir())
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return (", ".join(names[:8]) or "an empty folder") + more
