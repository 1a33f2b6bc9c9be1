"""The fused volume and the classifier beside simpler ways to the same answer.

Segmentation: each branch alone, and the mean of seeds of one network, which tells the fusion of
two kinds of network from any ensemble. Classifier: other inputs, each trained anew, and ways that
need no network at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gliomalib import records, settings
from gliomalib.experiments import classification
from gliomalib.fusion import slices
from gliomalib.pipeline import folds, variants
from gliomalib.schema import N_CLASSES, Labels, RecordError, Split, Value, Volume, check_same_grid
from gliomalib.scoring import bootstrap, comparisons, metrics
from gliomalib.scoring import tables as evaluate
from gliomalib.scoring.comparisons import MARGIN

FUSED, SEEDS, RESNET50 = "fused", "two_seeds", "resnet50"
"""The fused volume and the classifier of its slices are what others are set against; seeds of one
network are the control of the first."""

DICE: Mapping[str, tuple[str, ...]] = {
    "mean_dice": ("NCR", "ED", "ET"),
    "mean_region_dice": ("WT", "TC", "ET"),
}
"""What is averaged for each patient: the three sub-regions, or the nested regions of BraTS."""

ACCURACY = ("accuracy", "balanced_accuracy")

SEEN = ("image", "alpha", "branches")
"""Parameters of notebook 06 that say what the classifier sees."""

INPUTS = {
    "truth": "ResNet50 on expert masks",
    "mri": "ResNet50 on MRI",
    "only2d": "ResNet50 on 2D only",
    "only3d": "ResNet50 on 3D only",
    SEEDS: "ResNet50 on two seeds of 3D",
}
"""The inputs asked for, by the name of their variant; one that a study lacks is said to be."""

WITHOUT = ("area_rule", "position", "majority")
"""Ways to a class without a classifier; the last two need no network at all."""

Classes = NDArray[np.int64]


@dataclass(frozen=True)
class Trial:
    """What every method made of the reported patients.

    ``scores`` has one row a patient, fold, method and region: patient_id, part, fold, method,
    region, dice, state. ``slices`` has one row a slice and method: patient_id, part, fold, z,
    truth, method, predicted. ``segmenters`` and ``classifiers`` give each method its words, the
    one that others are set against first.
    """

    scores: pd.DataFrame
    slices: pd.DataFrame
    segmenters: Mapping[str, str]
    classifiers: Mapping[str, str]

    @property
    def parts(self) -> list[str]:
        """The parts that have patients: ``test``, and ``external`` where there are some."""
        return [part for part in ("test", "external") if (self.scores["part"] == part).any()]


def measure(material: folds.Material) -> Trial:
    """Score all methods on every reported patient.

    Volumes are those of notebooks 03 and 04, slices those of notebook 06 and its variants that
    change nothing but ``SEEN``. Raises ``RecordError`` where one of them lacks a patient.
    """
    seeds = [one.network for one in variants.siblings(material.study, "04_train_unet3d", ("seed",))]
    training = {split.fold: _training_classes(material, split) for split in material.splits}
    scores: list[dict[str, object]] = []
    tables: list[pd.DataFrame] = []
    for split, part, patient in folds.scored(material):
        case = material.store.get(patient)
        about = {"patient_id": patient, "part": part, "fold": split.fold}
        found = _predicted(material, seeds, split.fold, patient)
        scores += _dice_rows(about, case.labels, found, material.study)
        truth = _classes(material, case.labels)
        given = {f"area_rule_{key}": _classes(material, one) for key, one in found.items()}
        given["position"] = by_position(training[split.fold], len(truth))
        given["majority"] = np.full_like(truth, majority(training[split.fold]))
        tables.append(_slice_rows(about, truth, given))
    plain = pd.concat(tables, ignore_index=True).replace(
        {"method": {"area_rule_fused": "area_rule"}}
    )
    seen = variants.siblings(material.study, "06_train_resnet50", SEEN)
    classified = [_classified(material.run, one, plain) for one in seen]
    segmenters = _segmenters(material.study, len(seeds))
    return Trial(
        pd.DataFrame(scores),
        pd.concat([*classified, plain], ignore_index=True),
        segmenters,
        {**{one.variant or RESNET50: _seen(one) for one in seen}, **_without_network(segmenters)},
    )


def mean_volume(volumes: Sequence[Volume]) -> Volume:
    """Return the mean of the probabilities of several volumes on one grid, as float16.

    Raises ``MismatchError`` where grids differ.
    """
    for other in volumes[1:]:
        check_same_grid(volumes[0], other)
    mean = np.mean([one.probabilities for one in volumes], axis=0, dtype=np.float32)
    return Volume(np.asarray(mean, dtype=np.float16), volumes[0].grid)


def by_position(training: Sequence[Classes], depth: int) -> Classes:
    """Return the class of each of ``depth`` slices that is most frequent there in training.

    ``training`` holds the classes of the slices of each training patient; "there" is the same
    height as a share of the volume, so every patient has one voice for each slice. Of equally
    frequent classes the lower one is taken.
    """
    heights = (np.arange(depth) + 0.5) / depth
    voices = np.stack([one[(heights * len(one)).astype(np.intp)] for one in training])
    counts = (voices[..., None] == np.arange(N_CLASSES)).sum(axis=0)
    return np.asarray(counts.argmax(axis=1), dtype=np.int64)


def majority(training: Sequence[Classes]) -> int:
    """Return the most frequent class of all training slices, the lower one of equals."""
    return int(np.bincount(np.concatenate(training), minlength=N_CLASSES).argmax())


def table(trial: Trial, part: str, score: str) -> pd.DataFrame:
    """Return a score of each patient by method, folds averaged: patients × methods.

    ``score`` is one of ``DICE`` (segmentations) or of ``ACCURACY`` (classifiers; the balanced one
    is the mean recall of the classes that the patient has). With the rule ``exclude`` a patient
    may have no mask to score; they are left out of all methods. Raises ``RecordError`` where the
    part has nobody.
    """
    if part not in trial.parts:
        raise RecordError(f"no patient of part {part!r} was segmented; check the split")
    return _accuracies(trial, part, score) if score in ACCURACY else _dice(trial, part, score)


def compared(trial: Trial, part: str, score: str, study: settings.Study) -> pd.DataFrame:
    """Return fused less every other segmentation, or ResNet50 on it less every other classifier.

    Columns: method, title, mean, difference (paired by patient) with low and high of its 95 %
    interval, p_holm, verdict, note; the first row is the one that others are set against. The
    family of Holm's adjustment are all methods of the table.
    """
    wide = table(trial, part, score)
    titles = trial.classifiers if score in ACCURACY else trial.segmenters
    first, draws = str(wide.columns[0]), study.evaluation.bootstrap
    seed = settings.named_seed(study.seed, "baselines", part, score)
    judged = comparisons.compare_family(wide, first, MARGIN, seed, draws).set_index("name")
    rows: list[dict[str, object]] = []
    for method in map(str, wide):
        found = bootstrap.paired_interval(wide[first], wide[method], seed, draws)
        low, high = found.ci95 or (np.nan, np.nan)
        rows.append(
            {"method": method, "title": titles[method], "mean": wide[method].mean(),
             "difference": found.value, "low": low, "high": high}
        )  # fmt: skip
    made = pd.DataFrame(rows).join(judged[["p_holm", "verdict", "note"]], on="method")
    made.loc[0, ["difference", "low", "high"]] = np.nan
    return made.fillna({"verdict": "–", "note": ""})


def values(trial: Trial, study: settings.Study) -> list[Value]:
    """Return how well every method does, and what fused and ResNet50 exceed the others by."""
    found = _pooled(trial, study)
    for part in trial.parts:
        for score, regions in DICE.items():
            told = f"mean of {', '.join(regions)} Dice per patient, then over patients"
            found += _means(trial, part, score, study, told)
            found += _differences(trial, part, score, study, told)
        for score in ACCURACY:
            told = f"{score.replace('_', ' ')} of each patient's slices, mean over patients"
            found += _differences(trial, part, score, study, told)
    return found


def classifiers(trial: Trial, found: Sequence[Value], part: str) -> pd.DataFrame:
    """Return accuracies of ``values`` as a table: method, title, score, value, low, high."""
    by_name = {one.name: one for one in found}
    rows = []
    for score in ACCURACY:
        for method, title in trial.classifiers.items():
            one = by_name[f"{_of(part)}{score}_{method}"]
            low, high = one.ci95 or (np.nan, np.nan)
            rows.append([method, title, score, one.value, low, high])
    return pd.DataFrame(rows, columns=["method", "title", "score", "value", "low", "high"])


def absent(trial: Trial) -> tuple[str, ...]:
    """Return a caveat for everything asked for that this study does not have."""
    found = []
    if SEEDS not in trial.segmenters:
        found.append(
            "No second seed of the 3D network was trained, so it is not known whether any "
            "ensemble would do as well as the fusion."
        )
    missing = [title for name, title in INPUTS.items() if name not in trial.classifiers]
    if missing:
        found.append(f"Not trained in this study: {', '.join(missing)}.")
    if "external" not in trial.parts:
        found.append("There are no external patients.")
    return tuple(found)


def conclusion(trial: Trial, found: Sequence[Value], study: settings.Study) -> str:
    """Say what fusion gains on its baselines, and how far one gets without a network."""
    volumes, networks = (compared(trial, "test", one, study) for one in ("mean_dice", "accuracy"))
    share = {one.name: f"{one.value:.3f}" for one in found}
    plain = networks[networks["method"].isin(WITHOUT)]
    text = (
        f"On {len(table(trial, 'test', 'mean_dice'))} held-out patients, mean Dice of the fused "
        f"volume less that of {_told(volumes.iloc[1:])}. ResNet50 on fused slices is right in "
        f"{share['accuracy_resnet50']} of slices; less what needs no classifier: {_told(plain)}."
    )
    if "truth" in trial.classifiers:
        text += (
            " Trained and tested on the masks from which the classes were read it is right in "
            f"{share['accuracy_truth']}, where the rule of the classes itself is right in every "
            "slice: what it misses there it has not learnt."
        )
    for what, one in (("Dice", volumes), ("Accuracy", plain)):
        limited = one[one["note"].str.contains("show")].head(1)
        text += "".join(
            f" {what}, {title}: {note}." for title, note in limited[["title", "note"]].to_numpy()
        )
    return text


def _told(rows: pd.DataFrame) -> str:
    return "; ".join(
        f"{row['title']}: {row['difference']:+.3f} ({row['low']:+.3f} to {row['high']:+.3f}, "
        f"{row['verdict']})"
        for _, row in rows.iterrows()
    )


def _dice(trial: Trial, part: str, score: str) -> pd.DataFrame:
    rows = trial.scores[trial.scores["part"] == part]
    chosen = rows[rows["region"].isin(DICE[score])]
    of_fold = chosen.groupby(["method", "fold", "patient_id"])["dice"].mean()
    wide = of_fold.groupby(["patient_id", "method"]).mean().unstack()
    return wide[list(trial.segmenters)].dropna()


def _accuracies(trial: Trial, part: str, score: str) -> pd.DataFrame:
    columns = {}
    for method in trial.classifiers:
        rows = trial.slices[trial.slices["method"] == method]
        counts = evaluate.patient_confusions(rows, part)
        columns[method] = metrics.stacked_scores(counts, "macro", "exclude")[score]
    names = sorted(trial.slices.loc[trial.slices["part"] == part, "patient_id"].unique())
    return pd.DataFrame(columns, index=pd.Index(names, name="patient_id"))


def _predicted(
    material: folds.Material, seeds: Sequence[str], fold: int, patient: str
) -> dict[str, Labels]:
    networks = {FUSED: "fused", "2d": "unet2d", "3d": "unet3d"}
    found = {key: folds.volume(material, name, fold, patient) for key, name in networks.items()}
    if len(seeds) > 1:
        found[SEEDS] = mean_volume([folds.volume(material, one, fold, patient) for one in seeds])
    return {key: evaluate.predicted_labels(one) for key, one in found.items()}


def _dice_rows(
    about: Mapping[str, object], truth: Labels, found: Mapping[str, Labels], study: settings.Study
) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for method, predicted in found.items():
        counts = metrics.confusion_matrix(truth, predicted)
        for region, classes in evaluate.REGIONS.items():
            value = metrics.dice(counts, classes, study.evaluation.empty)
            state = metrics.mask_state(counts, classes)
            rows.append(
                {**about, "method": method, "region": region, "dice": value, "state": state}
            )
    return rows


def _slice_rows(
    about: Mapping[str, object], truth: Classes, given: Mapping[str, Classes]
) -> pd.DataFrame:
    whose = {**about, "z": np.arange(len(truth)), "truth": truth}
    tables = [
        pd.DataFrame({**whose, "method": key, "predicted": one}) for key, one in given.items()
    ]
    return pd.concat(tables, ignore_index=True)


def _classified(run: records.Run, sibling: variants.Sibling, plain: pd.DataFrame) -> pd.DataFrame:
    """Return the slices of a classifier's run, which must be those of this study's patients."""
    keys = ["patient_id", "part", "fold", "z", "truth"]
    table = records.read_table(run, sibling.name, "slices")
    expected = plain.loc[plain["method"] == "majority", keys]
    both = expected.merge(table[keys], how="outer", indicator=True)
    wrong = both.loc[both["_merge"] != "both", "patient_id"].unique()
    if len(wrong):
        raise RecordError(
            f"{sibling.name}: its slices of {', '.join(sorted(wrong))} are missing, or are not "
            "those of the store; run it again"
        )
    return table[[*keys, "predicted"]].assign(method=sibling.variant or RESNET50)


def _training_classes(material: folds.Material, split: Split) -> list[Classes]:
    return [_classes(material, material.store.get(name).labels) for name in split.train]


def _classes(material: folds.Material, labels: Labels) -> Classes:
    return slices.slice_classes(labels, material.study.classifier.label_rule)


def _segmenters(study: settings.Study, n_seeds: int) -> dict[str, str]:
    found = {FUSED: f"fused, α = {study.fusion.alpha:g}", "2d": "2D only", "3d": "3D only"}
    control = {SEEDS: f"mean of {n_seeds} seeds of 3D"}
    return {**found, **(control if n_seeds > 1 else {})}


def _without_network(segmenters: Mapping[str, str]) -> dict[str, str]:
    areas = {
        "area_rule" if key == FUSED else f"area_rule_{key}": f"largest area in {title}"
        for key, title in segmenters.items()
    }
    return {**areas, "position": "slice position alone", "majority": "majority class"}


def _seen(sibling: variants.Sibling) -> str:
    if not sibling.variant:
        return "ResNet50 on fused slices"
    return INPUTS.get(sibling.variant, f"ResNet50, {sibling.variant}")


def _pooled(trial: Trial, study: settings.Study) -> list[Value]:
    found = []
    for method, title in trial.classifiers.items():
        rows = trial.slices[trial.slices["method"] == method]
        for one in classification.values(rows, study):
            if one.name.removeprefix("external_") in ACCURACY:
                rule = f"{title}: {one.rule}"
                found.append(replace(one, name=f"{one.name}_{method}", rule=rule))
    return found


def _means(
    trial: Trial, part: str, score: str, study: settings.Study, told: str
) -> Iterator[Value]:
    wide, seed = table(trial, part, score), settings.named_seed(study.seed, "baselines", part)
    rows = trial.scores[(trial.scores["part"] == part) & trial.scores["region"].isin(DICE[score])]
    for method, title in trial.segmenters.items():
        states = rows.loc[rows["method"] == method, "state"]
        mean = bootstrap.mean_interval(wide[method], seed, study.evaluation.bootstrap)
        yield Value(
            f"{_of(part)}{method}_{score}", mean.value, mean.ci95, mean.n,
            int((states == "empty").sum()), int(states.isin(["missed", "spurious"]).sum()),
            rule=f"{title}: {told}; empty rule {study.evaluation.empty!r}",
        )  # fmt: skip


def _differences(
    trial: Trial, part: str, score: str, study: settings.Study, told: str
) -> Iterator[Value]:
    found, n = compared(trial, part, score, study), len(table(trial, part, score))
    first = found.iloc[0]
    for _, row in found.iloc[1:].iterrows():
        rule = (
            f"{first['title']} less {row['title']}, paired, {told}; Wilcoxon with Holm over "
            f"{len(found) - 1} methods p = {row['p_holm']:.3g}, {row['verdict']} by ±{MARGIN:g}"
        )
        ends = None if np.isnan(row["low"]) else (row["low"], row["high"])
        name = f"{_of(part)}{first['method']}_minus_{row['method']}_{score}"
        yield Value(name, row["difference"], ends, n, rule=rule)


def _of(part: str) -> str:
    return "external_" if part == "external" else ""
