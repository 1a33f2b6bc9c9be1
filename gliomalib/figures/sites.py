"""Figures of the experiments, continued: two sites side by side, and what remedies do."""

from __future__ import annotations

import matplotlib as mpl
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gliomalib.figures.picture import NETWORK_COLOURS, PART_COLOURS, SEQUENCE_TITLES, STYLE, Picture
from gliomalib.schema import SEQUENCES
from gliomalib.scoring import tables

_GROUPS = ("internal", "external")


def both_sites(scores: pd.DataFrame, table: pd.DataFrame) -> Picture:
    """Draw mean Dice of every patient of both groups, with means and 95 % intervals, by network.

    ``scores`` is ``external_sites.Found.scores``, ``table`` is ``external_validation.beside``.
    """
    means = table[table["score"] == "mean"].reset_index(drop=True)
    names = list(means["of"])
    rows = tables.with_mean(scores).query("region == 'mean'")
    points = rows.groupby(["network", "part", "patient_id"])["dice"].mean().reset_index()
    points["part"] = points["part"].replace("test", "internal")
    present = [part for part in _GROUPS if part in set(points["part"])]
    figure = _figure(6.5, 3.4)
    axes: Axes = figure.subplots()
    sns.swarmplot(
        points, x="network", y="dice", hue="part", order=names, hue_order=present, dodge=True,
        palette={part: PART_COLOURS[part] for part in present}, size=3.5, ax=axes, warn_thresh=0.5,
    )  # fmt: skip
    for part, shift in zip(present, (-0.2, 0.2) if len(present) > 1 else (0.0,), strict=True):
        places = means.index + shift + 0.12
        ends = means[f"{part}_low"], means[f"{part}_high"]
        axes.vlines(places, *ends, color=PART_COLOURS[part], linewidth=2)
        axes.plot(places, means[part], "D", color=PART_COLOURS[part], markersize=5)
    axes.set(xlabel="", ylabel="mean Dice of NCR, ED and ET", ylim=(-0.03, 1.03))
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)
    told = "; ".join(
        f"{row['of']} " + ", ".join(f"{row[part]:.2f} {part}" for part in present)
        for _, row in means.iterrows()
    )
    return Picture(figure, f"Points, one a patient, and means: {told}.")


def intensities(table: pd.DataFrame) -> Picture:
    """Draw ``external_sites.Found.intensities``: the values of each sequence in the brain.

    Every patient weighs the same.
    """
    shown = table.assign(part=table["part"].replace("test", "internal"))
    figure = _figure(9.0, 2.7)
    panels = figure.subplots(1, len(SEQUENCES), sharey=False)
    for axes, (sequence, title) in zip(panels, SEQUENCE_TITLES.items(), strict=True):
        for part in _GROUPS:
            values = shown[(shown["sequence"] == sequence) & (shown["part"] == part)]["value"]
            if len(values):
                sns.histplot(
                    x=values, binrange=(0, 1), bins=40, stat="density", element="step", alpha=0.15,
                    color=PART_COLOURS[part], label=part, ax=axes,
                )  # fmt: skip
        axes.set(title=title, xlabel="value after min–max", ylabel="", xlim=(0, 1), yticks=[])
    panels[0].set_ylabel("density in the brain")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    middle = shown.groupby(["sequence", "part"])["value"].median().round(3).reset_index()
    told = ", ".join(f"{name} {part} {value:g}" for name, part, value in middle.to_numpy())
    return Picture(figure, f"Distributions in the brain by sequence; medians: {told}.")


def reliability(table: pd.DataFrame) -> Picture:
    """Draw accuracy over confidence of the fused volume: ``external_validation.reliability``."""
    figure = _figure(4.6, 3.6)
    axes: Axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="#aaaaaa", linestyle=":", label="confidence is accuracy")
    for part, rows in table.groupby("part", sort=False):
        colour = PART_COLOURS[str(part)]
        axes.plot(rows["confidence"], rows["accuracy"], color=colour, label=str(part), linewidth=1)
        sizes = 4 + 90 * rows["n"] / rows["n"].sum()
        axes.scatter(rows["confidence"], rows["accuracy"], sizes, color=colour, zorder=3)
    axes.set(xlabel="probability of the most probable class", ylabel="share that is right")
    axes.set(xlim=(0.2, 1.02), ylim=(0, 1.02))
    axes.legend(loc="lower right")
    gaps = (table["confidence"] - table["accuracy"]) * table["n"]
    told = (gaps.groupby(table["part"]).sum() / table.groupby("part")["n"].sum()).round(3).to_dict()
    return Picture(figure, f"Reliability by group; mean confidence less accuracy: {told}.")


def remedies(table: pd.DataFrame) -> Picture:
    """Draw what each remedy gains in each group; the table is ``external_validation.gains``."""
    figure = _figure(6.5, 2.6)
    axes: Axes = figure.subplots()
    titles = list(dict.fromkeys(table["title"]))
    for part, rows in table.groupby("part", sort=False):
        shift = 0.1 if part == "external" else -0.1
        places, colour = (
            [titles.index(one) + shift for one in rows["title"]],
            PART_COLOURS[str(part)],
        )
        axes.hlines(places, rows["low"], rows["high"], color=colour, linewidth=2)
        axes.plot(rows["gain"], places, "o", color=colour, label=str(part))
    axes.axvline(0, color="#aaaaaa", linestyle=":")
    axes.set_yticks(range(len(titles)), titles)
    axes.set(ylim=(len(titles) - 0.5, -0.5))
    axes.set(xlabel="gain in mean Dice over no remedy, 95 % interval over patients")
    axes.legend(loc="lower center", bbox_to_anchor=(0.4, 1), ncols=2)
    named = table["title"] + " " + table["part"]
    return Picture(figure, f"Gains: {dict(zip(named, table['gain'].round(3), strict=True))}.")


STAGE_COLOURS = {
    "read": "#cccccc", "preprocess": "#999999", "unet2d": NETWORK_COLOURS["2D"],
    "unet3d": NETWORK_COLOURS["3D"], "fusion": NETWORK_COLOURS["fused"], "slices": "#cc79a7",
    "resnet50": "#0072b2",
}  # fmt: skip


def stages(table: pd.DataFrame, limit: float) -> Picture:
    """Draw what the seconds of a patient are made of; the table is ``efficiency.plane``'s.

    ``limit`` is the real-time line, in seconds.
    """
    figure = _figure(7.0, 2.9)
    axes: Axes = figure.subplots()
    left = pd.Series(0.0, index=table.index)
    for stage, colour in STAGE_COLOURS.items():
        axes.barh(table["way"], table[stage], left=left, color=colour, label=stage, height=0.6)
        left = left + table[stage]
    axes.axvline(limit, color="#d55e00", linestyle=":", label=f"{limit:g} s, assumed")
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.set(xlabel="warm median of each stage, seconds a patient")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=4)
    told = dict(zip(table["way"], left.round(3), strict=True))
    return Picture(figure, f"Stacked bars, seconds by what is asked for: {told}.")


def latency(table: pd.DataFrame, limit: float) -> Picture:
    """Draw accuracy over the seconds of a patient; table and ``limit`` are those of ``stages``."""
    figure = _figure(6.5, 3.6)
    axes: Axes = figure.subplots()
    for _, row in table.iterrows():
        colour = NETWORK_COLOURS.get(row["way"], "#0072b2")
        mark, score = ("o", "mean Dice") if row["metric"] == "mean Dice" else ("D", "slices right")
        axes.hlines(row["score"], row["low"], row["high"], color=colour, linewidth=1.5)
        axes.vlines(row["seconds"], row["lower"], row["upper"], color=colour, linewidth=1.5)
        title = f"{row['way']}: {score}"
        axes.plot(row["seconds"], row["score"], mark, color=colour, label=title)
    axes.axvline(limit, color="#d55e00", linestyle=":", label=f"{limit:g} s, assumed")
    ends = [*table[["seconds", "low", "high"]].stack().dropna(), limit]
    low, high = min(ends) / 1.5, max(ends) * 1.5
    axes.set(xscale="log", xlim=(low, high), ylim=(-0.03, 1.03), ylabel="score, held out")
    ticks = [step * 10.0**power for power in range(-4, 4) for step in (1, 2, 5)]
    ticks = [tick for tick in ticks if low < tick < high]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.set(xlabel="seconds a patient from file to result, warm median")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    spoken = "; ".join(
        f"{row['way']} {row['seconds']:.3g} s, {row['metric']} {row['score']:.2f}"
        for _, row in table.iterrows()
    )
    return Picture(figure, f"Seconds and scores: {spoken}. The line is at {limit:g} s.")


def _figure(width: float, height: float) -> Figure:
    mpl.rcParams.update(STYLE)
    return Figure(figsize=(width, height), layout="constrained")
