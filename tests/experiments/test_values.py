"""Values are found by their names, and keep what an interval says."""

import math

import numpy as np
import pandas as pd
import pytest

from gliomalib import settings
from gliomalib.experiments import values
from gliomalib.schema import RecordError, Value
from gliomalib.scoring import bootstrap, training_noise
from gliomalib.scoring.bootstrap import Interval

SMOKE = settings.load("smoke")


def test_a_missing_value_is_an_error_and_not_a_gap_in_the_sentence() -> None:
    known = [Value("recall", 0.5), Value("f1", 0.4)]
    assert values.of(known, "f1").value == 0.4
    with pytest.raises(RecordError, match="'accuracy' is missing; found recall, f1"):
        values.of(known, "accuracy")


def test_a_mean_is_a_value_with_its_interval() -> None:
    made = values.mean("m", pd.Series([0.1, 0.2, 0.6]), SMOKE, "a rule")
    low, high = made.ci95 or (1, 0)
    assert made.value == pytest.approx(0.3)
    assert (made.name, made.n_patients, made.rule) == ("m", 3, "a rule")
    assert low < 0.3 < high


def test_an_interval_is_drawn_with_the_seed_of_its_names() -> None:
    seed = settings.named_seed(SMOKE.seed, "baselines", "test")
    expected = bootstrap.mean_interval([0.1, 0.4], seed, SMOKE.evaluation.bootstrap)
    assert values.mean_interval([0.1, 0.4], SMOKE, "baselines", "test") == expected


def test_parts_that_a_table_has_come_with_their_prefix() -> None:
    assert values.parts(pd.DataFrame({"part": ["external", "val"]})) == [("external", "external_")]
    assert values.parts(pd.DataFrame({"part": ["external", "test"]}))[0] == ("test", "")


def test_an_interval_that_is_not_there_has_ends_that_are_no_numbers() -> None:
    assert values.ends(Interval(0.5, (0.1, 0.9), 5)) == (0.1, 0.9)
    assert all(map(math.isnan, values.ends(Interval(0.5, None, 1))))


def test_the_interval_of_a_share_stays_in_its_range() -> None:
    effect = training_noise.paired([[0.2, 0.9], [0.3, 1.0]])
    assert (effect.ci95 or (0, 0))[0] < 0 and (effect.ci95 or (0, 0))[1] > 1
    assert values.share("accuracy", effect, "a rule").ci95 == (0.0, 1.0)
    assert values.share("a", training_noise.paired([[0.2]]), "a rule").ci95 is None
    assert values.value("a", effect, "a rule").n_seeds == 2


def test_macro_scores_of_four_classes_are_given_or_said_to_be_missing() -> None:
    counts = np.tile(np.diag([5, 2, 3, 1]), (6, 1, 1))
    counts[:, 1, 1], counts[:, 1, 2] = 0, 2
    scores = values.class_scores(counts, SMOKE, "a")
    assert scores["recall"].value == pytest.approx(3 / 4)
    counts[2:, 1] = 0
    scores = values.class_scores(counts, SMOKE, "a")
    assert math.isnan(scores["recall"].value) and scores["recall"].ci95 is None
    assert scores["accuracy"].value == pytest.approx(54 / 58) and scores["accuracy"].ci95
