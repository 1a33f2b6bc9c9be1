"""Rows of the verdict table beside today's records."""

from dataclasses import replace
from types import SimpleNamespace

import pandas as pd
import pytest
from bs4 import BeautifulSoup

from gliomalib import records, settings
from gliomalib.report import cleaning, pages, statements
from gliomalib.schema import Record, Value

RUN = "06_train_resnet50"


def record(value: float) -> Record:
    values = (Value("accuracy", value, (0.8, 0.9), 12, rule="slices pooled"),)
    return Record(RUN, "small", "", (), values, {}, 1, "cpu", 1.0, 1, {})


def row(**changes: str) -> dict[str, str]:
    return {"claim": "C1", "obtained": "86.10 %", "notebook": RUN, **changes}


def one(
    found: dict[str, Record], executed: object = "a copy", **changes: str
) -> statements.Statement:
    runs = [
        SimpleNamespace(name=name, record=made, executed=executed) for name, made in found.items()
    ]
    return pages.Report(settings.load("smoke"), runs, [row(**changes)], "", None).statements[0]


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
    found = one({RUN: record(0.861)}, executed=None)
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


def page() -> str:
    values = [Value(name, 0.5, rule="made up") for name in ("dice_ET", "dice_WT")]
    shown = cleaning.clean(records.value_table(values).to_html(), "05")
    other = cleaning.clean(pd.DataFrame({"name": ["rings"], "n": [3]}).to_html(), "05")
    return (
        '<div class="cell text" id="cell-1">dice_ET, rings and unseen are explained here</div>'
        f'<div class="cell" id="cell-2"><div class="output">{other}</div></div>'
        f'<div class="cell" id="cell-3"><div class="output">{shown}</div></div>'
        f'<div class="cell" id="cell-4"><div class="output">{shown}</div></div>'
        '<div class="cell" id="cell-5"><details class="code"><span>records</span>.finish(run)'
        "</details></div>"
        '<div class="cell" id="cell-6"><div class="output">versions</div></div>'
    )


@pytest.mark.parametrize(
    ("name", "kind", "cell"),
    [
        # the row in the first table of values, the cell that shows it, the one of the record
        ("dice_ET", "tr", "cell-3"),
        ("dice_WT", "tr", "cell-3"),
        ("rings", "span", "cell-2"),
        ("unseen", "span", "cell-5"),
    ],
)
def test_every_value_has_one_place(name: str, kind: str, cell: str) -> None:
    marked = statements.marked(page(), ["dice_ET", "dice_WT", "rings", "unseen"])
    (tag,) = marked.find_all(id=statements.anchor(name))
    assert (tag.name, tag.find_parent(class_="cell")["id"]) == (kind, cell)


def test_nothing_else_of_the_page_changes() -> None:
    assert str(statements.marked(page(), [])) == str(BeautifulSoup(page(), "html.parser"))
    assert str(statements.marked("", ["dice_ET"])) == ""


def test_anchor_is_one_word_without_quotes() -> None:
    assert statements.anchor('weights "0.1" <1>') == "value-weights-0.1-1-"
