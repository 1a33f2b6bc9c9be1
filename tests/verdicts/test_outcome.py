"""Each rule decides at its borders, gates come first, and a changed rule changes the verdict."""

import math
from dataclasses import replace
from typing import Any

import pytest

from gliomalib.schema import Record, RecordError, Value
from gliomalib.verdicts import claims, outcome
from tests.verdicts.studies import AStudy

BRATS = AStudy(study="brats", real_data=True, full_size=True, weights="imagenet")
AT_LEAST = {"kind": "at_least", "margin": 0.01}
GAIN = {"kind": "greater_than_zero", "smallest_gain": 0.01}
PASSED = Value("classifier_gate", 1.0, rule="control")
CONTAINS = {"kind": "contains", "max_width": 0.2}


def a_claim(**changes: Any) -> claims.Claim:
    content = {
        "id": "C1",
        "statement": "It is so.",
        "metric": "number",
        "published": 0.6,
        "unit": "Dice",
        "level": "patient",
        "notebook": "05_fusion",
        "value": "number",
        "fixed": {"commit": "2952f5b", "date": "2026-11-22", "before_first_run": True},
        "decision": AT_LEAST,
        "testable_on": {"real_data": True, "min_patients": 30, "full_size": True},
        "source": "abstract",
    }
    return claims.Claim.model_validate(content | changes)


def a_record(
    ci95: Any = (0.55, 0.65), value: float = 0.6, n_patients: int = 74, **changes: Any
) -> Record:
    number = Value("number", value, ci95, n_patients, rule="mean over patients")
    record = Record(
        notebook="05_fusion",
        study="brats",
        variant="",
        claims=("C1",),
        values=(number,),
        parameters={},
        seed=0,
        device="cpu",
        wall_s=1.0,
        peak_memory_bytes=1,
        provenance={},
    )
    return replace(record, **changes)


def judged(
    claim: claims.Claim,
    record: Record | None,
    context: Any = BRATS,
    gate: Value | None = None,
) -> outcome.Verdict:
    """Judge a claim by its record, and by that of notebook 07 with its gate."""
    records = {claim.run: record} if record else {}
    if gate:
        control = records.get("07_baselines") or a_record(values=(), notebook="07_baselines")
        records["07_baselines"] = replace(control, values=(*control.values, gate))
    return outcome.judge(claim, records, context)


def verdict(claim: claims.Claim, ci95: Any, context: Any = BRATS) -> str:
    return judged(claim, a_record(ci95), context).verdict


@pytest.mark.parametrize(
    ("ci95", "expected"),
    [
        ((0.59, 0.7), "reproduced"),
        ((0.7, 0.8), "reproduced"),
        ((0.5899, 0.7), "inconclusive"),
        ((0.5, 0.59), "inconclusive"),
        ((0.5, 0.5899), "not reproduced"),
    ],
)
def test_at_least_the_published_number_less_the_margin(ci95: Any, expected: str) -> None:
    assert verdict(a_claim(), ci95) == expected


@pytest.mark.parametrize(
    ("ci95", "expected", "words"),
    [
        ((0.0001, 0.05), "reproduced", "above 0"),
        ((0.0001, 0.009), "reproduced", "every gain in it is below 0.01"),
        ((0.0, 0.05), "inconclusive", "gains of 0.01 or more"),
        ((-0.01, 0.01), "inconclusive", "gains of 0.01 or more"),
        ((-0.01, 0.0099), "not reproduced", "every gain in it is below 0.01"),
        ((-0.05, 0.0), "not reproduced", "no value"),
        ((-0.05, -0.01), "not reproduced", "no value"),
        ((0.0, 0.0), "not reproduced", "no value"),
    ],
)
def test_a_gain_must_be_above_zero(ci95: Any, expected: str, words: str) -> None:
    claim = a_claim(decision=GAIN, published=None)
    found = judged(claim, a_record(ci95), BRATS)
    assert found.verdict == expected
    assert words in found.reason


@pytest.mark.parametrize(
    ("ci95", "expected"),
    [
        ((0.5, 0.7), "reproduced"),
        ((0.6, 0.6), "reproduced"),
        ((0.6000000000000001, 0.7), "reproduced"),
        ((0.5, 0.5999999999999999), "reproduced"),
        ((0.61, 0.7), "not reproduced"),
        ((0.3, 0.59), "not reproduced"),
        ((0.49, 0.7), "inconclusive"),
        ((0.0, 0.55), "not reproduced"),
    ],
)
def test_the_published_number_is_contained(ci95: Any, expected: str) -> None:
    assert verdict(a_claim(decision=CONTAINS), ci95) == expected


def test_contained_means_no_more_than_not_contradicted() -> None:
    found = judged(a_claim(decision=CONTAINS), a_record((0.5, 0.7)), BRATS)
    assert "not contradicted" in found.reason


def test_an_undefined_number_decides_nothing() -> None:
    found = judged(a_claim(), a_record((0.7, 0.8), math.nan), BRATS)
    assert found.verdict == "not testable on this data"
    assert found.reasons == ("the number is undefined on these patients",)
    assert outcome.table([found]).loc[0, "obtained"] == "undefined"


GATES = [
    ({"real_data": False}, "synthetic"),
    ({"full_size": False}, "smaller than"),
    ({"weights": "random"}, "random weights"),
]


@pytest.mark.parametrize(("change", "words"), GATES)
@pytest.mark.parametrize("ci95", [(0.9, 0.95), (0.1, 0.2), None])
def test_gates_come_before_the_rule(change: Any, words: str, ci95: Any) -> None:
    needs = {"real_data": True, "min_patients": 30, "full_size": True, "weights": ["imagenet"]}
    found = judged(a_claim(testable_on=needs), a_record(ci95), replace(BRATS, **change))
    assert found.verdict == "not testable on this data"
    assert words in found.reason
    assert found.obtained == a_record(ci95).values[0]


def test_a_gate_that_the_claim_does_not_ask_for_is_open() -> None:
    needs = {"real_data": False, "min_patients": 1, "full_size": False}
    context = AStudy("brats", real_data=False, full_size=False, weights="random")
    assert verdict(a_claim(testable_on=needs), (0.7, 0.8), context) == "reproduced"


@pytest.mark.parametrize(
    ("n_patients", "expected"), [(29, "not testable on this data"), (30, "reproduced")]
)
def test_few_patients_test_nothing(n_patients: int, expected: str) -> None:
    found = judged(a_claim(), a_record((0.7, 0.8), 0.75, n_patients), BRATS)
    assert found.verdict == expected
    if n_patients == 29:
        assert "29 test patients, at least 30 needed" in found.reason


def test_every_closed_gate_is_named() -> None:
    context = AStudy("brats", real_data=False, full_size=False, weights="random")
    found = judged(a_claim(), a_record(n_patients=2), context)
    for words in ("synthetic", "smaller", "2 test patients"):
        assert words in found.reason


def test_a_notebook_without_a_record_was_not_run() -> None:
    found = judged(a_claim(), None, BRATS)
    assert (found.verdict, found.obtained) == ("not run", None)
    assert found.reason == "study brats has no record of 05_fusion"
    phantoms = replace(BRATS, real_data=False)
    both = judged(a_claim(), None, phantoms)
    assert both.verdict == "not run"
    assert "synthetic" in both.reason


def test_a_number_that_a_study_does_not_make_was_not_run() -> None:
    found = judged(a_claim(value="other"), a_record(), BRATS)
    assert (found.verdict, found.obtained) == ("not run", None)
    assert found.reason == "the record of 05_fusion has no other: this study did not make it"


def test_a_record_that_is_not_the_claims_is_refused() -> None:
    for change in ({"notebook": "06_train_resnet50"}, {"study": "demo"}, {"variant": "seed2"}):
        with pytest.raises(RecordError, match="give its own record"):
            judged(a_claim(), a_record(**change), BRATS)
    with pytest.raises(RecordError, match="divide percentages by 100"):
        judged(a_claim(unit="%"), a_record(value=60.0), BRATS)


def test_a_claim_can_be_about_a_variant() -> None:
    record = a_record((0.7, 0.8), variant="focal")
    assert judged(a_claim(variant="focal"), record, BRATS).verdict == "reproduced"


def test_the_table_says_it_in_words() -> None:
    percent = a_claim(unit="%", published=0.9925)
    done = judged(percent, a_record((0.98, 0.995), 0.99), BRATS)
    table = outcome.table([done, judged(a_claim(id="C2"), None, BRATS)])
    first, second = table.to_dict("records")
    assert first["published"] == "99.25 %"
    assert first["obtained"] == "99.00 %"
    assert first["95 % interval"] == "98.00 % to 99.50 %"
    assert "98.25 %" in first["decision rule"]
    assert (first["patients"], first["unit"]) == ("74", "–")
    assert (second["claim"], second["verdict"], second["obtained"]) == ("C2", "not run", "–")
    assert second["unit"] == a_claim().unit


def test_the_commits_of_rule_and_run_stand_beside_the_verdict() -> None:
    done = judged(a_claim(), a_record(provenance={"commit": "9362d2112345"}), BRATS)
    columns = ["rule fixed", "rule commit", "run commit"]
    row = outcome.table([done]).iloc[0]
    assert row[columns].tolist() == ["before the first run", "2952f5b", "9362d2112345"]
    late = {"commit": "29c17f3", "date": "2026-11-24", "before_first_run": False}
    other = outcome.table([judged(a_claim(fixed=late), None, BRATS)]).iloc[0]
    assert other[columns].tolist() == ["after a first look", "29c17f3", "–"]


def test_no_claim_about_patients_can_be_judged_on_phantoms() -> None:
    context = AStudy("brats", real_data=False, full_size=True, weights="imagenet")
    about_patients = [one for one in claims.load() if one.id not in ("Q3", "W1", "W2", "W3")]
    for claim in about_patients:
        value = Value(claim.value, 0.99, (0.98, 1.0), n_patients=500, rule="mean", n_seeds=3)
        record = a_record(values=(value,), notebook=claim.notebook)
        assert judged(claim, record, context, PASSED).verdict == "not testable on this data"
        assert judged(claim, record, BRATS, PASSED).verdict != "not testable on this data"


def test_random_weights_restrict_just_the_claims_of_the_classifier() -> None:
    context = replace(BRATS, weights="random")
    restricted = []
    for claim in claims.load():
        value = Value(claim.value, 0.99, (0.98, 1.0), n_patients=500, rule="mean", n_seeds=3)
        found = judged(claim, a_record(values=(value,), notebook=claim.notebook), context, PASSED)
        if found.protocol == "restricted":
            restricted.append(claim.id)
            assert (found.verdict == "not testable on this data") == (claim.id == "F1")
    assert restricted == ["C1", "C2", "C3", "C4", "C5", "C6", "C11", "E2", "F1", "L1", "L2"]


def test_only_the_paper_can_be_reproduced() -> None:
    for letter in claims.GROUPS:
        yes, no = a_claim(id=f"{letter}1").words
        assert ("reproduced" in yes) == (letter == "C") == ("reproduced" in no)
        assert (yes == "problem confirmed") == (letter in "FLW") == (no == "problem not confirmed")
    ours = judged(a_claim(id="Q1"), a_record((0.7, 0.8)), BRATS)
    assert ours.verdict == "holds" and "holds" in ours.claim.rule
    assert ours.claim.group == "its open questions"


def test_a_reader_gets_the_digits_of_the_interval_and_the_table_keeps_four() -> None:
    claim = a_claim(unit="Dice")
    (value,) = (one for one in a_record((0.61, 0.85), 0.75468).values if one.name == claim.value)
    assert claim.told(value) == ("0.75", "0.61 to 0.85")
    assert claim.told(replace(value, ci95=None)) == ("0.7547", "–")
    assert claim.told(None) == ("–", "–")
    assert a_claim(unit="%").told(value) == ("75.47 %", "61.00 % to 85.00 %")
    found = judged(claim, a_record((0.61, 0.85), 0.75468), BRATS)
    assert outcome.table([found]).loc[0, "obtained"] == "0.7547"


@pytest.mark.parametrize(
    ("value", "shown", "verdict"),
    [(1.0, "found", "problem confirmed"), (0.0, "not found", "problem not confirmed"),
     (math.nan, "cannot tell", "not testable on this data")],
)  # fmt: skip
def test_a_diagnosis_is_shown_in_words(value: float, shown: str, verdict: str) -> None:
    claim = a_claim(id="F1", published=None, decision={"kind": "found"})
    found = judged(claim, a_record(None, value), BRATS)
    assert (found.verdict, outcome.table([found]).loc[0, "obtained"]) == (verdict, shown)


GATE = {"notebook": "07_baselines", "value": "classifier_gate"}
FAILED = replace(PASSED, value=0.0, note="ResNet50 fails its control: accuracy 0.77 on true masks")


@pytest.mark.parametrize("ci95", [(0.7, 0.8), (0.1, 0.2), None])
def test_a_classifier_below_its_gate_is_not_judged(ci95: Any) -> None:
    claim, record = a_claim(gate=GATE), a_record(ci95)
    failed = judged(claim, record, BRATS, FAILED)
    assert failed.verdict == "not judged" and failed.reasons == (FAILED.note,)
    assert failed.obtained == record.values[0], "the number is shown, and not interpreted"
    unknown = judged(claim, record, BRATS)
    assert (
        unknown.verdict == "not judged" and "no classifier_gate of 07_baselines" in unknown.reason
    )
    passed, plain = (
        judged(claim, record, BRATS, PASSED),
        judged(a_claim(), record, BRATS),
    )
    assert (passed.verdict, passed.reasons) == (plain.verdict, plain.reasons)
    synthetic = judged(claim, record, replace(BRATS, real_data=False), FAILED)
    assert synthetic.verdict == "not judged" and "synthetic" in synthetic.reasons[1]


@pytest.mark.parametrize(
    ("n_seeds", "expected", "reason"),
    [
        (0, "inconclusive", "one training: its noise is not known"),
        (1, "inconclusive", "one training: its noise is not known"),
        (2, "inconclusive", "2 trainings of each network, 3 needed"),
        (3, "reproduced", "the whole interval is at or above 0.59"),
    ],
)
def test_one_training_decides_nothing(n_seeds: int, expected: str, reason: str) -> None:
    needs = {"real_data": True, "min_patients": 30, "min_seeds": 3, "full_size": True}
    value = replace(a_record((0.7, 0.8)).values[0], n_seeds=n_seeds)
    found = judged(a_claim(testable_on=needs), a_record(values=(value,)), BRATS)
    assert (found.verdict, found.reason) == (expected, reason)


def test_a_number_that_cannot_be_given_says_why() -> None:
    value = replace(a_record(None, math.nan).values[0], note="no patient has necrotic core")
    found = judged(a_claim(), a_record(values=(value,)), BRATS)
    assert found.verdict == "not testable on this data"
    assert found.reasons == ("no patient has necrotic core",)


def test_what_nobody_may_overlook_stands_among_the_reasons() -> None:
    value = replace(a_record((0.7, 0.8)).values[0], note="patient A alone makes it")
    found = judged(a_claim(), a_record(values=(value,)), BRATS)
    assert found.verdict == "reproduced" and found.reasons[1:] == ("patient A alone makes it",)


def test_a_reference_is_compared_with_and_named() -> None:
    other = {"value": 0.6, "source": "winner of BraTS 2020"}
    claim = a_claim(published=None, reference=other, decision={"kind": "at_least", "margin": 0.0})
    assert verdict(claim, (0.6, 0.7)) == "reproduced"
    assert verdict(claim, (0.5, 0.59)) == "not reproduced"
    row = outcome.table([judged(claim, a_record(), BRATS)]).iloc[0]
    assert (row["published"], row["reference"]) == ("–", "0.6 (winner of BraTS 2020)")


@pytest.mark.parametrize(
    ("ci95", "expected"),
    [
        ((0.01, 0.04), "problem confirmed"),
        ((0.009, 0.04), "inconclusive"),
        ((0.0, 0.0099), "problem not confirmed"),
    ],
)
def test_a_crop_that_cuts_off_hardly_anything_is_no_problem(ci95: Any, expected: str) -> None:
    claim = {claim.id: claim for claim in claims.load()}["L3"]
    value = Value(claim.value, sum(ci95) / 2, ci95, 40, rule="mean")
    found = outcome.judge_values(claim, [value], BRATS)
    assert found.verdict == expected


def test_no_tumour_everywhere_must_reach_the_printed_number_in_the_frame_of_the_paper() -> None:
    claim = {claim.id: claim for claim in claims.load()}["W3"]
    for share, expected in ((0.9925, "problem confirmed"), (0.9642, "problem not confirmed")):
        value = Value("no_tumour_accuracy_crop", share, rule="mean")
        assert outcome.judge_values(claim, [value], BRATS).verdict == expected


# --- a restricted study decides comparisons, refutes no level, says what it falls short of

BOXES = replace(BRATS, full_size=False, weights="random", extent="boxes")
PHANTOMS = replace(BRATS, real_data=False)
FIXED = {"commit": "abcdef1", "date": "2026-11-29", "before_first_run": False, "known": "before"}
COMPARED = {"use": "comparison", "fixed": FIXED}
NEEDS = {"real_data": True, "min_patients": 30, "full_size": True, "weights": ["imagenet"]}
ARITHMETIC = {"real_data": False, "min_patients": 0, "full_size": False}


def compared(**changes: Any) -> claims.Claim:
    return a_claim(
        **{"decision": {"kind": "at_least", "limit": 0.6}, "testable_on": NEEDS, **changes}
    )


def judged_in(context: Any, ci95: Any, n: int = 368, **changes: Any) -> outcome.Verdict:
    value = Value("number", sum(ci95) / 2, ci95, n, rule="mean over patients")
    return outcome.judge_values(compared(**changes), [value], context)


@pytest.mark.parametrize(
    ("use", "ci95", "verdict"),
    [
        ("comparison", (0.7, 0.8), "reproduced"),
        ("comparison", (0.4, 0.5), "not reproduced"),
        ("comparison", (0.5, 0.7), "inconclusive"),
        ("level", (0.7, 0.8), "reproduced"),
        ("level", (0.4, 0.5), "not reached under this restriction"),
        ("level", (0.5, 0.7), "inconclusive"),
    ],
)
def test_the_use_of_a_claim_decides_what_a_restricted_no_is_called(
    use: str, ci95: Any, verdict: str
) -> None:
    restricted = {"use": use, "fixed": FIXED}
    found = judged_in(BOXES, ci95, restricted=restricted)
    assert (found.verdict, found.protocol) == (verdict, "restricted")
    assert judged_in(BRATS, (0.4, 0.5), restricted=restricted).verdict == "not reproduced"


def test_each_restriction_is_said_with_what_it_could_change() -> None:
    found = judged_in(BOXES, (0.7, 0.8), restricted=COMPARED)
    assert len(found.restrictions) == 3
    for words in ("smaller", "random weights", "false alarms", "abcdef1, before"):
        assert words in found.restriction
    row = outcome.table([found]).iloc[0]
    assert (row["rests on"], row["restriction"]) == ("restricted", found.restriction)
    assert judged_in(BRATS, (0.7, 0.8), restricted=COMPARED).restriction == "–"


def test_a_study_of_masks_says_that_no_network_spoke() -> None:
    context = replace(BRATS, extent="masks")
    found = judged_in(context, (0.7, 0.8), restricted=COMPARED)
    assert found.protocol == "restricted" and "masks" in found.restriction
    tables = {**NEEDS, "whole_head": False}
    assert judged_in(context, (0.7, 0.8), testable_on=tables).protocol == "full protocol"


def test_without_a_restricted_use_a_shortfall_bars_the_claim() -> None:
    found = judged_in(BOXES, (0.7, 0.8))
    assert (found.verdict, found.protocol) == ("not testable on this data", "restricted")
    assert "false alarms" in found.reason and not found.restrictions


@pytest.mark.parametrize(("change", "n"), [({"real_data": False}, 368), ({}, 29)])
def test_phantoms_and_few_patients_stay_barred(change: Any, n: int) -> None:
    found = judged_in(replace(BOXES, **change), (0.7, 0.8), n, restricted=COMPARED)
    assert found.verdict == "not testable on this data"


def test_on_what_a_verdict_stands() -> None:
    assert outcome.protocol(compared(), BRATS) == "full protocol"
    assert outcome.protocol(compared(), PHANTOMS) == "synthetic"
    assert outcome.protocol(compared(testable_on=ARITHMETIC), PHANTOMS) == "none needed"


@pytest.mark.parametrize("extent", ["boxes", "masks"])
def test_what_the_abstract_alone_decides_no_data_bar(extent: str) -> None:
    study, by_id = replace(BRATS, extent=extent), {claim.id: claim for claim in claims.load()}
    for name in ("W1", "W2"):
        assert outcome.restrictions(by_id[name].testable_on, study) == []
    # background of a crop is that of whole heads
    assert outcome.restrictions(by_id["W3"].testable_on, study)
