"""Pooled pixel scores of a public recipe, beside the Dice of the very same predictions.

The recipe is a variant of the 2D branch: the network of a public notebook for BraTS 2020
(rastislavkopal/3D_BRAIN_TUMOR_SEGMENTATION), which reports its scores as Keras pools them. All
counts are exact and kept by patient, so that intervals are over patients.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gliomalib import settings
from gliomalib.experiments import full_scan, segmentation
from gliomalib.experiments.comparing import dice_rows
from gliomalib.experiments.values import NOT_ON_BOXES, pooled, value
from gliomalib.networks import predict
from gliomalib.parameters import from_parameters
from gliomalib.pipeline import folds
from gliomalib.schema import N_CLASSES, Confusion, FloatArray, MismatchError, Value
from gliomalib.scoring import contradictions, keras_metrics, metrics, tables

NOTEBOOK, VARIANT = "03_train_unet2d", "recipe"
NETWORK = f"unet2d.{VARIANT}"
"""The training whose predictions are scored here."""

FRAMES: Mapping[str, str] = {
    "box": "over the voxels of the box",
    "scan": "over the voxels of the whole scan, what lies outside of the box called no tumour",
}
"""Where voxels are counted, and how that reads in a rule. The box is the paper's crop of the slices
that the study keeps. Nobody asked the network outside of it."""

RULES: Mapping[str, str] = {
    "accuracy": "share of the voxels whose most probable class is the true one",
    "precision": "probabilities above 0.5 of the true class among all above 0.5",
    "recall": "voxels that give their true class more than 0.5",
    "f1": "2PR/(P+R) of the pooled precision and recall",
    "iou": "MeanIoU of Keras on a softmax output: only a probability of exactly 1 counts",
    "specificity": "probabilities below 0.5 among those of the wrong classes",
}
"""How each pooled score of the recipe is made."""


@dataclass(frozen=True)
class Scored:
    """What the recipe's network made of one held-out patient, in exact counts.

    ``counts`` (len(COUNTED),) are those of Keras's scores in the box, ``confusion`` (4, 4) that of
    the most probable classes there, rows the truth. ``outside`` (4,) are the voxels of the scan
    outside of the box by true class, in voxels of the store's size.
    """

    patient: str
    fold: int
    counts: NDArray[np.int64]
    confusion: Confusion
    outside: FloatArray

    def framed(self, frame: str, *, certain: bool = True) -> FloatArray:
        """Return the counts in a frame; ``certain``: with probability 1 outside of the box."""
        added = keras_metrics.constant_counts(self.outside) * (frame == "scan")
        sure = np.isin(keras_metrics.COUNTED, ("claimed_ones", "common_ones"))
        return np.asarray(self.counts + added * (certain | ~sure), dtype=np.float64)

    def constant(self, frame: str) -> FloatArray:
        """Return the counts of a predictor that calls every voxel of a frame no tumour."""
        truth = self.confusion.sum(axis=-1) + (self.outside if frame == "scan" else 0)
        return np.asarray(keras_metrics.constant_counts(truth), dtype=np.float64)


Rerun = tuple[Scored, ...]
"""Every held-out patient once; nobody in a study without the recipe."""


def rerun(material: folds.Material) -> Rerun:
    """Predict every held-out patient with the recipe's network of its fold, and count.

    Nobody on boxes. Raises ``RecordError`` where the recipe is not trained, and ``MismatchError``
    where it was trained with other settings than the study says.
    """
    scored: list[Scored] = []
    for split in material.splits if (wanted := _settings(material)) else ():
        path = folds.checkpoint(material, NETWORK, split.fold)
        segmenter = predict.load_segmenter(path, material.study.device)
        if segmenter.settings != wanted:
            raise MismatchError(
                f"{path}: trained with other settings than those of the variant {VARIANT}; "
                f"run {NOTEBOOK} with this variant again"
            )
        scored += [_scored(material, segmenter, split.fold, patient) for patient in split.test]
    return tuple(scored)


def told(material: folds.Material) -> str:
    """Say with which settings the recipe was trained, or why this study does not score it."""
    trained = _settings(material)
    if material.study.data.extent == "boxes":
        return (
            f"**Not run.** It is {NOT_ON_BOXES}such scores hang on how much of a scan is no tumour."
        )
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
    """Return Dice of every held-out patient in the box, as ``folds.segmentation_scores`` does."""
    rows: list[dict[str, object]] = []
    for scored in rerun:
        about = {"patient_id": scored.patient, "part": "test", "fold": scored.fold, "network": "2D"}
        rows += dice_rows(about, scored.confusion, study)
    columns = ["patient_id", "part", "fold", "network", "region", *tables.RULES, "state"]
    return pd.DataFrame(rows, columns=columns)


def values(rerun: Rerun, study: settings.Study) -> list[Value]:
    """Return the pooled scores of the recipe and of 'no tumour', and the recipe's Dice.

    Empty where the study does not have the recipe.
    """
    if not rerun:
        return []
    scores: list[Value] = []
    for frame in FRAMES:
        framed = np.stack([scored.framed(frame) for scored in rerun])
        constant = np.stack([scored.constant(frame) for scored in rerun])
        scores += _pooled(f"recipe_{frame}", framed, study)
        scores += _pooled(f"constant_{frame}", constant, study)
    # how certain the network is outside of the box nobody asked: none of it, or all of it
    for end, certain in (("least", False), ("most", True)):
        framed = np.stack([scored.framed("scan", certain=certain) for scored in rerun])
        iou = pooled(framed, study, "bootstrap", "recipe_scan", scores=_six)["iou"]
        rule = f"{RULES['iou']}, {FRAMES['scan']}, {'all' if certain else 'none'} of it certain"
        scores.append(value(f"recipe_scan_iou_{end}", iou, rule, n_seeds=1))
    of_patients = segmentation.values(dice(rerun, study), study)
    scores += [replace(of_region, name=f"recipe_{of_region.name}") for of_region in of_patients]
    return scores


def as_printed(rerun: Rerun, frame: str = "box") -> contradictions.PrintedScores:
    """Return the recipe's scores with the digits that a paper gives; the IoU of Keras is none."""
    if not rerun:
        return contradictions.PrintedScores()
    scores = keras_metrics.counted_scores(np.sum([of.framed(frame) for of in rerun], axis=0))
    digits: dict[str, Any] = {name: round(float(scores[name]), 4) for name in {*RULES} - {"iou"}}
    return contradictions.PrintedScores(**digits)


def agreement(material: folds.Material, rerun: Rerun) -> float:
    """Return the share of voxels whose class can be that of notebook 03's stored predictions.

    Counts are compared, and not voxel by voxel: this is the most that can agree. They are of the
    same networks in float16, so it is 1 but for near ties. 1 without any patient.
    """
    same, size = 0, 0
    for scored in rerun:
        stored = folds.volume(material, NETWORK, scored.fold, scored.patient)
        other = tables.confusion_of(material.store.get(scored.patient), stored)
        same += int(np.minimum(scored.confusion, other).sum())
        size += int(scored.confusion.sum())
    return same / size if size else 1.0


def _settings(material: folds.Material) -> settings.Segmentation | None:
    variant = material.study.variants.get(NOTEBOOK, {}).get(VARIANT)
    if variant is None or material.study.data.extent == "boxes":
        return None
    return from_parameters(NOTEBOOK, {**variant, "study": material.study.study}).unet2d


def _scored(
    material: folds.Material, segmenter: predict.Segmenter, fold: int, patient: str
) -> Scored:
    case = material.store.get(patient)
    probabilities = predict.unrounded(segmenter, case).reshape(N_CLASSES, -1).T
    truth = case.labels.ravel()
    return Scored(
        patient=patient,
        fold=fold,
        counts=keras_metrics.pooled_counts(truth, probabilities),
        confusion=metrics.confusion_matrix(truth, probabilities.argmax(axis=1)),
        outside=full_scan.outside(material.store, patient),
    )


def _six(stack: FloatArray) -> dict[str, FloatArray]:
    scores = keras_metrics.counted_scores(stack[:, 0])
    return {name: scores["mean_iou" if name == "iou" else name] for name in RULES}


def _pooled(prefix: str, counts: FloatArray, study: settings.Study) -> list[Value]:
    who, frame = prefix.split("_")
    intervals = pooled(counts, study, "bootstrap", prefix, scores=_six)
    trained, tail = who == "recipe", f"pooled {FRAMES[frame]}; interval by resampling patients"
    of = "" if trained else "of 'no tumour' with probability 1 everywhere: "
    return [
        value(f"{prefix}_{name}", intervals[name], f"{of}{rule}, {tail}", n_seeds=int(trained))
        for name, rule in RULES.items()
        if (prefix, name) != ("recipe_scan", "iou")
    ]
