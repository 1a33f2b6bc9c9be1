"""Finding cases: what is missing, what is wrong with a case, the real patients."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from gliomalib.data import orientation
from gliomalib.data.readers import survey
from gliomalib.schema import SEQUENCES, Case, DataError
from tests import layouts


def test_nothing_recognised_says_what_was_looked_for_and_found(tmp_path: Path) -> None:
    (tmp_path / "patient_7").mkdir()
    with pytest.raises(DataError, match=r"looked for .*BraTS19_\*.*; found patient_7/"):
        survey.discover(tmp_path)
    with pytest.raises(DataError, match="no such folder"):
        survey.discover(tmp_path / "nowhere")
    (tmp_path / "BraTS2020_Training_001").mkdir()
    with pytest.raises(DataError, match=r"BraTS2020_Training_001: .*did you mean BraTS20_T"):
        survey.discover(tmp_path)


def test_a_survey_names_every_fault_and_keeps_the_sound_cases(tmp_path: Path) -> None:
    for number, missing in enumerate(((), ("t1", "flair"), ("t2",)), 1):
        files = layouts.write(tmp_path, "brats2020", number)
        for name in missing:
            files[name].unlink()
    found = survey.survey(tmp_path)
    assert [case.case_id for case in found.cases] == ["BraTS20_Training_001"]
    wrong = [(fault.case_id[-3:], fault.kind) for fault in found.faults]
    assert wrong == [("002", "missing sequence")] * 2 + [("003", "missing sequence")]
    with pytest.raises(DataError, match=r"sequence t1 is missing.*\(and 2 more: .*data verify"):
        survey.discover(tmp_path)


def test_a_mask_alone_is_a_case_where_only_masks_count(tmp_path: Path) -> None:
    files = layouts.write(tmp_path, "brats2020", 1)
    for name in SEQUENCES:
        files[name].unlink()
    layouts.write(tmp_path, "brats2020", 2)["seg"].unlink()
    whole = survey.survey(tmp_path)
    assert [case.case_id[-3:] for case in whole.cases] == ["002"] and len(whole.faults) == 4
    first, second = survey.survey(tmp_path, masks=True).cases
    assert (first.images, first.segmentation) == ({}, files["seg"]) and not second.segmentation
    assert survey.survey(tmp_path, masks=True).faults == ()
    (tmp_path / "BraTS20_Training_003").mkdir()
    faults = survey.survey(tmp_path, masks=True).faults
    assert {fault.case_id for fault in faults} == {"BraTS20_Training_003"}, "it has no mask either"


def test_a_family_is_one_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case("x", "x", "phantom", {}, None)
    facts = {"LOOKED_FOR": "folders called x", "EXAMPLES": ("x",), "NAMING": None}
    family = SimpleNamespace(**facts, find=lambda _: [case])
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
    assert len(scan.images) == 4 and scan.shape == (240, 240, 155)
    assert scan.spacing_mm == (1.0, 1.0, 1.0)
    assert scan.labels is not None
    assert np.bincount(scan.labels.ravel())[1:].tolist() == [2063, 10911, 3611]
