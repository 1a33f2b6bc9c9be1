"""The methods of the baselines on every reported patient: segmentations, and classes of slices.

Segmentation: each branch alone, and the mean of seeds of one network, which tells the fusion of
two kinds of network from any ensemble. Classifier: other inputs, each trained anew, and ways that
need no network at all.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gliomalib import records, settings
from gliomalib.experiments import comparing, full_scan
from gliomalib.fusion import average, slices
from gliomalib.pipeline import folds, variants
from gliomalib.schema import N_CLASSES, Labels, RecordError, Volume
from gliomalib.scoring import tables as evaluate

FUSED, SCAN, RESNET50 = "fused", "fused_scan", "resnet50"
"""The fused volume and the classifier of its slices are what others are set against; the second is
the fused volume scored on the whole scan, where tumour that the crop cut off counts as missed."""

WITHOUT = {
    "area_rule": "largest area in the fused volume",
    "position": "slice position alone",
    "majority": "majority class",
}
"""Ways to a class without a classifier."""

NO_NETWORK = ("position", "majority")
"""Those that need no network at all, so that none was trained for them."""

ENSEMBLES = ("two_seeds_2d", "two_seeds_3d")
"""The mean of two trainings of one branch, the control of fusion."""

INPUTS = {
    "truth": "ResNet50 on expert masks",
    "mri": "ResNet50 on MRI",
    "only2d": "ResNet50 on 2D only",
    "only3d": "ResNet50 on 3D only",
    "two_seeds": "ResNet50 on two seeds of 3D",
}
"""The inputs asked for, by the name of their variant; one that a study lacks is said to be."""

CLASSIFIER = "06_train_resnet50"
INPUT = ("image", "alpha", "branches")
"""Parameters that change what the classifier sees."""
TRAINING = ("loss", "epochs", "batch_size", "learning_rate", "seed")
"""Parameters that may change with it: a control learns as well as it can."""

Classes = NDArray[np.int64]


@dataclass(frozen=True)
class MethodTrial:
    """What every method made of the reported patients.

    ``scores`` has the columns of ``fusion_gain.scores``, a method for its network. Training s of an
    ensemble is the mean of s and the next one. ``slices`` has one row per slice, method and
    training: patient_id, part, fold, z, truth, method, seed, predicted. ``segmenters`` and
    ``classifiers`` give each method its title, the one that others are set against first.
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
        for method, seed, volume in _segmented(material, split.fold, patient):
            counts, row = evaluate.confusion_of(case, volume), {**about, "seed": seed}
            scores += comparing.dice_rows({**row, "network": method}, counts, material.study)
            if method == FUSED and material.study.data.extent != "boxes":
                whole = full_scan.counts(material.store, patient, counts)
                scores += comparing.dice_rows({**row, "network": SCAN}, whole, material.study)
            if seed == 0 and method == FUSED:
                named["area_rule"] = _classes(material, evaluate.predicted_labels(volume))
        named |= _without_images(training[split.fold], len(truth))
        whose = {**about, "z": np.arange(len(truth)), "truth": truth, "seed": 0}
        tables += [
            pd.DataFrame({**whose, "method": method, "predicted": predicted})
            for method, predicted in named.items()
        ]
    plain = pd.concat(tables, ignore_index=True)
    rows = pd.concat([_networks(material, plain), plain], ignore_index=True)
    table = pd.DataFrame(scores)
    segmenters, classifiers = _titles(material.study, [*rows["method"].unique()], table)
    return MethodTrial(table, rows, segmenters, classifiers)


def without_images(material: folds.Material) -> pd.DataFrame:
    """Return the share of each held-out patient's slices that ways without an image name rightly.

    One row a patient: ``position``, ``majority``, and ``area_rule_…`` by label rule: the largest
    area in the expert's own mask, against the classes of that rule.
    """
    rows = []
    for split in material.splits:
        training = [_classes(material, material.store.get(name).labels) for name in split.train]
        for labels in (material.store.get(name).labels for name in split.test):
            truth, area = _classes(material, labels), slices.slice_classes(labels, "dominant")
            named = _without_images(training, len(truth))
            right = {name: predicted == truth for name, predicted in named.items()}
            for rule in slices.LABEL_RULES:
                right[f"area_rule_{rule}"] = area == slices.slice_classes(labels, rule)
            rows.append({name: hits.mean() for name, hits in right.items()})
    return pd.DataFrame(rows)


def by_position(training: Sequence[Classes], depth: int) -> Classes:
    """Return the most frequent class in training at the height of each of ``depth`` slices.

    ``training`` holds the classes of each patient's slices; height is a share of the volume, so
    every patient has one vote for each slice. Of equally frequent classes the lower one is taken.
    """
    heights = (np.arange(depth) + 0.5) / depth
    votes = np.stack([classes[(heights * len(classes)).astype(np.intp)] for classes in training])
    counts = (votes[..., None] == np.arange(N_CLASSES)).sum(axis=0)
    return np.asarray(counts.argmax(axis=1), dtype=np.int64)


def _without_images(training: Sequence[Classes], depth: int) -> dict[str, Classes]:
    # argmax takes the lower one of equally frequent classes
    commonest = np.bincount(np.concatenate(training), minlength=N_CLASSES).argmax()
    return {"position": by_position(training, depth), "majority": np.full(depth, commonest)}


def _segmented(
    material: folds.Material, fold: int, patient: str
) -> Iterator[tuple[str, int, Volume]]:
    """Yield the volumes of a patient: method, training, volume."""
    branches = folds.seeds(material.study)
    pairs = [folds.pair(material, fold, patient, names) for names in branches.values()]
    for seed, own, following in zip(branches, pairs, [*pairs[1:], pairs[0]], strict=True):
        yield FUSED, seed, average.weighted_average(*own, material.study.fusion.alpha)
        yield "2d", seed, own[0]
        yield "3d", seed, own[1]
        if len(pairs) > 1:
            for name, one, other in zip(ENSEMBLES, own, following, strict=True):
                yield name, seed, average.weighted_average(one, other, 0.5)


def _networks(material: folds.Material, plain: pd.DataFrame) -> pd.DataFrame:
    """Return the slices of the study's classifier, its seeds, and those with another input."""
    study, tables = material.study, []
    for sibling in variants.siblings(study, CLASSIFIER, (*INPUT, *TRAINING)):
        changes = study.variants.get(CLASSIFIER, {}).get(sibling.variant, {})
        method, seed = sibling.variant, 0
        if set(changes) <= {"seed"}:
            method, seed = RESNET50, changes.get("seed", study.seed)
            # the study's own seed again is its own training again
            seed = 0 if seed == study.seed else seed
        # another loss on the same input is for notebook 09
        if method == RESNET50 or not set(changes).isdisjoint(INPUT):
            table = _classified(material.run, sibling, plain)
            tables.append(table.assign(method=method, seed=seed))
    return pd.concat(tables)


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
    return table[[*keys, "predicted"]]


def _classes(material: folds.Material, labels: Labels) -> Classes:
    return slices.slice_classes(labels, material.study.classifier.label_rule)


def _titles(
    study: settings.Study, methods: Sequence[str], scores: pd.DataFrame
) -> tuple[dict[str, str], dict[str, str]]:
    """Return the titles of the segmenters and of the classifiers."""
    segmenters = {FUSED: f"fused, α = {study.fusion.alpha:g}", "2d": "2D only", "3d": "3D only"}
    if scores["network"].isin(ENSEMBLES).any():
        segmenters |= {name: f"two seeds of {name[-2:].upper()}" for name in ENSEMBLES}
    inputs = [name for name in methods if name not in (RESNET50, *WITHOUT)]
    classifiers = {RESNET50: "ResNet50 on fused slices"}
    classifiers |= {name: INPUTS.get(name, f"ResNet50, {name}") for name in inputs}
    return segmenters, {**classifiers, **WITHOUT}
