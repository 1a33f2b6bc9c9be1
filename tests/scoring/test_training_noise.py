"""Intervals over patients and seeds: coverage, false alarms, and what they reduce to."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from gliomalib.schema import FloatArray
from gliomalib.scoring import training_noise
from gliomalib.scoring.bootstrap import Interval


def simulated(rng: np.random.Generator, n: int, seeds: int, training: float) -> FloatArray:
    """Return Dice-like scores of one network: patients differ, trainings differ, cells differ."""
    patients = 0.75 + rng.normal(0, 0.1, (n, 1))
    return patients + rng.normal(0, training, (1, seeds)) + rng.normal(0, 0.03, (n, seeds))


@pytest.mark.parametrize("training", [0.0, 0.02])
def test_the_interval_covers_no_difference_with_and_without_training_noise(training: float) -> None:
    rng = np.random.default_rng(1)
    patients = rng.normal(0, 0.05, (500, 40, 1))
    covered = []
    for of_patients in patients:
        a, b = (of_patients + simulated(rng, 40, 3, training) for _ in range(2))
        covered.append(not training_noise.unpaired(a, b).excludes_zero)
    assert np.mean(covered) >= 0.93


def test_shared_seeds_cover_as_well() -> None:
    rng = np.random.default_rng(2)
    tables = [simulated(rng, 40, 3, 0.02) - 0.75 for _ in range(500)]
    assert np.mean([not training_noise.paired(table).excludes_zero for table in tables]) >= 0.93


def test_two_seeds_of_one_network_are_called_different_in_at_most_7_of_100_studies() -> None:
    rng = np.random.default_rng(3)
    counts = [training_noise.false_alarms(simulated(rng, 60, 3, 0.02)) for _ in range(100)]
    alarms, comparisons = np.sum(counts, axis=0)
    assert comparisons == 300
    assert alarms / comparisons <= 0.07


def test_patients_alone_would_call_them_different_far_more_often() -> None:
    rng = np.random.default_rng(4)
    alarms = 0
    for _ in range(100):
        first, second = simulated(rng, 60, 2, 0.02).T
        alarms += stats.ttest_rel(first, second).pvalue < 0.05
    assert alarms > 50


def test_a_gain_beyond_both_noises_is_seen() -> None:
    rng = np.random.default_rng(5)
    patients = rng.normal(0, 0.05, (60, 1))
    a, b = (patients + simulated(rng, 60, 3, 0.005) for _ in range(2))
    effect = training_noise.unpaired(a + 0.05, b)
    assert effect.excludes_zero and effect.value == pytest.approx(0.05, abs=0.02)
    assert (effect.n, effect.seeds) == (60, 3)


def test_with_one_training_the_interval_is_students_over_patients() -> None:
    rng = np.random.default_rng(6)
    differences = rng.normal(0.1, 0.2, 20)
    effect = training_noise.paired(differences[:, None])
    student = stats.ttest_1samp(differences, 0).confidence_interval()
    assert effect.seeds == 1
    assert effect.ci95 == pytest.approx((student.low, student.high))


def test_equal_patients_leave_the_spread_of_the_trainings() -> None:
    table = np.tile([0.1, 0.2, 0.3], (30, 1))
    effect = training_noise.paired(table)
    student = stats.ttest_1samp([0.1, 0.2, 0.3], 0).confidence_interval()
    assert effect.ci95 == pytest.approx((student.low, student.high))


def test_a_single_patient_has_no_interval_and_two_seeds_raise_no_question() -> None:
    assert training_noise.paired([[0.1, 0.2]]).ci95 is None
    assert training_noise.false_alarms(np.zeros((5, 2))) == (0, 0)


def test_other_patients_and_nan_are_refused() -> None:
    with pytest.raises(ValueError, match="4 and 3 patients"):
        training_noise.unpaired(np.zeros((4, 2)), np.zeros((3, 2)))
    with pytest.raises(ValueError, match="NaN"):
        training_noise.paired([[np.nan]])


def test_an_interval_is_widened_as_far_as_the_trainings_differ() -> None:
    over_patients = Interval(0.6, (0.5, 0.8), 60)
    low, high = training_noise.widened(over_patients, [0.5, 0.6, 0.7]).ci95 or (0, 0)
    half = stats.t.ppf(0.975, 2) * 0.1 / np.sqrt(3)
    assert low == pytest.approx(0.6 - np.hypot(0.1, half))
    assert high == pytest.approx(0.6 + np.hypot(0.2, half))
    assert training_noise.widened(over_patients, [0.6, 0.6]).ci95 == pytest.approx((0.5, 0.8))
    assert training_noise.widened(over_patients, [0.9]) == over_patients
    alone = Interval(0.6, None, 1)
    assert training_noise.widened(alone, [0.5, 0.7]) == alone
