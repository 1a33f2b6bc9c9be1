"""The fused volume and the classifier beside simpler ways to the same answer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from gliomalib import settings
from gliomalib.digits import spoken
from gliomalib.experiments import comparing, fusion_gain, gates
from gliomalib.experiments.baseline_methods import ENSEMBLES, INPUTS, SCAN, MethodTrial
from gliomalib.experiments.values import PREFIXES, ends, of, parts, share, value
from gliomalib.labels import REGIONS
from gliomalib.schema import RecordError, Value
from gliomalib.scoring import training_noise
from gliomalib.scoring.tables import CLASSES, with_mean

SCORES = {
    "mean_dice": f"mean of {', '.join(CLASSES)} Dice of each patient",
    "accuracy": "accuracy of each patient's slices",
}
"""What is compared of segmentations, and of classifiers."""

WITHOUT = ("area_rule", "position", "majority")
"""Ways to a class without a classifier; the last two need no network at all."""

BETTER = "fused_minus_better_two_seeds_mean_dice"
"""What fusion gains on two trainings of one branch, whichever are better."""


def table(trial: MethodTrial, part: str, score: str) -> pd.DataFrame:
    """Return one of ``SCORES`` by method, folds and trainings averaged: patients × methods.

    With the rule ``exclude`` a patient may have no mask to score; they are left out of all methods.
    Raises ``RecordError`` where the part has nobody.
    """
    wide = _by_training(trial, part, score).dropna()
    return wide.T.groupby("method").mean().T[list(_titles(trial, score))]


def compared(trial: MethodTrial, part: str, score: str, study: settings.Study) -> pd.DataFrame:
    """Return fused minus every other segmentation, or ResNet50 on it minus every other classifier.

    Columns: method, title, mean, and those of ``comparing.judged``; the first row is the one that
    others are set against. The family of Holm's adjustment are all methods of the table.
    """
    gains, wide = _gains(trial, part, score), table(trial, part, score)
    seed = settings.named_seed(study.seed, "baselines", part, score)
    judged = comparing.judged(gains, seed)
    rows = wide.mean().rename_axis("method").reset_index(name="mean")
    rows.insert(1, "title", rows["method"].map(_titles(trial, score)))
    return rows.join(comparing.complete(judged, wide.columns), on="method")


def values(trial: MethodTrial, study: settings.Study) -> list[Value]:
    """Return how every method does, what fused and ResNet50 exceed the others by, and the gate."""
    gate = gates.judged(trial.slices)
    values = [gate.value]
    for part, prefix in parts(trial.scores):
        gains = _differences(trial, part, study, gate)
        by_rule = _of_rules(trial, part, gains)
        # of one name the later one, which knows what the rule for empty masks decides
        values += [*_means(trial, part), *{gain.name: gain for gain in [*gains, *by_rule]}.values()]
        names = [f"{prefix}fused_minus_{name}_mean_dice" for name in ENSEMBLES]
        if set(ENSEMBLES) <= set(trial.segmenters):
            values.append(_better([of(by_rule, name) for name in names], f"{prefix}{BETTER}"))
    return values


def absent(trial: MethodTrial) -> tuple[str, ...]:
    """Return a caveat for everything asked for that this study does not have."""
    caveats = []
    if not set(ENSEMBLES) <= set(trial.segmenters):
        caveats.append(
            "No second seed of both branches was trained, so it is not known whether any ensemble "
            "would do as well as the fusion."
        )
    missing = [title for name, title in INPUTS.items() if name not in trial.classifiers]
    if missing:
        caveats.append(f"Not trained in this study: {', '.join(missing)}.")
    if "external" not in set(trial.scores["part"]):
        caveats.append("There are no external patients.")
    return tuple(caveats)


def conclusion(trial: MethodTrial, values: Sequence[Value], study: settings.Study) -> str:
    """Say what fusion gains on its baselines, and how far one gets without a network."""
    volumes, networks = (
        compared(trial, "test", score, study).set_index("method") for score in SCORES
    )
    gate, plain = of(values, gates.NAME), networks.loc[list(WITHOUT)]
    dice = _listed(volumes.iloc[1:], values, "fused_minus_{}_mean_dice")
    text = (
        f"On {len(table(trial, 'test', 'mean_dice'))} held-out patients, mean Dice of the fused "
        f"volume minus that of {dice}. {_ensembles(values)}ResNet50 on fused "
        f"slices is right in {of(values, 'accuracy_resnet50').value:.3f} of slices. {gate.note}. "
    )
    judged = {"mean_dice": volumes.iloc[1:], "accuracy": plain}
    if gate.value == 1:
        gains = _listed(plain, values, "resnet50_minus_{}_accuracy")
        text += f"Its accuracy minus that without a classifier: {gains}."
    else:
        text += "What it gains on ways without a classifier is not judged."
        del judged["accuracy"]
    for score, rows in judged.items():
        if "external" in set(trial.scores["part"]):
            there = compared(trial, "external", score, study).set_index("method")
            what = f"{score.replace('mean_dice', 'mean Dice')} against "
            text += comparing.disagreements(rows, there, what)
        for _, row in rows[rows["limited"]].head(1).iterrows():
            text += f" {row['title']}: {row['note']}."
    return text


def _better(gains: Sequence[Value], name: str) -> Value:
    """Return the smaller gain on two trainings of one branch: fusion must beat both."""
    least = min(gains, key=lambda gain: gain.value)
    low, high = np.min([ends(gain) for gain in gains], axis=0).tolist()
    rule = (
        "the smaller of the gains on two trainings of 2D and on two of 3D (intersection-union "
        "test: fusion must beat both), from the lower of their lower ends to the lower of their "
        "upper ones; trainings s and s + 1 against fused of s"
    )
    return replace(least, name=name, rule=rule, ci95=None if np.isnan(low) else (low, high))


def _ensembles(values: Sequence[Value]) -> str:
    gains = [value for value in values if value.name == BETTER]
    if not gains:
        return ""
    how = "gains" if ends(gains[0])[0] > 0 else "is not shown to gain"
    gain, note = spoken(gains[0], signed=True), _bracketed(gains[0].note)
    return f"Fusion {how} more than two trainings of the better branch: {gain}{note}. "


def _listed(rows: pd.DataFrame, values: Sequence[Value], name: str) -> str:
    """Return the differences of a table with what decides them, as the values ``name`` say."""
    return "; ".join(
        f"{row['title']}: {comparing.spoken(row)}{_bracketed(of(values, name.format(method)).note)}"
        for method, row in rows.iterrows()
    )


def _bracketed(note: str) -> str:
    return f" [{note}]" if note else ""


def _titles(trial: MethodTrial, score: str) -> dict[str, str]:
    return dict(trial.classifiers if score == "accuracy" else trial.segmenters)


def _by_training(trial: MethodTrial, part: str, score: str) -> pd.DataFrame:
    """Return a score of patients × (method, training), folds averaged."""
    if score == "accuracy":
        rows = trial.slices.assign(score=trial.slices["truth"] == trial.slices["predicted"])
    else:
        rows = with_mean(trial.scores).query("region == 'mean'")
        rows = rows.rename(columns={"network": "method", "dice": "score"})
    rows = rows[rows["part"] == part]
    if rows.empty:
        raise RecordError(f"no patient of part {part!r} has a {score}; check the split")
    return rows.pivot_table(index="patient_id", columns=["method", "seed"], values="score")


def _gains(trial: MethodTrial, part: str, score: str) -> dict[str, comparing.Gain]:
    """Return what the first method exceeds each other one by."""
    wide = _by_training(trial, part, score).dropna()
    first, *others = _titles(trial, score)
    if score != "accuracy":
        frames = {method: pd.DataFrame(wide[method]) for method in (first, *others)}
        return {name: comparing.paired(frames[first] - frames[name]) for name in others}
    # another ResNet50 has noise of its own, a count of areas has none
    return {
        method: comparing.paired(wide[[first]].sub(wide[method, 0], axis="index"))
        if method.startswith(WITHOUT)
        else comparing.unpaired(wide[[first]], wide[[method]])
        for method in others
    }


def _means(trial: MethodTrial, part: str) -> Iterator[Value]:
    """Yield each method's mean of its score, and the region Dice of fused on the whole scan."""
    for method, title in trial.classifiers.items():
        right = _by_training(trial, part, "accuracy")[[method]]
        rule = f"{title}: {SCORES['accuracy']}, mean over patients and trainings"
        name = f"{PREFIXES[part]}accuracy_{method}"
        mean = share(name, training_noise.paired(right), rule)
        yield replace(mean, n_seeds=0 if method.startswith(WITHOUT) else mean.n_seeds)
    scan = "fused on the whole scan, where tumour that the crop cut off is missed"
    for method, title in {**trial.segmenters, SCAN: scan}.items():
        regions, score = (REGIONS, "mean_region_dice") if method == SCAN else (CLASSES, "mean_dice")
        rows = trial.scores[(trial.scores["part"] == part) & (trial.scores["network"] == method)]
        rows = rows[rows["region"].isin(list(regions))]
        dice = rows.pivot_table(index="patient_id", columns="seed", values="dice").dropna()
        name = f"{PREFIXES[part]}{'fused' if method == SCAN else method}_{score}"
        rule = f"{title}: mean of {', '.join(regions)} Dice, mean over patients and trainings"
        empty, missed = comparing.masks(rows.loc[rows["seed"] == 0, "state"])
        mean = share(name, training_noise.paired(dice), rule)
        yield replace(mean, n_empty=empty, n_missed=missed)


def _differences(
    trial: MethodTrial, part: str, study: settings.Study, gate: gates.Gate
) -> list[Value]:
    """Return what the first method of each score exceeds the others by, in this part."""
    values = []
    for score, what in SCORES.items():
        rows = compared(trial, part, score, study).set_index("method")
        first, *_ = rows.index
        for method, gain in _gains(trial, part, score).items():
            tests = comparing.tested(rows.T[method], f"{len(rows) - 1} methods")
            titles = f"{rows['title'][first]} minus {rows['title'][method]}"
            rule = f"{titles}, paired: {what}, mean over patients and trainings; {tests}"
            name = f"{PREFIXES[part]}{first}_minus_{method}_{score}"
            note = gate.closed if score == "accuracy" and gate.closed else gain.note
            values.append(replace(value(name, gain.effect, rule), note=note))
    return values


def _of_rules(trial: MethodTrial, part: str, values: Sequence[Value]) -> list[Value]:
    """Return differences of Dice by each rule for empty masks, with the tests of ``values``."""
    rules = {value.name: value.rule for value in values}
    rows = trial.scores[trial.scores["part"] == part]
    first, *others = trial.segmenters
    contrasts = [contrast.value for contrast in fusion_gain.contrasts(rows, first, others)]
    return [replace(value, rule=rules.get(value.name, value.rule)) for value in contrasts]
