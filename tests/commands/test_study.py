"""Verbs on studies: what they write, what they say, and their errors in one sentence."""

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from gliomalib.__main__ import main
from gliomalib.provenance import PROJECT_DIR
from tests.report.compare.two_runs import COUNT, change_values, make_report
from tests.toy_project import FIRST, Project


def test_studies_are_listed(toy: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["studies"]) == 0
    assert capsys.readouterr().out == "toy            Toy\n"


@pytest.mark.parametrize(
    ("words", "content", "message"),
    [
        ((), "sed: 1\n", f"error: {FIRST} has no parameter sed: its parameters are study, seed"),
        ((), "[1, 2]\n", "more.yml: settings are lines of `key: value`, found [1, 2]"),
        ((), "a: [", "more.yml: not YAML"),
        (("--variant", "x"), "", f"has no {FIRST}.x: take {FIRST}"),
    ],
)
def test_wrong_parameters_and_variants_are_one_sentence(
    words: tuple[str, ...],
    content: str,
    message: str,
    toy: Project,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = toy.root / "more.yml"
    path.write_text(content)
    assert main(["run", FIRST, "--study", "toy", "-f", str(path), *words]) == 1
    said = capsys.readouterr().err
    assert message in said and said.startswith("error: ")


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    for name in ("old", "new"):
        make_report(tmp_path / "reports" / name)
    return tmp_path / "reports"


def test_two_studies_by_name(reports: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "old", "new", "--report-dir", str(reports)]) == 0
    page = reports / "compare-old-new.html"
    assert capsys.readouterr().out == f"side by side: {page}\n"
    assert "came out the same" in page.read_text(encoding="utf-8")


def test_two_folders_and_another_file(
    reports: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(reports)
    out = tmp_path / "page.html"
    assert main(["compare", "./old", str(reports / "new"), "--out", str(out)]) == 0
    assert "reports/old" in out.read_text(encoding="utf-8")
    assert not list(reports.glob("*.html"))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("old", "none"), "there is no report 'none' with records: take one of new, old in"),
        (("", "new"), "there is no report '' with records"),
        (("old", "old"), "A and B are this one folder"),
        (("old", "bare"), "there is no report 'bare' with records"),
    ],
)
def test_errors_are_one_sentence(
    words: tuple[str, str], told: str, reports: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (reports / "bare").mkdir()
    assert main(["compare", *words, "--report-dir", str(reports)]) == 1
    said = capsys.readouterr()
    assert said.out == "" and told in said.err
    assert said.err.startswith("error: ") and said.err.count("\n") == 1
    assert not list(reports.glob("*.html"))


def test_a_difference_is_no_error(reports: Path) -> None:
    change_values(reports / "new", replace(COUNT, value=7.0))
    assert main(["compare", "old", "new", "--report-dir", str(reports)]) == 0
    page = (reports / "compare-old-new.html").read_text(encoding="utf-8")
    assert "Not everything came out the same." in page


def test_make_knows_the_target() -> None:
    done = subprocess.run(
        ["make", "-n", "-o", ".venv/.ready", "compare", "A=demo", "B=/tmp/x y"],
        cwd=PROJECT_DIR,
        capture_output=True,
        text=True,
        check=True,
    )
    assert 'python -m gliomalib compare "demo" "/tmp/x y"' in done.stdout
