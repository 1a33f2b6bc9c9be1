"""The Bayesian signed-rank test, which says how probable it is that a difference matters.

After Benavoli, Corani, Demšar and Zaffalon 2017 (Journal of Machine Learning Research 18:77),
section 4.2: the patients have random weights w, a Dirichlet process with one pseudo-patient whose
difference is 0. A difference is practically nothing inside of the region of practical equivalence
(ROPE). With z the differences, the share of pairs above it is Σᵢⱼ wᵢwⱼ [zᵢ + zⱼ > 2·rope].
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from gliomalib.scoring.bootstrap import BLOCK, checked
from gliomalib.scoring.comparisons import MARGIN

DRAWS = 4_000
PRIOR = 0.5
"""Weight of the pseudo-patient, each real one having 1; that of the authors' software."""


@dataclass(frozen=True)
class Rope:
    """Probabilities that a method is worse, practically the same, and better; they sum to 1."""

    worse: float
    same: float
    better: float


def signed_rank(differences: ArrayLike, seed: int, rope: float = MARGIN) -> Rope:
    """Return the probabilities for one difference per patient (n,), seeds averaged beforehand.

    Raises ``ValueError`` for no patient and NaN.
    """
    numbers = np.append(0.0, checked(differences, 1, "one difference per patient"))
    sums = numbers[:, None] + numbers
    regions = [sums < -2 * rope, np.abs(sums) <= 2 * rope, sums > 2 * rope]
    weight = np.append(PRIOR, np.ones(len(numbers) - 1))
    rng, largest = np.random.default_rng(seed), np.zeros(3)
    # in blocks, for 369 patients are many pairs
    for _ in range(DRAWS // BLOCK):
        drawn = rng.dirichlet(weight, BLOCK)
        shares = [((drawn @ region) * drawn).sum(axis=1) for region in regions]
        largest += np.bincount(np.argmax(shares, axis=0), minlength=3)
    return Rope(*(largest / largest.sum()).tolist())
