"""An executed notebook as one piece of HTML that needs nothing from anywhere else."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from bs4 import BeautifulSoup, Comment, Tag
from markupsafe import Markup
from nbconvert.exporters import HTMLExporter
from nbconvert.preprocessors import CoalesceStreamsPreprocessor
from nbformat import NotebookNode
from traitlets.config import Config

from gliomalib import digits
from gliomalib.provenance import PACKAGE_DIR
from gliomalib.report import formulas, words

TEMPLATES = PACKAGE_DIR / "report" / "templates"
KEPT_TYPES = [
    "text/html",
    "text/markdown",
    "image/svg+xml",
    "image/png",
    "image/jpeg",
    "text/latex",
    "text/plain",
]
"""Output types in order of preference: no scripts and no widgets, which would need a server."""

PLAIN_TAGS = """
    a abbr b blockquote br caption code col colgroup dd del details div dl dt em figcaption figure
    h1 h2 h3 h4 h5 h6 hr i img ins kbd li mark ol p pre q s samp small span strong sub summary sup
    table tbody td tfoot th thead tr u ul var
"""
PLAIN_ATTRIBUTES = "alt class colspan height href id rowspan scope src title width"
KEPT_TAGS = frozenset(PLAIN_TAGS.split()) | formulas.MATH_TAGS
KEPT_ATTRIBUTES = frozenset(PLAIN_ATTRIBUTES.split())

SENTENCE = 40
"""A column with a longer text than this needs room."""

SHORT = 20
"""A column with at most so many letters, such as that of intervals, stays on one line."""

WORD = 6
"""A name with at most so many letters, such as ``p_holm``, does not break."""

MANY = 9
"""A table with more columns than this is set closer."""

LITERAL = ("code", "pre", "kbd", "samp", "math")
"""Tags whose text stays as it was written."""

NUMBER = re.compile(
    r"[-+\u2212]?(\d[\d,\s]*\.?\d*|\.\d+)([eE][-+]?\d+|\s×\s10[⁻⁰¹²³⁴-⁹]+)?\s*%?"
    r"|nan|NaN|<NA>|undefined|[-+\u2212]?(inf|∞)|\u2013|\u2014|"
)
"""A cell of a column of numbers: a number, a percentage, a dash for none, or nothing."""


NO_NUMBER = ("NaN", "nan", "<NA>")
"""What pandas writes where there is no number; a page shows a dash."""


@dataclass(frozen=True)
class Again:
    """How a notebook is made again: the command, and how long that took on which device.

    ``seconds`` is None, ``device`` empty, where nobody kept it.
    """

    command: str
    seconds: float | None = None
    device: str = ""


def body(
    notebook: NotebookNode, number: str, pages: Collection[str], again: Again | None = None
) -> str:
    """Return the cells of an executed notebook as HTML without scripts or outside addresses.

    ``number`` names the notebook in the text that stands for a picture; ``pages`` are the
    notebooks that have a page of their own, so that links between notebooks lead there;
    ``again`` stands below every figure and table.
    """
    resources = {"number": number, "pages": tuple(pages), "again": again}
    html, _ = _exporter().from_notebook_node(notebook, resources=resources)
    return str(html)


@lru_cache
def _exporter() -> HTMLExporter:
    exporter = HTMLExporter(  # type: ignore[no-untyped-call]
        template_name="notebook_cells",
        extra_template_basedirs=[str(TEMPLATES)],
        exclude_anchor_links=True,
        # a log comes line by line: as one piece it can be folded
        preprocessors=[CoalesceStreamsPreprocessor],
        config=Config(
            {
                "NbConvertBase": {"display_data_priority": KEPT_TYPES},
                "CoalesceStreamsPreprocessor": {"enabled": True},
            }
        ),
    )
    filters = {
        "clean": clean,
        "shown_type": _shown_type,
        "has_result": _has_result,
        "duration": words.duration,
        "markdown": formulas.to_html,
    }
    for name, function in filters.items():
        exporter.register_filter(name, function)  # type: ignore[no-untyped-call]
    return exporter


def clean(html: str, number: str, pages: Collection[str] = ()) -> str:
    """Return ``html`` with plain tags only.

    Scripts and unknown tags appear as text, styles are dropped, tables are aligned and can be
    scrolled, negative numbers get a minus sign, links lead to the web or to a page of this report,
    and a picture from outside is named in words.
    """
    soup = BeautifulSoup(html, features="html.parser")
    for comment in soup.find_all(string=lambda text: isinstance(text, Comment)):
        comment.extract()
    for tag in soup.find_all(True):
        if tag.decomposed:
            continue
        if tag.name == "style":
            tag.decompose()
        elif tag.name not in KEPT_TAGS:
            tag.replace_with(str(tag))
        else:
            known = formulas.MATH_ATTRIBUTES if tag.name in formulas.MATH_TAGS else KEPT_ATTRIBUTES
            tag.attrs = {name: text for name, text in tag.attrs.items() if name in known}
            _mend(tag, number, pages)
    for text in soup.find_all(string=True):
        if text.find_parent(LITERAL) is None and (shown := digits.with_minus(text)) != text:
            text.replace_with(shown)
    for table in soup.find_all("table"):
        _align(table)
        frame = {"class": "wide", "tabindex": "0", "role": "region", "aria-label": _label(table)}
        table.wrap(soup.new_tag("div", attrs=frame))
    return str(soup)


def _mend(tag: Tag, number: str, pages: Collection[str]) -> None:
    if tag.name == "img":
        source = str(tag.get("src", ""))
        if not source.startswith("data:image/"):
            tag.replace_with(f"[a picture that is not part of this page: {source}]")
        elif not tag.get("alt"):
            tag["alt"] = f"Figure of notebook {number}, described in the text below"
    if tag.name != "img" and "src" in tag.attrs:
        del tag["src"]
    if "href" in tag.attrs:
        target = str(tag["href"])
        sibling = re.fullmatch(r"(?:\./)?([\w.\-]+)\.ipynb(#.*)?", target)
        if sibling and sibling[1] in pages:
            tag["href"] = f"{sibling[1]}.html"
        elif tag.name != "a" or not target.startswith(("https://", "http://", "#")):
            tag.unwrap()


def _label(table: Tag) -> str:
    """Return what tells a table from others; its heads without any text become plain cells."""
    for cell in table.find_all("th"):
        if not cell.get_text().strip():
            cell.name = "td"
    heads = [cell.get_text().strip() for cell in table.find_all("th")[:4]]
    return ": ".join(filter(None, ["Table", ", ".join(heads)]))


def _align(table: Tag) -> None:
    """Mark what its columns hold and whether they are many; let long names break."""
    rows = [row.find_all(["th", "td"], recursive=False) for row in table.find_all("tr")]
    width = max(map(len, rows), default=0)
    for column in range(width):
        cells = [row[column] for row in rows if len(row) == width]
        kind = _kind([cell.get_text().strip() for cell in cells if cell.name == "td"])
        for cell in cells:
            if kind == "num" and cell.string in NO_NUMBER:
                cell.string = "\N{EN DASH}"
            if kind in ("num", "long") or (kind and cell.name == "td"):
                cell["class"] = kind
    if width > MANY:
        table["class"] = "many"
    for cell in table.find_all(["td", "th"]):
        _break_names(cell)


def _kind(texts: Sequence[str]) -> str:
    """Return the class of a column's cells: numbers, sentences, short texts, names or phrases."""
    if any(texts) and all(map(NUMBER.fullmatch, texts)):
        return "num"
    longest = max(map(len, texts), default=0)
    spaced, named = (any(sign in text for text in texts) for sign in (" ", "_"))
    if longest > SENTENCE and spaced:
        return "long"
    if longest <= SHORT:
        return "" if named else "short"
    return "phrase" if spaced else "name"


def _break_names(cell: Tag) -> None:
    """Let a name such as ``external_accuracy_resnet50`` break after its underscores."""
    name = "" if cell.string is None else cell.string.strip()
    if "_" not in name or " " in name or len(name) <= WORD:
        return
    parts = breakable(name)
    cell.clear()
    cell.append(BeautifulSoup(parts, "html.parser"))


def breakable(name: str) -> Markup:
    """Return a name as HTML that may break after each underscore."""
    return Markup("_<wbr>").join(name.split("_"))


def _shown_type(output: Any) -> str:
    """Return the preferred type of an output, or an empty text where none can be shown."""
    return next((kind for kind in KEPT_TYPES if kind in output.get("data", {})), "")


def _has_result(outputs: Collection[Any]) -> bool:
    """Return whether a figure or a table is among the outputs of a cell."""
    shown = [(_shown_type(output), output.get("data", {})) for output in outputs]
    return any(
        kind.startswith("image/") or (kind == "text/html" and "<table" in data[kind])
        for kind, data in shown
    )
