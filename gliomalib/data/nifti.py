"""One NIfTI file read safely, and one case made of them."""

import math
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from nibabel.volumeutils import apply_read_scaling
from nibabel.wrapstruct import WrapStructError
from numpy.typing import NDArray

from gliomalib import labels, progress
from gliomalib.data import affines, packing
from gliomalib.provenance import cores
from gliomalib.schema import SEQUENCES, Affine, Case, DataError, FloatArray, Scan

AFFINE_TOLERANCE = 0.1
"""Voxels by which two affines of one scan may put a voxel apart: headers round."""

SPACING_TOLERANCE = 0.01
"""Part by which voxel sizes of one case may differ, or those of header and affine of one file."""

OWN_ORIGIN = ("brats2017",)
"""Releases with a mask whose header has another origin than its images though the voxels fit, as
Brats17_TCIA_105_1 has."""

UNITS = {1: ("metre", 1000.0), 2: ("mm", 1.0), 3: ("micron", 0.001)}
"""NIfTI's code for the unit of length → its name, and how many millimetres it is."""

VOXEL_MM = (0.2, 10.0)
"""Smallest and largest side of a voxel of a brain scan; other sizes mean another unit."""

HEADER_BYTES = {348: nib.nifti1.Nifti1Image, 540: nib.nifti2.Nifti2Image}
"""Size of the header, which is a file's first number → the kind of image."""

_UNREADABLE = (
    *(ImageFileError, HeaderDataError, WrapStructError),
    *(OSError, EOFError, ValueError, OverflowError),
)
"""What nibabel raises for bytes that are no image."""


@dataclass(frozen=True)
class NiftiVolume:
    """One 3-D image as stored (scaled where its header says so): values (X, Y, Z), mm, affine.

    ``doubts`` are what its header leaves open, each a kind and a sentence with what was taken.
    """

    path: Path
    values: NDArray[Any]
    spacing_mm: tuple[float, float, float]
    affine: Affine
    doubts: tuple[tuple[str, str], ...] = ()


def read_bytes(path: str | Path) -> bytes:
    """Return a file's bytes as they lie on disk.

    Raises ``DataError`` where there is no such file, it may not be read or it has 0 bytes.
    """
    path = Path(path)
    try:
        mode = path.stat().st_mode
        # opening a named pipe would wait without end
        stored = path.read_bytes() if stat.S_ISREG(mode) else None
    except FileNotFoundError:
        message = "there is no such file; complete the case or leave it out"
        raise DataError(f"{path}: {message}", "no such file") from None
    except PermissionError:
        message = "this file may not be read; change its permissions (chmod u+r)"
        raise DataError(f"{path}: {message}", "no permission") from None
    except OSError as error:
        message = f"cannot be read ({error.strerror}); check the disk"
        raise DataError(f"{path}: {message}", "unreadable") from None
    if stored is None:
        what = "a folder" if stat.S_ISDIR(mode) else "no regular file"
        raise DataError(f"{path}: is {what}, expected a NIfTI file; unpack it again", what)
    if not stored:
        raise DataError(f"{path}: the file has 0 bytes; fetch it again", "0 bytes")
    return stored


def decode(path: str | Path, stored: bytes, channel: int | None = None) -> NiftiVolume:
    """Return the 3-D image in the bytes of a file, or one channel of a 4-D one.

    Metre and micron become millimetres, and axes of length 1 after the third are left out.
    Raises ``DataError`` where the bytes are damaged or no NIfTI, the shape is not the expected
    one, a value is no number or not finite, or the header gives no usable voxel size or affine.
    """
    path = Path(path)
    content = packing.unpacked(path, stored)
    image = _opened(path, content)
    # the header is checked first: nibabel believes whatever it says
    shape = _shape(path, image.shape, channel)
    _check_data(path, image, len(content))
    try:
        values = _voxels(image, content).reshape(shape)
    except (TypeError, *_UNREADABLE) as error:
        message = f"truncated or damaged ({_line(error)}); fetch it again"
        raise DataError(f"{path}: {message}", "truncated") from None
    values = values if channel is None else values[..., channel]
    _check_finite(path, values)
    affine, spacing = _in_mm(path, image)
    affines.check_affine(affine, str(path))
    return NiftiVolume(path, values, spacing, affines.nested(affine), _doubts(image))


def load(path: str | Path, channel: int | None = None) -> NiftiVolume:
    """Read one 3-D NIfTI file, or one channel of a 4-D one; raises what `decode` raises."""
    return decode(path, read_bytes(path), channel)


def channel_of(case: Case, name: str) -> int | None:
    """Return where a sequence lies in a case's 4-D file; None for a file of its own."""
    return case.channels.index(name) if name in case.channels else None


def read_files(case: Case) -> dict[Path, bytes]:
    """Return the bytes of each file of a case; raises what `read_bytes` raises."""
    return {path: read_bytes(path) for path in dict.fromkeys(case.files.values())}


def read_case(case: Case, stored: Mapping[Path, bytes] | None = None) -> Scan:
    """Read the four sequences and, where there is one, the mask of a case, as they are stored.

    ``stored`` are the bytes of its files where they are at hand. Returns the volumes in the order
    of ``schema.SEQUENCES``, without a copy, and canonical labels uint8 (X, Y, Z) or None. Raises
    ``DataError`` for a file that `load` refuses, for two files on different grids and for an
    unknown label.
    """
    content = stored or read_files(case)

    def decoded(name: str) -> NiftiVolume:
        """Return the volume of one sequence or of the mask."""
        path = case.files[name]
        return decode(path, content[path], channel_of(case, name))

    names = list(case.files)
    volumes = dict(zip(names, progress.in_threads(decoded, names, cores(), "files"), strict=True))
    check_same_grid(list(volumes.values()), mask_of_own_origin(case))
    first, mask = next(iter(volumes.values())), volumes.get("seg")
    return Scan(
        case=case,
        images=tuple(volumes[name].values for name in SEQUENCES if case.images),
        labels=labels.to_canonical(mask.values, case.release, str(mask.path)) if mask else None,
        spacing_mm=first.spacing_mm,
        affine=first.affine,
    )


def mask_of_own_origin(case: Case) -> Path | None:
    """Return the mask of a case whose release has masks with an origin that means nothing."""
    return case.segmentation if case.release in OWN_ORIGIN else None


def check_same_grid(volumes: Sequence[NiftiVolume], shifted: Path | None = None) -> None:
    """Raise ``DataError`` for a file that is not on the grid of the first one.

    Of the file ``shifted`` the origin does not count.
    """
    first = volumes[0]
    for other in volumes[1:]:
        difference, kind = _difference(first, other, other.path == shifted)
        if difference:
            advice = "all files of a case must be on one grid, so fetch the case again"
            raise DataError(f"{other.path}: {difference}; {advice}", f"different {kind}")


def _opened(path: Path, content: NDArray[np.uint8]) -> nib.nifti1.Nifti1Image:
    begin = content[:4].tobytes()
    sizes = {int.from_bytes(begin, order) for order in ("little", "big")}
    kinds = [kind for size, kind in HEADER_BYTES.items() if size in sizes]
    if not kinds:
        message = f"it begins with {begin!r}, not with a NIfTI header; fetch it again"
        raise DataError(f"{path}: cannot be read as NIfTI: {message}", "not a NIfTI")
    try:
        n_header = kinds[0].header_class.sizeof_hdr
        header = kinds[0].header_class(content[:n_header].tobytes(), check=False)
        # before nibabel checks the header: it mends a negative size without saying so
        _check_sizes(path, header["pixdim"][1:4])
        # nibabel needs what lies before the voxels: to hand it those too would copy them
        end = header["vox_offset"]
        return kinds[0].from_bytes(content[: int(end) if end >= n_header else None].tobytes())
    except _UNREADABLE as error:
        message = f"cannot be read as NIfTI ({_line(error)}); fetch it again"
        raise DataError(f"{path}: {message}", "not a NIfTI") from None


def _check_data(path: Path, image: nib.nifti1.Nifti1Image, n_bytes: int) -> None:
    dtype = image.get_data_dtype()
    if dtype.kind not in "iuf":
        message = f"voxels are of type {dtype}, expected one real number each"
        raise DataError(f"{path}: {message}; check that this is the right file", "data type")
    # nibabel takes any place for the first voxel, and asks the system for whatever is announced
    stored: Any = image.dataobj
    if stored.offset < image.header.sizeof_hdr:
        message = f"voxels would begin inside it (byte {stored.offset}); correct the header"
        raise DataError(f"{path}: cannot be read as NIfTI: {message}", "not a NIfTI")
    announced = stored.offset + math.prod(image.shape) * dtype.itemsize
    if announced > n_bytes:
        message = f"its header announces {announced} bytes, there are {n_bytes}"
        raise DataError(f"{path}: truncated or damaged ({message}); fetch it again", "truncated")


def _check_sizes(path: Path, pixdim: NDArray[Any]) -> None:
    sizes = tuple(float(size) for size in pixdim)
    if not np.isfinite(sizes).all() or min(sizes) <= 0:
        message = f"voxel size is {sizes} mm, expected three positive numbers; correct the header"
        raise DataError(f"{path}: {message}", "voxel size")


def _voxels(image: nib.nifti1.Nifti1Image, content: NDArray[np.uint8]) -> NDArray[Any]:
    """Return the voxels as stored, without a copy, or scaled where the header says so."""
    stored: Any = image.dataobj
    values = np.ndarray(stored.shape, stored.dtype, content.data, stored.offset, order="F")
    scaled = apply_read_scaling(values, np.float64(stored.slope), np.float64(stored.inter))
    return np.asarray(scaled)


def _shape(path: Path, stored: tuple[int, ...], channel: int | None) -> tuple[int, ...]:
    """Return the shape without needless axes of length 1, if it is the expected one."""
    shape = (*stored[:3], *(length for length in stored[3:] if length != 1))
    wanted = "three dimensions X, Y, Z" if channel is None else "four: X, Y, Z, sequence"
    n_wanted = 3 if channel is None else 4
    if len(shape) != n_wanted or min(shape) < 1:
        message = f"shape is {shape}, expected {wanted}; check that this is the right file"
        raise DataError(f"{path}: {message}", "wrong dimension")
    if channel is not None and shape[3] != len(SEQUENCES):
        message = f"holds {shape[3]} sequences, expected {len(SEQUENCES)}; fetch it again"
        raise DataError(f"{path}: {message}", "wrong dimension")
    return shape


def _check_finite(path: Path, values: NDArray[Any]) -> None:
    if values.dtype.kind in "iub":
        return
    bad = int(values.size - np.isfinite(values).sum())
    if bad:
        message = f"{bad} of {values.size} voxels are not finite; fetch it again"
        raise DataError(f"{path}: {message}", "not finite")


def _in_mm(
    path: Path, image: nib.nifti1.Nifti1Image
) -> tuple[FloatArray, tuple[float, float, float]]:
    """Return the affine and the size of a voxel in millimetres."""
    unit, factor = UNITS.get(_unit_code(image), UNITS[2])
    affine = np.array(image.affine, dtype=np.float64)
    affine[:3] *= factor
    x, y, z = (float(size) * factor for size in image.header["pixdim"][1:4])
    from_affine = np.linalg.norm(affine[:3, :3], axis=0)
    if not np.allclose((x, y, z), from_affine, rtol=SPACING_TOLERANCE):
        rounded = tuple(round(float(size), 4) for size in from_affine)
        message = f"voxel size is {(x, y, z)} mm in the header but {rounded} mm in the affine"
        raise DataError(f"{path}: {message}; correct the header", "voxel size")
    low, high = VOXEL_MM
    if not low <= min(x, y, z) <= max(x, y, z) <= high:
        message = f"voxel size is {(x, y, z)} mm, read as {unit}, expected {low} to {high} mm"
        raise DataError(f"{path}: {message}; correct the header or its unit", "voxel size")
    return affine, (x, y, z)


def _unit_code(image: nib.nifti1.Nifti1Image) -> int:
    # the other bits are the unit of time
    return int(image.header["xyzt_units"]) & 7


def _doubts(image: nib.nifti1.Nifti1Image) -> tuple[tuple[str, str], ...]:
    """Return what a header leaves open: its unit, and where its voxels lie."""
    doubts = []
    if _unit_code(image) not in UNITS:
        doubts.append(("no unit", "the header names no unit of length; mm were taken"))
    sform, qform = int(image.header["sform_code"]), int(image.header["qform_code"])
    if not (sform or qform):
        axes = affines.axes_of(affines.nested(image.affine))
        sentence = f"sform and qform have code 0, so axes {axes} were taken; check left and right"
        doubts.append(("no orientation", sentence))
    if sform and qform and (by := _qform_off(image)) > AFFINE_TOLERANCE:
        sentence = f"qform puts voxels up to {by:.3g} voxels from sform, which was taken"
        doubts.append(("sform against qform", f"{sentence}; check left and right"))
    return tuple(doubts)


def _qform_off(image: nib.nifti1.Nifti1Image) -> float:
    try:
        return affines.apart(image.affine, image.get_qform(), image.shape)
    except ValueError:
        # its quaternion is no rotation
        return math.inf


def _line(error: Exception) -> str:
    return " ".join(str(error).split())


def _difference(first: NiftiVolume, other: NiftiVolume, shifted: bool) -> tuple[str, str]:
    """Return how a file is not on the grid of the first, and that in a word; empty if it is."""
    where = first.path
    same = (other.values.shape, other.spacing_mm) == (first.values.shape, first.spacing_mm)
    # most often the very same grid, which needs no arithmetic to be told
    if same and other.affine == first.affine:
        return "", ""
    if other.values.shape != first.values.shape:
        return f"shape is {other.values.shape} but {where} has {first.values.shape}", "shape"
    if not np.allclose(other.spacing_mm, first.spacing_mm, rtol=SPACING_TOLERANCE):
        sizes = f"{other.spacing_mm} mm but {where} has {first.spacing_mm} mm"
        return f"voxel size is {sizes}", "spacing"
    axes, expected = (affines.axes_of(volume.affine) for volume in (other, first))
    if axes != expected:
        return f"the axes run {axes} but in {where} {expected}", "orientation"
    ours, theirs = np.array(other.affine), np.array(first.affine)
    if shifted:
        ours[:3, 3] = theirs[:3, 3]
    if (by := affines.apart(theirs, ours, first.values.shape)) > AFFINE_TOLERANCE:
        differ = f"affine is {other.affine} but {where} has {first.affine}"
        return f"{differ}, up to {by:.3g} voxels apart", "affine"
    return "", ""
