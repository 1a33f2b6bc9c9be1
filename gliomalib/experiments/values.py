"""Values of a record, made from per-patient numbers and found again by their names."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pandas as pd
from numpy.typing import ArrayLike

from gliomalib import settings
from gliomalib.schema import Confusion, FloatArray, RecordError, Value
from gliomalib.scoring import bootstrap, metrics, rare_classes, training_noise

PREFIXES = {"test": "", "external": "external_"}
"""A part of the patients on whom results are reported → the beginning of its values' names."""

NOT_ON_BOXES = "not applicable to boxes: "
"""Beginning of the note of a value that only whole heads can have."""

ONE_TRAINING = "one training of each network: its noise is in no interval"
"""Note of a value that may hang on the seed of its only training."""

Estimate = bootstrap.Interval | training_noise.Effect
"""A number over patients, or over patients and trainings."""

WHOLE = ("accuracy", "mcc")
"""Scores of a whole confusion matrix, whatever classes it has."""


def of(values: Sequence[Value], name: str) -> Value:
    """Return the value called ``name``; raises ``RecordError`` where there is none."""
    for value in values:
        if value.name == name:
            return value
    names = ", ".join(value.name for value in values)
    raise RecordError(f"the value {name!r} is missing; found {names}")


def not_on_boxes(name: str, rule: str, why: str) -> Value:
    """Return a value that a study of boxes around the tumour cannot give, and why not."""
    return Value(name, math.nan, rule=rule, note=f"{NOT_ON_BOXES}{why}")


def value(name: str, estimate: Estimate, rule: str, **more: Any) -> Value:
    """Return an estimate as a value; ``more`` are other fields of it."""
    made = Value(name, estimate.value, estimate.ci95, estimate.n, rule=rule)
    if isinstance(estimate, training_noise.Effect):
        made = replace(
            made,
            n_seeds=estimate.seeds,
            sd_patients=estimate.sd_patients,
            sd_trainings=estimate.sd_trainings,
            df_trainings=estimate.df_trainings,
        )
    return replace(made, **more)


def share(name: str, effect: training_noise.Effect, rule: str, **more: Any) -> Value:
    """Return the mean of a score of 0 to 1 as a value, its interval within that range."""
    (low, high), made = ends(effect), value(name, effect, rule, **more)
    return replace(made, ci95=(max(low, 0.0), min(high, 1.0))) if made.ci95 else made


def mean(name: str, numbers: pd.Series, study: settings.Study, rule: str, **more: Any) -> Value:
    """Return the mean of one number per patient with its bootstrap interval."""
    return value(name, mean_interval(numbers, study, "bootstrap", name), rule, **more)


def mean_interval(numbers: ArrayLike, study: settings.Study, *names: str) -> bootstrap.Interval:
    """Return the mean of one number per patient (n,), drawn with the seed of these names."""
    seed = settings.named_seed(study.seed, *names)
    return bootstrap.mean_interval(numbers, seed, study.evaluation.bootstrap)


def class_scores(
    counts: FloatArray | Confusion, study: settings.Study, *names: str
) -> dict[str, bootstrap.Interval]:
    """Return the scores of the patients' summed counts (n, 4, 4), drawn with the seed of the names.

    Macro scores are over the four classes, one never predicted has a precision of 0. They are NaN
    where a class is in too few patients: ``rare_classes.too_rare`` says which one.
    """
    of_sums = pooled(counts, study, *names)
    if rare_classes.too_rare(counts):
        macro = dict.fromkeys(of_sums, bootstrap.Interval(math.nan, None, len(counts)))
    else:
        seed = settings.named_seed(study.seed, *names)
        draws = study.evaluation.bootstrap
        macro = rare_classes.intervals(counts, metrics.stacked_scores, seed, draws)
    return {**macro, **{name: of_sums[name] for name in WHOLE}}


def pooled(
    counts: FloatArray | Confusion,
    study: settings.Study,
    *names: str,
    scores: bootstrap.Scores = metrics.stacked_scores,
) -> dict[str, bootstrap.Interval]:
    """Return scores of the patients' summed counts, drawn with the seed of these names.

    ``counts`` are one matrix (K, K) or one row (K,) per patient; ``scores`` gets a row as a matrix
    with one row.
    """
    matrices = counts if counts.ndim > 2 else counts[:, None]
    seed = settings.named_seed(study.seed, *names)
    return bootstrap.confusion_intervals(matrices, scores, seed, study.evaluation.bootstrap)


def pooled_share(
    counts: FloatArray | Confusion, study: settings.Study, *names: str
) -> bootstrap.Interval:
    """Return the share of counts (n, 2), a part and its whole, of the patients who have any.

    NaN of no patient where nobody has; drawn with the seed of ``names``.
    """
    counts = counts[counts[:, 1] > 0]
    if not len(counts):
        return bootstrap.Interval(math.nan, None, 0)
    share = pooled(counts, study, *names, scores=lambda sums: {"ratio": bootstrap.ratio(sums)})
    return share["ratio"]


def parts(table: pd.DataFrame) -> list[tuple[str, str]]:
    """Return the reported parts that ``table`` has, each with its prefix of ``PREFIXES``."""
    return [(part, prefix) for part, prefix in PREFIXES.items() if (table["part"] == part).any()]


def ends(interval: Estimate | Value) -> tuple[float, float]:
    """Return both ends of an interval, NaN where it has none."""
    return interval.ci95 or (math.nan, math.nan)
