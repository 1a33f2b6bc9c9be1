"""Preprocessed patients on disk: one array and one sidecar each, whole or not there.

The array (``<patient>.npy``, float16, shape (5, X, Y, Z)) holds the four sequences and the
labels; float16 keeps the labels 0 to 3 exactly. The sidecar (``<patient>.json``) is written last
and removed first, so an entry without one is no entry.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gliomalib.provenance import digest_of, file_digest, write_atomic
from gliomalib.schema import N_CLASSES, SEQUENCES, DataError, Grid, MismatchError, StoredCase

MADE_BY = "02_preprocessing"
"""The notebook that fills the store."""

_SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")


@dataclass(frozen=True)
class Store:
    """The patients in ``root/key``; the key stands for the settings and the code that made them."""

    root: Path
    key: str

    def __post_init__(self) -> None:
        """Refuse a key that is no plain folder name."""
        _check_name(self.key, "store key")

    @property
    def folder(self) -> Path:
        """Where the entries lie."""
        return self.root / self.key

    def put(self, stored: StoredCase, source_digest: str, facts: Mapping[str, Any]) -> None:
        """Write one patient, in place of what was there.

        ``source_digest`` stands for the files it was made of; ``facts`` are kept as JSON.
        Raises ``MismatchError`` where array shapes differ from the grid, and ``DataError`` for
        values that are not finite, labels above 3 or a patient ID that is no safe file name.
        """
        _check_stored(stored)
        array_path, sidecar_path = self._paths(stored.grid.patient_id)
        self.folder.mkdir(parents=True, exist_ok=True)
        sidecar_path.unlink(missing_ok=True)
        array = np.concatenate([stored.images, stored.labels[np.newaxis].astype(np.float16)])
        _write_array(array_path, array)
        sidecar = {
            "grid": asdict(stored.grid),
            "source_digest": source_digest,
            "array_sha256": file_digest(array_path),
            "array_bytes": array_path.stat().st_size,
            "facts": dict(facts),
        }
        write_atomic(sidecar_path, json.dumps(sidecar, indent=1, sort_keys=True) + "\n")

    def get(self, patient_id: str) -> StoredCase:
        """Return one patient; the images are memory-mapped and read-only.

        Raises ``DataError`` where the patient is missing or the entry is damaged.
        """
        sidecar = self._sidecar(patient_id)
        grid = _grid(sidecar["grid"])
        path = self._paths(patient_id)[0]
        array = _open_array(path, sidecar["array_bytes"])
        expected = (len(SEQUENCES) + 1, *grid.shape)
        if array.shape != expected or array.dtype != np.float16:
            raise DataError(
                f"{path}: array is {array.dtype} {array.shape}, expected float16 {expected}; "
                f"delete it and run {MADE_BY} again"
            )
        return StoredCase(grid, array[: len(SEQUENCES)], array[len(SEQUENCES)].astype(np.uint8))

    def facts(self, patient_id: str) -> dict[str, Any]:
        """Return what was noted about a patient when it was put there.

        Raises ``DataError`` where the patient is missing or the entry is damaged.
        """
        return dict(self._sidecar(patient_id)["facts"])

    def digest(self, patient_ids: Sequence[str]) -> str:
        """Return a digest of these patients' arrays and grids, in this order.

        Raises ``DataError`` where a patient is missing or an entry is damaged.
        """
        entries = [self._sidecar(name) for name in patient_ids]
        return digest_of([[entry["array_sha256"], entry["grid"]] for entry in entries])

    def is_fresh(self, patient_id: str, source_digest: str) -> bool:
        """Say whether the entry is there, undamaged to the byte, and made of these sources."""
        array_path, sidecar_path = self._paths(patient_id)
        if not (sidecar_path.is_file() and array_path.is_file()):
            return False
        try:
            sidecar = self._sidecar(patient_id)
        except DataError:
            return False
        same_source = sidecar["source_digest"] == source_digest
        return same_source and bool(sidecar["array_sha256"] == file_digest(array_path))

    def patients(self) -> list[str]:
        """Return the IDs of the patients that are there, sorted."""
        found = (path.stem for path in self.folder.glob("*.json"))
        return sorted(name for name in found if _SAFE_NAME.fullmatch(name))

    def _paths(self, patient_id: str) -> tuple[Path, Path]:
        _check_name(patient_id, "patient ID")
        return self.folder / f"{patient_id}.npy", self.folder / f"{patient_id}.json"

    def _sidecar(self, patient_id: str) -> dict[str, Any]:
        path = self._paths(patient_id)[1]
        try:
            content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            owner = content["grid"]["patient_id"]
            complete = {"source_digest", "array_sha256", "array_bytes", "facts"} <= set(content)
        except FileNotFoundError:
            raise DataError(
                f"{path}: patient {patient_id} is not in the store; run {MADE_BY}"
            ) from None
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{path}: damaged ({error!r}); run {MADE_BY} again") from None
        if owner != patient_id or not complete:
            raise DataError(
                f"{path}: belongs to {owner} or is incomplete; delete it and run {MADE_BY} again"
            )
        return content


def _check_name(name: str, what: str) -> None:
    if not _SAFE_NAME.fullmatch(name):
        raise DataError(
            f"{what} {name!r} cannot be a file name; use letters, digits, '_', '-' and '.', "
            "starting with a letter or digit"
        )


def _check_stored(stored: StoredCase) -> None:
    grid = stored.grid
    shapes = (stored.images.shape, stored.labels.shape)
    if shapes != ((len(SEQUENCES), *grid.shape), grid.shape):
        raise MismatchError(
            f"patient {grid.patient_id}: images {shapes[0]} and labels {shapes[1]} do not fit "
            f"the grid {grid.shape}"
        )
    if not np.isfinite(stored.images).all():
        raise DataError(f"patient {grid.patient_id}: images hold values that are not finite")
    if int(stored.labels.max()) >= N_CLASSES:
        raise DataError(
            f"patient {grid.patient_id}: labels go up to {int(stored.labels.max())}, "
            f"expected canonical labels up to {N_CLASSES - 1}"
        )


def _grid(entry: Mapping[str, Any]) -> Grid:
    """Turn JSON lists back into the tuples by which grids compare."""
    return Grid(
        patient_id=entry["patient_id"],
        shape=tuple(entry["shape"]),
        spacing_mm=tuple(entry["spacing_mm"]),
        crop_start=tuple(entry["crop_start"]),
        affine=tuple(tuple(row) for row in entry["affine"]),
    )


def _write_array(path: Path, array: NDArray[np.float16]) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            np.save(stream, array.astype(np.float16, copy=False))
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _open_array(path: Path, size: int) -> NDArray[np.float16]:
    found = path.stat().st_size if path.is_file() else -1
    if found != size:
        what = "is missing" if found < 0 else f"has {found} bytes, expected {size}"
        raise DataError(f"{path}: the array {what}; run {MADE_BY} again")
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)  # type: ignore[no-any-return]
    except ValueError as error:
        raise DataError(f"{path}: damaged ({error}); run {MADE_BY} again") from None
