"""Medical Segmentation Decathlon, Task01_BrainTumour: all sequences of a case in one 4-D file.

Layout and order of the sequences by the release's own ``dataset.json`` (Antonelli et al. 2022,
doi:10.1038/s41467-022-30695-9): FLAIR, T1w, T1gd, T2w, and labels 1 edema, 2 non-enhancing, 3
enhancing tumour, which is neither the order nor the labels of BraTS. The patients are those of
BraTS 2016 and 2017 under new names; no table says which is which.
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gliomalib.data.readers import layout
from gliomalib.data.readers.layout import Tree
from gliomalib.labels import CONVENTIONS
from gliomalib.schema import SEQUENCES, Case, Fault

RELEASE = "msd_task01"
EXAMPLES = ("BRATS_001", "imagesTr", "labelsTr")
NAMING = None
"""Its cases are files, and have no folder."""

LOOKED_FOR = (
    "imagesTr/BRATS_NNN.nii or .nii.gz (4-D) with labelsTr/BRATS_NNN, and imagesTs/BRATS_NNN"
)

CHANNELS = {"flair": "FLAIR", "t1": "T1w", "t1ce": "T1gd", "t2": "T2w"}
"""Sequences in their order in a file → what the release calls them."""

DESCRIPTION = "dataset.json"
"""The file in which the release describes itself, and the kind of its faults."""

LABEL_NAMES = ("background", "non-enhancing tumor", "edema", "enhancing tumor")
"""What the release calls canonical labels 0 to 3."""

EXPECTED = {
    "modality": {str(i): name for i, name in enumerate(CHANNELS.values())},
    "labels": {str(raw): LABEL_NAMES[label] for raw, label in CONVENTIONS[RELEASE].items()},
}
"""What ``dataset.json`` must say of sequences and labels for our tables to hold."""

_CASE = re.compile(r"BRATS_\d{3}")
_TRAINING = "imagesTr"


def find(tree: Tree) -> Iterator[Case | Fault]:
    """Yield the cases of Task01_BrainTumour in a folder, and what is wrong with the others.

    Cases of imagesTs have no mask; one of imagesTr without a mask in labelsTr is a fault, since
    the release has all of them. A ``dataset.json`` that gives sequences or labels another order
    than ours is a fault in place of its cases.
    """
    faults: dict[Path, list[Fault]] = {}
    for folder, files in tree.files.items():
        images = [path for path in layout.images_in(files) if _CASE.fullmatch(layout.stem(path))]
        if folder.name not in (_TRAINING, "imagesTs") or not images:
            continue
        if folder.parent not in faults:
            faults[folder.parent] = _disagreements(tree, folder.parent)
            yield from faults[folder.parent]
        for name in dict.fromkeys(layout.stem(path) for path in images):
            if not faults[folder.parent]:
                case = Case(name, name, RELEASE, {}, None, channels=tuple(CHANNELS))
                yield from _case(tree, case, folder)


def _case(tree: Tree, case: Case, folder: Path) -> list[Case | Fault]:
    name = case.case_id
    copies = layout.named(tree.files[folder], name)
    if len(copies) > 1:
        both = layout.listed(copies)
        sentence = f"case {name}: the image is duplicated ({both}); remove one"
        return [case.fault(folder, "duplicate image", sentence)]
    stems = dict.fromkeys(SEQUENCES, name)
    if folder.name != _TRAINING:
        return layout.assemble(case, folder, copies, stems, None)
    labels = folder.parent / "labelsTr"
    no_mask = (
        f"case {name}: mask {name}.nii.gz is missing, though the release has one for every case of "
        f"{_TRAINING}; give the folder that holds both, or unpack it again"
    )
    mask = layout.one_mask(case, folder, tree.files.get(labels, ()), name)
    mask = mask or case.fault(labels, "no mask", no_mask)
    return layout.assemble(case, folder, copies, stems, mask)


def _disagreements(tree: Tree, folder: Path) -> list[Fault]:
    """Return a fault for each thing in which a ``dataset.json`` contradicts our tables."""
    path = folder / DESCRIPTION
    if path not in tree.files.get(folder, ()):
        return []
    tree.read.append(path)
    try:
        description = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        return [_fault(path, f"cannot be read ({error}); fetch it again")]
    if not isinstance(description, Mapping):
        kind = type(description).__name__
        return [_fault(path, f"holds a {kind}, expected an object; fetch it again")]
    return [
        _fault(
            path,
            f"{key} is {description.get(key)!r}, expected {wanted}; check that this is "
            "Task01_BrainTumour as released, as its files are read in that order",
        )
        for key, wanted in EXPECTED.items()
        if _plain(description.get(key)) != _plain(wanted)
    ]


def _plain(names: Any) -> Any:
    """Return names that differ only in spelling (T1gd, t1gd; tumour, tumor) alike."""
    if not isinstance(names, Mapping):
        return names
    plain = {str(key): str(name).strip().lower() for key, name in names.items()}
    return {key: name.replace("tumour", "tumor") for key, name in plain.items()}


def _fault(path: Path, what: str) -> Fault:
    return layout.fault_of(path, DESCRIPTION, f"{path}: {what}", RELEASE)
