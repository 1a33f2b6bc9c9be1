"""The voxel boxes on which phantoms are made, and smooth random fields that live on them."""

import math
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from gliomalib.schema import Float32Array, FloatArray
from gliomalib.settings import named_seed

Point = tuple[float, float, float]

FIELD_MM: Point = (240.0, 240.0, 155.0)
"""Field of view of a BraTS scan, in millimetres."""

BRAIN_MM = ((36.0, 204.0), (24.0, 228.0), (0.0, 155.0))
"""Part of the field of view that can hold brain; the rest of a phantom is background."""

# root of the mean square of a cubic B-spline's weights along one axis: the spread that it leaves
_SPLINE_RMS = math.sqrt(151.0 / 315.0)


@dataclass(frozen=True)
class Frame:
    """A box of cubic voxels; voxel (i, j, k) lies at ``start_mm + spacing_mm * (i, j, k)``.

    Positions are millimetres in the field of view: x to the left, y backwards, z upwards, as
    BraTS stores its arrays (LPS).
    """

    shape: tuple[int, int, int]
    start_mm: Point
    spacing_mm: float

    def axes(self) -> list[FloatArray]:
        """Return the positions of the voxels along each of the three axes, in millimetres."""
        return [
            start + self.spacing_mm * np.arange(size, dtype=np.float64)
            for size, start in zip(self.shape, self.start_mm, strict=True)
        ]

    def positions(self) -> FloatArray:
        """Return the position of every voxel, shape (3, X, Y, Z), in millimetres."""
        return np.stack(np.meshgrid(*self.axes(), indexing="ij"))

    def distance_mm(self, point: Point) -> Float32Array:
        """Return the distance of every voxel to ``point``, shape (X, Y, Z)."""
        x, y, z = (a - c for a, c in zip(self.axes(), point, strict=True))
        squares = x[:, None, None] ** 2 + y[None, :, None] ** 2 + z[None, None, :] ** 2
        return np.sqrt(squares).astype(np.float32)

    def voxel_ml(self) -> float:
        """Return the volume of one voxel in millilitres."""
        return self.spacing_mm**3 / 1000.0


@dataclass(frozen=True)
class Dice:
    """The chance of one patient: a fresh generator per purpose, the same whenever asked."""

    root: int

    def of(self, *purpose: object) -> np.random.Generator:
        """Return the generator of one purpose, at its beginning."""
        return np.random.default_rng(named_seed(self.root, *purpose))


def scan_frame(spacing_mm: float) -> Frame:
    """Return the frame of a whole scan: (240, 240, 155) voxels at 1 mm, fewer when coarser."""
    x, y, z = (int(extent // spacing_mm) for extent in FIELD_MM)
    return Frame((x, y, z), (0.0, 0.0, 0.0), spacing_mm)


def brain_box(spacing_mm: float) -> tuple[slice, slice, slice]:
    """Return where the brain's part of a scan lies in its array."""
    shape = scan_frame(spacing_mm).shape
    x, y, z = (
        slice(math.ceil(low / spacing_mm), min(size, math.floor(high / spacing_mm)))
        for (low, high), size in zip(BRAIN_MM, shape, strict=True)
    )
    return x, y, z


def brain_frame(spacing_mm: float) -> Frame:
    """Return the frame of the brain's part of a scan; its voxels are voxels of the scan."""
    x, y, z = brain_box(spacing_mm)
    start = (x.start * spacing_mm, y.start * spacing_mm, z.start * spacing_mm)
    return Frame((x.stop - x.start, y.stop - y.start, z.stop - z.start), start, spacing_mm)


def smooth_field(rng: np.random.Generator, frame: Frame, scale_mm: float) -> Float32Array:
    """Return a smooth random field of mean 0 and variance 1, shape (X, Y, Z).

    Normal coefficients of cubic B-splines on a lattice of step ``scale_mm`` that spans the
    field of view: one generator gives one field, whatever the voxels it is looked at through.
    """
    # a voxel needs one node before it and two after it, also at the ends of the field of view
    x, y, z = (math.ceil(extent / scale_mm) + 3 for extent in FIELD_MM)
    lattice = Frame((x, y, z), (-scale_mm,) * 3, scale_mm)
    coefficients = rng.standard_normal(lattice.shape, dtype=np.float32)
    return spline(coefficients, lattice, frame) / np.float32(_SPLINE_RMS**3)


def spline(coefficients: Float32Array, lattice: Frame, frame: Frame) -> Float32Array:
    """Return the cubic B-spline with these coefficients at the voxels of ``frame``.

    With the values of a field as its coefficients this is the field, gently smoothed. Outside
    of the lattice the outermost coefficients go on.
    """
    # one axis after the other, and each goes to the end: after three they stand as before
    result = coefficients
    for axis, positions in enumerate(frame.axes()):
        weights = _weights(
            (positions - lattice.start_mm[axis]) / lattice.spacing_mm, result.shape[0]
        )
        columns = weights @ result.reshape(result.shape[0], -1)
        shape = (weights.shape[0], *result.shape[1:])
        result = np.moveaxis(columns.reshape(shape), 0, -1)
    return np.ascontiguousarray(result, dtype=np.float32)


def _weights(positions: FloatArray, size: int) -> sparse.csr_array:
    """Cubic B-spline weights, shape (positions, size): four numbers of sum 1 in each row."""
    # nodes:  first-1   first  · position ·  first+1   first+2,  with t = position - first
    first = np.floor(positions)
    t = (positions - first)[:, None]
    values = np.hstack(
        [(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3]
    )
    columns = first[:, None].astype(int) + np.arange(-1, 3)
    rows = np.repeat(np.arange(len(positions)), 4)
    entries = (values.ravel() / 6.0).astype(np.float32)
    places = (rows, np.clip(columns, 0, size - 1).ravel())
    return sparse.csr_array((entries, places), shape=(len(positions), size))
