"""What a loader hands to a training: samples as a seed draws them, stacked, a batch ahead."""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from gliomalib.networks.samples import Sample, Samples

Batch = tuple[Tensor, Tensor, Tensor]
"""Images (B, C, *S), their targets, and which of them count (B,)."""


class Drawn(Dataset[tuple[Sample, bool]]):
    """The samples as one seed draws them: the order of reading does not matter.

    Each with whether it counts: a negative index −1 − i is sample i, which only fills a share.
    """

    def __init__(self, samples: Samples, seed: int, vary: bool) -> None:
        self.samples, self.seed, self.vary = samples, seed, vary

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Sample, bool]:
        place = index if index >= 0 else -1 - index
        rng = np.random.default_rng((self.seed, place))
        sample = self.samples.draw(place, rng)
        return self.samples.varied(sample, rng) if self.vary else sample, index >= 0


class Ahead(DataLoader[Any]):
    """A loader that draws the next batch while the network learns from this one, when it is told.

    Told too early, both threads want the interpreter: the forward pass asks for it at each layer,
    the backward pass leaves it alone.
    """

    def __iter__(self) -> Any:
        """Yield the batches; what goes wrong while one is drawn is raised in its turn."""
        self._batches = super().__iter__()
        self._coming: Future[Any] | None = None
        with ThreadPoolExecutor(1) as self._thread:
            while (batch := self._next()) is not None:
                yield batch

    def draw_ahead(self, *_: Tensor) -> None:
        """Begin to draw the next batch, if that has not begun; a tensor's hook can be this."""
        if self._coming is None:
            self._coming = self._thread.submit(next, self._batches, None)

    def _next(self) -> Any:
        self.draw_ahead()
        coming, self._coming = cast("Future[Any]", self._coming), None
        return coming.result()


def collate(drawn: Sequence[tuple[Sample, bool]]) -> Batch:
    """Stack samples; smaller ones get zeros (background, no tumour) at the end of their axes."""
    samples, counts = zip(*drawn, strict=True)
    images, targets = (_stacked(part) for part in zip(*samples, strict=True))
    return images, targets, torch.tensor(counts)


def collate_float32(drawn: Sequence[tuple[Sample, bool]]) -> Batch:
    """Do as `collate`, with images as a processor takes them; a GPU is sent half the bytes."""
    images, targets, counts = collate(drawn)
    return images.float(), targets, counts


def _stacked(arrays: Sequence[NDArray[Any]]) -> Tensor:
    largest = np.max([array.shape for array in arrays], axis=0)
    stacked = np.zeros((len(arrays), *largest), arrays[0].dtype)
    for place, array in zip(stacked, arrays, strict=True):
        place[tuple(map(slice, array.shape))] = array
    return torch.from_numpy(stacked)


def share(batch: list[int], rank: int, processes: int) -> list[int]:
    """Return what one of several processes takes of a batch, as many samples as any other.

    What is lacking at the end is filled with a sample that does not count (−1 − index).
    """
    part = batch[rank::processes]
    return part + [-1 - batch[0]] * (math.ceil(len(batch) / processes) - len(part))
