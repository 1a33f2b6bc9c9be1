"""What the paper's six scores can be a measurement of: the argument of notebook 12."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

import pandas as pd

from gliomalib.experiments.values import SIX
from gliomalib.schema import SettingsError, Value
from gliomalib.scoring import contradictions, forensics, keras_metrics
from gliomalib.scoring.contradictions import READINGS, PrintedScores, RelationCheck
from gliomalib.verdicts import claims

YEARS = (285, 335, 369)
"""Volumes of BraTS 2018, 2019 and 2020, as the organisers' tables of names count them."""

BACKGROUND: Mapping[str, float] = {"whole scan": 0.9894, "central 128×128 crop": 0.9642}
"""Share of voxels without tumour, the mean of 28 expert label volumes of BraTS, by frame."""

POINT = 0.01
"""Scores this close are alike: the margin of the verdicts on the same scores."""

WHO: Mapping[str, str] = {
    f"{who}, {frame}": f"{who}_{frame}"
    for who in ("recipe", "constant")
    for frame in ("box", "scan")
}
"""Predictors and frames as ``beside`` names them → the beginning of their values' names."""

CLASSIFIER = "06_train_resnet50"
"""The notebook that answers the claims in which the scores stand."""


def printed(published: Sequence[claims.Claim]) -> PrintedScores:
    """Return the six scores of the paper and the test sizes that come into question.

    The sizes are a fifth of the volumes of one, two or all years, rounded down and up. Raises
    ``SettingsError`` where one of the scores is not among the claims.
    """
    found: dict[str, Any] = {
        one.value: one.published
        for one in published
        if one.notebook == CLASSIFIER and not one.variant and one.value in SIX
    }
    absent = [name for name in SIX if found.get(name) is None]
    if absent:
        raise SettingsError(f"the claims give no {', '.join(absent)}; give all six")
    return PrintedScores(**found, test_sizes=tuple(sorted(_sizes())))


def relations(scores: PrintedScores) -> pd.DataFrame:
    """Return one row a relation: which number, from which, read how, what follows, the verdict."""
    return pd.DataFrame(
        [
            {
                "number": one.numbers[0],
                "printed": getattr(scores, one.numbers[0]),
                "from": ", ".join(one.numbers[1:]),
                "follows": f"{one.implied[0]:.5f} to {one.implied[1]:.5f}",
                "misses by": f"{one.gap:.5f}" if one.gap else "–",
                "if": one.reading,
                "verdict": one.verdict,
            }
            for one in _related(scores)
        ]
    )


def by_reading(scores: PrintedScores) -> pd.DataFrame:
    """Return one row a reading: how many of its relations fail, with the IoU and without it.

    ``rounding`` names the rules under which all relations but those of the IoU hold together.
    """
    rows = []
    for reading, meaning in READINGS.items():
        found = [one for one in _related(scores) if one.reading == reading]
        others = [one for one in found if "iou" not in one.numbers]
        rules = [rule for rule in forensics.RULES if all(rule in one.rules for one in others)]
        rows.append(
            {
                "reading": reading,
                "relations": len(found),
                "fail": len(found) - _hold(found),
                "fail without the IoU": len(others) - _hold(others),
                "rounding": ", ".join(rules) or "none",
                "that is": meaning,
            }
        )
    return pd.DataFrame(rows).query("relations > 0")


def proportions(scores: PrintedScores) -> pd.DataFrame:
    """Return one row a test size: of which volumes, the two shares around the accuracy."""
    sizes, rows = _sizes(), []
    for one in _proportional(scores):
        rows.append(
            {
                "volumes": sizes[one.n],
                "held out": one.n,
                "next below": f"{100 * one.implied[0]:.2f} %",
                "next above": f"{100 * one.implied[1]:.2f} %",
                "verdict": "possible" if one.rules else "impossible",
            }
        )
    return pd.DataFrame(rows)


def constants(scores: PrintedScores) -> pd.DataFrame:
    """Return what 'no tumour' everywhere scores in each frame, with the paper's scores below.

    ``errors per tumour voxel`` is (1 − A)/(1 − b): how many voxels may be wrong at the paper's
    accuracy A, for each voxel of tumour, where a share b is background.
    """
    rows = []
    for frame, share in BACKGROUND.items():
        found = keras_metrics.constant_scores(share)
        rows.append(
            {"predictor": f"'no tumour', {frame}", **found, "iou": found["mean_iou"],
             "errors per tumour voxel": f"{_errors(scores, share):.2f}"}
        )  # fmt: skip
    rows.append({"predictor": "the paper", **_six(scores), "errors per tumour voxel": "–"})
    return pd.DataFrame(rows)[["predictor", *SIX, "errors per tumour voxel"]].round(4)


def forced_iou(scores: PrintedScores) -> float:
    """Return the least IoU that goes with the printed F1 if both are one and the same average."""
    found = (one for one in _related(scores) if one.numbers == ("iou", "f1"))
    return min(one.implied[0] for one in found)


def values(scores: PrintedScores) -> list[Value]:
    """Return what the printed numbers alone say; no value is over patients."""
    related, proportional = _related(scores), _proportional(scores)
    any_average = [one for one in related if one.reading == "any average"]
    iou = scores.iou or 0.0
    needed = forensics.needed_dice(iou, 1.0)
    best = f"a true mean IoU of {iou:g} over background and sub-regions, with a perfect background"
    excluded = contradictions.excluded_readings(scores)
    found = {
        "relations": (len(related), "relations among the six printed scores, one for each reading"),
        "relations_impossible": (
            len(any_average) - _hold(any_average),
            "of these, the ones that fail whichever average the scores share",
        ),
        "readings_excluded": (
            len(excluded),
            f"readings that accuracy, precision and recall exclude: {', '.join(excluded)}",
        ),
        "test_sizes": (len(proportional), "numbers of test volumes that come into question"),
        "test_sizes_possible": (
            _hold(proportional),
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
    numbers = [Value(name, float(number), rule=rule) for name, (number, rule) in found.items()]
    return [*numbers, *_of_background(scores)]


def beside(scores: PrintedScores, found: Sequence[Value]) -> pd.DataFrame:
    """Return the six scores of the paper, the recipe and 'no tumour': who, score, value, low, high.

    ``found`` are the values of ``pooled``; a score that was not measured has no row.
    """
    rows = [("paper", name, number, number, number) for name, number in _six(scores).items()]
    by_name = {one.name: one for one in found}
    for who, prefix in WHO.items():
        for name in SIX:
            # 'no tumour' everywhere has one number for four of its scores
            same = who.startswith("constant") and name in ("precision", "recall", "f1")
            one = by_name.get(f"{prefix}_{'accuracy' if same else name}")
            if one is not None:
                low, high = one.ci95 or (one.value, one.value)
                rows.append((who, name, one.value, low, high))
    return pd.DataFrame(rows, columns=["who", "score", "value", "low", "high"])


def nearness(scores: PrintedScores, found: Sequence[Value]) -> list[Value]:
    """Return how many pooled scores lie within a point of the paper's, by predictor and frame.

    The IoU is left out: Keras's says how sure a network is. Empty where nothing was measured.
    """
    table = beside(scores, found).query("score != 'iou'").set_index("who")
    paper = table.loc["paper"].set_index("score")["value"]
    n = max((one.n_patients for one in found), default=0)
    values = []
    for who in [who for who in WHO if who in table.index]:
        away = (table.loc[who].set_index("score")["value"] - paper).abs()
        rule = f"of the {len(paper)} scores but the IoU, the ones within {POINT:g} of the paper's"
        near = float((away <= POINT).sum())
        values.append(Value(f"{WHO[who]}_within_a_point", near, n_patients=n, rule=rule))
    return values


def _related(scores: PrintedScores) -> list[RelationCheck]:
    return contradictions.examine(replace(scores, test_sizes=()))


def _proportional(scores: PrintedScores) -> list[RelationCheck]:
    return [one for one in contradictions.examine(scores) if one.reading == "proportion"]


def _hold(findings: Sequence[RelationCheck]) -> int:
    return sum(one.verdict == "possible" for one in findings)


def _six(scores: PrintedScores) -> dict[str, float]:
    return {name: getattr(scores, name) for name in SIX}


def _sizes() -> dict[int, str]:
    """Return the test sizes that come into question, each with the volumes that it is of."""
    found: dict[int, str] = {}
    for count in range(1, len(YEARS) + 1):
        for pool in combinations(YEARS, count):
            volumes = " + ".join(map(str, pool))
            found |= dict.fromkeys(forensics.held_out(sum(pool)), volumes)
    return found


def _errors(scores: PrintedScores, share: float) -> float:
    return (1 - (scores.accuracy or 0.0)) / (1 - share)


def _of_background(scores: PrintedScores) -> list[Value]:
    found = []
    for (frame, share), name in zip(BACKGROUND.items(), ("scan", "crop"), strict=True):
        rule = f"BraTS, {frame}, of which {share:g} is background: "
        constant = keras_metrics.constant_scores(share)
        found += [
            Value(f"no_tumour_accuracy_{name}", share,
                  rule=rule + "accuracy, precision, recall and F1 of 'no tumour' everywhere"),
            Value(f"no_tumour_iou_{name}", constant["mean_iou"],
                  rule=rule + "Keras's MeanIoU of 'no tumour' everywhere"),
            Value(f"errors_per_tumour_voxel_{name}", _errors(scores, share),
                  rule=rule + "wrong voxels at the printed accuracy, for each voxel of tumour"),
        ]  # fmt: skip
    return found
