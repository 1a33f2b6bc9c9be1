"""Which scan, which slice and which box a figure should show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd
from numpy.typing import NDArray

from gliomalib import settings
from gliomalib.cohort.table import case_of, cases_of
from gliomalib.data.readers import survey
from gliomalib.fusion import slices
from gliomalib.pipeline import preprocess
from gliomalib.pipeline.store import Store
from gliomalib.schema import CLASS_NAMES, DataError, Labels, Scan

LABEL_RULES = ("dominant", "enhancing_first", "largest_share")
"""The ways in which a slice that shows several sub-regions can get its one class."""


@dataclass(frozen=True)
class CropView:
    """One axial slice (X, Y) with its labels and the rectangle that the crop keeps."""

    image: NDArray[Any]
    labels: Labels
    box: tuple[slice, slice]
    title: str


def first_scan(cases: pd.DataFrame, part: str) -> Scan:
    """Return the first examination of a part; raises ``DataError`` when the part is empty."""
    found = cases_of(cases, part)
    if not found:
        raise DataError(f"the table of cases has nobody in part {part!r}; run notebook 01 again")
    return survey.read(found[0])


def most_cropped(cases: pd.DataFrame, table: pd.DataFrame, box: settings.Preprocessing) -> CropView:
    """Return FLAIR of the patient whose tumour the crop cuts most, in its worst slice."""
    worst = table.sort_values(["lost_in_plane", "patient_id"]).iloc[-1]
    case = case_of(cases[cases["case_id"] == worst["case_id"]].iloc[0])
    scan = survey.read(case)
    if scan.labels is None:
        raise DataError(f"case {case.case_id} has no mask, so no tumour can be cropped")
    across, down, _ = preprocess.kept_box(scan, box)
    outside = scan.labels > 0
    outside[across, down] = False
    z = int(outside.sum(axis=(0, 1)).argmax())
    title = f"{case.case_id}, slice {z}: {100 * worst['lost_in_plane']:.0f} % of the tumour lost"
    return CropView(scan.images[3, :, :, z], scan.labels[:, :, z], (across, down), title)


def grids(cases: pd.DataFrame) -> pd.DataFrame:
    """Return on which grids the used cases lie: release, shape, spacing_mm, axes, cases."""
    used = cases[cases["part"].isin(["internal", "external"])]
    keys = ["release", "shape", "spacing_mm", "axes"]
    return used.groupby(keys, dropna=False).size().reset_index(name="cases")


def tumour_volumes(table: pd.DataFrame) -> pd.DataFrame:
    """Return the volume of each class and of the whole tumour: patient_id, part, region, ml."""
    columns = {f"mm3_{label}": CLASS_NAMES[label] for label in (1, 2, 3)}
    wide = table.rename(columns={**columns, "mm3_tumour": "whole tumour"})
    long = wide.melt(["patient_id", "part"], ["whole tumour", *columns.values()], "region", "ml")
    return long.assign(ml=long["ml"] / 1000)


def label_rules(store: Store, study: settings.Study) -> pd.DataFrame:
    """Return how many slices another label rule names otherwise than the study's own does.

    One row a patient: patient_id, slices (those with tumour), and a share of these for each rule;
    the share of the study's own rule is 0.
    """
    own = study.classifier.label_rule
    rows = []
    for name in store.patients():
        labels = store.get(name).labels
        classes = {rule: slices.slice_classes(labels, rule) for rule in LABEL_RULES}
        tumour = classes[own] > 0
        changed = {rule: float((classes[rule] != classes[own])[tumour].mean()) for rule in classes}
        rows.append({"patient_id": name, "slices": int(tumour.sum()), **changed})
    return pd.DataFrame(rows)
