"""Boxes and coarse masks: known answers, a slow version, refusals, and the given material."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from gliomalib.data import boxes, nifti
from gliomalib.data.readers import survey
from gliomalib.schema import SEQUENCES, DataError
from tests import layouts

SHAPE = (255, 128, 128)
"""Voxels of a scan: every second one, or every one, is on the coarse grid."""


def place(number: int = 7) -> Path:
    return Path(boxes.FOLDER) / f"BraTS20_Training_{number:03d}"


def tumour(*blocks: tuple[slice, slice, slice]) -> np.ndarray:
    """Return a coarse mask with edema in these blocks and enhancing tumour in their first voxel."""
    mask = np.zeros((boxes.SIDE,) * 3, np.uint8)
    for block in blocks:
        mask[block] = 2
        mask[tuple(axis.start for axis in block)] = 4
    return mask


# --- pieces


def test_a_mask_is_brought_to_the_grid_by_its_nearest_voxel() -> None:
    mask = np.random.default_rng(1).integers(0, 5, (240, 9, 155)).astype(np.uint8)
    found = boxes.coarse_mask(mask)
    assert found.shape == (128, 128, 128)
    for index in ((0, 0, 0), (127, 127, 127), (1, 64, 100), (77, 8, 3)):
        fine = tuple(round(i * (n - 1) / 127) for i, n in zip(index, mask.shape, strict=True))
        assert found[index] == mask[fine]


def test_an_image_becomes_a_z_score_with_its_corners_kept() -> None:
    rng = np.random.default_rng(2)
    image = rng.uniform(1, 9, SHAPE).astype(np.float32)
    image[:20] = 0
    inside = image[image != 0].astype(np.float64)
    wanted = np.where(image == 0, 0, (image - inside.mean()) / inside.std())
    # corners are aligned: coarse voxels fall on fine ones, so nothing is interpolated
    assert np.allclose(boxes.coarse_image(image), wanted[::2], atol=1e-4)
    ramp = np.broadcast_to(np.arange(1.0, 5.0), (4, 4, 4)).astype(np.float32)
    line = boxes.coarse_image(ramp)[0, 0]
    assert np.allclose(np.diff(line), (4 - 1) / 127 / np.std(np.arange(4)), atol=1e-5)
    with pytest.raises(ValueError, match="non-zero voxels are alike"):
        boxes.coarse_image(np.where(image == 0, 0, 5).astype(np.float32))


def test_the_box_is_the_middle_of_the_largest_component_with_its_margin() -> None:
    large = (slice(50, 91), slice(60, 71), slice(0, 10))
    box = boxes.box_of(tumour(large, (slice(5, 15), slice(5, 15), slice(100, 103))))
    # 41 + 8 voxels are cut to the middle 32, 11 + 8 stay, and the margin ends at the border
    assert box == [(54, 32), (56, 19), (0, 14)]
    mask = tumour(large)
    cut = boxes.cut(mask, box)
    assert cut.shape == (boxes.BOX,) * 3
    assert (cut[:, 6:25, 9:23] == mask[54:86, 56:75, :14]).all()
    assert np.count_nonzero(cut) == np.count_nonzero(mask[54:86])


def test_voxels_that_share_an_edge_alone_are_two_components() -> None:
    first = (slice(20, 26), slice(20, 26), slice(20, 26))
    edge = (slice(26, 30), slice(26, 30), slice(20, 26))
    assert boxes.box_of(tumour(first, edge)) == boxes.box_of(tumour(first))
    face = (slice(26, 30), slice(25, 29), slice(20, 26))
    assert boxes.box_of(tumour(first, face)) != boxes.box_of(tumour(first))


@pytest.mark.parametrize(("size", "said"), [(0, "has 0 of 50"), (7, "has 49 of 50"), (8, "")])
def test_a_component_has_fifty_voxels(size: int, said: str) -> None:
    mask = tumour((slice(3, 10), slice(3, 3 + size), slice(9, 10))) if size else tumour()
    if said:
        with pytest.raises(ValueError, match=said):
            boxes.box_of(mask)
    else:
        assert boxes.box_of(mask) == [(0, 14), (0, 15), (5, 9)]


# --- files


def write_scan(root: Path, release: str = "brats2020", number: int = 7) -> np.ndarray:
    """Write a scan of ``SHAPE`` with a small tumour; return its canonical labels."""
    files = layouts.write(root, release, number, suffix=".nii")
    labels = np.zeros(SHAPE, np.uint8)
    labels[100:121, 40:51, 50:61] = 2
    labels[104:111, 44:48, 52:57] = 3
    rng = np.random.default_rng(number)
    for name in SEQUENCES:
        image = rng.integers(1, 200, SHAPE).astype(np.int16)
        image[:9] = 0
        layouts.save(files[name], image)
    layouts.save(files["seg"], np.array(layouts.LAYOUTS[release].raw, np.uint8)[labels])
    return labels


def test_a_box_lies_where_its_affine_says(tmp_path: Path) -> None:
    """Whoever reads the box finds at each place in millimetres what the whole scan has there."""
    labels = write_scan(tmp_path / "whole")
    assert boxes.write(tmp_path / "whole", tmp_path / "out", masks=False) == 1
    (case,) = survey.discover(tmp_path / "out")
    assert (case.case_id, case.release) == ("BraTS20_Training_007", "brats2020")
    assert case.images["t1"] == tmp_path / "out" / place() / f"{place().name}_t1.nii.gz"
    scan, whole = nifti.read_case(case), nifti.read_case(*survey.discover(tmp_path / "whole"))
    assert scan.labels is not None
    assert len(scan.images) == 4 and scan.shape == (32, 32, 32)
    assert scan.spacing_mm == (2.0, 1.0, 1.0)
    assert sorted(np.unique(scan.labels)) == [0, 2, 3]
    to_whole = np.linalg.inv(whole.affine) @ np.asarray(scan.affine)
    filled = np.argwhere(np.all([image != image[0, 0, 0] for image in scan.images], axis=0))
    there = np.rint(filled @ to_whole[:3, :3].T + to_whole[:3, 3]).astype(int)
    assert (scan.labels[tuple(filled.T)] == labels[tuple(there.T)]).all()
    assert np.count_nonzero(scan.labels) == np.count_nonzero(labels[::2])
    for image, source in zip(scan.images, whole.images, strict=True):
        inside = source[source != 0]
        wanted = (source[tuple(there.T)] - inside.mean()) / inside.std()
        step = (image.max() - image.min()) / 255
        assert np.abs(image[tuple(filled.T)] - wanted).max() <= 0.51 * step


def test_a_mask_is_written_whole_and_in_the_labels_of_2020(tmp_path: Path) -> None:
    labels = write_scan(tmp_path / "whole", "brats2023")
    row = "BraTS-GLI-00007-000,BraTS20_Training_007,Brats18_TCIA09_7_1\n"
    (tmp_path / "whole" / "who.csv").write_text(f"BraTS2023,BraTS2020,BraTS2018\n{row}")
    assert boxes.write(tmp_path / "whole", tmp_path / "out", masks=True) == 1
    (path,) = (tmp_path / "out").rglob("*.nii.gz")
    found = nifti.load(path)
    assert path == tmp_path / "out" / place() / f"{place().name}_seg.nii.gz"
    assert (found.values == np.array([0, 1, 2, 4])[labels[::2]]).all()
    assert found.affine == tuple(map(tuple, np.diag([-2.0, -1.0, 1.0, 1.0]).tolist()))
    table = (path.parents[1] / "name_mapping.csv").read_text().splitlines()
    assert table[1] == "NA,Brats18_TCIA09_7_1,BraTS20_Training_007,BraTS-GLI-00007-000,TCIA09"


def test_a_patient_is_written_once_and_twice_the_same(tmp_path: Path) -> None:
    layouts.write(tmp_path / "whole", "brats2020", 7)
    layouts.write(tmp_path / "whole", "brats2018", 7)
    table = layouts.NAMES_HEADER + "LGG,NA,Brats18_TCIA_007_1,NA,NA,BraTS20_Training_007\n"
    (tmp_path / "whole" / "name_mapping.csv").write_text(table)
    for out in ("one", "two"):
        assert boxes.write(tmp_path / "whole", tmp_path / out, masks=False) == 1
    files = [sorted((tmp_path / out).rglob("*.*")) for out in ("one", "two")]
    assert [path.read_bytes() for path in files[0]] == [path.read_bytes() for path in files[1]]
    (case,) = survey.discover(tmp_path / "one")
    assert (case.patient_id, case.grade) == ("BraTS20_Training_007", "LGG")
    assert [path.name for path in (tmp_path / "one").iterdir()] == [boxes.FOLDER]


def test_what_is_there_stays(tmp_path: Path) -> None:
    layouts.write(tmp_path / "whole", "brats2020", 7)
    (tmp_path / "out").mkdir()
    with pytest.raises(DataError, match="out: is there already; name another folder"):
        boxes.write(tmp_path / "whole", tmp_path / "out", masks=False)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_run_that_breaks_off_leaves_nothing_under_the_name(tmp_path: Path) -> None:
    for number in (1, 2):
        files = layouts.write(tmp_path / "whole", "brats2020", number)
    layouts.save(files["seg"], np.zeros(layouts.SHAPE, np.uint8))
    with pytest.raises(DataError) as refused:
        boxes.write(tmp_path / "whole", tmp_path / "out", masks=False)
    assert str(refused.value) == (
        f"{files['seg']}: case BraTS20_Training_002 gives no box, as the largest part of the "
        "tumour has 0 of 50 coarse voxels; leave it out"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["whole"], "nor a half of it beside"
    layouts.save(files["seg"], layouts.raw_mask("brats2020"))
    assert boxes.write(tmp_path / "whole", tmp_path / "out", masks=False) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "whole"]


def test_nobody_of_2020_is_a_sentence(tmp_path: Path) -> None:
    layouts.write(tmp_path / "whole", "brats2018", 1)
    layouts.write(tmp_path / "whole", "brats2020", 1, mask=False)
    with pytest.raises(DataError, match=r"whole: no patient of BraTS 2020 with a mask; give"):
        boxes.write(tmp_path / "whole", tmp_path / "out", masks=False)


# --- the given material, made by others by the same recipe


@pytest.mark.parametrize("kind", ["cubes", "masks"])
def test_the_given_material_comes_out(kind: str, real_data: Path, tmp_path: Path) -> None:
    """Of whoever is there whole, every mask; every image but for voxels at the edge of a step.

    Two processors sum the mean of a scan in another order, so that a value between two of the 256
    steps may fall to either side.
    """
    given = real_data.parent / f"real-{kind}" / boxes.FOLDER
    more = real_data.parent / "real-more"
    if not (given.is_dir() and more.is_dir()):
        pytest.skip("no boxes and masks beside the real patients")
    (tmp_path / "whole").mkdir()
    for folder in (real_data, more):
        (tmp_path / "whole" / folder.name).symlink_to(folder)
    assert boxes.write(tmp_path / "whole", tmp_path / "out", masks=kind == "masks") == 19
    for path in (tmp_path / "out").rglob("*.nii.gz"):
        made, wanted = nib.load(path), nib.load(given / path.parent.name / path.name)
        steps = np.abs(
            made.dataobj.get_unscaled().astype(int) - wanted.dataobj.get_unscaled().astype(int)
        )
        is_mask = path.name.endswith("_seg.nii.gz")
        assert steps.max() <= (0 if is_mask else 1), path.name
        assert (steps > 0).mean() < 1e-4, path.name
        assert np.allclose(made.dataobj.slope, wanted.dataobj.slope, rtol=1e-4)
        assert np.allclose(made.dataobj.inter, wanted.dataobj.inter, rtol=1e-4)


def test_the_counts_of_the_given_boxes(real_data: Path) -> None:
    given = real_data.parent / "real-cubes" / boxes.FOLDER
    if not given.is_dir():
        pytest.skip("no boxes beside the real patients")
    masks = [nifti.load(path).values for path in given.glob("*/*_seg.nii.gz")]
    counts = [sum(bool((mask == label).any()) for mask in masks) for label in (1, 2, 4)]
    assert (len(masks), counts) == (368, [366, 367, 341])
