"""Verbs on studies: what they write, what they say, and their errors in one sentence."""

import os
import re
import shutil
import subprocess
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gliomalib import records, report
from gliomalib.__main__ import main
from gliomalib.parameters import LAST_NOTEBOOK
from gliomalib.provenance import PROJECT_DIR
from gliomalib.runner import snakemake
from gliomalib.runner.jobs import Folders
from gliomalib.schema import Record, Value
from tests import planted_report as planted
from tests.nasty import NAMES
from tests.report.two_runs import COUNT, change_values, make_report
from tests.toy_project import FIRST, Project


def test_studies_are_listed(toy: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["studies"]) == 0
    assert capsys.readouterr().out == "toy            Toy\n"


def test_a_bad_study_is_named_and_stops_no_other(
    toy: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    (toy.root / "notebooks/params/bad.yml").write_bytes("title: Größe".encode("utf-16"))
    assert main(["studies"]) == 0
    bad, good = capsys.readouterr().out.splitlines()
    assert bad.startswith("bad            cannot be run: ") and "bad.yml: not UTF-8" in bad
    assert good == "toy            Toy"
    with pytest.raises(SystemExit) as stopped:
        main(["study", "--help"])
    assert stopped.value.code == 0


@pytest.mark.parametrize(
    ("words", "content", "message"),
    [
        ((), "sed: 1\n", f"error: {FIRST} has no parameter sed: its parameters are study, seed"),
        ((), "[1, 2]\n", "more.yml: settings are lines of `key: value`, found [1, 2]"),
        ((), "a: [", "more.yml: not YAML"),
        ((), "source_dir: 2025-01-31", "more.yml: holds what is no text"),
        ((), "source_dir: [a]", "error: source_dir: text was expected, found ['a']"),
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


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), ["Two hold. One does not.", "ADDRESS"]),
        (("--quiet",), ["ADDRESS"]),
        (("--until", FIRST), []),
    ],
)
def test_a_study_ends_with_its_answer_and_the_address_of_its_page(
    words: tuple[str, ...],
    said: list[str],
    toy: Project,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(snakemake, "bring_up_to_date", lambda *given: None)
    answer = ("Two hold. One does not.",)
    origin = {"versions": {}, "hardware": {}}
    record = Record(LAST_NOTEBOOK, "toy", "", (), (), {}, 1, "cpu", 1, 0, origin, (), *answer)
    place = toy.root / "a report's" / "toy"
    records.write(record, place)
    assert main(["study", "toy", "--report-dir", str(place.parent), *words]) == 0
    address = f"{place.as_uri()}/index.html"
    assert "a%20report" in address
    shown = [address if line == "ADDRESS" else line for line in said]
    assert capsys.readouterr().out.splitlines() == shown


@pytest.mark.parametrize("verb", ["study", "verify"])
@pytest.mark.parametrize("cores", ["0", "-1", "x"])
def test_work_without_a_process_is_refused(
    verb: str, cores: str, toy: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main([verb, "toy", f"--cores={cores}"])
    assert f"'{cores}' is not a whole number from 1 on" in capsys.readouterr().err


OTHER = PROJECT_DIR / "tests" / "reference" / "next-paper.yml"


def test_another_papers_claims_are_judged_by_the_records_of_a_study(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["verdicts", "demo", "--claims", os.path.relpath(OTHER)]) == 0
    rows = capsys.readouterr().out.splitlines()
    assert [row.split()[0] for row in rows] == [f"C{number}" for number in range(1, 7)]
    record = records.read(PROJECT_DIR / "reports" / "demo" / "records" / "04_train_unet3d.json")
    dice = {value.name: value for value in record.values}
    for row, name in zip(rows[:3], ("dice_WT", "dice_TC", "dice_ET"), strict=True):
        low, high = dice[name].ci95 or (0, 0)
        numbers = f"obtained {dice[name].value:.2%} ({low:.2%} to {high:.2%})"
        assert numbers.replace("%", " %") in row
        assert "C not testable on this data: printed 8" in re.sub(r"^C\d +", "C ", row)
        assert "the claim is about patients, these are synthetic" in row
    assert all("not run" in row and "has no hd95_" in row for row in rows[3:])


def test_a_study_has_the_claims_of_its_file(
    capsys: pytest.CaptureFixture[str], toy: Project
) -> None:
    toy.study(f"published: {OTHER.relative_to(PROJECT_DIR)}\n")
    assert main(["verdicts", "toy", "--report-dir", str(toy.root)]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 6
    assert main(["verdicts", "toy", "--claims", str(toy.root / "none.yml")]) == 1
    assert "none.yml: this file is missing" in capsys.readouterr().err


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


@pytest.mark.parametrize(
    ("changed", "result"),
    [
        ((), (0, "values: 8 the same, 0 different, 7 of a clock\n")),
        ((replace(COUNT, value=7.0),), (1, "voxels differs by -1.1e+02, 120 became 7 (")),
    ],
)
@pytest.mark.parametrize("out", ["", "kept"])
def test_a_stored_study_is_run_again_beside_it(
    out: str,
    changed: tuple[Value, ...],
    result: tuple[int, str],
    reports: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(reports)
    runs: list[tuple[Any, ...]] = []

    def run(*asked: Any) -> None:
        runs.append(asked)
        make_report(asked[1].reports / "old")
        change_values(asked[1].reports / "old", *changed)

    monkeypatch.setattr(snakemake, "bring_up_to_date", run)
    before = {path: path.read_bytes() for path in reports.rglob("*.*")}
    words = ["--report-dir", str(reports), f"--out={out}", "--cores=1", "--source=x"]
    assert main(["verify", "old", *words]) == result[0]
    assert result[1] in capsys.readouterr().out
    ((study, folders, place, until),) = runs
    assert (study, place.cores, until, folders.source) == ("old", 1, "", reports / "x")
    assert folders.reports.exists() == bool(out)
    if out:
        assert folders.data == reports / "kept" / "data"
    assert {path: path.read_bytes() for path in before} == before, "what is stored stays"


def test_up_to_a_notebook_the_others_are_not_missed(
    reports: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(_: str, folders: Folders, *more: Any) -> None:
        make_report(folders.reports / "smoke")
        for path in (folders.reports / "smoke").glob("*/1*.*"):
            path.unlink()

    (reports / "old").rename(reports / "smoke")
    monkeypatch.setattr(snakemake, "bring_up_to_date", run)
    words = ["verify", "smoke", "--report-dir", str(reports)]
    assert main([*words, "--until=05_fusion"]) == 0
    assert capsys.readouterr().out.startswith("values: 6 the same")
    assert main(words) == 1
    assert "B has no record of 14_efficiency and 16_rep" in capsys.readouterr().out


ECHO = "#!/bin/sh\nprintf '%s\\0' \"$@\" >> said\n"


@pytest.fixture
def made(tmp_path: Path) -> Callable[..., tuple[list[str], subprocess.CompletedProcess[str]]]:
    """Return what runs make beside a Python that notes with which words it was called."""

    def make(*words: str, **variables: str) -> tuple[list[str], subprocess.CompletedProcess[str]]:
        said = tmp_path / "said"
        said.unlink(missing_ok=True)
        told = {**os.environ, **variables}
        done = subprocess.run(
            ["make", *words], cwd=tmp_path, env=told, capture_output=True, text=True, check=False
        )
        return (os.fsdecode(said.read_bytes()).split("\0")[:-1] if said.exists() else []), done

    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    for name in ("Makefile", "pyproject.toml", "requirements.lock"):
        shutil.copy(PROJECT_DIR / name, tmp_path)
    python = tmp_path / ".venv" / "bin" / "python"
    python.write_text(ECHO)
    python.chmod(0o755)
    (tmp_path / ".venv" / ".ready").touch()
    return make


@pytest.mark.parametrize("name", NAMES)
def test_make_hands_on_what_was_typed(name: str, made: Callable[..., Any], tmp_path: Path) -> None:
    """Neither make nor the shell looks for a meaning, not even to export it to other programs."""
    before = set(tmp_path.iterdir())
    text = f"/x/{name}"
    study = ["-m", "gliomalib", "study", "--cores=2", f"--source={text}", "--until="]
    study += ["--profile=", "--", "demo"]
    assert made("report", f"DATA={text}", "CORES=2")[0] == study
    assert made("report", f"DATA={text}", "CORES=2", "QUIET=1")[0] == [
        *(*study[:7], "--quiet", *study[7:])
    ]
    assert made("report", "CORES=2", DATA=name)[0] == [*study[:4], f"--source={name}", *study[5:]]
    verify = ["-m", "gliomalib", "verify", *study[3:6], f"--out={text}", "--", "demo"]
    assert made("verify", f"DATA={text}", "CORES=2", f"OUT={text}")[0] == verify
    assert made("compare", "A=-x", f"B={text}")[0] == [
        "-m",
        "gliomalib",
        "compare",
        "--",
        "-x",
        text,
    ]
    words, done = made("clean", f"STUDY=x{name}")
    assert (words, done.returncode == 0) == ([], name in ("-rf", 200 * "x"))
    assert {path.name for path in set(tmp_path.iterdir()) - before} <= {"said"}, "nothing was run"


def test_make_says_where_it_cannot_work(tmp_path: Path) -> None:
    place = tmp_path / "a:b"
    place.mkdir()
    shutil.copy(PROJECT_DIR / "Makefile", place)
    done = subprocess.run(["make"], cwd=place, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "a:b, has a colon" in done.stderr


def test_pages_of_real_patients_are_made_from_the_records_alone(tmp_path: Path) -> None:
    planted.fill(tmp_path / "brats", "brats")
    assert main(["report", "brats", "--report-dir", str(tmp_path)]) == 0
    assert (tmp_path / "brats" / "index.html").is_file()


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    reports = tmp_path_factory.mktemp("finished") / "reports"
    report.build("demo", planted.fill(reports / "demo"))
    return reports


@pytest.mark.parametrize("names", [(), ("demo",), ("",), (" demo  demo ",)])
def test_a_site_is_written(
    names: tuple[str, ...], finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "pages"
    assert main(["export", "--out", str(out), "--report-dir", str(finished), "--", *names]) == 0
    assert capsys.readouterr().out == f"site: {out}\n"
    assert (out / "demo" / "index.html").is_file()


def test_places_have_names_of_their_own(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for words in (["export"], ["archive", "demo"]):
        assert main([*words, "--out=", "--report-dir", str(finished)]) == 0
    assert {path.name for path in tmp_path.iterdir()} == {"site", "demo-deposit.zip"}
    assert zipfile.is_zipfile(tmp_path / "demo-deposit.zip")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("export", "none"), "none"),
        (("export", "smoke"), "make its report anew"),
        (("archive", "../demo"), "demo"),
        (("archive", "smoke"), "make its report anew"),
    ],
)
def test_errors_of_passing_on_are_one_sentence(
    words: tuple[str, ...],
    told: str,
    finished: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "out"
    assert main([*words, "--out", str(out), "--report-dir", str(finished)]) == 1
    said = capsys.readouterr()
    assert said.out == "" and told in said.err
    assert said.err.startswith("error: ") and said.err.count("\n") == 1
    assert not out.exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["export"], 'export --out="$SAID_OUT" --'),
        (["export", "STUDY=a b"], 'export --out="$SAID_OUT" -- "$SAID_STUDY"'),
        (["archive"], 'archive --out="$SAID_OUT"  -- "$SAID_STUDY"'),
        (["archive", "MIXED=1"], 'archive --out="$SAID_OUT" --mixed -- "$SAID_STUDY"'),
    ],
)
def test_make_exports_all_unless_a_study_was_named(words: list[str], told: str) -> None:
    # make that was itself called by make says which folder it enters
    command = ["make", "--no-print-directory", "-n", "-o", ".venv/.ready", *words]
    done = subprocess.run(command, cwd=PROJECT_DIR, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f".venv/bin/python -m gliomalib {told}"
