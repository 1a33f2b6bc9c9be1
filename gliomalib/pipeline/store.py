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
from gliomalib.schema import DataError, StoredCase

_SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")


@dataclass(frozen=True)
class Store:
    """The patients in ``root/key``; the key stands for the settings and the code that made them."""

    root: Path
    key: str

    @property
    def folder(self) -> Path:
        """Where the entries lie."""
        return self.root / self.key

    def put(self, stored: StoredCase, source_digest: str, facts: Mapping[str, Any]) -> None:
        """Write one patient, in place of what was there.

        ``source_digest`` stands for the files it was made of; ``facts`` are kept as JSON.
        Raises ``DataError`` for a patient ID that is no safe file name.
        """
        array = np.concatenate([stored.images, stored.labels[np.newaxis]], dtype=np.float16)
        notes = {"source_digest": source_digest, "facts": dict(facts)}
        self._file(stored.grid.patient_id).write(array, stored.grid, notes)

    def get(self, patient_id: str) -> StoredCase:
        """Return one patient; the images are memory-mapped and read-only.

        Raises ``DataError`` where the patient is missing or the entry is damaged.
        """
        array, grid = self._file(patient_id).read()
        return StoredCase(grid, array[:-1], array[-1].astype(np.uint8))

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
        if not _SAFE_NAME.fullmatch(patient_id):
            raise DataError(
                f"patient ID {patient_id!r} cannot be a file name; use letters, digits, '_', '-' "
                "and '.', starting with a letter or digit"
            )
        return ArrayFile(self.folder / f"{patient_id}.npy", "run 02_preprocessing again")
