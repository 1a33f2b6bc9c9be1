"""What is said of another site: drops as they are, the rule of the verdict, and what few allow."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gliomalib import records
from gliomalib.experiments import external_validation, remedies
from gliomalib.experiments.external_sites import (
    AGAIN,
    FAULTY,
    NO_MASK,
    NONE,
    OVERLAP,
    SCORED,
    Found,
    Sites,
)
from gliomalib.pipeline import folds, preprocess
from gliomalib.schema import SEQUENCES, Split
from gliomalib.scoring import calibration, tables

INSIDE, OUTSIDE = tuple(f"I{n:02d}" for n in range(40)), tuple(f"E{n:02d}" for n in range(35))
LOST = {"2D": 0.2, "3D": 0.02, "fused": 0.1}
"""The planted drop of each network."""


def sites_of(root: Path, inside: tuple[str, ...], outside: tuple[str, ...]) -> Sites:
    where = {"data_dir": str(root / "d"), "report_dir": str(root / "r")}
    run = records.begin("13_external_validation", {"study": "smoke", **where})
    store = preprocess.open_store(run.work_dir / "store", run.study.preprocessing)
    material = folds.Material(run, (Split(0, ("T",), (), inside, outside),), store)
    fates = [SCORED] * len(outside) + (
        [OVERLAP, OVERLAP, NO_MASK, FAULTY, AGAIN] if outside else []
    )
    cases = pd.DataFrame({"fate": fates}).assign(release="r", site="site B", patient_id="x")
    return Sites(material, material, cases, {})


def score_rows(name: str, part: str) -> list[dict[str, object]]:
    rng = np.random.default_rng((len(name), int(name[1:]), ord(name[0])))
    level = rng.normal(0.8, 0.05)
    rows: list[dict[str, object]] = []
    for network, lost in LOST.items():
        for region in tables.REGIONS:
            dice = level - (lost if part == "external" else 0)
            about = {"patient_id": name, "part": part, "fold": 0, "network": network}
            rows.append({**about, "region": region, "dice": dice, "state": "both"})
    return rows


def tally(name: str, honest: bool) -> calibration.Reliability:
    rng = np.random.default_rng(int(name[1:]))
    sure = rng.uniform(0.5, 1, 4000)
    truth = (rng.random(4000) > (sure if honest else sure - 0.2)).astype(int)
    rest = (1 - sure) / 3
    return calibration.tally(np.stack([sure, rest, rest, rest], axis=1), truth)


def found_of(inside: tuple[str, ...], outside: tuple[str, ...]) -> Found:
    people = [("test", name) for name in inside] + [("external", name) for name in outside]
    scores = pd.DataFrame([row for part, name in people for row in score_rows(name, part)])
    slices = pd.DataFrame(
        [
            {"patient_id": name, "part": part, "fold": 0, "z": z, "truth": z % 4,
             "predicted": z % 4 if z < (16 if part == "test" else 12) else (z + 1) % 4}
            for part, name in people
            for z in range(20)
        ]
    )  # fmt: skip
    values = np.linspace(0.2, 0.6, 100)
    intensities = pd.DataFrame(
        [
            {"patient_id": name, "part": part, "sequence": sequence, "value": value}
            for part, name in people
            for sequence in SEQUENCES
            for value in values + (0.1 if (part, sequence) == ("external", "t2") else 0)
        ]
    )
    won = {NONE: 0.0, "z_score": 0.03, "histogram": 0.0, "tta": -0.04}
    remedied = pd.concat(
        [
            scores[scores["network"] == "fused"].assign(
                network=key,
                dice=lambda own, key=key, gain=gain: (
                    own["dice"]
                    + np.where(own["part"] == "external", gain, -gain)
                    + (own["patient_id"].str[1:].astype(int) % 5 - 2) * 0.001 * (key != NONE)
                ),
            )
            for key, gain in won.items()
        ]
    )
    tallies = {
        "test": {name: tally(name, True) for name in inside},
        "external": {name: tally(name, False) for name in outside},
    }
    return Found(scores, slices, intensities, tallies, remedied)


@pytest.fixture(scope="module")
def found() -> Found:
    return found_of(INSIDE, OUTSIDE)


@pytest.fixture(scope="module")
def groups(tmp_path_factory: pytest.TempPathFactory) -> Sites:
    return sites_of(tmp_path_factory.mktemp("groups"), INSIDE, OUTSIDE)


def test_planted_drops_are_found_with_intervals_around_them(found: Found, groups: Sites) -> None:
    table = external_validation.beside(found, groups.study).set_index(["of", "score"])
    for network, lost in LOST.items():
        row = table.loc[(network, "mean")]
        assert row["low"] < lost < row["high"] and row["high"] - row["low"] < 0.08
        assert row["drop"] == pytest.approx(row["internal"] - row["external"])
        assert row["internal_low"] < row["internal"] < row["internal_high"]
        assert (row["n_internal"], row["n_external"]) == (40, 35)
    assert table.loc[("ResNet50", "accuracy"), "drop"] == pytest.approx(0.2)
    assert len(table) == 3 * (1 + len(tables.REGIONS)) + 2


def test_the_folds_of_a_patient_are_averaged_first(found: Found, groups: Sites) -> None:
    again = found.scores[found.scores["part"] == "external"].assign(
        fold=1, dice=lambda rows: rows["dice"] - 0.1
    )
    twice = replace(found, scores=pd.concat([found.scores, again]))
    before, after = (external_validation.beside(one, groups.study) for one in (found, twice))
    assert (after["n_external"] == before["n_external"]).all()
    dice = before["of"] != "ResNet50"
    assert np.allclose(after["external"][dice], before["external"][dice] - 0.05)


def test_empty_and_missed_masks_are_counted(found: Found, groups: Sites) -> None:
    scores = found.scores.copy()
    of_et = (scores["region"] == "ET") & (scores["network"] == "fused")
    for name, state in (("E00", "missed"), ("E01", "spurious"), ("I00", "empty")):
        scores.loc[of_et & (scores["patient_id"] == name), "state"] = state
    table = external_validation.beside(replace(found, scores=scores), groups.study)
    row = table.set_index(["of", "score"]).loc[("fused", "ET")]
    names = ["missed_external", "missed_internal", "empty_external", "empty_internal"]
    assert row[names].tolist() == [2, 0, 0, 1]
    told = {
        one.name: one for one in external_validation.values(replace(found, scores=scores), groups)
    }
    assert (told["drop_ET"].n_missed, told["drop_ET"].n_empty) == (2, 1)


@pytest.mark.parametrize(
    ("low", "high", "told"),
    [
        (-0.02, 0.04, "holds"),
        (0.01, 0.049, "holds"),
        (0.01, 0.05, "holds"),
        (0.01, 0.06, "undecided"),
        (0.05, 0.06, "undecided"),
        (0.06, 0.2, "does not hold"),
        (-0.01, 0.06, "undecided"),
        (np.nan, np.nan, "undecided"),
    ],
)
def test_the_rule_of_the_verdict(low: float, high: float, told: str) -> None:
    assert external_validation.verdict(low, high) == told


def test_values_have_every_name_a_rule_and_their_patients(found: Found, groups: Sites) -> None:
    told = {one.name: one for one in external_validation.values(found, groups)}
    wanted = {*external_validation.DROPS, "external_mean_dice", "internal_mean_dice"}
    wanted |= {"external_excluded_overlap", "external_without_mask", "ece_internal", "ece_external"}
    wanted |= {f"shift_{sequence}" for sequence in SEQUENCES}
    wanted |= {f"{key}_gain{part}" for key in remedies.REMEDIES for part in ("", "_internal")}
    assert wanted <= set(told)
    assert all(one.rule for one in told.values())
    assert told["drop_mean_dice"].n_patients == 75 and told["z_score_gain"].n_patients == 35
    assert told["external_excluded_overlap"].value == 2
    assert told["external_without_mask"].value == 1
    assert told["drop_mean_dice_2d"].value > told["drop_mean_dice"].value
    assert told["shift_t2"].value == pytest.approx(0.1) and told["shift_t1"].value == 0


def test_calibration_is_that_of_the_pooled_patients(found: Found, groups: Sites) -> None:
    told = {one.name: one for one in external_validation.values(found, groups)}
    for part, name in (("test", "internal"), ("external", "external")):
        pooled = calibration.pooled(found.tallies[part].values())
        assert told[f"ece_{name}"].value == pytest.approx(calibration.expected_error(pooled.bins))
        assert told[f"brier_{name}"].value == pytest.approx(pooled.brier)
    assert told["ece_external"].ci95[0] > told["ece_internal"].ci95[1]
    table = external_validation.reliability(found)
    assert set(table["part"]) == {"internal", "external"}
    assert table.groupby("part")["n"].sum().to_dict() == {"internal": 160_000, "external": 140_000}


def test_a_remedy_that_helps_outside_and_costs_inside_shows(found: Found, groups: Sites) -> None:
    table = external_validation.gains(found, groups.study).set_index(["part", "remedy"])
    assert table.loc[("external", "z_score"), "gain"] == pytest.approx(0.03, abs=1e-3)
    assert table.loc[("internal", "z_score"), "gain"] == pytest.approx(-0.03, abs=1e-3)
    assert table.loc[("external", "histogram"), "verdict"] == "equivalent"
    text = external_validation.conclusion(found, groups)
    assert "z-score (+0.030) helps outside" in text
    assert "mirror images averaged (-0.040) costs Dice there" in text
    assert "mirror images averaged (+0.040) helps and z-score (-0.030) costs Dice." in text


def test_the_conclusion_says_what_was_left_out_and_that_both_sites_are_made(
    found: Found, groups: Sites
) -> None:
    text = external_validation.conclusion(found, groups)
    assert text.startswith("By the rule it does not hold on site B")
    assert "left out: patient of the study 2, no mask 1, faulty 1, same patient again 1." in text
    assert "t2 moved most, by 0.100" in text
    assert "it stands for no hospital" in text and "fewer than 30" not in text


def test_five_patients_a_group_conclude_nothing(tmp_path: Path) -> None:
    inside, outside = INSIDE[:5], OUTSIDE[:5]
    few, groups = found_of(inside, outside), sites_of(tmp_path, inside, outside)
    text = external_validation.conclusion(few, groups)
    assert "With 5 and 5 patients, fewer than 30, the interval itself is not" in text
    assert "no remedy helps outside" in text and "cannot fall below 0.188" in text


def test_one_patient_outside_has_a_drop_without_interval(tmp_path: Path) -> None:
    inside, outside = INSIDE[:3], OUTSIDE[:1]
    one, groups = found_of(inside, outside), sites_of(tmp_path, inside, outside)
    text = external_validation.conclusion(one, groups)
    assert "it is undecided whether it holds" in text and "(no interval: a single patient)" in text
    told = {value.name: value for value in external_validation.values(one, groups)}
    assert told["drop_mean_dice"].ci95 is None and told["external_mean_dice"].ci95 is None


def test_nobody_outside_is_said_and_is_no_error(tmp_path: Path) -> None:
    alone, groups = found_of(INSIDE[:3], ()), sites_of(tmp_path, INSIDE[:3], ())
    assert "no external patients" in external_validation.conclusion(alone, groups)
    table = external_validation.beside(alone, groups.study)
    assert table[["drop", "external"]].isna().all(axis=None) and table["internal"].notna().all()
    assert not [
        one for one in external_validation.values(alone, groups) if one.name.startswith("drop")
    ]


def test_the_same_data_give_the_same_numbers(found: Found, groups: Sites) -> None:
    assert external_validation.values(found, groups) == external_validation.values(found, groups)
