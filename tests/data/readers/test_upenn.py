"""UPENN-GBM: where its masks lie, which of them are experts', and folders of the same name."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from gliomalib.data import orientation
from gliomalib.data.readers import survey
from tests import layouts


def test_only_the_experts_mask_is_used(tmp_path: Path) -> None:
    files = layouts.write(tmp_path, "upenn_gbm", 1)
    layouts.write(tmp_path, "upenn_gbm", 2, mask=False)
    assert (tmp_path / "UPENN-GBM/automated_segm").is_dir()
    corrected, automatic = survey.discover(tmp_path)
    assert corrected.segmentation == files["seg"]
    assert automatic.segmentation is None
    assert orientation.read(automatic).labels is None


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_all_files_in_one_folder_a_case(suffix: str, tmp_path: Path) -> None:
    files = layouts.write(tmp_path / "from", "upenn_gbm", 1, suffix=suffix)
    folder = tmp_path / "to/UPENN-GBM-00001_11"
    folder.mkdir(parents=True)
    for path in files.values():
        shutil.move(path, folder / path.name)
    automatic = folder / f"UPENN-GBM-00001_11_automated_approx_segm{suffix}"
    layouts.save(automatic, np.ones(layouts.SHAPE, np.uint8))
    (case,) = survey.discover(folder.parent)
    assert case.segmentation == folder / files["seg"].name
    scan = orientation.read(case)
    assert scan.labels is not None
    assert (scan.labels == layouts.canonical_mask()).all()


def test_diffusion_and_images_with_the_skull_are_no_cases(tmp_path: Path) -> None:
    files = layouts.write(tmp_path, "upenn_gbm", 1)
    alike = [path for path in tmp_path.rglob("UPENN-GBM-00001_11") if path.is_dir()]
    assert len(alike) == 4
    (case,) = survey.discover(tmp_path)
    assert case.images["t1"] == files["t1"]


def test_a_case_that_has_lost_its_images_is_missed(tmp_path: Path) -> None:
    files = layouts.write(tmp_path, "upenn_gbm", 1)
    shutil.rmtree(files["t1"].parent)
    found = survey.survey(tmp_path)
    assert found.cases == ()
    assert [fault.kind for fault in found.faults] == ["missing sequence"] * 4


def test_masks_in_two_folders_are_named_with_their_places(tmp_path: Path) -> None:
    files = layouts.write(tmp_path, "upenn_gbm", 1)
    copy = files["t1"].parent / files["seg"].name
    shutil.copy(files["seg"], copy)
    (fault,) = survey.survey(tmp_path).faults
    assert fault.kind == "duplicate mask"
    assert str(copy) in fault.message
    assert str(files["seg"]) in fault.message


def test_before_surgery_and_follow_up_keep_their_own_masks(tmp_path: Path) -> None:
    first = layouts.write(tmp_path, "upenn_gbm", 1)
    layouts.write(tmp_path, "upenn_gbm", 1, visit=1, mask=False)
    masks = {case.case_id: case.segmentation for case in survey.discover(tmp_path)}
    assert masks == {"UPENN-GBM-00001_11": first["seg"], "UPENN-GBM-00001_21": None}
