"""The verb ``predict``: which cases it takes, what it says, and what it refuses before working.

What the networks make of a case is tested with ``apply``; here they are stand-ins.
"""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gliomalib import settings
from gliomalib.__main__ import main
from gliomalib.data import nifti
from gliomalib.pipeline import apply, finished
from gliomalib.schema import SEQUENCES, Case, Split
from tests import tiny_study
from tests.planted_branches import AFFINE

NAMES = tuple(f"BraTS20_Validation_{number:03d}" for number in (1, 2, 3))
LABELS = np.array([0, 1, 2, 3], np.uint8).reshape(2, 2, 1)


@dataclass
class Worked:
    """What the stand-in was asked: cases, folds, devices."""

    cases: list[Case] = field(default_factory=list)
    folds: list[int | None] = field(default_factory=list)
    devices: list[str] = field(default_factory=list)
    trained_on: set[str] = field(default_factory=set)
    doubts: dict[str, list[str]] = field(default_factory=dict)

    def segment_case(
        self, case: Case, _: finished.Finished, fold: int | None, device: str
    ) -> apply.Applied:
        self.cases.append(case)
        self.folds.append(fold)
        self.devices.append(device)
        nifti.read_case(case)
        volumes = pd.DataFrame({"region": ["whole tumour"], "ml": [12.34]})
        about = {"trained_on_this_patient": case.case_id in self.trained_on, "device": "cpu"}
        about["doubts"] = self.doubts.get(case.case_id, [])
        return apply.Applied(case, LABELS, AFFINE, pd.DataFrame({"slice": [0]}), volumes, about)


@pytest.fixture
def worked(monkeypatch: pytest.MonkeyPatch) -> Worked:
    """Put a stand-in in the place of a study with one fold and its networks."""
    folds = (finished.Fold(Split(0, ("A",), (), ("B",)), {}),)
    known = finished.Finished(settings.load("smoke"), folds, pd.DataFrame(), (), "", Path())
    monkeypatch.setattr(finished, "open_finished", lambda *_: known)
    stand_in = Worked()
    monkeypatch.setattr(apply, "segment_case", stand_in.segment_case)
    return stand_in


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("cohort")
    made = tiny_study.phantom(1, spacing=9.0)
    for name in NAMES:
        tiny_study.write_case(root / name, made, masked=False)
    return root


@pytest.fixture
def spoilt(cohort: Path, tmp_path: Path) -> Path:
    """Return a cohort whose second case has a file that is none."""
    shutil.copytree(cohort, tmp_path / "in")
    (tmp_path / "in" / NAMES[1] / f"{NAMES[1]}_t2.nii.gz").write_bytes(b"none")
    return tmp_path / "in"


def predict(out: Path, *words: object) -> int:
    return main(["predict", "--study", "smoke", "--out", str(out), *map(str, words)])


def files_of(folder: Path) -> list[object]:
    """Return the four files of the first case as arguments."""
    return [
        word
        for name in SEQUENCES
        for word in (f"--{name}", folder / NAMES[0] / f"{NAMES[0]}_{name}.nii.gz")
    ]


def table_in(out: Path) -> pd.DataFrame:
    return pd.read_csv(out / "predictions.csv", index_col="case_id")


def done_in(out: Path) -> list[str]:
    return sorted(path.name.removesuffix("_about.json") for path in out.glob("*_about.json"))


def test_every_case_of_a_folder_is_labelled(
    cohort: Path, worked: Worked, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    worked.trained_on = {NAMES[1]}
    assert predict(tmp_path, cohort) == 0
    assert done_in(tmp_path) == list(NAMES)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines[:3]] == list(NAMES)
    assert f"12.3 mL of tumour, {tmp_path / NAMES[0]}_labels.nii.gz (" in lines[0]
    assert [", trained on this patient)" in line for line in lines[:3]] == [False, True, False]
    assert [line.split() for line in lines[4:]] == [
        [name, "12.34", trained, "–", "–"]
        for name, trained in zip(NAMES, ("False", "True", "False"), strict=True)
    ]


def test_one_case_folder_is_labelled(
    cohort: Path, worked: Worked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert predict(tmp_path / "a", cohort / NAMES[1]) == 0
    monkeypatch.chdir(cohort / NAMES[1])
    assert predict(tmp_path / "b", ".") == 0
    assert done_in(tmp_path / "a") == done_in(tmp_path / "b") == [NAMES[1]]


def test_cases_are_picked_by_id(cohort: Path, worked: Worked, tmp_path: Path) -> None:
    assert predict(tmp_path, cohort, "--case", NAMES[2], "--case", NAMES[0]) == 0
    assert done_in(tmp_path) == [NAMES[0], NAMES[2]]


def test_four_files_are_one_case(cohort: Path, worked: Worked, tmp_path: Path) -> None:
    assert predict(tmp_path, *files_of(cohort)) == 0
    assert predict(tmp_path, *files_of(cohort), "--case", "mine") == 0
    assert done_in(tmp_path) == [NAMES[0], "mine"]
    case = worked.cases[1]
    assert (case.case_id, case.patient_id, case.segmentation) == ("mine", "mine", None)
    assert list(case.images) == list(SEQUENCES)
    assert case.images["t1ce"].name == f"{NAMES[0]}_t1ce.nii.gz"


@pytest.mark.parametrize(
    ("name", "expected"),
    [("x_t1", "x"), ("BraTS-GLI-00001-000-t1n", "BraTS-GLI-00001-000"), ("T1", "T1"), ("a", "a")],
)
def test_four_files_are_called_after_the_t1(
    name: str, expected: str, cohort: Path, worked: Worked, tmp_path: Path
) -> None:
    words = files_of(cohort)
    t1 = tmp_path / f"{name}.nii.gz"
    t1.write_bytes(Path(str(words[1])).read_bytes())
    assert predict(tmp_path / "out", "--t1", t1, *words[2:]) == 0
    assert done_in(tmp_path / "out") == [expected]


def test_options_reach_the_networks(cohort: Path, worked: Worked, tmp_path: Path) -> None:
    words = ("--fold", 0, "--device", "cpu", "--convention", "brats2020")
    assert predict(tmp_path, cohort / NAMES[0], *words) == 0
    assert (worked.folds, worked.devices) == ([0], ["cpu"])
    written = nifti.load(tmp_path / f"{NAMES[0]}_labels.nii.gz").values
    assert written.ravel().tolist() == [0, 1, 2, 4]
    told = json.loads((tmp_path / f"{NAMES[0]}_about.json").read_text(encoding="utf-8"))
    assert told["labels"]["4"] == "enhancing tumour"
    assert predict(tmp_path, cohort / NAMES[1]) == 0
    assert (worked.folds[1], worked.devices[1]) == (None, "auto")


def test_nothing_is_done_twice_or_replaced_unasked(
    cohort: Path, worked: Worked, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict(tmp_path, cohort / NAMES[2]) == 0
    assert predict(tmp_path, cohort) == 1
    assert f"{NAMES[2]}_labels.nii.gz: is there already; give --force" in capsys.readouterr().err
    assert len(worked.cases) == 1, "refused before the first case is labelled"
    assert predict(tmp_path, cohort, "--force") == 0
    assert done_in(tmp_path) == list(NAMES)


REFUSED: dict[str, tuple[Sequence[object], str]] = {
    "no case": (["nowhere"], "no such folder"),
    "files too": (["COHORT", "--t1", "x.nii.gz"], "not both"),
    "nothing": ([], "--t1 --t1ce --t2 --flair not given: give PATH"),
    "three files": (["--t1", "a", "--t2", "b", "--flair", "c"], "--t1ce not given"),
    "two names": (["FILES", "--case", "a", "--case", "b"], "but --case names a, b"),
    "a path": (["FILES", "--case", "a/b"], "case 'a/b' cannot begin a file name"),
    "unknown case": (["COHORT", "--case", "x"], f"no case x; there are 3: {', '.join(NAMES)}"),
    "fold": (["COHORT", "--fold", 7], "smoke has no fold 7: take one of 0"),
    "convention": (["COHORT", "--convention", "x"], "labels of release 'x' are not known"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_makes_no_sense_is_one_sentence(
    what: str, cohort: Path, worked: Worked, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words, message = REFUSED[what]
    full: list[object] = []
    for word in words:
        full += files_of(cohort) if word == "FILES" else [cohort if word == "COHORT" else word]
    assert predict(tmp_path / "out", *full) == 1
    said = capsys.readouterr()
    assert message in said.err and said.err.startswith("error: ") and said.err.count("\n") == 1
    assert not worked.cases and not (tmp_path / "out").exists()


def test_a_folder_that_is_not_understood_names_the_way_out(
    worked: Worked, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "patient_7").mkdir()
    assert predict(tmp_path / "out", tmp_path / "patient_7") == 1
    assert "can be given as --t1, --t1ce, --t2 and --flair" in capsys.readouterr().err


def test_a_damaged_case_does_not_keep_the_others_back(
    spoilt: Path, worked: Worked, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict(tmp_path / "out", spoilt) == 1
    assert done_in(tmp_path / "out") == [NAMES[0], NAMES[2]]
    said = capsys.readouterr()
    table = table_in(tmp_path / "out")
    assert table["tumour_ml"].isna().tolist() == [False, True, False]
    assert f"{NAMES[1]}_t2.nii.gz: cannot be read as gzip" in table.loc[NAMES[1], "why_not"]
    assert table.loc[NAMES[1], "why_not"] in said.out
    assert f"1 of 3 cases not labelled: {NAMES[1]}" in said.err


def test_a_damaged_case_alone_is_the_error(
    spoilt: Path, worked: Worked, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict(tmp_path / "out", spoilt / NAMES[1]) == 1
    said = capsys.readouterr()
    assert said.out == "" and f"{NAMES[1]}_t2.nii.gz" in said.err and said.err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_an_incomplete_case_does_not_keep_the_others_back(
    spoilt: Path, worked: Worked, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (spoilt / NAMES[1] / f"{NAMES[1]}_t2.nii.gz").unlink()
    assert predict(tmp_path / "out", spoilt) == 1
    assert done_in(tmp_path / "out") == [NAMES[0], NAMES[2]]
    table = table_in(tmp_path / "out")
    assert f"case {NAMES[1]}: sequence t2 is missing" in table.loc[NAMES[1], "why_not"]
    assert table["why_not"].isna().sum() == 2
    said = capsys.readouterr()
    assert f"1 of 3 cases not labelled: {NAMES[1]}" in said.err and said.err.count("\n") == 1
    assert f"case {NAMES[1]}: sequence t2 is missing" in said.out
    assert predict(tmp_path / "out", spoilt, "--case", NAMES[1]) == 1
    assert f"case {NAMES[1]}: sequence t2 is missing" in capsys.readouterr().err
    assert predict(tmp_path / "other", spoilt, "--case", NAMES[0]) == 0
    assert done_in(tmp_path / "other") == [NAMES[0]]


def test_two_unusable_cases_of_two_kinds_are_both_in_the_table(
    spoilt: Path, worked: Worked, tmp_path: Path
) -> None:
    (spoilt / NAMES[2] / f"{NAMES[2]}_flair.nii.gz").unlink()
    assert predict(tmp_path / "out", spoilt) == 1
    assert done_in(tmp_path / "out") == [NAMES[0]]
    why = table_in(tmp_path / "out")["why_not"]
    assert "t2.nii.gz: cannot be read" in why[NAMES[1]]
    assert "sequence flair is missing" in why[NAMES[2]]


def test_a_folder_without_any_usable_case_is_one_sentence(
    spoilt: Path, worked: Worked, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in NAMES:
        (spoilt / name / f"{name}_t1.nii.gz").unlink()
    assert predict(tmp_path / "out", spoilt) == 1
    said = capsys.readouterr()
    assert f"case {NAMES[0]}: sequence t1 is missing" in said.err and "2 more" in said.err
    assert said.out == "" and not worked.cases


def test_doubts_are_said_and_in_the_table(
    cohort: Path, worked: Worked, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    worked.doubts = {NAMES[0]: ["a_t2.nii.gz: far away.", "a_t1.nii.gz: no unit."]}
    assert predict(tmp_path, cohort) == 0
    assert "\nnote, a_t2.nii.gz: far away.\nnote, a_t1" in capsys.readouterr().out
    assert table_in(tmp_path).loc[NAMES[0], "notes"] == " ".join(worked.doubts[NAMES[0]])


def test_what_lies_there_and_is_no_case_is_named(
    spoilt: Path, worked: Worked, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(spoilt / NAMES[0], spoilt / f"{NAMES[0]} (1)")
    assert predict(tmp_path / "out", spoilt, "--case", NAMES[2]) == 0
    assert "not used" not in capsys.readouterr().out
    assert predict(tmp_path / "out", spoilt, "--force") == 1
    assert f"note, {spoilt / NAMES[0]} (1): 4 files are not used" in capsys.readouterr().out


def test_a_table_that_is_there_is_replaced_only_by_force(
    cohort: Path, worked: Worked, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "predictions.csv").write_text("mine", encoding="utf-8")
    assert predict(tmp_path, cohort / NAMES[2]) == 0
    words = (cohort, "--case", NAMES[0], "--case", NAMES[1])
    assert predict(tmp_path, *words) == 1
    assert "predictions.csv: is there already; give --force" in capsys.readouterr().err
    assert (tmp_path / "predictions.csv").read_text(encoding="utf-8") == "mine"
    assert predict(tmp_path, *words, "--force") == 0
    assert table_in(tmp_path).index.tolist() == [NAMES[0], NAMES[1]]


def test_a_study_that_was_not_run_says_what_to_run(
    cohort: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ("--data-dir", tmp_path / "data", "--report-dir", tmp_path / "reports")
    assert predict(tmp_path / "out", cohort, *where) == 1
    said = capsys.readouterr()
    assert "run 01_data_exploration, or all notebooks with python -m gliomalib study" in said.err
    assert said.out == "" and not (tmp_path / "out").exists()
