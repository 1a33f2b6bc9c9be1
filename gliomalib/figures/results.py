"""Figures of what the networks reach: losses, Dice, segmentations, slices, and all beside print."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.colors import ListedColormap, to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import LogLocator, MaxNLocator
from numpy.typing import NDArray

from gliomalib.digits import counted, percent
from gliomalib.figures import picture
from gliomalib.figures.picture import BLUE, DARK, GREY, ORANGE, Picture, canvas, spoken, styled
from gliomalib.schema import CLASS_COLOURS, CLASS_NAMES, Example
from gliomalib.settings import PAPER_ALPHA

SHARES = (0.2, 0.4, 0.6, 0.8, 1.0)
"""Up to these shares of its row a cell of a confusion matrix is shaded alike."""


@styled
def loss_curves(history: pd.DataFrame, title: str) -> Picture:
    """Draw loss per epoch; columns epoch, part, loss and, with several folds, fold."""
    figure, axes = canvas(6.5, 2.8)
    looks: dict[str, Any] = {"color": DARK, "errorbar": None}
    if (folds := history["fold"].nunique()) > 1:
        colours = [DARK, BLUE, ORANGE, picture.AMBER, picture.PINK]
        # folds by site can be more than there are colours, and no two of them share one
        palette = colours[:folds] if folds <= len(colours) else sns.color_palette("viridis", folds)
        looks |= {"hue": "fold", "palette": palette}
    if (epochs := history["epoch"].nunique()) < 3:
        looks["marker"] = "o"
        title += f": only {counted(epochs, 'epoch')}, hardly trained"
    sns.lineplot(history, x="epoch", y="loss", style="part", ax=axes, **looks)
    axes.set(title=title, ylabel="loss", yscale="log")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_locator(LogLocator(subs=(2, 5)))
    axes.yaxis.set_minor_formatter("{x:.2g}")
    axes.tick_params(axis="y", which="minor", labelsize=7)
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    last = history.groupby(["fold", "part"])["loss"].last().groupby("part").mean().round(4)
    means = " (means of folds)" if folds > 1 else ""
    return Picture(figure, f"{title}: loss over epochs; last values{means} {spoken(last)}.")


@styled
def dice_by_region(table: pd.DataFrame) -> Picture:
    """Draw Dice of every patient, folds averaged, by region and network, or part of one network.

    Columns: patient_id, region, dice, and network, part or both.
    """
    # of one network the parts stand apart: no mean is of held-out and external patients together
    several = [name for name in ("network", "part") if name in table]
    hue = max(several, key=lambda name: table[name].nunique())
    keys = ["region", hue, "patient_id"]
    dice = table.groupby(keys, sort=False)["dice"].mean().reset_index()
    palette = picture.NETWORK_COLOURS | picture.PART_COLOURS
    figure, axes = canvas(7.5, 3.2)
    drawn = {"data": dice, "x": "region", "y": "dice", "hue": hue, "palette": palette}
    sns.boxplot(**drawn, ax=axes, showfliers=False, fill=False, linewidth=1, legend=False)
    clouds = dice.set_index("patient_id").groupby(["region", hue])["dice"]
    picture.swarm(axes, [cloud for _, cloud in clouds], 3.5, **drawn, dodge=True)
    axes.set(ylabel="Dice", xlabel="", ylim=(-0.03, 1.03))
    picture.legend_above(axes, 3)
    means = dice.groupby(["region", hue], sort=False)["dice"].mean().round(2)
    means.index = means.index.map(" ".join)
    return Picture(figure, f"Dice per patient, with quartiles; means: {spoken(means)}.")


@styled
def segmentation(*examples: Example) -> Picture:
    """Draw FLAIR, truth and predicted labels of each patient in the slice with most tumour."""
    columns = 2 + len(examples[0].predictions)
    figure = Figure(figsize=(1.9 * columns, 0.3 + 2.3 * len(examples)), layout="constrained")
    parts = figure.subfigures(len(examples), 1, squeeze=False)[:, 0]
    for part, example in zip(parts, examples, strict=True):
        z = picture.busiest_slice(example.labels)
        layers = {"FLAIR": None, "truth": example.labels, **example.predictions}
        for axes, (name, labels) in zip(part.subplots(1, columns), layers.items(), strict=True):
            classes = None if labels is None else labels[..., z]
            picture.show_slice(axes, example.image[..., z], name, classes)
        part.suptitle(example.title, fontsize=9)
    picture.class_legend(figure)
    titles = "; ".join(example.title for example in examples)
    return Picture(figure, f"{titles}: {', '.join(layers)} in the slice with most tumour.")


@styled
def confusion(matrices: Mapping[str, NDArray[Any]]) -> Picture:
    """Draw 4×4 confusion matrices, counts in the cells, shaded by their share of the row."""
    figure, panels = canvas(4.4 * len(matrices), 4.1, 1, len(matrices), squeeze=False)
    names = [name.replace(" ", "\n") for name in CLASS_NAMES]
    # letters stay readable on each of them, on a light page and on a dark one
    shades = [to_rgba(BLUE, 0.45 * share) for share in SHARES]
    looks: dict[str, Any] = {"cmap": ListedColormap(shades), "vmin": 0, "vmax": 1, "cbar": False}
    looks |= {"xticklabels": names, "yticklabels": names, "square": True, "linewidths": 0.5}
    looks |= {"linecolor": GREY, "annot_kws": {"color": "black"}}
    for axes, (title, counts) in zip(panels[0], matrices.items(), strict=True):
        rows = counts.sum(axis=1, keepdims=True)
        sns.heatmap(counts / np.maximum(rows, 1), annot=counts, fmt="d", ax=axes, **looks)
        axes.set(title=f"{title}: {int(counts.sum())} slices", xlabel="predicted", ylabel="truth")
        axes.tick_params(axis="y", rotation=0)
        axes.grid(visible=False)
    key = [
        Patch(fc=c, ec=GREY, label=f"≤ {percent(s)}") for c, s in zip(shades, SHARES, strict=True)
    ]
    figure.legend(handles=key, loc="outside lower center", ncols=5, title="share of the row")
    right = {name: int(np.trace(counts)) for name, counts in matrices.items()}
    return Picture(figure, f"Confusion matrices; slices on the diagonal: {spoken(right)}.")


@styled
def along_z(table: pd.DataFrame, patients: Sequence[str]) -> Picture:
    """Draw true and predicted class over the slices; columns patient_id, z, truth, predicted."""
    height = len(patients) + 0.6
    figure, panels = canvas(7.5, height, len(patients), sharex=True, squeeze=False)
    colours = ListedColormap(CLASS_COLOURS)
    for axes, patient in zip(panels[:, 0], patients, strict=True):
        rows = table[table["patient_id"] == patient].sort_values("z")
        strip = rows[["truth", "predicted"]].to_numpy().T
        axes.imshow(strip, cmap=colours, vmin=0, vmax=3, aspect="auto", interpolation="nearest")
        edged = np.ma.masked_not_equal(strip, picture.ENHANCING)
        edges = np.arange(len(rows) + 1) - 0.5, np.arange(3) - 0.5
        axes.pcolor(*edges, edged, facecolor="none", edgecolors="white", linewidth=0.5)
        axes.set_yticks([0, 1], ["truth", "predicted"])
        wrong = int((rows["truth"] != rows["predicted"]).sum())
        axes.set_title(f"{patient}: {wrong} of {len(rows)} slices wrong", fontsize=8, loc="left")
        axes.grid(visible=False)
    panels[-1, 0].set_xlabel("axial slice")
    picture.class_legend(figure, everything=True)
    return Picture(figure, f"True and predicted class along the head for {', '.join(patients)}.")


@styled
def alpha_curves(
    curves: pd.DataFrame, optima: pd.DataFrame | None = None, label: str = "mean Dice"
) -> Picture:
    """Draw a score over α with its band, a panel for each region, and the exact best α if known.

    ``curves`` has the columns region, alpha, dice, low and high, and ``optima`` is the table of
    ``alpha_sweep.optima_table``: the dot of the best α has its 95 % interval.
    """
    panels_of = {str(region): part for region, part in curves.groupby("region", sort=False)}
    columns = min(3, len(panels_of))
    rows = -(-len(panels_of) // columns)
    figure, panels = canvas(3.0 * columns, 2.1 * rows, rows, columns, squeeze=False, sharex=True)
    for axes, (region, part) in zip(panels.flat, panels_of.items(), strict=False):
        axes.plot(part["alpha"], part["dice"], color=DARK)
        axes.fill_between(part["alpha"], part["low"], part["high"], color=DARK, alpha=0.15)
        axes.axvline(PAPER_ALPHA, color=ORANGE, linestyle=":", label=f"paper: {PAPER_ALPHA:g}")
        axes.set(title=region, xlim=(-0.02, 1.02))
        if optima is not None:
            top = optima.set_index("region").loc[region]
            axes.hlines(top["Dice there"], top["low"], top["high"], color=BLUE, linewidth=2)
            dot: dict[str, Any] = {"color": BLUE, "label": "best α, 95 % interval"}
            axes.plot(top["best α"], top["Dice there"], "o", **dot)
    for axes in panels[-1]:
        axes.set_xlabel("α (0: 3D only, 1: 2D only)")
    figure.supylabel(label, fontsize=9)
    picture.legend_below(figure, panels[0, 0], 2)
    highest = {
        region: part.set_index("alpha")["dice"].idxmax() for region, part in panels_of.items()
    }
    return Picture(figure, f"{label} over α with 95 % bands; highest at α: {spoken(highest)}.")


@styled
def published_and_obtained(table: pd.DataFrame) -> Picture:
    """Draw printed values and the recipe's beside obtained ones, from ``judge.numbers``."""
    if table.empty:
        return picture.words("This study obtained no number that the paper prints.")
    rows = table.iloc[::-1].reset_index(drop=True)
    figure, axes = canvas(7.5, 0.8 + 0.32 * len(rows))
    axes.hlines(rows.index, rows["low"], rows["high"], color=DARK, linewidth=2)
    axes.plot(rows["value"], rows.index, "o", color=DARK, label="obtained, 95 % interval")
    recipe: dict[str, Any] = {"color": picture.SKY, "linestyle": "none"}
    axes.plot(rows["crop"], rows.index, marker="s", label="pixel recipe, crop", **recipe)
    axes.plot(rows["scan"], rows.index, marker="s", mfc="none", label="the same, scan", **recipe)
    axes.plot(rows["published"], rows.index, "D", color=ORANGE, label="published", mfc="none")
    axes.plot(rows["reference"], rows.index, "x", color=DARK, label="others, not the paper")
    axes.set_yticks(rows.index, rows["metric"])
    axes.set(xlabel="value")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=3)
    return Picture(
        figure,
        "Published values (diamonds) beside obtained ones (dots, intervals), those of the pixel "
        "recipe (squares; open: whole scan) and one that is not the paper's (cross).",
    )
