"""Losses side by side: cells of variants, seeds averaged, planted gains, ties and losses found."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from gliomalib import records
from gliomalib.experiments import loss_ablations
from gliomalib.schema import RecordError, SettingsError
from gliomalib.scoring import calibration, metrics

N = 30
PEOPLE = [f"P{number:02d}" for number in range(N)]
FLAT, DEEP, SORTER = "03_train_unet2d", "04_train_unet3d", "06_train_resnet50"
RANDOM = np.random.default_rng(5)
BASE = RANDOM.uniform(0.4, 0.8, N)
NOISE = RANDOM.normal(0, 0.005, N)


def run_of(root: Path, variants: dict[str, Any]) -> records.Run:
    where = {"data_dir": str(root / "d"), "report_dir": str(root / "r")}
    run = records.begin("09_loss_ablations", {"study": "smoke", **where})
    return replace(run, study=run.study.model_copy(update={"variants": variants}))


def scores(et: np.ndarray, people: list[str] = PEOPLE, **more: Any) -> pd.DataFrame:
    """Return the table of a segmentation with these Dice of the enhancing tumour."""
    tables = [
        pd.DataFrame({"patient_id": people, "region": region, "dice": dice})
        for region, dice in (("NCR", 0.5), ("ED", 0.7), ("ET", et), ("WT", 0.9))
    ]
    return pd.concat(tables).assign(**{"part": "test", "fold": 0, "state": "both", **more})


def slices_of(right: float, people: list[str] = PEOPLE) -> pd.DataFrame:
    """Return ten slices a patient, the first tenths of each right, named with 0.7 of certainty."""
    truth = np.tile([0, 0, 0, 0, 1, 2, 2, 3, 3, 3], len(people))
    z = np.tile(np.arange(10), len(people))
    predicted = np.where(z < 10 * right, truth, (truth + 1) % 4)
    table = pd.DataFrame({"patient_id": np.repeat(people, 10), "z": z, "truth": truth})
    given = np.full((len(truth), 4), 0.1)
    given[np.arange(len(truth)), predicted] = 0.7
    table[["p0", "p1", "p2", "p3"]] = given
    return table.assign(predicted=predicted, part="test", fold=0)


def write(run: records.Run, name: str, table: pd.DataFrame) -> None:
    kind = "slices" if "z" in table else "scores"
    path = run.report_dir / "tables" / f"{name}.{kind}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(path, index=False)


GRID = {
    FLAT: {
        "recipe": {"loss": "cross_entropy", "dropout": 0.2},
        "ce": {"loss": "cross_entropy"},
        "dice_ce": {"loss": "dice_ce"},
        "gamma4": {"focal_gamma": 4.0},
        "weighted": {"class_weights": [0.1, 1, 1, 1]},
        "ce_gamma": {"loss": "cross_entropy", "focal_gamma": 1.0, "seed": 8},
    },
    SORTER: {"ce": {"loss": "cross_entropy"}, "both": {"loss": "dice_ce"}},
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> records.Run:
    """Return a study in which focal is .03 better than cross-entropy, and Dice + CE equal to it."""
    made = run_of(tmp_path_factory.mktemp("ablations"), GRID)
    planted = {
        "": BASE + 0.03 + NOISE, ".ce": BASE, ".ce_gamma": BASE, ".dice_ce": BASE,
        ".gamma4": BASE + NOISE / 10, ".weighted": BASE - 0.05 + NOISE,
    }  # fmt: skip
    for name, dice in planted.items():
        write(made, FLAT + name, scores(dice))
    write(made, DEEP, scores(BASE))
    for name, right in (("", 0.6), (".ce", 0.9), (".both", 0.9)):
        write(made, SORTER + name, slices_of(right))
    return made


@pytest.fixture(scope="module")
def grids(run: records.Run) -> list[loss_ablations.Grid]:
    return [loss_ablations.grid(run, network) for network in loss_ablations.TITLES]


@pytest.fixture(scope="module")
def values(run: records.Run, grids: list[loss_ablations.Grid]) -> dict[str, Any]:
    return {one.name: one for one in loss_ablations.values(grids, run.study)}


def test_cells_are_losses_exponents_and_weights_and_nothing_else(
    grids: list[loss_ablations.Grid],
) -> None:
    flat, deep, sorter = grids
    assert dict(flat.titles) == {
        "focal": "focal γ = 2",
        "cross_entropy": "cross-entropy",
        "dice_ce": "Dice + CE",
        "focal_gamma4": "focal γ = 4",
        "focal_weights_0.1_1_1_1": "focal γ = 2, weights 0.1:1:1:1",
    }
    assert list(deep.titles) == ["focal"]
    assert list(sorter.titles) == ["dice", "cross_entropy", "dice_ce"]
    # an exponent means nothing to cross-entropy: its run is one more seed of the cell
    of_cell = flat.scores.groupby("cell")["seed"].nunique()
    assert of_cell["cross_entropy"] == 2 and of_cell["focal"] == 1
    assert "03_train_unet2d.recipe" not in set(flat.scores["run"])


def test_a_planted_gain_is_found_and_equal_losses_are_equivalent(
    run: records.Run, grids: list[loss_ablations.Grid], values: dict[str, Any]
) -> None:
    table = loss_ablations.compared(grids[0], "test", "et_dice", run.study)
    verdicts = table.set_index(["first", "second"])["verdict"]
    assert verdicts["focal", "cross_entropy"] == "different"
    assert verdicts["dice_ce", "cross_entropy"] == "equivalent"
    assert verdicts["focal_gamma4", "cross_entropy"] == "equivalent"
    assert verdicts["focal_weights_0.1_1_1_1", "cross_entropy"] == "different"
    assert verdicts["focal", "dice_ce"] == "different"
    assert len(verdicts) == 5
    gain = values["focal_minus_cross_entropy_et_dice"]
    assert gain.value == pytest.approx(0.03 + NOISE.mean(), abs=1e-6)
    assert gain.ci95[0] > 0.02 and gain.n_patients == N
    assert "Holm over 5 pairs" in gain.rule and "different" in gain.rule


def test_the_family_is_all_pairs(run: records.Run, grids: list[loss_ablations.Grid]) -> None:
    table = loss_ablations.compared(grids[0], "test", "et_dice", run.study)
    from scipy.stats import wilcoxon

    raw = wilcoxon(np.round(0.03 + NOISE, 6), zero_method="pratt").pvalue
    found = table.set_index(["first", "second"])["p_holm"]["focal", "cross_entropy"]
    assert raw * 3 - 1e-12 <= found <= raw * 5 + 1e-12


def test_iou_is_made_of_each_dice_before_any_mean(tmp_path: Path) -> None:
    made = run_of(tmp_path, {FLAT: {"again": {"seed": 8}}})
    write(made, FLAT, scores(np.array([1.0, 0.5]), ["A", "B"]))
    write(made, f"{FLAT}.again", scores(np.array([0.0, 0.5]), ["A", "B"]))
    found = loss_ablations.grid(made, "unet2d")
    assert loss_ablations.patients(found, "test", "et_dice")["focal"].tolist() == [0.5, 0.5]
    iou = loss_ablations.patients(found, "test", "et_iou")["focal"]
    assert iou.tolist() == pytest.approx([0.5, 1 / 3])


def test_seeds_are_averaged_for_a_patient_and_their_spread_stands_apart(
    tmp_path: Path,
) -> None:
    made = run_of(tmp_path, {FLAT: {"s2": {"seed": 8}, "ce": {"loss": "cross_entropy"}}})
    write(made, FLAT, scores(np.array([0.2, 0.4]), ["A", "B"]))
    write(made, f"{FLAT}.s2", scores(np.array([0.4, 0.8]), ["A", "B"]))
    write(made, f"{FLAT}.ce", scores(np.array([0.1, 0.1]), ["A", "B"]))
    found = loss_ablations.grid(made, "unet2d")
    assert loss_ablations.patients(found, "test", "et_dice")["focal"].tolist() == pytest.approx(
        [0.3, 0.6]
    )
    means = loss_ablations.seed_means(found, "test", "et_dice").set_index(["cell", "seed"])["value"]
    assert means["focal", 7] == pytest.approx(0.3) and means["focal", 8] == pytest.approx(0.6)
    spread = loss_ablations.overview(found, "test", made.study).set_index("cell")["spread"]
    assert spread["focal"] == f"2 seeds: SD {np.std([0.3, 0.6], ddof=1):.3f}"
    assert spread["cross_entropy"] == "1 seed: no spread"
    assert found.seeds == 1


def test_a_patient_of_several_folds_counts_once(tmp_path: Path) -> None:
    made = run_of(tmp_path, {})
    folds = [scores(np.array([dice]), ["A"], fold=fold) for fold, dice in enumerate((0.2, 0.6))]
    other = scores(np.array([0.5]), ["B"])
    write(made, FLAT, pd.concat([*folds, other]))
    found = loss_ablations.patients(loss_ablations.grid(made, "unet2d"), "test", "et_dice")
    assert found["focal"].to_dict() == pytest.approx({"A": 0.4, "B": 0.5})


def test_empty_and_missed_masks_are_counted(tmp_path: Path) -> None:
    made = run_of(tmp_path, {})
    states = ["empty", "empty", "missed", "spurious", "both"] * 4
    write(made, FLAT, scores(np.array([1.0, 1, 0, 0, 0.7]), list("ABCDE"), state=states))
    value = {
        one.name: one
        for one in loss_ablations.values([loss_ablations.grid(made, "unet2d")], made.study)
    }
    one = value["et_dice_focal"]
    assert (one.n_patients, one.n_empty, one.n_missed) == (5, 2, 2)
    assert "seeds" in one.rule and "'brats'" in one.rule
    # with the rule 'exclude' there is no Dice of an empty pair, and no patient
    write(made, FLAT, scores(np.array([np.nan, np.nan, 0, 0, 0.7]), list("ABCDE"), state=states))
    found = loss_ablations.patients(loss_ablations.grid(made, "unet2d"), "test", "et_dice")
    assert found.index.tolist() == list("CDE")


@pytest.mark.parametrize(("notebook", "network"), [(FLAT, "unet2d"), (SORTER, "resnet50")])
def test_a_patient_that_one_variant_lacks_is_named(
    tmp_path: Path, notebook: str, network: str
) -> None:
    made = run_of(tmp_path, {notebook: {"ce": {"loss": "cross_entropy"}}})
    for name, people in (("", ["A", "B", "C"]), (".ce", ["A", "C"])):
        table = scores(np.full(len(people), 0.5), people)
        write(made, notebook + name, slices_of(0.5, people) if network == "resnet50" else table)
    with pytest.raises(RecordError, match=rf"{notebook}.ce do not cover the same patients: B"):
        loss_ablations.grid(made, network)


def test_a_missing_run_and_a_run_that_stands_twice_are_errors(tmp_path: Path) -> None:
    made = run_of(tmp_path, {FLAT: {"ce": {"loss": "cross_entropy"}}})
    write(made, FLAT, scores(BASE))
    with pytest.raises(RecordError, match=r"run 03_train_unet2d\.ce first"):
        loss_ablations.grid(made, "unet2d")
    made = run_of(tmp_path, {FLAT: {"again": {"focal_gamma": 2.0}}})
    write(made, f"{FLAT}.again", scores(BASE))
    with pytest.raises(SettingsError, match="again and 03_train_unet2d are the same run"):
        loss_ablations.grid(made, "unet2d")


def test_the_classifier_is_scored_by_patient(
    run: records.Run, grids: list[loss_ablations.Grid], values: dict[str, Any]
) -> None:
    rows = slices_of(0.6, ["A"])
    counts = metrics.confusion_matrix(rows["truth"].to_numpy(), rows["predicted"].to_numpy())
    expected = metrics.scores(counts, "macro", "exclude")
    for name in ("accuracy", "balanced_accuracy", "mcc"):
        assert values[f"{name}_dice"].value == pytest.approx(expected[name])
    right, wrong = 0.3**2 + 3 * 0.1**2, 0.9**2 + 0.7**2 + 2 * 0.1**2
    assert values["brier_dice"].value == pytest.approx(0.6 * right + 0.4 * wrong)
    assert values["dice_minus_cross_entropy_accuracy"].value == pytest.approx(-0.3)
    assert values["dice_minus_dice_ce_accuracy"].value == pytest.approx(-0.3)
    assert "different" in values["dice_minus_cross_entropy_accuracy"].rule
    assert "equivalent" in values["dice_ce_minus_cross_entropy_accuracy"].rule


def test_calibration_is_that_of_all_slices(values: dict[str, Any]) -> None:
    rows = slices_of(0.9)
    pooled = calibration.tally(rows[["p0", "p1", "p2", "p3"]].to_numpy(), rows["truth"].to_numpy())
    found = values["ece_cross_entropy"]
    assert found.value == pytest.approx(calibration.expected_error(pooled.bins))
    assert found.value == pytest.approx(0.2) and found.ci95 == pytest.approx((0.2, 0.2))
    assert values["ece_dice"].value == pytest.approx(0.1)


def test_calibration_of_several_seeds_is_their_mean(tmp_path: Path) -> None:
    made = run_of(tmp_path, {SORTER: {"s2": {"seed": 8}}})
    rng = np.random.default_rng(3)
    expected = []
    for name in ("", ".s2"):
        table = slices_of(0.5, PEOPLE[:6])
        given = rng.dirichlet(np.ones(4), len(table))
        table[["p0", "p1", "p2", "p3"]] = given
        write(made, SORTER + name, table.assign(predicted=given.argmax(axis=1)))
        one = calibration.tally(given, table["truth"].to_numpy())
        expected.append(calibration.expected_error(one.bins))
    values = {
        one.name: one
        for one in loss_ablations.values([loss_ablations.grid(made, "resnet50")], made.study)
    }
    assert values["ece_dice"].value == pytest.approx(np.mean(expected))
    low, high = values["ece_dice"].ci95 or (0, 0)
    assert low < high


def lost(rows: pd.DataFrame) -> pd.DataFrame:
    """Return slices in which no necrotic core, edema or enhancing tumour is ever found."""
    certain = {"p0": 0.7, "p1": 0.1, "p2": 0.1, "p3": 0.1}
    return rows.assign(predicted=0, **certain)


def test_a_class_that_is_lost_with_one_seed_is_found(tmp_path: Path) -> None:
    made = run_of(tmp_path, {SORTER: {"s2": {"seed": 8}, "ce": {"loss": "cross_entropy"}}})
    write(made, SORTER, slices_of(1.0))
    write(made, f"{SORTER}.s2", lost(slices_of(1.0)))
    write(made, f"{SORTER}.ce", slices_of(1.0))
    grids = [loss_ablations.grid(made, "resnet50")]
    values = loss_ablations.values(grids, made.study)
    by_name = {one.name: one for one in values}
    assert by_name["collapsed_dice"].value == 1 and "Lost in 30" in by_name["collapsed_dice"].rule
    assert by_name["collapsed_cross_entropy"].value == 0
    text = loss_ablations.conclusion(grids, values, made.study)
    assert "A class lost by the classifier: Dice yes, cross-entropy no." in text


def test_two_patients_cannot_tell_whether_a_class_is_lost(tmp_path: Path) -> None:
    made = run_of(tmp_path, {SORTER: {"ce": {"loss": "cross_entropy"}}})
    for name in ("", ".ce"):
        write(made, SORTER + name, lost(slices_of(1.0, ["A", "B"])))
    grids = [loss_ablations.grid(made, "resnet50")]
    values = loss_ablations.values(grids, made.study)
    assert np.isnan({one.name: one for one in values}["collapsed_dice"].value)
    text = loss_ablations.conclusion(grids, values, made.study)
    assert "Dice cannot be told" in text and "2 patients" in text


def test_what_a_study_lacks_is_said_and_is_no_value(tmp_path: Path) -> None:
    made = run_of(tmp_path, {})
    write(made, FLAT, scores(BASE))
    write(made, DEEP, scores(BASE))
    write(made, SORTER, slices_of(0.6))
    grids = [loss_ablations.grid(made, network) for network in loss_ablations.TITLES]
    values = loss_ablations.values(grids, made.study)
    assert not any("_minus_" in one.name for one in values)
    assert {"et_dice_focal", "unet3d_et_dice_focal", "accuracy_dice", "ece_dice"} <= {
        one.name for one in values
    }
    said = loss_ablations.absent(grids)
    assert said[0] == (
        "2D U-Net: not trained here: cross-entropy, Dice + CE, another exponent γ, weights of the "
        "classes."
    )
    assert "ResNet50: not trained here: cross-entropy, Dice + CE." in said
    assert said[-1] == "There are no external patients."
    assert "nothing to compare" in loss_ablations.conclusion(grids, values, made.study)


def test_seeds_and_lacks_of_the_planted_study(
    grids: list[loss_ablations.Grid], values: dict[str, Any]
) -> None:
    assert values["seeds_per_cell"].value == 1
    said = " ".join(loss_ablations.absent(grids))
    assert "2D U-Net: not trained" not in said and "3D U-Net: not trained here" in said
    assert "2D U-Net and ResNet50: some cell has one seed only" in said


def test_external_patients_have_their_own_values(tmp_path: Path) -> None:
    variants = {DEEP: {"ce": {"loss": "cross_entropy"}}}
    made = run_of(tmp_path, variants)
    for name, dice in (("", 0.6), (".ce", 0.5)):
        here = scores(np.full(3, dice), list("ABC"))
        there = scores(np.full(2, dice - 0.2), list("XY"), part="external")
        write(made, DEEP + name, pd.concat([here, there]))
    grids = [loss_ablations.grid(made, "unet3d")]
    values = {one.name: one for one in loss_ablations.values(grids, made.study)}
    assert values["unet3d_et_dice_focal"].value == pytest.approx(0.6)
    assert values["external_unet3d_et_dice_focal"].value == pytest.approx(0.4)
    assert values["external_unet3d_et_dice_focal"].n_patients == 2
    text = loss_ablations.conclusion(
        [loss_ablations.grid(made, "unet3d")], list(values.values()), made.study
    )
    assert "in 3 held-out patients: focal" in text and "in 2 external patients: focal" in text
    assert values["unet3d_focal_minus_cross_entropy_et_dice"].value == pytest.approx(0.1)
