"""The rows of the verdict table, and the places in pages to which their numbers lead."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from bs4 import BeautifulSoup, Tag

from gliomalib.schema import Value
from gliomalib.verdicts import claims

NAME_COLUMN = "value of"
"""Heading of the column of names in a table of values (``records.value_table``)."""

UNDECIDED = ("not judged", "not testable on this data", "not run")
"""Verdicts that say nothing about a statement."""

ID = re.compile(r"[A-Z][0-9]+")
"""The id of a statement, which is part of the address of its page."""

FINISH = "records.finish"
"""The call that writes the record; the cell with it is the last place where a value is known."""


@dataclass(frozen=True)
class Number:
    """A number of a record, and where its page shows it (or empty)."""

    value: Value
    href: str


@dataclass(frozen=True)
class Statement:
    """One row of the verdict table, with the numbers of the records that answer it.

    ``shown`` and ``interval`` are how the number reads, ``unit`` what stands behind it, or empty.
    ``note`` is a sentence where the table and the records of today do not fit each other; the
    number is then the table's.
    ``claim`` is what ``data/published.yml`` says of it today, None where it has no such statement.
    """

    row: Mapping[str, str]
    obtained: Number | None = None
    shown: str = ""
    interval: str = ""
    unit: str = ""
    note: str = ""
    claim: claims.Claim | None = None

    @property
    def page(self) -> str:
        """The name of its page, empty where the table's id is none."""
        return f"claim-{self.row['claim']}" if ID.fullmatch(self.row["claim"]) else ""

    @property
    def decided(self) -> bool:
        """Whether its rule was asked, whatever the rule said."""
        return self.row["verdict"] not in UNDECIDED


def statements(
    rows: Sequence[dict[str, str]],
    number: Callable[[str, str], Number | None],
    published: str | None = None,
) -> list[Statement]:
    """Return every row of the verdict table with the numbers that it stands on.

    ``number`` gives the number of a run that has a name, ``published`` is the study's file.

    A row whose statement is not in that file, or is answered by another notebook
    there, has no number to link to.
    """
    by_id = {claim.id: claim for claim in claims.load(published)}
    return [_statement(row, by_id.get(row["claim"]), number) for row in rows]


def _statement(
    row: Mapping[str, str], claim: claims.Claim | None, number: Callable[[str, str], Number | None]
) -> Statement:
    stored = row["obtained"], row.get("95 % interval", "")
    if claim is None or claim.notebook != row["notebook"]:
        return Statement(row, shown=stored[0], interval=stored[1])
    obtained = number(claim.run, claim.value)
    note = _note(row["obtained"], claim, obtained)
    texts = claim.told(obtained.value) if obtained and not note else stored
    return Statement(row, obtained, *texts, claim.unit_behind, note, claim)


def _note(stored: str, claim: claims.Claim, obtained: Number | None) -> str:
    record = f"The record of {claim.run}"
    if obtained is None:
        lost = f"{record} with this number is missing now: it cannot be checked."
        return "" if stored in ("", "–") else lost
    now = claim.shown(obtained.value.value)
    return "" if now == stored else f"{record} says {now} now: run notebook 16 again."


def anchor(value: str) -> str:
    """Return the id of a value's place: ``value-dice_ET``."""
    return "value-" + re.sub(r"[^\w.+-]+", "-", value)


def marked(body: str, values: Iterable[str]) -> BeautifulSoup:
    """Return the cells of a notebook, HTML, with a place for every value.

    That is the row of the table of values which begins with its name; else the first cell whose
    output names it; else the cell that wrote the record. A page without any cell has no places.
    ``values`` are the names of the values in the notebook's record.
    """
    soup = BeautifulSoup(body, features="html.parser")
    rows = _rows(soup)
    cells = [(cell, _output(cell)) for cell in soup.select("div.cell")]
    finish = [cell for cell, _ in cells if FINISH in cell.get_text()] or [c for c, _ in cells]
    for value in values:
        if value in rows:
            rows[value]["id"] = anchor(value)
            continue
        named = [cell for cell, words in cells if value in words] or finish[-1:]
        if named:
            named[0].insert(0, soup.new_tag("span", attrs={"class": "place", "id": anchor(value)}))
    return soup


def _rows(soup: BeautifulSoup) -> dict[str, Tag]:
    """Return the first row for each name in the tables of values."""
    first: dict[str, Tag] = {}
    for table in soup.select(".output table"):
        heads = [cell.get_text().strip() for cell in table.select("thead tr:first-child > *")]
        if NAME_COLUMN not in heads:
            continue
        place = heads.index(NAME_COLUMN)
        for row in table.select("tbody tr"):
            cells = row.find_all(["th", "td"], recursive=False)
            if len(cells) == len(heads):
                first.setdefault(cells[place].get_text().strip(), row)
    return first


def _output(cell: Tag) -> set[str]:
    """Return the words and the cells of tables that a notebook cell shows as its output."""
    texts = [part.get_text(" ") for part in cell.select(".output, .text")]
    words = {word.strip(".,;:()") for text in texts for word in text.split()}
    return words | {part.get_text().strip() for part in cell.select(".output td, .output th")}
