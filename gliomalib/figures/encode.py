"""Pictures as few bytes: a report holds hundreds of them, each in a notebook and in a page."""

import base64
import io
import re
from typing import Any

import numpy as np
from PIL import Image

GREYS, COLOURS = 24, 24
"""Greys of a bitmap, for scans and the edges of letters, and colours beside them."""

COLOURED = 16
"""From this difference between red, green and blue on a pixel has a colour."""

QUALITY = 60
"""Of a grey scan as lossy WebP, 0 to 100; classes are kept without loss."""

FONTS: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.sans-serif": ["DejaVu Sans", "Verdana", "sans-serif"],
}
"""Settings of matplotlib under which letters of an SVG stay letters, which can be searched."""

DITHER = Image.Dither.NONE

_UNSEEN = re.compile(
    r"<metadata>.*?</metadata>|<!--.*?-->|<!DOCTYPE.*?>|<\?xml.*?\?>"
    r'|(?<=<g) id="[^"]*"| transform="rotate\(-0 [^"]*"',
    flags=re.DOTALL,
)
_NUMBER = re.compile(r"-?\d+\.\d{2,}")
_STEP = re.compile(r" ?([MLQCz]) ?")
_STYLE = re.compile(r' style="([^"]*)"')


def png(content: bytes) -> bytes:
    """Return a PNG with a palette of greys and colours, and without transparency.

    Both have their own share of the palette: chosen together, the few pixels of a legend would
    get the colours of the many of a scan.
    """
    picture = Image.open(io.BytesIO(content)).convert("RGB")
    pixels = np.asarray(picture)
    palette = [round(255 * level / (GREYS - 1)) for level in range(GREYS) for _ in "rgb"]
    coloured = pixels[np.ptp(pixels, axis=-1) > COLOURED]
    if len(coloured):
        row = Image.fromarray(coloured[np.newaxis])
        chosen = row.quantize(COLOURS, method=Image.Quantize.MAXCOVERAGE, dither=DITHER)
        palette += (chosen.getpalette() or [])[: 3 * len(chosen.getcolors() or [])]
    sheet = Image.new("P", (1, 1))
    sheet.putpalette(palette)
    return _saved(picture.quantize(palette=sheet, dither=DITHER), "PNG", optimize=True)


def svg(text: str) -> str:
    """Return an SVG of matplotlib without what no viewer shows, coordinates to 0.1 points.

    What many marks have as a style of their own becomes a class:

    ``<use style="fill: #444444"/> <use style="fill: #444444"/>`` →
    ``<style>.a0{fill: #444444}</style> … <use class="a0"/> <use class="a0"/>``
    """
    text = _UNSEEN.sub("", text)
    text = re.sub(r"\s+", " ", text).replace("> <", "><").replace("xlink:href", "href")
    # an id is a digest of ten digits and more, and stands at every mark that uses it
    for place, name in enumerate(dict.fromkeys(re.findall(r' id="([^"]*)"', text))):
        text = re.sub(rf'(?<=["(#]){re.escape(name)}(?=[")])', f"i{place}", text)
    # each point of a cloud is clipped on its own: <g clip><use/></g><g clip><use/></g>; all of
    # one cloud by the same edges, so that one group does
    text = re.sub(r"(<use [^>]*/>)</g><g clip-path=[^>]*>(?=<use )", r"\1", text)
    styles = list(dict.fromkeys(_STYLE.findall(text)))
    text = _STYLE.sub(lambda match: f' class="a{styles.index(match[1])}"', text)
    classes = "".join(f".a{place}{{{style}}}" for place, style in enumerate(styles))
    # coordinates stand in tags; what is between tags are words and numbers to read
    text = re.sub(r"<[^>]*>", lambda tag: _NUMBER.sub(_rounded, tag[0]), text)
    text = re.sub(r' d="[^"]*"', lambda path: _STEP.sub(r"\1", path[0]), text)
    return text.replace("</style>", f"{classes}</style>", 1).strip()


def _rounded(number: re.Match[str]) -> str:
    return f"{float(number[0]):.1f}".removesuffix(".0")


def address(picture: Image.Image, *, exact: bool) -> str:
    """Return a picture as an address that holds it: WebP, without loss where ``exact``."""
    options = {"lossless": True, "method": 6} if exact else {"quality": QUALITY, "method": 6}
    coded = base64.b64encode(_saved(picture, "WEBP", **options)).decode()
    return f"data:image/webp;base64,{coded}"


def _saved(picture: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, format=kind, **options)
    return stream.getvalue()
