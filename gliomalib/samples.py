"""What the networks are trained on: slices, boxes and images, drawn by seed and place."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from gliomalib.schema import SliceSet, StoredCase

Pair = tuple[NDArray[np.float16], NDArray[np.uint8]]
"""One image (C, *S) and its target (1, *S), or (1, 1) for the class of an image."""


class Samples(Protocol):
    """What a network is trained on; ``draw`` depends on its arguments alone."""

    def __len__(self) -> int:
        """Return the number of samples of one epoch."""

    def draw(self, index: int, rng: np.random.Generator) -> Pair:
        """Return one sample."""


class AxialSlices:
    """All axial slices that show any brain, as (4, X, Y) and (1, X, Y)."""

    def __init__(self, cases: Sequence[StoredCase]) -> None:
        self.cases = cases
        self.places = [
            (number, int(z))
            for number, case in enumerate(cases)
            for z in np.flatnonzero(np.any(case.images, axis=(0, 1, 2)))
        ]

    def __len__(self) -> int:
        """Return the number of slices."""
        return len(self.places)

    def draw(self, index: int, rng: np.random.Generator) -> Pair:
        """Return one slice and its labels."""
        number, z = self.places[index]
        case = self.cases[number]
        return case.images[..., z], case.labels[None, ..., z]


class Boxes:
    """One box of each volume, or the whole of it, as (4, X, Y, Z) and (1, X, Y, Z).

    With a ``patch`` half of the boxes are centred on a tumour voxel, the others lie anywhere.
    """

    def __init__(self, cases: Sequence[StoredCase], patch: tuple[int, int, int] | None) -> None:
        self.cases, self.patch = cases, patch

    def __len__(self) -> int:
        """Return the number of volumes."""
        return len(self.cases)

    def draw(self, index: int, rng: np.random.Generator) -> Pair:
        """Return one box and its labels."""
        case = self.cases[index]
        box = self._box(case.labels, rng) if self.patch else ()
        return case.images[(slice(None), *box)], case.labels[box][None]

    def _box(self, labels: NDArray[np.uint8], rng: np.random.Generator) -> tuple[slice, ...]:
        patch = np.array(self.patch)
        room = np.maximum(np.array(labels.shape) - patch, 0)
        start = rng.integers(0, room + 1)
        if rng.random() < 0.5:
            tumour = np.flatnonzero(labels)
            if len(tumour):
                centre = np.array(np.unravel_index(rng.choice(tumour), labels.shape))
                start = np.clip(centre - patch // 2, 0, room)
        return tuple(slice(a, a + b) for a, b in zip(start.tolist(), patch.tolist(), strict=True))


class FusedImages:
    """Fused slices (3, H, W) with their class (1, 1)."""

    def __init__(self, slices: SliceSet) -> None:
        self.slices = slices

    def __len__(self) -> int:
        """Return the number of slices."""
        return len(self.slices.classes)

    def draw(self, index: int, rng: np.random.Generator) -> Pair:
        """Return one image and its class."""
        image = self.slices.images[index]
        return image, np.full((1, 1), self.slices.classes[index], np.uint8)


def mirrored(pair: Pair, rng: np.random.Generator) -> Pair:
    """Return a sample as it is or mirrored along its first axis (left and right), half and half."""
    if rng.random() < 0.5:
        return pair
    return pair[0][:, ::-1], pair[1][:, ::-1]


def batches(order: NDArray[np.int64], size: int) -> list[list[int]]:
    """Cut an order into batches of nearly equal size, so that no last batch is a single sample."""
    return [part.tolist() for part in np.array_split(order, math.ceil(len(order) / size))]
