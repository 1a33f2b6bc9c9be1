"""What a model card says of the trained networks, from records only (Mitchell et al. 2019)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gliomalib import digits, settings
from gliomalib.report import methods, phrases
from gliomalib.report.methods import CLASSES, DEEP, FLAT, FUSED, TIMES, value_of
from gliomalib.report.pages import Report
from gliomalib.schema import Record, Value

OUTSIDE = "13_external_validation"

REGIONS = {
    "dice_mean": "mean of NCR, ED and ET",
    "dice_NCR": "necrotic core (NCR)",
    "dice_ED": "edema (ED)",
    "dice_ET": "enhancing tumour (ET)",
    "dice_WT": "whole tumour (WT)",
    "dice_TC": "tumour core (TC)",
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

PARTS = {"": "held-out patients", "external_": "external patients"}
"""How the name of a value begins → whose value it is."""


@dataclass(frozen=True)
class Network:
    """One trained network: what it is, its sizes, and the run that trained it.

    ``facts`` are pairs of a word and a text; sizes are those of notebook 14, None where it told
    none.
    """

    title: str
    run: str
    facts: tuple[tuple[str, str], ...]
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
    flat, deep = methods.as_run(report, FLAT).unet2d, methods.as_run(report, DEEP).unet3d
    own = methods.as_run(report, CLASSES).classifier
    rows = (
        ("2D U-Net", FLAT, "2d", _segmenter(flat, "slice")),
        ("3D U-Net", DEEP, "3d", _segmenter(deep, "volume" if deep.patch is None else "box")),
        ("ResNet50", CLASSES, "resnet50", _classifier(own)),
    )
    return tuple(
        Network(
            title=title,
            run=run,
            facts=facts,
            parameters=value_of(report, TIMES, f"parameters_{short}"),
            operations=value_of(report, TIMES, f"gflops_{short}"),
            record=report.records.get(run),
        )
        for title, run, short, facts in rows
    )


def scores(report: Report) -> tuple[Scores, ...]:
    """Return Dice by region and network, then the classifier's scores, held out and external."""
    runs = {"2D": FLAT, "3D": DEEP, "fused": FUSED}
    tables = []
    for prefix, who in PARTS.items():
        rows = [
            Row(title, tuple(value_of(report, run, f"{prefix}{name}") for run in runs.values()))
            for name, title in REGIONS.items()
        ]
        tables.append(Scores(f"Dice, {who}", tuple(runs), _filled(rows)))
    rows = [
        Row(title, tuple(value_of(report, CLASSES, f"{prefix}{name}") for prefix in PARTS))
        for name, title in SCORES.items()
    ]
    return (*tables, Scores("Classification of slices", tuple(PARTS.values()), _filled(rows)))


def failures(report: Report) -> tuple[Failure, ...]:
    """Return what is known of how the networks fail, failure by failure."""
    collapse, joins = ("class_collapse", "collapse_to_edema"), ("ring_", "misalignment", "mean_br")
    return (
        _missed(report),
        _failure(report, "Lost classes", (FLAT, DEEP, CLASSES), collapse),
        _failure(report, "Rings and shifts where the branches are joined", (FUSED,), joins),
        _failure(report, "Calibration", (OUTSIDE,), ("ece_", "brier_")),
        _failure(report, "Drop on external patients", (OUTSIDE,), ("drop_",)),
    )


def _missed(report: Report) -> Failure:
    found, silent = [], []
    for run in (FLAT, DEEP, FUSED):
        record = report.records.get(run)
        if record is None:
            silent.append(run)
            continue
        values = tuple(
            value
            for value in record.values
            if value.n_missed and value.name.removeprefix("external_") in REGIONS
        )
        found += [(run, values)] if values else []
    title = "Missed masks: only truth or only prediction is empty"
    return Failure(title, tuple(found), tuple(silent))


def _failure(report: Report, title: str, runs: Sequence[str], names: tuple[str, ...]) -> Failure:
    found, silent = [], []
    for run in runs:
        record = report.records.get(run)
        values = [] if record is None else [v for v in record.values if v.name.startswith(names)]
        if values:
            found.append((run, tuple(values)))
        else:
            silent.append(run)
    return Failure(title, tuple(found), tuple(silent))


def _filled(rows: Sequence[Row]) -> tuple[Row, ...]:
    """Return the rows, or none at all where nothing was scored."""
    return tuple(rows) if any(value for row in rows for value in row.values) else ()


def _segmenter(own: settings.Segmentation, what: str) -> tuple[tuple[str, str], ...]:
    return (
        ("what it is", f"MONAI U-Net, {phrases.shape(own)}"),
        ("it sees", f"{phrases.sequences(own)}, a {what} at a time"),
        ("it gives", "the probabilities of four classes for each voxel"),
        ("loss", phrases.loss(own)),
        ("training", phrases.schedule(own, what)),
    )


def _classifier(own: settings.Classifier) -> tuple[tuple[str, str], ...]:
    size = "at its own size"
    if own.image_size is not None:
        size = f"{own.image_size} × {own.image_size}"
    return (
        ("what it is", f"torchvision's ResNet50 {phrases.WEIGHTS[own.weights]}"),
        ("it sees", f"{phrases.IMAGES[own.image]}, {size}"),
        ("it gives", f"one class a slice; true is {phrases.RULES[own.label_rule]}"),
        ("loss", phrases.LOSSES[own.loss]),
        ("training", phrases.schedule(own, "slice")),
    )


def releases(report: Report) -> tuple[str, ...]:
    """Return the keys of the releases of real patients, internal ones first."""
    data = methods.as_run(report, methods.FIRST).data
    return (*data.internal_releases, *data.external_releases) if report.study.real_data else ()


def size(value: Value | None) -> str:
    """Return a size as text, or that it is not known."""
    return "not known" if value is None else digits.number(value.value)
