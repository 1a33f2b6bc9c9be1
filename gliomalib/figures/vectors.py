"""The marks of an SVG of matplotlib as fewer and shorter elements that look the same."""

import html
import json
import re
from collections.abc import Mapping, Sequence
from itertools import groupby
from urllib.parse import unquote

_TOKEN = re.compile(r"<[^>]*>|[^<]+")
_ATTRIBUTE = re.compile(r' ([\w:-]+)="([^"]*)"')
_DEFINED = re.compile(r"<defs>((?!<style).*?)</defs>")
_ROUND = re.compile(r'<path id="([^"]*)" d="M ?0 ([\d.]+) ?(?:C[^CMLz]*){8}z ?"')
_CLOUD = re.compile(r'(?:<g id="(%5B[^"]*)">)?(<g [^>]*>)?((?:<use [^>]*/>)+)')
_POINT = re.compile(r'<use.* x="([^"]*)" y="([^"]*)".*')
_ARITY = {"M": 2, "L": 2, "Q": 4, "C": 6, "z": 0}


def fewer(text: str) -> str:
    """Return an SVG without groups that do nothing, clouds of dots as one path.

    ``<use …x="1" y="2"/><use …x="4" y="2"/>`` → ``<path d="M1 2h0m3 0h0"/>`` with round ends.
    Styles stand in ``style``. A group whose id is a JSON list, quoted as in an address, gives its
    dots titles in their order, "" for none; one title more is that of all that have none.
    """
    defined = "".join(_DEFINED.findall(text))
    radii = {name: float(radius) for name, radius in _ROUND.findall(defined)}
    text = _tidy(_DEFINED.sub("", text))
    text = _tidy(_CLOUD.sub(lambda run: _with_dots(run, radii), text))
    used = [
        tag
        for tag in re.findall(r"<clipPath.*?</clipPath>|<[^>]*/>|.+?(?=<)", defined)
        if not (name := re.match(r'<path id="([^"]*)"', tag)) or f'"#{name[1]}"' in text
    ]
    text = text.replace("</svg>", f"<defs>{''.join(used)}</defs></svg>" if used else "</svg>")
    return re.sub(r' d="([^"]*)"', lambda path: f' d="{short(path[1])}"', text)


def short(path: str) -> str:
    """Return the data of a path in steps of 0.1 from point to point; one in steps as it is.

    ``M10.04 5L10.04 9.5L12 9.5z`` → ``M10 5v4.5h2z``
    """
    steps = re.findall(r"([A-Za-z])([^A-Za-z]*)", path)
    if not all(letter in _ARITY for letter, _ in steps):
        return path
    found, (x, y), start, last = [], (0, 0), (0, 0), ""
    for letter, numbers in steps:
        ends = [round(10 * float(number)) for number in re.findall(r"[^\s,]+", numbers)]
        if letter == "z":
            found.append("z")
            (x, y), last = start, "z"
            continue
        for place in range(0, len(ends), _ARITY[letter]):
            point = ends[place : place + _ARITY[letter]]
            kind, shift = letter.lower(), [n - (y if i % 2 else x) for i, n in enumerate(point)]
            if letter == "L" and 0 in shift:
                kind, shift = ("h", shift[:1]) if shift[1] == 0 else ("v", shift[1:])
            x, y = point[-2:]
            if letter == "M":
                start = (x, y)
            found.append((" " if kind == last != "m" else kind) + _numbers(shift))
            last = kind
    return re.sub(r"^m", "M", "".join(found).replace(" -", "-"))


def _numbers(tenths: Sequence[int]) -> str:
    """Return tenths as short as they can be told: ``-.5 3``."""
    return re.sub(r"(?<!\d)0\.", ".", " ".join(f"{tenth / 10:g}" for tenth in tenths))


def _tidy(text: str) -> str:
    """Return an SVG without groups that have no attributes, and equal neighbours as one group."""
    found, opened, closed = [""], list[str](), ""
    for token in _TOKEN.findall(text):
        is_idle = token in ("<g>", "<g/>")
        if token == "</g>":
            closed = opened.pop()
            is_idle = closed == "<g>"
        elif re.match("<g[ >]", token) and not token.endswith("/>"):
            opened.append(token)
            if found[-1] == "</g>" and token == closed and "clip-path" in token:
                found.pop()
                is_idle = True
        if not is_idle:
            found.append(token)
    return "".join(found)


def _with_dots(run: re.Match[str], radii: Mapping[str, float]) -> str:
    """Return a run of marks with the round ones of each look as a path, and names as titles."""
    uses = re.findall(r"<use[^>]*>", run[3])
    names = json.loads(unquote(run[1])) if run[1] else []
    rest = names.pop() if len(names) == len(uses) + 1 else ""
    named = zip(uses, names if len(names) == len(uses) else [""] * len(uses), strict=True)
    groups = groupby(named, lambda mark: re.sub(r' [xy]="[^"]*"', "", mark[0]))
    clouds = [_cloud(dict(_ATTRIBUTE.findall(look)), list(marks), radii) for look, marks in groups]
    if rest:
        clouds[0] = clouds[0].replace("/>", f"><title>{html.escape(rest)}</title></path>", 1)
    return ("<g>" if run[1] else "") + (run[2] or "") + "".join(clouds)


def _cloud(
    look: Mapping[str, str], marks: Sequence[tuple[str, str]], radii: Mapping[str, float]
) -> str:
    radius = radii.get(look.get("href", "").removeprefix("#"))
    styles = dict(re.findall(r"([\w-]+): ?([^;]+)", look.get("style", "")))
    fill = styles.get("fill", "none")
    edge = styles.get("stroke", fill)
    if radius is None or fill == "none" or edge != fill or "opacity" in look["style"]:
        return "".join(use for use, _ in marks)
    width = 2 * radius + (float(styles.get("stroke-width", 1)) if "stroke" in styles else 0)
    style = f'style="fill: none; stroke: {fill}; stroke-width: {width:g}; stroke-linecap: round"'
    dots = [(_POINT.sub(r"M\1 \2L\1 \2", use), name) for use, name in marks]
    many = "".join(dot for dot, name in dots if not name)
    titled = "".join(
        f'<path d="{dot}"><title>{html.escape(name)}</title></path>' for dot, name in dots if name
    )
    return (f'<path d="{many}" {style}/>' if many else "") + (
        f"<g {style}>{titled}</g>" if titled else ""
    )
