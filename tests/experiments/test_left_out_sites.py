"""Sites left out: a planted drop is found where it is, patients of no site count nowhere."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gliomalib import records
from gliomalib.cohort.splits import path_of, write_splits
from gliomalib.cohort.table import Entry, table_of, write_cases
from gliomalib.experiments import fusion_gain, left_out_sites
from gliomalib.experiments.external_sites import Sites
from gliomalib.experiments.left_out_sites import ALIKE, ALL, SEEN, SMALLER, UNSEEN
from gliomalib.experiments.values import ONE_TRAINING
from gliomalib.pipeline import folds
from gliomalib.schema import Case, MismatchError, Split, Value
from gliomalib.scoring import tables
from tests import planted_branches

SIZES = {"CBICA": 30, "TCIA10": 20, SMALLER: 6}
TRAINED = {"CBICA": 25, "TCIA10": 36, SMALLER: 45}


def planted(lost: Mapping[str, float], seeds: int = 3, noise: float = 0.0) -> pd.DataFrame:
    """Return scores in which networks that saw nobody of a site lose what is planted there."""
    rng = np.random.default_rng(5)
    rows = []
    for fold, (site, n) in enumerate(SIZES.items()):
        for number in range(n):
            level = rng.normal(0.6, 0.05)
            for seed in range(seeds):
                for kind, drop, trained in ((SEEN, 0, 45), (UNSEEN, lost[site], TRAINED[site])):
                    shift = noise * (seed - 1) * (kind == UNSEEN)
                    dice = level - drop + shift + rng.normal(0, 0.005)
                    about = (f"{site}-{number}", kind, fold, seed, site, trained, dice)
                    rows += [(*about, region) for region in tables.REGIONS]
    columns = ["patient_id", "network", "fold", "seed", "site", "trained", "dice", "region"]
    table = pd.DataFrame(rows, columns=columns).assign(part="test", state="both")
    table = table.assign(**{rule: table["dice"] for rule in tables.RULES})
    table["grade"] = np.where(table["site"] == "TCIA10", "LGG", "HGG")
    of_networks = [table.assign(of=network) for network in ("2D", "3D", "fused")]
    return pd.concat(of_networks, ignore_index=True)


def by_name(left_out: pd.DataFrame) -> dict[str, Value]:
    made = left_out_sites.values(left_out)
    assert all(value.rule for value in made)
    assert len({value.name for value in made}) == len(made)
    return {value.name: value for value in made}


def slowly(left_out: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Return site → patient → drop, by going through the rows one by one."""
    dice: dict[tuple[str, str, str], list[float]] = {}
    for row in left_out.to_dict("records"):
        if row["of"] == "fused" and row["region"] in ("NCR", "ED", "ET"):
            key = (row["site"], row["patient_id"], row["network"])
            dice.setdefault(key, []).append(row["dice"])
    sites: dict[str, dict[str, float]] = {}
    for site, patient, network in dice:
        if network == SEEN:
            pair = [dice[site, patient, kind] for kind in (SEEN, UNSEEN)]
            drop = sum(pair[0]) / len(pair[0]) - sum(pair[1]) / len(pair[1])
            sites.setdefault(site, {})[patient] = drop
    return sites


def test_a_drop_planted_at_one_site_is_found_there_and_nowhere_else() -> None:
    left_out = planted({"CBICA": 0.0, "TCIA10": 0.1, SMALLER: 0.0})
    table, values = left_out_sites.drops(left_out).set_index("site"), by_name(left_out)
    assert list(table.index) == [ALL, ALIKE, *SIZES], "in the order of the folds"
    assert table["patients"].tolist() == [56, 6, 30, 20, 6]
    hit, spared = table.loc["TCIA10"], table.drop([ALL, "TCIA10"])
    assert hit["drop"] == pytest.approx(0.1, abs=0.005) and 0.09 < hit["low"] < hit["high"] < 0.11
    assert hit["worse"] == 20 and not hit["decider"]
    assert (spared["low"] < 0).all() and (spared["high"] > 0).all()
    assert hit["dice_seen"] - hit["dice_unseen"] == pytest.approx(hit["drop"])
    assert hit[["trained_seen", "trained_unseen"]].tolist() == [45, 36]
    value = values["drop_mean_dice_site_tcia10"]
    assert (value.value, value.ci95) == (hit["drop"], (hit["low"], hit["high"]))
    assert values["drop_mean_dice"].value == pytest.approx(0.1 * 20 / 56, abs=0.005)
    assert values["drop_mean_dice"].n_patients == 56 and values["drop_mean_dice"].n_seeds == 3
    said = left_out_sites.conclusion(left_out)
    assert f"to {hit['drop']:+.3f} (TCIA10)" in said
    assert table.loc[[ALL, "TCIA10"], "grades"].tolist() == ["36 HGG, 20 LGG", "20 LGG"]
    assert "(20 LGG)" in value.rule and "In CBICA, TCIA10, smaller sites the grade may be" in said
    one_grade = left_out_sites.conclusion(left_out.assign(grade="HGG"))
    assert "grade" not in one_grade, "one grade explains no difference between sites"
    mixed = left_out["grade"].where(~left_out["patient_id"].str.endswith("1"), "LGG")
    assert "In TCIA10 the grade" in left_out_sites.conclusion(left_out.assign(grade=mixed))
    assert "trained on 25 to 45 patients, those of the folds by patient on 45" in said


def test_drops_are_those_of_a_slow_and_obvious_count() -> None:
    left_out = planted({"CBICA": 0.02, "TCIA10": -0.03, SMALLER: 0.08})
    slow, values = slowly(left_out), by_name(left_out)
    of_sites = {site: sum(drops.values()) / len(drops) for site, drops in slow.items()}
    table = left_out_sites.drops(left_out).set_index("site")["drop"]
    assert table[list(of_sites)].to_dict() == pytest.approx(of_sites)
    everyone = [drop for drops in slow.values() for drop in drops.values()]
    assert values["drop_mean_dice"].value == pytest.approx(sum(everyone) / len(everyone))
    equal = values["drop_mean_dice_equal_sites"]
    assert equal.value == pytest.approx(sum(of_sites.values()) / 3) and equal.n_patients == 56
    low, high = equal.ci95 or (0, 0)
    assert low < -0.1 and high > 0.1, "three sites say little about the next one"


def test_where_no_fewer_patients_were_trained_on_is_told_apart() -> None:
    left_out = planted({"CBICA": 0.1, "TCIA10": 0.1, SMALLER: 0.0})
    alike = by_name(left_out)["drop_mean_dice_no_fewer_patients"]
    assert alike.n_patients == 6 and alike.value == pytest.approx(0, abs=0.01)
    assert "Where they had no fewer, they lose" in left_out_sites.conclusion(left_out)
    rest = left_out.query("site != @SMALLER")
    assert "drop_mean_dice_no_fewer_patients" not in by_name(rest)
    assert ALIKE not in set(left_out_sites.drops(rest)["site"])
    said = left_out_sites.conclusion(rest)
    assert "All had fewer, which may be a reason as well as the site." in said


def test_trainings_one_patient_and_the_rule_for_empty_masks_are_named() -> None:
    same = dict.fromkeys(SIZES, 0.03)
    plain, noisy = (by_name(planted(same, noise=by))["drop_mean_dice"] for by in (0, 0.03))
    widths = [high - low for low, high in (value.ci95 or (0, 0) for value in (plain, noisy))]
    assert widths[1] > 5 * widths[0] and not plain.note
    assert ONE_TRAINING in by_name(planted(same, seeds=1))["drop_mean_dice"].note
    left_out = planted(same)
    table = left_out.copy()
    table.loc[table["network"] == UNSEEN, "dice_present"] += 0.06
    values = by_name(table)
    assert values["drop_mean_dice_present"].value < 0 < values["drop_mean_dice"].value
    assert "the rule for empty masks decides" in values["drop_mean_dice"].note
    missed = (table["patient_id"] == "CBICA-3") & (table["region"] == "ET") & (table["seed"] == 0)
    table.loc[missed & (table["network"] == UNSEEN), "state"] = "missed"
    assert by_name(table)["drop_mean_dice"].n_missed == 1


# --- from the files of a study

OWN = (
    Split(0, tuple("EFGH"), (), tuple("ABCD")),
    Split(1, tuple("ABCD"), (), tuple("EFGH")),
)
BY_SITE = (
    Split(0, tuple("DEFG"), (), tuple("ABC")),
    Split(1, tuple("ABCFG"), (), tuple("DE")),
    Split(2, tuple("ABCDE"), (), tuple("FG")),
)
SITE = dict(zip("ABCDEFGH", ["X", "X", "X", "Y", "Y", "Z", "W", ""], strict=True))
SEEDS = {"": {}, "seed2": {"seed": 8}}
VARIANTS = {**SEEDS, "sites": {"split_by": "site"}, "sites-seed2": {"split_by": "site", "seed": 8}}


def study(root: Path, by_site: tuple[Split, ...] = BY_SITE) -> Sites:
    """Return a study of eight patients; networks that saw nobody of a site err more."""
    networks = {
        f"{branch}.{name}".rstrip("."): (1.0 + at, 10 * at)
        for branch in folds.BRANCHES
        for at, name in enumerate(SEEDS)
    }
    material = planted_branches.noisy(root, "05_fusion", OWN, networks)
    asked = {name: changes for name, changes in VARIANTS.items() if name}
    variants = {"03_train_unet2d": asked, "04_train_unet3d": asked}
    run = replace(material.run, study=material.study.model_copy(update={"variants": variants}))
    entries = [
        Entry(Case(name, name, "brats2020", {}, None, site=site), "internal")
        for name, site in SITE.items()
    ]
    write_cases(table_of(entries), run.work_dir / "cases.csv")
    write_splits(by_site, path_of(run.work_dir, "site"))
    material = replace(material, run=run)
    records.write_table(run, "trainings", fusion_gain.scores(material))
    for split in by_site:
        for name in split.test:
            for branch in folds.BRANCHES:
                for at, variant in enumerate(("sites", "sites-seed2")):
                    volume = planted_branches.noisy_volume(name, 3.0, 20 * at)
                    place = f"predictions/{branch}.{variant}/fold{split.fold}/{name}.npy"
                    planted_branches.predict.save(volume, run.work_dir / place)
    return Sites(material, material, pd.DataFrame(), {})


def test_a_study_with_networks_by_site_is_paired_patient_by_patient(tmp_path: Path) -> None:
    scores = left_out_sites.measure(study(tmp_path))
    assert set(scores["patient_id"]) == set("ABCDEFG"), "nobody knows the site of H"
    assert scores.groupby(["network", "of", "seed"]).size().tolist() == [7 * 5] * 12
    assert set(scores["grade"]) == {"unknown grade"}
    homes = scores.drop_duplicates("patient_id").set_index("patient_id")["site"]
    assert homes.to_dict() == dict(zip("ABCDEFG", [*"XXXYY", SMALLER, SMALLER], strict=True))
    trained = scores[scores["network"] == UNSEEN].drop_duplicates("site")
    assert trained.set_index("site")["trained"].to_dict() == {"X": 4, "Y": 5, SMALLER: 5}
    values = by_name(scores)
    assert values["drop_mean_dice"].value > 0.05 and values["drop_mean_dice"].n_seeds == 2
    # the study's own scores are those of notebook 05, to the digits of its table
    own = scores[(scores["network"] == SEEN) & (scores["of"] == "fused") & (scores["seed"] == 0)]
    again = folds.segmentation_scores(study(tmp_path / "again").inside, ["fused"])
    both = own.merge(again, on=["patient_id", "region"], suffixes=("", "_again"))
    assert len(both) == 35 and (both["dice"] - both["dice_again"]).abs().max() < 1e-5


def test_a_network_that_saw_the_site_is_refused(tmp_path: Path) -> None:
    leaking = (replace(BY_SITE[0], train=tuple("CDEFG"), test=tuple("AB")), *BY_SITE[1:])
    leaking = (leaking[0], replace(BY_SITE[1], train=tuple("ABFG"), test=tuple("CDE")), BY_SITE[2])
    with pytest.raises(MismatchError, match="fold 0 by site was trained on X, which it tests"):
        left_out_sites.measure(study(tmp_path, leaking))


def test_without_such_networks_or_with_external_patients_nothing_is_said(tmp_path: Path) -> None:
    sites = study(tmp_path)
    external = (Split(0, tuple("AB"), (), tuple("CD"), tuple("E")),)
    plain = sites.inside.study.model_copy(update={"variants": {}})
    cases = (
        replace(sites, outside=replace(sites.outside, splits=external)),
        replace(sites, inside=replace(sites.inside, run=replace(sites.inside.run, study=plain))),
    )
    for other in cases:
        left_out = left_out_sites.measure(other)
        assert left_out.empty and left_out_sites.values(left_out) == []
        assert left_out_sites.drops(left_out).empty and left_out_sites.conclusion(left_out) == ""
