"""The fused volume and the classifier beside simpler ways to the same answer."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from gliomalib.digits import spoken
from gliomalib.experiments import baseline_methods, classification, comparing, fusion_gain, gates
from gliomalib.experiments.baseline_methods import ENSEMBLES, INPUTS, SCAN, WITHOUT, MethodTrial
from gliomalib.experiments.values import PREFIXES, ends, mean, not_on_boxes, of, parts, share
from gliomalib.fusion import slices
from gliomalib.labels import REGIONS
from gliomalib.pipeline import folds
from gliomalib.schema import RecordError, Value
from gliomalib.scoring import training_noise
from gliomalib.scoring.tables import CLASSES, with_mean

SCORES = {
    "mean_dice": f"mean of {', '.join(CLASSES)} Dice of each patient",
    "accuracy": "accuracy of each patient's slices",
}
"""What is compared of segmentations, and of classifiers."""

BETTER = "fused_minus_better_two_seeds_mean_dice"
"""What fusion gains on two trainings of one branch, whichever are better."""


def table(trial: MethodTrial, part: str, score: str) -> pd.DataFrame:
    """Return one of ``SCORES`` by method, folds and trainings averaged: patients × methods.

    With the rule ``exclude`` a patient may have no mask to score; they are left out of all methods
    here, and counted by each difference that they are no part of. Raises ``RecordError`` where the
    part has nobody.
    """
    wide = _by_training(trial, part, score).dropna()
    return wide.T.groupby("method").mean().T[list(_titles(trial, score))]


def compared(trial: MethodTrial, part: str, score: str) -> pd.DataFrame:
    """Return fused minus every other segmentation, or ResNet50 on it minus every other classifier.

    The first row of ``comparing.beside`` is the one that others are set against.
    """
    judged = comparing.judged(_gains(trial, part, score))
    return comparing.beside(table(trial, part, score).mean(), _titles(trial, score), judged)


def values(trial: MethodTrial) -> list[Value]:
    """Return how every method does, what fused and ResNet50 exceed the others by, and the gate."""
    gate = gates.judged(trial.slices)
    values = [gate]
    for part, prefix in parts(trial.scores):
        gains = [contrast.value for contrast in _contrasts(trial, part)]
        gains += _of_accuracy(trial, part, gate)
        values += [*_means(trial, part), *gains]
        names = [f"{prefix}fused_minus_{name}_mean_dice" for name in ENSEMBLES]
        if set(ENSEMBLES) <= set(trial.segmenters):
            values.append(_better([of(gains, name) for name in names], f"{prefix}{BETTER}"))
    return values


def plain(material: folds.Material) -> list[Value]:
    """Return how often the ways are right that need no image, mean over held-out patients."""
    rules = {
        "position": "the commonest class of training at the slice's height",
        "majority": "the commonest class of training everywhere",
        **{
            f"area_rule_{rule}": f"largest area in the expert's mask, truth by the rule {rule!r}"
            for rule in slices.LABEL_RULES
        },
    }
    hits = baseline_methods.without_images(material)
    tail = "share of slices right, mean over patients"
    return [
        mean(f"accuracy_{name}", hits[name], material.study, f"{rule}: {tail}")
        for name, rule in rules.items()
    ]


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
    return tuple(caveats)


def conclusion(trial: MethodTrial, values: Sequence[Value]) -> str:
    """Say what fusion gains on its baselines, and how far one gets without a network."""
    volumes, networks = (compared(trial, "test", score).set_index("method") for score in SCORES)
    gate, plain = of(values, gates.NAME), networks.loc[list(WITHOUT)]
    dice = comparing.listed(volumes.iloc[1:], _gains(trial, "test", "mean_dice").values())
    text = (
        f"On {len(table(trial, 'test', 'mean_dice'))} held-out patients, mean Dice of the fused "
        f"volume minus that of {dice}. {_ensembles(values)}ResNet50 on fused "
        f"slices is right in {of(values, 'accuracy_resnet50').value:.3f} of slices. {gate.note}. "
    )
    judged = {"mean_dice": volumes.iloc[1:]}
    if gate.value == 1:
        judged["accuracy"] = plain
        gains = _gains(trial, "test", "accuracy")
        listed = comparing.listed(plain, [gains[method] for method in WITHOUT])
        text += f"Its accuracy minus that without a classifier: {listed}."
    else:
        text += "What it gains on ways without a classifier is not judged."
    for score, rows in judged.items():
        if "external" in set(trial.scores["part"]):
            what = f"{score.replace('mean_dice', 'mean Dice')} against "
            here, there = (_gains(trial, part, score) for part in PREFIXES)
            titles = {str(method): what + title for method, title in rows["title"].items()}
            text += comparing.disagreements(here, there, titles)
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
    note = f" [{gains[0].note}]" if gains[0].note else ""
    gain = spoken(gains[0], signed=True)
    return f"Fusion {how} more than two trainings of the better branch: {gain}{note}. "


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
    if score != "accuracy":
        contrasts = _contrasts(trial, part)
        return {contrast.other: contrast.gain for contrast in contrasts if contrast.rule == "dice"}
    wide = _by_training(trial, part, score).dropna()
    first, *others = trial.classifiers
    # another ResNet50 has noise of its own, a count of areas has none
    return {
        method: comparing.paired(wide[[first]].sub(wide[method, 0], axis="index"))
        if method in WITHOUT
        else comparing.unpaired(wide[[first]], wide[[method]])
        for method in others
    }


def _contrasts(trial: MethodTrial, part: str) -> list[fusion_gain.Contrast]:
    """Return what the first segmentation exceeds the others by, by each rule for empty masks."""
    first, *others = trial.segmenters
    return fusion_gain.contrasts(trial.scores[trial.scores["part"] == part], first, others)


def _means(trial: MethodTrial, part: str) -> Iterator[Value]:
    """Yield each method's mean of its score, and the region Dice of fused on the whole scan."""
    what = _accuracy(trial, part)
    for method, title in trial.classifiers.items():
        right = _by_training(trial, part, "accuracy")[[method]]
        rule = f"{title}: {what}"
        name = f"{PREFIXES[part]}accuracy_{method}"
        without = {"n_seeds": 0} if method in baseline_methods.NO_NETWORK else {}
        yield share(name, training_noise.paired(right), rule, **without)
    scan = "fused on the whole scan, where tumour that the crop cut off is missed"
    for method, title in {**trial.segmenters, SCAN: scan}.items():
        regions, score = CLASSES, "mean_dice"
        if method == SCAN:
            regions, score = REGIONS, "mean_region_dice_full_scan"
        name = f"{PREFIXES[part]}{'fused' if method == SCAN else method}_{score}"
        rule = f"{title}: mean of {', '.join(regions)} Dice, mean over patients and trainings"
        if method not in set(trial.scores["network"]):
            yield not_on_boxes(name, rule, "nobody asked what lies outside of them")
            continue
        rows = trial.scores[(trial.scores["part"] == part) & (trial.scores["network"] == method)]
        rows = rows[rows["region"].isin(list(regions))]
        dice = rows.pivot_table(index="patient_id", columns="seed", values="dice").dropna()
        empty, missed = comparing.masks(rows[rows["seed"] == 0])
        yield share(name, training_noise.paired(dice), rule, n_empty=empty, n_missed=missed)


def _of_accuracy(trial: MethodTrial, part: str, gate: Value) -> Iterator[Value]:
    """Yield what the first classifier exceeds the others by, or why it is not judged."""
    first, titles = next(iter(trial.classifiers)), trial.classifiers
    for method, gain in _gains(trial, part, "accuracy").items():
        name = f"{PREFIXES[part]}{first}_minus_{method}_accuracy"
        rule = f"{titles[first]} minus {titles[method]}, paired: {_accuracy(trial, part)}"
        yield comparing.value(name, gain, rule, gates.closed(gate))


def _accuracy(trial: MethodTrial, part: str) -> str:
    """Say how an accuracy is made, and how many slices of whom have no tumour."""
    without = classification.without_tumour(classification.once(trial.slices, part))
    return f"{SCORES['accuracy']} ({without}), mean over patients and trainings"
