"""Training learns, is not repeated, and never takes another training's files."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gliomalib.networks import loop, models, samples, training
from gliomalib.networks.job import Job
from gliomalib.provenance import reached
from gliomalib.schema import DataError, SettingsError, StoredCase
from tests.faults import digests
from tests.networks import toys
from tests.networks.toys import CASES


@pytest.fixture
def copied(straight: training.Trained, tmp_path: Path) -> Path:
    """Return a folder with the files of the finished training."""
    for name in ("final.pt", "training.json"):
        (tmp_path / name).write_bytes((straight.checkpoint.parent / name).read_bytes())
    return tmp_path


@pytest.mark.parametrize(("network", "epochs", "size"), [("unet2d", 30, 4), ("unet3d", 50, 1)])
def test_both_unets_learn_a_toy_task(tmp_path: Path, network: str, epochs: int, size: int) -> None:
    more = {"channels": (8, 16), "dropout": 0.0, "learning_rate": 0.02}
    asked = toys.job(tmp_path, network, epochs=epochs, batch_size=size, **more)
    done = training.train_segmenter(asked, CASES[:3], [])
    losses = done.history["loss"]
    assert losses.iloc[-1] < losses.iloc[0] / 10
    net = models.unet(asked.settings, training.DIMS[network]).eval()
    net.load_state_dict(toys.state_of(done))
    images, truth = torch.from_numpy(CASES[3].images).float(), CASES[3].labels[..., :-1]
    with torch.no_grad():
        if network == "unet2d":
            labels = net(images.permute(3, 0, 1, 2)).argmax(1).permute(1, 2, 0).numpy()
        else:
            labels = net(images[None])[0].argmax(0).numpy()
    for label in (1, 2, 3):
        hit = labels[..., :-1] == label  # the last slice is blank, and the 2D net never saw one
        assert 2 * (hit & (truth == label)).sum() / (hit.sum() + (truth == label).sum()) > 0.7


def test_what_a_training_leaves(straight: training.Trained) -> None:
    assert straight.history["epoch"].tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert sorted(straight.history["part"].unique()) == ["train", "val"]
    assert straight.n_parameters == models.parameter_count(models.unet(toys.segmentation(), 2))
    assert straight.device == "cpu"
    assert straight.resumed_from == 0
    assert straight.seconds == pytest.approx(straight.history["seconds"].sum())
    folder = straight.checkpoint.parent
    assert sorted(path.name for path in folder.iterdir()) == ["final.pt", "training.json"]
    summary = json.loads((folder / "training.json").read_text())
    assert summary["seed"] == 7 and len(summary["history"]) == 8


def test_val_decides_nothing(straight: training.Trained, tmp_path: Path) -> None:
    blind = training.train_segmenter(toys.job(tmp_path), CASES[:3], [])
    a, b = toys.state_of(straight), toys.state_of(blind)
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert blind.history["part"].unique().tolist() == ["train"]


@pytest.mark.parametrize("name", ["final.pt", "training.json"])
def test_stopped_after_the_last_epoch(
    name: str, monkeypatch: pytest.MonkeyPatch, straight: training.Trained, tmp_path: Path
) -> None:
    replace_file = Path.replace

    def stop(self: Any, target: Path) -> Path:
        return toys.stopped() if target.name == name else replace_file(self, target)

    with monkeypatch.context() as patch, pytest.raises(toys.StoppedError):
        patch.setattr(Path, "replace", stop)
        toys.trained(tmp_path)
    resumed = toys.trained(tmp_path)
    assert resumed.resumed_from == 4
    assert toys.same_training(resumed, straight)


def test_finished_is_not_repeated(
    monkeypatch: pytest.MonkeyPatch, straight: training.Trained
) -> None:
    monkeypatch.setattr(loop, "fit", toys.stopped)
    again = toys.trained(straight.checkpoint.parent)
    assert toys.same_training(again, straight)
    assert again.key == straight.key


@pytest.mark.parametrize(
    "change",
    [
        {"settings": toys.segmentation(learning_rate=0.02)},
        {"seed": 8},
        {"fold": 1},
        {"data_digest": "other"},
        {"network": "unet3d"},
    ],
)
def test_another_job_is_trained_anew(
    monkeypatch: pytest.MonkeyPatch, copied: Path, change: dict[str, Any]
) -> None:
    calls = []

    def refuse(*_: object, resume: bool) -> None:
        calls.append(resume)
        toys.stopped()

    monkeypatch.setattr(loop, "fit", refuse)
    with pytest.raises(toys.StoppedError):
        training.train_segmenter(replace(toys.job(copied), **change), CASES[:3], CASES[3:])
    assert calls == [False]
    assert not (copied / "final.pt").exists()


@pytest.mark.parametrize(
    ("train", "val"),
    [
        (CASES[:2], CASES[3:]),
        (CASES[:3], []),
        (CASES[:3], CASES[2:3]),
        (CASES[2::-1], CASES[3:]),
    ],
)
def test_other_patients_are_trained_anew(
    monkeypatch: pytest.MonkeyPatch, copied: Path, train: list[StoredCase], val: list[StoredCase]
) -> None:
    monkeypatch.setattr(loop, "fit", toys.stopped)
    with pytest.raises(toys.StoppedError):
        training.train_segmenter(toys.job(copied), train, val)


def _damage(folder: Path, _: pytest.MonkeyPatch) -> None:
    (folder / "final.pt").write_bytes((folder / "final.pt").read_bytes()[:-20])


def _other_code(_: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(training, "code_digest", lambda *_: "changed")


@pytest.mark.parametrize("spoil", [_damage, _other_code])
def test_other_code_or_damage_is_trained_anew(
    monkeypatch: pytest.MonkeyPatch,
    straight: training.Trained,
    copied: Path,
    spoil: Callable[[Path, pytest.MonkeyPatch], None],
) -> None:
    assert toys.trained(copied).key == straight.key
    spoil(copied, monkeypatch)
    monkeypatch.setattr(loop, "fit", toys.stopped)
    with pytest.raises(toys.StoppedError):
        toys.trained(copied)


def test_the_key_holds_the_code_of_this_room_alone() -> None:
    root = {"schema", "settings", "machines", "inputs", "provenance"}
    names = reached(["networks.training"]).keys() - root
    assert {"networks.loop", "networks.models", "networks.samples", "networks.job"} <= names
    assert {name.split(".")[0] for name in names} == {"networks"}


def test_checkpoint_of_another_job_is_not_resumed(
    monkeypatch: pytest.MonkeyPatch, straight: training.Trained, tmp_path: Path
) -> None:
    with monkeypatch.context() as patch, pytest.raises(toys.StoppedError):
        toys.stop_at(patch, 45)
        toys.trained(tmp_path, learning_rate=0.03)
    assert (tmp_path / "last.ckpt").is_file()
    fresh = toys.trained(tmp_path)
    assert fresh.resumed_from == 0
    assert toys.same_training(fresh, straight)


def test_odd_sizes_and_patches_train_together(tmp_path: Path) -> None:
    cases = [toys.toy_case("P1", (13, 17, 9)), toys.toy_case("P2", (16, 12, 7))]
    for patch in (None, (8, 8, 8)):
        asked = toys.job(tmp_path / str(patch), "unet3d", epochs=1, batch_size=2, patch=patch)
        assert np.isfinite(training.train_segmenter(asked, cases, cases).history["loss"]).all()
    cases.append(toys.toy_case("P3", blank=6))
    asked = toys.job(tmp_path / "2d", epochs=1, batch_size=30)
    assert np.isfinite(training.train_segmenter(asked, cases, cases[2:]).history["loss"]).all()


@pytest.mark.parametrize("balanced", [False, True])
def test_classifier_resumes_bit_for_bit_and_is_not_mixed_up(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, balanced: bool
) -> None:
    monkeypatch.setattr(models, "resnet50", toys.small_classifier)
    train, val = toys.fused_set(12), toys.fused_set(6)

    def done(folder: str, **more: Any) -> training.Trained:
        asked = toys.classify_job(tmp_path / folder, epochs=2, balanced=balanced, **more)
        return training.train_classifier(asked, train, val)

    straight = done("a")
    assert straight.note == "small"
    assert straight.history["part"].tolist() == ["train", "val"] * 2
    with monkeypatch.context() as patch, pytest.raises(toys.StoppedError):
        toys.stop_at(patch, 20, kind=samples.FusedImages)
        done("b")
    resumed = done("b")
    assert resumed.resumed_from == 1
    assert toys.same_training(resumed, straight)
    monkeypatch.setattr(loop, "fit", toys.stopped)
    assert done("a").key == straight.key
    with pytest.raises(toys.StoppedError):
        done("a", label_rule="enhancing_first")
    train = replace(train, classes=np.roll(train.classes, 1))
    with pytest.raises(toys.StoppedError):
        done("b")


def test_a_training_that_cannot_begin_leaves_the_one_before(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(models, "resnet50", toys.small_classifier)
        training.train_classifier(toys.classify_job(tmp_path), toys.fused_set(), None)
    (tmp_path / "last.ckpt").write_bytes(b"of another one that was interrupted")
    before = digests(tmp_path)
    job = toys.classify_job(tmp_path, weights="file", weights_file=str(tmp_path / "none.pth"))
    with pytest.raises(SettingsError, match=r"none\.pth: there is no such file"):
        training.train_classifier(job, toys.fused_set(), None)
    assert digests(tmp_path) == before


def test_bfloat16_needs_its_arithmetic_and_resumes_bit_for_bit(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": False})
    with pytest.raises(SettingsError, match="no arithmetic for precision bf16-mixed"):
        toys.trained(tmp_path / "a", precision="bf16-mixed")
    # torch computes with bfloat16 anywhere, only slowly
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})
    straight = toys.trained(tmp_path / "a", precision="bf16-mixed")
    assert np.isfinite(straight.history["loss"]).all()
    with monkeypatch.context() as patch, pytest.raises(toys.StoppedError):
        toys.stop_at(patch, 20 + 8)
        toys.trained(tmp_path / "b", precision="bf16-mixed")
    resumed = toys.trained(tmp_path / "b", precision="bf16-mixed")
    assert resumed.resumed_from == 1
    assert toys.same_training(resumed, straight)


def test_jobs_that_cannot_run_say_why(tmp_path: Path) -> None:
    def refused(error: type[Exception], words: str, asked: Job, *parts: Any) -> None:
        with pytest.raises(error, match=words):
            training.train_segmenter(asked, *parts)

    job, classify = toys.job(tmp_path), toys.classify_job(tmp_path)
    gpu = toys.job(tmp_path, precision="16-mixed")
    blank = replace(CASES[0], images=np.zeros_like(CASES[0].images))
    refused(SettingsError, "no arithmetic for precision 16-mixed", gpu, CASES, [])
    refused(DataError, "unet2d, fold 0: no training volume", job, [], [])
    refused(DataError, "no voxel but zeros", job, [blank], [])
    refused(SettingsError, "not a segmenter", classify, CASES, [])
    with pytest.raises(SettingsError, match="not a classifier"):
        training.train_classifier(job, toys.fused_set(), None)
    for size, of in ((1, 24), (2, 5)):
        asked = toys.classify_job(tmp_path, batch_size=size)
        with pytest.raises(SettingsError, match=f"batch_size is {size}, so one of {of} slices"):
            training.train_classifier(asked, toys.fused_set(of), None)
    with pytest.raises(DataError, match="1 training slices"):
        training.train_classifier(classify, toys.fused_set(1), None)
    assert not list(tmp_path.iterdir())
