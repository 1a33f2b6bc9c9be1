"""How fast, how large, at what cost: what is said of the times, the sizes and of bf16."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from gliomalib.digits import percent, spoken
from gliomalib.experiments import classification, segmentation
from gliomalib.experiments.timing import Measured
from gliomalib.experiments.values import ends, mean_interval, of, value
from gliomalib.parameters import NETWORKS
from gliomalib.pipeline.patient import STAGES
from gliomalib.schema import Value
from gliomalib.scoring import bootstrap
from gliomalib.settings import Study, named_seed

REAL_TIME_S = 1.0
"""Seconds from file to class within which a patient counts as done in real time.

The paper puts no number to it. Taken here is interactive use: a person who waits about a second
keeps the thread. It is an assumption, and no requirement of any clinic.
"""

READING = ("read", "preprocess")
WAYS: Mapping[str, tuple[str, ...]] = {
    "2D": (*READING, "unet2d"),
    "3D": (*READING, "unet3d"),
    "fused": STAGES[:5],
    "fused + ResNet50": STAGES,
}
"""What can be asked for, and the stages that it needs."""

NAMES = dict(zip(WAYS, ("2d", "3d", "fused", "all"), strict=True))
SHORT = dict(zip(NETWORKS, ("2d", "3d", "resnet50"), strict=True))

CHANGES = {
    "changed_voxels": ("voxels", "share of voxels with another class in the fused volume"),
    "changed_slices": ("slices", "share of slices with another class by ResNet50"),
    "dice_change": ("dice", "change of the fused volume's mean of NCR, ED and ET Dice"),
}
"""Name of a value → its column of ``Measured.changes``, and what it is."""


def plane(
    measured: Measured, scores: pd.DataFrame, slices: pd.DataFrame, study: Study
) -> pd.DataFrame:
    """Return what each way reaches and takes: way, metric, score, warm median of each stage.

    A stage that it does not need has 0. ``scores`` is the table of notebook 05 and ``slices`` that
    of 06, both of all held-out patients; the classifier has an accuracy of slices, not a Dice.
    """
    rows = []
    for way, stages in WAYS.items():
        metric, reached = "mean Dice", scores[scores["network"] == way]
        if reached.empty:
            metric, score = "accuracy", of(classification.values(slices, study), "accuracy")
        else:
            score = of(segmentation.values(reached, study), "dice_mean")
        medians = measured.warm[list(stages)].median()
        rows.append({"way": way, "metric": metric, "score": score.value, **medians})
    return pd.DataFrame(rows, columns=["way", "metric", "score", *STAGES]).fillna(0.0)


def values(measured: Measured, study: Study) -> list[Value]:
    """Return times, sizes, memory, speed-ups and what other arithmetic changes."""
    times, bf16 = _times(measured, study), _bf16_values(measured, study)
    return [*times, *_totals(measured), *_size_values(measured), *bf16]


def _times(measured: Measured, study: Study) -> Iterator[Value]:
    """Yield medians over the warm passes, with their intervals."""
    warm = measured.warm
    for way, stages in WAYS.items():
        rule = (
            f"warm seconds of {' + '.join(stages)}; files in the memory of the operating system, "
            "mask not read"
        )
        name = f"seconds_per_patient_{NAMES[way]}"
        yield _median(name, measured.seconds(stages), warm, study, "s", rule)
    reading = measured.seconds(READING) / measured.seconds(STAGES)
    rule = f"reading, preprocessing, {_passes(measured)}"
    yield _median("share_reading", reading, warm, study, "", rule)


def _totals(measured: Measured) -> Iterator[Value]:
    """Yield what has no interval: the slow end, the first pass and the memory."""
    p95, n = float(measured.seconds(STAGES).quantile(0.95)), measured.n_patients
    rule = f"95th percentile, {_passes(measured)}"
    yield Value("seconds_p95_all", p95, None, n, unit="s", rule=rule)
    rule = "first pass, loading of modules and networks included"
    yield Value("cold_seconds_all", float(measured.cold.sum()), None, 1, unit="s", rule=rule)
    rule = "highest memory up to the last warm pass, 10⁹ bytes"
    yield Value("peak_memory_gb", measured.memory_gb, unit="GB", rule=rule)


def _passes(measured: Measured) -> str:
    return f"{len(measured.warm)} warm passes of {measured.n_patients} patients, from file to class"


def caveats(measured: Measured) -> tuple[str, ...]:
    """Return what nobody may read out of the times."""
    return (
        f"Times hold for {measured.machine} and files of this size; they differ from run to run.",
        f"{measured.n_patients} patients were timed: intervals tell how steady the machine was.",
        f"{REAL_TIME_S:g} s per patient is taken as real time; the paper names no limit.",
    )


def conclusion(values: Sequence[Value], measured: Measured) -> str:
    """Say how fast it is, where the time goes, and what helps."""
    seconds, p95 = of(values, "seconds_per_patient_all"), of(values, "seconds_p95_all")
    ratios = {name: of(values, f"bf16_speedup_{name}") for name in SHORT.values()}
    faster = ", ".join(
        f"bf16 {name} {ratio.value:.1f}×" for name, ratio in ratios.items() if ends(ratio)[0] > 1
    )
    return (
        f"Seconds of a patient from file to class: {spoken(seconds, places=2)}, 95th percentile "
        f"{p95.value:.2f} s, on {measured.machine}. {percent(of(values, 'share_reading').value)} "
        "of it is reading and preprocessing; the first pass takes "
        f"{of(values, 'cold_seconds_all').value:.1f} s with loading. Faster than float32: "
        f"{faster or 'nothing for certain'}."
    )


def _size_values(measured: Measured) -> Iterator[Value]:
    for network, row in measured.sizes.set_index("network").iterrows():
        name, count = SHORT[str(network)], float(row["parameters"])
        yield Value(f"parameters_{name}", count, rule="trainable parameters")
        rule = "10⁹ operations (2 a multiply-add) for all slices of the first patient"
        yield Value(f"gflops_{name}", float(row["gflops"]), None, 1, rule=rule)


def _bf16_values(measured: Measured, study: Study) -> Iterator[Value]:
    ratios = measured.speed_ups
    for network, short in SHORT.items():
        rule = "seconds of float32 over those of bf16, same patient and round"
        yield _median(f"bf16_speedup_{short}", ratios[network], ratios, study, "", rule)
    for change, (column, what) in CHANGES.items():
        name = f"bf16_{change}"
        rule = f"{what}, every network in bf16 against float32, mean over patients"
        yield value(name, mean_interval(measured.changes[column], study, name), rule, n_seeds=1)


def _median(
    name: str, numbers: pd.Series, table: pd.DataFrame, study: Study, unit: str, rule: str
) -> Value:
    who, seed = table["patient_id"], named_seed(study.seed, name)
    passes = np.stack([of_patient.to_numpy() for _, of_patient in numbers.groupby(who)])
    median = bootstrap.grouped_interval(passes, seed, study.evaluation.bootstrap)
    how = "by drawing patients, then passes of each" if median.ci95 else "none for a single patient"
    rule = f"median, {rule}; interval: {how}"
    return Value(name, median.value, median.ci95, median.n, unit=unit, rule=rule)
