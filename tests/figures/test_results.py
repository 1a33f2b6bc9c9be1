"""Figures of results show every network, slice and score that they are given."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from gliomalib.figures import picture, results
from gliomalib.schema import Example


def test_curves_of_several_folds_end_with_their_last_losses() -> None:
    history = pd.DataFrame(
        [
            (epoch, part, (1 + fold) / (1 + epoch), fold)
            for fold in (0, 1)
            for part in ("train", "val")
            for epoch in range(4)
        ],
        columns=["epoch", "part", "loss", "fold"],
    )
    told = results.loss_curves(history, "2D").alt
    assert told.endswith("last values (means of folds) train 0.375, val 0.375.")
    alone = results.loss_curves(history.query("fold == 1"), "2D").alt
    assert alone.endswith("last values train 0.5, val 0.5.")
    first = history.query("fold == 0 and epoch == 0")
    assert "only 1 epoch, hardly trained" in results.loss_curves(first, "2D").alt


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("folds", [2, 5, 6, 9])
def test_no_two_folds_share_a_colour(folds: int) -> None:
    rows = [(epoch, fold) for epoch in range(4) for fold in range(folds)]
    history = pd.DataFrame(rows, columns=["epoch", "fold"]).assign(part="train", loss=0.5)
    (axes,) = results.loss_curves(history, "2D").figure.axes
    assert len({line.get_color() for line in axes.lines if len(line.get_xdata())}) == folds


def test_dice_is_coloured_by_part_where_there_is_one_network() -> None:
    table = pd.DataFrame(
        {"part": ["test", "external"], "region": "WT", "dice": [0.8, 0.5], "patient_id": ["A", "B"]}
    )
    assert "means: WT test 0.8, WT external 0.5" in results.dice_by_region(table).alt
    # as notebooks 03 and 04 have it: an external patient is scored in every fold
    both = pd.concat([table, table[1:].assign(dice=0.3)]).assign(network="2D")
    picture = results.dice_by_region(both)
    assert "means: WT test 0.8, WT external 0.4" in picture.alt
    legend = picture.figure.axes[0].get_legend()
    assert [text.get_text() for text in legend.get_texts()] == ["test", "external"]
    held_out = both.query("part == 'test'")
    assert "means: WT 2D 0.8." in results.dice_by_region(held_out).alt


def test_segmentations_show_every_network() -> None:
    labels = np.zeros((6, 5, 4), np.uint8)
    labels[2:4, 2:4, 1] = 3
    example = Example(np.zeros(labels.shape), labels, {"2D": labels, "3D": labels * 0}, "P1")
    picture = results.segmentation(example)
    titles = [axes.get_title() for axes in picture.figure.axes]
    assert titles == ["FLAIR", "truth", "2D", "3D"]
    both = results.segmentation(example, replace(example, title="P2"))
    assert len(both.figure.axes) == 8 and "P1; P2" in both.alt
    legend = [text.get_text() for text in both.figure.legends[0].get_texts()]
    assert legend == ["necrotic core", "edema", "enhancing tumour"]


def test_confusion_counts_the_diagonal() -> None:
    picture = results.confusion({"test": np.diag([4, 3, 2, 1])})
    assert "test 10" in picture.alt
    key = picture.figure.legends[0]
    assert key.get_title().get_text() == "share of the row"
    assert len(key.get_texts()) == len(results.SHARES)


def test_slices_that_are_wrong_are_counted_by_patient() -> None:
    table = pd.DataFrame(
        {"patient_id": "A", "z": range(5), "truth": [0, 0, 2, 2, 3], "predicted": [0, 1, 2, 0, 3]}
    )
    picture = results.along_z(table, ["A"])
    assert picture.figure.axes[0].get_title(loc="left") == "A: 2 of 5 slices wrong"


def test_alpha_curves_mark_the_published_value_and_the_exact_best() -> None:
    alphas = np.linspace(0, 1, 5)
    table = pd.DataFrame(
        {"region": "WT", "alpha": alphas, "dice": [0.1, 0.5, 0.4, 0.3, 0.2], "low": 0, "high": 1}
    )
    optima = pd.DataFrame(
        {"region": ["WT"], "best α": 0.31, "low": 0.2, "high": 0.4, "Dice there": 0.52}
    )
    picture = results.alpha_curves(table, optima)
    assert "highest at α: WT 0.25" in picture.alt
    lines = picture.figure.axes[0].lines
    assert any(line.get_xdata()[0] == 0.6 for line in lines)
    dot = next(line for line in lines if line.get_marker() == "o")
    assert (*dot.get_xdata(), *dot.get_ydata()) == (0.31, 0.52), "one best α everywhere"


def test_alpha_curves_without_an_exact_best_are_drawn_by_panel() -> None:
    rows = [
        (way, alpha, 0.5 + slope * alpha, 0.4, 0.7)
        for way, slope in (("ResNet50", 0.1), ("area rule", -0.1))
        for alpha in (0.0, 0.5, 1.0)
    ]
    table = pd.DataFrame(rows, columns=["region", "alpha", "dice", "low", "high"])
    picture = results.alpha_curves(table, label="accuracy")
    assert [axes.get_title() for axes in picture.figure.axes] == ["ResNet50", "area rule"]
    assert picture.alt.endswith("highest at α: ResNet50 1, area rule 0.")
    assert not any(line.get_marker() == "o" for line in picture.figure.axes[0].lines)


def test_printed_recipes_and_obtained_values_are_told_apart() -> None:
    table = pd.DataFrame(
        {"metric": ["C1 accuracy", "C12 Dice"], "published": [0.99, np.nan], "value": [0.8, 0.5],
         "low": [0.7, 0.2], "high": [0.9, 0.9], "crop": [0.97, np.nan], "scan": [0.995, np.nan],
         "reference": [np.nan, 0.85]}
    )  # fmt: skip
    picture = results.published_and_obtained(table)
    labels = [text.get_text() for text in picture.figure.legends[0].get_texts()]
    assert labels[1:3] == ["pixel recipe, crop", "the same, scan"]
    assert labels[3:] == ["published", "others, not the paper"]
    assert "squares" in picture.alt
    nothing = results.published_and_obtained(table[:0])
    assert nothing.alt == nothing.figure.axes[0].texts[0].get_text()
    assert nothing.alt.startswith("This study obtained no number"), "and no empty axes"


@pytest.mark.filterwarnings("error:.*cannot be placed")
def test_the_dice_of_many_patients_finds_room() -> None:
    dice = np.random.default_rng(0).beta(6, 2, (18, 368))
    places = pd.MultiIndex.from_product([list("abcdef"), ["2D", "3D", "fused"]])
    table = pd.DataFrame(dice, places).stack().rename("dice").reset_index()
    table = table.rename(
        columns={"level_0": "region", "level_1": "network", "level_2": "patient_id"}
    )
    figure = results.dice_by_region(table).figure
    figure.canvas.draw()
    legend = figure.axes[0].get_legend()
    assert [text.get_text() for text in legend.get_texts()] == ["2D", "3D", "fused"]
    # the dots are small then, those of the legend are seen
    assert all(mark.get_markersize() >= picture.SEEN for mark in legend.legend_handles)
    assert max(dots.get_sizes().max() for dots in figure.axes[0].collections) < picture.SEEN
