"""Verbs that pass reports on: what they write, what they say, and their errors in one sentence."""

import subprocess
import zipfile
from pathlib import Path

import pytest

from gliomalib import report
from gliomalib.__main__ import main
from gliomalib.provenance import PROJECT_DIR
from tests import planted_report as planted


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    reports = tmp_path_factory.mktemp("finished") / "reports"
    report.build("demo", planted.fill(reports / "demo"))
    return reports


@pytest.mark.parametrize("names", [(), ("demo",), ("",), (" demo  demo ",)])
def test_a_site_is_written(
    names: tuple[str, ...], reports: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "pages"
    assert main(["export", "--out", str(out), "--report-dir", str(reports), "--", *names]) == 0
    assert capsys.readouterr().out == f"site: {out}\n"
    assert (out / "demo" / "index.html").is_file()


def test_places_have_names_of_their_own(
    reports: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for words in (["export"], ["archive", "demo"]):
        assert main([*words, "--out=", "--report-dir", str(reports)]) == 0
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
def test_errors_are_one_sentence(
    words: tuple[str, ...],
    told: str,
    reports: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "out"
    assert main([*words, "--out", str(out), "--report-dir", str(reports)]) == 1
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
    command = ["make", "-n", "-o", ".venv/.ready", *words]
    done = subprocess.run(command, cwd=PROJECT_DIR, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f".venv/bin/python -m gliomalib {told}"
