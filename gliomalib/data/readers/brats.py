"""BraTS 2017 to 2021 as downloaded: case folders, and which file of them is the mask.

Phantoms lie in the same layout under IDs of their own, and so do their copies in disguise.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from gliomalib.data.readers import layout, people
from gliomalib.data.readers.layout import Naming, Tree
from gliomalib.schema import SEQUENCES, Case, Fault

CASE_FOLDERS: Mapping[str, str] = {
    "brats2017": r"Brats17_\w+",
    "brats2018": r"Brats18_\w+",
    "brats2019": r"BraTS19_\w+",
    "brats2020": r"BraTS20_(Training|Validation)_\d{3}",
    "brats2021": r"BraTS2021_\d{5}",
    "phantom": r"Phantom-[A-Z]-\d{3}",
    "phantom_copy": r"Phantom-[A-Z]-\d{3}-copy",
}
"""Release → pattern of the name of a case folder."""

NAMING = Naming(
    re.compile("|".join(CASE_FOLDERS.values())), {name: f"_{name}" for name in SEQUENCES}, "_seg"
)

_SEQUENCE = re.compile(rf"({'|'.join(SEQUENCES)})\b")

CARD = "phantom.json"
"""What lies beside the files of a phantom, see ``phantoms.write``."""

EXAMPLES = (
    *("Brats17_CBICA_AAB_1", "Brats18_2013_2_1", "BraTS19_CBICA_ASK_1"),
    *("BraTS20_Training_001", "BraTS20_Validation_001", "BraTS2021_00000"),
)
LOOKED_FOR = (
    "case folders Brats17_*, Brats18_*, BraTS19_*, BraTS20_Training_NNN or BraTS2021_NNNNN that "
    "hold <case>_{t1,t1ce,t2,flair,seg}.nii or .nii.gz"
)


def find(tree: Tree) -> Iterator[Case | Fault]:
    """Yield the cases of BraTS 2017 to 2021 in a folder, and what is wrong with the others.

    Faults are a missing or duplicated sequence and an ambiguous mask.
    """
    for folder, name in layout.case_folders(tree, NAMING):
        release = next(key for key, names in CASE_FOLDERS.items() if re.fullmatch(names, name))
        tree.read.extend(path for path in tree.files[folder] if path.name == CARD)
        above, images = folder.parent.name, layout.images_in(tree.files[folder])
        case = Case(name, name, release, {}, None, above if above in people.GRADES else None)
        mask = _mask(case, folder, [path for path in images if _may_be_mask(path, name)])
        yield from layout.assemble(case, folder, images, NAMING.stems(name), mask)


def _mask(case: Case, folder: Path, others: Sequence[Path]) -> Path | Fault | None:
    # BraTS 2020 as distributed has one mask of another name (W39_1998.09.19_Segm.nii), so the only
    # file of a case that is no sequence counts as its mask if its name says segmentation
    proper = layout.named(others, f"{case.case_id}_seg")
    candidates = proper or [path for path in others if "seg" in path.name.lower()]
    if not others:
        return None
    if len(candidates) == 1 and (proper or len(others) == 1):
        return candidates[0]
    return case.fault(
        *(folder, "ambiguous mask"),
        f"case {case.case_id}: cannot tell the mask among {layout.listed(others)}; name it "
        f"{case.case_id}_seg.nii or .nii.gz and remove the rest",
    )


def _may_be_mask(path: Path, case: str) -> bool:
    # a sequence or a copy of one, or a file of another case, is no mask of this one
    stem = layout.stem(path)
    if stem.lower() in (name.lower() for name in NAMING.stems(case).values()):
        return False
    own = stem.startswith(f"{case}_") and not _SEQUENCE.match(stem.removeprefix(f"{case}_"))
    return own or not NAMING.case.match(stem)
