"""Scans of every orientation: no voxel moves in the patient, whatever the file's axes are."""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from gliomalib.data import nifti, orientation
from gliomalib.data.readers import survey
from gliomalib.pipeline import preprocess
from gliomalib.schema import SEQUENCES, Case, DataError, Scan
from gliomalib.settings import Preprocessing

CASE = Case("C1", "P1", "brats2020", {}, None)
LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
ALL_48 = [
    (order, flips)
    for order in itertools.permutations(range(3))
    for flips in itertools.product([0, 1], repeat=3)
]


def nested(affine: np.ndarray) -> tuple[tuple[float, ...], ...]:
    return tuple(map(tuple, np.asarray(affine).tolist()))


def scan_of(
    shape: Sequence[int] = (4, 5, 3),
    spacing: Sequence[float] = (1.0, 2.0, 3.0),
    origin: Sequence[float] = (70.0, 90.0, -60.0),
) -> Scan:
    """Return a random upright scan."""
    rng = np.random.default_rng(sum(shape))
    affine = LPS @ np.diag([*spacing, 1.0])
    affine[:3, 3] = origin
    images = rng.normal(100, 30, (4, *shape)).astype(np.float32)
    mask = rng.integers(0, 4, shape).astype(np.uint8)
    return Scan(CASE, images, mask, tuple(spacing), nested(affine))


def stored_as(scan: Scan, order: Sequence[int], flips: Sequence[int]) -> Scan:
    """Return the same scan with its axes in another order, some of them reversed."""
    flipped = [axis for axis, flip in enumerate(flips) if flip]
    step = np.zeros((4, 4))
    step[3, 3] = 1
    for axis, (old, flip) in enumerate(zip(order, flips, strict=True)):
        step[old, axis] = -1 if flip else 1
        step[old, 3] = flip * (scan.shape[old] - 1)

    def turned(volume: np.ndarray) -> np.ndarray:
        return np.flip(volume.transpose(order), flipped)

    return replace(
        scan,
        images=np.stack([turned(volume) for volume in scan.images]),
        labels=None if scan.labels is None else turned(scan.labels),
        spacing_mm=tuple(scan.spacing_mm[old] for old in order),
        affine=nested(np.asarray(scan.affine) @ step),
    )


def world_of(scan: Scan) -> np.ndarray:
    """Return where each voxel lies in mm, (X, Y, Z, 3)."""
    indices = np.stack(np.indices(scan.shape), axis=-1)
    return nib.affines.apply_affine(np.asarray(scan.affine), indices)


def by_place(scan: Scan) -> dict[tuple[float, ...], tuple[float, ...]]:
    """Return the place of every voxel with all that is said of it, spelled out."""
    found = {}
    places = world_of(scan)
    for index in np.ndindex(scan.shape):
        values = [float(volume[index]) for volume in scan.images]
        label = None if scan.labels is None else int(scan.labels[index])
        found[tuple(np.round(places[index], 4).tolist())] = (*values, label)
    return found


def assert_same(one: Scan, other: Scan) -> None:
    assert np.array_equal(one.images, other.images)
    assert one.labels is not None and other.labels is not None
    assert (one.labels == other.labels).all()
    assert one.spacing_mm == other.spacing_mm
    assert one.affine == other.affine


@pytest.mark.parametrize(("order", "flips"), ALL_48)
def test_every_way_to_store_a_scan_gives_the_same_bits(
    order: Sequence[int], flips: Sequence[int]
) -> None:
    scan = scan_of()
    other = stored_as(scan, order, flips)
    assert_same(orientation.upright(other), scan)


@given(
    st.permutations(range(3)),
    st.tuples(*[st.booleans()] * 3),
    st.tuples(*[st.integers(1, 4)] * 3),
    st.tuples(*[st.floats(0.3, 6)] * 3),
    st.tuples(*[st.floats(-200, 200)] * 3),
    st.booleans(),
)
def test_no_voxel_moves_and_none_is_lost(
    order: Sequence[int],
    flips: Sequence[bool],
    shape: Sequence[int],
    spacing: Sequence[float],
    origin: Sequence[float],
    masked: bool,
) -> None:
    scan = scan_of(shape, spacing, origin)
    scan = scan if masked else replace(scan, labels=None)
    other = stored_as(scan, order, [int(flip) for flip in flips])
    found = orientation.upright(other)
    assert nib.aff2axcodes(np.asarray(found.affine)) == ("L", "P", "S")
    assert by_place(found) == by_place(other) == by_place(scan)


def rotated(scan: Scan, degrees: float, axis: Sequence[float] = (0, 0, 1)) -> Scan:
    """Return a scan whose affine is turned around the origin; the voxels stay."""
    turn = np.eye(4)
    turn[:3, :3] = Rotation.from_rotvec(np.radians(degrees) * np.asarray(axis)).as_matrix()
    return replace(scan, affine=nested(turn @ np.asarray(scan.affine)))


def sheared(scan: Scan, strength: float) -> Scan:
    step = np.eye(4)
    step[0, 2] = strength
    affine = np.asarray(scan.affine) @ step
    spacing = tuple(np.linalg.norm(affine[:3, :3], axis=0).tolist())
    return replace(scan, affine=nested(affine), spacing_mm=spacing)


def ball(spacing: Sequence[float] = (1.0, 1.0, 1.0)) -> Scan:
    """Return a scan with a smooth bright ball off its centre, labelled where it is brightest."""
    shape = tuple(round(40 / size) for size in spacing)
    scan = scan_of(shape, spacing)
    centre = np.add(world_of(scan).mean((0, 1, 2)), [6, -4, 5])
    away = np.linalg.norm(world_of(scan) - centre, axis=-1)
    bright = np.clip(12 - away, 0, None).astype(np.float32)
    return replace(scan, images=np.stack([bright] * 4), labels=(bright > 6).astype(np.uint8) * 3)


@pytest.mark.parametrize("lean", [0, 20])
def test_a_mask_alone_is_turned_as_with_its_images(lean: float) -> None:
    whole = stored_as(rotated(ball(), lean), (2, 0, 1), (1, 0, 1))
    turned, alone = (orientation.upright(replace(whole, images=whole.images[:n])) for n in (4, 0))
    assert turned.labels is not None and alone.labels is not None
    assert (alone.labels == turned.labels).all() and alone.affine == turned.affine
    assert alone.shape == turned.shape and not len(alone.images)


def centroid(weights: np.ndarray, scan: Scan) -> np.ndarray:
    return np.average(world_of(scan).reshape(-1, 3), axis=0, weights=weights.ravel())


def volume(scan: Scan) -> float:
    assert scan.labels is not None
    return float(abs(np.linalg.det(np.asarray(scan.affine))) * (scan.labels > 0).sum())


OBLIQUE = {
    "10 degrees around z": lambda scan: rotated(scan, 10),
    "10 degrees around an oblique axis": lambda scan: rotated(scan, 10, (0.6, 0.0, 0.8)),
    "75 degrees": lambda scan: rotated(scan, 75, (0.0, 0.6, 0.8)),
    "sheared": lambda scan: sheared(scan, 0.3),
    "stored otherwise": lambda scan: stored_as(rotated(scan, 10), (2, 0, 1), (1, 0, 1)),
}


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.8, 1.0, 2.5)])
@pytest.mark.parametrize("kind", OBLIQUE)
def test_an_oblique_scan_keeps_its_places(kind: str, spacing: Sequence[float]) -> None:
    scan = OBLIQUE[kind](ball(spacing))
    found = orientation.upright(scan)
    affine = np.asarray(found.affine)
    assert (affine[:3, :3] == np.diag([-1, -1, 1] * np.asarray(found.spacing_mm))).all()
    assert sorted(found.spacing_mm) == sorted(scan.spacing_mm)
    assert np.allclose(world_of(found).mean((0, 1, 2)), world_of(scan).mean((0, 1, 2)))
    assert scan.labels is not None and found.labels is not None
    before, after = centroid(scan.images[0], scan), centroid(found.images[0], found)
    assert np.abs(before - after).max() < 0.05
    before, after = centroid(scan.labels, scan), centroid(found.labels, found)
    assert np.abs(before - after).max() < max(spacing) / 4
    assert set(np.unique(found.labels)) == {0, 3}
    assert volume(found) == pytest.approx(volume(scan), rel=0.03)


@pytest.mark.parametrize("kind", OBLIQUE)
def test_the_upright_grid_covers_every_voxel(kind: str) -> None:
    scan = OBLIQUE[kind](scan_of((7, 5, 6)))
    found = orientation.upright(scan)
    back = nib.affines.apply_affine(np.linalg.inv(np.asarray(found.affine)), world_of(scan))
    assert (back > -0.01).all()
    assert (back < np.asarray(found.shape) - 1 + 0.01).all()
    # and it is no larger than it must be
    assert (back.min((0, 1, 2)) < 0.51).all()
    assert (back.max((0, 1, 2)) > np.asarray(found.shape) - 1 - 0.51).all()


def test_interpolation_is_linear_and_0_outside() -> None:
    scan = scan_of((20, 20, 20), (1.0, 1.0, 1.0))
    scan = rotated(scan, 10, (0.6, 0.0, 0.8))
    # linear interpolation gives back a function that is linear in space, wherever it has voxels
    height = (world_of(scan) @ [0.3, -0.5, 0.8] + 500).astype(np.float32)
    found = orientation.upright(replace(scan, images=np.stack([height] * 4)))
    expected = world_of(found) @ [0.3, -0.5, 0.8] + 500
    index = nib.affines.apply_affine(np.linalg.inv(np.asarray(scan.affine)), world_of(found))
    inside = ((index >= 0) & (index <= 19)).all(axis=-1)
    outside = ((index <= -1) | (index >= 20)).any(axis=-1)
    assert inside.sum() > 5000 and outside.sum() > 500
    assert np.abs(found.images[0] - expected)[inside].max() < 1e-3
    assert not np.stack(found.images)[:, outside].any()
    assert found.labels is not None and not found.labels[outside].any()


def test_labels_are_those_of_the_nearest_voxel() -> None:
    scan = rotated(scan_of((9, 8, 7)), 10, (0.6, 0.0, 0.8))
    found = orientation.upright(scan)
    index = nib.affines.apply_affine(np.linalg.inv(np.asarray(scan.affine)), world_of(found))
    nearest = np.round(index).astype(int)
    assert scan.labels is not None and found.labels is not None
    for place in np.ndindex(found.labels.shape):
        off = np.abs(index[place] - nearest[place]).max()
        inside = all(0 <= i < n for i, n in zip(nearest[place], scan.labels.shape, strict=True))
        if off < 0.499:
            expected = scan.labels[tuple(nearest[place])] if inside else 0
            assert found.labels[place] == expected


def test_slices_of_an_axis_that_is_not_turned_stay_whole() -> None:
    scan = scan_of((20, 20, 6), (1.0, 1.0, 3.0), (70.0, 90.0, 0.1))
    flat = np.broadcast_to(np.arange(1, 7, dtype=np.float32), (20, 20, 6))
    found = orientation.upright(rotated(replace(scan, images=np.stack([flat] * 4)), 10))
    assert found.shape[2] == 6
    middle = [int(n / 2) for n in found.shape[:2]]
    assert np.allclose(found.images[0][middle[0], middle[1]], range(1, 7))


@pytest.mark.parametrize(("lean", "exact"), [(0.0009, True), (0.0011, False)])
def test_a_lean_of_a_thousandth_is_still_aligned(lean: float, exact: bool) -> None:
    scan = scan_of()
    affine = np.asarray(scan.affine).copy()
    affine[0, 2] = lean * scan.spacing_mm[2]
    found = orientation.upright(replace(scan, affine=nested(affine)))
    assert (found.images is scan.images) == exact
    assert (found.affine == nested(affine)) == exact


def test_an_affine_without_a_volume_is_refused() -> None:
    affine = np.asarray(scan_of().affine).copy()
    affine[:3, 1] = affine[:3, 0] * 2
    with pytest.raises(DataError, match=r"case C1: affine is .* not span a volume") as caught:
        orientation.upright(replace(scan_of(), affine=nested(affine)))
    assert caught.value.kind == "singular affine"


# --- on to the study's grid


SPACINGS = (
    *((0.5, 0.5, 0.5), (1.0, 1.0, 1.0), (3.0, 3.0, 3.0)),
    *((0.9, 0.9, 3.0), (1.0, 1.0, 3.0), (1.2, 0.7, 2.0)),
)
STORED = ("LPS", "RAS", "LAS", "RPI", "SAL", "PIR", "IRP", "ASL")
"""Axes of files, among them those that scanners write for sagittal and coronal slices."""


def cube(spacing: Sequence[float], extent: Sequence[float]) -> Scan:
    """Return an upright scan around the origin with a bright cube off its centre.

    The cube is 15 mm wide where it is half as bright as in its middle; there its labels end.
    """
    shape = [round(size / step) for size, step in zip(extent, spacing, strict=True)]
    affine = LPS @ np.diag([*spacing, 1.0])
    affine[:3, 3] = -affine[:3, :3] @ (np.array(shape) - 1) / 2
    scan = scan_of(shape, spacing, affine[:3, 3].tolist())
    away = np.abs(world_of(scan) - [9, -6, 7]).max(axis=-1)
    bright = (900 * np.clip((10.5 - away) / 6, 0, 1)).astype(np.float32)
    return replace(scan, images=np.stack([bright] * 4), labels=(away < 7.5).astype(np.uint8) * 3)


def with_axes(scan: Scan, axes: str) -> Scan:
    """Return the scan as a file with these axes holds it."""
    pairs = ("LR", "PA", "SI")
    order = [next(i for i, pair in enumerate(pairs) if axis in pair) for axis in axes]
    flips = [pairs[i].index(axis) for i, axis in zip(order, axes, strict=True)]
    found = stored_as(scan, order, flips)
    assert "".join(nib.aff2axcodes(np.asarray(found.affine))) == axes
    return found


def check_landmark(scan: Scan, plan: Preprocessing, tolerance: float) -> None:
    """Assert that the cube lies in the store where it lies in the file."""
    stored, facts = preprocess.prepare(orientation.upright(scan), plan)
    there = Scan(CASE, stored.images, stored.labels, stored.grid.spacing_mm, stored.grid.affine)
    assert there.spacing_mm == (plan.spacing_mm,) * 3
    assert np.allclose(np.asarray(there.affine)[:3, :3], LPS[:3, :3] * plan.spacing_mm, atol=1e-9)
    assert scan.labels is not None
    expected = centroid(scan.images[0], scan)
    bright = stored.images[0].astype(float)
    assert np.abs(centroid(bright, there) - expected).max() < tolerance
    # labels are whole voxels, of the scan and of the store
    whole = max(*scan.spacing_mm, plan.spacing_mm) / 2
    expected = centroid(scan.labels, scan)
    assert np.abs(centroid(stored.labels, there) - expected).max() < whole
    assert facts.lost_by_box == 0


@pytest.mark.parametrize("target", [1.0, 2.0])
@pytest.mark.parametrize("spacing", SPACINGS)
def test_a_landmark_stays_in_its_place(spacing: Sequence[float], target: float) -> None:
    plan = Preprocessing(crop_mm=(56, 48), depth_mm=40, spacing_mm=target)
    # one scan larger than the box along every axis, and one that is smaller
    extents = [(44.0, 41.0, 39.0), (62.0, 64.0, 50.0)][: 1 if max(spacing) < 1 else 2]
    for extent in extents:
        check_landmark(cube(spacing, extent), plan, 0.15)


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.9, 0.9, 3.0), (1.2, 0.7, 2.0)])
@pytest.mark.parametrize("axes", STORED)
def test_a_landmark_stays_in_its_place_however_it_is_stored(
    axes: str, spacing: Sequence[float]
) -> None:
    plan = Preprocessing(crop_mm=(56, 48), depth_mm=40)
    scan = with_axes(cube(spacing, (62.0, 64.0, 50.0)), axes)
    check_landmark(scan, plan, 0.15)
    check_landmark(rotated(scan, 10, (0.6, 0.0, 0.8)), plan, 0.15)


# --- from files


def write_case(folder: Path, scan: Scan) -> Case:
    folder.mkdir()
    files = {name: folder / f"{name}.nii.gz" for name in (*SEQUENCES, "seg")}
    raw = np.array([0, 1, 2, 4], np.uint8)[scan.labels]
    for path, values in zip(files.values(), [*scan.images, raw], strict=True):
        nib.save(nib.Nifti1Image(values, np.asarray(scan.affine)), path)
    return Case("C1", "P1", "brats2020", {name: files[name] for name in SEQUENCES}, files["seg"])


def test_files_of_one_scan_are_read_alike(tmp_path: Path) -> None:
    scan = scan_of()
    expected = orientation.read(write_case(tmp_path / "lps", scan))
    assert np.array_equal(expected.images, scan.images)
    for name, order, flips in (("ras", (0, 1, 2), (1, 1, 0)), ("slp", (2, 0, 1), (0, 1, 0))):
        found = orientation.read(write_case(tmp_path / name, stored_as(scan, order, flips)))
        assert_same(found, expected)


def test_real_patients_are_not_touched(real_data: Path) -> None:
    for case in survey.discover(real_data)[::4]:
        scan = nifti.read_case(case)
        assert orientation.upright(scan) is scan
