"""The pages of a report: what they show, what they name as missing, what they never contain."""

import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from bs4 import BeautifulSoup

from gliomalib import records, report, settings
from gliomalib.report import documents, evidence, notebooks, pages, phrases
from gliomalib.schema import Exclusion, Value
from tests.report import reading
from tests.report import small_study as small
from tests.report.reading import soup_of


def test_index_is_returned_and_every_notebook_has_a_page(small_report: Path) -> None:
    found = {path.stem for path in small.all_pages(small_report)[1:]}
    assert found == {*small.NAMES, small.VARIANT, *reading.DOCUMENTS, "claim-C1", "claim-C2"}
    assert (small_report / "html" / "patients.html").is_file()


def test_sections_come_in_order(small_report: Path) -> None:
    soup = soup_of(small_report / "index.html")
    headings = [tag.get_text(strip=True) for tag in soup.find_all(["h1", "h2"])]
    assert headings == [
        "A made-up study <b>for tests</b>",
        "What holds, and what does not",
        "The evidence",
    ]
    about = soup_of(small_report / "html" / "about.html")
    assert [tag.get_text(strip=True) for tag in about.find_all("h2")] == [
        "What limits these results",
        "Run this again",
        "How to cite",
        "Compute spent",
        "Provenance",
    ]


def test_synthetic_data_are_named_before_anything_else(small_report: Path) -> None:
    page = small.text_of(small_report / "index.html")
    sentence = "made on synthetic patients: they show that the pipeline works and say nothing"
    # and so are small networks and random weights
    for said in (
        sentence,
        "Small networks that fit a CPU: 128 (2D)",
        "ResNet50 starts from random weights",
    ):
        assert page.index(said) < page.index("Fused is better")
    assert "not complete" not in page
    for path in small.all_pages(small_report)[1:]:
        assert "Synthetic patients" in small.text_of(path)


@pytest.mark.parametrize("source", ["phantom", "folder"])
def test_every_page_says_its_limits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    small_study = "small" if source == "phantom" else "real"
    small.plant_studies(tmp_path / "params", monkeypatch)
    folder = small.fill(tmp_path / small_study)
    hardware = {"processor": "A Good Machine", "cores": "4"}
    for name in (*small.NAMES, small.VARIANT):
        origin = {**small.make_record(name).provenance, "hardware": hardware}
        records.write(small.make_record(name, study=small_study, provenance=origin), folder)
    report.build(small_study, folder)
    study = settings.load(small_study)
    pages_of = [folder / "index.html", *(folder / "html").glob("*.html")]
    assert len(pages_of) > 8
    for path in pages_of:
        banner = soup_of(path).select_one(".banner.data")
        assert banner is not None, path.name
        told = reading.words_of(banner)
        assert ("synthetic" in told.lower()) == (not study.real_data)
        assert "No result rests on more than 8 patients." in told
        assert "Small networks that fit a CPU" in told
        assert "ResNet50 starts from random weights" in told
        assert "made on A Good Machine, 4 cores." in told
        link = banner.a["href"].removeprefix("html/")
        page, _, place = link.partition("#")
        assert soup_of(folder / "html" / page).find(id=place) is not None


def test_no_number_parts_from_its_percent_sign(small_report: Path) -> None:
    for path in small.all_pages(small_report):
        assert not re.search(r"\d %", path.read_text(encoding="utf-8")), path.name
    assert "95\u00a0%" in (small_report / "index.html").read_text(encoding="utf-8")


def test_processors_are_each_said_once(small_folder: Path) -> None:
    machines = ("A", "B", "B", "A")
    for name, machine in zip((*small.NAMES, small.VARIANT), machines, strict=True):
        origin = {"versions": {}, "hardware": {"processor": machine, "cores": "2"}}
        records.write(small.make_record(name, provenance=origin), small_folder)
    found = pages.collect(settings.load("small"), small_folder)
    assert found.processors == ["A, 2 cores", "B, 2 cores"]
    about = dict(documents.every_page(found, small_folder))["about"]
    assert "on\nA, 2 cores and B, 2 cores." in about
    for hardware in ({}, {"processor": "C"}):
        origin = {"versions": {}, "hardware": hardware}
        records.write(small.make_record("05_fusion", provenance=origin), small_folder)
        report.build("small", small_folder)
        told = reading.words_of(soup_of(small_folder / "html" / "about.html"))
        assert "on A, 2 cores, B, 2 cores and a machine that its record does not name." in told


def test_how_a_run_ended_and_on_what_is_said_or_that_it_was_not_recorded(
    small_folder: Path,
) -> None:
    origin = {"versions": {}, "hardware": {"processor": "A Good Machine"}, "exit_code": 0}
    records.write(small.make_record("05_fusion", provenance=origin), small_folder)
    found = pages.collect(settings.load("small"), small_folder).provenance
    others = [name for name in small.NAMES if name != "05_fusion"]
    assert found["exit code"]["0"] == ["05_fusion"]
    assert set(found["exit code"]["not recorded"]) == {*others, small.VARIANT}
    assert found["processor"]["A Good Machine"] == ["05_fusion"]


@pytest.mark.parametrize("patients", [10, 369])
def test_real_data_are_described_by_their_number(small_folder: Path, patients: int) -> None:
    for name in (*small.NAMES, small.VARIANT):
        # a count of people whom a table names is no result on them
        named = Value("pooled_patients", 999.0, None, 999, rule="named by the organisers' table")
        values = (replace(small.VALUES[0], n_patients=patients), named)
        records.write(small.make_record(name, study="real", values=values), small_folder)
    page = small.index_text(small_folder, "real")
    assert f"No result rests on more than {patients} patients" in page
    assert "synthetic" not in page
    again = small.text_of(small_folder / "html" / "about.html")
    assert "make report STUDY=real DATA=/path/to/data" in again


def test_every_statement_is_on_the_index_with_its_verdict(small_report: Path) -> None:
    rows = soup_of(small_report / "index.html").select("#verdicts .statements li")
    first, second = (" ".join(row.get_text(" ").split()) for row in rows)
    assert first.startswith("C1 Fused is better")
    assert "81.20\u00a0% (74.3\u00a0% to 87.1\u00a0%)".replace("\u00a0", " ") in first
    assert second == "not run C2"
    chips = [(row.select_one(".chip").get_text(), row.select_one(".chip")["class"]) for row in rows]
    assert chips == [("not reproduced", ["chip", "no"]), ("not run", ["chip", "none"])]
    assert [row.a["href"] for row in rows] == ["html/claim-C1.html", "html/claim-C2.html"]


def test_every_notebooks_numbers_are_the_records(small_report: Path) -> None:
    for name in (*small.NAMES, small.VARIANT):
        page = soup_of(small_report / "html" / f"{name}.html")
        rows = page.select("#result table.values tbody tr")
        record = records.read(records.record_path(small_report, name))
        assert [row.th.get_text() for row in rows] == [value.name for value in record.values]
        for row, value in zip(rows, record.values, strict=True):
            shown = [float(tag["value"]) for tag in row.find_all("data")]
            assert shown == pytest.approx([value.value], rel=0, abs=0, nan_ok=True)
            assert row("td")[1].get_text() == phrases.range_of(value)
            counts = [value.n_patients, value.n_empty, value.n_missed]
            told = [cell.get_text() for cell in row.select("td.count")]
            assert told == (list(map(str, counts)) if any(counts) else ["–"] * 3)
            assert row.select_one(".rule").get_text() == value.rule


def test_numbers_have_sensible_digits(small_report: Path) -> None:
    card = soup_of(small_report / "html" / "05_fusion.html").select_one("#result .values")
    assert card is not None
    rows = [[tag.get_text(strip=True) for tag in row.find_all("td")] for row in card.select("tr")]
    assert [row[:2] for row in rows if row] == [
        ["0.712Dice", "0.651 to 0.769"],
        ["−0.012Dice", "−0.031 to 0.002"],
        ["0.5Dice", "4 patients, no interval"],
        ["1\u202f234\u202f567", "not over patients, no interval"],
        ["3.2 × 10⁻⁷", "8 patients, no interval"],
        ["undefinedmm", "8 patients, no interval"],
    ]


def test_a_page_says_question_rule_cost_and_files(small_report: Path) -> None:
    page = soup_of(small_report / "html" / "05_fusion.html")
    text = reading.words_of(page.main)
    assert page.h1.get_text() == "Is 05_fusion right?"
    assert page.select_one(".question").get_text() == "Does it hold for all of us?"
    assert "Rule. Above 0 it holds." in text
    assert "1 min 2 s" in text
    assert "1.2 GB" in text
    assert f"Conclusion of 05_fusion {small.ATTACK}." in text
    links = [tag["href"] for tag in page.select(".links a")]
    files = ["records/05_fusion.json", "notebooks/05_fusion.ipynb", "tables/05_fusion.scores.csv"]
    assert links == [f"../{file}" for file in files]


def test_compute_is_the_sum_over_the_records(small_report: Path) -> None:
    tag = soup_of(small_report / "html" / "about.html").select_one("#compute data")
    assert tag is not None
    assert float(tag["value"]) == pytest.approx(4 * 61.5)
    assert tag.get_text() == "4 min 6 s"


def test_notebook_pages_lead_to_each_other(small_report: Path) -> None:
    def step(name: str, rel: str) -> str | None:
        tag = soup_of(small_report / "html" / f"{name}.html").find("a", rel=rel)
        return None if tag is None else str(tag["href"])

    assert step(small.NAMES[0], "prev") is None
    assert step(small.NAMES[0], "next") == "05_fusion.html"
    assert step("05_fusion", "next") == f"{small.VARIANT}.html"
    assert step(small.NAMES[2], "prev") == f"{small.VARIANT}.html"
    assert step(small.NAMES[2], "next") is None


def test_every_number_leads_to_its_place_in_the_notebook(small_report: Path) -> None:
    rows = soup_of(small_report / "html" / "numbers.html").select("#numbers tbody tr")
    assert len(rows) == 4 * len(small.VALUES)
    for row in rows:
        page, _, place = row.select_one("a.number")["href"].partition("#")
        assert soup_of(small_report / "html" / page).find(id=place), row
    ids = [row["id"] for row in rows]
    assert {"05/dice_ET", "05.half/dice_ET"} <= set(ids) and len(ids) == len(set(ids))


def test_every_page_leads_to_every_page_but_variants(small_report: Path) -> None:
    every = small.all_pages(small_report)
    wanted = {path.name for path in every if path.stem != small.VARIANT} | {"patients.html"}
    wanted -= {"search.html"}
    for path in every:
        tree = soup_of(path).select_one("nav.tree")
        links = [(path.parent / link["href"]).resolve() for link in tree.find_all("a")]
        assert {link.name for link in links} == wanted
        here = tree.select("[aria-current=page]")
        assert len(here) == (path.stem not in (small.VARIANT, "search")), path.name


def test_headings_descend_without_a_gap(small_report: Path) -> None:
    for path in small.all_pages(small_report):
        levels = [int(tag.name[1]) for tag in soup_of(path).find_all(re.compile("^h[1-6]$"))]
        assert levels[0] == 1
        assert all(b <= a + 1 for a, b in pairwise(levels)), path.name


def test_grouped_verdicts_have_a_head_each(small_folder: Path) -> None:
    table = small.verdict_table().assign(group=["the paper's claims", f"open {small.ATTACK}"])
    path = small_folder / "tables" / "16_reproducibility_report.verdicts.csv"
    table.to_csv(path, index=False)
    heads = soup_of(report.build("small", small_folder)).select("#verdicts h3")
    assert [head.get_text() for head in heads] == [
        "The paper's claims",
        f"Open {small.ATTACK}",
    ]


def test_excluded_patients_are_named_before_the_answer(small_folder: Path) -> None:
    assert "excluded" not in small.index_text(small_folder)
    left_out = Exclusion(f"P7 {small.ATTACK}", "brats2020", "damaged", "damaged gzip")
    value = Value("excluded", 2.0, None, 8, rule="examinations left out")
    record = small.make_record("01_data_exploration", values=(value,), exclusions=(left_out,))
    records.write(record, small_folder)
    page = small.index_text(small_folder)
    said = f"2 examinations were excluded for a fault of the files: P7 {small.ATTACK} (brats2020)"
    assert page.index(said) < page.index("Fused is better")
    limits = soup_of(small_folder / "html" / "about.html").find(id="limits").get_text()
    assert f"Excluded: P7 {small.ATTACK} (brats2020): damaged gzip" in limits


def test_nothing_there_is_a_page_that_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small.plant_studies(tmp_path / "params", monkeypatch)
    page = small.index_text(tmp_path / "empty")
    assert "Of 4 runs, 4 lack" in page
    assert "There is no table of verdicts" in page
    assert "The claims are not decided: tables/16_reproducibility_report.verdicts.csv" in page
    assert str(tmp_path) not in (tmp_path / "empty" / "index.html").read_text()


def test_results_of_several_states_of_the_code_are_named(small_folder: Path) -> None:
    other = {**small.make_record("05_fusion").provenance, "commit": "other", "date": "2026-02-03"}
    records.write(small.make_record("05_fusion", provenance=other), small_folder)
    page = small.index_text(small_folder)
    assert "The records do not agree on commit:" in page, "two days are no disagreement"
    about = small.text_of(small_folder / "html" / "about.html")
    assert "other in 05_fusion" in about
    assert "2026-02-03 in 05_fusion" in about


def test_pages_need_nothing_from_outside(small_report: Path) -> None:
    for path in small.all_pages(small_report):
        soup = soup_of(path)
        assert reading.needs_nothing(soup)
        assert reading.scripts(soup) <= reading.own_scripts()
        code = "".join(tag.get_text() for tag in soup.find_all("script"))
        assert not re.search(
            r"https?:(?!//www\.w3\.org/2000/svg)|fetch|import|eval|innerHTML", code
        )
        outside = {a["href"] for a in soup.find_all(href=True) if urlsplit(a["href"]).scheme}
        if path.stem in reading.DOCUMENTS:
            places = {urlsplit(address).netloc for address in outside}
            assert places <= {"arxiv.org", "doi.org", "www.jstor.org"}
        else:
            assert outside <= {"https://arxiv.org/abs/2502.18775"}


def test_every_local_link_leads_somewhere(small_report: Path) -> None:
    for path in small.all_pages(small_report):
        for tag in soup_of(path).find_all("a", href=True):
            target = urlsplit(str(tag["href"]))
            if target.scheme:
                continue
            file = (path.parent / target.path).resolve() if target.path else path
            assert file.is_file(), f"{path.name}: {tag['href']}"
            if target.fragment:
                assert soup_of(file).find(id=target.fragment), f"{path.name}: {tag['href']}"


def test_text_of_records_and_outputs_is_text(small_report: Path) -> None:
    for path in small.all_pages(small_report):
        if path.stem in ("index", "claim-C1", *small.NAMES, small.VARIANT):
            assert small.ATTACK in small.text_of(path), "the text itself must be readable"
        assert small.ATTACK not in path.read_text(encoding="utf-8")


def test_alt_text_is_the_figures_own_or_says_where_to_read(small_report: Path) -> None:
    images = soup_of(small_report / "html" / "05_fusion.html").find_all("img")
    assert [tag["alt"] for tag in images] == [
        "Dice of each patient",
        "Figure of notebook 05, described in the text below",
    ]


def test_two_builds_are_the_same_bytes(small_report: Path, small_folder: Path) -> None:
    report.build("small", small_folder)
    first = {path.name: path.read_bytes() for path in small.all_pages(small_folder)}
    report.build("small", small_folder)
    assert {path.name: path.read_bytes() for path in small.all_pages(small_folder)} == first
    assert {path.name: path.read_bytes() for path in small.all_pages(small_report)} == first


def test_verdict_chips_know_all_verdicts() -> None:
    claims = pytest.importorskip("gliomalib.verdicts.claims")
    known = re.findall(r"'([^']+)'", str(claims.Outcome))
    assert known
    source = (notebooks.TEMPLATES / "macros.html.j2").read_text(encoding="utf-8")
    tones = re.search(r"set tones = \{(.*?)\}", source, re.DOTALL)[1]  # type: ignore[index]
    assert re.findall(r'"([^"]+)":', tones) and set(re.findall(r'"([^"]+)":', tones)) == set(known)


def test_the_page_of_a_variant_says_what_it_changed(small_folder: Path) -> None:
    study = settings.load("small")
    report = pages.collect(study, small_folder)
    entry = next(one for one in report.entries if one.variant and one.executed is not None)
    changed = study.variants[entry.notebook][entry.variant]
    soup = BeautifulSoup(evidence.notebook_page(report, entry), "html.parser")
    told = soup.select_one("main > .kicker").get_text()
    assert entry.variant in told
    assert all(f"{name}: " in told for name in changed)


def test_every_page_leads_to_the_other_studies(small_folder: Path) -> None:
    assert soup_of(report.build("small", small_folder)).select(".switch") == []
    small.fill(small_folder.parent / "real")
    (small_folder.parent / "nothing").mkdir()
    for path in (report.build("small", small_folder), small_folder / "html" / "about.html"):
        links = soup_of(path).select(".bar .switch a")
        assert [link.get_text() for link in links] == ["real"]
        target, _, place = links[0]["href"].partition("#")
        assert soup_of((path.parent / target).resolve()).find(id=place) is not None
