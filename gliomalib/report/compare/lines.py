"""The few lines in which two texts differ, with the words that differ marked."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

MOST_LINES = 24
"""A longer difference is cut here and says how many lines more there are."""

MOST_CHARACTERS = 300
"""A longer line, or a longer piece that differs, is cut here, with a sign that it was."""

MOST_COMPARED = 4000
"""From this many lines on only the first ones are laid against one another."""


@dataclass(frozen=True)
class Line:
    """A line of one of two texts; ``mark`` is A, B, or empty for one that both have.

    ``parts`` are its pieces, each with whether the other text has it otherwise.
    """

    mark: str
    parts: tuple[tuple[str, bool], ...]

    @property
    def size(self) -> int:
        """Number of characters."""
        return sum(len(text) for text, _ in self.parts)


@dataclass(frozen=True)
class Text:
    """A line as it is shown, and as it is compared: without what may differ."""

    shown: str
    compared: str


def differing(a: Sequence[Text], b: Sequence[Text]) -> tuple[tuple[Line, ...], int]:
    """Return the lines that differ, one equal line around them, and how many were cut off."""
    lines = list(_lines(a[:MOST_COMPARED], b[:MOST_COMPARED]))
    cut = max(len(lines) - MOST_LINES, 0)
    cut += max(len(a) - MOST_COMPARED, 0) + max(len(b) - MOST_COMPARED, 0)
    return tuple(lines[:MOST_LINES]), cut


def _lines(a: Sequence[Text], b: Sequence[Text]) -> Iterator[Line]:
    left, right = ([line.compared for line in side] for side in (a, b))
    matcher = SequenceMatcher(None, left, right, autojunk=False)
    for place, group in enumerate(matcher.get_grouped_opcodes(1)):
        if place:
            yield Line("", (("…", False),))
        for kind, start, end, other_start, other_end in group:
            if kind == "equal":
                yield from (Line("", ((_cut(line.shown), False),)) for line in a[start:end])
            else:
                yield from _changed(a[start:end], b[other_start:other_end])


def _changed(a: Sequence[Text], b: Sequence[Text]) -> Iterator[Line]:
    """Yield lines one under the other where there are as many, else those of A and then of B."""
    if len(a) == len(b):
        for left, right in zip(a, b, strict=True):
            yield from _words(left.shown, right.shown)
        return
    for mark, lines in (("A", a), ("B", b)):
        yield from (Line(mark, ((_cut(line.shown), False),)) for line in lines)


def _words(a: str, b: str) -> tuple[Line, Line]:
    left, right = (re.split(r"(\s+)", text) for text in (a, b))
    found: tuple[list[tuple[str, bool]], list[tuple[str, bool]]] = ([], [])
    matcher = SequenceMatcher(None, left, right, autojunk=False)
    for kind, start, end, other_start, other_end in matcher.get_opcodes():
        pieces = ("".join(left[start:end]), "".join(right[other_start:other_end]))
        for side, text in zip(found, pieces, strict=True):
            if text and kind == "equal":
                side.append((_shortened(text), False))
            elif text:
                side.append((_cut(text), bool(text.strip())))
    return Line("A", tuple(found[0])), Line("B", tuple(found[1]))


def _shortened(text: str) -> str:
    """Return a piece that both have without its middle, so that what differs stays in sight."""
    if len(text) <= MOST_CHARACTERS // 2:
        return text
    kept = MOST_CHARACTERS // 6
    return f"{text[:kept]} … {text[-kept:]}"


def _cut(text: str) -> str:
    return text if len(text) <= MOST_CHARACTERS else f"{text[: MOST_CHARACTERS - 2]} …"
