"""Per-patient tables: known answers on small volumes, and nothing dropped."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gliomalib.schema import Grid, RecordError, StoredCase, Volume
from gliomalib.scoring import tables

IDENTITY = tuple(tuple(float(i == j) for j in range(4)) for i in range(4))


def grid(patient: str = "P1", shape: tuple[int, int, int] = (6, 6, 4)) -> Grid:
    return Grid(patient, shape, (2.0, 2.0, 2.0), (0, 0, 0), IDENTITY)


def case(labels: np.ndarray, patient: str = "P1") -> StoredCase:
    images = np.zeros((4, *labels.shape), np.float16)
    return StoredCase(grid(patient, labels.shape), images, labels.astype(np.uint8))


def certain(labels: np.ndarray, patient: str = "P1") -> Volume:
    one_hot = np.moveaxis(np.eye(4, dtype=np.float16)[labels], -1, 0)
    return Volume(one_hot, grid(patient, labels.shape))


@pytest.fixture
def labels() -> np.ndarray:
    found = np.zeros((6, 6, 4), dtype=np.int64)
    found[1:5, 1:5, 1:3] = 2
    found[2:4, 2:4, 1:3] = 3
    found[2, 2, 1] = 1
    return found


def row(table: pd.DataFrame, region: str) -> pd.Series:
    return table[table["region"] == region].iloc[0]


def test_a_perfect_prediction_scores_one_everywhere(labels: np.ndarray) -> None:
    table = tables.score_volume(case(labels), certain(labels), "brats")
    assert (table["dice"] == 1).all() and (table["hd95_mm"] == 0).all()
    assert row(table, "WT")["truth_ml"] == pytest.approx((labels > 0).sum() * 8 / 1000)


def test_volumes_and_distances_know_the_three_sides_of_a_voxel() -> None:
    truth, predicted = np.zeros((6, 6, 8), np.int64), np.zeros((6, 6, 8), np.int64)
    truth[2, 2, 1] = predicted[2, 2, 4] = truth[4, 2, 1] = predicted[4, 2, 1] = 2
    place = replace(grid("P1", truth.shape), spacing_mm=(1.5, 2.0, 5.0))
    scored = tables.score_volume(
        replace(case(truth), grid=place), replace(certain(predicted), grid=place), "brats"
    )
    edema = row(scored, "ED")
    assert edema["truth_ml"] == edema["predicted_ml"] == pytest.approx(2 * 15 / 1000)
    # the missed voxel is nearer to the other one (3 mm along x) than to the one three slices up
    there, back = np.percentile([0, 3], 95), np.percentile([0, 15], 95)
    assert edema["hd95_mm"] == pytest.approx(max(there, back))


def test_of_equally_probable_classes_the_lower_one_is_predicted() -> None:
    probabilities = np.array([[0.25, 0], [0.25, 0.5], [0.25, 0], [0.25, 0.5]], np.float16)
    volume = Volume(probabilities.reshape(4, 2, 1, 1), grid(shape=(2, 1, 1)))
    assert tables.predicted_labels(volume).ravel().tolist() == [0, 1]


TIES = st.sampled_from([0.0, 6e-8, 0.25, 0.5, 1.0])


@settings(deadline=None)
@given(hnp.arrays(np.float16, (4, 3, 2, 2), elements=st.one_of(st.floats(0, 1, width=16), TIES)))
def test_the_predicted_class_is_the_most_probable_one(probabilities: np.ndarray) -> None:
    volume = Volume(np.abs(probabilities), grid(shape=(3, 2, 2)))
    slow = volume.probabilities.astype(np.float64).argmax(axis=0)
    found = tables.predicted_labels(volume)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, slow)


def test_regions_are_merged_before_they_are_scored(labels: np.ndarray) -> None:
    swapped = np.where(labels == 1, 3, np.where(labels == 3, 1, labels))
    table = tables.score_volume(case(labels), certain(swapped), "brats")
    assert row(table, "WT")["dice"] == 1 and row(table, "TC")["dice"] == 1
    assert row(table, "ET")["dice"] == 0


def test_an_empty_class_is_scored_by_the_rule_and_a_missed_one_is_counted() -> None:
    truth = np.zeros((6, 6, 4), dtype=np.int64)
    truth[2:4, 2:4, 1:3] = 2
    nothing = np.zeros_like(truth)
    found = tables.score_volume(case(truth), certain(nothing), "brats")
    assert row(found, "ET")["dice"] == 1 and row(found, "ET")["state"] == "empty"
    assert row(found, "ED")["dice"] == 0 and row(found, "ED")["state"] == "missed"
    other = tables.score_volume(case(truth), certain(nothing), "exclude")
    assert np.isnan(row(other, "ET")["dice"])
    table = other.assign(network="2D", part="test", fold=0)
    counts = row(tables.overview(table), "ED")
    assert counts["missed"] == 1 and counts["patients"] == 1
    mean = row(tables.overview(found.assign(network="2D", part="test", fold=0)), "mean")
    assert mean[["both_empty", "missed", "spurious", "patients"]].tolist() == [2, 1, 0, 1]
    assert mean["mean_dice"] == mean["lowest_dice"] == pytest.approx(2 / 3, abs=1e-3)


def test_mean_is_of_the_three_classes_and_not_of_the_regions(labels: np.ndarray) -> None:
    worse = labels.copy()
    worse[labels == 1] = 0
    table = tables.score_volume(case(labels), certain(worse), "brats")
    mean = row(tables.with_mean(table), "mean")["dice"]
    expected = np.mean([row(table, name)["dice"] for name in ("NCR", "ED", "ET")])
    assert mean == pytest.approx(expected)


def test_a_patient_under_several_folds_counts_once() -> None:
    rows = [("A", 0, 0.2), ("A", 1, 0.6), ("B", 0, 1.0)]
    table = pd.DataFrame(rows, columns=["patient_id", "fold", "dice"])
    table = table.assign(region="WT", part="test")
    found = tables.per_patient(table, "WT", "test")
    assert found.to_dict() == pytest.approx({"A": 0.4, "B": 1.0})
    with pytest.raises(RecordError, match="external"):
        tables.per_patient(table, "WT", "external")


def test_slices_are_counted_by_patient() -> None:
    table = pd.DataFrame(
        {
            "patient_id": ["A", "A", "B"],
            "part": "test",
            "truth": [0, 3, 2],
            "predicted": [0, 2, 2],
        }
    )
    found = tables.patient_confusions(table, "test")
    assert found.shape == (2, 4, 4) and found[0, 3, 2] == 1 and found[1, 2, 2] == 1
    assert found.sum() == 3


def test_each_rule_treats_an_empty_class_in_its_own_way() -> None:
    # truth: no enhancing tumour; predicted: three voxels of it, the rest right
    counts = np.array([[90, 0, 0, 1], [0, 20, 0, 2], [0, 0, 40, 0], [0, 0, 0, 0]])
    few = tables.dice_by_rule(counts, (3,), "brats", voxel_ml=0.008)
    assert few["dice"] == 0 and np.isnan(few["dice_present"]) and few["dice_volume"] == 1
    many = tables.dice_by_rule(counts, (3,), "brats", voxel_ml=1.0)
    assert many["dice_volume"] == 0
    core = tables.dice_by_rule(counts, (1,), "brats", voxel_ml=0.008)
    assert core["dice"] == pytest.approx(40 / 42)
    # the three voxels are necrotic core now, two of them rightly
    assert core["dice_volume"] == pytest.approx(44 / 45)


def test_the_mean_leaves_out_what_a_rule_leaves_out() -> None:
    rows = {
        "patient_id": ["a"] * 3,
        "region": ["NCR", "ED", "ET"],
        "dice": [0.6, 0.8, 1.0],
        "dice_present": [0.6, 0.8, np.nan],
    }
    mean = tables.with_mean(pd.DataFrame(rows)).query("region == 'mean'").iloc[0]
    assert mean["dice"] == pytest.approx(0.8) and mean["dice_present"] == pytest.approx(0.7)
