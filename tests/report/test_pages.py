"""The pages of a report: what they show, what they name as missing, what they never contain."""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlsplit

import nbformat
import pandas as pd
import pytest
from bs4 import BeautifulSoup
from nbformat import NotebookNode, v4

from gliomalib import records, report, settings
from gliomalib.report import notebooks, pages, words
from gliomalib.schema import Record, SettingsError, Value

NAMES = ("01_data_exploration", "05_fusion", "15_reproducibility_report")
VARIANT = "05_fusion.half"
DOCUMENTS = ("methods", "model-card", "errors", "downloads")
ATTACK = '<script>alert("x")</script>'
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
STUDY = """
study: {name}
title: A made-up study <b>for tests</b>
seed: 3
data: {{source: {source}}}
unet2d: {{epochs: 1, batch_size: 1}}
unet3d: {{epochs: 1, batch_size: 1}}
classifier: {{epochs: 1, batch_size: 1, weights: random}}
variants: {{05_fusion: {{half: {{alpha: 0.5}}}}}}
"""
VALUES = (
    Value("dice_ET", 0.71234, (0.6512, 0.7688), 8, 1, 2, "Dice", "mean; both empty counts 1"),
    Value("difference", -0.012345, (-0.0312, 0.0021), 8, 0, 0, "Dice", "paired"),
    Value("external", 0.5, None, 4, 0, 0, "Dice", "mean over external patients"),
    Value("parameters", 1234567, None, 0, 0, 0, "", "trainable"),
    Value("p", 3.2e-7, None, 8, 0, 0, "", "paired Wilcoxon, Holm"),
    Value("hd95", math.nan, None, 8, 0, 8, "mm", "undefined where nothing was predicted"),
)


def make_record(name: str, **changes: object) -> Record:
    notebook, _, variant = name.partition(".")
    record = Record(
        notebook=notebook,
        study="small",
        variant=variant,
        claims=("C1",),
        values=VALUES,
        parameters={},
        seed=3,
        device="cpu",
        wall_s=61.5,
        peak_memory_bytes=1_200_000_000,
        provenance={"commit": "abc", "lock_sha256": "def", "versions": {"python": "3.11.9"}},
        caveats=(f"Patient {ATTACK} was looked at twice.",),
        conclusion=f"Conclusion of {name} {ATTACK}.",
    )
    return replace(record, **changes)  # type: ignore[arg-type]


def output(kind: str, data: str, metadata: dict[str, object] | None = None) -> NotebookNode:
    return v4.new_output("display_data", {kind: data}, metadata=metadata or {})


def make_notebook(name: str) -> NotebookNode:
    table = pd.DataFrame({"patient": [f"P1{ATTACK}", "P2"], "dice": [0.5, 0.75]})
    picture = base64.b64encode(PIXEL).decode()
    outputs = [
        v4.new_output("stream", name="stderr", text=f"epoch 1 of {ATTACK}\n" * 12),
        output("text/html", table.to_html()),
        output("image/png", picture, {"image/png": {"alt": "Dice of each patient"}}),
        output("image/png", picture),
        output("text/markdown", f"**Answer** of {ATTACK}"),
        output("application/javascript", "alert(1)"),
    ]
    text = (
        f"# {name[:2]} · Is {name} right?\n\n**Question.** Does `it` hold\nfor all of us?\n\n"
        f"**Rule.** Above 0 it holds.\n\nSee [the next](05_fusion.ipynb), [gone](no.ipynb), "
        f"[the paper](https://arxiv.org/abs/2502.18775). ![far](https://example.org/far.png)"
    )
    given = 'study = "small"\nalpha = 0.25\ndata_dir = "/home/me/data"\nweights = "/home/me/w.pt"\n'
    notebook_cells = [
        v4.new_markdown_cell(text),
        v4.new_code_cell(
            "study: str = 'demo'", execution_count=1, metadata={"tags": ["parameters"]}
        ),
        v4.new_code_cell(
            f"# Parameters\n{given}", execution_count=2, metadata={"tags": ["injected-parameters"]}
        ),
        v4.new_code_cell("show('<i>')", execution_count=3, outputs=outputs),
    ]
    for place, cell in enumerate(notebook_cells):
        cell["id"] = f"c{place}"
    return v4.new_notebook(cells=notebook_cells, metadata={"language_info": {"name": "python"}})


def verdict_table() -> pd.DataFrame:
    row = {
        "claim": "C1",
        "statement": f"Fused is better {ATTACK}",
        "published": 0.9925,
        "obtained": "81.20 %",
        "interval": "74.3 % to 87.1 %",
        "patients": 8,
        "verdict": "not reproduced",
        "reason": "wholly below",
        "notebook": "05_fusion",
    }
    other = {**row, "claim": "C2", "verdict": "not run", "obtained": "–", "notebook": "09_more"}
    return pd.DataFrame([row, other])


def fill(folder: Path) -> Path:
    for name in (*NAMES, VARIANT):
        records.write(make_record(name), folder)
        path = folder / "notebooks" / f"{name}.ipynb"
        path.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(make_notebook(name), path)
    tables = folder / "tables"
    tables.mkdir()
    verdict_table().to_csv(tables / "15_reproducibility_report.verdicts.csv", index=False)
    (tables / "05_fusion.scores.csv").write_text("a\n1\n")
    (tables / f"{VARIANT}.scores.csv").write_text("a\n1\n")
    (folder / "figures").mkdir()
    (folder / "figures" / "overview.png").write_bytes(PIXEL)
    return folder


def plant_studies(folder: Path, patch: pytest.MonkeyPatch) -> None:
    folder.mkdir(exist_ok=True)
    for name, source in (("small", "phantom"), ("real", "folder")):
        (folder / f"{name}.yml").write_text(STUDY.format(name=name, source=source))
    patch.setattr(settings, "STUDIES_DIR", folder)
    patch.setattr(settings, "NOTEBOOKS", {name: {} for name in NAMES})


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a finished study without pages, to be spoilt by one test."""
    plant_studies(tmp_path / "params", monkeypatch)
    return fill(tmp_path / "reports" / "small")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return a finished study with its pages, to be read only."""
    base = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        plant_studies(base / "params", patch)
        folder = fill(base / "small")
        report.build("small", folder)
        yield folder


def soup_of(path: Path) -> BeautifulSoup:
    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


def text_of(path: Path) -> str:
    return " ".join(soup_of(path).get_text(" ").split())


def all_pages(folder: Path) -> list[Path]:
    """Return the index and all pages but those of patients, which have tests of their own."""
    others = sorted((folder / "html").glob("*.html"))
    return [folder / "index.html", *(one for one in others if not one.name.startswith("patient"))]


def index_text(folder: Path, study: str = "small") -> str:
    return text_of(report.build(study, folder))


# what stands on the pages


def test_index_is_returned_and_every_notebook_has_a_page(finished: Path) -> None:
    found = {path.stem for path in all_pages(finished)[1:]}
    assert found == {*NAMES, VARIANT, *DOCUMENTS}
    assert (finished / "html" / "patients.html").is_file()


def test_sections_come_in_order(finished: Path) -> None:
    soup = soup_of(finished / "index.html")
    headings = [tag.get_text(strip=True) for tag in soup.find_all(["h1", "h2"])]
    assert headings[0].startswith("Does fusing a 2D and a 3D")
    assert headings[1:] == [
        "Answer",
        "Verdicts",
        "Key figures",
        "What limits these results",
        "Results, notebook by notebook",
        "Run this again",
        "How to cite",
        "Compute spent",
        "Provenance",
    ]


def test_synthetic_data_are_named_before_anything_else(finished: Path) -> None:
    page = text_of(finished / "index.html")
    sentence = "made on synthetic patients: they show that the pipeline works and say nothing"
    assert page.index(sentence) < page.index("Conclusion of 15")
    assert "not complete" not in page
    for path in all_pages(finished)[1:]:
        assert "Synthetic patients" in text_of(path)


@pytest.mark.parametrize(
    ("patients", "expected"), [(10, "too few to decide"), (369, "at most 369")]
)
def test_real_data_are_described_by_their_number(
    folder: Path, patients: int, expected: str
) -> None:
    for name in (*NAMES, VARIANT):
        # a count of people whom a table names is no result on them
        named = Value("pooled_patients", 999.0, None, 999, rule="named by the organisers' table")
        values = (replace(VALUES[0], n_patients=patients), named)
        records.write(make_record(name, study="real", values=values), folder)
    page = index_text(folder, "real")
    assert expected in page
    assert "synthetic" not in page
    assert "make report STUDY=real DATA=/path/to/data" in page


def test_answer_is_the_last_notebooks_conclusion(finished: Path) -> None:
    answer = soup_of(finished / "index.html").select_one("#answer .answer")
    assert answer is not None
    assert answer.get_text() == f"Conclusion of 15_reproducibility_report {ATTACK}."


def test_verdict_table_shows_every_claim(finished: Path) -> None:
    rows = soup_of(finished / "index.html").select("table.verdicts tbody tr")
    first, second = (" ".join(row.get_text(" ").split()) for row in rows)
    for part in ("C1", "0.9925", "81.20 %", "74.3 % to 87.1 %", "8 patients", "wholly below"):
        assert part in first
    chips = [(row.select_one(".chip").get_text(), row.select_one(".chip")["class"]) for row in rows]
    assert chips == [("not reproduced", ["chip", "no"]), ("not run", ["chip", "none"])]
    assert rows[0].find("a")["href"] == "html/05_fusion.html"
    assert "no page" in second


def test_every_cards_numbers_are_the_records(finished: Path) -> None:
    soup = soup_of(finished / "index.html")
    for name in (*NAMES, VARIANT):
        card = soup.find(id=name)
        assert card is not None
        rows = card.select("table.values tbody tr")
        record = records.read(records.record_path(finished, name))
        assert [row.th.get_text() for row in rows] == [value.name for value in record.values]
        for row, value in zip(rows, record.values, strict=True):
            shown = [float(tag["value"]) for tag in row.find_all("data")]
            counts = [value.n_patients, value.n_empty, value.n_missed]
            assert shown == pytest.approx([value.value, *counts], rel=0, abs=0, nan_ok=True)
            interval = row.find(attrs={"data-low": True})
            if value.ci95 is None:
                assert interval is None
            else:
                assert (float(interval["data-low"]), float(interval["data-high"])) == value.ci95
            assert row.select_one(".rule").get_text() == value.rule


def test_numbers_have_sensible_digits(finished: Path) -> None:
    card = soup_of(finished / "index.html").find(id="05_fusion")
    assert card is not None
    rows = [[tag.get_text(strip=True) for tag in row.find_all("td")] for row in card.select("tr")]
    assert [row[:2] for row in rows if row] == [
        ["0.712Dice", "0.651 to 0.769"],
        ["−0.012Dice", "−0.031 to 0.002"],
        ["0.5Dice", "no interval: 4 patients"],
        ["1\u202f234\u202f567", "no interval: not over patients"],
        ["3.2 × 10⁻⁷", "no interval: 8 patients"],
        ["undefinedmm", "no interval: 8 patients"],
    ]


def test_cards_say_question_rule_cost_and_files(finished: Path) -> None:
    card = soup_of(finished / "index.html").find(id="05_fusion")
    assert card is not None
    text = " ".join(card.get_text(" ").split())
    assert card.h3.get_text() == "05 Is 05_fusion right?"
    assert "Does it hold for all of us?" in text
    assert "Rule. Above 0 it holds." in text
    assert "1 min 2 s" in text
    assert "1.2 GB" in text
    links = [tag["href"] for tag in card.select(".links a")]
    assert links == ["html/05_fusion.html", "records/05_fusion.json", "tables/05_fusion.scores.csv"]


def test_commands_repeat_the_run_without_this_machines_paths(finished: Path) -> None:
    soup = soup_of(finished / "index.html")
    commands = [tag.get_text() for tag in soup.select("pre")]
    assert "make report STUDY=small" in commands
    wanted = json.dumps(
        {"study": "small", "variant": "half", "alpha": 0.25, "weights": "/path/to/w.pt"}
    )
    target = f"reports/small/notebooks/{VARIANT}.ipynb"
    assert f"papermill notebooks/05_fusion.ipynb {target} -y '{wanted}'" in commands
    assert not any("/home/me" in command for command in commands)


def test_compute_is_the_sum_over_the_records(finished: Path) -> None:
    tag = soup_of(finished / "index.html").select_one("#compute data")
    assert tag is not None
    assert float(tag["value"]) == pytest.approx(4 * 61.5)
    assert tag.get_text() == "4 min 6 s"


def test_notebook_pages_lead_to_each_other(finished: Path) -> None:
    def step(name: str, rel: str) -> str | None:
        tag = soup_of(finished / "html" / f"{name}.html").find("a", rel=rel)
        return None if tag is None else str(tag["href"])

    assert step(NAMES[0], "prev") is None
    assert step(NAMES[0], "next") == "05_fusion.html"
    assert step("05_fusion", "next") == f"{VARIANT}.html"
    assert step(NAMES[2], "prev") == f"{VARIANT}.html"
    assert step(NAMES[2], "next") is None


def test_notebook_page_keeps_code_second_and_parameters_open(finished: Path) -> None:
    codes = soup_of(finished / "html" / "05_fusion.html").select("details.code")
    labels = [(tag.summary.get_text().split(" ·")[0], tag.has_attr("open")) for tag in codes]
    assert labels == [
        ("Parameters and their defaults 1 line", False),
        ("Parameters given to this run 5 lines", True),
        ("Code 1 line", False),
    ]
    assert codes[2].select_one("pre").get_text().strip() == "show('<i>')"


def test_log_lines_are_folded(finished: Path) -> None:
    log = soup_of(finished / "html" / "05_fusion.html").select_one("details.log")
    assert log is not None
    assert log.summary.get_text() == "12 lines of log"


def test_outputs_that_need_scripts_are_named(finished: Path) -> None:
    page = text_of(finished / "html" / "05_fusion.html")
    assert "An output of the type application/javascript stands here" in page


def test_variants_are_folded_below_their_notebook(finished: Path) -> None:
    soup = soup_of(finished / "index.html")
    fold = soup.find(id=VARIANT).find_parent("details")
    assert fold["id"] == "variants-05"
    assert not fold.has_attr("open")
    assert fold.summary.get_text().strip() == "1 variant of notebook 05: half"
    assert soup.find(id="05_fusion").find_parent("details") is None
    listed = [tag["href"] for tag in soup.select("nav.contents a")]
    assert listed == [f"#{NAMES[0]}", f"#{NAMES[1]}", "#variants-05", f"#{NAMES[2]}"]


def test_every_number_leads_to_its_place_in_the_notebook(finished: Path) -> None:
    soup = soup_of(finished / "index.html")
    for name in (*NAMES, VARIANT):
        page = soup_of(finished / "html" / f"{name}.html")
        links = [tag["href"] for tag in soup.find(id=name).select("table.values a.number")]
        assert links == [f"html/{name}.html#value-{value.name}" for value in VALUES]
        assert all(page.find(id=link.partition("#")[2]) for link in links)


def test_key_number_says_how_it_was_made(folder: Path) -> None:
    value = Value("dice_WT", 0.9, (0.8, 0.95), 12, 1, 2, "", f"mean of {ATTACK}")
    records.write(make_record("05_fusion", values=(value,)), folder)
    soup = soup_of(report.build("small", folder))
    number = soup.select_one("dl.keys a.number")
    assert number["href"] == "html/05_fusion.html#value-dice_WT"
    note = soup.find(id=number["aria-describedby"]).get_text()
    assert note == f"dice_WT: mean of {ATTACK} (12 patients, 1 empty, 2 missed)"
    assert "not there: see notebook 05" in text_of(folder / "index.html"), "the others are missing"


def test_figures_and_tables_say_how_they_are_made_again(finished: Path, folder: Path) -> None:
    by_hand = soup_of(finished / "html" / f"{VARIANT}.html").select("details.remake")
    assert [tag.pre.get_text().split()[0] for tag in by_hand] == ["papermill"]
    assert "How long this cell took was not kept" in by_hand[0].p.get_text()
    for name in ("05_fusion", VARIANT):
        notebook = make_notebook(name)
        notebook.cells[2].source = 'study = "small"'
        notebook.cells[3].metadata["papermill"] = {"duration": 2.5}
        notebook.metadata["papermill"] = {"duration": 80.0}
        nbformat.write(notebook, folder / "notebooks" / f"{name}.ipynb")
    report.build("small", folder)
    made = [soup_of(folder / "html" / f"{name}.html") for name in ("05_fusion", VARIANT)]
    commands = [[tag.get_text() for tag in soup.select("details.remake pre")] for soup in made]
    assert commands == [
        ["make report STUDY=small UNTIL=05_fusion"],
        [".venv/bin/python -m gliomalib run 05_fusion --study small --variant half"],
    ]
    told = made[0].select_one("details.remake p").get_text()
    assert told == "This cell took 2.5 s, the whole notebook 1 min 20 s, on cpu."


def test_index_links_to_other_pages_only_where_they_are(finished: Path, folder: Path) -> None:
    report.build("small", folder)
    study = pages.collect(settings.load("small"), folder)
    assert BeautifulSoup(pages.index_page(study), "html.parser").find("nav", class_="site") is None
    some = replace(study, others=("html/errors.html", "../index.html"))
    nav = BeautifulSoup(pages.index_page(some), "html.parser").find("nav", class_="site")
    assert [(a.get_text(), a["href"]) for a in nav.find_all("a")] == [
        ("Errors", "html/errors.html"),
        ("All studies", "../index.html"),
    ]


def test_index_says_how_to_cite(finished: Path) -> None:
    cited = [tag.get_text() for tag in soup_of(finished / "index.html").select("ul.cite li")]
    assert len(cited) == 2
    assert "gliomalib" in cited[0]
    assert "2502.18775" in cited[1]


def test_formulas_need_no_script(folder: Path) -> None:
    notebook = make_notebook("05_fusion")
    notebook.cells[0].source += "\n\n$$\\frac{a}{b}$$\n\nand $x < 1$, but $\\nonsense{$ is text."
    nbformat.write(notebook, folder / "notebooks" / "05_fusion.ipynb")
    report.build("small", folder)
    soup = soup_of(folder / "html" / "05_fusion.html")
    assert soup.select_one('math[display="block"] mfrac').get_text() == "ab"
    assert soup.select_one('math[display="inline"]').get_text() == "x<1"
    assert "$\\nonsense{$ is text" in soup.get_text().replace("\n", " ")


def test_headings_descend_without_a_gap(finished: Path) -> None:
    for path in all_pages(finished):
        levels = [int(tag.name[1]) for tag in soup_of(path).find_all(re.compile("^h[1-6]$"))]
        assert levels[0] == 1
        assert all(b <= a + 1 for a, b in pairwise(levels)), path.name


def test_grouped_verdicts_have_a_head_each(folder: Path) -> None:
    table = verdict_table().assign(group=["the paper's claims", f"open {ATTACK}"])
    path = folder / "tables" / "15_reproducibility_report.verdicts.csv"
    table.to_csv(path, index=False)
    heads = soup_of(report.build("small", folder)).select("table.verdicts tr.group th")
    assert [" ".join(head.get_text().split()) for head in heads] == [
        "The paper's claims 1 statement",
        f"Open {ATTACK} 1 statement",
    ]
    assert all(head["scope"] == "rowgroup" for head in heads)


# what is missing or wrong


def test_excluded_patients_are_named_before_the_answer(folder: Path) -> None:
    assert "excluded" not in index_text(folder)
    caveat = f"Excluded: P7 {ATTACK}: damaged gzip."
    value = Value("excluded", 2.0, None, 8, rule="examinations left out")
    record = make_record("01_data_exploration", values=(value,), caveats=(caveat,))
    records.write(record, folder)
    page = index_text(folder)
    assert page.index("2 examinations were excluded for a fault") < page.index("Conclusion of 15")
    limits = soup_of(folder / "index.html").find(id="limits").get_text()
    assert caveat in limits


def test_small_networks_and_random_weights_are_named_before_the_answer(finished: Path) -> None:
    page = text_of(finished / "index.html")
    for said in ("CPU-size networks: 128 (2D)", "ResNet50 starts from random weights"):
        assert page.index(said) < page.index("Conclusion of 15")


def test_fold_says_that_a_variant_of_it_is_missing(folder: Path) -> None:
    records.record_path(folder, VARIANT).unlink()
    soup = soup_of(report.build("small", folder))
    assert soup.find(id="variants-05").summary.find(class_="chip").get_text() == "1 missing"


def test_deleted_record_shows_in_words(folder: Path) -> None:
    records.record_path(folder, "05_fusion").unlink()
    page = index_text(folder)
    assert "This report is not complete. Of 4 runs, 1 lacks" in page
    assert "05_fusion : It left no record" in page
    assert "It left no record" in text_of(folder / "html" / "05_fusion.html")
    assert soup_of(folder / "index.html").find(id="05_fusion").find("table") is None


def test_missing_notebook_shows_in_words(folder: Path) -> None:
    report.build("small", folder)
    (folder / "notebooks" / "05_fusion.ipynb").unlink()
    page = index_text(folder)
    assert "05_fusion : There is no executed copy" in page
    assert not (folder / "html" / "05_fusion.html").exists(), "a page of an older run is left"


def test_variant_that_did_not_run_is_missed(folder: Path) -> None:
    records.record_path(folder, VARIANT).unlink()
    (folder / "notebooks" / f"{VARIANT}.ipynb").unlink()
    assert f"{VARIANT} : It has not run, or its results were deleted" in index_text(folder)


def test_nothing_there_is_a_page_that_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant_studies(tmp_path / "params", monkeypatch)
    page = index_text(tmp_path / "empty")
    assert "Of 4 runs, 4 lack" in page
    assert "There is no answer" in page
    assert "The claims are not decided: tables/15_reproducibility_report.verdicts.csv" in page
    assert str(tmp_path) not in (tmp_path / "empty" / "index.html").read_text()


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"cells": 3, "nbformat": 4}'])
def test_damaged_files_are_named(folder: Path, content: str) -> None:
    records.record_path(folder, "05_fusion").write_text(content)
    (folder / "notebooks" / "01_data_exploration.ipynb").write_text(content)
    page = index_text(folder)
    assert "01_data_exploration : Its executed copy cannot be read" in page
    assert "05_fusion : Its record cannot be read: records/05_fusion.json" in page


def test_a_notebook_that_stopped_is_named(folder: Path) -> None:
    notebook = make_notebook("05_fusion")
    error = v4.new_output("error", ename="ValueError", evalue=ATTACK, traceback=[f"at {ATTACK}"])
    notebook.cells[-1].outputs = [error]
    notebook.cells.append(v4.new_code_cell("never()", id="c9"))
    nbformat.write(notebook, folder / "notebooks" / "05_fusion.ipynb")
    page = index_text(folder)
    assert f"It stopped with an error: ValueError: {ATTACK}" in page
    assert "1 of its 4 code cells were not executed" in page
    own = folder / "html" / "05_fusion.html"
    assert "This cell stopped with an error." in text_of(own)
    assert not soup_of(own).find_all("script")


def test_unexpected_results_are_named(folder: Path) -> None:
    records.write(make_record("05_fusion.old"), folder)
    page = index_text(folder)
    assert "05_fusion.old : There is no executed copy" in page
    assert "It is not in the study's list" in page


def test_record_of_another_study_is_named(folder: Path) -> None:
    records.write(make_record("05_fusion", study="demo"), folder)
    assert "Its record belongs to the study 'demo'" in index_text(folder)


def test_results_of_several_states_of_the_code_are_named(folder: Path) -> None:
    other = {"commit": "other", "lock_sha256": "def", "date": "2026-02-03", "versions": {}}
    records.write(make_record("05_fusion", provenance=other), folder)
    page = index_text(folder)
    assert "The records do not agree on commit:" in page, "two days are no disagreement"
    assert "other in 05_fusion" in page
    assert "2026-02-03 in 05_fusion" in page


def test_verdict_table_without_a_column_is_named(folder: Path) -> None:
    path = folder / "tables" / "15_reproducibility_report.verdicts.csv"
    verdict_table().drop(columns=["verdict", "reason"]).to_csv(path, index=False)
    page = index_text(folder)
    assert "The claims are not decided: tables/15" in page
    assert "has no column verdict, reason" in page


def test_large_page_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "Large page" not in index_text(folder)
    monkeypatch.setattr(report, "MOST_BYTES", 1000)
    assert "Large page. Its page has" in index_text(folder)


def test_unknown_study_is_refused(folder: Path) -> None:
    with pytest.raises(SettingsError, match="there is no study 'none'"):
        report.build("none", folder)


# what a page never contains


def test_pages_need_nothing_from_outside(finished: Path) -> None:
    for path in all_pages(finished):
        html = path.read_text(encoding="utf-8")
        soup = BeautifulSoup(html, "html.parser")
        assert not soup.find_all(["script", "link", "iframe", "object", "embed", "base"])
        for tag in soup.find_all(src=True):
            assert tag.name == "img"
            assert str(tag["src"]).startswith("data:image/")
        style = "".join(tag.get_text() for tag in soup.find_all("style"))
        assert "url(" not in style
        assert "@import" not in style
        attributes = {name for tag in soup.find_all(True) for name in tag.attrs}
        assert not [name for name in attributes if name.startswith("on")]
        outside = {a["href"] for a in soup.find_all(href=True) if urlsplit(a["href"]).scheme}
        if path.stem in DOCUMENTS:
            places = {urlsplit(address).netloc for address in outside}
            assert places <= {"arxiv.org", "doi.org", "www.jstor.org"}
        else:
            assert outside <= {"https://arxiv.org/abs/2502.18775"}


def test_every_local_link_leads_somewhere(finished: Path) -> None:
    for path in all_pages(finished):
        for tag in soup_of(path).find_all("a", href=True):
            target = urlsplit(str(tag["href"]))
            if target.scheme:
                continue
            file = (path.parent / target.path).resolve() if target.path else path
            assert file.is_file(), f"{path.name}: {tag['href']}"
            if target.fragment:
                assert soup_of(file).find(id=target.fragment), f"{path.name}: {tag['href']}"


def test_text_of_records_and_outputs_is_text(finished: Path) -> None:
    for path in all_pages(finished):
        if path.stem in ("index", "errors", *NAMES, VARIANT):
            assert ATTACK in text_of(path), "the text itself must be readable"
        assert ATTACK not in path.read_text(encoding="utf-8")


def test_pages_are_small_and_say_what_they_are(finished: Path) -> None:
    for path in all_pages(finished):
        soup = soup_of(path)
        assert path.stat().st_size <= pages.MOST_BYTES
        assert soup.html["lang"] == "en"
        assert soup.title.get_text().strip()
        assert soup.find("meta", attrs={"name": "viewport"})
        assert len(soup.find_all("h1")) == 1
        assert all(tag.get("alt") for tag in soup.find_all("img"))


def test_alt_text_is_the_figures_own_or_says_where_to_read(finished: Path) -> None:
    images = soup_of(finished / "html" / "05_fusion.html").find_all("img")
    assert [tag["alt"] for tag in images] == [
        "Dice of each patient",
        "Figure of notebook 05, described in the text below",
    ]


def test_two_builds_are_the_same_bytes(finished: Path, folder: Path) -> None:
    report.build("small", folder)
    first = {path.name: path.read_bytes() for path in all_pages(folder)}
    report.build("small", folder)
    assert {path.name: path.read_bytes() for path in all_pages(folder)} == first
    assert {path.name: path.read_bytes() for path in all_pages(finished)} == first


# the parts


def test_clean_keeps_plain_html_only() -> None:
    html = notebooks.clean(
        '<style>b{}</style><p onclick="x()" style="color:red">a<sub>2</sub></p><!-- c -->'
        '<a href="javascript:x()">j</a><a href="05_fusion.ipynb">n</a><a href="b.ipynb">b</a>'
        '<img src="data:image/png;base64,AA=="><img src="far.png"><iframe src="x"></iframe>',
        "05",
        ["05_fusion"],
    )
    alt = "Figure of notebook 05, described in the text below"
    assert html == (
        '<p>a<sub>2</sub></p>j<a href="05_fusion.html">n</a>b'
        f'<img alt="{alt}" src="data:image/png;base64,AA=="/>'
        "[a picture that is not part of this page: far.png]"
        '&lt;iframe src="x"&gt;&lt;/iframe&gt;'
    )


def test_tables_scroll_and_columns_of_numbers_stand_to_the_right() -> None:
    frame = pd.DataFrame({"name": ["a", "b"], "n": ["1,000", "–"], "p": ["5 %", "x"]})
    soup = BeautifulSoup(notebooks.clean(frame.to_html(index=False), "05"), "html.parser")
    assert soup.table.parent["tabindex"] == "0"
    for row in soup("tr"):
        classes = [cell.get("class") for cell in row.find_all(["th", "td"])]
        assert classes == [["short"] if row.td else None, ["num"], ["short"] if row.td else None]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (59.9, "59.9 s"), (59.99, "1 min 0 s"), (3599.7, "1 h 0 min")],
)
def test_durations(seconds: float, text: str) -> None:
    assert words.duration(seconds) == text


def test_verdict_chips_know_all_verdicts() -> None:
    claims = pytest.importorskip("gliomalib.verdicts.claims")
    known = re.findall(r"'([^']+)'", str(claims.Outcome))
    assert known
    assert set(known) == set(pages.TONES)


def test_sentences_have_room_and_names_break_at_their_parts() -> None:
    sentence = "a rule that is told in a whole sentence, as rules are"
    row = "<tr><td>external_accuracy_resnet50</td><td>0.5</td><td>{}</td></tr>"
    soup = BeautifulSoup(
        notebooks.clean(f"<table>{row.format(sentence)}</table>", "07"), "html.parser"
    )
    name, number, rule = soup.find_all("td")
    assert name.get_text() == "external_accuracy_resnet50" and len(name.find_all("wbr")) == 2
    assert (number["class"], rule["class"]) == (["num"], ["long"])
    assert name["class"] == ["name"]


def test_numbers_that_are_not_there_are_dashes_and_negative_ones_have_a_minus() -> None:
    frame = pd.DataFrame({"loss": [-0.5, float("nan")], "n": pd.array([3, None], "Int64")})
    html = notebooks.clean(frame.to_html() + "<p>0.1 (-0.2 to 0.3), <code>x -1</code></p>", "05")
    soup = BeautifulSoup(html, "html.parser")
    assert [cell.get_text() for cell in soup.select("td.num")] == ["−0.5", "3", "–", "–"]
    assert soup.p.get_text() == "0.1 (−0.2 to 0.3), x -1"


def test_numbers_as_pages_write_them_make_a_column_of_numbers() -> None:
    column = pd.DataFrame({"is": ["5.0 × 10⁻⁵", "undefined", "1\N{NARROW NO-BREAK SPACE}633"]})
    soup = BeautifulSoup(notebooks.clean(column.to_html(), "05"), "html.parser")
    assert len(soup.select("td.num")) == 3


def test_a_table_of_many_columns_is_set_closer() -> None:
    for width, wanted in ((notebooks.MANY, None), (notebooks.MANY + 1, ["many"])):
        table = f"<table><tr>{'<td>a</td>' * width}</tr></table>"
        assert (
            BeautifulSoup(notebooks.clean(table, "05"), "html.parser").table.get("class") == wanted
        )


def test_the_page_of_a_variant_says_what_it_changed(folder: Path) -> None:
    study = settings.load("small")
    report = pages.collect(study, folder)
    entry = next(one for one in report.entries if one.variant and one.executed is not None)
    changed = study.variants[entry.notebook][entry.variant]
    soup = BeautifulSoup(pages.notebook_page(report, entry), "html.parser")
    told = soup.select_one("main > .kicker").get_text()
    assert entry.variant in told
    assert all(f"{name}: " in told for name in changed)


def test_a_long_log_is_folded_though_it_came_line_by_line() -> None:
    lines = [
        nbformat.v4.new_output("stream", name="stdout", text=f"epoch {number}\n")
        for number in range(20)
    ]
    cell = nbformat.v4.new_code_cell("train()", outputs=lines, execution_count=1)
    soup = BeautifulSoup(
        notebooks.body(nbformat.v4.new_notebook(cells=[cell]), "03", ()), "html.parser"
    )
    assert soup.select_one("details.log summary").get_text() == "20 lines of log"
    assert len(soup.select("pre.log")) == 0
