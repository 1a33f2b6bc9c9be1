"""By how much the fused volume differs from its branches, and what that hangs on: notebook 05.

A mean difference may hang on the seed of a training, on one patient, or on the rule for masks
without voxels; each is looked at, and the number says so where one of them decides.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pandas as pd

from gliomalib import progress
from gliomalib.digits import percent, spoken
from gliomalib.experiments import comparing
from gliomalib.experiments.values import ONE_TRAINING, PREFIXES, parts
from gliomalib.fusion import average
from gliomalib.pipeline import folds
from gliomalib.schema import RecordError, Value
from gliomalib.scoring import rope, sensitivity, tables, training_noise
from gliomalib.scoring.bootstrap import LEVEL
from gliomalib.settings import Study, named_seed

RULE_DECIDES = "the rule for empty masks decides whether 0 lies in the interval"


@dataclass(frozen=True)
class Contrast:
    """Network ``better`` less ``other``: mean of NCR, ED and ET Dice, paired by patient.

    ``rule`` is one of ``tables.RULES``, ``patients`` has one row per patient and one column per
    training; ``left_out`` patients have no score by this rule. ``empty`` and ``missed`` count the
    class masks of both networks in the study's own training. ``rule_decides`` says whether the
    three rules put the interval on different sides of 0.
    """

    better: str
    other: str
    part: str
    rule: str
    patients: pd.DataFrame
    left_out: int
    empty: int
    missed: int
    rule_decides: bool = False

    @property
    def effect(self) -> training_noise.Effect:
        """Its mean with the interval over patients and trainings."""
        return training_noise.paired(self.patients)

    @property
    def by_patient(self) -> sensitivity.Sensitivity:
        """What it is without each patient."""
        return sensitivity.leave_one_out(self.patients.mean(axis=1))

    @property
    def deciding(self) -> list[str]:
        """What decides it beside the method, in words."""
        decider = self.by_patient.decider
        return [
            *[f"one patient decides: {decider}"] * bool(decider),
            *[RULE_DECIDES] * self.rule_decides,
        ]

    @property
    def value(self) -> Value:
        """It as a value; ``note`` says what decides it."""
        effect, ending = self.effect, self.rule.removeprefix("dice")
        notes = [*self.deciding, *[ONE_TRAINING] * (effect.seeds == 1)]
        return Value(
            f"{PREFIXES[self.part]}{self.better}_minus_{self.other.lower()}_mean_dice{ending}",
            effect.value,
            effect.ci95,
            effect.n,
            self.empty,
            self.missed,
            rule="paired difference of each patient's mean of NCR, ED and ET Dice, mean over "
            f"patients and trainings; {tables.RULES[self.rule]}, {self.left_out} patients without "
            "a score left out; masks of both networks in the study's own training counted",
            n_seeds=effect.seeds,
            note="; ".join(notes),
        )


def scores(material: folds.Material) -> pd.DataFrame:
    """Score both branches and the fused volume of every training, on all reported patients.

    Columns: patient_id, part, fold, network, seed (0: the study's own), region, ``tables.RULES``,
    state.
    """
    rows: list[dict[str, object]] = []
    for seed, branches in folds.seeds(material.study).items():
        for split, part, name in progress.steps(list(folds.scored(material)), f"seed {seed}"):
            case, pair = material.store.get(name), folds.pair(material, split.fold, name, branches)
            volumes = (*pair, average.weighted_average(*pair, material.study.fusion.alpha))
            about = {"patient_id": name, "part": part, "fold": split.fold, "seed": seed}
            for network, volume in zip(folds.SHORT.values(), volumes, strict=True):
                counts = tables.confusion_of(case, volume)
                rows += comparing.dice_rows({**about, "network": network}, counts, material.study)
    return pd.DataFrame(rows)


def contrasts(table: pd.DataFrame, better: str, others: Sequence[str]) -> list[Contrast]:
    """Return network ``better`` less each of ``others`` by part and rule; ``table`` as ``scores``.

    Raises ``RecordError`` when two networks or trainings do not cover the same patients.
    """
    full = tables.with_mean(table)
    made = []
    for part, _ in parts(table):
        rows = full[full["part"] == part]
        if rows.groupby(["network", "seed"])["patient_id"].agg(frozenset).nunique() > 1:
            raise RecordError(f"the networks do not cover the same {part} patients; run 05 again")
        for other in others:
            of_rules = [_contrast(rows, better, other, rule) for rule in tables.RULES]
            bounds = {contrast.rule: contrast.effect.ci95 for contrast in of_rules}
            decides = sensitivity.rule_decides(bounds)
            made += [replace(contrast, rule_decides=decides) for contrast in of_rules]
    return made


def patients(table: pd.DataFrame, part: str) -> pd.DataFrame:
    """Return each patient's mean Dice by the study's rule, patients × networks.

    Trainings and folds are averaged.
    """
    full = tables.with_mean(table)
    rows = full[(full["region"] == "mean") & (full["part"] == part)]
    return rows.pivot_table(index="patient_id", columns="network", values="dice", sort=False)


def differences(contrasts: Sequence[Contrast], study: Study) -> pd.DataFrame:
    """Return one row per contrast.

    Columns: part, difference, rule, patients, left_out, trainings, mean, low, high (95 % interval
    over patients and trainings), median, better (patients above 0), least and most (means when
    each patient is left out), decider, and worse, same, better by ``rope`` as P(…).
    """
    rows = []
    for contrast in contrasts:
        effect, shaky = contrast.effect, contrast.by_patient
        low, high = effect.ci95 or (math.nan, math.nan)
        seed = named_seed(study.seed, "rope", contrast.value.name)
        likely = rope.signed_rank(contrast.patients.mean(axis=1), seed)
        rows.append(
            {
                "part": contrast.part,
                "difference": f"{contrast.better} − {contrast.other}",
                "rule": contrast.rule,
                "patients": effect.n,
                "left_out": contrast.left_out,
                "trainings": effect.seeds,
                **{"mean": effect.value, "low": low, "high": high, "median": shaky.median},
                "better": f"{shaky.better} of {shaky.n}",
                **{"least": shaky.least, "most": shaky.most, "decider": shaky.decider},
                **{f"P({name})": share for name, share in vars(likely).items()},
            }
        )
    return pd.DataFrame(rows)


def false_alarms(table: pd.DataFrame) -> Value:
    """Return how often one training of a network counts as different from its other ones."""
    alarms, asked = 0, 0
    for _, rows in tables.with_mean(table).groupby(["network", "part", "region"]):
        wide = rows.pivot_table(index="patient_id", columns="seed", values="dice").dropna()
        if len(wide):
            counts = training_noise.false_alarms(wide)
            alarms, asked = alarms + counts[0], asked + counts[1]
    rule = (
        f"{alarms} of {asked} comparisons of a training with the other ones of the same network "
        "whose 95 % interval leaves out 0, over networks, parts and regions; one in twenty is "
        "expected; they share patients and regions, so this illustrates a rate and estimates none"
    )
    return Value(
        "aa_false_alarms",
        alarms / asked if asked else math.nan,
        n_patients=table["patient_id"].nunique(),
        rule=rule,
        n_seeds=table["seed"].nunique(),
        note=""
        if asked
        else "fewer than three trainings, so none was compared with others of its network",
    )


def conclusion(contrasts: Sequence[Contrast], alarms: Value) -> str:
    """Say what fusion gains in each part by the study's rule, and how often that rule is wrong."""
    sentences = [_gain(contrast) for contrast in contrasts if contrast.rule == "dice"]
    if alarms.n_seeds == 1:
        sentences.append(f"There is {ONE_TRAINING}.")
    elif math.isnan(alarms.value):
        sentences.append(f"There are {alarms.note}.")
    else:
        sentences.append(
            "By the same rule a training differs from the others of its own network in "
            f"{percent(alarms.value, 1)} of comparisons, where {percent(1 - LEVEL)} are expected."
        )
    return " ".join(sentences)


def _gain(contrast: Contrast) -> str:
    effect, shaky = contrast.effect, contrast.by_patient
    how = "shows no clear difference from"
    if effect.excludes_zero:
        how = "exceeds" if effect.value > 0 else "falls behind"
    who = "In held-out patients" if contrast.part == "test" else "In external patients"
    deciding = "".join(f"; {note}" for note in contrast.deciding)
    return (
        f"{who} the {contrast.better} volume {how} {contrast.other} only: "
        f"{spoken(contrast.value, signed=True)} mean Dice; median {shaky.median:+.3f}, better in "
        f"{shaky.better} of {shaky.n}{deciding}."
    )


def _contrast(rows: pd.DataFrame, better: str, other: str, rule: str) -> Contrast:
    """Return a contrast of the patients of one part."""
    mean = rows[rows["region"] == "mean"]
    wide = mean.pivot_table(index="patient_id", columns=["network", "seed"], values=rule)
    by_seed = pd.DataFrame(wide[better] - wide[other]).dropna()
    own = rows[(rows["seed"] == 0) & rows["network"].isin([better, other])]
    states = own.loc[own["region"].isin(list(tables.CLASSES)), "state"]
    left_out = mean["patient_id"].nunique() - len(by_seed)
    return Contrast(
        better, other, str(rows["part"].iloc[0]), rule, by_seed, left_out, *comparing.masks(states)
    )
