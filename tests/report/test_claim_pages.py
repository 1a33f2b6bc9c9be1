"""The page of a statement: its number on a line, its rule, and what changes it."""

import math
from dataclasses import replace
from pathlib import Path

import pytest

from gliomalib import records, settings
from gliomalib.report import claim_pages, pages
from gliomalib.report.statements import Number, Statement
from gliomalib.schema import Value
from gliomalib.verdicts import claims
from tests import planted_report as planted
from tests.report.reading import soup, words_of

GAIN = "fused_minus_2d_mean_dice"
ROW = "C7,Fusing gains,–,0.019,reproduced,the interval is above 0,05_fusion,the paper's claims\n"


def statement(claim_id: str, value: Value) -> Statement:
    claim = next(one for one in claims.load() if one.id == claim_id)
    row = {"claim": claim_id, "verdict": "holds", "notebook": claim.notebook}
    return Statement(row, Number(value, "html/x.html#y"), claim=claim)


def test_a_line_keeps_the_order_and_the_distances_of_its_numbers() -> None:
    line = claim_pages.line(statement("C7", Value(GAIN, 0.02, (0.015, 0.03), 9)))
    assert line is not None
    places = {(mark.kind, mark.text): mark.at for mark in line.marks}
    zero, least = places["limit", "0"], places["limit", "0.01"]
    value = places["obtained", "0.02"]
    assert 0 < zero < least < line.start < value < line.start + line.width < 100
    assert value - least == pytest.approx(least - zero, abs=0.02), "equal steps are equal lengths"
    assert line.width == pytest.approx(1.5 * (least - zero), abs=0.03)


def test_a_printed_number_stands_on_the_line() -> None:
    line = claim_pages.line(statement("C1", Value("accuracy", 0.78, (0.76, 0.81), 9)))
    assert line is not None
    assert {mark.kind: mark.text for mark in line.marks} == {
        "obtained": "78.00 %",
        "limit": "98.25 %",
        "reference": "99.25 %",
    }


@pytest.mark.parametrize(
    ("claim_id", "value"),
    [("F2", Value("ring_artefacts", 0.0, None, 9)), ("C7", Value(GAIN, math.nan, None, 9))],
)
def test_what_is_no_number_has_no_line(claim_id: str, value: Value) -> None:
    assert claim_pages.line(statement(claim_id, value)) is None


def test_one_number_alone_has_a_place() -> None:
    line = claim_pages.line(statement("W1", Value("relations_impossible", 1.0, None, 0)))
    assert line is not None and line.width == 0
    assert all(0 < mark.at < 100 for mark in line.marks)


@pytest.fixture
def judged(folder: Path) -> Path:
    study = settings.load("demo")
    found = [
        Value(GAIN, 0.019, (0.016, 0.021), 368, rule="paired"),
        Value(f"{GAIN}_lgg", 0.002, (-0.01, 0.02), 76, rule="paired", note="one patient decides"),
        Value("fused_minus_3d_mean_dice", 0.5, None, 368, rule="another"),
    ]
    records.write(planted.record(study, "05_fusion", found), folder)
    table = records.table_path(folder, "16_reproducibility_report.verdicts")
    table.write_text(table.read_text() + ROW)
    return folder


def page_of(folder: Path, name: str) -> str:
    report = pages.collect(settings.load("demo"), folder)
    return dict(claim_pages.every_page(report))[name]


def test_a_page_has_statement_number_rule_and_cell(judged: Path) -> None:
    page = soup(page_of(judged, "claim-C7"))
    assert page.h1.get_text() == "Fusing gains"
    assert page.select_one(".verdict .chip").get_text() == "reproduced"
    number = page.select_one(".big a.number")
    assert number.get_text() == "0.0190"
    assert number["href"] == f"05_fusion.html#value-{GAIN}"
    assert "0.0160 to 0.0210" in words_of(page.select_one(".big"))


def test_the_pixel_recipe_stands_beside_in_both_frames(judged: Path) -> None:
    run = "12_metric_forensics"
    value = Value("recipe_box_accuracy", 0.97, (0.9, 0.99), 12, rule="pooled")
    records.write(planted.record(settings.load("demo"), run, [value]), judged)
    planted.write_notebook(judged, run, planted.executed("Forensics"))
    report = pages.collect(settings.load("demo"), judged)
    columns = {"pixel recipe, crop": "97.00 %", "pixel recipe, whole scan": "98.00 %"}
    row = {**report.verdicts[0], "claim": "C1", "notebook": "06_train_resnet50", **columns}
    page = soup(dict(claim_pages.every_page(replace(report, verdicts=[row])))["claim-C1"])
    found = {term.text: term.find_next("dd") for term in page.select("dl.table dt")}
    assert {name: words_of(found[name]).split(" decides")[0] for name in columns} == columns
    crop, scan = (found[name].a for name in columns)
    assert crop["href"] == f"{run}.html#value-recipe_box_accuracy" and scan is None


def test_other_choices_of_the_same_number_stand_beside_it(judged: Path) -> None:
    rows = soup(page_of(judged, "claim-C7")).select("#changes tbody tr")
    assert [words_of(row.th) for row in rows] == ["lgg one patient decides"]
    assert rows[0].a["href"] == f"05_fusion.html#value-{GAIN}_lgg"


def test_a_variant_is_another_choice(judged: Path) -> None:
    report = pages.collect(settings.load("demo"), judged)
    first = next(one for one in report.statements if one.row["claim"] == "C7")
    other = planted.record(settings.load("demo"), "05_fusion.seed2", [Value(GAIN, 0.5, None, 9)])
    records.write(other, judged)
    found = claim_pages.changes(pages.collect(report.study, judged), first)
    assert [(label, number.value.value) for label, number in found][-1] == ("seed2", 0.5)
    assert claim_pages.changes(report, replace(first, claim=None)) == []
    assert first.claim is not None
    of_variant = first.claim.model_copy(update={"variant": "seed2"})
    found = claim_pages.changes(report, replace(first, claim=of_variant))
    assert [label for label, _ in found] == ["the study's own run"]


def test_every_statement_leads_to_the_next(judged: Path) -> None:
    report = pages.collect(settings.load("demo"), judged)
    names = [name for name, _ in claim_pages.every_page(report)]
    for (name, page), before, after in zip(
        claim_pages.every_page(report), [None, *names], [*names[1:], None], strict=False
    ):
        steps = {rel: soup(page).find("a", rel=rel) for rel in ("prev", "next")}
        wanted = {"prev": before, "next": after}
        for rel, link in steps.items():
            assert (link and link["href"]) == (wanted[rel] and f"{wanted[rel]}.html"), name


def test_an_id_that_is_none_gets_no_page(folder: Path) -> None:
    table = records.table_path(folder, "16_reproducibility_report.verdicts")
    table.write_text(table.read_text() + ROW.replace("C7", "../../C7"))
    report = pages.collect(settings.load("demo"), folder)
    assert "../../C7" in [one.row["claim"] for one in report.statements]
    assert not [name for name, _ in claim_pages.every_page(report) if "." in name]
