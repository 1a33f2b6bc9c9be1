"""How evaluation and sweep grow with the patients of a study, in seconds and in memory."""

import contextlib
import io
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from gliomalib.experiments import alpha_curves
from gliomalib.fusion import optimum
from gliomalib.pipeline import folds
from gliomalib.schema import Labels, Split, Volume
from tests import planted_branches
from tests.benchmarks.growth import (
    ORDER,
    PATIENTS,
    measured,
    memory_growth,
    time_growth,
    turns,
)
from tests.benchmarks.ledger import Ledger

SHAPE = (24, 24, 16)
NOTEBOOK = "08_alpha_sweep"
NAMES = tuple(f"P{number:03}" for number in range(max(PATIENTS) + 1))
"""Who is in the study; the first is the only one who is trained on."""


def labels_of(patient: str) -> Labels:
    """Return a tumour of all classes, each patient's at another place."""
    labels = np.zeros(SHAPE, np.uint8)
    start = 2 + NAMES.index(patient) % 6
    labels[start : start + 14, 4:20, 3:13] = 2
    labels[start + 2 : start + 11, 6:16, 5:11] = 3
    labels[start + 4 : start + 8, 8:13, 6:9] = 1
    return labels


def volume_of(network: str, patient: str, fold: int) -> Volume:
    """Return what a network sees that errs in some voxels."""
    generator = np.random.default_rng((len(network), ord(network[-2]), NAMES.index(patient)))
    odds = 3 * np.moveaxis(np.eye(4, dtype=np.float32)[labels_of(patient)], -1, 0)
    odds = np.exp(odds + generator.standard_normal(odds.shape, np.float32))
    grid = planted_branches.grid(patient, SHAPE)
    return Volume((odds / odds.sum(axis=0)).astype(np.float16), grid)


def split(patients: int, turn: int = 0) -> Split:
    """Return a fold that reports so many patients, other ones at each turn."""
    first = 1 + turn * patients
    return Split(0, NAMES[:1], (), NAMES[first : first + patients])


def opened(root: Path, patients: int) -> list[folds.Material]:
    """Return studies of so many patients, as many as are carried through."""
    with contextlib.redirect_stdout(io.StringIO()):
        whole = folds.open_material(planted_branches.begin(root, NOTEBOOK))
    study = whole.study.model_copy(update={"variants": {}})
    material = replace(whole, run=replace(whole.run, study=study))
    # what is only done once in a process belongs to no size
    first = replace(material, splits=(split(2),))
    evaluate([first])
    sweep([first])
    each = range(turns(patients))
    return [replace(material, splits=(split(patients, turn),)) for turn in each]


def evaluate(studies: list[folds.Material]) -> None:
    """Score both branches and the fused volume of all patients."""
    for material in studies:
        folds.segmentation_scores(material, tuple(folds.SHORT))


def sweep(studies: list[folds.Material]) -> None:
    """Find the best α of the mean Dice of each region, without its interval."""
    for material in studies:
        for curves in alpha_curves.exact(material).curves.values():
            optimum.best_of(optimum.Mean(curves.values()))


def bench_growth(tmp_path: Path, ledger: Ledger) -> None:
    people = (split(max(PATIENTS)),)
    planted_branches.material(tmp_path, NOTEBOOK, people, labels_of, volume_of)
    # one after the other in one process, which takes longer to start than either takes
    each_size = [measured((sweep, evaluate), partial(opened, tmp_path), size) for size in ORDER]
    each_work = zip(*each_size, strict=True)
    for key, runs in zip(("growth_sweep", "growth_evaluation"), each_work, strict=True):
        each = ", ".join(
            f"{1000 * run.seconds / run.patients:.1f}" for run in runs[: len(PATIENTS)]
        )
        ledger.measured(key, time_growth(runs), f"ms a patient: {each}")
        peaks = " and ".join(f"{run.peak_bytes / 1e6:.0f}" for run in (runs[0], runs[-1]))
        note = f"{key.removeprefix('growth_')}: {peaks} MB"
        ledger.at_worst("growth_memory", memory_growth(runs), note)
