"""What it costs to leave a patient's site out of training, paired by patient: notebook 13.

Every patient is tested twice, by networks that were trained alike: those of the folds by patient,
which saw others of the same site, and those of the folds by site, which saw nobody of it. The drop
is what knowing the site was worth, or, where fewer patients were left to train on, those as well;
so the number of patients stands beside every drop. Their grades do too: a site may treat patients
of one grade only, and then nobody can tell the site from the grade.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pandas as pd

from gliomalib import records
from gliomalib.cohort import table as casetable
from gliomalib.digits import spoken
from gliomalib.experiments import fusion_gain
from gliomalib.experiments import values as estimates
from gliomalib.experiments.external_sites import Sites
from gliomalib.pipeline import folds
from gliomalib.schema import MismatchError, Split, Value
from gliomalib.scoring import tables, training_noise

SEEN, UNSEEN = "folds by patient", "folds by site"
"""The networks that test a patient: trained on others of the same site, and on none of them."""

ALL, ALIKE, SMALLER = "all sites", "no fewer patients", "smaller sites"
"""Patients of whom a drop is given beside those of each site.

``ALIKE`` are of sites without which no fewer patients were left to train on than in the folds by
patient; ``SMALLER`` are of sites that are left out together, as each has few patients.
"""

NETWORKS = {"fused": "", "2D": "_2d", "3D": "_3d"}
"""Network → what follows ``drop_mean_dice`` in the name of its value."""

COLUMNS = ["site", "patients", "grades", "trained_seen", "trained_unseen", "dice_seen"]
COLUMNS += ["dice_unseen", "drop", "low", "high", "trainings", "worse", "decider"]


def measure(sites: Sites) -> pd.DataFrame:
    """Return the scores of all patients of known site by both kinds of networks.

    Columns: those of ``fusion_gain.scores``, of (2D, 3D or fused; ``network`` is ``SEEN`` or
    ``UNSEEN``), site, grade, trained (on how many patients). Without rows where the study has no
    networks of folds by site, or external patients, who are another site themselves. Raises
    ``MismatchError`` where a network saw patients of a site that it tests, and what
    ``folds.open_material`` raises.
    """
    material = sites.inside
    branches = folds.seeds(material.study, "site")
    if not branches or material.study.split.by == "site" or sites.outside.splits[0].external:
        return pd.DataFrame(columns=["of", "network", "patient_id"])
    left_out = folds.open_material(material.run, "site")
    own = records.read_table(material.run, "05_fusion", "trainings")
    other = fusion_gain.scores(left_out, branches)
    tables = []
    for kind, made, splits in ((SEEN, own, material.splits), (UNSEEN, other, left_out.splits)):
        trained = made["fold"].map({split.fold: len(split.train) for split in splits})
        tables.append(made.assign(of=made["network"], network=kind, trained=trained))
    table = pd.concat(tables, ignore_index=True)
    cases = casetable.read_cases(material.run.work_dir / "cases.csv")
    cases = cases[cases["part"] == "internal"].set_index("patient_id")
    table["site"] = table["patient_id"].map(_homes(cases["site"], left_out.splits))
    table["grade"] = table["patient_id"].map(cases["grade"].fillna("unknown grade"))
    # a training that only one of the two kinds has is no pair
    shared = set(own["seed"]) & set(other["seed"])
    return table[table["seed"].isin(shared) & table["site"].notna()]


def drops(scores: pd.DataFrame) -> pd.DataFrame:
    """Return what the fused volume loses: ``ALL``, ``ALIKE``, and site by site.

    Columns: site, patients, grades (how many of each), and of both kinds of networks the patients
    that they were trained on and the mean Dice; drop, low, high (95 % interval over patients and
    trainings), trainings, worse (patients with a drop), decider (the patient who decides the mean).
    """
    rows = [_row(site, rows) for site, rows in _groups(scores).items()]
    return pd.DataFrame(rows, columns=COLUMNS)


def values(scores: pd.DataFrame) -> list[Value]:
    """Return the drops of all patients by each rule for empty masks, of the branches, by site.

    None where there are no scores.
    """
    if scores.empty:
        return []
    made = []
    for network, suffix in NETWORKS.items():
        contrasts = fusion_gain.contrasts(scores[scores["of"] == network], SEEN, [UNSEEN])
        for contrast in contrasts if network == "fused" else contrasts[:1]:
            made.append(_value(suffix + contrast.rule.removeprefix("dice"), contrast, network))
    for site, rows in list(_groups(scores).items())[1:]:
        suffix = re.sub(r"[^a-z0-9]+", "_", f" {'' if site == ALIKE else 'site '}{site}".lower())
        own, *_ = fusion_gain.contrasts(rows, SEEN, [UNSEEN])
        made.append(_value(suffix, own, f"fused, {site} ({_grades(rows)})"))
    return [*made, _of_sites(scores)]


def conclusion(scores: pd.DataFrame) -> str:
    """Say what leaving a site out costs, where most, and what training on fewer may have to do.

    Empty where there are no scores.
    """
    if scores.empty:
        return ""
    said = {
        value.name.removeprefix("drop_mean_dice"): spoken(value, signed=True)
        + (f" [{value.note}]" if value.note else "")
        for value in values(scores)
    }
    table = drops(scores).set_index("site").drop([ALL, ALIKE], errors="ignore")
    few, many = table["trained_unseen"].min(), table["trained_unseen"].max()
    fewer = "All had fewer, which"
    if "_no_fewer_patients" in said:
        fewer = f"Where they had no fewer, they lose {said['_no_fewer_patients']}; elsewhere that"
    grades = scores.groupby("site")["grade"].agg(frozenset)
    alike = [
        site for site in table.index if len(grades[site]) == 1 < len(frozenset().union(*grades))
    ]
    graded = f" In {', '.join(alike)} the grade may be one: all there have the same."
    return (
        f"Networks that saw nobody of a patient's site lose {said['']} of mean Dice in the same "
        f"patients, from {table['drop'].min():+.3f} ({table['drop'].idxmin()}) to "
        f"{table['drop'].max():+.3f} ({table['drop'].idxmax()}); every site of equal weight, "
        f"{said['_equal_sites']}. They were trained on {few:.0f} to {many:.0f} patients, those of "
        f"the folds by patient on {table['trained_seen'].mean():.0f}. {fewer} may be a reason as "
        "well as the site." + graded * bool(alike)
    )


def _homes(site: pd.Series, left_out: Sequence[Split]) -> Mapping[str, str]:
    """Return patient → site or ``SMALLER``; raises ``MismatchError`` where a network saw it."""
    homes: dict[str, str] = {}
    for split in left_out:
        tested = set(site[list(split.test)])
        if seen := tested & set(site[[*split.train, *split.val]]):
            raise MismatchError(
                f"fold {split.fold} by site was trained on {', '.join(sorted(seen))}, which it "
                f"tests; run {casetable.MADE_BY} again"
            )
        homes |= dict.fromkeys(split.test, tested.pop() if len(tested) == 1 else SMALLER)
    return homes


def _groups(scores: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return the fused scores of ``ALL``, ``ALIKE`` and each site, in the order of the folds."""
    fused = scores[scores["of"] == "fused"]
    seen, unseen = (fused[fused["network"] == kind] for kind in (SEEN, UNSEEN))
    if fused.empty:
        return {}
    alike = unseen.loc[unseen["trained"] >= seen["trained"].min(), "patient_id"]
    groups = {ALL: fused, ALIKE: fused[fused["patient_id"].isin(alike)]}
    sites = unseen.sort_values("fold", kind="stable")["site"].unique()
    groups |= {site: fused[fused["site"] == site] for site in sites}
    return {title: rows for title, rows in groups.items() if len(rows)}


def _row(site: str, scores: pd.DataFrame) -> tuple[object, ...]:
    gain = fusion_gain.contrasts(scores, SEEN, [UNSEEN])[0].gain
    means = scores.groupby("network")["trained"].mean(), fusion_gain.patients(scores, "test").mean()
    both = [mean[kind] for mean in means for kind in (SEEN, UNSEEN)]
    effect = gain.effect
    drop = (effect.value, *estimates.ends(effect), effect.seeds, gain.better, gain.decider)
    return (site, effect.n, _grades(scores), *both, *drop)


def _grades(scores: pd.DataFrame) -> str:
    counts = scores.drop_duplicates("patient_id")["grade"].value_counts()
    return ", ".join(f"{n} {grade}" for grade, n in counts.items())


def _value(suffix: str, contrast: fusion_gain.Contrast, whose: str) -> Value:
    rule = f"{whose}: {SEEN} minus {UNSEEN}, {contrast.value.rule}"
    return replace(contrast.value, name=f"drop_mean_dice{suffix}", rule=rule)


def _of_sites(scores: pd.DataFrame) -> Value:
    """Return the mean of the drops of all sites: what one more site may lose."""
    fused = scores[scores["of"] == "fused"]
    homes = fused.drop_duplicates("patient_id").set_index("patient_id")["site"]
    mean = tables.with_mean(fused).query("region == 'mean'")
    mean = mean.assign(site=mean["patient_id"].map(homes))
    wide = mean.pivot_table(index="site", columns=["network", "seed"], values="dice")
    effect = training_noise.paired(wide[SEEN] - wide[UNSEEN])
    rule = (
        f"fused, mean of the drops of {effect.n} sites ({SMALLER} count as one), each of equal "
        "weight; interval over sites and trainings"
    )
    return estimates.value("drop_mean_dice_equal_sites", effect, rule, n_patients=len(homes))
