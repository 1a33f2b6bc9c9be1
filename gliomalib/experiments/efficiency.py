"""How fast, how large, at what cost: the way from file to class, timed on reported patients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

from gliomalib.cohort.table import cases_of, read_cases
from gliomalib.experiments import classification, segmentation
from gliomalib.experiments import engines as profiling
from gliomalib.experiments.engines import NETWORKS, STAGES
from gliomalib.networks import models
from gliomalib.pipeline import folds
from gliomalib.progress import steps
from gliomalib.schema import Case, MismatchError, Value, Volume, check_same_grid
from gliomalib.scoring import bootstrap, metrics, tables
from gliomalib.settings import Study, named_seed

REAL_TIME_S = 1.0
"""Seconds from file to class within which a patient counts as done in real time.

The paper puts no number to it. Taken here is interactive use: who waits about a second keeps the
thread of what he does. It is an assumption, and no requirement of any clinic.
"""

TOLERANCE = 1e-3
"""Difference of a class probability up to which ONNX Runtime counts as giving torch's answer."""

SAME = 1e-3
"""Share of voxels that may get another class than in their notebook: processors round apart."""

READING = ("read", "preprocess")
WAYS: Mapping[str, tuple[str, ...]] = {
    "2D": (*READING, "unet2d"),
    "3D": (*READING, "unet3d"),
    "fused": STAGES[:5],
    "fused + ResNet50": STAGES,
}
"""What can be asked for, and the stages that it needs."""

TIMED = ("engine", "network", "patient_id", "repeat", "seconds", "float32", "speed_up")
NAMES = dict(zip(WAYS, ("2d", "3d", "fused", "all"), strict=True))
SHORT = dict(zip(NETWORKS, ("2d", "3d", "resnet50"), strict=True))


@dataclass(frozen=True)
class Measured:
    """What was timed.

    ``passes`` has a row a pass from file to class: patient_id, repeat (−1: the cold one), depth
    (its slices), seconds of load and of each stage. ``engines`` has engine, network, patient_id,
    repeat, seconds, float32, speed_up, for networks that another engine ran; ``changes`` has
    engine, patient_id, voxels and slices (share of another class), dice (gained). ``setups`` has
    engine, network, set_up_s, difference, note; ``sizes`` network, parameters, gflops,
    checkpoint_mb.
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
        """Number of patients who were timed."""
        return int(self.warm["patient_id"].nunique())

    @property
    def machine(self) -> str:
        """The hardware in a few words."""
        on = self.hardware
        return (
            f"{on['processor']} ({on['cores']} cores, {on['threads']} used; ran on: {on['device']})"
        )

    def seconds(self, stages: Sequence[str]) -> pd.Series:
        """Return the seconds of some stages together in every warm pass."""
        return self.warm[list(stages)].sum(axis=1)


def measure(material: folds.Material) -> Measured:
    """Time every stage for some held-out and external patients of the first fold.

    The first pass loads the networks and is the cold one; then all patients are carried through
    in ``repeats`` rounds, so that a slow minute of the machine meets each of them. Memory is read
    before other engines begin. Raises ``DataError`` for files that are missing, and
    ``MismatchError`` where a pass does not give what the networks' notebooks predicted.
    """
    study, cases = material.study, chosen(material)
    with models.threads(study.threads):
        clock = profiling.Clock(models.find_device(study.device))
        with clock.stage("load"):
            pipeline = profiling.load(_checkpoints(material), study)
        first = profiling.from_files(cases[0], pipeline, clock)
        warm, answers = _warm_passes(cases, pipeline)
        memory = profiling.peak_memory_gb(pipeline.device)
        _check_same(material, answers)
        made = [profiling.set_up(one, pipeline, first.case) for one in profiling.engines(pipeline)]
        others, timed = profiling.beside(answers, pipeline, made)
        return Measured(
            passes=pd.DataFrame([_row(first, -1, clock), *warm]),
            engines=pd.DataFrame(timed, columns=list(TIMED)),
            changes=_changes(material, answers, others),
            setups=pd.DataFrame(profiling.differences(pipeline, made, first.case)),
            sizes=_sizes(material, pipeline, first),
            hardware=profiling.hardware(pipeline),
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


# --- tables


def stage_table(measured: Measured) -> pd.DataFrame:
    """Return by stage, and for all: cold seconds, warm median and 95th percentile, share.

    ``slice_ms`` is the median of a slice. Medians of stages need not add up to that of all.
    """
    cold, total, count = measured.cold, measured.seconds(STAGES), measured.warm["depth"]
    rows: list[dict[str, object]] = [{"stage": "load", "cold_s": cold["load"]}]
    for stage, names in {**{name: (name,) for name in STAGES}, "all": STAGES}.items():
        found = measured.seconds(names)
        begun = cold[list(names)].sum() + (cold["load"] if stage == "all" else 0)
        rows.append(
            {"stage": stage, "cold_s": begun, "median_s": found.median(),
             "p95_s": found.quantile(0.95), "slice_ms": 1000 * (found / count).median(),
             "share": (found / total).median()}
        )  # fmt: skip
    return pd.DataFrame(rows)


def plane(
    measured: Measured, found: Sequence[Value], scores: pd.DataFrame, slices: pd.DataFrame,
    study: Study,
) -> pd.DataFrame:  # fmt: skip
    """Return what each way takes and reaches: way, seconds, low, high, metric, score, lower, upper.

    Then the warm median of each stage that it needs, 0 for the others. ``found`` are ``values``,
    ``scores`` is the table of notebook 05 and ``slices`` that of 06, both of all held-out
    patients; the classifier has an accuracy of slices instead of a Dice.
    """
    rows = []
    for way, stages in WAYS.items():
        seconds = _of(found, f"seconds_per_patient_{NAMES[way]}")
        if stages[-1] == "resnet50":
            metric, score = "accuracy", _of(classification.values(slices, study), "accuracy")
        else:
            own = segmentation.values(scores[scores["network"] == way], study)
            metric, score = "mean Dice", _of(own, "dice_mean")
        (low, high), (lower, upper) = _ends(seconds), _ends(score)
        parts = {one: measured.warm[one].median() if one in stages else 0.0 for one in STAGES}
        rows.append(
            {"way": way, "seconds": seconds.value, "low": low, "high": high, "metric": metric,
             "score": score.value, "lower": lower, "upper": upper, **parts}
        )  # fmt: skip
    return pd.DataFrame(rows)


def engine_table(measured: Measured) -> pd.DataFrame:
    """Return every other way to run a network: set-up, difference, note, medians, speed-up."""
    keys, numbers = ["engine", "network"], ["seconds", "float32", "speed_up"]
    timed = measured.engines.groupby(keys)[numbers]
    return measured.setups.merge(timed.median().reset_index(), "left", keys)


# --- values


def values(measured: Measured, study: Study) -> list[Value]:
    """Return times, sizes, memory, speed-ups and what other arithmetic changes."""
    warm, total, n = measured.warm, measured.seconds(STAGES), measured.n_patients
    passes = f"{len(warm)} warm passes of {n} patients, from file to class"
    p95, cold = float(total.quantile(0.95)), float(measured.cold.sum())
    per_slice, reading = total / warm["depth"], measured.seconds(READING) / total
    told = "files in the memory of the operating system, mask not read"
    ways = [
        _median(f"seconds_per_patient_{NAMES[way]}", measured.seconds(stages), warm, study, "s",
                f"warm seconds of {' + '.join(stages)}; {told}")
        for way, stages in WAYS.items()
    ]  # fmt: skip
    return [
        *ways,
        _median("seconds_per_slice_all", per_slice, warm, study, "s", f"seconds a slice, {passes}"),
        _median("slices_per_second_all", 1 / per_slice, warm, study, "1/s", f"slices, {passes}"),
        _median("share_reading", reading, warm, study, "", f"reading, preprocessing, {passes}"),
        Value("seconds_p95_all", p95, None, n, unit="s", rule=f"95th percentile, {passes}"),
        Value("cold_seconds_all", cold, None, 1, unit="s",
              rule="first pass, loading of modules and networks included"),
        Value("within_real_time", float(p95 <= REAL_TIME_S), None, n,
              rule=f"1 where seconds_p95_all is at most {REAL_TIME_S:g}; {measured.machine}"),
        *_size_values(measured), *_engine_values(measured, study),
    ]  # fmt: skip


def caveats(measured: Measured) -> tuple[str, ...]:
    """Return what nobody may read out of the times, and what was not run."""
    found = [
        f"Times hold for {measured.machine} and files of this size; they differ from run to run.",
        f"{measured.n_patients} patients were timed: intervals tell how steady the machine was.",
        f"{REAL_TIME_S:g} s a patient stands for real time by assumption; the paper names none.",
    ]
    untried = measured.setups[measured.setups["note"] != ""].drop_duplicates("engine")
    return (*found, *(f"{note}." for note in untried["note"]))


def conclusion(found: Sequence[Value], measured: Measured) -> str:
    """Say how fast it is, whether that is real time, where the time goes, and what helps."""
    seconds = _of(found, "seconds_per_patient_all")
    low, high = _ends(seconds)
    between = f"95 % interval {low:.2f} to {high:.2f}" if seconds.ci95 else "no interval"
    met = "is met" if _of(found, "within_real_time").value else "is not met"
    helped = [one for one in found if "_speedup_" in one.name and _ends(one)[0] > 1]
    told = ", ".join(f"{one.name.replace('_speedup_', ' ')} {one.value:.1f}×" for one in helped)
    text = (
        f"From file to class a patient takes {seconds.value:.2f} s ({between}, "
        f"{seconds.n_patients} patients), 95th percentile "
        f"{_of(found, 'seconds_p95_all').value:.2f} s: by the rule real time {met} on "
        f"{measured.machine}. {_of(found, 'share_reading').value:.0%} of it is reading and "
        f"preprocessing; the first pass takes {_of(found, 'cold_seconds_all').value:.1f} s with "
        f"loading. Faster than float32 in torch: {told or 'nothing for certain'}."
    )
    changes = measured.changes.groupby("engine", sort=False).mean(numeric_only=True)
    return text + "".join(
        f" {engine} changes {row['voxels']:.3%} of voxels, {row['slices']:.1%} of slices and the "
        f"mean Dice by {row['dice']:+.4f}."
        for engine, row in changes.iterrows()
    )


def _size_values(measured: Measured) -> list[Value]:
    found, rule = [], "10⁹ operations (2 a multiply-add) for all slices of the first patient"
    for network, row in measured.sizes.set_index("network").iterrows():
        name, count = SHORT[str(network)], float(row["parameters"])
        found.append(Value(f"parameters_{name}", count, rule="trainable parameters"))
        found.append(Value(f"gflops_{name}", float(row["gflops"]), None, 1, rule=rule))
    titles = {"process": "peak_memory_gb", "gpu": "peak_gpu_memory_gb"}
    told, peaks = "highest memory up to the last warm pass, 10⁹ bytes", measured.memory_gb.items()
    return found + [Value(titles[one], gb, unit="GB", rule=told) for one, gb in peaks]


def _engine_values(measured: Measured, study: Study) -> list[Value]:
    found = []
    for key, own in measured.engines.groupby(["engine", "network"], sort=False):
        name = "_speedup_".join([str(key[0]), SHORT[str(key[1])]])
        rule = "seconds of float32 in torch over its own, same patient and round, set-up apart"
        found.append(_median(name, own["speed_up"], own, study, "", rule))
    rules = {
        "changed_voxels": ("voxels", "share of voxels with another class in the fused volume"),
        "changed_slices": ("slices", "share of slices with another class by ResNet50"),
        "dice_change": ("dice", "change of the fused volume's mean of NCR, ED and ET Dice"),
    }
    for engine, own in measured.changes.groupby("engine", sort=False):
        for name, (column, text) in rules.items():
            title, draws = f"{engine!s}_{name}", study.evaluation.bootstrap
            mean = bootstrap.mean_interval(own[column], named_seed(study.seed, title), draws)
            told = f"{text}, every network in {engine!s} against float32, mean over patients"
            found.append(Value(title, mean.value, mean.ci95, mean.n, rule=told))
    exact = measured.setups.query("engine == 'onnx'")["difference"].max()
    if not np.isnan(exact):
        rule = "largest difference of a class probability to torch, a batch of each network"
        found.append(Value("onnx_largest_difference", float(exact), None, 1, rule=rule))
    return found


def _median(
    name: str, numbers: pd.Series, table: pd.DataFrame, study: Study, unit: str, rule: str
) -> Value:
    who, seed = table["patient_id"], named_seed(study.seed, name)
    passes = np.stack([of_patient.to_numpy() for _, of_patient in numbers.groupby(who)])
    found = bootstrap.grouped_interval(passes, seed, study.evaluation.bootstrap)
    how = "by drawing patients, then passes of each" if found.ci95 else "none for a single patient"
    told = f"median, {rule}; interval: {how}"
    return Value(name, found.value, found.ci95, found.n, unit=unit, rule=told)


# --- timing


def _checkpoints(material: folds.Material) -> dict[str, Path]:
    fold = material.splits[0].fold
    return {name: folds.checkpoint(material, name, fold) for name in NETWORKS}


def _warm_passes(
    cases: Sequence[Case], pipeline: profiling.Pipeline
) -> tuple[list[dict[str, object]], list[profiling.Answer]]:
    rows, answers = [], {}
    passes = list(product(range(pipeline.study.efficiency.repeats), cases))
    for repeat, case in steps(passes, "timed passes"):
        clock = profiling.Clock(pipeline.device)
        answers[case.patient_id] = profiling.from_files(case, pipeline, clock)
        rows.append(_row(answers[case.patient_id], repeat, clock))
    return rows, list(answers.values())


def _row(answer: profiling.Answer, repeat: int, clock: profiling.Clock) -> dict[str, object]:
    grid = answer.case.grid
    about = {"patient_id": grid.patient_id, "repeat": repeat, "depth": grid.shape[2], "load": 0.0}
    return {**about, **clock.seconds}


def _check_same(material: folds.Material, answers: Sequence[profiling.Answer]) -> None:
    """Refuse passes that do not end where the study's own notebooks did."""
    for answer, network in product(answers, folds.BRANCHES):
        found, patient = answer.volumes[network], answer.case.grid.patient_id
        before = folds.volume(material, network, material.splits[0].fold, patient)
        check_same_grid(found, before)
        share = f"{_changed(found, before):.1%} of voxels are not as predicted"
        if _changed(found, before) > SAME:
            raise MismatchError(f"{network} of {patient}: {share}; run its notebook again")


def _changes(
    material: folds.Material, answers: Sequence[profiling.Answer],
    others: Mapping[str, Sequence[profiling.Answer]],
) -> pd.DataFrame:  # fmt: skip
    rows = []
    for engine, found in others.items():
        for before, after in zip(answers, found, strict=True):
            one, other = before.volumes["fused"], after.volumes["fused"]
            named = before.named.argmax(axis=1) != after.named.argmax(axis=1)
            dice = _mean_dice(material, other) - _mean_dice(material, one)
            rows.append((engine, one.grid.patient_id, _changed(one, other), named.mean(), dice))
    return pd.DataFrame(rows, columns=["engine", "patient_id", "voxels", "slices", "dice"])


def _changed(one: Volume, other: Volume) -> float:
    """Return the share of voxels to which two volumes give different classes."""
    return float((tables.predicted_labels(one) != tables.predicted_labels(other)).mean())


def _mean_dice(material: folds.Material, volume: Volume) -> float:
    counts = tables.confusion_of(material.store.get(volume.grid.patient_id), volume)
    empty = material.study.evaluation.empty
    return float(np.nanmean([metrics.dice(counts, of, empty) for of in tables.CLASSES.values()]))


def _sizes(
    material: folds.Material, pipeline: profiling.Pipeline, first: profiling.Answer
) -> pd.DataFrame:
    files, counted = _checkpoints(material), profiling.operations_of(first.case, pipeline)
    rows = [
        {"network": name, "parameters": models.parameter_count(network),
         "gflops": counted[name] / 1e9, "checkpoint_mb": files[name].stat().st_size / 1e6}
        for name, network in pipeline.networks.items()
    ]  # fmt: skip
    return pd.DataFrame(rows)


def _of(found: Sequence[Value], name: str) -> Value:
    return next(one for one in found if one.name == name)


def _ends(value: Value) -> tuple[float, float]:
    return value.ci95 or (np.nan, np.nan)
