"""A finished study on a case: the study's own numbers, on the case's grid, whatever its axes."""

import gzip
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from gliomalib import records
from gliomalib.__main__ import main
from gliomalib.data import nifti, orientation
from gliomalib.data.readers import survey
from gliomalib.networks import predict
from gliomalib.pipeline import apply, folds, patient, preprocess
from gliomalib.pipeline.finished import Finished, open_finished
from gliomalib.schema import (
    CLASS_NAMES,
    SEQUENCES,
    Case,
    DataError,
    Grid,
    SettingsError,
    StoredCase,
    Volume,
)
from gliomalib.settings import Preprocessing, Study
from tests import faults, tiny_study

NEW = "BraTS20_Validation_009"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tiny_study.make(tmp_path_factory.mktemp("study"))
    tiny_study.write_case(made / "new" / NEW, tiny_study.phantom(9), masked=False)
    return made


@pytest.fixture(scope="module")
def finished(root: Path) -> Finished:
    return open_finished(tiny_study.STUDY, root / "data", root / "reports")


@pytest.fixture(scope="module")
def new(root: Path) -> Case:
    (case,) = survey.discover(root / "new")
    return case


@pytest.fixture(scope="module")
def applied(new: Case, finished: Finished) -> apply.Applied:
    return apply.segment_case(new, finished, device="cpu")


def test_a_case_without_mask_gets_labels_and_classes(
    new: Case, finished: Finished, applied: apply.Applied
) -> None:
    image = nib.load(new.images["t1"])
    assert new.segmentation is None
    assert applied.labels.shape == image.shape and applied.labels.dtype == np.uint8
    assert (np.asarray(applied.affine) == image.affine).all()
    assert applied.labels.max() <= 3
    assert len(applied.classes) == 32
    probabilities = applied.classes[["no_tumour", "necrotic_core", "edema", "enhancing_tumour"]]
    assert np.abs(probabilities.sum(axis=1) - 1).max() < 1e-4
    named = [CLASS_NAMES[index] for index in probabilities.to_numpy().argmax(axis=1)]
    assert applied.classes["class"].tolist() == named
    # 36 slices of 4 mm from −72 mm on, of which the central 32 are looked at
    assert applied.classes["slice"].tolist() == list(range(32))
    assert applied.classes["z_mm"].tolist() == [-72 + 8 + 4 * z for z in range(32)]


def test_volumes_are_those_of_the_labels(applied: apply.Applied) -> None:
    table = applied.volumes.set_index("region")
    assert table.index.tolist() == [*CLASS_NAMES[1:], "whole tumour"]
    for label, name in enumerate(CLASS_NAMES[1:], start=1):
        assert table.loc[name, "voxels"] == (applied.labels == label).sum()
        assert table.loc[name, "ml"] == pytest.approx((applied.labels == label).sum() * 0.064)
    assert table.loc["whole tumour", "voxels"] == (applied.labels > 0).sum() > 0
    assert table["share_of_tumour"].iloc[:3].sum() == pytest.approx(1)
    assert table.loc["whole tumour", "share_of_tumour"] == 1


def test_nothing_found_has_no_share(
    new: Case, finished: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    believe(monkeypatch, lambda case: np.zeros(case.grid.shape, np.uint8))
    found = apply.segment_case(new, finished).volumes
    assert not found["voxels"].any() and found["share_of_tumour"].isna().all()


def seen(monkeypatch: pytest.MonkeyPatch) -> list[np.ndarray]:
    """Return where each volume of probabilities will stand that is brought to a case's grid."""
    volumes: list[np.ndarray] = []
    labels_on = apply.labels_on

    def watched(probabilities: np.ndarray, *rest: object) -> np.ndarray:
        volumes.append(probabilities)
        return labels_on(probabilities, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(apply, "labels_on", watched)
    return volumes


def test_a_patient_of_the_study_gets_the_studys_own_numbers(
    root: Path, finished: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = survey.discover(root / "raw")[2]
    volumes = seen(monkeypatch)
    found = apply.segment_case(case, finished, fold=0, device="cpu")
    where = {"data_dir": str(root / "data"), "report_dir": str(root / "elsewhere")}
    run = records.begin("06_train_resnet50", {"study": tiny_study.STUDY, **where})
    material = folds.open_material(run)
    expected = folds.volume(material, "fused", 0, case.patient_id)
    assert (volumes[0] == expected.probabilities).all()
    shown = folds.fused_slices(material, material.splits[0], [case.patient_id])
    named = predict.classify(finished.folds[0].networks["resnet50"].weights, shown, "cpu")
    assert np.allclose(found.classes.iloc[:, 3:], named, atol=1e-6)
    keys = found.about["checkpoints"]["fold0"]
    assert keys["resnet50"] == finished.folds[0].networks["resnet50"].key


def test_several_folds_are_averaged(
    new: Case, finished: Finished, applied: apply.Applied, monkeypatch: pytest.MonkeyPatch
) -> None:
    volumes = seen(monkeypatch)
    single = [apply.segment_case(new, finished, fold, "cpu") for fold in (0, 1)]
    both = apply.segment_case(new, finished, None, "cpu")
    assert np.abs(volumes[0] - volumes[1]).max() > 0.01
    assert np.allclose(volumes[2], (volumes[0] + volumes[1]) / 2, atol=1e-6)
    mean = (single[0].classes.iloc[:, 3:] + single[1].classes.iloc[:, 3:]) / 2
    assert np.allclose(both.classes.iloc[:, 3:], mean, atol=1e-6)
    assert [one.about["folds"] for one in (*single, both)] == [[0], [1], [0, 1]]
    assert "mean over the networks of folds 0, 1" in " ".join(both.about["caveats"])
    assert "mean over" not in " ".join(single[0].about["caveats"])
    # and again the same
    assert (both.labels == applied.labels).all()


def turned(made: tiny_study.Phantom, axes: str) -> tiny_study.Phantom:
    """Return a phantom as a file with other axes holds it."""
    orientations = nib.orientations
    turn = orientations.ornt_transform(
        orientations.axcodes2ornt("LPS"), orientations.axcodes2ornt(tuple(axes))
    )
    back = orientations.inv_ornt_aff(turn, made.labels.shape)
    images = np.stack([nib.apply_orientation(volume, turn) for volume in made.images])
    labels = nib.apply_orientation(made.labels, turn)
    return tiny_study.Phantom(images, labels, made.affine @ back)


def upright(labels: np.ndarray, affine: Sequence[Sequence[float]]) -> np.ndarray:
    image = nib.Nifti1Image(labels, np.asarray(affine))
    turn = nib.orientations.ornt_transform(
        nib.io_orientation(image.affine), nib.orientations.axcodes2ornt("LPS")
    )
    return np.asarray(image.as_reoriented(turn).dataobj)


@pytest.mark.parametrize("axes", ["RAS", "PIR", "SAL"])
def test_the_axes_of_the_file_change_nothing(
    axes: str, finished: Finished, applied: apply.Applied, tmp_path: Path
) -> None:
    made = turned(tiny_study.phantom(9), axes)
    tiny_study.write_case(tmp_path / NEW, made, masked=False)
    (case,) = survey.discover(tmp_path)
    found = apply.segment_case(case, finished, device="cpu")
    assert "".join(nib.aff2axcodes(np.asarray(found.affine))) == axes
    assert (upright(found.labels, found.affine) == applied.labels).all()
    pd.testing.assert_frame_equal(found.classes, applied.classes)
    pd.testing.assert_frame_equal(found.volumes, applied.volumes)


def one_hot(labels: np.ndarray, grid: Grid) -> Volume:
    return Volume(np.moveaxis(np.eye(4, dtype=np.float16)[labels], -1, 0), grid)


def believe(monkeypatch: pytest.MonkeyPatch, truth: Callable[[StoredCase], np.ndarray]) -> None:
    """Let the networks of every fold find what ``truth`` says, and no tumour in any slice."""

    def answer(_: object, case: StoredCase, __: Study) -> patient.Answer:
        volume = one_hot(truth(case), case.grid)
        classes = np.eye(4, dtype=np.float32)[np.zeros(case.grid.shape[2], int)]
        return patient.Answer(volume, volume, volume, classes)

    monkeypatch.setattr(patient, "answer", answer)


def test_networks_are_loaded_once_for_all_cases(
    root: Path, new: Case, applied: apply.Applied, monkeypatch: pytest.MonkeyPatch
) -> None:
    load, calls = patient.load, []

    def counted(*words: Any) -> patient.Networks:
        calls.append(words)
        return load(*words)

    monkeypatch.setattr(patient, "load", counted)
    fresh = open_finished(tiny_study.STUDY, root / "data", root / "reports")
    for _ in range(2):
        assert (apply.segment_case(new, fresh, device="cpu").labels == applied.labels).all()
    assert len(calls) == len(fresh.folds)


def with_voxels(finished: Finished, spacing: float) -> Finished:
    plan = Preprocessing(crop_mm=(72, 64), depth_mm=56, spacing_mm=spacing)
    return replace(finished, study=finished.study.model_copy(update={"preprocessing": plan}))


def perfect(
    folder: Path,
    made: tiny_study.Phantom,
    finished: Finished,
    monkeypatch: pytest.MonkeyPatch,
) -> tuple[np.ndarray, np.ndarray]:
    """Return what is made of a case whose truth the networks know, and that truth."""
    (case,) = survey.discover(tiny_study.write_case(folder / NEW, made))
    stored, _ = preprocess.prepare(orientation.read(case), finished.study.preprocessing)
    believe(monkeypatch, lambda _: stored.labels)
    return apply.segment_case(case, finished).labels, made.labels


def dice(found: np.ndarray, truth: np.ndarray) -> list[float]:
    return [
        2 * ((found == k) & (truth == k)).sum() / ((found == k).sum() + (truth == k).sum())
        for k in (1, 2, 3)
    ]


def box_of(made: tiny_study.Phantom, half: Sequence[float]) -> np.ndarray:
    """Return which voxels lie in the study's box around the scan's centre, spelled out."""
    places = nib.affines.apply_affine(made.affine, np.stack(np.indices(made.labels.shape), -1))
    return (np.abs(places - places.mean(axis=(0, 1, 2))) < half).all(axis=-1)


@pytest.mark.parametrize("axes", ["LPS", "RAS", "IPR"])
def test_perfect_networks_give_back_the_truth_at_1_mm(
    axes: str, finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = turned(tiny_study.phantom(3, 1.0, 92.0), axes)
    found, truth = perfect(tmp_path, made, with_voxels(finished, 1.0), monkeypatch)
    inside = box_of(made, (36, 32, 28))
    assert inside.sum() == 72 * 64 * 56
    assert (found[inside] == truth[inside]).all()
    assert truth[~inside].any(), "the tumour must reach out of the box"
    assert not found[~inside].any()


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.9, 0.9, 2.5)])
def test_perfect_networks_are_right_on_an_oblique_grid(
    spacing: tuple[float, float, float],
    finished: Finished,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = oblique(tiny_study.phantom(3, 1.0, 92.0), spacing)
    found, truth = perfect(tmp_path, made, with_voxels(finished, 1.0), monkeypatch)
    assert found.shape == truth.shape
    inside = box_of(made, (34, 30, 26))
    assert min(dice(found[inside], truth[inside])) > 0.85
    assert not found[~box_of(made, (37, 33, 29))].any()


def oblique(made: tiny_study.Phantom, spacing: Sequence[float]) -> tiny_study.Phantom:
    """Return a phantom as a scanner sees it whose axes are turned by 10 degrees."""
    affine = np.eye(4)
    turn = Rotation.from_rotvec(np.radians(10) * np.array([0.6, 0.0, 0.8])).as_matrix()
    affine[:3, :3] = turn @ np.diag([-spacing[0], -spacing[1], spacing[2]])
    shape = [round(84 / size) for size in spacing]
    centre = nib.affines.apply_affine(made.affine, (np.array(made.labels.shape) - 1) / 2)
    affine[:3, 3] = centre - affine[:3, :3] @ (np.array(shape) - 1) / 2
    places = nib.affines.apply_affine(affine, np.stack(np.indices(shape), -1))
    index = np.round(nib.affines.apply_affine(np.linalg.inv(made.affine), places)).astype(int)
    x, y, z = np.moveaxis(np.clip(index, 0, np.array(made.labels.shape) - 1), -1, 0)
    return tiny_study.Phantom(made.images[:, x, y, z], made.labels[x, y, z], affine)


def slowly(
    probabilities: np.ndarray, grid: Grid, shape: tuple[int, ...], affine: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return class and lead of the best class of each voxel: trilinear, voxel by voxel."""
    labels, leads = np.zeros(shape, int), np.ones(shape)
    size = np.array(grid.shape)
    for place in np.ndindex(shape):
        at = np.linalg.inv(grid.affine) @ affine @ [*place, 1]
        edge = np.minimum(np.abs(at[:3] + 0.5), np.abs(at[:3] - size + 0.5)).min()
        if (at[:3] < -0.5).any() or (at[:3] > size - 0.5).any():
            leads[place] = edge
            continue
        low = np.floor(np.clip(at[:3], 0, size - 1)).astype(int)
        part = np.clip(at[:3], 0, size - 1) - low
        found = np.zeros(4)
        for corner in np.ndindex(2, 2, 2):
            weight = np.prod(np.where(corner, part, 1 - part))
            x, y, z = np.minimum(low + corner, size - 1)
            found += weight * probabilities[:, x, y, z]
        labels[place] = found.argmax()
        leads[place] = min(edge, np.diff(np.sort(found)[-2:])[0])
    return labels, leads


@given(
    st.integers(0, 1000),
    st.tuples(*[st.floats(-180, 180)] * 3),
    st.tuples(*[st.floats(0.4, 2.5)] * 3),
    st.tuples(*[st.floats(-3, 3)] * 3),
    st.sampled_from([0.0, 0.8, 0.95, 1.0]),
)
def test_the_way_back_is_trilinear_and_ends_with_the_box(
    seed: int,
    angles: tuple[float, float, float],
    spacing: tuple[float, float, float],
    shift: tuple[float, float, float],
    healthy: float,
) -> None:
    rng = np.random.default_rng(seed)
    affine = np.diag([-2.0, -2.0, 2.0, 1.0])
    affine[:3, 3] = [4, 5, -6]
    grid = Grid("P", (4, 3, 5), (2.0, 2.0, 2.0), (0, 0, 0), tuple(map(tuple, affine.tolist())))
    probabilities = rng.dirichlet(np.ones(4), grid.shape).astype(np.float32).transpose(3, 0, 1, 2)
    # where no tumour leads everywhere around, nothing is interpolated
    probabilities[0] += 2 * (rng.random(grid.shape) < healthy)
    own = np.eye(4)
    own[:3, :3] = Rotation.from_euler("xyz", angles, degrees=True).as_matrix() @ np.diag(spacing)
    middle = nib.affines.apply_affine(affine, (np.array(grid.shape) - 1) / 2)
    own[:3, 3] = middle + shift - own[:3, :3] @ [2, 2, 2]
    nested = tuple(map(tuple, own.tolist()))
    found = apply.labels_on(np.ascontiguousarray(probabilities), grid, (5, 5, 5), nested)
    expected, leads = slowly(probabilities, grid, (5, 5, 5), own)
    sure = leads > 1e-4
    assert (found == expected)[sure].all()
    assert sure.mean() > 0.9


def test_a_grid_that_is_nowhere_near_says_no_tumour() -> None:
    near = tuple(map(tuple, np.eye(4).tolist()))
    far = ((1.0, 0.0, 0.0, 50.0), *near[1:])
    grid = Grid("P", (2, 2, 2), (1.0, 1.0, 1.0), (0, 0, 0), near)
    sure = one_hot(np.full((2, 2, 2), 3), grid).probabilities.astype(np.float32)
    assert (apply.labels_on(sure, grid, (3, 3, 3), near)[:2, :2, :2] == 3).all()
    assert not apply.labels_on(sure, grid, (3, 3, 3), far).any()


def test_a_mask_is_not_looked_at(
    finished: Finished, applied: apply.Applied, tmp_path: Path
) -> None:
    folder = tiny_study.write_case(tmp_path / NEW, tiny_study.phantom(9))
    (folder / f"{NEW}_seg.nii.gz").write_bytes(b"nothing that anybody could read")
    (case,) = survey.discover(folder)
    assert case.segmentation is not None
    assert (apply.segment_case(case, finished, device="cpu").labels == applied.labels).all()


def about(case: Case, finished: Finished, fold: int | None, patch: pytest.MonkeyPatch) -> dict:
    believe(patch, lambda stored: np.zeros(stored.grid.shape, np.uint8))
    return dict(apply.segment_case(case, finished, fold).about)


@pytest.mark.parametrize(
    ("fold", "trained", "parts"),
    [
        (None, True, {"fold0": "train", "fold1": "test"}),
        (0, True, {"fold0": "train"}),
        (1, False, {"fold1": "test"}),
    ],
)
def test_who_was_trained_on_is_said(
    root: Path,
    finished: Finished,
    monkeypatch: pytest.MonkeyPatch,
    fold: int | None,
    trained: bool,
    parts: dict[str, str],
) -> None:
    case = survey.discover(root / "raw")[0]
    other = {"case_id": "other", "patient_id": "other", "release": "own files"}
    disguised = replace(case, **other, segmentation=None)
    for one in (case, disguised):
        found = about(one, finished, fold, monkeypatch)
        assert found["trained_on_this_patient"] == trained
        assert found["part_by_fold"] == parts
        assert ("fold 0 were trained on this patient" in " ".join(found["caveats"])) == trained


def saved(path: Path, change: Callable[[nib.Nifti1Image], nib.Nifti1Image]) -> None:
    image = nib.load(path)
    held = nib.Nifti1Image(np.asarray(image.dataobj).copy(), image.affine, image.header)
    nib.save(change(held), path)


def padded(image: nib.Nifti1Image) -> nib.Nifti1Image:
    return nib.Nifti1Image(np.pad(np.asarray(image.dataobj), 3), image.affine)


def big_endian(image: nib.Nifti1Image) -> nib.Nifti1Image:
    return nib.Nifti1Image(image.dataobj, image.affine, image.header.as_byteswapped(">"))


def packed_again(path: Path) -> None:
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()), 1, mtime=5))


def unpacked(path: Path) -> None:
    path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
    path.unlink()


DISGUISES: dict[str, Callable[[Path], None]] = {
    "compressed otherwise": packed_again,
    "unpacked": unpacked,
    "as float64": lambda p: saved(
        p, lambda i: nib.Nifti1Image(i.get_fdata(), i.affine, dtype=np.float64)
    ),
    "other axes": lambda p: saved(
        p, lambda i: i.as_reoriented(np.array([[1, 1], [0, -1], [2, 1]]))
    ),
    "padded": lambda p: saved(p, padded),
    "big-endian": lambda p: saved(p, big_endian),
}


@pytest.mark.parametrize("how", DISGUISES)
def test_a_training_patient_is_known_in_every_disguise(
    how: str, root: Path, finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / NEW
    folder.mkdir()
    before = survey.discover(root / "raw")[0].images
    for name, path in before.items():
        shutil.copy(path, folder / f"{NEW}_{name}.nii.gz")
        DISGUISES[how](folder / f"{NEW}_{name}.nii.gz")
    (case,) = survey.discover(folder)
    same = {case.images[name].read_bytes() == path.read_bytes() for name, path in before.items()}
    assert same == {False}
    found = about(case, finished, 0, monkeypatch)
    assert found["trained_on_this_patient"] and found["part_by_fold"] == {"fold0": "train"}


def test_a_patient_with_the_id_of_a_phantom_was_not_trained_on(
    finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / tiny_study.PATIENTS[0]
    (case,) = survey.discover(tiny_study.write_case(folder, tiny_study.phantom(9)))
    found = about(case, finished, None, monkeypatch)
    assert found["trained_on_this_patient"] is False and found["part_by_fold"] == {}


def copied(files: dict[str, Path]) -> None:
    shutil.copy(files["t1"], files["t1ce"])


def brighter_copy(files: dict[str, Path]) -> None:
    image = nib.load(files["t2"])
    nib.save(nib.Nifti1Image(np.asarray(image.dataobj) * 3, image.affine), files["flair"])


def masked(files: dict[str, Path]) -> None:
    shutil.copy(files["seg"], files["t2"])


def in_metres(files: dict[str, Path]) -> None:
    for path in files.values():
        saved(path, lambda image: image.header.set_xyzt_units("meter") or image)


@pytest.mark.parametrize(
    ("spoil", "kind", "message"),
    [
        (copied, "same scan twice", r"_t1ce.nii.gz: t1ce shows the same voxels as t1"),
        (brighter_copy, "same scan twice", r"_flair.nii.gz: flair shows the same voxels as t2"),
        (masked, "no brain", r"_t2.nii.gz: t2 is 0 or 1 or 2 or 4 in every voxel"),
        (in_metres, "voxel size", r"_t1.nii.gz: voxel size is \(4000.0, .* read as metre"),
    ],
)
def test_what_cannot_be_right_is_refused(
    spoil: Callable[[dict[str, Path]], None],
    kind: str,
    message: str,
    finished: Finished,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (case,) = survey.discover(tiny_study.write_case(tmp_path / NEW, tiny_study.phantom(9)))
    spoil(case.files)
    with pytest.raises(DataError, match=message) as raised:
        about(case, finished, 0, monkeypatch)
    assert raised.value.kind == kind


def far(files: dict[str, Path]) -> None:
    image = nib.load(files["t2"])
    values = np.asarray(image.dataobj).astype(np.float32)
    values[18, 18, 18] *= 1000
    nib.save(nib.Nifti1Image(values, image.affine, image.header, dtype=np.float32), files["t2"])


def without_unit(files: dict[str, Path]) -> None:
    saved(files["flair"], lambda image: image.header.set_xyzt_units("unknown") or image)


def off_qform(files: dict[str, Path]) -> None:
    def moved(image: nib.Nifti1Image) -> nib.Nifti1Image:
        image.set_qform(image.affine @ np.diag([-1, 1, 1, 1]), 1)
        image.set_sform(image.affine, 1)
        return image

    saved(files["t1"], moved)


def without_forms(files: dict[str, Path]) -> None:
    for path in files.values():
        saved(path, lambda image: image.set_sform(None, 0) or image.set_qform(None, 0) or image)


def mirrored(files: dict[str, Path]) -> None:
    saved(files["seg"], lambda i: nib.Nifti1Image(np.asarray(i.dataobj)[::-1], i.affine, i.header))


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (far, f"{NEW}_t2.nii.gz: the values of t2 reach "),
        (without_unit, f"{NEW}_flair.nii.gz: the header names no unit of length; mm were taken"),
        (off_qform, f"{NEW}_t1.nii.gz: qform puts voxels up to "),
        (without_forms, f"{NEW}_t1.nii.gz: sform and qform have code 0, so axes "),
        (mirrored, f"{NEW}_seg.nii.gz: with left and right exchanged the mask fits FLAIR better"),
    ],
)
def test_what_is_doubtful_is_a_caveat(
    spoil: Callable[[dict[str, Path]], None],
    words: str,
    finished: Finished,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = tiny_study.phantom(9)
    aside = replace(made, images=np.roll(made.images, 4, 1), labels=np.roll(made.labels, 4, 0))
    (case,) = survey.discover(tiny_study.write_case(tmp_path / NEW, aside))
    assert about(case, finished, 0, monkeypatch)["doubts"] == []
    spoil(case.files)
    found = about(case, finished, 0, monkeypatch)
    assert [doubt.startswith(words) for doubt in found["doubts"]] == [True]
    assert set(found["doubts"]) < set(found["caveats"])
    assert str(tmp_path) not in json.dumps(found)


@pytest.mark.parametrize("name", ["tpu", "cuda:1", "CUDA", "gpu", ""])
def test_a_device_that_is_not_known_is_refused(name: str, new: Case, finished: Finished) -> None:
    with pytest.raises(SettingsError, match=f"device '{name}' is not known: take one of auto, cpu"):
        apply.segment_case(new, finished, device=name)


def test_the_device_is_as_asked_or_an_error(
    new: Case, finished: Finished, applied: apply.Applied, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(SettingsError, match="torch finds no GPU here"):
        apply.segment_case(new, finished, device="cuda")
    assert applied.about["device"] == "cpu"
    assert about(new, finished, 0, monkeypatch)["device"] == "cpu"


@pytest.mark.parametrize("branches", [("unet3d", "unet3d.seed2"), ("unet3d", "unet2d")])
def test_a_study_that_fuses_other_networks_is_refused(
    branches: tuple[str, str], new: Case, finished: Finished
) -> None:
    fusion = finished.study.fusion.model_copy(update={"branches": branches})
    other = replace(finished, study=finished.study.model_copy(update={"fusion": fusion}))
    with pytest.raises(SettingsError, match=f"smoke fuses {' and '.join(branches)}; only a study"):
        apply.segment_case(new, other, device="cpu")


def test_caveats_and_origin_are_said(applied: apply.Applied, finished: Finished) -> None:
    found = applied.about
    assert found["study"] == "smoke" and found["alpha"] == 0.6
    assert found["trained_on_this_patient"] is False and found["part_by_fold"] == {}
    said = " ".join(found["caveats"])
    for words in (
        "not for clinical use",
        "Synthetic patients",
        "Small networks that fit a CPU: 16 (2D) and 16 (3D)",
        "random weights",
        "central 128 × 128 × 128 mm",
        "without skull",
    ):
        assert words in said
    assert set(found["checkpoints"]["fold1"]) == {"unet2d", "unet3d", "resnet50"}
    assert set(found["inputs_sha256"]) == set(SEQUENCES)
    assert "may be prepared otherwise" not in said


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-40]), r"_t2.nii.gz: .*fetch it again"),
        (lambda path: path.unlink(), r"_t2.nii.gz: there is no such file"),
        (
            lambda path: nib.save(nib.Nifti1Image(np.ones((36, 36, 36), np.int16), None), path),
            r"_t2.nii.gz: .*but .*_t1.nii.gz",
        ),
    ],
)
def test_a_faulty_file_is_named(
    spoil: Callable[[Path], None], message: str, finished: Finished, tmp_path: Path
) -> None:
    folder = tiny_study.write_case(tmp_path / NEW, tiny_study.phantom(9), masked=False)
    (case,) = survey.discover(folder)
    spoil(case.images["t2"])
    with pytest.raises(DataError, match=message):
        apply.segment_case(case, finished)


def test_six_files_are_written(applied: apply.Applied, tmp_path: Path) -> None:
    path = apply.write(applied, tmp_path / "out")
    assert sorted(one.name for one in path.parent.iterdir()) == [
        f"{NEW}_{what}" for what in sorted(apply.ENDINGS)
    ]
    volume = nifti.load(path)
    assert (volume.values == applied.labels).all() and volume.affine == applied.affine
    classes = pd.read_csv(path.with_name(f"{NEW}_classes.csv"))
    assert classes["class"].tolist() == applied.classes["class"].tolist()
    volumes = pd.read_csv(path.with_name(f"{NEW}_volumes.csv"))
    assert volumes["voxels"].tolist() == applied.volumes["voxels"].tolist()
    said = json.loads(path.with_name(f"{NEW}_about.json").read_text(encoding="utf-8"))
    assert said["labels"] == {str(index): name for index, name in enumerate(CLASS_NAMES)}
    assert said["convention"] == "canonical"
    assert {**said, "convention": 0, "labels": 0} == {**applied.about, "convention": 0, "labels": 0}


@pytest.mark.parametrize(
    ("convention", "values"), [("brats2020", [0, 1, 2, 4]), ("msd_task01", [0, 2, 1, 3])]
)
def test_labels_of_a_release(
    convention: str, values: list[int], applied: apply.Applied, tmp_path: Path
) -> None:
    every = replace(applied, labels=np.arange(27, dtype=np.uint8).reshape(3, 3, 3) % 4)
    path = apply.write(every, tmp_path, convention)
    assert nifti.load(path).values.ravel()[:4].tolist() == values
    said = json.loads(path.with_name(f"{NEW}_about.json").read_text(encoding="utf-8"))
    names = {str(value): name for value, name in zip(values, CLASS_NAMES, strict=True)}
    assert said["labels"] == names and said["convention"] == convention
    colours = path.with_name(f"{NEW}_labels.ctbl").read_text(encoding="utf-8").splitlines()[1:]
    shown = path.with_name(f"{NEW}_labels.label").read_text(encoding="utf-8").splitlines()[1:]
    for lines in (colours, shown):
        assert [int(line.split()[0]) for line in lines] == sorted(values)
    assert colours[values.index(3) if 3 in values else 3].split()[1] == "enhancing_tumour"


@pytest.mark.parametrize("what", apply.ENDINGS)
def test_what_is_there_is_replaced_only_by_force(
    what: str, applied: apply.Applied, tmp_path: Path
) -> None:
    (tmp_path / f"{NEW}_{what}").write_text("mine", encoding="utf-8")
    with pytest.raises(SettingsError, match=f"{NEW}_{what}: is there already; give --force"):
        apply.write(applied, tmp_path)
    assert [one.read_text() for one in tmp_path.iterdir()] == ["mine"]
    apply.write(applied, tmp_path, force=True)
    assert (tmp_path / f"{NEW}_{what}").read_bytes() != b"mine"
    assert len(list(tmp_path.iterdir())) == 6


def test_what_could_not_be_written_is_refused_before_anything_is_done(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="release 'brats1999' are not known: known are"):
        apply.check_outputs([NEW], tmp_path, "brats1999", force=True)
    for name in ("", "a/b", "../a"):
        with pytest.raises(SettingsError, match="cannot begin a file name; give another --case"):
            apply.check_outputs([name], tmp_path, apply.CANONICAL, force=True)


def test_a_run_that_stops_half_way_has_no_about(
    applied: apply.Applied, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    apply.write(applied, tmp_path)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pd.DataFrame, "to_csv", full)
    with pytest.raises(OSError, match="No space left"):
        apply.write(applied, tmp_path, force=True)
    assert not (tmp_path / f"{NEW}_about.json").exists()


def test_no_text_of_a_header_reaches_an_output(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tiny_study.write_case(tmp_path / NEW, tiny_study.phantom(9))
    for path in folder.iterdir():
        faults.plant_secrets(path)
    where = ["--data-dir", str(root / "data"), "--report-dir", str(root / "reports")]
    words = ["predict", str(folder), "--study", "smoke", "--fold", "0", "--device", "cpu"]
    assert main([*words, *where, "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr()
    assert f"{NEW}: " in said.out and "mL of tumour" in said.out
    # those headers name no unit, which is said without the rest of them
    assert said.out.count("\n") == 2 and "the header names no unit" in said.out
    outputs = list((tmp_path / "out").iterdir())
    assert len(outputs) == 6
    written = b"".join(one.read_bytes() for one in outputs)
    written += gzip.decompress((tmp_path / "out" / f"{NEW}_labels.nii.gz").read_bytes())
    for secret in (*faults.SECRETS, str(tmp_path)):
        assert secret.encode() not in written
        assert secret not in said.out.replace(str(tmp_path / "out"), "") + said.err
