"""One synthetic glioma patient in memory, decided by a plan and a number."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from gliomalib.data import affines
from gliomalib.phantoms.anatomy import tissues
from gliomalib.phantoms.grid import Dice, brain_box, brain_frame, scan_frame
from gliomalib.phantoms.mri import SITES, scan
from gliomalib.phantoms.tumour import draw_traits, grow_tumour, label_tumour
from gliomalib.schema import SEQUENCES, Affine, Images, Labels
from gliomalib.settings import named_seed


@dataclass(frozen=True)
class PhantomPlan:
    """From what a patient is made; with its number this decides every voxel.

    The same seed and number is the same patient at every site and voxel size: the site decides
    the images alone, so a patient of two sites is one anatomy that was imaged twice. With ``box``
    only as many voxels a side around the tumour are kept. ``site`` is a key of ``mri.SITES``.
    """

    seed: int
    spacing_mm: float = 2.0
    site: str = "A"
    box: int | None = None


@dataclass(frozen=True)
class Phantom:
    """A synthetic patient on the whole field of view of BraTS, or in a box around the tumour.

    ``images`` float32 (4, X, Y, Z), whole numbers, 0 outside of the brain; ``labels`` canonical
    uint8 (X, Y, Z); ``grade`` is HGG with enhancing tumour and LGG without.
    """

    images: Images
    labels: Labels
    affine: Affine
    grade: str


def make_patient(plan: PhantomPlan, number: int) -> Phantom:
    """Make one patient."""
    frame, box = brain_frame(plan.spacing_mm), brain_box(plan.spacing_mm)
    # no site in it: anatomy, tumour and tissue are the patient's own wherever he is imaged
    dice = Dice(named_seed(plan.seed, "phantom", number))
    chance = Dice(named_seed(plan.seed, "scanner", plan.site, number))
    # first the tumour, on voxels of its own: the brain is then looked at as the mass has pushed it
    growth = grow_tumour(dice, draw_traits(dice))
    brain = tissues(dice, frame, growth.bulge)
    tumour = label_tumour(dice, growth, brain, frame)
    shape, site = scan_frame(plan.spacing_mm).shape, SITES[plan.site]
    images = np.zeros((len(SEQUENCES), *shape), dtype=np.float32)
    images[(slice(None), *box)] = scan(dice, chance, site, brain, tumour, frame)
    labels = np.zeros(shape, dtype=np.uint8)
    labels[box] = tumour.labels
    kept = _kept(labels, plan.box)
    # the matrix of BraTS (LPS) with larger voxels
    affine = np.diag([-plan.spacing_mm, -plan.spacing_mm, plan.spacing_mm, 1.0])
    affine[1, 3] = 239.0
    # voxel 0 of a box is another one than that of the whole scan
    affine[:3, 3] += affine[:3, :3] @ [part.start or 0 for part in kept]
    return Phantom(
        images=images[(slice(None), *kept)],
        labels=labels[kept],
        affine=affines.nested(affine),
        grade="HGG" if growth.traits.enhancing else "LGG",
    )


def _kept(labels: Labels, side: int | None) -> tuple[slice, ...]:
    """Return the voxels of the box, shifted into the field of view, around the tumour's extent.

    Along an axis that is shorter than the box all of them are kept.
    """
    if side is None:
        return (slice(None),) * 3
    (places,) = ndimage.find_objects((labels > 0).astype(np.uint8))
    rows = zip(places, labels.shape, strict=True)
    starts = [max(min((at.start + at.stop - side) // 2, n - side), 0) for at, n in rows]
    return tuple(slice(start, start + side) for start in starts)
