"""The list of studies: who is there, what is missing, and never anything made up."""

import shutil
from pathlib import Path

import pytest
from bs4 import Tag

from gliomalib import parameters, records, report, settings
from gliomalib.report import entries, studies
from gliomalib.schema import Value
from gliomalib.verdicts import claims
from tests import planted_report as planted
from tests.report.reading import soup_of, words_of

LAST = "16_reproducibility_report"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    planted.fill(tmp_path / "demo")
    return tmp_path


def cards(path: Path) -> dict[str, Tag]:
    return {str(tag["id"]): tag for tag in soup_of(path).select("article.study")}


def test_two_studies_are_listed_with_data_and_commit(folder: Path) -> None:
    planted.fill(folder / "brats-mini", "brats-mini")
    (folder / "brats-mini" / "index.html").write_text("<p>there</p>")
    found = cards(studies.write(folder, "demo"))
    assert list(found) == ["brats-mini", "demo"]
    demo, mini = words_of(found["demo"]), words_of(found["brats-mini"])
    assert settings.load("demo").title in demo
    assert demo.startswith("demo synthetic") and "47 patients, 9 external." in demo
    assert mini.startswith("brats-mini real")
    assert "Made on 2026-01-02 (UTC) by commit abc123" in demo
    links = [tag.a["href"] for tag in found.values()]
    assert links == ["brats-mini/index.html", "demo/index.html"]


def test_the_matrix_sets_every_statement_beside_every_study(folder: Path) -> None:
    planted.fill(folder / "brats-mini", "brats-mini")
    (folder / "brats-mini" / "index.html").write_text("<p>there</p>")
    table = records.table_path(folder / "demo", entries.VERDICTS)
    table.write_text(table.read_text().replace("not testable on this data", "not run"))
    door = soup_of(studies.write(folder, "demo"))
    heads = [words_of(head) for head in door.select(".matrix thead")[0].find_all("th")]
    assert heads[1].startswith("brats-mini real") and heads[2].startswith("demo synthetic")
    row = door.select_one(".matrix tbody tr")
    assert row.th.get_text().startswith("C1")
    assert [cell.get_text() for cell in row("td")] == ["not testable", "not run"]
    assert [cell.a["href"] for cell in row("td")] == [
        f"{name}/html/claim-C1.html" for name in ("brats-mini", "demo")
    ]


@pytest.mark.parametrize("verdict", ["reproduced", "not reproduced", "inconclusive", "not run"])
def test_a_finding_says_what_the_verdict_says(folder: Path, verdict: str) -> None:
    gain = Value("fused_minus_2d_mean_dice", 0.019, (0.016, 0.021), 368, rule="mean")
    study = planted.fill(folder / "brats-cubes", "brats-cubes")
    records.write(planted.record(settings.load("brats-cubes"), "05_fusion", [gain]), study)
    table = records.table_path(study, entries.VERDICTS)
    table.write_text(table.read_text() + f"C7,Gain.,0,0.019,{verdict},above,05_fusion,\n")
    door = soup_of(studies.write(folder, "brats-cubes"))
    asked = next(one for one in claims.paper().findings if one.statements[0] == "C7")
    found = [one for one in door.select(".findings article") if asked.question in words_of(one)]
    if verdict == "not run":
        assert not found, "what nobody decided is no finding"
        return
    said = asked.answers.get(verdict, "Gain. Verdict: inconclusive.")
    assert found[0].h3.get_text() == said
    assert said in words_of(door.select_one(".short"))
    assert found[0].select_one(".statements a")["href"] == "brats-cubes/html/claim-C7.html"


def test_what_is_not_the_first_statement_is_told_as_it_is(folder: Path) -> None:
    study = planted.fill(folder / "brats-cubes", "brats-cubes")
    table = records.table_path(study, entries.VERDICTS)
    row = "{},{}.,0,0.019,{},above,05_fusion,\n"
    both = row.format("C7", "Than 2D", "not run") + row.format("C8", "Than 3D", "reproduced")
    table.write_text(table.read_text() + both)
    titles = [tag.get_text() for tag in soup_of(studies.write(folder, study.name)).select("h3")]
    assert "Than 3D. Verdict: reproduced." in titles
    assert "Fusing is better than the 2D network alone." not in titles


def test_another_paper_has_statements_of_its_own(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = folder / "params"
    shutil.copytree(settings.STUDIES_DIR, params)
    monkeypatch.setattr(settings, "STUDIES_DIR", params)
    other = "study: next\npublished: tests/reference/next-paper.yml"
    plan = (params / "demo.yml").read_text().replace("study: demo", other, 1)
    (params / "next.yml").write_text(plan)
    planted.fill(folder / "next", "next")
    table = records.table_path(folder / "next", entries.VERDICTS)
    row = "C1,The Dice is 88.95 %.,0.8895,0.9,reproduced,above,04_train_unet3d,the paper's claims\n"
    table.write_text(planted.VERDICTS + row)
    door = soup_of(studies.write(folder, "next"))
    assert not door.select(".findings article"), "it answers no question about the first paper"
    titles = [words_of(tag) for tag in door.select(".matrix tbody th")]
    assert [title for title in titles if title.startswith("C1")] == [
        "C1 Accurate",
        "C1 The Dice is 88.95 %.",
    ]
    last = door.select(".matrix")[-1]
    assert [words_of(head).split()[0] for head in last.thead("th")] == ["statement", "next"]
    heading = words_of(door.select_one("details.group summary"))
    assert "Brain tumours segmented by nnU-Net" in heading


def test_who_decides_more_comes_first(folder: Path) -> None:
    for name in ("brats-cubes", "brats-mini", "brats-masks"):
        planted.fill(folder / name, name)
    table = records.table_path(folder / "brats-mini", entries.VERDICTS)
    table.write_text(table.read_text().replace("not testable on this data", "not reproduced"))
    names = ["brats-mini", "brats-cubes", "brats-masks", "demo"]
    assert list(cards(studies.write(folder))) == names


def test_missing_runs_and_verdicts_are_counted(folder: Path) -> None:
    records.table_path(folder / "demo", entries.VERDICTS).unlink()
    records.record_path(folder / "demo", "05_fusion").write_text("{}")
    told = words_of(cards(studies.write(folder))["demo"])
    table = f"tables/{LAST}.verdicts.csv is missing; run notebook {LAST}"
    assert f"No statement is decided: {table}." in told
    wanted = len(parameters.NOTEBOOKS) + sum(map(len, settings.load("demo").variants.values()))
    there = len(planted.values()) - 1
    assert f"{wanted - there} of its {wanted} runs left no record." in told


def test_a_study_without_pages_has_no_link(folder: Path) -> None:
    card = cards(studies.write(folder))["demo"]
    assert card.h3.a is None
    assert "There are no pages yet: make report STUDY=demo" in words_of(card)


def test_what_is_no_study_is_not_listed(folder: Path) -> None:
    (folder / "notes").mkdir()
    (folder / "file.txt").write_text("x")
    assert list(cards(studies.write(folder))) == ["demo"]


def test_a_folder_of_no_study_of_the_project_is_not_listed(folder: Path) -> None:
    planted.fill(folder / "other")
    assert list(cards(studies.write(folder))) == ["demo"]


def test_nothing_there_is_a_page_that_says_so(tmp_path: Path) -> None:
    page = studies.write(tmp_path)
    assert "No study has left a record here" in words_of(soup_of(page))


def test_the_page_is_built_with_a_study_and_stays_the_same(folder: Path) -> None:
    report.build("demo", folder / "demo")
    first = (folder / "index.html").read_bytes()
    assert (folder / "demo" / "index.html").is_file()
    report.build("demo", folder / "demo")
    assert (folder / "index.html").read_bytes() == first
    assert b"demo/index.html" in first


def test_the_page_needs_nothing_from_outside(folder: Path) -> None:
    found = soup_of(studies.write(folder, "demo"))
    assert not found.find_all(["script", "link", "iframe"])
    outside = [tag["href"] for tag in found.find_all(href=True) if "://" in tag["href"]]
    assert outside == [claims.paper().address]
    assert len(found.find_all("h1")) == 1


def test_a_bad_study_file_leaves_out_itself_alone(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    params = folder / "params"
    shutil.copytree(settings.STUDIES_DIR, params)
    monkeypatch.setattr(settings, "STUDIES_DIR", params)
    planted.fill(folder / "brats-mini", "brats-mini")
    (params / "brats-mini.yml").write_bytes("title: Größe".encode("cp1252"))
    assert list(cards(studies.write(folder, "demo"))) == ["demo"]
    assert "brats-mini is not in the list of studies: " in caplog.text
    assert "brats-mini.yml: not UTF-8" in caplog.text
