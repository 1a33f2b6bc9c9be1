"""One printed page, A4 as PDF: a title, then headings and paragraphs in two columns."""

import io
import re
import warnings
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

WIDTH, HEIGHT, MARGIN, COLUMN = 595.0, 842.0, 42.0, 246.0
"""Points of the page, of its margin on each side, and of a column."""

SIZES = (10.0, 9.5, 9.0, 8.5, 8.0)
"""Points of a letter: the first size in which all fits is taken, and nothing is smaller."""

LEADING, INDENT, TITLE = 1.2, 2.4, 1.5
"""Height of a line, room for a label, size of the title, as multiples of a letter."""

WORD = re.compile(r"[^ \t\n]{1,20}")
"""What is not divided at the end of a line; no 20 letters are wider than a column."""

Line = tuple[str, str]
"""A line as label and text, both empty for space; the label ``#`` makes it a heading."""


def draw(title: str, versions: Iterable[Iterable[str]]) -> bytes:
    """Return the first version that fits as PDF, the same bytes for the same words.

    A version is paragraphs: ``# heading``, text, or a label, a tab and text. Where even the last
    version is too long in the smallest letters, it is cut off and ends with three dots.
    """
    for version in versions:
        paragraphs = list(version)
        for size in SIZES:
            lines = [line for paragraph in paragraphs for line in _lines(paragraph, size)]
            rows = int((HEIGHT - 2 * MARGIN - 2 * TITLE * LEADING * size) / (LEADING * size))
            if len(_columns(lines, rows)) < 3:
                # no higher than they must be, so that one column is as long as the other
                even = next(n for n in range(1, rows + 1) if len(_columns(lines, n)) < 3)
                return _pdf(title, _columns(lines, even), size)
    first, second, *_ = _columns(lines, rows)
    return _pdf(title, [first, [*second[:-1], ("", "…")]], size)


def _columns(lines: Sequence[Line], rows: int) -> list[list[Line]]:
    """Return lines by columns, with no heading at the foot of one and no space at its head."""
    columns: list[list[Line]] = [[]]
    for label, text in lines:
        if len(columns[-1]) >= max(rows - (label == "#"), 1):
            columns.append([])
        if text or columns[-1]:
            columns[-1].append((label, text))
    return columns


def _lines(paragraph: str, size: float) -> Iterator[Line]:
    """Yield the lines of a paragraph, and space before a heading."""
    label, _, text = re.sub("^# ", "#\t", paragraph).rpartition("\t")
    if label == "#":
        yield "", ""
    room, words, used = COLUMN - (INDENT * size if label else 0), list[str](), 0.0
    for word in WORD.findall(text):
        wide = size * (_width(word, label == "#") + _width(" ", label == "#"))
        if words and used + wide > room:
            yield label, " ".join(words)
            # a blank keeps the place of the label in the lines that follow
            label, words, used = label if label in ("", "#") else " ", [], 0.0
        words, used = [*words, word], used + wide
    yield label, " ".join(words)


def _pdf(title: str, columns: list[list[Line]], size: float) -> bytes:
    figure, top = Figure(figsize=(WIDTH / 72, HEIGHT / 72)), HEIGHT - MARGIN - TITLE * size
    # a long title is as small as it must be to end at the margin
    widest = (WIDTH - 2 * MARGIN) / max(_width(title, True), 1)
    texts = [(MARGIN, top, title, _font(min(TITLE * size, widest), True))]
    for left, column in zip((MARGIN, WIDTH - MARGIN - COLUMN), columns, strict=False):
        for row, (label, text) in enumerate(column, 1):
            bottom, is_head = top - (row * LEADING + 0.6) * size, label == "#"
            start = left if is_head or not label else left + INDENT * size
            texts.append((start, bottom, text, _font(size, is_head)))
            texts += [] if is_head else [(left, bottom, label, _font(size, True))]
    for x, y, text, font in texts:
        figure.text(x / WIDTH, y / HEIGHT, text, fontproperties=font, parse_math=False)
    stream, named = io.BytesIO(), {"Title": title, "Creator": None, "Producer": None}
    # letters stay letters, and a sign that no font has is a box
    with mpl.rc_context({"pdf.fonttype": 42}), warnings.catch_warnings(action="ignore"):
        figure.savefig(stream, format="pdf", metadata={**named, "CreationDate": None})
    return stream.getvalue()


@lru_cache
def _font(size: float, bold: bool) -> FontProperties:
    # both come with matplotlib, the second one has signs that the first one lacks
    fonts = ["STIXGeneral", "DejaVu Sans"]
    return FontProperties(family=fonts, weight="bold" if bold else "normal", size=size)


@lru_cache(maxsize=10_000)
def _width(text: str, bold: bool) -> float:
    """Return the width of a text in letters of one point."""
    with warnings.catch_warnings(action="ignore"):
        size = text_to_path.get_text_width_height_descent(text, _font(1.0, bold), ismath=False)
    return float(size[0])
