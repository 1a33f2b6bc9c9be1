"""Memory does not grow with the cohort: scans of full size through every stage, patient by patient.

A few distinct scans are linked under the names of many patients. Each stage is a process of its
own, on a part of the patients and on all, and its peak must be the same and below the ceiling.
``make soak`` takes 369 patients (20 GB of disk), ``GLIOMA_LIMITS=12`` other numbers.
"""

import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from gliomalib import machines, settings
from gliomalib.cohort.splits import write_splits
from gliomalib.data.readers import survey
from gliomalib.experiments import alpha_curves, alpha_sweep
from gliomalib.pipeline import folds, preprocess
from gliomalib.provenance import peak_memory
from gliomalib.records import Run
from gliomalib.schema import SEQUENCES, Split
from tests.planted_branches import begin
from tests.tiny_study import RAW, phantom

CEILING, SPREAD = 8e9, 0.3e9
"""Bytes that a stage may take, and by how many its peaks may differ between few and many."""

SHAPE, DISTINCT, TRAINED_ON = (240, 240, 155), 2, 2

STEPS = 200
"""Steps of a training: what networks find after one is noise, with a change of class at nearly
every α, and its HD95 and its sweep take about thirty times as long."""


@dataclass(frozen=True)
class Measured:
    """What a stage took of memory and time."""

    peak: int
    seconds: float


def test_no_stage_keeps_the_cohort_in_memory(tmp_path: Path) -> None:
    asked = os.environ.get("GLIOMA_LIMITS") or ("369" if os.environ.get("GLIOMA_SOAK") else "")
    if not asked:
        pytest.skip("half an hour and 20 GB of disk: make soak, or GLIOMA_LIMITS=12")
    many = int(asked)
    few = max(many // 8, TRAINED_ON + 4)
    link_scans(tmp_path / "raw", many)
    peaks: dict[str, list[int]] = {}
    for count in (few, many):
        for stage in STAGES:
            took = alone(stage, tmp_path, count)
            name = stage.__name__
            peaks.setdefault(name, []).append(took.peak)
            sys.stdout.write(f"\n{name}, {count} patients: {took.peak / 1e9:.2f} GB, ")
            sys.stdout.write(f"{took.seconds:.0f} s")
            sys.stdout.flush()
    sizes = {folder.name: bytes_of(folder) / many for folder in (tmp_path / "data/smoke").iterdir()}
    sys.stdout.write(
        f"\nMB a patient: { {name: round(n / 1e6, 1) for name, n in sizes.items()} }\n"
    )
    assert max(map(max, peaks.values())) < CEILING, peaks
    for name, (before, after) in peaks.items():
        assert after - before < SPREAD, (name, before, after)


def alone(stage: Callable[[Path, int], None], root: Path, count: int) -> Measured:
    """Run a stage in a process that does nothing else."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(_measured, stage, root, count).result()


def _measured(stage: Callable[[Path, int], None], root: Path, count: int) -> Measured:
    begun = time.monotonic()
    stage(root, count)
    return Measured(peak_memory(), time.monotonic() - begun)


def names(count: int) -> tuple[str, ...]:
    return tuple(f"BraTS20_Training_{number:03d}" for number in range(1, count + 1))


def link_scans(root: Path, count: int) -> None:
    """Write a few scans of full size and link each to the names of many patients."""
    for number, name in enumerate(names(count)):
        (root / name).mkdir(parents=True)
        origin = names(count)[number % DISTINCT]
        for kind in (*SEQUENCES, "seg"):
            if number >= DISTINCT:
                os.link(
                    root / origin / f"{origin}_{kind}.nii.gz", root / name / f"{name}_{kind}.nii.gz"
                )
        if number < DISTINCT:
            _write_scan(root / name, number)


def _write_scan(folder: Path, seed: int) -> None:
    made = phantom(seed, spacing=1.0)
    gaps = [(0, whole - side) for whole, side in zip(SHAPE, made.labels.shape, strict=True)]
    volumes = dict(zip(SEQUENCES, made.images, strict=True)) | {"seg": RAW[made.labels]}
    for kind, volume in volumes.items():
        image = nib.Nifti1Image(np.pad(volume, gaps), made.affine)
        image.header.set_xyzt_units("mm")
        nib.save(image, folder / f"{folder.name}_{kind}.nii.gz")


def _begin(root: Path, notebook: str) -> Run:
    """Begin a run as of the study ``brats``, but with networks that are as small as can be."""
    run, whole = begin(root, notebook), settings.load("brats")
    small = {"channels": (4, 8), "strides": None, "epochs": 1, "residual_units": 0}
    study = whole.model_copy(
        update={
            "study": "smoke",
            "device": "cpu",
            "variants": {},
            "compute": machines.Compute(steps=STEPS),
            "unet2d": whole.unet2d.model_copy(update={**small, "batch_size": 8}),
            "unet3d": whole.unet3d.model_copy(update={**small, "batch_size": 1}),
        }
    )
    return replace(run, study=study)


def preprocessing(root: Path, count: int) -> None:
    run = _begin(root, "02_preprocessing")
    cases = [case for case in survey.discover(root / "raw") if case.case_id in names(count)]
    store = preprocess.open_store(run.work_dir / "store", run.study.preprocessing)
    preprocess.fill(store, cases, run.study.preprocessing)


def prediction(root: Path, count: int) -> None:
    people = names(count)
    splits = [Split(0, people[:TRAINED_ON], (), people[TRAINED_ON:])]
    write_splits(splits, root / "data/smoke/splits.json")
    for network, notebook in (("unet2d", "03_train_unet2d"), ("unet3d", "04_train_unet3d")):
        material = folds.open_material(_begin(root, notebook))
        trained = folds.train_segmenters(material, network)  # type: ignore[arg-type]
        folds.predict_volumes(material, network, trained)


def fusion_and_evaluation(root: Path, count: int) -> None:
    material = folds.open_material(_begin(root, "05_fusion"))
    scores = folds.segmentation_scores(material, ["fused"])
    assert scores["patient_id"].nunique() == count - TRAINED_ON


def sweep(root: Path, count: int) -> None:
    material = folds.open_material(_begin(root, "08_alpha_sweep"))
    exact = alpha_curves.exact(material)
    assert len(alpha_sweep.curve_table(exact, material.study))
    assert alpha_sweep.optima(exact, material.study)["mean"].alpha.n == count - TRAINED_ON


STAGES = (preprocessing, prediction, fusion_and_evaluation, sweep)


def bytes_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
