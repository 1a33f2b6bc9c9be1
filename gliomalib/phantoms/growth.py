"""Reaction and diffusion: how the tumour of a phantom spreads through its brain."""

import math
from collections.abc import Callable

import numpy as np

from gliomalib.schema import Float32Array

CHUNK_DAYS = 10.0
MAX_DAYS = 4000.0


def grow(
    density: Float32Array, diffusivity: Float32Array, rate: float, spacing_mm: float, days: float
) -> Float32Array:
    """Return the cell density after ``days`` of Fisher–KPP growth, between 0 and 1.

    du/dt = div(D grad u) + rate · u (1 − u) (Swanson et al. 2000, Cell Prolif. 33:317), with D
    in mm² a day and ``rate`` per day; explicit steps, centred differences, harmonic means of D
    between voxels, so that nothing flows into or out of a voxel where D is 0, and no cell
    multiplies there. ``density`` and ``diffusivity`` have the same shape, (X, Y, Z).
    """
    # explicit steps are stable up to spacing² / (6 D): a tenth less; and births of a fifth at most
    largest = float(diffusivity.max())
    limit = min(0.2 / rate, 0.9 * spacing_mm**2 / (6.0 * largest) if largest > 0 else math.inf)
    steps = max(1, math.ceil(days / limit))
    step = days / steps
    faces = [_faces(diffusivity, axis) * np.float32(step / spacing_mm**2) for axis in range(3)]
    births = (np.float32(rate * step) * (diffusivity > 0)).astype(np.float32)
    for _ in range(steps):
        density = _step(density, faces, births)
    return density


def grow_until(
    density: Float32Array,
    diffusivity: Float32Array,
    rate: float,
    spacing_mm: float,
    enough: Callable[[Float32Array], bool],
) -> Float32Array:
    """Grow until ``enough(density)`` and return the density.

    Stops at ``MAX_DAYS``: a tumour that is shut in by fluid fills its room and grows no more.
    """
    days = 0.0
    while days < MAX_DAYS and not enough(density):
        density = grow(density, diffusivity, rate, spacing_mm, CHUNK_DAYS)
        days += CHUNK_DAYS
    return density


def _step(density: Float32Array, faces: list[Float32Array], births: Float32Array) -> Float32Array:
    change = births * density * (1.0 - density)
    # what flows through a face leaves one neighbour and reaches the other: nothing is lost
    for axis, face in enumerate(faces):
        flow = face * np.diff(density, axis=axis)
        change[_part(axis, None, -1)] += flow
        change[_part(axis, 1, None)] -= flow
    return np.asarray(density + change, dtype=np.float32)


def _faces(diffusivity: Float32Array, axis: int) -> Float32Array:
    """Harmonic mean of the diffusivity of neighbours along one axis; 0 where either is 0."""
    first, second = diffusivity[_part(axis, None, -1)], diffusivity[_part(axis, 1, None)]
    return np.asarray(2.0 * first * second / np.maximum(first + second, 1e-12))


def _part(axis: int, start: int | None, stop: int | None) -> tuple[slice, ...]:
    return tuple(slice(start, stop) if each == axis else slice(None) for each in range(3))
