"""A class that is lost is found with the one that took it; twenty clean patients give no alarm."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from gliomalib.scoring import collapse, metrics
from tests.scoring.simulated import Patient, classes

NAMES = ("no tumour", "necrotic core", "edema", "enhancing tumour")
DRAWS = 1000


def confusions(cohort: list[Patient], change: Callable[[Any], Any] = lambda found: found) -> Any:
    """Return the matrices of the fused volumes after ``change`` of the predicted labels."""
    return np.stack(
        [metrics.confusion_matrix(one.case.labels, change(classes(one.fused))) for one in cohort]
    )


def test_clean_patients_have_no_collapse(cohort: list[Patient]) -> None:
    found = collapse.class_collapse(confusions(cohort), 0, DRAWS)
    assert found.verdict == "not found"
    assert [fate.name for fate in found.classes] == list(NAMES)
    assert [fate.verdict for fate in found.classes] == ["not found"] * 4
    assert "No class is lost in 20 patients" in found.sentence


def test_a_collapse_to_edema_is_found(cohort: list[Patient]) -> None:
    generator = np.random.default_rng(0)

    def to_edema(labels: Any) -> Any:
        stays = generator.random(labels.shape) < 0.02
        return np.where(np.isin(labels, (1, 3)) & ~stays, 2, labels)

    found = collapse.class_collapse(confusions(cohort, to_edema), 0, DRAWS)
    fates = {fate.name: fate for fate in found.classes}
    assert found.verdict == "found"
    for name in ("necrotic core", "enhancing tumour"):
        assert fates[name].verdict == "found"
        assert fates[name].taken_by == "edema"
        assert fates[name].taken > 0.8
        assert f"{name} (recall" in found.sentence
    assert fates["edema"].verdict == fates["no tumour"].verdict == "not found"
    assert "became edema" in found.sentence


def matrix(recall: int, extra: int = 0) -> Any:
    """100 voxels of each class; of enhancing tumour ``recall`` are found, the rest is edema.

    ``extra`` voxels of edema are called enhancing.
    """
    found = np.diag([1000, 100, 100 - extra, recall])
    found[3, 2], found[2, 3] = 100 - recall, extra
    return found


@pytest.mark.parametrize(
    ("recall", "extra", "verdict"),
    [
        (4, 0, "found"),
        (4, 50, "found"),
        (9, 0, "found"),
        (6, 50, "not found"),
        (11, 0, "not found"),
    ],
)
def test_the_rule_is_recall_below_5_or_frequency_below_10_percent(
    recall: int, extra: int, verdict: str
) -> None:
    found = collapse.class_collapse(np.stack([matrix(recall, extra)] * 8), 0, 200)
    assert found.verdict == found.classes[3].verdict == verdict
    fate = found.classes[3]
    assert fate.recall is not None
    assert fate.frequency is not None
    assert fate.recall.value == pytest.approx(recall / 100)
    assert fate.frequency.value == pytest.approx((recall + extra) / 100)
    assert fate.share == pytest.approx(1 / 3)
    assert (fate.taken_by, fate.taken) == ("edema", pytest.approx(1 - recall / 100))


def test_one_odd_patient_gives_no_alarm() -> None:
    fine = [matrix(90)] * 15
    for weight in (1, 30, 1000):
        found = collapse.class_collapse(np.stack([*fine, weight * matrix(0)]), 0, DRAWS)
        assert found.verdict != "found"
    # the other way round one good patient does not hide that fifteen have lost it
    lost = collapse.class_collapse(np.stack([*[matrix(0)] * 15, matrix(30)]), 0, DRAWS)
    assert lost.classes[3].recall is not None
    assert lost.classes[3].recall.value < 0.05
    assert lost.verdict != "not found"


def test_few_patients_cannot_tell() -> None:
    assert collapse.class_collapse(np.stack([matrix(0)] * 5), 0, 200).verdict == "found"
    few = collapse.class_collapse(np.stack([matrix(0)] * 4), 0, 200)
    assert few.verdict == "cannot tell"
    assert "too few" in few.sentence
    # four of nine patients have the class: nothing can be said of it, whatever the others say
    without = np.diag([1000, 100, 100, 0])
    mixed = collapse.class_collapse(np.stack([*[matrix(90)] * 4, *[without] * 5]), 0, 200)
    assert (mixed.verdict, mixed.classes[3].patients) == ("cannot tell", 4)
    assert mixed.classes[2].verdict == "not found"
    # a class that all have lost is found, whatever cannot be told of one that four have
    lost, alone = matrix(0), matrix(0)
    alone[1, 1] = 0
    both = collapse.class_collapse(np.stack([*[lost] * 4, *[alone] * 5]), 0, 200)
    assert (both.classes[1].verdict, both.verdict) == ("cannot tell", "found")


def test_a_class_that_hardly_occurs_is_not_judged() -> None:
    rare = np.diag([10_000, 100, 100, 0])
    rare[3, 2] = 4
    found = collapse.class_collapse(np.stack([rare] * 8), 0, 200)
    assert (found.verdict, found.classes[3].verdict) == ("not found", None)
    rare[3, 2] = 5  # of 205 voxels of tumour: 2.4 %, though 0.05 % of all
    assert collapse.class_collapse(np.stack([rare] * 8), 0, 200).verdict == "found"
    never = collapse.class_collapse(np.stack([np.diag([9, 9, 9, 0])] * 8), 0, 200)
    assert (never.classes[3].patients, never.classes[3].recall) == (0, None)
    nothing = collapse.class_collapse(np.zeros((8, 4, 4), int), 0, 200)
    assert nothing.verdict == "cannot tell"
    assert "every class is too small" in nothing.sentence


@pytest.mark.parametrize("wrong", [np.zeros((4, 4)), np.zeros((0, 4, 4)), np.full((9, 4, 4), -1)])
def test_what_is_no_confusion_of_patients_is_refused(wrong: Any) -> None:
    with pytest.raises(ValueError, match=r"\(patients, 4, 4\)"):
        collapse.class_collapse(wrong, 0)
