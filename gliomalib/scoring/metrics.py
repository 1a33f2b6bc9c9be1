"""Confusion counts → scores; 0/0 is 0, and the rule for empty masks is a required argument."""

from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from gliomalib.schema import N_CLASSES, Confusion, FloatArray

EmptyRule = Literal["brats", "exclude"]
"""Both masks empty: ``brats`` scores it as perfect (Dice 1, HD95 0), ``exclude`` gives NaN for
the caller to leave out and count. One mask empty: the worst score (Dice 0, HD95
``surface.HD95_WORST_MM``) under either rule."""

MaskState = Literal["both", "empty", "missed", "spurious"]
"""``both`` masks have voxels, both are ``empty``, or only the truth (``missed``) or only the
prediction (``spurious``) has some."""


def confusion_matrix(truth: NDArray[Any], predicted: NDArray[Any]) -> Confusion:
    """Count voxels (or images) by true and predicted class.

    ``truth`` and ``predicted`` are integer labels 0 … 3 of any one shape; the counts are int64,
    shape (4, 4), rows the truth. Raises ``ValueError`` where the shapes differ, or a label is no
    integer or out of range; it names the value.
    """
    check_pair(truth, predicted)
    # each pair of labels is one number, row by row of the matrix
    pairs = N_CLASSES * truth.astype(np.uint8) + predicted.astype(np.uint8)
    # nearly all voxels are in no class on either side, so only the others go through bincount
    counts = np.bincount(pairs[pairs > 0], minlength=N_CLASSES**2).astype(np.int64)
    counts[0] = pairs.size - counts.sum()
    return counts.reshape(N_CLASSES, N_CLASSES)


def check_pair(truth: NDArray[Any], predicted: NDArray[Any]) -> None:
    """Raise ``ValueError`` unless both are labels 0 … 3 of one shape; it names the value."""
    if truth.shape != predicted.shape:
        raise ValueError(f"truth has shape {truth.shape}, prediction {predicted.shape}: not equal")
    _check_labels("truth", truth)
    _check_labels("prediction", predicted)


def _check_labels(name: str, labels: NDArray[Any]) -> None:
    if labels.dtype.kind not in "iub":
        raise ValueError(f"{name} has dtype {labels.dtype}; labels are integers")
    if labels.size == 0:
        return
    for extreme in (labels.min(), labels.max()):
        if not 0 <= int(extreme) < N_CLASSES:
            raise ValueError(
                f"{name} holds the label {int(extreme)}, the classes are 0 to {N_CLASSES - 1}; "
                "convert the labels to the canonical ones first"
            )


def stacked_scores(confusions: Confusion | FloatArray) -> dict[str, FloatArray]:
    """Return the eight scores of confusion matrices (..., K, K), rows the truth, each (...).

    Precision TP/(TP+FP), recall TP/(TP+FN), specificity TN/(TN+FP), F1 2TP/(2TP+FP+FN) and IoU
    TP/(TP+FP+FN) are taken of each class against the rest, then averaged over all K (macro): a
    mean over fewer classes is another score. Accuracy, balanced accuracy and MCC belong to the
    whole matrix: the share of the diagonal, the mean recall of the classes that the truth has, and
    the R_K of Gorodkin (2004, doi:10.1016/j.compbiolchem.2004.09.006).

    All eight are shares, mcc −1 to 1: accuracy, precision, recall, f1, iou, specificity,
    balanced_accuracy, mcc. Raises ``ValueError`` for matrices that are not square and negative
    counts.
    """
    counts = np.asarray(confusions, dtype=np.float64)
    if counts.ndim < 2 or counts.shape[-1] != counts.shape[-2]:
        raise ValueError(f"confusion matrices are (..., K, K), not of shape {counts.shape}")
    if not (counts >= 0).all():
        raise ValueError(f"a confusion matrix holds {counts.min()}; counts are not negative")
    tp = np.diagonal(counts, axis1=-2, axis2=-1)
    fn, fp = counts.sum(axis=-1) - tp, counts.sum(axis=-2) - tp
    tn = counts.sum(axis=(-2, -1))[..., None] - tp - fn - fp
    classwise = {
        "precision": divide(tp, tp + fp),
        "recall": divide(tp, tp + fn),
        "f1": divide(2 * tp, 2 * tp + fp + fn),
        "iou": divide(tp, tp + fp + fn),
        "specificity": divide(tn, tn + fp),
    }
    return {name: values.mean(axis=-1) for name, values in classwise.items()} | _whole(counts)


def dice(confusion: Confusion, classes: tuple[int, ...], empty: EmptyRule) -> float:
    """Return the Dice coefficient 2|T∩P|/(|T|+|P|) of some classes merged into one mask.

    ``confusion`` is (4, 4); ``classes`` is a region such as (1, 3) for the tumour core or a
    single class such as (3,). ``empty`` is the rule for empty masks, see ``EmptyRule``: NaN only
    where both are empty and the rule is ``exclude``. Raises ``ValueError`` for no or unknown
    classes and for an unknown rule.
    """
    check_empty(empty)
    common, truth, predicted = _merged(confusion, classes)
    if truth + predicted == 0:
        return 1.0 if empty == "brats" else float("nan")
    return 2.0 * common / (truth + predicted)


def mask_state(confusion: Confusion, classes: tuple[int, ...]) -> MaskState:
    """Say which of the two masks of the merged ``classes`` have voxels, for counting.

    Raises ``ValueError`` for no or unknown classes.
    """
    _, truth, predicted = _merged(confusion, classes)
    if truth and predicted:
        return "both"
    if truth:
        return "missed"
    return "spurious" if predicted else "empty"


def check_empty(empty: str) -> None:
    """Raise ``ValueError`` unless it is an ``EmptyRule``."""
    if empty not in get_args(EmptyRule):
        choices = ", ".join(map(repr, get_args(EmptyRule)))
        raise ValueError(f"empty is {empty!r}; choose one of {choices}")


def _whole(counts: FloatArray) -> dict[str, FloatArray]:
    total = counts.sum(axis=(-2, -1))
    tp = np.diagonal(counts, axis1=-2, axis2=-1)
    truth, predicted = counts.sum(axis=-1), counts.sum(axis=-2)
    recall = divide(tp, truth)
    # shares instead of counts: the squares of 10^9 voxels would lose digits
    share_truth = divide(truth, total[..., None])
    share_predicted = divide(predicted, total[..., None])
    share_right = divide(tp.sum(axis=-1), total)
    covariance = share_right - (share_truth * share_predicted).sum(axis=-1)
    spread = (1 - (share_truth**2).sum(axis=-1)) * (1 - (share_predicted**2).sum(axis=-1))
    # without counts every share is 0 and the spread 1, but MCC is 0/0; rounding may go below 0
    spread = np.where(total > 0, np.maximum(spread, 0.0), 0.0)
    return {
        "accuracy": divide(tp.sum(axis=-1), total),
        # over the classes that the truth has: one that it lacks has no recall
        "balanced_accuracy": divide(recall.sum(axis=-1), (truth > 0).sum(axis=-1)),
        "mcc": divide(covariance, np.sqrt(spread)),
    }


def divide(above: FloatArray, below: NDArray[Any]) -> FloatArray:
    """Return above / below, where 0/0 is 0."""
    above, below = np.broadcast_arrays(above, below)
    result = np.zeros(above.shape)
    np.divide(above, below, out=result, where=below > 0)
    return result


def _merged(confusion: Confusion, classes: tuple[int, ...]) -> tuple[int, int, int]:
    """Return the voxels of the merged classes in both masks, in the truth, in the prediction."""
    if confusion.ndim != 2 or confusion.shape[0] != confusion.shape[1]:
        raise ValueError(f"a confusion matrix is (K, K), not of shape {confusion.shape}")
    labels, chosen = range(len(confusion)), list(classes)
    if not chosen or len({*chosen}) != len(chosen) or not {*chosen} <= {*labels}:
        raise ValueError(
            f"classes {classes} must be some of {', '.join(map(str, labels))}, each once"
        )
    rows = confusion[chosen]
    return int(rows[:, chosen].sum()), int(rows.sum()), int(confusion[:, chosen].sum())
