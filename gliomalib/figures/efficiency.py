"""Figures of time: what the seconds of a patient are made of, and what they buy."""

from __future__ import annotations

import pandas as pd

from gliomalib.figures import picture
from gliomalib.figures.picture import BLUE, ORANGE, Picture, canvas, spoken, styled

STAGE_COLOURS = {
    "read": "#cccccc",
    "preprocess": "#999999",
    "unet2d": picture.NETWORK_COLOURS["2D"],
    "unet3d": picture.NETWORK_COLOURS["3D"],
    "fusion": picture.NETWORK_COLOURS["fused"],
    "slices": "#cc79a7",
    "resnet50": BLUE,
}


@styled
def stages(table: pd.DataFrame, limit: float) -> Picture:
    """Draw what the seconds of a patient are made of; the table is ``efficiency.plane``'s.

    ``limit`` is the real-time line, in seconds.
    """
    figure, axes = canvas(7.0, 2.9)
    left = pd.Series(0.0, index=table.index)
    for stage, colour in STAGE_COLOURS.items():
        axes.barh(table["way"], table[stage], left=left, color=colour, label=stage, height=0.6)
        left = left + table[stage]
    axes.axvline(limit, color=ORANGE, linestyle=":", label=f"{limit:g} s, assumed")
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.set(xlabel="warm median of each stage, seconds per patient")
    picture.legend_below(figure, axes, 4)
    totals = spoken(left.round(3).set_axis(table["way"]))
    return Picture(figure, f"Stacked bars, seconds by what is asked for: {totals}.")


@styled
def latency(table: pd.DataFrame, limit: float) -> Picture:
    """Draw accuracy over the seconds of a patient; table and ``limit`` are those of ``stages``."""
    figure, axes = canvas(6.5, 3.6)
    for _, row in table.iterrows():
        colour = picture.NETWORK_COLOURS.get(row["way"], BLUE)
        mark, score = ("o", "mean Dice") if row["metric"] == "mean Dice" else ("D", "slices right")
        axes.hlines(row["score"], row["low"], row["high"], color=colour, linewidth=1.5)
        axes.vlines(row["seconds"], row["lower"], row["upper"], color=colour, linewidth=1.5)
        title = f"{row['way']}: {score}"
        axes.plot(row["seconds"], row["score"], mark, color=colour, label=title)
    axes.axvline(limit, color=ORANGE, linestyle=":", label=f"{limit:g} s, assumed")
    ends = [*table[["seconds", "low", "high"]].stack().dropna(), limit]
    low, high = min(ends) / 1.5, max(ends) * 1.5
    axes.set(xscale="log", xlim=(low, high), ylim=(-0.03, 1.03), ylabel="score, held out")
    ticks = [step * 10.0**power for power in range(-4, 4) for step in (1, 2, 5)]
    ticks = [tick for tick in ticks if low < tick < high]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.set(xlabel="seconds per patient from file to result, warm median")
    picture.legend_below(figure, axes, 3)
    points = "; ".join(
        f"{row['way']} {row['seconds']:.3g} s, {row['metric']} {row['score']:.2f}"
        for _, row in table.iterrows()
    )
    return Picture(figure, f"Seconds and scores: {points}. The line is at {limit:g} s.")
