"""Pictures, scores and answers of patients as files: what is read, what is named as damaged."""

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gliomalib import records, settings
from gliomalib.report import patient_files
from gliomalib.report.patient_files import Patient, Pictures
from tests.report import small_cohort as cohort
from tests.report.reading import words_of


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"patient_id": 3}', "\xff"])
def test_damaged_pictures_are_named(planted: Path, content: str) -> None:
    (planted / "patients" / "A.json").write_bytes((planted / "patients" / "0.json").read_bytes())
    (planted / "patients" / "0.json").unlink()
    cohort.built(planted)
    (planted / "patients" / "A.json").write_bytes(content.encode("latin-1"))
    soup = cohort.page_of(cohort.built(planted), "A")
    assert "There are no pictures of this patient" in words_of(soup)
    assert not soup.find("img")
    assert soup.select_one("table.masks"), "the scores are there"
    assert "patients/A.json cannot be read" in words_of(cohort.gallery_of(planted))


@pytest.mark.parametrize("source", ["https://example.org/x.png", "data:image/svg+xml,x", '"><b>'])
def test_pictures_from_elsewhere_are_no_pictures(planted: Path, source: str) -> None:
    path = planted / "patients" / "0.json"
    content = json.loads(path.read_text())
    content["slices"][0]["images"]["t1"] = source
    path.write_text(json.dumps(content))
    cohort.built(planted)
    assert all("example.org" not in page.read_text() for page in cohort.own_pages(planted))
    assert "patients/0.json cannot be read" in words_of(cohort.gallery_of(planted))


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("layers", []),
        ("layers", [*cohort.LAYERS, "4D"]),
        ("slices", []),
        ("shape", [8, 0, 5]),
        ("spacing_mm", [2.0, 2.0, math.nan]),
    ],
)
def test_pictures_that_lack_a_part_are_damaged(planted: Path, part: str, value: object) -> None:
    path = planted / "patients" / "0.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), part: value}))
    assert "patients/0.json cannot be read" in words_of(cohort.gallery_of(cohort.built(planted)))


@pytest.mark.parametrize(
    ("name", "cells", "others"),
    [
        ("05_fusion.scores", "A,NCR,0.9", "A,NCR,7"),
        ("05_fusion.scores", "A,NCR,0.9", "A,NCR,inf"),
        ("06_train_resnet50.slices", "A,0,0,0", "A,0,7,0"),
        ("06_train_resnet50.slices", "A,0,0,0", "A,-1,0,0"),
    ],
)
def test_numbers_that_cannot_be_are_damage(
    planted: Path, name: str, cells: str, others: str
) -> None:
    path = planted / "tables" / f"{name}.csv"
    assert cells in path.read_text()
    path.write_text(path.read_text().replace(cells, others))
    said = words_of(cohort.gallery_of(cohort.built(planted)))
    assert f"tables/{name}.csv does not hold what it should" in said


def test_missing_tables_are_named_and_pictures_stay(planted: Path) -> None:
    (planted / "tables" / "05_fusion.scores.csv").unlink()
    (planted / "tables" / "06_train_resnet50.slices.csv").write_text("patient_id,z\nA,x\n")
    soup = cohort.page_of(cohort.built(planted), "A")
    said = words_of(soup)
    assert "tables/05_fusion.scores.csv is missing; run notebook 05_fusion." in said
    assert "tables/06_train_resnet50.slices.csv does not hold what it should" in said
    assert "There are no scores of this patient." in said
    assert "There are no answers of the classifier" in said
    assert len(soup.select("section.slice")) == 2
    assert "so they are in no order of quality" in words_of(cohort.gallery_of(planted))


def test_a_study_of_masks_has_no_patients_to_show_and_no_fault_of_files(tmp_path: Path) -> None:
    masks = patient_files.of_study(settings.load("smoke-masks"), tmp_path)
    assert masks.patients == () and masks.table_faults == ()
    assert masks.picture_faults == (records.NO_IMAGES,)
    images = patient_files.of_study(settings.load("smoke"), tmp_path)
    assert "run notebook 05_fusion" in " ".join(images.picture_faults)


def test_folds_of_a_patient_are_averaged_first() -> None:
    rows = [
        *cohort.scores_of("A", {"NCR": 0.0, "ED": 0.5}, 0),
        *cohort.scores_of("A", {"NCR": 1.0}, 1),
    ]
    patient = Patient("A", "patient-A", "external", None, tuple(rows), ())
    assert patient.dice("NCR") == 0.5
    assert patient.dice("mean") == pytest.approx((0.25 + 1.0) / 2)
    assert math.isnan(patient.dice("ET"))


def with_whole(name: str, dice: float, *, state: str = "both", volume: bool = False) -> Patient:
    pictures = Pictures.model_validate(cohort.pictures_of(name, "test", volume=volume))
    (score,) = cohort.scores_of(name, {"WT": dice})
    score = score.model_copy(update={"state": state})
    return Patient(name, f"patient-{name}", "test", pictures, (score,), ())


def test_pages_go_from_the_worst_to_the_best_and_never_by_an_empty_mask() -> None:
    ranked = [with_whole(f"{place}", place / 10) for place in range(9)]
    empty = with_whole("empty", 1.0, state="empty")
    assert patient_files.chosen([*ranked, empty], None) == {*"012345678", "empty"}
    assert patient_files.chosen([*ranked, empty], 3) == {"0", "4", "8"}
    assert patient_files.chosen([*ranked, empty], 5) == {"0", "2", "4", "6", "8"}
    assert patient_files.chosen([*ranked, empty], 1) == {"0"}
    scrolled = [with_whole("7", 0.7, volume=True), *ranked[:7], ranked[8]]
    assert patient_files.chosen(scrolled, 3) == {"7", "0", "8"}


@given(st.lists(st.floats(0, 1), max_size=20), st.integers(1, 20), st.integers(0, 3))
def test_there_are_as_many_pages_as_may_be(dice: list[float], most: int, others: int) -> None:
    group = [with_whole(f"{place}", value) for place, value in enumerate(dice)]
    group += [with_whole(f"e{place}", 1.0, state="empty") for place in range(others)]
    assert len(patient_files.chosen(group, most)) == min(most, len(group))
