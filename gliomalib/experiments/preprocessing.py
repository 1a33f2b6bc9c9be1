"""What the crop loses, and which class a slice gets: notebook 02."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gliomalib import settings
from gliomalib.cohort import table as casetable
from gliomalib.data import orientation
from gliomalib.experiments.values import mean, mean_interval, not_on_boxes, of
from gliomalib.fusion import slices
from gliomalib.pipeline import preprocess
from gliomalib.pipeline.store import Store
from gliomalib.schema import CLASS_NAMES, DataError, Labels, Value

LOSSES = ("lost_in_plane", "lost_by_box", "dice_ceiling")
"""Columns of the table of crops that say what a crop loses."""

CUT = "they were cut around the tumour, and what lies outside of them is not known"


@dataclass(frozen=True)
class CropView:
    """One axial slice (X, Y) with its labels and the rectangle that the crop keeps."""

    image: NDArray[Any]
    labels: Labels
    box: tuple[slice, slice]
    title: str


def crop_table(facts: pd.DataFrame, cases: pd.DataFrame, study: settings.Study) -> pd.DataFrame:
    """Return the table of ``preprocess.fill`` with each case's part.

    On boxes what a crop loses is NaN: nobody knows what lies outside of them.
    """
    unknown = LOSSES if study.data.extent == "boxes" else ()
    table = facts.merge(cases[["case_id", "part"]], on="case_id")
    return table.assign(**dict.fromkeys(unknown, math.nan))


def values(table: pd.DataFrame, study: settings.Study) -> list[Value]:
    """Return what the crop loses on average and at worst; ``table`` is that of ``crop_table``."""
    sides = study.preprocessing.crop_mm
    size = "×".join(f"{side:g}" for side in sides) + " mm" if sides else "crop"
    rules = {
        "lost_in_plane": f"tumour voxels outside the central {size}, share per patient",
        "lost_by_box": f"tumour voxels outside {size} or the kept slices, share per patient",
        "dice_ceiling": "whole-tumour Dice on the full scan of a prediction perfect inside the box",
    }
    found = []
    for column, rule in rules.items():
        if study.data.extent == "boxes":
            names = (f"mean_{column}", f"worst_{column}")
            found += [not_on_boxes(name, rule, CUT) for name in names]
            continue
        numbers = table[column]
        worst = numbers.min() if column == "dice_ceiling" else numbers.max()
        found += [
            mean(f"mean_{column}", numbers, study, f"mean of: {rule}"),
            Value(f"worst_{column}", float(worst), n_patients=len(numbers), rule=f"worst: {rule}"),
        ]
    return found


def conclusion(values: Sequence[Value]) -> str:
    """Say what the crop costs."""
    worst, ceiling = of(values, "worst_lost_in_plane"), of(values, "worst_dice_ceiling")
    if worst.note:
        return f"What the central crop loses is {worst.note}."
    return (
        f"The central crop cuts off {100 * of(values, 'mean_lost_in_plane').value:.1f} % of the "
        f"tumour on average and {100 * worst.value:.0f} % in the worst of {worst.n_patients} "
        "patients; in one patient no network behind this box could exceed a whole-tumour Dice of "
        f"{ceiling.value:.2f} on the full scan."
    )


def most_cropped(
    cases: pd.DataFrame, table: pd.DataFrame, box: settings.Preprocessing
) -> CropView | None:
    """Return FLAIR of the patient whose tumour the crop cuts most, in the slice that loses most.

    ``table`` is that of ``crop_table``; None where it knows of no loss. Raises ``DataError`` for a
    patient without a mask.
    """
    if table["lost_in_plane"].isna().all():
        return None
    worst = table.sort_values(["lost_in_plane", "patient_id"]).iloc[-1]
    case = casetable.case_of(cases[cases["case_id"] == worst["case_id"]].iloc[0])
    scan = orientation.read(case)
    if scan.labels is None:
        raise DataError(f"case {case.case_id} has no mask, so no tumour can be cropped")
    across, down, _ = preprocess.kept_box(scan, box)
    outside = scan.labels > 0
    outside[across, down] = False
    z = int(outside.sum(axis=(0, 1)).argmax())
    title = f"{case.case_id}, slice {z}: {100 * worst['lost_in_plane']:.0f} % of the tumour lost"
    image = scan.images[slices.FLAIR] if len(scan.images) else np.zeros(scan.labels.shape)
    return CropView(image[:, :, z], scan.labels[:, :, z], (across, down), title)


def label_rules(store: Store, study: settings.Study) -> pd.DataFrame:
    """Return the share of slices that each label rule names otherwise than the study's own does.

    One row per patient: patient_id, slices (those with tumour, which the shares are of, NaN where
    there is none) and a column for each rule.
    """
    chosen, rows = study.classifier.label_rule, []
    for patient in store.patients():
        labels = store.get(patient).labels
        classes = {rule: slices.slice_classes(labels, rule) for rule in slices.LABEL_RULES}
        tumour = pd.DataFrame(classes)[classes[chosen] > 0]
        changed = tumour.ne(tumour[chosen], axis="index").mean()
        rows.append({"patient_id": patient, "slices": len(tumour), **changed})
    return pd.DataFrame(rows)


def slice_classes(store: Store, study: settings.Study) -> pd.DataFrame:
    """Return which share of the slices of the box has each class, by label rule and least area.

    Columns: rule, least, class, and share, low, high: mean over patients with its 95 % interval.
    """
    cases, rows = [store.get(patient) for patient in store.patients()], []
    for rule, (least, area) in product(slices.LABEL_RULES, slices.LEAST_MM2.items()):
        classes = [slices.classes_of(case, rule, area) for case in cases]
        for label, name in enumerate(CLASS_NAMES):
            of_patients = [float((of == label).mean()) for of in classes]
            share = mean_interval(of_patients, study, "slices", rule, least, name)
            rows.append((rule, least, name, share.value, *share.ends))
    return pd.DataFrame(rows, columns=["rule", "least", "class", "share", "low", "high"])


def relabelled(table: pd.DataFrame, study: settings.Study) -> list[Value]:
    """Return what the choice of the label rule changes; ``table`` is that of ``label_rules``.

    A patient without a slice of tumour says nothing of it and is counted as empty.
    """
    with_tumour, chosen, changes = table[table["slices"] > 0], study.classifier.label_rule, []
    for name in table.columns.drop(["patient_id", "slices", chosen]):
        rule = (
            f"slices with tumour that the label rule {name!r} names otherwise than {chosen!r} "
            "does, share per patient, mean over patients"
        )
        empty = len(table) - len(with_tumour)
        changes.append(mean(f"relabelled_{name}", with_tumour[name], study, rule, n_empty=empty))
    return changes
