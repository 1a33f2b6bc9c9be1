"""What leaks where the same slices are dealt out by patient, by slice or by pooled year."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.neighbors import NearestNeighbors

from gliomalib import progress, settings
from gliomalib.cohort import table as casetable
from gliomalib.experiments import leakage_splits
from gliomalib.experiments.leakage_splits import Assignment, Rows
from gliomalib.fusion import slices
from gliomalib.networks import predict, training
from gliomalib.networks.job import Job
from gliomalib.pipeline import folds
from gliomalib.schema import N_CLASSES, Confusion, MismatchError, SliceSet, Value
from gliomalib.scoring import bootstrap, metrics

SPLITS: Mapping[str, str] = {
    "patient": "by patient",
    "slice": "by slice",
    "years": "by volume of the pooled years",
}
"""How slices are dealt out, and how that reads."""

CLASSIFIERS: Mapping[str, str] = {"neighbour": "nearest neighbour", "resnet50": "ResNet50"}

SHARE = 0.2
"""What is held out, as the paper does it."""

CHANCE = 1 / N_CLASSES

LABELLINGS = 100
"""How often the patients get random classes; the nearest neighbours need no new search for it."""

SIDE = 16
"""Images are as many voxels wide and high for the nearest neighbour."""

YEARS: Mapping[int, int] = {3: 285, 2: 50, 1: 34}
"""Volumes of a patient in BraTS 2018–2020 pooled → patients with as many, by the organisers' table
of subject IDs: 285 of 2018 are in 2019 (335) and 2020 (369) too."""

FEWEST = 5
"""Patients below which nothing is judged: of four who differ by chance alone all four lie on one
side one time in eight, so their interval means little."""


@dataclass(frozen=True)
class Pool:
    """The slices that all splits share, and who has how many volumes in the pooled years.

    ``slices`` show FLAIR, T1ce and T2 of the scan and have some brain; ``n_blank`` others were
    left out. ``counted_by`` says where ``copies`` come from.
    """

    slices: SliceSet
    n_blank: int
    copies: Mapping[str, int]
    counted_by: str
    study: settings.Study

    @property
    def patients(self) -> list[str]:
        """Everybody in the pool, once."""
        return sorted(set(self.slices.patients))


def gather(material: folds.Material) -> Pool:
    """Return the slices of internal patients, at most ``leakage.patients`` drawn by seed."""
    study, split = material.study, material.splits[0]
    everyone = np.array(sorted((*split.train, *split.val, *split.test)))
    order = np.random.default_rng(_seed(study, "patients")).permutation(len(everyone))
    names = sorted(everyone[order[: study.leakage.patients]].tolist())
    sets, n_blank = [], 0
    for name in names:
        one = slices.mri_slices(material.store.get(name), _classifier(study))
        sets.append(slices.subset(one, np.flatnonzero(~np.asarray(one.blank, dtype=bool))))
        n_blank += one.n_blank or 0
    return Pool(slices.concatenate(sets), n_blank, *_copies(material, names), study)


def deal(pool: Pool, repeat: int) -> dict[str, Assignment]:
    """Return the three assignments of one repeat, with training sets of one size.

    Raises ``MismatchError`` where the patient-level one has a patient on both sides.
    """
    of, seed = pool.slices.patients, _seed(pool.study, "deal", repeat)
    # one order for all repeats: patients take turns in being held out
    turns = _seed(pool.study, "turns")
    found = {
        "patient": leakage_splits.by_patient(of, SHARE, turns, repeat),
        "slice": leakage_splits.by_slice(len(of), SHARE, seed),
        "years": leakage_splits.by_volume(of, pool.copies, SHARE, seed),
    }
    leaking = leakage_splits.in_both(found["patient"], of)
    if leaking:
        raise MismatchError(
            f"leakage, repeat {repeat}: {', '.join(leaking)} on both sides of the patient-level "
            "split; nothing can be measured against it"
        )
    return leakage_splits.equal_budgets(found, seed)


def sides(pool: Pool) -> pd.DataFrame:
    """Return what ``leakage_splits.described`` tells, one row a repeat and split."""
    of, z = pool.slices.patients, pool.slices.z
    rows = [
        {"repeat": repeat, "split": split, **leakage_splits.described(one, of, z)}
        for repeat in range(pool.study.leakage.repeats)
        for split, one in deal(pool, repeat).items()
    ]
    return pd.DataFrame(rows)


def neighbours(pool: Pool) -> pd.DataFrame:
    """Ask the nearest training slice for the class of each test slice, in every repeat.

    One row a split, repeat and patient, for the true classes and for random ones: classifier,
    labels, split, repeat, patient_id and ``leakage_splits.CELLS``, the counts of the patient's
    slices by true and given class. Random counts are averages over ``LABELLINGS``.
    """
    features, tables = _thumbnails(pool.slices.images), []
    for repeat in progress.steps(range(pool.study.leakage.repeats), "nearest neighbours: repeats"):
        dealt = deal(pool, repeat)
        random = _random(pool, dealt, repeat, LABELLINGS)
        for split, one in dealt.items():
            asked = np.unique(one.test)
            search = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(features[one.train])
            nearest = one.train[search.kneighbors(features[asked], return_distance=False)[:, 0]]
            for labels, classes in (("true", pool.slices.classes[None]), ("random", random)):
                names = [pool.slices.patients[row] for row in asked]
                table = leakage_splits.counted(names, classes[:, asked], classes[:, nearest])
                about = {"classifier": "neighbour", "labels": labels, "split": split}
                tables.append(table.assign(**about, repeat=repeat))
    return pd.concat(tables, ignore_index=True)


def networks(material: folds.Material, pool: Pool) -> pd.DataFrame:
    """Train the study's ResNet50 once on each split, and test it.

    Rows as those of ``neighbours``. All start from the same weights and take the same number of
    steps. The repeat is the one that tests most patients under all three splits. Random classes
    are learnt on the slice-level split only: with a patient-level one nothing that a network sees
    tells the class of a new patient.
    """
    of = pool.slices.patients
    every = [deal(pool, repeat) for repeat in range(pool.study.leakage.repeats)]
    repeat = int(np.argmax([len(leakage_splits.tested_by_all(one, of)) for one in every]))
    dealt, tables = every[repeat], []
    random = _random(pool, dealt, repeat, 1)[0]
    for labels, split in [*(("true", name) for name in SPLITS), ("random", "slice")]:
        classes = pool.slices.classes if labels == "true" else random
        asked = np.unique(dealt[split].test)
        given = _network(material, pool, f"{labels}_{split}", dealt[split], classes)
        table = leakage_splits.counted(
            [of[row] for row in asked], classes[None, asked], given[None]
        )
        about = {"classifier": "resnet50", "labels": labels, "split": split}
        tables.append(table.assign(**about, repeat=repeat))
    return pd.concat(tables, ignore_index=True)


def scores(found: pd.DataFrame, study: settings.Study) -> pd.DataFrame:
    """Return accuracy, balanced accuracy and gain by classifier, labels and split.

    Columns: classifier, labels, split, patients; accuracy, balanced_accuracy and gain, each with
    ``…_low`` and ``…_high`` of its 95 % interval over patients; gain_patients. The gain, in
    points, is that over the patient-level split in the same patients (where none was tested by
    both, that of the means, without an interval); NaN for that split itself and random classes.
    """
    table = leakage_splits.per_patient(found)
    rows = []
    for (classifier, labels, split), part in table.groupby(level=[0, 1, 2], sort=False):
        name = (str(classifier), str(labels), str(split))
        row = {"classifier": classifier, "labels": labels, "split": split, "patients": len(part)}
        row |= _ends("accuracy", _mean(part["accuracy"], study, *name))
        row |= _ends("balanced_accuracy", _balanced(leakage_splits.confusions(part), study, *name))
        gain = None
        if labels == "true" and split != "patient":
            both = _paired(table, str(classifier), str(split))
            row["gain_patients"] = len(both.dropna())
            gain = _gain(both["patient"], both[str(split)], study, *name)
        rows.append(row | _ends("gain", gain))
    return pd.DataFrame(rows).astype({"gain_patients": "Int64"})


def majority(pool: Pool) -> bootstrap.Interval:
    """Return how often the commonest class of all is right, mean over patients."""
    commonest = np.bincount(pool.slices.classes).argmax()
    right = pd.Series(pool.slices.classes == commonest)
    return _mean(right.groupby(np.array(pool.slices.patients)).mean(), pool.study, "majority")


def values(pool: Pool, dealt: pd.DataFrame, found: pd.DataFrame) -> list[Value]:
    """Return the values of a record; ``dealt`` is of ``sides``, ``found`` of ``scores``."""
    told = [one for row in _rows(found) for one in _values_of(row, pool.study)]
    most, n = majority(pool), len(pool.patients)
    rule = "share of slices of the commonest class, mean over patients: who learnt nothing gets it"
    told.append(Value("majority_accuracy", most.value, most.ci95, most.n, rule=rule))
    shares = {
        "leaking_share": "test slices whose patient has slices in training",
        "adjacent_share": "test slices that stand in training too, or the slice above or below",
    }
    for split, part in dealt.groupby("split", sort=False):
        for name, of in shares.items():
            rule = f"share of {of}, slices dealt {SPLITS[str(split)]}, mean over repeats"
            told.append(Value(f"{name}_{split}", part[name].mean(), n_patients=n, rule=rule))
    rule = "slices without any brain, left out of every split"
    return [*told, Value("slices_left_out", float(pool.n_blank), unit="slices", rule=rule)]


def conclusion(found: pd.DataFrame) -> str:
    """Say by the rule whether a leak is shown, and whether the control holds.

    ``found`` is what ``scores`` gives for both classifiers together.
    """
    told = [_leak(row) for row in _rows(found[found["gain"].notna()])]
    random = _rows(found[found["labels"] == "random"])
    at = {(row["classifier"], row["split"]): row for row in random}
    fair, leaky = at["neighbour", "patient"], at["neighbour", "slice"]
    inside = fair["accuracy_low"] <= CHANCE <= fair["accuracy_high"]
    word = "holds" if inside and leaky["accuracy_low"] > CHANCE else "does not hold"
    if fair["patients"] < FEWEST:
        word = f"is not judged on {fair['patients']} patients"
    told.append(
        f"With random classes the nearest neighbour is right in {100 * fair['accuracy']:.0f} % of "
        f"the slices when they are dealt by patient and in {100 * leaky['accuracy']:.0f} % when "
        f"dealt by slice (ResNet50 in {100 * at['resnet50', 'slice']['accuracy']:.0f} %), chance "
        f"being {100 * CHANCE:.0f} %: the control {word}."
    )
    return " ".join(told)


def caveats(pool: Pool, found: pd.DataFrame) -> tuple[str, ...]:
    """Return what nobody may read into the numbers."""
    few = found.set_index(["classifier", "split", "labels"])["patients"]
    return (
        f"Each patient's number of volumes is {pool.counted_by}; the copies are exact, and each "
        "slice was learnt once at most, so the gain of the pooled years is a cautious one.",
        f"ResNet50 was trained once a split: its patient-level accuracy rests on "
        f"{few[('resnet50', 'patient', 'true')]} of {len(pool.patients)} patients, and the gains "
        "on no more.",
        "ResNet50 learnt random classes on the slice-level split only; the patient-level control "
        "is that of the nearest neighbour.",
    )


def _values_of(row: Mapping[str, Any], study: settings.Study) -> list[Value]:
    random = "random_labels_" if row["labels"] == "random" else ""
    name = "" if random and row["classifier"] == "neighbour" else f"{row['classifier']}_"
    start, n = f"{name}{random}{row['split']}", int(row["patients"])
    of = f"{CLASSIFIERS[row['classifier']]}, slices dealt {SPLITS[row['split']]}"
    tail = f"{study.leakage.repeats} repeats averaged within patient, mean over patients"
    if row["classifier"] != "neighbour":
        tail = "one training, mean over patients"
    if random:
        rule = f"share right, one random class a patient: {of}, {tail}; chance is {CHANCE:g}"
        return [Value(f"{start}_accuracy", row["accuracy"], _ci(row, "accuracy"), n, rule=rule)]
    rule = f"share of test slices right: {of}, {tail}"
    told = [Value(f"{start}_accuracy", row["accuracy"], _ci(row, "accuracy"), n, rule=rule)]
    rule = f"mean recall of the classes that occur, patients pooled: {of}"
    ends = _ci(row, "balanced_accuracy")
    told.append(Value(f"{start}_balanced_accuracy", row["balanced_accuracy"], ends, n, rule=rule))
    if not np.isnan(row["gain"]):
        n = int(row["gain_patients"])
        how = "paired by patient" if n else "difference of the means, as nobody was tested by both"
        rule = f"accuracy in points above the patient-level split, {how}: {of}"
        told.append(Value(f"{start}_gain", row["gain"], _ci(row, "gain"), n, 0, 0, "points", rule))
    return told


def _leak(row: Mapping[str, Any]) -> str:
    n, ends = int(row["gain_patients"]), _ci(row, "gain")
    interval = f"95 % interval {ends[0]:+.1f} to {ends[1]:+.1f}" if ends else "no interval"
    word = "a leak is shown" if ends and ends[0] > 0 else "a leak is not shown"
    if n < FEWEST:
        word = f"not judged on fewer than {FEWEST} patients"
    who = CLASSIFIERS[row["classifier"]]
    return (
        f"{who[0].upper()}{who[1:]}, slices dealt {SPLITS[row['split']]}: {row['gain']:+.1f} "
        f"points on the patient-level split ({interval}, patients: {n}), {word}."
    )


def _network(
    material: folds.Material, pool: Pool, name: str, one: Assignment, classes: Rows
) -> Rows:
    """Return the class that a ResNet50 gives to each test slice."""
    study = pool.study
    job = Job(
        network="resnet50",
        settings=_classifier(study),
        fold=0,
        seed=study.seed,
        device=study.device,
        threads=study.threads,
        directory=material.run.work_dir / "checkpoints" / "leakage" / name,
        data_digest=material.store.digest(pool.patients),
        label=name.replace("_", " classes by "),
    )
    labelled = SliceSet(pool.slices.images, classes, pool.slices.patients, pool.slices.z)
    made = training.train_classifier(job, slices.subset(labelled, one.train), None)
    asked = slices.subset(labelled, np.unique(one.test))
    found = predict.classify(made.checkpoint, asked, study.device)
    return np.asarray(found.argmax(axis=1), dtype=np.int64)


def _thumbnails(images: NDArray[np.float16]) -> NDArray[np.float32]:
    """Return small images as rows (N, 3·SIDE²), a few hundred at a time: all may be gigabytes."""
    parts = [slices.resized(images[at : at + 256], SIDE) for at in range(0, len(images), 256)]
    return np.concatenate(parts).reshape(len(images), -1).astype(np.float32)


def _classifier(study: settings.Study) -> settings.Classifier:
    epochs = study.leakage.epochs or study.classifier.epochs
    return study.classifier.model_copy(update={"image": "mri", "epochs": epochs})


def _copies(material: folds.Material, names: Sequence[str]) -> tuple[dict[str, int], str]:
    """Return each patient's number of volumes, and where that is from."""
    releases = material.study.data.internal_releases
    if releases:
        cases = casetable.read_cases(material.run.work_dir / "cases.csv")
        own = cases[cases["part"].isin(["internal", "duplicate"]) & cases["release"].isin(releases)]
        counts = own.groupby("patient_id")["release"].nunique()
        if (counts > 1).any():
            told = f"that of the releases of this study ({', '.join(releases)})"
            return {name: int(counts.get(name, 1)) for name in names}, told
    dealt = leakage_splits.multiplicities(names, YEARS, _seed(material.study, "copies"))
    told = ", ".join(f"{n} patients with {times}" for times, n in YEARS.items())
    return dealt, f"dealt out as in BraTS 2018–2020 by the organisers' table ({told})"


def _random(pool: Pool, dealt: Mapping[str, Assignment], repeat: int, draws: int) -> Rows:
    apart, seed = dealt["patient"].test, _seed(pool.study, "random", repeat)
    return leakage_splits.random_classes(pool.slices.patients, apart, draws, seed)


def _paired(table: pd.DataFrame, classifier: str, split: str) -> pd.DataFrame:
    """Return accuracy by patient, one column a split, NaN for whom it did not test."""
    rows = table.reset_index().query("classifier == @classifier and labels == 'true'")
    wide = rows.pivot_table(index="patient_id", columns="split", values="accuracy")
    return wide[["patient", split]]


def _rows(found: pd.DataFrame) -> list[dict[str, Any]]:
    return cast(list[dict[str, Any]], found.to_dict("records"))


def _balanced(stack: NDArray[np.float64], study: settings.Study, *names: str) -> bootstrap.Interval:
    def balanced(sums: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        found = metrics.stacked_scores(cast(Confusion, sums), "macro", "exclude")
        return {"balanced": found["balanced_accuracy"]}

    seed, draws = _seed(study, *names, "balanced"), study.evaluation.bootstrap
    return bootstrap.confusion_intervals(stack, balanced, seed, draws)["balanced"]


def _mean(found: pd.Series, study: settings.Study, *names: str) -> bootstrap.Interval:
    return bootstrap.mean_interval(
        found.to_numpy(), _seed(study, *names), study.evaluation.bootstrap
    )


def _gain(
    fair: pd.Series, leaky: pd.Series, study: settings.Study, *names: str
) -> bootstrap.Interval:
    paired = 100 * (leaky - fair).dropna()
    if paired.empty:
        # nobody is in both
        return bootstrap.Interval(100 * float(leaky.mean() - fair.mean()), None, 0)
    return _mean(paired, study, *names, "gain")


def _ends(name: str, found: bootstrap.Interval | None) -> dict[str, float]:
    nothing = (np.nan, np.nan)
    low, high = nothing if found is None else found.ci95 or nothing
    value = np.nan if found is None else found.value
    return {name: value, f"{name}_low": low, f"{name}_high": high}


def _ci(row: Mapping[str, Any], name: str) -> tuple[float, float] | None:
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    return None if np.isnan(low) else (float(low), float(high))


def _seed(study: settings.Study, *names: object) -> int:
    return settings.named_seed(study.seed, "leakage", *names)
