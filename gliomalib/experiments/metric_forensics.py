"""What the paper's six scores can be a measurement of: the argument of notebook 12."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

import pandas as pd

from gliomalib.digits import spoken
from gliomalib.experiments.classification import SIX
from gliomalib.experiments.values import of
from gliomalib.schema import SettingsError, Value
from gliomalib.scoring import contradictions, forensics, keras_metrics
from gliomalib.scoring.contradictions import READINGS, PrintedScores, RelationCheck

VOLUMES = (285, 335, 369)
"""Volumes of BraTS 2018, 2019 and 2020, as the organisers' tables of names count them."""

BACKGROUND: Mapping[str, float] = {"whole scan": 0.9894, "central 128×128 crop": 0.9642}
"""Share of voxels without tumour, the mean of 28 expert label volumes of BraTS, by frame."""

POINT = 0.01
"""Scores this close are alike, as in the verdicts on them."""

WHO: Mapping[str, str] = {
    f"{who}, {frame}": f"{who}_{frame}"
    for who in ("recipe", "constant")
    for frame in ("box", "scan")
}
"""Predictors and frames as ``beside`` names them → the beginning of their values' names."""


def printed(numbers: Mapping[str, float]) -> PrintedScores:
    """Return the paper's scores of ``SIX`` (shares) and the test sizes that come into question.

    These are a fifth of the volumes of one, two or all years, rounded down and up. Raises
    ``SettingsError`` where one of the scores is missing.
    """
    missing = [name for name in SIX if name not in numbers]
    if missing:
        raise SettingsError(f"the claims give no {', '.join(missing)}; give all six")
    six: dict[str, Any] = {name: numbers[name] for name in SIX}
    return PrintedScores(**six, test_sizes=tuple(sorted(_sizes())))


def relations(scores: PrintedScores) -> pd.DataFrame:
    """Return one row a relation: which number, from which, read how, what follows, the verdict."""
    rows = []
    for finding in _related(scores):
        number, *others = finding.numbers
        follows = "{:.5f} to {:.5f}".format(*finding.implied)
        gap = f"{finding.gap:.5f}" if finding.gap else "–"
        row = (number, getattr(scores, number), ", ".join(others), follows, gap)
        rows.append((*row, finding.reading, finding.verdict))
    columns = ["number", "printed", "from", "follows", "misses by", "if", "verdict"]
    return pd.DataFrame(rows, columns=columns)


def by_reading(scores: PrintedScores) -> pd.DataFrame:
    """Return one row a reading: how many of its relations fail, with the IoU and without it.

    ``rounding`` names the rules under which all relations but those of the IoU hold together.
    """
    rows = []
    for reading, meaning in READINGS.items():
        findings = [finding for finding in _related(scores) if finding.reading == reading]
        others = [finding for finding in findings if "iou" not in finding.numbers]
        rules = [rule for rule in forensics.RULES if all(rule in other.rules for other in others)]
        fail, fail_others = (len(some) - _possible(some) for some in (findings, others))
        rounding = ", ".join(rules) or "none"
        rows.append((reading, len(findings), fail, fail_others, rounding, meaning))
    columns = ["reading", "relations", "fail", "fail without the IoU", "rounding", "that is"]
    return pd.DataFrame(rows, columns=columns).query("relations > 0")


def proportions(scores: PrintedScores) -> pd.DataFrame:
    """Return one row a test size: of which volumes, the two shares around the accuracy."""
    sizes, rows = _sizes(), []
    for n, finding in zip(scores.test_sizes, _proportions(scores), strict=True):
        below, above = (f"{100 * share:.2f} %" for share in finding.implied)
        rows.append((sizes[n], n, below, above, "possible" if finding.rules else "impossible"))
    columns = ["volumes", "held out", "next below", "next above", "verdict"]
    return pd.DataFrame(rows, columns=columns)


def constants(scores: PrintedScores) -> pd.DataFrame:
    """Return what 'no tumour' everywhere scores in each frame, with the paper's scores below.

    ``errors per tumour voxel`` is (1 − A)/(1 − b): how many voxels may be wrong at the paper's
    accuracy A, for each voxel of tumour, where a share b is background.
    """
    errors, rows = "errors per tumour voxel", []
    for frame, share in BACKGROUND.items():
        constant = keras_metrics.constant_scores(share)
        six = {"predictor": f"'no tumour', {frame}", **constant, "iou": constant["mean_iou"]}
        rows.append({**six, errors: f"{_errors(scores, share):.2f}"})
    rows.append({"predictor": "the paper", **_six(scores), errors: "–"})
    return pd.DataFrame(rows)[["predictor", *SIX, errors]].round(4)


def forced_iou(scores: PrintedScores) -> float:
    """Return the least IoU that goes with the printed F1 if both are one and the same average."""
    return min(row.implied[0] for row in _related(scores) if row.numbers == ("iou", "f1"))


def values(scores: PrintedScores) -> list[Value]:
    """Return what the printed numbers alone say; no value is over patients."""
    related, proportional = _related(scores), _proportions(scores)
    any_average = [finding for finding in related if finding.reading == "any average"]
    iou = scores.iou or 0.0
    needed = forensics.needed_dice(iou, 1.0)
    best = f"a true mean IoU of {iou:g} over background and sub-regions, with a perfect background"
    excluded = contradictions.excluded_readings(scores)
    numbers: dict[str, tuple[float, str]] = {
        "relations": (len(related), "relations among the six printed scores, one for each reading"),
        "relations_impossible": (
            len(any_average) - _possible(any_average),
            "of these, the ones that fail whichever average the scores share",
        ),
        "readings_excluded": (
            len(excluded),
            f"readings that accuracy, precision and recall exclude: {', '.join(excluded)}",
        ),
        "test_sizes": (len(proportional), "numbers of test volumes that come into question"),
        "test_sizes_possible": (
            _possible(proportional),
            "of these, the ones of which some count prints as the accuracy, rounded or cut",
        ),
        "iou_that_f1_forces": (
            forced_iou(scores),
            "least IoU that goes with the printed F1 where both are one and the same average",
        ),
        "needed_dice_least": (needed.least, f"least mean Dice of the sub-regions for {best}"),
        "needed_dice_most": (needed.most, f"the same, all of them alike: {best}"),
        "needed_saturation": (
            keras_metrics.saturated_share(iou),
            f"share of voxels with probability 1 for which Keras's MeanIoU of a network that is "
            f"always right is {iou:g}",
        ),
    }
    found = [Value(name, float(number), rule=rule) for name, (number, rule) in numbers.items()]
    return found + _of_constant(scores)


def _of_constant(scores: PrintedScores) -> list[Value]:
    """Return what 'no tumour' everywhere scores in each frame."""
    rules = {
        "no_tumour_accuracy": "accuracy, precision, recall and F1 of 'no tumour' everywhere",
        "no_tumour_iou": "Keras's MeanIoU of 'no tumour' everywhere",
        "errors_per_tumour_voxel": "wrong voxels at the printed accuracy, for each voxel of tumour",
    }
    values = []
    for (frame, share), suffix in zip(BACKGROUND.items(), ("scan", "crop"), strict=True):
        in_frame = (share, keras_metrics.constant_scores(share)["mean_iou"], _errors(scores, share))
        of_frame = f"BraTS, {frame}, of which {share:g} is background"
        for (name, rule), number in zip(rules.items(), in_frame, strict=True):
            values.append(Value(f"{name}_{suffix}", number, rule=f"{of_frame}: {rule}"))
    return values


def beside(scores: PrintedScores, measured: Sequence[Value]) -> pd.DataFrame:
    """Return the six scores of the paper, the recipe and 'no tumour': who, score, value, low, high.

    ``measured`` are the values of ``keras_recipe``; a score that was not measured has no row.
    """
    rows = [("paper", name, number, number, number) for name, number in _six(scores).items()]
    by_name = {value.name: value for value in measured}
    for who, prefix in WHO.items():
        for name in SIX:
            # 'no tumour' everywhere has one number for four of its scores
            same = who.startswith("constant") and name in ("precision", "recall", "f1")
            value = by_name.get(f"{prefix}_{'accuracy' if same else name}")
            if value is not None:
                low, high = value.ci95 or (value.value, value.value)
                rows.append((who, name, value.value, low, high))
    return pd.DataFrame(rows, columns=["who", "score", "value", "low", "high"])


def nearness(scores: PrintedScores, measured: Sequence[Value]) -> list[Value]:
    """Return how many pooled scores lie within a point of the paper's, by predictor and frame.

    The IoU is left out: Keras's says how sure a network is. Empty where nothing was measured.
    """
    table = beside(scores, measured).query("score != 'iou'").set_index("who")
    paper = table.loc["paper"].set_index("score")["value"]
    n = max((value.n_patients for value in measured), default=0)
    rule = f"of the {len(paper)} scores but the IoU, the ones within {POINT:g} of the paper's"
    values = []
    for who, prefix in WHO.items():
        if who in table.index:
            away = (table.loc[who].set_index("score")["value"] - paper).abs()
            near = float((away <= POINT).sum())
            values.append(Value(f"{prefix}_within_a_point", near, n_patients=n, rule=rule))
    return values


def conclusion(values: Sequence[Value], *, real_data: bool) -> str:
    """Say what the printed scores cannot be, and what the recipe's scores say of the hypothesis."""
    text = (
        f"The printed F1 forces an IoU of {of(values, 'iou_that_f1_forces').value:.3f} or more "
        "where both are one and the same average, so the printed IoU is another quantity or "
        "averaged in another way: a mean IoU of the classes would need a mean Dice of "
        f"{of(values, 'needed_dice_least').value:.2f} or more, Keras's MeanIoU "
        f"{100 * of(values, 'needed_saturation').value:.0f} % saturated voxels. Of "
        f"{of(values, 'test_sizes').value:.0f} test sizes "
        f"{of(values, 'test_sizes_possible').value:.0f} can give the printed accuracy as a share "
        "of volumes."
    )
    if not _has_recipe(values):
        return f"{text} The recipe was not trained in this study, so the hypothesis was not tested."
    accuracy, dice = of(values, "recipe_scan_accuracy"), of(values, "recipe_dice_mean")
    return (
        f"{text} The recipe's pixel accuracy over the whole scan is {spoken(accuracy, 4)}, that of "
        f"'no tumour' everywhere {of(values, 'constant_scan_accuracy').value:.4f}, and the mean "
        f"Dice of the same predictions {spoken(dice)}. {_hypothesis(values, real_data)}"
    )


def caveats(values: Sequence[Value]) -> tuple[str, ...]:
    """Return what nobody may read out of the forensics, and whether their second part is there."""
    unproven = (
        "That the authors scored pixels as the recipe does is a hypothesis: these numbers can show "
        "that such code gives such scores, never that it was used."
    )
    absent = "The recipe was not trained in this study: the hypothesis was not put to the test."
    return (unproven,) if _has_recipe(values) else (unproven, absent)


def _has_recipe(values: Sequence[Value]) -> bool:
    return any(value.name == "recipe_dice_mean" for value in values)


def _hypothesis(values: Sequence[Value], real_data: bool) -> str:
    """Apply the rule of notebook 12: near in five scores, as "no tumour" is not, far in Dice."""
    near, constant = (
        {frame: of(values, f"{who}_{frame}_within_a_point").value for frame in ("box", "scan")}
        for who in ("recipe", "constant")
    )
    needed, dice = of(values, "needed_dice_least").value, of(values, "recipe_dice_mean")
    low, high = dice.ci95 or (-math.inf, math.inf)
    if low >= needed:
        word = "speaks against the hypothesis, since the Dice is high as well"
    elif high < needed and any(near[frame] == 5 > constant[frame] for frame in near):
        word = "supports the hypothesis, without proving it"
    elif high < needed and 5 in near.values():
        word = "supports nothing, since a predictor that finds no tumour passes it too"
    else:
        word = "leaves the hypothesis open"
    if not real_data:
        word = f"{word}; the patients are synthetic, so it says nothing about the paper"
    return (
        f"Of the 5 scores without the IoU, {max(near.values()):.0f} of the recipe's lie within a "
        f"point of the paper's, and {constant['scan']:.0f} of those of 'no tumour' over the whole "
        f"scan. The recipe's IoU, as Keras computes it, is "
        f"{of(values, 'recipe_box_iou').value:.3f}. By the rule this {word}."
    )


def _related(scores: PrintedScores) -> list[RelationCheck]:
    return contradictions.examine(replace(scores, test_sizes=()))


def _proportions(scores: PrintedScores) -> list[RelationCheck]:
    return [check for check in contradictions.examine(scores) if check.reading == "proportion"]


def _possible(findings: Sequence[RelationCheck]) -> int:
    return sum(finding.verdict == "possible" for finding in findings)


def _six(scores: PrintedScores) -> dict[str, float]:
    return {name: getattr(scores, name) for name in SIX}


def _sizes() -> dict[int, str]:
    """Return the test sizes that come into question, each with the volumes that it is of."""
    sizes: dict[int, str] = {}
    for count in range(1, len(VOLUMES) + 1):
        for pool in combinations(VOLUMES, count):
            volumes = " + ".join(map(str, pool))
            sizes |= dict.fromkeys(forensics.held_out(sum(pool)), volumes)
    return sizes


def _errors(scores: PrintedScores, share: float) -> float:
    return (1 - (scores.accuracy or 0.0)) / (1 - share)
