"""Brains of phantoms: like a brain, each another one, the same at every voxel size."""

import numpy as np
import pytest

from gliomalib.phantoms.anatomy import (
    CENTRE_MM,
    Bulge,
    Tissues,
    atlas_places,
    depth_mm,
    displacement,
    tissues,
)
from gliomalib.phantoms.grid import Dice, brain_frame, smooth_field

FRAME = brain_frame(4.0)


@pytest.fixture(scope="module")
def brains() -> list[Tissues]:
    return [tissues(Dice(root), FRAME) for root in range(8)]


def test_tissues_share_the_brain_and_nothing_else(brains: list[Tissues]) -> None:
    for brain in brains:
        total = brain.white + brain.grey + brain.fluid
        assert np.allclose(total[brain.brain], 1.0, atol=1e-5)
        assert not total[~brain.brain].any()


def test_volumes_are_those_of_brains(brains: list[Tissues]) -> None:
    for brain in brains:
        litres = brain.brain.sum() * FRAME.voxel_ml() / 1000.0
        assert 1.1 < litres < 2.0
        assert 0.25 < brain.white.sum() / brain.brain.sum() < 0.5
        assert 0.04 < brain.fluid.sum() / brain.brain.sum() < 0.3


def test_white_matter_lies_deeper_than_grey(brains: list[Tissues]) -> None:
    depth = depth_mm(brains[0].brain, FRAME)
    means = [(depth * part).sum() / part.sum() for part in (brains[0].white, brains[0].grey)]
    assert means[0] > means[1] + 3.0


def test_left_is_left_and_front_is_front(brains: list[Tissues]) -> None:
    """Cerebellum: the lowest grey matter lies behind the middle, and arrays run backwards."""
    _, y, z = FRAME.positions()
    low = brains[0].grey * (z < CENTRE_MM[2] - 45)
    assert (low * y).sum() / low.sum() > CENTRE_MM[1] + 5


def test_every_patient_has_another_brain(brains: list[Tissues]) -> None:
    for number, one in enumerate(brains):
        for other in brains[number + 1 :]:
            both = one.brain & other.brain
            assert np.abs(one.white - other.white)[both].mean() > 0.05
            assert (one.brain != other.brain).sum() > 0.02 * one.brain.sum()


def test_a_brain_is_the_same_on_finer_voxels(brains: list[Tissues]) -> None:
    fine = tissues(Dice(0), brain_frame(2.0))
    shape = FRAME.shape
    same = fine.brain[::2, ::2, ::2][: shape[0], : shape[1], : shape[2]]
    overlap = 2 * (same & brains[0].brain).sum() / (same.sum() + brains[0].brain.sum())
    assert overlap > 0.97


def test_a_mass_pushes_tissue_outwards_and_leaves_the_far_side(brains: list[Tissues]) -> None:
    focus = (85.0, 120.0, 85.0)
    push = Bulge(focus, 25.0, 8.0, np.ones(FRAME.shape, np.float32), FRAME)
    pushed = tissues(Dice(0), FRAME, push)
    change = np.abs(pushed.white - brains[0].white)
    distance = FRAME.distance_mm(focus)
    assert change[(distance > 10) & (distance < 40)].mean() > 0.05
    assert change[(distance > 90) & brains[0].brain].mean() < 0.005


def test_a_push_moves_tissue_by_what_it_says() -> None:
    """Watch one field as it is carried: at the radius it has moved outwards by ``push_mm``."""
    push = Bulge((120.0, 120.0, 72.0), 24.0, 6.0, np.ones(FRAME.shape, np.float32), FRAME)
    moved = displacement(push, FRAME)
    radius = FRAME.distance_mm(push.centre_mm)
    ring = np.abs(radius - 24.0) < 0.5
    assert np.sqrt((moved**2).sum(axis=0))[ring] == pytest.approx(6.0, rel=0.02)
    outwards = FRAME.positions() - np.array(push.centre_mm)[:, None, None, None]
    assert (moved * outwards).sum(axis=0).min() >= 0.0


def test_depth_is_the_distance_to_the_outside() -> None:
    inside = FRAME.distance_mm((120.0, 120.0, 76.0)) < 30.0
    depth = depth_mm(inside, FRAME)
    assert depth.max() == pytest.approx(30.0, abs=4.0)
    assert not depth[~inside].any()
    assert not depth_mm(np.zeros(FRAME.shape, bool), FRAME).any()


def test_the_deformation_is_gentle() -> None:
    """No fold: neighbours in the patient stay in order in the atlas."""
    for root in range(4):
        places = atlas_places(Dice(root), FRAME, None)
        gradients = np.stack([np.stack(np.gradient(part, 4.0)) for part in places])
        volumes = np.linalg.det(np.moveaxis(gradients, (0, 1), (-2, -1)))
        assert volumes.min() > 0.15
    assert smooth_field(Dice(0).of("deformation", 45.0, 0), FRAME, 45.0).std() > 0.3
