"""Figures of who takes part: the pooled years, an examination, what the crop loses."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.patches import Patch, Rectangle
from numpy.typing import NDArray

from gliomalib.experiments.preprocessing import CropView
from gliomalib.figures import picture
from gliomalib.figures.picture import DARK, PART_COLOURS, Picture, canvas, spoken, styled
from gliomalib.schema import SEQUENCES, Labels


@styled
def years(table: pd.DataFrame) -> Picture:
    """Draw who of a BraTS year was in an earlier one; the table is ``identity.year_overlap``'s."""
    if table.empty:
        return picture.words("There is no table of subject IDs across years.")
    figure, axes = canvas(6.5, 1.1 + 0.42 * len(table))
    names = table["year"].astype(str)
    axes.barh(names, table["known"], color=DARK, label="in an earlier year too")
    axes.barh(names, table["new"], left=table["known"], color=picture.GREY, label="new")
    for row, (known, total) in enumerate(zip(table["known"], table["patients"], strict=True)):
        axes.text(total, row, f" {total} ({known} known)", va="center")
    axes.set(xlabel="patients", ylabel="", xlim=(0, 1.25 * table["patients"].max()))
    axes.invert_yaxis()
    picture.legend_above(axes, 2)
    counts = spoken(table.set_index("year")["patients"])
    return Picture(figure, f"Bars: patients named for each year, {counts}; dark: known.")


@styled
def examination(images: NDArray[Any], labels: Labels, title: str) -> Picture:
    """Draw the slice with the most tumour: four sequences (4, X, Y, Z) and the expert labels.

    Without images (0, X, Y, Z) it is the labels alone.
    """
    z = picture.busiest_slice(labels)
    titles = [*picture.SEQUENCE_TITLES.values()][: len(images)]
    figure, panels = canvas(9.5, 2.4, 1, len(titles) + 1, squeeze=False)
    for axes, name, image in zip(panels[0], titles, images, strict=False):
        picture.show_slice(axes, image[..., z], name)
    behind = images[SEQUENCES.index("flair")] if titles else np.zeros(labels.shape)
    picture.show_slice(panels[0][-1], behind[..., z], "truth", labels[..., z])
    picture.class_legend(figure)
    figure.suptitle(title, fontsize=9)
    return Picture(figure, f"{title}: {', '.join([*titles, 'labels'])} in slice {z}.")


@styled
def crop_outline(view: CropView | None) -> Picture:
    """Draw a slice with its labels and the rectangle that the crop keeps; None: no crop."""
    if view is None:
        return picture.words("These cases were not cropped here.")
    figure, axes = canvas(4.4, 4.4)
    picture.show_slice(axes, view.image, view.title.replace(": ", ":\n"), view.labels)
    across, down = view.box
    width, height = across.stop - across.start, down.stop - down.start
    dashes: dict[str, Any] = {"fill": False, "edgecolor": "white", "linestyle": "--"}
    axes.add_patch(Rectangle((across.start, down.start), width, height, **dashes))
    outside = int((view.labels > 0).sum() - (view.labels[view.box] > 0).sum())
    picture.class_legend(figure)
    return Picture(
        figure, f"{view.title}: {outside} tumour voxels of this slice lie outside the crop."
    )


@styled
def shares(table: pd.DataFrame, column: str, label: str) -> Picture:
    """Draw a share (0–1) per patient, sorted, coloured by part; columns patient_id, part."""
    if table[column].isna().all():
        return picture.words(f"Not known of any patient: {label}.")
    ordered = table.sort_values(column, ascending=False).reset_index(drop=True)
    figure, axes = canvas(6.5, 2.8)
    axes.bar(ordered.index, 100 * ordered[column], color=ordered["part"].map(PART_COLOURS))
    axes.set(xlabel="patients, sorted", ylabel=label, ylim=(0, None), xticks=[])
    present = [part for part in PART_COLOURS if part in set(ordered["part"])]
    axes.legend(handles=[Patch(color=PART_COLOURS[part], label=part) for part in present])
    most, least = ordered.iloc[0], ordered.iloc[-1]
    return Picture(
        figure,
        f"Bars: {label} per patient, from {100 * most[column]:.0f} ({most['patient_id']}) "
        f"down to {100 * least[column]:.0f}.",
    )
