"""What a whole study takes, from a planted rehearsal: known answers."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gliomalib import records, settings
from gliomalib.cohort.splits import write_splits
from gliomalib.pipeline import preprocess
from gliomalib.provenance import write_atomic
from gliomalib.runner import extrapolation, rehearsal
from gliomalib.runner.jobs import Folders
from gliomalib.schema import Grid, Record, Split, StoredCase
from tests.networks.toys import AFFINE

PEOPLE = ("P1", "P2", "P3", "P4")
SIDE = 32


@pytest.fixture
def planted(tmp_path: Path) -> rehearsal.Rehearsal:
    """Return a rehearsal that took 10 s to start, 30 s to train and 8 s for what else it did."""
    asked = {"classifier.image_size": None}
    made = rehearsal.prepare("phantom-full", Folders(tmp_path, tmp_path), asked)
    write_splits([Split(0, ("P1",), ("P2",), ("P3", "P4"))], made.cohort)
    store = preprocess.open_store(made.work / "store", made.small.preprocessing)
    for name in PEOPLE:
        grid = Grid(name, (SIDE,) * 3, (1.0, 1.0, 1.0), (0, 0, 0), AFFINE)
        shape = (4, SIDE, SIDE, SIDE)
        store.put(StoredCase(grid, np.zeros(shape, "f2"), np.zeros(shape[1:], "u1")), "x", {})
    took = {"01_data_exploration": 10, "04_train_unet3d": 48, "06_train_resnet50": 18}
    for run, seconds in took.items():
        record = Record(
            notebook=run,
            study="phantom-full",
            variant="",
            claims=(),
            values=(),
            parameters={},
            seed=1,
            device="cpu",
            wall_s=seconds,
            peak_memory_bytes=5 * 10**9,
            provenance={"versions": {}, "hardware": {}},
            caveats=(),
            conclusion="",
        )
        records.write(record, made.folders.reports / "phantom-full")
        write_atomic(made.stamp(run), "{}")
    history = [
        {"epoch": 0, "part": "train", "loss": 1.0, "seconds": 28.0},
        {"epoch": 0, "part": "val", "loss": 1.0, "seconds": 2.0},
    ]
    summary = {"network": "unet3d", "settings": {"batch_size": 2}, "history": history, "note": ""}
    folder = made.work / "checkpoints/unet3d/fold0"
    write_atomic(folder / "training.json", json.dumps(summary))
    write_atomic(folder / "final.pt", bytes(1000 - len(json.dumps(summary))))
    for name in PEOPLE:
        write_atomic(made.work / f"predictions/unet3d/fold0/{name}.npy", bytes(100))
    write_atomic(made.work / "predictions/unet3d.seed2/fold0/P3.npy", bytes(300))
    return made


def test_time_and_memory_of_the_whole_by_the_rule(planted: rehearsal.Rehearsal) -> None:
    table = extrapolation.measured(planted).set_index("run")
    assert table.loc["05_fusion", "outcome"] == "not reached"
    row = table.loc["04_train_unet3d"]
    assert row["outcome"] == "done" and row["training"] == 30
    # 28 s for 2 steps of 2 volumes, 2 s for the one that validates; 30 epochs of five folds in
    # which 216 of 300 train and 24 validate; 360 patients in each fold instead of four; one start
    epochs, folds = settings.load("phantom-full").unet3d.epochs, 5
    training = epochs * folds * (216 * 28 / 4 + 24 * 2 / 1)
    assert row["whole_seconds"] == pytest.approx(training + 10 + 8 * folds * 360 / 4)
    assert row["whole_bytes"] == 5e9 + SIDE**3 * (216 - 1)
    # three channels of two bytes for each voxel of a slice, twice
    assert table.loc["06_train_resnet50", "whole_bytes"] == 5e9 + 2 * 3 * 2 * SIDE**3 * (216 - 1)


def test_a_training_that_was_only_read_is_not_taken_off_the_seconds(
    planted: rehearsal.Rehearsal,
) -> None:
    path = records.record_path(planted.folders.reports / "phantom-full", "04_train_unet3d")
    records.write(replace(records.read(path), wall_s=18.0), path.parents[1])
    rows = extrapolation.measured(planted).set_index("run")
    training = rows.loc["04_train_unet3d", "whole_seconds"] - (10 + 8 * 5 * 360 / 4)
    assert training == settings.load("phantom-full").unet3d.epochs * 5 * (216 * 28 / 4 + 24 * 2)


def test_what_an_earlier_rehearsal_left_is_no_result_of_this_one(
    planted: rehearsal.Rehearsal,
) -> None:
    planted.stamp("04_train_unet3d").unlink()
    table = extrapolation.measured(planted).set_index("run")
    assert table.loc["04_train_unet3d", "outcome"] == "not reached"
    assert table.loc["04_train_unet3d"].drop("outcome").isna().all()


def test_disk_of_the_whole_by_patients_folds_and_parts(planted: rehearsal.Rehearsal) -> None:
    table = extrapolation.disk(planted).set_index("folder")["whole_bytes"]
    assert table["checkpoints"] == 1000 * 5
    # of its own network everybody in each fold, of a variant those who do not train
    assert table["predictions"] == 100 * 360 * 5 + 300 / 3 * (24 + 60 + 60) * 5
    stored = sum(path.stat().st_size for path in (planted.work / "store").rglob("*.*"))
    assert table["store"] == pytest.approx(stored * 360 / 4)


def test_what_was_measured_is_written_and_told(planted: rehearsal.Rehearsal) -> None:
    content = extrapolation.write(planted)
    assert json.loads((planted.params.parent / "rehearsal.json").read_text()) == content
    lines = list(extrapolation.told(content))
    assert lines[-2].startswith("not counted, as nothing was measured: 02_preprocessing, 03_train")
    assert "04_train_unet3d    done" in lines[0] and "05_fusion" not in lines[0]
    assert lines[-1].startswith("phantom-full, 360 patients, would take here about ")
    assert extrapolation.RULE in lines[-1]
