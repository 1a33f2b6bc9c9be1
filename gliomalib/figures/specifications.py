"""The specification curve: all cells sorted, their choices below, what each choice explains."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from gliomalib.digits import percent
from gliomalib.experiments.leakage_audit import SPLITS
from gliomalib.experiments.specifications import CHOICES, TITLES
from gliomalib.figures import picture
from gliomalib.figures.picture import BLUE, DARK, GREY, ORANGE, Picture, height, styled

COLOURS = {"patient": BLUE, "slice": picture.AMBER, "years": picture.PINK}
"""One colour a split: apart for the colour-blind."""


@styled
def curve(
    cells: pd.DataFrame, networks: pd.DataFrame, shares: pd.DataFrame, printed: float, point: float
) -> Picture:
    """Draw all cells sorted, the choices of each below, and what each choice explains.

    ``cells`` are those of ``specification_curve.measured``, ``networks`` those of ``.resnet``,
    ``shares`` the table of ``.shares``. An accuracy less than ``point`` below the ``printed`` one
    counts as reaching it.
    """
    ratios = {"height_ratios": [1, 1.25], "width_ratios": [5.5, 1]}
    figure, ((top, counts), (below, bars)) = picture.canvas(11.0, 8.4, 2, 2, **ratios)
    _draw_cells(top, cells, networks)
    _draw_printed(top, printed, point)
    middles = _draw_choices(below, cells)
    reach = {split: (part["accuracy"] >= printed - point).mean() for split, part in _parts(cells)}
    _draw_reach(counts, reach, printed - point)
    _draw_shares(bars, shares.set_index("choice").loc[list(middles)], list(middles.values()))
    bars.set_ylim(below.get_ylim())
    in_words = picture.spoken(shares.set_index("title")["share"].round(2))
    by_split = ", ".join(f"{SPLITS[split]} {percent(share)}" for split, share in reach.items())
    return Picture(
        figure,
        f"Accuracy of {len(cells)} specifications, sorted. {percent(printed - point, 2)} is "
        f"reached by these shares of them: {by_split}. Shares of the variance: {in_words}.",
    )


def _parts(cells: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    return [(split, cells[cells["split"] == split]) for split in COLOURS]


def _strokes(axes: Axes, places: ArrayLike, low: ArrayLike, high: ArrayLike, **looks: Any) -> None:
    """Draw vertical strokes as one line with gaps, which a page holds as a single path."""
    ends = np.stack(np.broadcast_arrays(np.asarray(low), high, np.full(np.size(places), np.nan)))
    axes.plot(np.repeat(places, 3), ends.T.ravel(), **looks)


def _draw_cells(axes: Axes, cells: pd.DataFrame, networks: pd.DataFrame) -> None:
    for split, part in _parts(cells):
        thin: dict[str, Any] = {"color": COLOURS[split], "alpha": 0.3, "linewidth": 0.7}
        _strokes(axes, part.index, height(part["low"]), height(part["high"]), **thin)
        dots: dict[str, Any] = {"color": COLOURS[split], "label": SPLITS[split]}
        axes.plot(part.index, height(part["accuracy"]), "o", markersize=2, **dots)
    # a network stands where the forest with its choices stands
    places = cells[list(CHOICES)].reset_index().merge(networks)
    low, high = height(places["low"]), height(places["high"])
    _strokes(axes, places["index"], low, high, color="black", linewidth=1.2)
    ring: dict[str, Any] = {"color": "black", "markerfacecolor": "white", "markersize": 6}
    heights = height(places["accuracy"])
    axes.plot(places["index"], heights, "D", label="ResNet50, same choices", **ring)
    levels = picture.LEVELS[1:]
    axes.set_yticks(height(levels), [f"{100 * level:g}" for level in levels])
    axes.set(ylabel="accuracy, %", xlim=(-6, len(cells) + 5), xticks=[])
    axes.legend(loc="upper left", title="split", alignment="left")


def _draw_printed(axes: Axes, printed: float, point: float) -> None:
    low, high = height(printed - point), height(printed)
    axes.axhspan(low, high, color=ORANGE, alpha=0.13, linewidth=0)
    axes.axhline(high, color=ORANGE, linewidth=1.2)
    for place, text in (
        (high, f"printed: {percent(printed, 2)}"),
        (low, f"one point less: {percent(printed - point, 2)}"),
    ):
        axes.text(0.01, place, text, transform=axes.get_yaxis_transform(), va="bottom", fontsize=8)


def _draw_choices(axes: Axes, cells: pd.DataFrame) -> dict[str, float]:
    """Draw which cell has which choice; return the middle of the rows of each choice."""
    row, names, middles = 0.0, {}, {}
    for choice, levels in CHOICES.items():
        names[row] = rf"$\bf{{{TITLES[choice]}}}$".replace(" ", r"\ ")
        for level, title in levels.items():
            row += 1
            names[row] = title
            for split, part in _parts(cells):
                places = part.index[part[choice] == level]
                looks: dict[str, Any] = {"color": COLOURS[split], "linewidth": 0.7}
                _strokes(axes, places, row - 0.4, row + 0.4, **looks)
        middles[choice] = row - (len(levels) - 1) / 2
        row += 1.3
    axes.set_yticks(list(names), list(names.values()))
    axes.set(ylim=(row - 0.7, -0.6), xlim=(-6, len(cells) + 5), xticks=[])
    axes.set_xlabel(f"{len(cells)} specifications, sorted by accuracy")
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False)
    return middles


def _draw_reach(axes: Axes, reach: dict[str, float], limit: float) -> None:
    for row, (split, share) in enumerate(reach.items()):
        axes.barh(row, share, height=0.35, color=COLOURS[split])
        axes.text(0, row - 0.27, SPLITS[split].replace(" of the", "\nof the"), fontsize=8)
        axes.text(share + 0.03, row, percent(share), va="center", weight="bold")
    axes.set(xlim=(0, 1.3), ylim=(2.4, -0.8), xticks=[], yticks=[])
    axes.spines["bottom"].set_visible(False)
    axes.set_title(f"reach {percent(limit, 2)}", loc="left")


def _draw_shares(axes: Axes, shares: pd.DataFrame, places: list[float]) -> None:
    axes.barh(places, shares["share"], height=1.3, color=GREY)
    axes.hlines(places, shares["low"], shares["high"], color=DARK, linewidth=1.2)
    for place, share, high in zip(places, shares["share"], shares["high"], strict=True):
        axes.text(np.fmax(high, share) + 0.03, place, f"{share:.2f}", va="center")
    axes.set(xlim=(0, 1.3), xticks=[0, 0.5, 1], yticks=[])
    axes.set_title("share of variance", loc="left")
