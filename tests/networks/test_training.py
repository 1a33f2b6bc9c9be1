"""Training learns, is the same bits when interrupted, and never takes another run's files."""

import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Never

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gliomalib.networks import loop, models, samples, training
from gliomalib.provenance import PROJECT_DIR
from gliomalib.schema import DataError, Grid, SettingsError, SliceSet, StoredCase
from gliomalib.settings import Classifier, Segmentation

AFFINE = tuple(map(tuple, np.eye(4)))


def toy_case(name: str, shape: tuple[int, int, int] = (16, 16, 6), blank: int = 1) -> StoredCase:
    """Return a case whose nested boxes are brightest where the class is highest."""
    rng = np.random.default_rng(sum(name.encode()))
    labels = np.zeros(shape, np.uint8)
    x, y = rng.integers(1, 4, 2)
    labels[x : x + 10, y : y + 10, : shape[2] - 1] = 2
    labels[x + 1 : x + 8, y + 2 : y + 9, 1:5] = 3
    labels[x + 2 : x + 6, y + 3 : y + 7, 1:4] = 1
    noise = rng.normal(0, 0.03, (4, *shape))
    strength = np.array([0.2, 0.9, 0.5, 0.7])[labels]
    images = np.clip(strength + noise, 0, 1).astype(np.float16)
    images[..., shape[2] - blank :] = 0
    grid = Grid(name, shape, (1.0, 1.0, 1.0), (0, 0, 0), AFFINE)
    return StoredCase(grid, images, labels)


CASES = [toy_case(f"P{number}") for number in range(4)]


def segmentation(**more: Any) -> Segmentation:
    plain = {"epochs": 4, "batch_size": 4, "channels": (4, 8), "residual_units": 1}
    return Segmentation(**(plain | {"dropout": 0.2, "learning_rate": 0.01} | more))


def job(directory: Path, network: Any = "unet2d", **more: Any) -> training.Job:
    return training.Job(network, segmentation(**more), 0, 7, "cpu", 1, Path(directory), "data")


def fused_set(n: int = 24) -> SliceSet:
    rng = np.random.default_rng(n)
    classes = rng.integers(0, 4, n)
    images = 0.2 * rng.random((n, 3, 32, 32))
    for index, label in enumerate(classes):
        if label:
            images[index, label - 1, 8:24, 8:24] += 0.7
    names = tuple(f"P{index % 3}" for index in range(n))
    return SliceSet(images.astype(np.float16), classes, names, np.arange(n))


def classify_job(directory: Path, **more: Any) -> training.Job:
    plain = {"epochs": 1, "batch_size": 8, "weights": "random", "learning_rate": 0.001}
    setting = Classifier(**(plain | more))
    return training.Job("resnet50", setting, 0, 7, "cpu", 1, Path(directory), "data")


def state_of(trained: training.Trained) -> dict[str, Tensor]:
    return torch.load(trained.checkpoint, weights_only=True)["state"]


def same_training(one: training.Trained, other: training.Trained) -> bool:
    a, b = state_of(one), state_of(other)
    same_weights = a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)
    columns = ["epoch", "part", "loss"]
    return same_weights and one.history[columns].equals(other.history[columns])


class StoppedError(Exception):
    """What these tests stop a training with."""


def stop_at(monkeypatch: pytest.MonkeyPatch, count: int, action: Callable[[], None]) -> None:
    """Call ``action`` at the draw with this number."""
    draw, drawn = samples.AxialSlices.draw, iter(range(10**6))

    def counted(self: Any, index: int, rng: np.random.Generator) -> samples.Pair:
        if next(drawn) == count:
            action()
        return draw(self, index, rng)

    monkeypatch.setattr(samples.AxialSlices, "draw", counted)


def stopped() -> Never:
    raise StoppedError


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> training.Trained:
    folder = tmp_path_factory.mktemp("straight")
    return training.train_segmenter(job(folder), CASES[:3], CASES[3:])


@pytest.mark.parametrize(("network", "epochs", "size"), [("unet2d", 30, 4), ("unet3d", 50, 1)])
def test_both_unets_learn_a_toy_task(tmp_path: Path, network: str, epochs: int, size: int) -> None:
    more = {"channels": (8, 16), "dropout": 0.0, "learning_rate": 0.02}
    asked = job(tmp_path, network, epochs=epochs, batch_size=size, **more)
    trained = training.train_segmenter(asked, CASES[:3], [])
    losses = trained.history["loss"]
    assert losses.iloc[-1] < losses.iloc[0] / 10
    net = models.unet(asked.settings, training.DIMS[network]).eval()
    net.load_state_dict(state_of(trained))
    images, truth = torch.from_numpy(CASES[3].images).float(), CASES[3].labels[..., :-1]
    with torch.no_grad():
        if network == "unet2d":
            found = net(images.permute(3, 0, 1, 2)).argmax(1).permute(1, 2, 0).numpy()
        else:
            found = net(images[None])[0].argmax(0).numpy()
    for label in (1, 2, 3):
        hit = found[..., :-1] == label  # the last slice is blank, and the 2D net never saw one
        assert 2 * (hit & (truth == label)).sum() / (hit.sum() + (truth == label).sum()) > 0.7


def test_what_a_training_leaves(straight: training.Trained) -> None:
    assert straight.history["epoch"].tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert sorted(straight.history["part"].unique()) == ["train", "val"]
    assert straight.n_parameters == models.parameter_count(models.unet(segmentation(), 2))
    assert straight.device == "cpu"
    assert straight.deterministic
    assert straight.resumed_from == 0
    assert straight.seconds == pytest.approx(straight.history["seconds"].sum())
    left = sorted(path.name for path in straight.checkpoint.parent.iterdir())
    assert left == ["final.pt", "training.json"]


def test_val_decides_nothing(straight: training.Trained, tmp_path: Path) -> None:
    blind = training.train_segmenter(job(tmp_path), CASES[:3], [])
    a, b = state_of(straight), state_of(blind)
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert blind.history["part"].unique().tolist() == ["train"]


# 15 slices with brain in the training volumes, 5 in the validation volume: 20 draws an epoch
@pytest.mark.parametrize(("count", "whole"), [(3, 0), (20 + 8, 1), (2 * 20 + 17, 2)])
def test_interrupted_is_straight_bit_for_bit(
    monkeypatch: pytest.MonkeyPatch,
    straight: training.Trained,
    tmp_path: Path,
    count: int,
    whole: int,
) -> None:
    with monkeypatch.context() as patch:
        stop_at(patch, count, stopped)
        with pytest.raises(StoppedError):
            training.train_segmenter(job(tmp_path), CASES[:3], CASES[3:])
    torch.rand(11)  # what happened in this process before must not matter
    resumed = training.train_segmenter(job(tmp_path), CASES[:3], CASES[3:])
    assert resumed.resumed_from == whole
    assert same_training(resumed, straight)


def test_stopped_between_last_epoch_and_summary(
    monkeypatch: pytest.MonkeyPatch, straight: training.Trained, tmp_path: Path
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(training, "write_atomic", lambda *_: stopped())
        with pytest.raises(StoppedError):
            training.train_segmenter(job(tmp_path), CASES[:3], CASES[3:])
    resumed = training.train_segmenter(job(tmp_path), CASES[:3], CASES[3:])
    assert resumed.resumed_from == 4
    assert same_training(resumed, straight)


def test_half_written_checkpoint_is_not_taken(
    monkeypatch: pytest.MonkeyPatch, straight: training.Trained, tmp_path: Path
) -> None:
    replace_file = Path.replace

    def stop_second(self: Any, target: Path) -> Path:
        if target.name == "last.ckpt" and target.exists():
            self.write_bytes(self.read_bytes()[:100])
            stopped()
        return replace_file(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", stop_second)
        with pytest.raises(StoppedError):
            training.train_segmenter(job(tmp_path), CASES[:3], CASES[3:])
    resumed = training.train_segmenter(job(tmp_path), CASES[:3], CASES[3:])
    assert resumed.resumed_from == 1
    assert same_training(resumed, straight)


def test_killed_is_straight_bit_for_bit(straight: training.Trained, tmp_path: Path) -> None:
    code = (
        "import os, signal, sys, pytest; sys.path.insert(0, sys.argv[1]);"
        "import test_training as t;"
        "t.stop_at(pytest.MonkeyPatch(), 48, lambda: os.kill(os.getpid(), signal.SIGKILL));"
        "t.training.train_segmenter(t.job(sys.argv[2]), t.CASES[:3], t.CASES[3:])"
    )
    words = [sys.executable, "-c", code, str(Path(__file__).parent), str(tmp_path)]
    done = subprocess.run(words, cwd=PROJECT_DIR, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert (tmp_path / "last.ckpt").is_file()
    resumed = training.train_segmenter(job(tmp_path), CASES[:3], CASES[3:])
    assert resumed.resumed_from == 2
    assert same_training(resumed, straight)


def test_interrupt_leaves_the_process_alive(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def interrupt() -> None:
        os.kill(os.getpid(), signal.SIGINT)

    # a shell's background jobs start with interrupts ignored: ask for Python's own handler
    outer = signal.signal(signal.SIGINT, signal.default_int_handler)
    stop_at(monkeypatch, 30, interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            training.train_segmenter(job(tmp_path), CASES[:3], [])
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, outer)


def test_finished_is_not_repeated(
    monkeypatch: pytest.MonkeyPatch, straight: training.Trained
) -> None:
    monkeypatch.setattr(loop, "fit", lambda *_, **__: stopped())
    again = training.train_segmenter(job(straight.checkpoint.parent), CASES[:3], CASES[3:])
    assert same_training(again, straight)
    assert again.key == straight.key


@pytest.mark.parametrize(
    "change",
    [
        {"settings": segmentation(learning_rate=0.02)},
        {"seed": 8},
        {"fold": 1},
        {"data_digest": "other"},
        {"network": "unet3d"},
    ],
)
def test_another_job_is_trained_anew(
    monkeypatch: pytest.MonkeyPatch,
    straight: training.Trained,
    tmp_path: Path,
    change: dict[str, Any],
) -> None:
    asked = replace(job(tmp_path), **change)
    calls = []
    for name in ("final.pt", "training.json"):
        (tmp_path / name).write_bytes((straight.checkpoint.parent / name).read_bytes())

    def refuse(*_: object, resume: bool) -> None:
        calls.append(resume)
        stopped()

    monkeypatch.setattr(loop, "fit", refuse)
    with pytest.raises(StoppedError):
        training.train_segmenter(asked, CASES[:3], CASES[3:])
    assert calls == [False]
    assert not (tmp_path / "final.pt").exists()


def test_other_patients_code_or_damage_are_trained_anew(
    monkeypatch: pytest.MonkeyPatch, straight: training.Trained, tmp_path: Path
) -> None:
    for name in ("final.pt", "training.json"):
        (tmp_path / name).write_bytes((straight.checkpoint.parent / name).read_bytes())
    assert training.train_segmenter(job(tmp_path), CASES[:3], CASES[3:]).key == straight.key
    monkeypatch.setattr(loop, "fit", lambda *_, **__: stopped())
    with pytest.raises(StoppedError):
        training.train_segmenter(job(tmp_path), CASES[:2], CASES[3:])
    for name in ("final.pt", "training.json"):
        (tmp_path / name).write_bytes((straight.checkpoint.parent / name).read_bytes())
    with monkeypatch.context() as patch, pytest.raises(StoppedError):
        patch.setattr(training, "code_digest", lambda *_: "changed")
        training.train_segmenter(job(tmp_path), CASES[:3], CASES[3:])
    damaged = (straight.checkpoint.parent / "final.pt").read_bytes()[:-20]
    (tmp_path / "final.pt").write_bytes(damaged)
    told = (straight.checkpoint.parent / "training.json").read_bytes()
    (tmp_path / "training.json").write_bytes(told)
    with pytest.raises(StoppedError):
        training.train_segmenter(job(tmp_path), CASES[:3], CASES[3:])


def test_checkpoint_of_another_job_is_not_resumed(
    monkeypatch: pytest.MonkeyPatch, straight: training.Trained, tmp_path: Path
) -> None:
    with monkeypatch.context() as patch:
        stop_at(patch, 45, stopped)
        with pytest.raises(StoppedError):
            training.train_segmenter(job(tmp_path, learning_rate=0.03), CASES[:3], CASES[3:])
    assert (tmp_path / "last.ckpt").is_file()
    fresh = training.train_segmenter(job(tmp_path), CASES[:3], CASES[3:])
    assert fresh.resumed_from == 0
    assert same_training(fresh, straight)


def test_odd_sizes_and_patches_train_together(tmp_path: Path) -> None:
    cases = [toy_case("P1", (13, 17, 9)), toy_case("P2", (16, 12, 7))]
    for patch in (None, (8, 8, 8)):
        asked = job(tmp_path / str(patch), "unet3d", epochs=1, batch_size=2, patch=patch)
        assert np.isfinite(training.train_segmenter(asked, cases, cases).history["loss"]).all()
    cases.append(toy_case("P3", blank=6))
    flat = job(tmp_path / "flat", epochs=1, batch_size=30)
    assert np.isfinite(training.train_segmenter(flat, cases, cases[2:]).history["loss"]).all()


def small_classifier(_: Classifier) -> tuple[nn.Module, str]:
    """Return what stands in for the ResNet50: a batch norm too, and a thousandth of its size."""
    body = nn.Sequential(nn.Conv2d(3, 8, 3, 4), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.2))
    return nn.Sequential(body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4)), "small"


@pytest.mark.parametrize("balanced", [False, True])
def test_classifier_resumes_bit_for_bit_and_is_not_mixed_up(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, balanced: bool
) -> None:
    monkeypatch.setattr(models, "resnet50", small_classifier)
    train, val = fused_set(12), fused_set(6)
    asked = classify_job(tmp_path / "a", epochs=2, balanced=balanced)
    straight = training.train_classifier(asked, train, val)
    assert straight.note == "small"
    assert straight.history["part"].tolist() == ["train", "val"] * 2
    draw, drawn = samples.FusedImages.draw, iter(range(10**6))

    def counted(self: Any, index: int, rng: np.random.Generator) -> samples.Pair:
        if next(drawn) == 20:
            stopped()
        return draw(self, index, rng)

    with monkeypatch.context() as patch, pytest.raises(StoppedError):
        patch.setattr(samples.FusedImages, "draw", counted)
        training.train_classifier(replace(asked, directory=tmp_path / "b"), train, val)
    resumed = training.train_classifier(replace(asked, directory=tmp_path / "b"), train, val)
    assert resumed.resumed_from == 1
    assert same_training(resumed, straight)
    other = replace(train, classes=np.roll(train.classes, 1))
    monkeypatch.setattr(loop, "fit", lambda *_, **__: stopped())
    with pytest.raises(StoppedError):
        training.train_classifier(asked, other, val)


def test_jobs_that_cannot_run_say_why(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="bf16-mixed is for a GPU"):
        training.train_segmenter(job(tmp_path, precision="bf16-mixed"), CASES, [])
    with pytest.raises(DataError, match="unet2d, fold 0: no training volume"):
        training.train_segmenter(job(tmp_path), [], [])
    blank = replace(CASES[0], images=np.zeros_like(CASES[0].images))
    with pytest.raises(DataError, match="no voxel but zeros"):
        training.train_segmenter(job(tmp_path), [blank], [])
    with pytest.raises(SettingsError, match="not a segmenter"):
        training.train_segmenter(classify_job(tmp_path), CASES, [])
    with pytest.raises(SettingsError, match="not a classifier"):
        training.train_classifier(job(tmp_path), fused_set(), None)
    with pytest.raises(SettingsError, match="batch_size is 1"):
        training.train_classifier(classify_job(tmp_path, batch_size=1), fused_set(), None)
    with pytest.raises(DataError, match="1 training slices"):
        training.train_classifier(classify_job(tmp_path), fused_set(1), None)
    assert not list(tmp_path.iterdir())


def test_a_loss_that_is_no_number_stops(tmp_path: Path) -> None:
    broken = replace(CASES[0], images=np.full_like(CASES[0].images, np.inf))
    with pytest.raises(SettingsError, match="train loss is nan in epoch 1"):
        training.train_segmenter(job(tmp_path), [broken], [])
    assert not (tmp_path / "last.ckpt").exists()


def test_progress_is_plain_lines_and_nothing_else(
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    recwarn: pytest.WarningsRecorder,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(loop, "SECONDS_BETWEEN_LINES", 0.0)
    caplog.set_level(logging.INFO, "gliomalib")
    strict = torch.are_deterministic_algorithms_enabled()
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    training.train_segmenter(job(tmp_path, epochs=2), CASES[:1], CASES[3:])
    assert torch.equal(torch.rand(1), expected)
    assert torch.are_deterministic_algorithms_enabled() == strict
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 2
    assert lines[0].startswith("unet2d, fold 0: epoch 1 of 2, train loss 0.")
    assert ", val loss 0." in lines[0]
    assert lines[1].endswith(" 0 s left")
    assert capfd.readouterr() == ("", "")
    assert not [str(w.message) for w in recwarn if "lightning" in str(w.filename)]
    told = json.loads((tmp_path / "training.json").read_text())
    assert told["seed"] == 7
    assert len(told["history"]) == 4
