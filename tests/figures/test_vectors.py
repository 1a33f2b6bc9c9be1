"""Fewer and shorter elements draw what the many drew."""

import json
import re
from urllib.parse import quote

import pytest
from bs4 import BeautifulSoup
from hypothesis import given
from hypothesis import strategies as st

from gliomalib.figures import vectors

CIRCLE = "M0 2" + "C0 2 0 2 0 2" * 8 + "z"
FULL = "fill: #56b4e9"


def drawing(*marks: str, defined: str = f'<path id="m" d="{CIRCLE}"/>') -> str:
    return f"<svg><defs>{defined}</defs><g>{''.join(marks)}</g></svg>"


def use(x: float, y: float, style: str = FULL) -> str:
    return f'<use href="#m" x="{x}" y="{y}" style="{style}"/>'


def corners(path: str) -> list[tuple[str, int, int]]:
    """Follow a path of lines and return its corners in tenths, by whether the pen is down."""
    x = y = 0
    start, found = (0, 0), []
    for letter, numbers in re.findall(r"([A-Za-z])([^A-Za-z]*)", path):
        ends = [round(10 * float(n)) for n in re.findall(r"-?[\d.]+", numbers)]
        if letter == "z":
            x, y = start
            found.append(("z", x, y))
        while ends:
            here = (x, y) if letter.islower() else (0, 0)
            if letter in "hv":
                step = ends.pop(0)
                x, y = (x + step, y) if letter == "h" else (x, y + step)
            else:
                x, y = here[0] + ends.pop(0), here[1] + ends.pop(0)
            if letter in "Mm":
                start = (x, y)
            found.append(("M" if letter in "Mm" else "L", x, y))
    return found


NUMBERS = st.integers(-9999, 9999).map(lambda tenths: tenths / 10)


@given(st.lists(st.tuples(st.sampled_from("MLLz"), NUMBERS, NUMBERS), max_size=12))
def test_a_short_path_has_the_same_corners(steps: list[tuple[str, float, float]]) -> None:
    path = "M1 2" + "".join("z" if c == "z" else f"{c}{x} {y}" for c, x, y in steps)
    found = vectors.short(path)
    assert corners(found) == corners(path)
    assert len(found) <= len(path) + 2 * len(steps)
    assert vectors.short(found) == found


def test_curves_go_in_steps_and_other_paths_stay() -> None:
    assert vectors.short("M10 10 C 10 12 12.04 12 12 10 z") == "M10 10c0 2 2 2 2 0z"
    assert vectors.short("M1 1A2 2 0 0 1 3 3") == "M1 1A2 2 0 0 1 3 3"


def test_round_dots_of_one_look_become_a_path_as_wide_as_they_were() -> None:
    found = vectors.fewer(drawing(use(1, 2), use(4, 2.5), use(4, 2, "fill: #000000")))
    soup = BeautifulSoup(found, "html.parser")
    blue, black = soup.find_all("path")
    assert (blue["d"], black["d"]) == ("M1 2h0m3 .5h0", "M4 2h0")
    assert "stroke: #56b4e9; stroke-width: 4; stroke-linecap: round" in blue["style"]
    assert not soup.find("g") and not soup.find("defs"), "nothing that nobody sees"
    edged = vectors.fewer(drawing(use(1, 2, f"{FULL}; stroke: #56b4e9")))
    assert "stroke-width: 5;" in edged, "half of the edge lies outside"


@pytest.mark.parametrize(
    "style", ["fill: none; stroke: #000000", f"{FULL}; stroke: #000000", f"{FULL}; opacity: 0.5"]
)
def test_rings_and_what_lets_something_through_stay_marks(style: str) -> None:
    found = vectors.fewer(drawing(use(1, 2, style), use(4, 2, style)))
    assert found.count("<use") == 2 and 'id="m"' in found


def test_a_mark_that_is_not_round_stays() -> None:
    square = '<path id="m" d="M-1 -1L1 -1L1 1L-1 1z"/>'
    assert vectors.fewer(drawing(use(1, 2), use(4, 2), defined=square)).count("<use") == 2


def test_groups_with_the_same_edges_become_one_and_different_edges_stay() -> None:
    clipped = '<g clip-path="url(#{})">' + use(1, 2) + "</g>"
    found = vectors.fewer(drawing(clipped.format("a"), clipped.format("a"), clipped.format("b")))
    groups = BeautifulSoup(found, "html.parser")("g")
    assert [(g["clip-path"], g.path["d"].count("h0")) for g in groups] == [
        ("url(#a)", 2),
        ("url(#b)", 1),
    ]


def test_dots_have_their_names_as_titles() -> None:
    names = quote(json.dumps(["<A>: 0.5", "", "B: 0.7", "others"]))
    group = f'<g id="{names}">{use(1, 2)}{use(2, 3)}{use(4, 2)}</g>'
    soup = BeautifulSoup(found := vectors.fewer(drawing(group)), "html.parser")
    titles = {path["d"]: path.title and path.title.text for path in soup("path")}
    assert titles == {"M2 3h0": "others", "M1 2h0": "<A>: 0.5", "M4 2h0": "B: 0.7"}
    assert not soup.find(id=True)
    assert vectors.fewer(found) == found
    wrong = vectors.fewer(drawing(group.replace(use(2, 3), "")))
    assert "<title>" not in wrong, "who is who is not known"
