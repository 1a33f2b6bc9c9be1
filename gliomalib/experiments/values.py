"""Values of a record, made from per-patient numbers and found again by their names."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import cast

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from gliomalib import settings
from gliomalib.schema import Confusion, FloatArray, RecordError, Value
from gliomalib.scoring import bootstrap, metrics, training_noise

PREFIXES = {"test": "", "external": "external_"}
"""A part of the patients on whom results are reported → the beginning of its values' names."""

ONE_TRAINING = "one training of each network: its noise is in no interval"
"""Note of a value that may hang on the seed of its only training."""

Scores = Callable[[FloatArray], Mapping[str, FloatArray]]
"""Summed matrices (m, K, K) → the scores of each of the m sums by name."""


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
    return value(name, mean_interval(numbers, study, "bootstrap", name), rule)


def mean_interval(numbers: ArrayLike, study: settings.Study, *names: str) -> bootstrap.Interval:
    """Return the mean of one number per patient (n,), drawn with the seed of these names."""
    seed = settings.named_seed(study.seed, *names)
    return bootstrap.mean_interval(numbers, seed, study.evaluation.bootstrap)


def macro_scores(stack: FloatArray) -> Mapping[str, FloatArray]:
    """Return the macro scores of confusion matrices (m, K, K), averages of counts as well."""
    scores = metrics.stacked_scores(cast(Confusion, stack), "macro", "exclude")
    # A draw with one class alone has no correlation; scikit-learn takes 0 for it, and so do we.
    return {**scores, "mcc": np.nan_to_num(scores["mcc"], nan=0.0)}


def pooled(
    counts: FloatArray | Confusion,
    study: settings.Study,
    *names: str,
    scores: Scores = macro_scores,
) -> dict[str, bootstrap.Interval]:
    """Return scores of the patients' summed counts, drawn with the seed of these names.

    ``counts`` are one matrix (K, K) or one row (K,) per patient; ``scores`` gets a row as a matrix
    with one row.
    """
    matrices = counts if counts.ndim > 2 else counts[:, None]
    seed = settings.named_seed(study.seed, *names)
    return bootstrap.confusion_intervals(matrices, scores, seed, study.evaluation.bootstrap)


def parts(table: pd.DataFrame) -> list[tuple[str, str]]:
    """Return the reported parts that ``table`` has, each with its prefix of ``PREFIXES``."""
    return [(part, prefix) for part, prefix in PREFIXES.items() if (table["part"] == part).any()]


def ends(interval: bootstrap.Interval | training_noise.Effect | Value) -> tuple[float, float]:
    """Return both ends of an interval, NaN where it has none."""
    return interval.ci95 or (math.nan, math.nan)
