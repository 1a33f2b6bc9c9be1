"""One NIfTI file read safely, and one case made of them."""

from __future__ import annotations

import io
import math
import stat
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from isal import igzip, isal_zlib
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from nibabel.wrapstruct import WrapStructError
from numpy.typing import NDArray

from gliomalib import labels
from gliomalib.schema import SEQUENCES, Affine, Case, DataError, Scan

AFFINE_TOLERANCE = 1e-3
"""Millimetres by which affines of one case may differ: headers keep single precision."""

HEADER_BYTES = {348: nib.nifti1.Nifti1Image, 540: nib.nifti2.Nifti2Image}
"""Size of the header, which is a file's first number → the kind of image."""

_GZIP = b"\x1f\x8b"
_GZIP_FORMAT = 31
_MOST = 1032
"""How many times smaller than its content a deflated file can be."""
_FLAT = 1e-3
_UNREADABLE = (
    ImageFileError,
    HeaderDataError,
    WrapStructError,
    OSError,
    EOFError,
    ValueError,
    OverflowError,
)


@dataclass(frozen=True)
class NiftiVolume:
    """One 3-D image as stored (scaled where its header says so): values (X, Y, Z), mm, affine."""

    path: Path
    values: NDArray[Any]
    spacing_mm: tuple[float, float, float]
    affine: Affine


def read_bytes(path: Path) -> bytes:
    """Return a file's bytes as they lie on disk.

    Raises ``DataError`` where there is no such file, it may not be read or it has 0 bytes.
    """
    try:
        mode = path.stat().st_mode
        # a named pipe would be waited for without end
        found = path.read_bytes() if stat.S_ISREG(mode) else None
    except FileNotFoundError:
        raise DataError(
            f"{path}: there is no such file; complete the case or leave it out", "no such file"
        ) from None
    except PermissionError:
        raise DataError(
            f"{path}: this file may not be read; change its permissions (chmod u+r)",
            "no permission",
        ) from None
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read ({error.strerror}); check the disk", "unreadable"
        ) from None
    if found is None:
        what = "a folder" if stat.S_ISDIR(mode) else "no regular file"
        raise DataError(f"{path}: is {what}, expected a NIfTI file; unpack it again", what)
    if not found:
        raise DataError(f"{path}: the file has 0 bytes; fetch it again", "0 bytes")
    return found


def decode(path: Path, stored: bytes, channel: int | None = None) -> NiftiVolume:
    """Return the 3-D image in the bytes of a file, or one channel of a 4-D one.

    Raises ``DataError`` where the bytes are damaged or no NIfTI, the shape is not the expected
    one, a value is no number or not finite, or the header gives no usable voxel size or affine.
    """
    content = _unpacked(path, stored)
    image = _opened(path, content)
    _check_shape(path, image.shape, channel)
    _check_data(path, image, len(content))
    try:
        values = _voxels(image, content)
    except (TypeError, *_UNREADABLE) as error:
        raise DataError(
            f"{path}: truncated or damaged ({_line(error)}); fetch it again", "truncated"
        ) from None
    values = values if channel is None else values[..., channel]
    _check_finite(path, values)
    affine = np.asarray(image.affine, dtype=np.float64)
    spacing = _spacing(image, affine, path)
    _check_begin(path, image)
    _check_affine(path, affine)
    return NiftiVolume(path, values, spacing, _nested(affine))


def load(path: Path, channel: int | None = None) -> NiftiVolume:
    """Read one 3-D NIfTI file, or one channel of a 4-D one; raises what `decode` raises."""
    return decode(path, read_bytes(path), channel)


def channel_of(case: Case, name: str) -> int | None:
    """Return where a sequence lies in a case's 4-D file; None for a file of its own."""
    return case.channels.index(name) if name in case.channels else None


def read_case(case: Case) -> Scan:
    """Read the four sequences and, where there is one, the mask of a case, as they are stored.

    Returns images float32 (4, X, Y, Z) in the order of ``schema.SEQUENCES`` and canonical
    labels uint8 (X, Y, Z) or None. Raises ``DataError`` for a file that `load` refuses, for two
    files on different grids and for an unknown label.
    """
    stored = {path: read_bytes(path) for path in dict.fromkeys(case.files.values())}
    volumes = {
        name: decode(path, stored[path], channel_of(case, name))
        for name, path in case.files.items()
    }
    check_same_grid(list(volumes.values()))
    first, mask = volumes[SEQUENCES[0]], volumes.get("seg")
    return Scan(
        case=case,
        images=np.stack([volumes[name].values.astype(np.float32) for name in SEQUENCES]),
        labels=labels.to_canonical(mask.values, case.release, str(mask.path)) if mask else None,
        spacing_mm=first.spacing_mm,
        affine=first.affine,
    )


def check_same_grid(volumes: list[NiftiVolume]) -> None:
    """Raise ``DataError`` for a file that is not on the grid of the first one."""
    first = volumes[0]
    for other in volumes[1:]:
        _check_pair(first, other)


def _unpacked(path: Path, stored: bytes) -> bytes:
    if not path.name.endswith(".gz"):
        if stored.startswith(_GZIP):
            raise DataError(
                f"{path}: is compressed, though its name does not end with .gz; rename it to "
                f"{path.name}.gz",
                "gzip named .nii",
            )
        return stored
    if not stored.startswith(_GZIP):
        raise DataError(
            f"{path}: cannot be read as gzip, though its name ends with .gz; fetch it again, or "
            "rename it if it was never compressed",
            "not gzip",
        )
    try:
        return _gunzipped(stored)
    except (OSError, EOFError, zlib.error, isal_zlib.IsalError) as error:  # type: ignore[misc]
        raise DataError(
            f"{path}: truncated or damaged ({error}); fetch it again", "damaged gzip"
        ) from None


def _gunzipped(stored: bytes) -> bytes:
    """Return what gzip packed; told the size it is a third faster, as no buffer has to grow."""
    size = int.from_bytes(stored[-4:], "little")
    unpacked: bytes = isal_zlib.decompress(stored, _GZIP_FORMAT, min(size, _MOST * len(stored)))
    if len(unpacked) == size:
        return unpacked
    # several members, or rubbish at the end
    unpacked = igzip.decompress(stored)
    return unpacked


def _opened(path: Path, content: bytes) -> nib.nifti1.Nifti1Image:
    sizes = {int.from_bytes(content[:4], order) for order in ("little", "big")}
    kinds = [kind for size, kind in HEADER_BYTES.items() if size in sizes]
    if not kinds:
        raise DataError(
            f"{path}: cannot be read as NIfTI: it begins with {content[:4]!r}, not with a NIfTI "
            "header; fetch it again",
            "not a NIfTI",
        )
    try:
        header = kinds[0].header_class.from_fileobj(io.BytesIO(content), check=False)
        # before nibabel checks the header: it mends a negative size without a word
        _check_sizes(path, header["pixdim"][1:4])
        return kinds[0].from_bytes(content)
    except _UNREADABLE as error:
        raise DataError(
            f"{path}: cannot be read as NIfTI ({_line(error)}); fetch it again", "not a NIfTI"
        ) from None


def _check_data(path: Path, image: nib.nifti1.Nifti1Image, n_bytes: int) -> None:
    kind = image.get_data_dtype()
    if kind.kind not in "iuf":
        raise DataError(
            f"{path}: holds voxels of type {kind}, expected one real number each; check that this "
            "is the right file",
            "data type",
        )
    # a damaged header may announce terabytes, which nibabel would ask the system for
    stored: Any = image.dataobj
    announced = stored.offset + math.prod(image.shape) * kind.itemsize
    if announced > n_bytes:
        raise DataError(
            f"{path}: truncated or damaged (its header announces {announced} bytes, there are "
            f"{n_bytes}); fetch it again",
            "truncated",
        )


def _check_sizes(path: Path, pixdim: NDArray[Any]) -> None:
    sizes = tuple(float(size) for size in pixdim)
    if not np.isfinite(sizes).all() or min(sizes) <= 0:
        raise DataError(
            f"{path}: voxel size is {sizes} mm, expected three positive numbers; "
            "correct the header",
            "voxel size",
        )


def _voxels(image: nib.nifti1.Nifti1Image, content: bytes) -> NDArray[Any]:
    """Return the voxels as stored, without a copy, or scaled where the header says so."""
    stored: Any = image.dataobj
    if (stored.slope, stored.inter) != (1, 0):
        return np.asanyarray(stored)
    return np.ndarray(stored.shape, stored.dtype, content, stored.offset, order="F")


def _check_shape(path: Path, shape: tuple[int, ...], channel: int | None) -> None:
    wanted = "three dimensions X, Y, Z" if channel is None else "four: X, Y, Z, sequence"
    n_wanted = 3 if channel is None else 4
    if len(shape) != n_wanted or min(shape) < 1:
        raise DataError(
            f"{path}: shape is {shape}, expected {wanted}; check that this is the right file",
            "wrong dimension",
        )
    if channel is not None and shape[3] != len(SEQUENCES):
        raise DataError(
            f"{path}: holds {shape[3]} sequences, expected {len(SEQUENCES)}; fetch it again",
            "wrong dimension",
        )


def _check_finite(path: Path, values: NDArray[Any]) -> None:
    if values.dtype.kind in "iub":
        return
    bad = int(values.size - np.isfinite(values).sum())
    if bad:
        raise DataError(
            f"{path}: {bad} of {values.size} voxels are not finite; fetch it again",
            "not finite",
        )


def _spacing(
    image: nib.nifti1.Nifti1Image, affine: NDArray[np.float64], path: Path
) -> tuple[float, float, float]:
    header = tuple(float(size) for size in image.header["pixdim"][1:4])
    from_affine = np.linalg.norm(affine[:3, :3], axis=0)
    if not np.allclose(header, from_affine, rtol=0.01):
        shown = tuple(round(float(size), 4) for size in from_affine)
        raise DataError(
            f"{path}: voxel size is {header} mm in the header but {shown} mm in the affine; "
            "correct the header",
            "voxel size",
        )
    return header[0], header[1], header[2]


def _check_begin(path: Path, image: nib.nifti1.Nifti1Image) -> None:
    # nibabel takes 0 for a place like any other
    stored: Any = image.dataobj
    if stored.offset < image.header.sizeof_hdr:
        raise DataError(
            f"{path}: cannot be read as NIfTI: its voxels would begin at byte {stored.offset}, "
            "inside the header; correct the header",
            "not a NIfTI",
        )


def _check_affine(path: Path, affine: NDArray[np.float64]) -> None:
    axes = affine[:3, :3]
    volume = abs(np.linalg.det(axes / np.linalg.norm(axes, axis=0)))
    if not np.isfinite(affine).all() or volume < _FLAT:
        raise DataError(
            f"{path}: affine is {_nested(affine)}, which does not span a volume, so nobody knows "
            "where the voxels lie; correct the header",
            "singular affine",
        )


def _line(error: Exception) -> str:
    return " ".join(str(error).split())


def _nested(affine: NDArray[np.float64]) -> Affine:
    return tuple(tuple(float(entry) for entry in row) for row in affine)


def _check_pair(first: NiftiVolume, other: NiftiVolume) -> None:
    found, expected = other.values.shape, first.values.shape
    advice = "all files of a case must be on one grid, so fetch the case again"
    if found != expected:
        raise DataError(
            f"{other.path}: shape is {found} but {first.path} has {expected}; {advice}",
            "different shape",
        )
    if not np.allclose(other.spacing_mm, first.spacing_mm, rtol=0.01):
        raise DataError(
            f"{other.path}: voxel size is {other.spacing_mm} mm but {first.path} has "
            f"{first.spacing_mm} mm; {advice}",
            "different spacing",
        )
    axes = [nib.orientations.aff2axcodes(np.asarray(one.affine)) for one in (other, first)]
    if axes[0] != axes[1]:
        raise DataError(
            f"{other.path}: the axes run {''.join(axes[0])} but in {first.path} "
            f"{''.join(axes[1])}; {advice}",
            "different orientation",
        )
    if not np.allclose(other.affine, first.affine, rtol=0, atol=AFFINE_TOLERANCE):
        raise DataError(
            f"{other.path}: affine is {other.affine} but {first.path} has {first.affine}; {advice}",
            "different affine",
        )
