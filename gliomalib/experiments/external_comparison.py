"""Two sites side by side: drops of scores, site by site, calibration, and the gain of the z-score.

The two groups of ``external_sites`` are different people, so a drop is unpaired. Only phantoms are
imaged at both sites: then the drop is paired, and only who was imaged twice is looked at. The gain
of the z-score is paired within patients.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import pandas as pd

from gliomalib import settings
from gliomalib.experiments import comparing
from gliomalib.experiments.external_sites import GROUPS, NONE, Z_SCORE, GroupScores, Sites
from gliomalib.experiments.values import ends, mean_interval, parts
from gliomalib.pipeline import folds
from gliomalib.schema import FloatArray
from gliomalib.scoring import bootstrap, calibration, metrics, rare_classes
from gliomalib.scoring import tables as evaluate

ACCURACY = ("accuracy", "balanced_accuracy")
"""Scores of ResNet50 over the slices of a group, the second NaN where a class is too rare."""

MASKS = ("empty", "missed")
"""Masks that are empty in truth and prediction, or in one of them: ``comparing.masks``."""


def compared(scores: GroupScores) -> GroupScores:
    """Return the scores of who was imaged at both sites, under one name; all, if nobody was."""
    if not scores.twins:
        return scores
    dice, slices = (_one_name(table, scores.twins) for table in (scores.scores, scores.slices))
    return replace(scores, scores=dice, slices=slices)


def beside(scores: GroupScores, study: settings.Study) -> pd.DataFrame:
    """Return both groups side by side, one row per network (``of``) and score, as `compared`.

    By group its value, ends of its interval, patients and ``MASKS``; then drop, low, high. NaN
    where there is no external patient.
    """
    scores = compared(scores)
    full = evaluate.with_mean(scores.scores)
    lose = _paired if scores.twins else bootstrap.unpaired_interval
    rows = []
    for network in folds.SHORT.values():
        table = full[full["network"] == network]
        for region in ("mean", *evaluate.REGIONS):
            dice = {part: evaluate.per_patient(table, region, part) for part, _ in parts(table)}
            if scores.twins:
                both = pd.DataFrame(dice).dropna()
                dice = {part: both[part] for part in dice}
            groups = {part: bootstrap.with_ones(own.dropna()) for part, own in dice.items()}
            drop = _drop(groups, bootstrap.ratio, lose, study, network, region)
            row = {"of": network, "score": region, **drop}
            # a mean has no mask of its own, but hangs on those of its classes
            masks = list(evaluate.CLASSES) if region == "mean" else [region]
            of_region = table["region"].isin(masks)
            for part, group in GROUPS.items():
                row |= _masks(table[of_region & (table["part"] == part)], f"_{group}")
            rows.append(row)
    confusions = _confusions(scores)
    patients = {f"n_{GROUPS[part]}": len(counts) for part, counts in confusions.items()}
    rare = too_rare(scores)
    for name in ACCURACY:
        groups = {} if rare and name != "accuracy" else confusions

        def score(sums: FloatArray, name: str = name) -> FloatArray:
            """Return one score of summed confusion matrices."""
            return metrics.stacked_scores(sums)[name]

        drop = _drop(groups, score, lose, study, name)
        rows.append({"of": "ResNet50", "score": name, **drop, **patients})
    counted = [f"{what}_{group}" for what in MASKS for group in GROUPS.values()]
    return pd.DataFrame(rows).astype(dict.fromkeys(counted, "Int64"))


def too_rare(scores: GroupScores) -> str:
    """Return why no score is averaged over classes in both groups, empty where one is.

    ``scores`` as of `compared`.
    """
    notes = {part: rare_classes.too_rare(counts) for part, counts in _confusions(scores).items()}
    return "; ".join(f"{GROUPS[part]} patients: {note}" for part, note in notes.items() if note)


def by_site(scores: GroupScores, sites: Sites) -> pd.DataFrame:
    """Return the fused volume by site.

    Columns: part, site, patients, mean_dice, low, high, and the empty and missed masks.
    """
    fused = scores.scores[scores.scores["network"] == "fused"]
    table = fused.assign(site=fused["patient_id"].map(sites.homes))
    rows = []
    for (part, site), rows_of_site in table.groupby(["part", "site"], sort=True):
        full = evaluate.with_mean(rows_of_site)
        dice = evaluate.per_patient(full, "mean", str(part)).dropna()
        mean = mean_interval(dice, sites.study, "external", str(site))
        low, high = ends(mean)
        row = {"part": GROUPS[str(part)], "site": site, "patients": mean.n}
        row |= {"mean_dice": mean.value, "low": low, "high": high}
        rows.append(row | _masks(rows_of_site))
    return pd.DataFrame(rows).sort_values("part", ascending=False, ignore_index=True)


def reliability(scores: GroupScores) -> pd.DataFrame:
    """Return the reliability table of each group: part, confidence, accuracy, n, low, high."""
    tables = [
        calibration.table(np.sum([*of_patient.values()], axis=0)).assign(part=GROUPS[part])
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
    sums, intervals = np.stack([*scores.tallies[part].values()]), {}
    for name, score in (("ece", calibration.expected_error), ("brier", calibration.brier)):
        seed = settings.named_seed(study.seed, "external", f"{name}_{part}")
        intervals[name] = bootstrap.confusion_interval(
            sums, score, seed, study.evaluation.bootstrap
        )
    return intervals


def gains(scores: GroupScores) -> dict[str, comparing.Gain]:
    """Return what the z-score adds to mean Dice in each of the ``GROUPS`` that has patients."""
    mean, gains = evaluate.with_mean(scores.remedied), {}
    for part, _ in parts(mean):
        treated, plain = (
            evaluate.per_patient(mean[mean["network"] == key], "mean", part)
            for key in (Z_SCORE, NONE)
        )
        gains[GROUPS[part]] = comparing.paired((treated - plain).dropna().to_frame())
    return gains


def _confusions(scores: GroupScores) -> dict[str, FloatArray]:
    """Return the slices of each patient by class, shape (patients, 4, 4), by part."""
    return {
        part: evaluate.patient_confusions(scores.slices, part).astype(np.float64)
        for part, _ in parts(scores.slices)
    }


def _one_name(table: pd.DataFrame, twins: Mapping[str, str]) -> pd.DataFrame:
    """Return the rows of patients imaged at both sites, external ones under the internal name."""
    outside = table["part"] == "external"
    names = table["patient_id"].map(twins).where(outside, table["patient_id"])
    both = set(names[outside]) & set(names[~outside])
    return table.assign(patient_id=names)[names.isin(both)]


def _paired(
    a: FloatArray, b: FloatArray, score: bootstrap.Score, seed: int, draws: int
) -> bootstrap.Interval:
    """Return the score of ``a`` less that of ``b``, the same patients in the same order."""
    rows = a.shape[1]

    def lost(sums: FloatArray) -> FloatArray:
        """Return what the score loses from the first site to the second."""
        return score(sums[:, :rows]) - score(sums[:, rows:])

    # a patient is drawn with all that is his at both sites
    return bootstrap.confusion_interval(np.concatenate([a, b], axis=1), lost, seed, draws)


def _drop(
    groups: Mapping[str, FloatArray],
    score: bootstrap.Score,
    lose: Callable[..., bootstrap.Interval],
    study: settings.Study,
    *names: str,
) -> dict[str, float]:
    """Return the score of each group, summed over the patients who are drawn, and its drop.

    A part of ``GROUPS`` without patients may be absent from ``groups``, which are by part.
    ``lose`` is `_paired` or ``bootstrap.unpaired_interval``.
    """
    row: dict[str, float] = {}
    nobody, draws = bootstrap.Interval(np.nan, None, 0), study.evaluation.bootstrap
    for part, group in GROUPS.items():
        interval, seed = nobody, settings.named_seed(study.seed, "external", part, *names)
        if part in groups and len(groups[part]):
            interval = bootstrap.confusion_interval(groups[part], score, seed, draws)
        row |= {group: interval.value, f"n_{group}": interval.n}
        row[f"{group}_low"], row[f"{group}_high"] = ends(interval)
    lost, seed = nobody, settings.named_seed(study.seed, "external", "drop", *names)
    if len(groups) == len(GROUPS) and all(map(len, groups.values())):
        lost = lose(groups["test"], groups["external"], score, seed, draws)
    low, high = ends(lost)
    return {**row, "drop": lost.value, "low": low, "high": high}


def _masks(scores: pd.DataFrame, suffix: str = "") -> dict[str, int]:
    return dict(zip([what + suffix for what in MASKS], comparing.masks(scores), strict=True))
