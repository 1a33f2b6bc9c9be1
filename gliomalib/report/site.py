"""The frame around every page: where it stands in the report, what is on it, what words mean."""

import html
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gliomalib.report.entries import Entry
from gliomalib.report.statements import Statement

DOCUMENTS = {
    "html/patients.html": "Patients",
    "html/methods.html": "Methods",
    "html/model-card.html": "Model card",
    "html/about.html": "Limits and origin",
    "html/errors.html": "Errors",
    "html/numbers.html": "All numbers",
    "html/glossary.html": "Glossary",
    "html/downloads.html": "Downloads",
}
"""Pages beside those of statements and notebooks, from a study's folder → their titles."""

CONTROLS = {
    "08_alpha_sweep.slices": ("html/alpha.html", "Drag α"),
    "15_specification_curve.cells": ("html/multiverse.html", "Choose what was left open"),
}
"""A table → the page on which a reader tries choices on it, with its title."""

CONTENTS = "<!-- contents -->"
"""Where a template wants the list of a page's headings."""

QUOTED = r"""(?:[^<>"']|"[^"]*"|'[^']*')*+"""
"""The inside of a tag, in which a quoted ``>`` ends nothing."""

HEADING = re.compile(rf"<h2(?P<given>{QUOTED})>(?P<text>.*?)</h2>", re.DOTALL)

UNTOUCHED = "script|style|svg|pre|code|math|a|abbr|h[1-6]|summary|button|select|title|details"
"""Elements whose words are explained nowhere, because they are names, code or links."""


@dataclass(frozen=True)
class Place:
    """A page of a report: its address from the study's folder, its title, and what it is short."""

    address: str
    title: str
    short: str = ""


def tree(statements: Sequence[Statement], entries: Sequence[Entry]) -> dict[str, list[Place]]:
    """Return the pages of a report by heading, in their order.

    A variant of a notebook has no place of its own: its notebook's page leads to it.
    """
    tables = {file.partition(".csv")[0] for entry in entries for file in entry.tables}
    return {
        "Claims": [
            Place(f"html/{each.page}.html", each.row["statement"], each.row["claim"])
            for each in statements
            if each.page
        ],
        "Evidence": [
            Place(f"html/{entry.name}.html", entry.heading, entry.notebook.partition("_")[0])
            for entry in entries
            if entry.executed is not None and not entry.variant
        ],
        "Try it": [Place(*page) for table, page in CONTROLS.items() if table in tables],
        "Patients and methods": [Place(*page) for page in DOCUMENTS.items()],
    }


def framed(page: str, glossary: Mapping[str, str]) -> str:
    """Return a page whose headings can be linked and are listed, and whose terms are explained.

    ``glossary`` are terms → what they mean; each is explained where the text first has it.
    """
    before, main, after = page.partition("<main")
    text, end, rest = after.partition("</main>")
    headings: dict[str, str] = {}
    text = HEADING.sub(lambda found: _linked(found, headings), text)
    links = ((html.escape(key), title) for key, title in headings.items())
    listed = "".join(f'<li><a href="#{key}">{title}</a></li>' for key, title in links)
    contents = f"<p>On this page</p><ul>{listed}</ul>" if listed else ""
    return before + main + _explained(text, glossary) + end + rest.replace(CONTENTS, contents)


def _linked(found: re.Match[str], headings: dict[str, str]) -> str:
    """Return a heading with a link to itself, and note its title by its id."""
    title = re.sub(rf"<{QUOTED}>", "", found["text"])
    named = re.search(r'\bid="([^"]+)"', found["given"])
    slug = re.sub(r"\W+", "-", html.unescape(title).lower()).strip("-") or "part"
    key = html.unescape(named[1]) if named else f"on-{slug}"
    while key in headings:
        key += "-"
    headings[key] = " ".join(title.split())
    others = found["given"].replace(named[0], "").rstrip() if named else found["given"]
    place = html.escape(key)
    link = f'<a class="anchor" href="#{place}" aria-label="Link to this heading"></a>'
    return f'<h2{others} id="{place}">{found["text"]}{link}</h2>'


def _explained(text: str, glossary: Mapping[str, str]) -> str:
    if not glossary:
        return text
    terms = "|".join(re.escape(html.escape(term)) for term in sorted(glossary, key=len)[::-1])
    pattern = rf"<({UNTOUCHED})\b{QUOTED}>.*?</\1\s*>|<!--.*?-->|<{QUOTED}>|\b(?P<term>{terms})\b"
    left = {html.escape(term): meaning for term, meaning in glossary.items()}

    def explain(found: re.Match[str]) -> str:
        """Return a term with its meaning the first time, then as it is."""
        meaning = left.pop(found["term"], None) if found["term"] else None
        if meaning is None:
            return found[0]
        return f'<abbr title="{html.escape(meaning)}">{found[0]}</abbr>'

    return re.sub(pattern, explain, text, flags=re.DOTALL)
