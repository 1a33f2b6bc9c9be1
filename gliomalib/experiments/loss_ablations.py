"""Losses side by side: the cells of each network, compared patient by patient."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from gliomalib import settings
from gliomalib.digits import counted
from gliomalib.experiments import comparing, loss_grid
from gliomalib.experiments.loss_grid import LOSSES, SCORES, TITLES, Grid, patients
from gliomalib.experiments.values import PREFIXES, ends, mean_interval, of, parts, value
from gliomalib.schema import FloatArray, Value
from gliomalib.scoring import bootstrap, calibration, collapse
from gliomalib.scoring import tables as evaluate

ENHANCING = ("et_dice", "et_iou")
"""Scores of a segmentation whose differences are values; of a classifier all are."""

COLLAPSED = {"found": 1.0, "cannot tell": math.nan, "not found": 0.0}
"""What was seen, worst first → the value ``collapsed_<loss>``."""


def overview(grid: Grid, part: str, study: settings.Study) -> pd.DataFrame:
    """Return one row per cell: interval of the first score, all means, spread over seeds, masks."""
    rows, first = [], grid.score_names[0]
    for cell, title in grid.titles.items():
        means = {name: _mean(grid, part, name, cell, study) for name in grid.score_names}
        low, high = ends(means[first])
        row = {"cell": cell, "title": title, "low": low, "high": high}
        row |= {name: mean.value for name, mean in means.items()}
        row["spread"] = _spread(grid, part, first, cell)
        if not grid.classifies:
            row["empty"], row["missed"] = _masks(grid, part, cell)
        rows.append(row)
    return pd.DataFrame(rows)


def compared(grid: Grid, part: str, score: str, study: settings.Study) -> pd.DataFrame:
    """Return ``comparing.compare`` of ``Grid.pairs``, an empty table where there is no pair.

    Columns first and second name the pair; the family of Holm's adjustment are all pairs.
    """
    pairs = pd.DataFrame(grid.pairs, columns=["first", "second"])
    if not grid.pairs:
        return pairs.reindex(columns=[*pairs, *comparing.COLUMNS])
    wide = patients(grid, part, score)
    gains = pd.DataFrame({f"{a} {b}": wide[a] - wide[b] for a, b in grid.pairs})
    seed = settings.named_seed(study.seed, "ablations", grid.network, part, score)
    judged = comparing.compare(gains, seed, study.evaluation.bootstrap)
    return pairs.join(judged.reset_index(drop=True))


def values(grids: Sequence[Grid], study: settings.Study) -> list[Value]:
    """Return the scores of every cell, the differences of the pairs, and the number of seeds."""
    values: list[Value] = []
    for grid in grids:
        for part, _ in parts(grid.scores):
            for score in grid.score_names:
                values += _means(grid, part, score, study)
                values += _differences(grid, part, score, study)
            if grid.classifies:
                values += _of_slices(grid, part, study)
    rule = "smallest number of seeds of a cell, of the networks that have more than one cell"
    return [*values, Value("seeds_per_cell", float(_fewest_seeds(grids)), rule=rule)]


def absent(grids: Sequence[Grid]) -> tuple[str, ...]:
    """Return a caveat for every cell asked for that the study lacks, and for single seeds."""
    caveats = []
    for grid in grids:
        wanted = {loss_grid.OWN[grid.network], loss_grid.REFERENCE}
        lacking = [LOSSES[loss] for loss in sorted(wanted - set(grid.titles))]
        if lacking:
            caveats.append(f"{TITLES[grid.network]}: not trained here: {', '.join(lacking)}.")
    single = [TITLES[grid.network] for grid in grids if grid.seeds == 1 and grid.pairs]
    if single:
        caveats.append(
            f"{' and '.join(single)}: at least one loss has one seed only, so a difference "
            "between losses may be one between seeds."
        )
    if any("external" not in set(grid.scores["part"]) for grid in grids):
        caveats.append("There are no external patients.")
    return tuple(caveats)


def conclusion(grids: Sequence[Grid], values: Sequence[Value], study: settings.Study) -> str:
    """Say for each network what the losses differ by, which one collapsed, and how many seeds."""
    sentences = [_of_network(grid, part, study) for grid in grids for part, _ in parts(grid.scores)]
    words = {1.0: "yes", 0.0: "no"}
    lost = [
        f"{title}: {words.get(of(values, f'collapsed_{cell}').value, 'too few patients to decide')}"
        for grid in grids
        if grid.classifies
        for cell, title in grid.titles.items()
    ]
    sentences.append(f"Did the classifier lose a class? {'; '.join(lost)}.")
    sentences.append(f"Each loss has at least {counted(_fewest_seeds(grids), 'seed')}.")
    return " ".join(sentences)


def _of_network(grid: Grid, part: str, study: settings.Study) -> str:
    score, who = grid.score_names[0], {"test": "held-out"}.get(part, part)
    table = compared(grid, part, score, study)
    pairs = [
        f"{grid.titles[row['first']]} minus {grid.titles[row['second']]}: {comparing.spoken(row)}"
        for _, row in table.iterrows()
    ]
    whose = f"{SCORES[score]} in {len(patients(grid, part, score))} {who} patients"
    text = f"{TITLES[grid.network]}, {whose}: {'; '.join(pairs) or 'nothing to compare'}."
    limits = table.loc[table["limited"].eq(other=True), "note"].head(1)
    return text + "".join(map(comparing.sentence, limits))


def _fewest_seeds(grids: Sequence[Grid]) -> int:
    return min(grid.seeds for grid in [grid for grid in grids if len(grid.titles) > 1] or grids)


def _mean(
    grid: Grid, part: str, score: str, cell: str, study: settings.Study
) -> bootstrap.Interval:
    scores = patients(grid, part, score)[cell]
    return mean_interval(scores, study, "ablations", grid.network, part, score)


def _spread(grid: Grid, part: str, score: str, cell: str) -> str:
    means = loss_grid.seed_means(grid, part, score).query("cell == @cell")["value"]
    if len(means) == 1:
        return "1 seed: no spread"
    return f"{len(means)} seeds: SD {means.std(ddof=1):.3f}"


def _masks(grid: Grid, part: str, cell: str) -> tuple[int, int]:
    """Return how many enhancing tumours of all seeds are empty in both masks, and in one."""
    rows = grid.scores[(grid.scores["part"] == part) & (grid.scores["cell"] == cell)]
    return comparing.masks(rows["state"])


def _prefix(grid: Grid, part: str) -> str:
    return PREFIXES[part] + "unet3d_" * (grid.network == "unet3d")


def _means(grid: Grid, part: str, score: str, study: settings.Study) -> Iterator[Value]:
    for cell, title in grid.titles.items():
        mean = _mean(grid, part, score, cell, study)
        rule = (
            f"{TITLES[grid.network]}, {title}: {SCORES[score]}, mean over seeds, then over "
            f"patients; {_spread(grid, part, score, cell)}; empty rule {study.evaluation.empty!r}"
        )
        masks = _masks(grid, part, cell) if score in ENHANCING else (0, 0)
        name = f"{_prefix(grid, part)}{score}_{cell}"
        yield Value(name, mean.value, mean.ci95, mean.n, *masks, rule=rule)


def _differences(grid: Grid, part: str, score: str, study: settings.Study) -> Iterator[Value]:
    if score not in (*ENHANCING, *loss_grid.CLASSIFICATION):
        return
    table, n = compared(grid, part, score, study), len(patients(grid, part, score))
    for _, row in table.iterrows():
        first, second = grid.titles[row["first"]], grid.titles[row["second"]]
        rule = (
            f"{TITLES[grid.network]}, {first} less {second}: {SCORES[score]}, paired, seeds "
            f"averaged first; {comparing.tested(row, f'{len(table)} pairs')}"
        )
        name = f"{_prefix(grid, part)}{row['first']}_minus_{row['second']}_{score}"
        yield Value(name, row["difference"], comparing.interval(row), n, rule=rule)


def _of_slices(grid: Grid, part: str, study: settings.Study) -> Iterator[Value]:
    """Yield calibration error and collapse of every loss, from all slices of a part."""
    prefix, draws = _prefix(grid, part), study.evaluation.bootstrap
    calibration_seed, seed = (
        settings.named_seed(study.seed, "ablations", what, part) for what in ("ece", "collapse")
    )
    for cell, title in grid.titles.items():
        rows = grid.rows[(grid.rows["part"] == part) & (grid.rows["cell"] == cell)]
        error = _calibration_error(rows, calibration_seed, draws)
        rule = (
            f"ResNet50, {title}: expected calibration error over {calibration.BINS} bins of equal "
            "width of all slices, mean over seeds; above 0 for few slices even if calibrated"
        )
        yield value(f"{prefix}ece_{cell}", error, rule)
        worst = min(
            (
                collapse.class_collapse(evaluate.patient_confusions(slices, part), seed, draws)
                for _, slices in rows.groupby("seed")
            ),
            key=lambda of_seed: list(COLLAPSED).index(of_seed.verdict),
        )
        rule = f"ResNet50, {title}: 1 where a class is lost with any seed. {worst.sentence}"
        lost = COLLAPSED[worst.verdict]
        yield Value(f"{prefix}collapsed_{cell}", lost, n_patients=error.n, rule=rule)


def _calibration_error(rows: pd.DataFrame, seed: int, draws: int) -> bootstrap.Interval:
    """Return the calibration error of all slices, the mean of the seeds', patients drawn."""
    tables = [
        [loss_grid.tally(slices).bins.ravel() for _, slices in of_patient.groupby("seed")]
        for _, of_patient in rows.groupby("patient_id")
    ]

    def error(sums: FloatArray) -> FloatArray:
        of_seeds = sums.reshape(*sums.shape[:2], 3, calibration.BINS)
        mean: FloatArray = calibration.expected_error(of_seeds).mean(axis=1)
        return mean

    # sums over patients and a score of them: what the bootstrap of confusion matrices does
    return bootstrap.confusion_interval(np.array(tables), error, seed, draws)
