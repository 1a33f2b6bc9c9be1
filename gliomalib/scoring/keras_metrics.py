"""Scores as a Keras model with a softmax over one-hot classes reports them, without Keras.

Read in the sources of ``tf.keras.metrics`` (TensorFlow 2.4) and of Keras 3, and in a public
notebook for BraTS 2020 (rastislavkopal/3D_BRAIN_TUMOR_SEGMENTATION) with its own precision,
recall and specificity. Those three are averaged over batches there and pooled here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gliomalib.schema import N_CLASSES

Singles = NDArray[np.float32]
Floats = NDArray[np.float64]

COUNTED = (
    *("items", "right", "hits", "claimed", "true", "rejected", "negatives"),
    *("entries", "true_ones", "claimed_ones", "common_ones"),
)
"""What the six scores are made of: ``items`` and how many get their class ``right``, the counts of
``pooled_scores``, all ``entries``, and those of exactly 1 in truth, in prediction and in both."""

SUM_TOLERANCE = 1e-3
"""How far the float32 probabilities of one item may sum from 1."""


@dataclass(frozen=True)
class PooledScores:
    """The six scores of a paper, pooled over items and one-hot classes, as shares."""

    accuracy: float
    precision: float
    recall: float
    f1: float
    mean_iou: float
    specificity: float


@dataclass(frozen=True)
class Saturation:
    """Shares of the items that give their true, or a wrong, class a probability of exactly 1."""

    right: float
    wrong: float


@dataclass(frozen=True)
class ConstantScores:
    """Scores of a predictor that gives every item the same class with probability 1.

    ``pooled`` and ``macro`` hold accuracy, precision, recall, f1, iou and specificity; ``dice``
    is that of each class, the predicted one first; ``mean_iou`` is what Keras calls so.
    """

    pooled: Mapping[str, float]
    macro: Mapping[str, float]
    dice: tuple[float, ...]
    mean_iou: float


def pooled_scores(truth: NDArray[Any], probabilities: Singles) -> PooledScores:
    """Return what the metrics of a Keras model say, pooled over all items.

    Accuracy is that of the most probable class. Precision, recall and specificity count the
    entries (t, p) of truth and probability: claimed is p > 0.5, a hit t·p > 0.5, a true negative
    (1−t)(1−p) > 0.5. For a one-hot truth these are the usual counts at a threshold of 0.5. F1 is
    2PR/(P+R), and 0/0 is 0.

    Parameters
    ----------
    truth
        One-hot classes (N, K), or between 0 and 1 where a resize interpolated them.
    probabilities
        Softmax output (N, K), float32.

    Raises
    ------
    ValueError
        For shapes that differ, probabilities that are not float32, numbers outside of 0–1 or
        rows that do not sum to 1.
    """
    found = counted_scores(pooled_counts(truth, probabilities))
    return PooledScores(**{name: float(value) for name, value in found.items()})


def pooled_counts(truth: NDArray[Any], probabilities: Singles) -> NDArray[np.int64]:
    """Return what ``pooled_scores`` counts, in the order of ``COUNTED``.

    Counts are exact and may be added: ``counted_scores`` of the sum over patients are the scores
    of all their items together. Arguments and errors are those of ``pooled_scores``.
    """
    real, claimed = _checked(truth, probabilities)
    true_ones, claimed_ones = real == 1, claimed == 1
    found = {
        "items": len(real),
        "right": _count(real.argmax(axis=1) == claimed.argmax(axis=1)),
        "hits": _count(real * claimed > 0.5),
        "claimed": _count(claimed > 0.5),
        "true": _count(real > 0.5),
        "rejected": _count((1 - real) * (1 - claimed) > 0.5),
        "negatives": _count(1 - real > 0.5),
        "entries": real.size,
        "true_ones": _count(true_ones),
        "claimed_ones": _count(claimed_ones),
        "common_ones": _count(true_ones & claimed_ones),
    }
    return np.array([found[name] for name in COUNTED], dtype=np.int64)


def constant_counts(truth: NDArray[Any]) -> NDArray[Any]:
    """Return the counts of a predictor that gives every item the first class with probability 1.

    ``truth`` (..., K) holds the number of items of each class; the counts have shape
    (..., len(COUNTED)). Raises ``ValueError`` for K below 2.
    """
    classes = truth.shape[-1]
    _check_classes(classes)
    items, first = truth.sum(axis=-1), truth[..., 0]
    found = dict.fromkeys(("items", "claimed", "true", "true_ones", "claimed_ones"), items)
    found |= dict.fromkeys(("right", "hits", "common_ones"), first)
    negatives = (classes - 1) * items
    found |= {"negatives": negatives, "rejected": negatives - (items - first)}
    found["entries"] = classes * items
    return np.stack([found[name] for name in COUNTED], axis=-1)


def counted_scores(counts: NDArray[Any]) -> dict[str, Floats]:
    """Return the ``PooledScores`` of counts (..., len(COUNTED)), each of shape (...), by name."""
    columns = np.moveaxis(np.asarray(counts, dtype=np.float64), -1, 0)
    n = dict(zip(COUNTED, columns, strict=True))
    precision, recall = _ratio(n["hits"], n["claimed"]), _ratio(n["hits"], n["true"])
    return {
        "accuracy": _ratio(n["right"], n["items"]),
        "precision": precision,
        "recall": recall,
        "f1": _ratio(2 * precision * recall, precision + recall),
        "mean_iou": _cast_mean_iou(n),
        "specificity": _ratio(n["rejected"], n["negatives"]),
    }


def mean_iou(truth: NDArray[Any], probabilities: Singles) -> float:
    """Return what ``tf.keras.metrics.MeanIoU(num_classes=K)`` makes of a softmax output.

    It flattens both arrays and casts them to integers, so an entry has the label 1 where it is
    exactly 1 and the label 0 everywhere else, whatever its class. The IoU of these labels is
    averaged over those that occur; of the K labels that it allows, 2 … K−1 never do (TensorFlow
    issues 39173, 32875, 55565). A softmax is exactly 1 in float32 where the other classes have
    less than about 10⁻⁷ together, so the value depends on how sure the network is. In float16
    that limit is about 2·10⁻⁴, which is why such probabilities are refused.

    Arguments and errors are those of ``pooled_scores``.
    """
    return pooled_scores(truth, probabilities).mean_iou


def saturation(truth: NDArray[Any], probabilities: Singles) -> Saturation:
    """Return how many items are saturated at the true and at a wrong class.

    Arguments and errors are those of ``pooled_scores``; the truth is one-hot.
    """
    real, claimed = _checked(truth, probabilities)
    sure = claimed == 1
    right = _count(sure & (real == 1)) / len(real)
    return Saturation(right, _count(sure) / len(real) - right)


def saturated_mean_iou(right: float, wrong: float, classes: int = N_CLASSES) -> float:
    """Return the value of ``mean_iou`` for one-hot truth from the two shares of ``Saturation``.

    Of N items, N true entries have the label 1, rN of them are found, wN others are claimed. The
    IoU of label 1 is r/(1+w), that of label 0 is (K−1−w)/(K−r); the value is their mean. With
    w = 0 and K = 4 it is (3/(4−r) + r)/2, and 3/8 before anything saturates. Raises
    ``ValueError`` for shares that are none or sum to more than 1, and for K below 2.
    """
    _check_classes(classes)
    if not (right >= 0 and wrong >= 0 and right + wrong <= 1):
        raise ValueError(f"shares of {right} and {wrong} must lie in 0–1 and sum to no more than 1")
    return (right / (1 + wrong) + (classes - 1 - wrong) / (classes - right)) / 2


def saturated_share(value: float, classes: int = N_CLASSES) -> float:
    """Return the r for which ``saturated_mean_iou(r, 0, classes)`` is ``value``.

    The smaller root of r² − (K+2v)r + 2vK − K + 1 = 0. Raises ``ValueError`` for a value outside
    of (K−1)/2K to 1, which no perfect prediction scores, and for K below 2.
    """
    _check_classes(classes)
    least = (classes - 1) / (2 * classes)
    if not least <= value <= 1:
        raise ValueError(f"a mean IoU of {value} has no such share; it must lie in {least}–1")
    half = classes / 2 + value
    return max(0.0, half - sqrt(half**2 - 2 * value * classes + classes - 1))


def constant_scores(share: float, classes: int = N_CLASSES) -> ConstantScores:
    """Return the scores of a predictor that always says the class that has this ``share``.

    For BraTS that class is the background. The macro precision counts the classes that are never
    predicted as 0, and all classes are taken to occur. Raises ``ValueError`` for a share outside
    of 0–1 and for fewer than two classes.
    """
    _check_classes(classes)
    if not 0 <= share <= 1:
        raise ValueError(f"the share of the predicted class is {share}; it must lie in 0–1")
    f1 = 2 * share / (1 + share)
    pooled = dict.fromkeys(("accuracy", "precision", "recall", "f1"), share)
    macro = {
        "accuracy": share,
        "precision": share / classes,
        "recall": 1 / classes,
        "f1": f1 / classes,
        "iou": share / classes,
        "specificity": 1 - 1 / classes,
    }
    return ConstantScores(
        pooled=pooled
        | {"iou": share / (2 - share), "specificity": 1 - (1 - share) / (classes - 1)},
        macro=macro,
        dice=(f1, *[0.0] * (classes - 1)),
        mean_iou=saturated_mean_iou(share, 1 - share, classes),
    )


def _cast_mean_iou(n: Mapping[str, Floats]) -> Floats:
    # in 0–1 the cast to an integer gives 1 for exactly 1 and 0 for the rest
    either = n["true_ones"] + n["claimed_ones"] - n["common_ones"]
    parts = np.stack([n["common_ones"], n["entries"] - either])
    wholes = np.stack([either, n["entries"] - n["common_ones"]])
    return _ratio(_ratio(parts, wholes).sum(axis=0), (wholes > 0).sum(axis=0))


def _checked(truth: NDArray[Any], probabilities: Singles) -> tuple[Singles, Singles]:
    if truth.shape != probabilities.shape or truth.ndim != 2 or 0 in truth.shape:
        raise ValueError(
            f"truth has shape {truth.shape}, probabilities {probabilities.shape}; both are (N, K)"
        )
    _check_classes(truth.shape[1])
    if probabilities.dtype != np.float32:
        raise ValueError(
            f"probabilities are {probabilities.dtype}; give the network's float32, another type "
            "rounds other numbers to 1"
        )
    real = truth.astype(np.float32)
    for name, values in (("truth", real), ("probabilities", probabilities)):
        low, high = values.min(), values.max()
        if not (low >= 0 and high <= 1):
            raise ValueError(f"{name} run from {low} to {high}; they must lie in 0–1")
        off = float(np.abs(values.sum(axis=1) - 1).max())
        if off > SUM_TOLERANCE:
            raise ValueError(f"a row of {name} misses a sum of 1 by {off:.3g}; classes exclude")
    return real, probabilities


def _check_classes(classes: int) -> None:
    if classes < 2:
        raise ValueError(f"there are {classes} classes; needed are at least 2")


def _count(where: NDArray[np.bool_]) -> int:
    return int(np.count_nonzero(where))


def _ratio(above: Floats, below: NDArray[Any]) -> Floats:
    result: Floats = np.divide(above, below, out=np.zeros_like(above), where=below > 0)
    return result
