"""A study on disk whose two branches predict what a test plants."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from gliomalib import records
from gliomalib.cohort import gather
from gliomalib.networks import predict
from gliomalib.pipeline import folds, preprocess
from gliomalib.schema import Grid, Labels, Split, StoredCase, Volume

AFFINE = tuple(tuple(float(i == j) for j in range(4)) for i in range(4))


def grid(patient: str, shape: tuple[int, int, int]) -> Grid:
    """Return a grid of 4 mm."""
    return Grid(patient, shape, (4.0, 4.0, 4.0), (0, 0, 0), AFFINE)


def material(
    root: Path,
    notebook: str,
    splits: Sequence[Split],
    labels_of: Callable[[str], Labels],
    volume_of: Callable[[str, str, int], Volume],
) -> folds.Material:
    """Return a study under ``root``; ``volume_of`` takes branch, patient and fold."""
    where = {"data_dir": str(root / "d"), "report_dir": str(root / "r")}
    run = records.begin(notebook, {"study": "smoke", **where})
    store = preprocess.open_store(run.work_dir / "store", run.study.preprocessing)
    gather.write_splits(splits, run.work_dir / "splits.json")
    named = {name for split in splits for part in folds.parts_of(split).values() for name in part}
    for patient in sorted(named):
        labels = labels_of(patient)
        images = np.full((4, *labels.shape), 0.5, dtype=np.float16)
        case = StoredCase(grid(patient, labels.shape), images, labels)
        store.put(case, "digest", {})
        for branch in folds.BRANCHES:
            for split in splits:
                folder = run.work_dir / "predictions" / branch / f"fold{split.fold}"
                volume = volume_of(branch, patient, split.fold)
                predict.save(volume, folder / f"{patient}.npy")
    return folds.open_material(run)
