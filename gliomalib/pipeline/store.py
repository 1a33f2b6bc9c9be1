"""Preprocessed patients on disk: one array and its notes each, whole or not there.

The array (``<patient>.npy``, float16, shape (5, X, Y, Z)) holds the four sequences and the
labels, (1, X, Y, Z) of a case without images the labels; float16 keeps 0 to 3 exactly.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gliomalib.data.arrays import ArrayFile
from gliomalib.provenance import digest_of
from gliomalib.schema import N_CLASSES, SEQUENCES, DataError, MismatchError, StoredCase, StoredError

REMEDY = "run 02_preprocessing again"
"""What to do where an entry is missing or damaged."""

_MAGNITUDE, _INFINITE = np.uint16(0x7FFF), np.uint16(0x7C00)
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
        array = stored.images, stored.labels[np.newaxis].astype(np.float16)
        notes = {"source_digest": source_digest, "facts": dict(facts)}
        self._file(stored.grid.patient_id).write(array, stored.grid, notes)

    def get(self, patient_id: str) -> StoredCase:
        """Return one patient; the images are memory-mapped and read-only.

        Raises ``DataError`` where the patient is missing or the entry is damaged.
        """
        file = self._file(patient_id)
        array, grid = file.read()
        if len(array) not in (1, len(SEQUENCES) + 1) or array.dtype != np.float16:
            raise StoredError(
                f"{file.path}: array is {array.dtype} {array.shape}, expected "
                f"{len(SEQUENCES) + 1} volumes of float16; {REMEDY}"
            )
        labels = array[-1]
        # as bits NaN, what is negative and what is larger all lie above the last class
        if labels.view(np.uint16).max(initial=0) > np.float16(N_CLASSES - 1).view(np.uint16):
            raise StoredError(f"{file.path}: has labels other than 0 to {N_CLASSES - 1}; {REMEDY}")
        return StoredCase(grid, array[:-1], labels.astype(np.uint8))

    def facts(self, patient_id: str) -> dict[str, Any]:
        """Return what was noted about a patient when it was put there; raises as ``get``."""
        return dict(self._file(patient_id).notes()["facts"])

    def digest(self, patient_ids: Sequence[str]) -> str:
        """Return a digest of these patients' arrays and grids, in this order; raises as ``get``."""
        entries = [self._file(name).notes() for name in patient_ids]
        return digest_of([[entry["array_sha256"], entry["grid"]] for entry in entries])

    def is_fresh(self, patient_id: str, source_digest: str) -> bool:
        """Say whether the entry is there, undamaged to the byte, and made of these sources."""
        return self._file(patient_id).intact(source_digest=source_digest)

    def patients(self) -> list[str]:
        """Return the IDs of the patients that are there, sorted."""
        names = (path.stem for path in self.folder.glob("*.json"))
        return sorted(name for name in names if _SAFE_NAME.fullmatch(name))

    def _file(self, patient_id: str) -> ArrayFile:
        _check_name(patient_id, "patient ID")
        return ArrayFile(self.folder / f"{patient_id}.npy", REMEDY)


def _check_name(name: str, what: str) -> None:
    if not _SAFE_NAME.fullmatch(name):
        raise DataError(
            f"{what} {name!r} cannot be a file name; use letters, digits, '_', '-' and '.', "
            "starting with a letter or digit"
        )


def _check_stored(stored: StoredCase) -> None:
    grid = stored.grid
    shapes = (stored.images.shape, stored.labels.shape)
    if shapes not in [((count, *grid.shape), grid.shape) for count in (0, len(SEQUENCES))]:
        raise MismatchError(
            f"patient {grid.patient_id}: images {shapes[0]} and labels {shapes[1]} do not fit "
            f"the grid {grid.shape}"
        )
    # a full exponent is infinite or NaN; numpy's own look at half precision takes ten times longer
    if any((image.view(np.uint16) & _MAGNITUDE).max() >= _INFINITE for image in stored.images):
        raise DataError(f"patient {grid.patient_id}: images hold values that are not finite")
    if int(stored.labels.max()) >= N_CLASSES:
        raise DataError(
            f"patient {grid.patient_id}: labels go up to {int(stored.labels.max())}, "
            f"expected canonical labels up to {N_CLASSES - 1}"
        )
