"""The curves of a cohort lie in a file while a sweep lasts, and nobody is left out unsaid."""

from pathlib import Path

import numpy as np
import pytest

from gliomalib.experiments import alpha_curves
from gliomalib.fusion import exact_sweep
from gliomalib.fusion.optimum import Curve
from gliomalib.pipeline import folds
from gliomalib.schema import Split
from tests import planted_branches

ONE = (Split(0, ("A",), ("B", "C"), ("D", "E", "F")),)


@pytest.fixture
def material(tmp_path: Path) -> folds.Material:
    networks = {"unet2d": (3.5, 10), "unet3d": (1.5, 20)}
    return planted_branches.noisy(tmp_path, "08_alpha_sweep", ONE, networks)


def test_curves_are_read_from_a_file_that_nothing_leaves_behind(
    material: folds.Material, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    with pytest.raises(FileNotFoundError):
        alpha_curves.exact(material)
    (tmp_path / "scratch").mkdir()
    sweep = alpha_curves.exact(material)
    assert not [*(tmp_path / "scratch").iterdir()], "a file that SIGKILL would leave"
    whole = sweep.curves["WT"]
    assert list(whole) == ["D", "E", "F"] and "A" not in whole
    assert whole["D"] is not whole["D"], "a curve that is kept in memory"
    p2d, p3d = folds.pair(material, 0, "E")
    steps = exact_sweep.steps_of(p2d, p3d, material.store.get("E").labels)
    expected = exact_sweep.dice_at(steps, (1, 2, 3), "brats")
    np.testing.assert_array_equal(whole["E"].alphas, expected.alphas)
    np.testing.assert_array_equal(whole["E"].values, expected.values)
    del sweep
    assert whole["D"].values.size, "whoever holds a part of the curves can still read them"


def test_who_lacks_a_score_in_the_mean_is_in_no_training() -> None:
    ends = np.array([0.0, 1.0])
    high, low, none = (Curve(ends, np.full(3, dice)) for dice in (0.8, 0.4, np.nan))
    trainings = {0: {"ET": {"A": high, "B": none}}, 8: {"ET": {"A": low, "B": low}}}
    sweep = alpha_curves.Sweep({"ET": {"A": low, "B": none}}, trainings)
    assert list(alpha_curves.defined(sweep.curves["ET"])) == ["A"]
    assert [mean.best.value for mean in sweep.trainings("ET").values()] == [0.8, 0.4]
    assert len(sweep.mean("ET").curves) == 1
