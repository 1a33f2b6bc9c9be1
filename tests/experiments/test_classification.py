"""Notebook 06: scores of slices by hand, and a sentence on how many classes were used."""

import pandas as pd
import pytest

from gliomalib import settings
from gliomalib.experiments import classification


def test_classification_by_hand() -> None:
    rows = [(f"P{p}", p % 2 * 3, p % 2 * 3) for p in range(6)] + [("P0", 2, 0), ("P1", 1, 3)]
    table = pd.DataFrame(rows, columns=["patient_id", "truth", "predicted"]).assign(part="test")
    values = classification.values(table, settings.load("smoke"))
    found = {value.name: value for value in values}
    assert set(found) >= {*classification.SIX, "mcc"} and all(value.rule for value in values)
    assert found["accuracy"].value == pytest.approx(6 / 8)
    assert found["balanced_accuracy"].value == pytest.approx(0.5)
    assert found["classes_predicted"].value == 2 and found["accuracy"].n_patients == 6
    said = classification.conclusion(values)
    assert "the accuracy is 0.750" in said and "2 of 4 classes were predicted" in said
