"""Two texts beside one another, with the words that differ marked."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import HtmlDiff

import nh3

MOST_LINES = 200
"""Only so many first lines of each text are compared: the search for alike lines is cubic."""

ACROSS = 60
"""Characters of a line before it is wrapped."""

_TAGS = {"table", "tbody", "tr", "td", "span"}


def side_by_side(a: Sequence[str], b: Sequence[str]) -> str:
    """Return what differs as an HTML table: a line of A, the line of B beside it, one around.

    Whatever the lines hold appears as text. Lines beyond the first ``MOST_LINES`` are counted.
    """
    left, right = (_first(side) for side in (a, b))
    table = HtmlDiff(wrapcolumn=ACROSS).make_table(left, right, context=True, numlines=1)
    # difflib adds links between changes, whose names count on from table to table, and blanks
    # that do not break: without both the same lines give the same table
    kept = {tag: {"class"} for tag in ("table", "td", "span")}
    clean = nh3.clean(table, tags=_TAGS, attributes=kept, clean_content_tags={"a", "colgroup"})
    return clean.replace("&nbsp;", " ")


def _first(lines: Sequence[str]) -> list[str]:
    more = len(lines) - MOST_LINES
    return [*lines[:MOST_LINES], *([f"… and {more} more"] if more > 0 else [])]
