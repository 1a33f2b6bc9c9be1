"""The way from file to class, timed on reported patients of the first fold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

from gliomalib.cohort.table import cases_of, read_cases
from gliomalib.digits import percent
from gliomalib.experiments import engines, runtimes
from gliomalib.experiments.engines import NETWORKS, STAGES
from gliomalib.networks import models
from gliomalib.pipeline import folds
from gliomalib.progress import steps
from gliomalib.schema import Case, MismatchError, Volume, check_same_grid
from gliomalib.scoring import metrics, tables

SAME = 1e-3
"""Share of voxels that may get another class than in their notebook: processors round apart."""


@dataclass(frozen=True)
class Measured:
    """What was timed.

    ``passes`` has a row per pass from file to class: patient_id, repeat (−1: the cold one), depth
    (its slices), seconds of load and of each stage. ``engines`` has engine, network, patient_id,
    repeat, seconds, float32, speed_up, for networks that another engine ran; ``changes`` has
    engine, patient_id, voxels and slices (share of another class), dice (gained). ``setups`` has
    engine, network, set_up_s, difference, note; ``sizes`` network, parameters, gflops,
    checkpoint_mb. ``hardware`` is as ``engines.hardware`` says it, ``memory_gb`` the highest
    memory in 10⁹ bytes.
    """

    passes: pd.DataFrame
    engines: pd.DataFrame
    changes: pd.DataFrame
    setups: pd.DataFrame
    sizes: pd.DataFrame
    hardware: Mapping[str, str]
    memory_gb: Mapping[str, float]

    @property
    def cold(self) -> pd.Series:
        """Seconds of the first pass by stage, loading of the networks included."""
        return self.passes.loc[self.passes["repeat"] < 0, ["load", *STAGES]].iloc[0]

    @property
    def warm(self) -> pd.DataFrame:
        """The passes after the first one."""
        return self.passes[self.passes["repeat"] >= 0]

    @property
    def n_patients(self) -> int:
        """Number of patients that were timed."""
        return int(self.warm["patient_id"].nunique())

    @property
    def machine(self) -> str:
        """The hardware in a few words."""
        cores = f"{self.hardware['cores']} cores, {self.hardware['threads']} used"
        return f"{self.hardware['processor']} ({cores}; ran on: {self.hardware['device']})"

    def seconds(self, stages: Sequence[str]) -> pd.Series:
        """Return the seconds of some stages together in every warm pass."""
        return self.warm[list(stages)].sum(axis=1)


def measure(material: folds.Material) -> Measured:
    """Time every stage for some held-out and external patients of the first fold.

    The first pass is the cold one; then all patients are carried through in ``repeats`` rounds, so
    that a slow minute of the machine meets each of them. Memory is read before other engines
    begin. Raises ``DataError`` for files that are missing, and
    ``MismatchError`` where a pass does not give what the networks' notebooks predicted.
    """
    study, cases, fold = material.study, chosen(material), material.splits[0].fold
    files = {name: folds.checkpoint(material, name, fold) for name in NETWORKS}
    with models.threads(study.threads):
        clock = engines.Clock(models.find_device(study.device))
        with clock.stage("load"):
            pipeline = engines.load(files, study)
        first = engines.from_files(cases[0], pipeline, clock)
        warm, answers = _warm_passes(cases, pipeline)
        memory = engines.peak_memory_gb(pipeline.device)
        check_same(material, answers)
        others = runtimes.engines(pipeline.networks, pipeline.device, study.threads)
        made = [engines.set_up(engine, pipeline, first.case) for engine in others]
        theirs, timed = engines.beside(answers, pipeline, made)
        return Measured(
            passes=pd.DataFrame([_row(first, -1, clock), *warm]),
            engines=timed,
            changes=_changes(material, answers, theirs),
            setups=pd.DataFrame(engines.differences(pipeline, made, first.case)),
            sizes=_sizes(files, pipeline, first),
            hardware=engines.hardware(pipeline),
            memory_gb=memory,
        )


def chosen(material: folds.Material) -> list[Case]:
    """Return the cases that are timed: held-out patients of the first fold, then external ones.

    Raises ``MismatchError`` for a patient whom the table of cases does not have.
    """
    split = material.splits[0]
    names = [*split.test, *split.external][: material.study.efficiency.patients]
    table = read_cases(material.run.work_dir / "cases.csv")
    parts = ("internal", "external")
    known = {case.patient_id: case for part in parts for case in cases_of(table, part)}
    absent = [name for name in names if name not in known]
    if absent:
        raise MismatchError(f"cases.csv lacks {', '.join(absent)}; run 01_data_exploration again")
    return [known[name] for name in names]


def _warm_passes(
    cases: Sequence[Case], pipeline: engines.Pipeline
) -> tuple[list[dict[str, object]], list[engines.Answer]]:
    rows, answers = [], {}
    passes = list(product(range(pipeline.study.efficiency.repeats), cases))
    for repeat, case in steps(passes, "timed passes"):
        clock = engines.Clock(pipeline.device)
        answers[case.patient_id] = engines.from_files(case, pipeline, clock)
        rows.append(_row(answers[case.patient_id], repeat, clock))
    return rows, list(answers.values())


def _row(answer: engines.Answer, repeat: int, clock: engines.Clock) -> dict[str, object]:
    grid = answer.case.grid
    about = {"patient_id": grid.patient_id, "repeat": repeat, "depth": grid.shape[2], "load": 0.0}
    return {**about, **clock.seconds}


def check_same(material: folds.Material, answers: Sequence[engines.Answer]) -> None:
    """Refuse passes that do not end where the study's own notebooks did.

    Raises ``MismatchError`` where a volume has another grid, or more than ``SAME`` of its voxels
    another class.
    """
    for answer, network in product(answers, folds.BRANCHES):
        volume, patient = answer.volumes[network], answer.case.grid.patient_id
        before = folds.volume(material, network, material.splits[0].fold, patient)
        check_same_grid(volume, before)
        share = changed(volume, before)
        if share > SAME:
            raise MismatchError(
                f"{network} of {patient}: {percent(share, 1)} of voxels are not as predicted; "
                "run its notebook again"
            )


def changed(volume: Volume, other: Volume) -> float:
    """Return the share of voxels to which two volumes give different classes."""
    return float((tables.predicted_labels(volume) != tables.predicted_labels(other)).mean())


def _changes(
    material: folds.Material,
    answers: Sequence[engines.Answer],
    others: Mapping[str, Sequence[engines.Answer]],
) -> pd.DataFrame:
    rows = []
    for engine, theirs in others.items():
        for before, after in zip(answers, theirs, strict=True):
            float32, other = before.volumes["fused"], after.volumes["fused"]
            voxels, patient = changed(float32, other), float32.grid.patient_id
            slices = (before.named.argmax(axis=1) != after.named.argmax(axis=1)).mean()
            gained = _mean_dice(material, other) - _mean_dice(material, float32)
            rows.append((engine, patient, voxels, slices, gained))
    return pd.DataFrame(rows, columns=["engine", "patient_id", "voxels", "slices", "dice"])


def _mean_dice(material: folds.Material, volume: Volume) -> float:
    counts = tables.confusion_of(material.store.get(volume.grid.patient_id), volume)
    empty = material.study.evaluation.empty
    dice = [metrics.dice(counts, classes, empty) for classes in tables.CLASSES.values()]
    return float(np.nanmean(dice))


def _sizes(
    files: Mapping[str, Path], pipeline: engines.Pipeline, first: engines.Answer
) -> pd.DataFrame:
    networks, operations = pipeline.networks, engines.operations_of(first.case, pipeline)
    rows = [
        (
            name,
            models.parameter_count(networks[name]),
            count / 1e9,
            files[name].stat().st_size / 1e6,
        )
        for name, count in operations.items()
    ]
    return pd.DataFrame(rows, columns=["network", "parameters", "gflops", "checkpoint_mb"])
