"""How well a network segments, in each region and each part: notebooks 03, 04 and 05."""

from collections.abc import Sequence

import pandas as pd

from gliomalib import settings
from gliomalib.digits import spoken
from gliomalib.experiments import comparing
from gliomalib.experiments.values import mean, of, parts
from gliomalib.pipeline import folds
from gliomalib.schema import Value
from gliomalib.scoring import tables


def values(table: pd.DataFrame, study: settings.Study) -> list[Value]:
    """Return mean Dice of each region with its interval, for held-out and external patients.

    ``table`` holds one training of one network; a patient under several folds counts once, with
    the mean, and each of its masks once, as missed where one fold misses it. The mean of the
    sub-regions counts the empty and missed masks of all three.
    """
    found, full = [], tables.with_mean(table)
    rule = (
        f"mean over patients of Dice on the store's grid; empty rule {study.evaluation.empty!r}; "
        "interval over patients, noise of training in notebook 05"
    )
    for part, prefix in parts(table):
        for region in ("mean", *tables.REGIONS):
            dice = tables.per_patient(full, region, part).dropna()
            masks = list(tables.CLASSES) if region == "mean" else [region]
            rows = table[table["region"].isin(masks) & (table["part"] == part)]
            empty, missed = comparing.masks(rows)
            more = {"n_empty": empty, "n_missed": missed, "n_seeds": 1}
            found.append(mean(f"{prefix}dice_{region}", dice, study, rule, **more))
    return found


def conclusion(network: str, values: Sequence[Value]) -> str:
    """Say how a network segments, on held-out and on external patients."""
    whole, mean_of_classes = of(values, "dice_WT"), of(values, "dice_mean")
    missed = mean_of_classes.n_missed
    text = (
        f"{network} reaches a whole-tumour Dice of {spoken(whole)} and a mean of NCR, ED and ET of "
        f"{spoken(mean_of_classes)}; in {missed} of the held-out masks of these classes only truth "
        "or only prediction was empty."
    )
    if any(value.name == "external_dice_mean" for value in values):
        text += f" On external patients the mean is {spoken(of(values, 'external_dice_mean'))}."
    return text


def caveats(material: folds.Material) -> tuple[str, ...]:
    """Name the patients who were neither trained on nor tested in a split by site."""
    if material.study.split.by == "patient" or not (names := folds.unplaced(material)):
        return ()
    listed = ", ".join(names)
    return (f"Neither trained on nor tested, as their site is unknown ({len(names)}): {listed}.",)
