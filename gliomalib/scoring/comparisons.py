"""Paired comparisons of methods on the same patients: difference, equivalence, or neither.

Two questions, two tests. Wilcoxon's signed-rank test asks whether there is a difference, and is
adjusted by Holm over the family of comparisons that was listed beforehand. Two one-sided tests
ask whether the mean difference is smaller than a margin. A difference that is not found is not a
difference of zero: without the second test the verdict is ``undecided``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import stats as tests

Floats = NDArray[np.float64]
Bounds = tuple[float, float]
Verdict = Literal["equivalent", "different", "undecided"]
"""``equivalent``: the mean difference is shown to lie within the margin, zero or not.
``different``: it is shown not to be zero, and not to lie within the margin. ``undecided``: neither
is shown."""

ALPHA = 0.05
MARGIN = 0.01
"""Dice; the median gain that papers of the field claim."""

DRAWS = 10_000
DECIMALS = 12
"""Differences are rounded to these, so that 0.8 − 0.7 and 0.7 − 0.6 are a tie."""


@dataclass(frozen=True)
class SignedRank:
    """Wilcoxon's signed-rank test of differences within patients.

    ``least_p`` is the smallest p that so few differences could give, whatever they were;
    ``hodges_lehmann`` is the median of the means of all pairs of differences, each with itself
    too (Hodges and Lehmann 1963).
    """

    name: str
    n: int
    n_zero: int
    p: float
    least_p: float
    hodges_lehmann: float


@dataclass(frozen=True)
class Equivalence:
    """Two one-sided tests of a mean difference against a margin on both sides of zero.

    ``t_bounds`` and ``bootstrap_bounds`` are 90 % intervals of the mean: it is shown to be within
    the margin at 5 % where the interval is. ``tost_p`` is the larger p of the two tests, ``zero_p``
    that of the paired t-test of no difference; all four are None for a single patient.
    """

    verdict: Verdict
    mean: float
    n: int
    margin: float
    tost_p: float | None
    zero_p: float | None
    t_bounds: Bounds | None
    bootstrap_bounds: Bounds | None


@dataclass(frozen=True)
class Comparison:
    """A method against the reference: mean difference, both tests, verdict, what limits it.

    ``p`` is of Wilcoxon's test, ``p_holm`` adjusted over the family; ``low90`` and ``high90`` are
    the bootstrap bounds that the margin is held against. ``note`` is empty where nothing limits
    the verdict.
    """

    name: str
    mean_difference: float
    low90: float | None
    high90: float | None
    n: int
    p: float
    p_holm: float
    tost_p: float | None
    verdict: Verdict
    note: str


def paired(differences: ArrayLike, name: str) -> SignedRank:
    """Test whether differences within patients are symmetric about zero.

    ``differences`` has one number a patient, shape (n,), rounded to ``DECIMALS``. Zeros take part
    in the ranking and not in the sums (Pratt 1959). The p is exact up to 50 patients without zeros
    and ties and up to 13 with them, else by the normal approximation with correction for ties
    (scipy's ``auto``), which is kept from falling below ``least_p``. Raises ``ValueError`` for no
    patient and for NaN; it says ``name``.
    """
    numbers = _checked(differences, name)
    n_zero = int((numbers == 0).sum())
    least = 2.0 ** min(0, 1 - (len(numbers) - n_zero))
    # scipy has no p for zeros only where it approximates; there it is 1 by any reckoning
    found = 1.0 if n_zero == len(numbers) else tests.wilcoxon(numbers, zero_method="pratt").pvalue
    first, second = np.triu_indices(len(numbers))
    middle = float(np.median((numbers[first] + numbers[second]) / 2))
    return SignedRank(name, len(numbers), n_zero, max(float(found), least), least, middle)


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Return p adjusted for the whole family by Holm's step-down procedure (1979).

    The smallest of k is multiplied by k, the next by k − 1 and so on; an adjusted p is never
    smaller than that of a smaller one, nor above 1. The family is what was listed beforehand: to
    leave out what did not turn out well makes the result worthless. Raises ``ValueError`` for an
    empty family and for what is no p; it names it.
    """
    wrong = {name: p for name, p in p_values.items() if not 0 <= p <= 1}
    if wrong or not p_values:
        raise ValueError(f"found the p-values {wrong or 'of nothing'}; each must lie in 0–1")
    adjusted: dict[str, float] = {}
    highest = 0.0
    for rank, (name, p) in enumerate(sorted(p_values.items(), key=lambda item: item[1])):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p))
        adjusted[name] = highest
    return {name: adjusted[name] for name in p_values}


def equivalence(
    differences: ArrayLike, seed: int, margin: float = MARGIN, draws: int = DRAWS
) -> Equivalence:
    """Test whether the mean difference lies within ±``margin`` (Schuirmann 1987).

    ``equivalent`` needs both readings: the larger p of the two paired t-tests is below 5 %, and
    the 90 % bootstrap interval lies within the margin. ``different`` is said where that fails and
    the paired t-test finds a difference from zero. The bootstrap interval is an expanded
    percentile interval (Hesterberg 2015), as in ``stats``. Where all differences are alike there
    is no spread to go by: the intervals are a point, and the p are those of a sign test.

    Parameters
    ----------
    differences
        One number a patient, shape (n,), rounded to ``DECIMALS``.
    seed, draws
        Seed and size of the bootstrap.
    margin
        In the unit of the differences, above 0, chosen before the results are seen.

    Raises
    ------
    ValueError
        For no patient, NaN, or a margin that is not above 0.
    """
    numbers = _checked(differences, "equivalence")
    if not margin > 0:
        raise ValueError(f"margin is {margin}; it must be above 0, in the unit of the differences")
    mean, n = float(numbers.mean()), len(numbers)
    if n == 1:
        return Equivalence("undecided", mean, n, margin, None, None, None, None)
    if np.ptp(numbers) == 0:
        return _alike(mean, n, margin)
    above = tests.ttest_1samp(numbers, -margin, alternative="greater").pvalue
    below = tests.ttest_1samp(numbers, margin, alternative="less").pvalue
    tost, of_zero = float(max(above, below)), tests.ttest_1samp(numbers, 0.0)
    of_zero_p = float(of_zero.pvalue)
    by_t = of_zero.confidence_interval(1 - 2 * ALPHA)
    low, high = _bootstrap(numbers, seed, draws)
    verdict = _verdict(tost < ALPHA and -margin < low and high < margin, of_zero_p < ALPHA)
    bounds = (float(by_t.low), float(by_t.high))
    return Equivalence(verdict, mean, n, margin, tost, of_zero_p, bounds, (low, high))


def compare_family(
    table: pd.DataFrame, reference: str, margin: float, seed: int, draws: int = DRAWS
) -> pd.DataFrame:
    """Compare every other column of ``table`` with ``reference``, patient by patient.

    ``table`` has one row a patient and one column a method; its columns are the family, so it
    holds all methods that were listed beforehand. ``p_holm`` is adjusted over the family;
    ``tost_p`` is not: each equivalence is shown at 5 % on its own. A difference that is found and
    shown to lie within the margin counts as ``equivalent``.

    Returns
    -------
    One row a method in the order of the columns, with the fields of ``Comparison``.

    Raises
    ------
    ValueError
        Where the reference or another method is missing, a column or a patient stands twice, or a
        score is NaN: leave out patients by a named rule, from all methods at once, and count them.
    """
    _check_table(table, reference)
    methods = [str(name) for name in table.columns if name != reference]
    differences = {name: table[name] - table[reference] for name in methods}
    ranks = {name: paired(values, name) for name, values in differences.items()}
    adjusted = holm({name: rank.p for name, rank in ranks.items()})
    within = {
        name: equivalence(values, seed, margin, draws) for name, values in differences.items()
    }
    found = []
    for name in methods:
        rank, equal = ranks[name], within[name]
        low, high = equal.bootstrap_bounds or (None, None)
        verdict = _verdict(equal.verdict == "equivalent", adjusted[name] < ALPHA)
        one = Comparison(
            name, equal.mean, low, high, rank.n, rank.p, adjusted[name], equal.tost_p, verdict,
            _note(rank, min(other.least_p for other in ranks.values()) * len(methods)),
        )  # fmt: skip
        found.append(asdict(one))
    return pd.DataFrame(found)


def _verdict(within: bool, not_zero: bool) -> Verdict:
    if within:
        return "equivalent"
    return "different" if not_zero else "undecided"


def _alike(mean: float, n: int, margin: float) -> Equivalence:
    """Return the answer for n equal differences; the median is tested, by their signs."""
    tost = 0.5**n if abs(mean) < margin else 1.0
    zero = 1.0 if mean == 0 else 0.5 ** (n - 1)
    verdict = _verdict(tost < ALPHA, zero < ALPHA)
    return Equivalence(verdict, mean, n, margin, tost, zero, (mean, mean), (mean, mean))


def _note(rank: SignedRank, least_of_family: float) -> str:
    parts = []
    if rank.n == 1:
        parts.append("a single patient shows neither a difference nor equivalence")
    elif max(rank.least_p, least_of_family) >= ALPHA:
        least = max(rank.least_p, min(1.0, least_of_family))
        parts.append(
            f"{rank.n} patients, {rank.n_zero} of them without difference: p after Holm cannot "
            f"fall below {least:.3g}, so a difference cannot be shown at {ALPHA:g}"
        )
    elif rank.n_zero:
        parts.append(f"{rank.n_zero} of {rank.n} differences are zero")
    return "; ".join(parts)


def _bootstrap(numbers: Floats, seed: int, draws: int) -> Bounds:
    n = len(numbers)
    # Hesterberg's adjustment: Student's quantile, and n/(n − 1) as the bootstrap spread is narrow
    share = tests.norm.cdf(tests.t.ppf(ALPHA, n - 1) * np.sqrt(n / (n - 1)))
    found = tests.bootstrap(
        (numbers,), np.mean, n_resamples=draws, confidence_level=float(1 - 2 * share),
        method="percentile", rng=np.random.default_rng(seed),
    ).confidence_interval  # fmt: skip
    return float(found.low), float(found.high)


def _checked(differences: ArrayLike, name: str) -> Floats:
    numbers = np.asarray(differences, dtype=np.float64)
    if numbers.ndim != 1 or numbers.size == 0:
        raise ValueError(f"{name}: shape {numbers.shape}; needed is one difference a patient")
    unusable = int((~np.isfinite(numbers)).sum())
    if unusable:
        raise ValueError(
            f"{name}: {unusable} of {numbers.size} differences are NaN or infinite; leave patients "
            "out by a named rule and count them"
        )
    return numbers.round(DECIMALS)


def _check_table(table: pd.DataFrame, reference: str) -> None:
    columns = [str(name) for name in table.columns]
    if reference not in columns or len(columns) < 2:
        raise ValueError(
            f"the methods are {', '.join(columns) or 'none'}; needed are the reference "
            f"{reference!r} and at least one more"
        )
    if not table.columns.is_unique or not table.index.is_unique:
        raise ValueError("a method or a patient stands twice; give each one column, one row")
    for name in columns:
        unusable = int((~np.isfinite(table[name].to_numpy(dtype=np.float64))).sum())
        if unusable:
            raise ValueError(
                f"{name} has no score for {unusable} of {len(table)} patients; leave them out of "
                "all methods by a named rule and count them"
            )
