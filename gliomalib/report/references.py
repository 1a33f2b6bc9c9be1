"""The works that a report cites (``templates/references.bib``), and how to cite the project."""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import yaml
from pybtex.database import BibliographyData, Entry, parse_file  # type: ignore[import-untyped]

from gliomalib.data import catalogue
from gliomalib.provenance import PACKAGE_DIR, PROJECT_DIR

CITATION = PROJECT_DIR / "CITATION.cff"

EXAMINED = "examined"
"""Key of the paper whose claims are examined."""


@dataclass(frozen=True)
class Reference:
    """A work: its name in a sentence, its entry in a list, its DOI or arXiv number, its address."""

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
    # the list of references has the places of papers already
    cites = [re.sub(r" \((arXiv|doi) [^)]*\)", "", catalogue.find(name).cite) for name in releases]
    return ", ".join(dict.fromkeys(part for cite in cites for part in cite.split(", ")))


def citation() -> dict[str, Any]:
    """Return what ``CITATION.cff`` says, with ``names`` of its authors and ``doi``, or empty."""
    content: dict[str, Any] = yaml.safe_load(CITATION.read_text(encoding="utf-8"))
    names = [
        person.get("name") or f"{person['family-names']}, {person['given-names']}"
        for person in content["authors"]
    ]
    stated = [known["value"] for known in content.get("identifiers", ()) if known["type"] == "doi"]
    return {"doi": next(iter(stated), ""), **content, "names": names}


def sentences() -> list[str]:
    """Return how to cite the project, and the paper that it examines, in a sentence each."""
    project = citation()
    authors = ", ".join(project["names"]).removesuffix(".")
    year = str(project.get("date-released", ""))[:4]
    parts = [authors, project["title"], f"Version {project['version']}", year]
    return [". ".join(filter(None, parts)) + ".", works()[EXAMINED].text]


def bibtex(text: str = "", **study: str) -> str:
    """Return the project and the paper that it examines as BibTeX, then the works in ``text``.

    With a ``study``, which are fields of an entry with its name as ``key``, that comes first.
    """
    project = citation()
    # braces keep capitals as they are, and a group from being taken for first and last names
    common = {"author": " and ".join(f"{{{name}}}" for name in project["names"])}
    fields = {
        "title": f"{{{project['title']}}}",
        "version": str(project["version"]),
        "year": str(project.get("date-released", ""))[:4],
        "license": project["license"],
        "doi": project["doi"],
    }
    own = {f"gliomalib-{study.pop('key')}": Entry("misc", common | study)} if study else {}
    stated = {key: field for key, field in fields.items() if field}
    keys = [EXAMINED, *(key for key, work in works().items() if work.short in text)]
    cited_works = {key: _database().entries[key] for key in keys}
    entries = {**own, "gliomalib": Entry("software", common | stated), **cited_works}
    return str(BibliographyData(entries).to_string("bibtex")).strip()


@lru_cache
def _database() -> BibliographyData:
    path = PACKAGE_DIR / "report" / "templates" / "references.bib"
    return parse_file(str(path), bib_format="bibtex", encoding="utf-8")


def _reference(entry: Entry) -> Reference:
    """Return a work; one with a ``shorthand`` is named by that, and listed with its year behind."""
    fields = {name: re.sub(r"[{}]", "", text) for name, text in entry.fields.items()}
    names = re.sub(r"[{}]", "", " and ".join(map(str, entry.persons["author"])))
    dated = f"{names.replace(' and others', ' et al.')} {fields.get('year', '')}".strip()
    source = fields.get("journal") or fields.get("booktitle") or fields.get("howpublished") or ""
    source += " {volume}:{pages}".format(**fields) if "volume" in fields else ""
    source += " ({note})".format(**fields) if "note" in fields else ""
    parts = [dated.removesuffix("."), fields["title"], source]
    if "shorthand" in fields:
        parts = [names, fields["title"], fields["year"]]
    place, link = f"arXiv {fields.get('eprint')}", f"https://arxiv.org/abs/{fields.get('eprint')}"
    if "doi" in fields:
        place, link = f"doi {fields['doi']}", f"https://doi.org/{fields['doi']}"
    text = ". ".join(filter(None, parts)) + "."
    return Reference(fields.get("shorthand", dated), text, place, link)
