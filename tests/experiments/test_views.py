"""Which scan and which slice a figure shows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gliomalib import settings
from gliomalib.cohort.table import COLUMNS
from gliomalib.experiments import views
from gliomalib.pipeline import preprocess
from gliomalib.schema import Case, DataError, Grid, Scan, StoredCase

AFFINE = tuple(tuple(float(i == j) for j in range(4)) for i in range(4))
BOX = settings.Preprocessing(crop_mm=(8, 8), depth_mm=None, spacing_mm=1)


def cases() -> pd.DataFrame:
    row = {"release": "brats2020", "part": "internal", "grade": "HGG", "note": ""}
    files = {name: f"/x/{name}.nii" for name in ("t1", "t1ce", "t2", "flair", "seg")}
    rows = [{"case_id": name, "patient_id": name, **row, **files} for name in ("A", "B")]
    return pd.DataFrame(rows, columns=list(COLUMNS))


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(case: Case) -> Scan:
        labels = np.zeros((16, 16, 5), dtype=np.uint8)
        labels[7:9, 7:9, 1] = 2
        if case.case_id == "B":
            labels[0:3, 7:9, 3] = 1
        images = np.ones((4, 16, 16, 5), dtype=np.float32)
        return Scan(case, images, labels, (1.0, 1.0, 1.0), AFFINE)

    monkeypatch.setattr(views.datasets, "read", read)


@pytest.mark.usefixtures("reader")
def test_the_most_cropped_patient_is_shown_where_most_is_cut() -> None:
    table = pd.DataFrame(
        {"case_id": ["A", "B"], "patient_id": ["A", "B"], "lost_in_plane": [0.0, 0.6]}
    )
    view = views.most_cropped(cases(), table, BOX)
    assert view.title.startswith("B, slice 3: 60 %")
    assert view.box == (slice(4, 12), slice(4, 12))
    assert (view.labels > 0).sum() == 6


def test_an_empty_part_is_named() -> None:
    with pytest.raises(DataError, match="external"):
        views.first_scan(cases(), "external")


def test_volumes_are_in_millilitres_for_each_class_and_the_whole() -> None:
    columns = {"mm3_1": [1000.0], "mm3_2": [2000.0], "mm3_3": [0.0], "mm3_tumour": [3000.0]}
    table = pd.DataFrame({"patient_id": ["A"], "part": ["internal"], **columns})
    found = views.tumour_volumes(table).set_index("region")["ml"]
    assert found["necrotic core"] == 1 and found["edema"] == 2 and found["whole tumour"] == 3
    assert found["enhancing tumour"] == 0, "an empty class is shown as 0, not left out"


def test_another_label_rule_renames_slices(tmp_path: Path) -> None:
    study = settings.load("smoke")
    store = preprocess.open_store(tmp_path, study.preprocessing)
    labels = np.zeros((6, 6, 4), dtype=np.uint8)
    labels[0:3, :, 0] = 2
    labels[0:3, :, 1], labels[0, 0, 1] = 2, 3
    grid = Grid("A", labels.shape, (4.0, 4.0, 4.0), (0, 0, 0), AFFINE)
    store.put(StoredCase(grid, np.ones((4, 6, 6, 4), dtype=np.float16), labels), "digest", {})
    row = views.label_rules(store, study).iloc[0]
    assert (row["patient_id"], row["slices"]) == ("A", 2)
    assert row["dominant"] == 0, "the study's own rule changes nothing"
    assert row["enhancing_first"] == 0.5, "one voxel of enhancing tumour renames its slice"
