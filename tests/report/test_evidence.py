"""The page of a notebook: what was found comes first, long tables are folded."""

from pathlib import Path

import nbformat
import pandas as pd
import pytest
from nbformat import v4

from gliomalib import settings
from gliomalib.report import evidence, pages
from gliomalib.report.pages import Report
from gliomalib.report.statements import Statement
from gliomalib.schema import RecordError
from gliomalib.verdicts import claims
from tests.report import small_study as small
from tests.report.reading import soup


def picture(alt: str) -> nbformat.NotebookNode:
    return small.output("image/png", "AAAA", {"image/png": {"alt": alt}})


@pytest.fixture
def drawn(small_folder: Path) -> Report:
    """Return a report whose notebook 05 has three figures, two of them in one cell."""
    notebook = small.make_notebook("05_fusion")
    tall = pd.DataFrame({"a": range(9), "b": range(9)})
    cells = [
        v4.new_code_cell("one()", outputs=[picture("first"), picture("second")]),
        v4.new_markdown_cell("*A caption.*\n\nAnd more."),
        v4.new_code_cell("two()", outputs=[picture("third")]),
        v4.new_markdown_cell("*Not* a caption."),
        v4.new_code_cell("three()", outputs=[small.output("text/html", tall.to_html())]),
    ]
    for place, cell in enumerate(cells):
        cell["id"], cell["execution_count"] = f"d{place}", place if "outputs" in cell else None
        if cell.cell_type == "markdown":
            del cell["execution_count"]
    notebook.cells = [*notebook.cells[:1], *cells]
    nbformat.write(notebook, small_folder / "notebooks" / "05_fusion.ipynb")
    return pages.collect(settings.load("small"), small_folder)


@pytest.mark.parametrize(
    ("cell", "alt", "caption"), [("d0", "first", "A caption."), ("d2", "third", "")]
)
def test_a_figure_comes_with_its_caption(drawn: Report, cell: str, alt: str, caption: str) -> None:
    found = soup(evidence.figure(drawn, "05_fusion", cell)).figure
    assert found.img["alt"] == alt
    assert (found.figcaption.get_text() if found.figcaption else "") == caption


@pytest.mark.parametrize(
    ("run", "cell"),
    [("05_fusion", "d4"), ("05_fusion", "d9"), ("05_fusion", ""), ("07_baselines", "d0")],
)
def test_no_other_figure_stands_in_for_one_that_is_not_there(
    drawn: Report, run: str, cell: str
) -> None:
    assert evidence.figure(drawn, run, cell) == ""


def test_the_figure_of_the_first_statement_leads(drawn: Report) -> None:
    entry = next(one for one in drawn.entries if one.name == "05_fusion")
    own = next(claim for claim in claims.load() if claim.id == "C7")
    row = {"claim": "C7", "statement": "Better.", "verdict": "holds", "notebook": "05_fusion"}
    for cell, alt in (("d2", "third"), ("d9", "first"), ("", "first")):
        statement = Statement(row, claim=own.model_copy(update={"figure": cell}))
        object.__setattr__(drawn, "statements", [statement])
        page = soup(evidence.notebook_page(drawn, entry))
        assert page.select_one("#result figure img")["alt"] == alt


def test_the_figure_stands_above_the_cells_and_only_there(drawn: Report) -> None:
    entry = next(one for one in drawn.entries if one.name == "05_fusion")
    page = soup(evidence.notebook_page(drawn, entry))
    assert [tag["alt"] for tag in page.find_all("img")] == ["first", "second", "third"]
    assert page.select_one("#result figure img")["alt"] == "first"
    assert "stands at the top" in page.select_one(".cell .quiet").get_text()
    assert len(page.find_all("h1")) == 1
    assert page.select("details.code[open]") == []


def test_a_long_table_is_folded_and_a_short_one_is_not(drawn: Report) -> None:
    entry = next(one for one in drawn.entries if one.name == "05_fusion")
    page = soup(evidence.notebook_page(drawn, entry))
    assert [tag.summary.get_text() for tag in page.select(".output details.rows")] == [
        "Table of 9 rows"
    ]
    other = next(one for one in drawn.entries if one.name == small.VARIANT)
    shown = soup(evidence.notebook_page(drawn, other))
    assert shown.select_one(".output table") and not shown.select_one(".output details.rows")


def test_without_an_executed_copy_there_is_no_page(drawn: Report) -> None:
    missing = next(one for one in drawn.entries if one.name == small.VARIANT)
    object.__setattr__(missing, "executed", None)
    with pytest.raises(RecordError, match="there is no executed copy to make a page from"):
        evidence.notebook_page(drawn, missing)
