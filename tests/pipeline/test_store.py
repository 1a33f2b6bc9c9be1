"""The store: what goes in comes out, and nothing stale or foreign ever does."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gliomalib.data.arrays import ArrayFile
from gliomalib.pipeline.store import Store
from gliomalib.schema import DataError, Grid, MismatchError, StoredCase, StoredError

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


def test_a_mask_alone_goes_in_and_comes_out(store: Store) -> None:
    case = replace(stored_case(), images=np.empty((0, *SHAPE), np.float16))
    store.put(case, "source", {})
    assert (store.get("P1").labels == case.labels).all()
    assert store.get("P1").images.shape == (0, *SHAPE)
    with pytest.raises(MismatchError, match="do not fit"):
        store.put(replace(case, images=np.zeros((3, *SHAPE), np.float16)), "source", {})


def test_patients_are_listed_sorted(store: Store) -> None:
    assert store.patients() == []
    for name in ("P2", "P10", "A.b-c_1"):
        store.put(stored_case(name), "source", {})
    assert store.patients() == ["A.b-c_1", "P10", "P2"]


def test_a_missing_patient_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    store = Store(tmp_path, "key1")
    for read in (store.get, store.facts, lambda name: store.digest([name])):
        with pytest.raises(StoredError, match=r"P9\.json: is missing; run 02_preprocessing again"):
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
    with pytest.raises(StoredError, match="is missing"):
        other.get("P1")


def test_fresh_means_same_source_and_same_bytes(store: Store) -> None:
    assert not store.is_fresh("P1", "source")
    store.put(stored_case(), "source", {})
    assert store.is_fresh("P1", "source")
    assert not store.is_fresh("P1", "other source")


def test_an_array_that_is_no_patient_is_refused(store: Store) -> None:
    case = stored_case()
    file = ArrayFile(store.folder / "P1.npy", "again")
    for array in (case.images, case.images[[0, 1, 2, 3, 3]].astype(np.float32)):
        file.write([array], case.grid, {"source_digest": "source", "facts": {}})
        with pytest.raises(StoredError, match="expected 5 volumes of float16"):
            store.get("P1")


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
