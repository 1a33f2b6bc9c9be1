"""Every release of every family: found, read, recognised beside the others, faults named."""

from pathlib import Path

import numpy as np
import pytest

from gliomalib import labels
from gliomalib.data import orientation
from gliomalib.data.readers import survey
from gliomalib.schema import SEQUENCES, Case, DataError, Scan
from tests import layouts

RELEASES = tuple(layouts.LAYOUTS)
LAST = {release: len(layout.visits) - 1 for release, layout in layouts.LAYOUTS.items()}


def check_sequences(scan: Scan) -> None:
    """Sequence k holds 10·k + 1 to 10·k + 9: exchanged ones are seen."""
    assert len(scan.images) == 4 and scan.shape == layouts.SHAPE
    for k, image in enumerate(scan.images):
        assert 10 * k < image.min() < image.max() < 10 * k + 10, SEQUENCES[k]


def test_every_release_with_labels_has_a_layout() -> None:
    real = [name for name in labels.RELEASES if not name.startswith("phantom")]
    assert sorted(RELEASES) == sorted(real)


@pytest.mark.parametrize("mask", [True, False], ids=["mask", "no mask"])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("release", RELEASES)
def test_a_case_is_found_and_read(release: str, suffix: str, mask: bool, tmp_path: Path) -> None:
    files = layouts.write(tmp_path, release, 7, suffix=suffix, mask=mask)
    (case,) = survey.discover(tmp_path)
    assert case.release == release
    assert case.case_id == layouts.case_id(release, 7)
    assert case.patient_id == layouts.patient_id(release, 7)
    assert case.grade == layouts.LAYOUTS[release].grade
    assert case.files == files
    scan = orientation.read(case)
    check_sequences(scan)
    if mask:
        assert scan.labels is not None
        assert (scan.labels == layouts.canonical_mask()).all()
    else:
        assert scan.labels is None


def test_many_releases_in_one_folder_give_all_their_cases(tmp_path: Path) -> None:
    wanted = []
    for release in RELEASES:
        for number in (3, 12):
            layouts.write(tmp_path, release, number, visit=LAST[release])
            wanted.append((release, layouts.case_id(release, number, LAST[release])))
    found = survey.discover(tmp_path)
    assert [(case.release, case.case_id) for case in found] == sorted(wanted)
    for case in found:
        check_sequences(orientation.read(case))
    assert {case.release for case in found if case.channels} == {"msd_task01"}


@pytest.mark.parametrize("release", [name for name in RELEASES if LAST[name]])
def test_several_time_points_are_one_patient(release: str, tmp_path: Path) -> None:
    for number, visit in ((3, 0), (3, 1), (4, 0)):
        layouts.write(tmp_path, release, number, visit=visit)
    found = survey.discover(tmp_path)
    patients = [layouts.patient_id(release, number) for number in (3, 3, 4)]
    assert [case.patient_id for case in found] == patients
    # where one examination of a patient is kept it is the first by ID, before treatment
    assert found[0].case_id == layouts.case_id(release, 3, 0)
    assert len({case.case_id for case in found}) == 3


@pytest.mark.parametrize("sequence", SEQUENCES)
@pytest.mark.parametrize("release", [name for name in RELEASES if name != "msd_task01"])
def test_a_missing_and_a_duplicated_sequence(release: str, sequence: str, tmp_path: Path) -> None:
    whole = survey.survey(_written(tmp_path, release))
    assert (len(whole.cases), whole.faults) == (1, ())
    path = whole.cases[0].images[sequence]
    copy = path.with_name(path.name.removesuffix(".gz"))
    layouts.save(copy, np.ones(layouts.SHAPE, np.int16))
    _check_fault(
        tmp_path, whole.cases[0], "duplicate sequence", f"sequence {sequence} is duplicated"
    )
    path.unlink()
    copy.unlink()
    _check_fault(tmp_path, whole.cases[0], "missing sequence", f"sequence {sequence} is missing")


@pytest.mark.parametrize("release", [name for name in RELEASES if name[:-2] != "brats20"])
def test_a_mask_that_is_duplicated(release: str, tmp_path: Path) -> None:
    (case,) = survey.discover(_written(tmp_path, release))
    assert case.segmentation
    plain = case.segmentation.with_name(case.segmentation.name.removesuffix(".gz"))
    layouts.save(plain, layouts.raw_mask(release))
    _check_fault(tmp_path, case, "duplicate mask", f"the mask is duplicated.*{plain}")


@pytest.mark.parametrize("release", RELEASES)
def test_an_examination_that_is_duplicated(release: str, tmp_path: Path) -> None:
    for copy in ("a", "b"):
        layouts.write(tmp_path / copy, release, 7)
    found = survey.survey(tmp_path)
    if release == "upenn_gbm":
        # its masks lie apart from its images, so nobody can say whose they are
        assert {fault.kind for fault in found.faults} == {"duplicate mask"}
    else:
        assert [fault.kind for fault in found.faults] == ["duplicate ID"]


@pytest.mark.parametrize(
    ("seen", "wanted"),
    [
        ("BraTS-GLI-005-000", "BraTS-GLI-00000-000"),
        ("UCSF_PDGM_0004_nifti", "UCSF-PDGM-0004_nifti"),
        ("UPENN-GBM-00001", "UPENN-GBM-00001_11"),
    ],
)
def test_a_name_that_is_nearly_right_is_pointed_at(seen: str, wanted: str, tmp_path: Path) -> None:
    (tmp_path / seen).mkdir()
    with pytest.raises(DataError, match=f"{seen}.*{wanted}"):
        survey.discover(tmp_path)


def _written(root: Path, release: str) -> Path:
    layouts.write(root, release, 7)
    return root


def _check_fault(root: Path, case: Case, kind: str, message: str) -> None:
    found = survey.survey(root)
    assert found.cases == ()
    (fault,) = found.faults
    assert (fault.case_id, fault.patient_id, fault.release) == (
        case.case_id,
        case.patient_id,
        case.release,
    )
    assert fault.kind == kind
    with pytest.raises(DataError, match=f"{case.case_id}.*{message}"):
        survey.discover(root)
