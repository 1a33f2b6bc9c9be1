"""Two executed copies of the same notebook: the cells of which not the same came out."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import HtmlDiff
from itertools import zip_longest

import nh3
from bs4 import BeautifulSoup
from markupsafe import Markup
from nbformat import NotebookNode

from gliomalib.report.compare.records import Side, in_order
from gliomalib.report.notebooks import is_injected, shown_type, svg_address
from gliomalib.report.pages import TIMES
from gliomalib.schema import split_run_name

FOLDERS = re.compile(r"(data_dir|report_dir|source_dir|external_root)\s*=")
PROVENANCE = "versions_of("
CLOCK_COLUMN = re.compile(r"seconds|minutes|hours|.*_s|peak[ _]memory.*|memory_gb")
PROGRESS = re.compile(r".*\b\d+ of \d+, .*\bleft")
UNCOUNTED = re.compile(r"\b(\d+(\.\d+)? ?(ms|s|min|h)|0x[0-9a-f]{6,})\b")
"""A time, or an address in memory."""

MASK = "#"

MOST_LINES = 200
"""Only so many first lines of each text are compared: the search for alike lines is cubic."""


@dataclass(frozen=True)
class Content:
    """What counts of a code cell; its ``place`` in the notebook is 0 where there is no such cell.

    ``code`` and ``text`` are lines, ``pictures`` HTML.
    """

    place: int = 0
    code: Sequence[str] = ()
    text: Sequence[str] = ()
    pictures: Sequence[str] = ()


@dataclass(frozen=True)
class Cell:
    """A code cell of which not the same came out, at its place in A, else in B.

    ``title`` is its first line, ``why`` says what is not the same, ``tables`` are the differing
    lines, ``pictures`` the differing ones of A and B (HTML, empty where a side has none).
    """

    place: int
    title: str
    why: Sequence[str]
    tables: Sequence[str]
    pictures: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class NotebookPair:
    """A notebook of both runs: in how many cells the same came out, and the others."""

    run: str
    same: int
    differing: Sequence[Cell]


def compare(a: Side, b: Side) -> list[NotebookPair]:
    """Return each notebook of which both have a copy, in the order in which they run."""
    rows = [*a.verdicts.values(), *b.verdicts.values()]
    clocks = {row["claim"] for row in rows if split_run_name(row["notebook"])[0] == TIMES}
    pairs = []
    for run in in_order([name for name in a.notebooks if name in b.notebooks]):
        left, right = (_contents(run, side.notebooks[run], clocks) for side in (a, b))
        names = dict.fromkeys([*left, *right])
        cells = [_differing(left.get(n, Content()), right.get(n, Content())) for n in names]
        differing = [cell for cell in cells if cell is not None]
        pairs.append(NotebookPair(run, len(cells) - len(differing), differing))
    return pairs


def _contents(run: str, notebook: NotebookNode, clocks: set[str]) -> dict[str, Content]:
    """Return the code cells by their id; papermill gives that of the parameters anew each time."""
    return {
        "injected" if is_injected(cell) else str(cell.get("id", place)): _content(
            place, cell, split_run_name(run)[0] == TIMES or PROVENANCE in cell.source, clocks
        )
        for place, cell in enumerate(notebook.cells, start=1)
        if cell.cell_type == "code" and cell.source.strip()
    }


def _content(place: int, cell: NotebookNode, measured: bool, clocks: set[str]) -> Content:
    code = [line for line in cell.source.splitlines() if not FOLDERS.match(line)]
    shown = [(kind, output) for output in cell.outputs if (kind := shown_type(output))]
    pictures = [_picture(kind, output) for kind, output in shown if kind.startswith("image/")]
    text = [f"{o.ename}: {o.evalue}" for o in cell.outputs if o.output_type == "error"]
    text += ["not executed"] if cell.execution_count is None else []
    if measured:
        return Content(place, code, [*text, f"pictures: {len(pictures)}"])
    # a line of a log may come in pieces
    log = "".join(output.text for output in cell.outputs if output.output_type == "stream")
    text += [line for line in log.splitlines() if not PROGRESS.match(line)]
    for kind, output in shown:
        if kind.startswith("text/"):
            data = output.data[kind]
            text += _of_html(data, clocks) if kind == "text/html" else data.splitlines()
    return Content(place, code, [UNCOUNTED.sub(MASK, line) for line in text], pictures)


def _picture(kind: str, output: NotebookNode) -> str:
    data = output.data[kind]
    svg = kind == "image/svg+xml"
    address = svg_address(data) if svg else f"data:{kind};base64,{data}".replace("\n", "")
    alt = output.metadata.get(kind, {}).get("alt") or "a figure without a description"
    return Markup('<img src="{}" alt="{}">').format(address, alt)


def _of_html(html: str, clocks: set[str]) -> list[str]:
    """Return the text by lines, each row of a table as one; without rows of claims of a clock."""
    soup = BeautifulSoup(html, features="html.parser")
    for tag in soup(["style", "script"]):
        tag.decompose()
    for table in soup("table"):
        head: list[str] = []
        for row in table("tr"):
            cells = [" ".join(cell.get_text().split()) for cell in row(["th", "td"])]
            head = head or cells
            names = head if len(head) == len(cells) else cells
            pairs = zip(names, cells, strict=True)
            cells = [MASK if CLOCK_COLUMN.fullmatch(name) else cell for name, cell in pairs]
            row.string = "" if clocks.intersection(cells) else " | ".join(cells)
    return [line.strip() for line in soup.get_text("\n").splitlines() if line.strip()]


def _differing(a: Content, b: Content) -> Cell | None:
    texts = {"code": (a.code, b.code), "output": (a.text, b.text)}
    texts = {what: sides for what, sides in texts.items() if sides[0] != sides[1]}
    pictures = zip_longest(a.pictures, b.pictures, fillvalue="")
    drawn = [(left, right) for left, right in pictures if left != right]
    if not texts and not drawn:
        return None
    why = [*texts, *["picture"] * bool(drawn)]
    if not (a.place and b.place):
        why = [f"only in {'A' if a.place else 'B'}"]
    title = next(iter([*a.code, *b.code]), "")[:80]
    return Cell(a.place or b.place, title, why, [_side_by_side(*s) for s in texts.values()], drawn)


def _side_by_side(a: Sequence[str], b: Sequence[str]) -> Markup:
    """Return a line of A with the line of B beside it, and one line around what differs."""
    left, right = ([*x[:MOST_LINES], *["… and more"] * (len(x) > MOST_LINES)] for x in (a, b))
    table = HtmlDiff(wrapcolumn=60).make_table(left, right, context=True, numlines=1)
    # difflib adds links between changes, whose names count on from table to table, and blanks
    # that do not break: without both the same lines give the same table
    kept = {tag: {"class"} for tag in ("table", "tbody", "tr", "td", "span")}
    dropped = {"a", "colgroup"}
    clean = nh3.clean(table, tags=set(kept), attributes=kept, clean_content_tags=dropped)
    return Markup(clean.replace("&nbsp;", " "))
