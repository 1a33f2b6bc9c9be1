"""Pictures say themselves in words, are the same for the same input, and leave the style alone."""

from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from bs4 import BeautifulSoup
from matplotlib.colors import to_rgb

from gliomalib.figures import experiments, picture, results
from gliomalib.schema import CLASS_COLOURS, Example


@pytest.fixture
def labels() -> np.ndarray:
    found = np.zeros((12, 10, 6), dtype=np.uint8)
    found[2:6, 2:6, 3] = 2
    found[3:5, 3:5, 3:5] = 3
    return found


def dice_table() -> pd.DataFrame:
    rows = [
        (n, r, 0.1 * i, f"P{i}") for n in ("2D", "3D") for r in ("WT", "ET") for i in range(1, 5)
    ]
    return pd.DataFrame(rows, columns=["network", "region", "dice", "patient_id"])


def test_lines_are_vectors_and_voxels_a_bitmap_with_their_text(labels: np.ndarray) -> None:
    example = Example(labels, labels, {"2D": labels}, "A")
    data, metadata = results.segmentation(example)._repr_mimebundle_()
    assert list(data) == ["image/png"] and data["image/png"].startswith(b"\x89PNG")
    assert metadata["image/png"]["alt"]
    drawn = results.dice_by_region(dice_table())
    data, metadata = drawn._repr_mimebundle_()
    assert list(data) == ["image/svg+xml"] and "<svg" in data["image/svg+xml"]
    assert data == results.dice_by_region(dice_table())._repr_mimebundle_()[0], "not the same bytes"
    assert metadata["image/svg+xml"]["alt"] == drawn.alt


def test_the_same_table_gives_the_same_bytes(tmp_path: Path) -> None:
    one, other = tmp_path / "one.png", tmp_path / "other.png"
    results.dice_by_region(dice_table()).save(str(one))
    results.dice_by_region(dice_table()).save(other)
    assert one.read_bytes() == other.read_bytes()


def test_a_picture_is_written_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "kept.png"
    kept.write_bytes(b"of an earlier run")

    def full(self: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space"):
        results.dice_by_region(dice_table()).save(kept)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"of an earlier run"]


def test_a_figure_has_our_style_and_the_process_keeps_its_own(tmp_path: Path) -> None:
    before = dict(mpl.rcParams)
    drawn = results.dice_by_region(dice_table())
    drawn.save(tmp_path / "figure.png")
    assert dict(mpl.rcParams) == before
    (axes,) = drawn.figure.axes
    assert drawn.figure.dpi == picture.STYLE["figure.dpi"]
    assert not axes.spines["top"].get_visible()
    assert axes.get_legend().get_texts()[0].get_fontsize() == picture.STYLE["font.size"]


def test_the_busiest_slice_is_the_one_with_most_tumour(labels: np.ndarray) -> None:
    assert picture.busiest_slice(labels) == 3


def test_dots_say_who_they_are_and_of_many_only_the_ends() -> None:
    few = pd.Series([0.2, 0.9, np.nan], index=["A", "B", "C"])
    many = pd.Series(np.linspace(0, 1, picture.NAMED + 1)).rename(lambda n: f"P{n}")
    figure, axes = picture.canvas(4, 3)
    axes.scatter([0, 1], few.dropna())
    axes.plot(many.to_numpy(), range(len(many)), "o")
    axes.plot([0, 1], [0.5, 0.5])
    picture.name_dots(axes, [few, many, pd.Series(dtype=float)])
    svg = picture.Picture(figure, "")._repr_mimebundle_()[0]["image/svg+xml"]
    titles = [tag.get_text() for tag in BeautifulSoup(svg, "html.parser").select("path > title")]
    others = "One of 101 patients; the lowest and the highest are named"
    assert titles == ["A: 0.2", "B: 0.9", others, "P0: 0", "P100: 1"]


def test_where_others_have_the_same_values_nobody_is_named() -> None:
    _, axes = picture.canvas(4, 3)
    clouds = [pd.Series([1.0, 0.5], index=list(who)) for who in ("AB", "CD")]
    for number, cloud in enumerate(clouds):
        axes.scatter([number, number], cloud)
    picture.name_dots(axes, clouds)
    assert not any(dots.get_gid() for dots in axes.collections)
    # those of two networks are the same patients, whom both may name
    picture.name_dots(axes, clouds[:1] * 2)
    assert all(dots.get_gid() for dots in axes.collections)


def contrast(colour: str, ground: str) -> float:
    """Return the contrast of two colours as WCAG 2 defines it."""
    linear = [
        [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(one)]
        for one in (colour, ground)
    ]
    low, high = sorted(float(np.dot(one, [0.2126, 0.7152, 0.0722])) + 0.05 for one in linear)
    return high / low


@pytest.mark.parametrize("ground", ["#fdfcfa", "#14171b"])
def test_all_colours_stand_out_from_a_light_page_and_a_dark_one(ground: str) -> None:
    named = {picture.BLUE, picture.SKY, picture.GREY, picture.AMBER, picture.ORANGE, picture.PINK}
    looks = {look["color"] for look in experiments.LOOKS.values()}
    sets = (picture.NETWORK_COLOURS, picture.PART_COLOURS, experiments.STAGE_COLOURS)
    used = named | looks | {colour for colours in sets for colour in colours.values()}
    # a page turns this one into a light grey when it is dark itself
    colours = used.union(CLASS_COLOURS) - {picture.DARK}
    assert min(contrast(colour, ground) for colour in colours) >= 3


def test_enhancing_tumour_has_an_edge_that_is_seen_in_grey(labels: np.ndarray) -> None:
    example = Example(labels, labels, {}, "A")
    _, truth = results.segmentation(example).figure.axes
    assert len(truth.collections) == 1
    without = replace(example, labels=np.minimum(labels, 2))
    assert not results.segmentation(without).figure.axes[1].collections


def test_numbers_are_said_by_name_and_not_as_code() -> None:
    values = {"held\nout": 0.25, "external": -0.5}
    assert (
        picture.spoken(values)
        == picture.spoken(pd.Series(values))
        == ("held out 0.25, external -0.5")
    )
