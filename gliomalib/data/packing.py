"""What a file holds: inflated, where it was packed with gzip."""

import zlib
from pathlib import Path

import numpy as np
from isal import igzip, isal_zlib
from numpy.typing import NDArray

from gliomalib.schema import DataError

_GZIP = b"\x1f\x8b"
_MOST = 1032
"""How many times smaller than its content a deflated file can be."""


def unpacked(path: Path, stored: bytes) -> NDArray[np.uint8]:
    """Return the content of the bytes of a file, inflated where its name ends with .gz.

    Raises ``DataError`` where bytes and name do not fit, or the bytes are damaged.
    """
    packed = stored.startswith(_GZIP)
    if packed != path.name.lower().endswith(".gz"):
        message = (
            f"is compressed, though its name does not end with .gz; rename it to {path.name}.gz"
            if packed
            else "cannot be read as gzip, though its name ends with .gz; fetch it again, or rename "
            "it if it was never compressed"
        )
        raise DataError(f"{path}: {message}", "gzip named .nii" if packed else "not gzip")
    if not packed:
        return np.frombuffer(stored, np.uint8)
    try:
        return _inflated(stored)
    except (OSError, EOFError, zlib.error, isal_zlib.IsalError) as error:  # type: ignore[misc]
        message = f"truncated or damaged ({error}); fetch it again"
        raise DataError(f"{path}: {message}", "damaged gzip") from None


def _inflated(stored: bytes) -> NDArray[np.uint8]:
    # a file ends with its size; room that NumPy makes at once, in large pages, is filled twice as
    # fast as bytes that isal makes
    size = int.from_bytes(stored[-4:], "little")
    content = np.empty(min(size, _MOST * len(stored)), np.uint8)
    reader, filled = isal_zlib._GzipReader(stored), 0  # type: ignore[arg-type]
    while count := reader.readinto(content[filled:]) if filled < content.size else 0:
        filled += count
    # only at the end the checksum is looked at; there is more of several members
    if filled < size or reader.read(1):
        return np.frombuffer(igzip.decompress(stored), np.uint8)
    return content
