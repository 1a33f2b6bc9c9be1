"""Notebook 06: scores of slices by hand, and a sentence on how many classes were used."""

import numpy as np
import pandas as pd
import pytest

from gliomalib import settings
from gliomalib.experiments import classification

SMOKE = settings.load("smoke")


def table_of(rows: list[tuple[str, int, int]]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["patient_id", "truth", "predicted"])
    return table.assign(part="test", z=table.groupby("patient_id").cumcount())


def test_a_class_in_one_patient_leaves_no_macro_score_and_is_counted() -> None:
    rows = [(f"P{p}", p % 2 * 3, p % 2 * 3) for p in range(6)] + [("P0", 2, 0), ("P1", 1, 3)]
    values = classification.values(table_of(rows), SMOKE)
    scores = {value.name: value for value in values}
    assert set(scores) >= {*classification.SIX, "mcc"} and all(value.rule for value in values)
    assert scores["accuracy"].value == pytest.approx(6 / 8) and not scores["accuracy"].note
    assert scores["accuracy"].n_patients == 6 and scores["accuracy"].n_seeds == 1
    for name in ("precision", "recall", "f1", "iou", "specificity", "balanced_accuracy"):
        assert np.isnan(scores[name].value) and scores[name].ci95 is None
        assert "necrotic core is in 1 of 6 patients" in scores[name].note
    assert scores["slices_necrotic_core"].value == scores["patients_necrotic_core"].value == 1
    assert scores["slices_enhancing_tumour"].value == scores["patients_enhancing_tumour"].value == 3
    assert scores["classes_predicted"].value == 2
    text = classification.conclusion(values)
    assert "external" not in text
    abroad = classification.values(table_of(rows).assign(part="external"), SMOKE)
    both = classification.conclusion([*values, *abroad])
    assert "On external patients the accuracy is 0.750" in both
    assert "the accuracy is 0.750" in text and "2 of 4 classes" in text
    assert "necrotic core is in 1 of 6 patients" in text and "control in notebook 07" in text


def test_slices_without_tumour_stand_beside_every_score() -> None:
    rows = [("P0", 0, 0), ("P0", 0, 2), ("P1", 0, 0)] + [(f"P{p}", 2, 2) for p in range(4)]
    values = classification.values(table_of(rows), SMOKE)
    told = "7 slices of 4 patients (3 slices of 2 patients without tumour) pooled over folds"
    for value in values[: len(classification.SIX) + 2]:
        assert value.rule.startswith(told), value.name
    assert "Without tumour: 3 slices of 2 patients." in classification.conclusion(values)


def test_a_slice_of_several_folds_is_one_slice() -> None:
    rows = table_of([(f"P{p}", label, label) for p in range(6) for label in range(4)])
    wrong = rows.assign(fold=1, predicted=0)
    folds = pd.concat([rows.assign(fold=0), wrong]).assign(part="external")
    values = {value.name: value for value in classification.values(folds, SMOKE)}
    assert values["external_accuracy"].value == pytest.approx(1 / 2 + 1 / 8), "of both folds"
    assert values["external_slices_edema"].value == values["external_patients_edema"].value == 6
    told = "24 slices of 6 patients (6 slices of 6 patients without tumour) pooled over folds"
    assert values["external_accuracy"].rule.startswith(told)
    late = folds.assign(predicted=folds["predicted"].where(folds["fold"] == 1, 2))
    used = {value.name: value for value in classification.values(late, SMOKE)}
    assert used["external_classes_predicted"].value == 2, "0 in one fold, 2 in the other"


def test_macro_scores_are_over_four_classes_though_one_is_never_predicted() -> None:
    rows = [(f"P{p}", label, label * (label != 1)) for p in range(6) for label in range(4)]
    scores = {value.name: value for value in classification.values(table_of(rows), SMOKE)}
    assert scores["recall"].value == scores["balanced_accuracy"].value == pytest.approx(3 / 4)
    # no tumour has two of four right, necrotic core none by rule
    assert scores["precision"].value == pytest.approx((1 / 2 + 0 + 1 + 1) / 4)
    assert scores["f1"].value == pytest.approx((2 / 3 + 0 + 1 + 1) / 4)
    assert (
        "24 slices of 6 patients (6 slices of 6 patients without tumour)" in scores["recall"].rule
        and not scores["recall"].note
    )
    assert (scores["recall"].ci95 or (0, 0))[1] == pytest.approx(3 / 4)
