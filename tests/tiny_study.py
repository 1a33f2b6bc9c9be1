"""A finished study of four coarse patients in two folds, and files of patients for it."""

import atexit
import shutil
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import nibabel as nib
import numpy as np

from gliomalib import records
from gliomalib.cohort import table
from gliomalib.cohort.splits import write_splits
from gliomalib.data import inspection
from gliomalib.data.readers import survey
from gliomalib.pipeline import folds, preprocess
from gliomalib.schema import SEQUENCES, Case, Split, Value
from tests.planted_branches import begin

STUDY = "smoke"
PATIENTS = tuple(f"BraTS20_Training_{number:03d}" for number in range(1, 5))
SPLITS = (
    Split(0, PATIENTS[:2], (), PATIENTS[2:]),
    Split(1, PATIENTS[2:], (), PATIENTS[:2]),
)
RAW = np.array([0, 1, 2, 4], np.uint8)


@dataclass(frozen=True)
class Phantom:
    """Images (4, X, Y, Z) int16 and canonical labels (X, Y, Z) with their affine, in LPS."""

    images: np.ndarray
    labels: np.ndarray
    affine: np.ndarray


def phantom(seed: int, spacing: float = 4.0, extent: float = 144.0) -> Phantom:
    """Return a brain of 110 mm with a tumour of three nested balls somewhere in its middle."""
    rng = np.random.default_rng(seed)
    n = round(extent / spacing)
    affine = np.diag([-spacing, -spacing, spacing, 1.0])
    affine[:3, 3] = [extent / 2, extent / 2, -extent / 2]
    places = np.stack(np.indices((n, n, n)), axis=-1) * spacing - (n - 1) * spacing / 2
    away = np.linalg.norm(places - rng.uniform(-16, 16, 3), axis=-1)
    labels = np.select([away < 9, away < 15, away < 25], [1, 3, 2], 0).astype(np.uint8)
    brain = np.linalg.norm(places, axis=-1) < 55
    contrast = np.array(
        [[60, 20, 50, 90], [60, 30, 55, 140], [60, 120, 100, 70], [60, 90, 130, 80]]
    )
    images = contrast[:, labels] + rng.normal(0, 4, (4, n, n, n)) + 100
    return Phantom((images * brain).astype(np.int16), labels * brain, affine)


def write_case(folder: Path, made: Phantom, masked: bool = True) -> Path:
    """Write a case as BraTS 2020 lays it out."""
    folder.mkdir(parents=True)
    files = dict(zip(SEQUENCES, made.images, strict=True))
    files |= {"seg": RAW[made.labels]} if masked else {}
    for name, values in files.items():
        image = nib.Nifti1Image(values, made.affine)
        image.header.set_xyzt_units("mm")
        nib.save(image, folder / f"{folder.name}_{name}.nii.gz")
    return folder


def make(root: Path) -> Path:
    """Write a finished study to ``root``, a copy of one that each process makes once.

    Whoever asks gets files of their own to spoil.
    """
    shutil.copytree(_once(), root, dirs_exist_ok=True)
    _write_people(survey.discover(root / "raw"), root / "data" / STUDY)
    return root


@cache
def _once() -> Path:
    root = Path(tempfile.mkdtemp(prefix="tiny-study-"))
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    return _run_study(root)


def _run_study(root: Path) -> Path:
    """Run a study as its notebooks do, with tiny networks; return ``root``."""
    for number, name in enumerate(PATIENTS):
        write_case(root / "raw" / name, phantom(number))
    cases = survey.discover(root / "raw")
    work = root / "data" / STUDY
    _write_people(cases, work)
    run = begin(root, "02_preprocessing")
    store = preprocess.open_store(work / "store", run.study.preprocessing)
    preprocess.fill(store, cases, run.study.preprocessing)
    small = {"epochs": 1, "channels": [8, 16]}
    for network, notebook in (("unet2d", "03_train_unet2d"), ("unet3d", "04_train_unet3d")):
        material = folds.open_material(begin(root, notebook, **small))
        trained = folds.train_segmenters(material, network)  # type: ignore[arg-type]
        folds.predict_volumes(material, network, trained)
        _finish(material.run)
    material = folds.open_material(begin(root, "06_train_resnet50"))
    folds.train_classifiers(material)
    _finish(material.run)
    return root


def _write_people(cases: list[Case], work: Path) -> None:
    found = inspection.inspect_all(cases, signatures=False)
    entries = [table.Entry(one.case, "internal", seen=one) for one in found]
    table.write_cases(table.table_of(entries), work / "cases.csv")
    write_splits(SPLITS, work / "splits.json")


def _finish(run: records.Run) -> None:
    records.finish(run, records.NotebookResult(values=[Value("one", 1.0, rule="as it is")]))
