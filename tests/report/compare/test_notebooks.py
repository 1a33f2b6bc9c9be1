"""Differences of executed notebooks, cell by cell."""

from pathlib import Path
from urllib.parse import unquote

import pandas as pd
import pytest
from nbformat import NotebookNode, v4

from gliomalib.report.compare import notebooks
from tests.report.compare.two_runs import (
    ATTACK,
    CLOCK,
    FUSION,
    LAST,
    PIXELS,
    VARIANT,
    change_cell,
    comparison,
    differing_cells,
    log,
    n_same,
    page_of,
    put,
    said,
    shown,
)


def test_a_changed_output_is_shown_as_a_small_difference(a: Path, b: Path) -> None:
    change_cell(b, 7, put(shown("text/markdown", "**Conclusion.** Dice is 0.71.")))
    assert differing_cells(a, b) == [(FUSION, 8, ("output",))]
    soup = page_of(a, b)
    cells = soup.select(f"article[id='{FUSION}'] .diff td:not([class])")
    assert [cell.get_text() for cell in cells] == [
        "**Conclusion.** Dice is 0.70.",
        "**Conclusion.** Dice is 0.71.",
    ]
    assert [mark.get_text() for mark in soup.select(".diff_chg")] == ["0", "1"]
    assert "Cell by cell, 34 came out the same and 1 differs." in said(soup, ".answer")
    assert "cell 8: output" in said(soup, f"article[id='{FUSION}']")


def test_a_table_is_compared_row_by_row_but_for_its_times(a: Path, b: Path) -> None:
    table = pd.DataFrame({"network": ["2D", "3D"], "dice": [0.5, 0.75], "seconds": [1.0, 2.0]})
    change_cell(b, 4, put(shown("text/html", table.to_html())))
    assert differing_cells(a, b) == []
    table.loc[1, "dice"] = 0.76
    change_cell(b, 4, put(shown("text/html", table.to_html())))
    assert differing_cells(a, b) == [(FUSION, 5, ("output",))]
    marked = [mark.get_text() for mark in page_of(a, b).select(".diff_chg")]
    assert marked == ["5", "6"], "of 0.75 and 0.76; the seconds are masked"


def test_rows_of_claims_that_a_clock_decides_do_not_count(a: Path, b: Path) -> None:
    def table(first: str, third: str) -> NotebookNode:
        rows = pd.DataFrame({"claim": ["C1", "Q3"], "obtained": [first, third]})
        return shown("text/html", rows.to_html())

    change_cell(a, 4, put(table("0.70", "1.5")), LAST)
    change_cell(b, 4, put(table("0.70", "1.9")), LAST)
    assert differing_cells(a, b) == []
    change_cell(b, 4, put(table("0.71", "1.9")), LAST)
    assert differing_cells(a, b) == [(LAST, 5, ("output",))]


LOG_LINE = "unet2d: epoch 8 of 8, val loss 0.03, 90 s, 0 s left\n"


@pytest.mark.parametrize(
    ("texts", "counts"),
    [
        (["read in 90 s\n", LOG_LINE], False),
        ([LOG_LINE.replace("8 of", "4 of"), LOG_LINE, "read in 1.5 min\n"], False),
        ([LOG_LINE[:24], LOG_LINE[24:], "read in ", "2 s\n"], False),
        (["read in 2 s, a warning\n"], True),
        ([LOG_LINE], True),
    ],
)
def test_logs_are_compared_without_times_progress_and_pieces(
    texts: list[str], counts: bool, a: Path, b: Path
) -> None:
    change_cell(a, 3, put(log(LOG_LINE), log("read in 50 s\n")))
    change_cell(b, 3, put(*map(log, texts)))
    assert differing_cells(a, b) == [(FUSION, 4, ("output",))] * counts


def test_pictures_are_compared_by_their_bytes_and_shown_twice(a: Path, b: Path) -> None:
    change_cell(b, 5, put(shown("image/png", PIXELS[1], **{"image/png": {"alt": "Bars of B"}})))
    assert differing_cells(a, b) == [(FUSION, 6, ("picture",))]
    pictures = page_of(a, b).select(".two img")
    assert [one["alt"] for one in pictures] == ["Bars of A", "Bars of B"]
    assert [str(one["src"]).rpartition(",")[2] for one in pictures] == [*PIXELS[:2]]
    change_cell(b, 5, put())
    assert "no picture here" in said(page_of(a, b), ".two")


def test_a_picture_in_another_format_is_another_picture(a: Path, b: Path) -> None:
    change_cell(b, 5, put(shown("image/svg+xml", "<svg/>")))
    assert differing_cells(a, b) == [(FUSION, 6, ("picture",))]
    source = str(page_of(a, b).select(".two img")[1]["src"])
    assert unquote(source) == "data:image/svg+xml,<svg/>"


def test_code_counts_exactly_and_the_folders_of_a_machine_do_not(a: Path, b: Path) -> None:
    change_cell(b, 2, lambda one: one.update(source='# Parameters\ndata_dir = "/tmp"\nseed = 3\n'))
    assert differing_cells(a, b) == []
    change_cell(b, 2, lambda one: one.update(source='# Parameters\ndata_dir = "/tmp"\nseed = 4\n'))
    change_cell(b, 4, lambda one: one.update(source="table == 0x0000001"))
    change_cell(a, 4, lambda one: one.update(source="table == 0x0000002"))
    assert differing_cells(a, b) == [(FUSION, 3, ("code",)), (FUSION, 5, ("code",))]


def test_provenance_and_all_of_notebook_14_are_lenient_but_not_blind(a: Path, b: Path) -> None:
    change_cell(b, 6, put(shown("text/html", "<p>commit xyz</p>")))
    for number in (4, 7):
        change_cell(b, number, put(shown("text/plain", "another time")), CLOCK)
    assert comparison(a, b).same
    stopped = v4.new_output("error", ename="ValueError", evalue="no", traceback=[])
    change_cell(b, 7, put(stopped), CLOCK)
    change_cell(b, 5, put(), CLOCK)
    assert differing_cells(a, b) == [(CLOCK, 6, ("output",)), (CLOCK, 8, ("output",))]


def test_addresses_in_memory_do_not_count(a: Path, b: Path) -> None:
    for folder, place in ((a, "0x7f00aa11"), (b, "0x7f00bb22")):
        change_cell(folder, 7, put(shown("text/plain", f"<Thing at {place}>")))
    assert differing_cells(a, b) == []


def test_a_missing_cell_an_idle_cell_and_a_new_one_are_named(a: Path, b: Path) -> None:
    change_cell(a, 3, lambda one: one.update(id="only-here", source="only_here()"))
    change_cell(b, 3, lambda one: one.update(id="renamed", source="more()"))
    change_cell(b, 1, lambda one: one.update(execution_count=None))
    assert differing_cells(a, b) == [
        (FUSION, 2, ("output",)),
        (FUSION, 4, ("only in A",)),
        (FUSION, 4, ("only in B",)),
    ]
    told = said(page_of(a, b), f"article[id='{FUSION}']")
    assert "not executed" in told and "only_here()" in told and "more()" in told


def test_a_missing_notebook_is_named_and_not_compared(a: Path, b: Path) -> None:
    (b / "notebooks" / f"{VARIANT}.ipynb").unlink()
    assert n_same(a, b) == 28 and not comparison(a, b).same
    assert f"B has no executed copy of {VARIANT}." in said(page_of(a, b), ".banner.stop")
    (a / "notebooks" / f"{FUSION}.ipynb").write_text("{ no notebook")
    told = said(page_of(a, b), ".banner.stop")
    assert f"A: notebooks/{FUSION}.ipynb: the file is damaged" in told
    assert f"A has no executed copy of {FUSION}." in told


def test_lines_are_text_and_only_those_around_a_difference_are_shown(a: Path, b: Path) -> None:
    same = "".join(f"line {number}\n" for number in range(20))
    for folder, mean in ((a, "12"), (b, "10")):
        change_cell(folder, 7, put(log(f"{same}{ATTACK} mean of {mean}")))
    assert [cell.get_text().strip() for cell in page_of(a, b).select(".diff td:not([class])")] == [
        *["line 19"] * 2,
        f"{ATTACK} mean of 12",
        f"{ATTACK} mean of 10",
    ]
    (cell,) = comparison(a, b).notebooks[2].differing
    assert "href" not in cell.tables[0] and " id=" not in cell.tables[0]
    assert cell == comparison(a, b).notebooks[2].differing[0]


def test_lines_beyond_the_first_are_left_out_and_that_is_said(a: Path, b: Path) -> None:
    change_cell(b, 7, put(log("a\n" * (notebooks.MOST_LINES + 7))))
    shown_lines = page_of(a, b).select(".diff tr")
    assert len(shown_lines) == notebooks.MOST_LINES + 1
    assert "… and more" in shown_lines[-1].get_text()
