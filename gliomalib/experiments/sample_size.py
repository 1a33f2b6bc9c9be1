"""How many patients and trainings would decide a gain, from the spreads that were seen.

A gain counts as shown where its 95 % interval over patients and trainings lies above 0. With true
gain δ the mean is normal with variance σ²/n + τ²·mean(1/k), and both spreads of the interval are
estimated, so their squares follow χ²::

    power(n, k) = E[ Φ((δ − half(s, t)) / √(σ²/n + τ²·mean(1/k))) ]    s² ~ σ²·χ²ₙ₋₁/(n − 1)
                                                                     t² ~ τ²·χ²_f/f

which without noise of training is the power of Student's test by the noncentral t (Cohen 1988,
Statistical Power Analysis, chapter 2). A gain of 0 is found to be smaller than δ with the same
power. More patients do not help where so few trainings differ too much: then there is no number.
"""

import math
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import optimize, stats

from gliomalib.schema import FloatArray, Value
from gliomalib.scoring import training_noise

POWER = 0.8
MOST = 100_000
"""Patients beyond which nobody looks; there are fewer gliomas in all public sets together."""

TRAININGS = (3, 5)
"""Trainings of each network for which patients are counted."""

COLUMNS = (
    *("claim", "patients", "trainings", "SD of patients", "SD of trainings"),
    *("smallest gain", "gain asked", *(f"patients with {k} trainings" for k in TRAININGS)),
)
"""Columns of ``table``."""

SLICES = 64
"""Equal parts of each χ² whose middles are averaged; 64 and 512 differ by less than 0.001."""


@dataclass(frozen=True)
class Spread:
    """How far a mean changes with patients and trainings, as in ``training_noise.Effect``.

    ``methods`` is how many networks with noise of their own it sets against one another.
    """

    patients: float
    trainings: float
    methods: int = 1

    def power(self, gain: float, n: int, k: int) -> float:
        """Return how often a true ``gain`` is shown on n patients with k trainings of each."""
        each = (k,) * self.methods
        patients = self.patients * _drawn(n - 1)[:, None]
        trainings = self.trainings * _drawn(sum(each) - len(each))
        half = training_noise.half_width(n, each, patients, trainings)
        spread = math.hypot(self.patients / math.sqrt(n), self.trainings / math.sqrt(k))
        return float(stats.norm.cdf((gain - half) / spread).mean())

    def least_gain(self, n: int, k: int) -> float:
        """Return the smallest true gain that n patients and k trainings show in 80 %."""
        each = (k,) * self.methods
        far = 10 * float(training_noise.half_width(n, each, self.patients, self.trainings))
        return float(optimize.brentq(lambda gain: self.power(gain, n, k) - POWER, 0, far))

    def patients_needed(self, gain: float, k: int) -> int | None:
        """Return with how many patients a gain is shown in 80 %, None where none suffice."""
        if self.power(gain, MOST, k) < POWER:
            return None
        numbers = range(2, MOST + 1)
        return numbers[bisect_left(numbers, POWER, key=lambda n: self.power(gain, n, k))]


def table(asked: Mapping[str, tuple[Value, float]]) -> pd.DataFrame:
    """Return what would decide each statement: one row per value with both spreads.

    ``asked`` has a statement's value and the gain that its rule is about. ``COLUMNS``: smallest
    gain is what the present patients and trainings show in 80 %, then follow the patients needed
    with each of ``TRAININGS``. A value of one patient or one training, or without any spread, tells
    nothing of others and has no row.
    """
    rows = []
    for claim, (value, gain) in asked.items():
        few = value.n_seeds < 2 or value.n_patients < 2
        if few or not value.sd_patients + value.sd_trainings > 0:
            continue
        # one method has a degree of freedom less than trainings; two, however unequal, have more
        methods = 2 if value.df_trainings >= value.n_seeds else 1
        spread = Spread(value.sd_patients, value.sd_trainings, methods)
        now = (value.n_patients, value.n_seeds)
        needed = [spread.patients_needed(gain, k) or "none suffice" for k in TRAININGS]
        seen = (spread.patients, spread.trainings, spread.least_gain(*now))
        rows.append((claim, *now, *seen, gain, *needed))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _drawn(freedom: int) -> FloatArray:
    """Return the middles of equal parts of what a spread of 1 is estimated as."""
    shares = (np.arange(SLICES) + 0.5) / SLICES
    return np.asarray(np.sqrt(stats.chi2.ppf(shares, freedom) / freedom))
