"""Every fusion rule on the reported patients, fitted on the validation patients of their fold."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from gliomalib import digits, progress, settings
from gliomalib.experiments import comparing
from gliomalib.experiments.values import PREFIXES, mean_interval, parts, value
from gliomalib.fusion import agreement, rules
from gliomalib.pipeline import folds
from gliomalib.schema import Example, RecordError, Split, Value
from gliomalib.scoring import tables
from gliomalib.scoring.bootstrap import Interval
from gliomalib.settings import PAPER_ALPHA

REFERENCE = "published"
"""The rule against which all others are set: the fixed weight of the paper."""

ADAPTIVE = "entropy_weighted"
"""The rule of question Q1, which learns nothing and is tried on every training."""

FIXED = f"α = {PAPER_ALPHA:g}"

TITLES = {rule.key: rule.title for rule in (*rules.RULES.values(), rules.ORACLE)}

FEWEST = 2
"""Validation patients of a fold below which nothing is fitted there."""

EXPECTED = "mean of NCR, ED and ET Dice per patient, then over patients"

ERRORS = {
    "phi": "correlation of the errors of the two branches over voxels, mean over patients",
    "disagreement": "share of voxels to which the branches give different classes",
    "one_right": "share of voxels in which just one branch is right: all that fusion can win",
}
"""What is said of how the errors of the branches go together."""


@dataclass(frozen=True)
class RuleTrial:
    """What the rules made of the reported patients.

    ``scores`` has one row per patient, fold, training, rule (``network``) and region: patient_id,
    part, fold, seed (0: the study's own), network, region, dice, state. ``fits`` has one row per
    fold and rule: fold, rule, fitted on, inner patients, fitted (whether it was), found; a rule
    that could not be fitted says why in ``found``. ``fitted`` has those that were, by fold and key.
    ``errors`` has one row per patient and fold: how the errors of the branches go together.
    """

    scores: pd.DataFrame
    fits: pd.DataFrame
    fitted: Mapping[int, Mapping[str, rules.Fitted]]
    errors: pd.DataFrame

    @property
    def tried(self) -> list[str]:
        """The rules that every fold could fit, without the oracle, in the order of ``RULES``."""
        n_folds = self.scores["fold"].nunique()
        count = self.scores.groupby("network")["fold"].nunique()
        return [key for key in rules.RULES if count.get(key, 0) == n_folds]


def try_rules(material: folds.Material) -> RuleTrial:
    """Fit every rule on the validation patients of each fold and apply it to the others.

    The networks were not trained on these patients, and nothing is reported on them. A fold with
    fewer than ``FEWEST`` of them tries the rules that need no fitting only, and ``fits`` says so.
    Other trainings than the study's own meet ``ADAPTIVE`` and ``REFERENCE`` only.
    """
    scores: list[dict[str, object]] = []
    fits: list[dict[str, object]] = []
    errors: list[dict[str, object]] = []
    of_folds: dict[int, dict[str, rules.Fitted]] = {}
    empty, (_, *others) = material.study.evaluation.empty, folds.seeds(material.study).items()
    for split in material.splits:
        fitted, fit_rows = _fitted(material, split)
        of_folds[split.fold] = fitted
        fits += fit_rows
        reported = [(part, name) for part in PREFIXES for name in folds.parts_of(split)[part]]
        for part, patient in progress.steps(reported, f"fold {split.fold}: rules"):
            pair = folds.pair(material, split.fold, patient)
            case = material.store.get(patient)
            about = {"patient_id": patient, "part": part, "fold": split.fold}
            best = {rules.ORACLE.key: rules.oracle(pair, case.labels, empty)}
            trials = [(0, pair, key, rule) for key, rule in {**fitted, **best}.items()]
            for seed, branches in others:
                again = folds.pair(material, split.fold, patient, branches)
                trials += [(seed, again, key, fitted[key]) for key in (REFERENCE, ADAPTIVE)]
            for seed, volumes, key, rule in trials:
                counts = tables.confusion_of(case, rule.apply(volumes))
                whose = {**about, "seed": seed, "network": key}
                scores += comparing.dice_rows(whose, counts, material.study)
            errors.append({**about, **agreement.error_correlation(pair, case.labels)})
    return RuleTrial(pd.DataFrame(scores), pd.DataFrame(fits), of_folds, pd.DataFrame(errors))


def table(trial: RuleTrial, part: str) -> pd.DataFrame:
    """Return each patient's mean of the three Dice by rule, folds averaged: patients × rules.

    Of the study's own training. Raises ``RecordError`` where the part has nobody.
    """
    rows = _means(trial, part).query("seed == 0")
    if rows.empty:
        raise RecordError(f"no patient of part {part!r} was fused; check the split")
    wide = rows.pivot_table(index="patient_id", columns="network", values="dice", aggfunc="mean")
    return wide[[*trial.tried, rules.ORACLE.key]]


def compared(trial: RuleTrial, part: str) -> pd.DataFrame:
    """Return every rule beside the fixed weight, columns of ``comparing.beside``.

    ``mean`` is of the study's own training, ``difference`` the paired one to ``REFERENCE`` over
    patients and the trainings that the rule was tried on. All rules that were tried are one family,
    whose intervals hold together; the oracle is a bound, no member.
    """
    wide = table(trial, part)
    judged = comparing.judged(_gains(trial, part), {*trial.tried} - {REFERENCE})
    return comparing.beside(wide.mean(), TITLES, judged)


def values(trial: RuleTrial, study: settings.Study) -> list[Value]:
    """Return the gain of every rule over the fixed weight, and how the branches' errors go."""
    values = []
    for part, prefix in parts(trial.scores):
        for key, gain in _gains(trial, part).items():
            bound = "; a bound that sees the patient's own labels, no method"
            rule = f"{TITLES[key]} minus {FIXED}, {EXPECTED}{bound * (key == rules.ORACLE.key)}"
            values.append(comparing.value(f"{prefix}{key}_gain", gain, rule))
        of_part = trial.errors[trial.errors["part"] == part]
        errors = of_part.groupby("patient_id").mean(numeric_only=True)
        for name, what in ERRORS.items():
            defined, mean = errors[name].dropna(), Interval(math.nan, None, 0)
            if len(defined):
                mean = mean_interval(defined, study, "adaptive", part, name)
            left_out = digits.counted(len(errors) - len(defined), "patient")
            rule = f"{what}; {left_out} without it left out"
            values.append(value(f"{prefix}errors_{name}", mean, rule))
    n_skipped = int((~trial.fits["fitted"]).sum())
    rule = "folds and rules that were not fitted for want of validation patients"
    return [*values, Value("rules_not_fitted", float(n_skipped), rule=rule)]


def conclusion(compared: pd.DataFrame, trial: RuleTrial) -> str:
    """Say which rules gain in held-out patients, what is the bound, and what was not tried."""
    bound = compared[compared["method"] == rules.ORACLE.key].iloc[0]
    others = compared[~compared["method"].isin([rules.ORACLE.key, REFERENCE])]
    gain = others[others["low"] > 0]
    best = others.sort_values("difference", kind="stable").iloc[-1]
    n, reach = len(table(trial, "test")), bound["difference"]
    text = (
        f"By intervals that hold for all {len(others)} rules together "
        f"{', '.join(gain['title']) or 'no rule'} gain{'s' * (len(gain) < 2)} on {FIXED} in {n} "
        f"held-out patients; the best of them, {best['title']}, changes the mean by "
        f"{best['difference']:+.3f}, and an oracle that knows each patient's best α gains "
        f"{reach:+.3f}."
    )
    skipped = [key for key in rules.RULES if key not in trial.tried]
    if skipped:
        text += (
            f" {len(skipped)} of {len(rules.RULES)} rules need at least {FEWEST} validation "
            "patients in every fold and were not tried."
        )
    return text


def extremes(material: folds.Material, trial: RuleTrial) -> list[Example]:
    """Return the held-out patients in whom an adaptive rule gains and loses most."""
    key = next(name for name in ("gate", "entropy_weighted") if name in trial.tried)
    wide = (
        _means(trial, "test")
        .query("seed == 0")
        .pivot(index=["fold", "patient_id"], columns="network", values="dice")
    )
    gain = (wide[key] - wide[REFERENCE]).sort_values(kind="stable")
    return [_example(material, trial, key, gain.index[at], gain.iloc[at]) for at in (-1, 0)]


def _fitted(
    material: folds.Material, split: Split
) -> tuple[dict[str, rules.Fitted], list[dict[str, object]]]:
    """Return the rules that this fold can fit, and the rows of ``fits``."""
    study = material.study
    training = [
        (folds.pair(material, split.fold, name), material.store.get(name).labels)
        for name in split.val
    ]
    fitted, rows = {}, []
    for key, rule in rules.RULES.items():
        learns = rule.fitted_on == "inner patients"
        n, what = len(training), f"not fitted: {len(training)} validation patients"
        if not learns or n >= FEWEST:
            seed = settings.named_seed(study.seed, "rule", key, split.fold)
            fitted[key] = rules.fit(key, training, seed, study.evaluation.empty)
            what = _spoken(fitted[key].parameters)
        row = {"fold": split.fold, "rule": rule.title, "fitted on": rule.fitted_on}
        row |= {"inner patients": n * learns, "fitted": key in fitted, "found": what}
        rows.append(row)
    return fitted, rows


def _example(
    material: folds.Material, trial: RuleTrial, key: str, at: tuple[int, str], gain: float
) -> Example:
    fold, patient = int(at[0]), str(at[1])
    fitted, pair = trial.fitted[fold], folds.pair(material, fold, patient)
    volumes = {"2D": pair[0], "3D": pair[1], FIXED: fitted[REFERENCE].apply(pair)}
    volumes[TITLES[key]] = fitted[key].apply(pair)
    title = f"{patient}: {TITLES[key]} {gain:+.3f} mean Dice against {FIXED}"
    return folds.example(material.store.get(patient), volumes, title)


def _gains(trial: RuleTrial, part: str) -> dict[str, comparing.Gain]:
    """Return what every rule and the oracle gain on ``REFERENCE``, in the trainings they met."""
    by_seed = _means(trial, part).pivot_table(
        index=["patient_id", "seed"], columns="network", values="dice"
    )
    gains = by_seed.sub(by_seed[REFERENCE], axis="index")
    keys = [key for key in (*trial.tried, rules.ORACLE.key) if key != REFERENCE]
    of_keys = {key: gains[key].unstack("seed").dropna(axis=1, how="all") for key in keys}
    return {key: comparing.paired(pd.DataFrame(wide)) for key, wide in of_keys.items()}


def _means(trial: RuleTrial, part: str) -> pd.DataFrame:
    full = tables.with_mean(trial.scores)
    return full[(full["part"] == part) & (full["region"] == "mean")]


def _spoken(parameters: Mapping[str, object]) -> str:
    """Return what a rule has fitted: its numbers, and arrays of up to eight."""
    fitted = []
    for name, number in parameters.items():
        array = np.asarray(number)
        if isinstance(number, float | int):
            fitted.append(f"{name} {digits.number(float(number))}")
        elif array.size <= 8 and array.dtype.kind in "fi":
            fitted.append(f"{name} {np.round(array, 3).tolist()}")
    return ", ".join(fitted) or "–"
