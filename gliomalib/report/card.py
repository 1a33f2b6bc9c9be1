"""What a model card says of the trained networks, from records only (Mitchell et al. 2019)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gliomalib import settings
from gliomalib.report import phrases
from gliomalib.report.facts import (
    CLASSES,
    FIRST,
    FUSED,
    TIMES,
    UNET2D,
    UNET3D,
    as_run,
    value_of,
)
from gliomalib.report.pages import Report
from gliomalib.schema import Record, Value

OUTSIDE = "13_external_validation"

DICE = {"dice_mean": "mean of NCR, ED and ET"} | {
    f"dice_{short}": f"{name} ({short})" for short, name in phrases.REGIONS.items()
}

SCORES = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "precision": "precision",
    "recall": "recall",
    "f1": "F1",
    "iou": "IoU",
    "specificity": "specificity",
    "mcc": "Matthews correlation",
    "classes_predicted": "classes predicted, of four",
}

PREFIXES = {"": "held-out patients", "external_": "external patients"}
"""How the name of a value begins → whose value it is."""

COLLAPSE = ("class_collapse", "collapse_to_edema")
JOINS = ("ring_artefacts", "ring_excess", "ring_ratio", "misalignment", "mean_branch_shift")
CALIBRATION = ("ece_internal", "brier_internal", "ece_external", "brier_external")
DROPS = (
    *("drop_mean_dice", "drop_WT", "drop_ET", "drop_TC", "drop_mean_dice_2d", "drop_mean_dice_3d"),
    *("drop_accuracy", "drop_balanced_accuracy"),
)
"""Values that tell of a kind of failure."""


@dataclass(frozen=True)
class Network:
    """One trained network: its settings, its sizes, and the run that trained it.

    Sizes are those of notebook 14, None where it told none.
    """

    title: str
    run: str
    plan: settings.Optimisation
    parameters: Value | None
    operations: Value | None
    record: Record | None


@dataclass(frozen=True)
class Row:
    """One row of a table of scores: its words, and a value or None for each column."""

    title: str
    values: tuple[Value | None, ...]


@dataclass(frozen=True)
class Scores:
    """A table of scores: what it shows, its columns, its rows; no rows where nobody was scored."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Failure:
    """A known failure: the values that tell of it by run, and the runs that tell nothing."""

    title: str
    found: tuple[tuple[str, tuple[Value, ...]], ...]
    silent: tuple[str, ...]


def networks(report: Report) -> tuple[Network, ...]:
    """Return the three networks as the records describe them."""
    rows = (
        ("2D U-Net", UNET2D, "2d", as_run(report, UNET2D).unet2d),
        ("3D U-Net", UNET3D, "3d", as_run(report, UNET3D).unet3d),
        ("ResNet50", CLASSES, "resnet50", as_run(report, CLASSES).classifier),
    )
    return tuple(
        Network(
            title=title,
            run=run,
            plan=plan,
            parameters=value_of(report, TIMES, f"parameters_{short}"),
            operations=value_of(report, TIMES, f"gflops_{short}"),
            record=report.records.get(run),
        )
        for title, run, short, plan in rows
    )


def scores(report: Report) -> tuple[Scores, ...]:
    """Return Dice by region and network, then the classifier's scores, held out and external."""
    runs = {"2D": UNET2D, "3D": UNET3D, "fused": FUSED}
    tables = []
    for prefix, who in PREFIXES.items():
        rows = [
            Row(title, tuple(value_of(report, run, f"{prefix}{name}") for run in runs.values()))
            for name, title in DICE.items()
        ]
        tables.append(Scores(f"Dice, {who}", tuple(runs), _filled(rows)))
    rows = [
        Row(title, tuple(value_of(report, CLASSES, f"{prefix}{name}") for prefix in PREFIXES))
        for name, title in SCORES.items()
    ]
    return (*tables, Scores("Classification of slices", tuple(PREFIXES.values()), _filled(rows)))


def failures(report: Report) -> tuple[Failure, ...]:
    """Return what is known of how the networks fail, failure by failure."""
    return (
        _missed(report),
        _failure(report, "Lost classes", (UNET2D, UNET3D, CLASSES), COLLAPSE),
        _failure(report, "Rings and shifts where the branches are joined", (FUSED,), JOINS),
        _failure(report, "Calibration", (OUTSIDE,), CALIBRATION),
        _failure(report, "Drop on external patients", (OUTSIDE,), DROPS),
    )


def _missed(report: Report) -> Failure:
    runs = (UNET2D, UNET3D, FUSED)
    found = _telling(
        report, runs, lambda v: bool(v.n_missed) and v.name.removeprefix("external_") in DICE
    )
    title = "Missed masks: only truth or only prediction is empty"
    return Failure(title, found, tuple(run for run in runs if run not in report.records))


def _failure(report: Report, title: str, runs: Sequence[str], names: tuple[str, ...]) -> Failure:
    found = _telling(report, runs, lambda value: value.name in names)
    return Failure(title, found, tuple(run for run in runs if run not in dict(found)))


def _telling(
    report: Report, runs: Sequence[str], tells: Callable[[Value], bool]
) -> tuple[tuple[str, tuple[Value, ...]], ...]:
    """Return the values that tell of a failure, by run; no run without any."""
    values = {run: report.records[run].values for run in runs if run in report.records}
    found = {run: tuple(filter(tells, own)) for run, own in values.items()}
    return tuple((run, own) for run, own in found.items() if own)


def _filled(rows: Sequence[Row]) -> tuple[Row, ...]:
    """Return the rows, or none at all where nothing was scored."""
    return tuple(rows) if any(value for row in rows for value in row.values) else ()


def releases(report: Report) -> tuple[str, ...]:
    """Return the keys of the releases of real patients, internal ones first."""
    data = as_run(report, FIRST).data
    return (*data.internal_releases, *data.external_releases) if report.study.real_data else ()
