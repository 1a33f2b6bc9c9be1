"""An array of a patient on disk, and beside it a small file that says what it is.

    P1.npy    the array (C, X, Y, Z)
    P1.json   its grid, whatever else was noted, and the size and SHA-256 of P1.npy

The ``.json`` is written last and removed first: a process that is killed in between leaves an
array without one, and that counts as nothing.
"""

import hashlib
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray
from pydantic import TypeAdapter

from gliomalib.provenance import file_digest, open_atomic, write_atomic
from gliomalib.schema import DataError, Grid, StoredError

_GRID = TypeAdapter(Grid)


@dataclass(frozen=True)
class ArrayFile:
    """An array at ``path``, named ``<patient>.npy``; ``remedy`` says how to make it anew."""

    path: Path
    remedy: str

    @property
    def notes_path(self) -> Path:
        """The file beside the array."""
        return self.path.with_suffix(".json")

    def write(self, parts: Sequence[NDArray[Any]], grid: Grid, notes: Mapping[str, Any]) -> None:
        """Write an array with its grid and ``notes`` (JSON), in place of another.

        The array (C, X, Y, Z) is its ``parts`` of one type, one after the other along C.
        """
        self.notes_path.unlink(missing_ok=True)
        shape = (sum(map(len, parts)), *parts[0].shape[1:])
        header = io.BytesIO()
        descr = npy.dtype_to_descr(parts[0].dtype)
        npy.write_array_header_1_0(header, {"descr": descr, "fortran_order": False, "shape": shape})
        content = [header.getbuffer(), *(np.ascontiguousarray(part).data for part in parts)]
        # the disk and the digest take what is in memory, and both leave Python free
        with ThreadPoolExecutor(1) as pool, open_atomic(self.path) as stream:
            digest = pool.submit(_sha256, content)
            stream.writelines(content)
        described = {
            **notes,
            "grid": asdict(grid),
            "array_sha256": digest.result(),
            "array_bytes": sum(part.nbytes for part in content),
        }
        write_atomic(self.notes_path, json.dumps(described, indent=1, sort_keys=True) + "\n")

    def notes(self) -> dict[str, Any]:
        """Return what was noted; raises ``DataError`` where that is missing or damaged."""
        try:
            content: dict[str, Any] = json.loads(self.notes_path.read_text(encoding="utf-8"))
            owner = _GRID.validate_python(content["grid"]).patient_id
            whole = {"array_sha256", "array_bytes"} <= set(content)
        except FileNotFoundError:
            raise StoredError(f"{self.notes_path}: is missing; {self.remedy}") from None
        except (ValueError, KeyError, TypeError) as error:
            reason = " ".join(str(error).split())
            raise StoredError(f"{self.notes_path}: is damaged ({reason}); {self.remedy}") from None
        if owner != self.path.stem or not whole:
            raise StoredError(
                f"{self.notes_path}: belongs to {owner} or is incomplete; {self.remedy}"
            )
        return content

    def read(self) -> tuple[NDArray[Any], Grid]:
        """Return the array, memory-mapped and read-only, and its grid.

        Raises ``DataError`` where a file is missing or damaged, or the two do not fit.
        """
        notes = self.notes()
        size = self.path.stat().st_size if self.path.is_file() else 0
        if size != notes["array_bytes"]:
            raise StoredError(
                f"{self.path}: has {size} bytes, expected {notes['array_bytes']}; {self.remedy}"
            )
        grid = _GRID.validate_python(notes["grid"])
        try:
            # np.load would also open a zip or a pickle
            array: NDArray[Any] = npy.open_memmap(self.path, mode="r")
        except (ValueError, OverflowError, TypeError, SyntaxError) as error:
            raise StoredError(f"{self.path}: is damaged ({error}); {self.remedy}") from None
        if array.shape[1:] != grid.shape:
            raise StoredError(
                f"{self.path}: has shape {array.shape}, its grid says {grid.shape}; {self.remedy}"
            )
        return array, grid

    def intact(self, **notes: Any) -> bool:
        """Say whether the array is there, unchanged to the byte, and has these ``notes``."""
        try:
            content = self.notes()
        except DataError:
            return False
        same = all(content.get(name) == value for name, value in notes.items())
        # the digest last: it reads the whole array
        return same and self.path.is_file() and content["array_sha256"] == file_digest(self.path)


def _sha256(parts: Iterable[memoryview]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()
