"""Losses side by side: the cells of each network, compared patient by patient."""

import math
from collections.abc import Iterator, Sequence

import pandas as pd

from gliomalib import settings
from gliomalib.experiments import comparing, gates, loss_grid
from gliomalib.experiments.loss_grid import LOSSES, SCORES, TITLES, Grid, patients, scored
from gliomalib.experiments.values import PREFIXES, ends, of, parts, share, value
from gliomalib.schema import Value
from gliomalib.scoring import collapse, training_noise
from gliomalib.scoring import tables as evaluate

RULES = ("et_dice", "et_dice_present", "et_dice_volume")
"""Dice of the enhancing tumour by each rule for empty masks, the study's own first."""

WHO = {"test": "held-out", "external": "external"}
"""What the patients of a part are called."""


def overview(grid: Grid, part: str) -> pd.DataFrame:
    """Return one row per cell: interval of the first score, all means, spread over seeds, masks."""
    rows, first, names = [], grid.score_names[0], scored(grid, part)
    for cell, title in grid.titles.items():
        means = {name: _mean(grid, part, name, cell) for name in names}
        low, high = ends(means[first])
        row = {"cell": cell, "title": title, "low": low, "high": high}
        row |= {name: means[name].value if name in means else math.nan for name in grid.score_names}
        row["spread"] = _spread(grid, part, first, cell)
        if not grid.classifies:
            row["empty"], row["missed"] = _masks(grid, part, cell)
        rows.append(row)
    return pd.DataFrame(rows)


def compared(grid: Grid, part: str, score: str) -> pd.DataFrame:
    """Return ``comparing.judged`` of ``Grid.pairs``, an empty table where there is no pair.

    Columns first, second and title name the pair.
    """
    pairs = pd.DataFrame(grid.pairs, columns=["first", "second"])
    titles = pairs.replace(dict(grid.titles))
    pairs = pairs.assign(title=titles["first"] + " minus " + titles["second"])
    if not grid.pairs:
        return pairs.reindex(columns=[*pairs, "difference", "low", "high", "verdict"])
    judged = comparing.judged(_gains(grid, part, score))
    return pairs.join(judged.reset_index(drop=True))


def values(grids: Sequence[Grid], study: settings.Study, gate: Value) -> list[Value]:
    """Return the scores of every cell and the differences of the pairs.

    Differences of the classifier say in their note where it is not judged: ``gate``.
    """
    values: list[Value] = []
    for grid in grids:
        for part, _ in parts(grid.scores):
            for score in scored(grid, part):
                values += _means(grid, part, score, study)
                values += _differences(grid, part, score, gate)
            if grid.classifies:
                values += _of_slices(grid, part, study)
    return values


def absent(grids: Sequence[Grid]) -> tuple[str, ...]:
    """Return a caveat for every cell and score that the study lacks, and for single seeds."""
    caveats = []
    for grid in grids:
        wanted = {loss_grid.OWN[grid.network], loss_grid.REFERENCE}
        lacking = [LOSSES[loss] for loss in sorted(wanted - set(grid.titles))]
        if lacking:
            caveats.append(f"{TITLES[grid.network]}: not trained here: {', '.join(lacking)}.")
        for part, _ in parts(grid.scores):
            nobody = f"{TITLES[grid.network]}: none of the {WHO[part]} patients can be scored by"
            without = set(grid.score_names) - set(scored(grid, part))
            caveats += [f"{nobody} {SCORES[score]}." for score in sorted(without)]
    single = [TITLES[grid.network] for grid in grids if grid.seeds == 1 and grid.pairs]
    if single:
        caveats.append(
            f"{' and '.join(single)}: at least one loss has one seed only, so a difference "
            "between losses may be one between seeds."
        )
    return tuple(caveats)


def conclusion(grids: Sequence[Grid], values: Sequence[Value], gate: Value) -> str:
    """Say for each network what the losses differ by, on both sites, and which one collapsed."""
    sentences = [_of_network(grid, gate) for grid in grids]
    words = {1.0: "yes", 0.0: "no"}
    lost = [
        f"{title}: {words.get(of(values, f'collapsed_{cell}').value, 'too few patients to decide')}"
        for grid in grids
        if grid.classifies
        for cell, title in grid.titles.items()
    ]
    if lost:
        sentences.append(f"Did the classifier lose a class? {'; '.join(lost)}.")
    return " ".join(sentences)


def _of_network(grid: Grid, gate: Value) -> str:
    name, score = TITLES[grid.network], grid.score_names[0]
    if grid.classifies and gates.closed(gate):
        return f"{name}, {SCORES[score]}: {gates.closed(gate)}."
    text, of_parts = "", [part for part, _ in parts(grid.scores)]
    for part in of_parts:
        table = compared(grid, part, score)
        pairs = comparing.listed(table, _gains(grid, part, score).values()) or "nothing to compare"
        who = f"{len(patients(grid, part, score))} {WHO[part]} patients"
        text += f" {name}, {SCORES[score]} in {who}: {pairs}."
    if len(of_parts) == 2:
        here, there = (_gains(grid, part, score) for part in of_parts)
        text += comparing.disagreements(here, there, dict(zip(here, table["title"], strict=True)))
    return text.lstrip()


def _gains(grid: Grid, part: str, score: str) -> dict[str, comparing.Gain]:
    """Return what the first loss of each pair exceeds the second by; they share patients only."""
    rules = tuple(rule for rule in RULES if rule in scored(grid, part))
    scores = rules if score in RULES else (score,)
    wide = {name: loss_grid.by_seed(grid, part, name) for name in scores}
    gains = {}
    for first, second in grid.pairs:
        pair = {name: comparing.unpaired(of[[first]], of[[second]]) for name, of in wide.items()}
        gains[f"{first} {second}"] = comparing.of_rules(pair)[score]
    return gains


def _mean(grid: Grid, part: str, score: str, cell: str) -> training_noise.Effect:
    return training_noise.paired(loss_grid.by_seed(grid, part, score)[[cell]])


def _spread(grid: Grid, part: str, score: str, cell: str) -> str:
    means = loss_grid.seed_means(grid, part, score).query("cell == @cell")["value"]
    if len(means) == 1:
        return "1 seed: no spread"
    return f"{len(means)} seeds: SD {means.std(ddof=1):.3f}"


def _masks(grid: Grid, part: str, cell: str) -> tuple[int, int]:
    """Return how many enhancing tumours of all seeds are empty in both masks, or one."""
    rows = grid.scores[(grid.scores["part"] == part) & (grid.scores["cell"] == cell)]
    return comparing.masks(rows)


def _prefix(grid: Grid, part: str) -> str:
    return PREFIXES[part] + "unet3d_" * (grid.network == "unet3d")


def _means(grid: Grid, part: str, score: str, study: settings.Study) -> Iterator[Value]:
    for cell, title in grid.titles.items():
        mean = _mean(grid, part, score, cell)
        rule = (
            f"{TITLES[grid.network]}, {title}: {SCORES[score]}, mean over seeds and patients; "
            f"{_spread(grid, part, score, cell)}"
        )
        empty, missed = 0, 0
        if not grid.classifies:
            rule += f"; empty rule {study.evaluation.empty!r}, masks of all seeds counted"
            empty, missed = _masks(grid, part, cell)
        name, made = f"{_prefix(grid, part)}{score}_{cell}", value if score == "mcc" else share
        yield made(name, mean, rule, n_empty=empty, n_missed=missed)


def _differences(grid: Grid, part: str, score: str, gate: Value) -> Iterator[Value]:
    gains, titles = _gains(grid, part, score), grid.titles
    for (first, second), gain in zip(grid.pairs, gains.values(), strict=True):
        rule = (
            f"{TITLES[grid.network]}, {titles[first]} minus {titles[second]}: {SCORES[score]}, "
            "paired by patient, mean over patients and seeds"
        )
        name = f"{_prefix(grid, part)}{first}_minus_{second}_{score}"
        yield comparing.value(name, gain, rule, gates.closed(gate) if grid.classifies else "")


def _of_slices(grid: Grid, part: str, study: settings.Study) -> Iterator[Value]:
    """Yield whether each loss lost a class, from all slices of a part."""
    seed = settings.named_seed(study.seed, "ablations", "collapse", part)
    for cell, title in grid.titles.items():
        rows = grid.rows[(grid.rows["part"] == part) & (grid.rows["cell"] == cell)]
        counts = [evaluate.patient_confusions(slices, part) for _, slices in rows.groupby("seed")]
        worst = min(
            (collapse.class_collapse(of, seed, study.evaluation.bootstrap) for of in counts),
            key=lambda of_seed: list(collapse.NUMBERS).index(of_seed.verdict),
        )
        rule = f"ResNet50, {title}: 1 where a class is lost with any seed. {worst.sentence}"
        name, lost = f"{_prefix(grid, part)}collapsed_{cell}", collapse.NUMBERS[worst.verdict]
        yield Value(name, lost, n_patients=len(counts[0]), rule=rule, n_seeds=len(counts))
