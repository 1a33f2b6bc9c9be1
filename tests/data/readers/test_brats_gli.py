"""BraTS 2023, BraTS 2024 and BraTS-Africa: which release, which mask, which tumours."""

from pathlib import Path

import numpy as np
import pytest

from gliomalib.data import orientation
from gliomalib.data.readers import brats_gli, survey
from tests import layouts

DATA = Path("/data")


@pytest.mark.parametrize(
    ("place", "release"),
    [
        ("BraTS-GLI-00005-000", "brats2023"),
        ("BraTS-GLI-00005-001", "brats2023"),
        ("BraTS-GLI-00005-099", "brats2023"),
        ("BraTS-GLI-00005-100", "brats2024"),
        ("BraTS-GLI-02405-103", "brats2024"),
        ("BraTS2024-BraTS-GLI-TrainingData/training_data1_v2/BraTS-GLI-00005-000", "brats2024"),
        ("ASNR-MICCAI-BraTS2023-GLI-Challenge-TrainingData/BraTS-GLI-00005-100", "brats2023"),
        ("brats_2024/x/BraTS-GLI-00005-000", "brats2024"),
        ("BraTS 2023/BraTS-GLI-00005-100", "brats2023"),
        ("BraTS2024/BraTS2023/BraTS-GLI-00005-100", "brats2023"),
        ("2024-07-11/BraTS-GLI-00005-000", "brats2023"),
        ("BraTS2025/BraTS-GLI-00005-000", "brats2023"),
        ("BraTS2024/BraTS-SSA-00005-000", "brats_africa"),
    ],
)
def test_the_release_is_told_by_a_folder_above_or_by_the_time_point(
    place: str, release: str
) -> None:
    assert brats_gli.release_of(DATA / place) == release


def test_the_folder_that_is_given_may_say_the_year(tmp_path: Path) -> None:
    files = layouts.write(tmp_path, "brats2024", 5)
    (case,) = survey.discover(files["t1"].parent)
    assert case.release == "brats2024"


def test_one_number_is_one_patient_in_both_years(tmp_path: Path) -> None:
    for release in ("brats2023", "brats2024"):
        layouts.write(tmp_path, release, 5)
    found = survey.discover(tmp_path)
    assert [case.release for case in found] == ["brats2023", "brats2024"]
    assert {case.patient_id for case in found} == {"BraTS-GLI-00005"}


def test_a_resection_cavity_is_no_tumour(tmp_path: Path) -> None:
    files = layouts.write(tmp_path, "brats2024", 5)
    raw = layouts.raw_mask("brats2024")
    assert (raw == 4).sum() == layouts.CAVITY
    layouts.save(files["seg"], np.where(raw == 4, 4, 0).astype(np.uint8))
    scan = orientation.read(survey.discover(tmp_path)[0])
    assert scan.labels is not None
    assert not scan.labels.any()


@pytest.mark.parametrize(
    "place",
    [
        "labels/{case}-seg.nii.gz",
        "masks/{case}/{case}-seg.nii.gz",
        "{case}-seg.nii.gz",
        "ASNR-MICCAI-BraTS2023-GLI-Challenge-TrainingData/{case}/predicted/{case}-seg.nii.gz",
    ],
)
@pytest.mark.parametrize("own", [True, False], ids=["own mask", "no own mask"])
def test_a_mask_in_another_folder_is_not_the_case_s(place: str, own: bool, tmp_path: Path) -> None:
    files = layouts.write(tmp_path, "brats2023", 5, mask=own)
    layouts.save(
        tmp_path / place.format(case="BraTS-GLI-00005-000"), np.zeros(layouts.SHAPE, np.uint8)
    )
    (case,) = survey.discover(tmp_path)
    assert case.segmentation == files.get("seg")


def test_other_tumours_of_africa_are_no_gliomas(tmp_path: Path) -> None:
    layouts.write(tmp_path, "brats_africa", 2)
    gliomas = tmp_path / "BraTS-Africa/95_Glioma"
    layouts.write(tmp_path / "other", "brats_africa", 9)
    (tmp_path / "other/BraTS-Africa/95_Glioma").rename(gliomas.with_name("51_OtherNeoplasms"))
    found = survey.survey(tmp_path)
    assert [case.case_id for case in found.cases] == ["BraTS-SSA-00002-000"]
    (fault,) = found.faults
    assert (fault.case_id, fault.kind) == ("BraTS-SSA-00009-000", "no glioma")
    assert "51_OtherNeoplasms" in fault.message
    assert len(survey.discover(gliomas)) == 1
