"""Notebooks 03 to 05: means with what was missed, in the sub-regions and in their mean."""

import pandas as pd
import pytest

from gliomalib import settings
from gliomalib.experiments import segmentation
from gliomalib.schema import Value
from gliomalib.scoring import tables

STUDY = settings.load("smoke")


def scores(offset: float = 0.0, network: str = "2D", part: str = "test") -> pd.DataFrame:
    rows = []
    for number in range(8):
        for region in tables.REGIONS:
            state = "missed" if number == 0 and region == "ET" else "both"
            rows.append((f"P{number}", region, 0.5 + 0.02 * number + offset, state))
    table = pd.DataFrame(rows, columns=["patient_id", "region", "dice", "state"])
    return table.assign(network=network, part=part, fold=0, hd95_mm=1.0)


def by_name(values: list[Value]) -> dict[str, Value]:
    assert all(value.rule for value in values)
    return {value.name: value for value in values}


def test_mean_dice_has_an_interval_and_counts_what_was_missed() -> None:
    values = segmentation.values(scores(), STUDY)
    found = by_name(values)
    assert found["dice_WT"].value == pytest.approx(0.57)
    low, high = found["dice_WT"].ci95 or (1, 0)
    assert low < 0.57 < high and found["dice_WT"].n_patients == 8
    assert found["dice_ET"].n_missed == 1 and found["dice_NCR"].n_missed == 0
    assert found["dice_mean"].n_missed == 1, "the mean hides no mask of its classes"
    assert found["dice_mean"].n_seeds == 1 and "noise of training" in found["dice_mean"].rule
    said = segmentation.conclusion("The 2D U-Net", values)
    assert said.startswith("The 2D U-Net reaches a whole-tumour Dice of 0.570 (95 % interval")
    assert "in 1 of the held-out masks" in said and "external" not in said


def test_external_patients_have_values_and_a_sentence_of_their_own() -> None:
    values = segmentation.values(pd.concat([scores(), scores(-0.2, part="external")]), STUDY)
    found = by_name(values)
    assert found["external_dice_WT"].value == pytest.approx(found["dice_WT"].value - 0.2)
    said = segmentation.conclusion("It", values)
    assert "in 1 of the held-out" in said, "an external mask is not a held-out one"
    assert "On external patients the mean is 0.370" in said


def test_a_mask_that_several_folds_scored_counts_once() -> None:
    first = scores(part="external")
    empty = (first["patient_id"] == "P1") & (first["region"] == "ET")
    first.loc[empty, "state"] = "empty"
    # what the first fold missed the second one finds, and only there something is spurious
    second = first.assign(fold=1, state=first["state"].replace("missed", "both"))
    second.loc[(second["patient_id"] == "P2") & (second["region"] == "NCR"), "state"] = "missed"
    found = by_name(segmentation.values(pd.concat([scores(), first, second]), STUDY))
    counts = {
        name: (value.n_patients, value.n_empty, value.n_missed) for name, value in found.items()
    }
    assert counts["external_dice_ET"] == (8, 1, 1)
    assert counts["external_dice_mean"] == (8, 1, 2)
    second.loc[empty, "state"] = "spurious"
    found = by_name(segmentation.values(pd.concat([scores(), first, second]), STUDY))
    assert (found["external_dice_ET"].n_empty, found["external_dice_ET"].n_missed) == (0, 2)
