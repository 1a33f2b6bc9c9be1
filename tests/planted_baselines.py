"""A planted study of the baselines: two branches, a second seed, and slices of classifiers."""

from pathlib import Path

import numpy as np
import pandas as pd

from gliomalib import records
from gliomalib.fusion.slices import slice_classes
from gliomalib.pipeline import folds
from gliomalib.schema import Split
from tests import planted_branches

ONE = (Split(0, ("A", "B"), (), tuple("CDEFGHIJ"), ("K", "L")),)
TWO = (
    Split(0, ("A", "B"), (), ("C", "D"), ("K", "L")),
    Split(1, ("C", "D"), (), ("A", "B"), ("K", "L")),
)
NETWORKS = {"unet2d": (2.0, 1), "unet3d": (2.0, 2)}
NETWORKS |= {f"{name}.seed2": noise for name, noise in NETWORKS.items()}
"""Independent branches, and a second seed of each that is equal to the first."""

CLASSIFIERS = {"": 2, ".seed2": 2, ".truth": 2, ".two_seeds": 0, ".ce": 9}
"""How many slices of ten each variant of ResNet50 gets wrong."""


def study(root: Path, splits: tuple[Split, ...]) -> folds.Material:
    material = planted_branches.noisy(root, "07_baselines", splits, NETWORKS)
    for variant, wrong in CLASSIFIERS.items():
        write(material.run, f"06_train_resnet50{variant}", classified(splits, wrong))
    return material


def classified(splits: tuple[Split, ...], wrong: int) -> pd.DataFrame:
    """Return slices of all reported patients, the first ``wrong`` of each put in another class."""
    tables = []
    for split in splits:
        for part in ("test", "external"):
            for patient in folds.parts_of(split)[part]:
                truth = slice_classes(planted_branches.labels_of(patient), "dominant")
                z = np.arange(len(truth))
                table = pd.DataFrame({"patient_id": patient, "z": z, "truth": truth})
                predicted = np.where(z < wrong, (truth + 1) % 4, truth)
                tables.append(table.assign(predicted=predicted, fold=split.fold, part=part))
    return pd.concat(tables, ignore_index=True)


def write(run: records.Run, name: str, table: pd.DataFrame) -> None:
    path = run.report_dir / "tables" / f"{name}.slices.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(path, index=False)
