"""Who is who: the tables of IDs, by their columns, and what they say of each case."""

from collections import Counter
from pathlib import Path

import openpyxl
import pytest

from gliomalib.data.readers import layout, people, survey, tables
from gliomalib.schema import DataError
from tests import layouts

RELEASES = {"brats2018": 2, "brats2019": 1, "brats2020": 7, "brats2021": 7}
"""Release → number of the only case."""


def test_a_table_of_a_newer_release_names_patients_of_older_ones(tmp_path: Path) -> None:
    for release, number in RELEASES.items():
        layouts.write(tmp_path, release, number)
    (tmp_path / "MICCAI_BraTS2020_TrainingData/name_mapping.csv").write_text(
        layouts.NAMES_HEADER
        + "HGG,Brats17_x,Brats18_TCIA_002_1,NA,BraTS19_2013_2_1,BraTS20_Training_136\n"
        + "LGG,NA,NA,NA,BraTS19_TMC_00001_1,BraTS20_Training_007\n"
    )
    found = [(case.patient_id, case.grade, case.site) for case in survey.discover(tmp_path)]
    assert found == [
        ("BraTS20_Training_136", "HGG", "2013"),
        ("BraTS20_Training_007", "LGG", "TMC"),
        ("BraTS20_Training_007", "LGG", "TMC"),
        ("BraTS2021_00007", None, ""),
    ]


def test_a_linked_release_keeps_its_table(tmp_path: Path) -> None:
    layouts.write(tmp_path / "disk", "brats2018", 2)
    row = "HGG,NA,Brats18_TCIA_002_1,NA,NA,new\n"
    (tmp_path / "disk" / "name_mapping.csv").write_text(layouts.NAMES_HEADER + row)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "release").symlink_to(tmp_path / "disk")
    assert [case.patient_id for case in survey.discover(tmp_path / "data")] == ["new"]


def test_without_2020_the_newest_id_counts() -> None:
    assert people.Identity({2018: "a", 2019: "b"}, None).patient_id == "b"
    assert people.Identity({2020: "c", 2021: "d"}, None).patient_id == "c"


def test_a_table_is_known_by_its_columns_whatever_it_is_called(tmp_path: Path) -> None:
    layouts.write(tmp_path, "brats2021", 5)
    layouts.write(tmp_path, "brats2020", 9)
    table = "BraTS_2021_subject_ID,BraTS_2020_subject_ID\nBraTS2021_00005,BraTS20_Training_009\n"
    (tmp_path / "same.csv").write_text(table)
    (tmp_path / "survival.csv").write_text("BraTS20ID,Age\nBraTS20_Training_009,61\n")
    (tmp_path / "latin.csv").write_bytes("Größe\n1\n".encode("latin-1"))
    patients = [case.patient_id for case in survey.discover(tmp_path)]
    assert patients == ["BraTS20_Training_009"] * 2
    (tmp_path / "same.csv").write_text(table + "a,b,c\n")
    with pytest.raises(DataError, match=r"same.csv: cannot be read \(line 3 has more cells"):
        survey.discover(tmp_path)


def test_tables_of_two_families_together_name_a_patient(tmp_path: Path) -> None:
    """UCSF-PDGM names BraTS 2021, which another table joins to 2020 with its grade and site."""
    layouts.write(tmp_path, "ucsf_pdgm", 4)
    layouts.write(tmp_path, "brats2021", 97)
    layouts.ucsf_table(tmp_path / "UCSF-PDGM-metadata_v5.csv", [("UCSF-PDGM-004", "00097", "4")])
    (tmp_path / "2021.csv").write_text(
        "Grade,BraTS2021,BraTS2020,BraTS2018\n"
        "LGG,BraTS2021_00097,BraTS20_Training_300,Brats18_TCIA09_300_1\n"
    )
    found = [(case.patient_id, case.grade, case.site) for case in survey.discover(tmp_path)]
    assert found == [
        ("BraTS20_Training_300", "LGG", "TCIA09"),
        ("BraTS20_Training_300", "HGG", "TCIA09"),
    ]


@pytest.mark.parametrize(
    ("name", "site"),
    [
        ("Brats18_2013_2_1", "2013"),
        ("Brats18_TCIA05_396_1", "TCIA05"),
        ("BraTS19_CBICA_ASK_1", "CBICA"),
        ("BraTS19_TMC_09043_1", "TMC"),
        ("Phantom-B-065", "B"),
        ("Phantom-A-001-copy", "A"),
        ("Brats17_CBICA_AXN_1", "CBICA"),
        ("Brats17_TCIA_639_1", ""),
        ("BraTS20_Training_001", ""),
        ("BraTS2021_00000", ""),
        ("Brats18_A", ""),
    ],
)
def test_which_ids_name_a_site(name: str, site: str) -> None:
    assert people.site_of(["x", name]) == site


@pytest.mark.parametrize("column", ["Grade", "grade", "GRADE"])
@pytest.mark.parametrize(
    ("cell", "grade"), [("HGG", "HGG"), (" lgg ", "LGG"), ("NA", None), ("n/a", None), ("", None)]
)
def test_a_grade_is_known_in_small_letters_too(
    column: str, cell: str, grade: str | None, tmp_path: Path
) -> None:
    path = tmp_path / "mapping.csv"
    path.write_text(f"{column},BraTS2020\n{cell},a\n")
    assert [person.grade for person in people.read_mapping(path)] == [grade]


def test_a_column_of_sites_has_names_where_the_ids_agree(tmp_path: Path) -> None:
    """Site 1 is CBICA by its patients' IDs, 2 has no name, of 3 nobody knows which one it is."""
    rows = {
        "BraTS2021_00001,Brats18_CBICA_AAB_1,1": "CBICA",
        "BraTS2021_00002,N/A,1": "CBICA",
        "BraTS2021_00003,NA,2": "site 2",
        "BraTS2021_00004,Brats18_TCIA02_4_1,3": "TCIA02",
        "BraTS2021_00005,Brats18_TCIA04_5_1,3": "TCIA04",
        "BraTS2021_00006,NA,3": "",
        "BraTS2021_00007,NA,NA": "",
        "BraTS2021_00008,Brats18_TMC_8_1,NA": "TMC",
        "BraTS2021_00009,NA,Mainz": "Mainz",
    }
    header = "BraTS2021,BraTS2018,Site No (represents the originating institution)"
    path = tmp_path / "mapping.csv"
    path.write_text("\n".join([header, *rows]))
    assert [row.site for row in people.read_mapping(path)] == list(rows.values())


GLI_COLUMNS = (
    *("BraTS2023", "BraTS2021", "BraTS2020", "BraTS2019", "BraTS2018", "BraTS2017"),
    *("Cohort Name (if publicly available)", "Local ID "),
    "Site No (represents the originating institution)",
)
"""Columns of BraTS2023_2017_GLI_Mapping.xlsx as code that reads it names them."""


def sheet(path: Path, *rows: dict[str, object]) -> None:
    book = openpyxl.Workbook()
    book.active.append(GLI_COLUMNS)
    for row in rows:
        book.active.append([row.get(name, "N/A") for name in GLI_COLUMNS])
    book.save(path)


def test_the_organisers_sheet_joins_2023_to_all_years(tmp_path: Path) -> None:
    """Two examinations of one patient were two patients in 2021; now they are one."""
    for visit in (0, 1):
        layouts.write(tmp_path, "brats2023", 8, visit=visit)
    layouts.write(tmp_path, "brats2021", 8)
    layouts.write(tmp_path, "brats2020", 8)
    layouts.write(tmp_path, "brats2024", 31)
    sheet(
        tmp_path / "any name.xlsx",
        {"BraTS2023": "BraTS-GLI-00008-000", "BraTS2021": "BraTS2021_00008", GLI_COLUMNS[-1]: 3.0},
        {
            **{"BraTS2023": "BraTS-GLI-00008-001", "BraTS2021": "BraTS2021_01666"},
            **{"BraTS2020": "BraTS20_Training_008", GLI_COLUMNS[-1]: 3},
        },
    )
    found = {case.case_id: (case.patient_id, case.site) for case in survey.discover(tmp_path)}
    assert found.pop("BraTS-GLI-00031-100") == ("BraTS-GLI-00031", "")
    assert len(found) == 4
    assert set(found.values()) == {("BraTS20_Training_008", "site 3")}


def test_a_sheet_that_is_damaged_is_a_fault_by_its_name(tmp_path: Path) -> None:
    layouts.write(tmp_path, "brats2023", 8)
    (tmp_path / "notes.xlsx").write_bytes(b"no sheet")
    assert survey.survey(tmp_path).faults == ()
    (tmp_path / "BraTS2023_2017_GLI_Mapping.xlsx").write_bytes(b"no sheet")
    (fault,) = survey.survey(tmp_path).faults
    assert fault.kind == tables.KIND
    assert "GLI_Mapping.xlsx: cannot be read (File is not a zip file); fetch" in fault.message


def own(root: Path, text: str) -> list[str]:
    """Return the patient of each of three cases where the user's own table says ``text``."""
    layouts.write(root, "brats2019", 1)
    layouts.write(root, "brats2021", 5)
    layouts.write(root, "ucsf_pdgm", 4)
    (root / "same_patient.csv").write_text(text)
    return [case.patient_id for case in survey.discover(root)]


@pytest.mark.parametrize("first", ["", "mine,theirs\n"])
def test_a_table_of_the_users_own_joins_patients(first: str, tmp_path: Path) -> None:
    text = first + "BraTS2021_00005, UCSF-PDGM-0004\nUCSF-PDGM-0004,BraTS19_TMC_00001_1\n"
    assert own(tmp_path, text) == ["BraTS19_TMC_00001_1"] * 3


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("BraTS2021_00005,UCSF-PDGM-004\n", "line 1: 'UCSF-PDGM-004' is no ID"),
        ("a,b\nBraTS2021_0005,UCSF-PDGM-0004\n", "line 2: 'BraTS2021_0005' is no ID"),
        ("a,b\nc,d\n", "line 2: 'c' is no ID"),
        ("BraTS2021_00005\n", "line 1: 1 cells"),
        ("a,b,c\n", "line 1: 3 cells"),
    ],
)
def test_a_wrong_line_of_it_is_one_sentence(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=rf"same_patient.csv, {said}, expected two IDs.*correct the"
    ):
        own(tmp_path, text)
    (fault,) = survey.survey(tmp_path).faults
    assert (fault.kind, "\n" in fault.message) == (tables.KIND, False)


def test_nine_of_2021_are_patients_of_2020(real_data: Path, tmp_path: Path) -> None:
    """With boxes and whole scans in one folder nobody is two patients.

    One is there under the same ID in both, which a fault says.
    """
    beside = [real_data.parent / name for name in ("real-more", "real-cubes")]
    if not all(folder.is_dir() for folder in beside):
        pytest.skip("no boxes beside the real patients")
    for folder in (real_data, *beside):
        (tmp_path / folder.name).symlink_to(folder)
    found = survey.survey(tmp_path)
    cases = found.cases
    assert [fault.kind for fault in found.faults] == ["duplicate ID"]
    whole = [case for case in cases if "real-cubes" not in str(case.images["t1"])]
    boxed = {case.patient_id for case in cases} - {case.patient_id for case in whole}
    joined = {case.case_id: case.patient_id for case in whole if case.release == "brats2021"}
    nine = [*range(1476, 1482), *range(1483, 1486)]
    assert {name: joined[name] for name in joined if joined[name] != name} == {
        f"BraTS2021_{n:05d}": f"BraTS20_Training_{n - 1205:03d}" for n in nine
    }
    assert (len(whole), len(boxed)) == (24, 349)


def test_the_sites_of_the_real_table(real_data: Path) -> None:
    files = tables.below(layout.scan(real_data))
    rows = people.read_mapping(next(path for path in files if "2020" in str(path)))
    sites = Counter(row.site for row in rows)
    assert sum(sites.values()) == 369
    assert dict(sites) == {
        **{"CBICA": 129, "TCIA10": 35, "TCIA02": 34, "": 34, "2013": 30, "TCIA01": 22},
        **{"TCIA08": 14, "TCIA13": 13, "TCIA03": 12, "TCIA09": 11, "TMC": 9},
        **{"TCIA04": 8, "TCIA06": 8, "TCIA12": 6, "TCIA05": 4},
    }
