"""Fusion rules over every fold: fitted on validation patients, nobody lost, gains as they are."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gliomalib.experiments import adaptive_fusion
from gliomalib.fusion import rules
from gliomalib.pipeline import folds
from gliomalib.schema import Split, StoredCase
from gliomalib.scoring import tables
from tests import planted_branches

FITTED = [key for key, rule in rules.RULES.items() if rule.fitted_on == "inner patients"]
BRANCHES = {"unet2d": (3.0, 1), "unet3d": (1.0, 2)}
"""The 3D branch is the better one, and the branches err independently."""


def study(root: Path, splits: tuple[Split, ...]) -> folds.Material:
    return planted_branches.noisy(root, "10_adaptive_fusion", splits, BRANCHES)


ONE = (Split(0, ("A",), ("B", "C", "D"), ("E", "F"), ("G", "H")),)


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> folds.Material:
    return study(tmp_path_factory.mktemp("adaptive"), ONE)


@pytest.fixture(scope="module")
def trial(material: folds.Material) -> adaptive_fusion.RuleTrial:
    return adaptive_fusion.try_rules(material)


def test_every_rule_meets_every_reported_patient_and_nobody_else(
    trial: adaptive_fusion.RuleTrial,
) -> None:
    assert trial.tried == list(rules.RULES)
    for part, names in (("test", ["E", "F"]), ("external", ["G", "H"])):
        wide = adaptive_fusion.table(trial, part)
        assert wide.index.tolist() == names
        assert list(wide) == [*rules.RULES, "oracle"]
        assert wide.notna().all().all()
    assert sorted(trial.errors["patient_id"]) == ["E", "F", "G", "H"]


def test_scores_are_those_of_the_volumes(
    material: folds.Material, trial: adaptive_fusion.RuleTrial
) -> None:
    scores = trial.scores.set_index(["network", "patient_id", "region"])["dice"]
    table = folds.segmentation_scores(material, ["unet2d", "unet3d", "fused"])
    names = {"2D": "two_d", "3D": "three_d", "fused": "published"}
    for _, row in table.iterrows():
        key = (names[row["network"]], row["patient_id"], row["region"])
        assert scores[key] == pytest.approx(row["dice"], abs=2e-3)


def test_fitted_rules_lean_to_the_better_branch_and_the_oracle_is_the_bound(
    trial: adaptive_fusion.RuleTrial,
) -> None:
    wide = adaptive_fusion.table(trial, "test")
    assert wide["three_d"].mean() > wide["two_d"].mean() + 0.1
    for key in ("chosen_alpha", "stacking", "learnable_scalar"):
        assert wide[key].mean() > wide["published"].mean()
    for key in ("two_d", "three_d", "half", "published"):
        assert (wide["oracle"] >= wide[key] - 1e-9).all()


def test_no_label_of_a_reported_patient_is_looked_at(
    trial: adaptive_fusion.RuleTrial, tmp_path: Path
) -> None:
    other = study(tmp_path, ONE)
    for patient in "EFGH":
        case = other.store.get(patient)
        other.store.put(StoredCase(case.grid, case.images, case.labels[::-1]), "other", {})
    again = adaptive_fusion.try_rules(other)
    assert again.fits.equals(trial.fits)
    assert not again.scores.equals(trial.scores)


def test_a_fold_with_few_validation_patients_says_what_it_did_not_fit(tmp_path: Path) -> None:
    made = study(tmp_path, (Split(0, ("A", "B", "C"), ("D",), ("E", "F"), ("G", "H")),))
    trial = adaptive_fusion.try_rules(made)
    assert trial.tried == [key for key in rules.RULES if key not in FITTED]
    fits = trial.fits.set_index("rule")
    titles = [rules.RULES[key].title for key in FITTED]
    assert not fits["fitted"][titles].any() and fits["fitted"].drop(titles).all()
    assert (fits["found"][titles] == "not fitted: 1 validation patients").all()
    compared = adaptive_fusion.compared(trial, "test")
    text = adaptive_fusion.conclusion(compared, trial)
    assert f"{len(FITTED)} of {len(rules.RULES)} rules need" in text
    values = {one.name: one for one in adaptive_fusion.values(trial, made.study)}
    assert values["rules_not_fitted"].value == len(FITTED)
    assert "stacking_gain" not in values


def test_a_patient_of_several_folds_counts_once(tmp_path: Path) -> None:
    two = (
        Split(0, ("A", "B"), (), ("C", "D", "E", "F"), ("G", "H")),
        Split(1, ("C", "D", "E", "F"), (), ("A", "B"), ("G", "H")),
    )
    made = study(tmp_path, two)
    trial = adaptive_fusion.try_rules(made)
    assert adaptive_fusion.table(trial, "external").index.tolist() == ["G", "H"]
    values = {one.name: one for one in adaptive_fusion.values(trial, made.study)}
    assert values["external_half_gain"].n_patients == 2
    assert values["half_gain"].n_patients == 6


def test_gains_are_paired_differences_with_their_verdicts(
    material: folds.Material, trial: adaptive_fusion.RuleTrial
) -> None:
    wide = adaptive_fusion.table(trial, "test")
    found = adaptive_fusion.compared(trial, "test").set_index("method")
    for key in wide.columns.drop("published"):
        assert found["difference"][key] == pytest.approx((wide[key] - wide["published"]).mean())
    assert found["verdict"][["published", "oracle"]].tolist() == ["–", "–"]
    values = {one.name: one for one in adaptive_fusion.values(trial, material.study)}
    assert values["three_d_gain"].value == pytest.approx(found["difference"]["three_d"])
    assert "no method" in values["oracle_gain"].rule
    assert 0 < values["errors_one_right"].value < 1
    assert "published_gain" not in values
    text = adaptive_fusion.conclusion(found.reset_index(), trial)
    gaining = found[found["verdict"].eq("different") & (found["difference"] > 0)]
    assert text.startswith(
        f"By intervals that hold for all 11 rules together {', '.join(gaining['title'])} gain on"
    )
    gain = values["three_d_gain"]
    low, high = gain.ci95 or (np.nan, np.nan)
    # eleven rules at once need wider intervals than one question
    assert found["low"]["three_d"] < low < high < found["high"]["three_d"]


def test_patients_whose_errors_have_no_correlation_are_counted(
    material: folds.Material, trial: adaptive_fusion.RuleTrial
) -> None:
    phi = trial.errors["phi"].where(~trial.errors["patient_id"].isin(["E", "G", "H"]))
    fewer = replace(trial, errors=trial.errors.assign(phi=phi))
    values = {one.name: one for one in adaptive_fusion.values(fewer, material.study)}
    assert values["errors_phi"].n_patients == 1 and values["errors_phi"].value == phi.mean()
    assert values["errors_phi"].rule.endswith("; 1 patient without it left out")
    nobody = values["external_errors_phi"]
    assert np.isnan(nobody.value) and nobody.n_patients == 0
    assert nobody.rule.endswith("; 2 patients without it left out")
    assert values["errors_one_right"].rule.endswith("; 0 patients without it left out")


def test_the_rule_of_the_question_is_tried_on_every_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    again = ("unet2d.seed2", "unet3d.seed2")
    networks = {**BRANCHES, again[0]: (3.0, 3), again[1]: (1.0, 4)}
    made = planted_branches.noisy(tmp_path, "10_adaptive_fusion", ONE, networks)
    monkeypatch.setattr(folds, "seeds", lambda _: {0: folds.BRANCHES, 8: again})
    trial = adaptive_fusion.try_rules(made)
    found = adaptive_fusion.compared(trial, "test").set_index("method")
    assert found["trainings"].drop("published").value_counts().to_dict() == {1: 11, 2: 1}
    dice = tables.with_mean(trial.scores).query("region == 'mean' and part == 'test'")
    by_rule = dice.pivot_table(index=["seed", "patient_id"], columns="network", values="dice")
    expected = (by_rule["entropy_weighted"] - by_rule["published"]).mean()
    assert found["difference"]["entropy_weighted"] == pytest.approx(expected)
    values = {value.name: value for value in adaptive_fusion.values(trial, made.study)}
    assert values["entropy_weighted_gain"].n_seeds == 2
    single = "one training of each network"
    assert single not in values["entropy_weighted_gain"].note
    assert single in values["half_gain"].note


def test_extremes_are_the_largest_gain_and_the_largest_loss(
    material: folds.Material, trial: adaptive_fusion.RuleTrial
) -> None:
    wide = adaptive_fusion.table(trial, "test")
    gain = (wide["gate"] - wide["published"]).sort_values()
    won, lost = adaptive_fusion.extremes(material, trial)
    assert won.title.startswith(str(gain.index[-1])) and lost.title.startswith(str(gain.index[0]))
    assert list(won.predictions) == ["2D", "3D", "α = 0.6", "gate for each voxel"]
    p2d = planted_branches.noisy_volume(str(gain.index[-1]), *BRANCHES["unet2d"])
    np.testing.assert_array_equal(won.predictions["2D"], tables.predicted_labels(p2d))
