"""Pooled pixel scores of a public recipe, beside the Dice of the very same predictions.

The recipe is a variant of the 2D branch: the network of a public notebook for BraTS 2020
(rastislavkopal/3D_BRAIN_TUMOR_SEGMENTATION), which reports its scores as Keras pools them. All
counts are exact and kept by patient, so that intervals are over patients.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gliomalib import settings
from gliomalib.experiments import values as summaries
from gliomalib.networks import predict, samples
from gliomalib.pipeline import folds, preprocess
from gliomalib.schema import N_CLASSES, Confusion, Example, MismatchError, StoredCase, Value
from gliomalib.scoring import bootstrap, contradictions, keras_metrics, metrics, tables

NOTEBOOK, VARIANT = "03_train_unet2d", "recipe"
NETWORK = f"unet2d.{VARIANT}"
"""The training whose predictions are scored here."""

FRAMES: Mapping[str, str] = {
    "box": "over the voxels of the box",
    "scan": "over the voxels of the whole scan, what lies outside of the box called no tumour",
}
"""Where voxels are counted, and how that reads in a rule."""

RULES: Mapping[str, str] = {
    "accuracy": "share of the voxels whose most probable class is the true one",
    "precision": "probabilities above 0.5 of the true class among all above 0.5",
    "recall": "voxels that give their true class more than 0.5",
    "f1": "2PR/(P+R) of the pooled precision and recall",
    "iou": "MeanIoU of Keras on a softmax output: only a probability of exactly 1 counts",
    "specificity": "probabilities below 0.5 among those of the wrong classes",
}
"""How each pooled score of the recipe is made."""

CONSTANT = ("accuracy", "specificity", "iou")
"""Scores that tell all of a constant predictor: its precision, recall and F1 are its accuracy."""

THRESHOLDED = tuple(name for name in RULES if name != "iou")
"""Scores that hold outside of the box too: a network asked there would be sure of no tumour, but
whether its probability were exactly 1 nobody knows."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Rerun:
    """What the recipe's networks made of the held-out patients; each array has one row a patient.

    ``counts`` (n, len(COUNTED)) are those of Keras's scores in the box, ``confusions`` (n, 4, 4)
    those of the most probable classes there, rows the truth. ``outside`` (n, 4) are the voxels of
    the scan outside of the box by true class, in voxels of the store's size, and ``blank`` (n,)
    those of the box in slices without any brain. A study without the recipe has no patient here.
    """

    patients: tuple[str, ...]
    folds: tuple[int, ...]
    counts: NDArray[np.int64]
    confusions: Confusion
    outside: Floats
    blank: NDArray[np.int64]

    def framed(self, frame: str) -> Floats:
        """Return the counts in a frame of ``FRAMES``."""
        added = keras_metrics.constant_counts(self.outside) if frame == "scan" else 0
        return np.asarray(self.counts + added, dtype=np.float64)

    def constant(self, frame: str) -> Floats:
        """Return the counts of a predictor that calls every voxel of a frame no tumour."""
        truth = self.confusions.sum(axis=-1) + (self.outside if frame == "scan" else 0)
        return np.asarray(keras_metrics.constant_counts(truth), dtype=np.float64)

    @property
    def saturated(self) -> keras_metrics.Saturation:
        """Shares of the box's voxels with probability 1 for their true and for a wrong class."""
        return keras_metrics.saturation(self.counts.sum(axis=0))


NOBODY = Rerun(
    (),
    (),
    np.empty((0, len(keras_metrics.COUNTED)), np.int64),
    np.empty((0, N_CLASSES, N_CLASSES), np.int64),
    np.empty((0, N_CLASSES)),
    np.empty(0, np.int64),
)
"""What a study without the recipe has."""

Row = tuple[str, int, NDArray[np.int64], Confusion, Floats, int]
"""One patient of a ``Rerun``."""


def rerun(material: folds.Material) -> Rerun:
    """Predict every held-out patient with the recipe's network of its fold, and count.

    Raises ``RecordError`` where the recipe is not trained, and ``MismatchError`` where it was
    trained with other settings than the study says.
    """
    rows = list(_counted(material))
    if not rows:
        return NOBODY
    patients, numbers, counts, confusions, outside, blank = zip(*rows, strict=True)
    stacks = np.stack(counts), np.stack(confusions), np.stack(outside)
    return Rerun(patients, numbers, *stacks, np.array(blank))


def told(material: folds.Material) -> str:
    """Say with which settings the recipe was trained, or that this study does not have it."""
    trained = _settings(material)
    if trained is None:
        return (
            f"**Not run.** The study `{material.study.study}` has no variant `{VARIANT}` of "
            f"{NOTEBOOK}, so nothing below this line was measured."
        )
    return (
        f"2D U-Net of {', '.join(map(str, trained.channels))} channels on "
        f"{' and '.join(trained.sequences)}, {trained.loss.replace('_', '-')} loss, dropout "
        f"{trained.dropout:g}, Adam at {trained.learning_rate:g}, {trained.epochs} epochs, batches "
        f"of {trained.batch_size} slices."
    )


def dice(rerun: Rerun, study: settings.Study) -> pd.DataFrame:
    """Return Dice of every held-out patient in the box, as ``folds.segmentation_scores`` does.

    Columns: patient_id, part, fold, network, region, dice, state.
    """
    empty = study.evaluation.empty
    rows = [
        (patient, "test", fold, "2D", region, metrics.dice(matrix, classes, empty),
         metrics.mask_state(matrix, classes))
        for patient, fold, matrix in zip(rerun.patients, rerun.folds, rerun.confusions, strict=True)
        for region, classes in tables.REGIONS.items()
    ]  # fmt: skip
    columns = ["patient_id", "part", "fold", "network", "region", "dice", "state"]
    return pd.DataFrame(rows, columns=columns)


def values(rerun: Rerun, study: settings.Study) -> list[Value]:
    """Return the pooled scores of the recipe and of 'no tumour', and the recipe's Dice.

    Empty where the study does not have the recipe.
    """
    if not rerun.patients:
        return []
    found: list[Value] = []
    for frame in FRAMES:
        names = THRESHOLDED if frame == "scan" else tuple(RULES)
        found += _scores(f"recipe_{frame}", rerun.framed(frame), names, study)
        found += _scores(f"constant_{frame}", rerun.constant(frame), CONSTANT, study)
    of_patients = summaries.segmentation(dice(rerun, study), study)
    found += [replace(one, name=f"recipe_{one.name}") for one in of_patients]
    return [*found, *_of_the_box(rerun, study)]


def middle(material: folds.Material, rerun: Rerun) -> Example:
    """Return the held-out patient who is in the middle by mean Dice, to look at.

    Raises ``MismatchError`` where the study does not have the recipe.
    """
    if not rerun.patients:
        raise MismatchError(told(material))
    table = tables.with_mean(dice(rerun, material.study)).query("region == 'mean'")
    row = table.sort_values(["dice", "patient_id"]).iloc[len(table) // 2]
    patient, fold = str(row["patient_id"]), int(row["fold"])
    case = material.store.get(patient)
    labels = predict.unrounded(_segmenter(material, fold), case).argmax(axis=0).astype(np.uint8)
    right = 100 * float((labels == case.labels).mean())
    title = f"{patient}: {right:.1f} % of the voxels right, mean Dice {row['dice']:.2f}"
    return Example(np.asarray(case.images[3]), case.labels, {"recipe": labels}, title)


def as_printed(rerun: Rerun, frame: str = "box") -> contradictions.PrintedScores:
    """Return the recipe's scores with the digits that a paper gives; the IoU of Keras is none."""
    if not rerun.patients:
        return contradictions.PrintedScores()
    found = keras_metrics.counted_scores(rerun.framed(frame).sum(axis=0))
    shown: dict[str, Any] = {name: round(float(score), 4) for name, score in found.items()}
    del shown["mean_iou"]
    return contradictions.PrintedScores(**shown)


def agreement(material: folds.Material, rerun: Rerun) -> float:
    """Return the share of voxels to which notebook 03's stored predictions give the same class.

    They are of the same networks in float16, so it is 1 but for near ties. 1 without any patient.
    """
    same, size = 0, 0
    for patient, fold, confusion in zip(rerun.patients, rerun.folds, rerun.confusions, strict=True):
        stored = folds.volume(material, NETWORK, fold, patient)
        other = tables.confusion_of(material.store.get(patient), stored)
        same += int(np.minimum(confusion, other).sum())
        size += int(confusion.sum())
    return same / size if size else 1.0


def _settings(material: folds.Material) -> settings.Segmentation | None:
    own = material.study.variants.get(NOTEBOOK, {}).get(VARIANT)
    if own is None:
        return None
    return settings.from_parameters(NOTEBOOK, {**own, "study": material.study.study}).unet2d


def _segmenter(material: folds.Material, fold: int) -> predict.Segmenter:
    path = folds.checkpoint(material, NETWORK, fold)
    found = predict.load_segmenter(path, material.study.device)
    if found.settings != _settings(material):
        raise MismatchError(
            f"{path}: trained with other settings than those of the variant {VARIANT}; "
            f"run {NOTEBOOK} with this variant again"
        )
    return found


def _counted(material: folds.Material) -> Iterator[Row]:
    """Yield every held-out patient's row of ``Rerun``, one volume in memory at a time."""
    if _settings(material) is None:
        return
    for split in material.splits:
        segmenter = _segmenter(material, split.fold)
        for patient in split.test:
            yield patient, split.fold, *_counts_of(material, segmenter, patient)


def _counts_of(
    material: folds.Material, segmenter: predict.Segmenter, patient: str
) -> tuple[NDArray[np.int64], Confusion, Floats, int]:
    case = material.store.get(patient)
    found = predict.unrounded(segmenter, case).reshape(N_CLASSES, -1).T
    truth = case.labels.ravel()
    one_hot = np.eye(N_CLASSES, dtype=np.float32)[truth]
    seen = case.images[samples.channels_of(segmenter.settings.sequences)]
    blank = ~np.any(seen, axis=(0, 1, 2))
    return (
        keras_metrics.pooled_counts(one_hot, found),
        metrics.confusion_matrix(truth, found.argmax(axis=1)),
        _outside(material, case),
        int(blank.sum()) * case.labels[..., 0].size,
    )


def _outside(material: folds.Material, case: StoredCase) -> Floats:
    """Return the voxels of the scan that the box leaves out, by true class, at the store's size."""
    facts = preprocess.crop_facts(material.store, case.grid.patient_id)
    left = np.subtract(facts.voxels, facts.in_box, dtype=np.float64)
    return np.asarray(left * facts.voxel_mm3 / np.prod(case.grid.spacing_mm))


def _six(stack: Floats) -> dict[str, Floats]:
    found = keras_metrics.counted_scores(stack[:, 0])
    return {name: found["mean_iou" if name == "iou" else name] for name in RULES}


def _true_iou(stack: Floats) -> dict[str, Floats]:
    return {"iou": metrics.stacked_scores(stack.astype(np.int64), "macro", "exclude")["iou"]}


def _scores(
    prefix: str, counts: Floats, names: Sequence[str], study: settings.Study
) -> list[Value]:
    who, frame = prefix.split("_")
    seed = settings.named_seed(study.seed, "bootstrap", prefix)
    # a row of counts stands where a confusion matrix would
    found = bootstrap.confusion_intervals(counts[:, None], _six, seed, study.evaluation.bootstrap)
    of = "" if who == "recipe" else "of 'no tumour' with probability 1 everywhere: "
    tail = f"pooled {FRAMES[frame]}; interval by resampling patients"
    return [
        Value(f"{prefix}_{name}", found[name].value, found[name].ci95, len(counts),
              rule=f"{of}{RULES[name]}, {tail}")
        for name in names
    ]  # fmt: skip


def _of_the_box(rerun: Rerun, study: settings.Study) -> list[Value]:
    n, seed = len(rerun.patients), settings.named_seed(study.seed, "bootstrap", "recipe_true_iou")
    found = bootstrap.confusion_intervals(
        rerun.confusions, _true_iou, seed, study.evaluation.bootstrap
    )
    rule = (
        "mean IoU of the most probable classes that occur, pooled over the voxels of the box; "
        "interval by resampling patients"
    )
    saturated, size = rerun.saturated, rerun.counts[:, 0].sum()
    shares = {
        "recipe_saturated": (saturated.right, "that give their true class a probability of 1"),
        "recipe_saturated_wrong": (saturated.wrong, "that give a wrong class a probability of 1"),
        "recipe_blank": (
            rerun.blank.sum() / size,
            "in slices without any brain, which are no tumour with probability 1 by rule",
        ),
    }
    return [
        Value("recipe_true_iou", found["iou"].value, found["iou"].ci95, n, rule=rule),
        *(Value(name, float(share), n_patients=n, rule=f"share of all voxels of the box {which}")
          for name, (share, which) in shares.items()),
    ]  # fmt: skip
