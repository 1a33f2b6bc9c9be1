"""Formulas of notebooks as MathML."""

from __future__ import annotations

import pytest
from bs4 import BeautifulSoup
from hypothesis import given
from hypothesis import strategies as st

from gliomalib.report import formulas, notebooks


def cleaned(markdown: str) -> BeautifulSoup:
    return BeautifulSoup(notebooks.clean(formulas.to_html(markdown), "05"), "html.parser")


def test_formula_in_a_line_and_in_its_own() -> None:
    soup = cleaned("with $K = 4$:\n\n$$S = \\alpha\\,S_{\\text{2D}}$$\n")
    inline, block = soup.find_all("math")
    assert inline["display"] == "inline"
    assert inline.get_text() == "K=4"
    assert block["display"] == "block"
    assert block.msub.get_text() == "S2D"
    assert "xmlns" not in block.attrs, "no address of any kind stands in a page"


def test_code_and_prices_are_no_formulas() -> None:
    soup = cleaned("`$x$` costs \\$5 and \\$6")
    assert soup.find("math") is None
    assert soup.get_text().strip() == "$x$ costs $5 and $6"


@pytest.mark.parametrize("broken", ["\\frac{a}{", "\\nosuch x", "a_{", "\\left( x"])
def test_broken_formula_stands_as_it_was_written(broken: str) -> None:
    soup = cleaned(f"see $${broken}$$ here")
    assert soup.find("math") is None
    assert f"$${broken}$$" in soup.get_text()


def test_formula_cannot_carry_anything_else() -> None:
    for attack in ("\\text{<script>alert(1)</script>}", "\\href{javascript:x()}{y}", "<img src=x>"):
        soup = cleaned(f"$${attack}$$")
        assert not soup.find_all(["script", "img"])
        assert not soup.find_all(href=True)


@given(st.text(alphabet="ab\\{}_^$&<>/ 12", max_size=20))
def test_no_text_stops_a_page(text: str) -> None:
    soup = cleaned(text)
    known = notebooks.KEPT_TAGS
    assert all(tag.name in known for tag in soup.find_all(True))
