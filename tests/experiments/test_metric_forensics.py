"""What the printed scores are said to be follows from them, and true scores are not accused."""

from dataclasses import replace

import pytest

from gliomalib.experiments import metric_forensics
from gliomalib.experiments.classification import SIX
from gliomalib.schema import SettingsError, Value
from gliomalib.scoring import bootstrap, forensics, keras_metrics
from gliomalib.scoring.contradictions import PrintedScores
from gliomalib.verdicts import claims, decisions

GENUINE = PrintedScores(0.9943, 0.9946, 0.9930, 0.9938, None, 0.9982)
"""Scores of a public notebook, and the F1 that they give."""


@pytest.fixture(scope="module")
def paper() -> PrintedScores:
    return metric_forensics.printed(claims.printed(claims.load(), "06_train_resnet50"))


def of(values: list[Value], name: str) -> float:
    assert all(one.rule for one in values)
    return {one.name: one.value for one in values}[name]


def measured(**scores: float) -> list[Value]:
    """Return values as ``pooled`` names them, all six alike where not told otherwise."""
    found = []
    for prefix in metric_forensics.WHO.values():
        for name in SIX:
            if (prefix, name) != ("recipe_scan", "iou"):
                value = scores.get(f"{prefix}_{name}", 0.9)
                found.append(Value(f"{prefix}_{name}", value, (value - 0.1, value + 0.1), 7))
    found += [Value("recipe_scan_iou_least", 0.286), Value("recipe_scan_iou_most", 0.843)]
    return found


def test_the_scores_are_those_of_the_claims(paper: PrintedScores) -> None:
    by_value = {one.value: one.published for one in claims.load() if one.notebook[:2] == "06"}
    assert {name: getattr(paper, name) for name in SIX} == {n: by_value[n] for n in SIX}
    assert paper.test_sizes == (57, 67, 73, 74, 124, 130, 131, 140, 141, 197, 198)


def test_a_point_is_the_margin_of_the_verdicts() -> None:
    rules = [one.decision for one in claims.load() if one.value in SIX]
    margins = {rule.margin for rule in rules if isinstance(rule, decisions.AtLeast)}
    assert margins == {metric_forensics.POINT}


def test_a_score_that_no_claim_gives_is_named() -> None:
    with pytest.raises(SettingsError, match="the claims give no iou"):
        metric_forensics.printed({name: 0.9 for name in SIX if name != "iou"})


def test_the_paper_fails_in_the_readings_that_give_each_item_one_class(
    paper: PrintedScores,
) -> None:
    table = metric_forensics.by_reading(paper).set_index("reading")
    failing = table[table["fail without the IoU"] > 0].index.tolist()
    assert failing == [
        *("argmax pooled", "argmax weighted", "argmax balanced"),
        "one against the rest",
    ]
    assert table.loc["pooled", "rounding"] == "truncated"
    assert table.loc["pooled", "fail"] == 1 and table.loc["any average", "fail"] == 2
    every = ", ".join(forensics.RULES)
    assert table.loc["thresholded", ["fail", "rounding"]].tolist() == [0, every]
    assert len(metric_forensics.relations(paper)) == table["relations"].sum() == 17


def test_genuine_scores_fail_in_no_reading_that_is_theirs() -> None:
    table = metric_forensics.by_reading(GENUINE).set_index("reading")
    assert table.loc[["pooled", "thresholded"], "fail"].tolist() == [0, 0]
    assert metric_forensics.by_reading(PrintedScores()).empty


def test_every_test_size_is_listed_with_its_volumes(paper: PrintedScores) -> None:
    table = metric_forensics.proportions(paper).set_index("held out")
    assert set(table.index) == set(paper.test_sizes)
    assert set(table["verdict"]) == {"impossible"}
    assert table.loc[131].tolist()[:3] == ["285 + 369", "99.24 %", "100.00 %"]
    fits = metric_forensics.proportions(replace(paper, accuracy=0.9924))
    assert fits.loc[fits["verdict"] == "possible", "held out"].tolist() == [131]


def test_values_say_what_the_numbers_need(paper: PrintedScores) -> None:
    found = metric_forensics.values(paper)
    assert of(found, "relations_impossible") == 2
    assert of(found, "test_sizes") == 11 and of(found, "test_sizes_possible") == 0
    assert of(found, "iou_that_f1_forces") == pytest.approx(0.99185 / (2 - 0.99185))
    assert of(found, "needed_dice_least") == pytest.approx(0.8501, abs=1e-4)
    assert of(found, "needed_saturation") == keras_metrics.saturated_share(paper.iou)
    assert of(found, "no_tumour_accuracy_scan") == 0.9894
    assert of(found, "no_tumour_accuracy_crop") == 0.9642
    assert len({one.name for one in found}) == len(found)


def test_no_tumour_scores_what_more_patients_say(paper: PrintedScores) -> None:
    few, many = (
        {frame: bootstrap.Interval(0.9, (0.8, 0.95), n) for frame in ("scan", "crop")}
        for n in (28, 29)
    )
    assert metric_forensics.values(paper, few) == metric_forensics.values(paper)
    values = {value.name: value for value in metric_forensics.values(paper, many)}
    assert values["no_tumour_accuracy_crop"].ci95 == (0.8, 0.95)
    assert values["no_tumour_accuracy_crop"].n_patients == 29
    low, high = values["no_tumour_iou_scan"].ci95 or (1, 0)
    assert low < values["no_tumour_iou_scan"].value < high


def test_each_predictor_stands_beside_the_paper(paper: PrintedScores) -> None:
    table = metric_forensics.beside(paper, measured(recipe_box_f1=0.7))
    at = table.set_index(["who", "score"])
    assert at.loc[("the paper", "f1"), "value"] == paper.f1
    row = at.loc[("pixel recipe, crop", "f1"), ["value", "low", "high"]]
    assert row.tolist() == pytest.approx([0.7, 0.6, 0.8])
    assert at.loc[("'no tumour', crop", "iou"), "value"] == 0.9
    assert set(metric_forensics.beside(paper, [])["who"]) == {"the paper"}


def test_all_six_stand_in_both_frames_with_their_points_off(paper: PrintedScores) -> None:
    values = measured(recipe_box_accuracy=0.9723, recipe_box_iou=0.3806)
    table = metric_forensics.deviations(paper, values).set_index("%, points off")
    assert table.index.tolist() == ["the paper", *metric_forensics.WHO]
    assert table.columns.tolist() == list(SIX)
    assert table.loc["the paper", "accuracy"] == "99.25"
    assert table.loc["pixel recipe, crop", "accuracy"] == "97.23 (-2.02)"
    assert table.loc["pixel recipe, crop", "iou"] == "38.06 (-46.43)"
    assert table.loc["pixel recipe, whole scan", "iou"] == "28.60 to 84.30"
    assert len(metric_forensics.deviations(paper, [])) == 1


def test_nearness_counts_apart_what_no_tumour_misses(paper: PrintedScores) -> None:
    near = {f"recipe_scan_{name}": getattr(paper, name) - 0.009 for name in SIX}
    near["recipe_scan_recall"] = 0.98
    near["recipe_box_iou"] = paper.iou
    nothing = {f"constant_scan_{name}": 0.9894 for name in SIX if name != "iou"}
    found = metric_forensics.nearness(paper, measured(**near, **nothing))
    assert of(found, "recipe_scan_within_a_point") == 4, "what is assumed of the IoU is not near"
    assert of(found, "recipe_box_within_a_point") == 1
    # accuracy, precision, recall, F1 and specificity; its IoU is 0.9, far from 0.8449
    assert of(found, "constant_scan_within_a_point") == 5
    assert of(found, "recipe_scan_beyond_no_tumour") == 0
    assert of(found, "recipe_box_beyond_no_tumour") == 1, "the IoU"
    assert {one.n_patients for one in found} == {7}
    assert metric_forensics.nearness(paper, []) == []


FORENSIC = (
    *("iou_that_f1_forces", "needed_dice_least", "needed_saturation"),
    *("test_sizes", "test_sizes_possible"),
)


def forensic(near: float, dice: tuple[float, float] | None, beyond: float = 1) -> list[Value]:
    """Return values of notebook 12 in which nothing but three things matters."""
    low, high = dice or (0.5, 0.5)
    return [
        *(Value(name, 0.85) for name in FORENSIC),
        Value("recipe_dice_mean", (low + high) / 2, dice, 30),
        *(Value(f"{prefix}_accuracy", 0.99) for prefix in metric_forensics.WHO.values()),
        Value("recipe_box_iou", 0.381),
        Value("recipe_scan_iou_least", 0.286),
        Value("recipe_scan_iou_most", 0.843),
        Value("recipe_box_within_a_point", near),
        Value("recipe_scan_within_a_point", 5.0),
        Value("recipe_box_beyond_no_tumour", beyond),
        Value("recipe_scan_beyond_no_tumour", 0.0),
    ]


@pytest.mark.parametrize(
    ("near", "dice", "words"),
    [
        (6, (0.5, 0.6), "supports the hypothesis, without proving it"),
        (6, (0.5, 0.9), "leaves the hypothesis open"),
        (5, (0.5, 0.6), "leaves the hypothesis open"),
        (6, None, "leaves the hypothesis open"),
        (6, (0.86, 0.9), "speaks against the hypothesis"),
    ],
)
def test_the_hypothesis_is_judged_by_its_rule(
    near: float, dice: tuple[float, float] | None, words: str
) -> None:
    said = metric_forensics.conclusion(forensic(near, dice), real_data=True)
    assert f"By the rule this {words}" in said
    assert f"{near} of the recipe's six scores over the crop and 5" in said
    assert "synthetic" not in said
    synthetic = metric_forensics.conclusion(forensic(near, dice), real_data=False)
    assert "says nothing about the paper" in synthetic


@pytest.mark.parametrize("near", [5, 6])
def test_what_no_tumour_everywhere_passes_too_supports_nothing(near: float) -> None:
    said = metric_forensics.conclusion(forensic(near, (0.5, 0.6), beyond=0), real_data=True)
    assert "By the rule this supports nothing: a predictor that finds no tumour comes" in said
    assert "computes it, is 0.381 over the crop. Over the whole scan it is 0.286 to 0.843" in said
    nearer = metric_forensics.conclusion(forensic(near, (0.5, 0.6), beyond=1), real_data=True)
    assert "supports nothing" not in nearer


def test_a_score_of_the_whole_scan_does_not_count_for_those_of_the_crop() -> None:
    values = [
        value for value in forensic(6, (0.5, 0.6), beyond=0) if "scan_beyond" not in value.name
    ]
    values.append(Value("recipe_scan_beyond_no_tumour", 1.0))
    said = metric_forensics.conclusion(values, real_data=True)
    assert "By the rule this leaves the hypothesis open" in said


def test_forensics_without_a_rerun_say_so_and_never_that_it_is_proven() -> None:
    values = [Value(name, 0.5) for name in FORENSIC]
    said = metric_forensics.conclusion(values, real_data=True)
    assert "the hypothesis was not tested" in said
    assert "where both are one and the same average" in said and "every average" not in said
    assert "never that it was used" in metric_forensics.CAVEAT
