"""What the curve says of planted counts: shares of the variance, the test, the printed number."""

from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gliomalib import records, settings
from gliomalib.experiments import specification_curve, specifications
from gliomalib.experiments.specification_curve import Curve
from gliomalib.experiments.specifications import CHOICES, Answers
from tests.planted_branches import begin

STUDY = settings.load("smoke")
EVERY = specifications.specifications(STUDY)
PRINTED = 0.9925
NARROW = "\N{NO-BREAK SPACE}"


def answers_of(effect: float, n_patients: int = 30, seed: int = 0) -> Answers:
    """Return counts of 400 slices a patient: a split by slice is better by ``effect``."""
    rng = np.random.default_rng(seed)
    skill = rng.normal(0, 0.03, n_patients)
    lift = np.array([{"patient": 0, "slice": effect, "years": 2 * effect}[s.split] for s in EVERY])
    hard = np.array([0.02 * (plan.image == "mri") for plan in EVERY])
    chance = np.clip(0.8 + skill[None] + (lift - hard)[:, None], 0, 1)
    last = rng.binomial(400, chance).astype(float)
    best = np.minimum(last + rng.integers(0, 3, last.shape), 400)
    names = tuple(f"P{number}" for number in range(n_patients))
    return Answers(EVERY, names, np.full(last.shape, 400.0), np.stack([last, best], axis=1))


def curve_of(effect: float, **more: int) -> Curve:
    return specification_curve.curve(answers_of(effect, **more), STUDY)


@pytest.fixture(scope="module")
def curve() -> Curve:
    return curve_of(0.08)


@pytest.fixture(scope="module")
def measured(curve: Curve) -> specification_curve.Measured:
    return specification_curve.measured(curve, PRINTED)


def test_one_class_against_the_rest_is_the_mean_of_binary_accuracies() -> None:
    rng = np.random.default_rng(1)
    for classes in (3, 4):
        truth, named = rng.integers(0, classes, (2, 50))
        binary = [((truth == k) == (named == k)).mean() for k in range(classes)]
        hits = np.array([(truth == named).sum()]), np.array([50])
        right, asked = specification_curve.read("rest", *hits, classes)
        assert right[0] / asked[0] == pytest.approx(np.mean(binary))
    right, asked = specification_curve.read("rest", np.array([98.5]), np.array([100.0]), 4)
    assert right[0] / asked[0] == pytest.approx(0.9925)


def test_a_patient_counts_as_much_as_others_or_by_slices() -> None:
    right, asked = np.array([9.0, 10.0]), np.array([10.0, 40.0])
    for counted, accuracy in (("slices", 19 / 50), ("patients", (0.9 + 0.25) / 2)):
        top, bottom = specification_curve.read(counted, right, asked, 4)
        assert top.sum() / bottom.sum() == pytest.approx(accuracy)


def test_every_reading_of_every_fit_is_a_cell(curve: Curve) -> None:
    assert len(curve.choices) == 144 * 3 * 2 == len(curve.choices.drop_duplicates())
    assert list(curve.choices) == list(CHOICES)
    accuracy = curve.right.sum(axis=0) / curve.asked.sum(axis=0)
    by_choice = {name: curve.choices[name].to_numpy() for name in CHOICES}
    best, last = (accuracy[by_choice["reported"] == name] for name in ("best", "last"))
    assert (best >= last).all() and (best > last).any()
    rest, slices = (accuracy[by_choice["counted"] == name] for name in ("rest", "slices"))
    few = by_choice["slices"][by_choice["counted"] == "rest"] == "tumour"
    np.testing.assert_allclose((1 - rest) / (1 - slices), np.where(few, 2 / 3, 2 / 4))


def test_shares_of_the_variance_are_those_that_were_planted() -> None:
    choices = pd.DataFrame(product("ab", "cd", "ef"), columns=["one", "two", "three"])
    signs = np.stack([np.where(choices[name] == low, 1, -1) for name, low in
                      (("one", "a"), ("two", "c"), ("three", "e"))])  # fmt: skip
    # effects 3, 2, 0 and an interaction of 1: variances 9, 4, 0 and 1 of 14
    accuracy = 0.5 + (3 * signs[0] + 2 * signs[1] + signs[0] * signs[2]) / 100
    shares = specification_curve.variance_shares(np.stack([accuracy, np.ones(8)]), choices)
    assert {name: share[0] for name, share in shares.items()} == pytest.approx(
        {"one": 9 / 14, "two": 4 / 14, "three": 0, "interactions": 1 / 14}
    )
    assert all(share[1] == 0 for share in shares.values()), "no variance has no shares"


def test_the_test_finds_a_gap_that_is_there_and_none_where_none_is() -> None:
    gap, p = specification_curve.gap_test(curve_of(0.03), 2000)
    assert gap == pytest.approx(0.025, abs=0.005) and p == 1 / 2000
    ps = [specification_curve.gap_test(curve_of(0, seed=n), 200)[1] for n in range(1, 41)]
    assert sum(p <= 0.05 for p in ps) <= 6, "an effect is seen where none is"
    assert 0.3 < np.mean(ps) < 0.7


def test_a_gap_of_one_patient_is_no_gap_of_all() -> None:
    answers = answers_of(0)
    leaky = np.array([plan.split == "slice" for plan in EVERY])
    fair = np.array([plan.split == "patient" for plan in EVERY])
    answers.right[leaky] = answers.right[fair]
    answers.right[leaky, :, 0] = 400
    gap, p = specification_curve.gap_test(specification_curve.curve(answers, STUDY), 2000)
    assert gap > 0 and p == pytest.approx(0.5, abs=0.05)


def test_cells_are_sorted_and_their_summaries_are_over_patients(
    curve: Curve, measured: specification_curve.Measured
) -> None:
    cells = measured.cells
    assert cells["accuracy"].is_monotonic_increasing
    assert (cells["low"] <= cells["accuracy"]).all() and (cells["accuracy"] <= cells["high"]).all()
    fair = cells[cells["split"] == "patient"]
    top = measured.summary["highest_patient_accuracy"]
    assert top.value == fair["accuracy"].max() and top.n == 30
    # the highest of many draws is at least that of the cell that is the highest
    assert top.ends[1] >= fair["high"].iloc[-1]
    years = cells[cells["split"] == "years"]["accuracy"]
    assert measured.summary["years_below_printed"].value == (years < 0.9825).mean()
    middle = specification_curve.measured(curve, years.median()).summary
    assert 0 < middle["years_below_printed"].value == (years < years.median() - 0.01).mean() < 0.5
    shares = specification_curve.shares(measured)
    assert shares["share"].sum() == pytest.approx(1)
    others = shares["share"][1:-1].sum()
    assert measured.summary["split_lead"].value == pytest.approx(shares["share"][0] - others)
    assert shares["choice"].tolist() == [*CHOICES, "interactions"]


def test_the_record_has_what_the_statements_ask_for_and_the_conclusion_names_the_cell(
    curve: Curve, measured: specification_curve.Measured
) -> None:
    values = specification_curve.values(curve, measured, PRINTED)
    names = {value.name for value in values}
    assert names >= {"highest_patient_accuracy", "years_below_printed", "split_lead", "gap_p"}
    assert all(value.rule and value.n_patients == 30 for value in values)
    text = specification_curve.conclusion(measured, values, PRINTED).replace(NARROW, " ")
    assert "Of 864 specifications, 98.25 % is reached by 0 % of those by patient" in text
    best = measured.cells[measured.cells["split"] == "patient"].iloc[-1]
    assert CHOICES["image"][best["image"]] in text and f"{100 * best['accuracy']:.1f} %" in text
    told = " ".join(specification_curve.caveats(replace(answers_of(0.1), left_out=6)))
    assert "30 held-out patients" in told and "never tested them: 6." in told


def test_resnet50_stands_where_the_audit_trained_it(tmp_path: Path) -> None:
    run = begin(tmp_path, "15_specification_curve")
    rows = [
        (who, labels, split, 0.9, 0.8, 0.95)
        for who, labels in (("neighbour", "true"), ("resnet50", "true"), ("resnet50", "random"))
        for split in CHOICES["split"]
    ]
    columns = ["classifier", "labels", "split", "accuracy", "accuracy_low", "accuracy_high"]
    audit = begin(tmp_path, "11_leakage_audit")
    records.write_table(audit, "scores", pd.DataFrame(rows, columns=columns))
    cells = specification_curve.resnet(run)
    assert cells["split"].tolist() == list(CHOICES["split"])
    assert cells[["accuracy", "low", "high"]].to_numpy().tolist() == 3 * [[0.9, 0.8, 0.95]]
    every = specification_curve.curve(answers_of(0), STUDY).choices
    assert len(every.merge(cells)) == 3, "it is no cell of the trees"
