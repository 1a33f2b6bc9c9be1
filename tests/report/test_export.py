"""Reports passed on: whole, never over what is somebody's, and a deposit twice the same."""

import hashlib
import io
import shutil
import tarfile
import zipfile
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from gliomalib import provenance, records, report, settings
from gliomalib.report import bundle, export
from gliomalib.schema import DataError, RecordError, SettingsError
from tests import planted_report as planted
from tests.report.reading import collected, soup_of, text


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of two reports with all pages, one with records of this commit."""
    reports = tmp_path_factory.mktemp("finished") / "reports"
    planted.fill(reports / "demo")
    for name in planted.values():
        restate(reports / "demo", name, commit=provenance.commit().partition("+")[0])
    report.build("demo", reports / "demo")
    report.build("brats-mini", planted.fill(reports / "brats-mini", "brats-mini"))
    return reports


@pytest.fixture
def reports(finished: Path, tmp_path: Path) -> Path:
    """Return a copy of them, to be spoilt by one test."""
    return Path(shutil.copytree(finished, tmp_path / "reports"))


def restate(folder: Path, name: str, **origin: str) -> None:
    """Let a record say something else of where it comes from."""
    made = records.read(records.record_path(folder, name))
    planted.rewrite(folder, name, provenance={**made.provenance, **origin})


def contents(folder: Path) -> dict[str, bytes]:
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def test_the_page_of_the_benchmarks_goes_along_and_is_linked(reports: Path, tmp_path: Path) -> None:
    (reports / "benchmarks").mkdir()
    (reports / "benchmarks" / "index.html").write_text("<p>fast")
    for _ in range(2):
        site = export.write([], reports, tmp_path / "site")
        assert (site / "benchmarks" / "index.html").read_text() == "<p>fast"
        assert 'href="benchmarks/index.html"' in (site / "index.html").read_text()
    shutil.rmtree(reports / "benchmarks")
    assert (
        "benchmarks" not in (export.write([], reports, tmp_path / "b") / "index.html").read_text()
    )


def test_all_reports_become_a_site(finished: Path, tmp_path: Path) -> None:
    site = export.write([], finished, tmp_path / "a" / "site")
    made = contents(site)
    assert {path.name for path in site.iterdir()} == {
        *("index.html", "404.html", ".nojekyll", "demo", "brats-mini")
    }
    for name in ("demo", "brats-mini"):
        bundle.check(site / name)
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
    if fault == "added":
        (folder / "figures").mkdir()
        (folder / "figures" / "notes.txt").write_text("mine")
    elif fault == "missing":
        page.unlink()
    elif fault == "changed":
        page.write_text("x")
    elif fault == "earlier":
        (folder / bundle.CRATE).unlink()
    else:
        page.write_text(f"<p>{folder.parent}/x" if fault == "folder" else "x" * 2_000_000)
        bundle.describe(collected(folder), folder)


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("missing", r"methods.html: is missing, which was there when the report was made"),
        ("changed", r"methods.html: has changed since the report was made"),
        ("earlier", r"ro-crate-metadata.json: is missing or damaged; make its report anew"),
        ("added", r"notes.txt: is not of the report as it was made; take it away"),
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
    bundle.describe(collected(folder, "brats-mini"), folder)
    site = export.write(["brats-mini"], reports, tmp_path / "site")
    for name in ("patient-P1", "patients"):
        page = (site / "brats-mini" / "html" / f"{name}.html").read_text()
        assert "may not be passed on" in page and "volumes</" not in page
    assert "patient-P1" not in (site / "brats-mini" / bundle.CRATE).read_text()


def members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_it_holds_report_source_and_sums(finished: Path, tmp_path: Path) -> None:
    parts = members(export.deposit("demo", finished, tmp_path / "d.zip"))
    commit = provenance.commit().partition("+")[0]
    source = f"demo/source-{commit}.tar"
    own = {"demo/report/index.html", "demo/report/demo/ro-crate-metadata.json", source}
    own |= {f"demo/report/demo/{name}" for name in ("summary.pdf", "cite.bib", "answer.txt")}
    assert own | {"demo/README.txt", "demo/SHA256SUMS"} <= set(parts)
    sums = [line.split("  ", 1) for line in parts["demo/SHA256SUMS"].decode().splitlines()]
    assert {f"demo/{name}" for _, name in sums} == set(parts) - {"demo/SHA256SUMS"}
    for digest, name in sums:
        assert hashlib.sha256(parts[f"demo/{name}"]).hexdigest() == digest
    with tarfile.open(fileobj=io.BytesIO(parts[source])) as tar:
        names = tar.getnames()
    assert f"source-{commit}/gliomalib/__init__.py" in names
    assert not [name for name in names if "/reports/" in name]
    assert source.removeprefix("demo/") in parts["demo/README.txt"].decode()


def test_it_cites_the_paper_that_the_study_examines(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = {"published": "tests/reference/next-paper.yml"}
    study = settings.load("demo").model_copy(update=other)
    monkeypatch.setattr(settings, "load", lambda *_: study)
    note = members(export.deposit("demo", finished, tmp_path / "d.zip"))["demo/README.txt"]
    assert "Isensee" in note.decode() and "Janardhan" not in note.decode()


def test_the_same_input_gives_the_same_bytes(reports: Path, tmp_path: Path) -> None:
    first = export.deposit("demo", reports, tmp_path / "a.zip").read_bytes()
    (reports / "demo" / "index.html").touch()
    assert export.deposit("demo", reports, tmp_path / "b.zip").read_bytes() == first


def test_the_lock_is_in_it_where_it_is_that_of_the_records(reports: Path, tmp_path: Path) -> None:
    lock = provenance.PROJECT_DIR / "requirements.lock"
    before = members(export.deposit("demo", reports, tmp_path / "a.zip"))
    assert "demo/requirements.lock" not in before
    assert "lock with which" in before["demo/README.txt"].decode()
    restate(reports / "demo", "05_fusion", lock_sha256=provenance.file_digest(lock))
    report.build("demo", reports / "demo")
    after = members(export.deposit("demo", reports, tmp_path / "b.zip"))
    assert after["demo/requirements.lock"] == lock.read_bytes()


def test_records_of_two_commits_are_refused_unless_asked_for(reports: Path, tmp_path: Path) -> None:
    restate(reports / "demo", "05_fusion", commit="0123456789ab")
    report.build("demo", reports / "demo")
    with pytest.raises(RecordError, match=r"2 commits: .*0123456789ab \(05_fusion\)") as told:
        export.deposit("demo", reports, tmp_path / "d.zip")
    assert str(told.value).endswith("run the study again, or say --mixed")
    assert not list(tmp_path.glob("*d.zip*"))
    note = members(export.deposit("demo", reports, tmp_path / "d.zip", mixed=True))[
        "demo/README.txt"
    ].decode()
    assert "records of commit 0123456789ab is not in here" in note
    assert "more than one commit" in note


@pytest.mark.parametrize("commit", ["unknown", "0123456789ab+changes", "--output=x", "HEAD"])
def test_without_its_commit_there_is_no_source(commit: str, reports: Path, tmp_path: Path) -> None:
    for name in planted.values():
        restate(reports / "demo", name, commit=commit)
    report.build("demo", reports / "demo")
    parts = members(export.deposit("demo", reports, tmp_path / "d.zip"))
    assert not [name for name in parts if "source" in name]
    assert f"records of commit {commit} is not in here" in parts["demo/README.txt"].decode()


def test_a_damaged_record_is_refused(reports: Path, tmp_path: Path) -> None:
    (reports / "demo" / "records" / "05_fusion.json").write_text("{")
    with pytest.raises(RecordError, match=r"05_fusion.json: not a record"):
        export.deposit("demo", reports, tmp_path / "d.zip")
    assert not (tmp_path / "d.zip").exists()
