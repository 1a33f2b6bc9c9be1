"""Vector figures inside a page: nothing in them acts, and they are of the page's colours."""

import re

import nbformat
import pytest
from bs4 import BeautifulSoup

from gliomalib.report import drawings, notebooks
from tests.report.reading import needs_nothing

PLAIN = (
    '<svg width="9pt" height="9pt" viewBox="0 0 9 9" xmlns="http://www.w3.org/2000/svg"><defs>'
    '<style type="text/css">*{stroke-linecap: butt}.a0{fill: #ffffff}.a1{stroke: #444444}'
    '.a2{font-size: 9px; font-family: \'DejaVu Sans\', sans-serif}</style></defs>'
    '<path d="M0 0h9" class="a0"/><use href="#i0" x="1" y="2" class="a1"/>'
    '<text class="a2" x="1" y="2">Dice</text><path d="M1 2h0" clip-path="url(#i1)">'
    "<title>A &amp; B: 0.5</title></path><defs><path id=\"i0\" d=\"M0 0v3\"/>"
    '<clipPath id="i1"><rect x="0" y="0" width="9" height="9"/></clipPath></defs></svg>'
)  # fmt: skip


def inlined(drawing: str, prefix: str = "f", alt: str = "a") -> BeautifulSoup:
    return BeautifulSoup(drawings.inline(drawing, prefix, alt), "html.parser")


def test_ids_and_classes_are_those_of_one_figure() -> None:
    soup = inlined(PLAIN, "c1-")
    assert [tag["id"] for tag in soup.find_all(id=True)] == ["c1-i0", "c1-i1"]
    assert soup.use["href"] == "#c1-i0"
    assert soup.find(attrs={"clip-path": True})["clip-path"] == "url(#c1-i1)"
    rules = set(re.findall(r"\.([\w-]+)\{", soup.style.get_text()))
    used = {name for tag in soup.find_all(class_=True) for name in tag["class"]}
    assert used <= rules and all(rule.startswith("c1-") for rule in rules)
    assert "*" not in soup.style.get_text(), "a rule for everything would reach the page"


def test_the_paper_and_what_is_drawn_on_it_take_the_colours_of_the_page() -> None:
    css = inlined(PLAIN).style.get_text()
    assert "fill: var(--paper)" in css and "stroke: var(--mark)" in css
    assert "font-family: 'DejaVu Sans', sans-serif" in css
    on_marks = PLAIN.replace("font-size: 9px", "font-size: 9px; fill: #ffffff")
    assert "var(" not in inlined(on_marks).style.get_text(), "white letters need their dark mark"
    assert inlined(on_marks).svg.has_attr("data-paper")


def test_a_figure_has_its_text_as_name() -> None:
    soup = inlined(PLAIN.replace("<title>A &amp; B: 0.5</title>", ""), alt='"Dice" <b> of\n all')
    assert (soup.svg["role"], soup.svg["aria-label"]) == ("img", '"Dice" <b> of all')
    assert inlined(PLAIN).svg["role"] == "group", "its titles are read"


def test_named_dots_lead_to_their_patients() -> None:
    page = drawings.inline(PLAIN, "f", "a")
    soup = BeautifulSoup(drawings.linked(page, {"A & B": "patient-A & B.html"}), "html.parser")
    assert soup.a["href"] == "patient-A & B.html"
    assert soup.a.path.title.get_text() == "A & B: 0.5"
    assert drawings.linked(page, {"C": "patient-C.html"}) == page


ATTACKS = [
    "<script>alert(1)</script>",
    '<a xlink:href="javascript:x()"><text>a</text></a>',
    '<use href="https://a.org/#x"/>',
    '<use xlink:href="data:image/svg+xml,x#x"/>',
    '<image href="https://a.org/x.png"/>',
    '<foreignObject><iframe src="https://a.org"></iframe></foreignObject>',
    '<path d="M0 0" clip-path="url(https://a.org#x)" onclick="x()"/>',
    '<path d="M0 0" style="fill:url(https://a.org);x:expression(1)"/>',
    '<animate attributeName="href" to="javascript:x()"/><set onbegin="x()"/>',
    '<style>@import "https://a.org";.a9{fill: url(https://a.org)}.b{background:url(x)}</style>',
    "<title><style><img src=x onerror=x()></style></title>",
    "<math><mtext><style><img src=x onerror=x()></style></mtext></math>",
    "</svg><img src=https://a.org onerror=x()><svg>",
    '<text style="font-family: x}body{display:none">a</text>',
    '<text style="position: fixed">a</text>',
]


@pytest.mark.parametrize("attack", ATTACKS)
def test_what_could_act_or_fetch_is_refused(attack: str) -> None:
    hostile = PLAIN.replace("<path d=", f"{attack}<path d=", 1)
    hostile = hostile.replace("<svg ", '<svg onload="x()" ')
    output = nbformat.v4.new_output("display_data", {"image/svg+xml": hostile})
    cell = nbformat.v4.new_code_cell("draw()", outputs=[output])
    notebook = nbformat.v4.new_notebook(cells=[cell])
    page = notebooks.body(notebook, "05", (), "make it")
    soup = BeautifulSoup(page, "html.parser")
    assert needs_nothing(soup)
    assert not soup.find_all(["script", "img", "a", "iframe", "animate", "set", "image"])
    assert not re.search(r"javascript|expression|a\.org|display:none|position", str(soup.svg))
    hrefs = [str(tag["href"]) for tag in soup.find_all(href=True)]
    assert all(href.startswith("#c1-1-") for href in hrefs)
