"""Rows of the verdict table beside today's records."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gliomalib.report import statements
from gliomalib.schema import Record, SettingsError, Value
from gliomalib.verdicts import claims

RUN = "06_train_resnet50"


def record(value: float) -> Record:
    values = (Value("accuracy", value, (0.8, 0.9), 12, rule="slices pooled"),)
    return Record(RUN, "small", "", (), values, {}, 1, "cpu", 1.0, 1, {})


def row(**changes: str) -> dict[str, str]:
    return {"claim": "C1", "obtained": "86.10 %", "notebook": RUN, **changes}


def one(found: dict[str, Record], **changes: str) -> statements.Statement:
    return statements.statements([row(**changes)], found, list(found))[0]


def test_number_is_that_of_the_claim_and_leads_to_its_place() -> None:
    found = one({RUN: record(0.861)})
    assert found.obtained is not None
    assert found.obtained.value.value == 0.861
    assert found.obtained.href == f"html/{RUN}.html#value-accuracy"
    assert found.note == ""


def test_unit_stands_behind_a_number_that_has_none_of_its_own() -> None:
    assert one({}).unit == "", "a percentage"
    assert one({}, claim="L1", notebook="11_leakage_audit").unit == "points"
    assert one({}, claim="F1").unit == "", "found or not found"


def test_a_change_too_small_to_be_read_is_told_and_shows_what_the_table_says() -> None:
    claim = {"claim": "L1", "notebook": "11_leakage_audit", "obtained": "8.021",
             "95 % interval": "2.698 to 14.06"}  # fmt: skip
    values = [Value("resnet50_slice_gain", gain, (2.698, 14.062), 3) for gain in (8.021, 8.024)]
    first, later = (
        one({"11_leakage_audit": replace(record(0.5), values=(value,))}, **claim)
        for value in values
    )
    assert (first.note, first.shown, first.interval) == ("", "8.0", "2.7 to 14.1")
    assert later.note.startswith("The record of 11_leakage_audit says 8.024 now")
    assert (later.shown, later.interval) == ("8.021", "2.698 to 14.06")


def test_record_without_a_page_has_no_address() -> None:
    found = statements.statements([row()], {RUN: record(0.861)}, [])[0]
    assert found.obtained is not None
    assert found.obtained.href == ""


def test_deleted_record_is_told_beside_its_number() -> None:
    found = one({})
    assert found.obtained is None
    assert found.note.startswith(f"The record of {RUN} with this number is missing now")


def test_record_that_says_something_else_now_is_told() -> None:
    assert one({RUN: record(0.5)}).note.startswith(f"The record of {RUN} says 50.00 % now")
    assert "now" in one({RUN: record(0.861)}, obtained="–").note, "it has run since"


def test_row_that_was_not_run_needs_no_note() -> None:
    assert one({}, obtained="–").note == ""


def test_row_of_another_claim_or_notebook_has_no_number() -> None:
    for changes in ({"claim": "C999"}, {"notebook": "05_fusion"}):
        found = one({RUN: record(0.861)}, **changes)
        assert (found.obtained, found.note) == (None, "")


def test_missing_file_of_claims_stops_no_page(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone() -> None:
        raise SettingsError("the paper's claims are missing")

    monkeypatch.setattr(claims, "load", gone)
    assert one({RUN: record(0.861)}).obtained is None
