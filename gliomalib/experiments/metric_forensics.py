"""What the paper's six scores can be a measurement of: the argument of notebook 12."""

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
from gliomalib.scoring import bootstrap, contradictions, forensics, keras_metrics
from gliomalib.scoring.contradictions import READINGS, PrintedScores, RelationCheck

VOLUMES = (285, 335, 369)
"""Volumes of BraTS 2018, 2019 and 2020, as the organisers' tables of names count them."""

BACKGROUND: Mapping[str, bootstrap.Interval] = {
    "scan": bootstrap.Interval(0.9894, None, 28),
    "crop": bootstrap.Interval(0.9642, None, 28),
}
"""Share of voxels without tumour, the mean of 28 expert label volumes of BraTS, by frame: the whole
scan, and the central 128×128 crop of it."""

POINT = 0.01
"""Scores this close are alike, as in the verdicts on them."""

FRAMES: Mapping[str, str] = {"box": "crop", "scan": "whole scan"}
"""Frames of ``keras_recipe`` → what they are called; the paper crops."""

WHO: Mapping[str, str] = {
    f"{who}, {called}": f"{prefix}_{frame}"
    for prefix, who in (("recipe", "pixel recipe"), ("constant", "'no tumour'"))
    for frame, called in FRAMES.items()
}
"""Predictors and frames as ``beside`` names them → the beginning of their values' names."""

PAPER = "the paper"
"""The same for the printed scores."""

CAVEAT = (
    "That the authors scored pixels as the recipe does is a hypothesis: these numbers can show "
    "that such code gives such scores, never that it was used."
)
"""What nobody may read out of the forensics."""


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
    rows, related = [], _related(scores)
    for reading, meaning in READINGS.items():
        findings = [finding for finding in related if finding.reading == reading]
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


def values(
    scores: PrintedScores, background: Mapping[str, bootstrap.Interval] = BACKGROUND
) -> list[Value]:
    """Return what the printed numbers alone say, and what 'no tumour' everywhere scores.

    ``background`` is that of ``full_scan``; ``BACKGROUND`` stands in for one of fewer patients.
    """
    related, proportional = _related(scores), _proportions(scores)
    any_average = [finding for finding in related if finding.reading == "any average"]
    numbers: dict[str, tuple[float, str]] = {
        "relations": (len(related), "relations among the six printed scores, one for each reading"),
        "relations_impossible": (
            len(any_average) - _possible(any_average),
            "of these, the ones that fail whichever average the scores share",
        ),
        "test_sizes": (len(proportional), "numbers of test volumes that come into question"),
        "test_sizes_possible": (
            _possible(proportional),
            "of these, the ones of which some count prints as the accuracy, rounded or cut",
        ),
        **_implied(scores),
    }
    found = [Value(name, float(number), rule=rule) for name, (number, rule) in numbers.items()]
    larger = all(share.n > BACKGROUND[frame].n for frame, share in background.items())
    return found + _of_constant(background if background and larger else BACKGROUND)


def _implied(scores: PrintedScores) -> dict[str, tuple[float, str]]:
    """Return what the printed F1 and IoU would need to be true, each with its rule."""
    iou = scores.iou or 0.0
    f1 = forensics.unrounded(scores.f1 or 0.0, scores.decimals, "rounded")
    best = f"a true mean IoU of {iou:g} over background and sub-regions, with a perfect background"
    return {
        "iou_that_f1_forces": (
            forensics.iou_from_f1(f1).bounds[0],
            "least IoU that goes with the printed F1 where both are one and the same average",
        ),
        "needed_dice_least": (
            float(forensics.least_dice(iou)),
            f"least mean Dice of the sub-regions for {best}",
        ),
        "needed_saturation": (
            keras_metrics.saturated_share(iou),
            f"share of voxels with probability 1 for which Keras's MeanIoU of a network that is "
            f"always right is {iou:g}",
        ),
    }


def _of_constant(background: Mapping[str, bootstrap.Interval]) -> list[Value]:
    """Return what 'no tumour' everywhere scores in each frame."""
    values = []
    for frame, share in background.items():
        called = "whole scan" if frame == "scan" else "central 128×128 crop"
        of_frame = f"'no tumour' everywhere in {share.n} masks of BraTS, {called}"
        # both scores grow with the share, so its ends are those of the scores
        at = [keras_metrics.constant_scores(end) for end in (share.value, *share.ends)]
        for name, key in (("accuracy", "accuracy"), ("iou", "mean_iou")):
            score, low, high = (scores[key] for scores in at)
            rule = f"{name}, the IoU as Keras computes it, of {of_frame}"
            rule += f", of which {share.value:.4f} is background"
            ci95 = (low, high) if share.ci95 else None
            values.append(Value(f"no_tumour_{name}_{frame}", score, ci95, share.n, rule=rule))
    return values


def beside(scores: PrintedScores, measured: Sequence[Value]) -> pd.DataFrame:
    """Return the six scores of the paper, the recipe and 'no tumour': who, score, value, low, high.

    ``measured`` are the values of ``keras_recipe``; a score that was not measured has no row.
    """
    rows = [(PAPER, name, *[getattr(scores, name)] * 3) for name in SIX]
    by_name = {value.name: value for value in measured}
    for who, prefix in WHO.items():
        for name in SIX:
            value = by_name.get(f"{prefix}_{name}")
            if value is not None:
                low, high = value.ci95 or (value.value, value.value)
                rows.append((who, name, value.value, low, high))
    return pd.DataFrame(rows, columns=["who", "score", "value", "low", "high"])


def deviations(scores: PrintedScores, measured: Sequence[Value]) -> pd.DataFrame:
    """Return the six scores of each row of ``beside`` in %, and how many points off the paper's.

    The recipe's IoU over the whole scan is a range: nobody asked the network outside of the box.
    """
    wide = 100 * _wide(scores, measured)
    cells = wide.map("{:.2f}".format)
    cells[1:] += (wide - wide.loc[PAPER])[1:].map(" ({:+.2f})".format)
    if len(cells) > 1:
        cells.loc["pixel recipe, whole scan", "iou"] = _unasked(measured, "{:.2f}", 100)
    return cells.rename_axis(None, axis="columns").rename_axis("%, points off").reset_index()


def nearness(scores: PrintedScores, measured: Sequence[Value]) -> list[Value]:
    """Return how many of the six scores lie within a point of the paper's, by predictor and frame.

    A score of the recipe says something only where 'no tumour' everywhere misses the paper's by
    more than a point in the same frame; these are counted apart. Empty where nothing was measured.
    """
    wide = _wide(scores, measured)
    near = ((wide - wide.loc[PAPER]).abs() <= POINT).rename(index=WHO).drop(index=PAPER)
    rule = f"of the six scores, the ones within {POINT:g} of the paper's"
    rules = {f"{prefix}_within_a_point": (near.loc[prefix], rule) for prefix in near.index}
    for frame in FRAMES if len(near) else ():
        beyond = near.loc[f"recipe_{frame}"] & ~near.loc[f"constant_{frame}"]
        apart = f"{rule}, and those of 'no tumour' everywhere not"
        rules[f"recipe_{frame}_beyond_no_tumour"] = beyond, apart
    n = max((value.n_patients for value in measured), default=0)
    return [
        Value(name, float(which.sum()), n_patients=n, rule=rule)
        for name, (which, rule) in rules.items()
    ]


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
    if not any(value.name == "recipe_dice_mean" for value in values):
        return f"{text} The recipe was not scored in this study, so the hypothesis was not tested."
    for frame, called in FRAMES.items():
        accuracy = spoken(of(values, f"recipe_{frame}_accuracy"), 4)
        constant = of(values, f"constant_{frame}_accuracy").value
        text += (
            f" Over the {called} the recipe's pixel accuracy is {accuracy}, that of 'no tumour' "
            f"everywhere {constant:.4f}."
        )
    dice = spoken(of(values, "recipe_dice_mean"))
    hypothesis = _hypothesis(values, real_data)
    return f"{text} The mean Dice of the same predictions is {dice}. {hypothesis}"


def _hypothesis(values: Sequence[Value], real_data: bool) -> str:
    """Apply the rule of notebook 12: all six near in the crop, one of which counts, low Dice."""
    near, beyond = (
        {frame: of(values, f"recipe_{frame}_{what}").value for frame in FRAMES}
        for what in ("within_a_point", "beyond_no_tumour")
    )
    needed, dice = of(values, "needed_dice_least").value, of(values, "recipe_dice_mean")
    low, high = dice.ci95 or (-math.inf, math.inf)
    if low >= needed:
        word = "speaks against the hypothesis, since the Dice is high as well"
    elif not any(beyond.values()):
        word = "supports nothing: a predictor that finds no tumour comes as near"
    elif high < needed and near["box"] == len(SIX) and beyond["box"]:
        word = "supports the hypothesis, without proving it"
    else:
        word = "leaves the hypothesis open"
    if not real_data:
        word = f"{word}; the patients are synthetic, so it says nothing about the paper"
    return (
        f"{near['box']:.0f} of the recipe's six scores over the crop and {near['scan']:.0f} over "
        "the whole scan are within a point of the paper's; 'no tumour' everywhere misses "
        f"{beyond['box']:.0f} and {beyond['scan']:.0f} of these. The recipe's IoU, as Keras "
        f"computes it, is {of(values, 'recipe_box_iou').value:.3f} over the crop. Over the whole "
        f"scan it is {_unasked(values, '{:.3f}')}, depending on how much outside of the crop is "
        "certain: nobody asked the network there, so it counts for nothing. By the rule this "
        f"{word}."
    )


def _wide(scores: PrintedScores, measured: Sequence[Value]) -> pd.DataFrame:
    """Return ``beside`` with a row for each that has all six scores, the paper first."""
    table = beside(scores, measured).pivot(index="who", columns="score", values="value")
    return table.reindex([PAPER, *WHO])[list(SIX)].dropna(how="all")


def _unasked(values: Sequence[Value], digits: str, times: float = 1) -> str:
    ends = (of(values, f"recipe_scan_iou_{end}").value for end in ("least", "most"))
    return " to ".join(digits.format(times * end) for end in ends)


def _related(scores: PrintedScores) -> list[RelationCheck]:
    return contradictions.examine(replace(scores, test_sizes=()))


def _proportions(scores: PrintedScores) -> list[RelationCheck]:
    return [check for check in contradictions.examine(scores) if check.reading == "proportion"]


def _possible(findings: Sequence[RelationCheck]) -> int:
    return sum(finding.verdict == "possible" for finding in findings)


def _sizes() -> dict[int, str]:
    """Return the test sizes that come into question, each with the volumes that it is of."""
    sizes: dict[int, str] = {}
    for count in range(1, len(VOLUMES) + 1):
        for pool in combinations(VOLUMES, count):
            volumes = " + ".join(map(str, pool))
            sizes |= dict.fromkeys(forensics.held_out(sum(pool)), volumes)
    return sizes
