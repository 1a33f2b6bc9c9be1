"""Synthetic patients that are there again in disguise: what a study must find by itself."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from gliomalib.data import nifti
from gliomalib.phantoms.write import MAPPING, mapping
from gliomalib.provenance import write_atomic
from gliomalib.schema import Case
from gliomalib.settings import named_seed

GAMMA = 0.8


def write(root: str | Path, originals: Sequence[Case], seed: int) -> Path:
    """Write every original once more under ``root``, whole or not at all, and return ``root``.

    In turn: ``named``, the same files, and the table of names gives them away as a case of 2019;
    ``stored`` as uncompressed 32-bit numbers with another header; ``processed`` with other
    intensities and a little noise; ``damaged``, cut off in the middle of FLAIR. All have IDs of
    their own. Whatever was there before is removed.
    """
    root = Path(root)
    fresh = root.with_name(f".{root.name}.new")
    for place in (fresh, root):
        shutil.rmtree(place, ignore_errors=True)
    disguises = (_named, _stored, _processed, _damaged)
    for number, case in enumerate(originals, 1):
        disguises[(number - 1) % len(disguises)](case, fresh, named_seed(seed, "copy", number))
    if originals:
        rows = [_row(case) for case in originals[:: len(disguises)]]
        write_atomic(fresh / MAPPING, mapping(rows))
        fresh.rename(root)
    return root


def id_of(case: Case) -> str:
    """Return what the copy of a phantom is called; its reader makes nothing of the name."""
    return f"{case.case_id}-copy"


def _named(case: Case, root: Path, _: int) -> None:
    name = id_of(case)
    folder = root / name
    folder.mkdir(parents=True)
    for part, path in case.files.items():
        shutil.copyfile(path, folder / f"{name}_{part}.nii.gz")


def _stored(case: Case, root: Path, _: int) -> None:
    _rewritten(case, root, ".nii", lambda part, values: values.astype(np.float32))


def _processed(case: Case, root: Path, seed: int) -> None:
    # one generator for all sequences: the order in which they are written decides the noise
    rng = np.random.default_rng(seed)

    def changed(part: str, values: NDArray[Any]) -> NDArray[Any]:
        """Return a volume in other tones and with noise, a mask as it is."""
        if part == "seg":
            return values
        scaled = (values / values.max()) ** GAMMA
        noise = rng.normal(0, 0.005, values.shape) * (values > 0)
        return np.asarray(scaled + noise, np.float32)

    _rewritten(case, root, ".nii.gz", changed)


def _damaged(case: Case, root: Path, _: int) -> None:
    folder = _rewritten(case, root, ".nii.gz", lambda part, values: values)
    path = folder / f"{folder.name}_flair.nii.gz"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _rewritten(
    case: Case, root: Path, suffix: str, change: Callable[[str, NDArray[Any]], NDArray[Any]]
) -> Path:
    name = id_of(case)
    folder = root / name
    folder.mkdir(parents=True)
    for part, path in case.files.items():
        volume = nifti.load(path)
        image = nib.Nifti1Image(change(part, volume.values), np.asarray(volume.affine))
        image.header["descrip"] = "another header"
        nib.save(image, folder / f"{name}_{part}{suffix}")
    return folder


def _row(case: Case) -> dict[str, str]:
    ids = {"BraTS_2019_subject_ID": id_of(case), "BraTS_2020_subject_ID": case.case_id}
    return {"Grade": case.grade or "NA", **ids}
