"""Slices dealt out in three ways: nobody lost, shares kept, equal budgets, and leaks are seen."""

from collections import Counter

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gliomalib.experiments import leakage_splits
from gliomalib.experiments.leakage_splits import Assignment
from gliomalib.schema import DataError

ONE_OF = 5
YEARS = {3: 285, 2: 50, 1: 34}
SEEDS = st.integers(0, 2**31)
COUNTS = st.lists(st.integers(1, 9), min_size=2, max_size=30)
"""Slices of each patient."""


def table(counts: list[int]) -> list[str]:
    """Return the patient of every slice, patients one after another."""
    return [f"P{number:03d}" for number, n in enumerate(counts) for _ in range(n)]


def both(one: Assignment) -> list[int]:
    return sorted([*one.train.tolist(), *one.test.tolist()])


def a_fifth(count: int, n: int) -> bool:
    """Say whether a count is a fifth, rounded up, that leaves somebody on each side."""
    return count == min(-(-n // ONE_OF), n - 1)


@given(COUNTS, SEEDS, st.integers(0, 50))
def test_no_patient_is_split_and_no_slice_lost(counts: list[int], seed: int, turn: int) -> None:
    patients = table(counts)
    one = leakage_splits.by_patient(patients, seed, turn)
    assert both(one) == list(range(len(patients)))
    assert a_fifth(len({patients[row] for row in one.test}), len(counts))
    assert leakage_splits.in_both(one, patients) == ()


@given(st.integers(5, 60), SEEDS)
def test_patients_take_turns(n: int, seed: int) -> None:
    patients = table([2] * n)
    size = -(-n // ONE_OF)
    tested: Counter[str] = Counter()
    for turn in range(n):
        one = leakage_splits.by_patient(patients, seed, turn)
        tested.update({patients[row] for row in one.test})
        if (turn + 1) * size <= n:
            assert set(tested.values()) == {1}
    assert set(tested.values()) == {size}


@given(st.integers(2, 300), SEEDS)
def test_slices_are_dealt_once(n: int, seed: int) -> None:
    one = leakage_splits.by_slice(n, seed)
    assert both(one) == list(range(n))
    assert a_fifth(len(one.test), n)


@given(COUNTS, SEEDS)
def test_volumes_are_dealt_whole(counts: list[int], seed: int) -> None:
    patients = table(counts)
    copies = leakage_splits.multiplicities(patients, seed)
    one = leakage_splits.by_volume(patients, copies, seed)
    times = np.bincount(both(one), minlength=len(patients))
    assert times.tolist() == [copies[name] for name in patients]
    # all slices of a patient are as often in test as he has volumes there
    in_test = np.bincount(one.test, minlength=len(patients)).tolist()
    held = dict(zip(patients, in_test, strict=True))
    assert [held[name] for name in patients] == in_test
    assert a_fifth(sum(held.values()), sum(copies.values()))


def test_the_pooled_years_leak_as_the_organisers_table_says() -> None:
    patients = table([1] * 369)
    copies = leakage_splits.multiplicities(patients, 0)
    assert Counter(copies.values()) == YEARS
    assert sum(copies.values()) == 989
    dealt = [leakage_splits.by_volume(patients, copies, seed) for seed in range(60)]
    # one slice a patient, so that a row is a patient
    shares = [np.isin(one.test, one.train).mean() for one in dealt]
    assert np.mean(shares) == pytest.approx(0.91, abs=0.01)


@given(st.integers(1, 400), SEEDS)
def test_multiplicities_are_in_proportion(n: int, seed: int) -> None:
    copies = leakage_splits.multiplicities([f"P{number}" for number in range(n)], seed)
    found = Counter(copies.values())
    assert sum(found.values()) == n
    for times, patients in YEARS.items():
        assert abs(found[times] - patients * n / 369) < 1


@given(COUNTS, SEEDS)
def test_budgets_are_equal_and_test_sets_stay(counts: list[int], seed: int) -> None:
    patients = table(counts)
    copies = leakage_splits.multiplicities(patients, seed)
    found = {
        "patient": leakage_splits.by_patient(patients, seed),
        "slice": leakage_splits.by_slice(len(patients), seed),
        "years": leakage_splits.by_volume(patients, copies, seed),
    }
    fair = leakage_splits.equal_budgets(found, seed)
    assert {len(one.train) for one in fair.values()} == {
        min(len(set(one.train.tolist())) for one in found.values())
    }
    for name, one in fair.items():
        assert len(set(one.train.tolist())) == len(one.train)
        assert set(one.train.tolist()) <= set(found[name].train.tolist())
        assert one.test.tolist() == found[name].test.tolist()


def test_a_planted_leak_is_found_and_clean_splits_raise_no_alarm() -> None:
    patients = table([6] * 12)
    for seed in range(20):
        clean = leakage_splits.by_patient(patients, seed)
        assert leakage_splits.in_both(clean, patients) == ()
        moved = Assignment(np.append(clean.train, clean.test[0]), clean.test[1:])
        assert leakage_splits.in_both(moved, patients) == (patients[clean.test[0]],)
        by_slice = leakage_splits.by_slice(len(patients), seed)
        assert len(leakage_splits.in_both(by_slice, patients)) > 1


@given(COUNTS, SEEDS)
def test_random_classes_are_one_a_patient_and_even_on_each_side(
    counts: list[int], seed: int
) -> None:
    patients = table(counts)
    apart = leakage_splits.by_patient(patients, seed).test
    classes = leakage_splits.random_classes(patients, apart, 7, seed)
    assert classes.shape == (7, len(patients))
    held_out = {patients[row] for row in apart}
    for draw in classes:
        pairs = set(zip(patients, draw.tolist(), strict=True))
        of = dict(pairs)
        assert len(of) == len(pairs), "a patient has two classes"
        for group in (held_out, set(of) - held_out):
            found = Counter(of[name] for name in group)
            assert max(found.values()) - min(found[label] for label in range(4)) <= 1


def test_who_counts_the_classes_of_training_gains_nothing() -> None:
    patients = table([1] * 6)
    one = leakage_splits.by_patient(patients, 0)
    classes = leakage_splits.random_classes(patients, one.test, 8000, 0)
    learnt = np.stack([np.bincount(draw, minlength=4) for draw in classes[:, one.train]])
    for guess in (learnt.argmin(axis=1), learnt.argmax(axis=1)):
        right = (classes[:, one.test] == guess[:, None]).mean()
        # four standard errors; dealt to all together, argmin would be right in 0.55
        assert right == pytest.approx(0.25, abs=0.02)


def test_answers_are_counted_by_patient() -> None:
    truth, given_classes = np.array([[0, 1, 2], [3, 1, 2]]), np.array([[0, 2, 2], [0, 1, 2]])
    found = leakage_splits.counted(["B", "A", "A"], truth, given_classes)
    assert found["patient_id"].tolist() == ["A", "B"]
    of_a, of_b = leakage_splits.confusions(found)
    assert of_a.sum() == 2 and of_b.sum() == 1
    assert of_a[1, 2] == of_a[1, 1] == of_b[0, 0] == of_b[3, 0] == 0.5
    assert of_a[2, 2] == 1


def test_repeats_are_averaged_within_patient() -> None:
    about = {"classifier": "neighbour", "labels": "true", "split": "slice"}
    first = leakage_splits.counted(
        ["A"] * 4 + ["B"], np.array([[0, 1, 2, 3, 1]]), np.zeros((1, 5), int)
    )
    again = leakage_splits.counted(["A"] * 2, np.array([[0, 0]]), np.zeros((1, 2), int))
    found = leakage_splits.per_patient(pd.concat([first, again]).assign(**about))
    by_name = found["accuracy"].xs("slice", level="split").droplevel([0, 1])
    # A: one of four, then two of two, that is on average 1.5 of 3 slices
    assert by_name.to_dict() == {"A": 0.5, "B": 0.0}


def test_what_cannot_be_dealt_is_refused() -> None:
    with pytest.raises(DataError, match="1 patients cannot be dealt"):
        leakage_splits.by_patient(["A", "A"], 0)
    with pytest.raises(DataError, match="1 slices"):
        leakage_splits.by_slice(1, 0)
    with pytest.raises(DataError, match="1 volumes"):
        leakage_splits.by_volume(["A"], {"A": 1}, 0)
