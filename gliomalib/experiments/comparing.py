"""Methods against one another on the same patients, and the words in which it is said."""

import math
from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from gliomalib import settings
from gliomalib.experiments import values
from gliomalib.schema import Confusion, Value
from gliomalib.scoring import metrics, training_noise
from gliomalib.scoring import tables as evaluate
from gliomalib.scoring.bootstrap import LEVEL

MASK = ("run", "network", "seed", "patient_id", "region")
"""What tells one predicted mask from another, its fold aside."""

SHARE = 0.5
"""A patient who makes more than this part of the mean decides it."""

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
    def without(self) -> pd.Series:
        """The mean difference when each patient in turn is left out, index the patients."""
        numbers = self.patients.to_numpy(dtype=np.float64)
        means = (numbers.sum() - numbers) / max(len(numbers) - 1, 1)
        return pd.Series(means, self.patients.index)

    @property
    def better(self) -> int:
        """How many patients have a difference above 0."""
        return int((self.patients > 0).sum())

    @property
    def decider(self) -> str:
        """Without whom the mean changes its sign or loses more than half; empty if nobody."""
        mean = float(self.patients.to_numpy(dtype=np.float64).mean())
        # without whom least is left of the mean, measured in its own direction
        left = self.without * np.sign(mean)
        decides = len(left) == 1 or (mean != 0 and left.min() < (1 - SHARE) * abs(mean))
        return str(left.idxmin()) if decides else ""

    @property
    def note(self) -> str:
        """Who or what decides it beside the method."""
        notes = [f"one patient decides: {self.decider}"] * bool(self.decider)
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
    bounds = [gain.effect.ci95 for gain in gains.values()]
    # an interval says above 0, below 0 or neither
    said = {(ends[0] > 0, ends[1] < 0) for ends in bounds if ends}
    return {rule: gain._replace(rule_decides=len(said) > 1) for rule, gain in gains.items()}


def value(name: str, gain: Gain, rule: str, note: str = "", **more: Any) -> Value:
    """Return a gain as a value; its note says what decides it, or ``note`` where there is one."""
    return values.value(name, gain.effect, rule, note=note or gain.note, **more)


def sizes(gain: Gain, level: float = LEVEL) -> dict[str, object]:
    """Return a gain as the row of a table.

    Columns: difference, low, high (interval over patients and trainings), trainings, median,
    better (patients above 0), least and most (means when each patient is left out), decider (the
    patient who decides).
    """
    effect, without = gain.effect, gain.without
    low, high = effect.interval(level) or (math.nan, math.nan)
    return {
        **{"difference": effect.value, "low": low, "high": high, "trainings": effect.seeds},
        **{"median": gain.patients.median(), "better": f"{gain.better} of {len(without)}"},
        **{"least": without.min(), "most": without.max(), "decider": gain.decider},
    }


def judged(gains: Mapping[str, Gain], family: Collection[str] | None = None) -> pd.DataFrame:
    """Return one row per gain: the columns of ``sizes``, and verdict.

    ``equivalent`` needs the interval within ±0.01 (``training_noise.MARGIN``), ``different`` 0
    outside of it; neither is ``undecided``. A gain that was asked for by name has its own 95 %
    interval. Where the best of a ``family`` of k is looked for, each interval is one of 1 − 0.05/k,
    so that all hold together in 95 % of studies (Dunn 1961, doi:10.1080/01621459.1961.10482090);
    what is outside of the family is no method and has the verdict "–".
    """
    level = LEVEL if family is None else 1 - (1 - LEVEL) / max(len(family), 1)
    rows = pd.DataFrame([sizes(gain, level) for gain in gains.values()], index=list(gains))
    decided = np.select(
        [
            ~rows.index.isin(gains if family is None else family),
            rows[["low", "high"]].abs().max(axis=1, skipna=False) < training_noise.MARGIN,
            (rows["low"] > 0) | (rows["high"] < 0),
        ],
        ["–", "equivalent", "different"],
        "undecided",
    )
    return rows.assign(verdict=decided)


def beside(means: pd.Series, titles: Mapping[str, str], judged: pd.DataFrame) -> pd.DataFrame:
    """Return a row per method: method, title, mean, and those of ``judged``.

    ``means`` has the method that others are set against too, whose verdict is "–".
    """
    rows = means.rename_axis("method").reset_index(name="mean")
    rows.insert(1, "title", rows["method"].map(titles))
    rows = rows.join(judged, on="method")
    return rows.fillna({"verdict": "–"})


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
            one, other = (
                "{:+.3f} ({:+.3f} to {:+.3f})".format(effect.value, *values.ends(effect))
                for effect in (first, second)
            )
            opposite.append(f"{title} ({one} in held-out, {other} in external patients)")
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


def masks(scores: pd.DataFrame) -> tuple[int, int]:
    """Return how many masks are empty in truth and prediction, and how many in one of them.

    ``scores`` has patient_id, state (``metrics.MaskState``) and whichever of ``MASK`` differ. A
    mask that several folds predict counts once, as missed where one of them misses it.
    """
    mask = [column for column in MASK if column in scores]
    # the worst of its folds: in this order "missed" follows "both", and "spurious" follows "empty"
    states = scores.groupby(mask)["state"].max()
    return int((states == "empty").sum()), int(states.isin(["missed", "spurious"]).sum())


def spoken(row: pd.Series) -> str:
    """Return the difference of a row with its interval and verdict."""
    ends = interval(row)
    shown = f"{ends[0]:+.3f} to {ends[1]:+.3f}" if ends else "one patient, no interval"
    return f"{row['difference']:+.3f} ({shown}, {row['verdict']})"


def listed(rows: pd.DataFrame, gains: Iterable[Gain]) -> str:
    """Return the differences of a table in words, each with what decides it."""
    return "; ".join(
        f"{row['title']}: {spoken(row)}{f' [{gain.note}]' if gain.note else ''}"
        for (_, row), gain in zip(rows.iterrows(), gains, strict=True)
    )
