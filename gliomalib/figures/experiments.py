"""Figures of the experiments: fusion rules side by side, scores, what they are made of, times."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from gliomalib.figures import picture
from gliomalib.figures.picture import BLUE, DARK, GREY, ORANGE, Picture, canvas, spoken, styled
from gliomalib.scoring.training_noise import MARGIN

LOOKS: dict[str, dict[str, Any]] = {
    "the paper": {"marker": "D", "color": ORANGE},
    "pixel recipe, crop": {"marker": "o", "color": picture.SKY, "mfc": "none"},
    "pixel recipe, whole scan": {"marker": "o", "color": BLUE},
    "'no tumour', crop": {"marker": "s", "color": GREY, "mfc": "none"},
    "'no tumour', whole scan": {"marker": "s", "color": DARK},
}
"""Marker and colour of each row of ``metric_forensics.beside``."""

SCORES = ["accuracy", "precision", "recall", "f1", "specificity", "iou"]
SCORE_TITLES = ["accuracy", "precision", "recall", "F1", "specificity", "IoU\n(Keras)"]

CLASSIFIERS = {
    "neighbour": (picture.AMBER, "s", -0.13, "nearest neighbour"),
    "resnet50": (BLUE, "o", 0.13, "ResNet50"),
}
"""Colour, marker, shift and name of the classifiers of ``leakage_audit.scores``."""

DEALT = {"patient": "dealt by patient", "slice": "by slice", "years": "by pooled year"}
"""Splits of ``leakage`` from top to bottom."""

STAGE_COLOURS = {
    "read": GREY,
    "preprocess": "#6e6e6e",
    "unet2d": picture.NETWORK_COLOURS["2D"],
    "unet3d": picture.NETWORK_COLOURS["3D"],
    "fusion": picture.NETWORK_COLOURS["fused"],
    "slices": picture.PINK,
    "resnet50": BLUE,
}
"""Stages of a patient on the way from file to class."""


@styled
def beside(scores: pd.DataFrame, dice: pd.DataFrame) -> Picture:
    """Draw pooled scores beside the Dice of every patient, on one axis of the error's logarithm.

    ``scores`` has the columns of ``metric_forensics.beside``, ``dice`` those of
    ``keras_recipe.dice``; an empty one leaves its panel empty and says so.
    """
    figure, (left, right) = canvas(9.0, 3.8, 1, 2, sharey=True, width_ratios=[2, 1])
    _draw_scores(left, scores)
    left.set(title="pooled over voxels", ylabel="score")
    left.set_yticks(picture.height(picture.LEVELS), picture.LEVELS)
    means = dice.groupby("region", sort=False)["dice"].mean()
    right.set(title="Dice of each patient, same predictions", xlabel="", ylabel="")
    if dice.empty:
        right.text(0.5, 0.5, "not measured", ha="center", transform=right.transAxes)
        right.set_xticks([])
    else:
        blue = LOOKS["pixel recipe, crop"]["color"]
        clouds = [cloud for _, cloud in dice.set_index("patient_id").groupby("region")["dice"]]
        drawn = dice.assign(dice=picture.height(dice["dice"]))
        picture.swarm(right, clouds, 4, data=drawn, x="region", y="dice", color=blue)
        picture.name_dots(right, clouds, picture.height)
        right.plot(range(len(means)), picture.height(means), "_", color="black", markersize=16)
        right.plot(range(len(means)), np.zeros(len(means)), **_mark("'no tumour', crop"))
        right.set(xlim=(-0.7, len(means) - 0.3), xlabel="", ylabel="")
    picture.legend_below(figure, left, 5)
    accuracy = scores[scores["score"] == "accuracy"]
    pairs = zip(accuracy["who"], accuracy["value"], strict=True)
    accuracies = "; ".join(f"{who} {value:.4f}" for who, value in pairs)
    in_words = ", ".join(f"{region} {value:.2f}" for region, value in means.items())
    told = (
        f"Mean Dice of the recipe's predictions: {in_words}" if in_words else "No Dice was measured"
    )
    return Picture(figure, f"Accuracies: {accuracies}. {told}.")


@styled
def leaks(scores: pd.DataFrame, majority: float) -> Picture:
    """Draw accuracy by split for both classifiers, of true classes and of random ones.

    ``scores`` is ``leakage_audit.scores``'s table, ``majority`` what the commonest class alone
    reaches.
    """
    figure, (left, right) = canvas(9.0, 2.9, 1, 2, sharey=True)
    _draw_splits(left, scores[scores["labels"] == "true"])
    _draw_splits(right, scores[scores["labels"] == "random"])
    left.axvline(majority, color=GREY, linestyle="--", label="commonest class", zorder=0)
    left.set(title="classes of the experts", xlim=(-0.02, 1.02))
    picture.rows_from_top(left, DEALT.values())
    right.set(title="one random class per patient", xlim=(-0.02, 1.02))
    picture.legend_below(figure, left, 4)
    rows = scores[scores["classifier"] == "neighbour"]
    accuracies = "; ".join(
        f"{row['labels']} classes dealt by {row['split']} {row['accuracy']:.2f}"
        for _, row in rows.iterrows()
    )
    return Picture(figure, f"Accuracy of the nearest neighbour: {accuracies}.")


def _draw_splits(axes: Axes, scores: pd.DataFrame) -> None:
    for classifier, (colour, marker, shift, label) in CLASSIFIERS.items():
        rows = scores[scores["classifier"] == classifier].set_index("split").reindex(list(DEALT))
        places = np.arange(len(DEALT)) + shift
        axes.hlines(places, rows["accuracy_low"], rows["accuracy_high"], color=colour, linewidth=2)
        axes.plot(rows["accuracy"], places, marker, color=colour, label=label, clip_on=False)
    axes.axvline(0.25, color=GREY, linestyle=":", label="chance", zorder=0)
    axes.set_xlabel("accuracy on test slices, 95 % interval over patients")
    axes.grid(visible=False, axis="y")


def _draw_scores(axes: Axes, scores: pd.DataFrame) -> None:
    present = [who for who in LOOKS if who in set(scores["who"])]
    for number, who in enumerate(present):
        rows = scores[scores["who"] == who].set_index("score").reindex(SCORES)
        places = np.arange(len(SCORES)) + 0.13 * (number - (len(present) - 1) / 2)
        low, high, value = (picture.height(rows[name]) for name in ("low", "high", "value"))
        axes.vlines(places, low, high, color=LOOKS[who]["color"], linewidth=1.5)
        axes.plot(places, value, **_mark(who))
    axes.set_xticks(range(len(SCORES)), SCORE_TITLES)
    axes.grid(visible=False, axis="x")


def _mark(who: str) -> dict[str, Any]:
    return {"linestyle": "none", "markersize": 5, "label": who, **LOOKS[who]}


@styled
def methods(patients: pd.DataFrame, table: pd.DataFrame, label: str, against: str) -> Picture:
    """Draw a score of every patient by method, and the differences of the table.

    ``patients`` has one row per patient and one column per method, ``table`` is one of
    ``comparing.beside`` with a row for each column; ``against`` says what is subtracted from what.
    """
    figure, (left, right) = canvas(
        9.0, 1.3 + 0.42 * len(table), 1, 2, sharey=True, width_ratios=[3, 2]
    )
    _draw_patients(left, patients)
    left.plot(table["mean"], table.index, "|", color=BLUE, markersize=18, markeredgewidth=2.5)
    left.set(xlabel=f"{label}; points: patients, line: mean", xlim=(-0.03, 1.03))
    picture.rows_from_top(left, table["title"])
    name = f"within ±{MARGIN:g}"
    right.axvspan(-MARGIN, MARGIN, color=GREY, alpha=0.25, linewidth=0, label=name)
    right.axvline(0, color=GREY, linewidth=1)
    _draw_intervals(right, table, "difference")
    right.locator_params(axis="x", nbins=5)
    right.set_xlabel(f"{against}, 95 % interval")
    right.legend(loc="lower center", bbox_to_anchor=(0.5, 1))
    differences = spoken(table.set_index("title")["difference"].dropna().round(3))
    return Picture(figure, f"{label}, {against}: {differences}.")


@styled
def cells(patients: pd.DataFrame, seeds: pd.DataFrame, table: pd.DataFrame, label: str) -> Picture:
    """Draw a score by cell of a grid: patients as points, seeds as rings, mean with interval.

    ``patients``, ``seeds`` and ``table`` are those of ``loss_grid.patients``,
    ``.seed_means`` and ``.overview``, with the same cells.
    """
    figure, axes = canvas(7.5, 1.5 + 0.45 * len(table))
    _draw_patients(axes, patients)
    rows = table.assign(mean=patients.mean().to_numpy())
    _draw_intervals(axes, rows.set_index(rows.index - 0.3), "mean")
    order = {name: row for row, name in enumerate(table["cell"])}
    ring: dict[str, Any] = {"markersize": 9, "color": "black", "markerfacecolor": "none"}
    axes.plot(seeds["value"], seeds["cell"].map(order) - 0.3, "o", label="a seed", **ring)
    axes.set(xlabel=label, ylabel="", xlim=(-0.03, 1.03), ylim=(len(table) - 0.6, -0.6))
    axes.set_yticks(range(len(table)), table["title"])
    axes.plot([], [], ".", color=GREY, label="a patient")
    axes.plot([], [], "o-", color=BLUE, label="mean, 95 % interval over patients and seeds")
    picture.legend_above(axes, 3)
    means = spoken(rows.set_index("title")["mean"].round(3))
    return Picture(figure, f"{label}, mean by cell: {means}.")


def _draw_patients(axes: Axes, patients: pd.DataFrame) -> None:
    long = patients.melt(var_name="row", value_name="value")
    clouds = [patients[name] for name in patients]
    picture.swarm(axes, clouds, 4, data=long, x="value", y="row", color=GREY)
    axes.set(ylabel="")


def _draw_intervals(axes: Axes, rows: pd.DataFrame, column: str) -> None:
    axes.hlines(rows.index, rows["low"], rows["high"], color=BLUE, linewidth=2)
    axes.plot(rows[column], rows.index, "o", color=BLUE, markersize=5)


@styled
def stages(table: pd.DataFrame, limit: float) -> Picture:
    """Draw what the seconds of a patient are made of, beside the score that each way reaches.

    The table is that of ``efficiency.plane``, ``limit`` the real-time line in seconds.
    """
    figure, axes = canvas(7.0, 2.9)
    scores = table["metric"] + table["score"].map(" {:.2f}".format)
    ways, left = table["way"] + "\n" + scores, pd.Series(0.0, index=table.index)
    for stage, colour in STAGE_COLOURS.items():
        axes.barh(ways, table[stage], left=left, color=colour, label=stage, height=0.6)
        left = left + table[stage]
    axes.axvline(limit, color=ORANGE, linestyle=":", label=f"{limit:g} s, assumed")
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.set(xlabel="warm median of each stage, seconds per patient")
    picture.legend_below(figure, axes, 4)
    totals = spoken(left.round(3).set_axis(table["way"] + " (" + scores + ")"))
    return Picture(figure, f"Stacked bars, seconds by what is asked for: {totals}.")
