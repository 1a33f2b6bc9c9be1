"""Baselines: nobody lost, planted gains and ties found, no network where none is needed."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gliomalib.experiments import baseline_methods, baselines
from gliomalib.fusion.slices import slice_classes
from gliomalib.networks import predict
from gliomalib.pipeline import folds
from gliomalib.schema import RecordError, Split, Volume
from gliomalib.scoring import metrics
from gliomalib.scoring import tables as evaluate
from tests import planted_baselines as planted
from tests import planted_branches


def test_every_method_meets_every_reported_patient_and_nobody_else(
    method_trial: baseline_methods.MethodTrial,
) -> None:
    assert list(method_trial.segmenters) == ["fused", "2d", "3d", "two_seeds"]
    assert list(method_trial.classifiers) == [
        "resnet50", "truth", "two_seeds", "area_rule", "area_rule_2d", "area_rule_3d",
        "area_rule_two_seeds", "position", "majority",
    ]  # fmt: skip
    for part, names in (("test", list("CDEFGHIJ")), ("external", ["K", "L"])):
        for score, titles in (
            ("mean_dice", method_trial.segmenters),
            ("mean_region_dice", method_trial.segmenters),
            ("accuracy", method_trial.classifiers),
            ("balanced_accuracy", method_trial.classifiers),
        ):
            wide = baselines.table(method_trial, part, score)
            assert wide.index.tolist() == names and list(wide) == list(titles)
            assert wide.notna().all().all()


def test_dice_is_that_of_the_volumes(
    methods_study: folds.Material, method_trial: baseline_methods.MethodTrial
) -> None:
    wide = baselines.table(method_trial, "test", "mean_dice")
    regions = baselines.table(method_trial, "test", "mean_region_dice")
    scored = folds.segmentation_scores(methods_study, ["fused", "unet2d", "unet3d"])
    for network, method in (("fused", "fused"), ("2D", "2d"), ("3D", "3d")):
        rows = scored[(scored["network"] == network) & (scored["part"] == "test")]
        dice = rows.pivot(index="patient_id", columns="region", values="dice")
        pd.testing.assert_series_equal(
            wide[method], dice[["NCR", "ED", "ET"]].mean(axis=1), check_names=False
        )
        pd.testing.assert_series_equal(
            regions[method], dice[["WT", "TC", "ET"]].mean(axis=1), check_names=False
        )


def test_a_planted_gain_is_found_and_a_second_seed_that_adds_nothing_gains_nothing(
    methods_study: folds.Material, method_trial: baseline_methods.MethodTrial
) -> None:
    found = baselines.compared(method_trial, "test", "mean_dice", methods_study.study).set_index(
        "method"
    )
    assert found["verdict"].tolist() == ["–", "different", "different", "different"]
    assert (found["low"].iloc[1:] > 0).all() and np.isnan(found["difference"]["fused"])
    assert found["difference"]["two_seeds"] == found["difference"]["3d"]
    wide = baselines.table(method_trial, "test", "mean_dice")
    assert found["difference"]["2d"] == pytest.approx((wide["fused"] - wide["2d"]).mean())


def test_a_classifier_that_is_the_same_is_equivalent(
    methods_study: folds.Material, method_trial: baseline_methods.MethodTrial
) -> None:
    found = baselines.compared(method_trial, "test", "accuracy", methods_study.study).set_index(
        "method"
    )
    assert found["verdict"]["truth"] == "equivalent" and found["difference"]["truth"] == 0
    assert found["difference"]["two_seeds"] == pytest.approx(-0.2)
    assert found["mean"]["resnet50"] == pytest.approx(0.8)


def test_position_alone_is_always_right_where_position_is_all_there_is(
    methods_study: folds.Material, method_trial: baseline_methods.MethodTrial
) -> None:
    assert (baselines.table(method_trial, "test", "accuracy")["position"] == 1).all()
    values = {one.name: one for one in baselines.values(method_trial, methods_study.study)}
    assert values["accuracy_position"].value == values["external_accuracy_position"].value == 1
    assert values["accuracy_majority"].value < 0.7
    truth = np.concatenate(
        [slice_classes(planted_branches.labels_of(name), "dominant") for name in "AB"]
    )
    share = np.bincount(truth).max() / len(truth)
    assert values["accuracy_majority"].value == pytest.approx(share)


def test_values_have_names_that_others_rely_on(
    methods_study: folds.Material, method_trial: baseline_methods.MethodTrial
) -> None:
    values = {one.name: one for one in baselines.values(method_trial, methods_study.study)}
    needed = {
        "fused_minus_2d_mean_dice", "fused_minus_3d_mean_dice", "fused_minus_two_seeds_mean_dice",
        "fused_mean_region_dice", "accuracy_resnet50", "balanced_accuracy_area_rule",
        "accuracy_truth", "accuracy_position", "accuracy_majority",
        "resnet50_minus_area_rule_accuracy", "resnet50_minus_position_balanced_accuracy",
    }  # fmt: skip
    assert {*needed, *(f"external_{name}" for name in needed)} <= set(values)
    assert all(one.rule for one in values.values())
    regions = baselines.table(method_trial, "test", "mean_region_dice")["fused"]
    assert values["fused_mean_region_dice"].value == pytest.approx(regions.mean())
    assert values["fused_mean_region_dice"].n_patients == 8
    assert values["external_accuracy_resnet50"].n_patients == 2
    table = baselines.classifiers(method_trial, list(values.values()), "test")
    assert len(table) == 2 * len(method_trial.classifiers)
    assert table["value"].iloc[0] == pytest.approx(0.8)


def test_a_patient_of_several_folds_counts_once_with_the_mean(tmp_path: Path) -> None:
    made = planted.study(tmp_path, planted.TWO)
    flat = folds.volume(made, "unet2d", 0, "K")
    worse = Volume(flat.probabilities[[0, 3, 2, 1]], flat.grid)
    predict.save(worse, made.run.work_dir / "predictions" / "unet2d" / "fold1" / "K.npy")
    trial = baseline_methods.measure(made)
    wide = baselines.table(trial, "external", "mean_dice")
    assert wide.index.tolist() == ["K", "L"]
    dice = []
    for one in (flat, worse):
        counts = metrics.confusion_matrix(
            planted_branches.labels_of("K"), evaluate.predicted_labels(one)
        )
        dice.append(np.mean([metrics.dice(counts, (label,), "brats") for label in (1, 2, 3)]))
    assert wide["2d"]["K"] == pytest.approx(np.mean(dice)) and dice[0] > dice[1] + 0.1
    assert baselines.table(trial, "test", "accuracy").index.tolist() == list("ABCD")


def test_what_a_study_lacks_is_said_and_is_no_error(tmp_path: Path) -> None:
    splits = (Split(0, ("A", "B"), (), ("C", "D"), ()),)
    made = planted.study(tmp_path, splits)
    bare = made.study.model_copy(update={"variants": {}})
    made = replace(made, run=replace(made.run, study=bare))
    trial = baseline_methods.measure(made)
    values = baselines.values(trial, bare)
    names = {one.name for one in values}
    assert "fused_minus_3d_mean_dice" in names and "accuracy_position" in names
    assert not any("two_seeds" in name or "truth" in name for name in names)
    said = " ".join(baselines.absent(trial))
    assert "No second seed" in said and "ResNet50 on expert masks" in said
    assert "no external patients" in said
    text = baselines.conclusion(trial, values, bare)
    assert text.startswith("On 2 held-out patients") and "a difference cannot be shown" in text
    with pytest.raises(RecordError, match="no patient of part 'external'"):
        baselines.table(trial, "external", "mean_dice")


def test_the_conclusion_tells_what_a_network_adds(
    methods_study: folds.Material, method_trial: baseline_methods.MethodTrial
) -> None:
    values = baselines.values(method_trial, methods_study.study)
    text = baselines.conclusion(method_trial, values, methods_study.study)
    assert "ResNet50 on fused slices is right in 0.800 of slices" in text
    assert "slice position alone: -0.200 (-0.200 to -0.200, undecided)" in text
    assert "Accuracy, largest area in fused, α = 0.6: 8 patients" in text
    assert "what it misses there it has not learnt" in text
    assert "No second seed" not in " ".join(baselines.absent(method_trial))
