"""Packed files: what comes out is what went in, as Python's own gzip says, or one sentence."""

import gzip
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gliomalib.data import packing
from gliomalib.schema import DataError

PATH = Path("a_t1.nii.gz")
CONTENT = bytes(range(256)) * 9 + bytes(3000)
PACKED = gzip.compress(CONTENT, mtime=0)


@given(st.lists(st.binary(max_size=400), min_size=1, max_size=4), st.integers(0, 3))
def test_one_member_or_several_with_zeros_behind(parts: list[bytes], zeros: int) -> None:
    packed = b"".join(map(gzip.compress, parts)) + bytes(8 * zeros)
    assert packing.unpacked(PATH, packed).tobytes() == gzip.decompress(packed) == b"".join(parts)


@given(st.integers(0, len(PACKED) - 1), st.integers(1, 255))
def test_a_changed_byte_is_seen_where_python_sees_it(place: int, flipped: int) -> None:
    packed = bytearray(PACKED)
    packed[place] ^= flipped
    try:
        expected = gzip.decompress(bytes(packed))
    except (OSError, EOFError, zlib.error):
        with pytest.raises(DataError, match="fetch it again"):
            packing.unpacked(PATH, bytes(packed))
        return
    assert packing.unpacked(PATH, bytes(packed)).tobytes() == expected


@given(st.integers(2, len(PACKED) - 1))
def test_a_file_that_ends_too_soon_is_damaged(length: int) -> None:
    with pytest.raises(DataError, match=r"a_t1\.nii\.gz: truncated or damaged") as caught:
        packing.unpacked(PATH, PACKED[:length])
    assert caught.value.kind == "damaged gzip"


def test_a_size_that_no_file_can_have_takes_no_memory() -> None:
    announced = PACKED[:-4] + (2**32 - 1).to_bytes(4, "little")
    with pytest.raises(DataError, match="truncated or damaged"):
        packing.unpacked(PATH, announced)


def test_name_and_bytes_fit() -> None:
    assert packing.unpacked(Path("a.nii"), CONTENT).tobytes() == CONTENT
    with pytest.raises(DataError, match=r"rename it to a\.nii\.gz"):
        packing.unpacked(Path("a.nii"), PACKED)
    with pytest.raises(DataError, match="cannot be read as gzip"):
        packing.unpacked(PATH, CONTENT)
