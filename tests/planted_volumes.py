"""A study of planted volumes on disk: patients with known labels, branches that err as told."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from gliomalib import records
from gliomalib.cohort.splits import write_splits
from gliomalib.networks import predict
from gliomalib.pipeline import folds, preprocess
from gliomalib.schema import Grid, Split, StoredCase, Volume

SHAPE = (12, 12, 10)
AFFINE = tuple(tuple(float(i == j) for j in range(4)) for i in range(4))
PATIENTS = "ABCDEFGHIJKL"


def grid(patient: str) -> Grid:
    return Grid(patient, SHAPE, (4.0, 4.0, 4.0), (0, 0, 0), AFFINE)


def labels_of(patient: str) -> np.ndarray:
    """Return a tumour whose class in each slice is the same for all patients."""
    labels = np.zeros(SHAPE, dtype=np.uint8)
    start = 1 + PATIENTS.index(patient) % 3
    labels[start : start + 8, 2:10, 2:8] = 2
    labels[start : start + 7, 2:9, 3:7] = 3
    labels[start : start + 7, 2:9, 4:5] = 1
    return labels


def volume_of(patient: str, noise: float, seed: int) -> Volume:
    """Return the truth as a network sees it that errs the more the larger ``noise`` is."""
    rng = np.random.default_rng((seed, PATIENTS.index(patient)))
    one_hot = np.moveaxis(np.eye(4)[labels_of(patient)], -1, 0)
    odds = np.exp(3 * one_hot + noise * rng.normal(size=one_hot.shape))
    return Volume((odds / odds.sum(axis=0)).astype(np.float16), grid(patient))


def study(
    root: Path,
    notebook: str,
    splits: tuple[Split, ...],
    networks: Mapping[str, tuple[float, int]],
) -> folds.Material:
    """Return a study in which each network predicts with its noise and seed."""
    where = {"data_dir": str(root / "d"), "report_dir": str(root / "r")}
    run = records.begin(notebook, {"study": "smoke", **where})
    store = preprocess.open_store(run.work_dir / "store", run.study.preprocessing)
    write_splits(splits, run.work_dir / "splits.json")
    parts = [names for split in splits for names in folds.parts_of(split).values()]
    for patient in sorted({name for names in parts for name in names}):
        images = np.full((4, *SHAPE), 0.5, dtype=np.float16)
        store.put(StoredCase(grid(patient), images, labels_of(patient)), "digest", {})
        for split in splits:
            for network, (noise, seed) in networks.items():
                folder = run.work_dir / "predictions" / network / f"fold{split.fold}"
                predict.save(volume_of(patient, noise, seed), folder / f"{patient}.npy")
    return folds.open_material(run)
