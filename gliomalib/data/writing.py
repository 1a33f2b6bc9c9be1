"""Labels and images written as NIfTI, nothing of any other header; how programs show labels."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from isal import igzip
from numpy.typing import NDArray

from gliomalib.provenance import write_atomic
from gliomalib.schema import CLASS_COLOURS, CLASS_NAMES, Affine, DataError, Float32Array, Labels

OWN, ALIGNED = 1, 2
"""NIfTI's codes for a scan's own coordinates, and for those of another, as of the one labelled."""

FAST = 2
"""The level at which isal packs: files are smaller than at its level 3."""

_SHEAR = 1e-4


def write_labels(path: str | Path, labels: Labels, affine: Affine) -> Path:
    """Write labels (X, Y, Z) uint8 on the grid of ``affine`` to ``path`` (.nii.gz).

    The header is made anew: no text, extension or file name of the scan is in it, and the same
    labels give the same bytes. It says the affine as sform (NIfTI keeps single precision), and
    as qform too where the axes are at right angles. The file is there whole or not at all, also
    when the process is killed half way. Raises ``DataError`` for a name that does not end with
    .nii.gz and for labels that are not three axes of uint8.
    """
    path = Path(path)
    if not path.name.endswith(".nii.gz"):
        raise DataError(f"{path}: a label map is written as .nii.gz; name it so")
    if labels.ndim != 3 or labels.dtype != np.uint8:
        raise DataError(
            f"{path}: labels are {labels.dtype} of shape {labels.shape}, expected uint8 (X, Y, Z)"
        )
    return _written(path, image_of(labels, affine))


def write_image(path: str | Path, values: Float32Array, affine: Affine) -> Path:
    """Write an image (X, Y, Z) in 8 bits with slope and intercept to ``path`` (.nii.gz).

    Values come back within half of (largest − smallest) / 255. The file is there whole or not at
    all, and the same values give the same bytes.
    """
    low = values.min()
    slope = (values.max() - low) / np.float32(255) or np.float32(1)
    image = image_of(np.rint((values - low) / slope).astype(np.uint8), affine)
    # set after the voxels: nibabel would scale what is scaled already
    image.header.set_slope_inter(slope, low)
    return _written(path, image)


def _written(path: str | Path, image: nib.nifti1.Nifti1Image) -> Path:
    # gzip's own level 9 takes fifty times as long, a quarter of a new patient, for a tenth to a
    # quarter less; a gzip header has room for a date and a name as well
    return write_atomic(path, igzip.compress(image.to_bytes(), FAST, mtime=0))


def label_tables(numbers: Sequence[int]) -> dict[str, str]:
    """Return files of labels, by ending: ``label`` for ITK-SNAP, ``ctbl`` for 3D Slicer.

    ``numbers`` stand for the four classes. Lines are: number, red, green, blue (0 to 255), opacity,
    visible, in meshes (0 or 1), name; and number, name, red, green, blue, opacity (0 to 255).
    """
    itksnap, slicer = ["# ITK-SnAP Label Description File\n"], ["# Color table file\n"]
    for number, name, colour in sorted(zip(numbers, CLASS_NAMES, CLASS_COLOURS, strict=True)):
        shown = int(name != CLASS_NAMES[0])
        rgb = "{:3} {:3} {:3}".format(*bytes.fromhex(colour[1:]))
        itksnap.append(f'{number:3} {rgb} {shown} {shown} {shown} "{name}"\n')
        slicer.append(f"{number} {name.replace(' ', '_')} {rgb} {255 * shown}\n")
    return {"label": "".join(itksnap), "ctbl": "".join(slicer)}


def image_of(values: NDArray[Any], affine: Affine, code: int = ALIGNED) -> nib.nifti1.Nifti1Image:
    """Return values (X, Y, Z) as an image in mm; ``code`` says whose coordinates they have."""
    matrix = np.asarray(affine, dtype=np.float64)
    image = nib.nifti1.Nifti1Image(values, matrix)
    image.header.set_xyzt_units("mm")
    image.set_sform(matrix, code)
    axes = matrix[:3, :3] / np.linalg.norm(matrix[:3, :3], axis=0)
    if np.allclose(axes.T @ axes, np.eye(3), atol=_SHEAR):
        image.set_qform(matrix, code)
    return image
