"""How tests read the documents of a planted study."""

from __future__ import annotations

from pathlib import Path

from bs4 import BeautifulSoup, Tag

from gliomalib import settings
from gliomalib.report import errors as faults
from gliomalib.report import methods, pages

STUDIES = ("brats", "brats-mini", "demo", "phantom-full", "smoke")


DOCUMENTS = ("methods", "model-card", "errors", "downloads")


def collected(folder: Path, study: str = "demo") -> pages.Report:
    return pages.collect(settings.load(study), folder)


def section(folder: Path, title: str, study: str = "demo") -> str:
    found = {one.title: one.text for one in methods.sections(collected(folder, study))}
    return found[title]


def soup(html: str) -> BeautifulSoup:
    return BeautifulSoup(html, "html.parser")


def text(html: str) -> str:
    page = soup(html)
    for place in page.find_all("wbr"):
        place.decompose()
    page.smooth()
    return " ".join(page.get_text(" ").split())


def faults_of(folder: Path, anchor: str, study: str = "demo") -> faults.Heading:
    found = faults.headings(collected(folder, study), folder)
    return next(one for one in found if one.anchor == anchor)


def part(html: str, name: str) -> Tag:
    found = soup(html).find(id=name)
    assert isinstance(found, Tag)
    return found
