"""Patients with nested tumours and what two simulated networks say of them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from scipy import ndimage

from gliomalib.fusion import average
from gliomalib.schema import Grid, StoredCase, Volume

SHAPE = (32, 32, 26)
BLUR_2D, BLUR_3D = (0.7, 0.7, 0.3), (0.9, 0.9, 0.9)


@dataclass(frozen=True)
class Patient:
    """A case with the volumes of both branches."""

    case: StoredCase
    p2d: Volume
    p3d: Volume

    @cached_property
    def fused(self) -> Volume:
        """The paper's fusion."""
        return average.weighted_average(self.p2d, self.p3d, 0.6)


def grid_of(name: str, shape: Any) -> Grid:
    """Return a grid of 4 mm voxels."""
    return Grid(name, shape, (4.0, 4.0, 4.0), (0, 0, 0), ((4.0,),))


def case_of(labels: Any, name: str) -> StoredCase:
    """Return a stored case; its images are looked at by nobody."""
    images = np.zeros((4, *labels.shape), np.float16)
    return StoredCase(grid_of(name, labels.shape), images, labels.astype(np.uint8))


def tumour(number: int) -> Any:
    """Return labels of a rough edema with an enhancing rim around a necrotic core."""
    generator = np.random.default_rng(number)
    centre, radius = generator.uniform(13, 17, 3), generator.uniform(5.5, 8)
    places = np.moveaxis(np.indices(SHAPE), 0, -1) - [*centre[:2], centre[2] - 3]
    rough = ndimage.gaussian_filter(generator.normal(size=SHAPE), 1.5)
    depth = np.linalg.norm(places * generator.uniform(0.8, 1.25, 3), axis=-1) + 4 * rough
    return np.select([depth < 0.35 * radius, depth < 0.65 * radius, depth < radius], [1, 3, 2])


def network(case: StoredCase, seed: int, blur: Any, noise: Any) -> Volume:
    """Probabilities of a network: the blurred truth with smooth errors of its own."""
    generator, shape = np.random.default_rng(seed), case.labels.shape
    scores = []
    for label in range(4):
        seen = ndimage.gaussian_filter((case.labels == label).astype(float), blur)
        error = ndimage.gaussian_filter(generator.normal(size=shape), noise)
        scores.append(np.log(seen + 1e-3) + 0.8 * error / error.std())
    powers = np.exp(scores)
    return Volume((powers / powers.sum(axis=0)).astype(np.float16), case.grid)


def patients(count: int) -> list[Patient]:
    """Return clean patients; the networks differ in sharpness and err on their own."""
    cohort = []
    for number in range(1, count + 1):
        case = case_of(tumour(number), f"patient-{number}")
        p2d = network(case, number, BLUR_2D, (1, 1, 0))
        cohort.append(Patient(case, p2d, network(case, 1000 + number, BLUR_3D, (1, 1, 1))))
    return cohort


def classes(volume: Volume) -> Any:
    """Return the most probable class of each voxel."""
    return volume.probabilities.argmax(axis=0)


def changed(volume: Volume, where: Any, values: Sequence[float]) -> Volume:
    """Return a volume with these probabilities in some voxels."""
    probabilities = volume.probabilities.copy()
    probabilities[:, where] = np.array(values, np.float16)[:, None]
    return replace(volume, probabilities=probabilities)
