"""Cohorts on disk: the layout of BraTS 2020, whole patients only, nothing made twice."""

import csv
import dataclasses
import json
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from gliomalib.phantoms import write
from gliomalib.phantoms.patient import PhantomPlan, make_patient
from gliomalib.phantoms.write import write_cohort
from gliomalib.schema import SEQUENCES, DataError, SettingsError
from tests.faults import digests

PLAN = PhantomPlan(seed=3, spacing_mm=6.0)
NUMBERS = (1, 2, 12)
NAMES = ["Phantom-A-001", "Phantom-A-002", "Phantom-A-012"]


def _times(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in sorted(folder.rglob("*.nii.gz"))}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_cohort(tmp_path_factory.mktemp("made"), PLAN, NUMBERS)


@pytest.fixture
def cohort(made: Path, tmp_path: Path) -> Path:
    """Return a copy of the cohort that a test may spoil; its release's folder."""
    shutil.copytree(made, tmp_path / made.name)
    return tmp_path / made.name


def test_the_layout_is_that_of_brats_2020(made: Path) -> None:
    assert made.name == "Phantoms"
    assert sorted(path.name for path in made.iterdir()) == [*NAMES, "name_mapping.csv"]
    for name in NAMES:
        files = {path.name for path in (made / name).iterdir()}
        images = {f"{name}_{part}.nii.gz" for part in (*SEQUENCES, "seg")}
        assert files == images | {"phantom.json"}


def test_files_hold_what_was_made(made: Path) -> None:
    patient = make_patient(PLAN, 12)
    folder = made / NAMES[2]
    for sequence, image in zip(SEQUENCES, patient.images, strict=True):
        stored = nib.load(folder / f"{NAMES[2]}_{sequence}.nii.gz")
        assert stored.get_data_dtype() == np.int16
        assert np.array_equal(np.asanyarray(stored.dataobj), image)
        assert np.array_equal(stored.affine, np.array(patient.affine))
        assert nib.aff2axcodes(stored.affine) == ("L", "P", "S")
        assert stored.header.get_zooms() == (6.0, 6.0, 6.0)


def test_masks_hold_the_labels_of_brats(made: Path) -> None:
    for name, number in zip(NAMES, NUMBERS, strict=True):
        raw = np.asanyarray(nib.load(made / name / f"{name}_seg.nii.gz").dataobj)
        assert set(np.unique(raw).tolist()) <= {0, 1, 2, 4}
        labels = make_patient(PLAN, number).labels
        assert np.array_equal(raw == 4, labels == 3)
        assert np.array_equal(raw == 2, labels == 2)


def test_the_table_of_names_has_the_organisers_columns(made: Path) -> None:
    with (made / "name_mapping.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == [
        "Grade",
        "BraTS_2017_subject_ID",
        "BraTS_2018_subject_ID",
        "TCGA_TCIA_subject_ID",
        "BraTS_2019_subject_ID",
        "BraTS_2020_subject_ID",
    ]
    assert [row["BraTS_2020_subject_ID"] for row in rows] == NAMES
    assert [row["Grade"] for row in rows] == [make_patient(PLAN, n).grade for n in NUMBERS]
    assert {row[f"BraTS_{year}_subject_ID"] for row in rows for year in (2017, 2018, 2019)} == {
        "NA"
    }


def test_the_columns_are_those_of_the_real_table(real_data: Path, made: Path) -> None:
    real = real_data / "MICCAI_BraTS2020_TrainingData" / "name_mapping.csv"
    headers = [path.read_text().splitlines()[0] for path in (real, made / "name_mapping.csv")]
    assert headers[0].split(",") == headers[1].split(",")


def test_cards_tell_what_is_in_a_patient(made: Path) -> None:
    cards = write.read_cards(made)
    assert list(cards) == NAMES
    assert cards[NAMES[0]]["grade"] == make_patient(PLAN, 1).grade
    assert cards[NAMES[0]]["origin"]["plan"] == dataclasses.asdict(PLAN)


def test_processes_write_the_same_bytes(made: Path, tmp_path: Path) -> None:
    parallel = write_cohort(tmp_path, PLAN, NUMBERS[:2], workers=2)
    ours, theirs = digests(made), digests(parallel)
    del theirs["name_mapping.csv"]
    assert len(theirs) == 12
    assert theirs == {name: ours[name] for name in theirs}


def test_a_patient_that_is_there_is_not_made_again(cohort: Path) -> None:
    before = _times(cohort)
    write_cohort(cohort.parent, PLAN, NUMBERS)
    assert _times(cohort) == before


def _lose_a_file(folder: Path) -> None:
    (folder / f"{folder.name}_seg.nii.gz").unlink()


def _cut_a_file(folder: Path) -> None:
    path = folder / f"{folder.name}_t2.nii.gz"
    path.write_bytes(path.read_bytes()[:-100])


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()


def _be_killed_while_writing(folder: Path) -> None:
    folder.rename(folder.with_name(f".{folder.name}.new"))


def _be_killed_while_removing(folder: Path) -> None:
    folder.rename(folder.with_name(f".{folder.name}.old"))


ACCIDENTS = (_lose_a_file, _cut_a_file, _be_killed_while_writing, _be_killed_while_removing)


@pytest.mark.parametrize("accident", [shutil.rmtree, _empty, *ACCIDENTS])
def test_a_half_patient_is_made_again(cohort: Path, made: Path, accident) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    accident(cohort / NAMES[0])
    write_cohort(cohort.parent, PLAN, NUMBERS)
    assert digests(cohort) == digests(made)


def test_a_killed_run_leaves_no_half_patient(cohort: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.rmtree(cohort / NAMES[0])
    calls = []

    def break_down(*_: object, **__: object) -> bytes:
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return b"half"

    monkeypatch.setattr(write.gzip, "compress", break_down)
    with pytest.raises(KeyboardInterrupt):
        write_cohort(cohort.parent, PLAN, NUMBERS)
    assert not (cohort / NAMES[0]).exists()
    assert list(write.read_cards(cohort)) == NAMES[1:]


@pytest.mark.parametrize("change", ["plan", "code"])
def test_another_plan_or_other_code_makes_the_patient_again(cohort: Path, change: str) -> None:
    card = cohort / NAMES[0] / "phantom.json"
    content = json.loads(card.read_text())
    assert content["origin"]["code"]
    if change == "code":
        content["origin"]["code"] = "of yesterday"
    else:
        content["origin"]["plan"]["seed"] = 99
    card.write_text(json.dumps(content))
    before = _times(cohort)
    write_cohort(cohort.parent, PLAN, NUMBERS)
    changed = {name for name, time in _times(cohort).items() if time != before[name]}
    assert changed == {f"{NAMES[0]}_{part}.nii.gz" for part in (*SEQUENCES, "seg")}


def test_phantoms_that_are_not_wanted_any_more_go(cohort: Path) -> None:
    write_cohort(cohort.parent, PLAN, [2])
    assert sorted(path.name for path in cohort.iterdir()) == [NAMES[1], "name_mapping.csv"]
    assert (cohort / "name_mapping.csv").read_text().count("Phantom-A") == 1


def test_phantoms_of_another_site_stay(cohort: Path) -> None:
    write_cohort(cohort.parent, dataclasses.replace(PLAN, site="B"), [13])
    assert list(write.read_cards(cohort)) == [*NAMES, "Phantom-B-013"]
    assert (cohort / "name_mapping.csv").read_text().count("Phantom-") == 4


@pytest.mark.parametrize("card", [None, "", "{}", "[]", '{"origin": {"plan": {}}}', "Grade"])
def test_a_real_patient_is_never_touched(cohort: Path, card: str | None) -> None:
    real = cohort / "Phantom-A-002"
    (real / "phantom.json").unlink()
    if card is not None:
        (real / "phantom.json").write_text(card)
    before = digests(cohort)
    with pytest.raises(DataError, match=r"Phantom-A-002.*no phantom"):
        write_cohort(cohort.parent, PLAN, [2])
    assert digests(cohort) == before


@pytest.mark.parametrize("numbers", [[0], [1000]])
def test_numbers_that_fit_no_name_are_refused(tmp_path: Path, numbers: list[int]) -> None:
    with pytest.raises(SettingsError, match=str(numbers[0])):
        write_cohort(tmp_path, PLAN, numbers)
    assert not list(tmp_path.iterdir())
