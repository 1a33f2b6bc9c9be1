"""How well the classifier sorts slices of held-out patients: notebook 06."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from gliomalib import settings
from gliomalib.digits import spoken
from gliomalib.experiments.values import of, parts, pooled, value
from gliomalib.schema import Value
from gliomalib.scoring import tables

SIX = ("accuracy", "precision", "recall", "f1", "iou", "specificity")
"""The scores that the paper's abstract gives."""


def values(table: pd.DataFrame, study: settings.Study) -> list[Value]:
    """Return the paper's six scores, balanced accuracy and MCC; ``table`` has one row a slice."""
    found = []
    for part, prefix in parts(table):
        confusions = tables.patient_confusions(table, part)
        rule = (
            f"{int(confusions.sum())} slices pooled, macro over the classes that occur, "
            "interval by resampling patients"
        )
        intervals = pooled(confusions, study, "bootstrap", "slices", part)
        found += [
            value(f"{prefix}{name}", intervals[name], rule)
            for name in (*SIX, "balanced_accuracy", "mcc")
        ]
        predicted = int((confusions.sum(axis=(0, 1)) > 0).sum())
        rule = "classes of the four that were given to at least one slice"
        name = f"{prefix}classes_predicted"
        found.append(Value(name, predicted, n_patients=len(confusions), rule=rule))
    return found


def conclusion(values: Sequence[Value]) -> str:
    """Say how the classifier does, and how many classes it uses."""
    return (
        f"On slices of held-out patients the accuracy is {spoken(of(values, 'accuracy'))}, the "
        f"balanced accuracy {spoken(of(values, 'balanced_accuracy'))}; "
        f"{of(values, 'classes_predicted').value:.0f} of 4 classes were predicted at least once."
    )
