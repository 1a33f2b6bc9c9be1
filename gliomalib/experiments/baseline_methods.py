"""The methods of the baselines on every reported patient: segmentations, and classes of slices.

Segmentation: each branch alone, and the mean of seeds of one network, which tells the fusion of
two kinds of network from any ensemble. Classifier: other inputs, each trained anew, and ways that
need no network at all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gliomalib import records, settings
from gliomalib.experiments import comparing
from gliomalib.fusion import slices
from gliomalib.pipeline import folds, variants
from gliomalib.schema import N_CLASSES, Labels, RecordError, Volume, check_same_grid
from gliomalib.scoring import metrics
from gliomalib.scoring import tables as evaluate

FUSED, SEEDS, RESNET50 = "fused", "two_seeds", "resnet50"
"""The fused volume and the classifier of its slices are what others are set against; seeds of one
network are the control of the first."""

INPUTS = {
    "truth": "ResNet50 on expert masks",
    "mri": "ResNet50 on MRI",
    "only2d": "ResNet50 on 2D only",
    "only3d": "ResNet50 on 3D only",
    SEEDS: "ResNet50 on two seeds of 3D",
}
"""The inputs asked for, by the name of their variant; one that a study lacks is said to be."""

Classes = NDArray[np.int64]


@dataclass(frozen=True)
class MethodTrial:
    """What every method made of the reported patients.

    ``scores`` has one row per patient, fold, method and region: patient_id, part, fold, method,
    region, dice, state. ``slices`` has one row per slice and method: patient_id, part, fold, z,
    truth, method, predicted. ``segmenters`` and ``classifiers`` give each method its title, the
    one that others are set against first.
    """

    scores: pd.DataFrame
    slices: pd.DataFrame
    segmenters: Mapping[str, str]
    classifiers: Mapping[str, str]


def measure(material: folds.Material) -> MethodTrial:
    """Score all methods on every reported patient.

    Slices are those of notebook 06 and its variants that change nothing but what the classifier
    sees. Raises ``RecordError`` where one of them lacks a patient.
    """
    siblings = variants.siblings(material.study, "04_train_unet3d", ("seed",))
    seeds = [sibling.network for sibling in siblings]
    training = {
        split.fold: [_classes(material, material.store.get(name).labels) for name in split.train]
        for split in material.splits
    }
    scores: list[dict[str, object]] = []
    tables: list[pd.DataFrame] = []
    for split, part, patient in folds.scored(material):
        case = material.store.get(patient)
        about = {"patient_id": patient, "part": part, "fold": split.fold}
        truth, named = _classes(material, case.labels), {}
        for method, predicted in _segmented(material, seeds, split.fold, patient).items():
            counts = metrics.confusion_matrix(case.labels, predicted)
            scores += comparing.dice_rows({**about, "method": method}, counts, material.study)
            named[_area_rule(method)] = _classes(material, predicted)
        named["position"] = by_position(training[split.fold], len(truth))
        named["majority"] = np.full_like(truth, majority(training[split.fold]))
        whose = {**about, "z": np.arange(len(truth)), "truth": truth}
        tables += [
            pd.DataFrame({**whose, "method": method, "predicted": predicted})
            for method, predicted in named.items()
        ]
    plain = pd.concat(tables, ignore_index=True)
    seen = variants.siblings(material.study, "06_train_resnet50", ("image", "alpha", "branches"))
    classified = [_classified(material.run, sibling, plain) for sibling in seen]
    rows = pd.concat([*classified, plain], ignore_index=True)
    segmenters, classifiers = _titles(material.study, seen, len(seeds))
    return MethodTrial(pd.DataFrame(scores), rows, segmenters, classifiers)


def mean_volume(volumes: Sequence[Volume]) -> Volume:
    """Return the mean of the probabilities of several volumes on one grid, as float16.

    Raises ``MismatchError`` where grids differ.
    """
    for other in volumes[1:]:
        check_same_grid(volumes[0], other)
    mean = np.mean([volume.probabilities for volume in volumes], axis=0, dtype=np.float32)
    return Volume(np.asarray(mean, dtype=np.float16), volumes[0].grid)


def by_position(training: Sequence[Classes], depth: int) -> Classes:
    """Return the most frequent class in training at the height of each of ``depth`` slices.

    ``training`` holds the classes of each patient's slices; height is a share of the volume, so
    every patient has one vote for each slice. Of equally frequent classes the lower one is taken.
    """
    heights = (np.arange(depth) + 0.5) / depth
    votes = np.stack([classes[(heights * len(classes)).astype(np.intp)] for classes in training])
    counts = (votes[..., None] == np.arange(N_CLASSES)).sum(axis=0)
    return np.asarray(counts.argmax(axis=1), dtype=np.int64)


def majority(training: Sequence[Classes]) -> int:
    """Return the most frequent class of all training slices, the lower one of equals."""
    return int(np.bincount(np.concatenate(training), minlength=N_CLASSES).argmax())


def _segmented(
    material: folds.Material, seeds: Sequence[str], fold: int, patient: str
) -> dict[str, Labels]:
    networks = {FUSED: "fused", "2d": "unet2d", "3d": "unet3d"}
    volumes = {key: folds.volume(material, name, fold, patient) for key, name in networks.items()}
    if len(seeds) > 1:
        volumes[SEEDS] = mean_volume([folds.volume(material, one, fold, patient) for one in seeds])
    return {key: evaluate.predicted_labels(volume) for key, volume in volumes.items()}


def _classified(run: records.Run, sibling: variants.Sibling, plain: pd.DataFrame) -> pd.DataFrame:
    """Return the slices of a classifier's run, which must be those of this study's patients."""
    keys = ["patient_id", "part", "fold", "z", "truth"]
    table = records.read_table(run, sibling.name, "slices")
    expected = plain.loc[plain["method"] == "majority", keys]
    both = expected.merge(table[keys], how="outer", indicator=True)
    wrong = both.loc[both["_merge"] != "both", "patient_id"].unique()
    if len(wrong):
        raise RecordError(
            f"{sibling.name}: its slices of {', '.join(sorted(wrong))} are missing, or are not "
            "those of the store; run it again"
        )
    return table[[*keys, "predicted"]].assign(method=sibling.variant or RESNET50)


def _classes(material: folds.Material, labels: Labels) -> Classes:
    return slices.slice_classes(labels, material.study.classifier.label_rule)


def _titles(
    study: settings.Study, seen: Sequence[variants.Sibling], n_seeds: int
) -> tuple[dict[str, str], dict[str, str]]:
    """Return the titles of the segmenters and of the classifiers."""
    segmenters = {FUSED: f"fused, α = {study.fusion.alpha:g}", "2d": "2D only", "3d": "3D only"}
    if n_seeds > 1:
        segmenters[SEEDS] = f"mean of {n_seeds} seeds of 3D"
    classifiers = {RESNET50: "ResNet50 on fused slices"}
    for variant in (sibling.variant for sibling in seen if sibling.variant):
        classifiers[variant] = INPUTS.get(variant, f"ResNet50, {variant}")
    areas = {_area_rule(key): f"largest area in {title}" for key, title in segmenters.items()}
    without_network = {"position": "slice position alone", "majority": "majority class"}
    return segmenters, {**classifiers, **areas, **without_network}


def _area_rule(segmenter: str) -> str:
    return "area_rule" if segmenter == FUSED else f"area_rule_{segmenter}"
