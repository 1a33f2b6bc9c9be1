"""Tiny cases of every release as they lie on disk, for the tests of whatever reads data sets.

Sequence k of ``schema.SEQUENCES`` holds values from 10·k + 1 to 10·k + 9, so that two sequences
exchanged are seen; the mask holds each canonical label in a number of voxels of its own, so that
two labels exchanged are. What a release has beside its cases (automatic masks, bias-corrected
copies, files of an archive program) is written as well, with values that no test expects.
"""

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np

from gliomalib.schema import SEQUENCES

SHAPE = (6, 6, 5)
AFFINE = np.diag([-1.0, -1.0, 1.0, 1.0])
VOXELS = (120, 10, 20, 30)
"""Voxels of canonical label 0 to 3 in every mask."""

CAVITY = 7
"""Voxels of the resection cavity in every mask of 2024, part of canonical label 0."""

OLD, NEW = (0, 1, 2, 4), (0, 1, 2, 3)
"""Raw labels of no tumour, core, edema and enhancing tumour until 2022 and since 2023."""


@dataclass(frozen=True)
class Layout:
    """How a release names things; ``{n}`` is the number of a patient, ``{v}`` of a visit.

    ``files`` is sequence (or seg) → path below ``folder`` with ``{case}`` for the case ID.
    """

    folder: str
    case: str
    patient: str
    files: Mapping[str, str]
    raw: tuple[int, int, int, int]
    visits: tuple[str, ...] = ("",)
    grade: str | None = None


def _files(place: str, *endings: str) -> dict[str, str]:
    """Return sequence (or seg) → path; without an ending for it there is no seg."""
    names = (*SEQUENCES, "seg")[: len(endings)]
    return {name: place + ending for name, ending in zip(names, endings, strict=True)}


def _brats(folder: str, case: str, grade: str | None = None) -> Layout:
    files = _files("{case}/{case}_", *SEQUENCES, "seg")
    return Layout(folder, case, case, files, OLD, grade=grade)


def _gli(folder: str, patient: str, visits: tuple[str, ...]) -> Layout:
    files = _files("{case}/{case}-", "t1n", "t1c", "t2w", "t2f", "seg")
    return Layout(folder, patient + "-{v}", patient, files, NEW, visits)


LAYOUTS = {
    "brats2017": _brats("Brats17TrainingData/HGG", "Brats17_TCIA_{n:03d}_1", "HGG"),
    "brats2018": _brats("MICCAI_BraTS_2018_Data_Training/HGG", "Brats18_TCIA_{n:03d}_1", "HGG"),
    "brats2019": _brats("MICCAI_BraTS_2019_Data_Training/LGG", "BraTS19_TMC_{n:05d}_1", "LGG"),
    "brats2020": _brats("MICCAI_BraTS2020_TrainingData", "BraTS20_Training_{n:03d}"),
    "brats2021": _brats("BraTS2021_Training_Data", "BraTS2021_{n:05d}"),
    "brats2023": _gli(
        "ASNR-MICCAI-BraTS2023-GLI-Challenge-TrainingData", "BraTS-GLI-{n:05d}", ("000", "001")
    ),
    "brats2024": _gli(
        "BraTS2024-BraTS-GLI-TrainingData/training_data1_v2", "BraTS-GLI-{n:05d}", ("100", "101")
    ),
    "brats_africa": _gli("BraTS-Africa/95_Glioma", "BraTS-SSA-{n:05d}", ("000",)),
    "msd_task01": Layout(
        folder="Task01_BrainTumour",
        case="BRATS_{n:03d}",
        patient="BRATS_{n:03d}",
        files={**dict.fromkeys(SEQUENCES, "imagesTr/{case}"), "seg": "labelsTr/{case}"},
        raw=(0, 2, 1, 3),
    ),
    "ucsf_pdgm": Layout(
        folder="UCSF-PDGM-v5",
        case="UCSF-PDGM-{n:04d}{v}",
        patient="UCSF-PDGM-{n:04d}",
        files=_files("{case}_nifti/{case}_", "T1", "T1c", "T2", "FLAIR", "tumor_segmentation"),
        raw=OLD,
        visits=("", "_FU003d"),
    ),
    "upenn_gbm": Layout(
        folder="UPENN-GBM",
        case="UPENN-GBM-{n:05d}_{v}",
        patient="UPENN-GBM-{n:05d}",
        files={
            **_files("images_structural/{case}/{case}_", "T1", "T1GD", "T2", "FLAIR"),
            "seg": "images_segm/{case}_segm",
        },
        raw=OLD,
        visits=("11", "21"),
        grade="HGG",
    ),
}
"""Release → layout."""

NAMES_HEADER = (
    "Grade,BraTS_2017_subject_ID,BraTS_2018_subject_ID,TCGA_TCIA_subject_ID,"
    "BraTS_2019_subject_ID,BraTS_2020_subject_ID\n"
)
NAMES_TABLE = NAMES_HEADER + (
    "HGG,Brats17_A,Brats18_A,NA,BraTS19_A,BraTS20_Training_001\n"
    "LGG,NA,NA,NA,BraTS19_B,BraTS20_Training_002\n"
    "HGG,NA,NA,NA,NA,BraTS20_Training_003\n"
)
"""The organisers' table of names, with three patients."""

UCSF_COLUMNS = ("ID", "Sex", "WHO CNS Grade", "BraTS21 ID", "BraTS21 Segmentation Cohort")


def write(
    root: Path,
    release: str,
    number: int,
    *,
    suffix: str = ".nii.gz",
    mask: bool = True,
    visit: int = 0,
) -> dict[str, Path]:
    """Write one examination of a patient below ``root``; return its files as ``Case.files``.

    ``visit`` counts the patient's examinations from 0. Without a mask a case of the Decathlon
    lies where the release keeps those, in imagesTs.
    """
    layout = LAYOUTS[release]
    case = case_id(release, number, visit)
    files = {
        name: root / layout.folder / (place.format(case=case) + suffix)
        for name, place in layout.files.items()
        if mask or name != "seg"
    }
    rng = np.random.default_rng([number, visit, *release.encode()])
    images = [10 * k + rng.integers(1, 10, SHAPE) for k in range(len(SEQUENCES))]
    if release == "msd_task01":
        return _write_task01(files, images)
    for name, image in zip(SEQUENCES, images, strict=True):
        save(files[name], image.astype(np.int16))
    if mask:
        save(files["seg"], raw_mask(release))
    _write_besides(release, root / layout.folder, case, suffix)
    return files


def case_id(release: str, number: int, visit: int = 0) -> str:
    return LAYOUTS[release].case.format(n=number, v=LAYOUTS[release].visits[visit])


def patient_id(release: str, number: int) -> str:
    return LAYOUTS[release].patient.format(n=number)


def canonical_mask() -> np.ndarray:
    """Return the labels of every mask as the library should read them."""
    return np.repeat(np.arange(4, dtype=np.uint8), VOXELS).reshape(SHAPE)


def raw_mask(release: str) -> np.ndarray:
    """Return the same labels as the release writes them."""
    raw = np.array(LAYOUTS[release].raw, np.uint8)[canonical_mask()]
    if release == "brats2024":
        raw.ravel()[:CAVITY] = 4
    return raw


def save(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(values, AFFINE), path)


def ucsf_table(path: Path, rows: Sequence[tuple[str, str, str]]) -> Path:
    """Write the metadata table of UCSF-PDGM with rows of ID, BraTS21 ID and WHO grade."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(UCSF_COLUMNS)
        table.writerows((name, "F", grade, same, "Training") for name, same, grade in rows)
    return path


def _write_task01(files: dict[str, Path], images: list[np.ndarray]) -> dict[str, Path]:
    by_name = dict(zip(SEQUENCES, images, strict=True))
    stacked = np.stack([by_name[name] for name in ("flair", "t1", "t1ce", "t2")], axis=-1)
    if "seg" not in files:
        place = files["t1"].parent.with_name("imagesTs") / files["t1"].name
        files = dict.fromkeys(SEQUENCES, place)
    save(files["t1"], stacked.astype(np.float32))
    files["t1"].with_name("._" + files["t1"].name).write_bytes(b"litter")
    if "seg" in files:
        save(files["seg"], raw_mask("msd_task01"))
    names = ("background", "edema", "non-enhancing tumor", "enhancing tumour")
    description = {
        "name": "BRATS",
        "tensorImageSize": "4D",
        "modality": dict(zip("0123", ("FLAIR", "T1w", "t1gd", "T2w"), strict=True)),
        "labels": dict(zip("0123", names, strict=True)),
    }
    (files["t1"].parents[1] / "dataset.json").write_text(json.dumps(description))
    return files


def _write_besides(release: str, folder: Path, case: str, suffix: str) -> None:
    other = np.full(SHAPE, 77, np.int16)
    if release == "ucsf_pdgm":
        for name in ("T1_bias", "T1c_bias", "FLAIR_bias", "ADC", "DTI_eddy_FA", "SWI", "ASL"):
            save(folder / f"{case}_nifti" / f"{case}_{name}{suffix}", other)
        for name in ("brain_segmentation", "brain_parenchyma_segmentation"):
            save(folder / f"{case}_nifti" / f"{case}_{name}{suffix}", np.sign(other))
    if release == "upenn_gbm":
        save(folder / "automated_segm" / f"{case}_automated_approx_segm{suffix}", np.sign(other))
        for place, name in (
            ("images_structural_unstripped", "T1_unstripped"),
            ("images_DTI", "DTI_FA"),
            ("images_DSC", "DSC"),
        ):
            save(folder / place / case / f"{case}_{name}{suffix}", other)
