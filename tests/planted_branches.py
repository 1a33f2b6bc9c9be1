"""A study on disk whose networks predict what a test plants."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from gliomalib import records
from gliomalib.cohort.splits import write_splits
from gliomalib.networks import predict
from gliomalib.pipeline import folds, preprocess
from gliomalib.schema import Grid, Labels, Split, StoredCase, Volume

SHAPE = (12, 12, 10)
PATIENTS = "ABCDEFGHIJKL"
AFFINE = tuple(tuple(float(i == j) for j in range(4)) for i in range(4))


def grid(patient: str, shape: tuple[int, int, int] = SHAPE) -> Grid:
    return Grid(patient, shape, (4.0, 4.0, 4.0), (0, 0, 0), AFFINE)


def begin(root: Path, notebook: str, **parameters: object) -> records.Run:
    """Begin a run of the study ``smoke``, or of the one that is named, below ``root``."""
    where = {"data_dir": str(root / "data"), "report_dir": str(root / "reports")}
    return records.begin(notebook, {"study": "smoke", **where, **parameters})


def material(
    root: Path,
    notebook: str,
    splits: Sequence[Split],
    labels_of: Callable[[str], Labels],
    volume_of: Callable[[str, str, int], Volume],
    networks: Iterable[str] = folds.BRANCHES,
) -> folds.Material:
    """Return a study under ``root``; ``volume_of`` takes network, patient and fold."""
    run = begin(root, notebook)
    store = preprocess.open_store(run.work_dir / "store", run.study.preprocessing)
    write_splits(splits, run.work_dir / "splits.json")
    named = {name for split in splits for part in folds.parts_of(split).values() for name in part}
    for patient in sorted(named):
        labels = labels_of(patient)
        images = np.full((4, *labels.shape), 0.5, dtype=np.float16)
        voxels = np.bincount(labels.ravel(), minlength=4).tolist()
        crop = {"voxels": voxels, "in_plane": voxels, "in_box": voxels, "voxel_mm3": 64.0}
        case = StoredCase(grid(patient, labels.shape), images, labels)
        store.put(case, "digest", {"crop": crop})
        for network in networks:
            for split in splits:
                folder = run.work_dir / "predictions" / network / f"fold{split.fold}"
                predict.save(volume_of(network, patient, split.fold), folder / f"{patient}.npy")
    return folds.open_material(run)


def labels_of(patient: str) -> Labels:
    """Return a tumour whose class in each slice is the same for all patients."""
    labels = np.zeros(SHAPE, dtype=np.uint8)
    start = 1 + PATIENTS.index(patient) % 3
    labels[start : start + 8, 2:10, 2:8] = 2
    labels[start : start + 7, 2:9, 3:7] = 3
    labels[start : start + 7, 2:9, 4:5] = 1
    return labels


def noisy_volume(patient: str, noise: float, seed: int) -> Volume:
    """Return the truth as a network sees it that errs the more the larger ``noise`` is."""
    rng = np.random.default_rng((seed, PATIENTS.index(patient)))
    one_hot = np.moveaxis(np.eye(4)[labels_of(patient)], -1, 0)
    odds = np.exp(3 * one_hot + noise * rng.normal(size=one_hot.shape))
    return Volume((odds / odds.sum(axis=0)).astype(np.float16), grid(patient))


def noisy(
    root: Path,
    notebook: str,
    splits: Sequence[Split],
    networks: Mapping[str, tuple[float, int]],
) -> folds.Material:
    """Return a study whose networks have these noises and seeds (plus the number of the fold)."""

    def predicted(network: str, patient: str, fold: int) -> Volume:
        noise, seed = networks[network]
        return noisy_volume(patient, noise, seed + fold)

    return material(root, notebook, splits, labels_of, predicted, networks)
