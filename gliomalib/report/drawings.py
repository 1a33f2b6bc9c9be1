"""A vector figure of a notebook as a part of a page: by an allow-list, in the page's colours."""

import html
import re
from collections.abc import Mapping

import nh3

TAGS = "svg g defs clipPath path use rect circle text tspan title"
ATTRIBUTES = "class clip-path cx cy d height href id r style transform viewBox width x y"
LOOKS = """
    fill fill-opacity font-family font-size font-style font-weight opacity stroke stroke-dasharray
    stroke-dashoffset stroke-linecap stroke-linejoin stroke-miterlimit stroke-opacity stroke-width
    text-anchor
"""
"""What of an SVG may stand on a page: its elements, their attributes, what a style may say."""

REFUSED = {"script", "style", "foreignObject", "iframe", "math", "metadata"}
"""Elements that are dropped with all that they hold."""

THEMED = {
    **dict.fromkeys(("#000000", "#262626", "#b0b0b0"), "currentColor"),
    **{"#ffffff": "var(--paper)", "#444444": "var(--mark)"},
}
"""Colours of a figure on white paper → those of the page, light or dark."""

_RULE = re.compile(r"\.(a\d+)\{([^{}]*)\}")
_SAYS = re.compile(r"([a-z-]+)\s*:\s*([\w#.%, '-]+?)\s*(?:;|$)")
_ON_MARKS = re.compile(r'font[^}"]*fill: #')
_TARGET = re.compile(r"#[\w-]+|url\(#[\w-]+\)")
_NAMED = re.compile(r"<path [^>]*><title>([^<]*): [^<]*</title></path>")
"""A dot with a title, which is who it is and a value."""


def inline(drawing: str, prefix: str, alt: str) -> str:
    """Return an SVG as it may stand inside a page, with ``alt`` as its name.

    ``prefix`` goes before its ids and classes, which those of another figure would meet. Nothing
    in it acts, and nothing comes from outside; colours that belong to the paper become the page's.
    """

    def kept(_tag: str, name: str, value: str) -> str | None:
        """Return what an attribute may say on the page, None to drop it."""
        if name in ("href", "clip-path"):
            return value.replace("#", f"#{prefix}") if _TARGET.fullmatch(value) else None
        if name in ("id", "class"):
            return prefix + value if re.fullmatch(r"[\w-]+", value) else None
        return _looks(value, colours) if name == "style" else value

    # letters that stand on marks, as in a heat map, need the paper that they were made for
    colours = {} if _ON_MARKS.search(drawing) else THEMED
    styles = _RULE.findall("".join(re.findall(r"<style[^>]*>(.*?)</style>", drawing, re.DOTALL)))
    rules = "".join(f".{prefix}{name}{{{_looks(css, colours)}}}" for name, css in styles)
    body = drawing[max(drawing.find("<svg"), 0) :].replace("xlink:href", "href")
    attributes = {"*": set(ATTRIBUTES.split())}
    cleaned = nh3.clean(body, set(TAGS.split()), REFUSED, attributes, kept, link_rel=None)
    cleaned = re.sub(r"(<(path|use|rect|circle)(?: [^<>]*)?)></\2>", r"\1/>", cleaned.strip())
    # one that holds titles is read part by part
    role = "group" if "<title>" in cleaned else "img"
    name = html.escape(" ".join(alt.split()))
    paper = "" if colours else ' data-paper=""'
    opening = f'<svg role="{role}" aria-label="{name}"{paper}'
    return re.sub("^<svg([^>]*>)", lambda tag: f"{opening}{tag[1]}<style>{rules}</style>", cleaned)


def linked(page: str, links: Mapping[str, str]) -> str:
    """Return a page whose dots lead to the pages of their patients: id → address."""

    def lead(dot: re.Match[str]) -> str:
        """Return a dot as a link to the page of its patient."""
        address = html.escape(links.get(html.unescape(dot[1]), ""))
        return f'<a href="{address}" tabindex="-1">{dot[0]}</a>' if address else dot[0]

    return _NAMED.sub(lead, page)


def _looks(css: str, colours: Mapping[str, str]) -> str:
    """Return the allowed ones of the declarations of a style, in other colours."""
    says = [(name, colours.get(value, value)) for name, value in _SAYS.findall(css)]
    return "; ".join(f"{name}: {value}" for name, value in says if name in LOOKS.split())
