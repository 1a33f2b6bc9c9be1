"""Scores of a patient, the α sweep and intervals, beside what people would use instead.

The patient is real, the two branches are not: each sees the mask blurred, with smooth noise of its
own. Whole-tumour Dice is about 0.9, HD95 of the regions 2 to 9 mm.
"""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
import torch
from monai import metrics as monai
from numpy.typing import NDArray
from scipy import ndimage

from gliomalib import settings
from gliomalib.data import orientation
from gliomalib.data.readers import survey
from gliomalib.experiments import values
from gliomalib.fusion import average, exact_sweep, optimum
from gliomalib.schema import Grid, Labels, StoredCase, Volume
from gliomalib.scoring import metrics, surface, tables
from tests.benchmarks.ledger import Ledger, in_turn, seconds

EMPTY: metrics.EmptyRule = "brats"
ALPHAS = np.linspace(0, 1, 101)
FINE = np.linspace(0, 1, 1001)
MARGIN = 24
"""Voxels around the tumour in which a branch may see some, too."""


class Patient(NamedTuple):
    """A patient on the grid of BraTS with what two branches say."""

    case: StoredCase
    p2d: Volume
    p3d: Volume


@pytest.fixture(scope="module")
def patient(real_data: Path) -> Patient:
    """Return a real patient with simulated branches."""
    scan = orientation.read(survey.discover(real_data / "MICCAI_BraTS2020_TrainingData")[0])
    labels = np.ascontiguousarray(scan.labels)
    grid = Grid(scan.case.patient_id, labels.shape, scan.spacing_mm, (0, 0, 0), scan.affine)
    images = np.zeros((0, *labels.shape), np.float16)
    return Patient(
        StoredCase(grid, images, labels), branch(labels, grid, 2), branch(labels, grid, 3)
    )


def branch(labels: Labels, grid: Grid, seed: int) -> Volume:
    """Return probabilities of one who sees the mask blurred and under smooth noise."""
    generator = np.random.default_rng(seed)
    within = [
        slice(max(part.start - MARGIN, 0), part.stop + MARGIN)
        for part in ndimage.find_objects((labels > 0).astype(np.uint8))[0]
    ]
    probabilities = np.zeros((4, *labels.shape), np.float16)
    probabilities[0] = 1
    box = (slice(None), *within)
    noise = generator.standard_normal(probabilities[box].shape, np.float32)
    odds = np.empty_like(noise)
    for label in range(4):
        seen = ndimage.gaussian_filter((labels[*within] == label).astype(np.float32), 1.5)
        odds[label] = np.exp(8 * seen + 40 * ndimage.gaussian_filter(noise[label], 3))
    probabilities[box] = odds / odds.sum(axis=0)
    return Volume(probabilities, grid)


def one_hot(labels: Labels, regions: Mapping[str, tuple[int, ...]]) -> torch.Tensor:
    """Return boolean masks (1, regions, X, Y, Z)."""
    masks = [np.isin(labels, classes) for classes in regions.values()]
    return torch.from_numpy(np.stack(masks)[None])


def bench_scores(patient: Patient, ledger: Ledger) -> None:
    case, volume, _ = patient
    # it is handed the classes; ours begins with the probabilities
    predicted, spacing = tables.predicted_labels(volume), list(case.grid.spacing_mm)
    each = {str(label): (label,) for label in range(4)}

    def theirs() -> tuple[torch.Tensor, ...]:
        masks = [one_hot(labels, tables.REGIONS) for labels in (predicted, case.labels)]
        # boolean masks would add up to 1 where both are set, and count no voxel as right
        classes = [one_hot(labels, each).byte() for labels in (predicted, case.labels)]
        distances = monai.compute_hausdorff_distance(
            *masks, include_background=True, percentile=95, spacing=spacing
        )
        return monai.get_confusion_matrix(*classes), monai.compute_dice(*masks), distances

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        counts, dice, distances = (np.asarray(part[0]) for part in theirs())
        pair = in_turn(lambda: tables.score_volume(case, volume, EMPTY), theirs, runs=3)
    ours, confusion = tables.score_volume(case, volume, EMPTY), tables.confusion_of(case, volume)
    np.testing.assert_array_equal(counts[:, 0], np.diag(confusion))
    np.testing.assert_allclose(ours["dice"], dice, atol=1e-6)
    np.testing.assert_allclose(ours["hd95_mm"], distances, atol=1e-3)
    note = (
        f"NCR, ED, ET, WT, TC: ET is class and region; Dice {spread(ours['dice'])}, HD95 "
        f"{spread(ours['hd95_mm'])} mm, the same numbers; ours begins with probabilities, MONAI "
        "with classes"
    )
    ledger.compared("scores_monai", pair, note)


def spread(numbers: pd.Series) -> str:
    """Return the least and the most of some numbers."""
    return f"{numbers.min():.2f} to {numbers.max():.2f}"


def bench_hd95(patient: Patient, ledger: Ledger) -> None:
    try:
        # it imports a namespace of scipy that is about to go
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            import surface_distance
    except ImportError:
        ledger.skipped("hd95_surface_distance", "surface-distance is not installed")
        return
    case, volume, _ = patient
    predicted, spacing = tables.predicted_labels(volume), case.grid.spacing_mm

    def theirs(truth: Labels = case.labels, predicted: Labels = predicted) -> dict[str, float]:
        distances = {}
        for region, classes in tables.REGIONS.items():
            masks = [np.isin(labels, classes) for labels in (truth, predicted)]
            found = surface_distance.compute_surface_distances(*masks, spacing)
            distances[region] = surface_distance.compute_robust_hausdorff(found, 95)
        return distances

    def ours(truth: Labels = case.labels, predicted: Labels = predicted) -> dict[str, float]:
        return surface.hd95(truth, predicted, tables.REGIONS, spacing, EMPTY)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        # of a block that is moved both definitions say by how much
        block = np.zeros((30, 30, 30), np.uint8)
        block[3:15, 3:15, 3:15] = np.arange(3).repeat(4)[:, None, None] + 1
        moved = np.roll(block, 9, axis=1)
        for region, distance in ours(block, moved).items():
            assert distance == pytest.approx(theirs(block, moved)[region], abs=1e-3) == 9
        here, there = ours(), theirs()
        pair = in_turn(ours, theirs, runs=3)
    apart = max(abs(here[region] - there[region]) for region in here)
    note = (
        "theirs measures between corners of voxels, weighted by area and not interpolated, ours "
        "between centres of surface voxels as MONAI does: the same to 1e-3 mm where a block is "
        f"moved, up to {apart:.2f} mm apart on this patient's five regions"
    )
    ledger.compared("hd95_surface_distance", pair, note)


def curves_of(patient: Patient) -> list[optimum.Curve]:
    """Return exact Dice of all regions of a patient."""
    steps = exact_sweep.steps_of(patient.p2d, patient.p3d, patient.case.labels)
    return [exact_sweep.dice_at(steps, classes, EMPTY) for classes in tables.REGIONS.values()]


def sweep(patient: Patient) -> NDArray[np.float64]:
    """Return Dice (regions, 101) at every α of the sweep."""
    return np.stack([curve.at(ALPHAS) for curve in curves_of(patient)])


def best(patient: Patient) -> list[optimum.Best]:
    """Return the best α of each region and of the mean of the classes."""
    curves = curves_of(patient)
    return [*map(optimum.best_of, (*curves, optimum.mean_curve(curves[:3])))]


def evaluation(patient: Patient, alpha: float = settings.PAPER_ALPHA) -> list[float]:
    """Return Dice of all regions of the volume that is fused with one α."""
    fused = average.weighted_average(patient.p2d, patient.p3d, alpha)
    counts = tables.confusion_of(patient.case, fused)
    return [metrics.dice(counts, classes, EMPTY) for classes in tables.REGIONS.values()]


def bench_sweep(patient: Patient, ledger: Ledger) -> None:
    pair = in_turn(lambda: sweep(patient), lambda: evaluation(patient))
    # a voxel whose classes tie in float16 may get the other one in the average
    apart = abs(sweep(patient)[:, 60] - evaluation(patient, ALPHAS[60])).max()
    assert apart < 1e-3
    note = f"fused, then confusion and Dice of all regions; at α = 0.6 within {apart:.0e} of it"
    ledger.compared("sweep_evaluation", pair, note)


def bench_optimum(patient: Patient, ledger: Ledger) -> None:
    pair = in_turn(lambda: best(patient), lambda: sweep(patient))
    curves = curves_of(patient)
    curves.append(optimum.mean_curve(curves[:3]))
    # α of the fine grid at which two classes tie belong to the order of the classes
    tried = [np.setdiff1d(FINE, curve.alphas[1:-1]) for curve in curves]
    gains = [
        found.value - curve.at(alphas).max()
        for found, curve, alphas in zip(best(patient), curves, tried, strict=True)
    ]
    assert min(gains) >= -optimum.TIE
    note = f"{min(gains):.1e} to {max(gains):.1e} better than the best of 1,001 α"
    ledger.compared("optimum_sweep", pair, note)


def bench_bootstrap(ledger: Ledger) -> None:
    # a table of results; each row is drawn by the seed of its name, as in the notebooks
    study = settings.load("brats")
    assert study.evaluation.bootstrap == 10_000
    generator = np.random.default_rng(0)
    columns = [
        f"{network}_{region}_{score}"
        for network in ("2D", "3D", "fused")
        for region in ("mean", *tables.REGIONS)
        for score in ("dice", "hd95_mm")
    ]
    table = pd.DataFrame(generator.beta(5, 2, (369, len(columns))), columns=columns)

    def rows() -> object:
        return [values.mean(name, table[name], study, "mean") for name in columns]

    rows()
    took = sorted(seconds(rows) for _ in range(3))[1]
    ledger.measured("bootstrap_369", took, f"{len(columns)} rows: networks × regions × Dice, HD95")
