"""How far probabilities can be taken at their word: Brier score, calibration error, reliability.

``tally`` counts what all of these need of one patient's predictions. The sum of tallies is the
tally of all patients together, so that any number of volumes needs the memory of one. The
confidence of a prediction is the probability of its most probable class, the first of equal ones.
"""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gliomalib.schema import FloatArray

BINS = 15
"""Of equal width, (0, 1/15], (1/15, 2/15] … (Guo et al. 2017, arXiv 1706.04599)."""

TOLERANCE = 0.01
"""How far a row may sum from 1; four rounded float16 stay well below."""


def tally(probabilities: NDArray[Any], truth: NDArray[Any]) -> FloatArray:
    """Count the predictions of one patient: sums by bin of confidence, shape (4, ``BINS``).

    They are the number of predictions, how many are right, their confidence, and their squared
    distance to the one-hot truth. ``probabilities`` has shape (N, K), each row with sum 1 within
    ``TOLERANCE``, and ``truth`` the true classes 0 … K − 1, shape (N,). Of a volume take the
    voxels of the brain: sure and right background hides everything else. Raises ``ValueError``
    for what is no probability.
    """
    values = probabilities.astype(np.float64)
    sums = values.sum(axis=1)
    if not (values >= 0).all() or not (abs(sums - 1) <= TOLERANCE).all():
        raise ValueError(
            f"probabilities run from {values.min():g} to {values.max():g} and sum to "
            f"{sums.min():g} to {sums.max():g}; a row of probabilities is not negative and sums to "
            "1"
        )
    of_truth, confidence = values[np.arange(len(truth)), truth], values.max(axis=1)
    # Σ(p − t)² with one-hot t is Σp² − 2·p_true + 1, without an array of t
    squared = (values**2).sum(axis=1) - 2 * of_truth + 1
    # an edge belongs to the bin below it; a sum slightly above 1 may give a confidence above 1
    place = np.clip(np.ceil(confidence * BINS) - 1, 0, BINS - 1).astype(np.intp)
    weights = (None, values.argmax(axis=1) == truth, confidence, squared)
    return np.stack([np.bincount(place, weight, BINS).astype(np.float64) for weight in weights])


def expected_error(sums: FloatArray) -> FloatArray:
    """Return the expected calibration error, 0 to 1, of tallies (..., 4, ``BINS``).

    The mean over bins of |accuracy − confidence|, each weighted by its share of predictions. It
    depends on the bins, and is above 0 for few predictions even of a calibrated model.
    """
    # the share n/N of a bin cancels the n of its two means, so sums are all that is needed
    n, right, confidence, _ = np.moveaxis(sums, -2, 0)
    return np.asarray(abs(right - confidence).sum(axis=-1) / n.sum(axis=-1))


def brier(sums: FloatArray) -> FloatArray:
    """Return the Brier score (1950), summed over classes: 0 to 2, of tallies (..., 4, ``BINS``)."""
    n, _, _, squared = np.moveaxis(sums, -2, 0)
    return np.asarray(squared.sum(axis=-1) / n.sum(axis=-1))


def table(sums: FloatArray) -> pd.DataFrame:
    """Return the reliability table of a tally, one row per bin that has predictions.

    Columns: low and high (edges, low excluded), n, confidence and accuracy (means in the bin).
    """
    filled = np.flatnonzero(sums[0])
    n, right, confidence, _ = sums[:, filled]
    edges = {"low": filled / BINS, "high": (filled + 1) / BINS, "n": n.astype(np.int64)}
    return pd.DataFrame({**edges, "confidence": confidence / n, "accuracy": right / n})
