"""Two groups of different patients: a score of one less that of the other, with its interval.

What ``stats`` does for one group, and for pairs, is done here where nobody is in both groups.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats as distributions

from gliomalib.scoring import bootstrap

Floats = NDArray[np.float64]
Score = Callable[[Floats], Floats]
"""Sums over patients (m, ...) → the score of each of the m draws (m,)."""


def pairs(values: ArrayLike) -> Floats:
    """Return each patient's value with a one to count by, shape (n, 1, 2), for ``mean``."""
    numbers = np.asarray(values, dtype=np.float64)
    return np.stack([numbers, np.ones(len(numbers))], axis=1)[:, None]


def mean(sums: Floats) -> Floats:
    """Return the mean over patients from sums of ``pairs``; also a ratio of any two sums."""
    found: Floats = sums[:, 0, 0] / sums[:, 0, 1]
    return found


def difference(
    one: Floats, other: Floats, score: Score, seed: int, draws: int = bootstrap.DRAWS
) -> bootstrap.Interval:
    """Return the score of one group of patients less that of another, with its 95 % interval.

    Patients are drawn within each group, with all that is theirs. The percentiles are expanded as
    in ``stats`` (Hesterberg 2015), for two groups: each group's spread is multiplied by
    √(n/(n − 1)), and the tails are those of t with the degrees of freedom of Welch (1947), so
    that for means of normal samples the interval is as wide as Welch's.

    Parameters
    ----------
    one, other
        What belongs to each patient, shapes (n, ...) and (m, ...), to be summed over patients.
    score
        Sums (draws, ...) → scores (draws,); it must be defined for every draw.
    seed, draws
        Seed and size of the bootstrap.

    Raises
    ------
    ValueError
        For a group without patients and a score that is not defined in some draw.
    """
    rng = np.random.default_rng(seed)
    (first, drawn), (second, again) = (_drawn(group, score, rng, draws) for group in (one, other))
    value, sizes = first - second, (len(one), len(other))
    if min(sizes) == 1:
        return bootstrap.Interval(value, None, sum(sizes), "no interval: a single patient")
    share = _tail(np.array([drawn.var(), again.var()]), np.array(sizes) - 1)
    low, high = np.quantile(drawn - again, [share, 1 - share])
    method = f"expanded percentile bootstrap over {sizes[0]} and {sizes[1]} patients, {draws} draws"
    return bootstrap.Interval(value, (float(low), float(high)), sum(sizes), method)


def _drawn(
    values: Floats, score: Score, rng: np.random.Generator, draws: int
) -> tuple[float, Floats]:
    """Return the score of a group, and that of its draws with the spread of a sample's."""
    n = len(values)
    if not n:
        raise ValueError("a group has no patient; a drop needs at least one in each")
    weights = np.vstack([np.ones(n), rng.multinomial(n, np.full(n, 1 / n), size=draws)])
    sums = weights @ values.reshape(n, -1)
    found = score(sums.reshape(-1, *values.shape[1:]))
    if not np.isfinite(found).all():
        raise ValueError("a score is undefined in some draw; leave out such patients by a rule")
    wider = np.sqrt(n / max(n - 1, 1))
    return float(found[0]), found[0] + wider * (found[1:] - found[0])


def _tail(variances: Floats, freedom: NDArray[np.int64]) -> float:
    total = variances.sum()
    # without any spread every tail is the same point
    degrees = total**2 / (variances**2 / freedom).sum() if total else freedom.sum()
    return float(distributions.norm.cdf(distributions.t.ppf((1 - bootstrap.LEVEL) / 2, degrees)))
