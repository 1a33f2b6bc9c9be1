"""From per-patient tables to the values of a record, each with its rule and its interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gliomalib import settings
from gliomalib.cohort import identity
from gliomalib.data.readers import brats
from gliomalib.schema import RecordError, Split, Value
from gliomalib.scoring import bootstrap, metrics, tables

SIX = ("accuracy", "precision", "recall", "f1", "iou", "specificity")
"""The scores that the paper's abstract gives."""

PUBLISHED_ALPHA = 0.6


def cohort(cases: pd.DataFrame, splits: Sequence[Split]) -> list[Value]:
    """Return how many stand in each part; ``cases`` is the table of notebook 01."""
    n_in = cases["part"].value_counts()
    counts = {
        "examinations": (len(cases), "examinations found, used or not"),
        "patients_internal": (n_in.get("internal", 0), "patients to train and test"),
        "patients_external": (n_in.get("external", 0), "patients never trained on"),
        "duplicates": (
            n_in.get("duplicate", 0),
            "further examinations of a patient used already: by table, equal voxels, suspicion",
        ),
        "excluded": (n_in.get("excluded", 0), "examinations left out for a fault of their files"),
        "folds": (len(splits), "patient-level splits"),
        "patients_test": (
            len({name for split in splits for name in split.test}),
            "internal patients that are held out in some fold",
        ),
    }
    used = cases[cases["part"].isin(["internal", "external"])]
    n = int(used["patient_id"].nunique())
    return [
        Value(name, float(found), n_patients=n, rule=rule) for name, (found, rule) in counts.items()
    ]


def who_is_who(links: pd.DataFrame, people: Sequence[brats.Identity]) -> list[Value]:
    """Return how cases were recognised as one patient's, and what pooling the years would do.

    ``links`` and ``people`` are those of ``gather.Cohort``. Without a table of subject IDs across
    years there are no values of the years.
    """
    rules = {
        "table": "pairs of used or duplicate examinations of one patient by tables or names",
        "content": "pairs of examinations with equal voxels of T1",
        "suspect": "pairs of examinations that neither joins but whose T1 signatures are alike",
    }
    values = [
        Value(f"linked_by_{how}", float((links["how"] == how).sum()), rule=rule)
        for how, rule in rules.items()
    ]
    years = identity.known_years(people)
    if not years:
        return values
    facts = identity.overlap_facts(people, years)
    pooled = f"pooling {', '.join(map(str, years))} by the organisers' tables"
    n = facts.patients
    for year, count in facts.patients_by_year.items():
        rule = f"patients whom the tables of subject IDs name for {year}"
        values.append(Value(f"patients_{year}", float(count), n_patients=n, rule=rule))
    leak = (
        f"{pooled} and drawing {facts.test_volumes} of {facts.volumes} volumes at random for "
        "testing: expected share of these whose patient is also in training"
    )
    return [
        *values,
        Value("pooled_volumes", float(facts.volumes), n_patients=n, rule=pooled),
        Value("pooled_patients", float(n), n_patients=n, rule=pooled),
        Value("leaking_share", facts.expected_share, n_patients=n, rule=leak),
    ]


def crop(table: pd.DataFrame, study: settings.Study) -> list[Value]:
    """Return what the crop loses on average and at worst; ``table`` is from notebook 02."""
    box = study.preprocessing
    size = f"{box.crop_mm[0]:g}×{box.crop_mm[1]:g} mm"
    values = []
    rules = {
        "lost_in_plane": f"tumour voxels outside the central {size}, share per patient",
        "lost_by_box": f"tumour voxels outside {size} or the kept slices, share per patient",
        "dice_ceiling": "whole-tumour Dice on the full scan of a prediction perfect inside the box",
    }
    for column, rule in rules.items():
        found = table[column]
        values.append(_mean(f"mean_{column}", found, study, f"mean of: {rule}"))
        extreme = found.min() if column == "dice_ceiling" else found.max()
        values.append(
            Value(f"worst_{column}", float(extreme), n_patients=len(found), rule=f"worst: {rule}")
        )
    return values


def relabelled(table: pd.DataFrame, study: settings.Study) -> list[Value]:
    """Return what the choice of the label rule changes; ``table`` is ``views.label_rules``'s.

    A patient without a slice of tumour says nothing of it and is counted as empty.
    """
    known, own = table[table["slices"] > 0], study.classifier.label_rule
    values = []
    for name in table.columns.drop(["patient_id", "slices", own]):
        rule = (
            f"slices with tumour that the label rule {name!r} names otherwise than {own!r} does, "
            "share per patient, mean over patients"
        )
        counts = (len(table) - len(known), 0)
        values.append(_mean(f"relabelled_{name}", known[name], study, rule, counts))
    return values


def segmentation(table: pd.DataFrame, study: settings.Study) -> list[Value]:
    """Return mean Dice of each region with its interval, for held-out and external patients.

    ``table`` holds one network; a patient under several folds counts once, with the mean.
    """
    values = []
    full = tables.with_mean(table)
    rule = f"mean over patients of Dice on the store's grid; empty rule {study.evaluation.empty!r}"
    for part in _parts(table):
        for region in ("mean", *tables.REGIONS):
            dice = tables.per_patient(full, region, part).dropna()
            states = table.loc[(table["region"] == region) & (table["part"] == part), "state"]
            counts = (
                int((states == "empty").sum()),
                int(states.isin(["missed", "spurious"]).sum()),
            )
            values.append(_mean(f"{_of(part)}dice_{region}", dice, study, rule, counts))
    return values


def differences(
    table: pd.DataFrame, study: settings.Study, better: str, others: Sequence[str]
) -> list[Value]:
    """Return how much network ``better`` exceeds each of ``others`` in mean Dice, by patient.

    Raises ``RecordError`` when two networks do not cover the same patients.
    """
    values = []
    full = tables.with_mean(table)
    rule = "paired difference of each patient's mean of NCR, ED and ET Dice, mean over patients"
    for part in _parts(table):
        first = tables.per_patient(full[full["network"] == better], "mean", part)
        for other in others:
            second = tables.per_patient(full[full["network"] == other], "mean", part)
            if list(first.index) != list(second.index):
                raise RecordError(f"{better} and {other} do not cover the same {part} patients")
            name = f"{_of(part)}{better}_minus_{other.lower()}_mean_dice"
            values.append(_mean(name, first - second, study, rule))
    return values


def classification(table: pd.DataFrame, study: settings.Study) -> list[Value]:
    """Return the paper's six scores, balanced accuracy and MCC over slices; one row a slice."""
    values = []
    for part in _parts(table):
        confusions = tables.patient_confusions(table, part)
        rule = (
            f"{int(confusions.sum())} slices pooled, macro over the classes that occur, "
            "interval by resampling patients"
        )
        found = bootstrap.confusion_intervals(
            confusions, _scores, _seed(study, "slices", part), study.evaluation.bootstrap
        )
        for name in (*SIX, "balanced_accuracy", "mcc"):
            values.append(_value(f"{_of(part)}{name}", found[name], len(confusions), rule))
        given = int((confusions.sum(axis=(0, 1)) > 0).sum())
        rule = "classes of the four that were given to at least one slice"
        values.append(
            Value(f"{_of(part)}classes_predicted", given, n_patients=len(confusions), rule=rule)
        )
    return values


def _scores(stack: NDArray[np.float64]) -> Mapping[str, NDArray[np.float64]]:
    found = metrics.stacked_scores(stack.astype(np.int64), "macro", "exclude")
    # A draw with one class alone has no correlation; scikit-learn takes 0 for it, and so do we.
    return {**found, "mcc": np.nan_to_num(found["mcc"], nan=0.0)}


def _mean(
    name: str, found: pd.Series, study: settings.Study, rule: str, counts: tuple[int, int] = (0, 0)
) -> Value:
    interval = bootstrap.mean_interval(
        found.to_numpy(), _seed(study, name), study.evaluation.bootstrap
    )
    return _value(name, interval, len(found), rule, counts)


def _value(
    name: str, found: bootstrap.Interval, n: int, rule: str, counts: tuple[int, int] = (0, 0)
) -> Value:
    return Value(
        name=name, value=found.value, ci95=found.ci95, n_patients=n,
        n_empty=counts[0], n_missed=counts[1], rule=rule,
    )  # fmt: skip


def _parts(table: pd.DataFrame) -> list[str]:
    return [part for part in ("test", "external") if (table["part"] == part).any()]


def _of(part: str) -> str:
    return "external_" if part == "external" else ""


def _seed(study: settings.Study, *names: str) -> int:
    return settings.named_seed(study.seed, "bootstrap", *names)
