"""Each rule decides at its borders, gates come first, and a changed rule changes the verdict."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from gliomalib.runner.chain import CHAIN
from gliomalib.schema import Record, RecordError, SettingsError, Value
from gliomalib.settings import PAPER_ALPHA
from gliomalib.verdicts import claims

BRATS = claims.Context(study="brats", real_data=True, full_size=True, weights="imagenet")
AT_LEAST = {"kind": "at_least", "margin": 0.01}
GAIN = {"kind": "greater_than_zero", "smallest_gain": 0.01}
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


def verdict(claim: claims.Claim, ci95: Any, context: claims.Context = BRATS) -> str:
    return claims.judge(claim, a_record(ci95), context).verdict


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
    found = claims.judge(claim, a_record(ci95), BRATS)
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
    found = claims.judge(a_claim(decision=CONTAINS), a_record((0.5, 0.7)), BRATS)
    assert "not contradicted" in found.reason


def test_an_undefined_number_decides_nothing() -> None:
    found = claims.judge(a_claim(), a_record((0.7, 0.8), math.nan), BRATS)
    assert found.verdict == "inconclusive"
    assert claims.table([found]).loc[0, "obtained"] == "undefined"


GATES = [
    ({"real_data": False}, "synthetic"),
    ({"full_size": False}, "smaller than"),
    ({"weights": "random"}, "random weights"),
]


@pytest.mark.parametrize(("change", "words"), GATES)
@pytest.mark.parametrize("ci95", [(0.9, 0.95), (0.1, 0.2), None])
def test_gates_come_before_the_rule(change: Any, words: str, ci95: Any) -> None:
    needs = {"real_data": True, "min_patients": 30, "full_size": True, "weights": ["imagenet"]}
    found = claims.judge(a_claim(testable_on=needs), a_record(ci95), replace(BRATS, **change))
    assert found.verdict == "not testable on this data"
    assert words in found.reason
    assert found.obtained == a_record(ci95).values[0]


def test_a_gate_that_the_claim_does_not_ask_for_is_open() -> None:
    needs = {"real_data": False, "min_patients": 1, "full_size": False}
    context = claims.Context("brats", real_data=False, full_size=False, weights="random")
    assert verdict(a_claim(testable_on=needs), (0.7, 0.8), context) == "reproduced"


@pytest.mark.parametrize(
    ("n_patients", "expected"), [(29, "not testable on this data"), (30, "reproduced")]
)
def test_few_patients_test_nothing(n_patients: int, expected: str) -> None:
    found = claims.judge(a_claim(), a_record((0.7, 0.8), 0.75, n_patients), BRATS)
    assert found.verdict == expected
    if n_patients == 29:
        assert "29 test patients, at least 30 needed" in found.reason


def test_every_closed_gate_is_named() -> None:
    context = claims.Context("brats", real_data=False, full_size=False, weights="random")
    found = claims.judge(a_claim(), a_record(n_patients=2), context)
    for words in ("synthetic", "smaller", "2 test patients"):
        assert words in found.reason


def test_a_notebook_without_a_record_was_not_run() -> None:
    found = claims.judge(a_claim(), None, BRATS)
    assert (found.verdict, found.obtained) == ("not run", None)
    assert found.reason == "study brats has no record of 05_fusion"
    phantoms = replace(BRATS, real_data=False)
    both = claims.judge(a_claim(), None, phantoms)
    assert both.verdict == "not run"
    assert "synthetic" in both.reason


def test_a_number_that_a_study_does_not_make_was_not_run() -> None:
    found = claims.judge(a_claim(value="other"), a_record(), BRATS)
    assert (found.verdict, found.obtained) == ("not run", None)
    assert found.reason == "the record of 05_fusion has no other: this study did not make it"


def test_a_record_that_is_not_the_claims_is_refused() -> None:
    for change in ({"notebook": "06_train_resnet50"}, {"study": "demo"}, {"variant": "seed2"}):
        with pytest.raises(RecordError, match="give its own record"):
            claims.judge(a_claim(), a_record(**change), BRATS)
    with pytest.raises(RecordError, match="no value 'other' for claim C1, only number"):
        claims.number(a_claim(value="other"), a_record(), BRATS)
    with pytest.raises(RecordError, match="divide percentages by 100"):
        claims.judge(a_claim(unit="%"), a_record(value=60.0), BRATS)


def test_a_claim_can_be_about_a_variant() -> None:
    record = a_record((0.7, 0.8), variant="focal")
    assert claims.judge(a_claim(variant="focal"), record, BRATS).verdict == "reproduced"


def test_the_table_says_it_in_words() -> None:
    percent = a_claim(unit="%", published=0.9925)
    done = claims.judge(percent, a_record((0.98, 0.995), 0.99), BRATS)
    table = claims.table([done, claims.judge(a_claim(id="C2"), None, BRATS)])
    first, second = table.to_dict("records")
    assert first["published"] == "99.25 %"
    assert first["obtained"] == "99.00 %"
    assert first["95 % interval"] == "98.00 % to 99.50 %"
    assert "98.25 %" in first["decision rule"]
    assert (first["patients"], first["unit"]) == ("74", "–")
    assert (second["claim"], second["verdict"], second["obtained"]) == ("C2", "not run", "–")
    assert second["unit"] == a_claim().unit


def test_the_papers_claims_stand_in_the_file() -> None:
    found = {claim.id: claim for claim in claims.load()}
    letters = [one[0] for one in found]
    assert "".join(dict.fromkeys(letters)) == "CEQFLMW" == "".join(claims.GROUPS)
    assert list(found) == [
        f"{letter}{number}" for letter in claims.GROUPS for number in _upto(letters.count(letter))
    ]
    classified = [c for c in found.values() if c.notebook[:2] == "06" and c.id[0] == "C"]
    numbers = {c.value: c.published for c in classified}
    assert numbers == {
        "accuracy": 0.9925,
        "precision": 0.9930,
        "recall": 0.9910,
        "f1": 0.9919,
        "iou": 0.8449,
        "specificity": 0.9976,
    }
    asked = {(c.notebook, c.value, c.decision.kind) for c in found.values()}
    assert ("05_fusion", "fused_minus_2d_mean_dice", "greater_than_zero") in asked
    assert ("05_fusion", "fused_minus_3d_mean_dice", "greater_than_zero") in asked
    assert ("08_alpha_sweep", "best_alpha", "contains") in asked


def _upto(count: int) -> range:
    return range(1, count + 1)


def test_each_of_the_six_scores_has_a_faithful_counterpart() -> None:
    found = {claim.id: claim.faithful for claim in claims.load()}
    assert all(found[f"C{number}"] is not None for number in _upto(6))
    assert {one.notebook for one in found.values() if one} == {"12_metric_forensics"}


def test_every_notebook_of_a_statement_is_one_of_the_chain() -> None:
    for claim in claims.load():
        assert claim.notebook in CHAIN
        assert claim.faithful is None or claim.faithful.notebook in CHAIN


def test_no_claim_about_patients_can_be_judged_on_phantoms() -> None:
    context = claims.Context("brats", real_data=False, full_size=True, weights="imagenet")
    about_patients = [one for one in claims.load() if one.id not in ("Q3", "W1", "W2", "W3")]
    for claim in about_patients:
        value = Value(claim.value, 0.99, (0.98, 1.0), n_patients=500, rule="mean")
        record = a_record(values=(value,), notebook=claim.notebook)
        assert claims.judge(claim, record, context).verdict == "not testable on this data"
        assert claims.judge(claim, record, BRATS).verdict != "not testable on this data"


def test_random_weights_close_just_the_claims_of_the_classifier() -> None:
    context = replace(BRATS, weights="random")
    closed = []
    for claim in claims.load():
        value = Value(claim.value, 0.99, (0.98, 1.0), n_patients=500, rule="mean")
        found = claims.judge(claim, a_record(values=(value,), notebook=claim.notebook), context)
        if found.verdict == "not testable on this data":
            closed.append(claim.id)
    assert closed == ["C1", "C2", "C3", "C4", "C5", "C6", "C11", "E2", "F1", "L1", "L2"]


def test_only_the_paper_can_be_reproduced() -> None:
    for letter in claims.GROUPS:
        yes, no = a_claim(id=f"{letter}1").words
        assert (yes, no) == (
            ("reproduced", "not reproduced") if letter == "C" else ("holds", "does not hold")
        )
    ours = claims.judge(a_claim(id="Q1"), a_record((0.7, 0.8)), BRATS)
    assert ours.verdict == "holds" and "holds" in ours.claim.rule
    assert ours.claim.group == "its open questions"


def test_a_reader_gets_the_digits_of_the_interval_and_the_table_keeps_four() -> None:
    claim = a_claim(unit="Dice")
    (value,) = (one for one in a_record((0.61, 0.85), 0.75468).values if one.name == claim.value)
    assert claim.told(value) == ("0.75", "0.61 to 0.85")
    assert claim.told(replace(value, ci95=None)) == ("0.7547", "–")
    assert claim.told(None) == ("–", "–")
    assert a_claim(unit="%").told(value) == ("75.47 %", "61.00 % to 85.00 %")
    found = claims.judge(claim, a_record((0.61, 0.85), 0.75468), BRATS)
    assert claims.table([found]).loc[0, "obtained"] == "0.7547"


@pytest.mark.parametrize(
    ("value", "shown", "verdict"),
    [(1.0, "found", "holds"), (0.0, "not found", "does not hold"),
     (math.nan, "cannot tell", "inconclusive")],
)  # fmt: skip
def test_a_diagnosis_is_shown_in_words(value: float, shown: str, verdict: str) -> None:
    claim = a_claim(id="F1", published=None, decision={"kind": "found"})
    found = claims.judge(claim, a_record(None, value), BRATS)
    assert (found.verdict, claims.table([found]).loc[0, "obtained"]) == (verdict, shown)


def edited(tmp_path: Path, edit: Any) -> Path:
    """Write a copy of the paper's file with one thing changed."""
    content = yaml.safe_load(claims.PUBLISHED.read_text(encoding="utf-8"))
    edit(content)
    path = tmp_path / "published.yml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda c: c["claims"][0].update(margn=1), r"claims\.0\.margn"),
        (lambda c: c["claims"][0]["decision"].update(slack=1), r"claims\.0\.decision.*slack"),
        (lambda c: c["claims"][0]["testable_on"].update(moon=1), r"claims\.0\.testable_on\.moon"),
        (lambda c: c.update(author="x"), "author"),
        (lambda c: c["claims"][1].pop("value"), r"claims\.1\.value"),
        (lambda c: c["claims"][0]["decision"].update(kind="equal"), r"claims\.0\.decision"),
        (lambda c: c["claims"][0]["decision"].update(margin=-1), r"margin"),
        (lambda c: c["claims"][0].pop("published"), "at_least needs a published number"),
        (lambda c: c["claims"][1].update(id="C1"), "C1 is duplicated"),
        (lambda c: c["claims"][1].update(id="claim 2"), r"claims\.1\.id"),
        (lambda c: c["claims"][1].update(id="X2"), r"claims\.1\.id"),
        (lambda c: c["claims"][0]["faithful"].pop("value"), r"claims\.0\.faithful\.value"),
        (lambda c: c.update(claims=[]), "claims"),
    ],
)
def test_a_fault_in_the_file_is_named(tmp_path: Path, edit: Any, words: str) -> None:
    with pytest.raises(SettingsError, match=words) as caught:
        claims.load(edited(tmp_path, edit))
    assert "published.yml" in str(caught.value)


def test_an_unchanged_copy_of_the_file_is_read(tmp_path: Path) -> None:
    assert claims.load(edited(tmp_path, lambda content: None)) == claims.load()


def test_a_missing_or_broken_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"none\.yml: this file is missing"):
        claims.load(tmp_path / "none.yml")
    (tmp_path / "bad.yml").write_text("claims: [", encoding="utf-8")
    with pytest.raises(SettingsError, match=r"bad\.yml: not YAML"):
        claims.load(tmp_path / "bad.yml")


def test_printed_numbers_are_those_of_one_notebook_without_its_variants() -> None:
    numbers = claims.printed(claims.load(), "06_train_resnet50")
    assert numbers["accuracy"] == 0.9925 and numbers["iou"] == 0.8449
    assert "best_alpha" not in numbers


def test_the_weight_that_is_judged_is_the_weight_that_is_used() -> None:
    published = {claim.id: claim.published for claim in claims.load()}
    assert published["C9"] == PAPER_ALPHA
