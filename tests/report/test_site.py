"""The frame of a page: headings that can be linked, a list of them, words that are explained."""

import pytest
from bs4 import BeautifulSoup

from gliomalib.report import site

AROUND = "<body><nav>Dice</nav><main>{}</main><aside>" + site.CONTENTS + "</aside></body>"


def framed(main: str, glossary: dict[str, str] | None = None) -> BeautifulSoup:
    page = site.framed(AROUND.format(main), glossary or {})
    return BeautifulSoup(page, "html.parser")


def test_headings_are_listed_and_lead_to_themselves() -> None:
    page = framed('<h2>One &amp; <b>two</b></h2><h2 id="own" class="x">Three</h2><h3>No</h3>')
    links = page.aside.find_all("a")
    assert [link.get_text() for link in links] == ["One & two", "Three"]
    assert [link["href"] for link in links] == ["#on-one-two", "#own"]
    for heading, link in zip(page.find_all("h2"), links, strict=True):
        assert f"#{heading['id']}" == link["href"] == heading.select_one(".anchor")["href"]
    assert page.find_all("h2")[1]["class"] == ["x"]


def test_two_headings_of_one_name_have_two_places() -> None:
    places = [tag["id"] for tag in framed("<h2>Same</h2><h2>Same</h2><h2>…</h2>").find_all("h2")]
    assert len(set(places)) == 3


@pytest.mark.parametrize("place", ["a", "a &amp; b", "a&quot;b"])
def test_two_headings_with_one_given_place_have_two(place: str) -> None:
    page = framed(f'<h2 id="{place}">Same</h2><h2 id="{place}">Same</h2>')
    places = [f"#{tag['id']}" for tag in page.find_all("h2")]
    assert len(set(places)) == 2
    for links in (page.select("h2 a"), page.aside.find_all("a")):
        assert [link["href"] for link in links] == places


def test_a_page_without_headings_lists_nothing() -> None:
    assert framed("<p>text</p>").aside.get_text() == ""


def test_a_word_is_explained_where_it_first_stands() -> None:
    page = framed("<p>Dice and Dice loss, Dice.</p>", {"Dice": "an overlap", "Dice loss": "a loss"})
    told = [(tag.get_text(), tag["title"]) for tag in page.find_all("abbr")]
    assert told == [("Dice", "an overlap"), ("Dice loss", "a loss")]
    assert page.nav.get_text() == "Dice" and not page.nav.abbr, "only the text itself"
    assert page.p.get_text() == "Dice and Dice loss, Dice."


@pytest.mark.parametrize(
    "text",
    [
        "<code>Dice</code>",
        '<a href="x">the Dice</a>',
        "<h2>Dice</h2>",
        '<script>if (a < b && c > "Dice") {}</script>',
        "<svg><text>Dice</text></svg>",
        '<img alt="x > Dice">',
        "<!-- Dice -->",
        "<p>Diced</p>",
        '<p title="Dice">no</p>',
    ],
)
def test_code_links_and_attributes_stay_as_they_are(text: str) -> None:
    page = site.framed(AROUND.format(text), {"Dice": "an overlap"})
    assert "an overlap" not in page
    assert text in page or text.startswith("<h2>"), "and nothing of it is lost"


def test_what_a_word_means_is_text() -> None:
    page = framed("<p>a &lt; b</p>", {"<": '"><script>alert(1)</script>'})
    assert not page.find("script")
