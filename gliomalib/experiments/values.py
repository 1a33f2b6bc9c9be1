"""Values of a record, made from per-patient numbers and found again by their names."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd

from gliomalib import settings
from gliomalib.schema import RecordError, Value
from gliomalib.scoring import bootstrap

PREFIXES = {"test": "", "external": "external_"}
"""A part of the patients on whom results are reported → the beginning of its values' names."""


def of(values: Sequence[Value], name: str) -> Value:
    """Return the value called ``name``; raises ``RecordError`` where there is none."""
    for value in values:
        if value.name == name:
            return value
    names = ", ".join(value.name for value in values)
    raise RecordError(f"the value {name!r} is missing; found {names}")


def value(name: str, interval: bootstrap.Interval, rule: str) -> Value:
    """Return an estimate over patients as a value."""
    return Value(name, interval.value, interval.ci95, interval.n, rule=rule)


def mean(name: str, numbers: pd.Series, study: settings.Study, rule: str) -> Value:
    """Return the mean of one number per patient with its bootstrap interval."""
    interval = bootstrap.mean_interval(
        numbers.to_numpy(), seed(study, name), study.evaluation.bootstrap
    )
    return value(name, interval, rule)


def parts(table: pd.DataFrame) -> list[tuple[str, str]]:
    """Return the reported parts that ``table`` has, each with its prefix of ``PREFIXES``."""
    return [(part, prefix) for part, prefix in PREFIXES.items() if (table["part"] == part).any()]


def ends(interval: bootstrap.Interval | Value) -> tuple[float, float]:
    """Return both ends of an interval, NaN where it has none."""
    return interval.ci95 or (math.nan, math.nan)


def seed(study: settings.Study, *names: str) -> int:
    """Return the seed of the bootstrap of the value that ``names`` stand for."""
    return settings.named_seed(study.seed, "bootstrap", *names)
