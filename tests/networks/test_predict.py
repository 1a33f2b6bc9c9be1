"""Predictions are probabilities on the case's grid, kept once, and never mixed up."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gliomalib.networks import models, predict, training
from gliomalib.schema import DataError, RecordError, SettingsError, SliceSet, StoredCase, Volume
from gliomalib.settings import Segmentation
from tests.networks import toys
from tests.networks.toys import toy_case as case


def trained(folder: Path, network: str, **more: object) -> Path:
    asked = toys.job(folder, network, epochs=1, batch_size=2, residual_units=0, **more)
    return training.train_segmenter(asked, [case("P1"), case("P2")], []).checkpoint


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("trained")
    return {
        "unet2d": trained(folder / "2d", "unet2d"),
        "unet3d": trained(folder / "3d", "unet3d"),
        "boxes": trained(folder / "boxes", "unet3d", patch=(8, 8, 4)),
    }


@pytest.mark.parametrize("name", ["unet2d", "unet3d", "boxes"])
@pytest.mark.parametrize("shape", [(16, 12, 6), (13, 17, 5), (5, 4, 3)])
def test_probabilities_sum_to_one_on_the_cases_grid(
    checkpoints: dict[str, Path], name: str, shape: tuple[int, int, int]
) -> None:
    asked = case("P3", shape)
    volume = predict.segment(checkpoints[name], asked, "cpu")
    assert volume.grid == asked.grid
    assert volume.probabilities.shape == (4, *shape)
    assert volume.probabilities.dtype == np.float16
    assert volume.probabilities.min() >= 0
    total = volume.probabilities.astype(np.float32).sum(axis=0)
    np.testing.assert_allclose(total, 1, atol=2e-3)


@pytest.mark.parametrize("network", ["unet2d", "unet3d"])
def test_a_net_of_two_sequences_sees_those_two(network: str, tmp_path: Path) -> None:
    checkpoint = trained(tmp_path, network, sequences=("flair", "t1ce"))
    asked = case("P3")
    found = predict.segment(checkpoint, asked, "cpu").probabilities
    assert found.shape == (4, *asked.grid.shape)
    others = asked.images.copy()
    others[[0, 2]] = 0.7 * (others[[0, 2]] > 0)
    again = predict.segment(checkpoint, replace(asked, images=others), "cpu").probabilities
    np.testing.assert_array_equal(again, found)
    others[3] = 0.1 * (others[3] > 0)
    changed = predict.segment(checkpoint, replace(asked, images=others), "cpu").probabilities
    assert (changed != found).any()


def test_the_2d_net_sees_each_slice_alone(checkpoints: dict[str, Path]) -> None:
    asked = case("P3", (10, 12, 40))
    found = predict.segment(checkpoints["unet2d"], asked, "cpu").probabilities
    network = predict.load_segmenter(checkpoints["unet2d"], "cpu").network
    for z in (0, 17, 38):
        with torch.no_grad():
            single = torch.from_numpy(asked.images[None, ..., z].astype(np.float32))
            expected = network(single).softmax(1)[0].numpy()
        np.testing.assert_allclose(found[..., z], expected, atol=2e-3)


def test_a_slice_without_brain_is_no_tumour(checkpoints: dict[str, Path]) -> None:
    asked = case("P3")
    found = predict.segment(checkpoints["unet2d"], asked, "cpu").probabilities[..., -1]
    assert (found[0] == 1).all()
    assert (found[1:] == 0).all()
    blank = replace(asked, images=np.zeros_like(asked.images))
    assert (predict.segment(checkpoints["unet2d"], blank, "cpu").probabilities[0] == 1).all()


@pytest.mark.parametrize("name", ["unet2d", "unet3d", "boxes"])
def test_unrounded_is_what_segment_rounds(checkpoints: dict[str, Path], name: str) -> None:
    asked = case("P3")
    found = predict.unrounded(checkpoints[name], asked, "cpu")
    assert found.dtype == np.float32 and found.flags.c_contiguous
    stored = predict.segment(checkpoints[name], asked, "cpu").probabilities
    np.testing.assert_array_equal(found.astype(np.float16), stored)
    assert (found != stored).mean() > 0.5
    np.testing.assert_allclose(found.sum(axis=0), 1, atol=1e-5)


def test_boxes_are_used_only_where_the_volume_is_larger(checkpoints: dict[str, Path]) -> None:
    segmenter = predict.load_segmenter(checkpoints["boxes"], "cpu")
    whole = replace(segmenter, settings=segmenter.settings.model_copy(update={"patch": None}))

    def difference(asked: StoredCase) -> float:
        a, b = (predict.segment(way, asked).probabilities for way in (segmenter, whole))
        return float(np.abs(a.astype(np.float32) - b.astype(np.float32)).max())

    assert difference(case("P3", (8, 7, 4))) == 0
    assert difference(case("P3", (20, 20, 9))) > 0


class ToTheBorder(nn.Module):
    """What is sure of class 1 by the distance of a voxel to the border of its box along x."""

    def __init__(self) -> None:
        super().__init__()
        self.boxes = 0

    def forward(self, box: Tensor) -> Tensor:
        self.boxes += len(box)
        place = torch.arange(box.shape[2], dtype=torch.float32)
        logits = torch.zeros(len(box), 4, *box.shape[2:])
        logits[:, 1] = torch.minimum(place, box.shape[2] - 1 - place)[:, None, None]
        return logits


def test_boxes_overlap_by_half_and_weigh_by_a_gaussian() -> None:
    settings = Segmentation(epochs=1, batch_size=1, patch=(8, 1, 1))
    network = ToTheBorder()
    segmenter = predict.Segmenter(network, 3, settings, 1, torch.device("cpu"))
    found = predict.unrounded(segmenter, case("P3", (20, 1, 1)))[1, :, 0, 0]
    # boxes of 8 from 0, 4, 8 and 12 on; the Gaussian's deviation is an eighth of a box
    place = np.arange(8)
    weight = np.exp(-((place - 3.5) ** 2) / 2)
    sure = np.exp(np.minimum(place, 7 - place))
    total, mass = np.zeros(20), np.zeros(20)
    for start in (0, 4, 8, 12):
        total[start : start + 8] += weight * sure / (sure + 3)
        mass[start : start + 8] += weight
    assert network.boxes == 4
    np.testing.assert_allclose(found, total / mass, rtol=1e-4)


def test_saved_is_loaded_and_a_missing_one_says_what_to_run(tmp_path: Path) -> None:
    affine = tuple(map(tuple, np.diag([2.0, 2.0, 2.0, 1.0]).tolist()))
    grid = replace(case("P1").grid, crop_start=(4, 5, 6), affine=affine)
    raw = np.random.default_rng(0).dirichlet(np.ones(4), grid.shape)
    volume = Volume(np.moveaxis(raw, -1, 0).astype(np.float16), grid)
    path = tmp_path / "new" / "P1.npy"
    predict.save(volume, str(path))
    back = predict.load(path)
    assert back.grid == grid
    np.testing.assert_array_equal(back.probabilities, volume.probabilities)
    path.with_suffix(".json").unlink()
    with pytest.raises(DataError, match=r"P1\.json: is missing; run the training notebook again"):
        predict.load(str(path))


def test_what_is_predicted_stays_and_what_is_stale_goes(
    checkpoints: dict[str, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cases, made = [case("P1"), case("P2")], []
    segment = predict.segment

    def counted(segmenter: predict.Segmenter, asked: StoredCase) -> Volume:
        made.append(asked.grid.patient_id)
        return segment(segmenter, asked)

    monkeypatch.setattr(predict, "segment", counted)

    def again(checkpoint: Path, given: list[StoredCase]) -> list[str]:
        made.clear()
        paths = predict.segment_all(checkpoint, iter(given), tmp_path, "cpu")
        assert paths == [tmp_path / f"{one.grid.patient_id}.npy" for one in given]
        for path, one in zip(paths, given, strict=True):
            expected = segment(checkpoint, one, "cpu").probabilities
            np.testing.assert_array_equal(predict.load(path).probabilities, expected)
        return list(made)

    assert again(checkpoints["unet2d"], cases) == ["P1", "P2"]
    assert again(checkpoints["unet2d"], cases) == []
    other = replace(cases[1], images=cases[1].images[:, ::-1])
    assert again(checkpoints["unet2d"], [cases[0], other]) == ["P2"]
    assert again(checkpoints["unet3d"], cases) == ["P1", "P2"]
    (tmp_path / "P1.json").unlink()
    (tmp_path / "P2.npy").write_bytes(b"half")
    assert again(checkpoints["unet3d"], cases) == ["P1", "P2"]
    flipped = bytearray((tmp_path / "P1.npy").read_bytes())
    flipped[-1] ^= 1
    (tmp_path / "P1.npy").write_bytes(bytes(flipped))
    assert again(checkpoints["unet3d"], cases) == ["P1"]
    monkeypatch.setattr(predict, "code_digest", lambda *_: "changed")
    assert again(checkpoints["unet3d"], cases) == ["P1", "P2"]


def test_a_duplicated_patient_is_refused(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="P1 is duplicated"):
        predict.segment_all(checkpoints["unet2d"], [case("P1"), case("P1")], tmp_path, "cpu")


def test_classifier_gives_probabilities_in_order(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    images = rng.random((10, 3, 32, 32)).astype(np.float16)
    slices = SliceSet(images, rng.integers(0, 4, 10), ("P1",) * 10, np.arange(10))
    checkpoint = tmp_path / "final.pt"
    state = models.empty_resnet50().state_dict()
    torch.save({"network": "resnet50", "state": state, "threads": 1}, checkpoint)
    found = predict.classify(checkpoint, slices, "cpu", batch=4)
    loaded = predict.load_classifier(str(checkpoint), "cpu")
    np.testing.assert_array_equal(predict.classify(loaded, slices, batch=4), found)
    assert found.shape == (10, 4)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)
    turned = replace(slices, images=images[::-1].copy())
    backwards = predict.classify(checkpoint, turned, "cpu", batch=3)
    np.testing.assert_allclose(backwards[::-1], found, atol=1e-4)
    assert np.ptp(found, axis=0).max() > 1e-4
    with pytest.raises(SettingsError, match="holds resnet50"):
        predict.load_segmenter(checkpoint, "cpu")


def test_what_is_no_checkpoint_is_refused(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"final\.pt: this training is missing"):
        predict.load_segmenter(tmp_path / "final.pt", "cpu")
    (tmp_path / "final.pt").write_text(json.dumps({"network": "unet2d"}))
    with pytest.raises(RecordError, match="not the result of a training"):
        predict.load_segmenter(tmp_path / "final.pt", "cpu")
    slices = SliceSet(np.zeros((1, 3, 32, 32), np.float16), np.zeros(1, int), ("P1",), np.arange(1))
    with pytest.raises(SettingsError, match="holds unet2d; give one of resnet50"):
        predict.classify(checkpoints["unet2d"], slices, "cpu")
