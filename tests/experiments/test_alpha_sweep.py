"""The sweep finds an optimum that is known, says "flat" where it is flat, and loses nobody."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gliomalib import settings
from gliomalib.experiments import alpha_curves, alpha_sweep
from gliomalib.experiments.values import mean_interval
from gliomalib.fusion.optimum import Curve, mean_curve
from gliomalib.pipeline import folds
from gliomalib.schema import FloatArray, RecordError, Split, StoredCase, Value, Volume
from gliomalib.scoring import metrics, tables
from tests import planted_branches

NOTEBOOK = "08_alpha_sweep"
BETTER_3D = {"unet2d": (3.5, 10), "unet3d": (1.5, 20)}
ONE = (Split(0, ("A",), ("B", "C"), ("D", "E", "F", "G", "H")),)
THREE = (
    Split(0, ("D", "E", "F"), ("C",), ("A", "B")),
    Split(1, ("A", "B", "F"), ("C",), ("D", "E")),
    Split(2, ("A", "B", "E"), ("D",), ("C", "F")),
)


def slow_dice(
    case: tuple[StoredCase, Volume, Volume], region: str, alphas: FloatArray
) -> FloatArray:
    """Return Dice of a region at each α as everybody would compute it: all voxels, in float32."""
    stored, p2d, p3d = case
    a, b = (volume.probabilities.astype(np.float32) for volume in (p2d, p3d))
    scores = []
    for alpha in alphas:
        predicted = (np.float32(alpha) * a + np.float32(1 - alpha) * b).argmax(axis=0)
        counts = metrics.confusion_matrix(stored.labels, predicted)
        scores.append(metrics.dice(counts, tables.REGIONS[region], "brats"))
    return np.array(scores)


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> folds.Material:
    """Return a study whose 3D branch is much the better one."""
    return planted_branches.noisy(tmp_path_factory.mktemp("sweeps"), NOTEBOOK, ONE, BETTER_3D)


@pytest.fixture(scope="module")
def sweep(material: folds.Material) -> alpha_curves.Sweep:
    return alpha_curves.exact(material)


def values_of(material: folds.Material, sweep: alpha_curves.Sweep) -> dict[str, float]:
    found = alpha_sweep.values(alpha_sweep.optima(sweep, material.study))
    assert all(value.rule for value in found)
    return {value.name: value.value for value in found}


def test_the_steps_are_those_of_a_fine_grid(
    material: folds.Material, sweep: alpha_curves.Sweep
) -> None:
    grid = np.linspace(0, 1, 41)
    assert list(sweep.curves) == ["mean", *tables.REGIONS]
    assert list(sweep.curves["WT"]) == list("DEFGH")
    for case in folds.branch_volumes(material, "test"):
        patient = case[0].grid.patient_id
        slow = {region: slow_dice(case, region, grid) for region in tables.REGIONS}
        slow["mean"] = np.mean([slow[region] for region in tables.CLASSES], axis=0)
        for region, dice in slow.items():
            # at a tie float32 may take another class than the exact sum
            np.testing.assert_allclose(sweep.curves[region][patient].at(grid), dice, atol=2e-3)


def test_the_better_branch_gets_the_weight_and_0_6_is_not_called_equal(
    material: folds.Material, sweep: alpha_curves.Sweep
) -> None:
    found = alpha_sweep.optima(sweep, material.study)
    mean = found["mean"]
    assert mean.alpha.value < 0.4 and (mean.alpha.ci95 or (1, 1))[1] < 0.6
    low, high = mean.plateau.ci95 or (1, 0)
    assert low <= mean.plateau.value <= high
    assert (mean.lost.ci95 or (0, 0))[0] > 0.01
    values = values_of(material, sweep)
    assert values["best_alpha"] == mean.alpha.value
    assert values["best_alpha_seed_low"] == values["best_alpha"] == values["best_alpha_seed_high"]
    assert 0 < values["flat_width"] < 0.6


def test_branches_that_are_equal_are_flat_everywhere(tmp_path: Path) -> None:
    made = planted_branches.noisy(tmp_path, NOTEBOOK, ONE, dict.fromkeys(BETTER_3D, (2.0, 10)))
    flat = alpha_curves.exact(made)
    values = values_of(made, flat)
    assert values["flat_width"] == 1
    assert values["lost_at_published_alpha"] == 0
    assert values["best_alpha"] == 0.5


def test_each_patient_is_swept_in_the_fold_that_tested_them(tmp_path: Path) -> None:
    made = planted_branches.noisy(tmp_path, NOTEBOOK, THREE, BETTER_3D)
    whole = alpha_curves.exact(made).curves["WT"]
    assert list(whole) == list("ABCDEF")
    grid = np.array([0.13, 0.6])
    for case in folds.branch_volumes(made, "test"):
        found = whole[case[0].grid.patient_id].at(grid)
        np.testing.assert_allclose(found, slow_dice(case, "WT", grid), atol=2e-3)


def step(*values: float) -> Curve:
    """Return a curve that has these values in equal parts of 0–1, and at their ends the lower."""
    alphas = np.linspace(0, 1, len(values) + 1).round(12)
    found = np.empty(2 * len(values) + 1)
    found[1::2] = values
    found[0], found[-1] = values[0], values[-1]
    found[2:-1:2] = np.minimum(values[:-1], values[1:])
    return Curve(alphas, found)


def test_optima_and_widths_by_hand() -> None:
    curves = {"A": step(0.1, 0.1, 0.8, 0.795, 0.7), "B": step(0.5, 0.2, 0.2, 0.5, 0.5)}
    sweep = alpha_curves.Sweep({"mean": curves})
    mean = alpha_sweep.optima(sweep, settings.load("smoke"))["mean"]
    # means: 0.3, 0.15, 0.5, 0.6475, 0.6; at 0.6 that of the lower neighbours
    assert (mean.alpha.value, mean.dice) == pytest.approx((0.7, 0.6475))
    assert mean.plateau.value == pytest.approx(0.2)
    assert mean.lost.value == pytest.approx(0.6475 - (0.795 + 0.2) / 2)


def test_patients_without_a_score_are_left_out_and_counted() -> None:
    nan = step(np.nan, 0.5)
    sweep = alpha_curves.Sweep({"mean": {"A": step(0.4, 0.5), "B": nan}, "ET": {"B": nan}})
    found = alpha_sweep.optima(sweep, settings.load("smoke"))
    assert list(found) == ["mean"] and found["mean"].left_out == 1
    assert alpha_sweep.optima_table(found)["patients"].tolist() == [1]
    with pytest.raises(RecordError, match="no patient has a mean Dice"):
        alpha_sweep.optima(alpha_curves.Sweep({"mean": {"B": nan}}), settings.load("smoke"))


def test_the_grid_of_alphas_has_the_ends_and_the_studys_own() -> None:
    made = settings.load("smoke", {"fusion.sweep_step": 0.25, "fusion.alpha": 0.6})
    assert alpha_sweep.alphas(made).tolist() == [0, 0.25, 0.5, 0.6, 0.75, 1]


def test_the_table_of_curves_finds_the_peak_and_counts_who_is_left_out() -> None:
    nan = step(np.nan, 0.5)
    curves = {"A": step(0.1, 0.8, 0.2), "B": step(0.3, 0.9, 0.1), "C": nan}
    sweep = alpha_curves.Sweep({"mean": curves, "ET": {"C": nan}})
    table = alpha_sweep.curve_table(sweep, settings.load("smoke"))
    assert ((table["low"] <= table["dice"]) & (table["dice"] <= table["high"])).all()
    at = table.set_index("alpha")["dice"]
    assert at[0.5] == at.max() == pytest.approx(0.85) and at[0.0] == pytest.approx(0.2)
    assert set(table["region"]) == {"mean"}, "nobody has a score of ET at every α"
    assert table[["patients", "left_out"]].drop_duplicates().to_numpy().tolist() == [[2, 1]]


def test_the_band_is_the_interval_of_the_mean_at_each_alpha() -> None:
    study = settings.load("smoke")
    rows = np.random.default_rng(0).random((9, 5))
    curves = {str(at): step(*row) for at, row in enumerate(rows)}
    table = alpha_sweep.curve_table(alpha_curves.Sweep({"mean": curves}), study)
    for _, row in table.iterrows():
        dice = [float(curve.at(row["alpha"])) for curve in curves.values()]
        expected = mean_interval(dice, study, "band", "mean").ends
        assert (row["low"], row["high"]) == pytest.approx(expected)
    alone = alpha_sweep.curve_table(alpha_curves.Sweep({"mean": {"0": curves["0"]}}), study)
    assert alone[["low", "high"]].isna().all(axis=None)


def test_trainings_are_averaged_within_patients_and_their_spread_is_in_the_interval() -> None:
    own = {"A": step(0.1, 0.2, 0.9, 0.3, 0.1), "B": step(0.2, 0.3, 0.8, 0.2, 0.1)}
    again = {"A": step(0.1, 0.2, 0.2, 0.3, 0.8), "B": step(0.2, 0.3, 0.2, 0.2, 0.7)}
    mean = {name: mean_curve([own[name], again[name]]) for name in own}
    study = settings.load("smoke")
    alone = alpha_curves.Sweep({"mean": own})
    both = alpha_curves.Sweep({"mean": mean}, {0: {"mean": own}, 8: {"mean": again}})
    assert alpha_sweep.trainings(alpha_sweep.optima(both, study))[
        "best α"
    ].tolist() == pytest.approx([0.5, 0.9])
    narrow, wide = (alpha_sweep.optima(sweep, study)["mean"].alpha for sweep in (alone, both))
    assert (narrow.ci95 or (0, 1)) == pytest.approx((0.4995, 0.5005))
    assert wide.value == pytest.approx(0.5) and wide.ci95 == (0, 1), "two trainings say little"
    values = alpha_sweep.values(alpha_sweep.optima(both, study))
    made = {value.name: value for value in values}
    assert made["best_alpha"].n_seeds == 2 and not made["best_alpha"].note
    assert made["best_alpha_seed_high"].value == pytest.approx(0.9)
    assert all(value.n_patients == 2 for value in values)


def test_each_training_is_swept_and_their_mean_is_taken(tmp_path: Path) -> None:
    again = ("unet2d.seed2", "unet3d.seed2")
    networks = {**BETTER_3D, again[0]: (3.5, 30), again[1]: (1.5, 40)}
    made = planted_branches.noisy(tmp_path, NOTEBOOK, ONE, networks)
    variants = {name: {"seed2": {"seed": 8}} for name in ("03_train_unet2d", "04_train_unet3d")}
    study = made.study.model_copy(update={"variants": variants})
    both = alpha_curves.exact(replace(made, run=replace(made.run, study=study)))
    assert list(both.by_seed) == [0, 8]
    grid = np.array([0.13, 0.6])
    pairs = {0: folds.BRANCHES, 8: again}
    slow = {
        seed: slow_dice(next(iter(folds.branch_volumes(made, "test", pair))), "WT", grid)
        for seed, pair in pairs.items()
    }
    for seed, dice in slow.items():
        np.testing.assert_allclose(both.by_seed[seed]["WT"]["D"].at(grid), dice, atol=2e-3)
    mean = np.mean(list(slow.values()), axis=0)
    assert np.abs(mean - slow[0]).max() > 0.005
    np.testing.assert_allclose(both.curves["WT"]["D"].at(grid), mean, atol=2e-3)


def of_alpha(lost: float, area: tuple[float, float]) -> list[Value]:
    """Return values of notebook 08; the paper's α loses at most ``lost``, ``area`` by areas."""
    return [
        Value("best_alpha", 0.5, (0.2, 0.7), 5, n_seeds=3),
        Value("best_alpha_seed_low", 0.4),
        Value("best_alpha_seed_high", 0.62),
        Value("lost_at_published_alpha", 0.001, (0.0, lost), 5),
        Value("flat_width", 0.4, (0.3, 0.6), 5),
        Value("best_alpha_accuracy", 0.0, (0.0, 0.3), 5),
        Value("lost_at_published_alpha_accuracy", 0.036, (0.01, 0.07), 5),
        Value("best_alpha_area_rule", 0.5, (0.5, 0.5), 5),
        Value("lost_at_published_alpha_area_rule", area[0], area, 5),
    ]


def test_the_conclusion_says_what_the_published_one_costs_and_what_slices_say() -> None:
    values = of_alpha(0.002, (0.0, 0.0))
    said = alpha_sweep.conclusion(values)
    assert "0.50 (95 % interval 0.20 to 0.70, 5 patients, 3 trainings)" in said
    assert "The trainings by themselves have it from 0.40 to 0.62." in said
    assert "chosen anew in each resample: at most 0.01" in said
    assert "a width of 0.40" in said
    assert "by the ResNet50 it is best at α = 0.0 (95 % interval 0.0 to 0.3, 5 patients)" in said
    assert "by their areas alone it is no better at any other α than at 0.6" in said
    worse = alpha_sweep.conclusion(of_alpha(0.02, (0.02, 0.04)))
    assert "it may be more than 0.01" in worse
    assert "by their areas alone it is best at α = 0.5" in worse
