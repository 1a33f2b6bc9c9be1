"""Notebooks 03 to 05: means with what was missed, paired differences, sentences by interval."""

import pandas as pd
import pytest

from gliomalib import settings
from gliomalib.experiments import segmentation
from gliomalib.schema import RecordError, Value
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
    said = segmentation.conclusion("The 2D U-Net", values)
    assert said.startswith("The 2D U-Net reaches a whole-tumour Dice of 0.570 (95 % interval")
    assert "in 1 of the scored held-out masks" in said and "external" not in said


def test_external_patients_have_values_and_a_sentence_of_their_own() -> None:
    values = segmentation.values(pd.concat([scores(), scores(-0.2, part="external")]), STUDY)
    found = by_name(values)
    assert found["external_dice_WT"].value == pytest.approx(found["dice_WT"].value - 0.2)
    said = segmentation.conclusion("It", values)
    assert "in 1 of the scored held-out" in said, "an external mask is not a held-out one"
    assert "On external patients the mean is 0.370" in said


def test_differences_are_paired() -> None:
    table = pd.concat([scores(), scores(0.03, "3D"), scores(0.1, "fused")])
    found = by_name(segmentation.differences(table, STUDY, "fused", ["2D", "3D"]))
    difference = found["fused_minus_2d_mean_dice"]
    # The patients differ by more than the networks do: only pairing makes the interval a point.
    assert difference.value == pytest.approx(0.1)
    assert difference.ci95 == pytest.approx((0.1, 0.1))
    assert found["fused_minus_3d_mean_dice"].value == pytest.approx(0.07)


def test_networks_scored_on_different_patients_are_refused() -> None:
    fused = scores(0.1, "fused").query("patient_id != 'P3'")
    with pytest.raises(RecordError, match="same test patients"):
        segmentation.differences(pd.concat([scores(), fused]), STUDY, "fused", ["2D"])


@pytest.mark.parametrize(
    ("value", "ci95", "words"),
    [
        (0.05, (0.02, 0.08), "the fused volume exceeds 2D only by +0.050"),
        (-0.05, (-0.08, -0.02), "the fused volume falls behind 2D only by -0.050"),
        (0.01, (-0.02, 0.04), "the fused volume shows no clear difference from 2D only"),
        (0.01, None, "the fused volume shows no clear difference from 2D only"),
    ],
)
def test_a_difference_is_named_by_its_interval(
    value: float, ci95: tuple[float, float] | None, words: str
) -> None:
    values = [
        Value("fused_minus_2d_mean_dice", value, ci95, 30),
        Value("fused_minus_3d_mean_dice", 0.1, (0.05, 0.15), 30),
    ]
    said = segmentation.comparison(values, "fused", ["2D", "3D"])
    assert words in said and "; it exceeds 3D only by +0.100" in said
