"""Figure of time: what the seconds of a patient are made of, and what they buy."""

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
