"""One NIfTI file read safely: whatever its bytes, voxels that were written or one sentence."""

import gzip
import os
import struct
import warnings
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gliomalib.data import inspection, nifti
from gliomalib.data.nifti import NiftiVolume
from gliomalib.data.readers import survey
from gliomalib.schema import SEQUENCES, Case, DataError
from tests import faults, layouts
from tests.faults import FAULTS

SHAPE = (5, 6, 4)
AFFINE = np.diag([-1.0, -1.0, 1.0, 1.0])
VALUES = np.arange(120, dtype=np.int16).reshape(SHAPE)
PLAIN, PACKED = Path("a_t1.nii"), Path("a_t1.nii.gz")


def written(
    values: np.ndarray = VALUES, affine: np.ndarray = AFFINE, kind: type = nib.Nifti1Image
) -> bytes:
    """Return the bytes of a NIfTI file."""
    content: bytes = kind(values, affine, dtype=values.dtype).to_bytes()
    return content


GOOD = {kind: written(kind=kind) for kind in (nib.Nifti1Image, nib.Nifti2Image)}
HEADER = {nib.Nifti1Image: 352, nib.Nifti2Image: 544}
GZIPPED = gzip.compress(GOOD[nib.Nifti1Image], mtime=0)


def decoded(content: bytes, path: Path = PLAIN) -> NiftiVolume | None:
    """Return the volume, or None after a fault that is one line, names the file and has a kind.

    Anything else that is raised is a fault of ours.
    """
    with warnings.catch_warnings():
        # numbers at the end of their range overflow inside of the library, which is then told
        warnings.simplefilter("ignore", RuntimeWarning)
        warnings.simplefilter("ignore", UserWarning)
        try:
            return nifti.decode(path, content)
        except DataError as error:
            assert str(error).startswith(f"{path}: ")
            assert "\n" not in str(error)
            assert error.kind != "unusable"
            return None


@pytest.mark.parametrize("kind", GOOD)
def test_an_extension_is_passed_over(kind: type) -> None:
    image = kind(VALUES, AFFINE, dtype=VALUES.dtype)
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"a" * 5000))
    np.testing.assert_array_equal(nifti.decode(PLAIN, image.to_bytes()).values, VALUES)


@given(st.sampled_from(["u1", "<i2", ">i2", "<f4"]), st.floats(-3, 3), st.floats(-99, 99))
def test_voxels_are_scaled_as_nibabel_does(dtype: str, slope: float, inter: float) -> None:
    image = nib.Nifti1Image(VALUES.astype(dtype), AFFINE)
    image.header.set_data_dtype(dtype)
    content = bytearray(image.to_bytes())
    struct.pack_into(image.header.endianness + "2f", content, 112, slope, inter)
    expected = np.asanyarray(nib.Nifti1Image.from_bytes(bytes(content)).dataobj)
    values = nifti.decode(PLAIN, bytes(content)).values
    assert values.dtype == expected.dtype
    np.testing.assert_array_equal(values, expected)


# --- damage


@pytest.mark.parametrize(
    ("path", "content"), [*((PLAIN, good) for good in GOOD.values()), (PACKED, GZIPPED)]
)
def test_a_file_cut_anywhere_is_a_fault(path: Path, content: bytes) -> None:
    for length in range(len(content)):
        assert decoded(content[:length], path) is None, length
    assert (nifti.decode(path, content).values == VALUES).all()


def test_no_flipped_bit_of_a_packed_file_changes_a_voxel_unnoticed() -> None:
    n_bits, harmless = 8 * len(GZIPPED), 0
    for bit in range(n_bits):
        changed = bytearray(GZIPPED)
        changed[bit // 8] ^= 1 << bit % 8
        found = decoded(bytes(changed), PACKED)
        if found is not None:
            # the date of the packing, the filling of its last byte
            harmless += 1
            assert (found.values == VALUES).all()
    assert harmless < 0.05 * n_bits


@pytest.mark.parametrize("kind", GOOD)
@given(data=st.data())
def test_a_header_of_random_bytes_is_read_or_refused(kind: type, data: st.DataObject) -> None:
    content = bytearray(GOOD[kind])
    places = st.integers(4, HEADER[kind] - 1)
    for place in data.draw(st.lists(places, min_size=1, max_size=8)):
        content[place] = data.draw(st.integers(0, 255))
    found = decoded(bytes(content))
    if found is not None:
        assert found.values.ndim == 3
        assert np.isfinite(found.values).all()
        assert min(found.spacing_mm) > 0
        assert np.linalg.matrix_rank(np.asarray(found.affine)[:3, :3]) == 3


@given(content=st.binary(max_size=700), packed=st.booleans())
def test_bytes_that_are_nothing_are_refused(content: bytes, packed: bool) -> None:
    assert decoded(gzip.compress(content), PACKED) is None
    assert decoded(content, PACKED if packed else PLAIN) is None


# sizes in between might be had from the system, were they asked for
LENGTHS = st.integers(0, 1000) | st.integers(2**50, 2**63 - 1)


@given(length=LENGTHS, slope=st.sampled_from([1.0, 2.0]))
def test_a_header_that_announces_too_much_is_refused_at_once(length: int, slope: float) -> None:
    content = bytearray(GOOD[nib.Nifti2Image])
    struct.pack_into("<4q", content, 16, 3, length, 6, 4)
    struct.pack_into("<d", content, 176, slope)
    found = decoded(bytes(content))
    assert (found is None) == (length > 5 or length == 0)


def test_the_beginning_of_a_file_is_not_told_further_than_its_first_number() -> None:
    with pytest.raises(DataError) as told:
        nifti.decode(PLAIN, b"Secret name of a patient" * 20)
    assert "Secr" in str(told.value)
    assert "Secre" not in str(told.value)


# --- what may be


@pytest.mark.parametrize("dtype", ["u1", "i1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_every_type_of_number_is_read(dtype: str, order: str) -> None:
    header = nib.Nifti1Header(endianness=order)
    header.set_data_dtype(np.dtype(dtype).newbyteorder(order))
    content = nib.Nifti1Image(VALUES.astype(dtype), AFFINE, header).to_bytes()
    found = nifti.decode(PLAIN, content)
    assert (found.values == VALUES).all()
    assert found.spacing_mm == (1.0, 1.0, 1.0)
    assert found.affine == tuple(map(tuple, AFFINE.tolist()))


@pytest.mark.parametrize("kind", [np.complex64, np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])])
def test_what_is_no_real_number_is_refused(kind: np.typing.DTypeLike) -> None:
    content = nib.Nifti1Image(np.zeros(SHAPE, kind), AFFINE).to_bytes()
    with pytest.raises(
        DataError, match="one real number each; check that this is the right"
    ) as refused:
        nifti.decode(PLAIN, content)
    assert refused.value.kind == "data type"


def test_values_are_scaled_where_the_header_says_so() -> None:
    content = bytearray(GOOD[nib.Nifti1Image])
    struct.pack_into("<2f", content, 112, 0.5, -3)
    assert (nifti.decode(PLAIN, bytes(content)).values == VALUES * 0.5 - 3).all()


def test_a_file_packed_in_pieces_is_read_whole() -> None:
    content = GOOD[nib.Nifti1Image]
    pieces = gzip.compress(content[:400]) + gzip.compress(content[400:])
    assert (nifti.decode(PACKED, pieces).values == VALUES).all()


def test_a_packed_file_under_a_plain_name_is_told_how_to_be_called() -> None:
    with pytest.raises(DataError, match=r"a_t1.nii: is compressed.*rename it to a_t1.nii.gz"):
        nifti.decode(PLAIN, GZIPPED)


def test_one_channel_of_four(tmp_path: Path) -> None:
    stacked = np.stack([VALUES + 1000 * k for k in range(4)], axis=-1)
    nib.save(nib.Nifti1Image(stacked, AFFINE), tmp_path / "x.nii.gz")
    case = Case("x", "x", "x", {}, None, channels=("flair", "t1", "t1ce", "t2"))
    assert [nifti.channel_of(case, name) for name in (*SEQUENCES, "seg")] == [1, 2, 3, 0, None]
    found = nifti.load(tmp_path / "x.nii.gz", nifti.channel_of(case, "t2"))
    assert (found.values == VALUES + 3000).all()
    with pytest.raises(DataError, match=r"shape is \(5, 6, 4, 4\), expected three dimensions"):
        nifti.load(tmp_path / "x.nii.gz")


# --- the header and the grid


@pytest.mark.parametrize(
    ("row", "kind"),
    [
        ([-1, -1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0], "singular affine"),
        ([-1, 0, 0, np.inf, 0, -1, 0, 0, 0, 0, 1, 0], "singular affine"),
        ([-1, 0, 0, np.nan, 0, -1, 0, 0, 0, 0, 1, 0], "singular affine"),
        ([-1, 0, 0, 0, 0, -1, 0, 0, 0, 0, 0, 0], "voxel size"),
        ([-2, 0, 0, 0, 0, -1, 0, 0, 0, 0, 1, 0], "voxel size"),
    ],
)
def test_an_affine_of_no_use_is_refused(row: list[float], kind: str) -> None:
    content = bytearray(GOOD[nib.Nifti1Image])
    struct.pack_into("<12f", content, 280, *row)
    with pytest.raises(DataError, match="correct the header") as refused:
        nifti.decode(PLAIN, bytes(content))
    assert refused.value.kind == kind


@given(
    turn=st.floats(-np.pi, np.pi),
    sizes=st.tuples(*[st.floats(0.2, 9)] * 3),
    shift=st.tuples(*[st.floats(-500, 500)] * 3),
)
def test_an_oblique_affine_is_taken_as_it_is(
    turn: float, sizes: tuple[float, ...], shift: tuple[float, ...]
) -> None:
    affine = np.eye(4)
    affine[:2, :2] = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    affine[:3, :3] *= sizes
    affine[:3, 3] = shift
    found = nifti.decode(PLAIN, written(affine=affine))
    assert np.allclose(found.affine, affine, atol=1e-4)
    assert np.allclose(found.spacing_mm, sizes, rtol=1e-5)


@pytest.mark.parametrize(("code", "per_mm"), [(0, 1), (1, 0.001), (2, 1), (3, 1000), (7, 1)])
@pytest.mark.parametrize("time", [0, 8, 24])
def test_every_unit_becomes_millimetres(code: int, per_mm: float, time: int) -> None:
    sizes = np.array([0.5, 1.0, 2.5])
    affine = np.diag([*(-sizes * per_mm), 1.0])
    affine[:3, 3] = 30 * per_mm
    content = bytearray(written(affine=affine))
    content[faults.UNITS] = code + time
    found = nifti.decode(PLAIN, bytes(content))
    assert np.allclose(found.spacing_mm, sizes)
    assert np.allclose(np.asarray(found.affine)[:3], np.c_[np.diag(-sizes), [30] * 3])
    assert [kind for kind, _ in found.doubts] == ([] if 1 <= code <= 3 else ["no unit"])


def test_a_case_in_micron_is_the_case_in_millimetres(tmp_path: Path) -> None:
    files = faults.write(tmp_path, 1)
    (case,) = survey.discover(tmp_path)
    before = nifti.read_case(case)
    for path in files.values():
        values = np.asarray(nib.load(path).dataobj)
        faults.save(path, values, np.diag([1000, 1000, 1000, 1]) @ faults.AFFINE)
        faults.put(path, faults.UNITS, "B", 3)
    after = nifti.read_case(case)
    assert (after.spacing_mm, after.affine) == (before.spacing_mm, before.affine)
    assert np.array_equal(after.images, before.images)
    assert inspection.inspect(case).faults == ()


@pytest.mark.parametrize("size", [0.19, 10.1, 0.001, 1000.0])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_voxel_that_is_none_of_a_brain_is_refused(size: float, axis: int) -> None:
    affine = AFFINE.copy()
    affine[axis, axis] = size
    with pytest.raises(DataError, match=r"expected 0\.2 to 10\.0 mm; correct") as refused:
        nifti.decode(PLAIN, written(affine=affine))
    assert refused.value.kind == "voxel size"
    affine[axis, axis] = np.clip(size, 0.2, 10)
    assert nifti.decode(PLAIN, written(affine=affine)).spacing_mm[axis] == pytest.approx(
        np.clip(size, 0.2, 10)
    )


@pytest.mark.parametrize("more", [(1,), (1, 1), (1, 1, 1)])
def test_needless_axes_are_left_out(more: tuple[int, ...]) -> None:
    found = nifti.decode(PLAIN, written(VALUES.reshape(*SHAPE, *more)))
    assert (found.values == VALUES).all()
    flat = VALUES[..., :1]
    assert nifti.decode(PLAIN, written(flat.reshape(5, 6, 1, *more))).values.shape == (5, 6, 1)
    with pytest.raises(DataError, match=r"shape is \(5, 6, 4, 2\), expected three"):
        nifti.decode(PLAIN, written(np.stack([VALUES] * 2, -1).reshape(*SHAPE, *more, 2)))


@pytest.mark.parametrize("shape", [(*SHAPE, 1, 4), (*SHAPE, 4, 1), (*SHAPE, 1, 4, 1)])
def test_needless_axes_beside_four_sequences_are_left_out(shape: tuple[int, ...]) -> None:
    stacked = np.stack([VALUES + 1000 * k for k in range(4)], axis=-1).reshape(shape)
    for k in range(4):
        assert (nifti.decode(PLAIN, written(stacked), k).values == VALUES + 1000 * k).all()


def volume(shift: float = 0.0, spacing: float = 1.0, flip: bool = False) -> NiftiVolume:
    """Return a volume on a grid that differs in one thing."""
    affine = np.diag([spacing if flip else -spacing, -1.0, 1.0, 1.0])
    affine[0, 3] = shift
    nested = tuple(map(tuple, affine.tolist()))
    return NiftiVolume(Path("b.nii"), VALUES, (spacing, 1.0, 1.0), nested)


@pytest.mark.parametrize(
    ("other", "kind"),
    [
        (volume(), None),
        (volume(shift=0.9 * nifti.AFFINE_TOLERANCE), None),
        (volume(shift=1.1 * nifti.AFFINE_TOLERANCE), "different affine"),
        (volume(spacing=1.02), "different spacing"),
        (volume(flip=True), "different orientation"),
    ],
)
def test_grids_are_one_within_a_tenth_of_a_voxel(other: NiftiVolume, kind: str | None) -> None:
    if kind is None:
        nifti.check_same_grid([volume(), other, other])
        return
    with pytest.raises(DataError, match="on one grid, so fetch the case again") as refused:
        nifti.check_same_grid([volume(), volume(), other])
    assert refused.value.kind == kind


@pytest.mark.parametrize(("release", "kind"), [("brats2017", None), ("brats2018", "different")])
def test_a_mask_of_2017_may_have_an_origin_of_its_own(
    release: str, kind: str | None, tmp_path: Path
) -> None:
    files = layouts.write(tmp_path, release, 105)
    raw = layouts.raw_mask(release)
    affine = layouts.AFFINE.copy()
    affine[:3, 3] = 0, 239, 5
    nib.save(nib.Nifti1Image(raw, affine), files["seg"])
    (case,) = survey.discover(tmp_path)
    if kind:
        assert [fault.kind for fault in inspection.inspect(case).faults] == ["different affine"]
        with pytest.raises(DataError, match="affine is"):
            nifti.read_case(case)
        return
    assert not [f for f in inspection.inspect(case).faults if f.kind.startswith("different")]
    scan = nifti.read_case(case)
    assert scan.affine == tuple(map(tuple, layouts.AFFINE.tolist()))
    nib.save(nib.Nifti1Image(raw, affine @ np.diag([-1, 1, 1, 1])), files["seg"])
    with pytest.raises(DataError, match="the axes run"):
        nifti.read_case(case)
    nib.save(nib.Nifti1Image(raw, layouts.AFFINE), files["seg"])
    nib.save(nib.Nifti1Image(np.ones(layouts.SHAPE, np.int16), affine), files["t2"])
    with pytest.raises(DataError, match=r"t2.*affine is"):
        nifti.read_case(case)


# --- the disk


def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.nii")
    (tmp_path / "folder.nii").mkdir()
    (tmp_path / "empty.nii").touch()
    (tmp_path / "loop.nii").symlink_to("loop.nii")
    kinds = {"pipe": "no regular file", "folder": "a folder", "empty": "0 bytes"}
    kinds |= {"loop": "unreadable", "gone": "no such file"}
    for name, kind in kinds.items():
        with pytest.raises(DataError, match=f"{name}.nii: ") as refused:
            nifti.read_bytes(tmp_path / f"{name}.nii")
        assert refused.value.kind == kind


WHOLE_SCANS = (
    *("constant volume", "empty volume", "no brain", "no tumour", "same scan twice", "mask in air"),
)
"""Kinds of faults that only an inspection looks for."""


@pytest.mark.parametrize(
    "name",
    [name for name, fault in FAULTS.items() if fault.at and fault.kind not in WHOLE_SCANS],
)
def test_a_case_at_fault_is_not_read(name: str, tmp_path: Path) -> None:
    files, planted = faults.write(tmp_path, 1), FAULTS[name]
    case = Case("C1", "P1", "brats2020", {part: files[part] for part in SEQUENCES}, files["seg"])
    assert nifti.read_case(case).labels is not None
    planted.plant(files)
    with pytest.raises(DataError, match=planted.advice) as refused:
        nifti.read_case(case)
    assert str(planted.place(files)) in str(refused.value)
