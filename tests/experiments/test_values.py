"""Values are found by their names, and keep what an interval says."""

import math

import pandas as pd
import pytest

from gliomalib import settings
from gliomalib.experiments import values
from gliomalib.schema import RecordError, Value
from gliomalib.scoring import bootstrap
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
