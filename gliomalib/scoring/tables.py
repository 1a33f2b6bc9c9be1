"""Per-patient tables from volumes and slices; a missing patient is an error, never a smaller n."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gliomalib import labels
from gliomalib.schema import Confusion, RecordError, StoredCase, Volume
from gliomalib.scoring import metrics, surface

CLASSES: Mapping[str, tuple[int, ...]] = {"NCR": (1,), "ED": (2,), "ET": (3,)}
REGIONS: Mapping[str, tuple[int, ...]] = {**CLASSES, **labels.REGIONS}
"""The three sub-regions and the nested regions of BraTS; ET is both."""

RULES: Mapping[str, str] = {
    "dice": "the study's own rule for empty masks",
    "dice_present": "classes that the truth lacks left out",
    "dice_volume": "little enhancing tumour predicted counts as necrotic core",
}
"""Columns of a table of scores, and the rule by which each treats masks without voxels."""

SMALLEST_ET_ML = 0.2
"""Less enhancing tumour than this many millilitres (200 voxels of 1 mm) is taken for necrotic core
by the rule ``dice_volume``, as nnU-Net did in BraTS 2020 (Isensee et al. 2021,
doi:10.1007/978-3-030-72087-2_11); the limit is a round number and was chosen on no patient."""


def predicted_labels(volume: Volume) -> NDArray[np.uint8]:
    """Return the most probable class of each voxel (X, Y, Z); ties go to the lower class.

    Probabilities are taken to lie in 0–1, as ``average.check_probabilities`` sees to.
    """
    # float16 from 0 on are in the order of their bits, which compare many times faster than they
    bits = volume.probabilities.view(np.int16)
    highest, classes = bits[0].copy(), np.zeros(bits.shape[1:], dtype=np.uint8)
    for label in range(1, len(bits)):
        np.copyto(classes, np.uint8(label), where=bits[label] > highest)
        np.maximum(highest, bits[label], out=highest)
    return classes


def confusion_of(case: StoredCase, volume: Volume) -> Confusion:
    """Return the 4×4 matrix of voxels of one patient, rows the truth."""
    return metrics.confusion_matrix(case.labels, predicted_labels(volume))


def dice_by_rule(
    counts: Confusion, classes: tuple[int, ...], empty: metrics.EmptyRule, voxel_ml: float
) -> dict[str, float]:
    """Return the Dice of one region by each of ``RULES``; NaN where a rule leaves it out.

    ``counts`` is the 4×4 matrix of voxels, rows the truth, of ``voxel_ml`` millilitres each.
    """
    kept = counts.copy()
    if counts[:, 3].sum() * voxel_ml < SMALLEST_ET_ML:
        kept[:, 1] += kept[:, 3]
        kept[:, 3] = 0
    is_present = counts[list(classes)].any()
    dice = metrics.dice(counts, classes, empty)
    of_volume = metrics.dice(kept, classes, empty)
    numbers = (dice, dice if is_present else float("nan"), of_volume)
    return dict(zip(RULES, numbers, strict=True))


def score_volume(case: StoredCase, volume: Volume, empty: metrics.EmptyRule) -> pd.DataFrame:
    """Return one row per region.

    Columns: patient_id, region, those of ``RULES``, hd95_mm, state, truth_ml, predicted_ml.
    ``state`` says whether truth and prediction both have voxels (see ``metrics.mask_state``).
    """
    predicted_classes = predicted_labels(volume)
    counts = metrics.confusion_matrix(case.labels, predicted_classes)
    distances = surface.hd95(case.labels, predicted_classes, REGIONS, case.grid.spacing_mm, empty)
    voxel_ml = case.grid.voxel_ml
    rows = [
        {
            "patient_id": case.grid.patient_id,
            "region": region,
            **dice_by_rule(counts, classes, empty, voxel_ml),
            "hd95_mm": distances[region],
            "state": metrics.mask_state(counts, classes),
            "truth_ml": voxel_ml * counts[list(classes)].sum(),
            "predicted_ml": voxel_ml * counts[:, list(classes)].sum(),
        }
        for region, classes in REGIONS.items()
    ]
    return pd.DataFrame(rows)


def with_mean(table: pd.DataFrame) -> pd.DataFrame:
    """Return ``table`` with a region ``mean``: each patient's mean of NCR, ED and ET Dice.

    It has one by each of ``RULES`` that the table has; classes that a rule leaves out are no part.
    """
    keys = [name for name in ("patient_id", "part", "fold", "network", "seed") if name in table]
    of_classes = table[table["region"].isin(list(CLASSES))]
    rules = [name for name in RULES if name in table]
    mean = of_classes.groupby(keys, sort=False)[rules].mean().reset_index()
    return pd.concat([table, mean.assign(region="mean")], ignore_index=True)


def overview(table: pd.DataFrame) -> pd.DataFrame:
    """Return Dice, HD95 and the counts of empty and missed masks by network, part and region."""
    # a mean has no mask of its own, but hangs on those of its classes
    masks = table[table["region"].isin(list(CLASSES))]
    masks = masks.assign(region="mean", dice=np.nan, hd95_mm=np.nan)
    full = pd.concat([with_mean(table), masks], ignore_index=True)
    networks = list(table["network"].unique())
    order = {"network": networks, "part": ["test", "external"], "region": ["mean", *REGIONS]}
    for column, names in order.items():
        full[column] = pd.Categorical(full[column], names)
    groups = full.groupby(list(order), observed=True)
    counted = groups.agg(
        patients=("patient_id", "nunique"),
        mean_dice=("dice", "mean"),
        lowest_dice=("dice", "min"),
        median_hd95_mm=("hd95_mm", "median"),
        both_empty=("state", lambda states: int((states == "empty").sum())),
        missed=("state", lambda states: int((states == "missed").sum())),
        spurious=("state", lambda states: int((states == "spurious").sum())),
    )
    digits = {"mean_dice": 3, "lowest_dice": 3, "median_hd95_mm": 1}
    return counted.round(digits).reset_index()


def per_patient(table: pd.DataFrame, region: str, part: str) -> pd.Series:
    """Return Dice of one region by patient, the mean over folds where there are several.

    Raises ``RecordError`` when the table has no patient of this part.
    """
    rows = table[(table["region"] == region) & (table["part"] == part)]
    if rows.empty:
        raise RecordError(f"no patient of part {part!r} has a {region} score; check the split")
    mean: pd.Series = rows.groupby("patient_id", sort=True)["dice"].mean()
    return mean


def patient_confusions(table: pd.DataFrame, part: str) -> Confusion:
    """Return a 4×4 matrix of slices for every patient of a part, shape (patients, 4, 4).

    ``table`` has one row per slice; a patient tested in several folds is summed over them.
    Raises ``RecordError`` when the table has no slice of this part.
    """
    rows = table[table["part"] == part]
    if rows.empty:
        raise RecordError(f"no slice of part {part!r} was classified; check the split")
    of_patients = rows[["truth", "predicted"]].groupby(rows["patient_id"], sort=True)
    return np.stack([metrics.confusion_matrix(*own.to_numpy().T) for _, own in of_patients])


def confusions_by_part(table: pd.DataFrame) -> dict[str, Confusion]:
    """Return one 4×4 matrix of slices for each part that the table has, its patients summed."""
    parts = [str(part) for part in table["part"].unique()]
    return {part: patient_confusions(table, part).sum(axis=0) for part in parts}


def most_errors(table: pd.DataFrame, count: int) -> list[str]:
    """Return the ``count`` patients with the most slices in the wrong class, worst first."""
    wrong = (table["truth"] != table["predicted"]).groupby(table["patient_id"]).sum()
    return [str(name) for name in wrong.sort_values(ascending=False, kind="stable").index[:count]]
