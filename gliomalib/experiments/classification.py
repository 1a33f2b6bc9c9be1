"""How well the classifier sorts slices of held-out patients: notebook 06."""

from collections.abc import Iterator, Sequence

import pandas as pd

from gliomalib import settings
from gliomalib.digits import counted, spoken
from gliomalib.experiments.values import WHOLE, class_scores, of, parts, value
from gliomalib.schema import CLASS_NAMES, Confusion, Value
from gliomalib.scoring import rare_classes, tables

SIX = ("accuracy", "precision", "recall", "f1", "iou", "specificity")
"""The scores that the paper's abstract gives."""

RULE = (
    "pooled over folds, macro over all four classes, counted in slices_… and patients_…; "
    "interval over patients, in which no class is lost"
)


def values(table: pd.DataFrame, study: settings.Study) -> list[Value]:
    """Return the paper's six scores, balanced accuracy and MCC; ``table`` is that of slices.

    Beside them stand how many slices each class has, in how many patients, and how many classes
    were predicted. Macro scores are over all four classes, NaN with a note where one is too rare.
    """
    found = []
    for part, prefix in parts(table):
        confusions = tables.patient_confusions(table, part)
        intervals = class_scores(confusions, study, "bootstrap", "slices", part)
        slices = once(table, part)
        whose = f"{int(slices.sum())} slices of {len(slices)} patients"
        rule = f"{whose} ({without_tumour(slices)}) {RULE}"
        for name in (*SIX, "balanced_accuracy", "mcc"):
            note = "" if name in WHOLE else rare_classes.too_rare(confusions)
            found.append(value(f"{prefix}{name}", intervals[name], rule, n_seeds=1, note=note))
        found += _counts(slices, prefix)
        predicted = (confusions.sum(axis=(0, 1)) > 0).sum()
        used = "classes of the four that were given to at least one slice"
        name = f"{prefix}classes_predicted"
        found.append(Value(name, float(predicted), n_patients=len(confusions), rule=used))
    return found


def conclusion(values: Sequence[Value]) -> str:
    """Say how the classifier does, how many classes it uses, and where its gate is judged."""
    balanced = of(values, "balanced_accuracy")
    recall = balanced.note or f"the balanced accuracy is {spoken(balanced)}"
    abroad = [value for value in values if value.name == "external_accuracy"]
    slices, patients = (of(values, f"{unit}_no_tumour") for unit in ("slices", "patients"))
    of_whom = counted(round(patients.value), "patient")
    without = f"Without tumour: {counted(round(slices.value), 'slice')} of {of_whom}"
    external = f"On external patients the accuracy is {spoken(abroad[0])}. " if abroad else ""
    return (
        f"On slices of held-out patients the accuracy is {spoken(of(values, 'accuracy'))}; "
        f"{recall}. It predicted {of(values, 'classes_predicted').value:.0f} of 4 classes at least "
        f"once. {without}. {external}Whether this network may be interpreted is judged by "
        "its control in notebook 07."
    )


def once(table: pd.DataFrame, part: str) -> Confusion:
    """Return the slices of each patient, rows the true class: each once, in however many folds."""
    return tables.patient_confusions(table.drop_duplicates(["patient_id", "z"]), part)


def without_tumour(counts: Confusion) -> str:
    """Say how many slices have no tumour, and of how many patients: in boxes there are few.

    ``counts`` are those of patients (n, 4, 4), rows the true class.
    """
    slices = counts[:, 0].sum(axis=1)
    of_whom = counted(int((slices > 0).sum()), "patient")
    return f"{counted(int(slices.sum()), 'slice')} of {of_whom} without tumour"


def _counts(confusions: Confusion, prefix: str) -> Iterator[Value]:
    """Yield the slices and patients of each class."""
    n = len(confusions)
    for label, name in enumerate(CLASS_NAMES):
        of_patients, end = confusions[:, label].sum(axis=1), name.replace(" ", "_")
        for unit, count in (("slices", of_patients.sum()), ("patients", (of_patients > 0).sum())):
            rule = f"{unit} with the true class {name}"
            yield Value(f"{prefix}{unit}_{end}", float(count), n_patients=n, unit=unit, rule=rule)
