"""The gate of the classifier: closed where the control fails, or position is as good."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gliomalib import records
from gliomalib.experiments import gates
from gliomalib.schema import RecordError
from tests.planted_branches import begin

PEOPLE = [f"P{number:02}" for number in range(20)]
TRUTH = np.array([0, 0, 0, 0, 1, 2, 2, 2, 3, 3])


def slices(**wrong: list[int]) -> pd.DataFrame:
    """Return ten slices per patient by method; the slices ``wrong`` have another class."""
    tables = []
    for number, patient in enumerate(PEOPLE):
        for method, places in wrong.items():
            predicted = TRUTH.copy()
            # one patient in five has one wrong slice less, so that patients differ
            chosen = places[: len(places) - (number % 5 == 0)]
            predicted[chosen] = (predicted[chosen] + 1) % 4
            rows = {"method": method, "seed": 0, "patient_id": patient, "part": "test"}
            tables.append(pd.DataFrame({**rows, "truth": TRUTH, "predicted": predicted}))
    return pd.concat(tables, ignore_index=True)


def test_a_classifier_that_passes_its_control_and_beats_position_is_judged() -> None:
    gate = gates.judged(slices(truth=[], resnet50=[0], position=[0, 4, 8]))
    assert gate.value == 1 and not gates.closed(gate)
    assert "beats slice position (accuracy +0.200" in gate.note


def test_a_control_that_loses_a_class_closes_the_gate_and_names_it() -> None:
    gate = gates.judged(slices(truth=[4], resnet50=[0], position=[0, 4, 8]))
    assert gate.value == 0
    why = "ResNet50 fails its control (accuracy 0.92, recall of necrotic core 0.20)"
    assert why in gates.closed(gate)
    table = slices(truth=[], resnet50=[0], position=[0, 4, 8])
    assert "no slice of necrotic core" in gates.closed(gates.judged(table[table["truth"] != 1]))


def test_position_that_is_as_good_closes_the_gate() -> None:
    gate = gates.judged(slices(truth=[], resnet50=[0, 4], position=[0, 5]))
    assert gate.value == 0 and "not shown to beat slice position" in gates.closed(gate)


def test_seeds_that_differ_by_more_than_the_gain_close_the_gate() -> None:
    table = slices(truth=[], resnet50=[0], position=[0, 4, 8])
    bad = slices(resnet50=[0, 4, 5, 6, 8]).assign(seed=2026)
    gate = gates.judged(pd.concat([table, bad]))
    assert gate.value == 0 and "2 trainings" in gate.note


def test_a_control_that_was_not_trained_leaves_the_gate_undecided() -> None:
    gate = gates.judged(slices(resnet50=[0], position=[0, 4, 8]))
    assert np.isnan(gate.value)
    assert gates.closed(gate).startswith("not judged: ")


@pytest.mark.parametrize("wrong", [[], [4]])
def test_other_notebooks_read_what_notebook_07_recorded(tmp_path: Path, wrong: list[int]) -> None:
    gate = gates.judged(slices(truth=wrong, resnet50=[0], position=[0, 4, 8]))
    run = begin(tmp_path, "07_baselines")
    with pytest.raises(RecordError, match="07_baselines"):
        gates.recorded(run)
    records.finish(run, records.NotebookResult(values=[gate]))
    assert gates.recorded(begin(tmp_path, "09_loss_ablations")) == gate
