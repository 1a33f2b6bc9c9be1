"""One patient goes the way of the paper: two volumes, their weighted sum, slices, classes."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from gliomalib import parameters, settings
from gliomalib.fusion import slices
from gliomalib.networks import models, predict
from gliomalib.pipeline import patient, preprocess
from gliomalib.schema import Case, RecordError, Scan, SettingsError, StoredCase
from tests.planted_branches import AFFINE, grid

SHAPE = (12, 8, 6)
SMOKE = settings.load("smoke")


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return checkpoints of networks that know nothing."""
    folder, torch_state = tmp_path_factory.mktemp("fold"), torch.get_rng_state()
    torch.manual_seed(0)
    paths = {}
    for name in parameters.NETWORKS:
        section = None if name == "resnet50" else getattr(SMOKE, name)
        network = models.unet(section, int(name[4])) if section else models.empty_resnet50()
        content = {"network": name, "state": network.state_dict(), "threads": 1}
        paths[name] = folder / f"{name}.pt"
        about = {"settings": section.model_dump(mode="json")} if section else {}
        torch.save(content | about, paths[name])
    torch.set_rng_state(torch_state)
    return paths


@pytest.fixture(scope="module")
def networks(checkpoints: dict[str, Path]) -> patient.Networks:
    return patient.load(checkpoints, "cpu")


@pytest.fixture(scope="module")
def case() -> StoredCase:
    images = np.random.default_rng(3).random((4, *SHAPE)).astype(np.float16)
    images[..., 0] = 0
    return StoredCase(grid("A", SHAPE), images, np.zeros(SHAPE, np.uint8))


def test_the_answer_is_each_step_after_the_other(
    checkpoints: dict[str, Path], networks: patient.Networks, case: StoredCase
) -> None:
    fusion = SMOKE.fusion.model_copy(update={"alpha": 0.25})
    study = SMOKE.model_copy(update={"fusion": fusion})
    answer = patient.answer(networks, case, study)
    pair = [predict.segment(checkpoints[name], case, "cpu") for name in ("unet2d", "unet3d")]
    for volume, expected in zip((answer.p2d, answer.p3d), pair, strict=True):
        np.testing.assert_array_equal(volume.probabilities, expected.probabilities)
    p2d, p3d = (volume.probabilities.astype(float) for volume in pair)
    np.testing.assert_allclose(answer.fused.probabilities, 0.25 * p2d + 0.75 * p3d, atol=1e-3)
    images = slices.fused_slices(answer.fused, case.labels, study.classifier, case.images)
    classes = predict.classify(checkpoints["resnet50"], images, "cpu")
    np.testing.assert_array_equal(answer.classes, classes)
    assert answer.classes.shape == (6, 4)


def test_every_stage_is_entered_once_and_alone(
    networks: patient.Networks, case: StoredCase
) -> None:
    said: list[str] = []

    @contextmanager
    def stage(name: str) -> Iterator[None]:
        said.append(f"{name} begins")
        yield
        said.append(f"{name} ends")

    patient.answer(networks, case, SMOKE, stage)
    names = ("unet2d", "unet3d", "fusion", "slices", "resnet50")
    assert said == [f"{name} {what}" for name in names for what in ("begins", "ends")]


def test_any_two_networks_can_be_the_branches(networks: patient.Networks, case: StoredCase) -> None:
    p2d, p3d = patient.segment((networks.unet3d, networks.unet2d), case)
    other = patient.segment((networks.unet2d, networks.unet3d), case)
    np.testing.assert_array_equal(p2d.probabilities, other[1].probabilities)
    np.testing.assert_array_equal(p3d.probabilities, other[0].probabilities)


def test_a_scan_is_prepared_without_its_mask() -> None:
    images = np.random.default_rng(0).random((4, 36, 36, 36)).astype(np.float32)
    scan = Scan(Case("C", "P", "brats2020", {}, None), images, None, (4.0,) * 3, AFFINE)
    plan = SMOKE.preprocessing
    made = patient.prepared(replace(scan, labels=np.ones((36, 36, 36), np.uint8)), plan)
    expected, own = preprocess.prepare_images(scan, plan)
    np.testing.assert_array_equal(made.images, expected)
    assert made.grid == own and made.labels.shape == own.shape and not made.labels.any()


def test_a_missing_or_another_network_is_named(
    checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    with pytest.raises(RecordError, match=r"none\.pt: this training is missing"):
        patient.load({**checkpoints, "resnet50": tmp_path / "none.pt"}, "cpu")
    with pytest.raises(SettingsError, match="holds unet3d; give one of resnet50"):
        patient.load({**checkpoints, "resnet50": checkpoints["unet3d"]}, "cpu")
