"""A finished study applied to a case: labels on the case's own grid, a class for each slice."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import ndimage

from gliomalib import labels as conventions
from gliomalib.data import nifti, orientation, writing
from gliomalib.data.inspection import Inspection, inspect
from gliomalib.data.readers import survey
from gliomalib.networks import models
from gliomalib.pipeline import patient
from gliomalib.pipeline.finished import Finished, Fold
from gliomalib.pipeline.folds import BRANCHES
from gliomalib.provenance import commit, versions, write_atomic
from gliomalib.schema import (
    CLASS_NAMES,
    N_CLASSES,
    Affine,
    Case,
    DataError,
    Float32Array,
    FloatArray,
    Grid,
    Labels,
    SettingsError,
)

CANONICAL = "canonical"
"""The labels 0 to 3 in the order of ``schema.CLASS_NAMES``, as against those of a release."""

DEVICES = ("auto", "cpu", "cuda")
TABLES = ("classes.csv", "volumes.csv")
ENDINGS = ("labels.nii.gz", "labels.label", "labels.ctbl", *TABLES, "about.json")
"""How the names of the written files end; each begins with the case and an underscore."""

_EDGE = 1e-6
"""How far outside of the grid, in its voxels, a centre may lie by rounding."""


@dataclass(frozen=True)
class Applied:
    """What a study says of a case.

    ``labels`` (X, Y, Z) are canonical, on the grid of the case's own T1 file with ``affine``.
    ``classes`` has a row for each axial slice of the study's grid: slice, z_mm, class, and the
    probabilities of the four classes. ``volumes`` has region, voxels, ml, share_of_tumour.
    """

    case: Case
    labels: Labels
    affine: Affine
    classes: pd.DataFrame
    volumes: pd.DataFrame
    about: Mapping[str, Any]


def segment_case(
    case: Case, finished: Finished, fold: int | None = None, device: str = "auto"
) -> Applied:
    """Apply the networks of one fold, or of all, to a case; a mask is neither needed nor used.

    The volumes of both branches are fused with the study's α, and ResNet50 names the fused
    slices; probabilities are averaged over the folds, where each ResNet50 sees the slices of its
    own fold. Raises ``DataError`` for files that cannot be used or cannot be right, and
    ``SettingsError`` for a fold or device that is unknown or not there, and for a study that
    fuses other networks than these two.
    """
    fused_by = finished.study.fusion.branches
    if fused_by != BRANCHES:
        raise SettingsError(
            f"{finished.study.study} fuses {' and '.join(fused_by)}; only a study that fuses "
            f"{' and '.join(BRANCHES)} can be applied"
        )
    folds, device = finished.chosen(fold), _device(device)
    seen = inspect(case)
    # the mask is not used, so it may be wrong
    if faults := [fault for fault in seen.faults if fault.path != case.segmentation]:
        raise DataError(survey.sentence(faults, faults[0].path.parent), faults[0].kind)
    scan = nifti.read_case(replace(case, segmentation=None))
    stored = patient.prepared(orientation.upright(scan), finished.study.preprocessing)
    answers = []
    for trained in folds:
        networks = finished.networks(trained, device)
        answers.append(patient.answer(networks, stored, finished.study))
    fused = _mean([answer.fused.probabilities.astype(np.float32) for answer in answers])
    labels = labels_on(fused, stored.grid, scan.shape, scan.affine)
    return Applied(
        case=case,
        labels=labels,
        affine=scan.affine,
        classes=_class_table(_mean([answer.classes for answer in answers]), stored.grid),
        volumes=_volume_table(labels, scan.affine),
        about={**_about(seen, finished, folds), "device": device},
    )


def labels_on(
    probabilities: Float32Array, grid: Grid, shape: tuple[int, ...], affine: Affine
) -> Labels:
    """Return the most probable class of each voxel of another grid, (X, Y, Z) uint8.

    ``probabilities`` (4, x, y, z) on ``grid`` are interpolated linearly at the centres of the
    voxels of ``shape`` and ``affine``; of equal ones the lowest class wins. A voxel whose centre
    lies outside of the grid's voxels is no tumour.
    """
    # voxel of the case → millimetres → voxel of the grid
    step = np.linalg.inv(np.asarray(grid.affine)) @ np.asarray(affine)
    labels, box = np.zeros(shape, np.uint8), _reached(probabilities.argmax(axis=0), step, shape)
    part = labels[box]
    step[:3, 3] += step[:3, :3] @ [side.start for side in box]
    # rounded, so that a file and its mirror image meet the same places of the grid
    step = np.round(step, 9)
    best = np.full(part.shape, -1.0, np.float32)
    # one class in memory at a time
    for label, values in enumerate(probabilities):
        sampled = ndimage.affine_transform(
            values, step[:3, :3], step[:3, 3], output_shape=part.shape, order=1, mode="nearest"
        )
        np.putmask(part, sampled > best, np.uint8(label))
        np.maximum(best, sampled, out=best)
    part[~_within(grid.shape, part.shape, step)] = 0
    return labels


def _reached(classes: Labels, step: FloatArray, shape: Sequence[int]) -> tuple[slice, ...]:
    """Return the voxels of ``shape`` in which anything but no tumour can be the most probable.

    What is interpolated lies between its neighbours: where no tumour leads in all of them, it
    leads. So a box around all other classes is enough, wider by a voxel of the grid.
    """
    sides = ndimage.find_objects((classes > 0).astype(np.uint8))
    if not sides:
        return (slice(0, 0),) * 3
    ends = [(side.start - 1, side.stop) for side in sides[0]]
    corners = np.linalg.inv(step) @ np.array([*product(*ends, (1,))]).T
    low = np.maximum(np.floor(corners.min(axis=1)[:3]), 0)
    high = np.minimum(np.ceil(corners.max(axis=1)[:3]) + 1, shape)
    return tuple(slice(int(a), max(int(a), int(b))) for a, b in zip(low, high, strict=True))


def write(
    applied: Applied, out: str | Path, convention: str = CANONICAL, force: bool = False
) -> Path:
    """Write six files to ``out`` and return the first of them, the label map.

    ``<case>_labels.nii.gz`` has the labels of ``convention``: canonical ones, or those of a
    release; ``.label`` and ``.ctbl`` tell ITK-SNAP and 3D Slicer their names and colours.
    ``<case>_about.json`` is written last, so a case without it is not finished. Raises what
    `check_outputs` raises.
    """
    case_id = applied.case.case_id
    check_outputs([case_id], out, convention, force)
    paths = _paths(case_id, Path(out))
    paths["about.json"].unlink(missing_ok=True)
    writing.write_labels(paths["labels.nii.gz"], _raw(applied.labels, convention), applied.affine)
    meanings = _meanings(convention)
    for name, shown in writing.label_tables([*map(int, meanings)]).items():
        write_atomic(paths[f"labels.{name}"], shown)
    for name, table in zip(TABLES, (applied.classes, applied.volumes), strict=True):
        write_atomic(paths[name], table.to_csv(index=False, float_format="%.6g"))
    about = {**applied.about, "convention": convention, "labels": meanings}
    write_atomic(paths["about.json"], json.dumps(about, indent=1, ensure_ascii=False) + "\n")
    return paths["labels.nii.gz"]


def check_outputs(case_ids: Sequence[str], out: str | Path, convention: str, force: bool) -> None:
    """Refuse what could not be written after a long prediction.

    Raises ``SettingsError`` for a file that is there already (unless ``force``), a case ID that
    cannot begin a file name, and a convention that is not known.
    """
    _meanings(convention)
    for case_id in case_ids:
        if not case_id or Path(case_id).name != case_id:
            raise SettingsError(f"case {case_id!r} cannot begin a file name; give another --case")
        existing = [path for path in _paths(case_id, Path(out)).values() if path.exists()]
        if existing and not force:
            raise SettingsError(f"{existing[0]}: is there already; give --force to replace it")


def _mean(arrays: Sequence[Float32Array]) -> Float32Array:
    return np.asarray(sum(arrays[1:], start=arrays[0]) / np.float32(len(arrays)), np.float32)


def _within(grid: Sequence[int], shape: Sequence[int], step: FloatArray) -> NDArray[np.bool_]:
    """Say which voxels of ``shape`` have their centre in the box of the grid's voxels."""
    i, j, k = np.ogrid[tuple(slice(n) for n in shape)]
    inside = np.ones(tuple(shape), bool)
    for (a, b, c, start), size in zip(step[:3], grid, strict=True):
        inside &= np.abs(a * i + b * j + c * k + start - (size - 1) / 2) <= size / 2 + _EDGE
    return inside


def _class_table(probabilities: Float32Array, grid: Grid) -> pd.DataFrame:
    middle = [(n - 1) / 2 for n in grid.shape[:2]]
    places = np.array([[*middle, z, 1] for z in range(grid.shape[2])]) @ np.asarray(grid.affine).T
    table = pd.DataFrame({"slice": range(grid.shape[2]), "z_mm": places[:, 2]})
    table["class"] = [CLASS_NAMES[label] for label in probabilities.argmax(axis=1)]
    for label, name in enumerate(CLASS_NAMES):
        table[name.replace(" ", "_")] = probabilities[:, label]
    return table


def _volume_table(labels: Labels, affine: Affine) -> pd.DataFrame:
    counts = np.bincount(labels.ravel(), minlength=N_CLASSES)[1:]
    table = pd.DataFrame({"region": CLASS_NAMES[1:], "voxels": counts})
    table.loc[len(table)] = ["whole tumour", counts.sum()]
    voxel_mm3 = abs(np.linalg.det(np.asarray(affine)[:3, :3]))
    table["ml"] = table["voxels"] * voxel_mm3 / 1000
    # no share where there is no tumour
    table["share_of_tumour"] = table["voxels"] / (counts.sum() or np.nan)
    return table


def _device(name: str) -> str:
    if name not in DEVICES:
        raise SettingsError(f"device {name!r} is not known: take one of {', '.join(DEVICES)}")
    return str(models.find_device(name))


def _about(seen: Inspection, finished: Finished, folds: Sequence[Fold]) -> dict[str, Any]:
    study, case = finished.study, seen.case
    # a note begins with the place of its file
    doubts = [note.message.replace(str(note.path), note.path.name) for note in seen.notes]
    parts = finished.parts(seen, folds)
    trained_on = [fold for fold, part in parts.items() if part == "train"]
    return {
        "case": case.case_id,
        "study": study.study,
        "title": study.title,
        "folds": [fold.split.fold for fold in folds],
        "checkpoints": {
            f"fold{fold.split.fold}": {name: net.key for name, net in fold.networks.items()}
            for fold in folds
        },
        "alpha": study.fusion.alpha,
        "preprocessing": study.preprocessing.model_dump(mode="json"),
        "trained_on_this_patient": bool(trained_on),
        "part_by_fold": {f"fold{fold}": part for fold, part in parts.items()},
        "doubts": doubts,
        "caveats": [*doubts, *_case_caveats(finished, folds, trained_on)],
        "inputs_sha256": dict(zip(case.images, case.digests, strict=False)),
        "study_commit": finished.commit,
        "commit": commit(),
        "versions": versions(),
    }


def _case_caveats(
    finished: Finished, folds: Sequence[Fold], trained_on: Sequence[int]
) -> list[str]:
    plan = finished.study.preprocessing
    sizes = [size for size in (*(plan.crop_mm or ()), plan.depth_mm) if size is not None]
    cropped = f"Only the central {' × '.join(f'{size:g}' for size in sizes)} mm were looked at; "
    caveats = [
        "For research only, not for clinical use.",
        *([f"{cropped}everything outside is labelled no tumour."] if sizes else []),
        "The networks know registered sequences without skull only, such as BraTS gives out.",
        *finished.caveats,
    ]
    if len(folds) > 1:
        numbers = ", ".join(str(fold.split.fold) for fold in folds)
        caveats.append(f"Probabilities are the mean over the networks of folds {numbers}.")
    if trained_on:
        caveats.append(
            f"Networks of fold {', '.join(map(str, trained_on))} were trained on this patient, "
            "so this says nothing about how they do on others."
        )
    return caveats


def _paths(case_id: str, out: Path) -> dict[str, Path]:
    return {ending: out / f"{case_id}_{ending}" for ending in ENDINGS}


def _meanings(convention: str) -> dict[str, str]:
    """Return what each label of the written map means."""
    raw = _raw(np.arange(N_CLASSES, dtype=np.uint8), convention)
    return {str(label): name for label, name in zip(raw.tolist(), CLASS_NAMES, strict=True)}


def _raw(labels: Labels, convention: str) -> Labels:
    return labels if convention == CANONICAL else conventions.to_raw(labels, convention)
