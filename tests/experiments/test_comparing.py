"""Paired differences: those of the tests they come from, and what is said of them."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import wilcoxon

from gliomalib import settings
from gliomalib.experiments import comparing
from gliomalib.scoring import bootstrap, comparisons, metrics

RANDOM = np.random.default_rng(7)
N = 40
DIFFERENCES = pd.DataFrame(
    {
        "worse": 0.05 + RANDOM.normal(0, 0.02, N),
        "same": RANDOM.normal(0, 0.002, N),
        "unclear": RANDOM.normal(0.01, 0.05, N),
    }
)


def test_differences_are_compared_as_if_their_methods_were() -> None:
    first = pd.Series(RANDOM.uniform(0.4, 0.9, N))
    methods = pd.DataFrame({name: first - gain for name, gain in DIFFERENCES.items()})
    table = methods.assign(first=first)
    family = comparisons.compare_family(table, "first", 0.01, 3, 2000).set_index("name")
    found = comparing.compare(DIFFERENCES, 3, 2000)
    assert found["verdict"].tolist() == ["different", "equivalent", "undecided"]
    assert found["verdict"].equals(family["verdict"])
    np.testing.assert_allclose(found["p_holm"], family["p_holm"], rtol=1e-9)
    for name, row in found.iterrows():
        interval = bootstrap.mean_interval(first - methods[name], 3, 2000)
        assert (row["low"], row["high"]) == pytest.approx(interval.ci95, abs=1e-12)
        assert row["difference"] == pytest.approx(interval.value)


def test_all_columns_are_the_family() -> None:
    both = comparing.tests(DIFFERENCES[["worse", "unclear"]], 1, 100)
    raw = {name: wilcoxon(DIFFERENCES[name], zero_method="pratt").pvalue for name in both.index}
    assert both["p_holm"]["worse"] == pytest.approx(2 * raw["worse"])
    assert both["p_holm"]["unclear"] == pytest.approx(raw["unclear"])


@pytest.mark.parametrize(("n", "limited"), [(1, True), (5, True), (6, False)])
def test_too_few_patients_limit_a_comparison(n: int, limited: bool) -> None:
    gain = pd.DataFrame({"other": np.linspace(0.1, 0.2, n)})
    row = comparing.compare(gain, 1, 100).iloc[0]
    assert row["limited"] == limited and bool(row["note"]) == limited
    assert np.isnan(row["low"]) == (n == 1)
    assert (comparing.interval(row) is None) == (n == 1)


def test_each_interval_can_have_its_own_seed() -> None:
    seeds = {"worse": 1, "same": 2, "unclear": 3}
    rows = comparing.intervals(DIFFERENCES, seeds, 500)
    for name, seed in seeds.items():
        one = bootstrap.mean_interval(DIFFERENCES[name], seed, 500)
        assert (rows["low"][name], rows["high"][name]) == one.ci95


def test_what_is_in_no_family_has_a_row_without_verdict() -> None:
    judged = comparing.compare(DIFFERENCES, 1, 100)
    found = comparing.complete(judged, pd.Index(["first", *DIFFERENCES]))
    assert found.index.tolist() == ["first", *DIFFERENCES]
    assert found["verdict"]["first"] == "–" and found["note"]["first"] == ""
    assert found["limited"].dtype == bool and not found["limited"].any()
    assert np.isnan(found["difference"]["first"])


def test_dice_rows_have_every_region_with_its_state() -> None:
    truth = np.array([0, 2, 2, 3])
    counts = metrics.confusion_matrix(truth, np.array([0, 2, 0, 0]))
    rows = pd.DataFrame(comparing.dice_rows({"patient_id": "A"}, counts, settings.load("smoke")))
    by_region = rows.set_index("region")
    assert by_region["dice"]["ED"] == pytest.approx(2 / 3) and by_region["dice"]["NCR"] == 1
    assert by_region["state"][["NCR", "ED", "ET"]].tolist() == ["empty", "both", "missed"]
    assert (rows["patient_id"] == "A").all()


def test_words_say_what_the_row_says() -> None:
    row = comparing.compare(DIFFERENCES, 1, 500).loc["worse"]
    assert comparing.tested(row, "3 methods").startswith("Wilcoxon with Holm over 3 methods p = ")
    assert comparing.tested(row, "3 methods").endswith("different by ±0.01")
    assert comparing.spoken(row).startswith("+0.0") and comparing.spoken(row).endswith("different)")
    open_by_rank = row.replace("different", "undecided")
    assert comparing.spoken(open_by_rank).endswith(", undecided by the adjusted test)")
    around = pd.Series({"difference": 0.0, "low": -0.1, "high": 0.1, "verdict": "undecided"})
    assert comparing.spoken(around) == "+0.000 (-0.100 to +0.100, undecided)"
    assert comparing.sentence("few patients") == " Few patients."
