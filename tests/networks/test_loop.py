"""One training: its rates, its mirror, its lines, and the same bits after any interruption."""

import logging
import math
import os
import signal
import subprocess
import sys
import traceback
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gliomalib.networks import loading, loop, models, samples, training
from gliomalib.networks.job import Plan
from gliomalib.provenance import PROJECT_DIR, TOLERANCE
from gliomalib.schema import SettingsError
from tests.networks import toys

CPU = torch.device("cpu")


class OneSample(samples.Samples):
    """The same image again and again, brighter on its right."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def draw(self, index: int, rng: np.random.Generator) -> samples.Sample:
        image = np.arange(8, dtype=np.float16).reshape(1, 8, 1)
        return image, (image > 3).astype(np.uint8)


class Watched(nn.Module):
    """A network of one weight that remembers what it is shown in training."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))
        self.seen: list[Tensor] = []

    def forward(self, images: Tensor) -> Tensor:
        if self.training:
            self.seen += list(images.clone())
        return self.weight * images


class Agreement(nn.Module):
    """A loss that also notes whether image and target were mirrored together."""

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        assert torch.equal((logits > 3).int(), targets.int())
        return 0 * logits.sum()


def plan(folder: Path, count: int, epochs: int, batch: int, val: int = 0) -> Plan:
    job = toys.job(folder, epochs=epochs, batch_size=batch)
    held_out = OneSample(val) if val else None
    return Plan(job, "key", OneSample(count), held_out, Agreement(), CPU)


def test_the_rate_warms_up_and_falls_along_a_cosine(tmp_path: Path) -> None:
    # 9 samples by 4 make 3 steps an epoch, and 34 epochs 102 steps
    asked = plan(tmp_path, 9, epochs=34, batch=4)
    optimiser, schedule = loop.optimiser_of(asked, Watched())
    rates = []
    for _ in range(102):
        rates.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        schedule.step()
    warm_up, top = 5, asked.job.settings.learning_rate
    for step, rate in enumerate(rates):
        cosine = (1 + math.cos(math.pi * step / 102)) / 2
        assert rate == pytest.approx(top * min((step + 1) / warm_up, cosine), rel=1e-9)
    assert rates[0] == pytest.approx(top / 5) and max(rates) > 0.99 * top
    assert rates[-1] < 0.001 * top


def test_weights_decay_apart_from_the_gradient(tmp_path: Path) -> None:
    optimiser, _ = loop.optimiser_of(plan(tmp_path, 4, 1, 4), Watched())
    assert isinstance(optimiser, torch.optim.AdamW)
    assert optimiser.param_groups[0]["weight_decay"] == 0.01


def test_training_sees_both_orientations_and_validation_one(tmp_path: Path) -> None:
    network = Watched()
    rows = loop.fit(plan(tmp_path, 1, epochs=20, batch=1, val=2), network, resume=False)
    rising = [bool(image[0, 0, 0] < image[0, -1, 0]) for image in network.seen]
    assert len(rising) == 20 and set(rising) == {True, False}
    assert [(row["epoch"], row["part"]) for row in rows[:2]] == [(0, "train"), (0, "val")]
    drawn = list(loop.held_out(plan(tmp_path, 1, 1, 1, val=20)))
    assert all(image[0, 0, 0] < image[0, -1, 0] for images, *_ in drawn for image in images)


def test_batch_norms_end_with_what_the_images_have_and_no_running_average(tmp_path: Path) -> None:
    class Normed(Watched):
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.BatchNorm2d(1)

        def forward(self, images: Tensor) -> Tensor:
            self.norm(images + 0)
            return self.weight * images

    network = Normed()
    loop.fit(plan(tmp_path, 4, epochs=1, batch=2), network, resume=False)
    assert network.norm.running_mean is not None and network.norm.running_var is not None
    assert network.norm.running_mean.item() == pytest.approx(3.5)
    assert network.norm.running_var.item() == pytest.approx(np.tile(np.arange(8), 2).var(ddof=1))


def test_images_of_different_sizes_are_filled_up_at_their_ends(tmp_path: Path) -> None:
    class TwoSizes(OneSample):
        def draw(self, index: int, rng: np.random.Generator) -> samples.Sample:
            shape = (1, 4 + index, 6 - index, 3)
            return np.ones(shape, np.float16), np.full(shape, 2, np.uint8)

    asked = replace(plan(tmp_path, 1, 1, 2), val=TwoSizes(2))
    ((images, targets, _),) = loop.held_out(asked)
    assert images.shape == targets.shape == (2, 1, 5, 6, 3)
    for row, (x, y) in enumerate([(4, 6), (5, 5)]):
        assert images[row, 0, :x, :y].min() == 1 and images[row].sum() == x * y * 3
        assert targets[row].sum() == 2 * x * y * 3


def test_an_epoch_is_what_the_obvious_loop_does(tmp_path: Path) -> None:
    asked = toys.plan(toys.job(tmp_path, epochs=3, batch_size=4))
    torch.manual_seed(5)
    quick, plain = (models.unet(toys.segmentation(dropout=0.0), 2) for _ in range(2))
    plain.load_state_dict(quick.state_dict())
    rows = loop.fit(asked, quick, resume=False)
    # fused as well: which order the sums of AdamW take is no part of the question
    rate = asked.job.settings.learning_rate
    optimiser = torch.optim.AdamW(plain.parameters(), lr=rate, fused=True)
    slices, step, steps = cast(samples.AxialSlices, asked.train), 0, 12
    for epoch in range(3):
        seed, losses = asked.job.seed_of("epoch", epoch), 0.0
        for indices in np.array_split(np.random.default_rng(seed).permutation(15), 4):
            images, targets = [], []
            for index in indices.tolist():
                (number, z), rng = slices.places[index], np.random.default_rng((seed, index))
                case, turn = slices.cases[number], 1 if rng.random() < 0.5 else -1
                images.append(case.images[:, ::turn, :, z].astype(np.float32))
                targets.append(case.labels[None, ::turn, :, z].copy())
            optimiser.param_groups[0]["lr"] = rate * min(
                step + 1, (1 + math.cos(math.pi * step / steps)) / 2
            )
            optimiser.zero_grad()
            seen = torch.from_numpy(np.stack(images))
            loss = asked.loss(plain(seen), torch.from_numpy(np.stack(targets)))
            loss.backward()
            optimiser.step()
            losses, step = losses + loss.item() * len(indices), step + 1
        assert rows[epoch]["loss"] == pytest.approx(losses / 15, rel=1e-6)
    assert all(map(torch.equal, quick.parameters(), plain.parameters()))


# 15 slices with brain in the training volumes, 5 in the validation volume: 20 draws an epoch
@pytest.mark.parametrize(("count", "whole"), [(3, 0), (20 + 8, 1), (2 * 20 + 17, 2)])
def test_interrupted_is_straight_bit_for_bit(
    monkeypatch: pytest.MonkeyPatch,
    straight: training.Trained,
    tmp_path: Path,
    count: int,
    whole: int,
) -> None:
    with monkeypatch.context() as patch, pytest.raises(toys.StoppedError):
        toys.stop_at(patch, count)
        toys.trained(tmp_path)
    torch.rand(11)  # what happened in this process before must not matter
    resumed = toys.trained(tmp_path)
    assert resumed.resumed_from == whole
    assert toys.same_training(resumed, straight)


def test_a_half_written_checkpoint_is_not_taken(
    monkeypatch: pytest.MonkeyPatch, straight: training.Trained, tmp_path: Path
) -> None:
    replace_file = Path.replace

    def stop_second(self: Any, target: Path) -> Path:
        if target.name == "last.ckpt" and target.exists():
            self.write_bytes(self.read_bytes()[:100])
            toys.stopped()
        return replace_file(self, target)

    with monkeypatch.context() as patch, pytest.raises(toys.StoppedError):
        patch.setattr(Path, "replace", stop_second)
        toys.trained(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["last.ckpt"]
    resumed = toys.trained(tmp_path)
    assert resumed.resumed_from == 1
    assert toys.same_training(resumed, straight)


def test_killed_is_straight_bit_for_bit(straight: training.Trained, tmp_path: Path) -> None:
    code = (
        "import os, signal, sys, pytest; from pathlib import Path; from tests.networks import toys;"
        "toys.stop_at(pytest.MonkeyPatch(), 48, lambda: os.kill(os.getpid(), signal.SIGKILL));"
        "toys.trained(Path(sys.argv[1]))"
    )
    words = [sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(words, cwd=PROJECT_DIR, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert (tmp_path / "last.ckpt").is_file()
    resumed = toys.trained(tmp_path)
    assert resumed.resumed_from == 2
    assert toys.same_training(resumed, straight)


@pytest.mark.parametrize("network", ["unet2d", "unet3d", "resnet50"])
def test_another_number_of_threads_keeps_to_the_tolerance_of_records(
    network: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(models, "resnet50", toys.small_classifier)

    def losses(threads: int) -> list[float]:
        folder = tmp_path / str(threads)
        if network == "resnet50":
            job = replace(toys.classify_job(folder, epochs=4), threads=threads)
            return list(training.train_classifier(job, toys.fused_set(), None).history["loss"])
        job = replace(toys.job(folder, network), threads=threads)
        return list(training.train_segmenter(job, toys.CASES[:3], toys.CASES[3:]).history["loss"])

    assert "1e-5" in TOLERANCE
    assert losses(2) == pytest.approx(losses(1), rel=1e-5)


def test_interrupt_leaves_the_process_alive(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # a shell's background jobs start with interrupts ignored: ask for Python's own handler
    outer = signal.signal(signal.SIGINT, signal.default_int_handler)
    toys.stop_at(monkeypatch, 30, lambda: os.kill(os.getpid(), signal.SIGINT))
    try:
        with pytest.raises(KeyboardInterrupt):
            toys.trained(tmp_path)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, outer)


def test_a_loss_that_is_no_number_stops(tmp_path: Path) -> None:
    broken = replace(toys.CASES[0], images=np.full_like(toys.CASES[0].images, np.inf))
    with pytest.raises(SettingsError, match="train loss is nan in epoch 1"):
        training.train_segmenter(toys.job(tmp_path), [broken], [])
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
    filled = torch.utils.deterministic.fill_uninitialized_memory
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    toys.trained(tmp_path, epochs=2)
    assert torch.equal(torch.rand(1), expected)
    assert torch.are_deterministic_algorithms_enabled() == strict
    assert torch.utils.deterministic.fill_uninitialized_memory == filled
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 2
    assert lines[0].startswith("unet2d, fold 0: epoch 1 of 2, train loss 0.")
    assert ", val loss 0." in lines[0]
    assert lines[1].endswith(" 0 s left")
    assert capfd.readouterr() == ("", "")
    assert not [str(w.message) for w in recwarn if "lightning" in str(w.filename)]


def test_the_next_batch_is_drawn_while_gradients_are_computed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    callers, draw = [], loading.Ahead.draw_ahead

    def watched(loader: loading.Ahead, *more: Tensor) -> None:
        callers.append([frame.name for frame in traceback.extract_stack()])
        draw(loader, *more)

    monkeypatch.setattr(loading.Ahead, "draw_ahead", watched)
    toys.trained(tmp_path)
    # not before torch's engine runs, which leaves the interpreter to the thread that draws
    assert any("_engine_run_backward" in names for names in callers)
