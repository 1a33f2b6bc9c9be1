"""What is passed on: metadata that name all files and runs truly, and an archive that works."""

import gzip
import hashlib
import json
import os
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from bs4 import BeautifulSoup

from gliomalib import report, settings
from gliomalib.report import bundle, references
from gliomalib.schema import RecordError
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


Entity = dict[str, Any]


def graph_of(folder: Path) -> dict[str, Entity]:
    """Return the entities by address, checked for what RO-Crate 1.1 asks of every crate."""
    content = json.loads((folder / bundle.CRATE).read_text(encoding="utf-8"))
    assert content["@context"][0] == "https://w3id.org/ro/crate/1.1/context"
    graph = {entity["@id"]: entity for entity in content["@graph"]}
    assert len(graph) == len(content["@graph"]), "an address is given twice"
    descriptor, root = graph[bundle.CRATE], graph["./"]
    assert descriptor["@type"] == "CreativeWork" and descriptor["about"] == {"@id": "./"}
    assert descriptor["conformsTo"] == {"@id": "https://w3id.org/ro/crate/1.1"}
    assert root["@type"] == "Dataset"
    assert {"name", "description", "datePublished", "license"} <= set(root)
    assert all(entity.get("@type") and isinstance(one, str) for one, entity in graph.items())
    outside = {"https://w3id.org/ro/crate/1.1"}
    assert {one for entity in graph.values() for one in named(entity)} <= set(graph) | outside
    return graph


def named(entity: Entity) -> Iterator[str]:
    """Yield the addresses that an entity names; nothing is nested deeper."""
    for key, value in entity.items():
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, dict):
                assert set(one) == {"@id"}, key
                yield one["@id"]


@pytest.fixture
def made(folder: Path) -> Path:
    (folder / "tables" / "05_fusion.a b.csv").write_text("a\n1\n")
    (folder / "html").mkdir()
    (folder / "html" / "05_fusion.html").write_text("<p>")
    (folder / "index.html").write_text("<p>")
    bundle.describe(collected(folder), folder)
    return folder


def test_every_file_is_named_with_its_digest(made: Path) -> None:
    graph = graph_of(made)
    files = {one: e for one, e in graph.items() if e["@type"] == "File"}
    paths = {path.relative_to(made).as_posix(): path for path in made.rglob("*") if path.is_file()}
    del paths[bundle.CRATE]
    assert {one.replace("%20", " ") for one in files} == set(paths)
    assert {part["@id"] for part in graph["./"]["hasPart"]} == set(files)
    for one, entity in files.items():
        content = paths[one.replace("%20", " ")].read_bytes()
        assert entity["sha256"] == hashlib.sha256(content).hexdigest()
        assert entity["contentSize"] == str(len(content))
    kinds = {one.rpartition(".")[2]: entity["encodingFormat"] for one, entity in files.items()}
    assert kinds == {"html": "text/html", "csv": "text/csv", "json": "application/json",
                     "ipynb": "application/x-ipynb+json"}  # fmt: skip


def test_every_record_is_a_run_with_what_it_took_and_left(made: Path) -> None:
    graph = graph_of(made)
    runs = {one: e for one, e in graph.items() if e["@type"] == "CreateAction"}
    assert set(runs) == {f"#run-{name}" for name in planted.values()}
    run = runs["#run-05_fusion"]
    assert {one["@id"] for one in run["result"]} == {
        *("records/05_fusion.json", "notebooks/05_fusion.ipynb", "html/05_fusion.html"),
        *("tables/05_fusion.scores.csv", "tables/05_fusion.a%20b.csv"),
    }
    instrument = graph[run["instrument"]["@id"]]
    assert instrument["name"] == "notebooks/05_fusion.ipynb"
    assert instrument["version"] == "abc123"
    software = {graph[one["@id"]]["name"] for one in instrument["softwareRequirements"]}
    assert software == set(planted.VERSIONS)
    settings_of = {graph[one["@id"]]["name"]: graph[one["@id"]]["value"] for one in run["object"]}
    assert settings_of["fusion.alpha"] == "0.6"
    assert settings_of["seed"] == "2025" and settings_of["data"] == "e1"
    usage = {graph[one["@id"]]["name"]: graph[one["@id"]]["value"] for one in run["resourceUsage"]}
    assert usage["wall time, s"] == "60.0" and usage["processor"] == "A Good Machine"
    assert usage["exit code"] == "not recorded", "a record of an earlier version has none"
    assert run["startTime"] == "2026-01-02"


def test_the_root_says_whose_it_is_and_on_what_it_is_based(made: Path) -> None:
    graph = graph_of(made)
    root, paper = graph["./"], "https://arxiv.org/abs/2502.18775"
    assert root["citation"] == root["isBasedOn"] == {"@id": paper}
    assert [graph[one["@id"]]["name"] for one in root["author"]] == ["The gliomalib authors"]
    assert root["datePublished"] == "2026-01-02"
    assert root["license"]["@id"].endswith("/MIT")
    assert "identifier" not in root, "there is no DOI, and none is made up"


def test_a_doi_is_carried_on(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "CITATION.cff"
    doi = "identifiers: [{type: doi, value: 10.5281/zenodo.1}]\n"
    path.write_text(references.CITATION.read_text() + doi)
    monkeypatch.setattr(references, "CITATION", path)
    bundle.describe(collected(made), made)
    assert graph_of(made)["./"]["identifier"] == "https://doi.org/10.5281/zenodo.1"


def test_a_damaged_record_is_a_file_and_no_run(made: Path) -> None:
    (made / "records" / "05_fusion.json").write_text("{")
    bundle.describe(collected(made), made)
    graph = graph_of(made)
    assert "records/05_fusion.json" in graph and "#run-05_fusion" not in graph


def test_hostile_words_stay_words(made: Path) -> None:
    attack = planted.ATTACK + '"}\n{"@id": "./"}'
    study = settings.load("demo")
    parameters = {attack: attack, "list": [1, {"a": attack}]}
    planted.rewrite(made, "05_fusion", conclusion=attack, parameters=parameters)
    (made / "tables" / "05_fusion.</script>\"'#?.csv".replace("/", "_")).write_text("a\n")
    bundle.describe(collected(made), made)
    graph = graph_of(made)
    run = graph["#run-05_fusion"]
    assert run["description"] == attack
    assert attack in {graph[one["@id"]]["value"] for one in run["object"]}
    assert all(" " not in one and "\n" not in one for one in graph)
    bundle.check(made)
    assert study.title == graph["./"]["alternateName"]


def test_a_report_that_is_not_as_it_was_made_is_refused(made: Path) -> None:
    bundle.check(made)
    page = made / "html" / "05_fusion.html"
    page.write_text("<p>other")
    with pytest.raises(RecordError, match=r"05_fusion.html: has changed since"):
        bundle.check(made)
    page.unlink()
    with pytest.raises(RecordError, match=r"05_fusion.html: is missing"):
        bundle.check(made)
    for text in ("", "[]", "{}", '{"@graph": [{}]}'):
        (made / bundle.CRATE).write_text(text)
        with pytest.raises(RecordError, match=r"metadata.json: is missing or damaged"):
            bundle.check(made)


def test_a_report_is_built_with_its_metadata_and_twice_the_same(folder: Path) -> None:
    report.build("demo", folder)
    before = (folder / bundle.CRATE).read_bytes()
    bundle.check(folder)
    graph = graph_of(folder)
    assert {"index.html", "answer.txt", "summary.pdf", "cite.bib"} <= set(graph)
    report.build("demo", folder)
    assert (folder / bundle.CRATE).read_bytes() == before
