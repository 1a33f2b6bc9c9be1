"""UCSF-PDGM: preoperative diffuse glioma of one hospital, partly in BraTS 2021 as well.

Calabrese et al. 2022 (doi:10.1148/ryai.220058; data doi:10.7937/tcia.bdgf-8v37). Layout as in
version 5, by a user's listing of the files: ``UCSF-PDGM-0004_nifti`` holds two dozen files that
begin with ``UCSF-PDGM-0004_``, among them bias-corrected copies, diffusion and two masks of the
brain. The table of names is a download of its own, ``UCSF-PDGM-metadata_v5.csv``; its IDs have
three digits where folders have four, and 298 examinations have an ID of BraTS 2021.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gliomalib.data.readers import layout, tables
from gliomalib.data.readers.layout import Naming, Tree
from gliomalib.schema import Case, DataError, Fault

RELEASE = "ucsf_pdgm"
EXAMPLES = ("UCSF-PDGM-0004_nifti", "UCSF-PDGM-0429_FU003d_nifti", "UCSF-PDGM-0004_T1c")
LOOKED_FOR = (
    "case folders UCSF-PDGM-NNNN_nifti (follow-ups UCSF-PDGM-NNNN_FUNNNd_nifti) that hold "
    "<case>_{T1,T1c,T2,FLAIR,tumor_segmentation}.nii or .nii.gz"
)

NAMING = Naming(
    re.compile(r"UCSF-PDGM-\d{4}(_FU\d+d)?"),
    {"t1": "_T1", "t1ce": "_T1c", "t2": "_T2", "flair": "_FLAIR"},
    "_tumor_segmentation",
    "_nifti",
)

COLUMNS = ("ID", "BraTS21 ID", "WHO CNS Grade")

GRADES = {"2": "LGG", "3": None, "4": "HGG"}
"""WHO grade → grade as BraTS has it. Grade 3 stays open, since BraTS has no one rule for it: it is
high-grade in Menze et al. 2015 and part of the lower-grade TCGA-LGG in Bakas et al. 2017."""

RENAMED = {
    "UCSF-PDGM-0138": "UCSF-PDGM-0429_FU003d",
    "UCSF-PDGM-0175": "UCSF-PDGM-0396_FU175d",
    "UCSF-PDGM-0181": "UCSF-PDGM-0409_FU001d",
    "UCSF-PDGM-0278": "UCSF-PDGM-0431_FU001d",
    "UCSF-PDGM-0289": "UCSF-PDGM-0391_FU016d",
    "UCSF-PDGM-0315": "UCSF-PDGM-0433_FU007d",
}
"""Six examinations that versions 1 and 2 took for patients of their own → name from version 3."""

# a glossary of the columns has nearly the same name
_CALLED_TABLE = re.compile(r"UCSF-PDGM-metadata(?!_glossary).*", re.IGNORECASE)
_EXAM = re.compile(r"UCSF-PDGM-(\d{1,4})(_FU\d+d)?")
_BRATS = re.compile(r"(?:BraTS2021_)?(\d{5})")
_NO_ENTRY = ("", "NA", "unknown")


@dataclass(frozen=True)
class Exam:
    """One row of the table: an examination, its ID in BraTS 2021, its grade, where it stands."""

    name: str
    brats_id: str | None
    grade: str | None
    where: str

    @property
    def patient(self) -> str:
        """The patient's own ID, without the follow-up."""
        return self.name.partition("_")[0]


def find(tree: Tree) -> Iterator[Case | Fault]:
    """Yield the cases of UCSF-PDGM in a folder, and what is wrong with the others.

    Follow-ups belong to their patient. A patient has the ID of BraTS 2021 where the table gives
    one (of the first examination that has one), so that it is recognised there; without the table
    nothing says who is also in BraTS 2021. Faults are also tables that cannot be used.
    """
    names, faults = tables.read_all(tree, read_table, names_of, RELEASE)
    patient_ids, grades = names
    yield from faults
    for folder, name in layout.case_folders(tree, NAMING):
        exam = RENAMED.get(name, name)
        patient = exam.partition("_")[0]
        patient = patient_ids.get(patient, patient)
        case = Case(exam, patient, RELEASE, {}, None, grades.get(exam))
        files = tree.files[folder]
        mask = layout.one_mask(case, folder, files, name + NAMING.mask)
        yield from layout.assemble(case, folder, files, NAMING.stems(name), mask)


def read_table(path: str | Path) -> list[Exam]:
    """Return the rows of the release's metadata table, known by its columns; [] for another one.

    Raises ``DataError`` for a missing column where it is called so, and for an ID or a grade that
    is none.
    """
    ours = bool(_CALLED_TABLE.fullmatch(Path(path).name))
    names = tables.columns_of(Path(path), ours=ours)
    missing = [name for name in COLUMNS if name not in names]
    if missing and not ours:
        return []
    if missing:
        raise DataError(
            f"{path}: no row with {', '.join(missing)}; fetch UCSF-PDGM-metadata_v5.csv, the first "
            "version did not have all columns"
        )
    return [_exam(row, f"{path}, line {line}") for line, row in tables.rows_of(path).items()]


def names_of(exams: Sequence[Exam]) -> tuple[dict[str, str], dict[str, str | None]]:
    """Return the ID in BraTS 2021 of each patient who has one, and the grade of each examination.

    Raises ``DataError`` where two rows of one examination disagree, or two patients share an ID.
    """
    by_name: dict[str, Exam] = {}
    owners: dict[str, Exam] = {}
    for exam in exams:
        before = by_name.setdefault(exam.name, exam)
        if (before.brats_id, before.grade) != (exam.brats_id, exam.grade):
            raise DataError(
                f"{exam.where}: {exam.name} is {exam.brats_id}, {exam.grade}, but "
                f"{before.brats_id}, {before.grade} in {before.where}; keep only the newest table"
            )
        owner = owners.setdefault(exam.brats_id, exam) if exam.brats_id else exam
        if owner.patient != exam.patient:
            raise DataError(
                f"{exam.where}: {exam.brats_id} is {exam.patient}, but {owner.patient} in "
                f"{owner.where}; correct the table"
            )
    # sorted by name, the first examination comes before its follow-ups
    first: dict[str, str] = {}
    for name in sorted(by_name):
        if brats_id := by_name[name].brats_id:
            first.setdefault(by_name[name].patient, brats_id)
    return first, {name: exam.grade for name, exam in by_name.items()}


def _exam(row: Mapping[str, str | None], where: str) -> Exam:
    name, brats_id, grade = ((row[column] or "").strip() for column in COLUMNS)
    match = _EXAM.fullmatch(name)
    if not match:
        raise DataError(f"{where}: ID is {name!r}, expected one like UCSF-PDGM-004")
    same = None if brats_id in _NO_ENTRY else _BRATS.fullmatch(brats_id)
    if brats_id not in _NO_ENTRY and not same:
        raise DataError(f"{where}: BraTS21 ID is {brats_id!r}, expected one like BraTS2021_00097")
    if grade not in (*GRADES, *_NO_ENTRY):
        raise DataError(f"{where}: WHO CNS Grade is {grade!r}, expected 2, 3 or 4")
    exam = f"UCSF-PDGM-{int(match[1]):04d}{match[2] or ''}"
    return Exam(
        name=RENAMED.get(exam, exam),
        brats_id=f"BraTS2021_{same[1]}" if same else None,
        grade=GRADES.get(grade),
        where=where,
    )
