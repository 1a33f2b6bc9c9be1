"""Whole patients: decided by plan and number, labels and images that belong together."""

import dataclasses

import numpy as np
import pytest

from gliomalib.phantoms.grid import Dice
from gliomalib.phantoms.patient import Phantom, PhantomPlan, make_patient
from gliomalib.phantoms.tumour import draw_traits
from gliomalib.settings import named_seed

PLAN = PhantomPlan(seed=11, spacing_mm=4.0)


@pytest.fixture(scope="module")
def patients() -> list[Phantom]:
    return [make_patient(PLAN, number) for number in range(1, 9)]


def test_the_same_plan_and_number_is_the_same_patient(patients: list[Phantom]) -> None:
    again = make_patient(PhantomPlan(seed=11, spacing_mm=4.0), 1)
    assert np.array_equal(again.images, patients[0].images)
    assert np.array_equal(again.labels, patients[0].labels)


@pytest.mark.parametrize(
    ("change", "number"),
    [({"seed": 12}, 1), ({}, 2)],
)
def test_anything_else_is_another_patient(
    patients: list[Phantom], change: dict[str, object], number: int
) -> None:
    other = make_patient(dataclasses.replace(PLAN, **change), number)
    assert not np.array_equal(other.images > 0, patients[0].images > 0)
    assert not np.array_equal(other.labels, patients[0].labels)


def test_a_box_is_what_lies_around_the_tumour_of_the_same_patient(
    patients: list[Phantom],
) -> None:
    for number, whole in enumerate(patients, start=1):
        box = make_patient(dataclasses.replace(PLAN, box=12), number)
        assert box.labels.shape == (12, 12, 12) and box.images.shape == (4, 12, 12, 12)
        # where the affine says it lies in the whole scan, the same voxels are found
        first = np.linalg.inv(np.asarray(whole.affine)) @ np.asarray(box.affine)[:, 3]
        place = tuple(slice(start, start + 12) for start in np.rint(first[:3]).astype(int))
        assert np.array_equal(box.labels, whole.labels[place])
        assert np.array_equal(box.images, whole.images[(slice(None), *place)])
        low, high = (end(np.argwhere(whole.labels), axis=0) for end in (np.min, np.max))
        held = [(at.start <= a and b < at.stop) or b - a >= 12 for at, a, b in
                zip(place, low, high, strict=True)]  # fmt: skip
        assert all(held) and box.labels.any()


def test_a_box_larger_than_the_field_of_view_keeps_all_of_it(patients: list[Phantom]) -> None:
    # 60, 60 and 38 voxels: longer than one axis, than two of them or than all
    for side, shape in ((40, (40, 40, 38)), (60, (60, 60, 38)), (64, (60, 60, 38))):
        box = make_patient(dataclasses.replace(PLAN, box=side), 1)
        assert box.labels.shape == shape and box.images.shape == (4, *shape)
        assert (box.labels > 0).sum() == (patients[0].labels > 0).sum()
        assert box.affine[2] == patients[0].affine[2]
    assert box.affine == patients[0].affine


def test_a_patient_of_two_sites_is_one_anatomy_imaged_twice(patients: list[Phantom]) -> None:
    there = make_patient(dataclasses.replace(PLAN, site="B"), 1)
    assert np.array_equal(there.labels, patients[0].labels)
    assert np.array_equal(there.images > 0, patients[0].images > 0)
    assert there.grade == patients[0].grade
    inside = there.images[0] > 0
    for here, other in zip(patients[0].images, there.images, strict=True):
        assert 0.5 < np.corrcoef(here[inside], other[inside])[0, 1] < 0.999


def test_a_patient_lies_on_the_field_of_view_of_brats(patients: list[Phantom]) -> None:
    for patient in patients:
        assert patient.images.shape == (4, 60, 60, 38)
        assert patient.images.dtype == np.float32
        assert patient.labels.shape == (60, 60, 38)
        assert patient.labels.dtype == np.uint8
        assert patient.affine[0] == (-4.0, 0.0, 0.0, 0.0)
        assert patient.affine[1] == (0.0, -4.0, 0.0, 239.0)


def test_the_background_is_zero_and_the_same_in_all_sequences(patients: list[Phantom]) -> None:
    for patient in patients:
        inside = patient.images > 0
        assert (inside == inside[0]).all()
        assert not inside[:, [0, -1]].any()
        assert patient.images.min() == 0.0


def test_every_label_lies_in_the_brain(patients: list[Phantom]) -> None:
    for patient in patients:
        assert (patient.images[:, patient.labels > 0] > 0).all()


def test_volumes_are_those_asked_for(patients: list[Phantom]) -> None:
    for number, patient in enumerate(patients, start=1):
        dice = Dice(named_seed(PLAN.seed, "phantom", number))
        whole_ml = np.count_nonzero(patient.labels) * 0.064
        assert whole_ml == pytest.approx(draw_traits(dice).target_ml, rel=0.05)
        assert 14.0 < whole_ml < 216.0


def test_the_grade_says_whether_anything_enhances(patients: list[Phantom]) -> None:
    for patient in patients:
        assert (patient.grade == "HGG") == bool((patient.labels == 3).any())


def test_scanner_units_differ_between_patients(patients: list[Phantom]) -> None:
    levels = np.array([[np.median(image[image > 0]) for image in p.images] for p in patients])
    assert levels.min() > 50
    assert levels.max() < 10_000
    assert (levels.max(axis=0) > 1.5 * levels.min(axis=0)).all()


def test_one_patient_is_the_same_at_other_voxel_sizes(patients: list[Phantom]) -> None:
    fine = make_patient(dataclasses.replace(PLAN, spacing_mm=2.0), 1)
    coarse = patients[0]
    x, y, z = coarse.labels.shape
    same = fine.labels[::2, ::2, ::2][:x, :y, :z] > 0
    overlap = 2 * (same & (coarse.labels > 0)).sum() / (same.sum() + (coarse.labels > 0).sum())
    assert overlap > 0.8
