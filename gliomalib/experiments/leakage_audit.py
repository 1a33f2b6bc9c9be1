"""What leaks where the same slices are dealt out by patient, by slice or by pooled year.

Notebook 11. ``leakage_splits`` deals; here classifiers learn from what was dealt and are scored.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.neighbors import NearestNeighbors

from gliomalib import progress, settings
from gliomalib.digits import counted
from gliomalib.experiments import comparing, leakage_splits
from gliomalib.experiments.leakage_splits import Assignment, Pool, Rows
from gliomalib.experiments.values import ends, mean_interval, value
from gliomalib.fusion import slices
from gliomalib.networks import predict, training
from gliomalib.pipeline import folds
from gliomalib.schema import N_CLASSES, Float32Array, SliceSet, Value
from gliomalib.scoring import bootstrap

SPLITS: Mapping[str, str] = {
    "patient": "by patient",
    "slice": "by slice",
    "years": "by volume of the pooled years",
}
"""How slices are dealt out, and how that reads."""

CLASSIFIERS: Mapping[str, str] = {"neighbour": "nearest neighbour", "resnet50": "ResNet50"}

CHANCE = 1 / N_CLASSES

LABELLINGS = 100
"""How often the patients get random classes; the nearest neighbours need no new search for it."""

SIDE = 16
"""Images are as many voxels wide and high for the nearest neighbour."""

FEWEST = 5
"""Patients below which nothing is judged: of four who differ by chance alone all four lie on one
side one time in eight, so their interval means little."""

KEYS = ["classifier", "labels", "split"]
"""What a score is of."""

COLUMNS = [*KEYS, "patients", "accuracy", "accuracy_low", "accuracy_high"]
COLUMNS += ["gain", "gain_low", "gain_high", "gain_patients", "idle"]

IDLE = "not judged, it is not shown to be right more often than the commonest class by any split."
"""Why there is no gain of a classifier that may have learnt nothing."""


def nearest(features: Float32Array, asked: Rows, train: Rows) -> Rows:
    """Return for each of the rows ``asked`` the most similar row of ``train``.

    ``features`` (N, M) are those of ``thumbnails``; the distance is Euclidean.
    """
    search = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(features[train])
    return np.asarray(train[search.kneighbors(features[asked], return_distance=False)[:, 0]])


def neighbours(pool: Pool) -> pd.DataFrame:
    """Ask the nearest training slice for the class of each test slice, in every repeat.

    One row per split, repeat and patient, for the true classes and for random ones: classifier,
    labels, split, repeat, patient_id and ``leakage_splits.CELLS``, the counts of the patient's
    slices by true and predicted class. Random counts are averages over ``LABELLINGS``.
    """
    features, rows = thumbnails(pool.slices.images), []
    for repeat in progress.steps(range(pool.study.leakage.repeats), "nearest neighbours: repeats"):
        dealt = leakage_splits.deal(pool, repeat)
        random = _random(pool, dealt, repeat, LABELLINGS)
        for split, assignment in dealt.items():
            asked = np.unique(assignment.test)
            like = nearest(features, asked, assignment.train)
            names = [pool.slices.patients[row] for row in asked]
            for labels, classes in (("true", pool.slices.classes[None]), ("random", random)):
                counts = leakage_splits.counted(names, classes[:, asked], classes[:, like])
                about = {"classifier": "neighbour", "labels": labels, "split": split}
                rows.append(counts.assign(**about, repeat=repeat))
    return pd.concat(rows, ignore_index=True)


def networks(material: folds.Material, pool: Pool) -> pd.DataFrame:
    """Train the study's ResNet50 on each split in ``leakage.turns`` repeats, and test it.

    Rows as those of ``neighbours``, none without turns. All start from the same weights and take
    the same number of steps. Random classes are learnt in the first turn on the slice-level split
    only: with a patient-level one nothing that a network sees tells the class of a new patient.
    """
    rows, plans = [pd.DataFrame()], [("true", split) for split in SPLITS]
    for turn in range(pool.study.leakage.turns):
        dealt = leakage_splits.deal(pool, turn)
        for labels, split in plans if turn else [*plans, ("random", "slice")]:
            random = labels == "random"
            classes = _random(pool, dealt, turn, 1)[0] if random else pool.slices.classes
            asked = np.unique(dealt[split].test)
            predicted = _network(material, pool, f"{labels}_{split}_{turn}", dealt[split], classes)
            names = [pool.slices.patients[row] for row in asked]
            counts = leakage_splits.counted(names, classes[None, asked], predicted[None])
            about = {"classifier": "resnet50", "labels": labels, "split": split}
            rows.append(counts.assign(**about, repeat=turn))
    return pd.concat(rows, ignore_index=True)


def scores(answers: pd.DataFrame, study: settings.Study) -> pd.DataFrame:
    """Return a row by classifier, labels and split of ``neighbours``, ``networks`` or both.

    Columns: classifier, labels, split, patients; accuracy (mean over patients of their shares of
    right slices) and gain, each with ``…_low`` and ``…_high`` of its 95 % interval over patients;
    gain_patients, idle. The gain is that in accuracy over the patient-level split in the same
    patients, in points; where nobody was tested by both it is that of the means, of 0 patients. It
    is NaN where ``idle`` says that the classifier may have learnt nothing on either split, and of
    no number of patients for the patient-level split itself and for random classes.
    """
    table = leakage_splits.per_patient(answers)
    # one table per classifier, labels and split, its rows named by patient
    parts = {
        tuple(map(str, key)): part.droplevel([0, 1, 2])
        for key, part in table.groupby(level=[0, 1, 2], sort=False)
    }
    rows = []
    for (classifier, labels, split), part in parts.items():
        names, gain, idle = (classifier, labels, split), None, ""
        if labels == "true" and split != "patient":
            fair = parts[classifier, "true", "patient"]
            gain = _gain(fair["accuracy"], part["accuracy"], study, *names)
            # nearest neighbours are not trained, so they cannot be trained too little
            if classifier != "neighbour" and not (_learnt(fair, study) or _learnt(part, study)):
                gain, idle = bootstrap.Interval(np.nan, None, gain.n), IDLE
        right = mean_interval(part["accuracy"], study, "leakage", *names)
        gained = (gain.value, *ends(gain), gain.n) if gain else (np.nan, np.nan, np.nan, None)
        rows.append((*names, right.n, right.value, *ends(right), *gained, idle))
    return pd.DataFrame(rows, columns=COLUMNS).astype({"gain_patients": "Int64"})


def majority(pool: Pool) -> bootstrap.Interval:
    """Return how often the commonest class of all is right, mean over patients."""
    commonest = np.bincount(pool.slices.classes).argmax()
    right = pd.Series(pool.slices.classes == commonest)
    shares = right.groupby(np.array(pool.slices.patients)).mean()
    return mean_interval(shares, pool.study, "leakage", "majority")


def values(pool: Pool, scores: pd.DataFrame) -> list[Value]:
    """Return the values of a record."""
    found = [made for _, row in scores.iterrows() for made in _values_of(row, pool.study)]
    rule = "share of slices of the commonest class, mean over patients: who learnt nothing gets it"
    return [*found, value("majority_accuracy", majority(pool), rule)]


def conclusion(scores: pd.DataFrame) -> str:
    """Say by the rule whether both classifiers' scores show a leak, and if the control holds."""
    rows = {tuple(row[KEYS]): row for _, row in scores.iterrows()}
    fair, leaky = (rows["neighbour", "random", split] for split in ("patient", "slice"))
    network = rows.get(("resnet50", "random", "slice"))
    learnt = "" if network is None else f" (ResNet50 in {100 * network['accuracy']:.0f} %)"
    holds = fair["accuracy_low"] <= CHANCE <= fair["accuracy_high"]
    word = "holds" if holds and leaky["accuracy_low"] > CHANCE else "does not hold"
    if fair["patients"] < FEWEST:
        word = f"is not judged on {fair['patients']} patients"
    control = (
        f"With random classes the nearest neighbour is right in {100 * fair['accuracy']:.0f} % of "
        f"the slices when they are dealt by patient and in {100 * leaky['accuracy']:.0f} % when "
        f"dealt by slice{learnt}, chance being {100 * CHANCE:.0f} %: the control {word}."
    )
    gains = scores[scores["gain_patients"].notna()]
    return " ".join([*(_leak(row) for _, row in gains.iterrows()), control])


def caveats(pool: Pool, scores: pd.DataFrame) -> tuple[str, ...]:
    """Return what nobody may read into the numbers."""
    of_patients = scores.query("labels == 'true' and split == 'patient'").set_index("classifier")
    fair, times = of_patients["patients"].get("resnet50"), counted(pool.study.leakage.turns, "time")
    copied = (
        f"Each patient's number of volumes is {pool.counted_by}; the copies are exact, and each "
        "slice was learnt once at most, so the gain of the pooled years is a cautious one."
    )
    if fair is None:
        return copied, "ResNet50 was not trained: what leaks is that of the nearest neighbour."
    return (
        copied,
        f"ResNet50 was trained {times} per split: its patient-level accuracy rests on "
        f"{fair} of {len(pool.patients)} patients, and the gains on no more.",
        "ResNet50 learnt random classes once, on the slice-level split only; the patient-level "
        "control is that of the nearest neighbour.",
    )


def _values_of(row: pd.Series, study: settings.Study) -> list[Value]:
    classifier, labels, split = row[KEYS]
    of = f"{CLASSIFIERS[classifier]}, slices dealt {SPLITS[split]}"
    trained, random = classifier != "neighbour", labels == "random"
    n_seeds = 0 if not trained else 1 if random else study.leakage.turns
    repeats = counted(study.leakage.repeats, "repeat")
    times = counted(n_seeds, "training") if trained else repeats
    tail = f"{times} averaged within patient, mean over patients"

    def made(name: str, column: str, n: int, rule: str) -> Value:
        """Return a number of the row with its interval."""
        ci95 = comparing.interval(row, f"{column}_low", f"{column}_high")
        return Value(name, row[column], ci95, n, rule=rule, n_seeds=n_seeds)

    if random:
        who = f"{classifier}_" if trained else ""
        rule = f"share right, one random class per patient: {of}, {tail}; chance is {CHANCE:g}"
        return [made(f"{who}random_labels_{split}_accuracy", "accuracy", row["patients"], rule)]
    start, right = f"{classifier}_{split}", f"share of test slices right: {of}, {tail}"
    found = [made(f"{start}_accuracy", "accuracy", row["patients"], right)]
    if not pd.isna(row["gain_patients"]):
        unpaired = "difference of the means, as nobody was tested by both"
        how = "paired by patient" if row["gain_patients"] else unpaired
        rule = f"accuracy in points above the patient-level split, {how}: {of}"
        gain = made(f"{start}_gain", "gain", row["gain_patients"], rule)
        found.append(replace(gain, unit="points", note=row["idle"]))
    return found


def _learnt(table: pd.DataFrame, study: settings.Study) -> bool:
    """Tell whether slices are right more often than the commonest class would be, by patient."""
    true = leakage_splits.confusions(table).sum(axis=2)
    shares = true / true.sum(axis=1, keepdims=True)
    above = table["accuracy"] - shares[:, shares.mean(axis=0).argmax()]
    return ends(mean_interval(above, study, "leakage", "above"))[0] > 0


def _leak(row: pd.Series) -> str:
    who, how = CLASSIFIERS[row["classifier"]], SPLITS[row["split"]]
    start = f"{who[0].upper()}{who[1:]}, slices dealt {how}:"
    if row["idle"]:
        return f"{start} {row['idle']}"
    ci95, word = comparing.interval(row, "gain_low", "gain_high"), "a leak is not shown"
    interval = f"95 % interval {ci95[0]:+.1f} to {ci95[1]:+.1f}" if ci95 else "no interval"
    if row["gain_patients"] < FEWEST:
        word = f"not judged on fewer than {FEWEST} patients"
    elif ci95 and ci95[0] > 0:
        word = "a leak is shown"
    return (
        f"{start} {row['gain']:+.1f} points on the patient-level split "
        f"({interval}, patients: {row['gain_patients']}), {word}."
    )


def _network(
    material: folds.Material, pool: Pool, name: str, assignment: Assignment, classes: Rows
) -> Rows:
    """Return the class that a ResNet50 gives to each test slice."""
    study = pool.study
    job = replace(
        folds.job(material, "resnet50", 0, material.store.digest(pool.patients)),
        settings=leakage_splits.classifier(study),
        directory=material.run.work_dir / "checkpoints" / "leakage" / name,
        label=name.replace("_", " classes by "),
    )
    labelled = SliceSet(pool.slices.images, classes, pool.slices.patients, pool.slices.z)
    trained = training.train_classifier(job, slices.subset(labelled, assignment.train), None)
    asked = slices.subset(labelled, np.unique(assignment.test))
    probabilities = predict.classify(trained.checkpoint, asked, study.device)
    return np.asarray(probabilities.argmax(axis=1), dtype=np.int64)


def thumbnails(images: NDArray[np.float16]) -> Float32Array:
    """Return small images as rows (N, 3·SIDE²), a few hundred at a time: all may be gigabytes."""
    parts = [slices.resized(images[at : at + 256], SIDE) for at in range(0, len(images), 256)]
    return np.concatenate(parts).reshape(len(images), -1).astype(np.float32)


def _random(pool: Pool, dealt: Mapping[str, Assignment], repeat: int, draws: int) -> Rows:
    root = settings.named_seed(pool.study.seed, "leakage", "random", repeat)
    return leakage_splits.random_classes(pool.slices.patients, dealt["patient"].test, draws, root)


def _gain(
    fair: pd.Series, leaky: pd.Series, study: settings.Study, *names: str
) -> bootstrap.Interval:
    # sorted, so that the same patients are drawn whatever the order of the answers
    paired = 100 * (leaky - fair).dropna().sort_index()
    if paired.empty:
        means = 100 * float(leaky.sort_index().mean() - fair.sort_index().mean())
        return bootstrap.Interval(means, None, 0)
    return mean_interval(paired, study, "leakage", *names, "gain")
