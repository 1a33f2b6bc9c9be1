"""Whole scans of BraTS brought to the boxes and the coarse masks of the restricted studies.

The recipe of the material that this study was given: each sequence becomes a z-score over its
non-zero voxels and zero elsewhere; image and mask are brought to 128×128×128 voxels with aligned
corners, the image linearly, the mask by its nearest voxel; the box is the central 32 voxels an axis
of the bounding box, with a margin of 4, of the largest whole-tumour component (voxels that share a
face), and zero where that is smaller.
"""

import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import ndimage

from gliomalib import labels, progress
from gliomalib.data import affines, nifti, writing
from gliomalib.data.readers import people, survey
from gliomalib.provenance import write_atomic
from gliomalib.schema import SEQUENCES, Affine, Case, DataError, Float32Array, Labels, Scan

FOLDER = "MICCAI_BraTS2020_TrainingData"
TABLE = "name_mapping.csv"
RELEASE = "brats2020"
SIDE = 128
"""Voxels an axis of the coarse grid."""
BOX = 32
"""Voxels an axis of a box."""
MARGIN = 4
SMALLEST = 50
"""Coarse voxels that the component must have."""

_PATIENT = re.compile(r"BraTS20_Training_\d{3}")

Voxel = TypeVar("Voxel", bound=np.generic)


def write(root: str | Path, out: str | Path, *, masks: bool) -> int:
    """Write the box of every patient of BraTS 2020 below ``root`` to ``out``; return how many.

    With ``masks`` it is the whole mask on the coarse grid and no image.

    Patients may lie there under any of their IDs; one of several examinations is taken, the
    newest release first. ``out`` has the layout of BraTS 2020 and a table of names, and is there
    whole or not at all. Images have 8 bits, with slope and intercept; masks the labels of 2020.

    Raises ``DataError`` where ``out`` is there already, no patient of 2020 with a mask is found,
    a file is at fault, or a tumour has no component of ``SMALLEST`` voxels.
    """
    root, out = Path(root), Path(out)
    if out.exists():
        raise DataError(f"{out}: is there already; name another folder, or delete it")
    cases = _chosen(survey.discover(root), root)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as staging:
        fresh = Path(staging, out.name)
        for case in progress.steps(cases, "patients written"):
            scan = nifti.read_case(case)
            try:
                _write(fresh / FOLDER / case.patient_id / case.patient_id, scan, masks)
            except ValueError as error:
                what = f"case {case.case_id} gives no box, as {error}; leave it out"
                raise DataError(f"{case.segmentation}: {what}") from None
        write_atomic(fresh / FOLDER / TABLE, _table(root, cases))
        fresh.rename(out)
    return len(cases)


def coarse_mask(mask: Labels) -> Labels:
    """Return a mask (X, Y, Z) on ``SIDE`` voxels an axis: voxel i is round(i·(n−1)/(SIDE−1))."""
    places = [np.rint(np.arange(SIDE) * (n - 1) / (SIDE - 1)).astype(int) for n in mask.shape]
    return np.asarray(mask[np.ix_(*places)])


def coarse_image(image: Float32Array) -> Float32Array:
    """Return the z-score of an image (X, Y, Z) on the coarse grid.

    Raises ``ValueError`` where all non-zero voxels are alike.
    """
    brain = image != 0
    # single precision throughout, so that the 8 bits of the given material come out
    values = image[brain]
    if not values.size or values.min() == values.max():
        raise ValueError("all non-zero voxels are alike")
    scores = np.zeros_like(image)
    scores[brain] = (values - values.mean()) / values.std()
    return np.asarray(ndimage.zoom(scores, [SIDE / n for n in image.shape], order=1))


def box_of(mask: Labels) -> list[tuple[int, int]]:
    """Return first voxel and number of voxels of each axis of the box of a coarse mask.

    Raises ``ValueError`` where no component has ``SMALLEST`` voxels.
    """
    components, _ = ndimage.label(mask)
    sizes = np.bincount(components.ravel())[1:]
    if not sizes.size or sizes.max() < SMALLEST:
        most = int(sizes.max(initial=0))
        raise ValueError(f"the largest part of the tumour has {most} of {SMALLEST} coarse voxels")
    where = ndimage.find_objects(components)[int(sizes.argmax())]
    return [_central(max(0, a.start - MARGIN), min(SIDE, a.stop + MARGIN)) for a in where]


def cut(volume: NDArray[Voxel], box: Sequence[tuple[int, int]]) -> NDArray[Voxel]:
    """Return a coarse volume in its box, ``BOX`` voxels an axis, zero where the box is smaller."""
    inside = volume[tuple(slice(start, start + size) for start, size in box)]
    before = [_filled(size) for _, size in box]
    after = [BOX - size - fill for (_, size), fill in zip(box, before, strict=True)]
    return np.pad(inside, list(zip(before, after, strict=True)))


def coarse_affine(affine: Affine, shape: Sequence[int], start: Sequence[int] = (0, 0, 0)) -> Affine:
    """Return where the coarse voxels from ``start`` on lie, for a scan of this affine and shape."""
    scale = np.diag([*((n - 1) / (SIDE - 1) for n in shape), 1.0])
    shift = np.eye(4)
    shift[:3, 3] = start
    return affines.nested(np.asarray(affine) @ scale @ shift)


def _chosen(cases: Sequence[Case], root: Path) -> list[Case]:
    chosen: dict[str, Case] = {}
    for case in sorted(cases, key=lambda case: -labels.RELEASES.index(case.release)):
        if case.segmentation and _PATIENT.fullmatch(case.patient_id):
            chosen.setdefault(case.patient_id, case)
    if not chosen:
        raise DataError(
            f"{root}: no patient of BraTS 2020 with a mask; give the folder of that release, or of "
            f"another one with {TABLE}"
        )
    return [chosen[patient] for patient in sorted(chosen)]


def _write(stem: Path, scan: Scan, masks: bool) -> None:
    """Write what is made of a scan to files whose names begin with ``stem``."""
    assert scan.labels is not None
    mask, shape = coarse_mask(labels.to_raw(scan.labels, RELEASE)), scan.shape
    if masks:
        writing.write_labels(f"{stem}_seg.nii.gz", mask, coarse_affine(scan.affine, shape))
        return
    box = box_of(mask)
    start = [first - _filled(size) for first, size in box]
    affine = coarse_affine(scan.affine, shape, start)
    writing.write_labels(f"{stem}_seg.nii.gz", cut(mask, box), affine)
    for name, image in zip(SEQUENCES, scan.images, strict=True):
        coarse = coarse_image(image.astype(np.float32))
        writing.write_image(f"{stem}_{name}.nii.gz", cut(coarse, box), affine)


def _central(start: int, stop: int) -> tuple[int, int]:
    size = min(stop - start, BOX)
    return start + (stop - start - size) // 2, size


def _filled(size: int) -> int:
    return (BOX - size) // 2


def _table(root: Path, cases: Sequence[Case]) -> str:
    """Return the table of names of all whom the tables below ``root`` know, and of these cases."""
    persons = people.named_patients(root)
    known = {person.patient_id for person in persons}
    new = [case for case in cases if case.patient_id not in known]
    persons += [people.Identity({2020: case.patient_id}, case.grade, case.site) for case in new]
    years = sorted({year for person in persons for year in person.ids})
    columns = ["Grade", *(f"BraTS_{year}_subject_ID" for year in years), "Site"]
    rows = [(one.grade, *map(one.ids.get, years), one.site or None) for one in persons]
    return pd.DataFrame(rows, columns=columns).to_csv(index=False, na_rep="NA")
