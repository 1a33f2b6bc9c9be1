"""Methods against one another on the same patients, and the words in which it is said."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd

from gliomalib import settings
from gliomalib.experiments import values
from gliomalib.schema import Confusion, Value
from gliomalib.scoring import comparisons, metrics, rope, sensitivity, training_noise
from gliomalib.scoring import tables as evaluate

COLUMNS = ["difference", "low", "high", "p_holm", "verdict", "note", "limited"]
"""Columns of ``judged`` that a table without comparisons has too."""


RULE_DECIDES = "the rule for empty masks decides whether 0 lies in the interval"


class Gain(NamedTuple):
    """What one method exceeds another by: over patients and trainings, and in each patient.

    ``rule_decides`` says whether the rules for empty masks put the interval on different sides of
    0.
    """

    effect: training_noise.Effect
    patients: pd.Series
    rule_decides: bool = False

    @property
    def by_patient(self) -> sensitivity.Sensitivity:
        """What it is without each patient."""
        return sensitivity.leave_one_out(self.patients)

    @property
    def note(self) -> str:
        """Who or what decides it beside the method."""
        decider = self.by_patient.decider
        notes = [f"one patient decides: {decider}"] * bool(decider)
        notes += [RULE_DECIDES] * self.rule_decides
        return "; ".join([*notes, *[values.ONE_TRAINING] * (self.effect.seeds == 1)])


def paired(differences: pd.DataFrame) -> Gain:
    """Return the gain of differences (patients × trainings) of methods with the same trainings."""
    return Gain(training_noise.paired(differences), differences.mean(axis=1))


def unpaired(first: pd.DataFrame, second: pd.DataFrame) -> Gain:
    """Return the gain of scores, patients × trainings each, that share patients only."""
    return Gain(training_noise.unpaired(first, second), first.mean(axis=1) - second.mean(axis=1))


def of_rules(gains: Mapping[str, Gain]) -> dict[str, Gain]:
    """Return one gain by the rules for empty masks, each saying whether the rule decides it."""
    bounds = {rule: gain.effect.ci95 for rule, gain in gains.items()}
    decides = sensitivity.rule_decides(bounds)
    return {rule: gain._replace(rule_decides=decides) for rule, gain in gains.items()}


def value(name: str, gain: Gain, rule: str, note: str = "") -> Value:
    """Return a gain as a value; its note says what decides it, or ``note`` where there is one."""
    return replace(values.value(name, gain.effect, rule), note=note or gain.note)


def sizes(gain: Gain, seed: int) -> dict[str, object]:
    """Return a gain as the row of a table.

    Columns: difference, low, high (95 % interval over patients and trainings), trainings, median,
    better (patients above 0), least and most (means when each patient is left out), decider (the
    patient who decides), and P(worse), P(same), P(better) by ``rope``.
    """
    effect, shaky = gain.effect, gain.by_patient
    low, high = values.ends(effect)
    likely = vars(rope.signed_rank(gain.patients, seed))
    return {
        **{"difference": effect.value, "low": low, "high": high, "trainings": effect.seeds},
        **{"median": shaky.median, "better": f"{shaky.better} of {shaky.n}"},
        **{"least": shaky.least, "most": shaky.most, "decider": shaky.decider},
        **{f"P({region})": share for region, share in likely.items()},
    }


def judged(gains: Mapping[str, Gain], seed: int, bound: str = "") -> pd.DataFrame:
    """Return one row per gain, which together are Holm's family, but for the ``bound``.

    Columns: those of ``sizes``, verdict, and those of ``comparisons.family``. ``equivalent`` needs
    the interval within ±0.01 (``comparisons.MARGIN``), ``different`` 0 outside of it and p_holm
    below 0.05; neither is ``undecided``. A bound that is no method has the verdict "–".
    """
    members = {name: gain.patients for name, gain in gains.items() if name != bound}
    tested = comparisons.family(pd.DataFrame(members))
    rows = [
        {**sizes(gain, seed), "verdict": _verdict(gain.effect, tested["p_holm"].get(name))}
        for name, gain in gains.items()
    ]
    return pd.DataFrame(rows, index=list(gains)).join(tested)


def beside(means: pd.Series, titles: Mapping[str, str], judged: pd.DataFrame) -> pd.DataFrame:
    """Return a row per method: method, title, mean, and those of ``judged``.

    ``means`` has the method that others are set against too, whose verdict is "–".
    """
    rows = means.rename_axis("method").reset_index(name="mean")
    rows.insert(1, "title", rows["method"].map(titles))
    rows = rows.join(judged, on="method")
    return rows.assign(
        verdict=rows["verdict"].fillna("–"),
        note=rows["note"].fillna(""),
        limited=rows["limited"].eq(other=True),
    )


def false_alarms(
    name: str, scores: Sequence[pd.DataFrame], patients: int, seeds: int, what: str
) -> Value:
    """Return how often one training counts as different from the other ones of its network.

    ``scores`` are tables of patients × trainings, one network each; ``what`` says over what.
    """
    counts = [training_noise.false_alarms(wide) for wide in scores]
    alarms, asked = map(sum, zip(*counts, strict=True))
    rule = (
        f"{alarms} of {asked} comparisons of a training with the other ones of the same network "
        f"whose 95 % interval leaves out 0, over {what}; one in twenty is expected; they share "
        "patients, so this illustrates a rate and estimates none"
    )
    note = "" if asked else "fewer than three trainings, so none was compared with others like it"
    share = alarms / asked if asked else math.nan
    return Value(name, share, n_patients=patients, rule=rule, n_seeds=seeds, note=note)


def disagreements(
    here: Mapping[str, Gain], there: Mapping[str, Gain], titles: Mapping[str, str]
) -> str:
    """Return where held-out and external patients say opposite things, empty where nowhere.

    Those of ``titles`` are looked at. The signs differ, and at least one interval leaves out 0.
    """
    opposite = []
    for name, title in titles.items():
        first, second = here[name].effect, there[name].effect
        is_clear = first.excludes_zero or second.excludes_zero
        if is_clear and first.value * second.value < 0:
            numbers = f"{_bounds(first)} in held-out, {_bounds(second)} in external patients"
            opposite.append(f"{title} ({numbers})")
    return f" The two sites disagree on the sign of {'; of '.join(opposite)}." if opposite else ""


def interval(row: pd.Series, low: str = "low", high: str = "high") -> tuple[float, float] | None:
    """Return the 95 % interval of a row of a table, None where it is NaN."""
    return None if np.isnan(row[low]) else (float(row[low]), float(row[high]))


def dice_rows(
    about: Mapping[str, object], counts: Confusion, study: settings.Study
) -> list[dict[str, object]]:
    """Return a row per region of a patient: ``about``, region, Dice by ``tables.RULES``, state.

    ``counts`` is the 4×4 matrix of voxels of the store, rows the truth.
    """
    empty, voxel_ml = study.evaluation.empty, study.preprocessing.voxel_ml
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


def listed(rows: pd.DataFrame, gains: Iterable[Gain]) -> str:
    """Return the differences of a table in words, each with what decides it."""
    return "; ".join(
        f"{row['title']}: {spoken(row)}{f' [{gain.note}]' if gain.note else ''}"
        for (_, row), gain in zip(rows.iterrows(), gains, strict=True)
    )


def limits(rows: pd.DataFrame) -> str:
    """Return why differences could not be shown, as sentences that follow another one."""
    notes = rows.loc[rows["limited"].eq(other=True), "note"].unique()
    return "".join(f" {note[0].upper()}{note[1:]}." for note in notes)


def _verdict(effect: training_noise.Effect, p_holm: float | None) -> str:
    if p_holm is None:
        return "–"
    low, high = values.ends(effect)
    if max(-low, high) < comparisons.MARGIN:
        return "equivalent"
    is_different = effect.excludes_zero and p_holm < comparisons.ALPHA
    return "different" if is_different else "undecided"


def _bounds(effect: training_noise.Effect) -> str:
    low, high = values.ends(effect)
    return f"{effect.value:+.3f} ({low:+.3f} to {high:+.3f})"
