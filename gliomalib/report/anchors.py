"""A place to link to for every value of a record, in the page of the notebook that made it."""

from __future__ import annotations

import re
from collections.abc import Iterable

from bs4 import BeautifulSoup, Tag

NAME_COLUMN = "value of"
"""Heading of the column of names in a table of values (``values.value_table``)."""

FINISH = "records.finish"
"""The call that writes the record; the cell with it is the last place where a value is known."""


def anchor(value: str) -> str:
    """Return the id of a value's place: ``value-dice_ET``."""
    return "value-" + re.sub(r"[^\w.+-]+", "-", value)


def marked(body: str, values: Iterable[str]) -> str:
    """Return the cells of a notebook as HTML with a place for every value.

    That is the row of the table of values which begins with its name; else the first cell whose
    output names it; else the cell that wrote the record. A page without any cell has no places.

    Parameters
    ----------
    body
        What ``notebooks.body`` returned.
    values
        Names of the values of the notebook's record.
    """
    soup = BeautifulSoup(body, features="html.parser")
    rows = _rows(soup)
    shown = [(cell, _shown(cell)) for cell in soup.select("div.cell")]
    finish = [cell for cell, _ in shown if FINISH in _code(cell)] or [cell for cell, _ in shown]
    for value in values:
        if value in rows:
            rows[value]["id"] = anchor(value)
            continue
        named = [cell for cell, words in shown if value in words] or finish[-1:]
        if named:
            place = soup.new_tag("span", attrs={"class": "place", "id": anchor(value)})
            named[0].insert(0, place)
    return str(soup)


def _rows(soup: BeautifulSoup) -> dict[str, Tag]:
    """Return the first row for each name in the tables of values."""
    found: dict[str, Tag] = {}
    for table in soup.select(".output table"):
        heads = [cell.get_text().strip() for cell in table.select("thead tr:first-child > *")]
        if NAME_COLUMN not in heads:
            continue
        place = heads.index(NAME_COLUMN)
        for row in table.select("tbody tr"):
            cells = row.find_all(["th", "td"], recursive=False)
            if len(cells) == len(heads):
                found.setdefault(cells[place].get_text().strip(), row)
    return found


def _shown(cell: Tag) -> set[str]:
    """Return the words and the cells of tables that a notebook cell shows as its output."""
    outputs = cell.select(".output, .text")
    texts = [part.get_text(" ") for part in outputs]
    words = {word.strip(".,;:()") for text in texts for word in text.split()}
    return words | {part.get_text().strip() for part in cell.select(".output td, .output th")}


def _code(cell: Tag) -> str:
    return " ".join(part.get_text() for part in cell.select("details.code"))
