"""BraTS 2018 to 2021: the tables of names, and which file is the mask."""

from pathlib import Path

import pytest

from gliomalib.data.readers import brats, survey
from gliomalib.schema import DataError
from tests import layouts

RELEASES = {"brats2018": 2, "brats2019": 1, "brats2020": 7, "brats2021": 7}
"""Release → number of the only case."""


def test_a_mask_of_another_name_is_found_by_rule(tmp_path: Path) -> None:
    for release, name in (("brats2020", "W39_1998.09.19_Segm"), ("brats2021", "other_SEG")):
        mask = layouts.write(tmp_path, release, 355, suffix=".nii")["seg"]
        mask.rename(mask.with_stem(name))
    masks = [case.segmentation for case in survey.discover(tmp_path)]
    assert [mask.name for mask in masks if mask] == ["W39_1998.09.19_Segm.nii", "other_SEG.nii"]


def test_a_table_of_a_newer_release_names_patients_of_older_ones(tmp_path: Path) -> None:
    for release, number in RELEASES.items():
        layouts.write(tmp_path, release, number)
    (tmp_path / "MICCAI_BraTS2020_TrainingData/name_mapping.csv").write_text(
        layouts.NAMES_HEADER
        + "HGG,Brats17_x,Brats18_TCIA_002_1,NA,BraTS19_2013_2_1,BraTS20_Training_136\n"
        + "LGG,NA,NA,NA,BraTS19_TMC_00001_1,BraTS20_Training_007\n"
    )
    found = [(case.patient_id, case.grade) for case in survey.discover(tmp_path)]
    assert found == [
        ("BraTS20_Training_136", "HGG"),
        ("BraTS20_Training_007", "LGG"),
        ("BraTS20_Training_007", "LGG"),
        ("BraTS2021_00007", None),
    ]


def test_a_linked_release_keeps_its_table(tmp_path: Path) -> None:
    layouts.write(tmp_path / "disk", "brats2018", 2)
    row = "HGG,NA,Brats18_TCIA_002_1,NA,NA,new\n"
    (tmp_path / "disk" / "name_mapping.csv").write_text(layouts.NAMES_HEADER + row)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "release").symlink_to(tmp_path / "disk")
    assert [case.patient_id for case in survey.discover(tmp_path / "data")] == ["new"]


def test_without_2020_the_newest_id_counts() -> None:
    assert brats.Identity({2018: "a", 2019: "b"}, None).patient_id == "b"
    assert brats.Identity({2020: "c", 2021: "d"}, None).patient_id == "c"


@pytest.mark.parametrize(
    "names", [["a_seg.nii", "b_Segm.nii"], ["brain.nii"], ["seg.nii", "x.nii"]]
)
def test_an_ambiguous_mask_is_refused(names: list[str], tmp_path: Path) -> None:
    folder = layouts.write(tmp_path, "brats2020", 1, mask=False)["t1"].parent
    for name in names:
        layouts.save(folder / name, layouts.canonical_mask())
    with pytest.raises(DataError, match=f"cannot tell the mask among {names[0]}"):
        survey.discover(tmp_path)
