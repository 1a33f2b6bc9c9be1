"""Tables of planted losses: Dice of the enhancing tumour and slices, as notebooks leave them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gliomalib import records
from gliomalib.scoring.tables import RULES
from tests.planted_branches import begin

N = 30
PEOPLE = [f"P{number:02d}" for number in range(N)]
UNET2D, UNET3D, RESNET50 = "03_train_unet2d", "04_train_unet3d", "06_train_resnet50"
RANDOM = np.random.default_rng(5)
BASE = RANDOM.uniform(0.4, 0.8, N)
NOISE = RANDOM.normal(0, 0.005, N)


def run_of(root: Path, variants: dict[str, Any]) -> records.Run:
    run = begin(root, "09_loss_ablations")
    return replace(run, study=run.study.model_copy(update={"variants": variants}))


def scores(et: np.ndarray, people: list[str] = PEOPLE, **more: Any) -> pd.DataFrame:
    """Return the table of a segmentation with these Dice of the enhancing tumour."""
    tables = [
        pd.DataFrame({"patient_id": people, "region": region, "dice": dice})
        for region, dice in (("NCR", 0.5), ("ED", 0.7), ("ET", et), ("WT", 0.9))
    ]
    table = pd.concat(tables)
    rules = dict.fromkeys(RULES, table["dice"])
    return table.assign(**{**rules, "part": "test", "fold": 0, "state": "both", **more})


def slices_of(right: float, people: list[str] = PEOPLE) -> pd.DataFrame:
    """Return ten slices per patient, the first tenths of each right, named with 0.7 certainty."""
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
    UNET2D: {
        "recipe": {"loss": "cross_entropy", "dropout": 0.2},
        "ce": {"loss": "cross_entropy"},
        "dice_ce": {"loss": "dice_ce"},
        "gamma4": {"focal_gamma": 4.0},
        "ce_gamma": {"loss": "cross_entropy", "focal_gamma": 1.0, "seed": 8},
    },
    RESNET50: {"ce": {"loss": "cross_entropy"}, "both": {"loss": "dice_ce"}},
}


def study(root: Path) -> records.Run:
    """Return a study in which focal is .03 better than cross-entropy, and Dice + CE equal to it."""
    run = run_of(root, GRID)
    planted = {
        "": BASE + 0.03 + NOISE,
        ".ce": BASE,
        ".ce_gamma": BASE,
        ".dice_ce": BASE,
        ".gamma4": BASE + NOISE / 10,
    }
    for name, dice in planted.items():
        write(run, UNET2D + name, scores(dice))
    write(run, UNET3D, scores(BASE))
    for name, right in (("", 0.6), (".ce", 0.9), (".both", 0.9)):
        write(run, RESNET50 + name, slices_of(right))
    return run
