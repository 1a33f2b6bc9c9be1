"""A training as it is asked for, and the files that it leaves."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import torch
from torch import nn

from gliomalib.machines import Compute
from gliomalib.networks.samples import Samples
from gliomalib.settings import Classifier, Segmentation, named_seed

NetworkName = Literal["unet2d", "unet3d", "resnet50"]


@dataclass(frozen=True)
class Job:
    """One training: what is trained how, on which fold, and where its files go.

    ``device`` is auto, cpu or cuda; ``threads`` 0 is torch's default; ``data_digest`` changes
    with the training data. ``label`` tells it from others of its network, its fold by default.
    """

    network: NetworkName
    settings: Segmentation | Classifier
    fold: int
    seed: int
    device: str
    threads: int
    directory: Path
    data_digest: str
    label: str = ""
    compute: Compute = field(default_factory=Compute)

    @property
    def title(self) -> str:
        """What the training is called in a sentence."""
        return f"{self.network}, {self.label or f'fold {self.fold}'}"

    @property
    def processes(self) -> int:
        """How many processes train together, one on each device of each node."""
        return self.compute.devices * self.compute.num_nodes

    def seed_of(self, *names: object) -> int:
        """Return the seed of one purpose of this training."""
        return named_seed(self.seed, self.network, self.fold, *names)


@dataclass(frozen=True)
class Plan:
    """A job that can run here, with its samples; ``key`` names all that its result depends on."""

    job: Job
    key: str
    train: Samples
    val: Samples | None
    loss: nn.Module
    device: torch.device

    @property
    def steps(self) -> int:
        """Steps of an epoch: as many as there are batches, or those of a rehearsal."""
        whole = math.ceil(len(self.train) / self.job.settings.batch_size)
        return self.job.compute.steps or whole

    @property
    def last(self) -> Path:
        """The checkpoint of the last whole epoch; gone once the training is finished."""
        return self.job.directory / "last.ckpt"

    @property
    def final(self) -> Path:
        """The weights of the last epoch, and the settings to load them."""
        return self.job.directory / "final.pt"

    @property
    def summary(self) -> Path:
        """What the training was and how it went; without it nothing counts as finished."""
        return self.job.directory / "training.json"
