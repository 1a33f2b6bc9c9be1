"""Places of values in the page of a notebook."""

from __future__ import annotations

import pandas as pd
from bs4 import BeautifulSoup

from gliomalib import records
from gliomalib.report import anchors, notebooks
from gliomalib.schema import Value


def page() -> str:
    values = [Value(name, 0.5, rule="made up") for name in ("dice_ET", "dice_WT")]
    shown = notebooks.clean(records.value_table(values).to_html(), "05")
    other = notebooks.clean(pd.DataFrame({"name": ["rings"], "n": [3]}).to_html(), "05")
    return (
        '<div class="cell text" id="cell-1">dice_ET, rings and unseen are explained here</div>'
        f'<div class="cell" id="cell-2"><div class="output">{other}</div></div>'
        f'<div class="cell" id="cell-3"><div class="output">{shown}</div></div>'
        f'<div class="cell" id="cell-4"><div class="output">{shown}</div></div>'
        '<div class="cell" id="cell-5"><details class="code"><span>records</span>.finish(run)'
        "</details></div>"
        '<div class="cell" id="cell-6"><div class="output">versions</div></div>'
    )


def places(names: list[str]) -> dict[str, tuple[str, str]]:
    """Return for each value the kind of its place and the cell around it."""
    soup = BeautifulSoup(anchors.marked(page(), names), "html.parser")
    found = {name: soup.find_all(id=anchors.anchor(name)) for name in names}
    assert all(len(tags) == 1 for tags in found.values())
    return {
        n: (tags[0].name, tags[0].find_parent(class_="cell")["id"]) for n, tags in found.items()
    }


def test_value_has_its_row_in_the_first_table_of_values() -> None:
    assert places(["dice_ET", "dice_WT"]) == {
        "dice_ET": ("tr", "cell-3"),
        "dice_WT": ("tr", "cell-3"),
    }


def test_value_without_a_row_has_the_cell_that_shows_it() -> None:
    assert places(["rings"]) == {"rings": ("span", "cell-2")}


def test_value_that_is_shown_nowhere_has_the_cell_that_wrote_the_record() -> None:
    assert places(["unseen"]) == {"unseen": ("span", "cell-5")}


def test_nothing_else_of_the_page_changes() -> None:
    assert anchors.marked(page(), []) == str(BeautifulSoup(page(), "html.parser"))
    assert anchors.marked("", ["dice_ET"]) == ""


def test_anchor_is_one_word_without_quotes() -> None:
    assert anchors.anchor('weights "0.1" <1>') == "value-weights-0.1-1-"
