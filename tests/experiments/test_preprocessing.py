"""Notebook 02 says what the crop loses at worst, and what another label rule renames."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gliomalib import settings
from gliomalib.cohort import table as casetable
from gliomalib.data import orientation
from gliomalib.experiments import preprocessing
from gliomalib.fusion import slices
from gliomalib.pipeline import preprocess
from gliomalib.schema import Case, Scan, StoredCase
from tests.planted_branches import AFFINE, grid

BOX = settings.Preprocessing(crop_mm=(8, 8), depth_mm=None, spacing_mm=1)
LOSSES = pd.DataFrame(
    {"lost_in_plane": [0.0, 0.34], "lost_by_box": [0.1, 0.4], "dice_ceiling": [1.0, 0.75]}
)


STUDY = settings.load("smoke")


def test_crop_says_the_worst() -> None:
    values = preprocessing.values(LOSSES, STUDY)
    found = {value.name: value.value for value in values}
    assert found["worst_lost_in_plane"] == 0.34 and found["worst_dice_ceiling"] == 0.75
    assert found["mean_lost_by_box"] == pytest.approx(0.25)
    said = preprocessing.conclusion(values)
    assert "17.0 % of the tumour on average and 34 % in the worst of 2 patients" in said
    assert "a whole-tumour Dice of 0.75" in said


def test_what_the_crop_of_a_box_would_lose_is_not_known() -> None:
    boxes = settings.load("smoke", {"data.extent": "boxes", "preprocessing.crop_mm": None})
    people = {"case_id": ["A", "B"], "part": ["internal", "external"]}
    none_lost = pd.DataFrame({"case_id": ["A", "B"], "lost_in_plane": [0.0, 0.0]})
    table = preprocessing.crop_table(none_lost, pd.DataFrame(people), boxes)
    assert table[list(LOSSES)].isna().all(axis=None) and list(table["part"]) == people["part"]
    values = preprocessing.values(table, boxes)
    assert [value.name for value in values] == [
        value.name for value in preprocessing.values(LOSSES, STUDY)
    ]
    assert all(np.isnan(value.value) for value in values)
    assert {value.note[:25] for value in values} == {"not applicable to boxes: "}
    assert "not applicable to boxes: they were cut around" in preprocessing.conclusion(values)
    assert preprocessing.most_cropped(pd.DataFrame(people), table, BOX) is None
    heads = preprocessing.crop_table(none_lost, pd.DataFrame(people), STUDY)
    assert list(heads["lost_in_plane"]) == [0.0, 0.0]


def test_relabelled_slices_leave_out_patients_without_tumour() -> None:
    shares = {
        "dominant": [0.0, 0.0, np.nan],
        "enhancing_first": [0.5, 0.0, np.nan],
        "largest_share": [1.0, 1.0, np.nan],
    }
    table = pd.DataFrame({"patient_id": ["A", "B", "C"], "slices": [4, 2, 0], **shares})
    first, second = preprocessing.relabelled(table, STUDY)
    assert first.name == "relabelled_enhancing_first" and second.name == "relabelled_largest_share"
    assert (first.value, first.n_patients, first.n_empty) == (0.25, 2, 1)


def test_the_most_cropped_patient_is_shown_where_most_is_cut(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def read(case: Case) -> Scan:
        labels = np.zeros((16, 16, 5), dtype=np.uint8)
        labels[7:9, 7:9, 1] = 2
        if case.case_id == "B":
            labels[0:3, 7:9, 3] = 1
        images = np.ones((4, 16, 16, 5), dtype=np.float32)
        return Scan(case, images, labels, (1.0, 1.0, 1.0), AFFINE)

    monkeypatch.setattr(orientation, "read", read)
    files = {name: Path(f"/x/{name}.nii") for name in ("t1", "t1ce", "t2", "flair")}
    cases = casetable.table_of(
        [casetable.Entry(Case(name, name, "r", files, None), "internal") for name in "AB"]
    )
    losses = {"case_id": ["A", "B"], "patient_id": ["A", "B"], "lost_in_plane": [0.0, 0.6]}
    view = preprocessing.most_cropped(cases, pd.DataFrame(losses), BOX)
    assert view is not None
    assert view.title.startswith("B, slice 3: 60 %")
    assert view.box == (slice(4, 12), slice(4, 12))
    assert (view.labels > 0).sum() == 6


def test_another_label_rule_renames_slices(tmp_path: Path) -> None:
    store = preprocess.open_store(tmp_path, STUDY.preprocessing)
    labels = np.zeros((6, 6, 4), dtype=np.uint8)
    labels[0:3, :, 0] = 2
    labels[0:3, :, 1], labels[0, 0, 1] = 2, 3
    images = np.ones((4, *labels.shape), dtype=np.float16)
    store.put(StoredCase(grid("A", labels.shape), images, labels), "digest", {})
    row = preprocessing.label_rules(store, STUDY).iloc[0]
    assert (row["patient_id"], row["slices"]) == ("A", 2)
    assert row["dominant"] == 0, "the study's own rule changes nothing"
    assert row["enhancing_first"] == 0.5, "one voxel of enhancing tumour renames its slice"
    none = replace(store.get("A"), grid=grid("B", labels.shape), labels=np.zeros_like(labels))
    store.put(none, "digest", {})
    other = preprocessing.label_rules(store, STUDY).iloc[1]
    assert other["slices"] == 0 and other[list(slices.LABEL_RULES)].isna().all()


def test_classes_of_slices_hang_on_the_rule_and_on_the_least_area(tmp_path: Path) -> None:
    store = preprocess.open_store(tmp_path, STUDY.preprocessing)
    for name in "AB":
        labels = np.zeros((6, 6, 4), dtype=np.uint8)
        labels[0, 0:2, 0] = 2
        labels[0:3, :, 1], labels[0, 0, 1] = 2, 3
        images = np.zeros((0, *labels.shape), dtype=np.float16)
        store.put(StoredCase(grid(name, labels.shape), images, labels), "digest", {})
    table = preprocessing.slice_classes(store, STUDY)
    assert (table.groupby(["rule", "least"])["share"].sum() == 1).all()
    share = table.set_index(["rule", "least", "class"])["share"]
    assert share["dominant", "one voxel", "edema"] == 0.5
    # two voxels of 16 mm² are less than 40
    assert share["dominant", "40 mm²", "edema"] == 0.25
    assert share["enhancing_first", "40 mm²", "enhancing tumour"] == 0.25
