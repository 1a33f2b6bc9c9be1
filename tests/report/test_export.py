"""Reports as a static site: whole, on its own, and never over what is somebody's."""

import shutil
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from gliomalib import report, settings
from gliomalib.report import bundle, crate, export
from gliomalib.schema import DataError, RecordError, SettingsError
from tests import planted_report as planted
from tests.report.reading import collected, soup_of, text


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of two reports with all their pages, to be read only."""
    reports = tmp_path_factory.mktemp("finished") / "reports"
    for study in ("demo", "brats-mini"):
        report.build(study, planted.fill(reports / study, study))
    return reports


@pytest.fixture
def reports(finished: Path, tmp_path: Path) -> Path:
    """Return a copy of them, to be spoilt by one test."""
    return Path(shutil.copytree(finished, tmp_path / "reports"))


def contents(folder: Path) -> dict[str, bytes]:
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def test_all_reports_become_a_site(finished: Path, tmp_path: Path) -> None:
    site = export.write([], finished, tmp_path / "a" / "site")
    made = contents(site)
    assert {path.name for path in site.iterdir()} == {
        *("index.html", "404.html", ".nojekyll", "demo", "brats-mini")
    }
    for name in ("demo", "brats-mini"):
        crate.check(site / name)
        for path in bundle.files(settings.load(name), finished / name):
            assert made[f"{name}/{path.relative_to(finished / name)}"] == path.read_bytes()
    assert not [name for name in made if name.endswith(".zip") or "sitemap" in name]
    assert not list(site.parent.glob(".*")), "nothing is left beside it"
    assert site.stat().st_mode & 0o755 == 0o755


def test_no_link_is_broken_or_leaves_the_site(finished: Path, tmp_path: Path) -> None:
    site, checked = export.write([], finished, tmp_path / "site"), 0
    for page in site.rglob("*.html"):
        for tag in soup_of(page).find_all("a", href=True):
            address = urlsplit(str(tag["href"]))
            if address.scheme or not address.path:
                assert address.scheme in ("", "http", "https")
                continue
            target = (page.parent / unquote(address.path)).resolve()
            assert target.is_file() and target.is_relative_to(site), f"{page}: {address.path}"
            checked += 1
    assert checked > 40


def test_one_study_has_a_front_page_of_its_own(finished: Path, tmp_path: Path) -> None:
    site = export.write(["demo"], finished, tmp_path / "site")
    assert {path.name for path in site.iterdir() if path.is_dir()} == {"demo"}
    assert "brats-mini" not in (site / "index.html").read_text()
    lost = text((site / "404.html").read_text())
    assert "demo" in lost and "brats-mini" not in lost


def test_an_export_takes_the_place_of_an_earlier_one(finished: Path, tmp_path: Path) -> None:
    out = tmp_path / "site"
    out.mkdir()
    first = contents(export.write([], finished, out))
    export.write(["demo"], finished, out)
    assert not (out / "brats-mini").exists()
    assert contents(export.write([], finished, out)) == first


@pytest.mark.parametrize(
    "planted_file", ["thesis.tex", ".nojekyll", ".git/HEAD", "index.html", "site.txt"]
)
def test_what_is_no_export_is_left_alone(planted_file: str, finished: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (out / planted_file).parent.mkdir(parents=True)
    (out / planted_file).write_text("mine")
    with pytest.raises(DataError, match="neither empty nor an earlier export"):
        export.write([], finished, out)
    assert contents(out) == {planted_file: b"mine"}


def test_what_was_put_into_an_export_is_not_lost(finished: Path, tmp_path: Path) -> None:
    out = export.write(["demo"], finished, tmp_path / "out")
    (out / "CNAME").write_text("mine.org")
    with pytest.raises(DataError, match="an export has no CNAME"):
        export.write(["demo"], finished, out)
    assert (out / "CNAME").read_text() == "mine.org"


def spoil(folder: Path, fault: str) -> None:
    page = folder / "html" / "methods.html"
    if fault == "missing":
        page.unlink()
    elif fault == "changed":
        page.write_text("x")
    elif fault == "earlier":
        (folder / bundle.CRATE).unlink()
    else:
        page.write_text(f"<p>{folder.parent}/x" if fault == "folder" else "x" * 2_000_000)
        crate.write(collected(folder), folder)


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("missing", r"methods.html: is missing, which was there when the report was made"),
        ("changed", r"methods.html: has changed since the report was made"),
        ("earlier", r"ro-crate-metadata.json: is missing or damaged; make its report anew"),
        ("folder", r"methods.html: names .*reports/, a folder of this machine"),
        ("large", r"methods.html: has more than 1900000 bytes"),
    ],
)
def test_a_report_with_a_fault_is_not_published(
    fault: str, told: str, reports: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = export.write([], reports, tmp_path / "site")
    before = contents(out)
    spoil(reports / "demo", fault)
    if fault == "large":
        monkeypatch.setattr(export, "LARGEST", 1_900_000)
    with pytest.raises(RecordError, match=told):
        export.write(["demo"], reports, out)
    assert contents(out) == before and not list(tmp_path.glob(".*"))


def test_studies_that_are_not_there_are_named(finished: Path, tmp_path: Path) -> None:
    for name in ("../demo", "none", ""):
        with pytest.raises(SettingsError):
            export.write([name], finished, tmp_path / "site")
    with pytest.raises(RecordError, match=r"smoke/ro-crate-metadata.json: is missing"):
        export.write(["smoke"], finished, tmp_path / "site")
    with pytest.raises(RecordError, match="no study has a report here"):
        export.write([], tmp_path / "none", tmp_path / "site")
    assert not (tmp_path / "site").exists()


def test_a_damaged_record_is_published_as_what_it_is(reports: Path, tmp_path: Path) -> None:
    (reports / "demo" / "records" / "05_fusion.json").write_text("{")
    report.build("demo", reports / "demo")
    site = export.write(["demo"], reports, tmp_path / "site")
    assert (site / "demo" / "records" / "05_fusion.json").read_text() == "{"
    assert "Its record cannot be read" in (site / "demo" / "answer.txt").read_text()


def test_volumes_of_real_patients_stay_at_home(
    reports: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, own = reports / "brats-mini", settings.load("brats-mini")
    closed = own.model_copy(update={"report": settings.Report(real_volumes=True)})
    (folder / "html" / "patient-P1.html").write_text("volumes")
    monkeypatch.setattr(settings, "load", lambda *_: closed)
    crate.write(collected(folder, "brats-mini"), folder)
    site = export.write(["brats-mini"], reports, tmp_path / "site")
    for name in ("patient-P1", "patients"):
        page = (site / "brats-mini" / "html" / f"{name}.html").read_text()
        assert "may not be passed on" in page and "volumes</" not in page
    assert "patient-P1" not in (site / "brats-mini" / bundle.CRATE).read_text()
