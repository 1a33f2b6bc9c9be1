"""One NIfTI file read safely, and one case made of them."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from numpy.typing import NDArray

from gliomalib import labels
from gliomalib.schema import SEQUENCES, Affine, Case, DataError, Scan

AFFINE_TOLERANCE = 1e-3
"""Millimetres by which affines of one case may differ: headers keep single precision."""

_UNREADABLE = (ImageFileError, OSError, EOFError, ValueError, zlib.error, gzip.BadGzipFile)


@dataclass(frozen=True)
class NiftiVolume:
    """One 3-D image: values float32 (X, Y, Z), voxel size in mm and voxel → mm affine."""

    path: Path
    values: NDArray[np.float32]
    spacing_mm: tuple[float, float, float]
    affine: Affine


def load(path: Path) -> NiftiVolume:
    """Read one 3-D NIfTI file, scaled as its header says.

    Raises ``DataError`` where the file is missing, empty, truncated or no NIfTI, is not
    three-dimensional, holds a value that is not finite, or gives no usable voxel size.
    """
    image = _open(path)
    if len(image.shape) != 3:
        raise DataError(f"{path}: shape is {image.shape}, expected three dimensions X, Y, Z")
    try:
        values = image.get_fdata(dtype=np.float32, caching="unchanged")
    except _UNREADABLE as error:
        raise DataError(f"{path}: truncated or damaged ({error}); fetch it again") from None
    bad = int(values.size - np.isfinite(values).sum())
    if bad:
        raise DataError(f"{path}: {bad} of {values.size} voxels are not finite; fetch it again")
    affine = np.asarray(image.affine, dtype=np.float64)
    return NiftiVolume(path, values, _spacing(image, affine, path), _nested(affine))


def read_case(case: Case) -> Scan:
    """Read the four sequences and, where there is one, the mask of a case.

    Returns images float32 (4, X, Y, Z) in the order of ``schema.SEQUENCES`` and canonical
    labels uint8 (X, Y, Z) or None. Raises ``DataError`` for a file that `load` refuses, for two
    files on different grids, for slices that are not axial and for an unknown label.
    """
    volumes = [load(case.images[name]) for name in SEQUENCES]
    mask = load(case.segmentation) if case.segmentation else None
    first = volumes[0]
    for other in [*volumes[1:], *([mask] if mask else [])]:
        _check_same_grid(first, other)
    _check_axial(first)
    return Scan(
        case=case,
        images=np.stack([volume.values for volume in volumes]),
        labels=labels.to_canonical(mask.values, case.release, str(mask.path)) if mask else None,
        spacing_mm=first.spacing_mm,
        affine=first.affine,
    )


def voxel_digest(path: Path) -> str:
    """Return a digest of the voxel values alone: equal for one image stored in two ways."""
    values = np.ascontiguousarray(load(path).values)
    return hashlib.sha256(repr(values.shape).encode() + values.tobytes()).hexdigest()


def _open(path: Path) -> nib.nifti1.Nifti1Image:
    if not path.is_file():
        raise DataError(f"{path}: there is no such file; complete the case or leave it out")
    if path.stat().st_size == 0:
        raise DataError(f"{path}: the file has 0 bytes; fetch it again")
    try:
        image = nib.load(path)
    except _UNREADABLE as error:
        raise DataError(f"{path}: cannot be read as NIfTI ({error}); fetch it again") from None
    if not isinstance(image, nib.nifti1.Nifti1Image):
        raise DataError(f"{path}: is a {type(image).__name__}, expected a NIfTI image")
    return image


def _spacing(
    image: nib.nifti1.Nifti1Image, affine: NDArray[np.float64], path: Path
) -> tuple[float, float, float]:
    header = tuple(float(size) for size in image.header["pixdim"][1:4])
    from_affine = np.linalg.norm(affine[:3, :3], axis=0)
    if not np.isfinite(header).all() or min(header) <= 0:
        raise DataError(f"{path}: voxel size is {header} mm, expected three positive numbers")
    if not np.allclose(header, from_affine, rtol=0.01):
        shown = tuple(round(float(size), 4) for size in from_affine)
        raise DataError(
            f"{path}: voxel size is {header} mm in the header but {shown} mm in the affine; "
            "correct the header"
        )
    return header[0], header[1], header[2]


def _nested(affine: NDArray[np.float64]) -> Affine:
    return tuple(tuple(float(entry) for entry in row) for row in affine)


def _check_same_grid(first: NiftiVolume, other: NiftiVolume) -> None:
    found, expected = other.values.shape, first.values.shape
    if found != expected:
        raise DataError(
            f"{other.path}: shape is {found} but {first.path} has {expected}; "
            "all files of a case must be on one grid"
        )
    if not np.allclose(other.affine, first.affine, rtol=0, atol=AFFINE_TOLERANCE):
        raise DataError(
            f"{other.path}: affine is {other.affine} but {first.path} has {first.affine}; "
            "all files of a case must be on one grid"
        )


def _check_axial(volume: NiftiVolume) -> None:
    axes = nib.orientations.aff2axcodes(np.asarray(volume.affine))
    if axes[2] not in ("S", "I"):
        raise DataError(
            f"{volume.path}: the axes run {axes}, expected axial slices along the third; "
            "reorient the case"
        )
