"""Notebook 01 counts everybody once, and names whom it left out."""

import pandas as pd

from gliomalib.cohort.gather import Cohort
from gliomalib.data.readers.people import Identity
from gliomalib.experiments import data_exploration
from gliomalib.schema import Split

PARTS = ["internal", "internal", "external", "duplicate"]
CASES = pd.DataFrame({"patient_id": ["A", "B", "C", "A"], "part": PARTS})
SPLITS = [Split(0, ("A",), (), ("B",), ("C",)), Split(1, ("B",), (), ("A",), ("C",))]
UNUSED = pd.DataFrame({"kind": ["archive", "hidden"], "files": [3, 1]})
NOTES = pd.DataFrame({"case_id": ["A"], "kind": ["far outliers"]})
COHORT = Cohort(CASES, pd.DataFrame(), pd.DataFrame(), NOTES, UNUSED, ())
LINKS = pd.DataFrame({"how": ["table", "table", "suspect"]})


def test_cohort_counts_parts_and_folds() -> None:
    found = {value.name: value for value in data_exploration.values(COHORT, SPLITS)}
    assert found["patients_internal"].value == 2 and found["patients_test"].value == 2
    assert found["unused_files"].value == 4 and found["notes"].value == 1
    assert found["duplicates"].value == 1 and found["examinations"].n_patients == 3
    assert all(value.rule for value in found.values())


def test_links_are_counted_by_how_they_were_found() -> None:
    values = data_exploration.who_is_who(LINKS, [])
    assert [value.value for value in values] == [2, 0, 1]


def test_patients_of_several_years_leak_where_the_years_are_pooled() -> None:
    years = (2018, 2019, 2020)
    people = [Identity({year: f"{n}" for year in years[n % 3 :]}, None) for n in range(9)]
    values = data_exploration.who_is_who(LINKS, people)
    found = {value.name: value for value in values}
    assert [found[f"patients_{year}"].value for year in years] == [3, 6, 9]
    assert found["pooled_volumes"].value == 18 and found["pooled_patients"].value == 9
    assert found["leaking_share"].n_patients == 9 and 0 < found["leaking_share"].value < 1
    said = data_exploration.conclusion(data_exploration.values(COHORT, SPLITS) + values)
    assert "The tables of names put 18 volumes of 9 patients into the pooled years" in said


def test_the_conclusion_tells_of_duplicates_and_of_years_nobody_has_a_table_for() -> None:
    values = data_exploration.values(COHORT, SPLITS) + data_exploration.who_is_who(LINKS, [])
    said = data_exploration.conclusion(values)
    assert said.startswith(
        "2 internal patients (2 of them held out, in 2 folds) and 1 external one;"
    )
    assert "1 further examination of the same patients was set aside (1 on suspicion)" in said
    assert said.endswith("No table tells who of one BraTS year is in another.")
