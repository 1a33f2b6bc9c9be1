"""Who is who: the tables of IDs, by their columns, and what they say of each case."""

from collections import Counter
from pathlib import Path

import pytest

from gliomalib.data.readers import layout, people, survey
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


def test_the_sites_of_the_real_table(real_data: Path) -> None:
    tables = layout.scan(real_data).named(people.TABLES)
    rows = people.read_mapping(next(path for path in tables if "2020" in str(path)))
    sites = Counter(row.site for row in rows)
    assert sum(sites.values()) == 369
    assert dict(sites) == {
        **{"CBICA": 129, "TCIA10": 35, "TCIA02": 34, "": 34, "2013": 30, "TCIA01": 22},
        **{"TCIA08": 14, "TCIA13": 13, "TCIA03": 12, "TCIA09": 11, "TMC": 9},
        **{"TCIA04": 8, "TCIA06": 8, "TCIA12": 6, "TCIA05": 4},
    }
