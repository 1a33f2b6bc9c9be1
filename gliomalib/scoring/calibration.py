"""How far probabilities can be taken at their word: Brier score, calibration error, reliability.

``tally`` counts what all of these need of one patient's predictions and ``+`` puts patients
together, so that any number of volumes needs the memory of one. The confidence of a prediction is
the probability of its most probable class, the first of equal ones.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats = NDArray[np.float64]

Binning = Literal["equal_width", "equal_mass"]
"""``equal_width``: bins (0, 1/B], (1/B, 2/B] … (Guo et al. 2017, arXiv 1706.04599).
``equal_mass``: bins of the same number of predictions, as nearly as equal confidences allow
(Nixon et al. 2019, arXiv 1904.01685); where most voxels are sure of the background, equal widths
put nearly all of them into one bin."""

BINS = 15
CELLS = 512
"""Counts are kept in so many cells a bin, 1/7680 wide for 15 bins: for confidences from 1/4 on
that is finer than the steps of float16, so for stored volumes no cell mixes two values."""

FLOOR = 2.0**-24
"""Smallest positive float16: what a probability of zero is taken for where its logarithm counts."""

BLOCK = 2**18
"""Predictions that are looked at at once; it changes no count."""

TOLERANCE = 0.01
"""How far a row may sum from 1; four rounded float16 stay well below."""


@dataclass(frozen=True, eq=False)
class Reliability:
    """Counts of predictions by their confidence, of one patient or of several.

    ``counts``, ``hits`` and ``confidence`` (its sum) have shape (n_bins · CELLS,). ``n_floored``
    is how often the true class had a probability below ``FLOOR``, that is zero in float16: each
    of them adds 16.6 to the sum of the likelihood instead of infinity.
    """

    n_bins: int
    counts: Floats
    hits: Floats
    confidence: Floats
    brier_sum: float
    likelihood_sum: float
    n_floored: int

    @property
    def n(self) -> int:
        """Number of predictions."""
        return int(self.counts.sum())

    @property
    def brier(self) -> float:
        """Mean squared distance to the one-hot truth, summed over classes: 0 to 2 (Brier 1950)."""
        return self.brier_sum / self.n

    @property
    def negative_log_likelihood(self) -> float:
        """Mean of −ln of the probability of the true class, floored at ``FLOOR``."""
        return self.likelihood_sum / self.n

    def __add__(self, other: Reliability) -> Reliability:
        if self.n_bins != other.n_bins:
            raise ValueError(f"{self.n_bins} bins and {other.n_bins} bins; tally with as many")
        return Reliability(
            self.n_bins,
            self.counts + other.counts,
            self.hits + other.hits,
            self.confidence + other.confidence,
            self.brier_sum + other.brier_sum,
            self.likelihood_sum + other.likelihood_sum,
            self.n_floored + other.n_floored,
        )

    def table(self, binning: Binning) -> pd.DataFrame:
        """Return the reliability table, one row a bin that has predictions.

        Columns: low and high (edges, low excluded), n, confidence and accuracy (means in the
        bin). Raises ``ValueError`` for an unknown ``binning``.
        """
        of_cell = self._bins(binning)
        used = np.flatnonzero(self.counts)
        sums = [
            np.bincount(of_cell[used], part[used], self.n_bins)
            for part in (self.counts, self.confidence, self.hits)
        ]
        filled = np.flatnonzero(sums[0])
        n, confidence, hits = (part[filled] for part in sums)
        first, last = (np.searchsorted(of_cell[used], filled, side) for side in ("left", "right"))
        if binning == "equal_width":
            low, high = filled / self.n_bins, (filled + 1) / self.n_bins
        else:
            low, high = used[first] / len(of_cell), (used[last - 1] + 1) / len(of_cell)
        columns = {"low": low, "high": high, "n": n.astype(np.int64)}
        return pd.DataFrame({**columns, "confidence": confidence / n, "accuracy": hits / n})

    def expected_error(self, binning: Binning) -> float:
        """Return the expected calibration error of the most probable class, 0 to 1.

        The mean over bins of |accuracy − confidence|, each weighted by its share of predictions.
        It depends on the bins, and is above 0 for few predictions even of a calibrated model.
        """
        rows = self.table(binning)
        gaps = (rows["accuracy"] - rows["confidence"]).abs()
        return float((gaps * rows["n"]).sum() / self.n)

    def _bins(self, binning: Binning) -> NDArray[np.intp]:
        """Return the bin of each cell, rising; a cell is never divided."""
        if binning not in get_args(Binning):
            raise ValueError(
                f"binning is {binning!r}; choose one of {', '.join(get_args(Binning))}"
            )
        cells = np.arange(len(self.counts))
        if binning == "equal_width":
            return cells // CELLS
        # the bin in which the middle one of the cell's predictions falls
        middle = self.counts.cumsum() - self.counts / 2
        return np.minimum(middle * self.n_bins // self.n, self.n_bins - 1).astype(np.intp)


def tally(probabilities: NDArray[Any], truth: NDArray[Any], n_bins: int = BINS) -> Reliability:
    """Count the predictions of one patient, or of one image.

    Parameters
    ----------
    probabilities
        Shape (N, K), floats in 0–1, each row with sum 1 within ``TOLERANCE``. Of a volume
        (K, X, Y, Z) take ``np.moveaxis(volume, 0, -1)[mask]`` with the voxels of the brain: sure
        and right background hides everything else.
    truth
        True classes, integers 0 … K − 1, shape (N,).
    n_bins
        Number of bins of the tables.

    Raises
    ------
    ValueError
        For no prediction, shapes that do not match, or what is no probability or no class.
    """
    _check(probabilities, truth, n_bins)
    starts = range(0, len(truth), BLOCK)
    blocks = (slice(start, start + BLOCK) for start in starts)
    return pooled(
        _tally(probabilities[one].astype(np.float64), truth[one], n_bins) for one in blocks
    )


def pooled(parts: Iterable[Reliability]) -> Reliability:
    """Put patients together, each with all of its predictions; one is in memory at a time.

    A patient with more predictions weighs more: for an interval over patients give the values of
    each patient to ``bootstrap.mean_interval``. Raises ``ValueError`` for different numbers of
    bins and for no patient.
    """
    remaining = iter(parts)
    first = next(remaining, None)
    if first is None:
        raise ValueError("there is no patient to pool; tally at least one")
    return reduce(operator.add, remaining, first)


def _tally(values: Floats, truth: NDArray[Any], n_bins: int) -> Reliability:
    if not (values >= 0).all() or not (abs(values.sum(axis=1) - 1) <= TOLERANCE).all():
        raise ValueError(
            f"probabilities run from {values.min():g} to {values.max():g} and sum to "
            f"{values.sum(axis=1).min():g} to {values.sum(axis=1).max():g}; a row of probabilities "
            "is not negative and sums to 1"
        )
    of_truth = values[np.arange(len(truth)), truth]
    confidence = values.max(axis=1)
    cells = n_bins * CELLS
    # an edge belongs to the cell below it; a sum of slightly above 1 may give a confidence above 1
    cell = np.clip(np.ceil(confidence * cells) - 1, 0, cells - 1).astype(np.intp)
    return Reliability(
        n_bins,
        np.bincount(cell, minlength=cells).astype(np.float64),
        np.bincount(cell, values.argmax(axis=1) == truth, cells).astype(np.float64),
        np.bincount(cell, confidence, cells).astype(np.float64),
        float(((values**2).sum(axis=1) - 2 * of_truth + 1).sum()),
        float(-np.log(np.maximum(of_truth, FLOOR)).sum()),
        int((of_truth < FLOOR).sum()),
    )


def _check(probabilities: NDArray[Any], truth: NDArray[Any], n_bins: int) -> None:
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
    if n_bins < 1:
        raise ValueError(f"n_bins is {n_bins}; a table needs at least one bin")
