"""The argument of notebook 16: every claim is judged, nothing is hidden."""

from dataclasses import replace

import numpy as np
import pytest

from gliomalib import settings
from gliomalib.schema import Record, SettingsError, Value
from gliomalib.verdicts import claims, judge, outcome


def record(**values: tuple[float, float, float]) -> Record:
    found = tuple(
        Value(name, value, (low, high), 40, rule="r", n_seeds=3)
        for name, (value, low, high) in values.items()
    )
    return Record("05_fusion", "brats", "", (), found, {}, 1, "cuda", 1.0, 1, {})


REAL = settings.load("brats", {"study": "brats"})
GAINS = record(
    fused_minus_2d_mean_dice=(0.05, 0.02, 0.08), fused_minus_3d_mean_dice=(-0.02, -0.03, -0.01)
)


def by_id(found: list[outcome.Verdict]) -> dict[str, str]:
    return {one.claim.id: one.verdict for one in found}


def test_each_claim_is_judged_also_without_its_notebook() -> None:
    found = judge.judge_all(claims.load(), {"05_fusion": GAINS}, REAL)
    assert len(found) == len(claims.load())
    named = by_id(found)
    assert named["C7"] == "reproduced" and named["C8"] == "not reproduced"
    assert named["C1"] == "not run"


def test_on_phantoms_the_same_numbers_decide_nothing() -> None:
    study = settings.load("phantom-full")
    found = judge.judge_all(
        claims.load(), {"05_fusion": replace(GAINS, study="phantom-full")}, study
    )
    assert by_id(found)["C7"] == "not testable on this data"
    assert judge.answer(found, study).startswith("These results were made on synthetic")


def test_a_notebook_asks_for_the_verdict_that_the_report_will_give() -> None:
    reported = judge.judge_all(claims.load(), {"05_fusion": GAINS}, REAL)
    for verdict in reported:
        if verdict.claim.id in ("C7", "C8"):
            assert judge.verdict_on(verdict.claim.id, GAINS.values, REAL) == verdict
    assert judge.verdict_on("C9", GAINS.values, REAL).verdict == "not run"
    with pytest.raises(SettingsError, match=r"no statement 'Q9': take one of C1, "):
        judge.verdict_on("Q9", GAINS.values, REAL)


@pytest.mark.parametrize(("p95", "expected"), [(1.0, "holds"), (1.01, "does not hold")])
def test_real_time_hangs_on_the_slow_end(p95: float, expected: str) -> None:
    quick = Value("seconds_per_patient_all", 0.5, (0.4, 0.6), 40, rule="median")
    slow = Value("seconds_p95_all", p95, None, 40, rule="95th percentile")
    assert judge.verdict_on("Q3", [quick, slow], REAL).verdict == expected


def test_the_counts_cover_all_claims() -> None:
    found = judge.judge_all(claims.load(), {"05_fusion": GAINS}, REAL)
    assert sum(one.value for one in judge.values(found)) == len(found)
    answer = judge.answer(found, REAL)
    assert "1 reproduced (C7)" in answer and "1 not reproduced (C8)" in answer


def test_real_data_without_a_decision_says_so() -> None:
    found = judge.judge_all(claims.load(), {}, REAL)
    assert "Nothing of these is decided" in judge.answer(found, REAL)


def test_what_needs_no_network_is_said_also_on_phantoms() -> None:
    study = settings.load("demo")
    arithmetic = tuple(
        Value(name, number, rule="counted")
        for name, number in {
            "relations_impossible": 2.0, "test_sizes_possible": 3.0,
            "no_tumour_accuracy_crop": 0.9642,
        }.items()
    )  # fmt: skip
    record = Record("12_metric_forensics", "demo", "", (), arithmetic, {}, 1, "cpu", 1.0, 1, {})
    found = judge.judge_all(claims.load(), {"12_metric_forensics": record}, study)
    named = by_id(found)
    assert [named[name] for name in ("W1", "W2", "W3")] == [
        "problem confirmed", "problem not confirmed", "problem not confirmed",
    ]  # fmt: skip
    answer = judge.answer(found, study)
    assert "Without any network: (W1)" in answer
    assert "(W2)" not in answer and "(W3)" not in answer


def test_the_recipe_stands_beside_in_both_frames_and_decides_nothing() -> None:
    own = replace(record(accuracy=(0.8, 0.7, 0.9)), notebook="06_train_resnet50")
    pooled = record(recipe_scan_accuracy=(0.99, 0.98, 1.0), recipe_box_accuracy=(0.97, 0.9, 1.0))
    both = {
        "06_train_resnet50": own,
        "12_metric_forensics": replace(pooled, notebook="12_metric_forensics"),
    }
    first = judge.judge_all(claims.load(), both, REAL)[0]
    assert {frame: value.value for frame, value in first.pixel_recipe.items()} == {
        "crop": 0.97, "scan": 0.99,
    }  # fmt: skip
    assert first.obtained is not None and first.obtained.value == 0.8
    assert first.verdict == "not reproduced"
    row = outcome.table([first]).iloc[0]
    assert row[["pixel recipe, crop", "pixel recipe, whole scan"]].tolist() == [
        "97.00 %",
        "99.00 %",
    ]
    without = judge.judge_all(claims.load(), {"06_train_resnet50": own}, REAL)[0]
    assert not without.pixel_recipe and without.verdict == first.verdict
    drawn = judge.numbers(judge.judge_all(claims.load(), both, REAL))
    assert drawn[["crop", "scan"]].to_numpy().tolist() == [[0.97, 0.99]]


def test_a_number_of_others_is_drawn_apart_from_the_papers() -> None:
    dice = replace(
        record(fused_mean_region_dice_full_scan=(0.8, 0.7, 0.9)), notebook="07_baselines"
    )
    drawn = judge.numbers(judge.judge_all(claims.load(), {"07_baselines": dice}, REAL)).iloc[0]
    assert drawn["claim"] == "C12" and drawn["reference"] == 0.8537
    assert np.isnan(drawn["published"])


def test_a_study_without_any_number_has_an_empty_table() -> None:
    drawn = judge.numbers(judge.judge_all(claims.load(), {}, REAL))
    assert drawn.empty and {"low", "crop", "reference"} <= set(drawn)


@pytest.mark.parametrize(
    ("gate", "expected"), [(1.0, "reproduced"), (0.0, "not judged"), (None, "not judged")]
)
def test_a_failed_control_of_another_notebook_withholds_the_verdict(
    gate: float | None, expected: str
) -> None:
    name = "dice_minus_cross_entropy_accuracy"
    losses = replace(record(**{name: (0.05, 0.02, 0.08)}), notebook="09_loss_ablations")
    records = {"09_loss_ablations": losses}
    if gate is not None:
        control = replace(record(classifier_gate=(gate, gate, gate)), notebook="07_baselines")
        records["07_baselines"] = control
    assert by_id(judge.judge_all(claims.load(), records, REAL))["C11"] == expected


def test_ids_are_written_as_ranges() -> None:
    assert judge.ranges(["C1", "C2", "C3", "C5", "Q6", "Q7"]) == "C1–C3, C5, Q6–Q7"
    assert judge.ranges([]) == ""
    assert judge.ranges(["C9", "C10", "<b>", "C12"]) == "C9–C10, <b>, C12"


def test_only_claims_with_both_numbers_are_drawn() -> None:
    alpha = replace(record(best_alpha=(0.4, 0.3, 0.5)), notebook="08_alpha_sweep")
    found = judge.judge_all(claims.load(), {"08_alpha_sweep": alpha}, REAL)
    table = judge.numbers(found)
    assert table["claim"].tolist() == ["C9"]
    assert table.loc[0, "published"] == 0.6 and table.loc[0, "value"] == 0.4


def test_compute_is_listed_by_notebook() -> None:
    table = judge.compute({"05_fusion": replace(GAINS, wall_s=90, peak_memory_bytes=2 * 10**9)})
    assert table.loc[0, "minutes"] == 1.5 and table.loc[0, "peak memory, GB"] == 2
