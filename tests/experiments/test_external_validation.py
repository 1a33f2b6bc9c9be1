"""What is said of another site: drops as they are, what a z-score gains."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from gliomalib.experiments import external_comparison, external_validation
from gliomalib.experiments.external_sites import Z_SCORE, GroupScores, Sites
from gliomalib.experiments.values import ONE_TRAINING
from tests import planted_sites as planted


def test_empty_and_missed_masks_are_counted(site_scores: GroupScores, sites: Sites) -> None:
    rows = site_scores.scores.copy()
    of_et = (rows["region"] == "ET") & (rows["network"] == "fused")
    for name, state in (("E00", "missed"), ("E01", "spurious"), ("I00", "empty")):
        rows.loc[of_et & (rows["patient_id"] == name), "state"] = state
    changed = replace(site_scores, scores=rows)
    table = external_comparison.beside(changed, sites.study)
    row = table.set_index(["of", "score"]).loc[("fused", "ET")]
    names = ["missed_external", "missed_internal", "empty_external", "empty_internal"]
    assert row[names].tolist() == [2, 0, 0, 1]
    values = {value.name: value for value in external_validation.values(changed, sites)}
    assert (values["drop_ET"].n_missed, values["drop_ET"].n_empty) == (2, 1)


def test_values_have_every_name_a_rule_and_their_patients(
    site_scores: GroupScores, sites: Sites
) -> None:
    told = {one.name: one for one in external_validation.values(site_scores, sites)}
    wanted = {*external_validation.DROPS, "external_mean_dice", "internal_mean_dice"}
    wanted |= {"external_excluded_overlap", "external_without_mask", "ece_internal", "ece_external"}
    wanted |= {"z_score_gain", "z_score_gain_internal"}
    assert wanted <= set(told)
    assert all(one.rule for one in told.values())
    assert told["drop_mean_dice"].n_patients == 75 and told["z_score_gain"].n_patients == 35
    assert told["external_excluded_overlap"].value == 2
    assert told["external_without_mask"].value == 1
    assert told["drop_mean_dice_2d"].value > told["drop_mean_dice"].value


def test_a_z_score_that_helps_one_patient_names_him(site_scores: GroupScores, sites: Sites) -> None:
    remedied = site_scores.remedied.copy()
    helped = (remedied["network"] == Z_SCORE) & (remedied["patient_id"] == "E07")
    remedied.loc[helped, "dice"] += 3.0
    values = external_validation.values(replace(site_scores, remedied=remedied), sites)
    found = {value.name: value.note for value in values}
    assert found["z_score_gain"] == f"one patient decides: E07; {ONE_TRAINING}"
    assert found["z_score_gain_internal"] == ONE_TRAINING


def test_the_conclusion_says_what_was_left_out(site_scores: GroupScores, sites: Sites) -> None:
    text = external_validation.conclusion(site_scores, sites)
    assert text.startswith("On site B the fused volume reaches a mean Dice of")
    assert "left out: patient of the study 2, no mask 1, faulty 1, same patient again 1." in text
    assert "t2 moved most, by 0.100" in text


def test_one_patient_outside_has_a_drop_without_interval(tmp_path: Path) -> None:
    inside, outside = planted.INSIDE[:3], planted.OUTSIDE[:1]
    one, groups = planted.scores_of(inside, outside), planted.sites_of(tmp_path, inside, outside)
    text = external_validation.conclusion(one, groups)
    assert "(1 patient, no interval)" in text and "is shown" not in text
    told = {value.name: value for value in external_validation.values(one, groups)}
    assert told["drop_mean_dice"].ci95 is None and told["external_mean_dice"].ci95 is None


def test_nobody_outside_is_said_and_is_no_error(tmp_path: Path) -> None:
    inside = planted.INSIDE[:3]
    alone, groups = planted.scores_of(inside, ()), planted.sites_of(tmp_path, inside, ())
    assert "no external patients" in external_validation.conclusion(alone, groups)
    table = external_comparison.beside(alone, groups.study)
    assert table[["drop", "external"]].isna().all(axis=None)
    # three patients are too few for a macro score
    assert table["score"][table["internal"].isna()].tolist() == ["balanced_accuracy"]
    values = external_validation.values(alone, groups)
    assert not any(value.name.startswith("drop") for value in values)


def test_the_rule_of_a_drop_says_whether_it_is_paired(
    site_scores: GroupScores, sites: Sites
) -> None:
    twins = dict(zip(planted.OUTSIDE, planted.INSIDE, strict=False))
    paired, groups = replace(site_scores, twins=twins), replace(sites, twins=twins)
    apart = {value.name: value for value in external_validation.values(site_scores, sites)}
    told = {value.name: value for value in external_validation.values(paired, groups)}
    assert "40 internal less 35 external patients, unpaired" in apart["drop_ET"].rule
    assert "the same 35 held-out phantoms imaged at both sites, paired" in told["drop_ET"].rule
    assert told["drop_mean_dice"].n_patients == told["internal_mean_dice"].n_patients == 35
    assert "phantoms imaged at both sites" in told["internal_mean_dice"].rule
    assert "who are the same phantoms imaged at both sites" in external_validation.conclusion(
        paired, groups
    )


def test_the_mean_counts_the_masks_of_its_three_classes(
    site_scores: GroupScores, sites: Sites
) -> None:
    rows = site_scores.scores.copy()
    fused = rows["network"] == "fused"
    planted_states = (("ET", "E00", "missed"), ("NCR", "E00", "spurious"), ("ED", "I00", "empty"))
    for region, name, state in (*planted_states, ("WT", "E01", "missed")):
        one = fused & (rows["region"] == region) & (rows["patient_id"] == name)
        rows.loc[one, "state"] = state
    changed = replace(site_scores, scores=rows)
    row = external_comparison.beside(changed, sites.study).set_index(["of", "score"])
    names = ["missed_external", "missed_internal", "empty_external", "empty_internal"]
    assert row.loc[("fused", "mean"), names].tolist() == [2, 0, 0, 1]
    values = {value.name: value for value in external_validation.values(changed, sites)}
    for name, counts in (
        ("drop_mean_dice", (2, 1)),
        ("external_mean_dice", (2, 0)),
        ("internal_mean_dice", (0, 1)),
        ("external_accuracy", (0, 0)),
    ):
        assert (values[name].n_missed, values[name].n_empty) == counts, name


def test_a_score_over_classes_that_is_none_says_why_and_keeps_its_patients(
    site_scores: GroupScores, sites: Sites
) -> None:
    slices = site_scores.slices
    few = (slices["part"] == "test") | (slices["truth"] != 1) | (slices["patient_id"] == "E00")
    values = external_validation.values(replace(site_scores, slices=slices[few]), sites)
    found = {value.name: value for value in values}
    why = (
        "external patients: necrotic core is in 1 of 35 patients: no macro score over four classes"
    )
    for name, n in (("internal", 40), ("external", 35)):
        assert found[f"{name}_balanced_accuracy"].n_patients == n
        assert found[f"{name}_balanced_accuracy"].note == why
        assert not found[f"{name}_accuracy"].note
    drop = found["drop_balanced_accuracy"]
    assert np.isnan(drop.value) and drop.note == why and drop.n_patients == 75
    assert "40 internal less 35 external patients" in drop.rule


def test_every_number_of_the_networks_says_that_they_were_trained_once(
    site_scores: GroupScores, sites: Sites
) -> None:
    for value in external_validation.values(site_scores, sites):
        counts_cases = value.name.removeprefix("external_") in {
            name for name, _ in external_validation.LEFT_OUT.values()
        }
        assert value.n_seeds == (0 if counts_cases else 1), value.name
