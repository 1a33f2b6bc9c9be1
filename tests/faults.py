"""Everything that can be wrong with a case on disk, planted into sound tiny cases.

One row of ``FAULTS`` is one thing that goes wrong in practice: what it does to the files of a case,
by which kind it should be called, at which file, and what the user should be told to do.
"""

import gzip
import os
import shutil
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy import ndimage

from gliomalib.provenance import file_digest
from gliomalib.schema import SEQUENCES

SHAPE = (24, 22, 20)
AFFINE = np.diag([-1.0, -1.0, 1.0, 1.0])
VOXELS = (10, 20, 30)
"""Voxels of core, edema and enhancing tumour in every mask."""

Files = Mapping[str, Path]
Plant = Callable[[Files], None]


@dataclass(frozen=True)
class Planted:
    """A fault: what is done to a case, its kind, the file named (empty: the folder), the advice."""

    plant: Plant
    kind: str
    at: str
    advice: str

    def place(self, files: Files) -> Path:
        return files[self.at] if self.at else files["t1"].parent


def brain(*seed: int) -> np.ndarray:
    """Return a ball of smooth noise on a background of 0: one seed, one scan."""
    smooth = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=SHAPE), 1.0)
    axes = np.ogrid[tuple(slice(-1, 1, size * 1j) for size in SHAPE)]
    inside = sum(axis**2 for axis in axes) < 0.8
    return np.where(inside, 100 + 400 * (smooth - smooth.min()), 0).astype(np.int16)


def mask() -> np.ndarray:
    """Return labels as BraTS writes them until 2022, in the middle of the brain."""
    labels = np.zeros(SHAPE, np.uint8)
    labels[10:14, 9:14, 8:11] = np.repeat([1, 2, 4], VOXELS).reshape(4, 5, 3)
    return labels


def name_of(number: int) -> str:
    return f"BraTS20_Training_{number:03d}"


def write(root: Path, number: int, suffix: str = ".nii.gz") -> dict[str, Path]:
    """Write a sound case of BraTS 2020 below ``root``; return its files as ``Case.files``."""
    return write_as(root / name_of(number), number, suffix)


def write_as(folder: Path, number: int, suffix: str = ".nii.gz") -> dict[str, Path]:
    """Write the scans of case ``number`` as a BraTS case of any other name."""
    folder.mkdir(parents=True)
    files = {part: folder / f"{folder.name}_{part}{suffix}" for part in (*SEQUENCES, "seg")}
    for k, part in enumerate(SEQUENCES):
        save(files[part], brain(number, k))
    save(files["seg"], mask())
    return files


def save(path: Path, values: np.ndarray, affine: np.ndarray = AFFINE) -> None:
    image = nib.Nifti1Image(values, affine)
    image.header.set_xyzt_units("mm")
    nib.save(image, path)


def digests(root: Path) -> dict[str, str]:
    return {
        str(path.relative_to(root)): file_digest(path)
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def content_of(path: Path) -> bytes:
    return gzip.decompress(path.read_bytes())


def put(path: Path, offset: int, form: str, *values: object) -> None:
    """Overwrite numbers in the header of a packed file, past everything that checks them."""
    content = bytearray(content_of(path))
    struct.pack_into(form, content, offset, *values)
    path.write_bytes(gzip.compress(bytes(content)))


HIDDEN = {
    "data_type": "Ahorn",
    "db_name": "Birke",
    "intent_name": "Fichte",
    "aux_file": "Kiefer",
    "descrip": "Linde",
}
OUTSIDE = ("Ulme", "Weide", "Zeder")
"""What stands in an extension, in the name that the packing keeps, and behind the voxels."""

SECRETS = (*HIDDEN.values(), *OUTSIDE)


def plant_secrets(path: Path) -> None:
    """Write a secret into every place of a packed file that holds text."""
    image = nib.load(path)
    found = nib.Nifti1Image(np.asarray(image.dataobj), image.affine)
    for field, secret in HIDDEN.items():
        found.header[field] = secret
    found.header.extensions.append(nib.nifti1.Nifti1Extension("comment", OUTSIDE[0].encode()))
    with path.open("wb") as stream, gzip.GzipFile(OUTSIDE[1], "wb", fileobj=stream) as packed:
        packed.write(found.to_bytes() + OUTSIDE[2].encode())


DIM, PIXDIM, VOX_OFFSET, UNITS, QFORM, SROW = 40, 76, 108, 123, 252, 280
"""Where the NIfTI-1 header keeps shape, voxel size, first voxel, units, both codes and affine."""


def _header(part: str, offset: int, form: str, *values: object) -> Plant:
    return lambda files: put(files[part], offset, form, *values)


def _values(part: str, change: Callable[[np.ndarray], np.ndarray]) -> Plant:
    return lambda files: save(files[part], change(np.asarray(nib.load(files[part]).dataobj)))


def _affine(part: str, affine: np.ndarray) -> Plant:
    return lambda files: save(files[part], np.asarray(nib.load(files[part]).dataobj), affine)


def _bytes(part: str, change: Callable[[bytes], bytes]) -> Plant:
    return lambda files: _rewrite(files[part], change)


def _rewrite(path: Path, change: Callable[[bytes], bytes]) -> None:
    path.write_bytes(change(path.read_bytes()))


def _repacked(change: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    return lambda packed: gzip.compress(change(gzip.decompress(packed)))


def _flipped(content: bytes, at: int) -> bytes:
    changed = bytearray(content)
    changed[at] ^= 0xFF
    return bytes(changed)


def _one(values: np.ndarray, what: float) -> np.ndarray:
    changed = values.astype(np.float32)
    changed[3, 4, 5] = what
    return changed


def _label(what: float, dtype: type) -> Callable[[np.ndarray], np.ndarray]:
    return lambda labels: np.where(labels == 4, dtype(what), labels.astype(dtype))


def _plain(path: Path) -> Path:
    return path.with_name(path.name.removesuffix(".gz"))


def _twice(part: str, files: Files) -> None:
    _plain(files[part]).write_bytes(content_of(files[part]))


def _ambiguous(files: Files) -> None:
    for name in ("a_seg.nii", "b_Segm.nii.gz"):
        save(files["seg"].with_name(name), mask())
    files["seg"].unlink()


def _copied(what: str, to: str, files: Files) -> None:
    shutil.copy(files[what], files[to])


def _seed(files: Files) -> tuple[int]:
    return (int(files["t1"].parent.name[-3:]),)


def _replaced(part: str, make: Callable[[Path], None], files: Files) -> None:
    files[part].unlink()
    make(files[part])


def _folder_elsewhere(files: Files) -> None:
    folder = files["t1"].parent
    shutil.rmtree(folder)
    folder.symlink_to(folder.parent / "disk-that-is-not-mounted")


TURNED = np.array([[0, -1, 0, 0], [-1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])
FETCH, CHECK, CORRECT = "fetch it again", "check that", "correct the header"
GRID = "on one grid, so fetch the case again"

FAULTS = {
    # the folder
    "missing sequence": Planted(
        lambda files: files["t1ce"].unlink(), "missing sequence", "", "t1ce is missing; expected"
    ),
    "duplicate sequence": Planted(
        partial(_twice, "flair"), "duplicate sequence", "", "flair is duplicated.*expected one"
    ),
    "ambiguous mask": Planted(
        _ambiguous, "ambiguous mask", "", "a_seg.nii, b_Segm.*remove the rest"
    ),
    "mask twice": Planted(partial(_twice, "seg"), "ambiguous mask", "", "_seg.*remove the rest"),
    "case on a disk that is not there": Planted(
        _folder_elsewhere, "dangling link", "", "mount the disk"
    ),
    "folder like a file": Planted(
        partial(_replaced, "t2", Path.mkdir), "missing sequence", "", "t2 is missing; expected"
    ),
    # what lies where a file should be
    "0 bytes": Planted(_bytes("t1", lambda _: b""), "0 bytes", "t1", FETCH),
    "dangling link": Planted(
        partial(_replaced, "t2", lambda path: path.symlink_to("nowhere")),
        "no such file",
        "t2",
        "complete the case or leave it out",
    ),
    "link to itself": Planted(
        partial(_replaced, "t2", lambda path: path.symlink_to(path.name)),
        "unreadable",
        "t2",
        "check the disk",
    ),
    "named pipe": Planted(
        partial(_replaced, "flair", os.mkfifo), "no regular file", "flair", "unpack it again"
    ),
    # the packing
    "truncated gzip": Planted(
        _bytes("t2", lambda packed: packed[:-40]), "damaged gzip", "t2", FETCH
    ),
    "wrong CRC": Planted(
        _bytes("t1ce", lambda packed: _flipped(packed, -6)), "damaged gzip", "t1ce", FETCH
    ),
    "plain named .gz": Planted(_bytes("t1", gzip.decompress), "not gzip", "t1", "or rename it"),
    # the header
    "text": Planted(
        _bytes("t1", _repacked(lambda _: b"no NIfTI" * 99)), "not a NIfTI", "t1", FETCH
    ),
    "another size of header": Planted(
        _header("t1", 0, "<i", 1000), "not a NIfTI", "t1", "not with a NIfTI header; fetch"
    ),
    "header only": Planted(
        _bytes("flair", _repacked(lambda content: content[:352])), "truncated", "flair", FETCH
    ),
    "truncated before packing": Planted(
        _bytes("t2", _repacked(lambda content: content[:-40])), "truncated", "t2", FETCH
    ),
    "voxels in the header": Planted(
        _header("t1", VOX_OFFSET, "<f", 0.0), "not a NIfTI", "t1", CORRECT
    ),
    # the grid
    "2-D": Planted(_values("t2", lambda v: v[..., 9]), "wrong dimension", "t2", CHECK),
    "negative axis": Planted(
        _header("t1", DIM, "<4h", 3, -24, 22, 20), "wrong dimension", "t1", CHECK
    ),
    "negative voxel size": Planted(
        _header("t1", PIXDIM + 4, "<f", -1), "voxel size", "t1", CORRECT
    ),
    "voxel size 0": Planted(_header("t1", PIXDIM + 8, "<f", 0), "voxel size", "t1", CORRECT),
    "voxel size NaN": Planted(
        _header("t1", PIXDIM + 12, "<f", np.nan), "voxel size", "t1", CORRECT
    ),
    "header and affine disagree": Planted(
        _header("t1ce", PIXDIM + 12, "<f", 5), "voxel size", "t1ce", CORRECT
    ),
    "micron by the header, mm by its numbers": Planted(
        _header("t1", UNITS, "B", 3), "voxel size", "t1", "read as micron, expected 0.2 to 10"
    ),
    "slices of 12 mm": Planted(
        _affine("flair", AFFINE @ np.diag([1, 1, 12, 1])), "voxel size", "flair", CORRECT
    ),
    "singular affine": Planted(
        _header("t1", SROW, "<12f", -1, -1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0),
        "singular affine",
        "t1",
        CORRECT,
    ),
    "different shape": Planted(
        _values("flair", lambda v: v[:-1]), "different shape", "flair", GRID
    ),
    "different spacing": Planted(
        _affine("t2", AFFINE @ np.diag([1, 1, 1.5, 1])), "different spacing", "t2", GRID
    ),
    "different axes": Planted(_affine("t2", TURNED), "different orientation", "t2", GRID),
    "moved": Planted(
        _affine("t2", AFFINE + np.outer([1, 0, 0, 0], [0, 0, 0, 7])), "different affine", "t2", GRID
    ),
    "mask of another shape": Planted(
        _values("seg", lambda v: v[..., 1:]), "different shape", "seg", GRID
    ),
    # the voxels
    "NaN": Planted(_values("t1ce", lambda v: _one(v, np.nan)), "not finite", "t1ce", FETCH),
    "infinite": Planted(_values("t1", lambda v: _one(v, -np.inf)), "not finite", "t1", FETCH),
    "constant": Planted(
        _values("t2", lambda v: np.full_like(v, 7)), "constant volume", "t2", "7 in every.*fetch"
    ),
    "empty": Planted(
        _values("t1", np.zeros_like), "empty volume", "t1", "0 in every voxel; fetch it again"
    ),
    "mask in place of a scan": Planted(
        _values("t1", lambda v: (v > 0).astype(np.int16)), "no brain", "t1", CHECK
    ),
    "tissues in place of a scan": Planted(
        _values("t2", lambda v: v // 100), "no brain", "t2", CHECK
    ),
    "the mask in place of a scan": Planted(
        partial(_copied, "seg", "flair"), "no brain", "flair", CHECK
    ),
    "T1 in place of T1ce": Planted(
        partial(_copied, "t1", "t1ce"), "same scan twice", "t1ce", r"as t1 \(.*fetch both again"
    ),
    "T2 in place of FLAIR, scaled": Planted(
        lambda files: save(files["flair"], 0.25 * brain(*_seed(files), 2)),
        "same scan twice",
        "flair",
        r"as t2 \(.*fetch both again",
    ),
    # the mask
    "half labels": Planted(_values("seg", _label(0.5, np.float32)), "unknown label", "seg", CHECK),
    "labels off a whole number": Planted(
        _values("seg", _label(4.01, np.float32)),
        "unknown label",
        "seg",
        "up to 0.01 off a whole number.*check that",
    ),
    "mask in the air": Planted(
        _values("seg", lambda v: np.roll(v, 8, axis=1)), "mask in air", "seg", "one patient's and"
    ),
    "mask half in the air": Planted(
        _values("seg", lambda v: np.roll(v, (8, 6), axis=(0, 1))), "mask in air", "seg", "lie alike"
    ),
    "unknown label": Planted(_values("seg", _label(3, np.uint8)), "unknown label", "seg", CHECK),
    "mask without tumour": Planted(
        _values("seg", np.zeros_like), "no tumour", "seg", "leave the case out"
    ),
}
"""What goes wrong → how it is planted and what must be said of it."""
