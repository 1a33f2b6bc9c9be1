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

DRAWS = 400
"""Bootstrap draws in simulations; the number changes no error rate here."""


def at_most(rate: float, trials: int) -> int:
    """Return the count that an event of this rate exceeds once in a thousand simulations."""
    return int(tests.binom.ppf(0.999, trials, rate))


def scores(patients: int, seed: int, **gains: float) -> pd.DataFrame:
    """Dice-like scores: what patients have in common, each method's own noise and its gain."""
    generator = np.random.default_rng(seed)
    common = generator.beta(8, 3, patients)
    columns = {
        name: common + gain + generator.normal(0, 0.03, patients) for name, gain in gains.items()
    }
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


# --- is there none


def test_a_flat_pair_is_equivalent_and_a_gain_is_not() -> None:
    generator, trials = np.random.default_rng(4), 60
    flat, gain = [], []
    for seed in range(trials):
        flat.append(comparisons.equivalence(generator.normal(0, 0.01, 30), seed, 0.01, DRAWS))
        gain.append(comparisons.equivalence(generator.normal(0.03, 0.05, 30), seed, 0.01, DRAWS))
    assert all(one.verdict == "equivalent" for one in flat)
    verdicts = [one.verdict for one in gain]
    assert verdicts.count("equivalent") == 0
    assert 0.75 * trials < verdicts.count("different") < trials
    assert verdicts.count("undecided") > 0


@pytest.mark.parametrize("n", [5, 30])
def test_a_difference_as_large_as_the_margin_is_equivalent_in_5_of_100_draws_at_most(
    n: int,
) -> None:
    generator, trials, found = np.random.default_rng(5), 400, 0
    for seed in range(trials):
        one = comparisons.equivalence(generator.normal(-0.01, 0.01, n), seed, 0.01, DRAWS)
        found += one.verdict == "equivalent"
    assert 0 < found <= at_most(0.05, trials)


def test_two_one_sided_tests_are_those_of_the_textbook() -> None:
    numbers = np.array([0.004, -0.002, 0.001, 0.006, -0.001, 0.003, 0.0, 0.002])
    found = comparisons.equivalence(numbers, 1)
    error = numbers.std(ddof=1) / math.sqrt(8)
    nearer = (0.01 - abs(numbers.mean())) / error
    assert found.tost_p == pytest.approx(1 - tests.t.cdf(nearer, 7), rel=1e-6)
    reach = 1.894579 * error  # Student's 95 % quantile for 7 degrees of freedom
    assert found.t_bounds == pytest.approx(
        (numbers.mean() - reach, numbers.mean() + reach), rel=1e-4
    )
    assert found.bootstrap_bounds == pytest.approx(found.t_bounds, abs=6e-4)
    assert found.verdict == "equivalent"
    assert comparisons.equivalence(numbers, 1, margin=0.003).verdict == "undecided"


@pytest.mark.parametrize(("shift", "alone"), [(0.0, (True, False)), (0.004, (False, True))])
def test_both_readings_must_agree(shift: float, alone: tuple[bool, bool]) -> None:
    # one of many small differences far out: the draws reach further towards it than Student's
    # interval, and less far on the other side; the shift says which side meets the margin first
    small = np.random.default_rng(0).normal(0, 0.001, 11)
    numbers, seen = np.r_[small, 0.02] - shift, set()
    for margin in np.linspace(0.001, 0.012, 56):
        found = comparisons.equivalence(numbers, 0, float(margin), 2000)
        ends = (found.t_bounds or (0, 0), found.bootstrap_bounds or (0, 0))
        by_t, by_draws = (-margin < low and high < margin for low, high in ends)
        assert (found.verdict == "equivalent") == (by_t and by_draws)
        seen.add((by_t, by_draws))
    assert seen == {(False, False), alone, (True, True)}


def test_differences_that_are_all_alike_count_by_their_signs() -> None:
    same = comparisons.equivalence(np.zeros(5), 0)
    assert (same.verdict, same.tost_p) == ("equivalent", 1 / 32)
    assert comparisons.equivalence(np.zeros(4), 0).verdict == "undecided"
    gain = comparisons.equivalence(np.full(6, 0.02), 0)
    assert (gain.verdict, gain.tost_p) == ("different", 1.0)
    assert comparisons.equivalence(np.full(5, 0.02), 0).verdict == "undecided"
    assert gain.t_bounds == gain.bootstrap_bounds == (0.02, 0.02)


def test_a_single_patient_decides_nothing() -> None:
    found = comparisons.equivalence([0.0], 0)
    assert found.verdict == "undecided"
    assert (found.tost_p, found.t_bounds, found.bootstrap_bounds) == (None,) * 3


@pytest.mark.parametrize("margin", [0, -0.01, math.nan])
def test_a_margin_is_above_zero(margin: float) -> None:
    with pytest.raises(ValueError, match=f"margin is {margin}"):
        comparisons.equivalence([0.1, 0.2], 0, margin)


# --- a whole family


def test_a_family_is_compared_with_its_reference() -> None:
    table = scores(40, 1, better=0.05, plain=0, same=0)
    table["same"] = table["plain"] + np.random.default_rng(0).normal(0, 0.004, 40)
    found = comparisons.compare_family(table, "plain", 0.01, 7, 1000)
    rows = found.set_index("name")
    assert list(rows.index) == ["better", "same"]
    assert rows["verdict"].to_dict() == {"better": "different", "same": "equivalent"}
    difference = table["better"] - table["plain"]
    assert rows.loc["better", "mean_difference"] == pytest.approx(difference.mean())
    assert rows.loc["better", "p"] == tests.wilcoxon(difference, zero_method="pratt").pvalue
    assert rows["p_holm"].to_dict() == pytest.approx(comparisons.holm(rows["p"].to_dict()))
    alone = comparisons.equivalence(difference, 7, 0.01, 1000)
    assert rows.loc["better", "tost_p"] == alone.tost_p
    assert (rows["note"] == "").all() and not rows["limited"].any()
    pd.testing.assert_frame_equal(found, comparisons.compare_family(table, "plain", 0.01, 7, 1000))


def test_the_verdict_is_about_the_adjusted_p() -> None:
    generator = np.random.default_rng(0)
    for seed in range(300):
        table = scores(14, seed, ref=0, a=0.02)
        others = {f"n{place}": table["ref"] + generator.normal(0, 0.03, 14) for place in range(6)}
        alone = comparisons.compare_family(table, "ref", 0.01, 0, 100).set_index("name").loc["a"]
        if alone["p"] < 0.05 < 7 * alone["p"]:
            break
    assert alone["verdict"] == "different"
    family = comparisons.compare_family(table.assign(**others), "ref", 0.01, 0, 100)
    assert family.set_index("name").loc["a", "verdict"] == "undecided"


def test_five_patients_cannot_show_a_difference_and_it_is_said() -> None:
    table = scores(5, 0, ref=0, a=0.3, b=0.3)
    found = comparisons.compare_family(table, "ref", 0.01, 0, 200)
    assert (found["p"] == 0.0625).all()
    assert (found["verdict"] == "undecided").all() and found["limited"].all()
    for note in found["note"]:
        assert "5 patients" in note
        assert "cannot fall below 0.125" in note
    # 8 patients reach 2/256, which is enough for a family of 6 and not for one of 7
    wide = scores(8, 0, ref=0, **dict.fromkeys("abcdefg", 0.3))
    assert comparisons.compare_family(wide, "ref", 0.01, 0, 99)["limited"].all()
    six = comparisons.compare_family(wide.drop(columns="g"), "ref", 0.01, 0, 99)
    assert (six["note"] == "").all() and not six["limited"].any()
    assert (six["verdict"] == "different").all()


def test_a_single_patient_gives_no_number_that_is_not_there() -> None:
    found = comparisons.compare_family(scores(1, 0, ref=0, a=0.3), "ref", 0.01, 0)
    assert found.loc[0, "tost_p"] is None
    assert found.loc[0, "p_holm"] == 1.0
    assert "a single patient" in found.loc[0, "note"] and found.loc[0, "limited"]


def test_zeros_are_counted() -> None:
    table = scores(20, 0, ref=0, a=0.02)
    table.iloc[:4, 1] = table.iloc[:4, 0]
    found = comparisons.compare_family(table, "ref", 0.01, 0, 200)
    assert found.loc[0, "note"] == "4 of 20 differences are zero"
    assert not found.loc[0, "limited"]


def test_a_table_with_gaps_or_doubles_is_refused() -> None:
    table = scores(6, 0, ref=0, a=0)
    with pytest.raises(ValueError, match="'fused'"):
        comparisons.compare_family(table, "fused", 0.01, 0)
    with pytest.raises(ValueError, match="at least one more"):
        comparisons.compare_family(table[["ref"]], "ref", 0.01, 0)
    gap = table.copy()
    gap.iloc[2, 1] = math.nan
    with pytest.raises(ValueError, match=r"1 of 12 numbers are NaN .*ref, a"):
        comparisons.compare_family(gap, "ref", 0.01, 0)
    for twice in (pd.concat([table, table.iloc[:1]]), table[["ref", "a", "a"]]):
        with pytest.raises(ValueError, match="is duplicated"):
            comparisons.compare_family(twice, "ref", 0.01, 0)
