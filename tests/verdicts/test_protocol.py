"""A restricted study decides comparisons, refutes no level, and says what it falls short of."""

from dataclasses import replace
from typing import Any

import pytest

from gliomalib.schema import Value
from gliomalib.verdicts import claims, outcome, protocol
from tests.verdicts.studies import AStudy

FULL = AStudy(study="brats", real_data=True, full_size=True, weights="imagenet")
BOXES = replace(FULL, full_size=False, weights="random", extent="boxes")
PHANTOMS = replace(FULL, real_data=False)
FIXED = {"commit": "abcdef1", "date": "2026-11-29", "before_first_run": False, "known": "before"}
COMPARED = {"use": "comparison", "fixed": FIXED}
NEEDS = {"real_data": True, "min_patients": 30, "full_size": True, "weights": ["imagenet"]}
ARITHMETIC = {"real_data": False, "min_patients": 0, "full_size": False}


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
        "decision": {"kind": "at_least", "limit": 0.6},
        "testable_on": NEEDS,
        "source": "abstract",
    }
    return claims.Claim.model_validate(content | changes)


def judged(context: Any, ci95: Any, n: int = 368, **changes: Any) -> outcome.Verdict:
    value = Value("number", sum(ci95) / 2, ci95, n, rule="mean over patients")
    return outcome.judge_values(a_claim(**changes), [value], context)


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
    found = judged(BOXES, ci95, restricted=restricted)
    assert (found.verdict, found.protocol) == (verdict, "restricted")
    assert judged(FULL, (0.4, 0.5), restricted=restricted).verdict == "not reproduced"


def test_each_restriction_is_said_with_what_it_could_change() -> None:
    found = judged(BOXES, (0.7, 0.8), restricted=COMPARED)
    assert len(found.restrictions) == 3
    for words in ("smaller", "random weights", "false alarms", "abcdef1, before"):
        assert words in found.restriction
    row = outcome.table([found]).iloc[0]
    assert (row["rests on"], row["restriction"]) == ("restricted", found.restriction)
    assert judged(FULL, (0.7, 0.8), restricted=COMPARED).restriction == "–"


def test_a_study_of_masks_says_that_no_network_spoke() -> None:
    context = replace(FULL, extent="masks")
    found = judged(context, (0.7, 0.8), restricted=COMPARED)
    assert found.protocol == "restricted" and "masks" in found.restriction
    tables = {**NEEDS, "whole_head": False}
    assert judged(context, (0.7, 0.8), testable_on=tables).protocol == "full protocol"


def test_without_a_restricted_use_a_shortfall_bars_the_claim() -> None:
    found = judged(BOXES, (0.7, 0.8))
    assert (found.verdict, found.protocol) == ("not testable on this data", "restricted")
    assert "false alarms" in found.reason and not found.restrictions


@pytest.mark.parametrize(("change", "n"), [({"real_data": False}, 368), ({}, 29)])
def test_phantoms_and_few_patients_stay_barred(change: Any, n: int) -> None:
    found = judged(replace(BOXES, **change), (0.7, 0.8), n, restricted=COMPARED)
    assert found.verdict == "not testable on this data"


def test_on_what_a_verdict_stands() -> None:
    assert protocol.protocol(a_claim(), FULL) == "full protocol"
    assert protocol.protocol(a_claim(), PHANTOMS) == "synthetic"
    assert protocol.protocol(a_claim(testable_on=ARITHMETIC), PHANTOMS) == "none needed"


@pytest.mark.parametrize("extent", ["boxes", "masks"])
def test_what_the_abstract_alone_decides_no_data_bar(extent: str) -> None:
    study, by_id = replace(FULL, extent=extent), {claim.id: claim for claim in claims.load()}
    for name in ("W1", "W2"):
        assert protocol.restrictions(by_id[name].testable_on, study) == []
    # background of a crop is that of whole heads
    assert protocol.restrictions(by_id["W3"].testable_on, study)
