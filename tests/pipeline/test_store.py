"""The store: what goes in comes out, and nothing stale, foreign or half-written ever does."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gliomalib.pipeline import store as store_module
from gliomalib.pipeline.store import Store
from gliomalib.schema import DataError, Grid, MismatchError, StoredCase

SHAPE = (4, 5, 3)
EYE = tuple(tuple(float(i == j) for j in range(4)) for i in range(4))


def stored_case(patient: str = "P1", seed: int = 0) -> StoredCase:
    rng = np.random.default_rng(seed)
    return StoredCase(
        Grid(patient, SHAPE, (2.0, 2.0, 2.0), (56, -3, 13), EYE),
        rng.random((4, *SHAPE)).astype(np.float16),
        rng.integers(0, 4, SHAPE).astype(np.uint8),
    )


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store", "key1")


def test_what_goes_in_comes_out(store: Store) -> None:
    case = stored_case()
    store.put(case, "source", {"mm3": 12.5})
    found = store.get("P1")
    assert found.grid == case.grid
    assert found.images.dtype == np.float16
    assert (found.images == case.images).all()
    assert found.labels.dtype == np.uint8
    assert (found.labels == case.labels).all()
    assert store.facts("P1") == {"mm3": 12.5}
    assert sorted(path.name for path in store.folder.iterdir()) == ["P1.json", "P1.npy"]
    assert store.folder == store.root / "key1"


def test_images_are_mapped_and_cannot_be_written(store: Store) -> None:
    store.put(stored_case(), "source", {})
    images = store.get("P1").images
    assert isinstance(images, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        images[0, 0, 0, 0] = 1


def test_patients_are_listed_sorted(store: Store) -> None:
    assert store.patients() == []
    for name in ("P2", "P10", "A.b-c_1"):
        store.put(stored_case(name), "source", {})
    assert store.patients() == ["A.b-c_1", "P10", "P2"]


def test_a_missing_patient_says_which_notebook_makes_it(store: Store) -> None:
    for read in (store.get, store.facts, lambda name: store.digest([name])):
        with pytest.raises(DataError, match=r"patient P9 is not in the store; run 02_preproc"):
            read("P9")


@pytest.mark.parametrize("name", ["", "../P1", "a/b", ".hidden", "a b", "ä", "x" * 200, "P1\n"])
def test_unsafe_names_are_refused(name: str, store: Store) -> None:
    with pytest.raises(DataError, match="cannot be a file name"):
        store.put(stored_case(name), "source", {})
    with pytest.raises(DataError, match="cannot be a file name"):
        store.get(name)
    with pytest.raises(DataError, match="store key"):
        Store(store.root, name)


def test_another_key_sees_nothing(store: Store) -> None:
    store.put(stored_case(), "source", {})
    other = Store(store.root, "key2")
    assert other.patients() == []
    assert not other.is_fresh("P1", "source")
    with pytest.raises(DataError, match="not in the store"):
        other.get("P1")


def test_fresh_means_same_source_and_same_bytes(store: Store) -> None:
    assert not store.is_fresh("P1", "source")
    store.put(stored_case(), "source", {})
    assert store.is_fresh("P1", "source")
    assert not store.is_fresh("P1", "other source")
    path = store.folder / "P1.npy"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))
    assert not store.is_fresh("P1", "source")


def _replace_sidecar(store: Store, **entries: Any) -> None:
    path = store.folder / "P1.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | entries))


def _drop_facts(store: Store) -> None:
    path = store.folder / "P1.json"
    content = json.loads(path.read_text())
    del content["facts"]
    path.write_text(json.dumps(content))


def _shorten(store: Store) -> None:
    path = store.folder / "P1.npy"
    path.write_bytes(path.read_bytes()[:-2])


def _other_grid(store: Store) -> None:
    grid = json.loads((store.folder / "P1.json").read_text())["grid"]
    _replace_sidecar(store, grid={**grid, "shape": [5, 4, 3]})


DAMAGE = {
    "sidecar gone": (lambda s: (s.folder / "P1.json").unlink(), "not in the store"),
    "array gone": (lambda s: (s.folder / "P1.npy").unlink(), "the array is missing"),
    "array cut": (_shorten, r"has \d+ bytes, expected \d+"),
    "sidecar cut": (lambda s: (s.folder / "P1.json").write_text('{"grid":'), "damaged"),
    "sidecar a list": (lambda s: (s.folder / "P1.json").write_text("[]"), "damaged"),
    "sidecar incomplete": (_drop_facts, "is incomplete"),
    "sidecar of another": (
        lambda s: shutil.copy(s.folder / "P2.json", s.folder / "P1.json"),
        "belongs to P2",
    ),
    "other shape": (_other_grid, "expected float16"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_entry_is_never_served(damage: str, store: Store) -> None:
    for name in ("P1", "P2"):
        store.put(stored_case(name), "source", {})
    plant, message = DAMAGE[damage]
    plant(store)
    with pytest.raises(DataError, match=message):
        store.get("P1")
    assert store.get("P2").grid.patient_id == "P2"
    store.put(stored_case(), "source", {})
    assert store.is_fresh("P1", "source")


@pytest.mark.parametrize("step", ["_write_array", "file_digest", "write_atomic"])
@pytest.mark.parametrize("before", [True, False])
def test_a_run_killed_half_way_leaves_no_entry(
    step: str, before: bool, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.put(stored_case(seed=1), "old", {})
    done = getattr(store_module, step)

    def killed(*given: Any) -> None:
        if not before and step != "write_atomic":
            done(*given)
        raise KeyboardInterrupt

    monkeypatch.setattr(store_module, step, killed)
    with pytest.raises(KeyboardInterrupt):
        store.put(stored_case(seed=2), "new", {})
    monkeypatch.undo()
    assert not store.is_fresh("P1", "old")
    assert not store.is_fresh("P1", "new")
    assert store.patients() == []
    with pytest.raises(DataError, match="not in the store"):
        store.get("P1")


def test_an_array_killed_while_written_is_not_left_behind(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def half(stream: Any, array: np.ndarray) -> None:
        stream.write(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(store_module.np, "save", half)
    with pytest.raises(OSError, match="disk full"):
        store.put(stored_case(), "source", {})
    assert list(store.folder.iterdir()) == []


def test_putting_again_replaces(store: Store) -> None:
    store.put(stored_case(seed=1), "old", {})
    before = store.digest(["P1"])
    store.put(stored_case(seed=2), "new", {})
    assert (store.get("P1").images == stored_case(seed=2).images).all()
    assert store.is_fresh("P1", "new")
    assert not store.is_fresh("P1", "old")
    assert store.digest(["P1"]) != before


def test_the_digest_goes_with_content_and_order(store: Store) -> None:
    for seed, name in enumerate(("P1", "P2")):
        store.put(stored_case(name, seed), "source", {})
    assert store.digest(["P1", "P2"]) == store.digest(["P1", "P2"])
    assert store.digest(["P1", "P2"]) != store.digest(["P2", "P1"])
    other = Store(store.root, "key2")
    case = stored_case("P1", 0)
    other.put(replace(case, grid=replace(case.grid, crop_start=(0, 0, 0))), "source", {})
    assert other.digest(["P1"]) != store.digest(["P1"])


def test_what_does_not_fit_is_refused(store: Store) -> None:
    case = stored_case()
    with pytest.raises(MismatchError, match="do not fit the grid"):
        store.put(replace(case, labels=case.labels[:-1]), "source", {})
    with pytest.raises(DataError, match="labels go up to 4"):
        store.put(replace(case, labels=case.labels + 4 * (case.labels == 0).astype("u1")), "s", {})
    images = case.images.copy()
    images[0, 0, 0, 0] = np.inf
    with pytest.raises(DataError, match="not finite"):
        store.put(replace(case, images=images), "source", {})
    assert store.patients() == []
