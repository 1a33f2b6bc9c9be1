"""One synthetic glioma patient in memory, decided by a plan and a number."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import ndimage

from gliomalib.data import affines
from gliomalib.phantoms.anatomy import Tissues, tissues
from gliomalib.phantoms.grid import Dice, Frame, brain_box, brain_frame, scan_frame
from gliomalib.phantoms.mri import scan, site_named
from gliomalib.phantoms.tumour import (
    ED,
    ET,
    NCR,
    Growth,
    Tumour,
    draw_traits,
    grow_tumour,
    label_tumour,
)
from gliomalib.schema import SEQUENCES, Affine, Images, Labels, SettingsError
from gliomalib.settings import named_seed

NUMBERS = range(1, 1000)
"""Patient numbers that fit into the three digits of a phantom's name."""

FINEST_MM, COARSEST_MM = 0.5, 8.0


@dataclass(frozen=True)
class PhantomPlan:
    """From what a patient is made; with its number this decides every voxel.

    The same seed and number is the same patient at every site and voxel size: the site decides
    the images alone, so a patient of two sites is one anatomy that was imaged twice. With ``box``
    only as many voxels a side around the tumour are kept. Raises ``SettingsError`` for an unknown
    site or a voxel size out of range.
    """

    seed: int
    spacing_mm: float = 2.0
    site: str = "A"
    mass_effect: bool = True
    box: int | None = None

    def __post_init__(self) -> None:
        site_named(self.site)
        if not FINEST_MM <= self.spacing_mm <= COARSEST_MM:
            raise SettingsError(
                f"spacing_mm of a phantom is {self.spacing_mm}: "
                f"take {FINEST_MM} to {COARSEST_MM} millimetres"
            )


@dataclass(frozen=True)
class Phantom:
    """A synthetic patient on the whole field of view of BraTS, or in a box around the tumour.

    ``images`` float32 (4, X, Y, Z), whole numbers, 0 outside of the brain; ``labels`` canonical
    uint8 (X, Y, Z); ``grade`` is HGG with enhancing tumour and LGG without; ``facts`` is what
    was asked of the tumour and what came of it, volumes in mL.
    """

    images: Images
    labels: Labels
    affine: Affine
    grade: str
    facts: dict[str, Any]


def make_patient(plan: PhantomPlan, number: int) -> Phantom:
    """Make one patient; raises ``SettingsError`` for a number that is not 1 to 999."""
    check_number(number)
    frame, box = brain_frame(plan.spacing_mm), brain_box(plan.spacing_mm)
    # no site in it: anatomy, tumour and tissue are the patient's own wherever he is imaged
    dice = Dice(named_seed(plan.seed, "phantom", number))
    chance = Dice(named_seed(plan.seed, "scanner", plan.site, number))
    # first the tumour, on voxels of its own: the brain is then looked at as the mass has pushed it
    growth = grow_tumour(dice, draw_traits(dice, plan.mass_effect))
    brain = tissues(dice, frame, growth.bulge)
    tumour = label_tumour(dice, growth, brain, frame)
    shape, site = scan_frame(plan.spacing_mm).shape, site_named(plan.site)
    images = np.zeros((len(SEQUENCES), *shape), dtype=np.float32)
    images[(slice(None), *box)] = scan(dice, chance, site, brain, tumour, frame)
    labels = np.zeros(shape, dtype=np.uint8)
    labels[box] = tumour.labels
    kept = _kept(labels, plan.box)
    return Phantom(
        images=images[(slice(None), *kept)],
        labels=labels[kept],
        affine=_moved(affine(plan.spacing_mm), kept),
        grade="HGG" if growth.traits.enhancing else "LGG",
        facts={"site": plan.site, **_facts(growth, brain, tumour, frame)},
    )


def check_number(number: int) -> None:
    """Raise ``SettingsError`` for a patient number that no phantom's name can carry."""
    if number not in NUMBERS:
        raise SettingsError(f"phantom number {number}: take {NUMBERS[0]} to {NUMBERS[-1]}")


def affine(spacing_mm: float) -> Affine:
    """Return the voxel → mm matrix of a phantom: that of BraTS, with larger voxels (LPS)."""
    s = spacing_mm
    return ((-s, 0.0, 0.0, 0.0), (0.0, -s, 0.0, 239.0), (0.0, 0.0, s, 0.0), (0.0, 0.0, 0.0, 1.0))


def _kept(labels: Labels, side: int | None) -> tuple[slice, ...]:
    """Return the voxels of the box, shifted into the field of view, around the tumour's extent."""
    if side is None:
        return (slice(None),) * 3
    (places,) = ndimage.find_objects((labels > 0).astype(np.uint8))
    rows = zip(places, labels.shape, strict=True)
    starts = [min(max((at.start + at.stop - side) // 2, 0), n - side) for at, n in rows]
    return tuple(slice(start, start + side) for start in starts)


def _moved(matrix: Affine, kept: tuple[slice, ...]) -> Affine:
    """Return the affine of the box: its voxel 0 is another one than that of the whole scan."""
    moved = np.asarray(matrix)
    moved[:3, 3] += moved[:3, :3] @ [box.start or 0 for box in kept]
    return affines.nested(moved)


def _facts(growth: Growth, brain: Tissues, tumour: Tumour, frame: Frame) -> dict[str, Any]:
    traits = growth.traits
    volumes = np.bincount(tumour.labels.ravel(), minlength=4) * frame.voxel_ml()
    return {
        "target_ml": traits.target_ml,
        "whole_ml": float(volumes[1:].sum()),
        "necrosis_ml": float(volumes[NCR]),
        "edema_ml": float(volumes[ED]),
        "enhancing_ml": float(volumes[ET]),
        "brain_ml": float(np.count_nonzero(brain.brain) * frame.voxel_ml()),
        "enhancing": traits.enhancing,
        "multifocal": traits.n_foci > 1,
        "n_foci": traits.n_foci,
        "foci_mm": [list(focus) for focus in growth.foci_mm],
        "target_shares": list(traits.shares),
        "growth_days": growth.days,
        "push_mm": growth.bulge.push_mm if growth.bulge else 0.0,
    }
