"""Tables that come with a release: known by their columns, whatever the file is called.

CSV with commas, semicolons or tabs, in UTF-8, UTF-16 or the code page of Windows, or the first
sheet of an .xlsx.
"""

import csv
import io
import itertools
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from gliomalib.data.readers.layout import Tree, fault_of
from gliomalib.schema import DataError, Fault

Row = TypeVar("Row")
Names = TypeVar("Names")

KIND = "table of names"
"""The kind of fault of a table that says who is who; leaving out a case does not mend it."""

SUFFIXES = (".csv", ".tsv", ".xlsx")
DELIMITERS = ",;\t"


def below(tree: Tree) -> list[Path]:
    """Return the files that may be tables, by their endings."""
    return [path for path in tree.paths if path.suffix.lower() in SUFFIXES]


def read_all(
    tree: Tree, read: Callable[[Path], list[Row]], join: Callable[[list[Row]], Names], release: str
) -> tuple[Names, list[Fault]]:
    """Return what all tables say together, and the faults of tables.

    ``read`` gives the rows of one, none where it is another table; ``join`` puts the rows of all
    together. Where rows contradict one another, none of them counts. What has rows joins
    ``tree.read``.
    """
    rows: list[Row] = []
    faults = []
    for path in below(tree):
        try:
            if own := read(path):
                tree.read.append(path)
            rows += own
        except DataError as error:
            faults.append(fault_of(path, KIND, str(error), release))
    try:
        return join(rows), faults
    except DataError as error:
        return join([]), [*faults, fault_of(tree.root, KIND, str(error), release)]


def columns_of(path: Path, *, ours: bool) -> list[str]:
    """Return the names of the columns; for an unreadable file none, unless it must be ``ours``.

    Raises ``DataError`` for an unreadable file that is ours, as by its name.
    """
    try:
        return _names(cells_of(path, 1))
    except DataError:
        if ours:
            raise
        return []


def rows_of(path: str | Path) -> dict[int, dict[str, str | None]]:
    """Return line → row, by column name; a cell that a row lacks is None.

    Raises ``DataError`` as `cells_of` does, and if a row has more cells than there are names.
    """
    lines = cells_of(path)
    names = _names(lines)
    for line, cells in lines[1:]:
        # a comma too many at the end does no harm
        if any(cells[len(names) :]):
            reason = f"line {line} has more cells than the first line"
            raise DataError(f"{path}: cannot be read ({reason}); fetch the table again")
    return {n: dict(itertools.zip_longest(names, cells[: len(names)])) for n, cells in lines[1:]}


def cells_of(path: str | Path, most: int | None = None) -> list[tuple[int, list[str]]]:
    """Return the lines of a table that are not empty, each with its number, at ``most`` so many.

    Raises ``DataError`` for a file that cannot be read.
    """
    try:
        return list(itertools.islice(_lines(Path(path)), most))
    except Exception as error:
        # openpyxl lets through whatever its parsers stumble over, and that has no common class
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{path}: cannot be read ({reason}); fetch the table again") from None


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    if path.suffix.lower() == ".xlsx":
        yield from ((n, cells) for n, cells in enumerate(_sheet(path), 1) if any(cells))
        return
    text = _decoded(path.read_bytes())
    first = re.sub(r'"[^"]*"', "", text.lstrip("\r\n").partition("\n")[0])
    delimiter = max(DELIMITERS, key=first.count)
    table = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    yield from ((table.line_num, cells) for cells in table if any(cells))


def _decoded(content: bytes) -> str:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16")
    if b"\0" in content:
        raise ValueError("it holds zero bytes, so it is no text")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        # as Excel writes it; what else is in such a table is ASCII
        return content.decode("cp1252", errors="replace")


def _names(lines: list[tuple[int, list[str]]]) -> list[str]:
    return [cell.strip() for cell in lines[0][1]] if lines else []


def _sheet(path: Path) -> Iterator[list[str]]:
    # imported where it is used: few folders hold such a table
    import openpyxl  # noqa: PLC0415

    with path.open("rb") as stream:
        sheet = openpyxl.load_workbook(stream, read_only=True, data_only=True).worksheets[0]
        # some programs write that a sheet is one cell, whatever is in it
        sheet.reset_dimensions()
        yield from ([_text(cell) for cell in row] for row in sheet.values)


def _text(cell: Any) -> str:
    # a sheet keeps whole numbers as floats
    whole = isinstance(cell, float) and cell.is_integer()
    return "" if cell is None else str(int(cell) if whole else cell)
