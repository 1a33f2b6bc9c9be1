"""Figures of who takes part name parts, releases and the patient with the worst crop."""

import numpy as np
import pandas as pd

from gliomalib.experiments.preprocessing import CropView
from gliomalib.figures import patients


def test_years_without_a_table_say_so() -> None:
    table = pd.DataFrame({"year": [2018, 2019], "patients": [5, 7], "known": [0, 4], "new": [5, 3]})
    assert "2018 5, 2019 7" in patients.years(table).alt
    assert "no table of subject IDs" in patients.years(table[:0]).alt


def test_the_examination_shows_the_busiest_slice_on_flair() -> None:
    labels = np.zeros((6, 5, 4), np.uint8)
    labels[1:4, 1:3, 2] = 2
    images = np.stack([np.full(labels.shape, value) for value in (0.1, 0.2, 0.3, 0.9)])
    drawn = patients.examination(images, labels, "A")
    assert [axes.get_title() for axes in drawn.figure.axes] == [
        "T1", "T1ce", "T2", "FLAIR", "truth",
    ]  # fmt: skip
    assert drawn.figure.axes[4].images[0].get_array().max() == 0.9
    assert drawn.alt.endswith("in slice 2.")


def test_tumour_outside_of_the_crop_is_counted() -> None:
    labels = np.zeros((8, 6), np.uint8)
    labels[1:5, 2:4] = 1
    view = CropView(labels.astype(float), labels, (slice(2, 8), slice(0, 6)), "A, slice 3: 25 %")
    assert "2 tumour voxels" in patients.crop_outline(view).alt


def test_the_shares_name_the_worst_patient() -> None:
    table = pd.DataFrame(
        {"patient_id": ["A", "B"], "part": ["internal", "external"], "lost": [0.02, 0.34]}
    )
    drawn = patients.shares(table, "lost", "tumour lost, %")
    assert "34 (B)" in drawn.alt


def test_a_share_that_nobody_has_is_said_and_not_drawn() -> None:
    table = pd.DataFrame({"patient_id": list("AB"), "part": "internal", "lost": [np.nan] * 2})
    assert patients.shares(table, "lost", "cut off").alt == "Not known of any patient: cut off."
    assert "not cropped here" in patients.crop_outline(None).alt
