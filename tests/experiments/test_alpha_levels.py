"""Slices are those of the fused volume at each α, and a planted best level is found."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gliomalib import records, settings
from gliomalib.experiments import alpha_levels, gates
from gliomalib.fusion import slices
from gliomalib.networks import predict
from gliomalib.pipeline import folds
from gliomalib.schema import SliceSet, Split, Value
from gliomalib.scoring import tables
from tests import planted_branches

SPLIT = Split(0, ("A",), ("B", "C"), ("D", "E", "F", "G", "H"))


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> folds.Material:
    root, branches = tmp_path_factory.mktemp("levels"), {"unet2d": (2.0, 10), "unet3d": (2.0, 20)}
    return planted_branches.noisy(root, "08_alpha_sweep", [SPLIT], branches)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Classify as a network would that takes the most probable sub-region of the whole slice.

    Returns which network was read, and that which each set of slices was given to.
    """
    checkpoints: list[Path] = []

    def read(checkpoint: Path, device: str) -> Path:
        checkpoints.append(checkpoint)
        return checkpoint

    def by_mass(checkpoint: Path, held_out: SliceSet, batch: int) -> np.ndarray:
        checkpoints.append(checkpoint)
        mass = held_out.images.astype(float).sum(axis=(2, 3))
        return np.concatenate([np.full((len(mass), 1), 8.0), mass], axis=1)

    monkeypatch.setattr(predict, "load_classifier", read)
    monkeypatch.setattr(predict, "classify", by_mass)
    return checkpoints


def test_slices_are_those_of_the_fused_volume_at_each_alpha(
    material: folds.Material, asked: list[Path]
) -> None:
    table = alpha_levels.classified(material)
    # read once, then asked at each α
    assert asked == [folds.checkpoint(material, "resnet50", 0)] * (1 + len(alpha_levels.LEVELS))
    assert len(table) == 2 * len(alpha_levels.LEVELS) * 5 * planted_branches.SHAPE[2]
    assert table["alpha"].unique().tolist() == list(alpha_levels.LEVELS)
    by_area = table.query("patient_id == 'E' and way == 'area_rule'")
    truth = slices.slice_classes(planted_branches.labels_of("E"), "dominant")
    for alpha, branch in ((0.0, "unet3d"), (1.0, "unet2d")):
        labels = tables.predicted_labels(folds.volume(material, branch, 0, "E"))
        rows = by_area[by_area["alpha"] == alpha]
        np.testing.assert_array_equal(rows["predicted"], slices.slice_classes(labels, "dominant"))
        np.testing.assert_array_equal(rows["truth"], truth)


def test_images_that_do_not_depend_on_alpha_are_classified_once(
    material: folds.Material, asked: list[Path]
) -> None:
    plan = material.study.classifier.model_copy(update={"image": "truth"})
    other = material.study.model_copy(update={"classifier": plan})
    run = records.Run(**{**vars(material.run), "study": other})
    table = alpha_levels.classified(folds.Material(run, material.splits, material.store))
    assert len(asked) == 1 + 1
    network = table[table["way"] == "resnet50"]
    assert (network.groupby(["patient_id", "z"])["predicted"].nunique() == 1).all()


def planted(best: float) -> pd.DataFrame:
    """Return slices of eight patients of which the more are right the nearer α is to ``best``."""
    rng, rows = np.random.default_rng(0), []
    for way in alpha_levels.WAYS:
        for patient in "ABCDEFGH":
            luck = rng.random(60)
            for alpha in alpha_levels.LEVELS:
                truth = np.arange(60) % 4
                right = luck < 0.95 - abs(alpha - best)
                about = {"way": way, "alpha": alpha, "patient_id": patient, "z": np.arange(60)}
                predicted = np.where(right, truth, (truth + 1) % 4)
                rows.append(pd.DataFrame({**about, "truth": truth, "predicted": predicted}))
    return pd.concat(rows, ignore_index=True)


@pytest.mark.parametrize("best", [0.0, 0.4, 0.6])
def test_a_planted_best_level_is_found_with_what_0_6_loses(best: float) -> None:
    values = alpha_levels.values(
        planted(best), settings.load("smoke"), Value(gates.NAME, 1.0, note="passed")
    )
    found = {value.name: value for value in values}
    assert len(found) == 4 and all(value.n_patients == 8 for value in values)
    assert all(value.n_seeds == 1 for value in values), "one training of both branches at least"
    for suffix in ("accuracy", "area_rule"):
        assert found[f"best_alpha_{suffix}"].value == best
        low, high = found[f"best_alpha_{suffix}"].ci95 or (1, 0)
        assert low <= best <= high
        lost = found[f"lost_at_published_alpha_{suffix}"]
        assert lost.value == pytest.approx(abs(0.6 - best), abs=0.06)
    assert "trained on slices fused at α = 0.6" in found["best_alpha_accuracy"].rule
    assert "no network" in found["best_alpha_area_rule"].rule


def test_levels_are_pooled_scores_with_bands() -> None:
    table = planted(0.4)
    found = alpha_levels.scores(table, settings.load("smoke"))
    assert len(found) == 2 * len(alpha_levels.LEVELS)
    row = found.query("way == 'area_rule' and alpha == 0.4").iloc[0]
    part = table.query("way == 'area_rule' and alpha == 0.4")
    assert row["value"] == pytest.approx((part["truth"] == part["predicted"]).mean())
    assert (found["low"] <= found["value"]).all() and (found["value"] <= found["high"]).all()
