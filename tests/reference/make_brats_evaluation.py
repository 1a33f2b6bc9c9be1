"""Score random label volumes with the organisers' package; its numbers are what tests compare with.

brats-evaluation 0.0.10 needs pandas below 3 and so has no place beside the project. To make
``brats_evaluation.json`` anew, from the root of the project::

    uv venv --python 3.11 /tmp/brats-evaluation
    uv pip install --python /tmp/brats-evaluation/bin/python brats-evaluation==0.0.10
    /tmp/brats-evaluation/bin/python tests/reference/make_brats_evaluation.py

``volumes`` needs numpy alone: ``test_metrics.py`` and ``test_surface.py`` of ``tests/scoring`` make
the same volumes again.

Its conventions (configuration ``gli``), as far as they are not those of ``gliomalib.scoring``:
two empty masks have no score (NaN; in BraTS 2018–2020 a Dice of 1); masks that do not overlap, a
missed one among them, have an infinite HD95, which its parser replaces by 373; HD95 is the 95th
percentile of the distances of both directions together, not the larger one of two percentiles;
lesion-wise scores are means over connected components that overlap, so what is missed or spurious
counts in other columns. With voxels of 1 × 1 × 2.5 mm its HD95 of a shift along the first axis was
1 for the whole mask and 2.5 for the lesion, so all volumes here have 1 mm.
"""

import json
import math
import tempfile
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

REGIONS = {"snfh": (2,), "et": (3,), "netc": (1,), "tc": (1, 3), "wt": (1, 2, 3)}
"""What its configuration calls the masks → our canonical labels."""

SHAPE = (15, 14, 13)
RANDOM = 6
OUTCOME = Path(__file__).with_name("brats_evaluation.json")
LabelPair = tuple[np.ndarray, np.ndarray]
"""True and predicted labels."""


def volumes() -> dict[str, LabelPair]:
    """Return true and predicted labels by case: random tumours, and what is not there in some."""
    cases: dict[str, LabelPair] = {}
    for seed in range(RANDOM):
        rng = np.random.default_rng(seed)
        truth = tumour(rng)
        noise = rng.random(SHAPE) < 0.1
        predicted = np.where(noise, rng.integers(0, 4, SHAPE), np.roll(truth, seed % 3, axis=1))
        cases[f"random {seed}"] = (truth, predicted.astype(np.uint8))
    rng = np.random.default_rng(100)
    one, other, none = tumour(rng), tumour(rng), np.zeros(SHAPE, np.uint8)
    without = np.where(one == 3, 2, one).astype(np.uint8)
    two = one.copy()
    two[0:2, 0:2, 0:2], two[13:, 12:, 11:] = 3, 1
    return {
        **cases,
        "both empty": (none, none),
        "missed": (one, none),
        "spurious": (none, one),
        "equal": (one, one),
        "another place": (one, other),
        "no enhancing tumour in truth": (without, one),
        "no enhancing tumour predicted": (one, without),
        "no enhancing tumour in either": (without, np.roll(without, 1, axis=0)),
        "lesions missed": (two, np.roll(one, 1, axis=2)),
        "lesions spurious": (np.roll(one, 1, axis=2), two),
    }


def tumour(rng: np.random.Generator) -> np.ndarray:
    """Return a tumour of three shells somewhere in the volume, away from its edge."""
    centre = rng.uniform(5, 8, 3)
    distance = np.linalg.norm(np.indices(SHAPE).T - centre, axis=-1).T
    labels = np.zeros(SHAPE, dtype=np.uint8)
    for radius, label in ((rng.uniform(3.5, 4.5), 2), (rng.uniform(2.4, 3), 3), (1.5, 1)):
        labels[distance < radius] = label
    return labels


def main() -> None:
    """Write the scores of every case and region: dice, hd95, lesion-wise dice, tp, fp, fn."""
    from importlib.resources import files

    from panoptica import Panoptica_Evaluator

    path = files("brats_evaluation").joinpath("configs", "config_gli.yaml")
    evaluator = Panoptica_Evaluator.load_from_config(str(path))
    versions = {name: metadata.version(name) for name in ("brats-evaluation", "panoptica", "numpy")}
    cases = {name: scores(evaluator, *pair) for name, pair in volumes().items()}
    rows = [f" {json.dumps(name)}: {json.dumps(case)}" for name, case in cases.items()]
    text = ",\n".join(rows)
    OUTCOME.write_text(f'{{"versions": {json.dumps(versions)},\n"cases": {{\n{text}\n}}}}\n')


def scores(evaluator: Any, truth: np.ndarray, predicted: np.ndarray) -> dict[str, list[Any]]:
    """Return the numbers of each region; null is NaN and "inf" infinite."""
    import nibabel as nib
    from brats_evaluation.evaluation import evaluate_single_exam

    with tempfile.TemporaryDirectory() as folder:
        paths = [f"{folder}/{name}.nii.gz" for name in ("predicted", "truth")]
        for path, labels in zip(paths, (predicted, truth), strict=True):
            nib.save(nib.Nifti1Image(labels, np.eye(4)), path)
        outcome = evaluate_single_exam(*paths, "case", evaluator)
    names = ("global_bin_dsc", "global_bin_hd95", "sq_dsc", "tp", "fp", "fn")
    return {region: [plain(outcome[region][name]) for name in names] for region in REGIONS}


def plain(value: float) -> Any:
    """Return a number as JSON has it."""
    if math.isnan(value):
        return None
    return "inf" if math.isinf(value) else round(float(value), 9)


if __name__ == "__main__":
    main()
