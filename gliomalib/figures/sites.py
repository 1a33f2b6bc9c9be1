"""Figures of two sites side by side, and of what leaving out a site costs."""

import pandas as pd
import seaborn as sns

from gliomalib.figures import picture
from gliomalib.figures.picture import PART_COLOURS, Picture, canvas, spoken, styled
from gliomalib.scoring import tables

GROUPS = ("internal", "external")


@styled
def both_sites(scores: pd.DataFrame, table: pd.DataFrame) -> Picture:
    """Draw mean Dice of every patient of both groups, with means and 95 % intervals, by network.

    ``scores`` is ``external_sites.GroupScores.scores``, ``table`` ``external_comparison.beside``.
    """
    means = table[table["score"] == "mean"].reset_index(drop=True)
    names = list(means["of"])
    rows = tables.with_mean(scores).query("region == 'mean'")
    points = rows.groupby(["network", "part", "patient_id"])["dice"].mean().reset_index()
    points["part"] = points["part"].replace("test", "internal")
    present = [part for part in GROUPS if part in set(points["part"])]
    figure, axes = canvas(6.5, 3.4)
    drawn = {"x": "network", "y": "dice", "order": names, "hue": "part", "hue_order": present}
    clouds = [c for _, c in points.set_index("patient_id").groupby(["network", "part"])["dice"]]
    picture.swarm(axes, clouds, 4, data=points, **drawn, dodge=True, palette=PART_COLOURS)
    for part, shift in zip(present, (-0.2, 0.2) if len(present) > 1 else (0.0,), strict=True):
        places = means.index + shift + 0.12
        ends = means[f"{part}_low"], means[f"{part}_high"]
        axes.vlines(places, *ends, color=PART_COLOURS[part], linewidth=2)
        axes.plot(places, means[part], "D", color=PART_COLOURS[part], markersize=5)
    axes.set(xlabel="", ylabel="mean Dice of NCR, ED and ET", ylim=(-0.03, 1.03))
    picture.legend_above(axes, 2)
    by_network = "; ".join(
        f"{row['of']} " + ", ".join(f"{row[part]:.2f} {part}" for part in present)
        for _, row in means.iterrows()
    )
    return Picture(figure, f"Points, one per patient, and means: {by_network}.")


@styled
def intensities(table: pd.DataFrame) -> Picture:
    """Draw ``external_sites.GroupScores.intensities``: the values of each sequence in the brain.

    Every patient weighs the same.
    """
    renamed = table.assign(part=table["part"].replace("test", "internal"))
    figure, panels = canvas(9.0, 2.7, 1, len(picture.SEQUENCE_TITLES), sharey=False)
    looks = {"binrange": (0, 1), "bins": 40, "stat": "density", "element": "step", "alpha": 0.15}
    for axes, (sequence, title) in zip(panels, picture.SEQUENCE_TITLES.items(), strict=True):
        of_sequence = renamed[renamed["sequence"] == sequence]
        for part in GROUPS:
            values = of_sequence.loc[of_sequence["part"] == part, "value"]
            if len(values):
                sns.histplot(x=values, color=PART_COLOURS[part], label=part, ax=axes, **looks)
        axes.set(title=title, xlabel="value after min–max", ylabel="", xlim=(0, 1), yticks=[])
    panels[0].set_ylabel("density in the brain")
    picture.legend_below(figure, panels[0], 2)
    medians = renamed.groupby(["sequence", "part"])["value"].median().round(3)
    medians.index = medians.index.map(" ".join)
    return Picture(figure, f"Distributions in the brain by sequence; medians: {spoken(medians)}.")


@styled
def reliability(table: pd.DataFrame) -> Picture:
    """Draw accuracy over confidence of the fused volume: ``external_comparison.reliability``."""
    figure, axes = canvas(4.6, 3.6)
    axes.plot([0, 1], [0, 1], color=picture.GREY, linestyle=":", label="confidence is accuracy")
    for part, rows in table.groupby("part", sort=False):
        colour = PART_COLOURS[str(part)]
        axes.plot(rows["confidence"], rows["accuracy"], color=colour, label=str(part), linewidth=1)
        sizes = 4 + 90 * rows["n"] / rows["n"].sum()
        axes.scatter(rows["confidence"], rows["accuracy"], sizes, color=colour, zorder=3)
    axes.set(xlabel="probability of the most probable class", ylabel="share that is right")
    axes.set(xlim=(0.2, 1.02), ylim=(0, 1.02))
    axes.legend(loc="lower right")
    weighted = (table["confidence"] - table["accuracy"]) * table["n"]
    sums = weighted.groupby(table["part"]).sum() / table.groupby("part")["n"].sum()
    return Picture(
        figure, f"Reliability by group; mean confidence minus accuracy: {spoken(sums.round(3))}."
    )


@styled
def drops(table: pd.DataFrame) -> Picture:
    """Draw drops with their intervals, one a row: ``left_out_sites.drops``."""
    if table.empty:
        return picture.words("No drop was measured: no site was left out of training.")
    sites = table["site"]
    figure, axes = canvas(6.5, 2.6)
    axes.hlines(table.index, table["low"], table["high"], linewidth=2)
    axes.plot(table["drop"], table.index, "o")
    axes.axvline(0, color=picture.GREY, linestyle=":")
    picture.rows_from_top(axes, list(sites))
    axes.set(xlabel="drop of mean Dice, paired by patient, 95 % interval")
    return Picture(figure, f"Drops: {spoken(table.set_index(sites)['drop'].round(3))}.")
