"""Whether one patient decides a mean difference: it is left out, and the mean looked at again."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

SHARE = 0.5
"""A patient who makes more than this part of the mean decides it."""


@dataclass(frozen=True)
class Sensitivity:
    """What does not hang on one of n patients beside their mean difference.

    ``better`` patients have a difference above 0, ``least`` and ``most`` are the ends of the means
    when each patient in turn is left out. ``decider`` is the patient without whom the mean has
    another sign or loses more than half of its size; empty where there is none.
    """

    median: float
    better: int
    n: int
    least: float
    most: float
    decider: str


def leave_one_out(differences: pd.Series) -> Sensitivity:
    """Return the sensitivity of the mean of one difference per patient, index the patients."""
    numbers = differences.to_numpy(dtype=np.float64)
    mean, n = float(numbers.mean()), len(numbers)
    without = (numbers.sum() - numbers) / max(n - 1, 1)
    # without whom least is left of the mean, measured in its own direction
    left = without * np.sign(mean)
    worst = int(left.argmin())
    decides = n == 1 or (mean != 0 and left[worst] < (1 - SHARE) * abs(mean))
    return Sensitivity(
        median=float(np.median(numbers)),
        better=int((numbers > 0).sum()),
        n=n,
        least=float(without.min()),
        most=float(without.max()),
        decider=str(differences.index[worst]) if decides else "",
    )
