"""Baselines: nobody lost, planted gains and ties found, no network where none is needed."""

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gliomalib import settings
from gliomalib.experiments import baseline_methods, baselines
from gliomalib.experiments.values import of
from gliomalib.fusion.slices import slice_classes
from gliomalib.networks import predict
from gliomalib.pipeline import folds
from gliomalib.schema import RecordError, Split, StoredCase, Value, Volume
from gliomalib.scoring import metrics
from gliomalib.scoring import tables as evaluate
from tests import planted_baselines as planted
from tests import planted_branches

STUDY = settings.load("smoke")


def test_every_method_meets_every_reported_patient_and_nobody_else(
    method_trial: baseline_methods.MethodTrial,
) -> None:
    segmenters = ["fused", "2d", "3d", "two_seeds_2d", "two_seeds_3d"]
    assert list(method_trial.segmenters) == segmenters
    assert list(method_trial.classifiers) == [
        "resnet50", "truth", "two_seeds", "area_rule", "position", "majority",
    ]  # fmt: skip
    for part, names in (("test", list("CDEFGHIJ")), ("external", ["K", "L"])):
        for score, titles in (
            ("mean_dice", method_trial.segmenters),
            ("accuracy", method_trial.classifiers),
        ):
            wide = baselines.table(method_trial, part, score)
            assert wide.index.tolist() == names and list(wide) == list(titles)
            assert wide.notna().all().all()


def test_dice_is_that_of_the_volumes(
    methods_study: folds.Material, method_trial: baseline_methods.MethodTrial
) -> None:
    wide = baselines.table(method_trial, "test", "mean_dice")
    scored = folds.segmentation_scores(methods_study, ["fused", "unet2d", "unet3d"])
    for network, method in (("fused", "fused"), ("2D", "2d"), ("3D", "3d")):
        rows = scored[(scored["network"] == network) & (scored["part"] == "test")]
        dice = rows.pivot(index="patient_id", columns="region", values="dice")
        pd.testing.assert_series_equal(
            wide[method], dice[["NCR", "ED", "ET"]].mean(axis=1), check_names=False
        )


def test_a_planted_gain_is_found_and_a_second_seed_that_adds_nothing_gains_nothing(
    methods_study: folds.Material, method_trial: baseline_methods.MethodTrial
) -> None:
    rows = baselines.compared(method_trial, "test", "mean_dice")
    rows = rows.set_index("method")
    assert rows["verdict"].tolist() == ["–", *["different"] * 4]
    assert (rows["low"].iloc[1:] > 0).all() and np.isnan(rows["difference"]["fused"])
    assert rows["difference"]["two_seeds_3d"] == pytest.approx(rows["difference"]["3d"])
    wide = baselines.table(method_trial, "test", "mean_dice")
    assert rows["difference"]["2d"] == pytest.approx((wide["fused"] - wide["2d"]).mean())


def test_a_classifier_that_is_the_same_is_equivalent(
    methods_study: folds.Material, method_trial: baseline_methods.MethodTrial
) -> None:
    rows = baselines.compared(method_trial, "test", "accuracy")
    rows = rows.set_index("method")
    assert rows["verdict"]["truth"] == "equivalent" and rows["difference"]["truth"] == 0
    assert rows["difference"]["two_seeds"] == pytest.approx(-0.2)
    assert rows["mean"]["resnet50"] == pytest.approx(0.8)


def planted_trial(**dice: tuple[float, ...]) -> baseline_methods.MethodTrial:
    """Return 30 patients with these Dice by method, a number for each of three trainings."""
    rng = np.random.default_rng(2)
    patients = rng.normal(0.5, 0.1, 30)
    rows = []
    for part, sign in (("test", 1), ("external", -1)):
        for network, seed in itertools.product((*dice, "fused_scan"), range(3)):
            noise = rng.normal(0, 0.005, 30)
            shift = dice.get(network, dice["fused"])[seed]
            for number, score in enumerate(patients + sign * shift + noise):
                about = {"patient_id": f"{part}{number:02}", "part": part, "fold": 0, "seed": seed}
                rows += [
                    {**about, "network": network, "region": region, "state": "both"}
                    | dict.fromkeys(evaluate.RULES, score)
                    for region in evaluate.REGIONS
                ]
    about = {"seed": 0, "z": 0, "truth": 0, "predicted": 0, "fold": 0}
    people = sorted({(row["patient_id"], row["part"]) for row in rows})
    slices = [
        {**about, "patient_id": patient, "part": part, "method": method}
        for patient, part in people
        for method in ("resnet50", "area_rule", "position", "majority")
    ]
    classifiers = {str(row["method"]): str(row["method"]) for row in slices}
    titles = {name: name for name in dice}
    return baseline_methods.MethodTrial(
        pd.DataFrame(rows), pd.DataFrame(slices), titles, classifiers
    )


NEAR = (0.0, 0.002, -0.002)


def better_of_both(trial: baseline_methods.MethodTrial) -> tuple[Value, str]:
    values = baselines.values(trial)
    return of(values, baselines.BETTER), baselines.conclusion(trial, values)


def test_fusion_that_beats_two_seeds_of_the_worse_branch_only_gains_nothing() -> None:
    low = tuple(number - 0.1 for number in NEAR)
    dice = {"fused": NEAR, "2d": NEAR, "3d": low, "two_seeds_2d": NEAR, "two_seeds_3d": low}
    trial = planted_trial(**dice)
    gain, text = better_of_both(trial)
    values = baselines.values(trial)
    assert (of(values, "fused_minus_two_seeds_3d_mean_dice").ci95 or (0, 0))[0] > 0.05
    assert (gain.ci95 or (1, 1))[0] < 0 and gain.value < 0.01 and gain.n_seeds == 3
    assert "Fusion is not shown to gain more than two trainings of the better branch" in text


def test_fusion_that_beats_two_seeds_of_both_branches_gains() -> None:
    low = tuple(number - 0.05 for number in NEAR)
    dice = {"fused": NEAR, "2d": low, "3d": low, "two_seeds_2d": low, "two_seeds_3d": low}
    gain, text = better_of_both(planted_trial(**dice))
    assert (gain.ci95 or (0, 0))[0] > 0.03
    assert "Fusion gains more than two trainings of the better branch" in text


def test_one_patient_who_decides_a_gain_is_named_in_the_conclusion() -> None:
    trial = planted_trial(**{"fused": NEAR, "2d": NEAR, "3d": NEAR})
    of_one = (trial.scores["patient_id"] == "test07") & (trial.scores["network"] == "3d")
    trial.scores.loc[of_one, list(evaluate.RULES)] = 0.0
    values = baselines.values(trial)
    assert "one patient decides: test07" in of(values, "fused_minus_3d_mean_dice").note
    text = baselines.conclusion(trial, values)
    assert "[one patient decides: test07]" in text.split("3d: ")[1]


def test_a_patient_without_a_score_is_counted_where_he_is_left_out() -> None:
    trial = planted_trial(**{"fused": NEAR, "2d": NEAR, "3d": NEAR})
    of_one = (trial.scores["patient_id"] == "test07") & (trial.scores["network"] == "2d")
    trial.scores.loc[of_one, "dice"] = np.nan
    assert len(baselines.table(trial, "test", "mean_dice")) == 29
    values = baselines.values(trial)
    for other, n, lost in (("2d", 29, "1 patient"), ("3d", 30, "0 patients")):
        gain = of(values, f"fused_minus_{other}_mean_dice")
        assert gain.n_patients == n
        assert f", {lost} without a score left out" in gain.rule


def test_the_second_site_that_says_the_opposite_is_said() -> None:
    low = tuple(number - 0.05 for number in NEAR)
    dice = {"fused": NEAR, "2d": low, "3d": NEAR, "two_seeds_2d": NEAR, "two_seeds_3d": NEAR}
    _, text = better_of_both(planted_trial(**dice))
    assert "The two sites disagree on the sign of mean Dice against 2d (+0.05" in text
    assert "of mean Dice against 3d" not in text


def test_a_classifier_below_its_gate_is_not_judged(
    methods_study: folds.Material, method_trial: baseline_methods.MethodTrial
) -> None:
    values = baselines.values(method_trial)
    assert of(values, "classifier_gate").value == 0
    gain = of(values, "resnet50_minus_area_rule_accuracy")
    assert gain.note.startswith("not judged: ResNet50 fails its control (accuracy 0.80")
    text = baselines.conclusion(method_trial, values)
    assert "What it gains on ways without a classifier is not judged." in text
    assert "largest area" not in text and "slice position alone" not in text


def test_position_alone_is_always_right_where_position_is_all_there_is(
    methods_study: folds.Material, method_trial: baseline_methods.MethodTrial
) -> None:
    assert (baselines.table(method_trial, "test", "accuracy")["position"] == 1).all()
    values = {one.name: one for one in baselines.values(method_trial)}
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
    values = {one.name: one for one in baselines.values(method_trial)}
    needed = {
        "fused_mean_dice", "two_seeds_2d_mean_dice", "fused_mean_region_dice_full_scan",
        "accuracy_resnet50",
        "fused_minus_2d_mean_dice", "fused_minus_3d_mean_dice", "fused_minus_2d_mean_dice_present",
        "fused_minus_two_seeds_2d_mean_dice", "fused_minus_two_seeds_3d_mean_dice_volume",
        "fused_minus_better_two_seeds_mean_dice", "accuracy_truth", "accuracy_position",
        "accuracy_majority", "resnet50_minus_area_rule_accuracy",
    }  # fmt: skip
    assert {"classifier_gate", *needed, *(f"external_{name}" for name in needed)} <= set(values)
    assert all(one.rule for one in values.values())
    scan = method_trial.scores.query("part == 'test' and network == 'fused_scan'")
    regions = scan[scan["region"].isin(["WT", "TC", "ET"])]["dice"].mean()
    assert values["fused_mean_region_dice_full_scan"].value == pytest.approx(regions)
    assert values["fused_mean_region_dice_full_scan"].n_patients == 8
    assert (
        values["fused_mean_region_dice_full_scan"].n_seeds
        == values["accuracy_resnet50"].n_seeds
        == 2
    )
    assert values["accuracy_area_rule"].n_seeds == 1, "that of the volume whose areas are counted"
    assert values["accuracy_position"].n_seeds == values["accuracy_majority"].n_seeds == 0
    assert values["external_accuracy_resnet50"].n_patients == 2
    empty = "slices of 8 patients without tumour)"
    assert empty in values["accuracy_resnet50"].rule
    assert empty in values["resnet50_minus_position_accuracy"].rule


def test_a_box_has_no_score_on_the_whole_scan(tmp_path: Path) -> None:
    made = planted.study(tmp_path, planted.ONE)
    data = made.study.data.model_copy(update={"extent": "boxes"})
    boxes = made.study.model_copy(update={"data": data})
    trial = baseline_methods.measure(replace(made, run=replace(made.run, study=boxes)))
    values = {value.name: value for value in baselines.values(trial)}
    for prefix in ("", "external_"):
        scan = values[f"{prefix}fused_mean_region_dice_full_scan"]
        assert np.isnan(scan.value) and scan.note.startswith("not applicable to boxes: ")
        assert values[f"{prefix}fused_mean_dice"].value > 0
    assert "fused_scan" not in set(trial.scores["network"])


def test_a_patient_of_several_folds_counts_once_with_the_mean(tmp_path: Path) -> None:
    made = planted.study(tmp_path, planted.TWO)
    flat = folds.volume(made, "unet2d", 0, "K")
    worse = Volume(flat.probabilities[[0, 3, 2, 1]], flat.grid)
    for network in ("unet2d", "unet2d.seed2"):
        predict.save(worse, made.run.work_dir / "predictions" / network / "fold1" / "K.npy")
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
    values = baselines.values(trial)
    names = {one.name for one in values}
    assert "fused_minus_3d_mean_dice" in names and "accuracy_position" in names
    assert not any("two_seeds" in name or "truth" in name for name in names)
    said = " ".join(baselines.absent(trial))
    assert "No second seed" in said and "ResNet50 on expert masks" in said
    text = baselines.conclusion(trial, values)
    assert text.startswith("On 2 held-out patients") and "one training" in text
    with pytest.raises(RecordError, match="no patient of part 'external'"):
        baselines.table(trial, "external", "mean_dice")


def test_the_conclusion_tells_what_a_network_adds(tmp_path: Path) -> None:
    made = planted.study(tmp_path, planted.ONE)
    table = planted.classified(planted.ONE, 0)
    for name in ("", ".seed2", ".truth"):
        planted.write(made.run, f"06_train_resnet50{name}", table)
    case = made.store.get("A")
    for patient in "AB":
        # training patients without a tumour: position guesses no tumour everywhere
        empty = StoredCase(made.store.get(patient).grid, case.images, case.labels * 0)
        made.store.put(empty, "other", made.store.facts(patient))
    trial = baseline_methods.measure(made)
    values = baselines.values(trial)
    text = baselines.conclusion(trial, values)
    assert of(values, "classifier_gate").value == 1
    assert "ResNet50 passes its control and beats slice position" in text
    assert "ResNet50 on fused slices is right in 1.000 of slices" in text
    assert "slice position alone: +0.600 (+0.600 to +0.600, different)" in text
    assert "No second seed" not in " ".join(baselines.absent(trial))
