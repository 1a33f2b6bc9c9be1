"""Tumour outside of the crop lowers the Dice of the whole scan by what was counted by hand."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gliomalib.experiments import full_scan
from gliomalib.pipeline import folds, preprocess
from gliomalib.pipeline.store import Store
from gliomalib.schema import Split, StoredCase
from gliomalib.scoring import metrics
from gliomalib.settings import Preprocessing
from tests.planted_branches import begin, grid

SHAPE = (5, 2, 2)
IN_BOX = (8, 2, 4, 6)
OUTSIDE = (70, 0, 4, 2)
"""Voxels by class, in voxels of the store, which are of 4 mm; those of the scan are of 1 mm."""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = preprocess.open_store(tmp_path, Preprocessing(spacing_mm=4.0))
    labels = np.repeat(np.arange(4, dtype=np.uint8), IN_BOX).reshape(SHAPE)
    voxels = [64 * (inside + left) for inside, left in zip(IN_BOX, OUTSIDE, strict=True)]
    in_box = [64 * inside for inside in IN_BOX]
    crop = {"voxels": voxels, "in_plane": in_box, "in_box": in_box, "voxel_mm3": 1.0}
    images = np.zeros((4, *SHAPE), dtype=np.float16)
    store.put(StoredCase(grid("A", SHAPE), images, labels), "digest", {"crop": crop})
    return store


def test_what_lies_outside_is_counted_in_voxels_of_the_store(store: Store) -> None:
    assert full_scan.outside(store, "A").tolist() == list(OUTSIDE)


def test_background_is_that_of_real_heads_cropped_as_the_paper_does(
    store: Store, tmp_path: Path
) -> None:
    run, splits = begin(tmp_path, "12_metric_forensics"), (Split(0, (), (), ("A",)),)
    assert full_scan.background(folds.Material(run, splits, store)) == {}, "these are made up"
    real = run.study.data.model_copy(update={"source": "folder"})
    of_real = replace(run, study=run.study.model_copy(update={"data": real}))
    shares = full_scan.background(folds.Material(of_real, splits, store))
    assert shares["scan"].value == 78 / 96 and shares["crop"].value == 8 / 20
    boxes = real.model_copy(update={"extent": "boxes"})
    of_boxes = replace(run, study=run.study.model_copy(update={"data": boxes}))
    assert full_scan.background(folds.Material(of_boxes, splits, store)) == {}


def test_tumour_outside_of_the_crop_is_missed(store: Store) -> None:
    labels = store.get("A").labels
    perfect = metrics.confusion_matrix(labels, labels)
    whole = full_scan.counts(store, "A", perfect)
    assert whole.sum(axis=1).tolist() == [78, 2, 8, 8], "rows are the truth of the whole scan"
    assert metrics.dice(perfect, (1, 2, 3), "brats") == 1
    # 12 voxels inside found, 6 outside missed: 2·12 / (18 + 12)
    assert metrics.dice(whole, (1, 2, 3), "brats") == pytest.approx(0.8)
    # enhancing tumour: 6 found, 2 missed: 2·6 / (8 + 6)
    assert metrics.dice(whole, (3,), "brats") == pytest.approx(12 / 14)
    assert metrics.dice(whole, (1,), "brats") == 1, "nothing of this class lies outside"
    assert metrics.stacked_scores(whole)["accuracy"] == pytest.approx(90 / 96)
    assert perfect.sum() == sum(IN_BOX), "the counts in the box stay as they are"
