"""How tests read the documents of a planted study."""

from pathlib import Path

from bs4 import BeautifulSoup, Tag

from gliomalib import settings
from gliomalib.report import documents, pages
from gliomalib.report import errors as faults
from gliomalib.report.notebooks import TEMPLATES

STUDIES = ("brats", "brats-cubes", "brats-mini", "demo", "phantom-full", "smoke")
MOST_BYTES = 1_000_000
"""A page above this opens slowly on a telephone."""

DOCUMENTS = (
    *("methods", "model-card", "errors", "about", "numbers", "glossary", "search"),
    "downloads",
)


def collected(folder: Path, study: str = "demo") -> pages.Report:
    return pages.collect(settings.load(study), folder)


def section(folder: Path, title: str, study: str = "demo") -> str:
    return documents.sections(collected(folder, study))[title]


def soup(html: str) -> BeautifulSoup:
    return BeautifulSoup(html, "html.parser")


def soup_of(path: Path) -> BeautifulSoup:
    return soup(path.read_text(encoding="utf-8"))


def words_of(tag: Tag) -> str:
    return " ".join(tag.get_text(" ").split())


def scripts(page: BeautifulSoup) -> set[str]:
    """Return what a page would run."""
    return {tag.get_text().strip() for tag in page.find_all("script")}


def own_scripts() -> set[str]:
    """Return what the project itself wrote to run on a page."""
    return {path.read_text(encoding="utf-8").strip() for path in TEMPLATES.glob("*.js")}


def needs_nothing(page: BeautifulSoup) -> bool:
    """Say whether a page fetches nothing, and acts on nothing by an attribute."""
    style = "".join(tag.get_text() for tag in page.find_all("style"))
    attributes = {name for tag in page.find_all(True) for name in tag.attrs}
    return (
        not page.find_all(["link", "iframe", "object", "embed", "base"])
        and all(tag.name == "img" for tag in page.find_all(src=True))
        and all(str(tag["src"]).startswith("data:image/") for tag in page.find_all(src=True))
        and "url(" not in style
        and "@import" not in style
        and not any(name.startswith("on") for name in attributes)
    )


def text(html: str) -> str:
    page = soup(html)
    for place in page.find_all("wbr"):
        place.decompose()
    page.smooth()
    return words_of(page)


def faults_of(folder: Path, anchor: str, study: str = "demo") -> list[faults.Item]:
    return faults.headings(collected(folder, study), folder)[anchor]


def part(html: str, name: str) -> Tag:
    found = soup(html).find(id=name)
    assert isinstance(found, Tag)
    return found
