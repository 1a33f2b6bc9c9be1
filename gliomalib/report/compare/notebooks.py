"""Two executed copies of the same notebook, cell by cell, and whether the same came out."""

from __future__ import annotations

import base64
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest

from bs4 import BeautifulSoup, Tag
from nbformat import NotebookNode

from gliomalib.report.compare.lines import side_by_side
from gliomalib.report.compare.runs import Side, in_order
from gliomalib.report.facts import TIMES
from gliomalib.report.notebooks import is_injected, shown_type
from gliomalib.schema import split_run_name

FOLDERS = re.compile(r"^(data_dir|report_dir|source_dir|external_root)\s*=.*$")
PROVENANCE = "versions_of("
CLOCK_COLUMN = re.compile(r"seconds|minutes|hours|.*_s|peak[ _]memory.*|memory_gb")
TIME = re.compile(r"\b\d+(\.\d+)? ?(ms|s|min|h)\b")
STEP = re.compile(r"(?P<step>.*?: (epoch )?\d+ of \d+), .*\bleft")
ADDRESS = re.compile(r"\b0x[0-9a-f]{6,}\b")
MASK = "#"

Placed = tuple[int, NotebookNode]
"""A cell with its place in the notebook, from 1."""


@dataclass(frozen=True)
class Picture:
    """A picture as an address that holds it, and the text that stands for it."""

    address: str
    alt: str = field(compare=False)


@dataclass(frozen=True)
class Cell:
    """A code cell of both copies. ``state`` is same, clock, differs or missing.

    ``clock``: what differs is made by a clock or is the provenance. ``place`` says where the cell
    stands, ``title`` is its first line, ``why`` says what is not the same, ``lines`` are the
    tables of differing lines (HTML), ``pictures`` the differing ones of A and B, None where a side
    has none. ``left_out`` says that the page has no room for them.
    """

    place: str
    title: str
    state: str
    why: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()
    pictures: tuple[tuple[Picture | None, Picture | None], ...] = ()
    left_out: bool = False

    @property
    def size(self) -> int:
        """Number of characters that what differs takes on a page."""
        pictures = [picture.address for pair in self.pictures for picture in pair if picture]
        return sum(map(len, [*self.lines, *pictures]))


@dataclass(frozen=True)
class NotebookPair:
    """A notebook of both runs; ``only_in`` names the side that alone has a copy, if one does."""

    run: str
    cells: tuple[Cell, ...]
    only_in: str = ""

    def count(self, state: str) -> int:
        """Return how many cells are in this state."""
        return sum(cell.state == state for cell in self.cells)

    @property
    def worth_reading(self) -> list[Cell]:
        """The cells that differ or are missing."""
        return [cell for cell in self.cells if cell.state in ("differs", "missing")]


def compare(a: Side, b: Side) -> list[NotebookPair]:
    """Return every notebook of either side, cell by cell, in the order in which they run."""
    rows = [*a.verdicts.items(), *b.verdicts.items()]
    claims = {claim for claim, row in rows if split_run_name(row["notebook"])[0] == TIMES}
    pairs = []
    for run in in_order([*a.notebooks, *b.notebooks]):
        cells = [_code_cells(side.notebooks.get(run)) for side in (a, b)]
        only = "" if run in a.notebooks and run in b.notebooks else "A" if cells[0] else "B"
        found = tuple(_cell(run, *pair, claims) for pair in _paired(*cells))
        pairs.append(NotebookPair(run, found, only))
    return pairs


def _code_cells(notebook: NotebookNode | None) -> list[Placed]:
    cells = enumerate([] if notebook is None else notebook.cells, start=1)
    return [
        (place, cell)
        for place, cell in cells
        if cell.cell_type == "code" and (cell.source.strip() or cell.outputs)
    ]


def _paired(a: Sequence[Placed], b: Sequence[Placed]) -> list[tuple[Placed | None, Placed | None]]:
    """Pair cells by their key; those that are left over by equal code, in order."""
    theirs = dict(zip(_keys(b), b, strict=True))
    pairs = [(placed, theirs.pop(key, None)) for key, placed in zip(_keys(a), a, strict=True)]
    found: list[tuple[Placed | None, Placed | None]] = []
    for left, right in pairs:
        alike = [key for key, other in theirs.items() if _code(other[1]) == _code(left[1])]
        found.append((left, theirs.pop(alike[0]) if right is None and alike else right))
    return [*found, *((None, right) for right in theirs.values())]


def _keys(cells: Sequence[Placed]) -> list[tuple[str, int]]:
    """Return what each cell is known by: its id, and its number among the cells of this id."""
    names = ["injected" if is_injected(cell) else str(cell.get("id", "")) for _, cell in cells]
    return [(name, names[:place].count(name)) for place, name in enumerate(names)]


def _code(cell: NotebookNode) -> list[str]:
    lines = [line.rstrip() for line in cell.source.rstrip().splitlines()]
    return [line for line in lines if not (is_injected(cell) and FOLDERS.match(line))]


def _cell(run: str, a: Placed | None, b: Placed | None, claims: Collection[str]) -> Cell:
    number, cell = next(placed for placed in (a, b) if placed is not None)
    title = next((line for line in _code(cell) if line and line[0] != "#"), "")[:80]
    if a is None or b is None:
        return Cell(str(number), title, "missing", (f"only in {'A' if b is None else 'B'}",))
    place = str(a[0]) if a[0] == b[0] else f"{a[0]} in A, {b[0]} in B"
    idle = [side for side, (_, cell) in (("A", a), ("B", b)) if cell.execution_count is None]
    if idle:
        return Cell(place, title, "missing", (f"not executed in {' and '.join(idle)}",))
    return _executed(run, Cell(place, title, "same"), (a[1], b[1]), claims)


def _executed(
    run: str, same: Cell, pair: tuple[NotebookNode, NotebookNode], claims: Collection[str]
) -> Cell:
    code, errors = [_code(cell) for cell in pair], [_errors(cell) for cell in pair]
    pictures = [_pictures(cell) for cell in pair]
    left, right = (_texts(cell, claims) for cell in pair)
    texts = [_without_steps(left, right), _without_steps(right, left)]
    unlike = {"code": code, "output": texts}
    unlike = {what: sides for what, sides in unlike.items() if sides[0] != sides[1]}
    drawn = [(left, right) for left, right in zip_longest(*pictures) if left != right]
    if not unlike and not drawn:
        return same
    lenient = split_run_name(run)[0] == TIMES or any(PROVENANCE in c for c in code[0])
    as_many = len(pictures[0]) == len(pictures[1]) and errors[0] == errors[1]
    if "code" not in unlike and lenient and as_many:
        return Cell(same.place, same.title, "clock")
    why = (*unlike, *(["picture"] if drawn else []))
    tables = tuple(side_by_side(*sides) for sides in unlike.values())
    return Cell(same.place, same.title, "differs", why, tables, tuple(drawn))


def _without_steps(lines: Sequence[str], others: Sequence[str]) -> list[str]:
    """Return the lines of one side without steps of progress that the other did not write."""
    steps = {match["step"] for line in others if (match := STEP.match(line))}
    return [ln for ln in lines if not (match := STEP.match(ln)) or match["step"] in steps]


def _pictures(cell: NotebookNode) -> list[Picture]:
    found = []
    for output in cell.outputs:
        kind = shown_type(output)
        if kind.startswith("image/"):
            data = output.data[kind]
            coded = base64.b64encode(data.encode()).decode() if kind == "image/svg+xml" else data
            alt = output.metadata.get(kind, {}).get("alt") or "a figure without a description"
            found.append(Picture(f"data:{kind};base64,{coded}".replace("\n", ""), str(alt)))
    return found


def _errors(cell: NotebookNode) -> list[str]:
    stops = [output for output in cell.outputs if output.output_type == "error"]
    return [f"{output.ename}: {output.evalue}" for output in stops]


def _texts(cell: NotebookNode, claims: Collection[str]) -> list[str]:
    """Return the lines that a cell shows, log first, with a mask over what does not count."""
    # a line of a log may come in pieces
    log = "".join(output.text for output in cell.outputs if output.output_type == "stream")
    lines = []
    for output in cell.outputs:
        kind = shown_type(output)
        if kind == "text/html":
            lines += _of_html(output.data[kind], claims)
        elif not kind.startswith("image/"):
            lines += str(output.get("data", {}).get(kind, "")).splitlines()
    lines = [ADDRESS.sub(MASK, line) for line in [*lines, *_errors(cell)]]
    return [*(TIME.sub(MASK, line) for line in log.splitlines()), *lines]


def _of_html(html: str, claims: Collection[str]) -> list[str]:
    soup = BeautifulSoup(html, features="html.parser")
    for tag in soup.find_all(["style", "script"]):
        tag.decompose()
    lines = [line for table in soup.find_all("table") for line in _rows(table.extract(), claims)]
    rest = [line.strip() for line in soup.get_text("\n").splitlines()]
    return [*lines, *filter(None, rest)]


def _rows(table: Tag, claims: Collection[str]) -> list[str]:
    head: list[str] = []
    lines = []
    for row in table.find_all("tr"):
        cells = [" ".join(cell.get_text().split()) for cell in row.find_all(["th", "td"])]
        head = head or cells
        if len(cells) == len(head):
            of_clock = dict(zip(head, cells, strict=True)).get("claim") in claims
            cells = [
                MASK if name != "claim" and (of_clock or CLOCK_COLUMN.fullmatch(name)) else text
                for name, text in zip(head, cells, strict=True)
            ]
        lines.append(" | ".join(cells))
    return lines
