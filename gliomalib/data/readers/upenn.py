"""UPENN-GBM: glioblastoma of one hospital, before surgery and at recurrence.

Bakas et al. 2022 (doi:10.1038/s41597-022-01560-7; data doi:10.7937/TCIA.709X-DN49). Layout by a
listing of the archive's NIfTI package: ``images_structural/UPENN-GBM-00001_11/`` holds the
sequences, ``images_segm`` the 147 masks that experts corrected, and ``automated_segm`` 611 that
nobody did. Folders of the same name also hold diffusion, perfusion and images with the skull.
``_11`` is before surgery, ``_21`` a follow-up.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from gliomalib.data.readers import layout
from gliomalib.data.readers.layout import Naming, Tree
from gliomalib.schema import Case, Fault

RELEASE = "upenn_gbm"
EXAMPLES = ("UPENN-GBM-00001_11", "UPENN-GBM-00001_11_T1GD", "UPENN-GBM-00001_11_segm")
LOOKED_FOR = (
    "case folders UPENN-GBM-NNNNN_TT that hold <case>_{T1,T1GD,T2,FLAIR}.nii or .nii.gz, and "
    "<case>_segm there or in images_segm"
)

NAMING = Naming(
    re.compile(r"UPENN-GBM-\d{5}_\d{2}"),
    {"t1": "_T1", "t1ce": "_T1GD", "t2": "_T2", "flair": "_FLAIR"},
    "_segm",
)

GRADE = "HGG"
"""All patients have a glioblastoma (Bakas et al. 2022)."""


def find(tree: Tree) -> Iterator[Case | Fault]:
    """Yield the cases of UPENN-GBM in a folder, and what is wrong with the others.

    A mask is ``<case>_segm`` wherever it lies in the folder that was given. The automatic
    ``<case>_automated_approx_segm`` is no expert's and is never used: most cases have no mask.
    """
    # masks lie in a folder of their own, or with the images
    by_stem: dict[str, list[Path]] = {}
    for path in layout.images_in(tree.paths):
        by_stem.setdefault(layout.stem(path).lower(), []).append(path)
    for folder, name in layout.case_folders(tree, NAMING):
        case = Case(name, name.partition("_")[0], RELEASE, {}, None, GRADE)
        wanted, files = name + NAMING.mask, tree.files[folder]
        mask = layout.one_mask(case, folder, by_stem.get(wanted.lower(), []), wanted)
        yield from layout.assemble(case, folder, files, NAMING.stems(name), mask)
