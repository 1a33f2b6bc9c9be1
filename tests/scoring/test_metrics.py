"""Scores agree with scikit-learn and the organisers, and every rule for 0/0 is as stated."""

import json
import math
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn import metrics as reference

from gliomalib.scoring import metrics
from tests.reference import make_brats_evaluation as organisers

KINDS = ("random", "absent in truth", "absent in prediction", "absent in both", "one class")
ALL = slice(None)


def pair(kind: str, shape: tuple[int, ...] = (9, 8, 7)) -> tuple[Any, Any]:
    """Two random label volumes, some without a class."""
    generator = np.random.default_rng(KINDS.index(kind))
    truth = generator.integers(0, 4, shape, dtype=np.uint8)
    predicted = np.where(generator.random(shape) < 0.6, truth, generator.integers(0, 4, shape))
    if kind in ("absent in truth", "absent in both"):
        truth[truth == 3] = 2
    if kind in ("absent in prediction", "absent in both"):
        predicted[predicted == 3] = 0
    if kind == "one class":
        truth[ALL], predicted = 0, np.zeros_like(truth)
    return truth, predicted.astype(np.uint8)


@settings(deadline=None)
@given(
    hnp.arrays(np.uint8, (2, 3, 4), elements=st.integers(0, 3)),
    hnp.arrays(np.int64, (2, 3, 4), elements=st.integers(0, 3)),
)
def test_confusion_counts_each_voxel_once(truth: Any, predicted: Any) -> None:
    expected = np.zeros((4, 4), dtype=int)
    for one, other in zip(truth.ravel(), predicted.ravel(), strict=True):
        expected[one, other] += 1
    found = metrics.confusion_matrix(truth, predicted)
    assert found.dtype == np.int64
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("wrong", [4, 255, -1])
def test_confusion_names_a_label_out_of_range(wrong: int) -> None:
    good, bad = np.zeros(3, np.int16), np.array([0, 1, wrong], np.int16)
    with pytest.raises(ValueError, match=f"prediction holds the label {wrong},"):
        metrics.confusion_matrix(good, bad)
    with pytest.raises(ValueError, match=f"truth holds the label {wrong},"):
        metrics.confusion_matrix(bad, good)


def test_confusion_refuses_what_cannot_be_counted() -> None:
    with pytest.raises(ValueError, match="not equal"):
        metrics.confusion_matrix(np.zeros((2, 3), np.uint8), np.zeros((3, 2), np.uint8))
    with pytest.raises(ValueError, match="float32"):
        metrics.confusion_matrix(np.zeros(3, np.float32), np.zeros(3, np.uint8))


def test_confusion_of_no_voxels_is_empty() -> None:
    assert metrics.confusion_matrix(np.array([], int), np.array([], int)).sum() == 0


@pytest.mark.parametrize("kind", KINDS)
def test_scores_agree_with_scikit_learn(kind: str) -> None:
    truth, predicted = (labels.ravel() for labels in pair(kind))
    found = metrics.stacked_scores(metrics.confusion_matrix(truth, predicted))
    options: dict[str, Any] = {"labels": range(4), "average": "macro", "zero_division": 0}
    precision, recall, f1, _ = reference.precision_recall_fscore_support(
        truth, predicted, **options
    )
    iou = reference.jaccard_score(truth, predicted, **options)
    expected = {"precision": precision, "recall": recall, "f1": f1, "iou": iou}
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, atol=1e-12, err_msg=name)
    check_whole(truth, predicted, found)


def check_whole(truth: Any, predicted: Any, found: Any) -> None:
    """Compare the scores of a whole matrix."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        balanced = reference.balanced_accuracy_score(truth, predicted)
        mcc = reference.matthews_corrcoef(truth, predicted)
    assert found["accuracy"] == pytest.approx(reference.accuracy_score(truth, predicted))
    assert found["balanced_accuracy"] == pytest.approx(balanced, abs=1e-12)
    assert found["mcc"] == pytest.approx(mcc, abs=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_specificity_is_the_recall_of_everything_else(kind: str) -> None:
    truth, predicted = pair(kind)
    found = metrics.stacked_scores(metrics.confusion_matrix(truth, predicted))["specificity"]
    rests = [truth != label for label in range(4)]
    each = [
        (predicted[rest] != label).mean() if rest.any() else 0 for label, rest in enumerate(rests)
    ]
    assert found == pytest.approx(np.mean(each))


def test_a_class_without_items_counts_as_zero() -> None:
    confusion = np.array([[6, 2, 0], [1, 3, 0], [0, 0, 0]])
    found = metrics.stacked_scores(confusion)
    assert found["recall"] == pytest.approx((6 / 8 + 3 / 4 + 0) / 3)
    assert found["iou"] == pytest.approx((6 / 9 + 3 / 6 + 0) / 3)


def test_nothing_counted_scores_zero() -> None:
    found = metrics.stacked_scores(np.zeros((4, 4), dtype=np.int64))
    assert {float(value) for value in found.values()} == {0.0}


def test_a_stack_scores_as_its_matrices_do() -> None:
    stack = np.random.default_rng(0).integers(0, 5, (3, 2, 4, 4))
    found = metrics.stacked_scores(stack)
    for index in np.ndindex(3, 2):
        for name, value in metrics.stacked_scores(stack[index]).items():
            np.testing.assert_allclose(found[name][index], value, err_msg=name)


def test_large_counts_keep_their_digits() -> None:
    confusion = np.random.default_rng(0).integers(1, 50, (4, 4))
    small, large = (metrics.stacked_scores(confusion * k) for k in (1, 10**9))
    for name, value in small.items():
        assert large[name] == pytest.approx(value, rel=1e-12), name


def test_scores_refuse_what_is_no_confusion_matrix() -> None:
    for wrong in (np.ones((4, 3), int), np.ones(4, int), -np.eye(4, dtype=np.int64)):
        with pytest.raises(ValueError, match="confusion matri"):
            metrics.stacked_scores(wrong)


@pytest.mark.parametrize(
    ("cells", "state", "brats", "exclude"),
    [
        ({(0, 0): 5, (3, 3): 2}, "both", 1.0, 1.0),
        ({(0, 0): 5, (3, 3): 1, (3, 0): 2}, "both", 0.5, 0.5),
        ({(3, 0): 2, (0, 3): 2}, "both", 0.0, 0.0),
        ({(0, 0): 5, (1, 2): 4}, "empty", 1.0, math.nan),
        ({(0, 0): 5, (3, 1): 4}, "missed", 0.0, 0.0),
        ({(0, 0): 5, (1, 3): 4}, "spurious", 0.0, 0.0),
    ],
)
def test_dice_and_state_of_each_kind_of_mask(
    cells: dict[tuple[int, int], int], state: str, brats: float, exclude: float
) -> None:
    confusion = np.zeros((4, 4), dtype=np.int64)
    for cell, count in cells.items():
        confusion[cell] = count
    assert metrics.mask_state(confusion, (3,)) == state
    assert metrics.dice(confusion, (3,), "brats") == brats
    assert metrics.dice(confusion, (3,), "exclude") == pytest.approx(exclude, nan_ok=True)


def test_dice_refuses_unknown_rules_and_classes() -> None:
    confusion = np.eye(4, dtype=np.int64)
    with pytest.raises(TypeError, match="empty"):
        metrics.dice(confusion, (1,))  # type: ignore[call-arg]
    with pytest.raises(ValueError, match="empty is 'one'"):
        metrics.dice(confusion, (1,), "one")  # type: ignore[arg-type]
    for wrong in ((), (4,), (-1,), (1, 1)):
        with pytest.raises(ValueError, match="classes"):
            metrics.dice(confusion, wrong, "brats")


# --- the organisers' package, whose numbers tests/reference keeps


BRATS: dict[str, dict[str, list[Any]]] = json.loads(organisers.OUTCOME.read_text())["cases"]
VOLUMES = organisers.volumes()


def theirs(case: str, region: str) -> list[float]:
    """Return their Dice, HD95, lesion-wise Dice and matched, spurious and missed lesions."""
    return [math.nan if one is None else float(one) for one in BRATS[case][region]]


def test_there_is_a_reference_for_every_case_and_for_every_kind_of_mask() -> None:
    assert list(BRATS) == list(VOLUMES)
    states = {
        metrics.mask_state(metrics.confusion_matrix(*pair), classes)
        for pair in VOLUMES.values()
        for classes in organisers.REGIONS.values()
    }
    assert states == {"both", "empty", "missed", "spurious"}


@pytest.mark.parametrize("region", organisers.REGIONS)
@pytest.mark.parametrize("case", BRATS)
def test_dice_agrees_with_the_organisers_package(case: str, region: str) -> None:
    confusion, classes = metrics.confusion_matrix(*VOLUMES[case]), organisers.REGIONS[region]
    expected = theirs(case, region)[0]
    # two empty masks have no score by their rule of 2023 and later, and Dice 1 by that of 2018-2020
    found = metrics.dice(confusion, classes, "exclude")
    assert found == pytest.approx(expected, abs=1e-6, nan_ok=True)
    older = 1.0 if math.isnan(expected) else expected
    assert metrics.dice(confusion, classes, "brats") == pytest.approx(older, abs=1e-6)


def test_their_lesion_wise_dice_is_ours_of_a_single_lesion_only() -> None:
    differences: dict[bool, list[float]] = {True: [], False: []}
    for case in BRATS:
        for region, classes in organisers.REGIONS.items():
            dice, hd95, lesionwise, *counts = theirs(case, region)
            if math.isfinite(dice) and math.isfinite(hd95):
                single = counts == [1, 0, 0]  # one lesion, matched, and none besides
                confusion = metrics.confusion_matrix(*VOLUMES[case])
                own = metrics.dice(confusion, classes, "brats")
                differences[single].append(own - lesionwise)
    assert len(differences[True]) > 5
    assert np.abs(differences[True]).max() < 1e-6
    assert np.abs(differences[False]).max() > 0.1


def test_one_predicted_class_has_no_correlation_however_counts_are_rounded() -> None:
    counts = np.zeros((1, 4, 4))
    counts[0, :, 0] = [0.3, 0.1, 0.2, 0.3]  # averages over repeats: 1 − Σ share² is −4e-16
    assert metrics.stacked_scores(counts)["mcc"] == 0
