"""UPENN-GBM: where its masks lie, which of them are experts', and folders of the same name."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from gliomalib.data import orientation
from gliomalib.data.readers import survey
from tests import layouts


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


def test_a_case_that_has_lost_its_images_is_missed(tmp_path: Path) -> None:
    files = layouts.write(tmp_path, "upenn_gbm", 1)
    shutil.rmtree(files["t1"].parent)
    found = survey.survey(tmp_path)
    assert found.cases == ()
    assert [fault.kind for fault in found.faults] == ["missing sequence"] * 4


def test_before_surgery_and_follow_up_keep_their_own_masks(tmp_path: Path) -> None:
    first = layouts.write(tmp_path, "upenn_gbm", 1)
    layouts.write(tmp_path, "upenn_gbm", 1, visit=1, mask=False)
    masks = {case.case_id: case.segmentation for case in survey.discover(tmp_path)}
    assert masks == {"UPENN-GBM-00001_11": first["seg"], "UPENN-GBM-00001_21": None}
