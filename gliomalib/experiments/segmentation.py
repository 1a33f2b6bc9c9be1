"""How well a network segments, and whether the fused volume differs: notebooks 03, 04 and 05."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pandas as pd

from gliomalib import settings
from gliomalib.digits import spoken
from gliomalib.experiments import comparing
from gliomalib.experiments.values import mean, of, parts
from gliomalib.schema import RecordError, Value
from gliomalib.scoring import tables


def values(table: pd.DataFrame, study: settings.Study) -> list[Value]:
    """Return mean Dice of each region with its interval, for held-out and external patients.

    ``table`` holds one network; a patient under several folds counts once, with the mean.
    """
    found, full = [], tables.with_mean(table)
    rule = f"mean over patients of Dice on the store's grid; empty rule {study.evaluation.empty!r}"
    for part, prefix in parts(table):
        for region in ("mean", *tables.REGIONS):
            dice = tables.per_patient(full, region, part).dropna()
            states = table.loc[(table["region"] == region) & (table["part"] == part), "state"]
            value = mean(f"{prefix}dice_{region}", dice, study, rule)
            empty, missed = comparing.masks(states)
            found.append(replace(value, n_empty=empty, n_missed=missed))
    return found


def differences(
    table: pd.DataFrame, study: settings.Study, better: str, others: Sequence[str]
) -> list[Value]:
    """Return how much network ``better`` exceeds each of ``others`` in mean Dice, by patient.

    Raises ``RecordError`` when two networks do not cover the same patients.
    """
    found, full = [], tables.with_mean(table)
    rule = "paired difference of each patient's mean of NCR, ED and ET Dice, mean over patients"
    for part, prefix in parts(table):
        first = tables.per_patient(full[full["network"] == better], "mean", part)
        for other in others:
            second = tables.per_patient(full[full["network"] == other], "mean", part)
            if list(first.index) != list(second.index):
                raise RecordError(f"{better} and {other} do not cover the same {part} patients")
            name = f"{prefix}{_difference(better, other)}"
            found.append(mean(name, first - second, study, rule))
    return found


def conclusion(network: str, values: Sequence[Value]) -> str:
    """Say how a network segments, on held-out and on external patients."""
    whole, mean_of_classes = of(values, "dice_WT"), of(values, "dice_mean")
    missed = sum(value.n_missed for value in values if not value.name.startswith("external_"))
    text = (
        f"{network} reaches a whole-tumour Dice of {spoken(whole)} and a mean of NCR, ED and ET of "
        f"{spoken(mean_of_classes)}; in {missed} of the scored held-out masks only truth or only "
        "prediction was empty."
    )
    if any(value.name == "external_dice_mean" for value in values):
        text += f" On external patients the mean is {spoken(of(values, 'external_dice_mean'))}."
    return text


def comparison(values: Sequence[Value], better: str, others: Sequence[str]) -> str:
    """Say whether network ``better`` differs from each of ``others`` on held-out patients."""
    parts = []
    for other in others:
        value, how = of(values, _difference(better, other)), "shows no clear difference from"
        if value.ci95 and not value.ci95[0] <= 0 <= value.ci95[1]:
            how = "exceeds" if value.value > 0 else "falls behind"
        parts.append(f"{how} {other} only by {spoken(value, signed=True)}")
    return f"In mean Dice the {better} volume {'; it '.join(parts)}."


def _difference(better: str, other: str) -> str:
    return f"{better}_minus_{other.lower()}_mean_dice"
