"""Does it hold on another site: the drop, how far the inputs moved, whether a z-score helps."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from gliomalib.experiments import comparing, external_sites, intensities
from gliomalib.experiments import external_comparison as comparison
from gliomalib.experiments.external_sites import GROUPS, GroupScores, Sites
from gliomalib.experiments.values import ends, value
from gliomalib.schema import Value
from gliomalib.scoring import calibration

CLASSIFIED = {name: ("ResNet50", name) for name in comparison.ACCURACY}

DROPS = {
    "drop_mean_dice": ("fused", "mean"),
    "drop_WT": ("fused", "WT"),
    "drop_ET": ("fused", "ET"),
    "drop_TC": ("fused", "TC"),
    "drop_mean_dice_2d": ("2D", "mean"),
    "drop_mean_dice_3d": ("3D", "mean"),
    **{f"drop_{name}": key for name, key in CLASSIFIED.items()},
}
"""Name of a value → the row of ``external_comparison.beside`` that it is."""

MEAN = "mean of NCR, ED and ET Dice per patient"

POOLED = "fused volume, brain voxels of all patients pooled, interval over patients"
CALIBRATION = {
    "ece": f"expected calibration error, {calibration.BINS} equal bins; {POOLED}",
    "brier": f"Brier score summed over the classes, 0 to 2; {POOLED}",
}

LEFT_OUT = {
    external_sites.OVERLAP: (
        "excluded_overlap",
        "who are patients of the study by ID, table, file or voxels",
    ),
    external_sites.NO_MASK: ("without_mask", "without an expert mask, which cannot be scored"),
    external_sites.FAULTY: ("faulty", "whose files cannot be used"),
    external_sites.AGAIN: ("same_patient", "that are a further examination of an external patient"),
}
"""Fate of a case that is not scored → name of the value that counts it, and its rule."""


def values(scores: GroupScores, sites: Sites) -> list[Value]:
    """Return drops, both groups' Dice, calibration, gains and who was left out.

    What needs an external patient is absent where there is none.
    """
    table = comparison.beside(scores, sites.study)
    parts = [part for part in GROUPS if scores.tallies[part]]
    rare = comparison.too_rare(comparison.compared(scores))
    values = _of_groups(table, parts, sites, rare)
    for fate, (name, rule) in LEFT_OUT.items():
        cases = float(sites.count(fate))
        values.append(Value(f"external_{name}", cases, rule=f"external cases {rule}"))
    if len(parts) == 2:
        values += _drops(table, sites, rare)
    for part in parts:
        errors = comparison.calibration_errors(scores, part, sites.study)
        values += [
            value(f"{name}_{GROUPS[part]}", errors[name], rule, n_seeds=1)
            for name, rule in CALIBRATION.items()
        ]
    rule = (
        f"z-score of the intensities less none, {MEAN}, fused, {{}} patients; fitted on the "
        "training patients of each fold"
    )
    for group, gain in comparison.gains(scores).items():
        name = "z_score_gain" + "_internal" * (group == "internal")
        values.append(comparing.value(name, gain, rule.format(group)))
    return values


def conclusion(scores: GroupScores, sites: Sites) -> str:
    """Say what the drop is, what moved, and what the z-score gains."""
    table = comparison.beside(scores, sites.study)
    row = _row(table, "fused", "mean")
    internal = f"{row['internal']:.3f} on {row['n_internal']} held-out patients"
    if not scores.tallies["external"]:
        return (
            "Nothing is said of another site: this study has no external patients (give "
            f"external_root). The fused volume reaches a mean Dice of {internal}."
            f"{_left_out(sites)}"
        )
    scored = sites.cases.loc[sites.cases["fate"] == external_sites.SCORED, "site"]
    same = ", who are the same phantoms imaged at both sites" if sites.twins else ""
    drop, accuracy = (
        _spoken(lost["drop"], comparing.interval(lost))
        for lost in (row, _row(table, *CLASSIFIED["accuracy"]))
    )
    certain = "; that there is a drop is shown" if row["low"] > 0 else ""
    gains = {group: gain.effect for group, gain in comparison.gains(scores).items()}
    helps = "helps" if ends(gains["external"])[0] > 0 else "is not shown to help"
    changes = [f"{_spoken(gain.value, gain.ci95)} {group}" for group, gain in gains.items()]
    return (
        f"On {', '.join(sorted(set(scored)))} the fused volume reaches a mean Dice of "
        f"{row['external']:.3f} on {row['n_external']} external patients and {internal}{same}, "
        f"which is a drop of {drop}{certain}. The accuracy of ResNet50 drops by {accuracy}. "
        f"{_moved(scores)} A z-score {helps} outside; it adds {' and '.join(changes)} to mean "
        f"Dice.{_left_out(sites)}"
    )


def _of_groups(table: pd.DataFrame, parts: list[str], sites: Sites, rare: str) -> list[Value]:
    values = []
    who = "phantoms imaged at both sites, at the {} one" if sites.twins else "{} patients"
    for group in map(GROUPS.__getitem__, parts):
        for name, key in (("mean_dice", ("fused", "mean")), *CLASSIFIED.items()):
            row, rule = _row(table, *key), f"{_rule_of(key)}, {who.format(group)}"
            n = int(row[f"n_{group}"])
            values.append(_value(f"{group}_{name}", row, [group], n, rule, rare))
    return values


def _drops(table: pd.DataFrame, sites: Sites, rare: str) -> list[Value]:
    values = []
    for name, key in DROPS.items():
        row = _row(table, *key)
        n = int(row["n_internal"] + row["n_external"])
        who = f"{row['n_internal']} internal less {row['n_external']} external patients, unpaired"
        if sites.twins:
            n, who = n // 2, f"the same {n // 2} held-out phantoms imaged at both sites, paired"
        rule = f"{_rule_of(key)}: {who}; empty rule {sites.study.evaluation.empty!r}, all folds"
        values.append(_value(name, row, [*GROUPS.values()], n, rule, rare))
    return values


def _value(name: str, row: pd.Series, groups: Sequence[str], n: int, rule: str, rare: str) -> Value:
    """Return the score of a group, or the drop between both; ``rare`` is why it may be NaN."""
    column, start = ("drop", "") if len(groups) > 1 else (groups[0], f"{groups[0]}_")
    ends = comparing.interval(row, f"{start}low", f"{start}high")
    # the classifier has no masks, so no counts of them
    empty, missed = (
        int(row[[f"{what}_{group}" for group in groups]].dropna().sum())
        for what in comparison.MASKS
    )
    note = rare if np.isnan(row[column]) else ""
    return Value(name, row[column], ends, n, empty, missed, rule=rule, n_seeds=1, note=note)


def _rule_of(key: tuple[str, str]) -> str:
    of, score = key
    if of == "ResNet50":
        return f"{score.replace('_', ' ')} of ResNet50 over slices, patients drawn with all of them"
    if score == "mean":
        return f"{MEAN}, {of}, folds averaged"
    return f"{score} Dice per patient, {of}, folds averaged"


def _spoken(number: float, interval: tuple[float, float] | None) -> str:
    if interval is None:
        return f"{number:.3f} (1 patient, no interval)"
    return f"{number:.3f} ({interval[0]:.3f} to {interval[1]:.3f})"


def _moved(scores: GroupScores) -> str:
    table = intensities.shifts(scores.intensities)
    row = table.iloc[table["distance"].argmax()]
    return (
        f"Of the inputs {row['sequence']} moved most, by {row['distance']:.3f} of the range; one "
        f"internal patient lies {row['one_test']:.3f} from the other ones, one external patient "
        f"{row['one_external']:.3f}."
    )


def _left_out(sites: Sites) -> str:
    counts = ", ".join(f"{fate} {n}" for fate in LEFT_OUT if (n := sites.count(fate)))
    return f" External cases left out: {counts}." if counts else ""


def _row(table: pd.DataFrame, of: str, score: str) -> pd.Series:
    return table[(table["of"] == of) & (table["score"] == score)].iloc[0]
