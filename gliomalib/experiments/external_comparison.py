"""Two sites side by side: drops of scores, site by site, calibration, and gains of remedies.

The two groups of ``external_sites`` are different people, so a drop is unpaired; the gain of a
remedy is paired within patients.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from gliomalib import settings
from gliomalib.experiments import comparing, remedies
from gliomalib.experiments.external_sites import GROUPS, NONE, GroupScores, Sites
from gliomalib.pipeline import folds
from gliomalib.schema import FloatArray
from gliomalib.scoring import bootstrap, calibration, metrics
from gliomalib.scoring import tables as evaluate

ACCURACY = ("accuracy", "balanced_accuracy")
"""Scores of ResNet50, over the slices of a group."""

MASKS = {"empty": ["empty"], "missed": ["missed", "spurious"]}
"""Masks that are empty in truth and prediction, or in one of them: ``metrics.MaskState``."""

Groups = Mapping[str, FloatArray]
"""By part what belongs to each of its patients, to be summed over those who are drawn."""


def beside(scores: GroupScores, study: settings.Study) -> pd.DataFrame:
    """Return both groups side by side, one row per network and score.

    Columns: of, score, then by group its value, ends of its interval, patients, and masks that
    are empty in truth and prediction or in one of them (``missed``), then drop, low, high; NaN
    where there is no external patient.
    """
    resampling = comparing.Resampling(study, "external")
    full = evaluate.with_mean(scores.scores)
    rows = []
    for network in folds.SHORT.values():
        table = full[full["network"] == network]
        for region in ("mean", *evaluate.REGIONS):
            groups = {part: _dice(table, region, part) for part in GROUPS}
            drop = _drop(groups, bootstrap.ratio, resampling, network, region)
            masks = {
                f"{what}_{group}": _states(table, region, part, states)
                for part, group in GROUPS.items()
                for what, states in MASKS.items()
            }
            rows.append({"of": network, "score": region, **drop, **masks})
    confusions = {part: _confusions(scores.slices, part) for part in GROUPS}
    for name in ACCURACY:
        drop = _drop(confusions, _of_confusion(name), resampling, name)
        rows.append({"of": "ResNet50", "score": name, **drop})
    counted = [f"{what}_{group}" for what in MASKS for group in GROUPS.values()]
    return pd.DataFrame(rows).astype(dict.fromkeys(counted, "Int64"))


def by_site(scores: GroupScores, sites: Sites) -> pd.DataFrame:
    """Return the fused volume by site.

    Columns: part, site, patients, mean_dice, low, high, and the empty and missed masks.
    """
    resampling = comparing.Resampling(sites.study, "external")
    fused = scores.scores[scores.scores["network"] == "fused"]
    table = fused.assign(site=fused["patient_id"].map(sites.homes))
    rows = []
    for (part, site), rows_of_site in table.groupby(["part", "site"], sort=True):
        full = evaluate.with_mean(rows_of_site)
        mean = resampling.mean(evaluate.per_patient(full, "mean", str(part)).dropna(), str(site))
        low, high = comparing.bounds(mean)
        row = {"part": GROUPS[str(part)], "site": site, "patients": mean.n}
        row |= {"mean_dice": mean.value, "low": low, "high": high}
        states = rows_of_site["state"]
        rows.append(row | {what: int(states.isin(kinds).sum()) for what, kinds in MASKS.items()})
    return pd.DataFrame(rows).sort_values("part", ascending=False, ignore_index=True)


def reliability(scores: GroupScores) -> pd.DataFrame:
    """Return the reliability table of each group: part, confidence, accuracy, n, low, high."""
    tables = [
        calibration.pooled(of_patient.values()).table().assign(part=GROUPS[part])
        for part, of_patient in scores.tallies.items()
        if of_patient
    ]
    return pd.concat(tables, ignore_index=True)


def calibration_errors(
    scores: GroupScores, part: str, study: settings.Study
) -> dict[str, bootstrap.Interval]:
    """Return the expected calibration error (ece) and Brier score of a group, patients pooled.

    The Brier score is summed over the classes, 0 to 2.
    """
    resampling = comparing.Resampling(study, "external")
    tallies = scores.tallies[part].values()
    bins = np.stack([tally.bins for tally in tallies])
    squares = np.array([[[tally.brier_sum, tally.n]] for tally in tallies])
    return {
        "ece": _interval(bins, calibration.expected_error, resampling, f"ece_{part}"),
        "brier": _interval(squares, bootstrap.ratio, resampling, f"brier_{part}"),
    }


def gains(scores: GroupScores, study: settings.Study) -> pd.DataFrame:
    """Return what each remedy gives in each group, paired with no remedy in each patient.

    Columns: part, remedy, title, patients, mean_dice, gain, low, high, p_holm, verdict, note,
    limited. The family of Holm's adjustment are the remedies of ``remedies.REMEDIES`` in one
    group.
    """
    resampling = comparing.Resampling(study, "external")
    full = evaluate.with_mean(scores.remedied).query("region == 'mean'")
    tables = []
    for part, rows in full.groupby("part", sort=False):
        wide = rows.pivot_table(index="patient_id", columns="network", values="dice").dropna()
        differences = wide[list(remedies.REMEDIES)].sub(wide[NONE], axis="index")
        judged = comparing.compare(
            differences, resampling.seed("remedies", str(part)), resampling.draws
        )
        about = [
            [GROUPS[str(part)], key, remedy.title, len(wide), wide[key].mean()]
            for key, remedy in remedies.REMEDIES.items()
        ]
        columns = ["part", "remedy", "title", "patients", "mean_dice"]
        tables.append(pd.DataFrame(about, columns=columns).join(judged, on="remedy"))
    return pd.concat(tables, ignore_index=True).rename(columns={"difference": "gain"})


# --- one score of two groups


def _drop(
    groups: Groups, score: bootstrap.Score, resampling: comparing.Resampling, *names: str
) -> dict[str, float]:
    row: dict[str, float] = {}
    for part, group in GROUPS.items():
        n, value, ends = len(groups[part]), np.nan, (np.nan, np.nan)
        if n:
            interval = _interval(groups[part], score, resampling, part, *names)
            value, ends = interval.value, comparing.bounds(interval)
        row |= {group: value, f"n_{group}": n, f"{group}_low": ends[0], f"{group}_high": ends[1]}
    drop, ends = np.nan, (np.nan, np.nan)
    if all(map(len, groups.values())):
        seed = resampling.seed("drop", *names)
        lost = bootstrap.unpaired_interval(
            groups["test"], groups["external"], score, seed, resampling.draws
        )
        drop, ends = lost.value, comparing.bounds(lost)
    return {**row, "drop": drop, "low": ends[0], "high": ends[1]}


def _interval(
    values: FloatArray, score: bootstrap.Score, resampling: comparing.Resampling, *names: str
) -> bootstrap.Interval:
    # what belongs to a patient is summed over those drawn, and the score taken of the sum
    intervals = bootstrap.confusion_intervals(
        values, lambda sums: {"score": score(sums)}, resampling.seed(*names), resampling.draws
    )
    return intervals["score"]


def _of_confusion(name: str) -> bootstrap.Score:
    def score(sums: FloatArray) -> FloatArray:
        return metrics.stacked_scores(sums.astype(np.int64), "macro", "exclude")[name]

    return score


def _dice(table: pd.DataFrame, region: str, part: str) -> FloatArray:
    if not (table["part"] == part).any():
        return np.empty((0, 1, 2))
    return bootstrap.with_ones(evaluate.per_patient(table, region, part).dropna())


def _confusions(slices: pd.DataFrame, part: str) -> FloatArray:
    if not (slices["part"] == part).any():
        return np.empty((0, 4, 4))
    return evaluate.patient_confusions(slices, part).astype(np.float64)


def _states(table: pd.DataFrame, region: str, part: str, states: list[str]) -> int:
    rows = table[(table["region"] == region) & (table["part"] == part)]
    return int(rows["state"].isin(states).sum())
