"""Two sites side by side: planted drops, calibration and gains come back, counted by patient."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from gliomalib.experiments import external_comparison, external_validation
from gliomalib.experiments.external_sites import GroupScores, Sites
from gliomalib.scoring import calibration, tables
from tests import planted_sites as planted


def test_planted_drops_are_found_with_intervals_around_them(
    site_scores: GroupScores, sites: Sites
) -> None:
    table = external_comparison.beside(site_scores, sites.study).set_index(["of", "score"])
    for network, lost in planted.LOST.items():
        row = table.loc[(network, "mean")]
        assert row["low"] < lost < row["high"] and row["high"] - row["low"] < 0.08
        assert row["drop"] == pytest.approx(row["internal"] - row["external"])
        assert row["internal_low"] < row["internal"] < row["internal_high"]
        assert (row["n_internal"], row["n_external"]) == (40, 35)
    assert table.loc[("ResNet50", "accuracy"), "drop"] == pytest.approx(0.2)
    assert len(table) == 3 * (1 + len(tables.REGIONS)) + 2


def test_the_folds_of_a_patient_are_averaged_first(site_scores: GroupScores, sites: Sites) -> None:
    again = site_scores.scores[site_scores.scores["part"] == "external"].assign(
        fold=1, dice=lambda rows: rows["dice"] - 0.1
    )
    twice = replace(site_scores, scores=pd.concat([site_scores.scores, again]))
    before, after = (external_comparison.beside(one, sites.study) for one in (site_scores, twice))
    assert (after["n_external"] == before["n_external"]).all()
    dice = before["of"] != "ResNet50"
    assert np.allclose(after["external"][dice], before["external"][dice] - 0.05)


def test_a_z_score_that_helps_outside_and_costs_inside_shows(
    site_scores: GroupScores, sites: Sites
) -> None:
    gains = {group: gain.effect for group, gain in external_comparison.gains(site_scores).items()}
    assert gains["external"].value == pytest.approx(0.03, abs=1e-3)
    assert gains["internal"].value == pytest.approx(-0.03, abs=1e-3)
    assert (gains["external"].n, gains["internal"].n) == (35, 40)
    text = external_validation.conclusion(site_scores, sites)
    assert "A z-score helps outside; it adds -0.030 (-0.030 to -0.030) internal" in text


def test_calibration_is_that_of_the_pooled_patients(site_scores: GroupScores, sites: Sites) -> None:
    told = {one.name: one for one in external_validation.values(site_scores, sites)}
    for part, name in (("test", "internal"), ("external", "external")):
        together = sum(site_scores.tallies[part].values())
        assert told[f"ece_{name}"].value == pytest.approx(calibration.expected_error(together))
        assert told[f"brier_{name}"].value == pytest.approx(calibration.brier(together))
    assert told["ece_external"].ci95[0] > told["ece_internal"].ci95[1]
    table = external_comparison.reliability(site_scores)
    assert set(table["part"]) == {"internal", "external"}
    assert table.groupby("part")["n"].sum().to_dict() == {"internal": 160_000, "external": 140_000}


def test_who_was_imaged_at_both_sites_is_compared_with_himself(
    site_scores: GroupScores, sites: Sites
) -> None:
    level = site_scores.scores.copy()
    twins = dict(zip(planted.OUTSIDE, planted.INSIDE, strict=False))
    # the twin of a patient has his own level, less what the site costs
    own = level[level["part"] == "test"].set_index(["patient_id", "network", "region"])["dice"]
    rows = level["part"] == "external"
    keys = list(zip(level["patient_id"].map(twins), level["network"], level["region"], strict=True))
    lost = level["network"].map(planted.LOST)
    level.loc[rows, "dice"] = [own[key] for key, out in zip(keys, rows, strict=True) if out]
    level.loc[rows, "dice"] -= lost[rows]
    apart = external_comparison.beside(replace(site_scores, scores=level), sites.study)
    paired = external_comparison.beside(
        replace(site_scores, scores=level, twins=twins), sites.study
    )
    keys = ["of", "score"]
    row, before = (t.set_index(keys).loc[("fused", "mean")] for t in (paired, apart))
    assert (row["n_internal"], row["n_external"]) == (35, 35)
    assert row["drop"] == pytest.approx(planted.LOST["fused"])
    assert row["internal"] - row["external"] == pytest.approx(row["drop"])
    assert row["high"] - row["low"] < 1e-9
    assert before["high"] - before["low"] > 0.02
    accuracy = paired.set_index(keys).loc[("ResNet50", "accuracy")]
    assert accuracy["drop"] == pytest.approx(0.2) and accuracy["n_internal"] == 35


def test_nobody_but_twins_is_compared(site_scores: GroupScores) -> None:
    some = {"E00": "I03", "E01": "I00", "E02": "nobody"}
    pairs = external_comparison.compared(replace(site_scores, twins=some))
    for table in (pairs.scores, pairs.slices):
        by_part = table.groupby("part")["patient_id"].unique().map(sorted).to_dict()
        assert by_part == {"test": ["I00", "I03"], "external": ["I00", "I03"]}
    assert external_comparison.compared(site_scores) is site_scores
