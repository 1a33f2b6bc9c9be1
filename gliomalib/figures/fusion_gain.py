"""The figure of notebook 05: every patient's difference between networks, beside the means.

An estimation plot (Gardner and Altman 1986, doi:10.1136/bmj.292.6522.746): boxes of two networks
side by side would hide that both were scored on the same patients.
"""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from gliomalib.figures import picture
from gliomalib.figures.picture import BLUE, DARK, GREY, ORANGE, Picture, canvas, spoken, styled
from gliomalib.scoring.tables import RULES
from gliomalib.scoring.training_noise import MARGIN

LOOKS = dict(zip(RULES, (("o", DARK, 0.12), ("s", BLUE, 0.22), ("^", ORANGE, 0.32)), strict=True))
"""Rule for empty masks → marker and colour of its mean, and how far it is from the middle."""


@styled
def paired(patients: pd.DataFrame, differences: pd.DataFrame) -> Picture:
    """Draw mean Dice of every patient, and its differences between networks with their means.

    ``patients`` and ``differences`` are those of ``experiments.fusion_gain``, of one part. A
    patient is a line on the left and a dot on the right, by the study's rule for empty masks; who
    decides a mean is named.
    """
    figure, (left, right) = canvas(9.0, 4.2, 1, 2, width_ratios=[2, 3])
    names = ["2D", "fused", "3D"]
    # one line with gaps, which a page holds as a single path
    gaps = np.c_[patients[names], np.full(len(patients), np.nan)]
    left.plot(np.tile([0, 1, 2, np.nan], len(gaps)), gaps.ravel(), color=GREY, linewidth=0.7)
    for place, name in enumerate(names):
        left.plot([place] * len(gaps), patients[name], "o", color=GREY, markersize=3)
    picture.name_dots(left, [patients[name] for name in names])
    left.set_xticks(range(3), names)
    left.plot(range(3), patients[names].mean(), "_", color=DARK, markersize=30, markeredgewidth=3)
    own = differences[differences["rule"] == "dice"].set_index("title").round(3)
    deciders = own["decider"][own["decider"] != ""].unique()
    left.plot(
        range(3), patients.loc[deciders, names].T, "o-", color=DARK, linewidth=1.2, markersize=4
    )
    left.set(title="a line is a patient, a bar the mean", ylabel="mean Dice of NCR, ED and ET")
    left.margins(x=0.15)
    titles = list(differences["title"].unique())
    for place, title in enumerate(titles):
        _draw_contrast(right, place, patients, differences[differences["title"] == title])
    right.axhspan(-MARGIN, MARGIN, color=GREY, alpha=0.25, linewidth=0, label=f"±{MARGIN:g}")
    right.axhline(0, color=DARK, linewidth=0.8)
    right.set(title="a dot is a patient; means with 95 % intervals", ylabel="difference in Dice")
    right.set(xlim=(-0.5, len(titles) - 0.4), xlabel="")
    right.set_xticks(range(len(titles)), titles)
    picture.legend_below(figure, right, 2)
    means, medians = spoken(own["difference"]), spoken(own["median"])
    who = ", ".join(deciders) or "nobody"
    words = f"Mean differences: {means}; medians: {medians}; one patient decides: {who}."
    return Picture(figure, words)


def _draw_contrast(axes: Axes, place: int, patients: pd.DataFrame, rows: pd.DataFrame) -> None:
    """Draw the differences of all patients as a swarm, and beside it the mean by each rule."""
    better, other = rows["title"].iloc[0].split(" − ")
    dice = patients[better] - patients[other]
    looks = {"x": [place - 0.15] * len(dice), "color": GREY, "legend": False}
    picture.swarm(axes, [dice], 4.5, y=dice, native_scale=True, **looks)
    for row in rows.to_dict("records"):
        marker, colour, shift = LOOKS[row["rule"]]
        axes.vlines(place + shift, row["low"], row["high"], color=colour, linewidth=2)
        axes.plot(place + shift, row["difference"], marker, color=colour, label=RULES[row["rule"]])
        if row["rule"] == "dice" and row["decider"]:
            at = (place - 0.15, dice[row["decider"]])
            axes.annotate(row["decider"], at, (7, 0), textcoords="offset points", va="center")
