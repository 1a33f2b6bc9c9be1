"""Values of records: right numbers, right names, every one with its rule."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from gliomalib import settings
from gliomalib.experiments import values as summaries
from gliomalib.schema import RecordError, Split, Value
from gliomalib.scoring import tables


@pytest.fixture(scope="module")
def study() -> settings.Study:
    return settings.load("smoke")


def scores(offset: float = 0.0, network: str = "2D", part: str = "test") -> pd.DataFrame:
    rows = []
    for number in range(8):
        for region in tables.REGIONS:
            state = "missed" if number == 0 and region == "ET" else "both"
            rows.append((f"P{number}", region, 0.5 + 0.02 * number + offset, state))
    table = pd.DataFrame(rows, columns=["patient_id", "region", "dice", "state"])
    return table.assign(network=network, part=part, fold=0, hd95_mm=1.0)


def by_name(values: list[Value]) -> dict[str, Value]:
    found = {one.name: one for one in values}
    assert len(found) == len(values), "a name stands twice"
    assert all(one.rule for one in values)
    return found


def test_mean_dice_has_an_interval_and_counts_what_was_missed(study: settings.Study) -> None:
    found = by_name(summaries.segmentation(scores(), study))
    assert found["dice_WT"].value == pytest.approx(0.57)
    low, high = found["dice_WT"].ci95 or (1, 0)
    assert low < 0.57 < high and found["dice_WT"].n_patients == 8
    assert found["dice_ET"].n_missed == 1 and found["dice_NCR"].n_missed == 0


def test_external_patients_have_values_of_their_own(study: settings.Study) -> None:
    both = pd.concat([scores(), scores(-0.2, part="external")])
    found = by_name(summaries.segmentation(both, study))
    assert found["external_dice_WT"].value == pytest.approx(found["dice_WT"].value - 0.2)


def test_differences_are_paired(study: settings.Study) -> None:
    table = pd.concat([scores(), scores(0.03, "3D"), scores(0.1, "fused")])
    found = by_name(summaries.differences(table, study, "fused", ["2D", "3D"]))
    one = found["fused_minus_2d_mean_dice"]
    # The patients differ by more than the networks do: only pairing makes the interval a point.
    assert one.value == pytest.approx(0.1) and one.ci95 == pytest.approx((0.1, 0.1))
    assert found["fused_minus_3d_mean_dice"].value == pytest.approx(0.07)


def test_networks_scored_on_different_patients_are_refused(study: settings.Study) -> None:
    fused = scores(0.1, "fused").query("patient_id != 'P3'")
    with pytest.raises(RecordError, match="same test patients"):
        summaries.differences(pd.concat([scores(), fused]), study, "fused", ["2D"])


def test_classification_by_hand(study: settings.Study) -> None:
    rows = [(f"P{p}", p % 2 * 3, p % 2 * 3) for p in range(6)] + [("P0", 2, 0), ("P1", 1, 3)]
    table = pd.DataFrame(rows, columns=["patient_id", "truth", "predicted"]).assign(part="test")
    found = by_name(summaries.classification(table, study))
    assert found["accuracy"].value == pytest.approx(6 / 8)
    assert found["balanced_accuracy"].value == pytest.approx(0.5)
    assert found["classes_predicted"].value == 2
    assert found["accuracy"].n_patients == 6


def test_cohort_counts_parts_and_folds() -> None:
    parts = ["internal", "internal", "external", "duplicate"]
    cases = pd.DataFrame({"patient_id": ["A", "B", "C", "A"], "part": parts})
    splits = [Split(0, ("A",), (), ("B",), ("C",)), Split(1, ("B",), (), ("A",), ("C",))]
    found = by_name(summaries.cohort(cases, splits))
    assert found["patients_internal"].value == 2 and found["patients_test"].value == 2
    assert found["duplicates"].value == 1 and found["examinations"].n_patients == 3


def test_crop_says_the_worst(study: settings.Study) -> None:
    table = pd.DataFrame(
        {"lost_in_plane": [0.0, 0.34], "lost_by_box": [0.1, 0.4], "dice_ceiling": [1.0, 0.75]}
    )
    found = by_name(summaries.crop(table, study))
    assert found["worst_lost_in_plane"].value == 0.34
    assert found["worst_dice_ceiling"].value == 0.75
    assert found["mean_lost_by_box"].value == pytest.approx(0.25)


def test_relabelled_slices_leave_out_patients_without_tumour(study: settings.Study) -> None:
    table = pd.DataFrame(
        {"patient_id": ["A", "B", "C"], "slices": [4, 2, 0], "dominant": [0.0, 0.0, np.nan],
         "enhancing_first": [0.5, 0.0, np.nan], "largest_share": [1.0, 1.0, np.nan]}
    )  # fmt: skip
    found = by_name(summaries.relabelled(table, study))
    assert list(found) == ["relabelled_enhancing_first", "relabelled_largest_share"]
    first = found["relabelled_enhancing_first"]
    assert (first.value, first.n_patients, first.n_empty) == (0.25, 2, 1)
