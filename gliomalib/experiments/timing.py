"""The way from file to class, timed on reported patients of the first fold."""

import gc
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import pandas as pd

from gliomalib import provenance
from gliomalib.cohort.table import cases_of, read_cases
from gliomalib.data import orientation
from gliomalib.digits import percent
from gliomalib.experiments import engines
from gliomalib.networks import models
from gliomalib.parameters import NETWORKS
from gliomalib.pipeline import folds, patient
from gliomalib.pipeline.patient import STAGES
from gliomalib.progress import steps
from gliomalib.schema import Case, MismatchError, StoredCase, Volume, check_same_grid
from gliomalib.scoring import metrics, tables
from gliomalib.settings import Study

SAME = 1e-3
"""Share of voxels that may get another class than in their notebook: processors round apart."""


class Clock:
    """Seconds of wall time of each stage of one pass.

    Garbage is collected between stages and not within them, so that no stage pays for another. A
    GPU need not be waited for: what a network says is copied from it before its stage ends.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count the block to the stage ``name``; a block that raises is not counted."""
        # the two young generations: a full collection would walk all of torch before each stage
        gc.collect(1)
        collecting = gc.isenabled()
        gc.disable()
        try:
            started = time.perf_counter()
            yield
            self.seconds[name] = time.perf_counter() - started
        finally:
            if collecting:
                gc.enable()


@dataclass(frozen=True)
class Measured:
    """What was timed.

    ``passes`` has a row per pass from file to class: patient_id, repeat (−1: the cold one), load
    and each stage in seconds. ``engines`` has engine, patient_id, repeat and seconds of each
    network; ``changes`` has patient_id, voxels and slices (share of another class in bf16), dice
    (gained); ``sizes`` has network, parameters, gflops. ``hardware`` names processor, cores,
    threads and device, and no machine; ``memory_gb`` is the highest memory of the process before
    bf16 began, in 10⁹ bytes.
    """

    passes: pd.DataFrame
    engines: pd.DataFrame
    changes: pd.DataFrame
    sizes: pd.DataFrame
    hardware: Mapping[str, str]
    memory_gb: float

    @property
    def cold(self) -> pd.Series:
        """Seconds of the first pass by stage, loading of the networks included."""
        return self.passes.loc[self.passes["repeat"] < 0, ["load", *STAGES]].iloc[0]

    @property
    def warm(self) -> pd.DataFrame:
        """The passes after the first one."""
        return self.passes[self.passes["repeat"] >= 0]

    @property
    def speed_ups(self) -> pd.DataFrame:
        """Seconds of float32 over those of bf16 in the same round: patient_id, repeat, networks."""
        seconds = self.engines.set_index(["engine", "patient_id", "repeat"])[list(NETWORKS)]
        return (seconds.loc["float32"] / seconds.loc["bf16"]).reset_index()

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
    that a slow minute of the machine meets each of them. Raises ``DataError`` for files that are
    missing, and ``MismatchError`` where a pass does not give what the networks' notebooks
    predicted.
    """
    study, cases = material.study, chosen(material)
    with models.threads(study.threads):
        clock = Clock()
        with clock.stage("load"):
            networks = load(material)
        passes = [_row(from_files(cases[0], networks, study, clock), -1, clock)]
        answers = {}
        rounds = list(product(range(study.efficiency.repeats), cases))
        for repeat, case in steps(rounds, "timed passes"):
            clock = Clock()
            answers[case.patient_id] = from_files(case, networks, study, clock)
            passes.append(_row(answers[case.patient_id], repeat, clock))
        memory_gb = provenance.peak_memory() / 1e9
        check_same(material, list(answers.values()))
        stored = [material.store.get(patient_id) for patient_id in answers]
        timed, changes = beside(networks, engines.bf16(networks), stored, study)
        return Measured(
            passes=pd.DataFrame(passes).fillna({"load": 0.0}),
            engines=timed,
            changes=changes,
            sizes=_sizes(networks, stored[0], study),
            hardware={
                **provenance.hardware(),
                "device": models.device_name(networks.unet2d.device),
                "threads": str(study.threads or "all"),
            },
            memory_gb=memory_gb,
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


def load(material: folds.Material) -> patient.Networks:
    """Return the networks of the first fold on the study's device, with its threads."""
    fold, study = material.splits[0].fold, material.study
    files = {name: folds.checkpoint(material, name, fold) for name in NETWORKS}
    loaded = vars(patient.load(files, study.device)).items()
    return patient.Networks(**{name: replace(it, threads=study.threads) for name, it in loaded})


def from_files(
    case: Case, networks: patient.Networks, study: Study, clock: Clock
) -> patient.Answer:
    """Carry a case from its files to the classes of its slices, each stage on the clock.

    The mask is not read, as a patient whose class is asked for has none. Raises ``DataError`` for
    files that cannot be used.
    """
    with clock.stage("read"):
        scan = orientation.read(replace(case, segmentation=None))
    with clock.stage("preprocess"):
        stored = patient.prepared(scan, study.preprocessing)
    del scan
    return patient.answer(networks, stored, study, clock.stage)


def check_same(material: folds.Material, answers: Sequence[patient.Answer]) -> None:
    """Refuse passes that do not end where the study's own notebooks did.

    Raises ``MismatchError`` where a volume has another grid, or more than ``SAME`` of its voxels
    another class.
    """
    for answer in answers:
        for network, volume in zip(folds.BRANCHES, (answer.p2d, answer.p3d), strict=True):
            name = volume.grid.patient_id
            before = folds.volume(material, network, material.splits[0].fold, name)
            check_same_grid(volume, before)
            share = changed(volume, before)
            if share > SAME:
                raise MismatchError(
                    f"{network} of {name}: {percent(share, 1)} of voxels are not as predicted; "
                    "run its notebook again"
                )


def changed(volume: Volume, other: Volume) -> float:
    """Return the share of voxels to which two volumes give different classes."""
    return float((tables.predicted_labels(volume) != tables.predicted_labels(other)).mean())


def _row(answer: patient.Answer, repeat: int, clock: Clock) -> dict[str, object]:
    return {"patient_id": answer.fused.grid.patient_id, "repeat": repeat, **clock.seconds}


def beside(
    float32: patient.Networks, bf16: patient.Networks, cases: Sequence[StoredCase], study: Study
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Run both engines side by side on each patient, in rounds.

    Returns ``engines`` and ``changes`` of ``Measured``. What changes is seen in a first round that
    is not timed.
    """
    ways, changes, rows = {"float32": float32, "bf16": bf16}, [], []
    for case in cases:
        before, after = (patient.answer(networks, case, study) for networks in ways.values())
        changes.append(_change(case, before, after, study))
    passes = list(product(range(study.efficiency.repeats), cases, ways))
    for repeat, case, way in steps(passes, "engines, timed passes"):
        clock = Clock()
        patient.answer(ways[way], case, study, clock.stage)
        about = {"engine": way, "patient_id": case.grid.patient_id, "repeat": repeat}
        rows.append({**about, **{name: clock.seconds[name] for name in NETWORKS}})
    return pd.DataFrame(rows), pd.DataFrame(changes)


def _change(
    case: StoredCase, before: patient.Answer, after: patient.Answer, study: Study
) -> dict[str, object]:
    empty = study.evaluation.empty
    dice = [
        np.nanmean([metrics.dice(counts, classes, empty) for classes in tables.CLASSES.values()])
        for counts in (tables.confusion_of(case, answer.fused) for answer in (before, after))
    ]
    slices = before.classes.argmax(axis=1) != after.classes.argmax(axis=1)
    return {
        "patient_id": case.grid.patient_id,
        "voxels": changed(before.fused, after.fused),
        "slices": slices.mean(),
        "dice": dice[1] - dice[0],
    }


def _sizes(networks: patient.Networks, case: StoredCase, study: Study) -> pd.DataFrame:
    rows = [
        (name, models.parameter_count(getattr(networks, name).network), count / 1e9)
        for name, count in engines.operations(networks, case, study).items()
    ]
    return pd.DataFrame(rows, columns=["network", "parameters", "gflops"])
