"""Differences of executed notebooks, cell by cell."""

import base64
import json
from pathlib import Path

import pandas as pd
import pytest
from nbformat import NotebookNode, v4

from tests.report.compare.two_runs import (
    CLOCK,
    FUSION,
    LAST,
    PIXELS,
    VARIANT,
    change_cell,
    comparison,
    differing_cells,
    log,
    page_of,
    put,
    said,
    shown,
)


def test_a_changed_output_is_shown_as_a_small_difference(a: Path, b: Path) -> None:
    change_cell(b, 7, put(shown("text/markdown", "**Conclusion.** Dice is 0.71.")))
    assert differing_cells(a, b) == [(FUSION, "8", "differs", ("output",))]
    soup = page_of(a, b)
    cells = soup.select(f"article[id='{FUSION}'] .diff td:not([class])")
    assert [cell.get_text() for cell in cells] == [
        "**Conclusion.** Dice is 0.70.",
        "**Conclusion.** Dice is 0.71.",
    ]
    assert [mark.get_text() for mark in soup.select(".diff_chg")] == ["0", "1"]
    assert "Cell by cell, 34 came out the same and 1 differ." in said(soup, ".answer")
    assert "cell 8: output" in said(soup, f"article[id='{FUSION}']")


def test_a_table_is_compared_row_by_row_but_for_its_times(a: Path, b: Path) -> None:
    table = pd.DataFrame({"network": ["2D", "3D"], "dice": [0.5, 0.75], "seconds": [1.0, 2.0]})
    change_cell(b, 4, put(shown("text/html", table.to_html())))
    assert differing_cells(a, b) == []
    table.loc[1, "dice"] = 0.76
    change_cell(b, 4, put(shown("text/html", table.to_html())))
    assert differing_cells(a, b) == [(FUSION, "5", "differs", ("output",))]
    marked = [mark.get_text() for mark in page_of(a, b).select(".diff_chg")]
    assert marked == ["5", "6"], "of 0.75 and 0.76; the seconds are masked"


def test_rows_of_claims_that_a_clock_decides_do_not_count(a: Path, b: Path) -> None:
    def table(first: str, third: str) -> NotebookNode:
        rows = pd.DataFrame({"claim": ["C1", "Q3"], "obtained": [first, third]})
        return shown("text/html", rows.to_html())

    change_cell(a, 4, put(table("0.70", "1.5 s")), LAST)
    change_cell(b, 4, put(table("0.70", "1.9 s")), LAST)
    assert differing_cells(a, b) == []
    change_cell(b, 4, put(table("0.71", "1.9 s")), LAST)
    assert differing_cells(a, b) == [(LAST, "5", "differs", ("output",))]


LOG_LINE = "unet2d: epoch 8 of 8, val loss 0.03, 90 s, 0 s left\n"


@pytest.mark.parametrize(
    ("texts", "state"),
    [
        ([LOG_LINE], ""),
        (["unet2d: epoch 4 of 8, val loss 0.05, 45 s, 45 s left\n", LOG_LINE], ""),
        ([LOG_LINE[:24], LOG_LINE[24:]], ""),
        ([LOG_LINE.replace("0.03", "0.04")], "differs"),
        ([LOG_LINE, "a warning\n"], "differs"),
        ([""], ""),
    ],
)
def test_logs_are_compared_without_times_slow_steps_and_pieces(
    texts: list[str], state: str, a: Path, b: Path
) -> None:
    change_cell(b, 3, put(*map(log, texts)))
    assert [one[2] for one in differing_cells(a, b)] == [state] * bool(state)


def test_pictures_are_compared_by_their_bytes_and_shown_twice(a: Path, b: Path) -> None:
    change_cell(b, 5, put(shown("image/png", PIXELS[0], **{"image/png": {"alt": "reworded"}})))
    assert differing_cells(a, b) == [], "the same bytes"
    change_cell(b, 5, put(shown("image/png", PIXELS[1], **{"image/png": {"alt": "Bars of B"}})))
    assert differing_cells(a, b) == [(FUSION, "6", "differs", ("picture",))]
    pictures = page_of(a, b).select(".two img")
    assert [one["alt"] for one in pictures] == ["A: Bars of A", "B: Bars of B"]
    assert [str(one["src"]).rpartition(",")[2] for one in pictures] == [*PIXELS[:2]]
    change_cell(b, 5, put())
    assert "no picture here" in said(page_of(a, b), ".two")


def test_a_picture_in_another_format_is_another_picture(a: Path, b: Path) -> None:
    change_cell(b, 5, put(shown("image/svg+xml", "<svg/>")))
    assert differing_cells(a, b)[0][3] == ("picture",)
    source = str(page_of(a, b).select(".two img")[1]["src"])
    assert base64.b64decode(source.rpartition(",")[2]) == b"<svg/>"


def test_code_counts_exactly_and_the_folders_of_a_machine_do_not(a: Path, b: Path) -> None:
    change_cell(b, 2, lambda one: one.update(source='# Parameters\ndata_dir = "/tmp"\nseed = 3\n'))
    change_cell(b, 4, lambda one: one.update(source="table  \n"))
    assert differing_cells(a, b) == []
    change_cell(b, 2, lambda one: one.update(source='# Parameters\ndata_dir = "/tmp"\nseed = 4\n'))
    change_cell(b, 4, lambda one: one.update(source="table == 0x0000001"))
    change_cell(a, 4, lambda one: one.update(source="table == 0x0000002"))
    assert [one[1:] for one in differing_cells(a, b)] == [
        ("3", "differs", ("code",)),
        ("5", "differs", ("code",)),
    ]


def test_provenance_and_all_of_notebook_14_are_lenient_but_not_blind(a: Path, b: Path) -> None:
    change_cell(b, 6, put(shown("text/html", "<p>commit xyz</p>")))
    for number in (4, 7):
        change_cell(b, number, put(shown("text/plain", "another time")), CLOCK)
    assert [one[:3] for one in differing_cells(a, b)] == [
        (FUSION, "7", "clock"),
        (CLOCK, "5", "clock"),
        (CLOCK, "8", "clock"),
    ]
    assert comparison(a, b).same
    stopped = v4.new_output("error", ename="ValueError", evalue="no", traceback=[])
    change_cell(b, 7, put(stopped), CLOCK)
    change_cell(b, 5, put(), CLOCK)
    assert [one[:3] for one in differing_cells(a, b)][-2:] == [
        (CLOCK, "6", "differs"),
        (CLOCK, "8", "differs"),
    ]


def test_addresses_in_memory_do_not_count(a: Path, b: Path) -> None:
    for folder, place in ((a, "0x7f00aa11"), (b, "0x7f00bb22")):
        change_cell(folder, 7, put(shown("text/plain", f"<Thing at {place}>")))
    assert differing_cells(a, b) == []


def test_a_missing_cell_an_idle_cell_and_a_new_one_are_named(a: Path, b: Path) -> None:
    change_cell(a, 3, lambda one: one.update(id="only-here", source="only_here()"))
    change_cell(b, 3, lambda one: one.update(id="renamed", source="more()"))
    change_cell(a, 4, lambda one: one.update(id="renamed-too"))
    change_cell(b, 7, lambda one: one.update(execution_count=None, outputs=[]))
    assert [one[1:] for one in differing_cells(a, b)] == [
        ("4", "missing", ("only in A",)),
        ("8", "missing", ("not executed in B",)),
        ("4", "missing", ("only in B",)),
    ], "the fifth cell has another id and the same code"


def test_cells_without_ids_are_paired_in_order(a: Path, b: Path) -> None:
    for folder in (a, b):
        path = folder / "notebooks" / f"{FUSION}.ipynb"
        content = json.loads(path.read_text(encoding="utf-8"))
        content["nbformat_minor"] = 4
        for one in content["cells"]:
            one.pop("id", None)
        path.write_text(json.dumps(content), encoding="utf-8")
    assert differing_cells(a, b) == []
    change_cell(b, 7, put(shown("text/plain", "else")))
    assert [one[1:3] for one in differing_cells(a, b)] == [("8", "differs")]


def test_a_missing_notebook_counts_all_its_cells(a: Path, b: Path) -> None:
    (b / "notebooks" / f"{VARIANT}.ipynb").unlink()
    found = comparison(a, b)
    assert found.cells("missing") == 7 and found.cells("same") == 28 and not found.same
    soup = page_of(a, b)
    assert f"B has no executed copy of {VARIANT}." in said(soup, ".banner.stop")
    assert f"{VARIANT} only in A – – – 7" in said(soup, "#cells table")
    (a / "notebooks" / f"{FUSION}.ipynb").write_text("{ no notebook")
    soup = page_of(a, b)
    assert f"A: notebooks/{FUSION}.ipynb: the file is damaged" in said(soup, ".banner.stop")
    assert f"{FUSION} only in B – – – 7" in said(soup, "#cells table")
