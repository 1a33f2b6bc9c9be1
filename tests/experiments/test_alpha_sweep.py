"""The sweep finds an optimum that is known, says "flat" where it is flat, and loses nobody."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gliomalib import records, settings
from gliomalib.cohort.splits import write_splits
from gliomalib.experiments import alpha_sweep
from gliomalib.fusion import slices
from gliomalib.fusion.optimum import Curve
from gliomalib.networks import predict
from gliomalib.pipeline import folds, preprocess
from gliomalib.schema import Grid, RecordError, Split, StoredCase, Volume
from gliomalib.scoring import tables

SHAPE = (12, 12, 10)
AFFINE = tuple(tuple(float(i == j) for j in range(4)) for i in range(4))
PATIENTS = tuple("ABCDEFGH")
ONE = (Split(0, ("A",), ("B", "C"), ("D", "E", "F", "G", "H")),)
THREE = (
    Split(0, ("D", "E", "F"), ("C",), ("A", "B")),
    Split(1, ("A", "B", "F"), ("C",), ("D", "E")),
    Split(2, ("A", "B", "E"), ("D",), ("C", "F")),
)


def labels_of(patient: str) -> np.ndarray:
    found = np.zeros(SHAPE, dtype=np.uint8)
    start = 1 + PATIENTS.index(patient) % 3
    found[start : start + 8, 2:10, 2:8] = 2
    found[start + 1 : start + 7, 3:9, 3:6] = 3
    found[start + 3 : start + 5, 4:7, 4:6] = 1
    return found


def volume_of(patient: str, noise: float, seed: int) -> Volume:
    """Return the truth as a network sees it that errs the more the larger ``noise`` is."""
    rng = np.random.default_rng((seed, PATIENTS.index(patient)))
    one_hot = np.moveaxis(np.eye(4)[labels_of(patient)], -1, 0)
    odds = np.exp(3 * one_hot + noise * rng.normal(size=one_hot.shape))
    grid = Grid(patient, SHAPE, (4.0, 4.0, 4.0), (0, 0, 0), AFFINE)
    return Volume((odds / odds.sum(axis=0)).astype(np.float16), grid)


def study(
    root: Path, flat: tuple[float, int], deep: tuple[float, int], splits: tuple[Split, ...] = ONE
) -> folds.Material:
    """Return a study whose branches have these noises and seeds (plus the number of the fold)."""
    where = {"data_dir": str(root / "d"), "report_dir": str(root / "r")}
    run = records.begin("08_alpha_sweep", {"study": "smoke", **where})
    store = preprocess.open_store(run.work_dir / "store", run.study.preprocessing)
    write_splits(splits, run.work_dir / "splits.json")
    for patient in sorted({name for split in splits for name in cohort_of(split)}):
        images = np.full((4, *SHAPE), 0.5, dtype=np.float16)
        grid = volume_of(patient, *flat).grid
        store.put(StoredCase(grid, images, labels_of(patient)), "digest", {})
        for split in splits:
            for branch, (noise, seed) in (("unet2d", flat), ("unet3d", deep)):
                folder = run.work_dir / "predictions" / branch / f"fold{split.fold}"
                predict.save(
                    volume_of(patient, noise, seed + split.fold), folder / f"{patient}.npy"
                )
    return folds.open_material(run)


def cohort_of(split: Split) -> tuple[str, ...]:
    return (*split.train, *split.val, *split.test)


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> folds.Material:
    """Return a study whose 3D branch is much the better one."""
    return study(tmp_path_factory.mktemp("sweeps"), (3.5, 10), (1.5, 20))


@pytest.fixture(scope="module")
def sweep(material: folds.Material) -> alpha_sweep.Sweep:
    return alpha_sweep.exact(material, "test")


def values_of(
    material: folds.Material, sweep: alpha_sweep.Sweep, held_back: alpha_sweep.Sweep
) -> dict[str, float]:
    found = alpha_sweep.values(
        alpha_sweep.optima(sweep, material.study), sweep, held_back, material.study
    )
    assert all(one.rule for one in found) and len({one.name for one in found}) == len(found)
    return {one.name: one.value for one in found}


# --- Dice


def test_the_steps_are_those_of_a_fine_grid(
    material: folds.Material, sweep: alpha_sweep.Sweep
) -> None:
    grid = np.linspace(0, 1, 41)
    patients, confusions = alpha_sweep.on_grid(folds.branch_volumes(material, "test"), grid)
    slow = alpha_sweep.dice_curves(patients, confusions, "brats")
    assert list(sweep.curves) == list(slow) and sorted(sweep.curves["WT"]) == list("DEFGH")
    for region, curves in slow.items():
        found = np.stack([curve.at(grid) for curve in sweep.curves[region].values()])
        np.testing.assert_allclose(found, curves, atol=2e-3)


def test_the_better_branch_gets_the_weight_and_0_6_is_not_called_equal(
    material: folds.Material, sweep: alpha_sweep.Sweep
) -> None:
    found = alpha_sweep.optima(sweep, material.study)
    mean = found["mean"]
    assert mean.alpha.value < 0.4 and (mean.alpha.ci95 or (1, 1))[1] < 0.6
    assert mean.equal.verdict == "different" and (mean.lost.ci95 or (0, 0))[0] > 0.01
    values = values_of(material, sweep, alpha_sweep.exact(material, "val"))
    assert values["best_alpha"] == mean.alpha.value
    assert abs(values["best_alpha_grid"] - values["best_alpha"]) < 0.1
    assert values["published_alpha_equivalent"] == values["patients_with_published_best"] == 0
    assert values["lost_at_chosen_alpha"] < values["lost_at_published_alpha"]
    assert 0 < values["flat_width"] < 0.6
    assert set(values) >= {f"best_alpha_{region}" for region in tables.REGIONS}


def test_branches_that_are_equal_are_flat_everywhere(tmp_path: Path) -> None:
    made = study(tmp_path, (2.0, 10), (2.0, 10))
    flat = alpha_sweep.exact(made, "test")
    values = values_of(made, flat, alpha_sweep.exact(made, "val"))
    assert values["flat_width"] == values["patients_with_published_best"] == 1
    assert values["lost_at_published_alpha"] == 0
    assert values["published_alpha_equivalent"] == 1
    own = alpha_sweep.patients(flat)
    assert (own["width"] == 1).all() and (own["best α"] == 0.5).all()


def test_folds_of_a_patient_are_averaged_and_held_back_ones_counted_once(tmp_path: Path) -> None:
    made = study(tmp_path, (3.5, 10), (1.5, 20), THREE)
    held_back = alpha_sweep.exact(made, "val")
    assert list(held_back.curves["mean"]) == ["C", "D"]
    pairs = list(folds.branch_volumes(made, "val"))[:2]
    grid = np.array([0.13, 0.6])
    rows = [alpha_sweep.on_grid([pair], grid)[1][0] for pair in pairs]
    by_fold = [alpha_sweep.dice_curves(["C"], row[None], "brats")["WT"][0] for row in rows]
    found = held_back.curves["WT"]["C"].at(grid)
    np.testing.assert_allclose(found, np.mean(by_fold, axis=0), atol=2e-3)
    assert len(alpha_sweep.exact(made, "test").curves["mean"]) == 6


def test_without_validation_patients_no_alpha_is_chosen(
    material: folds.Material, sweep: alpha_sweep.Sweep
) -> None:
    nobody = alpha_sweep.Sweep({region: {} for region in sweep.curves})
    assert "chosen_alpha" not in values_of(material, sweep, nobody)


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
    sweep = alpha_sweep.Sweep({"mean": curves})
    own = alpha_sweep.patients(sweep).set_index("patient_id")
    assert own.loc["A", ["best α", "width", "within 0.01"]].tolist() == pytest.approx(
        [0.5, 0.2, 0.4]
    )
    assert own.loc["B", ["best α", "width", "within 0.01"]].tolist() == pytest.approx(
        [0.8, 0.6, 0.6]
    )
    assert own["0.6 is best"].tolist() == [False, False] and own.loc["A", "lost"] == pytest.approx(
        0.005
    )
    spans = alpha_sweep.spans(sweep)
    of_b = spans[(spans["patient_id"] == "B") & (spans["within"] == 0)]
    assert of_b[["start", "end"]].to_numpy().ravel().tolist() == pytest.approx([0, 0.2, 0.6, 1])
    mean = alpha_sweep.optima(sweep, settings.load("smoke"))["mean"]
    # means: 0.3, 0.15, 0.5, 0.6475, 0.6; at 0.6 that of the lower neighbours
    assert (mean.alpha.value, mean.dice) == pytest.approx((0.7, 0.6475))
    assert mean.flat.value == pytest.approx(0.2)
    assert mean.lost.value == pytest.approx(0.6475 - (0.795 + 0.2) / 2)


def test_patients_without_a_score_are_left_out_and_counted() -> None:
    nan = Curve(np.array([0.0, 0.5, 1.0]), np.array([np.nan, np.nan, 0.5, 0.5, 0.5]))
    sweep = alpha_sweep.Sweep({"mean": {"A": step(0.4, 0.5), "B": nan}, "ET": {"B": nan}})
    found = alpha_sweep.optima(sweep, settings.load("smoke"))
    assert list(found) == ["mean"] and found["mean"].left_out == 1
    assert alpha_sweep.optima_table(found)["patients"].tolist() == [1]
    with pytest.raises(RecordError, match="no patient has a mean Dice"):
        alpha_sweep.optima(alpha_sweep.Sweep({"mean": {"B": nan}}), settings.load("smoke"))


# --- classes of slices


def by_mass(checkpoint: Path, found: object, device: str, batch: int) -> np.ndarray:
    """Classify as a network would that takes the most probable sub-region of the whole slice."""
    images = found.images.astype(float)  # type: ignore[attr-defined]
    mass = images.sum(axis=(2, 3))
    return np.concatenate([np.full((len(mass), 1), 8.0), mass], axis=1)


def test_slices_are_those_of_the_fused_volume_at_each_alpha(
    material: folds.Material, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Path] = []

    def noted(checkpoint: Path, *rest: object) -> np.ndarray:
        asked.append(checkpoint)
        return by_mass(checkpoint, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(alpha_sweep.predict, "classify", noted)
    table = alpha_sweep.classified(material)
    assert asked == [folds.checkpoint(material, "resnet50", 0)] * 11
    assert len(table) == 2 * 11 * 5 * SHAPE[2]
    assert table["alpha"].unique().tolist() == list(alpha_sweep.LEVELS)
    by_area = table.query("patient_id == 'E' and way == 'area_rule'")
    for alpha, branch in ((0.0, "unet3d"), (1.0, "unet2d")):
        labels = tables.predicted_labels(folds.volume(material, branch, 0, "E"))
        rows = by_area[by_area["alpha"] == alpha]
        np.testing.assert_array_equal(rows["predicted"], slices.slice_classes(labels, "dominant"))
        np.testing.assert_array_equal(
            rows["truth"], slices.slice_classes(labels_of("E"), "dominant")
        )


def test_images_that_do_not_depend_on_alpha_are_classified_once(
    material: folds.Material, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def noted(checkpoint: Path, *rest: object) -> np.ndarray:
        calls.append(checkpoint)
        return by_mass(checkpoint, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(alpha_sweep.predict, "classify", noted)
    plan = material.study.classifier.model_copy(update={"image": "truth"})
    other = material.study.model_copy(update={"classifier": plan})
    run = records.Run(**{**vars(material.run), "study": other})
    table = alpha_sweep.classified(folds.Material(run, material.splits, material.store))
    assert len(calls) == 1
    network = table[table["way"] == "resnet50"]
    assert (network.groupby(["patient_id", "z"])["predicted"].nunique() == 1).all()


def planted(best: float) -> pd.DataFrame:
    """Return slices of eight patients of which the more are right the nearer α is to ``best``."""
    rng, rows = np.random.default_rng(0), []
    for way in alpha_sweep.WAYS:
        for patient in PATIENTS:
            luck = rng.random(60)
            for alpha in alpha_sweep.LEVELS:
                truth = np.arange(60) % 4
                right = luck < 0.95 - abs(alpha - best)
                rows.append(
                    pd.DataFrame(
                        {"way": way, "alpha": alpha, "patient_id": patient, "z": np.arange(60),
                         "truth": truth, "predicted": np.where(right, truth, (truth + 1) % 4)}
                    )
                )  # fmt: skip
    return pd.concat(rows, ignore_index=True)


@pytest.mark.parametrize("best", [0.0, 0.3, 0.6])
def test_a_planted_best_level_is_found_with_what_0_6_loses(best: float) -> None:
    found = {
        one.name: one for one in alpha_sweep.level_values(planted(best), settings.load("smoke"))
    }
    assert len(found) == 4 and all(one.n_patients == 8 for one in found.values())
    for suffix in ("accuracy", "area_rule"):
        assert found[f"best_alpha_{suffix}"].value == best
        low, high = found[f"best_alpha_{suffix}"].ci95 or (1, 0)
        assert low <= best <= high
        lost = found[f"lost_at_published_alpha_{suffix}"]
        assert lost.value == pytest.approx(abs(0.6 - best), abs=0.06)
    assert "trained on slices fused at α = 0.6" in found["best_alpha_accuracy"].rule
    assert "no network" in found["best_alpha_area_rule"].rule


def test_levels_are_pooled_scores_with_bands() -> None:
    table = planted(0.3)
    found = alpha_sweep.levels(table, settings.load("smoke"))
    assert len(found) == 2 * 11 * 2
    row = found.query("way == 'area_rule' and alpha == 0.3 and score == 'accuracy'").iloc[0]
    part = table.query("way == 'area_rule' and alpha == 0.3")
    assert row["value"] == pytest.approx((part["truth"] == part["predicted"]).mean())
    assert (found["low"] <= found["value"]).all() and (found["value"] <= found["high"]).all()


def test_the_grid_of_alphas_has_the_ends_and_the_studys_own() -> None:
    made = settings.load("smoke", {"fusion.sweep_step": 0.25, "fusion.alpha": 0.6})
    assert alpha_sweep.alphas(made).tolist() == [0, 0.25, 0.5, 0.6, 0.75, 1]


def test_the_ends_of_the_grid_are_the_two_networks(material: folds.Material) -> None:
    pairs = list(folds.branch_volumes(material, "test"))
    patients, found = alpha_sweep.on_grid(pairs, np.array([0.0, 0.5, 1.0]))
    assert patients == list("DEFGH") and found.shape == (5, 3, 4, 4)
    for counts, (case, p2d, p3d) in zip(found, pairs, strict=True):
        assert (counts[0] == tables.confusion_of(case, p3d)).all()
        assert (counts[2] == tables.confusion_of(case, p2d)).all()


def test_curves_average_the_folds_of_a_patient() -> None:
    perfect = np.diag([5, 5, 5, 5])
    missed = np.zeros((4, 4), dtype=np.int64)
    missed[:, 0] = 5
    confusions = np.stack([[perfect], [missed], [perfect]])
    curves = alpha_sweep.dice_curves(["A", "A", "B"], confusions, "brats")
    assert curves["WT"].tolist() == [[0.5], [1.0]]
    assert curves["mean"].tolist() == [[0.5], [1.0]]


def test_the_table_of_curves_finds_the_peak() -> None:
    grid = np.array([0.0, 0.5, 1.0])
    curves = {"mean": np.array([[0.1, 0.8, 0.2], [0.3, 0.9, 0.1]])}
    table = alpha_sweep.curve_table(curves, grid, settings.load("smoke"))
    assert ((table["low"] <= table["dice"]) & (table["dice"] <= table["high"])).all()
    at = table.set_index("alpha")["dice"]
    assert at.idxmax() == 0.5 and at[0.5] == pytest.approx(0.85) and at[0.0] == pytest.approx(0.2)
