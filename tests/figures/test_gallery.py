"""Pictures of patients show the right voxels, and no volume of a real one without leave."""

import base64
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from gliomalib import settings
from gliomalib.cohort.splits import write_splits
from gliomalib.figures import gallery
from gliomalib.networks import predict
from gliomalib.pipeline import folds, preprocess
from gliomalib.schema import CLASS_COLOURS, SEQUENCES, Split, StoredCase, Volume
from tests.planted_branches import begin, grid

SHAPE = (8, 10, 6)
PATIENTS = ("A", "B", "C", "X")


def order(patient: str) -> int:
    return ("T", *PATIENTS).index(patient)


def labels_of(patient: str) -> np.ndarray:
    found = np.zeros(SHAPE, dtype=np.uint8)
    found[1 : 3 + order(patient), 2:6, 2:5] = 2
    found[2, 3, 3] = 3
    found[7, 0:9, 3] = 1
    return found


def volume_of(labels: np.ndarray, patient: str) -> Volume:
    one_hot = np.moveaxis(np.eye(4, dtype=np.float16)[labels], -1, 0)
    return Volume(one_hot, grid(patient, SHAPE))


@pytest.fixture
def material(tmp_path: Path) -> folds.Material:
    run = begin(tmp_path, "05_fusion")
    store = preprocess.open_store(run.work_dir / "store", run.study.preprocessing)
    for patient in ("T", *PATIENTS):
        truth = labels_of(patient)
        images = np.linspace(0, 1, 4 * truth.size).reshape(4, *SHAPE).astype(np.float16)
        store.put(StoredCase(grid(patient, SHAPE), images, truth), "digest", {})
        predicted = truth.copy()
        # wrong in the last slice only, and there only for some patients
        predicted[: order(patient), :, 5] = 3
        for branch in folds.BRANCHES:
            path = run.work_dir / "predictions" / branch / "fold0" / f"{patient}.npy"
            predict.save(volume_of(predicted, patient), path)
    write_splits((Split(0, ("T",), (), ("A", "B", "C"), ("X",)),), run.work_dir / "splits.json")
    return folds.open_material(run)


@pytest.fixture
def scores(material: folds.Material) -> pd.DataFrame:
    return folds.segmentation_scores(material, ["unet2d", "unet3d", "fused"])


def pixels(address: str) -> np.ndarray:
    """Return a picture as it is seen: (rows, columns, red green blue alpha)."""
    assert address.startswith("data:image/webp;base64,")
    stream = io.BytesIO(base64.b64decode(address.partition(",")[2]))
    return np.asarray(Image.open(stream).convert("RGBA"))


def content(material: folds.Material, patient: str) -> dict[str, Any]:
    path = material.run.report_dir / "patients" / f"{patient}.json"
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def test_every_reported_patient_has_one_file(
    material: folds.Material, scores: pd.DataFrame
) -> None:
    folder = material.run.report_dir / "patients"
    folder.mkdir(parents=True)
    (folder / "gone.json").write_text("{}")
    table = gallery.write(material, scores)
    assert table["patient_id"].tolist() == list(PATIENTS)
    assert {path.stem for path in folder.iterdir()} == set(PATIENTS), "an old patient stayed"
    one = content(material, "B")
    assert (one["part"], one["fold"], one["layers"]) == ("test", 0, ["truth", "2D", "3D", "fused"])


def test_slices_are_those_with_most_tumour_and_most_errors(
    material: folds.Material, scores: pd.DataFrame
) -> None:
    gallery.write(material, scores)
    first, second = content(material, "C")["slices"]
    assert (first["z"], first["why"], first["wrong"]) == (3, "most tumour", 0)
    assert (second["z"], second["why"], second["wrong"]) == (5, "most voxels wrong", 30)
    assert set(first["images"]) == set(SEQUENCES)
    truth = labels_of("C")[..., 3]
    assert first["voxels"]["truth"] == [int((truth == label).sum()) for label in (1, 2, 3)]


def test_no_slice_of_a_perfect_prediction_is_called_wrong(material: folds.Material) -> None:
    case, truth = material.store.get("C"), labels_of("C")
    (only,) = gallery.slices_that_matter(case, {"truth": truth, "fused": truth})
    assert (only["z"], only["why"]) == (3, "most tumour")
    nothing = np.zeros_like(truth)
    (only,) = gallery.slices_that_matter(case, {"truth": nothing, "fused": nothing})
    assert only["wrong"] == only["tumour"] == 0, "some slice is shown"


def test_labels_are_drawn_in_the_colours_of_their_classes(
    material: folds.Material, scores: pd.DataFrame
) -> None:
    gallery.write(material, scores)
    seen = pixels(content(material, "A")["slices"][0]["labels"]["truth"])
    assert seen.shape == (SHAPE[1], SHAPE[0], 4)
    expected = {c: tuple(int(CLASS_COLOURS[c][i : i + 2], 16) for i in (1, 3, 5)) for c in range(4)}
    truth = labels_of("A")[..., 3]
    for (x, y), label in np.ndenumerate(truth):
        red_green_blue, alpha = tuple(seen[y, x, :3]), seen[y, x, 3]
        assert alpha == (255 if label else 0)
        assert not label or red_green_blue == expected[int(label)]


def test_images_are_as_bright_as_the_scan(material: folds.Material, scores: pd.DataFrame) -> None:
    gallery.write(material, scores)
    seen = pixels(content(material, "A")["slices"][0]["images"]["t2"])[..., 0].T
    images = material.store.get("A").images[2, ..., 3].astype(float)
    assert np.abs(seen / 255 - images).max() < 0.03


@given(st.integers(1, 5), st.integers(1, 5), st.integers(1, 9), st.integers(1, 4))
def test_a_mosaic_can_be_cut_up_again(width: int, height: int, depth: int, columns: int) -> None:
    array = np.arange(width * height * depth).reshape(width, height, depth)
    sheet = gallery.mosaic(array, columns)
    for z in range(depth):
        row, column = divmod(z, columns)
        tile = sheet[row * height : (row + 1) * height, column * width : (column + 1) * width]
        assert (array[..., z] == tile.T).all()


def test_volumes_are_of_the_worst_of_each_part(
    material: folds.Material, scores: pd.DataFrame
) -> None:
    assert gallery.scrollable(scores) == ("C", "X")
    table = gallery.write(material, scores).set_index("patient_id")
    assert table["volume"].to_dict() == {"A": False, "B": False, "C": True, "X": True}
    volume = content(material, "C")["volume"]
    assert volume["columns"] == 3 and set(volume["images"]) == set(SEQUENCES)
    assert pixels(volume["labels"]["fused"]).shape[:2] == (2 * SHAPE[1], 3 * SHAPE[0])


def test_a_large_volume_is_thinned(
    material: folds.Material, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = labels_of("C")
    case = material.store.get("C")
    whole = gallery.volume(case, {"truth": labels})
    assert (whole["step"], whole["shape"]) == (1, list(SHAPE))
    monkeypatch.setattr(gallery, "MOST_ACROSS", 5)
    thin = gallery.volume(case, {"truth": labels})
    assert (thin["step"], thin["shape"], thin["columns"]) == (2, [4, 5, 3], 2)
    seen = pixels(thin["labels"]["truth"])[..., 3] > 0
    for k in range(3):
        row, column = divmod(k, 2)
        tile = seen[row * 5 : row * 5 + 5, column * 4 : column * 4 + 4]
        assert np.array_equal(tile.T, labels[::2, ::2, 2 * k] > 0)


@pytest.mark.parametrize(("allowed", "volumes"), [(False, 0), (True, 2)])
def test_of_a_real_patient_no_volume_without_leave(
    material: folds.Material, scores: pd.DataFrame, allowed: bool, volumes: int
) -> None:
    real = material.study.model_copy(
        update={
            "data": settings.Data(source="folder", internal_releases=("brats2020",)),
            "report": settings.Report(real_volumes=allowed),
        }
    )
    made = gallery.write(replace(material, run=replace(material.run, study=real)), scores)
    assert made["volume"].sum() == volumes
    files = (material.run.report_dir / "patients").glob("*.json")
    assert sum(json.loads(path.read_text())["volume"] is not None for path in files) == volumes
    assert not settings.load("brats-mini").report.real_volumes, "off unless asked for"
