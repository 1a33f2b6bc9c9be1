"""Pictures say themselves in words, are the same for the same input, and leave the style alone."""

from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

from gliomalib.figures import picture, results
from gliomalib.schema import Example


@pytest.fixture
def labels() -> np.ndarray:
    found = np.zeros((12, 10, 6), dtype=np.uint8)
    found[2:6, 2:6, 3] = 2
    found[3:5, 3:5, 3:5] = 3
    return found


def dice_table() -> pd.DataFrame:
    rows = [(n, r, 0.1 * i) for n in ("2D", "3D") for r in ("WT", "ET") for i in range(1, 5)]
    return pd.DataFrame(rows, columns=["network", "region", "dice"])


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


def test_numbers_are_said_by_name_and_not_as_code() -> None:
    values = {"held\nout": 0.25, "external": -0.5}
    assert (
        picture.spoken(values)
        == picture.spoken(pd.Series(values))
        == ("held out 0.25, external -0.5")
    )
