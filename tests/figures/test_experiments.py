"""Figures of the forensics show every row, say it in words, and do not need a rerun."""

import pandas as pd
import pytest
from bs4 import BeautifulSoup
from matplotlib.collections import PathCollection

from gliomalib.figures import experiments

RECIPE, NOTHING = "pixel recipe, whole scan", "'no tumour', whole scan"
ROWS = [
    (who, score, value, value - 0.01, value)
    for who, value in (("the paper", 0.99), (RECIPE, 0.985), (NOTHING, 0.98))
    for score in experiments.SCORES
    if (who, score) != (RECIPE, "iou")
]
SCORES = pd.DataFrame(ROWS, columns=["who", "score", "value", "low", "high"])
DICE = pd.DataFrame(
    {"patient_id": list("ABAB"), "region": ["WT", "WT", "ET", "ET"], "dice": [0.8, 0.6, 0.3, 0.1]}
)


def test_scores_and_dice_share_one_axis_on_which_small_errors_are_apart() -> None:
    picture = experiments.beside(SCORES, DICE)
    left, right = picture.figure.axes
    assert left.get_ylim() == right.get_ylim()
    marks = {line.get_label(): line.get_ydata()[0] for line in left.lines}
    assert 10 ** -marks["the paper"] == pytest.approx(0.01), "an error of 0.01, on a log axis"
    assert "0.99" in [text.get_text() for text in left.get_yticklabels()]
    shown = left.get_legend_handles_labels()[1]
    assert shown == ["the paper", RECIPE, NOTHING]
    assert "the paper 0.9900; pixel recipe, whole scan 0.9850" in picture.alt
    assert "WT 0.70, ET 0.20" in picture.alt


def test_every_patient_of_the_recipe_is_named_with_the_dice_and_not_its_height() -> None:
    svg = experiments.beside(SCORES, DICE)._repr_mimebundle_()[0]["image/svg+xml"]
    titles = [tag.get_text() for tag in BeautifulSoup(svg, "html.parser").select("path > title")]
    assert sorted(titles) == ["A: 0.3", "A: 0.8", "B: 0.1", "B: 0.6"]


def test_without_a_rerun_the_paper_stands_alone() -> None:
    picture = experiments.beside(SCORES[SCORES["who"] == "the paper"], DICE[:0])
    assert [text.get_text() for text in picture.figure.axes[1].texts] == ["not measured"]
    assert "No Dice was measured" in picture.alt


def test_a_score_that_was_not_measured_has_no_mark() -> None:
    axes = experiments.beside(SCORES, DICE).figure.axes[0]
    marks = {line.get_label(): line.get_ydata() for line in axes.lines}
    recipe = pd.Series(marks[RECIPE], index=list(experiments.SCORES))
    assert recipe.isna().sum() == 1 and pd.isna(recipe["iou"])


AUDIT = pd.DataFrame(
    [
        (who, labels, split, value, value - 0.05, value + 0.02)
        for who in ("neighbour", "resnet50")
        for labels, split, value in (
            ("true", "patient", 0.7), ("true", "slice", 0.95), ("true", "years", 0.9),
            ("random", "patient", 0.25), ("random", "slice", 0.97), ("random", "years", 0.8),
        )
        if (who, labels) != ("resnet50", "random") or split == "slice"
    ],
    columns=["classifier", "labels", "split", "accuracy", "accuracy_low", "accuracy_high"],
)  # fmt: skip


def test_splits_are_rows_from_top_to_bottom_and_chance_is_marked() -> None:
    picture = experiments.leaks(AUDIT, 0.6)
    left, right = picture.figure.axes
    shown = [text.get_text() for text in left.get_yticklabels()]
    assert shown == ["dealt by patient", "by slice", "by pooled year"]
    assert left.get_ylim() == right.get_ylim() == (2.5, -0.5)
    marks = {line.get_label(): line.get_xdata() for line in left.lines}
    assert list(marks["nearest neighbour"]) == list(marks["ResNet50"]) == [0.7, 0.95, 0.9]
    assert set(marks["chance"]) == {0.25} and set(marks["commonest class"]) == {0.6}
    assert "random classes dealt by slice 0.97" in picture.alt


def test_a_control_that_was_not_run_has_no_mark() -> None:
    right = experiments.leaks(AUDIT, 0.6).figure.axes[1]
    marks = {line.get_label(): pd.Series(line.get_xdata()) for line in right.lines}
    assert marks["ResNet50"].isna().tolist() == [True, False, True]
    assert "commonest class" not in marks


METHODS = pd.DataFrame({"fused": [0.8, 0.7, 0.9], "2d": [0.7, 0.7, 0.8]}, index=list("ABC"))
COMPARED = pd.DataFrame(
    {"title": ["fused, α = 0.6", "2D only"], "mean": [0.8, 0.7333], "difference": [None, 0.0667],
     "low": [None, 0.01], "high": [None, 0.1]}
).astype({"difference": float, "low": float, "high": float})  # fmt: skip


def test_methods_have_a_row_each_and_a_point_a_patient() -> None:
    picture = experiments.methods(METHODS, COMPARED, "mean Dice", "fused minus the method")
    left, right = picture.figure.axes
    shown = [tick.get_text() for tick in left.get_yticklabels()]
    assert shown == ["fused, α = 0.6", "2D only"]
    assert sum(len(points.get_offsets()) for points in left.collections) == METHODS.size
    # the first row is on top, and neither row touches the frame
    assert left.get_ylim() == (1.5, -0.5)
    assert picture.alt == "mean Dice, fused minus the method: 2D only 0.067."
    assert right.get_xlabel().startswith("fused minus the method")


def test_cells_show_every_seed_and_every_patient() -> None:
    seeds = pd.DataFrame({"cell": ["a", "a", "b"], "seed": [1, 2, 1], "value": [0.7, 0.9, 0.5]})
    table = pd.DataFrame({"cell": ["a", "b"], "title": ["A", "B"], "low": 0.4, "high": 0.9})
    patients = pd.DataFrame({"a": [0.8, 0.7, 0.9], "b": [0.5, 0.4, 0.6]}, index=list("XYZ"))
    picture = experiments.cells(patients, seeds, table, "Dice")
    axes = picture.figure.axes[0]
    rings = next(line for line in axes.lines if line.get_label() == "a seed")
    assert list(rings.get_xdata()) == [0.7, 0.9, 0.5]
    heights = list(rings.get_ydata())
    assert heights[0] == heights[1] and round(heights[2] - heights[0], 6) == 1
    swarms = [one for one in axes.collections if isinstance(one, PathCollection)]
    assert sum(len(one.get_offsets()) for one in swarms) == patients.size
    assert picture.alt == "Dice, mean by cell: A 0.8, B 0.5."


WAYS = pd.DataFrame(
    [
        {"way": way, "metric": metric, "score": score,
         **{stage: seconds / 7 for stage in experiments.STAGE_COLOURS}}
        for way, seconds, metric, score in (
            ("2D", 0.7, "mean Dice", 0.5), ("3D", 0.6, "mean Dice", 0.4),
            ("fused", 0.9, "mean Dice", 0.55), ("fused + ResNet50", 2.1, "accuracy", 0.8),
        )
    ]
)  # fmt: skip


def test_stages_add_up_to_the_seconds_of_each_way() -> None:
    picture = experiments.stages(WAYS, 1.0)
    axes = picture.figure.axes[0]
    ends = {round(bar.get_y()): bar.get_x() + bar.get_width() for bar in axes.patches}
    assert list(ends.values()) == pytest.approx([0.7, 0.6, 0.9, 2.1])
    assert "fused + ResNet50 (accuracy 0.80) 2.1" in picture.alt
    shown = axes.get_legend_handles_labels()[1]
    assert set(shown) == {*experiments.STAGE_COLOURS, "1 s, assumed"}
    line = next(line for line in axes.lines if line.get_label() == "1 s, assumed")
    assert line.get_color() == "#d55e00" and list(line.get_xdata()) == [1.0, 1.0]
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names[2:] == ["fused\nmean Dice 0.55", "fused + ResNet50\naccuracy 0.80"]
