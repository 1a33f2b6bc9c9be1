"""Losses side by side: planted gains, ties and lost classes found, lacks said."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from gliomalib import records
from gliomalib.experiments import comparing, gates, loss_ablations, loss_grid
from gliomalib.experiments.values import of
from gliomalib.schema import RecordError, Value
from gliomalib.scoring import metrics
from tests import planted_losses as planted

PASSED = Value(gates.NAME, 1.0, note="passed")


@pytest.fixture(scope="module")
def values(loss_run: records.Run, loss_grids: list[loss_grid.Grid]) -> dict[str, Any]:
    made = loss_ablations.values(loss_grids, loss_run.study, PASSED)
    return {value.name: value for value in made}


def test_a_planted_gain_is_found_and_equal_losses_are_equivalent(
    loss_run: records.Run, loss_grids: list[loss_grid.Grid], values: dict[str, Any]
) -> None:
    table = loss_ablations.compared(loss_grids[0], "test", "et_dice")
    verdicts = table.set_index(["first", "second"])["verdict"]
    assert verdicts["focal", "cross_entropy"] == "different"
    assert verdicts["dice_ce", "cross_entropy"] == "equivalent"
    assert verdicts["focal_gamma4", "cross_entropy"] == "equivalent"
    assert len(verdicts) == 3
    gain = values["focal_minus_cross_entropy_et_dice"]
    assert gain.value == pytest.approx(0.03 + planted.NOISE.mean(), abs=1e-6)
    assert gain.ci95[0] > 0.02 and gain.n_patients == planted.N
    assert "focal γ = 2 minus cross-entropy" in gain.rule


def test_seeds_are_averaged_for_a_patient_and_their_spread_stands_apart(
    tmp_path: Path,
) -> None:
    made = planted.run_of(
        tmp_path, {planted.UNET2D: {"s2": {"seed": 8}, "ce": {"loss": "cross_entropy"}}}
    )
    planted.write(made, planted.UNET2D, planted.scores(np.array([0.2, 0.4]), ["A", "B"]))
    planted.write(made, f"{planted.UNET2D}.s2", planted.scores(np.array([0.4, 0.8]), ["A", "B"]))
    planted.write(made, f"{planted.UNET2D}.ce", planted.scores(np.array([0.1, 0.1]), ["A", "B"]))
    found = loss_grid.grid(made, "unet2d")
    assert loss_grid.patients(found, "test", "et_dice")["focal"].tolist() == pytest.approx(
        [0.3, 0.6]
    )
    means = loss_grid.seed_means(found, "test", "et_dice").set_index(["cell", "seed"])["value"]
    assert means["focal", 7] == pytest.approx(0.3) and means["focal", 8] == pytest.approx(0.6)
    spread = loss_ablations.overview(found, "test").set_index("cell")["spread"]
    assert spread["focal"] == f"2 seeds: SD {np.std([0.3, 0.6], ddof=1):.3f}"
    assert spread["cross_entropy"] == "1 seed: no spread"
    assert found.seeds == 1


def test_empty_and_missed_masks_are_counted(tmp_path: Path) -> None:
    made = planted.run_of(tmp_path, {})
    states = ["empty", "empty", "missed", "spurious", "both"] * 4
    table = planted.scores(np.array([1.0, 1, 0, 0, 0.7]), list("ABCDE"), state=states)
    planted.write(made, planted.UNET2D, table)
    one = of(
        loss_ablations.values([loss_grid.grid(made, "unet2d")], made.study, PASSED), "et_dice_focal"
    )
    assert (one.n_patients, one.n_empty, one.n_missed) == (5, 2, 2)
    assert one.rule.endswith("empty rule 'brats', masks of all seeds counted")
    # with the rule 'exclude' there is no Dice of an empty pair, and no patient
    planted.write(made, planted.UNET2D, table.replace({"dice": {1.0: np.nan}}))
    found = loss_grid.patients(loss_grid.grid(made, "unet2d"), "test", "et_dice")
    assert found.index.tolist() == list("CDE")


def test_a_rule_that_leaves_everybody_out_has_no_mean_and_is_named(tmp_path: Path) -> None:
    made = planted.run_of(tmp_path, {planted.UNET2D: {"ce": {"loss": "cross_entropy"}}})
    table = planted.scores(np.array([1.0, 0.0]), ["A", "B"], dice_present=np.nan)
    for name in (planted.UNET2D, f"{planted.UNET2D}.ce"):
        planted.write(made, name, table)
    grids = [loss_grid.grid(made, "unet2d")]
    row = loss_ablations.overview(grids[0], "test").iloc[0]
    assert row["et_dice"] == 0.5 and np.isnan(row["et_dice_present"])
    values = {value.name for value in loss_ablations.values(grids, made.study, PASSED)}
    assert "focal_minus_cross_entropy_et_dice" in values
    assert not any("present" in name for name in values)
    said = loss_ablations.absent(grids)
    assert any("none of the held-out patients can be scored by" in one for one in said)
    # by the study's own rule there is nothing to decide by
    for name in (planted.UNET2D, f"{planted.UNET2D}.ce"):
        planted.write(made, name, table.assign(dice=np.nan))
    grid = loss_grid.grid(made, "unet2d")
    with pytest.raises(RecordError, match=r"none of the test patients .*test more patients"):
        loss_ablations.overview(grid, "test")


def test_the_classifier_is_scored_by_patient(
    loss_run: records.Run, loss_grids: list[loss_grid.Grid], values: dict[str, Any]
) -> None:
    rows = planted.slices_of(0.6, ["A"])
    counts = metrics.confusion_matrix(rows["truth"].to_numpy(), rows["predicted"].to_numpy())
    expected = metrics.stacked_scores(counts)
    for name in ("accuracy", "mcc"):
        assert values[f"{name}_dice"].value == pytest.approx(expected[name])
        assert "empty" not in values[f"{name}_dice"].rule, "slices have no masks"
    assert values["dice_minus_cross_entropy_accuracy"].value == pytest.approx(-0.3)
    assert values["dice_ce_minus_cross_entropy_accuracy"].value == 0


def lost(rows: pd.DataFrame) -> pd.DataFrame:
    """Return slices in which no necrotic core, edema or enhancing tumour is ever found."""
    certain = {"p0": 0.7, "p1": 0.1, "p2": 0.1, "p3": 0.1}
    return rows.assign(predicted=0, **certain)


def test_a_class_that_is_lost_with_one_seed_is_found(tmp_path: Path) -> None:
    made = planted.run_of(
        tmp_path, {planted.RESNET50: {"s2": {"seed": 8}, "ce": {"loss": "cross_entropy"}}}
    )
    planted.write(made, planted.RESNET50, planted.slices_of(1.0))
    planted.write(made, f"{planted.RESNET50}.s2", lost(planted.slices_of(1.0)))
    planted.write(made, f"{planted.RESNET50}.ce", planted.slices_of(1.0))
    grids = [loss_grid.grid(made, "resnet50")]
    values = loss_ablations.values(grids, made.study, PASSED)
    collapsed = of(values, "collapsed_dice")
    assert collapsed.value == 1 and "Lost in 30" in collapsed.rule
    assert of(values, "collapsed_cross_entropy").value == 0
    text = loss_ablations.conclusion(grids, values, PASSED)
    assert "Did the classifier lose a class? Dice: yes; cross-entropy: no." in text


def test_two_patients_cannot_tell_whether_a_class_is_lost(tmp_path: Path) -> None:
    made = planted.run_of(tmp_path, {planted.RESNET50: {"ce": {"loss": "cross_entropy"}}})
    for name in ("", ".ce"):
        planted.write(made, planted.RESNET50 + name, lost(planted.slices_of(1.0, ["A", "B"])))
    grids = [loss_grid.grid(made, "resnet50")]
    values = loss_ablations.values(grids, made.study, PASSED)
    assert np.isnan(of(values, "collapsed_dice").value)
    text = loss_ablations.conclusion(grids, values, PASSED)
    assert "Dice: too few patients to decide" in text


def test_what_a_study_lacks_is_said_and_is_no_value(tmp_path: Path) -> None:
    made = planted.run_of(tmp_path, {})
    planted.write(made, planted.UNET2D, planted.scores(planted.BASE))
    planted.write(made, planted.UNET3D, planted.scores(planted.BASE))
    planted.write(made, planted.RESNET50, planted.slices_of(0.6))
    grids = [loss_grid.grid(made, network) for network in loss_grid.TITLES]
    values = loss_ablations.values(grids, made.study, PASSED)
    assert not any("_minus_" in one.name for one in values)
    assert {"et_dice_focal", "unet3d_et_dice_focal", "accuracy_dice", "collapsed_dice"} <= {
        one.name for one in values
    }
    said = loss_ablations.absent(grids)
    assert said[0] == "2D U-Net: not trained here: cross-entropy."
    assert "ResNet50: not trained here: cross-entropy." in said
    assert "nothing to compare" in loss_ablations.conclusion(grids, values, PASSED)


def test_seeds_and_lacks_of_the_planted_study(
    loss_grids: list[loss_grid.Grid], values: dict[str, Any]
) -> None:
    said = " ".join(loss_ablations.absent(loss_grids))
    assert "2D U-Net: not trained" not in said and "3D U-Net: not trained here" in said
    assert "2D U-Net and ResNet50: at least one loss has one seed only" in said


def test_external_patients_have_their_own_values(tmp_path: Path) -> None:
    variants = {planted.UNET3D: {"ce": {"loss": "cross_entropy"}}}
    made = planted.run_of(tmp_path, variants)
    for name, dice in (("", 0.6), (".ce", 0.5)):
        here = planted.scores(np.full(3, dice), list("ABC"))
        there = planted.scores(np.full(2, dice - 0.2), list("XY"), part="external")
        planted.write(made, planted.UNET3D + name, pd.concat([here, there]))
    grids = [loss_grid.grid(made, "unet3d")]
    values = {one.name: one for one in loss_ablations.values(grids, made.study, PASSED)}
    assert values["unet3d_et_dice_focal"].value == pytest.approx(0.6)
    assert values["external_unet3d_et_dice_focal"].value == pytest.approx(0.4)
    assert values["external_unet3d_et_dice_focal"].n_patients == 2
    text = loss_ablations.conclusion(grids, list(values.values()), PASSED)
    assert "in 3 held-out patients: focal" in text and "in 2 external patients: focal" in text
    assert values["unet3d_focal_minus_cross_entropy_et_dice"].value == pytest.approx(0.1)


def three_seeds(
    root: Path, network: str, here: tuple[float, float], there: tuple[float, float]
) -> tuple[list[loss_grid.Grid], records.Run]:
    """Return a grid of the paper's loss and cross-entropy, three seeds each, on two sites.

    Each site has the mean score of either loss.
    """
    names = ["", ".s2", ".s3", ".ce", ".ce-s2", ".ce-s3"]
    variants: dict[str, dict[str, object]] = {}
    for place, name in enumerate(names[1:], 1):
        seed = {"seed": 7 + place % 3} if place % 3 else {}
        variants[name[1:]] = {**seed, **({"loss": "cross_entropy"} if place > 2 else {})}
    made = planted.run_of(root, {network: variants})
    rng = np.random.default_rng(4)
    patients, noise = rng.normal(0, 0.1, 30), iter(rng.normal(0, 0.01, (12, 30)))
    for place, name in enumerate(names):
        tables = []
        for part, means, start in (("test", here, "P"), ("external", there, "X")):
            dice = means[place // 3] + patients + next(noise)
            people = [f"{start}{number:02}" for number in range(30)]
            tables.append(planted.scores(dice, people, part=part))
        planted.write(made, network + name, pd.concat(tables))
    return [loss_grid.grid(made, "unet2d")], made


def test_the_second_site_that_says_the_opposite_is_said(tmp_path: Path) -> None:
    grids, made = three_seeds(tmp_path, planted.UNET2D, (0.5, 0.45), (0.4, 0.45))
    values = loss_ablations.values(grids, made.study, PASSED)
    gain = of(values, "focal_minus_cross_entropy_et_dice")
    assert gain.value == pytest.approx(0.05, abs=0.005) and gain.n_seeds == 3
    text = loss_ablations.conclusion(grids, [*values], PASSED)
    assert "The two sites disagree on the sign of focal γ = 2 minus cross-entropy (+0.04" in text
    grids, made = three_seeds(tmp_path / "same", planted.UNET2D, (0.5, 0.45), (0.5, 0.45))
    assert "disagree" not in loss_ablations.conclusion(grids, values, PASSED)


def test_the_rule_for_empty_masks_that_decides_is_said(tmp_path: Path) -> None:
    made = planted.run_of(tmp_path, {planted.UNET2D: {"ce": {"loss": "cross_entropy"}}})
    for name, dice in (("", 0.53), (".ce", 0.5)):
        table = planted.scores(dice + planted.NOISE * (name == ""))
        # where the truth has a tumour, the two are alike
        table["dice_present"] = 0.5
        planted.write(made, planted.UNET2D + name, table)
    grids = [loss_grid.grid(made, "unet2d")]
    values = loss_ablations.values(grids, made.study, PASSED)
    note = of(values, "focal_minus_cross_entropy_et_dice").note
    assert comparing.RULE_DECIDES in note
    assert of(values, "focal_minus_cross_entropy_et_dice_present").value == 0
    text = loss_ablations.conclusion(grids, values, PASSED)
    assert f"[{comparing.RULE_DECIDES}; " in text


def test_losses_of_a_classifier_below_its_gate_are_not_judged(
    loss_run: records.Run, loss_grids: list[loss_grid.Grid]
) -> None:
    why = "ResNet50 fails its control (accuracy 0.80, recall of necrotic core 0.00)"
    gate = Value(gates.NAME, 0.0, note=why)
    values = loss_ablations.values(loss_grids, loss_run.study, gate)
    assert of(values, "dice_minus_cross_entropy_accuracy").note == gates.closed(gate)
    assert not of(values, "focal_minus_cross_entropy_et_dice").note.startswith("not judged")
    text = loss_ablations.conclusion(loss_grids, values, gate)
    assert "ResNet50, accuracy of a patient's slices: not judged: ResNet50 fails" in text
    assert "Dice minus cross-entropy" not in text
