"""By how much the fused volume differs from its branches, and what that hangs on: notebook 05.

A mean difference may hang on the seed of a training, on one patient, or on the rule for masks
without voxels; each is looked at, and the number says so where one of them decides.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from gliomalib import progress
from gliomalib.digits import counted, percent, spoken
from gliomalib.experiments import comparing
from gliomalib.experiments.values import PREFIXES, parts
from gliomalib.fusion import average
from gliomalib.pipeline import folds
from gliomalib.schema import RecordError, Value
from gliomalib.scoring import tables, training_noise
from gliomalib.scoring.bootstrap import LEVEL


@dataclass(frozen=True)
class Contrast:
    """Network ``better`` less ``other``: mean of NCR, ED and ET Dice, paired by patient.

    ``rule`` is one of ``tables.RULES``; ``left_out`` patients have no score by this rule. ``empty``
    and ``missed`` count the class masks of both networks in the study's own training.
    """

    better: str
    other: str
    part: str
    rule: str
    gain: comparing.Gain
    left_out: int
    empty: int
    missed: int

    @property
    def title(self) -> str:
        """What is subtracted from what."""
        return f"{self.better} − {self.other}"

    @property
    def value(self) -> Value:
        """It as a value; ``note`` says what decides it."""
        name = f"{PREFIXES[self.part]}{self.better}_minus_{self.other.lower()}_mean_dice"
        rule = (
            "paired difference of each patient's mean of NCR, ED and ET Dice, mean over "
            f"patients and trainings; {tables.RULES[self.rule]}, "
            f"{counted(self.left_out, 'patient')} without a score left out; masks of both "
            "networks in the study's own training counted"
        )
        name += self.rule.removeprefix("dice")
        return comparing.value(name, self.gain, rule, n_empty=self.empty, n_missed=self.missed)


def scores(
    material: folds.Material, branches: Mapping[int, folds.Pair] | None = None
) -> pd.DataFrame:
    """Score both branches and the fused volume of every training, on all reported patients.

    ``branches`` are those of ``folds.seeds``, None: the study's. Columns: patient_id, part, fold,
    network, seed (0: the study's own), region, ``tables.RULES``, state.
    """
    rows: list[dict[str, object]] = []
    for seed, branch in (branches or folds.seeds(material.study)).items():
        for split, part, name in progress.steps(list(folds.scored(material)), f"seed {seed}"):
            case, pair = material.store.get(name), folds.pair(material, split.fold, name, branch)
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
            made += _contrasts(rows, better, other)
    return made


def graded(
    table: pd.DataFrame, cases: pd.DataFrame, better: str, others: Sequence[str]
) -> list[Value]:
    """Return ``contrasts`` by the study's rule within each grade of the table of cases.

    Names end in the grade: ``fused_minus_2d_mean_dice_hgg``. Patients of unknown grade are in none.
    """
    known = cases.dropna(subset="grade").drop_duplicates("patient_id").set_index("patient_id")
    return [
        replace(value, name=f"{value.name}_{grade.lower()}", rule=f"{grade} only: {value.rule}")
        for grade, rows in table.groupby(table["patient_id"].map(known["grade"]))
        for contrast in contrasts(rows, better, others)
        if contrast.rule == "dice"
        for value in [contrast.value]
    ]


def patients(table: pd.DataFrame, part: str) -> pd.DataFrame:
    """Return each patient's mean Dice by the study's rule, patients × networks.

    Trainings and folds are averaged.
    """
    full = tables.with_mean(table)
    rows = full[(full["region"] == "mean") & (full["part"] == part)]
    return rows.pivot_table(index="patient_id", columns="network", values="dice", sort=False)


def differences(contrasts: Sequence[Contrast]) -> pd.DataFrame:
    """Return one row per contrast.

    Columns: part, title, rule, patients, left_out, and those of ``comparing.sizes``.
    """
    rows = [
        {
            "part": contrast.part,
            "title": contrast.title,
            "rule": contrast.rule,
            "patients": contrast.gain.effect.n,
            "left_out": contrast.left_out,
            **comparing.sizes(contrast.gain),
        }
        for contrast in contrasts
    ]
    return pd.DataFrame(rows)


def false_alarms(table: pd.DataFrame) -> Value:
    """Return how often one training of a network counts as different from its other ones."""
    of_networks = [
        rows.pivot_table(index="patient_id", columns="seed", values="dice").dropna()
        for _, rows in tables.with_mean(table).groupby(["network", "part", "region"])
    ]
    counts = [training_noise.false_alarms(wide) for wide in of_networks if len(wide)]
    alarms, asked = map(sum, zip(*counts, strict=True))
    people, seeds = table["patient_id"].nunique(), table["seed"].nunique()
    rule = (
        f"{alarms} of {asked} comparisons of a training with the other ones of the same network "
        "whose 95 % interval leaves out 0, over networks, parts and regions; one in twenty is "
        "expected; they share patients, so this illustrates a rate and estimates none"
    )
    note = "" if asked else "fewer than three trainings, so none was compared with others like it"
    share = alarms / asked if asked else math.nan
    return Value("aa_false_alarms", share, n_patients=people, rule=rule, n_seeds=seeds, note=note)


def conclusion(contrasts: Sequence[Contrast], alarms: Value) -> str:
    """Say what fusion gains in each part by the study's rule, and how often that rule is wrong."""
    own = [contrast for contrast in contrasts if contrast.rule == "dice"]
    sentences = list(map(_gain, own))
    here, there = (
        {contrast.other: contrast.gain for contrast in own if contrast.part == part}
        for part in PREFIXES
    )
    shared = {other: f"the gain on {other}" for other in here if other in there}
    sentences.append(comparing.disagreements(here, there, shared).strip())
    if math.isnan(alarms.value):
        sentences.append(f"There are {alarms.note}.")
    else:
        sentences.append(
            "By the same rule a training differs from the others of its own network in "
            f"{percent(alarms.value, 1)} of comparisons, where {percent(1 - LEVEL)} are expected."
        )
    return " ".join(filter(None, sentences))


def _gain(contrast: Contrast) -> str:
    effect, patients = contrast.gain.effect, contrast.gain.patients
    how = f"shows no clear difference from {contrast.other} only:"
    if effect.excludes_zero:
        verb = "exceeds" if effect.value > 0 else "falls behind"
        how = f"{verb} {contrast.other} only by"
    who = "In held-out patients" if contrast.part == "test" else "In external patients"
    deciding = f" [{contrast.gain.note}]" if contrast.gain.note else ""
    return (
        f"{who} the {contrast.better} volume {how} {spoken(contrast.value, signed=True)} in mean "
        f"Dice; median {patients.median():+.3f}, better in {contrast.gain.better} of "
        f"{len(patients)}{deciding}."
    )


def _contrasts(rows: pd.DataFrame, better: str, other: str) -> list[Contrast]:
    """Return a contrast of the patients of one part by each rule for empty masks."""
    mean = rows[rows["region"] == "mean"]
    wide = mean.pivot_table(index="patient_id", columns=["network", "seed"], values=[*tables.RULES])
    gains = comparing.of_rules(
        {
            rule: comparing.paired((wide[rule][better] - wide[rule][other]).dropna())
            for rule in tables.RULES
        }
    )
    own = rows[(rows["seed"] == 0) & rows["network"].isin([better, other])]
    masks = comparing.masks(own[own["region"].isin(list(tables.CLASSES))])
    part, n = str(rows["part"].iloc[0]), mean["patient_id"].nunique()
    return [
        Contrast(better, other, part, rule, gain, n - gain.effect.n, *masks)
        for rule, gain in gains.items()
    ]
