"""Pictures as few bytes: a report holds hundreds of them, each in a notebook and in a page."""

import base64
import io
import re
from typing import Any

import numpy as np
from PIL import Image

from gliomalib.figures import vectors

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
    r'|(?<=<g) id="[^%][^"]*"| transform="rotate\(-0 [^"]*"',
    flags=re.DOTALL,
)
_RULE = re.compile(r"\.(a\d+)\{([^}]*)\}")
_NUMBER = re.compile(r"-?\d+\.\d{2,}")


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

    What many marks have as a style of their own becomes a class, and a cloud of dots one path.
    An SVG that went through it already stays as it is.
    """
    text = _UNSEEN.sub("", text)
    text = re.sub(r"\s+", " ", text).replace("> <", "><").replace("xlink:href", "href")
    known = dict(_RULE.findall(text))
    text = _RULE.sub("", text)
    text = re.sub(r' class="(a\d+)"', lambda match: f' style="{known.get(match[1], "")}"', text)
    text = _classes(vectors.fewer(text))
    # coordinates stand in tags; what is between tags are words and numbers to read
    text = re.sub(r"<[^>]*>", lambda tag: _NUMBER.sub(_rounded, tag[0]), text)
    # an id is a digest of ten digits and more, and stands at every mark that uses it
    for place, name in enumerate(dict.fromkeys(re.findall(r' id="([^"]*)"', text))):
        text = re.sub(rf'(?<=["(#]){re.escape(name)}(?=[")])', f"i{place}", text)
    return text.strip()


def _classes(text: str) -> str:
    """Name every style once: ``<use style="fill: #444444"/>`` becomes ``<use class="a0"/>``."""
    styles = dict.fromkeys(re.findall(r' style="([^"]*)"', text))
    names = {style: f"a{place}" for place, style in enumerate(styles)}
    text = re.sub(r' style="([^"]*)"', lambda match: f' class="{names[match[1]]}"', text)
    rules = "".join(f".{name}{{{style}}}" for style, name in names.items())
    return text.replace("</style>", f"{rules}</style>", 1)


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
