"""Does it hold on another site: the drop, how far the inputs moved, what simple remedies do.

The two groups of ``sites`` are different people, so a drop is unpaired; the gain of a remedy is
paired within patients.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gliomalib import settings
from gliomalib.experiments import remedies
from gliomalib.experiments.external_sites import (
    AGAIN,
    FAULTY,
    NO_MASK,
    NONE,
    OVERLAP,
    PARTS,
    SCORED,
    Found,
    Sites,
)
from gliomalib.pipeline import folds
from gliomalib.schema import Value
from gliomalib.scoring import bootstrap, calibration, comparisons, metrics
from gliomalib.scoring import tables as evaluate
from gliomalib.scoring.comparisons import MARGIN

Floats = NDArray[np.float64]

HOLDS_BELOW = 0.05
"""Mean Dice that a site may cost. Segmentation that was trained in one institution is reported to
lose .06 in another one (.76 → .70); a loss that is surely smaller is not that one."""

LEVEL = 0.05
"""Adjusted p of a gain that is found."""

FEW = 30
"""Patients of a group below which ``stats`` says that no interval is to be relied on."""

DROPS = {
    "drop_mean_dice": ("fused", "mean"), "drop_WT": ("fused", "WT"), "drop_ET": ("fused", "ET"),
    "drop_TC": ("fused", "TC"), "drop_mean_dice_2d": ("2D", "mean"),
    "drop_mean_dice_3d": ("3D", "mean"), "drop_accuracy": ("ResNet50", "accuracy"),
    "drop_balanced_accuracy": ("ResNet50", "balanced_accuracy"),
}  # fmt: skip
"""Name of a value → the row of ``beside`` that it is."""

_CLASSIFIED = {name: ("ResNet50", name) for name in ("accuracy", "balanced_accuracy")}

MEAN = "mean of NCR, ED and ET Dice per patient"


def beside(found: Found, study: settings.Study) -> pd.DataFrame:
    """Return both groups side by side, one row a network and score.

    Columns: of, score, then by group its value, ends of its interval, patients, and masks that
    are empty in truth and prediction or in one of them (``missed``), then drop, low, high; NaN
    where there is no external patient.
    """
    full = evaluate.with_mean(found.scores)
    rows = []
    for network in folds.SHORT.values():
        table = full[full["network"] == network]
        for region in ("mean", *evaluate.REGIONS):
            groups = {part: _mean_of(table, region, part) for part in PARTS}
            counts = {
                f"{what}_{PARTS[part]}": _states(table, region, part, states)
                for part in PARTS
                for what, states in (("empty", ["empty"]), ("missed", ["missed", "spurious"]))
            }
            rows.append(
                {
                    "of": network,
                    "score": region,
                    **_compare(groups, bootstrap.ratio, study, network, region),
                }
                | counts
            )
    confusions = {part: _confusions(found.slices, part) for part in PARTS}
    for name in _CLASSIFIED:
        told = _compare(confusions, _of_confusion(name), study, name)
        rows.append({"of": "ResNet50", "score": name, **told})
    counted = [f"{what}_{part}" for what in ("empty", "missed") for part in PARTS.values()]
    return pd.DataFrame(rows).astype(dict.fromkeys(counted, "Int64"))


def reliability(found: Found) -> pd.DataFrame:
    """Return the reliability table of each group: part, confidence, accuracy, n, low, high."""
    tables = [
        calibration.pooled(of.values()).table().assign(part=PARTS[part])
        for part, of in found.tallies.items()
        if of
    ]
    return pd.concat(tables, ignore_index=True)


def gains(found: Found, study: settings.Study) -> pd.DataFrame:
    """Return what each remedy gives in each group, paired with no remedy in each patient.

    Columns: part, remedy, title, patients, mean_dice, gain, low, high, p_holm, verdict, note. The
    family of Holm's adjustment are the remedies of ``remedies.REMEDIES`` in one group.
    """
    full = evaluate.with_mean(found.remedied).query("region == 'mean'")
    rows = []
    for part, own in full.groupby("part", sort=False):
        wide = own.pivot_table(index="patient_id", columns="network", values="dice").dropna()
        wide = wide[[NONE, *remedies.REMEDIES]]
        seed = _seed(study, "remedies", str(part))
        family = comparisons.compare_family(wide, NONE, MARGIN, seed, study.evaluation.bootstrap)
        for _, judged in family.iterrows():
            key = str(judged["name"])
            gain = bootstrap.paired_interval(
                wide[key], wide[NONE], seed, study.evaluation.bootstrap
            )
            low, high = gain.ci95 or (np.nan, np.nan)
            rows.append(
                {"part": PARTS[str(part)], "remedy": key, "title": remedies.REMEDIES[key].title,
                 "patients": gain.n, "mean_dice": wide[key].mean(), "gain": gain.value,
                 "low": low, "high": high, "p_holm": judged["p_holm"],
                 "verdict": judged["verdict"], "note": judged["note"]}
            )  # fmt: skip
    return pd.DataFrame(rows)


def verdict(low: float, high: float) -> str:
    """Return what an interval of the drop in mean Dice says, by the rule of the notebook."""
    if high <= HOLDS_BELOW:
        return "holds"
    return "does not hold" if low > HOLDS_BELOW else "undecided"


def values(found: Found, sites: Sites) -> list[Value]:
    """Return drops, both groups' Dice, shifts, calibration, gains and who was left out.

    What needs an external patient is absent where there is none.
    """
    study = sites.study
    table = beside(found, study)
    parts = [part for part in PARTS if found.tallies[part]]
    told = [*_of_groups(table, parts), *_counted(sites)]
    if len(parts) == 2:
        told += [*_drops(table, study), *_shifted(found)]
    for part in parts:
        told += _calibrated(found, part, study)
    for _, row in gains(found, study).iterrows():
        inside = row["part"] == "internal"
        rule = (
            f"{row['title']} minus no remedy, {MEAN}, fused, {row['part']} patients; fitted on "
            f"the training patients of each fold; Wilcoxon with Holm over {len(remedies.REMEDIES)} "
            f"remedies p = {row['p_holm']:.3g}, {row['verdict']} by ±{MARGIN:g}"
        )
        name = f"{row['remedy']}_gain" + "_internal" * inside
        told.append(Value(name, row["gain"], _ends(row), row["patients"], rule=rule))
    return told


def conclusion(found: Found, sites: Sites) -> str:
    """Say whether it holds by the rule, what moved, which remedy helps, and what n allows."""
    table, study = beside(found, sites.study), sites.study
    row = _row(table, "fused", "mean")
    own = f"{row['internal']:.3f} on {row['n_internal']} held-out patients"
    if not found.tallies["external"]:
        return (
            f"{_left_out(sites)}Nothing is said of another site: this study has no external "
            f"patients (give external_root). The fused volume reaches a mean Dice of {own}."
        )
    told = verdict(row["low"], row["high"])
    holds = "it is undecided whether it holds" if told == "undecided" else f"it {told}"
    scored = sites.cases.loc[sites.cases["fate"] == SCORED, "site"]
    classified = " and in ".join(
        f"{name.replace('_', ' ')} by {_spoken(_row(table, *key))}"
        for name, key in _CLASSIFIED.items()
    )
    shown = "; that there is a drop is shown" if row["low"] > 0 else ""
    return (
        f"By the rule {holds} on {', '.join(sorted(set(scored)))}: the fused volume reaches "
        f"a mean Dice of {row['external']:.3f} on {row['n_external']} external patients and {own}, "
        f"which is a drop of {_spoken(row)}{shown}. ResNet50 drops in {classified}. "
        f"{_moved(found)} By interval and adjusted test {_helps(gains(found, study))} "
        f"{_left_out(sites)}{_limits(row, sites)}"
    )


def _of_groups(table: pd.DataFrame, parts: list[str]) -> list[Value]:
    found = []
    for part in map(PARTS.__getitem__, parts):
        for name, key in (("mean_dice", ("fused", "mean")), *_CLASSIFIED.items()):
            row = _row(table, *key)
            ends = _ends(row, f"{part}_low", f"{part}_high")
            rule = f"{_rule_of(key)}, {part} patients"
            found.append(Value(f"{part}_{name}", row[part], ends, row[f"n_{part}"], rule=rule))
    return found


def _drops(table: pd.DataFrame, study: settings.Study) -> list[Value]:
    found = []
    for name, key in DROPS.items():
        row = _row(table, *key)
        n = int(row["n_internal"] + row["n_external"])
        # the classifier has no masks, so no counts of them
        empty, missed = (
            int(row[[f"{what}_{part}" for part in PARTS.values()]].dropna().sum())
            for what in ("empty", "missed")
        )
        rule = (
            f"{_rule_of(key)}: {row['n_internal']} internal less {row['n_external']} external "
            f"patients, unpaired; empty rule {study.evaluation.empty!r}, masks of all folds"
        )
        found.append(Value(name, row["drop"], _ends(row), n, empty, missed, rule=rule))
    return found


def _counted(sites: Sites) -> list[Value]:
    rules = {
        "excluded_overlap": (OVERLAP, "who are patients of the study by ID, table, file or voxels"),
        "without_mask": (NO_MASK, "without an expert mask, which cannot be scored"),
        "faulty": (FAULTY, "whose files cannot be used"),
        "same_patient": (AGAIN, "that are a further examination of an external patient"),
    }
    return [
        Value(f"external_{name}", float(sites.count(fate)), rule=f"external cases {rule}")
        for name, (fate, rule) in rules.items()
    ]


def _shifted(found: Found) -> list[Value]:
    n = int(found.intensities["patient_id"].nunique())
    return [
        Value(
            f"shift_{row['sequence']}", row["distance"], None, n,
            rule="1-D Wasserstein distance of the intensities in the brain after min–max, internal "
            "to external, each patient of equal weight; one internal patient lies "
            f"{row['one_test']:.3f} from the other ones",
        )
        for _, row in remedies.shifts(found.intensities).iterrows()
    ]  # fmt: skip


def _calibrated(found: Found, part: str, study: settings.Study) -> list[Value]:
    own = list(found.tallies[part].values())
    name = PARTS[part]
    binned = np.stack([one.bins for one in own])
    squares = np.array([[[one.brier_sum, one.n]] for one in own])
    rule = "fused volume, brain voxels of all patients pooled, interval over patients"
    ece = _interval(binned, calibration.expected_error, study, f"ece_{part}")
    brier = _interval(squares, bootstrap.ratio, study, f"brier_{part}")
    return [
        Value(f"ece_{name}", ece.value, ece.ci95, ece.n,
              rule=f"expected calibration error, {calibration.BINS} equal bins; {rule}"),
        Value(f"brier_{name}", brier.value, brier.ci95, brier.n,
              rule=f"Brier score summed over the classes, 0 to 2; {rule}"),
    ]  # fmt: skip


# --- sentences


def _rule_of(key: tuple[str, str]) -> str:
    of, score = key
    if of == "ResNet50":
        return f"{score.replace('_', ' ')} of ResNet50 over slices, patients drawn with all of them"
    if score == "mean":
        return f"{MEAN}, {of}, folds averaged"
    return f"{score} Dice per patient, {of}, folds averaged"


def _spoken(row: pd.Series) -> str:
    if np.isnan(row["low"]):
        return f"{row['drop']:.3f} (no interval: a single patient)"
    return f"{row['drop']:.3f} ({row['low']:.3f} to {row['high']:.3f})"


def _moved(found: Found) -> str:
    table = remedies.shifts(found.intensities)
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
        f"{_listed(outside, 'helps')} outside (largest mean gain {best['gain']:+.3f}, "
        f"{best['title']}) and {_listed(outside, 'costs Dice')} there; inside "
        f"{_listed(inside, 'helps')} and {_listed(inside, 'costs Dice')}."
    )
    notes = sorted(set(outside["note"]) - {""})
    return text + "".join(f" Outside: {note}." for note in notes)


def _listed(table: pd.DataFrame, what: str) -> str:
    """Name the remedies that help, by interval and adjusted test, or cost Dice."""
    shown = table["low"] > 0 if what == "helps" else table["high"] < 0
    rows = table[shown & (table["p_holm"] < LEVEL)]
    told = ", ".join(f"{row['title']} ({row['gain']:+.3f})" for _, row in rows.iterrows())
    return f"{told or 'no remedy'} {what}"


def _left_out(sites: Sites) -> str:
    fates = [(sites.count(fate), fate) for fate in (OVERLAP, NO_MASK, FAULTY, AGAIN)]
    told = ", ".join(f"{fate} {n}" for n, fate in fates if n)
    return f"External cases left out: {told}. " if told else ""


def _limits(row: pd.Series, sites: Sites) -> str:
    text = ""
    sizes = [int(row[f"n_{part}"]) for part in PARTS.values()]
    if min(sizes) < FEW:
        text = (
            f"With {sizes[0]} and {sizes[1]} patients, fewer than {FEW}, the interval itself is "
            "not to be relied on, and a site cannot be told from the few who stand for it."
        )
    if not sites.study.real_data:
        text += " The study's own patients are synthetic, and so is what is said of a site."
    if not sites.study.real_data and sites.outside is sites.inside:
        text += " Its second site differs because it was made so: it stands for no hospital."
    return text.strip()


# --- one score of two groups


def _compare(
    groups: Mapping[str, Floats], score: bootstrap.Score, study: settings.Study, *names: str
) -> dict[str, float]:
    found: dict[str, float] = {}
    for part, values in groups.items():
        name = PARTS[part]
        own = _interval(values, score, study, part, *names) if len(values) else None
        low, high = (own.ci95 if own else None) or (np.nan, np.nan)
        found |= {name: own.value if own else np.nan, f"n_{name}": len(values)}
        found |= {f"{name}_low": low, f"{name}_high": high}
    lost = None
    if all(len(values) for values in groups.values()):
        seed = _seed(study, "drop", *names)
        lost = bootstrap.unpaired_interval(
            groups["test"], groups["external"], score, seed, study.evaluation.bootstrap
        )
    low, high = (lost.ci95 if lost else None) or (np.nan, np.nan)
    return {**found, "drop": lost.value if lost else np.nan, "low": low, "high": high}


def _interval(
    values: Floats, score: bootstrap.Score, study: settings.Study, *names: str
) -> bootstrap.Interval:
    found = bootstrap.confusion_intervals(
        values,
        lambda stack: {"score": score(stack)},
        _seed(study, *names),
        study.evaluation.bootstrap,
    )
    return found["score"]


def _of_confusion(name: str) -> bootstrap.Score:
    def score(sums: Floats) -> Floats:
        return metrics.stacked_scores(sums.astype(np.int64), "macro", "exclude")[name]

    return score


def _mean_of(table: pd.DataFrame, region: str, part: str) -> Floats:
    if not (table["part"] == part).any():
        return np.empty((0, 1, 2))
    return bootstrap.with_ones(evaluate.per_patient(table, region, part).dropna())


def _confusions(slices: pd.DataFrame, part: str) -> Floats:
    if not (slices["part"] == part).any():
        return np.empty((0, 4, 4))
    return evaluate.patient_confusions(slices, part).astype(np.float64)


def _row(table: pd.DataFrame, of: str, score: str) -> pd.Series:
    return table[(table["of"] == of) & (table["score"] == score)].iloc[0]


def _states(table: pd.DataFrame, region: str, part: str, states: list[str]) -> int:
    rows = table[(table["region"] == region) & (table["part"] == part)]
    return int(rows["state"].isin(states).sum())


def _ends(row: pd.Series, low: str = "low", high: str = "high") -> tuple[float, float] | None:
    return None if np.isnan(row[low]) else (float(row[low]), float(row[high]))


def _seed(study: settings.Study, *names: str) -> int:
    return settings.named_seed(study.seed, "external", *names)
