"""Cells of losses: what makes one, seeds and folds averaged, and runs that do not belong."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gliomalib.experiments import loss_grid
from gliomalib.schema import RecordError, SettingsError
from tests import planted_losses as planted


def test_cells_are_losses_and_exponents_and_nothing_else(
    loss_grids: list[loss_grid.Grid],
) -> None:
    unet2d, unet3d, resnet50 = loss_grids
    assert dict(unet2d.titles) == {
        "focal": "focal γ = 2",
        "cross_entropy": "cross-entropy",
        "dice_ce": "Dice + CE",
        "focal_gamma4": "focal γ = 4",
    }
    assert list(unet3d.titles) == ["focal"]
    assert list(resnet50.titles) == ["dice", "cross_entropy", "dice_ce"]
    # an exponent means nothing to cross-entropy: its loss_run is one more seed of the cell
    of_cell = unet2d.scores.groupby("cell")["seed"].nunique()
    assert of_cell["cross_entropy"] == 2 and of_cell["focal"] == 1
    assert "03_train_unet2d.recipe" not in set(unet2d.scores["run"])


def test_iou_is_made_of_each_dice_before_any_mean(tmp_path: Path) -> None:
    made = planted.run_of(tmp_path, {planted.UNET2D: {"again": {"seed": 8}}})
    planted.write(made, planted.UNET2D, planted.scores(np.array([1.0, 0.5]), ["A", "B"]))
    planted.write(made, f"{planted.UNET2D}.again", planted.scores(np.array([0.0, 0.5]), ["A", "B"]))
    found = loss_grid.grid(made, "unet2d")
    assert loss_grid.patients(found, "test", "et_dice")["focal"].tolist() == [0.5, 0.5]
    iou = loss_grid.patients(found, "test", "et_iou")["focal"]
    assert iou.tolist() == pytest.approx([0.5, 1 / 3])


def test_a_patient_of_several_folds_counts_once(tmp_path: Path) -> None:
    made = planted.run_of(tmp_path, {})
    folds = [
        planted.scores(np.array([dice]), ["A"], fold=fold) for fold, dice in enumerate((0.2, 0.6))
    ]
    other = planted.scores(np.array([0.5]), ["B"])
    planted.write(made, planted.UNET2D, pd.concat([*folds, other]))
    found = loss_grid.patients(loss_grid.grid(made, "unet2d"), "test", "et_dice")
    assert found["focal"].to_dict() == pytest.approx({"A": 0.4, "B": 0.5})


@pytest.mark.parametrize(
    ("notebook", "network"), [(planted.UNET2D, "unet2d"), (planted.RESNET50, "resnet50")]
)
def test_a_patient_that_one_variant_lacks_is_named(
    tmp_path: Path, notebook: str, network: str
) -> None:
    made = planted.run_of(tmp_path, {notebook: {"ce": {"loss": "cross_entropy"}}})
    for name, people in (("", ["A", "B", "C"]), (".ce", ["A", "C"])):
        table = planted.scores(np.full(len(people), 0.5), people)
        planted.write(
            made,
            notebook + name,
            planted.slices_of(0.5, people) if network == "resnet50" else table,
        )
    with pytest.raises(RecordError, match=rf"{notebook}.ce do not cover the same patients: B"):
        loss_grid.grid(made, network)


def test_a_missing_run_and_a_run_that_stands_twice_are_errors(tmp_path: Path) -> None:
    made = planted.run_of(tmp_path, {planted.UNET2D: {"ce": {"loss": "cross_entropy"}}})
    planted.write(made, planted.UNET2D, planted.scores(planted.BASE))
    with pytest.raises(RecordError, match=r"run 03_train_unet2d\.ce first"):
        loss_grid.grid(made, "unet2d")
    made = planted.run_of(tmp_path, {planted.UNET2D: {"again": {"focal_gamma": 2.0}}})
    planted.write(made, f"{planted.UNET2D}.again", planted.scores(planted.BASE))
    with pytest.raises(SettingsError, match="again and 03_train_unet2d are the same run"):
        loss_grid.grid(made, "unet2d")
