"""Pictures as few bytes: what is seen stays."""

import base64
import io
import re

import numpy as np
import pytest
from bs4 import BeautifulSoup
from matplotlib import rc_context
from matplotlib.figure import Figure
from PIL import Image

from gliomalib.figures import encode
from gliomalib.schema import CLASS_COLOURS

CLASSES = CLASS_COLOURS[1:]


@pytest.fixture(scope="module")
def drawn() -> str:
    """Return a figure as matplotlib writes it: points, a line, letters and a number."""
    figure = Figure(figsize=(4, 3))
    axes = figure.subplots()
    axes.scatter(np.linspace(0, 1, 30), np.linspace(0, 1, 30) ** 2, color="#56b4e9")
    axes.plot([0, 1], [0.123456, 0.654321])
    axes.set_title("mean 0.123456 of α")
    stream = io.BytesIO()
    with rc_context(encode.FONTS):
        figure.savefig(stream, format="svg")
    return stream.getvalue().decode()


def marks(svg: str) -> list[tuple[float, float]]:
    """Return where marks and round dots are: those of a cloud are ``M1 2h0m3 4h0``, in steps."""
    soup, found = BeautifulSoup(svg, "html.parser"), []
    for path in soup.find_all("path", d=re.compile("h0")):
        steps = np.array(re.findall(r"[Mm](-?[\d.]+)[ ]?(-?[\d.]+)h0", path["d"]), float)
        found += [(x, y) for x, y in steps.cumsum(axis=0)]
    return sorted(found + [(float(use["x"]), float(use["y"])) for use in soup.find_all("use")])


def test_every_mark_stays_in_its_place(drawn: str) -> None:
    small = encode.svg(drawn)
    assert len(small) < len(drawn) / 3
    assert np.abs(np.array(marks(small)) - np.array(marks(drawn))).max() <= 0.051
    assert len(marks(small)) >= 30


def test_what_went_through_stays_as_it_is(drawn: str) -> None:
    small = encode.svg(drawn)
    assert encode.svg(small) == small


def test_words_and_numbers_to_read_stay_as_they_are(drawn: str) -> None:
    texts = [tag.get_text() for tag in BeautifulSoup(encode.svg(drawn), "html.parser")("text")]
    assert "mean 0.123456 of α" in texts
    assert "0.2" in texts


def test_every_name_that_is_used_is_there_and_groups_are_closed(drawn: str) -> None:
    small = encode.svg(drawn)
    soup = BeautifulSoup(small, "html.parser")
    names = {tag["id"] for tag in soup.find_all(id=True)}
    assert {use["href"].removeprefix("#") for use in soup.find_all("use")} <= names
    assert set(re.findall(r"url\(#([^)]*)\)", small)) <= names
    assert small.count("<g ") + small.count("<g>") == small.count("</g>")
    classes = {name for tag in soup.find_all(class_=True) for name in tag["class"]}
    assert all(f".{name}{{" in small for name in classes)
    assert " style=" not in small


def test_points_stay_clipped_by_the_edges_of_their_axes(drawn: str) -> None:
    cloud = BeautifulSoup(encode.svg(drawn), "html.parser").select_one("[clip-path] > path")
    assert cloud["d"].count("h0") == 30


def test_a_legend_keeps_its_colours_beside_a_scan() -> None:
    scan = np.random.default_rng(0).integers(0, 255, (200, 200, 1), dtype=np.uint8)
    pixels = np.repeat(scan, 3, axis=-1)
    legend = [tuple(int(name[place : place + 2], 16) for place in (1, 3, 5)) for name in CLASSES]
    for place, colour in enumerate(legend):
        pixels[:8, 10 * place : 10 * place + 8] = colour
    stream = io.BytesIO()
    Image.fromarray(pixels).convert("RGBA").save(stream, "PNG")
    small = Image.open(io.BytesIO(encode.png(stream.getvalue())))
    assert (small.mode, small.size) == ("P", (200, 200))
    seen = np.asarray(small.convert("RGB"))
    for place, colour in enumerate(legend):
        assert tuple(seen[4, 10 * place + 4]) == colour
    assert np.abs(seen[20:].astype(int) - pixels[20:]).max() <= 255 / (encode.GREYS - 1)


@pytest.mark.parametrize("exact", [True, False])
def test_an_address_holds_the_picture(exact: bool) -> None:
    pixels = np.add.outer(np.arange(32), np.arange(32)).astype(np.uint8) * 4
    address = encode.address(Image.fromarray(pixels), exact=exact)
    kind, _, coded = address.partition(";base64,")
    assert kind == "data:image/webp"
    seen = np.asarray(Image.open(io.BytesIO(base64.b64decode(coded))).convert("L")).astype(int)
    assert np.abs(seen - pixels).max() <= (0 if exact else 12)
