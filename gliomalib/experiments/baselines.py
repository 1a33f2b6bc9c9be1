"""The fused volume and the classifier beside simpler ways to the same answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product

import pandas as pd

from gliomalib import settings
from gliomalib.experiments import classification, comparing
from gliomalib.experiments.baseline_methods import INPUTS, SEEDS, MethodTrial
from gliomalib.experiments.values import PREFIXES, ends, mean_interval, parts
from gliomalib.schema import RecordError, Value
from gliomalib.scoring import metrics
from gliomalib.scoring import tables as evaluate

DICE: Mapping[str, tuple[str, ...]] = {
    "mean_dice": ("NCR", "ED", "ET"),
    "mean_region_dice": ("WT", "TC", "ET"),
}
"""What is averaged for each patient: the three sub-regions, or the nested regions of BraTS."""

ACCURACY = ("accuracy", "balanced_accuracy")

WITHOUT = ("area_rule", "position", "majority")
"""Ways to a class without a classifier; the last two need no network at all."""


def table(trial: MethodTrial, part: str, score: str) -> pd.DataFrame:
    """Return a score of each patient by method, folds averaged: patients × methods.

    ``score`` is one of ``DICE`` (segmentations) or of ``ACCURACY`` (classifiers; the balanced one
    is the mean recall of the classes that the patient has). With the rule ``exclude`` a patient
    may have no mask to score; they are left out of all methods. Raises ``RecordError`` where the
    part has nobody.
    """
    rows = trial.scores[trial.scores["part"] == part]
    if rows.empty:
        raise RecordError(f"no patient of part {part!r} was segmented; check the split")
    if score in ACCURACY:
        return _accuracies(trial, part, score)
    chosen = rows[rows["region"].isin(DICE[score])]
    of_fold = chosen.groupby(["method", "fold", "patient_id"])["dice"].mean()
    wide = of_fold.groupby(["patient_id", "method"]).mean().unstack()
    return wide[list(trial.segmenters)].dropna()


def compared(trial: MethodTrial, part: str, score: str, study: settings.Study) -> pd.DataFrame:
    """Return fused less every other segmentation, or ResNet50 on it less every other classifier.

    Columns: method, title, mean, and those of ``comparing.compare``; the first row is the one that
    others are set against. The family of Holm's adjustment are all methods of the table.
    """
    wide = table(trial, part, score)
    first, *others = map(str, wide)
    # "rsub" takes the other methods from the first one, so that a gain of it is above 0
    gains = wide[others].rsub(wide[first], axis="index")
    seed = settings.named_seed(study.seed, "baselines", part, score)
    judged = comparing.compare(gains, seed, study.evaluation.bootstrap)
    titles = trial.classifiers if score in ACCURACY else trial.segmenters
    rows = wide.mean().rename_axis("method").reset_index(name="mean")
    rows.insert(1, "title", rows["method"].map(dict(titles)))
    return rows.join(comparing.complete(judged, wide.columns), on="method")


def values(trial: MethodTrial, study: settings.Study) -> list[Value]:
    """Return how well every method does, and what fused and ResNet50 exceed the others by."""
    values = []
    for method, title in trial.classifiers.items():
        rows = trial.slices[trial.slices["method"] == method]
        for value in classification.values(rows, study):
            if value.name.removeprefix("external_") in ACCURACY:
                rule = f"{title}: {value.rule}"
                values.append(replace(value, name=f"{value.name}_{method}", rule=rule))
    for part, _ in parts(trial.scores):
        for score, regions in DICE.items():
            of_what = f"mean of {', '.join(regions)} Dice per patient, then over patients"
            values += _means(trial, part, score, study, of_what)
            values += _differences(trial, part, score, study, of_what)
        for score in ACCURACY:
            of_what = f"{score.replace('_', ' ')} of each patient's slices, mean over patients"
            values += _differences(trial, part, score, study, of_what)
    return values


def classifiers(trial: MethodTrial, values: Sequence[Value], part: str) -> pd.DataFrame:
    """Return accuracies of ``values`` as a table: method, title, score, value, low, high."""
    by_name = {value.name: value for value in values}
    rows = []
    for score, (method, title) in product(ACCURACY, trial.classifiers.items()):
        value = by_name[f"{PREFIXES[part]}{score}_{method}"]
        rows.append([method, title, score, value.value, *ends(value)])
    return pd.DataFrame(rows, columns=["method", "title", "score", "value", "low", "high"])


def absent(trial: MethodTrial) -> tuple[str, ...]:
    """Return a caveat for everything asked for that this study does not have."""
    caveats = []
    if SEEDS not in trial.segmenters:
        caveats.append(
            "No second seed of the 3D network was trained, so it is not known whether any "
            "ensemble would do as well as the fusion."
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
        compared(trial, "test", score, study) for score in ("mean_dice", "accuracy")
    )
    share = {value.name: f"{value.value:.3f}" for value in values}
    plain = networks[networks["method"].isin(WITHOUT)]
    text = (
        f"On {len(table(trial, 'test', 'mean_dice'))} held-out patients, mean Dice of the fused "
        f"volume minus that of {_listed(volumes.iloc[1:])}. ResNet50 on fused slices is right in "
        f"{share['accuracy_resnet50']} of slices; minus what needs no classifier: {_listed(plain)}."
    )
    if "truth" in trial.classifiers:
        text += (
            " Trained and tested on the masks from which the classes were read it is right in "
            f"{share['accuracy_truth']}, where the rule of the classes itself is right in every "
            "slice: what it misses there it has not learnt."
        )
    for what, methods in (("Dice", volumes), ("Accuracy", plain)):
        for _, row in methods[methods["limited"]].head(1).iterrows():
            text += f" {what}, {row['title']}: {row['note']}."
    return text


def _listed(rows: pd.DataFrame) -> str:
    return "; ".join(f"{row['title']}: {comparing.spoken(row)}" for _, row in rows.iterrows())


def _accuracies(trial: MethodTrial, part: str, score: str) -> pd.DataFrame:
    columns = {}
    for method in trial.classifiers:
        rows = trial.slices[trial.slices["method"] == method]
        counts = evaluate.patient_confusions(rows, part)
        columns[method] = metrics.stacked_scores(counts, "macro", "exclude")[score]
    names = sorted(trial.slices.loc[trial.slices["part"] == part, "patient_id"].unique())
    return pd.DataFrame(columns, index=pd.Index(names, name="patient_id"))


def _means(
    trial: MethodTrial, part: str, score: str, study: settings.Study, of_what: str
) -> Iterator[Value]:
    wide = table(trial, part, score)
    rows = trial.scores[(trial.scores["part"] == part) & trial.scores["region"].isin(DICE[score])]
    for method, title in trial.segmenters.items():
        states = rows.loc[rows["method"] == method, "state"]
        mean = mean_interval(wide[method], study, "baselines", part)
        name = f"{PREFIXES[part]}{method}_{score}"
        rule = f"{title}: {of_what}; empty rule {study.evaluation.empty!r}"
        yield Value(name, mean.value, mean.ci95, mean.n, *comparing.masks(states), rule=rule)


def _differences(
    trial: MethodTrial, part: str, score: str, study: settings.Study, of_what: str
) -> Iterator[Value]:
    rows, n = compared(trial, part, score, study), len(table(trial, part, score))
    first = rows.iloc[0]
    for _, row in rows.iloc[1:].iterrows():
        tests = comparing.tested(row, f"{len(rows) - 1} methods")
        rule = f"{first['title']} minus {row['title']}, paired, {of_what}; {tests}"
        name = f"{PREFIXES[part]}{first['method']}_minus_{row['method']}_{score}"
        yield Value(name, row["difference"], comparing.interval(row), n, rule=rule)
