"""Exact Dice over the weight α of each patient, region and training, in a file during a sweep.

A curve of a patient of full size takes up to 0.7 megabytes, and there are six. So those of a cohort
lie in a temporary file (in ``TMPDIR``) that goes with the process; each is read when it is asked
for.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from tempfile import TemporaryFile

import numpy as np

from gliomalib import progress
from gliomalib.fusion import exact_sweep
from gliomalib.fusion.optimum import Curve, Mean, mean_curve
from gliomalib.pipeline import folds
from gliomalib.scoring import metrics, tables

Curves = Mapping[str, Mapping[str, Curve]]
"""Region → patient → curve; ``mean`` is of a patient's NCR, ED and ET."""


@dataclass(frozen=True)
class Sweep:
    """Dice at every α: ``curves`` averaged over trainings, ``by_seed`` those of each training."""

    curves: Curves
    by_seed: Mapping[int, Curves] = field(default_factory=dict)

    def mean(self, region: str) -> Mean:
        """Return the mean of all who are ``defined`` in a region."""
        return Mean(defined(self.curves[region]).values())

    def trainings(self, region: str) -> dict[int, Mean]:
        """Return the mean of the same patients in each training, by seed, 0 the study's own."""
        names = list(defined(self.curves[region]))
        return {
            seed: Mean(_Read(curves[region].__getitem__, names).values())
            for seed, curves in self.by_seed.items()
        }


@dataclass(frozen=True, eq=False)
class _Read(Mapping[str, Curve]):
    """The curves of some patients, each read anew whenever it is asked for."""

    read: Callable[[str], Curve]
    patients: Collection[str]

    def __getitem__(self, patient: str) -> Curve:
        if patient not in self.patients:
            raise KeyError(patient)
        return self.read(patient)

    def __iter__(self) -> Iterator[str]:
        return iter(self.patients)

    def __len__(self) -> int:
        return len(self.patients)


def defined(curves: Mapping[str, Curve]) -> Mapping[str, Curve]:
    """Return the curves of the patients who have a score at every α."""
    names = [name for name in curves if not np.isnan(curves[name].values).any()]
    return _Read(curves.__getitem__, names)


def exact(material: folds.Material) -> Sweep:
    """Return Dice of every held-out patient as an exact function of α, of all trainings.

    A patient who lacks a score in one training lacks it in their mean.
    """
    by_seed = {
        seed: _of_training(material, pair) for seed, pair in folds.seeds(material.study).items()
    }
    return Sweep(_averaged(list(by_seed.values())), by_seed)


def _of_training(material: folds.Material, branches: folds.Pair) -> Curves:
    """Return the curves of both branches of one training."""
    fold_of = {patient: split.fold for split in material.splits for patient in split.test}
    empty, patients = material.study.evaluation.empty, sorted(fold_of)

    def curves() -> Iterator[dict[str, Curve]]:
        """Yield the curves of one patient after the other."""
        for patient in progress.steps(patients, "test patients"):
            labels = material.store.get(patient).labels
            pair = folds.pair(material, fold_of[patient], patient, branches)
            yield _of_patient(exact_sweep.steps_of(*pair, labels), empty)

    return _filed(patients, curves())


def _of_patient(steps: exact_sweep.Steps, empty: metrics.EmptyRule) -> dict[str, Curve]:
    """Return the curve of each region and of the mean of the classes."""
    curves = {
        region: exact_sweep.dice_at(steps, classes, empty)
        for region, classes in tables.REGIONS.items()
    }
    return {"mean": mean_curve([curves[name] for name in tables.CLASSES], "exclude"), **curves}


def _averaged(trainings: Sequence[Curves]) -> Curves:
    """Return the curves averaged over trainings, patient by patient."""
    first, *others = trainings
    if not others:
        return first
    patients = list(first["mean"])
    means = (
        {region: mean_curve([of[region][name] for of in trainings], "nan") for region in first}
        for name in patients
    )
    return _filed(patients, means)


def _filed(patients: Sequence[str], curves: Iterator[dict[str, Curve]]) -> Curves:
    """Write the curves of one patient after the other, and return them to be read.

    They lie in a file without a name, which goes with whoever holds one of them.
    """
    file = TemporaryFile()  # noqa: SIM115  # open as long as asked for
    places: dict[tuple[str, str], int] = {}
    for patient, of_regions in zip(patients, curves, strict=True):
        for region, curve in of_regions.items():
            places[region, patient] = file.tell()
            for part in (curve.alphas, curve.values):
                np.save(file, part)

    def read(region: str, patient: str) -> Curve:
        """Return the curve of a patient."""
        file.seek(places[region, patient])
        alphas, values = (np.load(file, allow_pickle=False) for _ in range(2))
        return Curve(alphas, values)

    return {region: _Read(partial(read, region), patients) for region in ("mean", *tables.REGIONS)}
