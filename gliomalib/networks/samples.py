"""What a training draws by seed and place: axial slices, boxes of volumes, fused images."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gliomalib.schema import SEQUENCES, SliceSet, StoredCase

Sample = tuple[NDArray[np.float16], NDArray[np.uint8]]
"""One image (C, *S) and its target (1, *S), or (1, 1) for the class of an image."""


def channels_of(sequences: Sequence[str]) -> list[int] | slice:
    """Return where ``sequences`` lie among the four of a stored case; all of them are a view."""
    if tuple(sequences) == SEQUENCES:
        return slice(None)
    return [SEQUENCES.index(name) for name in sequences]


class Samples(ABC):
    """What a network is trained on; what is drawn depends on the arguments alone."""

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of samples of one epoch."""

    @abstractmethod
    def draw(self, index: int, rng: np.random.Generator) -> Sample:
        """Return one sample."""

    def order(self, rng: np.random.Generator) -> NDArray[np.int64]:
        """Return the samples of one epoch, shuffled."""
        return rng.permutation(len(self))

    def varied(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """Return a sample as training sees it."""
        return mirrored(sample, rng)


class AxialSlices(Samples):
    """All axial slices that show any brain, as (C, X, Y) and (1, X, Y), C sequences."""

    def __init__(self, cases: Sequence[StoredCase], sequences: Sequence[str] = SEQUENCES) -> None:
        self.cases, self.channels = cases, channels_of(sequences)
        self.places = [
            (number, int(z))
            for number, case in enumerate(cases)
            for z in np.flatnonzero(np.any(case.images, axis=(0, 1, 2)))
        ]

    def __len__(self) -> int:
        return len(self.places)

    def draw(self, index: int, rng: np.random.Generator) -> Sample:
        """Return one slice and its labels."""
        number, z = self.places[index]
        case = self.cases[number]
        return case.images[self.channels, ..., z], case.labels[None, ..., z]


class Boxes(Samples):
    """One box of each volume, or the whole of it, as (C, X, Y, Z) and (1, X, Y, Z).

    With a ``patch`` half of the boxes are centred on a tumour voxel, the others lie anywhere.
    """

    def __init__(
        self,
        cases: Sequence[StoredCase],
        patch: tuple[int, int, int] | None,
        sequences: Sequence[str] = SEQUENCES,
    ) -> None:
        self.cases, self.patch, self.channels = cases, patch, channels_of(sequences)
        self._tumours: dict[int, NDArray[np.int32]] = {}

    def __len__(self) -> int:
        return len(self.cases)

    def draw(self, index: int, rng: np.random.Generator) -> Sample:
        """Return one box and its labels."""
        case = self.cases[index]
        box = self._box(index, rng) if self.patch else ()
        return case.images[(self.channels, *box)], case.labels[box][None]

    def _box(self, index: int, rng: np.random.Generator) -> tuple[slice, ...]:
        labels, patch = self.cases[index].labels, np.array(self.patch)
        # an axis shorter than the patch has no room: its box starts at 0 and ends with the axis
        room = np.maximum(np.array(labels.shape) - patch, 0)
        start = rng.integers(0, room + 1)
        if rng.random() < 0.5:
            # to look for it takes as long as to read the patch, so once for each case
            if index not in self._tumours:
                self._tumours[index] = np.flatnonzero(labels).astype(np.int32)
            if len(tumour := self._tumours[index]):
                centre = np.array(np.unravel_index(rng.choice(tumour), labels.shape))
                start = np.clip(centre - patch // 2, 0, room)
        return tuple(slice(a, a + b) for a, b in zip(start.tolist(), patch.tolist(), strict=True))


class FusedImages(Samples):
    """Fused slices (3, H, W) with their class (1, 1).

    ``balanced`` draws a class as often as the square root of its number of slices; ``augment``
    turns images by right angles and shifts them by up to a quarter, what leaves at one end comes
    in at the other: no area changes, and so no class that goes by areas.
    """

    def __init__(self, slices: SliceSet, balanced: bool = False, augment: bool = False) -> None:
        self.slices, self.balanced, self.augment = slices, balanced, augment

    def __len__(self) -> int:
        return len(self.slices.classes)

    def draw(self, index: int, rng: np.random.Generator) -> Sample:
        """Return one image and its class."""
        image = self.slices.images[index]
        return image, np.full((1, 1), self.slices.classes[index], np.uint8)

    def order(self, rng: np.random.Generator) -> NDArray[np.int64]:
        """Return as many slices as there are: each once, or rare classes more often."""
        if not self.balanced:
            return super().order(rng)
        classes = self.slices.classes
        # a class of n slices weighs √n in all: equal weights would repeat rare ones until they are
        # memorised, and call the many slices at the border of two classes by the rarer one
        weights = 1 / np.sqrt(np.bincount(classes)[classes])
        return rng.choice(len(classes), len(classes), p=weights / weights.sum())

    def varied(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """Return a slice mirrored or not and, with ``augment``, turned and shifted."""
        image, target = mirrored(sample, rng)
        if self.augment:
            image = np.rot90(image, int(rng.integers(4)), axes=(1, 2))
            most = np.array(image.shape[1:]) // 4
            image = np.roll(image, rng.integers(-most, most + 1), axis=(1, 2))
        return image, target


def mirrored(sample: Sample, rng: np.random.Generator) -> Sample:
    """Return a sample as it is or mirrored along its first axis (left and right), half and half."""
    if rng.random() < 0.5:
        return sample
    image, target = sample
    return image[:, ::-1], target[:, ::-1]


def batches(order: NDArray[np.int64], size: int) -> list[list[int]]:
    """Cut an order into batches of nearly equal size; of a ``size`` above 2 none is single."""
    return [part.tolist() for part in np.array_split(order, math.ceil(len(order) / size))]
