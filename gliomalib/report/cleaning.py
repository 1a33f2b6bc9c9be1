"""What notebooks put out as HTML for a page: by an allow-list, with tables set for reading."""

import re
from collections.abc import Collection, Sequence

import nh3
from bs4 import BeautifulSoup, Tag
from markupsafe import Markup

from gliomalib import digits

MATH_TAGS = """
    math mfrac mi mn mo mover mpadded mphantom mroot mrow mspace msqrt mstyle msub msubsup msup
    mtable mtd mtext mtr munder munderover
"""
TAGS = nh3.ALLOWED_TAGS | {"tfoot", *MATH_TAGS.split()}
"""Tags that may stand on a page: those that nh3 takes for harmless, and those of formulas."""

PLAIN_ATTRIBUTES = "alt class colspan height href id rowspan scope src title width"
# those of formulas only say how one is set
MATH_ATTRIBUTES = """
    accent accentunder columnalign columnlines columnspacing display displaystyle fence form height
    largeop linethickness lspace mathsize mathvariant maxsize minsize movablelimits rowspacing
    rspace scriptlevel separator stretchy symmetric width
"""
ATTRIBUTES = {*PLAIN_ATTRIBUTES.split(), *MATH_ATTRIBUTES.split()}
"""Attributes that may stand on a page."""

SENTENCE, SHORT, WORD = 40, 20, 6
"""Letters: a column with a longer text needs room, one of no more stays on one line, as intervals
do, and a name of no more does not break, such as ``p_holm``."""

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


def clean(source: str, number: str, pages: Collection[str] = ()) -> str:
    """Return HTML with plain tags only.

    Scripts, styles, comments and unknown tags are dropped, of the last the text stays. Tables are
    aligned and can be scrolled, negative numbers get a minus sign, links lead to the web or to a
    page of this report, and a picture from outside is named in words.
    """
    kept = nh3.clean(
        source,
        tags=TAGS,
        attributes={"*": ATTRIBUTES},
        url_schemes={"http", "https", "data"},
        link_rel=None,
    )
    soup = BeautifulSoup(kept, features="html.parser")
    for image in soup.find_all("img"):
        _mend_image(image, number)
    for link in soup.find_all(lambda tag: tag.name == "a" or tag.has_attr("href")):
        _mend_link(link, pages)
    for text in soup.find_all(string=True):
        if text.find_parent(LITERAL) is None and (shown := digits.with_minus(text)) != text:
            text.replace_with(shown)
    for table in soup.find_all("table"):
        if not table.find("td"):
            table.replace_with(BeautifulSoup('<p class="quiet">None found.</p>', "html.parser"))
            continue
        _align(table)
        frame = {"class": "wide", "tabindex": "0", "role": "region", "aria-label": _label(table)}
        table.wrap(soup.new_tag("div", attrs=frame))
    return str(soup)


def _mend_image(image: Tag, number: str) -> None:
    source = str(image.get("src", ""))
    if not source.startswith("data:image/"):
        image.replace_with(f"[a picture that is not part of this page: {source}]")
    elif not image.get("alt"):
        image["alt"] = f"Figure of notebook {number}, described in the text below"


def _mend_link(link: Tag, pages: Collection[str]) -> None:
    target = str(link.get("href", ""))
    sibling = re.fullmatch(r"(?:\./)?([\w.\-]+)\.ipynb(#.*)?", target)
    if sibling and sibling[1] in pages:
        link["href"] = f"{sibling[1]}.html"
    elif link.name != "a" or not target.startswith(("https://", "http://", "#")):
        link.unwrap()


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
    cell.clear()
    cell.append(BeautifulSoup(breakable(name), "html.parser"))


def breakable(name: str) -> Markup:
    """Return a name as HTML that may break after each underscore."""
    return Markup("_<wbr>").join(name.split("_"))
