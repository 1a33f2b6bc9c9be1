"""Methods against one another on the same patients, and the words in which it is said."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from gliomalib import settings
from gliomalib.experiments import values
from gliomalib.schema import Confusion
from gliomalib.scoring import bootstrap, comparisons, metrics
from gliomalib.scoring import tables as evaluate

TESTS = ["p_holm", "verdict", "note", "limited"]
"""Columns of ``comparisons.compare_family`` that are kept."""

COLUMNS = ["difference", "low", "high", *TESTS]
"""Columns of ``compare``."""


def compare(differences: pd.DataFrame, seed: int, draws: int) -> pd.DataFrame:
    """Return what paired differences show: their ``intervals`` beside their ``tests``.

    One seed makes all intervals, so that the same patients are drawn for each.
    """
    means = intervals(differences, dict.fromkeys(map(str, differences), seed), draws)
    return means.join(tests(differences, seed, draws))


def intervals(differences: pd.DataFrame, seeds: Mapping[str, int], draws: int) -> pd.DataFrame:
    """Return each comparison's mean with its 95 % interval: difference, low, high.

    ``differences`` has one row per patient and one column per comparison, each with its seed; the
    ends are NaN for a single patient.
    """
    names = list(map(str, differences))
    means = [bootstrap.mean_interval(differences[name], seeds[name], draws) for name in names]
    rows = [(mean.value, *values.ends(mean)) for mean in means]
    return pd.DataFrame(rows, names, COLUMNS[:3])


def tests(differences: pd.DataFrame, seed: int, draws: int) -> pd.DataFrame:
    """Test each column of ``differences`` against no difference; the columns are Holm's family.

    Equivalence is judged by ±0.01 (``comparisons.MARGIN``). Raises ``ValueError`` as
    ``comparisons.compare_family`` does.
    """
    # the pairs of a family need not share a reference, so what is tested are their differences,
    # each against a method that scores 0 in every patient
    table = differences.assign(zero=0.0)
    family = comparisons.compare_family(table, "zero", comparisons.MARGIN, seed, draws)
    return family.set_index("name")[TESTS]


def complete(compared: pd.DataFrame, names: pd.Index) -> pd.DataFrame:
    """Return a row for every name; a method that is in no family has the verdict "–"."""
    rows = compared.reindex(names)
    return rows.assign(
        verdict=rows["verdict"].fillna("–"),
        note=rows["note"].fillna(""),
        limited=rows["limited"].eq(other=True),
    )


def interval(row: pd.Series, low: str = "low", high: str = "high") -> tuple[float, float] | None:
    """Return the 95 % interval of a row of a table, None where it is NaN."""
    return None if np.isnan(row[low]) else (float(row[low]), float(row[high]))


def dice_rows(
    about: Mapping[str, object], counts: Confusion, study: settings.Study
) -> list[dict[str, object]]:
    """Return a row per region of a patient: ``about``, region, Dice by ``tables.RULES``, state.

    ``counts`` is the 4×4 matrix of voxels of the store, rows the truth.
    """
    empty, voxel_ml = study.evaluation.empty, study.preprocessing.spacing_mm**3 / 1000
    return [
        {
            **about,
            "region": region,
            **evaluate.dice_by_rule(counts, classes, empty, voxel_ml),
            "state": metrics.mask_state(counts, classes),
        }
        for region, classes in evaluate.REGIONS.items()
    ]


def masks(states: pd.Series) -> tuple[int, int]:
    """Return how many masks are empty in truth and prediction, and how many in one of them.

    ``states`` are ``metrics.MaskState``.
    """
    return int((states == "empty").sum()), int(states.isin(["missed", "spurious"]).sum())


def tested(row: pd.Series, family: str) -> str:
    """Return the tests of a row for the rule of a value; ``family`` says of what it is one."""
    return (
        f"Wilcoxon with Holm over {family} p = {row['p_holm']:.3g}, "
        f"{row['verdict']} by ±{comparisons.MARGIN:g}"
    )


def spoken(row: pd.Series) -> str:
    """Return the difference of a row with its interval and verdict."""
    verdict = row["verdict"]
    if verdict == "undecided" and (row["low"] > 0 or row["high"] < 0):
        verdict = "undecided by the adjusted test"
    return f"{row['difference']:+.3f} ({row['low']:+.3f} to {row['high']:+.3f}, {verdict})"


def sentence(note: str) -> str:
    """Return a note as a sentence that follows another one."""
    return f" {note[0].upper()}{note[1:]}."
