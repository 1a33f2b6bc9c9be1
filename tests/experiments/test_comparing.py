"""Paired differences: those of the tests they come from, and what is said of them."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import wilcoxon

from gliomalib import settings
from gliomalib.experiments import comparing, values
from gliomalib.scoring import comparisons, metrics, training_noise

RANDOM = np.random.default_rng(7)
N = 40
DIFFERENCES = pd.DataFrame(
    {
        "worse": 0.05 + RANDOM.normal(0, 0.02, N),
        "same": RANDOM.normal(0, 0.002, N),
        "unclear": RANDOM.normal(0.01, 0.05, N),
    }
)


def gains(differences: pd.DataFrame) -> dict[str, comparing.Gain]:
    return {name: comparing.paired(differences[[name]]) for name in map(str, differences)}


def judged(differences: pd.DataFrame, bound: str = "") -> pd.DataFrame:
    return comparing.judged(gains(differences), 3, bound)


def test_gains_are_judged_by_their_interval_and_their_tests() -> None:
    rows = judged(DIFFERENCES)
    assert rows["verdict"].tolist() == ["different", "equivalent", "undecided"]
    raw = {name: wilcoxon(DIFFERENCES[name], zero_method="pratt").pvalue for name in rows.index}
    assert rows["p_holm"].to_dict() == pytest.approx(comparisons.holm(raw))
    for name, row in rows.iterrows():
        effect = training_noise.paired(DIFFERENCES[[name]])
        assert (row["difference"], row["low"], row["high"]) == (effect.value, *(effect.ci95 or ()))
    assert rows["P(better)"]["worse"] > 0.99 and rows["P(same)"]["same"] > 0.99
    assert not rows["decider"]["worse"] and (rows["trainings"] == 1).all()


def test_noise_of_training_keeps_a_difference_undecided() -> None:
    first = DIFFERENCES[["worse"]].to_numpy() + np.array([-0.06, 0.0, 0.06])
    rows = comparing.judged({"noisy": comparing.paired(pd.DataFrame(first))}, 3)
    assert rows["p_holm"]["noisy"] < 0.001 and rows["verdict"]["noisy"] == "undecided"
    assert rows["trainings"]["noisy"] == 3


def test_who_decides_a_gain_and_a_single_training_are_in_its_note() -> None:
    scores = pd.DataFrame({0: [0.0] * 9 + [1.0]}, index=list("ABCDEFGHIJ"))
    gain = comparing.unpaired(scores, scores * 0)
    assert gain.note == f"one patient decides: J; {values.ONE_TRAINING}"
    assert comparing.judged({"a": gain}, 3)["decider"]["a"] == "J"
    twice = comparing.paired(pd.DataFrame(np.tile(DIFFERENCES["worse"], (2, 1)).T))
    assert twice.note == ""


def test_sites_disagree_where_signs_differ_and_one_of_them_is_clear() -> None:
    here, there = gains(DIFFERENCES), gains(-DIFFERENCES)
    titles = {name: f"gain of {name}" for name in here}
    assert comparing.disagreements(here, here, titles) == ""
    text = comparing.disagreements(here, there, titles)
    assert text.startswith(" The two sites disagree on the sign of gain of worse (+0.04")
    assert "unclear" not in text and "gain of same" not in text


def test_a_rule_for_empty_masks_that_decides_is_in_the_note_of_all() -> None:
    shifts = {"dice": 0.0, "dice_present": -0.1}
    made = {
        rule: comparing.paired(DIFFERENCES[["worse"]] + shift) for rule, shift in shifts.items()
    }
    assert all(comparing.RULE_DECIDES in gain.note for gain in comparing.of_rules(made).values())
    alike = comparing.of_rules({"dice": made["dice"], "dice_volume": made["dice"]})
    assert not any(comparing.RULE_DECIDES in gain.note for gain in alike.values())


def test_the_sizes_of_a_gain_are_those_without_each_patient() -> None:
    sizes = comparing.sizes(comparing.paired(pd.DataFrame({0: [0.0, 0.1, 0.5]})), 3)
    assert sizes["median"] == pytest.approx(0.1) and sizes["better"] == "2 of 3"
    assert (sizes["least"], sizes["most"]) == pytest.approx((0.05, 0.3))


def test_trainings_of_one_network_raise_alarms_only_where_there_are_three() -> None:
    scores = pd.DataFrame(DIFFERENCES[["same"]].to_numpy() + np.array([0.0, 0.0, 0.3]))
    alarms = comparing.false_alarms("aa", [scores], N, 3, "parts")
    assert "of 3 comparisons" in alarms.rule and 0 <= alarms.value <= 1 and not alarms.note
    few = comparing.false_alarms("aa", [scores[[0, 1]]], N, 2, "parts")
    assert np.isnan(few.value) and few.note.startswith("fewer than three trainings")


@pytest.mark.parametrize(("n", "limited"), [(1, True), (5, True), (6, False)])
def test_too_few_patients_limit_a_comparison(n: int, limited: bool) -> None:
    row = judged(pd.DataFrame({"other": np.linspace(0.1, 0.2, n)})).iloc[0]
    assert row["limited"] == limited and bool(row["note"]) == limited
    assert np.isnan(row["low"]) == (n == 1)
    assert (comparing.interval(row) is None) == (n == 1)


def test_what_is_in_no_family_has_a_row_without_verdict() -> None:
    means = pd.Series(0.5, index=["first", *DIFFERENCES])
    titles = {str(name): f"the {name}" for name in means.index}
    found = comparing.beside(means, titles, judged(DIFFERENCES, "worse")).set_index("method")
    assert found["title"].tolist() == list(titles.values())
    assert found["verdict"].tolist() == ["–", "–", "equivalent", "undecided"]
    assert found["note"]["first"] == "" and np.isnan(found["p_holm"]["worse"])
    assert found["limited"].dtype == bool and not found["limited"].any()
    assert np.isnan(found["difference"]["first"]) and found["difference"]["worse"] > 0.04


def test_small_enhancing_tumour_is_counted_in_the_voxels_of_the_study() -> None:
    counts = np.array([[90, 0, 0, 20], [0, 9, 0, 0], [0, 0, 9, 0], [0, 0, 0, 0]])
    for sides, dice in (([2.0, 2.0, 2.4], 1.0), ([2.0, 2.0, 2.6], 0.0)):
        study = settings.load("smoke", {"preprocessing.spacing_mm": sides})
        rows = pd.DataFrame(comparing.dice_rows({}, counts, study)).set_index("region")
        assert rows.loc["ET", "dice_volume"] == dice, "20 voxels are a little less, or more"


def test_dice_rows_have_every_region_with_its_state() -> None:
    truth = np.array([0, 2, 2, 3])
    counts = metrics.confusion_matrix(truth, np.array([0, 2, 0, 0]))
    rows = pd.DataFrame(comparing.dice_rows({"patient_id": "A"}, counts, settings.load("smoke")))
    by_region = rows.set_index("region")
    assert by_region["dice"]["ED"] == pytest.approx(2 / 3) and by_region["dice"]["NCR"] == 1
    assert by_region["state"][["NCR", "ED", "ET"]].tolist() == ["empty", "both", "missed"]
    assert (rows["patient_id"] == "A").all()


def test_words_say_what_the_row_says() -> None:
    row = judged(DIFFERENCES).loc["worse"]
    assert comparing.tested(row, "3 methods").startswith("Wilcoxon with Holm over 3 methods p = ")
    assert comparing.tested(row, "3 methods").endswith("different by ±0.01")
    assert comparing.spoken(row).startswith("+0.0") and comparing.spoken(row).endswith("different)")
    open_by_rank = row.replace("different", "undecided")
    assert comparing.spoken(open_by_rank).endswith(", undecided by the adjusted test)")
    around = pd.Series({"difference": 0.0, "low": -0.1, "high": 0.1, "verdict": "undecided"})
    assert comparing.spoken(around) == "+0.000 (-0.100 to +0.100, undecided)"
    rows = judged(DIFFERENCES).assign(title="t", limited=[True, True, False], note="few patients")
    assert comparing.limits(rows) == " Few patients."
    assert (
        comparing.listed(rows, gains(DIFFERENCES).values()).count("different) [one training") == 1
    )
