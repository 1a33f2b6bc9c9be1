"""Two executed copies of the same notebook, cell by cell, and whether the same came out."""

from __future__ import annotations

import base64
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest

from bs4 import BeautifulSoup
from nbformat import NotebookNode

from gliomalib.report.compare.lines import Line, Text, differing
from gliomalib.report.compare.records import CLOCK_NOTEBOOK
from gliomalib.report.compare.runs import Side, in_order
from gliomalib.report.notebooks import KEPT_TYPES

RULES = (
    "Code cells are compared; text around them is no result. Cells are paired by their number in "
    "the notebook’s file, else by equal code.",
    "Code must be the same but for blanks at the ends of lines and for the folders that the "
    "injected parameters name (data_dir, report_dir, source_dir, external_root).",
    "Texts and tables must be the same to the last digit that is shown, pictures to the last byte.",
    "In log lines times do not count, nor do lines of progress that only one machine was slow "
    "enough to write.",
    "In tables the columns of times and of memory do not count (seconds, minutes, peak memory), "
    "nor do rows of claims that notebook 14 decides; neither do addresses in memory.",
    "All outputs of notebook 14 are measured with a clock, and the provenance cell differs by "
    "its nature: there only the number of pictures and an error count. What they say is compared "
    "in the tables above.",
)
"""What counts as the same, in words for the page."""

FOLDERS = re.compile(r"^(data_dir|report_dir|source_dir|external_root)\s*=.*$")
PROVENANCE = "versions_of("
INJECTED = "injected-parameters"
CLOCK_COLUMN = re.compile(r"seconds|minutes|hours|.*_s|peak[ _]memory.*|memory_gb")
TIME = re.compile(r"\b\d+(\.\d+)? ?(ms|s|min|h)\b")
STEP = re.compile(r"(?P<step>.*?: (epoch )?\d+ of \d+), .*\bleft")
ADDRESS = re.compile(r"\b0x[0-9a-f]{6,}\b")
PICTURES = ("image/svg+xml", "image/png", "image/jpeg")
MASK = "#"


@dataclass(frozen=True)
class Picture:
    """A picture of an output: its type, its bytes in base64, and what stands for it in words."""

    kind: str
    data: str
    alt: str = field(compare=False)

    @property
    def address(self) -> str:
        """The whole picture as an address inside of the page."""
        return f"data:{self.kind};base64,{self.data}"


@dataclass(frozen=True)
class Shown:
    """What a cell shows: lines of its log, lines of texts and tables, pictures, errors."""

    log: tuple[Text, ...] = ()
    texts: tuple[Text, ...] = ()
    pictures: tuple[Picture, ...] = ()
    errors: tuple[str, ...] = ()


@dataclass(frozen=True)
class Difference:
    """The lines in which the code, the log or the output of a cell differ, and how many more."""

    what: str
    lines: tuple[Line, ...]
    cut: int

    @property
    def size(self) -> int:
        """Number of characters."""
        return sum(line.size for line in self.lines)


PicturePair = tuple[Picture | None, Picture | None]

Placed = tuple[int, NotebookNode]
"""A cell with its place in the notebook, from 1."""


@dataclass(frozen=True)
class Cell:
    """A code cell of both copies. ``state`` is same, clock, differs or missing.

    ``clock``: it differs in nothing but what a clock or the provenance makes. ``place`` says
    where it stands, ``title`` is its first line, ``why`` says what is not the same, ``left_out``
    what of it a page has no room for.
    """

    place: str
    title: str
    state: str
    why: tuple[str, ...] = ()
    differences: tuple[Difference, ...] = ()
    pictures: tuple[PicturePair, ...] = ()
    left_out: tuple[str, ...] = ()


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
    claims = {
        claim
        for side in (a, b)
        for claim, row in side.verdicts.items()
        if row["notebook"].partition(".")[0] == CLOCK_NOTEBOOK
    }
    found = []
    for run in in_order([*a.notebooks, *b.notebooks]):
        cells = [_code_cells(side.notebooks.get(run)) for side in (a, b)]
        only = "" if run in a.notebooks and run in b.notebooks else "A" if cells[0] else "B"
        pairs = _paired(*cells)
        found.append(NotebookPair(run, tuple(_cell(run, *pair, claims) for pair in pairs), only))
    return found


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
    pairs = [(one, theirs.pop(key, None)) for key, one in zip(_keys(a), a, strict=True)]
    found: list[tuple[Placed | None, Placed | None]] = []
    for one, other in pairs:
        same = [key for key, left in theirs.items() if _code(left[1]) == _code(one[1])]
        found.append((one, theirs.pop(same[0]) if other is None and same else other))
    return [*found, *((None, left) for left in theirs.values())]


def _keys(cells: Sequence[Placed]) -> list[tuple[str, int]]:
    """Return what a cell is known by: its id, and the how manieth with this id it is."""
    names = [INJECTED if _is_injected(cell) else str(cell.get("id", "")) for _, cell in cells]
    return [(name, names[:place].count(name)) for place, name in enumerate(names)]


def _is_injected(cell: NotebookNode) -> bool:
    return INJECTED in cell.metadata.get("tags", [])


def _code(cell: NotebookNode) -> list[str]:
    lines = [line.rstrip() for line in cell.source.rstrip().splitlines()]
    if _is_injected(cell):
        lines = [line for line in lines if not FOLDERS.match(line)]
    return lines


def _cell(run: str, a: Placed | None, b: Placed | None, claims: Collection[str]) -> Cell:
    number, cell = next(one for one in (a, b) if one is not None)
    title = next((line for line in _code(cell) if line and line[0] != "#"), "")[:80]
    if a is None or b is None:
        return Cell(str(number), title, "missing", (f"only in {'A' if b is None else 'B'}",))
    place = str(a[0]) if a[0] == b[0] else f"{a[0]} in A, {b[0]} in B"
    idle = [side for side, one in (("A", a), ("B", b)) if one[1].execution_count is None]
    if idle:
        return Cell(place, title, "missing", (f"not executed in {' and '.join(idle)}",))
    return _executed(run, Cell(place, title, "same"), (a[1], b[1]), claims)


def _executed(
    run: str, cell: Cell, pair: tuple[NotebookNode, NotebookNode], claims: Collection[str]
) -> Cell:
    code = [tuple(Text(line, line) for line in _code(one)) for one in pair]
    a, b = (_shown(one, claims) for one in pair)
    same_code = code[0] == code[1]
    if same_code and a == b:
        return cell
    lenient = run.partition(".")[0] == CLOCK_NOTEBOOK or any(PROVENANCE in t.shown for t in code[0])
    as_many = len(a.pictures) == len(b.pictures) and a.errors == b.errors
    if same_code and lenient and as_many:
        return _with(cell, "clock")
    logs = (_counted(a.log, b.log), _counted(b.log, a.log))
    compared = {"code": code, "log": logs, "output": (a.texts, b.texts)}
    differences = [
        Difference(what, *differing(*sides))
        for what, sides in compared.items()
        if [text.compared for text in sides[0]] != [text.compared for text in sides[1]]
    ]
    pictures = [two for two in zip_longest(a.pictures, b.pictures) if two[0] != two[1]]
    if not differences and not pictures:
        return _with(cell, "clock")
    why = [*(one.what for one in differences), *_told(pictures)]
    return Cell(cell.place, cell.title, "differs", tuple(why), tuple(differences), tuple(pictures))


def _told(pictures: Sequence[PicturePair]) -> list[str]:
    formats = [{one.kind for one in pair if one} for pair in pictures]
    if not pictures:
        return []
    return ["picture in another format" if all(len(two) == 2 for two in formats) else "picture"]


def _with(cell: Cell, state: str) -> Cell:
    return Cell(cell.place, cell.title, state)


def _plain(lines: Sequence[str]) -> tuple[Text, ...]:
    return tuple(Text(line, ADDRESS.sub(MASK, line)) for line in lines)


def _counted(lines: Sequence[Text], others: Sequence[Text]) -> tuple[Text, ...]:
    """Return the lines of a log without steps of progress that the other log did not write."""
    steps = {match["step"] for line in others if (match := STEP.match(line.shown))}
    return tuple(
        line for line in lines if not (match := STEP.match(line.shown)) or match["step"] in steps
    )


def _shown(cell: NotebookNode, claims: Collection[str]) -> Shown:
    log = ""
    texts: list[Text] = []
    pictures: list[Picture] = []
    errors: list[str] = []
    for output in cell.outputs:
        if output.output_type == "stream":
            # a line may come in pieces
            log += output.text
        elif output.output_type == "error":
            errors.append(f"{output.ename}: {output.evalue}")
        elif _preferred(output) in PICTURES:
            pictures.append(_picture(_preferred(output), output))
        else:
            texts += _texts(output, claims)
    texts += _plain(errors)
    timed = tuple(Text(line, TIME.sub(MASK, line)) for line in log.splitlines())
    return Shown(timed, tuple(texts), tuple(pictures), tuple(errors))


def _preferred(output: NotebookNode) -> str:
    return next((kind for kind in KEPT_TYPES if kind in output.data), "")


def _picture(kind: str, output: NotebookNode) -> Picture:
    data = output.data[kind]
    coded = base64.b64encode(data.encode()).decode() if kind == "image/svg+xml" else data
    own = output.metadata.get(kind, {})
    alt = (own.get("alt") if isinstance(own, Mapping) else "") or output.metadata.get("alt") or ""
    return Picture(kind, coded.replace("\n", ""), str(alt))


def _texts(output: NotebookNode, claims: Collection[str]) -> list[Text]:
    kind = _preferred(output)
    if kind == "text/html":
        return _of_html(output.data[kind], claims)
    if kind:
        return list(_plain(str(output.data[kind]).splitlines()))
    return list(_plain([f"[an output of the type {', '.join(output.data)}]"]))


def _of_html(html: str, claims: Collection[str]) -> list[Text]:
    soup = BeautifulSoup(html, features="html.parser")
    for tag in soup.find_all(["style", "script"]):
        tag.decompose()
    lines: list[Text] = []
    for table in soup.find_all("table"):
        rows = [
            [" ".join(cell.get_text().split()) for cell in row.find_all(["th", "td"])]
            for row in table.find_all("tr")
        ]
        lines += [_row(row, rows[0], claims) for row in rows]
        table.decompose()
    rest = [line.strip() for line in soup.get_text("\n").splitlines()]
    return [*lines, *_plain([line for line in rest if line])]


def _row(row: Sequence[str], head: Sequence[str], claims: Collection[str]) -> Text:
    shown = " | ".join(row)
    if len(row) != len(head) or row is head:
        return Text(shown, shown)
    named = dict(zip(head, row, strict=True))
    if named.get("claim") in claims:
        return Text(shown, str(named["claim"]))
    cells = [
        MASK if CLOCK_COLUMN.fullmatch(name) else ADDRESS.sub(MASK, text)
        for name, text in zip(head, row, strict=True)
    ]
    return Text(shown, " | ".join(cells))
