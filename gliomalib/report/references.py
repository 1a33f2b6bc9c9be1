"""The works that a report cites, and how to cite the project itself."""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import yaml
from pybtex.database import BibliographyData, Entry, parse_file  # type: ignore[import-untyped]

from gliomalib.data import catalogue
from gliomalib.provenance import PACKAGE_DIR, PROJECT_DIR

CITATION = PROJECT_DIR / "CITATION.cff"
WORKS = PACKAGE_DIR / "report" / "templates" / "references.bib"

EXAMINED = "examined"
"""Key of the paper whose claims are examined."""


@dataclass(frozen=True)
class Reference:
    """One work: how a sentence names it, its entry in a list, its DOI or arXiv number, its address.

    ``place`` is the address itself where the work has no number.
    """

    short: str
    text: str
    place: str
    link: str


@lru_cache
def works() -> dict[str, Reference]:
    """Return every work that a sentence of a report may name, by key, in the order of the list."""
    return {key: _reference(entry) for key, entry in _database().entries.items()}


def cited(text: str) -> tuple[Reference, ...]:
    """Return the works that ``text`` names, in the order of the list: no more and no fewer."""
    return tuple(work for work in works().values() if work.short in text)


def of_releases(releases: tuple[str, ...]) -> str:
    """Return how the makers of some releases ask to be cited, as text for brackets."""
    sets = [entry for entry in catalogue.load().values() if set(entry.releases) & set(releases)]
    # the list of references has the places of papers already
    bare = [re.sub(r" \((arXiv|doi) [^)]*\)", "", entry.cite) for entry in sets]
    parts = [part.strip() for cite in bare for part in cite.split(",")]
    return ", ".join(dict.fromkeys(parts))


def title_of(release: str) -> str:
    """Return what a release is called, or its key where the catalogue does not have it."""
    return next((entry.title for entry in _sets(release)), release)


def licence_of(release: str) -> str:
    """Return under which licence a release is given out, or where to read it."""
    return next((entry.licence for entry in _sets(release)), catalogue.UNKNOWN)


def _sets(release: str) -> list[catalogue.DataSet]:
    return [entry for entry in catalogue.load().values() if release in entry.releases]


def citation() -> dict[str, Any]:
    """Return what ``CITATION.cff`` says."""
    content: dict[str, Any] = yaml.safe_load(CITATION.read_text(encoding="utf-8"))
    return content


def sentences() -> list[str]:
    """Return how to cite the project, and the paper that it examines, in a sentence each."""
    project = citation()
    authors = ", ".join(map(_name, project["authors"])).removesuffix(".")
    year = str(project.get("date-released", ""))[:4]
    parts = [authors, project["title"], f"Version {project['version']}", year]
    return [". ".join(filter(None, parts)) + ".", works()[EXAMINED].text]


def bibtex() -> str:
    """Return the project and the paper that it examines as BibTeX."""
    project = citation()
    # braces keep capitals as they are, and a group from being taken for first and last names
    names = " and ".join(f"{{{_name(author)}}}" for author in project["authors"])
    fields = {
        "author": names,
        "title": f"{{{project['title']}}}",
        "version": str(project["version"]),
        "license": project["license"],
    }
    entries = {"gliomalib": Entry("software", fields), EXAMINED: _database().entries[EXAMINED]}
    return str(BibliographyData(entries).to_string("bibtex")).strip()


@lru_cache
def _database() -> BibliographyData:
    return parse_file(str(WORKS), bib_format="bibtex", encoding="utf-8")


def _reference(entry: Entry) -> Reference:
    fields = {name: re.sub(r"[{}]", "", text) for name, text in entry.fields.items()}
    authors = _authors(entry)
    short = fields.get("shorthand") or " ".join(filter(None, [authors, fields.get("year")]))
    source = fields.get("journal") or fields.get("booktitle") or fields.get("howpublished") or ""
    if "volume" in fields:
        source += f" {fields['volume']}:{fields['pages']}"
    if "note" in fields:
        source += f" ({fields['note']})"
    parts = [short.removesuffix("."), fields["title"], source]
    if "shorthand" in fields:
        parts = [authors, fields["title"], source, fields["year"]]
    place, link = _place(fields)
    return Reference(short, ". ".join(filter(None, parts)) + ".", place, link)


def _authors(entry: Entry) -> str:
    """Return ``Holm``, ``Loshchilov and Hutter``, ``Bakas et al.``, as a sentence names them."""
    names = [
        re.sub(r"[{}]", "", " ".join([*person.prelast_names, *person.last_names]))
        for person in entry.persons["author"]
    ]
    return " and ".join(names).replace(" and others", " et al.")


def _place(fields: dict[str, str]) -> tuple[str, str]:
    """Return the number of a work, and the address where it leads."""
    if "doi" in fields:
        return f"doi {fields['doi']}", f"https://doi.org/{fields['doi']}"
    if "eprint" in fields:
        return f"arXiv {fields['eprint']}", f"https://arxiv.org/abs/{fields['eprint']}"
    return fields["url"], fields["url"]


def _name(author: dict[str, Any]) -> str:
    """Return an institution's name, or a person's as ``family, given``."""
    if "name" in author:
        return str(author["name"])
    return ", ".join(filter(None, [author["family-names"], author.get("given-names", "")]))
