"""Figures of the forensics show every row, say it in words, and do not need a rerun."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from gliomalib import charts
from gliomalib.keras_metrics import Saturation, saturated_mean_iou

ROWS = [
    (who, score, value, value - 0.01, value)
    for who, value in (("paper", 0.99), ("recipe, scan", 0.985), ("constant, scan", 0.98))
    for score in charts.SCORES
    if (who, score) != ("recipe, scan", "iou")
]
SCORES = pd.DataFrame(ROWS, columns=["who", "score", "value", "low", "high"])
DICE = pd.DataFrame(
    {"patient_id": list("ABAB"), "region": ["WT", "WT", "ET", "ET"], "dice": [0.8, 0.6, 0.3, 0.1]}
)


def test_scores_and_dice_share_one_axis_from_0_to_1() -> None:
    picture = charts.beside(SCORES, DICE)
    left, right = picture.figure.axes
    assert left.get_ylim() == right.get_ylim() == (-0.03, 1.03)
    shown = left.get_legend_handles_labels()[1]
    assert shown == ["the paper", "recipe, whole scan", "'no tumour', whole scan"]
    assert "the paper 0.9900; recipe, whole scan 0.9850" in picture.alt
    assert "WT 0.70, ET 0.20" in picture.alt


def test_without_a_rerun_the_paper_stands_alone() -> None:
    picture = charts.beside(SCORES[SCORES["who"] == "paper"], DICE[:0])
    assert [text.get_text() for text in picture.figure.axes[1].texts] == ["not measured"]
    assert "No Dice was measured" in picture.alt


def test_a_score_that_was_not_measured_has_no_mark() -> None:
    axes = charts.beside(SCORES, DICE).figure.axes[0]
    marks = {line.get_label(): line.get_ydata() for line in axes.lines}
    recipe = pd.Series(marks["recipe, whole scan"], index=list(charts.SCORES))
    assert recipe.isna().sum() == 1 and pd.isna(recipe["iou"])


def test_saturation_marks_where_the_recipe_lies() -> None:
    found = Saturation(0.5, 0.01)
    picture = charts.saturation(0.8449, 0.984, found)
    value = saturated_mean_iou(0.5, 0.01)
    assert "meets the printed IoU at 0.76" in picture.alt
    assert f"at 0.50 and {value:.3f}" in picture.alt
    assert "No network was measured" in charts.saturation(0.8449, 0.984, None).alt


@pytest.mark.parametrize("name", ["beside", "saturation"])
def test_the_same_numbers_give_the_same_bytes(tmp_path: Path, name: str) -> None:
    for path in (tmp_path / "one.png", tmp_path / "other.png"):
        made = {
            "beside": lambda: charts.beside(SCORES, DICE),
            "saturation": lambda: charts.saturation(0.84, 0.98, Saturation(0.2, 0)),
        }[name]()
        made.save(path)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "other.png").read_bytes()
