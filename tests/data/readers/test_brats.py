"""BraTS 2018 to 2021: which file is the mask."""

from pathlib import Path

import pytest

from gliomalib.data.readers import survey
from gliomalib.schema import DataError
from tests import layouts


def test_a_mask_of_another_name_is_found_by_rule(tmp_path: Path) -> None:
    for release, name in (("brats2020", "W39_1998.09.19_Segm"), ("brats2021", "other_SEG")):
        mask = layouts.write(tmp_path, release, 355, suffix=".nii")["seg"]
        mask.rename(mask.with_stem(name))
    masks = [case.segmentation for case in survey.discover(tmp_path)]
    assert [mask.name for mask in masks if mask] == ["W39_1998.09.19_Segm.nii", "other_SEG.nii"]


@pytest.mark.parametrize(
    "names", [["a_seg.nii", "b_Segm.nii"], ["brain.nii"], ["seg.nii", "x.nii"]]
)
def test_an_ambiguous_mask_is_refused(names: list[str], tmp_path: Path) -> None:
    folder = layouts.write(tmp_path, "brats2020", 1, mask=False)["t1"].parent
    for name in names:
        layouts.save(folder / name, layouts.canonical_mask())
    with pytest.raises(DataError, match=f"cannot tell the mask among {names[0]}"):
        survey.discover(tmp_path)
