"""Conclusions say what the values say, in both directions."""

from __future__ import annotations

import pytest

from gliomalib.experiments import conclusions
from gliomalib.schema import RecordError, Value


def difference(value: float, low: float, high: float) -> Value:
    return Value("fused_minus_2d_mean_dice", value, (low, high), 30, rule="r")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (difference(0.05, 0.02, 0.08), "exceeds 2D only by +0.050"),
        (difference(-0.05, -0.08, -0.02), "falls behind 2D only by -0.050"),
        (difference(0.01, -0.02, 0.04), "is not told apart from 2D only"),
    ],
)
def test_a_difference_is_named_by_its_interval(value: Value, words: str) -> None:
    assert words in conclusions.differences([value])


def test_a_missing_value_is_an_error_and_not_a_gap_in_the_sentence() -> None:
    with pytest.raises(RecordError, match="accuracy"):
        conclusions.classification([Value("recall", 0.5)])


def of_alpha(equivalent: float, area: tuple[float, float]) -> list[Value]:
    """Return values of notebook 08; 0.6 loses ``area`` where slices are classed by their areas."""
    return [
        Value("best_alpha", 0.5, (0.2, 0.7), 5),
        Value("lost_at_published_alpha", 0.001, (0.0, 0.002), 5),
        Value("published_alpha_equivalent", equivalent, n_patients=5),
        Value("flat_width", 0.4, (0.3, 0.6), 5),
        Value("best_alpha_accuracy", 0.0, (0.0, 0.3), 5),
        Value("lost_at_published_alpha_accuracy", 0.036, (0.01, 0.07), 5),
        Value("best_alpha_area_rule", 0.5, (0.5, 0.5), 5),
        Value("lost_at_published_alpha_area_rule", area[0], area, 5),
    ]


def test_alpha_says_when_none_was_chosen() -> None:
    values = of_alpha(1.0, (0.0, 0.0))
    assert "no α was chosen" in conclusions.alpha(values)
    assert "no α was chosen" not in conclusions.alpha([*values, Value("chosen_alpha", 0.4)])


def test_alpha_says_whether_the_published_one_is_equivalent_and_what_slices_say() -> None:
    said = conclusions.alpha(of_alpha(1.0, (0.0, 0.0)))
    assert (
        "and is equivalent to the best α of these patients by ±0.01" in said
        and "a width of 0.40" in said
    )
    assert "by the ResNet50 best at α = 0.0 (95 % interval 0.0 to 0.3, 5 patients)" in said
    assert "by their areas alone no better at any other α than at 0.6" in said
    other = conclusions.alpha(of_alpha(0.0, (0.02, 0.04)))
    assert "is not shown to be equivalent" in other
    assert "by their areas alone best at α = 0.5" in other


FORENSIC = (
    *("iou_that_f1_forces", "needed_dice_least", "needed_saturation"),
    *("test_sizes", "test_sizes_possible"),
)


def forensic(near: float, dice: tuple[float, float] | None, constant: float = 0) -> list[Value]:
    """Return values of notebook 12 in which nothing but three things matters."""
    low, high = dice or (0.5, 0.5)
    return [
        *(Value(name, 0.85) for name in FORENSIC),
        Value("recipe_dice_mean", (low + high) / 2, dice, 30),
        *(Value(f"{who}_scan_accuracy", 0.99) for who in ("recipe", "constant")),
        Value("recipe_box_iou", 0.381),
        Value("recipe_box_within_a_point", 1.0),
        Value("recipe_scan_within_a_point", near),
        Value("constant_box_within_a_point", 0.0),
        Value("constant_scan_within_a_point", constant),
    ]


@pytest.mark.parametrize(
    ("near", "dice", "words"),
    [
        (5, (0.5, 0.6), "supports the hypothesis, without proving it"),
        (5, (0.5, 0.9), "leaves the hypothesis open"),
        (4, (0.5, 0.6), "leaves the hypothesis open"),
        (5, None, "leaves the hypothesis open"),
        (5, (0.86, 0.9), "speaks against the hypothesis"),
    ],
)
def test_the_hypothesis_is_judged_by_its_rule(
    near: float, dice: tuple[float, float] | None, words: str
) -> None:
    said = conclusions.forensics(forensic(near, dice), real_data=True)
    assert f"By the rule this {words}" in said and f"{near} of the recipe's lie within" in said
    assert "synthetic" not in said
    assert "says nothing of the paper" in conclusions.forensics(forensic(near, dice), False)


def test_what_no_tumour_everywhere_passes_too_supports_nothing() -> None:
    said = conclusions.forensics(forensic(5, (0.5, 0.6), constant=5), real_data=True)
    assert "By the rule this supports nothing, since a predictor that finds no tumour" in said
    assert "and 5 of those of 'no tumour'" in said and "as Keras computes it, is 0.381" in said
    nearer = conclusions.forensics(forensic(5, (0.5, 0.6), constant=4), real_data=True)
    assert "supports the hypothesis" in nearer


def test_what_the_f1_forces_is_said_of_one_average_only() -> None:
    said = conclusions.forensics([Value(name, 0.5) for name in FORENSIC], True)
    assert "where both are one and the same average" in said and "every average" not in said


def test_forensics_without_a_rerun_say_so_and_never_that_it_is_proven() -> None:
    values = [Value(name, 0.5) for name in FORENSIC]
    assert "the hypothesis was not tested" in conclusions.forensics(values, True)
    with_rerun = conclusions.forensic_caveats(forensic(5, (0.5, 0.6)))
    without = conclusions.forensic_caveats(values)
    assert "never that it was used" in with_rerun[0] and len(with_rerun) == 1
    assert "not put to the test" in without[1]


def test_missed_masks_stand_in_the_sentence() -> None:
    values = [
        Value("dice_WT", 0.8, (0.7, 0.9), 8, n_missed=0),
        Value("dice_mean", 0.6, (0.5, 0.7), 8),
        Value("dice_ET", 0.4, (0.2, 0.6), 8, n_missed=3),
    ]
    assert "in 3 of the scored" in conclusions.segmentation("The 2D U-Net", values)
