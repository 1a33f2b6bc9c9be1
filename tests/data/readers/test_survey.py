"""Finding and reading cases: every layout, planted faults, the ten real patients."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from gliomalib.data import orientation
from gliomalib.data.readers import brats, survey
from gliomalib.schema import SEQUENCES, Case, DataError

SHAPE = (5, 6, 4)
AFFINE = np.diag([-1.0, -1.0, 1.0, 1.0])
HEADER = (
    "Grade,BraTS_2017_subject_ID,BraTS_2018_subject_ID,TCGA_TCIA_subject_ID,"
    "BraTS_2019_subject_ID,BraTS_2020_subject_ID\n"
)
LAYOUTS = {
    "brats2018": "MICCAI_BraTS_2018_Data_Training/HGG/Brats18_2013_2_1",
    "brats2019": "MICCAI_BraTS_2019_Data_Training/LGG/BraTS19_TMC_1_1",
    "brats2020": "MICCAI_BraTS2020_TrainingData/BraTS20_Training_007",
    "brats2021": "BraTS2021_Training_Data/BraTS2021_00007",
}


def save(path: Path, values: np.ndarray, affine: np.ndarray = AFFINE) -> None:
    nib.save(nib.Nifti1Image(values, affine), path)


def write_case(folder: Path, suffix: str = ".nii.gz", mask: str | None = "seg") -> Path:
    """Write a tiny case: sequence number k holds 10·k + noise, the mask 0, 1, 2 and 4."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for index, name in enumerate(SEQUENCES):
        values = (10 * index + rng.integers(0, 9, SHAPE)).astype(np.int16)
        save(folder / f"{folder.name}_{name}{suffix}", values)
    if mask:
        name = f"{folder.name}_{mask}{suffix}" if mask == "seg" else mask
        save(folder / name, np.resize(np.array([0, 1, 2, 4], np.uint8), SHAPE))
    return folder


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("release", LAYOUTS)
def test_each_layout_is_found_and_read(release: str, suffix: str, tmp_path: Path) -> None:
    folder = write_case(tmp_path / LAYOUTS[release], suffix)
    (case,) = survey.discover(folder.parent)
    assert (case.case_id, case.patient_id, case.release) == (folder.name, folder.name, release)
    assert case.grade == {"brats2018": "HGG", "brats2019": "LGG"}.get(release)
    assert survey.discover(tmp_path) == [case]
    scan = orientation.read(case)
    assert scan.images.shape == (4, *SHAPE)
    assert scan.images.dtype == np.float32
    assert [int(image.min()) // 10 for image in scan.images] == [0, 1, 2, 3]
    assert scan.labels is not None
    assert np.bincount(scan.labels.ravel()).tolist() == [30, 30, 30, 30]
    assert scan.spacing_mm == (1.0, 1.0, 1.0)
    assert scan.affine[0] == (-1.0, 0.0, 0.0, 0.0)


def test_several_releases_at_once_in_a_fixed_order(tmp_path: Path) -> None:
    for place in reversed(LAYOUTS.values()):
        write_case(tmp_path / "data" / place)
    write_case(tmp_path / "data/MICCAI_BraTS_2018_Data_Training/LGG/Brats18_2013_0_1")
    found = [case.case_id for case in survey.discover(tmp_path)]
    assert found == [
        "Brats18_2013_0_1",
        "Brats18_2013_2_1",
        "BraTS19_TMC_1_1",
        "BraTS20_Training_007",
        "BraTS2021_00007",
    ]


def test_a_mask_of_another_name_is_found_by_rule(tmp_path: Path) -> None:
    write_case(tmp_path / "BraTS20_Training_355", ".nii", mask="W39_1998.09.19_Segm.nii")
    write_case(tmp_path / "BraTS2021_00355", ".nii", mask="other_SEG.nii")
    masks = [case.segmentation for case in survey.discover(tmp_path)]
    assert [mask.name for mask in masks if mask] == ["W39_1998.09.19_Segm.nii", "other_SEG.nii"]


def test_a_case_without_mask_has_none(tmp_path: Path) -> None:
    write_case(tmp_path / "BraTS20_Validation_001", mask=None)
    (case,) = survey.discover(tmp_path)
    assert case.segmentation is None
    assert orientation.read(case).labels is None


def test_archive_litter_is_no_case(tmp_path: Path) -> None:
    folder = write_case(tmp_path / "BraTS20_Training_001")
    (folder / f"._{folder.name}_t1.nii.gz").write_bytes(b"litter")
    (tmp_path / "__MACOSX" / folder.name).mkdir(parents=True)
    assert [case.case_id for case in survey.discover(tmp_path)] == [folder.name]


def test_a_table_of_a_newer_release_names_patients_of_older_ones(tmp_path: Path) -> None:
    for place in LAYOUTS.values():
        write_case(tmp_path / place)
    (tmp_path / "MICCAI_BraTS2020_TrainingData/name_mapping.csv").write_text(
        HEADER
        + "HGG,Brats17_x,Brats18_2013_2_1,NA,BraTS19_2013_2_1,BraTS20_Training_136\n"
        + "LGG,NA,NA,NA,BraTS19_TMC_1_1,BraTS20_Training_007\n"
    )
    found = [(case.patient_id, case.grade) for case in survey.discover(tmp_path)]
    assert found == [
        ("BraTS20_Training_136", "HGG"),
        ("BraTS20_Training_007", "LGG"),
        ("BraTS20_Training_007", "LGG"),
        ("BraTS2021_00007", None),
    ]


def test_a_linked_release_keeps_its_table(tmp_path: Path) -> None:
    write_case(tmp_path / "disk" / "Brats18_A")
    (tmp_path / "disk" / "name_mapping.csv").write_text(HEADER + "HGG,NA,Brats18_A,NA,NA,new\n")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "release").symlink_to(tmp_path / "disk")
    assert [case.patient_id for case in survey.discover(tmp_path / "data")] == ["new"]


def test_tables_of_two_years_are_joined() -> None:
    older = brats.Identity({2018: "a", 2019: "b"}, "HGG")
    newer = brats.Identity({2019: "b", 2020: "c"}, None)
    for rows in ([older, newer], [newer, older]):
        known = brats.identities(rows)
        assert {name: entry.patient_id for name, entry in known.items()} == dict.fromkeys(
            "abc", "c"
        )
        assert {entry.grade for entry in known.values()} == {"HGG"}


def test_without_2020_the_newest_id_counts() -> None:
    assert brats.Identity({2018: "a", 2019: "b"}, None).patient_id == "b"
    assert brats.Identity({2020: "c", 2021: "d"}, None).patient_id == "c"


def test_tables_that_contradict_each_other_are_refused() -> None:
    one = brats.Identity({2018: "a", 2019: "b"}, None)
    other = brats.Identity({2018: "a", 2019: "z"}, None)
    with pytest.raises(DataError, match=r"contradict.*(b and z|z and b) in 2019"):
        brats.identities([one, other])


def test_nothing_recognised_says_what_was_looked_for_and_found(tmp_path: Path) -> None:
    (tmp_path / "patient_7").mkdir()
    with pytest.raises(DataError, match=r"looked for .*BraTS19_\*.*; found patient_7/"):
        survey.discover(tmp_path)
    with pytest.raises(DataError, match="no such folder"):
        survey.discover(tmp_path / "nowhere")
    (tmp_path / "BraTS2020_Training_001").mkdir()
    with pytest.raises(DataError, match=r"nearest is BraTS2020_Training_001, .*BraTS20_Training_"):
        survey.discover(tmp_path)


def test_a_survey_names_every_fault_and_keeps_the_sound_cases(tmp_path: Path) -> None:
    for number in (1, 2, 3):
        write_case(tmp_path / f"BraTS20_Training_00{number}")
    for number, name in ((2, "t1"), (2, "flair"), (3, "t2")):
        (
            tmp_path / f"BraTS20_Training_00{number}/BraTS20_Training_00{number}_{name}.nii.gz"
        ).unlink()
    found = survey.survey(tmp_path)
    assert [case.case_id for case in found.cases] == ["BraTS20_Training_001"]
    wrong = [(fault.case_id[-3:], fault.kind) for fault in found.faults]
    assert wrong == [("002", "missing sequence")] * 2 + [("003", "missing sequence")]
    with pytest.raises(DataError, match=r"sequence t1 is missing.*\(and 2 more: .*data verify"):
        survey.discover(tmp_path)


@pytest.mark.parametrize(
    "names", [["a_seg.nii", "b_Segm.nii"], ["brain.nii"], ["seg.nii", "x.nii"]]
)
def test_an_ambiguous_mask_is_refused(names: list[str], tmp_path: Path) -> None:
    folder = write_case(tmp_path / "BraTS20_Training_001", mask=None)
    for name in names:
        save(folder / name, np.zeros(SHAPE, np.uint8))
    with pytest.raises(DataError, match=f"cannot tell the mask among {names[0]}"):
        survey.discover(tmp_path)


def test_a_family_is_one_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case("x", "x", "phantom", {}, None)
    family = survey.Family("folders called x", ("x",), lambda tree: [case])
    monkeypatch.setattr(survey, "FAMILIES", (*survey.FAMILIES, family))
    assert survey.discover(tmp_path) == [case]


def test_real_releases_are_told_apart(real_data: Path) -> None:
    cases = survey.discover(real_data)
    found = [(case.case_id, case.release) for case in cases]
    assert found == [
        ("Brats18_2013_2_1", "brats2018"),
        ("Brats18_TCIA05_396_1", "brats2018"),
        ("BraTS19_CBICA_ASK_1", "brats2019"),
        ("BraTS19_CBICA_BHQ_1", "brats2019"),
        ("BraTS20_Training_001", "brats2020"),
        *((f"BraTS2021_{n:05d}", "brats2021") for n in (0, 2, 3, 14, 24)),
    ]
    patients = [case.patient_id for case in cases[:5]]
    assert patients == [f"BraTS20_Training_{n:03d}" for n in (136, 237, 49, 122, 1)]
    assert [case.grade for case in cases] == ["HGG"] * 5 + [None] * 5


def test_a_real_case_is_read(real_data: Path) -> None:
    case = survey.discover(real_data)[3]
    scan = orientation.read(case)
    assert scan.images.shape == (4, 240, 240, 155)
    assert scan.spacing_mm == (1.0, 1.0, 1.0)
    assert scan.labels is not None
    assert np.bincount(scan.labels.ravel())[1:].tolist() == [2063, 10911, 3611]
