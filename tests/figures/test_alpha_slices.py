"""What the page of α gets gives the library's classes, by the arithmetic that the page repeats."""

from base64 import b64decode
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gliomalib.experiments import alpha_curves
from gliomalib.figures import alpha_slices
from gliomalib.fusion import average, slices
from gliomalib.fusion.optimum import Curve
from gliomalib.pipeline import folds
from gliomalib.schema import FloatArray, Split
from gliomalib.scoring import tables
from tests import planted_branches

ONE = (Split(0, ("A",), ("B",), ("D", "E", "F", "G")),)
ALPHAS = np.linspace(0, 1, 101).round(6)


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> folds.Material:
    networks = {"unet2d": (2.5, 10), "unet3d": (2.0, 20)}
    root = tmp_path_factory.mktemp("slices")
    return planted_branches.noisy(root, "08_alpha_sweep", ONE, networks)


@pytest.fixture(scope="module")
def table(material: folds.Material) -> pd.DataFrame:
    return alpha_slices.table(material, alpha_curves.exact(material))


def whole(material: folds.Material, patient: str, alpha: float) -> np.ndarray:
    """Return the classes of a whole volume fused at one α."""
    pair = folds.pair(material, 0, patient)
    return tables.predicted_labels(average.weighted_average(*pair, alpha))


def rebuilt(row: pd.Series, alpha: float) -> np.ndarray:
    """Return the classes of the slice as a page makes them of a row."""
    parts = [np.frombuffer(b64decode(row[name]), "<f2").reshape(-1, 4) for name in ("p2d", "p3d")]
    p2d, p3d = (part.astype(np.float32) for part in parts)
    fused = np.float32(alpha) * p2d + np.float32(1 - alpha) * p3d
    digits = np.array(list(row["fixed"]))
    digits[digits == "."] = fused.astype(np.float16).argmax(axis=1).astype(str)
    return digits.astype(int).reshape(row["height"], row["width"])


def test_a_page_can_make_every_class_of_the_slice_at_every_alpha(
    material: folds.Material, table: pd.DataFrame
) -> None:
    for _, row in table.iterrows():
        assert 5 < row["fixed"].count(".") < 100, "α changes something, and not everything"
        classes = [int(digit) for digit in row["classes"]]
        for place, alpha in enumerate(ALPHAS):
            volume = whole(material, row["patient_id"], alpha)
            np.testing.assert_array_equal(rebuilt(row, alpha), volume[..., row["z"]].T)
            of_slices = slices.slice_classes(volume, row["rule"])
            assert classes[place] == of_slices[row["z"]]


def test_counts_and_truth_are_those_of_the_slice(
    material: folds.Material, table: pd.DataFrame
) -> None:
    for _, row in table.iterrows():
        labels = material.store.get(row["patient_id"]).labels
        assert row["z"] == (labels > 0).sum(axis=(0, 1)).argmax()
        truth = labels[..., row["z"]].T
        assert [int(digit) for digit in row["truth"]] == truth.ravel().tolist()
        counts = np.array(row["counts"].split(), dtype=int).reshape(-1, 4, 4)
        for place in (0, 60, 100):
            fused = rebuilt(row, ALPHAS[place])
            slow = [[((truth == a) & (fused == b)).sum() for b in range(4)] for a in range(4)]
            assert counts[place].tolist() == slow


def test_the_share_rule_looks_at_the_whole_volume(material: folds.Material) -> None:
    case, pair = material.store.get("D"), folds.pair(material, 0, "D")
    row = alpha_slices.sliced(case, pair, ALPHAS, "largest_share")
    voxels = np.array(row["voxels"].split(), dtype=int).reshape(-1, 3)
    for place in (0, 30, 100):
        volume = whole(material, "D", ALPHAS[place])
        assert voxels[place].tolist() == [(volume == label).sum() for label in (1, 2, 3)]
        of_slices = slices.slice_classes(volume, "largest_share")
        assert int(row["classes"][place]) == of_slices[row["z"]]


def test_the_worst_the_middle_and_the_best_are_chosen_by_the_whole_tumour(
    material: folds.Material, table: pd.DataFrame
) -> None:
    scores = {
        name: tables.score_volume(
            material.store.get(name), folds.volume(material, "fused", 0, name), "brats"
        )
        .set_index("region")
        .at["WT", "dice"]
        for name in "DEFG"
    }
    ranked = sorted(scores, key=scores.__getitem__)
    assert table["rank"].tolist() == ["worst", "middle", "best"]
    assert table["patient_id"].tolist() == [ranked[0], ranked[2], ranked[3]]
    assert table["dice"].tolist() == pytest.approx([scores[name] for name in table["patient_id"]])


def flat(value: float) -> Curve:
    ends: FloatArray = np.array([0.0, 1.0])
    return Curve(ends, np.full(3, value))


def test_few_patients_and_those_without_a_dice() -> None:
    curves = {"A": flat(0.5), "B": flat(np.nan), "C": flat(0.4)}
    assert alpha_slices.chosen(curves, 0.6) == {"C": "worst", "A": "best"}
    assert alpha_slices.chosen({"A": flat(0.5)}, 0.6) == {"A": "best"}
    assert alpha_slices.chosen({"B": flat(np.nan)}, 0.6) == {}


def test_own_curve_is_that_of_the_sweep(material: folds.Material, tmp_path: Path) -> None:
    sweep = alpha_curves.exact(material)
    row = alpha_slices.table(material, sweep).iloc[0]
    curve = sweep.curves["mean"][row["patient_id"]].at(ALPHAS)
    np.testing.assert_allclose([float(dice) for dice in row["own"].split()], curve, atol=1e-6)
