"""Preprocessing into the store at 1 mm, beside bare reading, MONAI and nnU-Net, and its growth."""

import multiprocessing
import shutil
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from isal import isal_zlib

from gliomalib.data.readers import survey
from gliomalib.pipeline import preprocess
from gliomalib.pipeline.store import Store
from gliomalib.provenance import cores
from gliomalib.schema import SEQUENCES, Case
from gliomalib.settings import Preprocessing
from tests.benchmarks import growth, peers
from tests.benchmarks.ledger import Ledger, Pair, alternated, seconds
from tests.pipeline.test_preprocess import write_cases

PLAN = Preprocessing(crop_mm=(128.0, 128.0), depth_mm=128.0, spacing_mm=1.0)
SMALL = Preprocessing(crop_mm=(4.0, 4.0), depth_mm=4.0, spacing_mm=1.0)
DISTINCT = 8


@pytest.fixture(scope="module")
def patients(real_data: Path) -> list[Case]:
    """Return a patient of each release."""
    cases = survey.discover(real_data)
    return list({case.release: case for case in cases}.values())


@pytest.fixture
def out(tmp_path: Path) -> Iterator[Path]:
    """Return a folder that is gone afterwards, as what lies in it is large."""
    yield tmp_path / "out"
    shutil.rmtree(tmp_path / "out", ignore_errors=True)


def _filled(out: Path, cases: Sequence[Case], workers: int) -> Store:
    store = preprocess.open_store(out, PLAN)
    preprocess.fill(store, cases, PLAN, workers)
    return store


def _timed(out: Path, cases: Sequence[Case], workers: int = 1) -> float:
    shutil.rmtree(out, ignore_errors=True)
    return seconds(lambda: _filled(out, cases, workers))


def _inflated(cases: Sequence[Case]) -> None:
    for case in cases:
        for path in case.files.values():
            stored = path.read_bytes()
            isal_zlib.decompress(stored, 31, int.from_bytes(stored[-4:], "little"))


def _beside_reading(out: Path, cases: Sequence[Case], workers: int) -> Pair:
    return alternated(
        partial(_timed, out, cases, workers), partial(seconds, partial(_inflated, cases))
    )


def bench_against_reading(patients: list[Case], out: Path, ledger: Ledger) -> None:
    # as notebook 02, whose process is new: here, what all other rows have left of memory would
    # spare the bare reading, which is done in the first thread, a third of its time
    with multiprocessing.get_context("spawn").Pool(1) as fresh:
        study = fresh.apply(_beside_reading, (out, patients, cores()))
        single = fresh.apply(_beside_reading, (out, patients[:1], 1))
    ledger.compared(
        "preprocess_reading",
        study,
        f"{len(patients)} patients, one of each release, in {cores()} threads and a process of "
        "their own, as a study does; a single one takes "
        f"{1 / single.times_as_fast:.2f} times its files in one thread of isal",
    )


def bench_against_monai(patients: list[Case], out: Path, ledger: Ledger) -> None:
    from monai import transforms

    case, images = patients[-1], list(SEQUENCES)
    files = [*images, "seg"]
    steps = transforms.Compose(
        [
            transforms.LoadImaged(files),
            transforms.EnsureChannelFirstd(files),
            transforms.Orientationd(files, axcodes="LPS", labels=None),
            transforms.ScaleIntensityd(images, minv=0.0, maxv=1.0),
            transforms.CenterSpatialCropd(files, (128, 128, 128)),
            transforms.ConcatItemsd(files, "all"),
        ]
    )
    path = out / "monai.npy"

    def monai() -> None:
        path.parent.mkdir(exist_ok=True, parents=True)
        values = steps({name: str(file) for name, file in case.files.items()})["all"]
        np.save(path, np.asarray(values, dtype=np.float16))

    monai()
    stored = _filled(out, [case], 1).get(case.patient_id)
    # both did the same
    assert np.abs(np.load(path)[:4] - stored.images).max() < 1e-3
    pair = alternated(partial(_timed, out, [case]), partial(seconds, monai))
    ledger.compared("preprocess_monai", pair, "a single patient; same voxels to 1e-3")


def bench_against_nnunet(patients: list[Case], out: Path, ledger: Ledger) -> None:
    if reason := peers.missing():
        ledger.skipped("preprocess_nnunet", reason)
        return
    case, theirs = patients[-1], out.with_name("nnunet")
    theirs.mkdir()
    with peers.Peer("tests.benchmarks.peer_nnunet_preprocess") as peer:
        peer.ask("plan")
        asked = partial(
            peer.seconds,
            "preprocess",
            images=[str(case.images[name]) for name in SEQUENCES],
            mask=str(case.segmentation),
            out=str(theirs / "case"),
        )
        pair = alternated(partial(_timed, out, [case]), asked, runs=3)
    made = sorted(path.name for path in theirs.iterdir())
    shutil.rmtree(theirs)
    assert made == ["case.b2nd", "case.pkl", "case_seg.b2nd"]
    ledger.compared(
        "preprocess_nnunet", pair, "a single patient, plans of 1 mm, in its own process"
    )


# --- growth


def many(root: Path, patients: int) -> list[tuple[Store, list[Case]]]:
    """Write small patients of all turns, and keep one in another store, so that all is loaded."""
    base = root / f"{patients}"
    shutil.rmtree(base, ignore_errors=True)
    distinct = write_cases(base / "distinct", range(1, DISTINCT + 1))
    preprocess.fill(preprocess.open_store(base / "warm", SMALL), distinct, SMALL)
    studies = []
    for turn in range(growth.turns(patients)):
        study = base / f"{turn}"
        for number in range(patients):
            folder = study / "raw" / f"BraTS20_Training_{number + 1:03d}"
            folder.mkdir(parents=True)
            for name, path in distinct[number % DISTINCT].files.items():
                (folder / f"{folder.name}_{name}.nii.gz").hardlink_to(path)
        cases = survey.discover(study / "raw")
        studies.append((preprocess.open_store(study / "store", SMALL), cases))
    return studies


def fill_all(studies: list[tuple[Store, list[Case]]]) -> None:
    """Preprocess all of them, one after the other."""
    for store, cases in studies:
        preprocess.fill(store, cases, SMALL)


def bench_growth(out: Path, ledger: Ledger) -> None:
    runs = [growth.measured([fill_all], partial(many, out), size)[0] for size in growth.ORDER]
    each = {n: min(run.seconds / n for run in runs if run.patients == n) for n in growth.PATIENTS}
    steps = ", ".join(f"{n}: {1e3 * took:.1f}" for n, took in each.items())
    ledger.measured(
        "growth_preprocess",
        growth.time_growth(runs),
        f"ms a small patient: {steps}; start-up and finding the files left out",
    )
    peaks = " and ".join(f"{run.peak_bytes / 1e6:.0f}" for run in (runs[0], runs[-1]))
    ledger.at_worst("growth_memory", growth.memory_growth(runs), f"preprocess: {peaks} MB")
