"""Paired comparisons of methods on the same patients, adjusted for how many there are.

Wilcoxon's signed-rank test asks whether there is a difference, and is adjusted by Holm over the
family of comparisons that was listed beforehand. Where so few patients could not show a difference
whatever their scores are, that is said.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats

from gliomalib.scoring import bootstrap

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


def paired(differences: ArrayLike, name: str) -> SignedRank:
    """Test whether differences within patients are symmetric about zero.

    ``differences`` has one number per patient, shape (n,), rounded to ``DECIMALS``. Zeros take
    part in the ranking and not in the sums (Pratt 1959). The p is exact up to 50 patients without
    zeros and ties and up to 13 with them, else by the normal approximation with correction for
    ties (scipy's ``auto``), which is kept from falling below ``least_p``. Raises ``ValueError``
    for no patient and for NaN; it says ``name``.
    """
    needed = f"one difference of {name} per patient"
    numbers = bootstrap.checked(differences, 1, needed).round(DECIMALS)
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


def family(differences: pd.DataFrame) -> pd.DataFrame:
    """Test each column of paired differences, one row per patient, against no difference.

    The columns are the family, so all that were listed beforehand. One row per column: p of
    Wilcoxon's test, p_holm, limited (too few patients, or too few who differ, to show a difference
    whatever the scores are), and a note that says so or is empty. Raises ``ValueError`` for no
    column, a duplicated one or patient, and NaN: leave out patients by a named rule, from all
    methods at once, and count them.
    """
    if not differences.columns.is_unique or not differences.index.is_unique:
        raise ValueError("a method or a patient is duplicated; give each one column, one row")
    ranks = {str(name): paired(column, str(name)) for name, column in differences.items()}
    adjusted = holm({name: rank.p for name, rank in ranks.items()})
    # Holm multiplies the smallest p by the number of methods, so no p can get below this
    least_of_family = min(rank.least_p for rank in ranks.values()) * len(ranks)
    rows = []
    for name, rank in ranks.items():
        limits = _limits(rank, max(rank.least_p, min(1.0, least_of_family)))
        rows.append((rank.p, adjusted[name], *limits))
    return pd.DataFrame(rows, list(ranks), ["p", "p_holm", "limited", "note"])


def _limits(rank: SignedRank, least: float) -> tuple[bool, str]:
    """Say whether a difference could not be shown, and what limits it in a sentence."""
    if rank.n == 1:
        return True, "a single patient shows no difference"
    if least >= ALPHA:
        return True, (
            f"{rank.n} patients, {rank.n_zero} of them without difference: p after Holm cannot "
            f"fall below {least:.3g}, so a difference cannot be shown at {ALPHA:g}"
        )
    return False, f"{rank.n_zero} of {rank.n} differences are zero" if rank.n_zero else ""
