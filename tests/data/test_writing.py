"""Label maps as files: the grid to the millimetre, nothing of another header, whole or not."""

import gzip
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from gliomalib.data import nifti, writing
from gliomalib.schema import DataError

LABELS = np.arange(24, dtype=np.uint8).reshape(2, 3, 4) % 4
LPS = ((-1.0, 0.0, 0.0, 0.0), (0.0, -1.0, 0.0, 239.0), (0.0, 0.0, 1.0, 0.0), (0.0, 0.0, 0.0, 1.0))


def nested(affine: np.ndarray) -> tuple[tuple[float, ...], ...]:
    return tuple(map(tuple, affine.tolist()))


def test_programs_are_told_names_and_colours() -> None:
    itksnap, slicer = writing.label_tables([0, 2, 1, 4]).values()
    rows = [line.split(maxsplit=7) for line in itksnap.splitlines() if line[0] != "#"]
    assert [row[0] for row in rows] == ["0", "1", "2", "4"]
    assert rows[0][4:] == ["0", "0", "0", '"no tumour"']
    assert rows[1] == ["1", "0", "158", "115", "1", "1", "1", '"edema"']
    table = [line.split() for line in slicer.splitlines() if line[0] != "#"]
    assert table[0][5] == "0"
    assert table[2:] == [
        ["2", "necrotic_core", "0", "114", "178", "255"],
        ["4", "enhancing_tumour", "213", "94", "0", "255"],
    ]


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = writing.write_labels(tmp_path / "new" / "a_labels.nii.gz", LABELS, LPS)
    found = nifti.load(path)
    assert (found.values == LABELS).all()
    assert found.values.dtype == np.uint8
    assert found.affine == LPS
    assert found.spacing_mm == (1.0, 1.0, 1.0)
    assert list(path.parent.iterdir()) == [path]


@given(
    st.tuples(*[st.floats(0.3, 6)] * 3),
    st.tuples(*[st.floats(-300, 300)] * 3),
    st.tuples(*[st.floats(-180, 180)] * 3),
    st.booleans(),
    st.floats(-0.4, 0.4),
)
def test_any_affine_comes_back(
    tmp_path_factory: pytest.TempPathFactory,
    spacing: tuple[float, ...],
    origin: tuple[float, ...],
    angles: tuple[float, ...],
    mirrored: bool,
    shear: float,
) -> None:
    affine = np.eye(4)
    skew = np.array([[1, shear, 0], [0, 1, 0], [0, 0, 1]])
    signs = [-1 if mirrored else 1, 1, 1]
    turn = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    affine[:3, :3] = turn @ skew @ np.diag(np.multiply(signs, spacing))
    affine[:3, 3] = origin
    path = writing.write_labels(tmp_path_factory.mktemp("any") / "x.nii.gz", LABELS, nested(affine))
    image = nib.load(path)
    assert np.abs(image.affine - affine).max() < 1e-4
    assert np.abs(image.get_sform() - affine).max() < 1e-4
    square = abs(shear) < 1e-9
    assert bool(image.header["qform_code"]) == square or abs(shear) < 1e-3
    if square:
        # NIfTI stores b, c and d of the quaternion in float32; a is what is missing to 1. Near half
        # a turn a is almost 0, and the root of a rounding error is all that is left of it.
        near_half_a_turn = image.header.get_qform_quaternion()[0] < 0.01
        bound = 4 * np.sqrt(np.finfo(np.float32).eps) * max(spacing) if near_half_a_turn else 1e-3
        assert np.abs(image.get_qform() - affine).max() < bound
    assert np.allclose(nifti.load(path).spacing_mm, np.linalg.norm(affine[:3, :3], axis=0))


def test_the_header_has_no_text(tmp_path: Path) -> None:
    path = writing.write_labels(tmp_path / "a_labels.nii.gz", LABELS, LPS)
    image = nib.load(path)
    for name in ("descrip", "aux_file", "intent_name", "db_name", "data_type"):
        assert not image.header[name].item().strip(b"\0"), name
    assert len(image.header.extensions) == 0
    assert image.header["magic"].item() == b"n+1"
    assert image.header.get_xyzt_units()[0] == "mm"
    # nor has gzip: no flag, that is no file name and no comment, and no date
    assert path.read_bytes()[3:8] == bytes(5)
    assert b"labels" not in gzip.decompress(path.read_bytes())


def test_the_same_labels_give_the_same_bytes(tmp_path: Path) -> None:
    one, other = (
        writing.write_labels(tmp_path / name, LABELS, LPS) for name in ("a.nii.gz", "b.nii.gz")
    )
    assert one.read_bytes() == other.read_bytes()


def test_a_failure_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = writing.write_labels(tmp_path / "a.nii.gz", LABELS, LPS)
    before = path.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        writing.write_labels(path, LABELS[::-1], LPS)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_no_label_map_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a.nii: a label map is written as .nii.gz"):
        writing.write_labels(tmp_path / "a.nii", LABELS, LPS)
    for wrong in (LABELS[0], LABELS.astype(np.float32)):
        with pytest.raises(DataError, match=r"expected uint8 \(X, Y, Z\)"):
            writing.write_labels(tmp_path / "a.nii.gz", wrong, LPS)
    assert not list(tmp_path.iterdir())
