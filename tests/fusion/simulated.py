"""Simulated branches: nets that see the truth in noise, as well as they are told to."""

from typing import Any

import numpy as np
from scipy import special

from gliomalib.schema import Grid, Volume

SHAPE = (12, 11, 10)


def volume(values: Any, patient: str = "p") -> Volume:
    """Return a volume of probabilities (4, X, Y, Z)."""
    probabilities = np.asarray(values, np.float16)
    x, y, z = probabilities.shape[1:]
    return Volume(probabilities, Grid(patient, (x, y, z), (2.0,) * 3, (0, 0, 0), ((1.0,) * 4,) * 4))


def tumour(seed: int) -> Any:
    """Return labels: a core in a rim in edema, somewhere in the volume."""
    centre = np.random.default_rng(seed).uniform(4, 7, 3)
    distance = np.linalg.norm(np.indices(SHAPE) - centre[:, None, None, None], axis=0)
    return np.select([distance < 2, distance < 3, distance < 4.5], [1, 3, 2], 0).astype(np.uint8)


def network(labels: Any, skill: Any, seed: int) -> Volume:
    """Return a net that sees the truth of class k with ``skill`` (one, or four) in normal noise."""
    noise = np.random.default_rng(seed).normal(size=(4, *labels.shape))
    truth = np.moveaxis(np.eye(4)[labels], -1, 0)
    strength = np.broadcast_to(skill, 4)[labels]
    return volume(special.softmax(strength * truth + noise, axis=0))


def patients(count: int, skill2d: Any, skill3d: Any, first: int = 0) -> Any:
    """Return patients with pairs of nets of these skills."""
    found = []
    for seed in range(first, first + count):
        labels = tumour(seed)
        pair = network(labels, skill2d, 1000 + seed), network(labels, skill3d, 2000 + seed)
        found.append((pair, labels))
    return found
