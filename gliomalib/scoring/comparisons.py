"""Paired comparisons of methods on the same patients: difference, equivalence, or neither.

Two questions, two tests. Wilcoxon's signed-rank test asks whether there is a difference, and is
adjusted by Holm over the family of comparisons that was listed beforehand. Two one-sided tests
ask whether the mean difference is smaller than a margin. A difference that is not found is not a
difference of zero: without the second test the answer is ``undecided``::

      −margin         0        margin
         |     ├──────┼─────┤    |         equivalent, zero or not
         |            |     ├────┼──┤      different: not zero, not within the margin
         |  ├─────────┼──────────┼────┤    undecided: neither is shown
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats

from gliomalib.schema import FloatArray
from gliomalib.scoring import bootstrap

Decision = Literal["equivalent", "different", "undecided"]
"""``equivalent``: the mean difference is shown to lie within the margin, zero or not.
``different``: it is shown not to be zero, and not to lie within the margin. ``undecided``: neither
is shown."""

ALPHA = 0.05
MARGIN = 0.01
"""Dice; the median gain that papers of the field claim."""

DECIMALS = 12
"""Differences are rounded to these, so that 0.8 − 0.7 and 0.7 − 0.6 are a tie."""


@dataclass(frozen=True)
class SignedRank:
    """Wilcoxon's signed-rank test of differences within patients.

    ``least_p`` is the smallest p that so few differences could give, whatever they were.
    """

    n: int
    n_zero: int
    p: float
    least_p: float


@dataclass(frozen=True)
class Equivalence:
    """Two one-sided tests of a mean difference against a margin on both sides of zero.

    ``t_bounds`` and ``bootstrap_bounds`` are 90 % intervals of the mean: it is shown to be within
    the margin at 5 % where the interval is. ``tost_p`` is the larger p of the two tests. All three
    are None for a single patient.
    """

    verdict: Decision
    mean: float
    n: int
    margin: float
    tost_p: float | None
    t_bounds: tuple[float, float] | None
    bootstrap_bounds: tuple[float, float] | None


def paired(differences: ArrayLike, name: str) -> SignedRank:
    """Test whether differences within patients are symmetric about zero.

    ``differences`` has one number per patient, shape (n,), rounded to ``DECIMALS``. Zeros take
    part in the ranking and not in the sums (Pratt 1959). The p is exact up to 50 patients without
    zeros and ties and up to 13 with them, else by the normal approximation with correction for
    ties (scipy's ``auto``), which is kept from falling below ``least_p``. Raises ``ValueError``
    for no patient and for NaN; it says ``name``.
    """
    numbers = _checked(differences, name)
    n_zero = int((numbers == 0).sum())
    # all signs alike is the rarest outcome, 1 of 2^k at each end for k that are not zero
    least = 2.0 ** min(0, 1 - (len(numbers) - n_zero))
    # scipy has no p for zeros only where it approximates; there it is 1 by any reckoning
    p = 1.0 if n_zero == len(numbers) else stats.wilcoxon(numbers, zero_method="pratt").pvalue
    return SignedRank(len(numbers), n_zero, max(float(p), least), least)


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Return p adjusted for the whole family by Holm's step-down procedure (1979).

    The smallest of k is multiplied by k, the next by k − 1 and so on; an adjusted p is never
    smaller than that of a smaller one, nor above 1. The family is what was listed beforehand: to
    leave out what did not turn out well makes the result worthless. Raises ``ValueError`` for an
    empty family and for what is no p; it names it.
    """
    wrong = {name: p for name, p in p_values.items() if not 0 <= p <= 1}
    if wrong or not p_values:
        raise ValueError(f"the p-values are {wrong or 'of nothing'}; each must lie in 0–1")
    adjusted: dict[str, float] = {}
    highest = 0.0
    for rank, (name, p) in enumerate(sorted(p_values.items(), key=lambda item: item[1])):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p))
        adjusted[name] = highest
    return {name: adjusted[name] for name in p_values}


def equivalence(
    differences: ArrayLike, seed: int, margin: float = MARGIN, draws: int = bootstrap.DRAWS
) -> Equivalence:
    """Test whether the mean difference lies within ±``margin`` (Schuirmann 1987).

    ``differences`` has one number per patient, shape (n,), rounded to ``DECIMALS``; the margin is
    in their unit and chosen before the results are seen. ``equivalent`` needs both readings: the
    larger p of the two paired t-tests is below 5 %, and the 90 % interval of ``bootstrap`` lies
    within the margin. ``different`` is said where that fails and the paired t-test finds a
    difference from zero. Where all differences are alike there is no spread to go by: the
    intervals are a point, and the p are those of a sign test. Raises ``ValueError`` for no
    patient, NaN, or a margin that is not above 0.
    """
    numbers = _checked(differences, "two methods")
    if not margin > 0:
        raise ValueError(f"margin is {margin}; it must be above 0, in the unit of the differences")
    mean, n = float(numbers.mean()), len(numbers)
    if n == 1:
        return Equivalence("undecided", mean, n, margin, None, None, None)
    if np.ptp(numbers) == 0:
        return _alike(mean, n, margin)
    above = stats.ttest_1samp(numbers, -margin, alternative="greater").pvalue
    below = stats.ttest_1samp(numbers, margin, alternative="less").pvalue
    tost_p, of_zero = float(max(above, below)), stats.ttest_1samp(numbers, 0.0)
    # two tests at 5 % each are one interval of 90 %
    level = 1 - 2 * ALPHA
    by_t = of_zero.confidence_interval(level)
    low, high = (float(end[0]) for end in bootstrap.mean_band(numbers[:, None], seed, draws, level))
    within = tost_p < ALPHA and -margin < low and high < margin
    verdict = _decision(within, float(of_zero.pvalue) < ALPHA)
    t_bounds = (float(by_t.low), float(by_t.high))
    return Equivalence(verdict, mean, n, margin, tost_p, t_bounds, (low, high))


def compare_family(
    table: pd.DataFrame,
    reference: str,
    margin: float,
    seed: int,
    draws: int = bootstrap.DRAWS,
) -> pd.DataFrame:
    """Compare every other column of ``table`` with ``reference``, patient by patient.

    ``table`` has one row per patient and one column per method; its columns are the family, so it
    holds all methods that were listed beforehand. The result has one row per method in that order:
    name, mean_difference, n, p of Wilcoxon's test, p_holm (adjusted over the family), tost_p (not
    adjusted: each equivalence is shown at 5 % on its own), verdict (a ``Decision``), limited (too
    few patients, or too few who differ, to show a difference whatever the scores are), and a note
    that says so or is empty. Raises ``ValueError`` where the reference or another method is
    missing, a column or a patient is duplicated, or a score is NaN: leave out patients by a named
    rule, from all methods at once, and count them.
    """
    differences = {name: table[name] - table[reference] for name in _others(table, reference)}
    ranks = {name: paired(values, name) for name, values in differences.items()}
    adjusted = holm({name: rank.p for name, rank in ranks.items()})
    # Holm multiplies the smallest p by the number of methods, so no p can get below this
    least_of_family = min(rank.least_p for rank in ranks.values()) * len(ranks)
    rows = []
    for name, rank in ranks.items():
        equal = equivalence(differences[name], seed, margin, draws)
        limited, note = _limits(rank, max(rank.least_p, min(1.0, least_of_family)))
        verdict = _decision(equal.verdict == "equivalent", adjusted[name] < ALPHA)
        tests = (equal.mean, rank.n, rank.p, adjusted[name], equal.tost_p)
        rows.append((name, *tests, verdict, limited, note))
    columns = ["name", "mean_difference", "n", "p", "p_holm", "tost_p", "verdict", "limited"]
    return pd.DataFrame(rows, columns=[*columns, "note"])


def _others(table: pd.DataFrame, reference: str) -> list[str]:
    columns = [str(name) for name in table.columns]
    if reference not in columns or len(columns) < 2:
        raise ValueError(
            f"the methods are {', '.join(columns) or 'none'}; needed are the reference "
            f"{reference!r} and at least one more"
        )
    if not table.columns.is_unique or not table.index.is_unique:
        raise ValueError("a method or a patient is duplicated; give each one column, one row")
    bootstrap.checked(table, 2, f"one score per patient of {', '.join(columns)}")
    return [name for name in columns if name != reference]


def _decision(within: bool, not_zero: bool) -> Decision:
    if within:
        return "equivalent"
    return "different" if not_zero else "undecided"


def _alike(mean: float, n: int, margin: float) -> Equivalence:
    """Return the answer for n equal differences; the median is tested, by their signs."""
    tost_p = 0.5**n if abs(mean) < margin else 1.0
    zero_p = 1.0 if mean == 0 else 0.5 ** (n - 1)
    verdict = _decision(tost_p < ALPHA, zero_p < ALPHA)
    return Equivalence(verdict, mean, n, margin, tost_p, (mean, mean), (mean, mean))


def _limits(rank: SignedRank, least: float) -> tuple[bool, str]:
    """Say whether a difference could not be shown, and what limits it in a sentence."""
    if rank.n == 1:
        return True, "a single patient shows neither a difference nor equivalence"
    if least >= ALPHA:
        return True, (
            f"{rank.n} patients, {rank.n_zero} of them without difference: p after Holm cannot "
            f"fall below {least:.3g}, so a difference cannot be shown at {ALPHA:g}"
        )
    return False, f"{rank.n_zero} of {rank.n} differences are zero" if rank.n_zero else ""


def _checked(differences: ArrayLike, name: str) -> FloatArray:
    numbers = bootstrap.checked(differences, 1, f"one difference of {name} per patient")
    return numbers.round(DECIMALS)
