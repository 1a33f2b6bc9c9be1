"""How to cite this project and the paper that it examines, in a sentence each."""

from __future__ import annotations

from typing import Any

from gliomalib.report import references
from gliomalib.schema import SettingsError


def sentences() -> list[str]:
    """Return how to cite the project, and each work that it refers to, from ``CITATION.cff``.

    Empty where the file is missing: the page says so.
    """
    try:
        content = references.citation()
    except SettingsError:
        return []
    return [_sentence(entry) for entry in (content, *content.get("references", []))]


def _sentence(entry: dict[str, Any]) -> str:
    authors = ", ".join(_name(author) for author in entry["authors"]).removesuffix(".")
    version = f"Version {entry['version']}" if "version" in entry else ""
    numbers = [one["value"] for one in entry.get("identifiers", [])]
    year = str(entry.get("date-released") or entry.get("year") or "")[:4]
    return ". ".join(filter(None, [authors, entry["title"], version, *numbers, year])) + "."


def _name(author: dict[str, Any]) -> str:
    """Return an institution's name, or a person's as ``family, given``."""
    if "name" in author:
        return str(author["name"])
    return ", ".join(filter(None, [author["family-names"], author.get("given-names", "")]))
