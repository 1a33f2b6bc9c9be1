"""Figures: a table or arrays in, a picture with a text alternative out."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import LogLocator, MaxNLocator
from numpy.typing import NDArray

from gliomalib.experiments.views import CropView
from gliomalib.figures import encode
from gliomalib.schema import CLASS_COLOURS, CLASS_NAMES, SEQUENCES, Example, Labels

NETWORK_COLOURS = {"2D": "#56b4e9", "3D": "#e69f00", "fused": "#444444"}
PART_COLOURS = {"internal": "#444444", "test": "#444444", "external": "#cc79a7"}
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

    def save(self, path: Path) -> Picture:
        """Write the picture as PNG too, and return it to be shown."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self._drawn("png"))
        return self

    def _drawn(self, kind: str) -> bytes:
        stream = io.BytesIO()
        # No program, no date, names by hash: the same data give the same bytes.
        names: dict[str, Any] = {"Software": None} if kind == "png" else {"Date": None}
        with mpl.rc_context({"svg.hashsalt": "gliomalib", **encode.FONTS}):
            self.figure.savefig(stream, format=kind, metadata=names)
        content = stream.getvalue()
        return encode.png(content) if kind == "png" else encode.svg(content.decode()).encode()


def cohort(cases: pd.DataFrame) -> Picture:
    """Draw how many cases each part and release holds; ``cases`` is the table of notebook 01."""
    counts = cases.groupby(["part", "release", "grade"], dropna=False).size().reset_index(name="n")
    counts["grade"] = counts["grade"].fillna("grade unknown")
    counts["group"] = counts["part"] + "\n" + counts["release"]
    figure, axes = _canvas(6.5, 0.9 + 0.55 * counts["group"].nunique())
    table = counts.pivot_table(index="group", columns="grade", values="n", fill_value=0)
    left = np.zeros(len(table))
    for grade, colour in zip(table.columns, sns.color_palette("Greys", 5)[1:], strict=False):
        axes.barh(table.index, table[grade], left=left, color=colour, label=grade)
        left += table[grade].to_numpy()
    for row, total in enumerate(left):
        axes.text(total, row, f" {total:.0f}", va="center")
    axes.set(xlabel="examinations", ylabel="")
    axes.legend(title="")
    return Picture(figure, f"Bars: {_spoken(dict(zip(table.index, left, strict=True)))}.")


def overlap(table: pd.DataFrame) -> Picture:
    """Draw how many patients each pair of releases shares; the table is ``identity.overlap``'s."""
    shared = table.set_index("release").drop(columns=["examinations", "patients"])
    size = 1.6 + 0.62 * len(shared)
    figure, axes = _canvas(size + 1.2, size)
    sns.heatmap(
        shared, annot=True, fmt="d", cmap="Greys", cbar=False, ax=axes, square=True,
        linewidths=1, vmin=0,
    )  # fmt: skip
    axes.set(xlabel="also in", ylabel="patients of")
    axes.grid(visible=False)
    axes.set_xticks(axes.get_xticks(), list(map(str, shared)), rotation=40, ha="right")
    axes.tick_params(axis="y", rotation=0)
    own = table.set_index("release")["patients"].to_dict()
    return Picture(figure, f"Patients by release: {_spoken(own)}; shared ones in the cells.")


def years(table: pd.DataFrame) -> Picture:
    """Draw who of a BraTS year was in an earlier one; the table is ``identity.year_overlap``'s."""
    figure, axes = _canvas(6.5, 1.1 + 0.42 * max(len(table), 1))
    if table.empty:
        axes.text(0.5, 0.5, "no table of subject IDs across years", ha="center", va="center")
        axes.set_axis_off()
        return Picture(figure, "There is no table of subject IDs across years.")
    names = table["year"].astype(str)
    axes.barh(names, table["known"], color="#444444", label="in an earlier year too")
    axes.barh(names, table["new"], left=table["known"], color="#bbbbbb", label="new")
    for row, (known, total) in enumerate(zip(table["known"], table["patients"], strict=True)):
        axes.text(total, row, f" {total} ({known} known)", va="center")
    axes.set(xlabel="patients", ylabel="", xlim=(0, 1.25 * table["patients"].max()))
    axes.invert_yaxis()
    axes.legend(loc="lower center", bbox_to_anchor=(0.4, 1), ncols=2)
    told = dict(zip(names, table["patients"], strict=True))
    return Picture(figure, f"Bars: patients named for each year, {_spoken(told)}; dark: known.")


def volumes(table: pd.DataFrame) -> Picture:
    """Draw tumour volumes per patient in mL; columns patient_id, part, region, ml."""
    figure, axes = _canvas(6.5, 3.2)
    palette = {part: PART_COLOURS[part] for part in table["part"].unique()}
    sns.swarmplot(
        table, x="ml", y="region", hue="part", palette=palette, ax=axes, size=4, warn_thresh=0.5
    )
    axes.set(xlabel="volume, mL", ylabel="", xlim=(0, None))
    axes.legend(title="")
    median = table.groupby("region", sort=False)["ml"].median().round(1).to_dict()
    return Picture(figure, f"Points, one a patient: median volumes in mL are {_spoken(median)}.")


def examination(images: NDArray[Any], labels: Labels, title: str) -> Picture:
    """Draw the slice with the most tumour: four sequences (4, X, Y, Z) and the expert labels."""
    z = busiest_slice(labels)
    figure = _figure(9.5, 2.4)
    panels = figure.subplots(1, 5)
    for axes, name, image in zip(panels, SEQUENCE_TITLES.values(), images, strict=False):
        _show(axes, image[..., z], name)
    _show(panels[4], images[3][..., z], "truth")
    _overlay(panels[4], labels[..., z])
    _class_legend(figure)
    figure.suptitle(title, fontsize=9)
    return Picture(figure, f"{title}: T1, T1ce, T2, FLAIR and labels in slice {z}.")


def crop_outline(view: CropView) -> Picture:
    """Draw a slice with its labels and the rectangle that the crop keeps."""
    image, labels, box, title = view.image, view.labels, view.box, view.title
    figure, axes = _canvas(4.4, 4.4)
    _show(axes, image, title.replace(": ", ":\n"))
    _overlay(axes, labels)
    across, down = box
    axes.add_patch(
        mpl.patches.Rectangle(
            (across.start, down.start),
            across.stop - across.start,
            down.stop - down.start,
            fill=False,
            edgecolor="white",
            linestyle="--",
        )
    )
    outside = int((labels > 0).sum() - (labels[box] > 0).sum())
    _class_legend(figure)
    return Picture(figure, f"{title}: {outside} tumour voxels of this slice lie outside the crop.")


def shares(table: pd.DataFrame, column: str, label: str) -> Picture:
    """Draw a share (0–1) per patient, sorted, coloured by part; columns patient_id, part."""
    ordered = table.sort_values(column, ascending=False).reset_index(drop=True)
    figure, axes = _canvas(6.5, 2.8)
    colours = [PART_COLOURS[part] for part in ordered["part"]]
    axes.bar(ordered.index, 100 * ordered[column], color=colours)
    axes.set(xlabel="patients, sorted", ylabel=label, ylim=(0, None), xticks=[])
    present = [part for part in PART_COLOURS if part in set(ordered["part"])]
    axes.legend(handles=[Patch(color=PART_COLOURS[part], label=part) for part in present])
    worst = ordered.iloc[0]
    return Picture(
        figure,
        f"Bars: {label} per patient, from {100 * worst[column]:.0f} ({worst['patient_id']}) "
        f"down to {100 * ordered[column].iloc[-1]:.0f}.",
    )


def loss_curves(history: pd.DataFrame, title: str) -> Picture:
    """Draw loss per epoch; columns epoch, part, loss and, with several folds, fold."""
    figure, axes = _canvas(6.5, 2.8)
    several = history["fold"].nunique() > 1
    sns.lineplot(
        history, x="epoch", y="loss", style="part", hue="fold" if several else None, ax=axes,
        color="#444444", palette="viridis" if several else None, errorbar=None,
        marker="o" if history["epoch"].nunique() < 3 else None,
    )  # fmt: skip
    axes.set(title=title, ylabel="loss", yscale="log")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_locator(LogLocator(subs=(2, 5)))
    axes.yaxis.set_minor_formatter("{x:.2g}")
    axes.tick_params(axis="y", which="minor", labelsize=7)
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    last = history.groupby("part")["loss"].last().round(4).to_dict()
    return Picture(figure, f"{title}: loss over epochs; last values {_spoken(last)}.")


def dice_by_region(table: pd.DataFrame) -> Picture:
    """Draw Dice of every patient; columns region, dice, and network or part to colour by."""
    hue, palette = ("network", NETWORK_COLOURS) if "network" in table else ("part", PART_COLOURS)
    palette = {name: palette[name] for name in table[hue].unique()}
    figure, axes = _canvas(7.5, 3.2)
    drawn = {"x": "region", "y": "dice", "hue": hue, "ax": axes, "palette": palette}
    sns.boxplot(table, **drawn, showfliers=False, fill=False, linewidth=1, legend=False)
    # a swarm, not a jitter: every patient is seen, and the same table gives the same picture
    sns.swarmplot(table, **drawn, dodge=True, size=3, warn_thresh=0.5)
    axes.set(ylabel="Dice", xlabel="", ylim=(-0.03, 1.03))
    axes.legend(title="", loc="lower left", ncols=3, bbox_to_anchor=(0, 1))
    means = table.groupby(["region", hue], sort=False)["dice"].mean().round(2).reset_index()
    names = means["region"] + " " + means[hue]
    spoken = dict(zip(names, means["dice"], strict=True))
    return Picture(figure, f"Dice per patient, with quartiles; means: {_spoken(spoken)}.")


def segmentation(example: Example) -> Picture:
    """Draw FLAIR, truth and predicted labels side by side in the slice with most tumour."""
    z = busiest_slice(example.labels)
    shown = {"FLAIR": None, "truth": example.labels, **example.predictions}
    figure = _figure(1.9 * len(shown), 2.5)
    panels = figure.subplots(1, len(shown))
    for axes, (name, classes) in zip(panels, shown.items(), strict=True):
        _show(axes, example.image[..., z], name)
        if classes is not None:
            _overlay(axes, classes[..., z])
    _class_legend(figure)
    figure.suptitle(example.title, fontsize=9)
    return Picture(figure, f"{example.title}: {', '.join(shown)} in slice {z}.")


def confusion(matrices: Mapping[str, NDArray[Any]]) -> Picture:
    """Draw 4×4 confusion matrices, each row divided by its sum, counts written in the cells."""
    figure = _figure(4.4 * len(matrices), 3.7)
    panels = np.atleast_1d(figure.subplots(1, len(matrices)))
    names = [name.replace(" ", "\n") for name in CLASS_NAMES]
    for axes, (title, counts) in zip(panels, matrices.items(), strict=True):
        rows = counts.sum(axis=1, keepdims=True)
        sns.heatmap(
            counts / np.maximum(rows, 1), annot=counts, fmt="d", cmap="Greys", vmin=0, vmax=1,
            cbar=False, square=True, ax=axes, xticklabels=names, yticklabels=names,
        )  # fmt: skip
        axes.set(title=f"{title}: {int(counts.sum())} slices", xlabel="predicted", ylabel="truth")
        axes.tick_params(axis="y", rotation=0)
        axes.grid(visible=False)
    right = {name: int(np.trace(counts)) for name, counts in matrices.items()}
    return Picture(figure, f"Confusion matrices; slices on the diagonal: {_spoken(right)}.")


def along_z(table: pd.DataFrame, patients: Sequence[str]) -> Picture:
    """Draw true and predicted class over the slices; columns patient_id, z, truth, predicted."""
    figure = _figure(7.5, 1.0 * len(patients) + 0.6)
    panels = np.atleast_1d(figure.subplots(len(patients), 1, sharex=True))
    colours = ListedColormap(CLASS_COLOURS)
    for axes, patient in zip(panels, patients, strict=True):
        rows = table[table["patient_id"] == patient].sort_values("z")
        strip = rows[["truth", "predicted"]].to_numpy().T
        axes.imshow(strip, cmap=colours, vmin=0, vmax=3, aspect="auto", interpolation="nearest")
        axes.set_yticks([0, 1], ["truth", "predicted"])
        wrong = int((rows["truth"] != rows["predicted"]).sum())
        axes.set_title(f"{patient}: {wrong} of {len(rows)} slices wrong", fontsize=8, loc="left")
        axes.grid(visible=False)
    panels[-1].set_xlabel("axial slice")
    _class_legend(figure, everything=True)
    return Picture(figure, f"True and predicted class along the head for {', '.join(patients)}.")


def alpha_curves(curves: pd.DataFrame, published: float) -> Picture:
    """Draw mean Dice over α with its band; columns alpha, region, dice, low, high."""
    figure, axes = _canvas(7.0, 3.4)
    colours = dict(zip(curves["region"].unique(), _REGION_COLOURS, strict=False))
    for region, rows in curves.groupby("region", sort=False):
        axes.plot(rows["alpha"], rows["dice"], color=colours[region], label=region)
        axes.fill_between(
            rows["alpha"], rows["low"], rows["high"], color=colours[region], alpha=0.1
        )
        best = rows.iloc[int(rows["dice"].to_numpy().argmax())]
        axes.plot(best["alpha"], best["dice"], "o", color=colours[region], markersize=5)
    axes.axvline(published, color="#d55e00", linestyle=":", linewidth=1.5)
    axes.annotate(
        f"paper: {published:g}", (published, 1), xycoords=("data", "axes fraction"),
        xytext=(3, -2), textcoords="offset points", va="top", fontsize=8,
    )  # fmt: skip
    axes.set(xlabel="α (0: 3D only, 1: 2D only)", ylabel="mean Dice", xlim=(0, 1))
    axes.legend(title="", loc="center left", bbox_to_anchor=(1, 0.5))
    best_of = curves.loc[curves.groupby("region", sort=False)["dice"].idxmax()]
    spoken = dict(zip(best_of["region"], best_of["alpha"].round(2), strict=True))
    return Picture(figure, f"Mean Dice over α with 95 % bands; best α: {_spoken(spoken)}.")


def published_and_obtained(table: pd.DataFrame) -> Picture:
    """Draw published, faithful and obtained values; the table is ``judge.numbers``'s."""
    rows = table.iloc[::-1].reset_index(drop=True)
    figure, axes = _canvas(7.5, 0.8 + 0.32 * len(rows))
    axes.hlines(rows.index, rows["low"], rows["high"], color="#444444", linewidth=2)
    axes.plot(rows["value"], rows.index, "o", color="#444444", label="obtained, 95 % interval")
    axes.plot(rows["faithful"], rows.index, "s", color="#56b4e9", label="pixel recipe")
    axes.plot(rows["published"], rows.index, "D", color="#d55e00", label="published", mfc="none")
    axes.set_yticks(rows.index, rows["metric"])
    axes.set(xlabel="value")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=3)
    told = "Published values (diamonds) beside obtained ones (dots, intervals)"
    return Picture(figure, f"{told} and those of the pixel recipe (squares).")


def busiest_slice(labels: Labels) -> int:
    """Return the axial index with the most tumour voxels of ``labels`` (X, Y, Z)."""
    return int((labels > 0).sum(axis=(0, 1)).argmax())


_REGION_COLOURS = ("#444444", *CLASS_COLOURS[1:], "#56b4e9", "#cc79a7")


def _figure(width: float, height: float) -> Figure:
    # Legends and titles read the style when they are made, long after the figure is.
    mpl.rcParams.update(STYLE)
    return Figure(figsize=(width, height), layout="constrained")


def _canvas(width: float, height: float) -> tuple[Figure, Axes]:
    figure = _figure(width, height)
    return figure, figure.subplots()


def _show(axes: Axes, image: NDArray[Any], title: str) -> None:
    # BraTS arrays run right to left and front to back: transposed, the face looks up.
    axes.imshow(np.asarray(image, dtype=float).T, cmap="gray", interpolation="nearest")
    axes.set_title(title)
    axes.set_axis_off()


def _overlay(axes: Axes, labels: Labels) -> None:
    shown = np.ma.masked_equal(labels.T, 0)
    colours = ListedColormap(CLASS_COLOURS)
    axes.imshow(shown, cmap=colours, vmin=0, vmax=3, alpha=0.6, interpolation="nearest")


def _class_legend(figure: Figure, *, everything: bool = False) -> None:
    pairs = list(zip(CLASS_NAMES, CLASS_COLOURS, strict=True))[0 if everything else 1 :]
    handles = [Patch(color=colour, label=name) for name, colour in pairs]
    figure.legend(handles=handles, loc="outside lower center", ncols=4, fontsize=8, frameon=False)


def _spoken(values: Mapping[Any, Any]) -> str:
    return ", ".join(f"{name} {value:g}" for name, value in values.items()).replace("\n", " ")
