"""One printed page: that it is one, that nothing leaves it, that the same words give the same."""

import re
import zlib
from collections.abc import Sequence
from typing import Any

import pytest
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont
from matplotlib.text import Text
from PIL import ImageFont

from gliomalib.figures import one_page

TEXT = "The quick α brown − fox ≥ jumps over 99.25 % of $x$ lazy dogs. "
SHORT = ["# Scope", TEXT, "C1\tIt holds.", "# Results", TEXT]


def streams(page: bytes) -> bytes:
    """Return what a PDF draws, unpacked."""
    found = re.findall(rb"stream\r?\n(.*?)\r?\nendstream", page, re.DOTALL)
    return b"\n".join(zlib.decompressobj().decompress(one) for one in found if one[:1] == b"x")


def pages(page: bytes) -> int:
    return len(re.findall(rb"/Type /Page\b", page))


def places(page: bytes) -> list[tuple[float, float]]:
    """Return where the texts of a page begin, in points from its lower left corner."""
    found = re.findall(rb"1 0 -0 1 (-?[\d.]+) (-?[\d.]+) cm\n", streams(page))
    return [(float(x), float(y)) for x, y in found]


def sizes(page: bytes) -> set[float]:
    return {float(size) for size in re.findall(rb"/\S+ ([\d.]+) Tf", streams(page))}


@pytest.mark.parametrize("paragraphs", [SHORT, [*SHORT, *[TEXT * 9] * 4], [TEXT * 300], [], [""]])
def test_it_is_one_page_and_nothing_leaves_it(paragraphs: Sequence[str]) -> None:
    page = one_page.draw("A title", [paragraphs])
    assert pages(page) == 1
    assert page.startswith(b"%PDF")
    for x, y in places(page):
        assert 0 <= x < one_page.WIDTH - one_page.MARGIN
        assert one_page.MARGIN - 1 <= y <= one_page.HEIGHT - one_page.MARGIN
    assert min(sizes(page)) >= 8


@pytest.mark.parametrize("word", ["W", "Obtained:", "a-long-word-and-no-blank" * 9, "i"])
def test_lines_end_within_their_column(word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Measured by another renderer than the one that laid them."""
    drawn: list[tuple[float, str, FontProperties]] = []
    put = Figure.text

    def noted(figure: Figure, x: float, y: float, s: str, **more: Any) -> Text:
        drawn.append((x * one_page.WIDTH, s, more["fontproperties"]))
        return put(figure, x, y, s, **more)

    monkeypatch.setattr(Figure, "text", noted)
    one_page.draw("A title", [[f"# {word * 40}", f"C1\t{(word + ' ') * 300}", (word + " ") * 300]])
    assert len(drawn) > 9
    for x, text, font in drawn[1:]:
        large = ImageFont.truetype(str(findfont(font)), 1000)
        end = x + large.getlength(text) / 1000 * font.get_size_in_points()
        assert end <= (297 if x < 297 else one_page.WIDTH - one_page.MARGIN) + 0.5, text


def test_letters_are_as_large_as_they_can_be() -> None:
    few, more = (one_page.draw("A", [[TEXT * n]]) for n in (1, 130))
    assert min(sizes(few)) == one_page.SIZES[0]
    assert one_page.SIZES[-1] <= min(sizes(more)) < one_page.SIZES[0]


def test_the_first_version_that_fits_is_taken_and_else_the_last_is_cut() -> None:
    long, short = [TEXT * 300], ["short"]
    assert one_page.draw("A", [long, short]) == one_page.draw("A", [short])
    assert one_page.draw("A", [short, long]) == one_page.draw("A", [short])
    assert one_page.draw("A", [long]) != one_page.draw("A", [short])


def test_the_same_words_give_the_same_bytes_without_a_date() -> None:
    page = one_page.draw("A", [SHORT])
    assert page == one_page.draw("A", [SHORT])
    assert b"Date" not in page and b"Producer" not in page


@pytest.mark.parametrize(
    "text", ["W" * 400, "x" * 5000, "\u202e\x00\x07 \U0001f9e0 漢字 </script>", "a\tb\tc", "# # x"]
)
def test_strange_words_stay_within_the_column(text: str) -> None:
    page = one_page.draw("W" * 200, [[text, f"L\t{text}"]])
    assert pages(page) == 1
    assert all(x < one_page.WIDTH - one_page.MARGIN for x, _ in places(page))
