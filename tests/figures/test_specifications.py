"""The specification curve shows every cell, in the colour of its split, above its choices."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb

from gliomalib.experiments.specifications import CHOICES, TITLES
from gliomalib.figures import picture, specifications
from gliomalib.figures.picture import Picture


def cells_of() -> pd.DataFrame:
    """Return all cells: by patient the worst, pooled years the best, nothing else matters."""
    cells = pd.DataFrame(product(*CHOICES.values()), columns=list(CHOICES))
    start = cells["split"].map({"patient": 0.8, "slice": 0.9, "years": 0.99})
    cells["accuracy"] = start + np.arange(len(cells)) / len(cells) / 100
    cells["low"], cells["high"] = cells["accuracy"] - 0.02, 1.0
    return cells.sort_values("accuracy", ignore_index=True)


NARROW = "\N{NO-BREAK SPACE}"
CELLS = cells_of()
NETWORKS = CELLS[list(CHOICES)].iloc[[5, 400]].assign(accuracy=0.7, low=0.6, high=0.8)
SHARES = pd.DataFrame(
    {"choice": [*CHOICES, "interactions"], "title": [*TITLES.values(), "interactions"],
     "share": [0.6, *[0.05] * 6, 0.1], "low": 0.01, "high": 0.7}
)  # fmt: skip


@pytest.fixture(scope="module")
def drawn() -> Picture:
    return specifications.curve(CELLS, NETWORKS, SHARES, 0.9925, 0.01)


def test_every_cell_is_a_dot_in_the_colour_of_its_split(drawn: Picture) -> None:
    top = drawn.figure.axes[0]
    dots = {line.get_label(): line for line in top.lines if line.get_marker() == "o"}
    assert [len(line.get_xdata()) for line in dots.values()] == [288, 288, 288]
    assert [line.get_color() for line in dots.values()] == list(specifications.COLOURS.values())
    places = np.concatenate([line.get_xdata() for line in dots.values()])
    assert sorted(places) == list(range(len(CELLS)))
    # one accuracy is one height for all: a tenth of the error is a step of one
    heights = np.concatenate([line.get_ydata() for line in dots.values()])
    shown = np.minimum(CELLS["accuracy"], picture.TOP)
    np.testing.assert_allclose(1 - 10.0**-heights, shown)
    assert max(top.get_ylim()) < 4, "an error of 0 has no place"


def test_resnet50_stands_above_the_cell_with_its_choices(drawn: Picture) -> None:
    rings = next(line for line in drawn.figure.axes[0].lines if line.get_marker() == "D")
    assert list(rings.get_xdata()) == [5, 400]


def test_a_stroke_says_what_each_cell_chose(drawn: Picture) -> None:
    below = drawn.figure.axes[2]
    rows = dict(
        zip(below.get_yticks(), [t.get_text() for t in below.get_yticklabels()], strict=True)
    )
    for choice, level in (("image", "mri"), ("reported", "best"), ("split", "years")):
        row = next(y for y, title in rows.items() if title == CHOICES[choice][level])
        strokes = [line for line in below.lines if row - 0.4 in line.get_ydata()]
        places = np.unique(np.concatenate([line.get_xdata() for line in strokes]))
        assert places.tolist() == CELLS.index[CELLS[choice] == level].tolist()
    assert below.get_xlim() == drawn.figure.axes[0].get_xlim()


def test_the_bars_stand_at_the_rows_of_their_choice(drawn: Picture) -> None:
    below, bars = drawn.figure.axes[2:]
    assert bars.get_ylim() == below.get_ylim()
    assert [bar.get_width() for bar in bars.patches] == [0.6, *[0.05] * 6]
    middle = bars.patches[0].get_y() + bars.patches[0].get_height() / 2
    assert middle == pytest.approx(2), "the split has the rows 1 to 3 below its title"


def test_the_text_alternative_tells_what_the_picture_shows(drawn: Picture) -> None:
    alt = drawn.alt.replace(NARROW, " ")
    assert "864 specifications" in alt and "98.25 %" in alt
    assert "by patient 0 %, by slice 0 %, by volume of the pooled years 100 %" in alt
    assert "split 0.6, class of a slice 0.05" in alt
    words = " ".join(text.get_text() for axes in drawn.figure.axes for text in axes.texts)
    words = words.replace(NARROW, " ")
    assert "printed: 99.25 %" in words and "100 %" in words


def test_colours_are_seen_on_white() -> None:
    for colour in specifications.COLOURS.values():
        linear = [
            c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)
        ]
        assert 1.05 / (np.dot(linear, [0.2126, 0.7152, 0.0722]) + 0.05) >= 3
