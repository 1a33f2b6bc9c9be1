"""Methods against one another on the same patients, and the words in which it is said."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from gliomalib import settings
from gliomalib.experiments import values
from gliomalib.schema import Confusion
from gliomalib.scoring import comparisons, metrics, rope, sensitivity, training_noise
from gliomalib.scoring import tables as evaluate

COLUMNS = ["difference", "low", "high", "p_holm", "verdict", "note", "limited"]
"""Columns of ``judged`` that a table without comparisons has too."""


class Gain(NamedTuple):
    """What one method exceeds another by: over patients and trainings, and in each patient."""

    effect: training_noise.Effect
    patients: pd.Series

    @property
    def note(self) -> str:
        """Who or what decides it beside the method."""
        decider = sensitivity.leave_one_out(self.patients).decider
        notes = [f"one patient decides: {decider}"] * bool(decider)
        return "; ".join([*notes, *[values.ONE_TRAINING] * (self.effect.seeds == 1)])


def paired(differences: pd.DataFrame) -> Gain:
    """Return the gain of differences (patients × trainings) of methods with the same trainings."""
    return Gain(training_noise.paired(differences), differences.mean(axis=1))


def unpaired(first: pd.DataFrame, second: pd.DataFrame) -> Gain:
    """Return the gain of scores, patients × trainings each, that share patients only."""
    return Gain(training_noise.unpaired(first, second), first.mean(axis=1) - second.mean(axis=1))


def judged(gains: Mapping[str, Gain], seed: int) -> pd.DataFrame:
    """Return one row per gain, which together are Holm's family.

    Columns: difference, low, high (95 % interval over patients and trainings), trainings, verdict,
    decider (the patient who decides), P(worse), P(same) and P(better) by ``rope``, and those of
    ``comparisons.family``. ``equivalent`` needs the interval within ±0.01 (``comparisons.MARGIN``),
    ``different`` 0 outside of it and p_holm below 0.05; neither is ``undecided``.
    """
    wide = pd.DataFrame({name: gain.patients for name, gain in gains.items()})
    tested = comparisons.family(wide)
    rows = []
    for name, (effect, patients) in gains.items():
        low, high = values.ends(effect)
        verdict = "undecided"
        if effect.excludes_zero and tested["p_holm"][name] < comparisons.ALPHA:
            verdict = "different"
        if max(-low, high) < comparisons.MARGIN:
            verdict = "equivalent"
        sizes = {"difference": effect.value, "low": low, "high": high, "verdict": verdict}
        decider = sensitivity.leave_one_out(patients).decider
        likely = vars(rope.signed_rank(patients, seed))
        shares = {f"P({region})": share for region, share in likely.items()}
        rows.append({**sizes, "trainings": effect.seeds, "decider": decider, **shares})
    return pd.DataFrame(rows, index=wide.columns).join(tested)


def disagreements(here: pd.DataFrame, there: pd.DataFrame, what: str) -> str:
    """Return where held-out and external patients say opposite things, empty where nowhere.

    Both are tables of ``judged`` with a title, rows of ``here`` are looked at; ``what`` is said
    before the title. The signs differ, and at least one interval leaves out 0.
    """
    opposite = []
    for name, row in here.iterrows():
        other = there.loc[[name]].iloc[0]
        is_clear = any(side["low"] * side["high"] > 0 for side in (row, other))
        if is_clear and row["difference"] * other["difference"] < 0:
            numbers = f"{spoken(row)} in held-out, {spoken(other)} in external patients"
            opposite.append(f"{what}{row['title']} ({numbers})")
    return f" The two sites disagree on the sign of {'; of '.join(opposite)}." if opposite else ""


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
