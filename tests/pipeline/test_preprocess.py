"""Min-max, central box, voxel size, what the crop loses, and a store that is never stale."""

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gliomalib import labels, provenance
from gliomalib.data import inspection, nifti, orientation
from gliomalib.data.readers import survey
from gliomalib.pipeline import preprocess
from gliomalib.pipeline.store import Store
from gliomalib.schema import SEQUENCES, Case, DataError, MismatchError, Scan
from gliomalib.settings import Preprocessing

LPS = ((-1.0, 0.0, 0.0, 0.0), (0.0, -1.0, 0.0, 239.0), (0.0, 0.0, 1.0, 0.0), (0.0, 0.0, 0.0, 1.0))
REAL_COUNTS = {
    "Brats18_2013_2_1": [4514, 34894, 21677],
    "Brats18_TCIA05_396_1": [9487, 135912, 16998],
    "BraTS19_CBICA_ASK_1": [1588, 75783, 6047],
    "BraTS19_CBICA_BHQ_1": [2063, 10911, 3611],
    "BraTS20_Training_001": [15443, 168794, 27742],
    "BraTS2021_00000": [11738, 12836, 32731],
    "BraTS2021_00002": [11248, 155695, 23651],
    "BraTS2021_00003": [17214, 57773, 24252],
    "BraTS2021_00014": [2, 35799, 2557],
    "BraTS2021_00024": [245, 95526, 5680],
}


def scan_of(shape: tuple[int, int, int], spacing: float = 1.0, seed: int = 0) -> Scan:
    """Return a random scan with every label; the affine has the voxel size of the scan."""
    rng = np.random.default_rng(seed)
    step = np.diag([spacing, spacing, spacing, 1.0])
    affine = tuple(map(tuple, (np.asarray(LPS) @ step).tolist()))
    case = Case("C1", "P1", "brats2020", {}, None)
    images = rng.normal(100, 30, (4, *shape)).astype(np.float32)
    mask = rng.integers(0, 4, shape).astype(np.uint8)
    return Scan(case, images, mask, (spacing,) * 3, affine)


def settings(**given: object) -> Preprocessing:
    return Preprocessing.model_validate({"spacing_mm": 1.0, **given})


@pytest.mark.parametrize(
    ("given", "shape"),
    [
        ({"spacing_mm": 1.0}, (128, 128, 128)),
        ({"spacing_mm": 2.0}, (64, 64, 64)),
        ({"spacing_mm": 1.0, "depth_mm": None}, (128, 128, 155)),
        ({"spacing_mm": 2.0, "depth_mm": None}, (64, 64, 78)),
        ({"spacing_mm": 4.0, "crop_mm": (96, 64)}, (24, 16, 32)),
        ({"spacing_mm": 1.5, "crop_mm": (120, 120), "depth_mm": 150}, (80, 80, 100)),
    ],
)
def test_shapes_of_a_brats_scan(given: dict[str, object], shape: tuple[int, ...]) -> None:
    scan = Scan(
        Case("C1", "P1", "brats2020", {}, None),
        np.broadcast_to(np.arange(155, dtype=np.float32), (4, 240, 240, 155)),
        np.zeros((240, 240, 155), np.uint8),
        (1.0, 1.0, 1.0),
        LPS,
    )
    stored, _ = preprocess.prepare(scan, settings(**given))
    assert stored.grid.shape == shape
    assert stored.images.shape == (4, *shape)
    assert stored.labels.shape == shape
    assert stored.images.dtype == np.float16


def scaled(scan: Scan) -> np.ndarray:
    """Return a scan (4, X, Y, Z) in single precision, each volume from 0 to 1."""
    images = np.array([image.astype(np.float32) for image in scan.images])
    low = images.min(axis=(1, 2, 3), keepdims=True)
    return (images - low) / (images.max(axis=(1, 2, 3), keepdims=True) - low)


def plainly(scan: Scan, plan: Preprocessing, factor: int) -> tuple[np.ndarray, np.ndarray]:
    """Return images and labels of a store as they are defined: all is scaled, padded, cropped."""
    assert scan.labels is not None
    whole = np.concatenate([scaled(scan), scan.labels[None]]).astype(np.float32)
    extents = [
        round(extent / factor) * factor if extent else math.ceil(n / factor) * factor
        for extent, n in zip((*(plan.crop_mm or (0, 0)), plan.depth_mm), scan.shape, strict=True)
    ]
    wide = np.pad(whole, [(0, 0), *[(99, 99)] * 3])
    starts = [99 + (n - size) // 2 for n, size in zip(scan.shape, extents, strict=True)]
    box = tuple(slice(a, a + size) for a, size in zip(starts, extents, strict=True))
    *images, mask = (np.ascontiguousarray(volume[box]) for volume in wide)
    if factor == 1:
        return np.array(images).astype(np.float16), mask.astype(np.uint8)
    shape = [n for size in extents for n in (size // factor, factor)]
    means = [image.reshape(shape).mean(axis=(1, 3, 5)) for image in images]
    voted = np.zeros(shape[::2], np.uint8)
    for place in np.ndindex(*shape[::2]):
        block = tuple(slice(i * factor, (i + 1) * factor) for i in place)
        voted[place] = _vote(mask[block])
    return np.array(means).astype(np.float16), voted


@st.composite
def stored_scans(draw: st.DrawFn) -> Scan:
    """Return a scan of a type that files have, as a reader lays it into memory."""
    dtype = draw(st.sampled_from(["u1", "<i2", ">i2", "<u2", "<i4", "<f4", "<f8"]))
    shape = draw(st.tuples(*[st.integers(2, 7)] * 3))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    least = 0 if dtype[-2] == "u" else -500
    values = rng.integers(least, 250 if dtype == "u1" else 30_000, (4, *shape)) / 1
    values += rng.random(values.shape) * (dtype[-2] == "f")
    # files have the first axis fastest; turned ones are views that run backwards
    order = draw(st.sampled_from([(slice(None),) * 3, (slice(None, None, -1),) * 3]))
    images = tuple(np.asfortranarray(image.astype(dtype))[order] for image in values)
    scan = scan_of(shape)
    assert scan.labels is not None
    return replace(scan, images=images, labels=np.asfortranarray(scan.labels)[order])


@given(
    stored_scans(),
    st.one_of(st.none(), st.tuples(*[st.integers(1, 9)] * 2)),
    st.one_of(st.none(), st.integers(1, 9)),
    st.sampled_from([1, 2]),
)
def test_the_store_is_the_scaled_scan_cropped_to_the_bit(
    scan: Scan, crop: tuple[int, int] | None, depth: int | None, factor: int
) -> None:
    extents = [side and side * factor for side in (*(crop or (None, None)), depth)]
    crop_mm = None if crop is None else (extents[0], extents[1])
    plan = settings(crop_mm=crop_mm, depth_mm=extents[2], spacing_mm=factor)
    images, mask = plainly(scan, plan, factor)
    stored, facts = preprocess.prepare(scan, plan)
    assert stored.images.dtype == np.float16
    np.testing.assert_array_equal(stored.images.view(np.uint16), images.view(np.uint16))
    np.testing.assert_array_equal(stored.labels, mask)
    assert scan.labels is not None
    assert facts.voxels == tuple(np.bincount(scan.labels.ravel(), minlength=4))


@pytest.mark.parametrize("place", range(4))
def test_a_volume_of_one_value_is_refused(place: int) -> None:
    scan = scan_of((5, 4, 3))
    scan.images[place] = -7.5
    message = f"case C1: {SEQUENCES[place]} is -7.5 in every voxel, so min-max has no range; fetch"
    with pytest.raises(DataError, match=message):
        preprocess.prepare(scan, settings())


def test_minmax_is_over_the_whole_scan_before_the_crop() -> None:
    scan = scan_of((12, 12, 12))
    scan.images[:, 0, 0, 0] = 1000.0
    scan.images[:, -1, -1, -1] = -1000.0
    stored, _ = preprocess.prepare(scan, settings(crop_mm=(4, 4), depth_mm=4))
    expected = (scan.images[:, 4:8, 4:8, 4:8] + 1000) / 2000
    assert np.allclose(stored.images, expected, atol=1e-3)


def test_same_spacing_leaves_the_central_voxels_unchanged() -> None:
    scan = scan_of((11, 10, 7))
    stored, _ = preprocess.prepare(scan, settings(crop_mm=(6, 4), depth_mm=None))
    assert stored.grid.crop_start == (2, 3, 0)
    assert scan.labels is not None
    assert (stored.labels == scan.labels[2:8, 3:7, :]).all()
    assert stored.grid.spacing_mm == (1.0, 1.0, 1.0)
    first = np.asarray(scan.affine) @ [2, 3, 0, 1]
    assert np.asarray(stored.grid.affine)[:, 3].tolist() == first.tolist()


def test_the_kept_box_is_what_the_store_holds() -> None:
    scan = scan_of((11, 10, 4))
    plan = settings(crop_mm=(6, 4), depth_mm=6)
    assert preprocess.kept_box(scan, plan) == (slice(2, 8), slice(3, 7), slice(0, 4))
    _, facts = preprocess.prepare(scan, plan)
    assert sum(facts.in_box) == 6 * 4 * 4


def test_a_small_scan_is_padded_with_0() -> None:
    scan = scan_of((4, 6, 5))
    stored, facts = preprocess.prepare(scan, settings(crop_mm=(8, 6), depth_mm=8))
    assert stored.grid.crop_start == (-2, 0, -2)
    inside = np.zeros((8, 6, 8), bool)
    inside[2:6, :, 2:7] = True
    assert (stored.labels[inside].reshape(4, 6, 5) == scan.labels).all()
    assert not stored.labels[~inside].any()
    assert not stored.images[:, ~inside].any()
    assert facts.voxels == facts.in_plane == facts.in_box
    assert (facts.lost_by_box, facts.dice_ceiling) == (0.0, 1.0)


def _vote(block: np.ndarray) -> int:
    counts = {label: int((block == label).sum()) for label in range(4)}
    most = max(counts.values())
    return next(label for label in preprocess.TIE_ORDER if counts[label] == most)


@pytest.mark.parametrize("factor", [2, 3])
def test_whole_factor_is_block_mean_and_majority(factor: int) -> None:
    scan = scan_of((12, 18, 6), seed=factor)
    plan = settings(crop_mm=(6, 12), depth_mm=6, spacing_mm=factor)
    stored, _ = preprocess.prepare(scan, plan)
    assert scan.labels is not None
    cropped = scaled(scan)[:, 3:9, 3:15, :]
    mask = scan.labels[3:9, 3:15, :]
    for index in np.ndindex(stored.grid.shape):
        block = tuple(slice(i * factor, (i + 1) * factor) for i in index)
        assert stored.labels[index] == _vote(mask[block])
        mean = cropped[(slice(None), *block)].mean(axis=(1, 2, 3))
        assert np.allclose(stored.images[(slice(None), *index)], mean, atol=1e-3)


@pytest.mark.parametrize(
    ("block", "winner"),
    [([0, 0, 0, 0, 2, 2, 2, 2], 2), ([2, 2, 2, 3, 3, 3, 0, 0], 3), ([1, 1, 3, 3, 2, 2, 0, 0], 1)],
)
def test_ties_go_to_the_rarer_label(block: list[int], winner: int) -> None:
    scan = scan_of((2, 2, 2))
    tied = replace(scan, labels=np.array(block, np.uint8).reshape(2, 2, 2))
    plan = settings(crop_mm=(2, 2), depth_mm=2, spacing_mm=2)
    assert preprocess.prepare(tied, plan)[0].labels.item() == winner


@pytest.mark.parametrize("target", [0.8, 1.5, 2.5])
def test_other_factors_keep_positions_and_intensities(target: float) -> None:
    scan = scan_of((40, 40, 40))
    ramp = np.broadcast_to(np.arange(40, dtype=np.float32)[:, None, None], (40, 40, 40))
    scan = replace(scan, images=np.stack([ramp, ramp, ramp, ramp]), labels=(ramp > 20).astype("u1"))
    plan = settings(crop_mm=(30, 30), depth_mm=30, spacing_mm=target)
    stored, _ = preprocess.prepare(scan, plan)
    assert stored.grid.shape == (round(30 / target),) * 3
    assert stored.grid.spacing_mm == (target,) * 3
    # the scan's first axis runs along -x, one voxel a millimetre: voxel i lies at x = -i
    voxels = np.arange(stored.grid.shape[0])
    x = np.asarray(stored.grid.affine)[0, 0] * voxels + stored.grid.affine[0][3]
    middle = stored.images[0, 1:-1, 5, 5].astype(float) * 39
    assert np.allclose(middle, -x[1:-1], atol=0.03)
    assert set(np.unique(stored.labels)) == {0, 1}
    assert (stored.labels[1:-1, 5, 5] == (np.round(-x[1:-1]) > 20)).mean() > 0.9


@pytest.mark.parametrize("spacing", [1.0, 2.0, 1.6])
def test_box_and_scan_share_their_centre(spacing: float) -> None:
    scan = scan_of((40, 44, 30))
    plan = settings(crop_mm=(32, 32), depth_mm=16, spacing_mm=spacing)
    grid = preprocess.prepare(scan, plan)[0].grid
    centre = np.asarray(grid.affine) @ [*((np.array(grid.shape) - 1) / 2), 1]
    expected = np.asarray(scan.affine) @ [19.5, 21.5, 14.5, 1]
    assert np.allclose(centre, expected)


def test_a_scan_of_2_mm_meets_a_grid_of_2_mm_unchanged() -> None:
    scan = scan_of((120, 120, 78), spacing=2.0)
    stored, facts = preprocess.prepare(scan, Preprocessing())
    assert stored.grid.shape == (64, 64, 64)
    assert scan.labels is not None
    assert (stored.labels == scan.labels[28:92, 28:92, 7:71]).all()
    assert facts.voxel_mm3 == 8.0


@pytest.mark.parametrize(("off", "same"), [(1.0, True), (1.0004, True), (1.01, False)])
def test_a_scan_on_the_grid_of_the_study_is_not_resampled(
    tmp_path: Path, off: float, same: bool
) -> None:
    """Anisotropic files come through to the bit; one percent of another voxel size does not."""
    rng, side = np.random.default_rng(3), (239 / 127, 239 / 127, 154 / 127)
    folder = tmp_path / "BraTS20_Training_001"
    folder.mkdir()
    affine = np.diag([-side[0], -side[1], side[2] * off, 1.0])
    images = rng.integers(0, 256, (4, 9, 8, 100), dtype=np.uint8)
    raw = rng.choice(np.array([0, 1, 2, 4], np.uint8), images.shape[1:])
    for name, values in zip((*SEQUENCES, "seg"), (*images, raw), strict=True):
        nib.save(nib.Nifti1Image(values, affine), folder / f"{folder.name}_{name}.nii.gz")
    plan = settings(spacing_mm=[1.88189, 1.88189, 1.2126], crop_mm=None, depth_mm=None)
    scan = orientation.read(survey.discover(tmp_path)[0])
    stored, facts = preprocess.prepare(scan, plan)
    assert stored.grid.spacing_mm == (1.88189, 1.88189, 1.2126)
    assert facts.voxels == facts.in_box
    assert (stored.grid.shape == raw.shape) == same
    if same:
        assert (stored.labels == np.where(raw == 4, 3, raw)).all()
        assert (stored.images == scaled(scan).astype("f2")).all()


def test_crop_facts_are_counted_on_the_raw_scan() -> None:
    scan = scan_of((10, 10, 10))
    mask = np.zeros((10, 10, 10), np.uint8)
    mask[5, 5, 5], mask[5, 5, 0], mask[0, 5, 5], mask[5, 4, 5] = 3, 2, 1, 2
    plan = settings(crop_mm=(4, 4), depth_mm=4, spacing_mm=2)
    _, facts = preprocess.prepare(replace(scan, labels=mask), plan)
    assert facts.voxels == (996, 1, 2, 1)
    assert facts.in_plane == (157, 0, 2, 1)
    assert facts.in_box == (62, 0, 1, 1)
    assert facts.lost_in_plane == 0.25
    assert facts.lost_by_box == 0.5
    assert facts.dice_ceiling == pytest.approx(2 * 2 / (2 + 4))


@given(hnp.arrays(np.uint8, (6, 6, 6), elements=st.integers(0, 3)))
def test_the_ceiling_is_the_dice_of_the_cropped_truth(mask: np.ndarray) -> None:
    plan = settings(crop_mm=(4, 2), depth_mm=4)
    _, facts = preprocess.prepare(replace(scan_of((6, 6, 6)), labels=mask), plan)
    tumour = mask > 0
    kept = np.zeros_like(tumour)
    kept[1:5, 2:4, 1:5] = tumour[1:5, 2:4, 1:5]
    if not tumour.any():
        assert math.isnan(facts.dice_ceiling)
        assert math.isnan(facts.lost_by_box)
        return
    assert facts.dice_ceiling == pytest.approx(
        2 * (kept & tumour).sum() / (kept.sum() + tumour.sum())
    )
    assert 0 <= facts.lost_in_plane <= facts.lost_by_box <= 1


@pytest.mark.parametrize("spacing", [1.0, 2.0, 1.6])
def test_a_case_without_mask_is_prepared_as_one_with_mask(spacing: float) -> None:
    scan = scan_of((20, 22, 18))
    plan = settings(crop_mm=(16, 24), depth_mm=16, spacing_mm=spacing)
    stored, _ = preprocess.prepare(scan, plan)
    images, grid = preprocess.prepare_images(replace(scan, labels=None), plan)
    assert grid == stored.grid
    assert images.dtype == np.float16
    assert (images == stored.images).all()


def test_what_cannot_be_prepared_is_named() -> None:
    scan = scan_of((6, 6, 6))
    with pytest.raises(DataError, match="case C1 has no mask"):
        preprocess.prepare(replace(scan, labels=None), settings())
    scan.images[2] = 5
    for way in (preprocess.prepare, preprocess.prepare_images):
        with pytest.raises(DataError, match="case C1: t2 is 5 in every voxel"):
            way(scan, settings())


SMALL = Preprocessing(crop_mm=(4, 4), depth_mm=4, spacing_mm=1.0)


def write_cases(root: Path, numbers: Iterator[int] | range) -> list[Case]:
    for number in numbers:
        folder = root / f"BraTS20_Training_{number:03d}"
        folder.mkdir(parents=True)
        scan = scan_of((6, 6, 5), seed=number)
        affine = np.asarray(scan.affine)
        for name, image in zip(SEQUENCES, scan.images, strict=True):
            nib.save(nib.Nifti1Image(image, affine), folder / f"{folder.name}_{name}.nii.gz")
        assert scan.labels is not None
        raw = labels.to_raw(scan.labels, "brats2020")
        nib.save(nib.Nifti1Image(raw, affine), folder / f"{folder.name}_seg.nii.gz")
    return survey.discover(root)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return preprocess.open_store(tmp_path / "store", SMALL)


def test_fill_gives_one_row_a_case(tmp_path: Path, store: Store) -> None:
    cases = write_cases(tmp_path / "raw", range(1, 4))
    table = preprocess.fill(store, cases, SMALL)
    assert table["case_id"].tolist() == [case.case_id for case in cases]
    assert store.patients() == [case.patient_id for case in cases]
    for case, row in zip(cases, table.to_dict("records"), strict=True):
        scan = orientation.read(case)
        assert scan.labels is not None
        counts = np.bincount(scan.labels.ravel(), minlength=4)
        assert [row[f"voxels_{k}"] for k in (1, 2, 3)] == counts[1:].tolist()
        assert row["voxels_tumour"] == row["mm3_tumour"] == counts[1:].sum()
        facts = preprocess.crop_facts(store, case.patient_id)
        assert row["dice_ceiling"] == facts.dice_ceiling < 1
        assert (
            store.get(case.patient_id).images == preprocess.prepare(scan, SMALL)[0].images
        ).all()


def test_fill_by_several_is_the_same(tmp_path: Path, store: Store) -> None:
    cases = write_cases(tmp_path / "raw", range(1, 3))
    parallel = preprocess.fill(store, cases, SMALL, workers=2)
    digest = store.digest(store.patients())
    again = Store(tmp_path / "other", store.key)
    pd.testing.assert_frame_equal(parallel, preprocess.fill(again, cases, SMALL))
    assert again.digest(again.patients()) == digest


def test_only_what_is_stale_is_made_again(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    cases = write_cases(tmp_path / "raw", range(1, 4))
    first = preprocess.fill(store, cases, SMALL)
    made: list[str] = []
    prepare = preprocess.prepare

    def counting(scan: Scan, plan: Preprocessing) -> object:
        made.append(scan.case.case_id)
        return prepare(scan, plan)

    monkeypatch.setattr(preprocess, "prepare", counting)
    pd.testing.assert_frame_equal(preprocess.fill(store, cases, SMALL), first)
    assert made == []
    cases[1].images["t1"].write_bytes(cases[0].images["t1"].read_bytes())
    preprocess.fill(store, cases, SMALL)
    assert made == [cases[1].case_id]
    t1 = [store.get(case.patient_id).images[0] for case in cases]
    assert (t1[1] == t1[0]).all()
    (store.folder / f"{cases[2].patient_id}.json").unlink()
    (store.folder / f"{cases[0].patient_id}.npy").write_bytes(b"damaged")
    pd.testing.assert_frame_equal(preprocess.fill(store, cases, SMALL), first)
    assert made[1:] == [cases[0].case_id, cases[2].case_id]


def digest(case: Case) -> str:
    return preprocess.source_digest(case, nifti.read_files(case))


def test_a_changed_mask_or_release_is_another_source(tmp_path: Path) -> None:
    case = write_cases(tmp_path, range(1, 2))[0]
    before = digest(case)
    assert before == digest(case)
    assert before != digest(replace(case, release="brats2021"))
    assert before != digest(replace(case, segmentation=None))
    assert case.segmentation is not None
    case.segmentation.write_bytes(case.segmentation.read_bytes() + b"\0")
    assert before != digest(case)


def test_a_file_replaced_after_its_inspection_stops(tmp_path: Path, store: Store) -> None:
    case = write_cases(tmp_path / "raw", range(1, 2))[0]
    looked_at = inspection.inspect(case).case
    assert digest(looked_at) == digest(case)
    preprocess.fill(store, [looked_at], SMALL)
    path = case.images["t2"]
    path.write_bytes(case.images["t1"].read_bytes())
    with pytest.raises(DataError, match=rf"{path}: this is not the file that 01_data") as caught:
        preprocess.fill(store, [looked_at], SMALL)
    assert caught.value.kind == "file replaced"


def test_other_settings_are_another_store(tmp_path: Path, store: Store) -> None:
    cases = write_cases(tmp_path / "raw", range(1, 2))
    preprocess.fill(store, cases, SMALL)
    other = SMALL.model_copy(update={"depth_mm": None})
    assert preprocess.store_key(other) != store.key
    assert preprocess.open_store(store.root, other).patients() == []
    with pytest.raises(MismatchError, match=r"is not the one of these settings"):
        preprocess.fill(store, cases, other)


def test_other_code_is_another_store_but_phantom_code_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reached = provenance.reached(["pipeline.preprocess"])
    assert {"pipeline.store", "labels", "data.nifti", "data.orientation"} <= set(reached)
    assert not [name for name in reached if "phantom" in name]
    key = preprocess.store_key(SMALL)
    monkeypatch.setattr(preprocess, "code_digest", lambda *modules: f"changed {modules}")
    assert preprocess.store_key(SMALL) != key


def test_a_missing_patient_says_which_notebook_makes_it(store: Store) -> None:
    for read in (store.get, lambda name: preprocess.crop_facts(store, name)):
        with pytest.raises(DataError, match=r"P9\.json: is missing; run 02_preprocessing again"):
            read("P9")


def test_two_cases_of_one_patient_are_refused(tmp_path: Path, store: Store) -> None:
    cases = write_cases(tmp_path / "raw", range(1, 3))
    cases[1] = replace(cases[1], patient_id=cases[0].patient_id)
    message = r"patient BraTS20_Training_001 has two cases, .*001 and .*002; .*one examination"
    with pytest.raises(DataError, match=message):
        preprocess.fill(store, cases, SMALL)
    assert store.patients() == []


def test_a_case_that_fails_stops_the_run_and_is_named(tmp_path: Path, store: Store) -> None:
    cases = write_cases(tmp_path / "raw", range(1, 3))
    cases[1].images["flair"].write_bytes(b"")
    with pytest.raises(DataError, match=r"002_flair.nii.gz: the file has 0 bytes"):
        preprocess.fill(store, cases, SMALL)
    assert store.patients() == [cases[0].patient_id]


def test_real_voxel_counts(real_data: Path) -> None:
    found = {}
    for case in survey.discover(real_data):
        assert case.segmentation is not None
        raw = nifti.load(case.segmentation).values
        known = labels.to_canonical(raw, case.release, case.case_id)
        found[case.case_id] = np.bincount(known.ravel())[1:].tolist()
    assert found == REAL_COUNTS


def test_a_real_case_in_full(real_data: Path) -> None:
    case = survey.discover(real_data)[2]
    stored, facts = preprocess.prepare(orientation.read(case), Preprocessing())
    assert case.case_id == "BraTS19_CBICA_ASK_1"
    assert list(facts.voxels[1:]) == REAL_COUNTS[case.case_id]
    assert round(facts.lost_in_plane, 2) == 0.34
    assert round(facts.dice_ceiling, 3) == 0.795
    assert stored.grid.shape == (64, 64, 64)
    assert stored.grid.crop_start == (56, 56, 13)
    assert 0 <= float(stored.images.min()) < float(stored.images.max()) <= 1
    assert (stored.labels > 0).sum() * 8 == pytest.approx(sum(facts.in_box[1:]), rel=0.05)
