"""BraTS 2023 and 2024 (GLI, adult glioma) and BraTS-Africa (SSA): one folder per examination.

Names as in the challenge's archives and in code that reads them: ``BraTS-GLI-00005-100`` is
patient 00005 at time point 100, its files end in ``-t1n``, ``-t1c``, ``-t2w``, ``-t2f`` and
``-seg``. Time points below 100 are examinations before treatment (2023), those from 100 on are
after treatment (2024): the listings of both archives agree, and the winning container of 2025
tells the two apart by that number (BrainLesion/BraTS, issue 180). One number is one patient in
both years. BraTS 2023 is BraTS 2021 under other numbers; only the organisers' spreadsheet
``BraTS2023_2017_GLI_Mapping.xlsx`` says which is which, see ``people``.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from gliomalib.data.readers import layout
from gliomalib.data.readers.layout import Naming, Tree
from gliomalib.schema import Case, Fault

EXAMPLES = ("BraTS-GLI-00000-000", "BraTS-SSA-00002-000", "BraTS-GLI-00000-000-t1n")
LOOKED_FOR = (
    "case folders BraTS-GLI-NNNNN-TTT or BraTS-SSA-NNNNN-TTT that hold "
    "<case>-{t1n,t1c,t2w,t2f,seg}.nii or .nii.gz"
)

NAMING = Naming(
    re.compile(r"BraTS-(GLI|SSA)-\d{5}-\d{3}"),
    {"t1": "-t1n", "t1ce": "-t1c", "t2": "-t2w", "flair": "-t2f"},
    "-seg",
)

NO_GLIOMA = re.compile(r"\d*_?OtherNeoplasms", re.IGNORECASE)
"""The archive's BraTS-Africa lies in 95_Glioma and, for other tumours, 51_OtherNeoplasms."""

_YEAR = re.compile(r"brats[\W_]*(2023|2024)", re.IGNORECASE)


def find(tree: Tree) -> Iterator[Case | Fault]:
    """Yield the cases of BraTS 2023, BraTS 2024 and BraTS-Africa, and what is wrong with others.

    A mask counts where it lies beside the sequences: one in another folder may be a prediction.
    A case without it has no segmentation. A case of BraTS-Africa that is no glioma is a fault.
    """
    for folder, name in layout.case_folders(tree, NAMING):
        case = Case(name, name.rpartition("-")[0], release_of(folder), {}, None)
        if NO_GLIOMA.fullmatch(folder.parent.name):
            advice = (
                f"give the folder of the gliomas beside {folder.parent.name}, or remove that one"
            )
            sentence = f"case {name}: lies among tumours that are no gliomas; {advice}"
            yield case.fault(folder, "no glioma", sentence)
            continue
        files = tree.files[folder]
        mask = layout.one_mask(case, folder, files, name + NAMING.mask)
        yield from layout.assemble(case, folder, files, NAMING.stems(name), mask)


def release_of(folder: Path) -> str:
    """Return the release of a case folder.

    SSA is BraTS-Africa in every year. For GLI the nearest folder above decides whose name has
    BraTS followed by 2023 or 2024; where there is none, time point 100 or later means 2024.
    """
    _, part, _, time = folder.name.split("-")
    if part == "SSA":
        return "brats_africa"
    years = (match[1] for above in folder.parents if (match := _YEAR.search(above.name)))
    return f"brats{next(years, '2024' if int(time) >= 100 else '2023')}"
