"""Which slices take part in notebook 11, how they are dealt out, who stands on both sides.

``cohort.splits`` makes the splits of the study; what is dealt here is audited, never reported on.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gliomalib import settings
from gliomalib.cohort import identity
from gliomalib.cohort import table as casetable
from gliomalib.fusion import slices
from gliomalib.pipeline import folds
from gliomalib.schema import N_CLASSES, DataError, FloatArray, MismatchError, SliceSet
from gliomalib.scoring import metrics

Rows = NDArray[np.int64]

CELLS = [f"true {true} given {given}" for true in range(N_CLASSES) for given in range(N_CLASSES)]
"""Columns of a confusion matrix in a row of a table."""

SHARE = 0.2
"""What is held out, as the paper does it."""

COPIES: Mapping[int, int] = {3: 285, 2: 50, 1: 34}
"""Volumes per patient in BraTS 2018–2020 pooled → patients with as many, by the organisers' table
of subject IDs: 285 of 2018 are in 2019 (335) and 2020 (369) too."""


@dataclass(frozen=True)
class Assignment:
    """Rows of slices to learn from and to be asked about, as often as volumes there hold them."""

    train: Rows
    test: Rows


@dataclass(frozen=True)
class Pool:
    """The slices that all splits share, and who has how many volumes in the pooled years.

    ``slices`` are fused ones with some brain in the scan; ``n_blank`` others were left out.
    ``counted_by`` says where ``copies`` come from.
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


def gather(material: folds.Material, patients: int | None) -> Pool:
    """Return the fused slices of held-out patients, at most so many ``patients`` drawn by seed.

    Each patient's volumes are of the fold that held it out: no U-Net has learnt from it.
    """
    study = material.study
    everyone = np.array(sorted({name for split in material.splits for name in split.test}))
    generator = np.random.default_rng(settings.named_seed(study.seed, "leakage", "patients"))
    order = generator.permutation(len(everyone))
    names = sorted(everyone[order[:patients]].tolist())
    of_folds = [(split, sorted({*split.test} & {*names})) for split in material.splits]
    sets = [folds.fused_slices(material, split, tested) for split, tested in of_folds if tested]
    every = slices.concatenate(sets)
    # a mask does not tell where the brain ends, so without images all slices stay
    blank = np.zeros(len(every.z), bool) if every.blank is None else every.blank
    seen = slices.subset(every, np.flatnonzero(~blank))
    return Pool(seen, int(blank.sum()), *_copies(material, names), study)


def deal(pool: Pool, repeat: int) -> dict[str, Assignment]:
    """Return the three assignments of one repeat, with training sets of one size.

    Raises ``MismatchError`` where the patient-level one has a patient on both sides.
    """
    root = settings.named_seed(pool.study.seed, "leakage", "deal", repeat)
    # one order for all repeats: patients take turns in being held out
    turns = settings.named_seed(pool.study.seed, "leakage", "turns")
    dealt = three_ways(pool, turns, repeat, root)
    if leaking := in_both(dealt["patient"], pool.slices.patients):
        raise MismatchError(
            f"leakage, repeat {repeat}: {', '.join(leaking)} on both sides of the patient-level "
            "split; nothing can be measured against it"
        )
    return equal_budgets(dealt, root)


def three_ways(pool: Pool, turns: int, turn: int, seed: int) -> dict[str, Assignment]:
    """Return the slices dealt by patient in the order of ``turns``, by slice and by volume."""
    of = pool.slices.patients
    return {
        "patient": by_patient(of, turns, turn),
        "slice": by_slice(len(of), seed),
        "years": by_volume(of, pool.copies, seed),
    }


def by_patient(patients: Sequence[str], seed: int, turn: int = 0) -> Assignment:
    """Hold out all slices of a fifth of the patients; ``patients`` names that of each row.

    Patients take turns: ``turn`` 0 holds out the first of an order that ``seed`` shuffles, the
    next turn the next ones, so that five turns test everybody. Raises ``DataError`` for one
    patient alone.
    """
    names = sorted(set(patients))
    order = np.random.default_rng(seed).permutation(len(names))
    count = _held_out(len(names), "patients")
    places = (turn * count + np.arange(count)) % len(names)
    held_out = np.isin(np.array(patients), np.array(names)[order[places]])
    return Assignment(np.flatnonzero(~held_out), np.flatnonzero(held_out))


def by_slice(n_slices: int, seed: int) -> Assignment:
    """Hold out a fifth of the slices, whoever they are of; ``DataError`` for fewer than two."""
    order = np.random.default_rng(seed).permutation(n_slices)
    count = _held_out(n_slices, "slices")
    return Assignment(np.sort(order[count:]), np.sort(order[:count]))


def by_volume(patients: Sequence[str], copies: Mapping[str, int], seed: int) -> Assignment:
    """Hold out a fifth of the volumes, of which each patient has as many as ``copies`` says.

    All volumes of a patient hold the same slices. Raises ``DataError`` for a volume alone.
    """
    volumes = [name for name in sorted(set(patients)) for _ in range(copies[name])]
    order = np.random.default_rng(seed).permutation(len(volumes))
    count = _held_out(len(volumes), "volumes")
    names = np.array(patients)

    def rows(chosen: Rows) -> Rows:
        """Return the rows of the slices of some volumes."""
        # a slice comes as often as volumes with it were drawn
        return np.concatenate([np.flatnonzero(names == volumes[at]) for at in np.sort(chosen)])

    return Assignment(rows(order[count:]), rows(order[:count]))


def multiplicities(patients: Sequence[str], seed: int) -> dict[str, int]:
    """Return how many volumes each patient has, dealt out in the proportion of ``COPIES``.

    Numbers of patients are rounded by largest remainder, so that they sum to those that are here.
    """
    names = sorted(set(patients))
    wanted = np.array(list(COPIES.values())) * len(names) / sum(COPIES.values())
    counts = np.floor(wanted).astype(int)
    rest = np.argsort(counts - wanted, kind="stable")[: len(names) - counts.sum()]
    counts[rest] += 1
    dealt = np.random.default_rng(seed).permutation(np.repeat(list(COPIES), counts))
    return dict(zip(names, dealt.tolist(), strict=True))


def equal_budgets(dealt: Mapping[str, Assignment], seed: int) -> dict[str, Assignment]:
    """Return the assignments with training sets as small as the smallest, by leaving out slices.

    A slice that stands several times in training counts once. What is tested stays as it is.
    """
    distinct = {name: np.unique(assignment.train) for name, assignment in dealt.items()}
    least = min(len(rows) for rows in distinct.values())
    fair = {}
    for name, rows in distinct.items():
        generator = np.random.default_rng(settings.named_seed(seed, name))
        kept = np.sort(generator.choice(rows, least, replace=False))
        fair[name] = Assignment(kept, dealt[name].test)
    return fair


def in_both(assignment: Assignment, patients: Sequence[str]) -> tuple[str, ...]:
    """Return the patients with slices in training and in test: empty where nothing can leak."""
    names = np.array(patients)
    return tuple(np.intersect1d(names[assignment.train], names[assignment.test]).tolist())


def classifier(study: settings.Study) -> settings.Classifier:
    """Return the settings of the audit's ResNet50: the study's, unaltered slices, own epochs."""
    epochs = study.leakage.epochs or study.classifier.epochs
    return study.classifier.model_copy(update={"epochs": epochs, "augment": False})


def random_classes(patients: Sequence[str], apart: Rows, draws: int, seed: int) -> Rows:
    """Give every patient a random class for all slices, ``draws`` times: (draws, rows).

    The patients of the rows ``apart`` and the others are dealt the four classes evenly, each
    group by itself: were they dealt together, what one side has would be missing on the other,
    and somebody who knows nothing would be right less often than one time in four.
    """
    names, place = np.unique(np.array(patients), return_inverse=True)
    inside = np.isin(np.arange(len(names)), place[apart])
    generator = np.random.default_rng(seed)
    dealt = np.empty((draws, len(names)), dtype=np.int64)
    for group in (inside, ~inside):
        classes = generator.permuted(np.tile(np.arange(N_CLASSES), (draws, 1)), axis=1)
        even = classes[:, np.arange(group.sum()) % N_CLASSES]
        dealt[:, group] = generator.permuted(even, axis=1)
    return np.asarray(dealt[:, place])


def counted(patients: Sequence[str], truth: Rows, predicted: Rows) -> pd.DataFrame:
    """Return one row per patient: patient_id and ``CELLS``, counts averaged over the draws.

    ``truth`` and ``predicted`` have shape (draws, slices), ``patients`` names that of each slice.
    """
    rows, of = [], np.array(patients)
    for name in sorted(set(patients)):
        theirs = of == name
        counts = metrics.confusion_matrix(truth[:, theirs], predicted[:, theirs]) / len(truth)
        rows.append([name, *counts.ravel().tolist()])
    return pd.DataFrame(rows, columns=["patient_id", *CELLS])


def confusions(table: pd.DataFrame) -> FloatArray:
    """Return the matrices (rows, 4, 4) of a table with the columns ``CELLS``."""
    return table[CELLS].to_numpy(dtype=np.float64).reshape(-1, N_CLASSES, N_CLASSES)


def per_patient(answers: pd.DataFrame) -> pd.DataFrame:
    """Return the counts of each patient averaged over repeats, with the accuracy.

    Index: classifier, labels, split, patient_id of ``answers``; columns: ``CELLS``, accuracy.
    """
    keys = ["classifier", "labels", "split", "patient_id"]
    mean = answers.groupby(keys, sort=False)[CELLS].mean()
    stack = confusions(mean)
    return mean.assign(accuracy=np.trace(stack, axis1=1, axis2=2) / stack.sum(axis=(1, 2)))


def _copies(material: folds.Material, names: Sequence[str]) -> tuple[dict[str, int], str]:
    """Return each patient's number of volumes, and where that is from."""
    releases = material.study.data.internal_releases
    if releases:
        cases = casetable.read_cases(material.run.work_dir / "cases.csv")
        named = cases[cases["part"] == "internal"].dropna(subset="years")
        years = named.set_index("patient_id")["years"].str.split()
        if len(years):
            paper = {*map(str, identity.PAPER_YEARS)}
            volumes = {name: len(paper.intersection(of)) for name, of in years.items()}
            source = "that of the years in which the organisers' table of subject IDs names them"
            return {name: max(1, volumes.get(name, 1)) for name in names}, source
        used = cases["part"].isin(["internal", "duplicate"]) & cases["release"].isin(releases)
        counts = cases[used].groupby("patient_id")["release"].nunique()
        if (counts > 1).any():
            source = f"that of the releases of this study ({', '.join(releases)})"
            return {name: int(counts.get(name, 1)) for name in names}, source
    dealt = multiplicities(names, settings.named_seed(material.study.seed, "leakage", "copies"))
    shares = ", ".join(f"{n} patients with {times}" for times, n in COPIES.items())
    return dealt, f"dealt out as in BraTS 2018–2020 by the organisers' table ({shares})"


def _held_out(n: int, of: str) -> int:
    if n < 2:
        raise DataError(f"{n} {of} cannot be dealt out to training and test; give at least 2")
    # rounded up, so that five turns test everybody
    return min(math.ceil(round(SHARE * n, 6)), n - 1)
