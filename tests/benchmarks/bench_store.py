"""Reading slices and patches of the store, beside the bare memory map."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from gliomalib.data.readers import survey
from gliomalib.networks.samples import AxialSlices, Boxes, Samples
from gliomalib.pipeline import preprocess
from gliomalib.pipeline.store import Store
from gliomalib.schema import StoredCase
from gliomalib.settings import Preprocessing
from tests.benchmarks.ledger import Ledger, in_turn

WHOLE = Preprocessing(crop_mm=None, depth_mm=None, spacing_mm=1.0)
PATCH = (128, 128, 128)


@pytest.fixture(scope="module")
def store(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Return a store of two whole patients at 1 mm."""
    made = preprocess.open_store(tmp_path_factory.mktemp("store"), WHOLE)
    preprocess.fill(made, survey.discover(real_data)[4:6], WHOLE)
    return made


def _maps(store: Store) -> list[np.ndarray]:
    return [np.load(store.folder / f"{p}.npy", mmap_mode="r") for p in store.patients()]


def _cases(store: Store) -> list[StoredCase]:
    return [store.get(patient) for patient in store.patients()]


def _drawn(samples: Samples, indices: list[int]) -> Callable[[], None]:
    def draw() -> None:
        rng = np.random.default_rng(7)
        for index in indices:
            for part in samples.draw(index, rng):
                np.ascontiguousarray(part)

    return draw


def bench_slices(store: Store, ledger: Ledger) -> None:
    samples, maps = AxialSlices(_cases(store)), _maps(store)
    indices = np.random.default_rng(1).permutation(len(samples))[:60].tolist()

    def bare() -> None:
        for index in indices:
            number, z = samples.places[index]
            np.ascontiguousarray(maps[number][..., z])

    pair = in_turn(_drawn(samples, indices), bare, runs=9)
    ledger.compared("slice_memory_map", pair, "60 slices of opened patients, images and labels")


def bench_patches(store: Store, ledger: Ledger) -> None:
    samples, maps = Boxes(_cases(store), PATCH), _maps(store)
    indices = [0, 1] * 6

    def bare() -> None:
        rng = np.random.default_rng(7)
        for index in indices:
            x, y, z = rng.integers(0, np.array(maps[index].shape[1:]) - PATCH + 1)
            np.ascontiguousarray(maps[index][:, x : x + 128, y : y + 128, z : z + 128])

    pair = in_turn(_drawn(samples, indices), bare, runs=9)
    ledger.compared("patch_memory_map", pair, "12 patches of opened patients, half on a tumour")
