"""The choices that the paper leaves open, crossed: what each classifier learns and is tested on.

A *specification* takes one of each choice (Steegen et al. 2016, doi:10.1177/1745691616658637). What
the classifier sees comes from held-out patients only, so no U-Net has been trained on them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from itertools import product

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import ExtraTreesClassifier

from gliomalib import progress, settings
from gliomalib.experiments import leakage_splits
from gliomalib.experiments.leakage_audit import SIDE, SPLITS
from gliomalib.experiments.leakage_splits import Assignment, Pool, Rows
from gliomalib.fusion import slices
from gliomalib.pipeline import folds
from gliomalib.schema import DataError, Float32Array, FloatArray, StoredCase, Volume

CHOICES: Mapping[str, Mapping[str, str]] = {
    "split": SPLITS,
    "label": {
        "dominant": "largest area",
        "enhancing_first": "enhancing, if any",
        "largest_share": "largest share of a class",
    },
    "least": {"one voxel": "from one voxel on", "40 mm²": "from 40 mm² on"},
    "slices": {"all": "all with brain", "tumour": "with tumour only"},
    "image": {
        "probabilities": "fused maps",
        "truth": "expert's masks",
        "mri": "MRI",
        "mri_masked": "MRI in the fused tumour",
    },
    "counted": {
        "slices": "share of all slices",
        "patients": "mean over patients",
        "rest": "one class against the rest",
    },
    "reported": {"last": "last stage", "best": "best stage on the test slices"},
}
"""Choice → its values and what a reader calls them."""

TITLES = {
    "split": "split",
    "label": "class of a slice",
    "least": "least tumour that counts",
    "slices": "slices that enter",
    "image": "what the classifier sees",
    "counted": "how accuracy is counted",
    "reported": "which result is reported",
}
"""What a reader calls the choices."""

TREES, STAGE = 40, 8
"""Extremely randomised trees of a classifier; it is looked at after every ``STAGE`` of them."""


@dataclass(frozen=True)
class Specification:
    """What a classifier learns from and is tested on; each field is a value of its choice."""

    split: str
    label: str
    least: str
    slices: str
    image: str


@dataclass(frozen=True)
class Views:
    """Slices with brain of held-out patients, in every look and with every class.

    ``pool`` says whose slice each row is, without images; ``features`` (N, 3·SIDE²) are by image,
    ``classes`` (N,) by label and smallest area.
    """

    pool: Pool
    features: Mapping[str, Float32Array]
    classes: Mapping[tuple[str, str], Rows]


@dataclass(frozen=True)
class Answers:
    """Counts of slices by specification and patient.

    ``asked`` (S, P) were tested, ``right`` (S, 2, P) of them were right at the last stage and at
    the one that was best on the test slices of its turn. All patients were tested by every split;
    ``left_out`` others were not.
    """

    specifications: tuple[Specification, ...]
    patients: tuple[str, ...]
    asked: FloatArray
    right: FloatArray
    left_out: int = 0


def look(material: folds.Material, pool: Pool) -> Views:
    """Return the views of the patients of a pool, whom a fold holds out."""
    fold_of = {name: split.fold for split in material.splits for name in split.test}
    of = np.array(pool.slices.patients)
    features: dict[str, list[Float32Array]] = {image: [] for image in seen(pool.study)}
    classes: dict[tuple[str, str], list[Rows]] = {
        key: [] for key in product(CHOICES["label"], CHOICES["least"])
    }
    for name in progress.steps(pool.patients, "specifications: patients"):
        case, z = material.store.get(name), pool.slices.z[of == name]
        fused = folds.volume(material, "fused", fold_of[name], name)
        for image, parts in features.items():
            parts.append(thumbnails(case, fused, image, pool.study)[z])
        for (label, least), known in classes.items():
            known.append(slices.classes_of(case, label, slices.LEAST_MM2[least])[z])
    rows = np.concatenate([np.flatnonzero(of == name) for name in pool.patients])
    # the images of a pool are large, and nobody asks for them again
    placed = replace(pool.slices, images=pool.slices.images[:, :, :1, :1])
    return Views(
        replace(pool, slices=slices.subset(placed, rows)),
        {image: np.concatenate(parts) for image, parts in features.items()},
        {key: np.concatenate(known) for key, known in classes.items()},
    )


def thumbnails(case: StoredCase, fused: Volume, image: str, study: settings.Study) -> Float32Array:
    """Return the axial slices of a patient as rows (Z, 3·SIDE²) of what the classifier sees."""
    images, kind = case.images, image
    if image == "mri_masked":
        inside = fused.probabilities.argmax(axis=0) > 0
        images, kind = images * inside, "mri"
    plan = study.classifier.model_copy(update={"image": kind, "image_size": SIDE})
    small = slices.fused_slices(fused, case.labels, plan, images).images
    return small.reshape(len(small), -1).astype(np.float32)


def seen(study: settings.Study) -> tuple[str, ...]:
    """Return what classifiers of a study see: without images it is the expert's masks."""
    return ("truth",) if study.data.extent == "masks" else tuple(CHOICES["image"])


def specifications(study: settings.Study) -> tuple[Specification, ...]:
    """Return every combination of what a fit hangs on, in the order of ``CHOICES``."""
    levels = {**CHOICES, "image": seen(study)}
    fitted = [levels[field.name] for field in fields(Specification)]
    return tuple(Specification(*values) for values in product(*fitted))


def measure(views: Views) -> Answers:
    """Fit every specification once a turn, and count the slices that it names rightly.

    Raises ``DataError`` where no patient was tested by every one of them.
    """
    every, turns = specifications(views.pool.study), range(views.pool.study.leakage.repeats)
    names, place = np.unique(views.pool.slices.patients, return_inverse=True)
    asked = np.zeros((len(every), len(names)))
    right = np.zeros((len(every), 2, len(names)))
    groups = list(product(CHOICES["least"], CHOICES["slices"], turns))
    for least, kind, turn in progress.steps(groups, "specifications: turns"):
        rows = rows_of(views, least, kind)
        part = replace(views.pool, slices=slices.subset(views.pool.slices, rows))
        dealt = deal(part, turn)
        for number, plan in enumerate(every):
            if (plan.least, plan.slices) == (least, kind):
                hits = stages(views, plan, rows, dealt[plan.split], turn)
                who = place[rows[dealt[plan.split].test]]
                asked[number] += np.bincount(who, minlength=len(names))
                for reading, hit in enumerate((hits[-1], hits[hits.mean(axis=1).argmax()])):
                    right[number, reading] += np.bincount(who, hit, minlength=len(names))
    always = (asked > 0).all(axis=0)
    if not always.any():
        raise DataError("no patient was tested by every specification; take more repeats")
    kept, left_out = tuple(names[always].tolist()), int((~always).sum())
    return Answers(every, kept, asked[:, always], right[..., always], left_out)


def deal(pool: Pool, turn: int) -> dict[str, Assignment]:
    """Return what each split learns from and is tested on in one turn.

    Training sets are as large as their split makes them, whereas notebook 11 cuts them to one size;
    a slice that stands in several volumes is learnt and tested once.
    """
    seed = settings.named_seed(pool.study.seed, "specifications", "deal")
    dealt = leakage_splits.three_ways(pool, seed, turn, settings.named_seed(seed, turn))
    distinct = {name: map(np.unique, (rows.train, rows.test)) for name, rows in dealt.items()}
    return {name: Assignment(*rows) for name, rows in distinct.items()}


def rows_of(views: Views, least: str, kind: str) -> Rows:
    """Return the rows that take part: all, or those that show as much tumour as counts."""
    # which slices show tumour hangs on the smallest area and not on the label
    some = next(iter(CHOICES["label"]))
    return np.flatnonzero((views.classes[some, least] > 0) | (kind == "all"))


def stages(
    views: Views, plan: Specification, rows: Rows, dealt: Assignment, turn: int
) -> NDArray[np.bool_]:
    """Return which of the distinct test slices are right after each stage, (stages, slices)."""
    study = views.pool.study
    features = views.features[plan.image][rows]
    classes = views.classes[plan.label, plan.least][rows]
    forest = ExtraTreesClassifier(
        TREES,
        random_state=settings.named_seed(study.seed, "specifications", turn),
        n_jobs=study.threads or -1,
    )
    forest.fit(features[dealt.train], classes[dealt.train])
    votes = np.cumsum([tree.predict_proba(features[dealt.test]) for tree in forest], axis=0)
    named = forest.classes_[votes[STAGE - 1 :: STAGE].argmax(axis=2)]
    return np.asarray(named == classes[dealt.test])
