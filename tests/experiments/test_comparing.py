"""Paired differences: what their intervals say of them, alone and as a family."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from gliomalib import settings
from gliomalib.experiments import comparing, values
from gliomalib.scoring import metrics, training_noise

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


def judged(differences: pd.DataFrame, family: set[str] | None = None) -> pd.DataFrame:
    return comparing.judged(gains(differences), family)


def test_gains_are_judged_by_their_interval() -> None:
    rows = judged(DIFFERENCES)
    assert rows["verdict"].tolist() == ["different", "equivalent", "undecided"]
    for name, row in rows.iterrows():
        effect = training_noise.paired(DIFFERENCES[[name]])
        assert (row["difference"], row["low"], row["high"]) == (effect.value, *(effect.ci95 or ()))
    assert not rows["decider"]["worse"] and (rows["trainings"] == 1).all()


def test_noise_of_training_keeps_a_difference_undecided() -> None:
    first = DIFFERENCES[["worse"]].to_numpy() + np.array([-0.06, 0.0, 0.06])
    rows = comparing.judged({"noisy": comparing.paired(pd.DataFrame(first))})
    assert stats.wilcoxon(first.mean(axis=1)).pvalue < 0.001
    assert rows["verdict"]["noisy"] == "undecided" and rows["trainings"]["noisy"] == 3


def test_a_word_never_contradicts_the_interval_beside_it() -> None:
    rng = np.random.default_rng(4)
    shifts, spreads = rng.normal(0, 0.02, 40), rng.uniform(0.005, 0.1, 40)
    many = pd.DataFrame(rng.normal(shifts, spreads, (12, 40))).add_prefix("g")
    for family in (None, set(many)):
        rows = judged(many, family)
        clear = (rows["low"] > 0) | (rows["high"] < 0)
        assert rows["verdict"][clear].isin(["different", "equivalent"]).all() and clear.any()
        assert not rows["verdict"][~clear].eq("different").any()


def test_intervals_of_a_family_hold_together() -> None:
    rows, rng = judged(DIFFERENCES, {"worse", "same"}), np.random.default_rng(5)
    effect = training_noise.paired(DIFFERENCES[["worse"]])
    assert (rows["low"]["worse"], rows["high"]["worse"]) == effect.interval(1 - 0.05 / 2)
    wrong = []
    for _ in range(400):
        effects = [training_noise.paired(table) for table in rng.normal(0, 0.05, (11, 30, 1))]
        ends = [effect.interval(1 - 0.05 / 11) or (0, 0) for effect in effects]
        wrong.append(any(low > 0 or high < 0 for low, high in ends))
    assert np.mean(wrong) <= 0.08


def test_who_decides_a_gain_and_a_single_training_are_in_its_note() -> None:
    scores = pd.DataFrame({0: [0.0] * 9 + [1.0]}, index=list("ABCDEFGHIJ"))
    gain = comparing.unpaired(scores, scores * 0)
    assert gain.note == f"one patient decides: J; {values.ONE_TRAINING}"
    assert comparing.judged({"a": gain})["decider"]["a"] == "J"
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
    sizes = comparing.sizes(comparing.paired(pd.DataFrame({0: [0.0, 0.1, 0.5]})))
    assert sizes["median"] == pytest.approx(0.1) and sizes["better"] == "2 of 3"
    assert (sizes["least"], sizes["most"]) == pytest.approx((0.05, 0.3))


def test_a_single_patient_decides_nothing() -> None:
    row = judged(pd.DataFrame({"other": [0.2]})).iloc[0]
    assert comparing.interval(row) is None and row["verdict"] == "undecided"
    assert comparing.spoken(row) == "+0.200 (one patient, no interval, undecided)"


def test_what_is_in_no_family_has_a_row_without_verdict() -> None:
    means = pd.Series(0.5, index=["first", *DIFFERENCES])
    titles = {str(name): f"the {name}" for name in means.index}
    found = comparing.beside(means, titles, judged(DIFFERENCES, {"same", "unclear"}))
    found = found.set_index("method")
    assert found["title"].tolist() == list(titles.values())
    assert found["verdict"].tolist() == ["–", "–", "equivalent", "undecided"]
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
    assert comparing.spoken(row).startswith("+0.0") and comparing.spoken(row).endswith("different)")
    around = pd.Series({"difference": 0.0, "low": -0.1, "high": 0.1, "verdict": "undecided"})
    assert comparing.spoken(around) == "+0.000 (-0.100 to +0.100, undecided)"
    rows = judged(DIFFERENCES).assign(title="t")
    assert (
        comparing.listed(rows, gains(DIFFERENCES).values()).count("different) [one training") == 1
    )


def of_patients(differences: pd.Series) -> comparing.Gain:
    """Return the gain of one training, of one difference per patient."""
    return comparing.paired(differences.to_frame())


def test_one_empty_mask_that_makes_a_mean_is_named() -> None:
    # nine patients without a difference to speak of, and one whose spurious mask costs a class
    differences = pd.Series([-0.005] * 9 + [0.346], [f"Phantom-A-{n:03d}" for n in range(10)])
    gain = of_patients(differences)
    assert gain.decider == "Phantom-A-009"
    row = comparing.sizes(gain)
    assert (gain.better, row["better"]) == (1, "1 of 10")
    assert row["least"] == pytest.approx(-0.005) and row["median"] == pytest.approx(-0.005)


def test_a_difference_that_all_share_has_no_decider() -> None:
    row = comparing.sizes(of_patients(pd.Series(np.linspace(0.02, 0.04, 10), list("abcdefghij"))))
    assert row["decider"] == ""
    assert (row["median"], row["better"]) == (pytest.approx(0.03), "10 of 10")


def test_a_loss_that_one_patient_makes_is_named_as_well() -> None:
    assert of_patients(pd.Series([0.0, 0.001, -0.3], ["a", "b", "c"])).decider == "c"


def test_leaving_out_agrees_with_the_slow_way() -> None:
    differences = pd.Series(np.random.default_rng(0).normal(0.01, 0.05, 12), range(12))
    means = [differences.drop(name).mean() for name in differences.index]
    gain = of_patients(differences)
    assert gain.without.tolist() == pytest.approx(means)
    row = comparing.sizes(gain)
    assert (row["least"], row["most"]) == pytest.approx((min(means), max(means)))


def test_a_single_patient_decides_and_nan_is_refused() -> None:
    assert of_patients(pd.Series([0.2], ["a"])).decider == "a"
    with pytest.raises(ValueError, match="leave patients out by a named rule"):
        of_patients(pd.Series([0.2, np.nan], ["a", "b"]))


def test_a_mask_of_several_folds_counts_once_by_its_worst_fold() -> None:
    states = {
        "A": ["both", "missed", "both"],
        "B": ["empty"] * 3,
        "C": ["empty", "spurious", "empty"],
    }
    rows = [(name, fold, state) for name, own in states.items() for fold, state in enumerate(own)]
    table = pd.DataFrame(rows, columns=["patient_id", "fold", "state"]).assign(region="ET", seed=0)
    assert comparing.masks(table) == (1, 2)
    other = table.assign(seed=1, state=table["state"].replace({"missed": "both"}))
    assert comparing.masks(pd.concat([table, other])) == (2, 3)
