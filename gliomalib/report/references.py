"""The works that a report cites (``templates/references.bib``), and how to cite the project."""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import yaml
from pybtex.database import BibliographyData, Entry, parse_file  # type: ignore[import-untyped]

from gliomalib.data import catalogue
from gliomalib.provenance import PACKAGE_DIR, PROJECT_DIR
from gliomalib.verdicts.claims import Paper

CITATION = PROJECT_DIR / "CITATION.cff"


@dataclass(frozen=True)
class Reference:
    """A work: its name in a sentence, its entry in a list, its DOI or arXiv number, its address."""

    short: str
    text: str
    place: str
    link: str


@lru_cache
def _entries() -> dict[str, Entry]:
    path = PACKAGE_DIR / "report" / "templates" / "references.bib"
    return dict(parse_file(str(path), bib_format="bibtex", encoding="utf-8").entries)


@lru_cache
def works() -> dict[str, Reference]:
    """Return the works of others that a report may name, by key, in the order of the list."""
    return {key: _reference(entry) for key, entry in _entries().items()}


def cited(text: str, paper: Paper) -> tuple[Reference, ...]:
    """Return the works that ``text`` names, ``paper`` first: no more and no fewer."""
    examined = Reference(paper.short, paper.citation, paper.identifier, paper.address)
    return tuple(work for work in (examined, *works().values()) if work.short in text)


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


def sentences(paper: Paper) -> list[str]:
    """Return how to cite the project, and the paper that it examines, in a sentence each."""
    project = citation()
    authors = ", ".join(project["names"]).removesuffix(".")
    year = str(project.get("date-released", ""))[:4]
    parts = [authors, project["title"], f"Version {project['version']}", year]
    return [". ".join(filter(None, parts)) + ".", paper.citation]


def bibtex(paper: Paper, text: str = "", **study: str) -> str:
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
    cited_works = {key: _entries()[key] for key, work in works().items() if work.short in text}
    project_itself = {"gliomalib": Entry("software", common | stated)}
    entries = {**own, **project_itself, "examined": _examined(paper), **cited_works}
    return str(BibliographyData(entries).to_string("bibtex")).strip()


def _examined(paper: Paper) -> Entry:
    kind, number = paper.identifier.split(" ", 1)
    place = {"eprint": number, "archiveprefix": kind} if kind == "arXiv" else {"doi": number}
    fields = {"title": f"{{{paper.title}}}", "year": str(paper.year), "url": paper.address}
    return Entry("misc", {"author": " and ".join(paper.authors), **fields, **place})


def _reference(entry: Entry) -> Reference:
    """Return a work, named by its authors and its year."""
    fields = {name: re.sub(r"[{}]", "", text) for name, text in entry.fields.items()}
    names = re.sub(r"[{}]", "", " and ".join(map(str, entry.persons["author"])))
    dated = f"{names.replace(' and others', ' et al.')} {fields.get('year', '')}".strip()
    source = fields.get("journal") or fields.get("booktitle") or fields.get("howpublished") or ""
    source += " {volume}:{pages}".format(**fields) if "volume" in fields else ""
    source += " ({note})".format(**fields) if "note" in fields else ""
    parts = [dated.removesuffix("."), fields["title"], source]
    place, link = f"arXiv {fields.get('eprint')}", f"https://arxiv.org/abs/{fields.get('eprint')}"
    if "doi" in fields:
        place, link = f"doi {fields['doi']}", f"https://doi.org/{fields['doi']}"
    text = ". ".join(filter(None, parts)) + "."
    return Reference(dated, text, place, link)
