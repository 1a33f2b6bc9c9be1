"""Losses side by side: a grid of variants, several seeds a cell, compared patient by patient."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gliomalib import records, settings
from gliomalib.pipeline.variants import Sibling, siblings
from gliomalib.schema import RecordError, SettingsError, Value
from gliomalib.scoring import bootstrap, collapse, comparisons, metrics
from gliomalib.scoring import calibration as reliability
from gliomalib.scoring import tables as evaluate
from gliomalib.scoring.comparisons import MARGIN

VARYING = ("loss", "focal_gamma", "class_weights", "seed")
"""Parameters of a training that make the grid; the first three make a cell."""

REFERENCE, BOTH = "cross_entropy", "dice_ce"
OWN = {"unet2d": "focal", "unet3d": "focal", "resnet50": "dice"}
"""All losses are set against cross-entropy, the one of the paper also against both together."""

SAID = {
    "et_dice": "Dice of the enhancing tumour",
    "et_iou": "IoU of the enhancing tumour, D/(2 − D) of each Dice",
    "ncr_dice": "Dice of the necrotic core",
    "ed_dice": "Dice of the edema",
    "accuracy": "accuracy of a patient's slices",
    "balanced_accuracy": "mean recall of the classes that a patient's slices have",
    "mcc": "Matthews correlation of a patient's slices, 0 for one class alone",
    "brier": "Brier score of a patient's slices, 0 to 2",
}
"""The scores of a patient, under their names in the values."""

SEGMENTATION, CLASSIFICATION = tuple(SAID)[:4], tuple(SAID)[4:]
COMPARED = ("et_dice", "et_iou", *CLASSIFICATION)

TITLES = {"unet2d": "2D U-Net", "unet3d": "3D U-Net", "resnet50": "ResNet50"}
WORDS = {"focal": "focal", "cross_entropy": "cross-entropy", "dice": "Dice", "dice_ce": "Dice + CE"}

FOUND = {1.0: "yes", 0.0: "no"}
"""What a value ``collapsed_<loss>`` means; NaN cannot be told."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Grid:
    """The cells of one network.

    ``rows`` are what its runs wrote (a row a region or a slice) with ``cell``, ``seed`` and
    ``run``; ``scores`` has one row a run, fold and patient with the scores of ``SAID``, and for a
    segmentation ``state``, that of the enhancing tumour. ``titles`` gives each cell its words, the
    study's own first.
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
        """What is compared: every cell with cross-entropy, and the paper's loss with both."""
        own, cells = OWN[self.network], list(self.titles)
        found = [(cell, REFERENCE) for cell in cells if cell != REFERENCE and REFERENCE in cells]
        return found + ([(own, BOTH)] if {own, BOTH} <= set(cells) else [])

    @property
    def parts(self) -> list[str]:
        """The parts that have patients: ``test``, and ``external`` where there are some."""
        return [part for part in ("test", "external") if (self.scores["part"] == part).any()]


def grid(run: records.Run, network: str) -> Grid:
    """Return the cells of ``unet2d``, ``unet3d`` or ``resnet50`` from the tables of their runs.

    Raises ``RecordError`` where a run is missing or covers other
    patients than the study's own, ``SettingsError`` where two are the same loss and seed.
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
    scores = [{**dict(zip(keys, key, strict=True)), **score(own)} for key, own in groups]
    found = Grid(network, rows, pd.DataFrame(scores), titles)
    _check_patients(found.scores)
    return found


def patients(grid: Grid, part: str, score: str) -> pd.DataFrame:
    """Return a score of each patient by cell, folds and then seeds averaged: patients × cells.

    A patient without an enhancing tumour to score (rule ``exclude``) is left out of all cells.
    """
    return _by_seed(grid, part, score).T.groupby("cell").mean().T[list(grid.titles)].dropna()


def seed_means(grid: Grid, part: str, score: str) -> pd.DataFrame:
    """Return the mean over patients of every run: cell, title, seed, value."""
    found = _by_seed(grid, part, score).mean().reset_index(name="value")
    return found.assign(title=found["cell"].map(grid.titles))


def overview(grid: Grid, part: str, study: settings.Study) -> pd.DataFrame:
    """Return one row a cell: interval of the first score, all means, spread over seeds, masks."""
    rows = []
    for cell, title in grid.titles.items():
        found = {name: _mean(grid, part, name, cell, study) for name in grid.score_names}
        low, high = found[grid.score_names[0]].ci95 or (np.nan, np.nan)
        row = {"cell": cell, "title": title, "low": low, "high": high}
        row |= {name: one.value for name, one in found.items()}
        row["spread"] = _spread(grid, part, grid.score_names[0], cell)
        if not grid.classifies:
            row["empty"], row["missed"] = _masks(grid, part, cell)
        rows.append(row)
    return pd.DataFrame(rows)


def compared(grid: Grid, part: str, score: str, study: settings.Study) -> pd.DataFrame:
    """Return the paired differences of ``Grid.pairs``, an empty table where there is no pair.

    Columns: first, second, difference, low and high of its 95 % interval, p_holm, verdict, note.
    The family of Holm's adjustment are all pairs.
    """
    columns = ["first", "second", "difference", "low", "high", "p_holm", "verdict", "note"]
    if not grid.pairs:
        return pd.DataFrame(columns=columns)
    wide = patients(grid, part, score)
    gains = {f"{one} {other}": wide[one] - wide[other] for one, other in grid.pairs}
    seed, draws = _seed(study, grid.network, part, score), study.evaluation.bootstrap
    # every pair has a reference of its own, so it is the differences that are set against nothing
    nothing = pd.DataFrame({"nothing": 0.0, **gains})
    judged = comparisons.compare_family(nothing, "nothing", MARGIN, seed, draws)
    found = [bootstrap.mean_interval(gain, seed, draws) for gain in gains.values()]
    judged[["first", "second"]] = grid.pairs
    judged["difference"] = [one.value for one in found]
    judged[["low", "high"]] = [one.ci95 or (np.nan, np.nan) for one in found]
    return judged[columns]


def values(grids: Sequence[Grid], study: settings.Study) -> list[Value]:
    """Return the scores of every cell, the differences of the pairs, and the number of seeds."""
    found: list[Value] = []
    for one in grids:
        for part in one.parts:
            prefix = "external_" * (part == "external") + "unet3d_" * (one.network == "unet3d")
            for score in one.score_names:
                found += _scores(one, part, score, study, prefix)
                found += _differences(one, part, score, study, prefix)
            if one.classifies:
                found += _of_slices(one, part, study, prefix)
    rule = "smallest number of seeds of a cell, of the networks that have more than one cell"
    return [*found, Value("seeds_per_cell", float(_fewest_seeds(grids)), rule=rule)]


def absent(grids: Sequence[Grid]) -> tuple[str, ...]:
    """Return a caveat for every cell asked for that the study lacks, and for single seeds."""
    found = []
    for one in grids:
        wanted = {OWN[one.network], REFERENCE, BOTH}
        lacking = [WORDS[loss] for loss in sorted(wanted - set(one.titles))]
        if not one.classifies:
            kinds = {"_gamma": "another exponent γ", "_weights": "weights of the classes"}
            names = " ".join(one.titles)
            lacking += [told for kind, told in kinds.items() if kind not in names]
        if lacking:
            found.append(f"{TITLES[one.network]}: not trained here: {', '.join(lacking)}.")
    single = [TITLES[one.network] for one in grids if one.seeds == 1 and one.pairs]
    if single:
        told = "a difference between losses is not told from one between seeds."
        found.append(f"{' and '.join(single)}: some cell has one seed only; {told}")
    if any("external" not in one.parts for one in grids):
        found.append("There are no external patients.")
    return tuple(found)


def conclusion(grids: Sequence[Grid], found: Sequence[Value], study: settings.Study) -> str:
    """Say for each network what the losses differ by, which one collapsed, and how many seeds."""
    parts = [_told(one, part, study) for one in grids for part in one.parts]
    lost = [
        f"{WORDS[one.name.removeprefix('collapsed_')]} {FOUND.get(one.value, 'cannot be told')}"
        for one in found
        if one.name.startswith("collapsed_")
    ]
    parts.append(f"A class lost by the classifier: {', '.join(lost)}.")
    return " ".join([*parts, f"At least {_fewest_seeds(grids)} seed(s) a cell."])


def _told(one: Grid, part: str, study: settings.Study) -> str:
    score, who = one.score_names[0], {"test": "held-out"}.get(part, part)
    table = compared(one, part, score, study)
    told = [
        f"{one.titles[row['first']]} less {one.titles[row['second']]}: "
        f"{row['difference']:+.3f} ({row['low']:+.3f} to {row['high']:+.3f}, {row['verdict']})"
        for _, row in table.iterrows()
    ]
    whose = f"{SAID[score]} in {len(patients(one, part, score))} {who} patients"
    text = f"{TITLES[one.network]}, {whose}: {'; '.join(told) or 'nothing to compare'}."
    notes = [note for note in table["note"] if "show" in note]
    return f"{text} {notes[0][0].upper()}{notes[0][1:]}." if notes else text


def _fewest_seeds(grids: Sequence[Grid]) -> int:
    return min(one.seeds for one in [one for one in grids if len(one.titles) > 1] or grids)


def _cells(study: settings.Study, network: str) -> Iterator[tuple[Sibling, str, str]]:
    """Yield every run with its cell and the words for it."""
    notebook, section = settings.NETWORKS[network]
    seen: dict[tuple[str, int], str] = {}
    for sibling in siblings(study, notebook, VARYING):
        cell, title = _cell(getattr(sibling.study, section), getattr(study, section))
        key = (cell, sibling.study.seed)
        if key in seen:
            raise SettingsError(
                f"{sibling.name} and {seen[key]} are the same run: {title}, seed {key[1]}; "
                "give one of them another seed"
            )
        seen[key] = sibling.name
        yield sibling, cell, title


def _cell(its: Any, own: Any) -> tuple[str, str]:
    """Return name and words of a cell; the name tells what differs from the study's own."""
    cell, title = str(its.loss), WORDS[its.loss]
    if isinstance(its, settings.Classifier):
        return cell, title
    if its.loss == "focal":
        title += f" γ = {its.focal_gamma:g}"
        cell += f"_gamma{its.focal_gamma:g}" if its.focal_gamma != own.focal_gamma else ""
    if its.class_weights != own.class_weights:
        given = [f"{one:g}" for one in its.class_weights or (1, 1, 1, 1)]
        cell, title = f"{cell}_weights_{'_'.join(given)}", f"{title}, weights {':'.join(given)}"
    return cell, title


def _check_patients(scores: pd.DataFrame) -> None:
    of_run = {
        str(run): set(own[["fold", "part", "patient_id"]].itertuples(index=False, name=None))
        for run, own in scores.groupby("run", sort=False)
    }
    first, *others = of_run
    for other in others:
        names = sorted({str(patient) for *_, patient in of_run[first] ^ of_run[other]})
        if names:
            raise RecordError(
                f"{first} and {other} do not cover the same patients: {', '.join(names)} not in "
                "both; run them again"
            )


def _dice_scores(rows: pd.DataFrame) -> dict[str, float | str]:
    of = rows.set_index("region")
    dice = {f"{name.lower()}_dice": float(of["dice"][name]) for name in evaluate.CLASSES}
    iou = dice["et_dice"] / (2 - dice["et_dice"])
    return {**dice, "et_iou": iou, "state": str(of["state"]["ET"])}


def _slice_scores(rows: pd.DataFrame) -> dict[str, float | str]:
    counts = metrics.confusion_matrix(rows["truth"].to_numpy(), rows["predicted"].to_numpy())
    found = metrics.scores(counts, "macro", "exclude")
    chosen = {name: float(np.nan_to_num(found[name])) for name in CLASSIFICATION[:3]}
    return {**chosen, "brier": _tally(rows).brier}


def _tally(rows: pd.DataFrame) -> reliability.Reliability:
    return reliability.tally(rows[["p0", "p1", "p2", "p3"]].to_numpy(), rows["truth"].to_numpy())


def _by_seed(grid: Grid, part: str, score: str) -> pd.DataFrame:
    """Return patients × (cell, seed), folds averaged."""
    rows = grid.scores[grid.scores["part"] == part]
    of_run = rows.groupby(["cell", "seed", "patient_id"])[score].mean()
    return of_run.unstack(["cell", "seed"])


def _mean(
    grid: Grid, part: str, score: str, cell: str, study: settings.Study
) -> bootstrap.Interval:
    found = patients(grid, part, score)[cell]
    seed = _seed(study, grid.network, part, score)
    return bootstrap.mean_interval(found, seed, study.evaluation.bootstrap)


def _spread(grid: Grid, part: str, score: str, cell: str) -> str:
    means = seed_means(grid, part, score).query("cell == @cell")["value"]
    if len(means) == 1:
        return "1 seed: no spread"
    return f"{len(means)} seeds: SD {means.std(ddof=1):.3f}"


def _masks(grid: Grid, part: str, cell: str) -> tuple[int, int]:
    """Return how many enhancing tumours of all seeds are empty twice, and empty once."""
    rows = grid.scores[(grid.scores["part"] == part) & (grid.scores["cell"] == cell)]
    once = rows["state"].isin(["missed", "spurious"])
    return int((rows["state"] == "empty").sum()), int(once.sum())


def _scores(
    grid: Grid, part: str, score: str, study: settings.Study, prefix: str
) -> Iterator[Value]:
    for cell, title in grid.titles.items():
        mean = _mean(grid, part, score, cell, study)
        rule = (
            f"{TITLES[grid.network]}, {title}: {SAID[score]}, mean over seeds, then over patients; "
            f"{_spread(grid, part, score, cell)}; empty rule {study.evaluation.empty!r}"
        )
        masks = _masks(grid, part, cell) if score.startswith("et_") else (0, 0)
        yield Value(f"{prefix}{score}_{cell}", mean.value, mean.ci95, mean.n, *masks, rule=rule)


def _differences(
    grid: Grid, part: str, score: str, study: settings.Study, prefix: str
) -> Iterator[Value]:
    table = compared(grid, part, score, study) if score in COMPARED else pd.DataFrame()
    for _, row in table.iterrows():
        first, second = grid.titles[row["first"]], grid.titles[row["second"]]
        rule = (
            f"{TITLES[grid.network]}, {first} less {second}: {SAID[score]}, paired, seeds averaged "
            f"first; Wilcoxon with Holm over {len(table)} pairs p = {row['p_holm']:.3g}, "
            f"{row['verdict']} by ±{MARGIN:g}"
        )
        ends = None if np.isnan(row["low"]) else (row["low"], row["high"])
        name = f"{prefix}{row['first']}_minus_{row['second']}_{score}"
        yield Value(name, row["difference"], ends, len(patients(grid, part, score)), rule=rule)


def _of_slices(grid: Grid, part: str, study: settings.Study, prefix: str) -> Iterator[Value]:
    """Yield calibration error and collapse of every loss, from all slices of a part."""
    for cell, title in grid.titles.items():
        rows = grid.rows[(grid.rows["part"] == part) & (grid.rows["cell"] == cell)]
        error = _calibration_error(rows, _seed(study, "ece", part), study.evaluation.bootstrap)
        rule = (
            f"ResNet50, {title}: expected calibration error over {reliability.BINS} bins of equal "
            "width of all slices, mean over seeds; above 0 for few slices even if calibrated"
        )
        yield Value(f"{prefix}ece_{cell}", error.value, error.ci95, error.n, rule=rule)
        worst = _worst_collapse(rows, part, study)
        rule = f"ResNet50, {title}: 1 where a class is lost with any seed. {worst.sentence}"
        lost = {"found": 1.0, "not found": 0.0}.get(worst.verdict, np.nan)
        yield Value(f"{prefix}collapsed_{cell}", lost, n_patients=error.n, rule=rule)


def _calibration_error(rows: pd.DataFrame, seed: int, draws: int) -> bootstrap.Interval:
    tables = [
        [_tally(own).bins.ravel() for _, own in of_patient.groupby("seed")]
        for _, of_patient in rows.groupby("patient_id")
    ]

    def error(sums: Floats) -> Mapping[str, Floats]:
        of_seeds = sums.reshape(*sums.shape[:2], 3, reliability.BINS)
        return {"error": reliability.expected_error(of_seeds).mean(axis=1)}

    # sums over patients and a score of them: what the bootstrap of confusion matrices does
    return bootstrap.confusion_intervals(np.array(tables), error, seed, draws)["error"]


def _worst_collapse(rows: pd.DataFrame, part: str, study: settings.Study) -> collapse.Collapse:
    seed, draws = _seed(study, "collapse", part), study.evaluation.bootstrap
    found = [
        collapse.class_collapse(evaluate.patient_confusions(own, part), seed, draws)
        for _, own in rows.groupby("seed")
    ]
    order = ("found", "cannot tell", "not found")
    return min(found, key=lambda one: order.index(one.verdict))


def _seed(study: settings.Study, *names: str) -> int:
    return settings.named_seed(study.seed, "ablations", *names)
