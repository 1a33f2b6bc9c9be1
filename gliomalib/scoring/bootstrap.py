"""95 % intervals with the patient as the unit; whatever belongs to a patient moves with them.

All bootstrap intervals are expanded percentile intervals (Hesterberg 2015,
doi:10.1080/00031305.2015.1089789): the percentiles are moved outwards so that for the mean of a
normal sample the interval is as wide as Student's. Simulated here with Dice-like scores, 8 % of
them zero, the plain percentile interval of the mean covered the truth in 79, 88, 92 and 94 % of
samples of 8, 20, 30 and 50 patients, BCa in 81, 88, 93 and 94 %, the expanded one in 86, 89, 93
and 94 %; with normal differences the plain one in 88, 92, 93 and 94 %, BCa in 88, 92, 93 and
94 %, the expanded one in 95, 94, 95 and 95 %. No interval repairs fewer than about 30 patients.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats as distributions

Floats = NDArray[np.float64]

DRAWS = 10_000
LEVEL = 0.95
BLOCK = 1_000
"""Draws that are in memory at once; it changes no result."""


@dataclass(frozen=True)
class Interval:
    """An estimate with its 95 % interval.

    ``ci95`` is None where a single patient leaves the spread unknown; ``n`` is the number of
    patients (of trials for ``wilson``) and ``method`` says how the interval was made.
    """

    value: float
    ci95: tuple[float, float] | None
    n: int
    method: str


def mean_interval(values: ArrayLike, seed: int, draws: int = DRAWS) -> Interval:
    """Return the mean over patients with its bootstrap interval.

    ``values`` has one number a patient, shape (n,). Raises ``ValueError`` for no patient and for
    NaN: leave out by a rule, and count, before you average.
    """
    numbers = _checked(values, 1, "one value a patient")
    drawn = _resampled_means(numbers[:, None], seed, draws)[:, 0]
    return _interval(float(numbers.mean()), drawn, len(numbers))


def mean_band(curves: ArrayLike, seed: int, draws: int = DRAWS) -> tuple[Floats, Floats]:
    """Return the lower and upper end of ``mean_interval`` at every point of a curve.

    ``curves`` has one row a patient, shape (n_patients, points); the ends have shape (points,).
    Patients are drawn with their whole curve. A single patient has no band: both ends are NaN.
    Raises ``ValueError`` for no patient and for NaN.
    """
    rows = _checked(curves, 2, "one curve a patient")
    if len(rows) == 1:
        unknown = np.full(rows.shape[1], np.nan)
        return unknown, unknown
    share = _tail_share(len(rows))
    low, high = np.quantile(_resampled_means(rows, seed, draws), [share, 1 - share], axis=0)
    return low, high


def paired_interval(a: ArrayLike, b: ArrayLike, seed: int, draws: int = DRAWS) -> Interval:
    """Return the mean of a − b within patients, with its bootstrap interval.

    ``a`` and ``b`` have shape (n,) and the same patients in the same order. Raises
    ``ValueError`` for different lengths, no patient and NaN.
    """
    one = _checked(a, 1, "one value a patient")
    other = _checked(b, 1, "one value a patient")
    if len(one) != len(other):
        raise ValueError(f"{len(one)} patients against {len(other)}; pairs need the same patients")
    return mean_interval(one - other, seed, draws)


def confusion_interval(
    confusions: ArrayLike,
    score: Callable[[Floats], float],
    seed: int,
    draws: int = DRAWS,
) -> Interval:
    """Return a score of the summed confusion matrix with its cluster bootstrap interval.

    Patients are drawn with all their slices or voxels, their matrices are summed and ``score``
    (one (K, K) matrix → one number) is taken of each sum.

    Parameters
    ----------
    confusions
        Counts of each patient, shape (n_patients, K, K).
    score
        Called ``draws`` times; ``confusion_intervals`` is quicker where it takes a stack.
    seed, draws
        Seed and size of the bootstrap.

    Raises
    ------
    ValueError
        For no patient, NaN, or a score that is undefined in some draw: give the score a rule.
    """

    def scores(stack: Floats) -> dict[str, Floats]:
        return {"score": np.array([score(matrix) for matrix in stack], dtype=np.float64)}

    return confusion_intervals(confusions, scores, seed, draws)["score"]


def confusion_intervals(
    confusions: ArrayLike,
    scores: Callable[[Floats], Mapping[str, Floats]],
    seed: int,
    draws: int = DRAWS,
) -> dict[str, Interval]:
    """Return ``confusion_interval`` of several scores from the same draws.

    ``scores`` takes a stack (m, K, K) and returns arrays (m,) by name, for instance
    ``metrics.stacked_scores`` with its average and rule set. Raises ``ValueError`` as
    ``confusion_interval`` does, and names the score.
    """
    matrices = _checked(confusions, 3, "one matrix (K, K) a patient")
    count, *shape = matrices.shape
    found = {name: float(one[0]) for name, one in scores(matrices.sum(axis=0)[None]).items()}
    drawn: dict[str, list[Floats]] = {name: [] for name in found}
    for weights in _weights(count, seed, draws):
        sums = weights @ matrices.reshape(count, -1)
        for name, part in scores(sums.reshape(-1, *shape)).items():
            drawn[name].append(part)
    together = {name: np.concatenate(parts) for name, parts in drawn.items()}
    for name, part in together.items():
        undefined = int(np.isnan(part).sum())
        if undefined or np.isnan(found[name]):
            raise ValueError(
                f"{name} is undefined in {undefined} of {draws} draws; choose a rule for 0/0 that "
                "gives a number"
            )
    return {name: _interval(found[name], part, count) for name, part in together.items()}


def argmax_interval(
    curves: ArrayLike, alphas: ArrayLike, seed: int, draws: int = DRAWS
) -> Interval:
    """Return the α at which the mean curve is highest, with its bootstrap interval.

    Patients are drawn with their whole curve. Where several α are equally high (within 1e-12)
    the middle one of them counts, the lower of two middles, so that a flat curve says the
    middle and not the first α, and the answer is always an α that was tried.

    Parameters
    ----------
    curves
        Score of each patient at each α, shape (n_patients, n_alpha).
    alphas
        The α in rising order, shape (n_alpha,).
    seed, draws
        Seed and size of the bootstrap.

    Raises
    ------
    ValueError
        For no patient, NaN, or α that are not in rising order or not as many as columns.
    """
    rows = _checked(curves, 2, "one curve a patient")
    weights = _checked(alphas, 1, "one weight a column")
    if len(weights) != rows.shape[1] or (np.diff(weights) <= 0).any():
        raise ValueError(
            f"{len(weights)} alphas for {rows.shape[1]} columns; give one each, rising"
        )
    best = weights[_middle_argmax(rows.mean(axis=0)[None])]
    drawn = weights[_middle_argmax(_resampled_means(rows, seed, draws))]
    return _interval(float(best[0]), drawn, len(rows))


def wilson(successes: int, n: int) -> Interval:
    """Return a proportion with its Wilson score interval (Wilson 1927).

    74 of 74 give 0.951–1. Raises ``ValueError`` unless 0 ≤ successes ≤ n and n ≥ 1.
    """
    if not (n >= 1 and 0 <= successes <= n):
        raise ValueError(f"{successes} of {n} is no proportion; need 0 ≤ successes ≤ n and n ≥ 1")
    bounds = distributions.binomtest(successes, n).proportion_ci(LEVEL, method="wilson")
    return Interval(successes / n, (float(bounds.low), float(bounds.high)), n, "Wilson score")


def _checked(values: ArrayLike, dimensions: int, meaning: str) -> Floats:
    numbers = np.asarray(values, dtype=np.float64)
    if numbers.ndim != dimensions or numbers.size == 0:
        raise ValueError(f"found an array of shape {numbers.shape}; needed is {meaning}")
    unusable = int((~np.isfinite(numbers)).sum())
    if unusable:
        raise ValueError(
            f"{unusable} of {numbers.size} numbers are NaN or infinite; leave them out by a named "
            "rule and count them"
        )
    return numbers


def _weights(count: int, seed: int, draws: int) -> Iterator[Floats]:
    """Yield blocks (m, count): how often each patient is in each draw, rows sum to ``count``."""
    if draws < 1:
        raise ValueError(f"draws is {draws}; a bootstrap needs at least one")
    generator = np.random.default_rng(seed)
    for start in range(0, draws, BLOCK):
        rows = min(BLOCK, draws - start)
        picked = generator.integers(count, size=(rows, count))
        picked += np.arange(rows)[:, None] * count
        counts = np.bincount(picked.ravel(), minlength=rows * count)
        yield counts.reshape(rows, count).astype(np.float64)


def _resampled_means(rows: Floats, seed: int, draws: int) -> Floats:
    """Return the means over patients of ``rows`` (n, m) in each draw, shape (draws, m)."""
    count = len(rows)
    return np.concatenate([part @ rows for part in _weights(count, seed, draws)]) / count


def _middle_argmax(rows: Floats) -> NDArray[Any]:
    """Return for each row the middle index of those within 1e-12 of its maximum."""
    tied = rows >= rows.max(axis=1, keepdims=True) - 1e-12
    middle = (tied.sum(axis=1) + 1) // 2
    return np.asarray((tied.cumsum(axis=1) >= middle[:, None]).argmax(axis=1))


def _interval(value: float, drawn: Floats, count: int) -> Interval:
    if count == 1:
        return Interval(value, None, 1, "no interval: a single patient")
    share = _tail_share(count)
    low, high = np.quantile(drawn, [share, 1 - share])
    method = f"expanded percentile bootstrap over {count} patients, {len(drawn)} draws"
    return Interval(value, (float(low), float(high)), count, method)


def _tail_share(count: int) -> float:
    # Hesterberg's adjustment: Student's quantile, and n/(n − 1) as the bootstrap spread is narrow
    reach = distributions.t.ppf((1 - LEVEL) / 2, count - 1) * np.sqrt(count / (count - 1))
    return float(distributions.norm.cdf(reach))
