"""UCSF-PDGM: which files are a case's, follow-ups, and who is also in BraTS 2021."""

from pathlib import Path

import pytest

from gliomalib.data.readers import survey, tables, ucsf
from gliomalib.schema import Case, DataError
from tests import layouts

TABLE = "UCSF-PDGM-metadata_v5.csv"


def cases(root: Path) -> dict[str, Case]:
    """Return case ID → case of a folder without faults."""
    return {case.case_id: case for case in survey.discover(root)}


def test_the_table_says_who_is_in_brats_2021_and_the_grade(tmp_path: Path) -> None:
    for number in (4, 5, 7, 8, 10):
        layouts.write(tmp_path, "ucsf_pdgm", number)
    layouts.ucsf_table(
        tmp_path / TABLE,
        [
            ("UCSF-PDGM-004", "BraTS2021_00097", "4"),
            ("UCSF-PDGM-005", "", "2"),
            ("UCSF-PDGM-007", "NA", "3"),
            ("UCSF-PDGM-008", "00169", "unknown"),
            ("UCSF-PDGM-541", "BraTS2021_00001", "4"),
        ],
    )
    found = [(case.patient_id, case.grade) for case in cases(tmp_path).values()]
    assert found == [
        ("BraTS2021_00097", "HGG"),
        ("UCSF-PDGM-0005", "LGG"),
        ("UCSF-PDGM-0007", None),
        ("BraTS2021_00169", None),
        ("UCSF-PDGM-0010", None),
    ]


@pytest.mark.parametrize(
    ("first", "second", "patient"),
    [
        ("BraTS2021_00639", "BraTS2021_00557", "BraTS2021_00639"),
        ("", "BraTS2021_00499", "BraTS2021_00499"),
        ("BraTS2021_00639", "", "BraTS2021_00639"),
        ("", "", "UCSF-PDGM-0429"),
    ],
)
def test_a_follow_up_belongs_to_its_patient(
    first: str, second: str, patient: str, tmp_path: Path
) -> None:
    for visit in (0, 1):
        layouts.write(tmp_path, "ucsf_pdgm", 429, visit=visit)
    rows = [("UCSF-PDGM-0429_FU003d", second, "4"), ("UCSF-PDGM-429", first, "4")]
    layouts.ucsf_table(tmp_path / TABLE, rows)
    found = cases(tmp_path)
    assert list(found) == ["UCSF-PDGM-0429", "UCSF-PDGM-0429_FU003d"]
    assert {case.patient_id for case in found.values()} == {patient}


def test_the_first_versions_names_of_follow_ups_are_known(tmp_path: Path) -> None:
    layouts.write(tmp_path, "ucsf_pdgm", 138)
    layouts.write(tmp_path, "ucsf_pdgm", 429)
    layouts.ucsf_table(
        tmp_path / "UCSF-PDGM-metadata_v2.csv",
        [("UCSF-PDGM-138", "BraTS2021_00557", "4"), ("UCSF-PDGM-429", "BraTS2021_00639", "4")],
    )
    found = cases(tmp_path)
    assert list(found) == ["UCSF-PDGM-0429", "UCSF-PDGM-0429_FU003d"]
    assert {case.patient_id for case in found.values()} == {"BraTS2021_00639"}
    follow_up = found["UCSF-PDGM-0429_FU003d"]
    assert follow_up.images["t1"].name == "UCSF-PDGM-0138_T1.nii.gz"


def test_the_glossary_is_no_table(tmp_path: Path) -> None:
    layouts.write(tmp_path, "ucsf_pdgm", 4)
    (tmp_path / "UCSF-PDGM-metadata_glossary.csv").write_text("Column,Definition\nID,name\n")
    assert list(cases(tmp_path)) == ["UCSF-PDGM-0004"]


ROW = ("UCSF-PDGM-004", "BraTS2021_00097", "4")
WRONG = {
    "two rows of one exam": ([ROW, (ROW[0], ROW[1], "2")], "line 3.*BraTS2021_00097, LGG.*line 2"),
    "two IDs of one exam": ([ROW, (ROW[0], "BraTS2021_00098", "4")], "line 3.*00098.*00097"),
    "one ID of two patients": ([ROW, ("UCSF-PDGM-005", ROW[1], "4")], "line 3.*PDGM-0005.*-0004"),
    "no ID": ([("", "", "4")], "line 2: ID is ''"),
    "a strange ID": ([("TCGA-02-0001", "", "4")], "line 2: ID is 'TCGA-02-0001'"),
    "a strange BraTS ID": ([("UCSF-PDGM-004", "BraTS20_1", "4")], "BraTS21 ID is 'BraTS20_1'"),
    "a strange grade": ([("UCSF-PDGM-004", "", "IV")], "WHO CNS Grade is 'IV', expected 2, 3 or 4"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_table_that_is_wrong_is_a_fault(wrong: str, tmp_path: Path) -> None:
    rows, message = WRONG[wrong]
    layouts.write(tmp_path, "ucsf_pdgm", 4)
    path = layouts.ucsf_table(tmp_path / TABLE, rows)
    (fault,) = survey.survey(tmp_path).faults
    assert (fault.kind, fault.release) == (tables.KIND, "ucsf_pdgm")
    with pytest.raises(DataError, match=f"{path.name}.*{message}"):
        survey.discover(tmp_path)


@pytest.mark.parametrize("column", ucsf.COLUMNS)
def test_a_table_without_a_column_is_a_fault(column: str, tmp_path: Path) -> None:
    layouts.write(tmp_path, "ucsf_pdgm", 4)
    path = layouts.ucsf_table(tmp_path / TABLE, [ROW])
    path.write_text(path.read_text().replace(column, "Other", 1))
    (fault,) = survey.survey(tmp_path).faults
    assert fault.kind == tables.KIND
    assert fault.message.startswith(f"{path}: no row with {column};")
