"""Does it hold on another site: the drop, how far the inputs moved, what simple remedies do."""

from __future__ import annotations

import pandas as pd

from gliomalib.experiments import comparing, external_sites, remedies
from gliomalib.experiments import external_comparison as comparison
from gliomalib.experiments.external_sites import GROUPS, GroupScores, Sites
from gliomalib.experiments.values import value
from gliomalib.schema import Value
from gliomalib.scoring import calibration, comparisons

FEW = 30
"""Patients of a group below which ``bootstrap`` says that no interval is to be relied on."""

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
    """Return drops, both groups' Dice, shifts, calibration, gains and who was left out.

    What needs an external patient is absent where there is none.
    """
    table = comparison.beside(scores, sites.study)
    parts = [part for part in GROUPS if scores.tallies[part]]
    values = _of_groups(table, parts)
    for fate, (name, rule) in LEFT_OUT.items():
        cases = float(sites.count(fate))
        values.append(Value(f"external_{name}", cases, rule=f"external cases {rule}"))
    if len(parts) == 2:
        values += [*_drops(table, sites), *_shifted(scores)]
    for part in parts:
        errors = comparison.calibration_errors(scores, part, sites.study)
        values += [
            value(f"{name}_{GROUPS[part]}", errors[name], rule)
            for name, rule in CALIBRATION.items()
        ]
    for _, row in comparison.gains(scores, sites.study).iterrows():
        rule = (
            f"{row['title']} minus no remedy, {MEAN}, fused, {row['part']} patients; fitted on "
            "the training patients of each fold; "
            f"{comparing.tested(row, f'{len(remedies.REMEDIES)} remedies')}"
        )
        name = f"{row['remedy']}_gain" + "_internal" * (row["part"] == "internal")
        values.append(Value(name, row["gain"], comparing.interval(row), row["patients"], rule=rule))
    return values


def conclusion(scores: GroupScores, sites: Sites) -> str:
    """Say what the drop is, what moved, which remedy helps, and what n allows."""
    table = comparison.beside(scores, sites.study)
    row = _row(table, "fused", "mean")
    internal = f"{row['internal']:.3f} on {row['n_internal']} held-out patients"
    if not scores.tallies["external"]:
        return (
            f"{_left_out(sites)}Nothing is said of another site: this study has no external "
            f"patients (give external_root). The fused volume reaches a mean Dice of {internal}."
        )
    scored = sites.cases.loc[sites.cases["fate"] == external_sites.SCORED, "site"]
    classified = " and in ".join(
        f"{name.replace('_', ' ')} by {_spoken(_row(table, *key))}"
        for name, key in CLASSIFIED.items()
    )
    certain = "; that there is a drop is shown" if row["low"] > 0 else ""
    return (
        f"On {', '.join(sorted(set(scored)))} the fused volume reaches a mean Dice of "
        f"{row['external']:.3f} on {row['n_external']} external patients and {internal}, "
        f"which is a drop of {_spoken(row)}{certain}. ResNet50 drops in {classified}. "
        f"{_moved(scores)} By interval and adjusted test "
        f"{_helps(comparison.gains(scores, sites.study))} {_left_out(sites)}{_limits(row, sites)}"
    )


def _of_groups(table: pd.DataFrame, parts: list[str]) -> list[Value]:
    values = []
    for group in map(GROUPS.__getitem__, parts):
        for name, key in (("mean_dice", ("fused", "mean")), *CLASSIFIED.items()):
            row = _row(table, *key)
            ends = comparing.interval(row, f"{group}_low", f"{group}_high")
            rule = f"{_rule_of(key)}, {group} patients"
            values.append(Value(f"{group}_{name}", row[group], ends, row[f"n_{group}"], rule=rule))
    return values


def _drops(table: pd.DataFrame, sites: Sites) -> list[Value]:
    values = []
    for name, key in DROPS.items():
        row = _row(table, *key)
        n = int(row["n_internal"] + row["n_external"])
        # the classifier has no masks, so no counts of them
        empty, missed = (
            int(row[[f"{what}_{group}" for group in GROUPS.values()]].dropna().sum())
            for what in comparison.MASKS
        )
        rule = (
            f"{_rule_of(key)}: {row['n_internal']} internal less {row['n_external']} external "
            f"patients, unpaired; empty rule {sites.study.evaluation.empty!r}, masks of all folds"
        )
        ends = comparing.interval(row)
        values.append(Value(name, row["drop"], ends, n, empty, missed, rule=rule))
    return values


def _shifted(scores: GroupScores) -> list[Value]:
    n = int(scores.intensities["patient_id"].nunique())
    rule = (
        "1-D Wasserstein distance of the intensities in the brain after min–max, internal to "
        "external, each patient of equal weight; one internal patient lies {:.3f} from the other "
        "ones"
    )
    return [
        Value(
            f"shift_{row['sequence']}", row["distance"], None, n, rule=rule.format(row["one_test"])
        )
        for _, row in remedies.shifts(scores.intensities).iterrows()
    ]


# --- sentences


def _rule_of(key: tuple[str, str]) -> str:
    of, score = key
    if of == "ResNet50":
        return f"{score.replace('_', ' ')} of ResNet50 over slices, patients drawn with all of them"
    if score == "mean":
        return f"{MEAN}, {of}, folds averaged"
    return f"{score} Dice per patient, {of}, folds averaged"


def _spoken(row: pd.Series) -> str:
    if comparing.interval(row) is None:
        return f"{row['drop']:.3f} (1 patient, no interval)"
    return f"{row['drop']:.3f} ({row['low']:.3f} to {row['high']:.3f})"


def _moved(scores: GroupScores) -> str:
    table = remedies.shifts(scores.intensities)
    row = table.iloc[table["distance"].argmax()]
    return (
        f"Of the inputs {row['sequence']} moved most, by {row['distance']:.3f} of the range; one "
        f"internal patient lies {row['one_test']:.3f} from the other ones, one external patient "
        f"{row['one_external']:.3f}."
    )


def _helps(table: pd.DataFrame) -> str:
    outside, inside = (table[table["part"] == part] for part in ("external", "internal"))
    best = outside.iloc[outside["gain"].argmax()]
    text = (
        f"{_listed(outside, 'helps')} outside (best mean change {best['gain']:+.3f}, "
        f"{best['title']}) and {_listed(outside, 'costs Dice')} there; inside "
        f"{_listed(inside, 'helps')} and {_listed(inside, 'costs Dice')}."
    )
    notes = sorted(set(outside["note"]) - {""})
    return text + "".join(f" Outside: {note}." for note in notes)


def _listed(table: pd.DataFrame, what: str) -> str:
    """Name the remedies that help, by interval and adjusted test, or cost Dice."""
    beyond_zero = table["low"] > 0 if what == "helps" else table["high"] < 0
    rows = table[beyond_zero & (table["p_holm"] < comparisons.ALPHA)]
    titles = ", ".join(f"{row['title']} ({row['gain']:+.3f})" for _, row in rows.iterrows())
    return f"{titles or 'no remedy'} {what}"


def _left_out(sites: Sites) -> str:
    counts = ", ".join(f"{fate} {n}" for fate in LEFT_OUT if (n := sites.count(fate)))
    return f"External cases left out: {counts}. " if counts else ""


def _limits(row: pd.Series, sites: Sites) -> str:
    limits = []
    if min(row["n_internal"], row["n_external"]) < FEW:
        limits.append(
            f"With {row['n_internal']} and {row['n_external']} patients, fewer than {FEW}, the "
            "interval itself is not to be relied on, and a site cannot be separated from its few "
            "patients."
        )
    if not sites.study.real_data:
        limits.append("The study's own patients are synthetic, and so is what is said of a site.")
        if sites.outside is sites.inside:
            limits.append(
                "Its second site differs because it was made so: it represents no hospital."
            )
    return " ".join(limits)


def _row(table: pd.DataFrame, of: str, score: str) -> pd.Series:
    return table[(table["of"] == of) & (table["score"] == score)].iloc[0]
