"""Planted rings turn a classifier that goes by areas, and leave one that looks elsewhere alone."""

import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from gliomalib.experiments import ringed_slices
from gliomalib.networks import predict
from gliomalib.pipeline import folds
from gliomalib.schema import SliceSet, Split, Value, Volume
from tests import planted_branches

SHAPE = (20, 20, 8)
SPLITS = (Split(0, ("A",), (), ("B", "C", "D", "E", "F"), ()),)
TRAINED: Any = [SimpleNamespace(checkpoint=Path("none"))]


def labels_of(patient: str) -> np.ndarray:
    labels = np.zeros(SHAPE, dtype=np.uint8)
    labels[4:14, 4:14, 2:6] = 2
    labels[7:9, 7:9, 3:5] = 3
    return labels


def volume_of(network: str, patient: str, fold: int) -> Volume:
    """Return the truth; the 2D branch sees the edema one voxel larger on every side."""
    labels = labels_of(patient)
    if network == "unet2d":
        larger = np.zeros_like(labels)
        larger[3:15, 3:15, 2:6] = 2
        labels = np.where(labels > 0, labels, larger)
    one_hot = np.moveaxis(np.eye(4, dtype=np.float32)[labels], -1, 0)
    return Volume((0.9 * one_hot + 0.025).astype(np.float16), planted_branches.grid(patient, SHAPE))


def by_area(_: Any, images: SliceSet, device: str = "cpu") -> np.ndarray:
    """Return sure classes: enhancing tumour where it covers a fifth of the slice's tumour."""
    areas = (images.images.astype(float) > 0.4).sum(axis=(2, 3))
    classes = np.where(areas.sum(axis=1) > 0, 2, 0)
    classes[(areas[:, 2] > 0.2 * areas.sum(axis=1)) & (classes > 0)] = 3
    return np.eye(4)[classes]


@pytest.fixture
def material(tmp_path: Path) -> folds.Material:
    made = planted_branches.material(tmp_path, "06_train_resnet50", SPLITS, labels_of, volume_of)
    whole = made.study.classifier.model_copy(update={"image_size": None})
    study = made.study.model_copy(update={"classifier": whole})
    return replace(made, run=replace(made.run, study=study))


@pytest.fixture(autouse=True)
def read(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Let no network be read, and return which were asked for."""
    asked: list[Path] = []
    monkeypatch.setattr(predict, "load_classifier", lambda path, _: asked.append(path))
    return asked


def values_of(material: folds.Material) -> dict[str, Value]:
    table = folds.classify_slices(material)
    return {value.name: value for value in ringed_slices.values(material, TRAINED, table)}


def test_a_planted_ring_turns_slices_and_no_ring_none(
    material: folds.Material, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predict, "classify", by_area)
    values = values_of(material)
    planted, own = values["ring_turned_to_enhancing"], values["own_ring_turned_to_enhancing"]
    # 44 voxels of the ring beside 100 of the tumour, in each of four slices
    assert planted.value == 1 and planted.n_patients == 5 and "20 of 20" in planted.rule
    assert planted.n_seeds == 1, "one classifier was asked"
    assert math.isnan(own.value) and "no slice has such a ring" in own.note
    said = ringed_slices.sentence(list(values.values()))
    assert "turns 1.000" in said and "fusion itself makes none" in said


def test_a_ring_that_fusion_makes_is_charged_with_the_slices_it_turns(
    material: folds.Material, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predict, "classify", by_area)
    shell = labels_of("B") != volume_of("unet2d", "B", 0).probabilities.argmax(axis=0)
    for network, rest in (("unet2d", [0.1, 0.0, 0.5, 0.4]), ("unet3d", [0.5, 0.0, 0.05, 0.45])):
        volume = volume_of(network, "B", 0)
        volume.probabilities[:, shell] = np.array(rest, np.float16)[:, None]
        predict.save(volume, material.run.work_dir / "predictions" / network / "fold0" / "B.npy")
    own = values_of(material)["own_ring_turned_to_enhancing"]
    assert own.value == 1 and own.n_patients == 1 and "4 of 4" in own.rule


def test_a_classifier_that_does_not_see_areas_raises_no_alarm(
    material: folds.Material, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        predict, "classify", lambda _, images, *__: np.eye(4)[images.classes * 0 + 2]
    )
    assert values_of(material)["ring_turned_to_enhancing"].value == 0


def test_a_network_is_read_once_for_all_patients_of_a_fold(
    material: folds.Material, monkeypatch: pytest.MonkeyPatch, read: list[Path]
) -> None:
    monkeypatch.setattr(predict, "classify", by_area)
    assert values_of(material)["ring_turned_to_enhancing"].n_patients == 5
    assert read == [TRAINED[0].checkpoint]


def test_images_without_the_fused_volume_are_not_asked(material: folds.Material) -> None:
    truth = material.study.classifier.model_copy(update={"image": "truth"})
    study = material.study.model_copy(update={"classifier": truth})
    other = replace(material, run=replace(material.run, study=study))
    found = ringed_slices.values(other, TRAINED, pd.DataFrame())
    assert all(math.isnan(value.value) and value.note for value in found)
    assert "not made of the fused volume" in ringed_slices.sentence(found)


def test_variants_are_not_asked(material: folds.Material) -> None:
    other = replace(material, run=replace(material.run, variant="seed2"))
    found = ringed_slices.values(other, TRAINED, pd.DataFrame())
    assert all(math.isnan(value.value) for value in found)
    assert "the study's own classifier" in ringed_slices.sentence(found)
