"""Gliomas of phantoms: sizes, shares and shapes like real ones."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from gliomalib.phantoms.anatomy import Tissues, tissues
from gliomalib.phantoms.grid import Dice, brain_frame
from gliomalib.phantoms.tumour import (
    COMPOSITIONS,
    ED,
    ET,
    MULTIFOCAL_SHARE,
    NCR,
    Growth,
    Traits,
    Tumour,
    draw_traits,
    grow_tumour,
    label_tumour,
)

FRAME = brain_frame(4.0)
TRAITS = Traits(
    target_ml=80.0,
    shares=(0.15, 0.6, 0.25),
    enhancing=True,
    n_foci=1,
    white_diffusivity=0.25,
    grey_diffusivity=0.03,
    rate=0.02,
    push=0.2,
)


def _made(root: int, traits: Traits) -> tuple[Growth, Tissues, Tumour]:
    growth = grow_tumour(Dice(root), traits)
    brain = tissues(Dice(root), FRAME, growth.bulge)
    return growth, brain, label_tumour(Dice(root), growth, brain, FRAME)


@pytest.fixture(scope="module")
def drawn() -> list[Traits]:
    return [draw_traits(Dice(root)) for root in range(1500)]


@pytest.fixture(scope="module")
def enhancing() -> tuple[Growth, Tissues, Tumour]:
    return _made(1, TRAITS)


def test_volumes_spread_like_those_of_brats(drawn: list[Traits]) -> None:
    volumes = np.array([traits.target_ml for traits in drawn])
    assert volumes.min() >= 15.0
    assert volumes.max() <= 215.0
    assert 80.0 < np.median(volumes) < 100.0
    assert np.percentile(volumes, 10) < 45.0
    assert np.percentile(volumes, 90) > 150.0


def test_shares_of_the_labels_are_those_of_brats(drawn: list[Traits]) -> None:
    shares = np.array([traits.shares for traits in drawn])
    assert np.allclose(shares.sum(axis=1), 1.0)
    assert shares.min() >= 0.0
    assert shares.mean(axis=0) == pytest.approx((0.20, 0.56, 0.24), abs=0.02)
    assert (shares.std(axis=0) > 0.12).all()


def test_each_class_is_the_largest_in_a_good_part_of_the_patients(drawn: list[Traits]) -> None:
    largest = np.array([np.argmax(traits.shares) for traits in drawn])
    assert 0.07 < np.mean(largest == 0) < 0.15
    assert 0.11 < np.mean(largest == 2) < 0.20


def test_shares_of_patients_are_those_asked_for(drawn: list[Traits]) -> None:
    without = np.mean([not traits.enhancing for traits in drawn])
    assert without == pytest.approx(COMPOSITIONS[-1][0], abs=0.03)
    several = np.mean([traits.n_foci > 1 for traits in drawn])
    assert several == pytest.approx(MULTIFOCAL_SHARE, abs=0.03)
    assert all((traits.shares[2] > 0) == traits.enhancing for traits in drawn)


def test_diffusion_is_five_to_ten_times_faster_in_white_matter(drawn: list[Traits]) -> None:
    ratios = [traits.white_diffusivity / traits.grey_diffusivity for traits in drawn]
    assert min(ratios) > 4.99
    assert max(ratios) < 10.01


@pytest.mark.parametrize("target_ml", [15.0, 60.0, 215.0])
def test_the_tumour_has_the_volume_asked_for(target_ml: float) -> None:
    _, _, tumour = _made(2, replace(TRAITS, target_ml=target_ml))
    found = np.count_nonzero(tumour.labels) * FRAME.voxel_ml()
    assert found == pytest.approx(target_ml, rel=0.04)


def test_labels_have_the_shares_asked_for(enhancing: tuple[Growth, Tissues, Tumour]) -> None:
    counts = np.bincount(enhancing[2].labels.ravel(), minlength=4)[1:]
    assert counts / counts.sum() == pytest.approx(TRAITS.shares, abs=0.01)


def test_no_tumour_in_fluid_or_outside(enhancing: tuple[Growth, Tissues, Tumour]) -> None:
    _, brain, tumour = enhancing
    assert not (tumour.labels[~brain.brain] > 0).any()
    assert brain.fluid[tumour.labels > 0].max() < 0.5


def test_edema_keeps_to_white_matter(enhancing: tuple[Growth, Tissues, Tumour]) -> None:
    _, brain, tumour = enhancing
    near = ndimage.binary_dilation(tumour.labels > 0, iterations=2) & brain.brain
    spared = near & (tumour.labels == 0)
    assert brain.white[tumour.labels == ED].mean() > brain.white[spared].mean() + 0.1


def test_necrosis_lies_in_the_rim_and_the_rim_in_edema(
    enhancing: tuple[Growth, Tissues, Tumour],
) -> None:
    labels = enhancing[2].labels
    around = ndimage.binary_dilation(labels == NCR) & (labels != NCR)
    assert (labels[around] == ET).mean() > 0.6
    density = enhancing[2].log_odds
    means = [density[labels == label].mean() for label in (NCR, ET, ED, 0)]
    assert min(means[:2]) > means[2] > means[3]


def test_borders_are_irregular(enhancing: tuple[Growth, Tissues, Tumour]) -> None:
    """The surface is much larger than that of a ball of the same volume."""
    whole = enhancing[2].labels > 0
    surface = sum(np.count_nonzero(np.diff(whole.astype(int), axis=axis)) for axis in range(3))
    ball = FRAME.distance_mm((120.0, 120.0, 76.0))
    inside = ball <= np.partition(ball.ravel(), whole.sum())[whole.sum()]
    round_ = sum(np.count_nonzero(np.diff(inside.astype(int), axis=axis)) for axis in range(3))
    assert surface > 1.3 * round_


def test_without_enhancement_there_is_a_core_but_no_rim() -> None:
    plain = replace(TRAITS, enhancing=False, shares=(0.3, 0.7, 0.0))
    labels = _made(3, plain)[2].labels
    assert not (labels == ET).any()
    assert np.mean(labels[labels > 0] == NCR) == pytest.approx(0.3, abs=0.02)


def test_two_foci_begin_apart_and_both_grow() -> None:
    growth, _, tumour = _made(4, replace(TRAITS, n_foci=2, target_ml=50.0))
    first, second = (np.array(focus) for focus in growth.foci_mm)
    assert np.linalg.norm(first - second) > 35.0
    for focus in growth.foci_mm:
        near = FRAME.distance_mm(focus) < 15.0
        assert (tumour.labels[near] > 0).any()


def test_foci_begin_in_white_matter_of_the_hemispheres() -> None:
    for root in range(5):
        growth = grow_tumour(Dice(root), replace(TRAITS, push=0.0, target_ml=15.0))
        healthy = tissues(Dice(root), growth.frame)
        x, _, _ = growth.foci_mm[0]
        place = np.argmin(growth.frame.distance_mm(growth.foci_mm[0]))
        assert healthy.white.ravel()[place] > 0.6
        assert abs(x - 119.0) > 12.0
