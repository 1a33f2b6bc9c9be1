"""How far probabilities can be taken at their word: Brier score, calibration error, reliability.

``tally`` counts what all of these need of one patient's predictions and ``+`` puts patients
together, so that any number of volumes needs the memory of one. The confidence of a prediction is
the probability of its most probable class, the first of equal ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gliomalib.schema import FloatArray

BINS = 15
"""Of equal width, (0, 1/15], (1/15, 2/15] … (Guo et al. 2017, arXiv 1706.04599)."""

TOLERANCE = 0.01
"""How far a row may sum from 1; four rounded float16 stay well below."""


@dataclass(frozen=True, eq=False)
class Reliability:
    """What is counted of the predictions of one patient or of several.

    ``bins`` has shape (3, ``BINS``): by confidence the number of predictions, how many are right,
    and the sum of their confidence. ``brier_sum`` is the squared distance to the one-hot truth,
    summed over classes and predictions; by ``n`` it is the Brier score, 0 to 2 (Brier 1950).
    """

    bins: FloatArray
    brier_sum: float

    @property
    def n(self) -> int:
        """Number of predictions."""
        return int(self.bins[0].sum())

    def __add__(self, other: Reliability) -> Reliability:
        return Reliability(self.bins + other.bins, self.brier_sum + other.brier_sum)

    def table(self) -> pd.DataFrame:
        """Return the reliability table, one row per bin that has predictions.

        Columns: low and high (edges, low excluded), n, confidence and accuracy (means in the bin).
        """
        filled = np.flatnonzero(self.bins[0])
        n, right, confidence = self.bins[:, filled]
        edges = {"low": filled / BINS, "high": (filled + 1) / BINS, "n": n.astype(np.int64)}
        return pd.DataFrame({**edges, "confidence": confidence / n, "accuracy": right / n})


def expected_error(bins: FloatArray) -> FloatArray:
    """Return the expected calibration error, 0 to 1, of ``Reliability.bins`` (..., 3, ``BINS``).

    The mean over bins of |accuracy − confidence|, each weighted by its share of predictions. It
    depends on the bins, and is above 0 for few predictions even of a calibrated model.
    """
    # the share n/N of a bin cancels the n of its two means, so sums are all that is needed
    n, right, confidence = np.moveaxis(bins, -2, 0)
    return np.asarray(abs(right - confidence).sum(axis=-1) / n.sum(axis=-1))


def tally(probabilities: NDArray[Any], truth: NDArray[Any]) -> Reliability:
    """Count the predictions of one patient, or of one image.

    ``probabilities`` has shape (N, K), each row with sum 1 within ``TOLERANCE``, and ``truth`` the
    true classes, integers 0 … K − 1, shape (N,). Of a volume (K, X, Y, Z) take
    ``np.moveaxis(volume, 0, -1)[mask]`` with the voxels of the brain: sure and right background
    hides everything else. Raises ``ValueError`` for no prediction, shapes that do not match, or
    what is no probability or no class.
    """
    if probabilities.ndim != 2 or truth.shape != probabilities.shape[:1] or truth.size == 0:
        raise ValueError(
            f"probabilities have shape {probabilities.shape}, the truth {truth.shape}; needed are "
            "(N, classes) and (N,) of at least one prediction"
        )
    classes = probabilities.shape[1]
    if truth.dtype.kind not in "iu" or int(truth.min()) < 0 or int(truth.max()) >= classes:
        raise ValueError(
            f"the truth is {truth.dtype} from {truth.min()} to {truth.max()}; classes are the "
            f"integers 0 to {classes - 1}"
        )
    return _tally(probabilities.astype(np.float64), truth)


def _tally(values: FloatArray, truth: NDArray[Any]) -> Reliability:
    sums = values.sum(axis=1)
    if not (values >= 0).all() or not (abs(sums - 1) <= TOLERANCE).all():
        raise ValueError(
            f"probabilities run from {values.min():g} to {values.max():g} and sum to "
            f"{sums.min():g} to {sums.max():g}; a row of probabilities is not negative and sums to "
            "1"
        )
    of_truth, confidence = values[np.arange(len(truth)), truth], values.max(axis=1)
    # an edge belongs to the bin below it; a sum slightly above 1 may give a confidence above 1
    place = np.clip(np.ceil(confidence * BINS) - 1, 0, BINS - 1).astype(np.intp)
    weights = (None, values.argmax(axis=1) == truth, confidence)
    bins = np.stack([np.bincount(place, weight, BINS).astype(np.float64) for weight in weights])
    # Σ(p − t)² with one-hot t is Σp² − 2·p_true + 1, without an array of t
    return Reliability(bins, float(((values**2).sum(axis=1) - 2 * of_truth + 1).sum()))
