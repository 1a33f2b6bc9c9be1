"""MSD Task01: four sequences in one file, masks beside it, and what dataset.json says."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gliomalib.data import orientation
from gliomalib.data.readers import msd, survey
from gliomalib.schema import SEQUENCES, DataError
from tests import layouts

ROOT = "Task01_BrainTumour"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a folder with a training case and a case without mask."""
    layouts.write(tmp_path, "msd_task01", 1)
    layouts.write(tmp_path, "msd_task01", 485, mask=False)
    return tmp_path


def test_one_file_holds_all_sequences(root: Path) -> None:
    first, second = survey.discover(root)
    assert first.images == dict.fromkeys(SEQUENCES, root / ROOT / "imagesTr/BRATS_001.nii.gz")
    assert first.segmentation == root / ROOT / "labelsTr/BRATS_001.nii.gz"
    assert first.channels == ("flair", "t1", "t1ce", "t2")
    assert second.images["t2"] == root / ROOT / "imagesTs/BRATS_485.nii.gz"
    assert second.segmentation is None


def test_without_a_description_the_folders_are_enough(root: Path) -> None:
    (root / ROOT / "dataset.json").unlink()
    assert len(survey.discover(root)) == 2
    assert len(survey.discover(root / ROOT)) == 2


def test_what_must_be_described_is_what_our_tables_say() -> None:
    assert msd.EXPECTED == {
        "modality": {"0": "FLAIR", "1": "T1w", "2": "T1gd", "3": "T2w"},
        "labels": {
            "0": "background",
            "1": "edema",
            "2": "non-enhancing tumor",
            "3": "enhancing tumor",
        },
    }


def _swap(key: str, one: str, other: str) -> Callable[[dict[str, Any]], object]:
    def change(said: dict[str, Any]) -> object:
        names = said[key]
        names[one], names[other] = names[other], names[one]
        return said

    return change


@pytest.mark.parametrize(
    ("change", "key"),
    [
        (_swap("labels", "2", "3"), "labels"),
        (_swap("labels", "1", "2"), "labels"),
        (_swap("modality", "0", "3"), "modality"),
        (_swap("modality", "1", "2"), "modality"),
        (lambda said: {**said, "labels": {**said["labels"], "4": "cavity"}}, "labels"),
        (lambda said: {**said, "modality": ["FLAIR", "T1w", "t1gd", "T2w"]}, "modality"),
        (lambda said: {"labels": said["labels"]}, "modality"),
    ],
)
def test_a_description_of_another_order_is_a_fault_in_place_of_the_cases(
    change: Callable[[dict[str, Any]], object], key: str, tmp_path: Path
) -> None:
    layouts.write(tmp_path, "msd_task01", 1)
    layouts.write(tmp_path, "msd_task01", 485, mask=False)
    path = tmp_path / ROOT / "dataset.json"
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    found = survey.survey(tmp_path)
    assert found.cases == ()
    (fault,) = found.faults
    assert (fault.kind, fault.path, fault.release) == ("dataset.json", path, "msd_task01")
    expected = str(msd.EXPECTED[key])
    assert fault.message.startswith(f"{path}: {key} is ")
    assert expected in fault.message


@pytest.mark.parametrize(
    ("text", "what"),
    [("{", "cannot be read"), ("[" * 100_000, "cannot be read"), ("[]", "holds a list")],
    ids=["cut", "deep", "a list"],
)
def test_a_description_that_is_none_is_a_fault(text: str, what: str, root: Path) -> None:
    (root / ROOT / "dataset.json").write_text(text)
    (fault,) = survey.survey(root).faults
    assert f"dataset.json: {what}" in fault.message


def test_a_training_case_without_mask_is_a_fault(root: Path) -> None:
    (root / ROOT / "labelsTr/BRATS_001.nii.gz").unlink()
    found = survey.survey(root)
    assert [case.case_id for case in found.cases] == ["BRATS_485"]
    (fault,) = found.faults
    assert (fault.case_id, fault.kind) == ("BRATS_001", "no mask")
    assert "labelsTr: case BRATS_001: mask BRATS_001.nii.gz is missing" in fault.message


def test_the_images_alone_are_no_data_set_without_masks(root: Path) -> None:
    with pytest.raises(DataError, match="give the folder that holds both"):
        survey.discover(root / ROOT / "imagesTr")


def test_an_image_that_is_duplicated_is_one_fault(root: Path) -> None:
    folder = root / ROOT / "imagesTr"
    (folder / "BRATS_001.nii").write_bytes((folder / "BRATS_001.nii.gz").read_bytes())
    (fault,) = survey.survey(root).faults
    assert (fault.case_id, fault.kind) == ("BRATS_001", "duplicate image")


def test_other_files_beside_the_images_are_no_cases(root: Path) -> None:
    three = np.ones(layouts.SHAPE, np.int16)
    layouts.save(root / ROOT / "imagesTr/BRATS_001_0000.nii.gz", three)
    layouts.save(root / "Task04_Hippocampus/imagesTr/hippocampus_001.nii.gz", three)
    layouts.save(root / ROOT / "predicted/BRATS_001.nii.gz", three)
    assert len(survey.discover(root)) == 2


@pytest.mark.parametrize(
    "shape", [layouts.SHAPE, (*layouts.SHAPE, 3)], ids=["one sequence", "three sequences"]
)
def test_a_file_without_four_sequences_is_refused(shape: tuple[int, ...], root: Path) -> None:
    case = survey.discover(root)[0]
    layouts.save(case.images["t1"], np.ones(shape, np.int16))
    with pytest.raises(DataError, match=r"BRATS_001.nii.gz: (shape is|holds 3 sequences)"):
        orientation.read(case)
