"""Small cases with a task that a network learns in seconds, and trainings of them that stop."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Never

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gliomalib import settings
from gliomalib.networks import models, samples, training
from gliomalib.networks.job import Job, Plan
from gliomalib.schema import Grid, SliceSet, StoredCase
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


def job(directory: Path, network: Any = "unet2d", **more: Any) -> Job:
    return Job(network, segmentation(**more), 0, 7, "cpu", 1, Path(directory), "data")


def trained(directory: Path, **more: Any) -> training.Trained:
    """Train the 2D network on three patients, or go on where a training in the folder stopped."""
    return training.train_segmenter(job(directory, **more), CASES[:3], CASES[3:])


def plan(asked: Job) -> Plan:
    """Return the plan of a 2D training on three patients, none held out."""
    loss = models.segmentation_loss(segmentation())
    return Plan(asked, "key", samples.AxialSlices(CASES[:3]), None, loss, torch.device("cpu"))


def smoke_unet(dims: int) -> nn.Module:
    """Return the U-Net of the study ``smoke``, the same at every call."""
    torch.manual_seed(dims)
    study = settings.load("smoke")
    return models.unet(study.unet2d if dims == 2 else study.unet3d, dims).eval()


def fused_set(n: int = 24) -> SliceSet:
    rng = np.random.default_rng(n)
    classes = rng.integers(0, 4, n)
    images = 0.2 * rng.random((n, 3, 32, 32))
    for index, label in enumerate(classes):
        if label:
            images[index, label - 1, 8:24, 8:24] += 0.7
    names = tuple(f"P{index % 3}" for index in range(n))
    return SliceSet(images.astype(np.float16), classes, names, np.arange(n))


def classify_job(directory: Path, **more: Any) -> Job:
    plain = {"epochs": 1, "batch_size": 8, "weights": "random", "learning_rate": 0.001}
    return Job("resnet50", Classifier(**(plain | more)), 0, 7, "cpu", 1, Path(directory), "data")


def small_classifier(_: Classifier) -> tuple[nn.Module, str]:
    """Return what stands in for the ResNet50: a batch norm too, and a thousandth of its size."""
    body = nn.Sequential(nn.Conv2d(3, 8, 3, 4), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.2))
    return nn.Sequential(body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4)), "small"


def state_of(done: training.Trained) -> dict[str, Tensor]:
    return torch.load(done.checkpoint, weights_only=True)["state"]


def same_training(one: training.Trained, other: training.Trained) -> bool:
    a, b = state_of(one), state_of(other)
    same_weights = a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)
    columns = ["epoch", "part", "loss"]
    return same_weights and one.history[columns].equals(other.history[columns])


class StoppedError(Exception):
    """What these tests stop a training with."""


def stopped(*_: object, **__: object) -> Never:
    raise StoppedError


def stop_at(
    monkeypatch: pytest.MonkeyPatch,
    count: int,
    action: Callable[[], None] = stopped,
    kind: type[samples.Samples] = samples.AxialSlices,
) -> None:
    """Call ``action`` at the draw with this number."""
    draw, drawn = kind.draw, iter(range(10**6))

    def counted(self: Any, index: int, rng: np.random.Generator) -> samples.Sample:
        if next(drawn) == count:
            action()
        return draw(self, index, rng)

    monkeypatch.setattr(kind, "draw", counted)
