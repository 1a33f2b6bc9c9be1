"""The verb ``data``: what it prints, its exit codes, and one sentence where something is wrong."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gliomalib import __main__
from gliomalib.data import catalogue
from gliomalib.data.readers import survey
from gliomalib.data.verification import verify
from gliomalib.schema import DataError, GliomaError
from tests import faults, layouts
from tests.faults import FAULTS

Captured = pytest.CaptureFixture[str]


def said(capsys: Captured, *words: object) -> tuple[int, str, str]:
    """Return exit code, standard output and standard error of ``python -m gliomalib data``."""
    code = __main__.main(["data", *map(str, words)])
    out, err = capsys.readouterr()
    assert "Traceback" not in out + err
    return code, out, err


def run(*words: object, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "gliomalib", "data", *map(str, words)]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        env={**os.environ, **environment},
    )


def test_list_names_every_set_and_how_it_is_had(capsys: Captured) -> None:
    code, out, err = said(capsys, "list")
    assert (code, err) == (0, "")
    for row in catalogue.table().to_dict("records"):
        assert str(row["key"]) in out
        assert str(row["page"]) in out
        assert str(row["licence"]) in out
    assert "data list SET" in out


def test_list_of_one_set_tells_all_of_it(capsys: Captured) -> None:
    code, out, _ = said(capsys, "list", "brats2024")
    known = catalogue.find("brats2024")
    assert code == 0
    lines = dict(line.split(None, 1) for line in out.splitlines())
    assert lines["title"] == known.title
    assert lines["how"] == known.how
    assert lines["patients"] == catalogue.UNKNOWN
    assert "None" not in out


def test_an_unknown_set_is_not_fetched(tmp_path: Path, capsys: Captured) -> None:
    code, _, err = said(capsys, "download", "brats1999", "--to", tmp_path)
    assert code == 1
    assert "no data set 'brats1999'" in err


def test_an_open_set_is_fetched_to_the_folder_that_is_named(
    tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gliomalib.data import download

    asked = []

    def fetch_open(name: str, target: Path) -> Path:
        asked.append((name, target))
        return target / name

    monkeypatch.setattr(download, "fetch_open", fetch_open)
    code, out, _ = said(capsys, "download", "msd_task01", "--to", tmp_path)
    assert (code, asked) == (0, [("msd_task01", tmp_path)])
    assert f"unpacked to {tmp_path / 'msd_task01'}" in out


def test_a_sound_folder_is_shown_as_a_table(tmp_path: Path, capsys: Captured) -> None:
    for number in (1, 2):
        faults.write(tmp_path, number)
    faults.write(tmp_path, 3)["seg"].unlink()
    code, out, err = said(capsys, "verify", tmp_path)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert "case_id" in lines[0]
    assert lines[1].split()[:5] == [
        faults.name_of(1),
        faults.name_of(1),
        "brats2020",
        "5",
        "24×22×20",
    ]
    # whole numbers also where another case has none
    assert lines[1].split()[7:10] == ["10", "20", "30"]
    assert lines[3].split()[7:10] == ["–"] * 3
    assert lines[4].startswith(f"note, no mask: {tmp_path}: 4 files are not used")
    assert len(lines) == 6 and lines[-1].startswith("3 cases, ")
    assert lines[-1].endswith("no faults")


def test_faults_stand_below_the_table_one_a_line(tmp_path: Path, capsys: Captured) -> None:
    for number, name in enumerate(("wrong CRC", "header only", "unknown label"), 1):
        FAULTS[name].plant(faults.write(tmp_path, number))
    code, out, _ = said(capsys, "verify", tmp_path)
    assert code == 1
    lines = out.splitlines()
    assert [line.split(":")[0] for line in lines[4:7]] == [
        "damaged gzip",
        "truncated",
        "unknown label",
    ]
    assert len(lines) == 8
    assert lines[-1].endswith("3 faults")


def test_json_is_the_same_for_a_program(tmp_path: Path, capsys: Captured) -> None:
    files = faults.write(tmp_path, 1)
    (tmp_path / "more.zip").touch()
    for fault in ("wrong CRC", "unknown label", None):
        code, out, err = said(capsys, "verify", tmp_path, "--json", "--workers", 2)
        found = json.loads(out)
        wanted = verify(tmp_path).as_json()
        for key in ("root", "cases", "faults", "unused", "sound"):
            assert found[key] == wanted[key]
        assert code == (0 if found["sound"] else 1)
        assert err == ""
        if fault:
            FAULTS[fault].plant(files)
    assert [row["kind"] for row in found["faults"]] == ["damaged gzip", "unknown label"]
    assert found["cases"][0]["faults"] == 2
    assert [(row["kind"], row["files"]) for row in found["unused"]] == [("archive", 1)]


def test_the_folder_may_be_given_from_anywhere(
    tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults.write(tmp_path / "data", 1)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for text in ("data", "./data/", "~/data", "data/../data"):
        code, out, _ = said(capsys, "verify", text, "--json")
        assert (code, json.loads(out)["root"]) == (0, str(tmp_path / "data"))


def test_a_sign_of_home_is_no_other_users_folder(
    tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for text in ("~root", "~no-such-user-here/x"):
        code, out, _ = said(capsys, "verify", text)
        assert (code, out.count("\n")) == (1, 2)
        assert f"{tmp_path / text}: there is no such folder" in out
    faults.write(tmp_path / "~root", 1)
    assert said(capsys, "verify", "~root")[0] == 0


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8:strict"])
def test_every_terminal_can_show_it(encoding: str, tmp_path: Path) -> None:
    """Signs that a terminal does not know, our own or those of a file name, stop nothing."""
    files = faults.write(tmp_path, 1)
    faults.write(tmp_path, 2)
    for name in (b"\xff_seg.nii", "ö_seg.nii".encode()):
        (files["seg"].parent / os.fsdecode(name)).write_bytes(b"x")
    files["seg"].unlink()
    for words in ([], ["--json"]):
        done = run("verify", tmp_path, *words, PYTHONIOENCODING=encoding)
        assert (done.returncode, done.stderr) == (1, "")
        assert "cannot tell the mask among" in done.stdout
    assert json.loads(done.stdout)["faults"][0]["kind"] == "ambiguous mask"


def test_a_study_that_has_read_nothing_is_named(tmp_path: Path, capsys: Captured) -> None:
    faults.write(tmp_path / "source", 1)
    words = ("verify", tmp_path / "source", "--study", "mine", "--data-dir", tmp_path)
    code, out, err = said(capsys, *words)
    assert (code, out) == (1, "")
    assert err.startswith(f"error: {tmp_path / 'mine' / 'cases.csv'}: the table of cases is mis")


@pytest.mark.parametrize(
    "words",
    [
        ["verify"],
        ["verify", "x", "--workers", "0"],
        ["verify", "x", "--workers", "-1"],
        ["verify", "x", "--workers", "two"],
        ["phantoms", "x", "--count", "0"],
        ["phantoms", "x", "--count", "-3"],
        ["phantoms", "x", "--spacing", "wide"],
        ["list", "a", "b"],
        ["nothing"],
        [],
    ],
)
def test_words_that_make_no_sense_are_refused_before_any_work(
    words: list[str], capsys: Captured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stopped:
        __main__.main(["data", *words])
    assert stopped.value.code == 2
    assert "error: " in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_phantoms_are_written_and_sound(tmp_path: Path, capsys: Captured) -> None:
    words = ("--count", 1, "--spacing", 8, "--seed", 5, "--site", "B")
    code, out, _ = said(capsys, "phantoms", tmp_path / "made", *words)
    assert code == 0
    (folder,) = (tmp_path / "made").iterdir()
    assert out == f"1 synthetic patients in {folder}\n"
    found = verify(tmp_path / "made")
    assert found.faults.to_dict("records") == []
    assert found.cases["case_id"].tolist() == ["Phantom-B-001"]
    assert set(found.cases["spacing_mm"]) == {"8×8×8"}
    assert found.cases["same_scan_as"].isna().all()
    assert {case.release for case in survey.discover(tmp_path)} == {"phantom"}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--spacing", "0"], "greater than or equal to 0.5 (found 0.0)"),
        (["--spacing", "nan"], "spacing_mm: Input should be"),
        (["--site", "C"], "site: Input should be 'A' or 'B' (found 'C')"),
    ],
)
def test_phantoms_that_cannot_be_made_are_refused(
    words: list[str], says: str, tmp_path: Path, capsys: Captured
) -> None:
    code, _, err = said(capsys, "phantoms", tmp_path, "--count", 1, *words)
    assert code == 1
    assert says in err


def test_boxes_and_masks_are_made_from_whole_scans(tmp_path: Path, capsys: Captured) -> None:
    layouts.write(tmp_path / "whole", "brats2020", 7)
    for kind, files in (("cubes", 5), ("masks", 1)):
        out = tmp_path / kind
        code, text, err = said(capsys, kind, tmp_path / "whole", out)
        assert (code, text, err) == (0, f"1 patients in {out}\n", "")
        assert len(list(out.rglob("BraTS20_Training_007_*.nii.gz"))) == files
        code, text, err = said(capsys, kind, tmp_path / "whole", out)
        assert (code, text) == (1, "")
        assert f"{out}: is there already" in err


def test_phantoms_go_into_no_file(tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "file").write_text("x")
    code, _, err = said(capsys, "phantoms", tmp_path / "file", "--count", 1, "--spacing", 8)
    assert code == 1
    assert err.startswith(f"error: {tmp_path / 'file'}")
    assert "check disk and permissions" in err


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (DataError("a.nii: is damaged; fetch it again", "damaged"), "a.nii: is damaged; fetch it"),
        (GliomaError("something else"), "something else"),
        (OSError(28, "No space left on device", "/disk/a"), "/disk/a: No space left on device; ch"),
        (PermissionError(13, "Permission denied"), "Permission denied; check disk"),
        (OSError("no number"), "no number; check disk"),
    ],
)
def test_an_error_is_one_sentence_and_no_traceback(
    error: Exception, says: str, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setattr(catalogue, "table", fail)
    code, out, err = said(capsys, "list")
    assert (code, out) == (1, "")
    assert err.startswith(f"error: {says}")
    assert err.count("\n") == 1


def test_a_fault_of_our_own_is_not_passed_off_as_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise AssertionError("ours")

    monkeypatch.setattr(catalogue, "table", fail)
    with pytest.raises(AssertionError):
        __main__.main(["data", "list"])


def test_as_a_program_it_ends_with_the_same_codes(tmp_path: Path) -> None:
    for words, code in ((["list"], 0), (["verify", tmp_path / "none"], 1)):
        done = run(*words)
        assert done.returncode == code
        assert "Traceback" not in done.stderr
