"""NIfTI files of any header and any bytes: read voxel by voxel as they say, or refused.

What is accepted is read again by `slow`, which knows the format from its description alone
(nifti1.h) and takes the header's numbers one by one.
"""

import gzip
import itertools
import math
import struct
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from hypothesis import strategies as st

from gliomalib.data import nifti
from gliomalib.data.nifti import NiftiVolume
from gliomalib.schema import DataError
from tests.fuzz.doors import Door, Known, Outcome, sentence

OFFSETS = {
    1: {"dim": 40, "type": 70, "pixdim": 76, "vox": 108, "slope": 112, "inter": 116, "units": 123},
    2: {"dim": 16, "type": 12, "pixdim": 104, "vox": 168, "slope": 176, "inter": 184, "units": 500},
}
FORMS = {
    1: {"dim": "8h", "type": "h", "pixdim": "8f", "vox": "f", "slope": "f", "inter": "f"},
    2: {"dim": "8q", "type": "h", "pixdim": "8d", "vox": "q", "slope": "d", "inter": "d"},
}
TYPES = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4"}
TYPES |= {1024: "i8", 1280: "u8"}
TO_MM = {1: 1000.0, 2: 1.0, 3: 0.001}


@dataclass(frozen=True)
class File:
    """A file that is right at first, and what is then done to its bytes."""

    shape: tuple[int, ...] = (3, 4, 2)
    dtype: str = "<i2"
    version: int = 1
    packed: bool = False
    spacing: float = 1.0
    units: int = 2
    slope: tuple[float, float] = (1.0, 0.0)
    codes: tuple[int, int] = (1, 1)
    nan: bool = False
    puts: tuple[tuple[str, int, float], ...] = ()
    bytes_: tuple[tuple[int, int], ...] = ()
    cut: int | None = None
    more: bytes = b""
    name: str = "a_t1.nii"

    @property
    def damaged(self) -> bool:
        """Whether anything was done to it that may make it another file, or none."""
        misnamed = self.name.endswith(".gz") and not self.packed
        return bool(self.puts or self.bytes_ or self.cut is not None or self.more or misnamed)


def content(file: File) -> bytes:
    """Return the bytes of a file."""
    values = np.arange(1, 1 + math.prod(file.shape)).reshape(file.shape).astype(file.dtype)
    if file.nan and values.dtype.kind == "f":
        values.flat[0] = np.nan
    kind = {1: nib.Nifti1Header, 2: nib.Nifti2Header}[file.version]
    header = kind(endianness=">" if file.dtype.startswith(">") else "<")
    header.set_data_dtype(values.dtype)
    header.set_data_shape(file.shape)
    affine = np.diag([-file.spacing, -file.spacing, file.spacing, 1])
    header.set_sform(affine, file.codes[0])
    header.set_qform(affine, file.codes[1])
    header["xyzt_units"] = file.units
    header["vox_offset"] = {1: 352, 2: 544}[file.version]
    header["scl_slope"], header["scl_inter"] = file.slope
    header["magic"] = {1: b"n+1\0", 2: b"n+2\0\r\n\x1a\n"}[file.version]
    made = bytearray(header.binaryblock + b"\0" * 4 + values.tobytes(order="F"))
    order = ">" if file.dtype.startswith(">") else "<"
    for name, index, value in file.puts:
        form = FORMS[file.version][name][-1]
        at = OFFSETS[file.version][name] + index * struct.calcsize(order + form)
        try:
            struct.pack_into(order + form, made, at, value if form in "fd" else int(value))
        except (struct.error, OverflowError, ValueError):
            continue
    for at, byte in file.bytes_:
        made[at % len(made)] = byte
    packed = gzip.compress(bytes(made), mtime=0) if file.packed else bytes(made)
    return packed[: file.cut] + file.more


def slow(stored: bytes) -> tuple[np.ndarray, list[float], np.ndarray | None]:
    """Return voxels as scaled, the sides of a voxel in mm, and the affine of sform where it counts.

    Only for what the project has accepted.
    """
    made = gzip.decompress(stored) if stored.startswith(b"\x1f\x8b") else stored
    order = "<" if struct.unpack_from("<i", made)[0] in (348, 540) else ">"
    version = 1 if struct.unpack_from(order + "i", made)[0] == 348 else 2
    place, form = OFFSETS[version], FORMS[version]
    read = {name: struct.unpack_from(order + form[name], made, place[name]) for name in form}
    n, *sides = read["dim"]
    shape = sides[:n]
    dtype = np.dtype(order + TYPES[read["type"][0]])
    flat = np.frombuffer(made, dtype, math.prod(shape), int(read["vox"][0]))
    (slope,), (inter,) = read["slope"], read["inter"]
    values = flat.reshape(shape, order="F")
    if slope and math.isfinite(slope):
        values = values * np.float64(slope) + np.float64(inter)
    values = values.reshape([*shape[:3], *(side for side in shape[3:] if side != 1)])
    units = struct.unpack_from("B" if version == 1 else order + "i", made, place["units"])[0]
    factor = TO_MM.get(units & 7, 1.0)
    sform_at, code_at = {1: (280, "h254"), 2: (400, "i348")}[version]
    code = struct.unpack_from(order + code_at[0], made, int(code_at[1:]))[0]
    rows = np.array(struct.unpack_from(order + {1: "12f", 2: "12d"}[version], made, sform_at))
    # a code beyond those of the standard says as little as 0
    known = 1 <= code <= 5
    affine = np.vstack([rows.reshape(3, 4) * factor, [0, 0, 0, 1]]) if known else None
    return values, [side * factor for side in read["pixdim"][1:4]], affine


def attempt(file: File, folder: Path) -> Outcome:
    """Read a file; compare with what was written, and with what the slow reader sees."""
    path = folder / (file.name + ".gz" * file.packed)
    stored = content(file)
    path.write_bytes(stored)
    try:
        volume = nifti.load(path)
    except DataError as error:
        said = sentence(error, path)
        assert said.startswith(f"{path}: ") and error.kind != "unusable", said
        assert file.damaged or not _sound(file), f"a sound file is refused: {said}"
        return Outcome(True, said)
    _compare(volume, stored)
    if not file.damaged:
        written = np.arange(1, 1 + math.prod(file.shape)).reshape(file.shape[:3])
        scaled = written * float(file.slope[0]) + file.slope[1]
        np.testing.assert_allclose(volume.values, scaled, rtol=1e-6)
    return Outcome(False, " ".join(words for _, words in volume.doubts))


def _compare(volume: NiftiVolume, stored: bytes) -> None:
    values, sides, affine = slow(stored)
    assert volume.values.shape == values.shape
    assert np.isfinite(volume.values).all()
    np.testing.assert_allclose(volume.values, values, rtol=1e-5)
    np.testing.assert_allclose(volume.spacing_mm, sides, rtol=1e-6)
    assert 0.2 <= min(volume.spacing_mm) <= max(volume.spacing_mm) <= 10
    if affine is not None:
        np.testing.assert_allclose(volume.affine, affine, rtol=1e-6)


def _sound(file: File) -> bool:
    spacing = file.spacing * TO_MM.get(file.units & 7, 1.0)
    squeezed = [*file.shape[:3], *(side for side in file.shape[3:] if side != 1)]
    values = file.nan and np.dtype(file.dtype).kind == "f"
    return len(squeezed) == 3 and 0.2 <= spacing <= 10 and not values


NUMBERS = st.one_of(
    st.sampled_from([0, 1, -1, 2, 3, 4, 8, 348, 540, 1e-6, 1e30, -0.0]),
    st.sampled_from([math.nan, math.inf, -math.inf, 32767, -32768, 2**31 - 1, 0.001, 1000.0]),
    st.floats(allow_nan=False, width=32),
)
PUTS = st.one_of(
    st.tuples(st.sampled_from(["dim", "pixdim"]), st.integers(0, 7), NUMBERS),
    st.tuples(st.sampled_from(["type", "vox", "slope", "inter"]), st.just(0), NUMBERS),
    st.tuples(st.just("type"), st.just(0), st.sampled_from([*TYPES, 1, 32, 128, 1536, 1792])),
)
SHAPES = st.one_of(
    *[st.tuples(*[st.integers(1, 5)] * 3)] * 3,
    st.tuples(*[st.integers(1, 3)] * 4),
    st.tuples(*[st.integers(1, 4)] * 3, st.just(1), st.just(1)),
    st.tuples(*[st.integers(1, 4)] * 2),
)
DAMAGE = st.one_of(
    st.fixed_dictionaries({"puts": st.lists(PUTS, min_size=1, max_size=3).map(tuple)}),
    st.fixed_dictionaries(
        {
            "bytes_": st.lists(
                st.tuples(st.integers(0, 600), st.integers(0, 255)), min_size=1, max_size=4
            ).map(tuple)
        }
    ),
    st.fixed_dictionaries({"cut": st.integers(0, 700)}),
    st.fixed_dictionaries({"more": st.binary(min_size=1, max_size=40)}),
    st.fixed_dictionaries({"name": st.sampled_from(["a.nii.gz", "a.NII", "a.nii.nii", "a"])}),
    st.just({}),
    st.just({}),
)


SIZES = st.one_of(
    st.sampled_from([(1.0, 2), (2.5, 2), (0.001, 1), (1000.0, 3), (1.0, 0), (2.0, 10), (0.5, 26)]),
    st.tuples(st.sampled_from([1.0, 0.2, 10.0, 5000.0]), st.sampled_from([2, 0, 1, 3, 7, 255])),
).map(lambda size: {"spacing": size[0], "units": size[1]})


@st.composite
def files(draw: st.DrawFn) -> File:
    """Return files that are right, strange or damaged."""
    made = File(
        shape=draw(SHAPES),
        dtype=draw(st.sampled_from(["<", ">"])) + draw(st.sampled_from(list(TYPES.values()))),
        version=draw(st.sampled_from([1, 1, 1, 2])),
        packed=draw(st.booleans()),
        **draw(SIZES),
        slope=draw(
            st.sampled_from([(1, 0), (1, 0), (1, 5), (0.5, 0), (2, -3), (0.1, 1e-3), (-1, 4)])
        ),
        codes=draw(st.sampled_from([(1, 1), (0, 0), (2, 0), (0, 1), (4, 1)])),
        nan=draw(st.booleans()) and draw(st.booleans()),
    )
    return File(**{**vars(made), **draw(DAMAGE)})


DOOR = Door(
    "headers",
    35,
    files(),
    attempt,
    (
        Known("micron", File(spacing=1000.0, units=3)),
        Known("metre", File(spacing=0.001, units=1)),
        Known("micron that are mm", File(spacing=5000.0), ("expected 0.2 to 10.0 mm",)),
        Known("no unit", File(units=0), ("mm were taken",)),
        Known("both codes 0", File(codes=(0, 0)), ("have code 0",)),
        Known("a code of nothing", File(codes=(0, 0), bytes_=((254, 215),)), ("have code 0",)),
        Known("sform against qform", File(bytes_=((258, 0), (259, 63))), ("from sform",)),
        Known("a last axis of length 1", File(shape=(3, 4, 2, 1))),
        Known("an intercept alone", File(slope=(1.0, 5.0))),
        Known("4-D", File(shape=(3, 4, 2, 4)), ("expected three dimensions",)),
        Known("NaN", File(dtype="<f4", nan=True), ("not finite",)),
        Known("a negative size", File(puts=(("pixdim", 1, -1.0),)), ("voxel size",)),
        Known("more voxels than bytes", File(puts=(("dim", 1, 32767),)), ("announces",)),
        Known("voxels in the header", File(puts=(("vox", 0, 8),)), ("vox",)),
        Known("an infinite intercept", File(puts=(("inter", 0, math.inf),))),
        Known("a pointer instead of a file", File(cut=0, more=b"version https://git-lfs")),
        Known("no byte", File(cut=0), ("0 bytes",)),
        Known("packed under a plain name", File(cut=0, more=gzip.compress(b"x" * 400))),
        *(Known(f"cut at {at}", File(packed=True, cut=at)) for at in (1, 10, 60, -1)),
        *(
            Known("big-endian", File(dtype=f">{kind}", version=version))
            for kind, version in itertools.product(("i2", "f8"), (1, 2))
        ),
    ),
)
