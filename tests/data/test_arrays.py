"""An array and its notes: whole or not there, and never one with the notes of another."""

import hashlib
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Never

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gliomalib.data import arrays
from gliomalib.data.arrays import ArrayFile
from gliomalib.schema import DataError, Grid

SHAPE = (4, 5, 3)
EYE = tuple(tuple(float(i == j) for j in range(4)) for i in range(4))


def grid(patient: str) -> Grid:
    return Grid(patient, SHAPE, (2.0, 2.0, 2.0), (56, -3, 13), EYE)


def array(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((2, *SHAPE)).astype(np.float16)


@pytest.fixture
def file(tmp_path: Path) -> ArrayFile:
    """Return a written array; P2 lies beside it."""
    for patient in ("P2", "P1"):
        made = ArrayFile(tmp_path / "new" / f"{patient}.npy", "make it again")
        made.write([array()], grid(patient), {"made_from": "scan"})
    return made


def test_what_is_written_is_read(file: ArrayFile) -> None:
    values, where = file.read()
    np.testing.assert_array_equal(values, array())
    assert values.dtype == np.float16 and isinstance(values, np.memmap)
    assert where == grid("P1")
    assert file.notes()["made_from"] == "scan"
    with pytest.raises(ValueError, match="read-only"):
        values[0] = 1
    names = sorted(path.name for path in file.path.parent.iterdir())
    assert names == ["P1.json", "P1.npy", "P2.json", "P2.npy"]


@given(
    hnp.arrays(
        st.sampled_from([np.float16, np.float32, np.uint8]),
        hnp.array_shapes(min_dims=4, max_dims=4, max_side=4),
        elements=st.integers(0, 9),
    ),
    st.integers(0, 4),
    st.booleans(),
)
def test_parts_are_written_as_numpy_saves_them_in_one(
    tmp_path_factory: pytest.TempPathFactory, values: np.ndarray, at: int, turned: bool
) -> None:
    file = ArrayFile(tmp_path_factory.mktemp("parts") / "P1.npy", "make it again")
    parts = [np.asfortranarray(values[:at]) if turned else values[:at], values[at:]]
    file.write(parts, grid("P1"), {})
    stream = io.BytesIO()
    np.save(stream, values)
    assert file.path.read_bytes() == stream.getvalue()
    assert file.notes()["array_sha256"] == hashlib.sha256(stream.getvalue()).hexdigest()


def test_intact_means_the_same_notes_and_the_same_bytes(file: ArrayFile) -> None:
    assert file.intact() and file.intact(made_from="scan")
    assert not file.intact(made_from="other") and not file.intact(key="none")
    content = bytearray(file.path.read_bytes())
    content[-1] ^= 1
    file.path.write_bytes(bytes(content))
    assert not file.intact(made_from="scan")


def edited(file: ArrayFile, change: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads(file.notes_path.read_text())
    change(content)
    file.notes_path.write_text(json.dumps(content))


DAMAGE: dict[str, tuple[Callable[[ArrayFile], object], str]] = {
    "notes gone": (lambda f: f.notes_path.unlink(), r"P1\.json: is missing; make it again"),
    "array gone": (lambda f: f.path.unlink(), r"P1\.npy: has 0 bytes, expected \d+; make it again"),
    "array cut": (
        lambda f: f.path.write_bytes(f.path.read_bytes()[:-2]),
        r"P1\.npy: has \d+ bytes, expected \d+",
    ),
    "array is none": (
        lambda f: f.path.write_bytes(b"0" * f.path.stat().st_size),
        r"P1\.npy: is damaged",
    ),
    "notes cut": (lambda f: f.notes_path.write_text('{"grid":'), r"P1\.json: is damaged"),
    "notes a list": (lambda f: f.notes_path.write_text("[]"), "is damaged"),
    "notes without grid": (lambda f: edited(f, lambda notes: notes.pop("grid")), "is damaged"),
    "notes without size": (
        lambda f: edited(f, lambda notes: notes.pop("array_bytes")),
        "is incomplete",
    ),
    "notes of another": (
        lambda f: shutil.copy(f.path.with_name("P2.json"), f.notes_path),
        "belongs to P2",
    ),
    "other shape": (
        lambda f: edited(f, lambda notes: notes["grid"].update(shape=[5, 4, 3])),
        r"its grid says \(5, 4, 3\)",
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_pair_is_never_read(damage: str, file: ArrayFile) -> None:
    plant, message = DAMAGE[damage]
    plant(file)
    with pytest.raises(DataError, match=message):
        file.read()
    assert not file.intact() or damage == "other shape"
    file.write([array()], grid("P1"), {})
    assert file.intact()


def killed(*_: object, **__: object) -> Never:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("place", "name"),
    [(arrays, "open_atomic"), (arrays, "_sha256"), (Path, "replace"), (arrays, "write_atomic")],
)
def test_a_writer_killed_half_way_leaves_nothing_that_counts(
    place: object, name: str, file: ArrayFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(place, name, killed)
        file.write([array(1)], grid("P1"), {})
    assert not file.intact()
    with pytest.raises(DataError, match=r"P1\.json: is missing"):
        file.read()
    assert not [path for path in file.path.parent.iterdir() if path.name.startswith(".")]
