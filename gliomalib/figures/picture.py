"""What all figures have in common: style, colours, and a picture with a text alternative."""

import io
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import ArrayLike, NDArray

from gliomalib.figures import encode
from gliomalib.provenance import write_atomic
from gliomalib.schema import CLASS_COLOURS, CLASS_NAMES, SEQUENCES, Labels

ENHANCING = 3
"""The class whose masks have an edge."""

BLUE, GREY, DARK, ORANGE = "#0072b2", "#8a8a8a", "#444444", "#d55e00"
"""Ours, what it is measured by, what is neither, and the paper (or a limit)."""

SKY, AMBER, PINK = "#2f8fc9", "#c47a00", "#b5608f"
"""Further colours. As those above, each is at 3:1 or more on a light page and on a dark one;
a page turns ``DARK`` into a light grey when it is dark itself."""

NETWORK_COLOURS = {"2D": SKY, "3D": AMBER, "fused": DARK}
PART_COLOURS = {"internal": DARK, "test": DARK, "external": PINK}
SEQUENCE_TITLES = dict(zip(SEQUENCES, ("T1", "T1ce", "T2", "FLAIR"), strict=True))

STYLE: dict[Any, Any] = {
    "figure.dpi": 110,
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "legend.frameon": False,
}

FITTING = 30
"""Patients whose dots of full size find room side by side, however alike they are."""

NAMED = 100
"""Of a cloud of more dots only the lowest and the highest say who they are."""

LEVELS = (0, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999)
"""Scores that may be marked; the axis grows with the logarithm of the error."""

TOP = 0.9995
"""Scores above are drawn here: an error of 0 has no logarithm."""

SEEN = 5.0
"""Points of a mark in a legend, at least."""


@dataclass(frozen=True)
class Picture:
    """A finished figure and the sentence that stands for it where it cannot be seen."""

    figure: Figure
    alt: str

    def _repr_mimebundle_(
        self, include: Any = None, exclude: Any = None
    ) -> tuple[dict[str, Any], dict[str, dict[str, str]]]:
        """Return lines as vectors, and whatever holds an image of voxels as a bitmap."""
        if any(axes.images for axes in self.figure.axes):
            return {"image/png": self._drawn("png")}, {"image/png": {"alt": self.alt}}
        vectors = self._drawn("svg").decode()
        return {"image/svg+xml": vectors}, {"image/svg+xml": {"alt": self.alt}}

    def save(self, path: str | Path) -> Self:
        """Write the picture as PNG too, and return it to be shown."""
        write_atomic(path, self._drawn("png"))
        return self

    def _drawn(self, kind: str) -> bytes:
        stream = io.BytesIO()
        # No program, no date, names by hash: the same data give the same bytes.
        names: dict[str, Any] = {"Software": None} if kind == "png" else {"Date": None}
        with mpl.rc_context({**STYLE, "svg.hashsalt": "gliomalib", **encode.FONTS}):
            self.figure.savefig(stream, format=kind, metadata=names)
        content = stream.getvalue()
        return encode.png(content) if kind == "png" else encode.svg(content.decode()).encode()


@contextmanager
def _style() -> Iterator[None]:
    with mpl.rc_context(STYLE):
        yield


styled = _style()
"""Lets a function draw in the style of all figures, and leaves that of the process alone; it holds
for the whole function, because legends and titles read it when they are made."""


def canvas(
    width: float, height: float, rows: int = 1, columns: int = 1, **more: Any
) -> tuple[Figure, Any]:
    """Return a figure of this size in inches, and its axes as ``Figure.subplots`` gives them."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(rows, columns, **more)


def words(sentence: str) -> Picture:
    """Return a sentence where a figure would stand if there were anything to draw."""
    figure, axes = canvas(6.5, 0.6)
    axes.text(0.5, 0.5, sentence, ha="center", va="center")
    axes.set_axis_off()
    return Picture(figure, sentence)


def rows_from_top(axes: Axes, titles: Iterable[Any]) -> None:
    """Name the rows 0, 1 … of a panel, the first one on top and none at the frame."""
    names = list(titles)
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)


def swarm(axes: Axes, clouds: Sequence[pd.Series], size: float, **drawn: Any) -> None:
    """Draw every patient as a dot with seaborn's swarm, the more in one place the smaller.

    ``size`` in points is that of few; ``clouds`` are the values of each place by patient ID.
    """
    crowd = max(map(len, clouds), default=1)
    size *= min(1.0, math.sqrt(FITTING / max(crowd, 1)))
    # a swarm, not a jitter: the same table gives the same picture; it warns where a tenth of the
    # dots find no room
    sns.swarmplot(ax=axes, size=size, warn_thresh=0.1, **drawn)
    name_dots(axes, clouds)


def name_dots(
    axes: Axes,
    clouds: Iterable[pd.Series],
    drawn_at: Callable[[pd.Series], ArrayLike] = np.asarray,
) -> None:
    """Let dots say who they are and how much, as a title; clouds are values by patient ID.

    A cloud that is drawn is found by its values, or by what ``drawn_at`` makes of them. Where those
    of other patients are the same nobody is named. A page makes of a title a link.
    """
    known: dict[Any, Any] = {}
    for values in (cloud.dropna() for cloud in clouds):
        at = tuple(np.asarray(drawn_at(values)))
        alike = known.setdefault(at, values)
        if alike is not None and not alike.index.equals(values.index):
            known[at] = None
    lines: list[tuple[Artist, Any]] = [(line, line.get_xydata()) for line in axes.lines]
    for dots, points in [*lines, *((dots, dots.get_offsets()) for dots in axes.collections)]:
        cloud = next((known[t] for t in map(tuple, np.asarray(points).T) if t and t in known), None)
        if cloud is None:
            continue
        names = [f"{who}: {value:.3g}" for who, value in cloud.items()]
        if len(names) > NAMED:
            ends = {cloud.argmin(), cloud.argmax()}
            names = [name if place in ends else "" for place, name in enumerate(names)]
            names.append(f"One of {len(cloud)} patients; the lowest and the highest are named")
        dots.set_gid(quote(json.dumps(names)))


def height(score: ArrayLike) -> Any:
    """Return where a score is drawn: 90, 99 and 99.9 % are equally far apart."""
    return -np.log10(1 - np.minimum(score, TOP))


def legend_above(axes: Axes, columns: int) -> None:
    """Put the legend of a panel above it, with marks that are seen however small the dots are."""
    legend = axes.legend(loc="lower center", bbox_to_anchor=(0.4, 1), ncols=columns)
    for mark in legend.legend_handles:
        if isinstance(mark, Line2D):
            mark.set_markersize(max(SEEN, float(mark.get_markersize())))


def legend_below(figure: Figure, axes: Axes, columns: int) -> None:
    """Put the legend of a panel below the whole figure, each label once."""
    handles, labels = axes.get_legend_handles_labels()
    legend = dict(zip(labels, handles, strict=True))
    figure.legend(legend.values(), legend.keys(), loc="outside lower center", ncols=columns)


def class_legend(figure: Figure, *, everything: bool = False) -> None:
    """Name the colours of the tumour classes below the figure, or those of all classes."""
    pairs = list(zip(CLASS_NAMES, CLASS_COLOURS, strict=True))
    handles = [Patch(facecolor=colour, label=name) for name, colour in pairs]
    handles[ENHANCING].set_edgecolor("white")
    # on dark ground, where its white edge is seen
    ground: dict[str, Any] = {"facecolor": DARK, "labelcolor": "white", "frameon": True}
    shown = handles[0 if everything else 1 :]
    figure.legend(handles=shown, loc="outside lower center", ncols=4, fontsize=8, **ground)


def show_slice(
    axes: Axes, image: NDArray[Any], title: str, labels: NDArray[Any] | None = None
) -> None:
    """Draw an axial slice (X, Y) in grey, with its labels in the colours of their classes.

    Enhancing tumour has a white edge: edema is as bright, which counts in grey.
    """
    # BraTS arrays run right to left and front to back: transposed, the face looks up.
    axes.imshow(np.asarray(image, dtype=float).T, cmap="gray", interpolation="nearest")
    axes.set_title(title)
    axes.set_axis_off()
    if labels is not None:
        tumour, colours = np.ma.masked_equal(labels.T, 0), ListedColormap(CLASS_COLOURS)
        axes.imshow(tumour, cmap=colours, vmin=0, vmax=3, alpha=0.6, interpolation="nearest")
        if (labels == ENHANCING).any():
            axes.contour(labels.T == ENHANCING, [0.5], colors="white", linewidths=0.7)


def busiest_slice(labels: Labels) -> int:
    """Return the axial index with the most tumour voxels of ``labels`` (X, Y, Z)."""
    return int((labels > 0).sum(axis=(0, 1)).argmax())


def spoken(values: Mapping[Any, Any] | pd.Series) -> str:
    """Return named numbers as a text alternative says them: ``WT 0.8, ET 0.5``."""
    return ", ".join(f"{name} {value:g}" for name, value in values.items()).replace("\n", " ")
