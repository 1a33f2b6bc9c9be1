"""The cells of an ablation: a network trained with several losses, each with one or more seeds."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from gliomalib import records, settings
from gliomalib.parameters import NETWORKS
from gliomalib.pipeline.variants import Sibling, siblings
from gliomalib.schema import RecordError, SettingsError
from gliomalib.scoring import metrics
from gliomalib.scoring import tables as evaluate

VARYING = ("loss", "focal_gamma", "seed")
"""Parameters of a training that make the grid; the first two make a cell."""

REFERENCE = "cross_entropy"
"""The loss against which all others are set."""

OWN = {"unet2d": "focal", "unet3d": "focal", "resnet50": "dice"}
"""The losses of the paper."""

SCORES = {
    "et_dice": "Dice of the enhancing tumour",
    "et_dice_present": "Dice of the enhancing tumour, patients without any left out",
    "et_dice_volume": "Dice of the enhancing tumour, a little predicted counts as necrotic core",
    "et_iou": "IoU of the enhancing tumour, D/(2 − D) of each Dice",
    "accuracy": "accuracy of a patient's slices",
    "mcc": "Matthews correlation of a patient's slices, 0 for one class alone",
}
"""The scores of a patient, under their names in the values."""

SEGMENTATION, CLASSIFICATION = tuple(SCORES)[:4], tuple(SCORES)[4:]
TITLES = {"unet2d": "2D U-Net", "unet3d": "3D U-Net", "resnet50": "ResNet50"}
LOSSES = {
    "focal": "focal",
    "cross_entropy": "cross-entropy",
    "dice": "Dice",
    "dice_ce": "Dice + CE",
}


@dataclass(frozen=True)
class Grid:
    """The cells of one network.

    ``rows`` are what its runs wrote (a row per region or slice) with ``cell``, ``seed`` and
    ``run``; ``scores`` has one row per run, fold and patient with the scores of ``SCORES``, and for
    a segmentation ``state``, that of the enhancing tumour. ``titles`` gives each cell its words,
    the study's own first.
    """

    network: str
    rows: pd.DataFrame
    scores: pd.DataFrame
    titles: Mapping[str, str]

    @property
    def classifies(self) -> bool:
        """Whether these are losses of the classifier."""
        return self.network == "resnet50"

    @property
    def score_names(self) -> tuple[str, ...]:
        """The scores of a patient; the first decides."""
        return CLASSIFICATION if self.classifies else SEGMENTATION

    @property
    def seeds(self) -> int:
        """The smallest number of seeds of a cell."""
        return int(self.scores.groupby("cell")["seed"].nunique().min())

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """What is compared: every cell with cross-entropy."""
        cells = list(self.titles)
        return [(cell, REFERENCE) for cell in cells if cell != REFERENCE and REFERENCE in cells]


def grid(run: records.Run, network: str) -> Grid:
    """Return the cells of ``unet2d``, ``unet3d`` or ``resnet50`` from the tables of their runs.

    Raises ``RecordError`` where a run is missing or covers other patients than the study's own,
    ``SettingsError`` where two are the same loss and seed.
    """
    tables: list[pd.DataFrame] = []
    titles: dict[str, str] = {}
    classifies = network == "resnet50"
    for sibling, cell, title in _cells(run.study, network):
        table = records.read_table(run, sibling.name, "slices" if classifies else "scores")
        tables.append(table.assign(cell=cell, seed=sibling.study.seed, run=sibling.name))
        titles.setdefault(cell, title)
    rows = pd.concat(tables, ignore_index=True)
    keys = ["cell", "seed", "run", "fold", "part", "patient_id"]
    score = _slice_scores if classifies else _dice_scores
    groups = rows.groupby(keys, sort=False)
    scores = [{**dict(zip(keys, key, strict=True)), **score(table)} for key, table in groups]
    made = Grid(network, rows, pd.DataFrame(scores), titles)
    _check_patients(made.scores)
    return made


def by_seed(grid: Grid, part: str, score: str) -> pd.DataFrame:
    """Return a score of patients × (cell, seed), folds averaged.

    A patient without an enhancing tumour to score (rule ``exclude``) is left out of all cells.
    """
    rows = grid.scores[grid.scores["part"] == part]
    of_run = rows.groupby(["cell", "seed", "patient_id"])[score].mean()
    return of_run.unstack(["cell", "seed"]).dropna()


def scored(grid: Grid, part: str) -> tuple[str, ...]:
    """Return the scores that at least one patient of a part has in every run.

    Where nobody has an enhancing tumour, a rule that leaves such patients out has no mean. Raises
    ``RecordError`` where that is the study's own rule.
    """
    there = tuple(name for name in grid.score_names if len(by_seed(grid, part, name)))
    if grid.score_names[0] not in there:
        raise RecordError(
            f"{TITLES[grid.network]}: none of the {part} patients has {SCORES[grid.score_names[0]]}"
            " by the study's rule; test more patients, or take evaluation.empty: brats"
        )
    return there


def patients(grid: Grid, part: str, score: str) -> pd.DataFrame:
    """Return a score of each patient by cell, folds and then seeds averaged: patients × cells."""
    return by_seed(grid, part, score).T.groupby("cell").mean().T[list(grid.titles)]


def seed_means(grid: Grid, part: str, score: str) -> pd.DataFrame:
    """Return the mean over patients of every run: cell, title, seed, value."""
    means = by_seed(grid, part, score).mean().reset_index(name="value")
    return means.assign(title=means["cell"].map(grid.titles))


def _cells(study: settings.Study, network: str) -> Iterator[tuple[Sibling, str, str]]:
    """Yield every run with the name of its cell, which says what differs, and its title."""
    notebook, section = NETWORKS[network]
    runs: dict[tuple[str, int], str] = {}
    for sibling in siblings(study, notebook, VARYING):
        cell, title = _cell(getattr(sibling.study, section), getattr(study, section))
        # a cell is what the loss does and not what its settings are called: γ of cross-entropy
        # changes nothing, so that such a variant is one more seed of its cell, and two variants
        # that differ in nothing else are one training, which must not count as two
        key = (cell, sibling.study.seed)
        if key in runs:
            raise SettingsError(
                f"{sibling.name} and {runs[key]} are the same run: {title}, seed {key[1]}; "
                "give one of them another seed"
            )
        runs[key] = sibling.name
        yield sibling, cell, title


def _cell(run: Any, study: Any) -> tuple[str, str]:
    """Return name and title of a loss from the network's settings in a run and in the study."""
    name, title = str(run.loss), LOSSES[run.loss]
    if run.loss == "focal":
        # the words always have γ, the name only where it differs: the study's own cell is "focal"
        # in the values whatever its γ
        title += f" γ = {run.focal_gamma:g}"
        if run.focal_gamma != study.focal_gamma:
            name += f"_gamma{run.focal_gamma:g}"
    return name, title


def _check_patients(scores: pd.DataFrame) -> None:
    first, *others = scores["run"].unique()
    places = scores.groupby("run")[["fold", "part", "patient_id"]]
    covered = {run: set(rows.itertuples(index=False, name=None)) for run, rows in places}
    for other in others:
        if names := sorted({str(patient) for *_, patient in covered[first] ^ covered[other]}):
            raise RecordError(
                f"{first} and {other} do not cover the same patients: {', '.join(names)} not in "
                "both; run them again"
            )


def _dice_scores(rows: pd.DataFrame) -> dict[str, float | str]:
    enhancing = rows[rows["region"] == "ET"].iloc[0]
    of_rules = {f"et_{rule}": float(enhancing[rule]) for rule in evaluate.RULES}
    # of each patient's Dice: the IoU of a mean Dice is another number than the mean IoU
    iou = of_rules["et_dice"] / (2 - of_rules["et_dice"])
    return {**of_rules, "et_iou": iou, "state": str(enhancing["state"])}


def _slice_scores(rows: pd.DataFrame) -> dict[str, float | str]:
    counts = metrics.confusion_matrix(rows["truth"].to_numpy(), rows["predicted"].to_numpy())
    scores = metrics.stacked_scores(counts)
    return {name: float(scores[name]) for name in CLASSIFICATION}
