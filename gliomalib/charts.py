"""Figures of the experiments: fusion rules side by side, scores and what they are made of."""

from __future__ import annotations

from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gliomalib.figures import STYLE, Picture
from gliomalib.keras_metrics import Saturation, saturated_mean_iou

LOOKS: dict[str, dict[str, Any]] = {
    "paper": {"marker": "D", "color": "#d55e00", "label": "the paper"},
    "recipe, scan": {"marker": "o", "color": "#0072b2", "label": "recipe, whole scan"},
    "recipe, box": {"marker": "o", "color": "#56b4e9", "label": "recipe, box"},
    "constant, scan": {"marker": "s", "color": "#555555", "label": "'no tumour', whole scan"},
    "constant, box": {"marker": "s", "color": "#aaaaaa", "label": "'no tumour', box"},
}
"""Marker, colour and name of each row of ``readings.beside``."""

SCORES = {
    "accuracy": "accuracy", "precision": "precision", "recall": "recall", "f1": "F1",
    "specificity": "specificity", "iou": "IoU\n(Keras)",
}  # fmt: skip


def beside(scores: pd.DataFrame, dice: pd.DataFrame) -> Picture:
    """Draw pooled scores beside the Dice of every patient, on one axis from 0 to 1.

    ``scores`` has the columns of ``readings.beside``, ``dice`` those of ``pooled.dice``; an empty
    one leaves its panel empty and says so.
    """
    figure = _figure(9.0, 3.8)
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=[2, 1])
    _draw_scores(left, scores)
    left.set(title="pooled over voxels", ylabel="score", ylim=(-0.03, 1.03))
    _draw_dice(right, dice)
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=5)
    return Picture(figure, _told(scores, dice))


def gains(table: pd.DataFrame) -> Picture:
    """Draw what each rule gains over the fixed weight; the table is ``adaptive.compared``'s."""
    rows = table[table["rule"] != "published"].reset_index(drop=True)
    figure = _figure(7.0, 0.9 + 0.3 * len(rows))
    axes: Axes = figure.subplots()
    bound = rows["rule"] == "oracle"
    for chosen, colour in ((~bound, "#0072b2"), (bound, "#aaaaaa")):
        part = rows[chosen]
        axes.hlines(part.index, part["low"], part["high"], color=colour, linewidth=2)
        axes.plot(part["gain"], part.index, "o", color=colour)
    axes.axvline(0, color="#d55e00", linestyle=":", label="α = 0.6")
    axes.axvspan(-0.01, 0.01, color="#d55e00", alpha=0.12, linewidth=0, label="within ±0.01")
    axes.set_yticks(rows.index, rows["title"])
    axes.invert_yaxis()
    axes.set(xlabel="gain in mean Dice over α = 0.6, 95 % interval over patients")
    axes.legend(loc="lower center", bbox_to_anchor=(0.4, 1), ncols=2)
    told = dict(zip(rows["title"], rows["gain"].round(3), strict=True))
    return Picture(figure, f"Gain over the fixed weight by rule: {told}.")


def saturation(printed: float, forced: float, found: Saturation | None) -> Picture:
    """Draw what Keras's MeanIoU of a network that is always right makes of its saturated share.

    ``printed`` is the paper's IoU, ``forced`` the least that its F1 allows for an IoU, ``found``
    what was measured, None where nothing was.
    """
    figure = _figure(6.5, 3.6)
    axes: Axes = figure.subplots()
    shares = np.linspace(0, 1, 201)
    values = [saturated_mean_iou(share, 0) for share in shares]
    axes.plot(shares, values, color="#444444", label="MeanIoU of Keras, every class right")
    axes.axhspan(forced, 1, color="#009e73", alpha=0.35, linewidth=0)
    axes.text(0.01, forced - 0.01, "where the printed F1 puts an IoU", va="top", fontsize=8)
    axes.axhline(printed, **_line())
    axes.text(0.01, printed - 0.01, f"printed: {printed:g}", va="top", fontsize=8)
    told = "No network was measured."
    if found is not None:
        value = saturated_mean_iou(found.right, found.wrong)
        axes.plot(found.right, value, clip_on=False, zorder=3, **_mark("recipe, box"))
        told = f"The recipe lies at {found.right:.2f} and {value:.3f}."
    axes.set(xlim=(0, 1), ylim=(0.3, 1.01), ylabel="value of the metric")
    axes.set_xlabel("share of voxels whose true class has a probability of exactly 1")
    axes.legend(loc="lower right")
    crossed = float(np.interp(printed, values, shares))
    return Picture(figure, f"A rising curve that meets the printed IoU at {crossed:.2f}. {told}")


def _draw_scores(axes: Axes, scores: pd.DataFrame) -> None:
    names, present = list(SCORES), [who for who in LOOKS if who in set(scores["who"])]
    for number, who in enumerate(present):
        rows = scores[scores["who"] == who].set_index("score").reindex(names)
        places = np.arange(len(names)) + 0.13 * (number - (len(present) - 1) / 2)
        axes.vlines(places, rows["low"], rows["high"], color=LOOKS[who]["color"], linewidth=1.5)
        axes.plot(places, rows["value"], **_mark(who))
    axes.set_xticks(range(len(names)), list(SCORES.values()))
    axes.grid(visible=False, axis="x")


def _draw_dice(axes: Axes, dice: pd.DataFrame) -> None:
    if dice.empty:
        axes.text(0.5, 0.5, "not measured", ha="center", transform=axes.transAxes)
        axes.set_xticks([])
    else:
        blue = LOOKS["recipe, box"]["color"]
        sns.swarmplot(dice, x="region", y="dice", ax=axes, color=blue, size=3.5, warn_thresh=0.5)
        means = dice.groupby("region", sort=False)["dice"].mean()
        axes.plot(range(len(means)), means, "_", color="black", markersize=16)
        axes.plot(range(len(means)), np.zeros(len(means)), **_mark("constant, box"))
        axes.set_xlim(-0.7, len(means) - 0.3)
    axes.set(title="Dice of each patient, same predictions", xlabel="", ylabel="")


def _told(scores: pd.DataFrame, dice: pd.DataFrame) -> str:
    accuracy = scores[scores["score"] == "accuracy"]
    pairs = zip(accuracy["who"], accuracy["value"], strict=True)
    told = "; ".join(f"{LOOKS[who]['label']} {value:.4f}" for who, value in pairs)
    if dice.empty:
        return f"Accuracies: {told}. No Dice was measured."
    means = dice.groupby("region", sort=False)["dice"].mean()
    spoken = ", ".join(f"{region} {value:.2f}" for region, value in means.items())
    return f"Accuracies: {told}. Mean Dice of the recipe's predictions: {spoken}."


def _mark(who: str) -> dict[str, Any]:
    return {"linestyle": "none", "markersize": 5, **LOOKS[who]}


def _line() -> dict[str, Any]:
    return {"color": LOOKS["paper"]["color"], "linestyle": ":", "linewidth": 1.2}


def _figure(width: float, height: float) -> Figure:
    mpl.rcParams.update(STYLE)
    return Figure(figsize=(width, height), layout="constrained")
