"""Paired tests keep to their 5 %, find what is there and say what so few patients cannot show."""

import math
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as tests

from gliomalib.scoring import comparisons


def gains(patients: int, seed: int, **means: float) -> pd.DataFrame:
    """Return differences of Dice, patients × methods, around these means."""
    generator = np.random.default_rng(seed)
    columns = {name: mean + generator.normal(0, 0.04, patients) for name, mean in means.items()}
    return pd.DataFrame(columns, index=[f"patient-{number}" for number in range(patients)])


def slow_signed_rank(differences: Any) -> float:
    """Return the two-sided p from all signs of the ranks of what is not zero (Pratt)."""
    numbers = np.asarray(differences)
    ranks = tests.rankdata(abs(numbers))[numbers != 0]
    positive = (numbers[numbers != 0] > 0) @ ranks
    sums = np.array([np.dot(signs, ranks) for signs in product([0, 1], repeat=len(ranks))])
    middle = ranks.sum() / 2
    return float((abs(sums - middle) >= abs(positive - middle) - 1e-9).mean())


# --- is there a difference


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(-4, 4), min_size=1, max_size=9))
def test_the_signed_rank_test_is_exact_with_ties_and_zeros(numbers: list[int]) -> None:
    found = comparisons.paired(np.array(numbers) / 100, "any")
    assert found.p == pytest.approx(slow_signed_rank(numbers), abs=1e-9)
    assert (found.n, found.n_zero) == (len(numbers), numbers.count(0))
    assert found.p >= found.least_p


def test_differences_that_only_rounding_tells_apart_are_ties() -> None:
    nearly = [0.8 - 0.7, 0.7 - 0.6, 0.6 - 0.5, 0.3 - 0.2, 0.2 - 0.3, (0.1 + 0.2) - 0.3]
    assert len(set(nearly)) > 2
    exact = [0.1, 0.1, 0.1, 0.1, -0.1, 0.0]
    assert comparisons.paired(nearly, "a") == comparisons.paired(exact, "a")


@pytest.mark.parametrize("count", [1, 5, 13, 14, 60])
def test_no_difference_at_all_has_p_one(count: int) -> None:
    assert comparisons.paired(np.zeros(count), "same").p == 1.0
    assert comparisons.paired(np.zeros(count), "same").least_p == 1.0


def test_p_is_never_below_what_the_signs_can_give() -> None:
    # the normal approximation alone says 0.04 to this, though four signs can give 2/16 at best
    few = np.r_[np.zeros(20), 0.1, 0.2, 0.3, 0.4]
    assert tests.wilcoxon(few, zero_method="pratt").pvalue < 0.07
    assert comparisons.paired(few, "few").p == 0.125


@pytest.mark.parametrize("wrong", [[], [[0.1]], [0.1, math.nan], [math.inf], 0.1])
def test_what_is_no_difference_is_refused_by_name(wrong: Any) -> None:
    with pytest.raises(ValueError, match=r"(NaN or infinite|shape).*fused per patient"):
        comparisons.paired(wrong, "fused")


# --- the family


def test_holm_on_a_worked_example() -> None:
    # 4·.005, then 3·.01, then 2·.03; .04 is lifted to the one before it
    family = {"c": 0.03, "a": 0.01, "d": 0.04, "b": 0.005}
    found = comparisons.holm(family)
    assert list(found) == list(family)
    expected = {"c": 0.06, "a": 0.03, "d": 0.06, "b": 0.02}
    assert found == pytest.approx(expected)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_is_between_no_adjustment_and_bonferroni(ps: list[float]) -> None:
    found = comparisons.holm({str(place): p for place, p in enumerate(ps)})
    adjusted = np.array(list(found.values()))
    assert (adjusted >= ps).all()
    assert (adjusted <= np.minimum(1, np.array(ps) * len(ps)) + 1e-12).any()
    assert min(adjusted) == pytest.approx(min(1, min(ps) * len(ps)))
    assert (np.diff(adjusted[np.argsort(ps, kind="stable")]) >= 0).all()


@pytest.mark.parametrize("wrong", [{}, {"a": 0.1, "b": math.nan}, {"b": 1.1}, {"b": -0.1}])
def test_holm_refuses_what_is_no_p(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"'b': (nan|1\.1|-0\.1)|of nothing"):
        comparisons.holm(wrong)


# --- a whole family


def test_a_family_is_tested_column_by_column() -> None:
    table = gains(40, 1, better=0.05, same=0.0)
    rows = comparisons.family(table)
    assert list(rows.index) == ["better", "same"]
    for name, row in rows.iterrows():
        assert row["p"] == tests.wilcoxon(table[name], zero_method="pratt").pvalue
    assert rows["p_holm"].to_dict() == pytest.approx(comparisons.holm(rows["p"].to_dict()))
    assert (rows["note"] == "").all() and not rows["limited"].any()


def test_five_patients_cannot_show_a_difference_and_it_is_said() -> None:
    rows = comparisons.family(gains(5, 0, a=0.3, b=0.3))
    assert (rows["p"] == 0.0625).all() and rows["limited"].all()
    for note in rows["note"]:
        assert "5 patients" in note
        assert "cannot fall below 0.125" in note
    # 8 patients reach 2/256, which is enough for a family of 6 and not for one of 7
    wide = gains(8, 0, **dict.fromkeys("abcdefg", 0.3))
    assert comparisons.family(wide)["limited"].all()
    six = comparisons.family(wide.drop(columns="g"))
    assert (six["note"] == "").all() and not six["limited"].any()
    assert (six["p_holm"] < 0.05).all()


def test_a_single_patient_shows_nothing() -> None:
    row = comparisons.family(gains(1, 0, a=0.3)).iloc[0]
    assert row["p_holm"] == 1.0
    assert "a single patient" in row["note"] and row["limited"]


def test_zeros_are_counted() -> None:
    table = gains(20, 0, a=0.02)
    table.iloc[:4] = 0.0
    row = comparisons.family(table).iloc[0]
    assert row["note"] == "4 of 20 differences are zero" and not row["limited"]


def test_a_table_with_gaps_or_doubles_is_refused() -> None:
    table = gains(6, 0, a=0, b=0)
    with pytest.raises(ValueError, match="of nothing"):
        comparisons.family(table[[]])
    gap = table.copy()
    gap.iloc[2, 1] = math.nan
    with pytest.raises(ValueError, match=r"1 of 6 numbers are NaN .*difference of b"):
        comparisons.family(gap)
    for twice in (pd.concat([table, table.iloc[:1]]), table[["a", "a"]]):
        with pytest.raises(ValueError, match="is duplicated"):
            comparisons.family(twice)
