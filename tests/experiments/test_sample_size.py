"""The planned number of patients gives the power that was asked for."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from gliomalib.experiments import sample_size, values
from gliomalib.experiments.sample_size import POWER, Spread
from gliomalib.schema import Value
from gliomalib.scoring import training_noise


@pytest.mark.parametrize("n", [5, 30, 200])
def test_without_noise_of_training_the_power_is_that_of_students_test(n: int) -> None:
    gain, tail = 2.5 / math.sqrt(n), stats.t.ppf(0.975, n - 1)
    known = stats.nct.sf(tail, n - 1, gain * math.sqrt(n))
    assert Spread(1.0, 0.0).power(gain, n, 3) == pytest.approx(known, abs=0.002)


@pytest.mark.parametrize(
    ("spread", "k"),
    [
        (Spread(0.03, 0.001), 3),
        (Spread(0.05, 0.002), 3),
        (Spread(0.05, 0.004), 5),
        (Spread(0.05, 0.004, 2), 5),
    ],
)
def test_studies_of_the_planned_size_show_the_gain_in_80_of_100(spread: Spread, k: int) -> None:
    n = spread.patients_needed(0.01, k)
    assert n is not None and spread.power(0.01, n - 1, k) < POWER <= spread.power(0.01, n, k)
    rng, shown = np.random.default_rng(1), []
    for _ in range(500):
        patients = 0.01 + rng.normal(0, spread.patients, (n, 1))
        each = rng.normal(0, spread.trainings / math.sqrt(spread.methods), (2, 1, k))
        first, second = patients + each[0], np.zeros((n, 1)) + each[1]
        one = spread.methods == 1
        effect = training_noise.paired(first) if one else training_noise.unpaired(first, second)
        shown.append(effect.value > 0 and effect.excludes_zero)
    assert np.mean(shown) == pytest.approx(POWER, abs=0.05)


def test_no_number_of_patients_makes_up_for_trainings_that_differ_too_much() -> None:
    assert Spread(0.05, 0.006).patients_needed(0.01, 3) is None
    assert Spread(0.05, 0.006).patients_needed(0.01, 8) is not None


def test_the_smallest_gain_is_the_one_that_the_present_size_shows() -> None:
    spread = Spread(0.05, 0.003)
    assert spread.power(spread.least_gain(110, 3), 110, 3) == pytest.approx(POWER)


def test_a_row_has_the_spreads_of_the_study_and_what_would_decide() -> None:
    rng = np.random.default_rng(2)
    first, second = (0.6 + rng.normal(0, 0.05, (40, 1)) + rng.normal(0, 0.002, 3) for _ in "ab")
    effects = (training_noise.paired(first), training_noise.unpaired(first, second))
    pair, other = (values.value("a gain", effect, "a rule") for effect in effects)
    asked = {"C7": (pair, 0.01), "C10": (other, 0.01), "L1": (Value("x", 30.0, n_seeds=3), 1.0)}
    rows = sample_size.table(asked).set_index("claim")
    assert list(rows.index) == ["C7", "C10"]
    expected = Spread(effects[1].sd_patients, effects[1].sd_trainings, 2)
    assert rows["patients with 5 trainings"]["C10"] == expected.patients_needed(0.01, 5)
    assert rows["smallest gain"]["C10"] == expected.least_gain(40, 3)
    assert list(sample_size.table({}).columns) == list(sample_size.COLUMNS)


@pytest.mark.parametrize("counts", [(2, 2), (3, 3), (5, 3), (3, 9)])
def test_two_methods_are_two_however_unequal_their_trainings_are(counts: tuple[int, int]) -> None:
    rng = np.random.default_rng(2)
    first, second = (rng.normal(0, 0.05, (40, 1)) + rng.normal(0, 0.002, k) for k in counts)
    effect = training_noise.unpaired(first, second)
    rows = sample_size.table({"C10": (values.value("a gain", effect, "a rule"), 0.01)})
    spread = Spread(effect.sd_patients, effect.sd_trainings, 2)
    assert rows["smallest gain"].item() == spread.least_gain(40, min(counts))


@pytest.mark.parametrize(
    ("n", "k", "patients", "trainings"),
    [(1, 3, 0.05, 0.003), (40, 1, 0.05, 0.003), (40, 3, 0.0, 0.0), (40, 3, math.nan, 0.003)],
)
def test_a_value_without_spreads_has_no_row(
    n: int, k: int, patients: float, trainings: float
) -> None:
    spreads = {"sd_patients": patients, "sd_trainings": trainings, "df_trainings": 2}
    value = Value("gain", 0.01, (0.0, 0.02), n, n_seeds=k, rule="mean", **spreads)
    assert sample_size.table({"C7": (value, 0.01)}).empty
