"""What is drawn for training: right slices and boxes, whole batches, classes as asked for."""

import numpy as np

from gliomalib.networks import samples
from gliomalib.schema import SliceSet
from tests.networks.toys import toy_case


def slices_of(classes: np.ndarray) -> SliceSet:
    count = len(classes)
    images = np.zeros((count, 3, 4, 4), np.float16)
    return SliceSet(images, classes, ("P1",) * count, np.arange(count))


def test_patches_are_in_the_volume_and_half_on_tumour() -> None:
    case = toy_case("P1", (30, 20, 12))
    case.labels[:] = 0
    case.labels[28, 18, 1] = 1
    boxes = samples.Boxes([case], (8, 8, 16))
    hits = 0
    for seed in range(200):
        image, target = boxes.draw(0, np.random.default_rng(seed))
        assert image.shape == (4, 8, 8, 12)
        assert target.shape == (1, 8, 8, 12)
        hits += int(target.any())
    assert 80 < hits < 125


def test_a_box_does_not_depend_on_those_before() -> None:
    cases = [toy_case("P1", (12, 10, 9)), toy_case("P2", (9, 11, 12))]
    boxes = samples.Boxes(cases, (4, 4, 4))
    for seed in range(40):
        drawn = boxes.draw(seed % 2, np.random.default_rng(seed))
        fresh = samples.Boxes(cases, (4, 4, 4)).draw(seed % 2, np.random.default_rng(seed))
        for part, expected in zip(drawn, fresh, strict=True):
            np.testing.assert_array_equal(part, expected)


def test_blank_slices_are_not_trained_on() -> None:
    assert len(samples.AxialSlices([toy_case("P1", blank=2), toy_case("P2", blank=1)])) == 9


def test_only_the_sequences_asked_for_are_drawn_in_their_order() -> None:
    case, rng = toy_case("P1", (10, 9, 6)), np.random.default_rng(0)
    image, _ = samples.AxialSlices([case], ("flair", "t1ce")).draw(2, rng)
    np.testing.assert_array_equal(image, case.images[[3, 1], ..., 2])
    for patch in (None, (4, 4, 4)):
        image, target = samples.Boxes([case], patch, ("t1ce",)).draw(0, rng)
        assert image.shape == target.shape
    whole, _ = samples.Boxes([case], None).draw(0, rng)
    np.testing.assert_array_equal(whole, case.images)


def test_batches_are_whole_and_never_single() -> None:
    for number in range(2, 40):
        for size in range(2, 9):
            found = samples.batches(np.arange(number), size)
            assert sorted(place for part in found for place in part) == list(range(number))
            assert max(map(len, found)) <= size
            assert number < 3 or min(map(len, found)) > 1 or size == 2


def test_balanced_draws_rare_classes_by_the_root_of_their_slices() -> None:
    few = slices_of(np.repeat([0, 1, 2], [300, 20, 80]))
    plain = samples.FusedImages(few).order(np.random.default_rng(1))
    assert sorted(plain.tolist()) == list(range(400))
    drawn = samples.FusedImages(few, balanced=True).order(np.random.default_rng(1))
    counts = np.bincount(few.classes[drawn], minlength=4)
    assert counts.sum() == 400
    assert counts[3] == 0
    roots = np.sqrt([300, 20, 80])
    assert (np.abs(counts[:3] - 400 * roots / roots.sum()) < 40).all()


def test_augmented_slices_are_turned_and_shifted_and_keep_their_areas() -> None:
    slices = slices_of(np.array([1]))
    slices.images[0, 0, 0, :2], slices.images[0, 1, 0, 0] = 1, 0.5
    seen = set()
    for seed in range(60):
        rng = np.random.default_rng(seed)
        plain = samples.FusedImages(slices)
        image, _ = plain.varied(plain.draw(0, rng), rng)
        assert {tuple(x) for x in np.argwhere(image[0])} <= {(0, 0), (0, 1), (3, 0), (3, 1)}
        moving = samples.FusedImages(slices, augment=True)
        image, target = moving.varied(moving.draw(0, rng), rng)
        assert target.item() == 1
        assert image.sum(axis=(1, 2)).tolist() == [2, 0.5, 0]
        assert np.argwhere(image[1])[0].tolist() in np.argwhere(image[0]).tolist()
        seen.add(tuple(np.argwhere(image[1])[0]))
    assert len(seen) > 9


def test_mirroring_keeps_image_and_target_together() -> None:
    case = toy_case("P1")
    pair = samples.AxialSlices([case]).draw(1, np.random.default_rng(0))
    seen = set()
    for seed in range(20):
        image, target = samples.mirrored(pair, np.random.default_rng(seed))
        turned = not np.array_equal(image, pair[0])
        seen.add(turned)
        step = -1 if turned else 1
        np.testing.assert_array_equal(image[:, ::step], pair[0])
        np.testing.assert_array_equal(target[:, ::step], pair[1])
    assert seen == {True, False}
