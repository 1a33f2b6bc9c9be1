"""Frames, and random fields that do not depend on the voxels they are looked at through."""

import numpy as np
import pytest

from gliomalib.phantoms.grid import (
    Dice,
    Frame,
    brain_box,
    brain_frame,
    scan_frame,
    smooth_field,
    spline,
)


@pytest.mark.parametrize(
    ("spacing_mm", "shape"), [(1.0, (240, 240, 155)), (2.0, (120, 120, 77)), (4.0, (60, 60, 38))]
)
def test_a_scan_has_the_field_of_view_of_brats(
    spacing_mm: float, shape: tuple[int, int, int]
) -> None:
    assert scan_frame(spacing_mm).shape == shape


@pytest.mark.parametrize("spacing_mm", [0.5, 1.0, 1.7, 2.0, 3.0, 4.0, 8.0])
def test_voxels_of_the_brain_frame_are_voxels_of_the_scan(spacing_mm: float) -> None:
    scan, brain, box = scan_frame(spacing_mm), brain_frame(spacing_mm), brain_box(spacing_mm)
    for whole, part, where in zip(scan.axes(), brain.axes(), box, strict=True):
        assert np.allclose(whole[where], part)


def test_a_spline_of_one_constant_is_that_constant_also_outside_of_its_lattice() -> None:
    lattice = Frame((5, 6, 7), (0.0, 0.0, 0.0), 10.0)
    frame = Frame((20, 20, 20), (-30.0, -30.0, -30.0), 7.0)
    assert np.allclose(spline(np.full(lattice.shape, 3.5, np.float32), lattice, frame), 3.5)


def test_a_spline_of_a_plane_is_that_plane() -> None:
    lattice = Frame((9, 9, 9), (0.0, 0.0, 0.0), 5.0)
    frame = Frame((11, 12, 13), (8.0, 8.0, 8.0), 2.0)
    plane = lambda f: np.tensordot((1.0, -2.0, 0.5), f.positions(), axes=1)  # noqa: E731
    found = spline(plane(lattice).astype(np.float32), lattice, frame)
    assert np.allclose(found, plane(frame), atol=1e-3)


def test_a_field_is_the_same_on_finer_voxels() -> None:
    coarse = smooth_field(Dice(1).of("x"), brain_frame(4.0), 12.0)
    fine = smooth_field(Dice(1).of("x"), brain_frame(2.0), 12.0)
    shape = coarse.shape
    assert np.allclose(fine[::2, ::2, ::2][: shape[0], : shape[1], : shape[2]], coarse, atol=1e-5)


def test_fields_have_mean_0_and_variance_1() -> None:
    fields = [smooth_field(Dice(n).of("x"), brain_frame(8.0), 10.0) for n in range(20)]
    assert abs(np.mean(fields)) < 0.05
    assert np.std(fields) == pytest.approx(1.0, abs=0.06)


def test_a_larger_scale_is_smoother() -> None:
    rough, smooth = (
        np.abs(np.diff(smooth_field(Dice(1).of("x"), brain_frame(4.0), scale), axis=0)).mean()
        for scale in (8.0, 32.0)
    )
    assert rough > 3 * smooth


def test_dice_fall_the_same_for_one_purpose_and_differently_for_another() -> None:
    dice = Dice(3)
    assert dice.of("a", 1).random() == dice.of("a", 1).random()
    assert dice.of("a", 1).random() != dice.of("a", 2).random()
    assert dice.of("a").random() != Dice(4).of("a").random()
