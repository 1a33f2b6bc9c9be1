"""Scores as a Keras model with a softmax over one-hot classes reports them, without Keras.

Read in the sources of ``tf.keras.metrics`` (TensorFlow 2.4) and of Keras 3, and in a public
notebook for BraTS 2020 (rastislavkopal/3D_BRAIN_TUMOR_SEGMENTATION) with its own precision,
recall and specificity. Those three are averaged over batches there and pooled here.
"""

from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gliomalib.schema import N_CLASSES, Float32Array, FloatArray
from gliomalib.scoring.metrics import divide

COUNTED = ("items", "right", "tp", "claimed", "tn", "claimed_ones", "common_ones")
"""What the six scores are made of: ``items`` and how many get their class ``right``, entries above
and below the threshold (``pooled_counts``), those of exactly 1 and the ones of them that are true.
"""


def pooled_counts(truth: NDArray[Any], probabilities: Float32Array) -> NDArray[np.int64]:
    """Return what the metrics of a Keras model count over all items, in the order of ``COUNTED``.

    The class is the most probable one. Precision, recall and specificity count the entries of the
    probabilities: claimed is p > 0.5, true positive such a p of the true class, true negative
    p < 0.5 of another class. Counts are exact and may be added: ``counted_scores`` of the sum over
    patients are the scores of all their items together.

    ``truth`` has the class of each item (N,), 0 … 3, and ``probabilities`` the softmax output
    (N, 4). Raises ``ValueError`` for other shapes and for probabilities that are not float32.
    """
    if probabilities.shape != (*truth.shape, N_CLASSES) or truth.ndim != 1:
        raise ValueError(
            f"truth has shape {truth.shape}, probabilities {probabilities.shape}; give (N,) and "
            f"(N, {N_CLASSES})"
        )
    if probabilities.dtype != np.float32:
        raise ValueError(
            f"probabilities are {probabilities.dtype}; give the network's float32, another type "
            "rounds other numbers to 1"
        )
    of_truth = probabilities[np.arange(len(truth)), truth]
    counts = {
        "items": len(truth),
        "right": np.count_nonzero(probabilities.argmax(axis=1) == truth),
        "tp": np.count_nonzero(of_truth > 0.5),
        "claimed": np.count_nonzero(probabilities > 0.5),
        "tn": np.count_nonzero(probabilities < 0.5) - np.count_nonzero(of_truth < 0.5),
        "claimed_ones": np.count_nonzero(probabilities == 1),
        "common_ones": np.count_nonzero(of_truth == 1),
    }
    return np.array([counts[name] for name in COUNTED], dtype=np.int64)


def constant_counts(truth: NDArray[Any]) -> NDArray[Any]:
    """Return the counts of a predictor that gives every item the first class with probability 1.

    ``truth`` (..., 4) holds the number of items of each class; the counts have shape
    (..., len(COUNTED)).
    """
    items, first = truth.sum(axis=-1), truth[..., 0]
    # every item claims one entry, of probability 1; where that is wrong it is one false positive
    counts = dict.fromkeys(("items", "claimed", "claimed_ones"), items)
    counts |= dict.fromkeys(("right", "tp", "common_ones"), first)
    counts["tn"] = (N_CLASSES - 1) * items - (items - first)
    return np.stack([counts[name] for name in COUNTED], axis=-1)


def counted_scores(counts: NDArray[Any]) -> dict[str, FloatArray]:
    """Return the six scores of a paper from counts (..., len(COUNTED)), each of shape (...).

    Accuracy, precision, recall, f1 (2PR/(P+R)), mean_iou and specificity, as shares; 0/0 is 0.
    ``mean_iou`` is what ``tf.keras.metrics.MeanIoU(num_classes=K)`` makes of a softmax output. It
    flattens both arrays and casts them to integers, so an entry has the label 1 where it is
    exactly 1 and the label 0 everywhere else, whatever its class. The IoU of these labels is
    averaged over those that occur; of the K labels that it allows, 2 … K−1 never do (TensorFlow
    issues 39173, 32875, 55565). A softmax is exactly 1 in float32 where the other classes have
    less than about 10⁻⁷ together, so the value depends on how sure the network is. In float16
    that limit is about 2·10⁻⁴, which is why such probabilities are refused.
    """
    columns = np.moveaxis(np.asarray(counts, dtype=np.float64), -1, 0)
    n = dict(zip(COUNTED, columns, strict=True))
    entries = N_CLASSES * n["items"]
    precision, recall = divide(n["tp"], n["claimed"]), divide(n["tp"], n["items"])
    # in 0–1 the cast to an integer gives 1 for exactly 1 and 0 for the rest; every item has one
    # true entry
    either = n["items"] + n["claimed_ones"] - n["common_ones"]
    parts = np.stack([n["common_ones"], entries - either])
    wholes = np.stack([either, entries - n["common_ones"]])
    return {
        "accuracy": divide(n["right"], n["items"]),
        "precision": precision,
        "recall": recall,
        "f1": divide(2 * precision * recall, precision + recall),
        "mean_iou": divide(divide(parts, wholes).sum(axis=0), (wholes > 0).sum(axis=0)),
        "specificity": divide(n["tn"], (N_CLASSES - 1) * n["items"]),
    }


def saturated_share(value: float) -> float:
    """Return the share of items that are saturated where all are right and ``mean_iou`` is this.

    Of N items the true entries of rN are exactly 1. The IoU of label 1 is r, that of label 0 is
    (K−1)/(K−r), and the value v is their mean: r is the smaller root of
    r² − (K+2v)r + 2vK − K + 1 = 0. With K = 4, v is 3/8 before anything saturates. Raises
    ``ValueError`` for a value outside of 3/8 to 1, which no perfect prediction scores.
    """
    least = (N_CLASSES - 1) / N_CLASSES / 2
    if not least <= value <= 1:
        raise ValueError(f"a mean IoU of {value} has no such share; it must lie in {least}–1")
    half = N_CLASSES / 2 + value
    return max(0.0, half - sqrt(half**2 - 2 * value * N_CLASSES + N_CLASSES - 1))


def constant_scores(share: float) -> dict[str, float]:
    """Return ``counted_scores`` of a predictor that always says the class that has this ``share``.

    For BraTS that class is the background. Raises ``ValueError`` for a share outside of 0–1.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"the share of the predicted class is {share}; it must lie in 0–1")
    scores = counted_scores(constant_counts(np.array([share, 1 - share, 0, 0])))
    return {name: float(score) for name, score in scores.items()}
