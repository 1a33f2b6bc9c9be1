"""Classes of slices: known answers for each rule, and images on the volume's own grid."""

from dataclasses import replace
from typing import Any, get_args

import numpy as np
import pytest
from numpy.typing import NDArray

from gliomalib.fusion import slices
from gliomalib.schema import Grid, Labels, MismatchError, SettingsError, Volume
from gliomalib.settings import Classifier

SHAPE = (6, 5, 4)


def classifier(**more: Any) -> Classifier:
    return Classifier(**({"epochs": 1, "batch_size": 2, "weights": "random"} | more))


def labels_of(*slices_of_voxels: list[int]) -> Labels:
    """Return labels whose slice z holds the given voxels in its first places, the rest 0."""
    labels = np.zeros((5, 4, len(slices_of_voxels)), np.uint8)
    for z, voxels in enumerate(slices_of_voxels):
        labels[..., z].flat[: len(voxels)] = voxels
    return labels


@pytest.fixture
def volume() -> Volume:
    rng = np.random.default_rng(5)
    raw = rng.dirichlet(np.ones(4), SHAPE)
    grid = Grid("P1", SHAPE, (2.0, 2.0, 2.0), (0, 0, 0), tuple(map(tuple, np.eye(4))))
    return Volume(np.moveaxis(raw, -1, 0).astype(np.float16), grid)


@pytest.fixture
def images() -> NDArray[np.float16]:
    found = np.random.default_rng(6).random((4, *SHAPE)).astype(np.float16)
    found[..., 3] = 0
    return found


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        # slices: none · edema most, some ET · one NCR · NCR most · all three alike
        ("dominant", [0, 2, 1, 1, 3]),
        ("enhancing_first", [0, 3, 1, 1, 3]),
        # volumes NCR 4, ED 6, ET 2: slice 1 holds 4/6 of ED, 1/2 of ET; slice 4 1/4, 1/6, 1/2
        ("largest_share", [0, 2, 1, 1, 3]),
    ],
)
def test_rules_on_known_slices(rule: str, expected: list[int]) -> None:
    labels = labels_of([], [2, 2, 2, 2, 3], [1], [1, 1, 2], [1, 2, 3])
    assert slices.slice_classes(labels, rule).tolist() == expected


def test_ties_go_to_the_higher_class() -> None:
    labels = labels_of([1, 2], [1, 3], [2, 3], [1, 2, 3])
    assert slices.slice_classes(labels, "dominant").tolist() == [2, 3, 3, 3]
    assert slices.slice_classes(labels, "enhancing_first").tolist() == [2, 3, 3, 3]


def test_largest_share_asks_for_the_whole_volume() -> None:
    # slice 0 has more edema than core, yet all of the core and little of the edema
    labels = labels_of([1, 2, 2], [2] * 9)
    assert slices.slice_classes(labels, "largest_share").tolist() == [1, 2]
    assert slices.slice_classes(labels, "dominant").tolist() == [2, 2]


def test_unknown_rule_is_refused() -> None:
    with pytest.raises(SettingsError, match="label_rule 'biggest'"):
        slices.slice_classes(np.zeros(SHAPE, np.uint8), "biggest")


def test_probability_images_are_the_tumour_channels(
    volume: Volume, images: NDArray[np.float16]
) -> None:
    labels = np.zeros(SHAPE, np.uint8)
    labels[:2, :2, 1] = 3
    found = slices.fused_slices(volume, labels, classifier(), images)
    assert found.images.shape == (4, 3, 6, 5)
    assert found.images.dtype == np.float16
    np.testing.assert_array_equal(found.images[2, 1], volume.probabilities[2, :, :, 2])
    assert found.classes.tolist() == [0, 3, 0, 0]
    assert found.patients == ("P1",) * 4
    assert found.z.tolist() == [0, 1, 2, 3]


def test_blank_slices_stay_and_are_counted(volume: Volume, images: NDArray[np.float16]) -> None:
    labels = np.zeros(SHAPE, np.uint8)
    found = slices.fused_slices(volume, labels, classifier(), images)
    assert len(found.classes) == 4
    assert found.blank is not None and found.blank.sum() == 1
    assert slices.fused_slices(volume, labels, classifier()).blank is None


def test_without_images_nobody_knows_which_slices_are_blank(volume: Volume) -> None:
    labels, none = np.zeros(SHAPE, np.uint8), np.empty((0, *SHAPE), np.float16)
    assert slices.fused_slices(volume, labels, classifier(image="truth"), none).blank is None
    with pytest.raises(SettingsError, match="needs the scan's images"):
        slices.fused_slices(volume, labels, classifier(image="mri"), none)


def test_masked_flair_images(volume: Volume, images: NDArray[np.float16]) -> None:
    setting = classifier(image="flair_masked")
    found = slices.fused_slices(volume, np.zeros(SHAPE, np.uint8), setting, images)
    np.testing.assert_array_equal(found.images[1, 0], images[3, :, :, 1])
    np.testing.assert_array_equal(found.images[1, 1], images[1, :, :, 1])
    tumour = volume.probabilities[1:].astype(np.float32).sum(axis=0)[..., 1]
    np.testing.assert_allclose(found.images[1, 2], tumour, atol=2e-3)
    with pytest.raises(SettingsError, match="flair_masked needs"):
        slices.fused_slices(volume, np.zeros(SHAPE, np.uint8), setting)


def test_raw_and_true_images(volume: Volume, images: NDArray[np.float16]) -> None:
    labels = np.random.default_rng(3).integers(0, 4, SHAPE).astype(np.uint8)
    raw = slices.fused_slices(volume, labels, classifier(image="mri"), images)
    np.testing.assert_array_equal(raw.images[2], images[[3, 1, 2], :, :, 2])
    true = slices.fused_slices(volume, labels, classifier(image="truth"))
    for channel in range(3):
        np.testing.assert_array_equal(true.images[1, channel], labels[..., 1] == channel + 1)
    with pytest.raises(SettingsError, match="mri needs"):
        slices.fused_slices(volume, labels, classifier(image="mri"))


def test_a_subset_keeps_what_belongs_together(volume: Volume, images: NDArray[np.float16]) -> None:
    labels = labels_of([], [2], [1], [3])
    smaller = replace(volume.grid, shape=labels.shape)
    part = Volume(volume.probabilities[:, :5, :4], smaller)
    every = slices.fused_slices(part, labels, classifier(), images[:, :5, :4])
    found = slices.subset(every, np.array([3, 1, 1]))
    assert found.classes.tolist() == [3, 2, 2] and found.z.tolist() == [3, 1, 1]
    assert found.patients == ("P1",) * 3
    assert found.blank is not None and found.blank.sum() == 1
    np.testing.assert_array_equal(found.images, every.images[[3, 1, 1]])
    unknown = slices.subset(replace(every, blank=None), np.array([0]))
    assert unknown.blank is None


def test_resizing_keeps_the_mean(volume: Volume, images: NDArray[np.float16]) -> None:
    found = slices.fused_slices(
        volume, np.zeros(SHAPE, np.uint8), classifier(image_size=32), images
    )
    assert found.images.shape == (4, 3, 32, 32)
    plain = slices.fused_slices(volume, np.zeros(SHAPE, np.uint8), classifier(), images)
    np.testing.assert_allclose(found.images.mean(), plain.images.mean(), atol=0.01)
    assert found.images.min() >= 0
    assert found.images.max() <= 1


@pytest.mark.parametrize("wrong", ["labels", "images"])
def test_other_grids_are_refused(volume: Volume, images: NDArray[np.float16], wrong: str) -> None:
    labels = np.zeros(SHAPE, np.uint8)
    given: dict[str, Any] = {"labels": labels, "images": images}
    given[wrong] = given[wrong][..., :-1]
    with pytest.raises(MismatchError, match=f"P1: the {wrong}"):
        slices.fused_slices(volume, given["labels"], classifier(), given["images"])


def test_concatenation_keeps_order_and_refuses_other_sizes(
    volume: Volume, images: NDArray[np.float16]
) -> None:
    labels = np.zeros(SHAPE, np.uint8)
    first = slices.fused_slices(volume, labels, classifier(), images)
    other = replace(volume, grid=replace(volume.grid, patient_id="P2"))
    second = slices.fused_slices(other, labels, classifier(), images)
    both = slices.concatenate([first, second])
    assert both.patients == ("P1",) * 4 + ("P2",) * 4
    assert both.z.tolist() == [0, 1, 2, 3] * 2
    assert both.blank is not None and both.blank.sum() == 2
    np.testing.assert_array_equal(both.images[4:], second.images)
    large = slices.fused_slices(volume, labels, classifier(image_size=32), images)
    with pytest.raises(MismatchError, match="sizes"):
        slices.concatenate([first, large])
    with pytest.raises(MismatchError, match="at least one volume"):
        slices.concatenate([])


def test_the_rules_are_those_that_a_study_may_ask_for() -> None:
    assert get_args(Classifier.model_fields["label_rule"].annotation) == tuple(slices.LABEL_RULES)
