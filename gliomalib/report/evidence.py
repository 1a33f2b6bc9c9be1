"""The page of an executed notebook: result and leading figure first, then the way there."""

from collections.abc import Iterator

from bs4 import BeautifulSoup, Tag
from markupsafe import Markup
from nbformat import NotebookNode

from gliomalib.report import notebooks
from gliomalib.report.entries import Entry
from gliomalib.report.pages import Report, number_of, render
from gliomalib.report.statements import marked
from gliomalib.schema import RecordError

FIRST_IDS = "c1-1-"
"""How the ids in the first drawing of the first cell of a page begin."""

ROWS = 8
"""A table of an output with more rows than this is folded."""


def every_page(report: Report) -> Iterator[tuple[str, str]]:
    """Yield name and content of the page of every executed notebook."""
    for entry in report.entries:
        if entry.executed is not None:
            yield entry.name, notebook_page(report, entry)


def notebook_page(report: Report, entry: Entry) -> str:
    """Return the page of one executed notebook. Raises ``RecordError`` where there is no copy."""
    if entry.executed is None:
        raise RecordError(f"{entry.name}: there is no executed copy to make a page from; run it")
    values = [] if entry.record is None else entry.record.values
    soup = marked(_body(report, entry, entry.executed), [value.name for value in values])
    answers = [one for one in report.statements if one.claim and one.claim.run == entry.name]
    places = {cell.get("id"): f"cell-{n}" for n, cell in enumerate(entry.executed.cells, start=1)}
    shown_by = [places.get(one.claim.figure, "none") for one in answers if one.claim]
    drawn = [cell.figure for name in shown_by if (cell := soup.find(id=name)) and cell.figure]
    leading = drawn[0] if drawn else soup.figure
    first = _taken(leading, soup) if leading else ""
    if soup.h1:
        # the page has this heading already
        soup.h1.decompose()
    for table in soup.select(".output .wide"):
        _fold(table, soup)
    return render(
        "notebook.html.j2",
        f"html/{entry.name}.html",
        report=report,
        entry=entry,
        # what the body holds beside plain tags has been dropped or escaped
        body=Markup(soup),
        first=Markup(first),
        answers=answers,
    )


def figure(report: Report, run: str, cell: str, prefix: str = "f") -> str:
    """Return the first figure of a cell of a run's executed copy with its caption as HTML.

    Empty where there is no copy, no such cell, or no figure in it: another one would show something
    else. ``prefix`` tells the ids in a drawing from those of others on the same page.
    """
    entry = next((entry for entry in report.entries if entry.name == run), None)
    executed = entry.executed if entry else None
    cells = [] if executed is None else executed.cells
    place = next((place for place, each in enumerate(cells) if each.get("id") == cell), None)
    if entry is None or executed is None or place is None:
        return ""
    # the other cells have no say in how this one looks, and take long
    outputs = [
        output
        for output in cells[place].get("outputs", ())
        if notebooks.shown_type(output).startswith("image/")
    ]
    alone = NotebookNode({**cells[place], "source": "", "outputs": outputs[:1]})
    few = NotebookNode({**executed, "cells": [alone, *cells[place + 1 : place + 2]]})
    body = _body(report, entry, few).replace(FIRST_IDS, f"{prefix}-")
    soup = BeautifulSoup(body, "html.parser")
    return _taken(soup.figure, soup) if outputs and soup.figure else ""


def _body(report: Report, entry: Entry, executed: NotebookNode) -> str:
    device = "" if entry.record is None else entry.record.device
    return notebooks.body(executed, number_of(entry.name), report.pages, entry.shortest, device)


def _taken(chosen: Tag, soup: BeautifulSoup) -> str:
    """Take a figure and its caption out of a page, and return them as one."""
    cell = chosen.find_parent("div", class_="cell")
    caption = _caption(cell) if cell else None
    if caption is not None:
        caption.name = "figcaption"
        caption.em.unwrap()  # type: ignore[union-attr]
        chosen.append(caption.extract())
    left = soup.new_tag("p", attrs={"class": "quiet"})
    left.string = "The figure of this cell stands at the top of the page."
    chosen.insert_before(left)
    return str(chosen.extract())


def _caption(cell: Tag) -> Tag | None:
    """Return the first paragraph of the text below a cell where it is all in italics."""
    below = cell.find_next_sibling("div", class_="cell")
    paragraph = below.select_one(".text > p:first-child") if below else None
    parts = [part for part in paragraph.children if str(part).strip()] if paragraph else []
    return paragraph if [getattr(part, "name", "") for part in parts] == ["em"] else None


def _fold(table: Tag, soup: BeautifulSoup) -> None:
    """Put a long table into a fold that says how long it is."""
    if (rows := len(table.select("tbody tr"))) > ROWS:
        summary = soup.new_tag("summary")
        summary.string = f"Table of {rows} rows"
        table.wrap(soup.new_tag("details", attrs={"class": "rows"})).insert(0, summary)
