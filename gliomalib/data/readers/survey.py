"""Examinations on disk, found by the readers of all families.

A new family of data sets is one module here, with ``LOOKED_FOR``, ``EXAMPLES`` (names as they
look) and ``find(tree)``, its name in ``FAMILIES``, and the labels of its releases in
``labels.CONVENTIONS``.
"""

import difflib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from gliomalib.data.readers import brats, brats_gli, layout, msd, people, ucsf, upenn
from gliomalib.schema import Case, DataError, Fault

FAMILIES = (brats, brats_gli, msd, ucsf, upenn)
"""Modules, one for the releases that share a layout."""


@dataclass(frozen=True)
class Survey:
    """What a folder holds by its names alone: cases that are complete, and faults of the others."""

    cases: tuple[Case, ...]
    faults: tuple[Fault, ...]


def survey(root: str | Path, *, masks: bool = False) -> Survey:
    """Return every case of every known release at or below ``root``, by release and case ID.

    A case with a fault is among the faults and not among the cases. With ``masks`` a case is its
    mask and lacks nothing where it has no images. Raises ``DataError`` where there is no such
    folder, it may not be read, or nothing in it is recognised.
    """
    root = Path(root)
    if not root.is_dir():
        what = "is a file" if root.exists() else "there is no such folder"
        raise DataError(f"{root}: {what}; give the folder of a data set", "no such folder")
    tree = layout.scan(root)
    if root in tree.closed:
        raise DataError(f"{root}: this folder may not be read; change its permissions (chmod u+rx)")
    entries = people.name(tree, [entry for family in FAMILIES for entry in family.find(tree)])
    faults = [entry for entry in entries if isinstance(entry, Fault)]
    faults += layout.closed_faults(tree)
    every = [entry for entry in entries if isinstance(entry, Case)]
    # a mask that lacks its images stands beside the faults that say so
    cases, duplicates = _unique(c for c in every if masks or c.images or not c.segmentation)
    if masks:
        faults = [fault for fault in faults if fault.kind != layout.MISSING]
    if not cases and not faults:
        raise DataError(_unrecognised(tree), "unknown layout")
    return Survey(tuple(cases), (*faults, *duplicates))


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
    others = f" (and {len(faults) - 1} more: python -m gliomalib data verify {root} lists them)"
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


def _unrecognised(tree: layout.Tree) -> str:
    wanted = "; ".join(family.LOOKED_FOR for family in FAMILIES)
    name, example = _nearest(tree)
    near = f"; the nearest is {name}, which would have to look like {example}" if name else ""
    return (
        f"{tree.root}: no case recognised; looked for {wanted}; found {_listing(tree.root)}{near}"
    )


def _nearest(tree: layout.Tree) -> tuple[str, str]:
    """Return the name that is most like an example of a family, and the example; or no names."""
    examples = {_shape_of(name): name for family in FAMILIES for name in family.EXAMPLES}
    best: tuple[float, str, str] = (0.6, "", "")
    for shape, name in {_shape_of(name): name for name in _names(tree)}.items():
        for near in difflib.get_close_matches(shape, examples, 1, best[0]):
            score = difflib.SequenceMatcher(None, shape, near).ratio()
            best = max(best, (score, name, examples[near]))
    return best[1], best[2]


def _names(tree: layout.Tree) -> Iterator[str]:
    for folder, files in tree.files.items():
        if folder != tree.root:
            yield folder.name
        yield from (layout.stem(path) for path in layout.images_in(files))


def _shape_of(name: str) -> str:
    # which number a patient has says nothing about how a release names its folders
    return re.sub(r"\d", "0", name.lower())


def _listing(root: Path) -> str:
    names = sorted(path.name + "/" * path.is_dir() for path in root.iterdir())
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return (", ".join(names[:8]) or "an empty folder") + more
