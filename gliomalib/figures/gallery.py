"""Pictures of every reported patient for a page of their own: two slices, or a volume to scroll.

One JSON file per patient, with WebP pictures as data addresses. Of a real patient no more than
single slices leave the working folder, unless the study's ``report.real_volumes`` says so.
"""

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
"""Voxels along the longest side of a volume to scroll: 1 MB per page for all its pictures."""


def write(material: folds.Material, scores: pd.DataFrame) -> pd.DataFrame:
    """Write ``patients/<id>.json`` of the report for all reported patients; return what is in each.

    ``scores`` are those of notebook 05. An external patient is shown as the first fold saw it.
    A few patients get whole volumes (``scrollable``). Files of others are removed. Columns:
    patient_id, part, fold, slices, volume.
    """
    allowed = not material.study.real_data or material.study.report.real_volumes
    whole = scrollable(scores) if allowed else ()
    folder = material.run.report_dir / "patients"
    rows: dict[str, dict[str, Any]] = {}
    for split, part, patient in progress.steps(list(folds.scored(material)), "pictures"):
        if patient in rows:
            continue
        case = material.store.get(patient)
        labels = _labels(material, case, split.fold)
        slices = slices_that_matter(case, labels)
        about = {"patient_id": patient, "part": part, "fold": split.fold}
        content = {
            **about,
            "spacing_mm": list(case.grid.spacing_mm),
            "shape": list(case.grid.shape),
            "layers": list(labels),
            "slices": slices,
            "volume": volume(case, labels) if patient in whole else None,
        }
        write_atomic(folder / f"{patient}.json", json.dumps(content) + "\n")
        rows[patient] = {**about, "slices": len(slices), "volume": patient in whole}
    for path in folder.glob("*.json"):
        if path.stem not in rows:
            path.unlink()
    return pd.DataFrame(list(rows.values()))


def scrollable(scores: pd.DataFrame) -> tuple[str, ...]:
    """Return the worst held-out patient and the worst external one.

    By the whole-tumour Dice of the fused volume, folds averaged: an empty mask cannot decide it.
    """
    fused = scores[scores["network"] == "fused"]
    parts = [part for part in ("test", "external") if (fused["part"] == part).any()]
    dice = [tables.per_patient(fused, "WT", part) for part in parts]
    return tuple(str(ranked.sort_values(kind="stable").index[0]) for ranked in dice)


def slices_that_matter(case: StoredCase, labels: Mapping[str, Labels]) -> list[dict[str, Any]]:
    """Return the axial slice with most tumour, and the one with most wrong voxels of the fused.

    Each with z, why it is shown, how many of its voxels are wrong and how many truly tumour, the
    voxels of the classes 1 to 3 of each of ``labels``, and one picture for each sequence and each
    of ``labels``; a slice that is both comes once, and one with nothing wrong is not the wrongest.
    """
    truth, wrong = labels[TRUTH], labels["fused"] != labels[TRUTH]
    reasons: dict[int, list[str]] = {}
    for reason, mask in (("most tumour", truth > 0), ("most voxels wrong", wrong)):
        # of a patient without tumour in the box some slice is shown
        if mask.any() or not reasons:
            reasons.setdefault(int(mask.sum(axis=(0, 1)).argmax()), []).append(reason)
    return [
        {
            "z": z,
            "why": " and ".join(why),
            "wrong": int(wrong[..., z].sum()),
            "tumour": int((truth[..., z] > 0).sum()),
            "voxels": {
                name: np.bincount(layer[..., z].ravel(), minlength=4)[1:].tolist()
                for name, layer in labels.items()
            },
            "images": {
                name: grey(case.images[index, ..., z].T) for index, name in enumerate(SEQUENCES)
            },
            "labels": {name: coloured(layer[..., z].T) for name, layer in labels.items()},
        }
        for z, why in reasons.items()
    ]


def volume(case: StoredCase, labels: Mapping[str, Labels]) -> dict[str, Any]:
    """Return all slices as mosaics, one for each sequence and each of ``labels``.

    Of a large volume every ``step``-th voxel along each axis is kept; ``shape`` is what is left.
    """
    step = -(-max(case.grid.shape) // MOST_ACROSS)
    kept = (slice(None, None, step),) * 3
    shape = [-(-size // step) for size in case.grid.shape]
    columns = math.ceil(math.sqrt(shape[2]))
    return {
        "columns": columns,
        "step": step,
        "shape": shape,
        "images": {
            name: grey(mosaic(np.asarray(case.images[index])[kept], columns))
            for index, name in enumerate(SEQUENCES)
        },
        "labels": {name: coloured(mosaic(layer[kept], columns)) for name, layer in labels.items()},
    }


def mosaic(array: NDArray[Any], columns: int) -> NDArray[Any]:
    """Return the axial slices (Y, X) of an array (X, Y, Z) row by row in one picture."""
    width, height, depth = array.shape
    rows = -(-depth // columns)
    full = np.pad(array, ((0, 0), (0, 0), (0, rows * columns - depth)))
    tiles = full.reshape(width, height, rows, columns).transpose(2, 1, 3, 0)
    return tiles.reshape(rows * height, columns * width)


def _labels(material: folds.Material, case: StoredCase, fold: int) -> dict[str, Labels]:
    layers = {TRUTH: np.asarray(case.labels)}
    for network in (*folds.BRANCHES, "fused"):
        predicted = folds.volume(material, network, fold, case.grid.patient_id)
        layers[folds.short(network)] = tables.predicted_labels(predicted)
    return layers


def grey(image: NDArray[Any]) -> str:
    """Return an image (Y, X) in 0–1 as a grey picture."""
    scaled = np.clip(np.asarray(image, dtype=np.float32) * 255, 0, 255).round()
    return encode.address(Image.fromarray(scaled.astype(np.uint8)), exact=False)


def coloured(labels: NDArray[Any]) -> str:
    """Return labels as a picture in the four colours, clear where there is no tumour."""
    picture = Image.fromarray(np.ascontiguousarray(labels, dtype=np.uint8)).convert("P")
    picture.putpalette([int(c[i : i + 2], 16) for c in CLASS_COLOURS for i in (1, 3, 5)])
    picture.info["transparency"] = 0
    return encode.address(picture.convert("RGBA"), exact=True)
