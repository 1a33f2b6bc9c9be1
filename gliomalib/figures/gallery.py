"""Pictures of every reported patient for a page of their own: two slices, or a volume to scroll.

One JSON file a patient, with WebP pictures as data addresses. Of a real patient no more than single
slices leave the working folder, unless the study's ``report.real_volumes`` says so.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from gliomalib import progress
from gliomalib.figures import encode
from gliomalib.pipeline import folds
from gliomalib.provenance import write_atomic
from gliomalib.schema import CLASS_COLOURS, SEQUENCES, Labels, StoredCase
from gliomalib.scoring import tables

TRUTH = "truth"

MOST_ACROSS = 64
"""Voxels along the longest side of a volume to scroll: 1 MB a page for all its pictures."""


def write(material: folds.Material, scores: pd.DataFrame) -> pd.DataFrame:
    """Write ``patients/<id>.json`` of the report for all reported patients; return what is in each.

    ``scores`` are those of notebook 05. An external patient is shown as the first fold saw him.
    A few patients get whole volumes (``scrollable``). Files of others are removed. Columns:
    patient_id, part, fold, slices, volume.
    """
    whole = scrollable(scores) if _volumes_allowed(material) else ()
    folder = material.run.report_dir / "patients"
    shown: dict[str, dict[str, Any]] = {}
    for split, part, patient in progress.steps(list(folds.scored(material)), "pictures"):
        if patient in shown:
            continue
        case = material.store.get(patient)
        labels = _labels(material, case, split.fold)
        content = {"patient_id": patient, "part": part, "fold": split.fold,
                   "spacing_mm": list(case.grid.spacing_mm), "shape": list(case.grid.shape),
                   "layers": list(labels), "slices": slices_that_matter(case, labels),
                   "volume": volume(case, labels) if patient in whole else None}  # fmt: skip
        write_atomic(folder / f"{patient}.json", json.dumps(content) + "\n")
        shown[patient] = content
    for path in folder.glob("*.json"):
        if path.stem not in shown:
            path.unlink()
    return pd.DataFrame(
        [
            {"patient_id": name, "part": one["part"], "fold": one["fold"],
             "slices": len(one["slices"]), "volume": one["volume"] is not None}
            for name, one in shown.items()
        ]
    )  # fmt: skip


def scrollable(scores: pd.DataFrame) -> tuple[str, ...]:
    """Return the worst held-out patient and the worst external one.

    By the mean Dice of the fused volume, folds averaged.
    """
    fused = tables.with_mean(scores[scores["network"] == "fused"])
    chosen: list[str] = []
    for part in ("test", "external"):
        if (fused["part"] == part).any():
            ranked = tables.per_patient(fused, "mean", part).sort_values(kind="stable").index
            chosen.append(str(ranked[0]))
    return tuple(dict.fromkeys(chosen))


def slices_that_matter(case: StoredCase, labels: Mapping[str, Labels]) -> list[dict[str, Any]]:
    """Return the axial slice with most tumour, and the one with most wrong voxels of the fused.

    Each with z, why it is shown, how many of its voxels are wrong and how many truly tumour, the
    voxels of the classes 1 to 3 of each of ``labels``, and one picture for each sequence and each
    of ``labels``; a slice that is both stands once.
    """
    wrong = labels["fused"] != labels[TRUTH]
    found: dict[int, list[str]] = {}
    for why, mask in (("most tumour", labels[TRUTH] > 0), ("most voxels wrong", wrong)):
        found.setdefault(int(mask.sum(axis=(0, 1)).argmax()), []).append(why)
    return [
        {"z": z, "why": " and ".join(why), "wrong": int(wrong[..., z].sum()),
         "tumour": int((labels[TRUTH][..., z] > 0).sum()),
         "voxels": {name: np.bincount(one[..., z].ravel(), minlength=4)[1:].tolist()
                    for name, one in labels.items()},
         "images": {name: _grey(case.images[index, ..., z].T)
                    for index, name in enumerate(SEQUENCES)},
         "labels": {name: _coloured(one[..., z].T) for name, one in labels.items()}}
        for z, why in found.items()
    ]  # fmt: skip


def volume(case: StoredCase, labels: Mapping[str, Labels]) -> dict[str, Any]:
    """Return all slices as mosaics, one for each sequence and each of ``labels``.

    Of a large volume every ``step``-th voxel along each axis is kept; ``shape`` is what is left.
    """
    step = -(-max(case.grid.shape) // MOST_ACROSS)
    shape = [-(-size // step) for size in case.grid.shape]
    columns = math.ceil(math.sqrt(shape[2]))
    return {
        "columns": columns,
        "step": step,
        "shape": shape,
        "images": {
            name: _grey(mosaic(_thinned(np.asarray(case.images[index]), step), columns))
            for index, name in enumerate(SEQUENCES)
        },
        "labels": {
            name: _coloured(mosaic(_thinned(one, step), columns)) for name, one in labels.items()
        },
    }


def mosaic(array: NDArray[Any], columns: int) -> NDArray[Any]:
    """Return the axial slices (Y, X) of an array (X, Y, Z) row by row in one picture."""
    width, height, depth = array.shape
    rows = -(-depth // columns)
    sheet = np.zeros((rows * height, columns * width), dtype=array.dtype)
    for z in range(depth):
        row, column = divmod(z, columns)
        place = (
            slice(row * height, (row + 1) * height),
            slice(column * width, (column + 1) * width),
        )
        sheet[place] = array[..., z].T
    return sheet


def _thinned(array: NDArray[Any], step: int) -> NDArray[Any]:
    return array[::step, ::step, ::step]


def _volumes_allowed(material: folds.Material) -> bool:
    return not material.study.real_data or material.study.report.real_volumes


def _labels(material: folds.Material, case: StoredCase, fold: int) -> dict[str, Labels]:
    found = {TRUTH: np.asarray(case.labels)}
    for network in (*folds.BRANCHES, "fused"):
        predicted = folds.volume(material, network, fold, case.grid.patient_id)
        found[folds.short(network)] = tables.predicted_labels(predicted)
    return found


def _grey(image: NDArray[Any]) -> str:
    scaled = np.clip(np.asarray(image, dtype=np.float32) * 255, 0, 255).round()
    return encode.address(Image.fromarray(scaled.astype(np.uint8)), exact=False)


def _coloured(labels: NDArray[Any]) -> str:
    """Return labels as a picture in the four colours, clear where there is no tumour."""
    picture = Image.fromarray(np.ascontiguousarray(labels, dtype=np.uint8)).convert("P")
    picture.putpalette([int(c[i : i + 2], 16) for c in CLASS_COLOURS for i in (1, 3, 5)])
    picture.info["transparency"] = 0
    return encode.address(picture.convert("RGBA"), exact=True)

