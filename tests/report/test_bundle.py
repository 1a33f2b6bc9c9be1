"""The archive of a study: what is in it, and that it works where it is unpacked."""

import gzip
import os
import zipfile
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

import pytest
from bs4 import BeautifulSoup

from gliomalib import report, settings
from gliomalib.report import bundle
from tests import planted_report as planted
from tests.report.reading import collected


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a study with all its pages and its archive, to be read only."""
    folder = planted.fill(tmp_path_factory.mktemp("reports") / "demo")
    (folder / "figures").mkdir()
    (folder / "figures" / "fused.png").write_bytes(b"png")
    (folder / "patients").mkdir()
    (folder / "patients" / "P1.json").write_text("{}")
    (folder / "tables" / "05_fusion.large.csv.gz").write_bytes(gzip.compress(b"a,b\n1,2\n"))
    report.build("demo", folder)
    return folder


def names(path: Path) -> list[str]:
    with zipfile.ZipFile(path) as archive:
        return archive.namelist()


def test_it_holds_pages_notebooks_tables_records_figures_and_nothing_else(built: Path) -> None:
    found = names(built / "demo.zip")
    folders = ("html", "notebooks", "tables", "records", "figures")
    paths = [path for folder in folders for path in (built / folder).iterdir()]
    wanted = {f"demo/{path.relative_to(built)}" for path in paths}
    wanted |= {f"demo/{name}" for name in (*bundle.FILES, "README.txt")}
    assert set(found) == {*wanted, "index.html"}
    assert len(found) == len(set(found))
    assert found[2:] == sorted(found[2:])
    assert {"demo/html/methods.html", "demo/html/errors.html"} <= set(found)
    assert not [name for name in found if name.endswith(".zip") or "/patients/" in name]


def test_unpacked_no_relative_link_is_broken(built: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(built / "demo.zip") as archive:
        archive.extractall(tmp_path)
    checked = 0
    for path in tmp_path.rglob("*.html"):
        found = BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
        for tag in found.find_all("a"):
            address = str(tag.get("href", "")).partition("#")[0]
            if "://" in address:
                continue
            if address:
                target = (path.parent / unquote(address)).resolve()
                assert target.is_file(), f"{path.name}: {address}"
                assert target.is_relative_to(tmp_path), "a link leaves the archive"
                checked += 1
    assert checked > 20


def test_files_are_those_outside(built: Path) -> None:
    with zipfile.ZipFile(built / "demo.zip") as archive:
        for name in archive.namelist()[2:]:
            assert archive.read(name) == (built / name.removeprefix("demo/")).read_bytes()


def test_it_is_the_same_whenever_its_files_were_written(built: Path) -> None:
    before = (built / "demo.zip").read_bytes()
    os.utime(built / "index.html", (0, 1_500_000_000))
    assert bundle.write(collected(built), built).read_bytes() == before


def test_a_failure_leaves_what_was_there(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = (built / "demo.zip").read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(zipfile.ZipFile, "writestr", full)
    with pytest.raises(OSError, match="No space left"):
        bundle.write(collected(built), built)
    assert (built / "demo.zip").read_bytes() == before
    assert not list(built.glob(".*"))


def test_volumes_of_real_patients_stay_at_home(tmp_path: Path) -> None:
    folder = planted.fill(tmp_path / "brats", "brats")
    found = collected(folder, "brats")
    (folder / "html").mkdir()
    (folder / "index.html").write_text('<a href="html/patients.html">all</a>')
    for name in ("patients", "patient-P1", "methods"):
        (folder / "html" / f"{name}.html").write_text(name)
    shown = found.study.model_copy(update={"report": settings.Report(real_volumes=True)})
    open_ = names(bundle.write(found, folder))
    closed = names(bundle.write(replace(found, study=shown), folder))
    assert "brats/html/patient-P1.html" in open_
    assert set(open_) - set(closed) == {"brats/html/patients.html", "brats/html/patient-P1.html"}
    with zipfile.ZipFile(folder / "brats.zip") as archive:
        assert "volumes of real patients" in archive.read("brats/README.txt").decode()
