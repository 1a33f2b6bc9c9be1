"""Brains of synthetic patients: the MNI152 tissue maps, deformed differently for each."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from gliomalib.phantoms.grid import Dice, Frame, Point, smooth_field, spline
from gliomalib.schema import Float32Array, FloatArray

CENTRE_MM: Point = (119.0, 127.0, 72.0)
"""Where the middle of a brain lies in the field of view of BraTS, in millimetres."""

MEAN_SIZE = 0.94
"""MNI152 is larger than a typical brain: BraTS brains measure 1.35 to 1.65 L, MNI152 1.88 L."""

_ATLAS_MIDDLE = (98.0, 117.0, 77.0)
_ATLAS_AXES = np.diag([-1.0, -1.0, 1.0])
"""Atlas voxels run to the right and forwards, scans to the left and backwards."""


@dataclass(frozen=True)
class Tissues:
    """Shares of white matter, grey matter and fluid, each (X, Y, Z); they sum to 1 in ``brain``."""

    white: Float32Array
    grey: Float32Array
    fluid: Float32Array
    brain: NDArray[np.bool_]

    @property
    def solid(self) -> NDArray[np.bool_]:
        """Brain that is more tissue than fluid: where tumour can be."""
        return self.brain & (self.fluid < 0.5)


@dataclass(frozen=True)
class Bulge:
    """Mass effect: tissue is pushed away from ``centre_mm``, by ``push_mm`` at ``radius_mm``.

    ``yielding`` (X, Y, Z on ``frame``) is 1 where tissue gives way and 0 at the skull.
    """

    centre_mm: Point
    radius_mm: float
    push_mm: float
    yielding: Float32Array
    frame: Frame


@lru_cache(maxsize=4)
def atlas(spacing_mm: float) -> tuple[Float32Array, Float32Array, Float32Array]:
    """Return white matter, grey matter and brain of MNI152 (ICBM 2009a, Fonov et al. 2011).

    1 mm voxels, shape (197, 233, 189), as nilearn carries them in its package; smoothed to what
    voxels of ``spacing_mm`` can show. The brain is its tissue with the spaces inside and between
    the folds: skull-stripping leaves little of the fluid around it.
    """
    white, grey, brain = _mni152()
    blur = 0.4 * spacing_mm if spacing_mm > 1 else 0.0
    return ndimage.gaussian_filter(white, blur), ndimage.gaussian_filter(grey, blur), brain


@lru_cache(maxsize=1)
def _mni152() -> tuple[Float32Array, Float32Array, Float32Array]:
    from nilearn import datasets  # noqa: PLC0415  # slow: brings scikit-learn

    white = datasets.load_mni152_wm_template(resolution=1).get_fdata(dtype=np.float32)
    grey = datasets.load_mni152_gm_template(resolution=1).get_fdata(dtype=np.float32)
    mask = datasets.load_mni152_brain_mask(resolution=1).get_fdata(dtype=np.float32)
    return white, grey, mask * _without_outer_fluid(white + grey)


def _without_outer_fluid(tissue: Float32Array) -> Float32Array:
    """Return where tissue is, and the spaces inside and between folds: 0.5 at the border."""
    edge = 8
    coarse = np.pad(ndimage.gaussian_filter(tissue, 2.0)[::2, ::2, ::2] > 0.5, edge)
    closed = ndimage.binary_closing(coarse, iterations=edge // 2)
    closed = ndimage.binary_fill_holes(closed)[edge:-edge, edge:-edge, edge:-edge]
    x, y, z = tissue.shape
    fine = closed.repeat(2, 0).repeat(2, 1).repeat(2, 2)[:x, :y, :z]
    return np.asarray(ndimage.gaussian_filter(fine.astype(np.float32), 1.5), dtype=np.float32)


def tissues(dice: Dice, frame: Frame, bulge: Bulge | None = None) -> Tissues:
    """Return the patient's tissues on ``frame``; the same brain on every frame."""
    places = atlas_places(dice, frame, bulge)
    white, grey, mask = atlas(frame.spacing_mm)
    brain = ndimage.map_coordinates(mask, places, order=1) > 0.5
    inside = places[:, brain]
    shares = (ndimage.map_coordinates(part, inside, order=1) for part in (white, grey))
    maps = np.zeros((3, *frame.shape), dtype=np.float32)
    maps[:, brain] = _sharpened(dice, *shares)
    return Tissues(maps[0], maps[1], maps[2], brain)


def depth_mm(inside: NDArray[np.bool_], frame: Frame) -> Float32Array:
    """Return how deep each voxel lies inside a mask, in millimetres; 0 outside."""
    depth = np.zeros(frame.shape, dtype=np.float32)
    # only in the box around the mask, one voxel wider, so that its border is one also there
    for box in ndimage.find_objects(inside.astype(np.uint8)):
        wider = tuple(slice(max(0, part.start - 1), part.stop + 1) for part in box)
        depth[wider] = ndimage.distance_transform_edt(inside[wider], sampling=frame.spacing_mm)
    return depth


def _sharpened(dice: Dice, white: Float32Array, grey: Float32Array) -> Float32Array:
    """Undo some of the averaging over 152 brains; age widens the fluid spaces."""
    age = dice.of("age").uniform(1.1, 2.4)
    fluid = np.clip(1.0 - white - grey, 0.0, 1.0)
    priors = zip((white, grey, fluid), (1.25, 1.0, age), strict=True)
    stack = np.stack([(share * np.float32(prior)) ** 1.6 for share, prior in priors])
    return np.asarray(stack / np.maximum(stack.sum(axis=0), 1e-6), dtype=np.float32)


def atlas_places(dice: Dice, frame: Frame, bulge: Bulge | None) -> Float32Array:
    """Return the atlas voxel from which each voxel of ``frame`` takes its tissue, (3, X, Y, Z)."""
    places = frame.positions()
    if bulge is not None:
        places = places - displacement(bulge, frame)
    for scale_mm, reach_mm in ((45.0, 3.2), (18.0, 1.6), (9.0, 0.7)):
        for axis in range(3):
            rng = dice.of("deformation", scale_mm, axis)
            places[axis] += reach_mm * smooth_field(rng, frame, scale_mm)
    centred = places.reshape(3, -1) - np.array(CENTRE_MM)[:, None]
    turned = _ATLAS_AXES @ _size_and_pose(dice) @ centred
    moved = turned + np.array(_ATLAS_MIDDLE)[:, None]
    return np.asarray(moved.reshape(places.shape), dtype=np.float32)


def _size_and_pose(dice: Dice) -> FloatArray:
    """Matrix from a patient's millimetres to those of the atlas: size, shear and small turns."""
    rng = dice.of("affine")
    size = MEAN_SIZE * np.exp(rng.normal(0.0, 0.025) + rng.normal(0.0, 0.02, 3))
    shape = np.diag(1.0 / size)
    turns = np.triu(rng.normal(0.0, 0.035, (3, 3)), 1)
    shears = np.triu(rng.normal(0.0, 0.015, (3, 3)), 1)
    return np.asarray(shape @ (np.eye(3) + turns - turns.T + shears))


def displacement(bulge: Bulge, frame: Frame) -> FloatArray:
    """Return how far the mass pushes the tissue of each voxel, shape (3, X, Y, Z), in mm.

    Along the ray from the centre, at distance r = q · radius: push · q · exp((1 − q²) / 2), which
    is largest, and just ``push_mm``, at the radius itself; less where tissue yields less.
    """
    offset = frame.positions() - np.array(bulge.centre_mm)[:, None, None, None]
    q = frame.distance_mm(bulge.centre_mm) / bulge.radius_mm
    strength = bulge.push_mm / bulge.radius_mm * np.exp(0.5 * (1.0 - q**2))
    return np.asarray(offset * strength * spline(bulge.yielding, bulge.frame, frame))
