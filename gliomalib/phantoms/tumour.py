"""Gliomas of synthetic patients: where they begin, how they grow and what becomes of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from gliomalib.phantoms.anatomy import CENTRE_MM, Bulge, Tissues, depth_mm, tissues
from gliomalib.phantoms.grid import Dice, Frame, Point, brain_frame, smooth_field, spline
from gliomalib.phantoms.growth import grow_until
from gliomalib.schema import Float32Array, Labels

GROWTH_SPACING_MM = 3.0
"""Voxels of the growth model, whatever the voxels of the scan."""

VOLUME_ML = (15.0, 92.0, 215.0)
"""Smallest, typical and largest whole tumour: log-normal between the first and the last."""

VOLUME_SPREAD = 0.62
MULTIFOCAL_SHARE = 0.12
COMPOSITIONS = (
    (0.43, (0.11, 0.69, 0.20)),
    (0.24, (0.38, 0.45, 0.17)),
    (0.23, (0.12, 0.40, 0.48)),
    (0.10, (0.45, 0.55, 0.00)),
)
"""How many tumours are mostly edema, have a large necrosis, a thick rim or no rim, each with the
mean shares of necrosis (or core without enhancement), edema and enhancing tumour.

Measured in 368 masks of BraTS 2020 (Menze et al. 2015, doi 10.1109/TMI.2014.2377694): mean shares
.20, .60 and .20; in 28 % of the patients necrosis, in 35 % enhancing tumour has the largest area in
five slices or more; in 7 % nothing enhances.
"""

SHARES_CONCENTRATION = 24.0
"""Of the Dirichlet distribution around a composition: its shares vary by .06 to .10."""

NCR, ED, ET = 1, 2, 3
_EDEMA_DENSITY = 0.05
_REACH_MM = 66.0


@dataclass(frozen=True)
class Traits:
    """What is drawn of a tumour before it grows.

    ``shares`` are those of the labels 1, 2, 3 of the whole tumour; diffusivities in mm² a day,
    ``rate`` per day; ``push`` is the mass effect in tumour radii.
    """

    target_ml: float
    shares: tuple[float, float, float]
    enhancing: bool
    n_foci: int
    white_diffusivity: float
    grey_diffusivity: float
    rate: float
    push: float


@dataclass(frozen=True)
class Growth:
    """A grown tumour on the frame of the growth model: log-odds of the cell density."""

    traits: Traits
    foci_mm: tuple[Point, ...]
    log_odds: Float32Array
    frame: Frame
    bulge: Bulge


@dataclass(frozen=True)
class Tumour:
    """Canonical labels (X, Y, Z) on the scan's frame, with how dense the tumour is there."""

    labels: Labels
    log_odds: Float32Array


def draw_traits(dice: Dice) -> Traits:
    """Draw size, composition and speed of a tumour; diffusion is 5–10 times faster in white."""
    rng = dice.of("traits")
    shares = _draw_shares(dice.of("shares"))
    n_foci = 2 if rng.random() < MULTIFOCAL_SHARE else 1
    white = float(rng.uniform(0.15, 0.4))
    return Traits(
        target_ml=_draw_volume(dice.of("volume")),
        shares=shares,
        enhancing=shares[2] > 0,
        n_foci=n_foci,
        white_diffusivity=white,
        grey_diffusivity=white / float(rng.uniform(5.0, 10.0)),
        rate=float(rng.uniform(0.012, 0.03)),
        push=float(rng.uniform(0.08, 0.28)),
    )


def grow_tumour(dice: Dice, traits: Traits) -> Growth:
    """Let the tumour push the patient's tissue aside and spread through it to its size."""
    frame = brain_frame(GROWTH_SPACING_MM)
    healthy = tissues(dice, frame)
    depth = depth_mm(healthy.brain, frame)
    foci = _draw_foci(dice.of("foci"), healthy, depth, frame, traits)
    bulge = _bulge(traits, foci[0], depth, frame)
    brain = tissues(dice, frame, bulge)
    box = _box_around(foci, frame)
    start = _first_cells(dice.of("first cells"), foci, frame)[box]
    mixed = traits.white_diffusivity * brain.white + traits.grey_diffusivity * brain.grey
    diffusivity = np.where(brain.solid, mixed, 0.0).astype(np.float32)[box]
    # edema is where cells are sparse: its border is the border of the whole tumour
    wanted = traits.target_ml / frame.voxel_ml()
    density = grow_until(
        start * (diffusivity > 0),
        diffusivity,
        traits.rate,
        frame.spacing_mm,
        lambda u: bool(np.count_nonzero(u > _EDEMA_DENSITY) >= wanted),
    )
    log_odds = np.full(frame.shape, -16.0, dtype=np.float32)
    log_odds[box] = _filled(_log_odds(density), diffusivity > 0)
    return Growth(traits, foci, log_odds, frame, bulge)


def label_tumour(dice: Dice, growth: Growth, brain: Tissues, frame: Frame) -> Tumour:
    """Sort the tumour into edema, core, necrosis and rim by density, with irregular borders."""
    log_odds = spline(growth.log_odds, growth.frame, frame)
    share_1, _, share_3 = growth.traits.shares
    wanted = round(growth.traits.target_ml / frame.voxel_ml())
    # edema keeps to white matter: the bonus is worth some millimetres of a density front
    score = log_odds + 3.0 * brain.white + _rough(dice, "edema", frame, (12.0, 6.0, 3.5), 0.8)
    whole = _joined(_highest(score, brain.solid, wanted), wanted)
    count = np.count_nonzero(whole)
    inner = log_odds + _rough(dice, "core", frame, (12.0, 6.0), 0.7)
    core = _highest(inner, whole, round(count * (share_1 + share_3)))
    labels = np.where(whole, ED, 0).astype(np.uint8)
    labels[core] = NCR if not growth.traits.enhancing else ET
    if growth.traits.enhancing:
        labels[_necrosis(dice, core, frame, round(count * share_1))] = NCR
    return Tumour(labels, log_odds)


def _draw_volume(rng: np.random.Generator) -> float:
    low, typical, high = VOLUME_ML
    volume = 0.0
    while not low <= volume <= high:
        volume = float(typical * np.exp(VOLUME_SPREAD * rng.standard_normal()))
    return volume


def _draw_shares(rng: np.random.Generator) -> tuple[float, float, float]:
    chances = [chance for chance, _ in COMPOSITIONS]
    mean = np.array(COMPOSITIONS[rng.choice(len(chances), p=chances)][1])
    shares = np.zeros(3)
    shares[mean > 0] = rng.dirichlet(SHARES_CONCENTRATION * mean[mean > 0])
    # a rim thinner than this would have no voxels left at coarse spacings
    shares = np.where(mean > 0, np.maximum(shares, 0.02), 0.0)
    necrosis, edema, rim = (float(share) for share in shares / shares.sum())
    return necrosis, edema, rim


def _draw_foci(
    rng: np.random.Generator, brain: Tissues, depth: Float32Array, frame: Frame, traits: Traits
) -> tuple[Point, ...]:
    """Begin in the white matter of the hemispheres; a second focus at least 35 mm away."""
    x, y, z = frame.positions()
    hemisphere = (np.abs(x - CENTRE_MM[0]) > 12) & (z > 46) & ((y < 140) | (z > 62))
    allowed = (brain.white > 0.6) & (depth > 12) & hemisphere
    foci: list[Point] = []
    for _ in range(traits.n_foci):
        places = np.argwhere(allowed)
        px, py, pz = places[rng.integers(len(places))] * frame.spacing_mm + frame.start_mm
        foci.append((float(px), float(py), float(pz)))
        allowed = allowed & (frame.distance_mm(foci[-1]) > 35)
    return tuple(foci)


def _bulge(traits: Traits, focus: Point, depth: Float32Array, frame: Frame) -> Bulge:
    radius = float(np.cbrt(3000.0 * traits.target_ml / (4.0 * np.pi)))
    yielding = np.clip((depth - 2.0) / 14.0, 0.0, 1.0).astype(np.float32)
    return Bulge(focus, radius, traits.push * radius, yielding, frame)


def _box_around(foci: Sequence[Point], frame: Frame) -> tuple[slice, slice, slice]:
    """Voxels within reach of the foci: the growth model looks at no others."""
    places = np.array(foci)
    low = (places.min(axis=0) - _REACH_MM - frame.start_mm) / frame.spacing_mm
    high = (places.max(axis=0) + _REACH_MM - frame.start_mm) / frame.spacing_mm
    x, y, z = (
        slice(max(0, int(a)), min(size, int(b) + 1))
        for a, b, size in zip(low, high, frame.shape, strict=True)
    )
    return x, y, z


def _first_cells(rng: np.random.Generator, foci: Sequence[Point], frame: Frame) -> Float32Array:
    """Small balls of cells; a second focus has fewer of them and so stays smaller."""
    cells = np.zeros(frame.shape, dtype=np.float32)
    for order, focus in enumerate(foci):
        amount = 0.5 if order == 0 else rng.uniform(0.1, 0.4)
        cells += np.float32(amount) * np.exp(-0.5 * (frame.distance_mm(focus) / 4.0) ** 2)
    return np.minimum(cells, np.float32(1.0))


def _log_odds(density: Float32Array) -> Float32Array:
    kept = np.clip(density, 1e-7, 1.0 - 1e-6)
    return np.asarray(np.log(kept / (1.0 - kept)), dtype=np.float32)


def _filled(values: Float32Array, known: NDArray[np.bool_]) -> Float32Array:
    """Carry values from tissue a little into the fluid, so that interpolation meets no cliff."""
    weight = ndimage.gaussian_filter(known.astype(np.float32), 1.0)
    carried = ndimage.gaussian_filter(values * known, 1.0) / np.maximum(weight, 1e-3)
    return np.where(known, values, np.where(weight > 0.05, carried, -16.0)).astype(np.float32)


def _rough(
    dice: Dice, name: str, frame: Frame, scales_mm: Sequence[float], height: float
) -> Float32Array:
    """Noise of several sizes, the larger the higher; it makes a border irregular."""
    total = np.zeros(frame.shape, dtype=np.float32)
    for scale_mm in scales_mm:
        weight = np.float32(height * np.sqrt(scale_mm / scales_mm[0]))
        total += weight * smooth_field(dice.of(name, scale_mm), frame, scale_mm)
    return total


def _highest(score: Float32Array, where: NDArray[np.bool_], count: int) -> NDArray[np.bool_]:
    """Return the ``count`` voxels of ``where`` with the highest score; all, if there are fewer."""
    inside = score[where]
    if count >= inside.size:
        return where.copy()
    chosen = np.zeros(score.shape, dtype=bool)
    if count > 0:
        # no full sort: only the value of the last voxel that is taken counts
        limit = np.partition(inside, inside.size - count)[inside.size - count]
        chosen = where & (score >= limit)
    return chosen


def _joined(mask: NDArray[np.bool_], wanted: int) -> NDArray[np.bool_]:
    """Drop crumbs: pieces of less than two hundredths of the tumour."""
    pieces, _ = ndimage.label(mask)
    sizes = np.bincount(pieces.ravel())
    kept = sizes >= 0.02 * wanted
    kept[0] = False
    return np.asarray(kept[pieces])


def _necrosis(dice: Dice, core: NDArray[np.bool_], frame: Frame, count: int) -> NDArray[np.bool_]:
    """Return the inside of the core: what is left is a rim of uneven thickness."""
    depth = depth_mm(core, frame)
    uneven = _rough(dice, "necrosis", frame, (10.0, 5.0), 1.0)
    return _highest(depth + uneven, core, count)
