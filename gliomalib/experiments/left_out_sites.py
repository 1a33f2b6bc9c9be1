"""What it costs to leave a patient's site out of training, paired by patient: notebook 13.

Every patient is tested twice, by networks that were trained alike: those of the folds by patient,
which saw others of the same site, and those of the folds by site, which saw nobody of it. The drop
is what knowing the site was worth, or, where fewer patients were left to train on, those as well;
so the number of patients stands beside every drop.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from gliomalib import records
from gliomalib.cohort import table as casetable
from gliomalib.digits import spoken
from gliomalib.experiments import fusion_gain
from gliomalib.experiments.external_sites import Sites
from gliomalib.experiments.values import ends, value
from gliomalib.pipeline import folds
from gliomalib.schema import MismatchError, Split, Value
from gliomalib.scoring import tables, training_noise

SEEN, UNSEEN = "folds by patient", "folds by site"
"""The networks that test a patient: trained on others of the same site, and on none of them."""

SMALLER = "smaller sites"
"""Sites that are left out together, as each has few patients."""

DROP = "drop_mean_dice"
"""Beginning of the names of values."""

NETWORKS = {"fused": "", "2D": "_2d", "3D": "_3d"}
"""Network → what follows ``DROP`` in the name of its value."""

COLUMNS = ["site", "patients", "trained_seen", "trained_unseen", "dice_seen", "dice_unseen"]
COLUMNS += ["drop", "low", "high", "trainings", "worse", "decider"]


@dataclass(frozen=True)
class LeftOut:
    """The scores of the same patients by both kinds of networks.

    Columns: those of ``fusion_gain.scores``, of (2D, 3D or fused; ``network`` is ``SEEN`` or
    ``UNSEEN``), site, trained (on how many patients). Without rows where the study has no networks
    of folds by site, or external patients, who are another site themselves. ``unplaced`` patients
    have no known site.
    """

    scores: pd.DataFrame
    unplaced: tuple[str, ...] = ()

    def of(self, network: str) -> pd.DataFrame:
        """Return the rows of 2D, 3D or fused."""
        return self.scores[self.scores["of"] == network]


def measure(sites: Sites) -> LeftOut:
    """Return the scores of all patients of known site by both kinds of networks.

    Those of the folds by patient are from notebook 05. Raises ``MismatchError`` where a network saw
    patients of the site that it is tested on, and what ``folds.open_material`` raises.
    """
    material = sites.inside
    branches = folds.seeds(material.study, "site")
    if not branches or material.study.split.by == "site" or sites.outside.splits[0].external:
        return LeftOut(pd.DataFrame(columns=["of", "network", "patient_id"]))
    left_out = folds.open_material(material.run, "site")
    homes = _homes(material, left_out.splits)
    own = records.read_table(material.run, "05_fusion", "trainings")
    of_sites = fusion_gain.scores(left_out, branches)
    # a training that only one of the two kinds has is no pair
    shared = set(own["seed"]) & set(of_sites["seed"])
    scores = [
        table.assign(of=table["network"], network=kind, trained=table["fold"].map(_trained(splits)))
        for kind, table, splits in (
            (SEEN, own, material.splits),
            (UNSEEN, of_sites, left_out.splits),
        )
    ]
    table = pd.concat(scores, ignore_index=True).assign(
        site=lambda rows: rows["patient_id"].map(homes)
    )
    paired = table["seed"].isin(shared) & table["site"].notna()
    return LeftOut(table[paired], folds.unplaced(left_out))


def drops(left_out: LeftOut) -> pd.DataFrame:
    """Return what the fused volume loses, all together and site by site.

    Columns: site, patients, and of both kinds of networks the patients that they were trained on
    and the mean Dice; drop, low, high (95 % interval over patients and trainings), trainings,
    worse (patients with a drop), and decider (the patient who decides the mean).
    """
    rows = [_row(site, rows) for site, rows in _groups(left_out)]
    return pd.DataFrame(rows, columns=COLUMNS)


def values(left_out: LeftOut) -> list[Value]:
    """Return the drops of all patients by each rule for empty masks, of the branches, by site.

    None where there are no scores.
    """
    if left_out.scores.empty:
        return []
    made = []
    for network, suffix in NETWORKS.items():
        contrasts = _contrasts(left_out.of(network))
        for contrast in contrasts if network == "fused" else contrasts[:1]:
            name = f"{DROP}{suffix}{contrast.rule.removeprefix('dice')}"
            made.append(_value(name, contrast, f"{network}, all sites"))
    for site, rows in list(_groups(left_out))[1:]:
        name = f"{DROP}_site_{re.sub(r'[^a-z0-9]+', '_', site.lower())}"
        made.append(_value(name, _contrasts(rows)[0], f"fused, {site}"))
    unknown = Value(
        "unknown_site",
        float(len(left_out.unplaced)),
        rule="patients of unknown site, whom no fold by site trains on or tests; the runs of the "
        "training notebooks name them",
    )
    return [*made, _of_sites(left_out), _where_no_fewer(left_out), *_trained_on(left_out), unknown]


def conclusion(left_out: LeftOut) -> str:
    """Say what leaving a site out costs, where most, and what training on fewer may have to do.

    Empty where there are no scores.
    """
    if left_out.scores.empty:
        return ""
    said = {value.name: _said(value) for value in values(left_out)}
    table = drops(left_out).iloc[1:].sort_values("drop", kind="stable")
    (low, least), (high, most) = (table.iloc[end][["drop", "site"]] for end in (0, -1))
    few, many = table["trained_unseen"].min(), table["trained_unseen"].max()
    return (
        f"Networks that saw nobody of a patient's site lose {said[DROP]} of mean Dice in the same "
        f"patients, from {low:+.3f} ({least}) to {high:+.3f} ({most}); every site of equal weight, "
        f"{said[f'{DROP}_equal_sites']}. They were trained on {few:.0f} to {many:.0f} patients, "
        f"those of the folds by patient on {table['trained_seen'].mean():.0f}. Where they had no "
        f"fewer, they lose {said[f'{DROP}_no_fewer_patients']}; elsewhere fewer patients may be a "
        "reason as well as the site."
    )


def _homes(material: folds.Material, left_out: Sequence[Split]) -> Mapping[str, str]:
    """Return patient → site or ``SMALLER``; raises ``MismatchError`` where a network saw it."""
    cases = casetable.read_cases(material.run.work_dir / "cases.csv")
    site = cases[cases["part"] == "internal"].set_index("patient_id")["site"]
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


def _trained(splits: Sequence[Split]) -> dict[int, int]:
    return {split.fold: len(split.train) for split in splits}


def _groups(left_out: LeftOut) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield the fused scores of all sites, then of each, in the order of the folds by site."""
    fused = left_out.of("fused")
    if len(fused):
        yield "all sites", fused
        ordered = fused[fused["network"] == UNSEEN].sort_values("fold", kind="stable")
        for site in ordered["site"].unique():
            yield site, fused[fused["site"] == site]


def _contrasts(scores: pd.DataFrame) -> list[fusion_gain.Contrast]:
    """Return ``SEEN`` less ``UNSEEN`` by each rule for empty masks, the study's own first."""
    return fusion_gain.contrasts(scores, SEEN, [UNSEEN])


def _row(site: str, scores: pd.DataFrame) -> tuple[object, ...]:
    gain = _contrasts(scores)[0].gain
    means = scores.groupby("network")["trained"].mean(), fusion_gain.patients(scores, "test").mean()
    both = [mean[kind] for mean in means for kind in (SEEN, UNSEEN)]
    effect, shaky = gain.effect, gain.by_patient
    drop = (effect.value, *ends(effect), effect.seeds, shaky.better, shaky.decider)
    return (site, effect.n, *both, *drop)


def _value(name: str, contrast: fusion_gain.Contrast, whose: str) -> Value:
    rule = f"{whose}: {SEEN} less {UNSEEN}, {contrast.value.rule}"
    return replace(contrast.value, name=name, rule=rule)


def _of_sites(left_out: LeftOut) -> Value:
    """Return the mean of the drops of all sites: what one more site may lose."""
    fused = tables.with_mean(left_out.of("fused"))
    homes = fused.dropna(subset="site").set_index("patient_id")["site"].to_dict()
    mean = fused[fused["region"] == "mean"].assign(site=lambda rows: rows["patient_id"].map(homes))
    wide = mean.pivot_table(index="site", columns=["network", "seed"], values="dice")
    effect = training_noise.paired(wide[SEEN] - wide[UNSEEN])
    rule = (
        f"fused, mean of the drops of {effect.n} sites ({SMALLER} count as one), each of equal "
        "weight; interval over sites and trainings"
    )
    return replace(value(f"{DROP}_equal_sites", effect, rule), n_patients=len(homes))


def _where_no_fewer(left_out: LeftOut) -> Value:
    """Return the drop where networks that saw nobody of a site had as many patients as others."""
    fused, name = left_out.of("fused"), f"{DROP}_no_fewer_patients"
    enough = fused.loc[fused["network"] == SEEN, "trained"].min()
    whose = f"fused, sites that left {enough} patients or more to train on"
    alike = fused.loc[(fused["network"] == UNSEEN) & (fused["trained"] >= enough), "patient_id"]
    if alike.empty:
        note = f"leaving out any site leaves fewer than {enough} patients to train on"
        return Value(name, math.nan, rule=whose, note=note)
    return _value(name, _contrasts(fused[fused["patient_id"].isin(alike)])[0], whose)


def _trained_on(left_out: LeftOut) -> list[Value]:
    """Return how many patients either kind of network was trained on."""
    made, fused = [], left_out.of("fused")
    for kind in (SEEN, UNSEEN):
        sizes = fused.loc[fused["network"] == kind, "trained"]
        rule = f"patients that train the networks of the {kind}, {sizes.min()} to {sizes.max()}"
        name = f"trained_on_{kind.replace(' ', '_')}"
        made.append(Value(name, sizes.mean(), rule=f"{rule}; mean over the patients tested"))
    return made


def _said(value: Value) -> str:
    """Return a drop in words with what decides it, or why there is none."""
    if math.isnan(value.value):
        return f"nothing that is known ({value.note})"
    return spoken(value, signed=True) + (f" [{value.note}]" if value.note else "")
