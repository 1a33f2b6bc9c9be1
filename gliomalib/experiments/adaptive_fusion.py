"""Every fusion rule on the reported patients, fitted on the validation patients of their fold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from gliomalib import digits, progress, settings
from gliomalib.fusion import agreement, learned, rules
from gliomalib.pipeline import folds
from gliomalib.schema import Example, RecordError, Split, Value
from gliomalib.scoring import bootstrap, comparisons, metrics, tables
from gliomalib.scoring.comparisons import MARGIN

REFERENCE = "published"
"""The rule against which all others are set: the fixed weight of the paper."""

LEVEL = 0.05
"""Adjusted p below which a gain counts as found."""

FEWEST = 2
"""Validation patients of a fold below which nothing is fitted there."""

LOOK_AT = ("gate", "entropy_weighted")
"""Whose gains and losses are shown: the first of these rules that was tried."""

EXPECTED = "mean of NCR, ED and ET Dice per patient, then over patients"


@dataclass(frozen=True)
class Trial:
    """What the rules made of the reported patients.

    ``scores`` has one row a patient, fold, rule (``network``) and region: patient_id, part, fold,
    network, region, dice. ``fits`` has one row a fold and rule: fold, rule, fitted on, inner
    patients, found; a rule that could not be fitted says why there. ``errors`` has one row a
    patient and fold: how the errors of the branches go together.
    """

    scores: pd.DataFrame
    fits: pd.DataFrame
    errors: pd.DataFrame

    @property
    def tried(self) -> list[str]:
        """The rules that every fold could fit, without the oracle, in the order of ``RULES``."""
        n_folds = self.scores["fold"].nunique()
        count = self.scores.groupby("network")["fold"].nunique()
        return [key for key in rules.RULES if count.get(key, 0) == n_folds]


def try_rules(material: folds.Material) -> Trial:
    """Fit every rule on the validation patients of each fold and apply it to the others.

    The networks were not trained on these patients, and nothing is reported on them. A fold with
    fewer than ``FEWEST`` of them tries the rules that need no fitting only, and ``fits`` says so.
    """
    scores: list[dict[str, object]] = []
    fits: list[dict[str, object]] = []
    errors: list[dict[str, object]] = []
    for split in material.splits:
        fitted, told = _fitted(material, split)
        fits += told
        reported = [one for part in ("test", "external") for one in _named(split, part)]
        for part, patient in progress.steps(reported, f"fold {split.fold}: rules"):
            pair = _pair(material, split, patient)
            labels = material.store.get(patient).labels
            about = {"patient_id": patient, "part": part, "fold": split.fold}
            best = rules.oracle(pair, labels, material.study.evaluation.empty)
            for key, one in {**fitted, rules.ORACLE.key: best}.items():
                found = tables.confusion_of(material.store.get(patient), one.apply(pair))
                scores += [
                    {**about, "network": key, "region": region, "dice": dice}
                    for region, dice in _dice(found, material.study).items()
                ]
            errors.append({**about, **agreement.error_correlation(pair, labels)})
    return Trial(pd.DataFrame(scores), pd.DataFrame(fits), pd.DataFrame(errors))


def fit_table(trial: Trial) -> pd.DataFrame:
    """Return what was fitted to read: one row a rule, one column a fold."""
    rows = trial.fits.assign(fold="fold " + trial.fits["fold"].astype(str))
    wide = rows.pivot_table(
        index=["rule", "fitted on"], columns="fold", values="found", aggfunc="first", sort=False
    )
    return wide.rename_axis(columns=None).reset_index()


def table(trial: Trial, part: str) -> pd.DataFrame:
    """Return each patient's mean of the three Dice by rule, folds averaged: patients × rules.

    Raises ``RecordError`` where the part has nobody.
    """
    full = tables.with_mean(trial.scores)
    rows = full[(full["part"] == part) & (full["region"] == "mean")]
    if rows.empty:
        raise RecordError(f"no patient of part {part!r} was fused; check the split")
    wide = rows.pivot_table(index="patient_id", columns="network", values="dice", aggfunc="mean")
    return wide[[*trial.tried, rules.ORACLE.key]]


def compared(trial: Trial, part: str, study: settings.Study) -> pd.DataFrame:
    """Return every rule beside the fixed weight: rule, mean_dice, gain, low, high, p_holm, verdict.

    ``gain`` is the paired difference to ``REFERENCE`` with its 95 % interval over patients. The
    family of Holm's adjustment are all rules that were tried; the oracle is a bound, no member.
    """
    found = table(trial, part)
    family = comparisons.compare_family(
        found[trial.tried], REFERENCE, MARGIN, _seed(study, part), study.evaluation.bootstrap
    ).set_index("name")
    rows = []
    for key in map(str, found):
        gain = _gain(found, key, study, part)
        low, high = gain.ci95 or (np.nan, np.nan)
        judged = family.loc[key] if key in family.index else None
        rows.append(
            {"rule": key, "title": _title(key), "mean_dice": found[key].mean(),
             "gain": gain.value, "low": low, "high": high,
             "p_holm": np.nan if judged is None else judged["p_holm"],
             "verdict": "–" if judged is None else judged["verdict"],
             "note": "" if judged is None else judged["note"]}
        )  # fmt: skip
    return pd.DataFrame(rows)


def values(trial: Trial, study: settings.Study) -> list[Value]:
    """Return the gain of every rule over the fixed weight, and how the branches' errors go."""
    found = []
    for part in ("test", "external"):
        if not (trial.scores["part"] == part).any():
            continue
        prefix = "external_" if part == "external" else ""
        wide = table(trial, part)
        verdicts = compared(trial, part, study).set_index("rule")
        for key in map(str, wide):
            if key != REFERENCE:
                rule = f"{_title(key)} minus α = 0.6, {EXPECTED}; {_told(verdicts, key)}"
                gain = _gain(wide, key, study, part)
                found.append(
                    Value(f"{prefix}{key}_gain", gain.value, gain.ci95, len(wide), rule=rule)
                )
        found += _error_values(trial, part, prefix, study)
    n_skipped = int(trial.fits["found"].str.startswith("not fitted").sum())
    rule = "folds and rules that were not fitted for want of validation patients"
    return [*found, Value("rules_not_fitted", float(n_skipped), rule=rule)]


def conclusion(found: pd.DataFrame, trial: Trial) -> str:
    """Say whether any rule beats the fixed weight, what is the bound, and what was not tried.

    ``found`` is what ``compared`` gives for the held-out patients.
    """
    bound = found[found["rule"] == rules.ORACLE.key].iloc[0]
    others = found[~found["rule"].isin([rules.ORACLE.key, REFERENCE])]
    beats = others[(others["low"] > 0) & (others["p_holm"] < LEVEL)]
    best = others.sort_values("gain", kind="stable").iloc[-1]
    n = len(table(trial, "test"))
    text = (
        f"{', '.join(beats['title']) or 'No rule'} beat{'s' * (len(beats) < 2)} α = 0.6 on "
        f"{n} held-out patients by the rule; the largest mean gain is {best['gain']:+.3f} "
        f"({best['title']}), and an oracle that knows each patient's best α gains "
        f"{bound['gain']:+.3f}."
    )
    for note in sorted(set(others["note"]) - {""}):
        text += f" {note[0].upper()}{note[1:]}."
    skipped = [key for key in rules.RULES if key not in trial.tried]
    if skipped:
        text += (
            f" {len(skipped)} of {len(rules.RULES)} rules need at least {FEWEST} validation "
            "patients in every fold and were not tried."
        )
    return text


def extremes(material: folds.Material, trial: Trial) -> list[Example]:
    """Return the held-out patients in whom an adaptive rule gains and loses most on α = 0.6."""
    key = next(name for name in LOOK_AT if name in trial.tried)
    full = tables.with_mean(trial.scores)
    rows = full[(full["part"] == "test") & (full["region"] == "mean")]
    wide = rows.pivot_table(index=["fold", "patient_id"], columns="network", values="dice")
    gain = (wide[key] - wide[REFERENCE]).sort_values(kind="stable")
    return [_example(material, key, gain.index[at], gain.iloc[at]) for at in (-1, 0)]


def _fitted(
    material: folds.Material, split: Split
) -> tuple[dict[str, rules.Fitted], list[dict[str, object]]]:
    inner = [_pair(material, split, name) for name in split.val]
    training = [
        (pair, material.store.get(name).labels) for name, pair in zip(split.val, inner, strict=True)
    ]
    fitted, told = {}, []
    for key, rule in rules.RULES.items():
        needs = rule.fitted_on == "inner patients"
        text = f"not fitted: {len(training)} validation patients"
        if not needs or len(training) >= FEWEST:
            seed = settings.named_seed(material.study.seed, "rule", key, split.fold)
            study = material.study
            fitted[key] = rules.fit(key, training, seed, study.evaluation.empty, study.fusion.alpha)
            text = _found(fitted[key].parameters)
        told.append(
            {"fold": split.fold, "rule": rule.title, "fitted on": rule.fitted_on,
             "inner patients": len(training) if needs else 0, "found": text}
        )  # fmt: skip
    return fitted, told


def _named(split: Split, part: str) -> list[tuple[str, str]]:
    return [(part, patient) for patient in folds.parts_of(split)[part]]


def _pair(material: folds.Material, split: Split, patient: str) -> learned.VolumePair:
    flat, deep = (folds.volume(material, name, split.fold, patient) for name in folds.BRANCHES)
    return flat, deep


def _dice(counts: np.ndarray, study: settings.Study) -> dict[str, float]:
    empty = study.evaluation.empty
    return {
        region: metrics.dice(counts, classes, empty) for region, classes in tables.REGIONS.items()
    }


def _gain(wide: pd.DataFrame, key: str, study: settings.Study, part: str) -> bootstrap.Interval:
    return bootstrap.paired_interval(
        wide[key], wide[REFERENCE], _seed(study, part, key), study.evaluation.bootstrap
    )


def _error_values(trial: Trial, part: str, prefix: str, study: settings.Study) -> list[Value]:
    rows = trial.errors[trial.errors["part"] == part].groupby("patient_id").mean(numeric_only=True)
    told = {
        "phi": "correlation of the errors of the two branches over voxels, mean over patients",
        "disagreement": "share of voxels to which the branches give different classes",
        "one_right": "share of voxels in which just one branch is right: all that fusion can win",
    }
    found = []
    for name, rule in told.items():
        known = rows[name].dropna()
        if len(known):
            mean = bootstrap.mean_interval(
                known.to_numpy(), _seed(study, part, name), study.evaluation.bootstrap
            )
            found.append(Value(f"{prefix}errors_{name}", mean.value, mean.ci95, mean.n, rule=rule))
    return found


def _example(material: folds.Material, key: str, at: tuple[int, str], gain: float) -> Example:
    fold, patient = int(at[0]), str(at[1])
    split = next(one for one in material.splits if one.fold == fold)
    fitted, _ = _fitted(material, split)
    pair, case = _pair(material, split, patient), material.store.get(patient)
    shown = {"2D": pair[0], "3D": pair[1], "α = 0.6": fitted[REFERENCE].apply(pair)}
    predictions = {name: tables.predicted_labels(one) for name, one in shown.items()}
    predictions[_title(key)] = tables.predicted_labels(fitted[key].apply(pair))
    title = f"{patient}: {_title(key)} {gain:+.3f} mean Dice against α = 0.6"
    return Example(np.asarray(case.images[3]), np.asarray(case.labels), predictions, title)


def _title(key: str) -> str:
    return rules.ORACLE.title if key == rules.ORACLE.key else rules.RULES[key].title


def _told(verdicts: pd.DataFrame, key: str) -> str:
    p, verdict = verdicts["p_holm"][key], verdicts["verdict"][key]
    if pd.isna(p):
        return "a bound that sees the patient's own labels, no method"
    return f"Wilcoxon with Holm over the rules p = {p:.3g}, {verdict} by ±{MARGIN:g}"


def _found(found: Mapping[str, object]) -> str:
    parts = []
    for name, value in found.items():
        if isinstance(value, float | int):
            parts.append(f"{name} {digits.number(float(value))}")
        elif np.size(np.asarray(value)) <= 8 and np.asarray(value).dtype.kind in "fi":
            parts.append(f"{name} {np.round(np.asarray(value), 3).tolist()}")
    return ", ".join(parts) or "–"


def _seed(study: settings.Study, *names: str) -> int:
    return settings.named_seed(study.seed, "adaptive", *names)
