"""Figures show what they are given, say it in words, and are the same for the same input."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gliomalib.figures import picture as figures
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
    data, metadata = figures.segmentation(example)._repr_mimebundle_()
    assert list(data) == ["image/png"] and data["image/png"].startswith(b"\x89PNG")
    assert metadata["image/png"]["alt"]
    picture = figures.dice_by_region(dice_table())
    data, metadata = picture._repr_mimebundle_()
    assert list(data) == ["image/svg+xml"] and "<svg" in data["image/svg+xml"]
    assert data == figures.dice_by_region(dice_table())._repr_mimebundle_()[0], "not the same bytes"
    assert metadata["image/svg+xml"]["alt"] == picture.alt
    assert "2D 0.25" in picture.alt.replace("WT ", "")


def test_the_same_table_gives_the_same_bytes(tmp_path: Path) -> None:
    one, other = tmp_path / "one.png", tmp_path / "other.png"
    figures.dice_by_region(dice_table()).save(one)
    figures.dice_by_region(dice_table()).save(other)
    assert one.read_bytes() == other.read_bytes()


def test_the_busiest_slice_is_the_one_with_most_tumour(labels: np.ndarray) -> None:
    assert figures.busiest_slice(labels) == 3


def test_every_class_keeps_its_colour_and_no_two_share_one() -> None:
    assert len(set(figures.CLASS_COLOURS)) == 4


def test_segmentations_show_every_network(labels: np.ndarray) -> None:
    example = Example(np.zeros(labels.shape), labels, {"2D": labels, "3D": labels * 0}, "P1")
    picture = figures.segmentation(example)
    titles = [axes.get_title() for axes in picture.figure.axes]
    assert titles == ["FLAIR", "truth", "2D", "3D"]


def test_the_shares_name_the_worst_patient() -> None:
    table = pd.DataFrame(
        {"patient_id": ["A", "B"], "part": ["internal", "external"], "lost": [0.02, 0.34]}
    )
    picture = figures.shares(table, "lost", "tumour lost, %")
    assert "34 (B)" in picture.alt


def test_confusion_counts_the_diagonal() -> None:
    picture = figures.confusion({"test": np.diag([4, 3, 2, 1])})
    assert "test 10" in picture.alt


def test_slices_that_are_wrong_are_counted_by_patient() -> None:
    table = pd.DataFrame(
        {"patient_id": "A", "z": range(5), "truth": [0, 0, 2, 2, 3], "predicted": [0, 1, 2, 0, 3]}
    )
    picture = figures.along_z(table, ["A"])
    assert picture.figure.axes[0].get_title(loc="left") == "A: 2 of 5 slices wrong"


def test_alpha_curves_mark_the_published_value_and_the_best() -> None:
    alphas = np.linspace(0, 1, 5)
    table = pd.DataFrame(
        {"region": "WT", "alpha": alphas, "dice": [0.1, 0.5, 0.4, 0.3, 0.2], "low": 0, "high": 1}
    )
    picture = figures.alpha_curves(table, 0.6)
    assert "WT 0.25" in picture.alt
    assert any(line.get_xdata()[0] == 0.6 for line in picture.figure.axes[0].lines)


def test_published_faithful_and_obtained_values_are_told_apart() -> None:
    table = pd.DataFrame(
        {"metric": ["C1 accuracy", "C9 weight"], "published": [0.99, 0.6], "value": [0.8, 0.5],
         "low": [0.7, 0.2], "high": [0.9, 0.9], "faithful": [0.995, np.nan]}
    )  # fmt: skip
    picture = figures.published_and_obtained(table)
    labels = [text.get_text() for text in picture.figure.legends[0].get_texts()]
    assert labels == ["obtained, 95 % interval", "pixel recipe", "published"]
    assert "squares" in picture.alt
