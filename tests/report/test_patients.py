"""Pages of patients: what they show, in which order, what they never contain."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from hypothesis import given
from hypothesis import strategies as st

from gliomalib import report, settings
from gliomalib.report import pages, patients
from gliomalib.report.patient_files import Answer
from tests.report.small_cohort import (
    ATTACK,
    DICE,
    LAYERS,
    address,
    built,
    fill,
    gallery_of,
    own_pages,
    page_of,
    patient_with,
    patients_page,
    plant_studies,
    rows_of,
    soup_of,
    words_of,
    write_table,
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a finished study without pages, to be spoilt by one test."""
    plant_studies(tmp_path / "params", monkeypatch)
    return fill(tmp_path / "small")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return a finished study with its pages, to be read only."""
    base = tmp_path_factory.mktemp("patients")
    with pytest.MonkeyPatch.context() as patch:
        plant_studies(base / "params", patch)
        folder = fill(base / "small")
        report.build("small", folder)
        yield folder


def test_gallery_is_worst_first_and_parts_stand_apart(finished: Path) -> None:
    tables = gallery_of(finished).select("table.gallery tbody")
    order = [[words_of(row.th) for row in table("tr")] for table in tables]
    assert order == [["C", "B", "D", "A"], [ATTACK]]


def test_gallery_rows_say_dice_masks_and_slices(finished: Path) -> None:
    row = gallery_of(finished).select("table.gallery tbody tr")[1]
    shown = [float(tag["value"]) for tag in row.find_all("data")]
    assert shown == pytest.approx([0.5, 0.0, 0.8, 0.7, 0.75, 0.65])
    assert "NCR missed" in words_of(row)
    assert "3 of 5" in words_of(row)
    assert row["data-values"].split() == [str(value) for value in [*shown, 0.6]]
    images = row.find_all("img")
    assert [tag["src"] for tag in images] == [address("slice 3 flair"), address("slice 3 fused")]
    assert row.th.a["href"] == f"{patients_page('B')}.html"


def test_every_patient_is_a_point_and_zeros_are_marked(finished: Path) -> None:
    first, second = gallery_of(finished).select("svg.strip")
    # four lines, the mean and each class
    assert len(first.select(".dot")) == 16
    assert len(second.select(".dot")) == 4
    marked = [words_of(tag.title) for tag in first.select(".dot.zero")]
    assert len(marked) == 2
    assert "NCR 0.000" in marked[1]
    assert "ET 1.000, empty in truth" in words_of(first.select_one(".dot.ruled"))


def test_left_tail_tells_zeros_from_low_everywhere(finished: Path, folder: Path) -> None:
    tail = gallery_of(finished).select("ul.tail")[0]
    assert words_of(tail) == (
        "C : mean 0.2; none of the 3 class masks is exactly 0, the mean is low without zeros. "
        "Dice: necrotic core 0.3, edema 0.2 and enhancing tumour 0.1."
    )
    without = [r for n in "ABD" for r in rows_of(n, "test", DICE[n][1])]
    write_table(folder / "tables" / "05_fusion.scores.csv", without)
    assert words_of(gallery_of(built(folder)).select("ul.tail")[0]) == (
        "B : mean 0.5; 1 of the 3 class masks is exactly 0; the mean is pulled down by this zero. "
        "Necrotic core missed (truth 0.3 mL, predicted 0). Dice: edema 0.8 and enhancing tumour "
        "0.7."
    )


@given(st.lists(st.floats(0, 1), max_size=40))
def test_tail_is_the_worst_quarter_at_least_one_at_most_five(values: list[float]) -> None:
    group = [patient_with(f"{place}", {"NCR": value}) for place, value in enumerate(values)]
    worst = patients.tail(group)
    assert len(worst) == (0 if not values else min(5, max(1, len(values) // 4)))
    assert [one.dice("mean") for one in worst] == sorted(values)[: len(worst)]


def test_page_says_who_it_is(finished: Path) -> None:
    soup = page_of(finished, "C")
    assert soup.h1.bdi.get_text() == "C"
    assert "Held-out patient, fold 0" in words_of(soup)
    assert "\u2068C\u2069" in soup.title.get_text()
    assert "synthetic patient" in words_of(soup)


def test_truth_and_fused_stand_side_by_side_without_scripts(finished: Path) -> None:
    for place, group in enumerate(page_of(finished, "C").select("section.slice")):
        z = place + 2
        truth, fused = group.select(".row")
        assert [tag["src"] for tag in truth.select(".overlay.on")] == [
            address(f"slice {z} truth")
        ] * 4
        assert [tag["src"] for tag in fused.select(".overlay.on")] == [
            address(f"slice {z} fused")
        ] * 4
        scans = [tag["src"] for tag in fused.select(".scan")]
        assert scans == [address(f"slice {z} {name}") for name in patients.SEQUENCES]
        assert {tag["data-layer"] for tag in fused.select(".overlay")} == set(LAYERS)
    assert page_of(finished, "C").select_one(".controls").has_attr("hidden")


def test_scores_are_those_of_the_table(finished: Path) -> None:
    soup = page_of(finished, "B")
    expected = list(rows_of("B", *DICE["B"]))
    for region, name in patients.REGIONS.items():
        group = next(t for t in soup.select("table.masks tbody") if name in words_of(t.tr))
        for row in group("tr")[1:]:
            wanted = next(
                one
                for one in expected
                if (one["region"], one["network"]) == (region, words_of(row.th))
            )
            shown = [float(tag["value"]) for tag in row.find_all("data")]
            names = ("dice", "hd95_mm", "truth_ml", "predicted_ml")
            wanted_numbers = [
                float(wanted[key]) if wanted[key] != "" else math.nan for key in names
            ]
            assert shown == pytest.approx(wanted_numbers, nan_ok=True)


def test_masks_that_are_missed_or_empty_have_a_sentence(finished: Path) -> None:
    said = words_of(page_of(finished, "B").select_one("#scores"))
    assert (
        "Missed: the truth has voxels, the prediction has none. necrotic core by 2D (truth 0.3 mL)"
    ) in said
    said = words_of(page_of(finished, "D").select_one("#scores"))
    assert "Empty in truth and prediction" in said
    assert "enhancing tumour by 2D, 3D and fused" in said
    assert "No mask is missed" in words_of(page_of(finished, "C").select_one("#scores"))


def test_strip_shows_every_slice_and_counts(finished: Path) -> None:
    section = page_of(finished, "A").select_one("#classifier")
    assert "right in 3 of 5 slices of the fused volume and wrong in 2" in words_of(section)
    titles = [words_of(tag) for tag in section.select("svg title")]
    assert titles == [
        "truth, slices 0 to 0: no tumour",
        "truth, slices 1 to 2: edema",
        "truth, slices 3 to 3: necrotic core",
        "truth, slices 4 to 4: no tumour",
        "predicted, slices 0 to 0: no tumour",
        "predicted, slices 1 to 1: edema",
        "predicted, slices 2 to 3: enhancing tumour",
        "predicted, slices 4 to 4: no tumour",
    ]
    assert len(section.select(".wrong")) == 1
    rows = [words_of(row) for row in section.select("table.answers tbody tr")]
    assert rows == [
        "no tumour 2 2 0",
        "necrotic core 1 0 1",
        "edema 2 1 1",
        "enhancing tumour 0 0 0",
    ]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=30))
def test_runs_say_the_same_as_the_slices(pairs: list[tuple[int, int]]) -> None:
    answers = [
        Answer(patient_id="A", part="test", fold=0, z=z, truth=truth, predicted=predicted)
        for z, (truth, predicted) in enumerate(pairs)
    ]
    for which, wanted in (
        ("truth", [truth for truth, _ in pairs]),
        ("predicted", [predicted for _, predicted in pairs]),
        ("wrong", [int(truth != predicted) for truth, predicted in pairs]),
    ):
        found = patients.runs(answers, which)
        assert [run.label for run in found for _ in range(run.length)] == wanted
        assert all(a.label != b.label for a, b in pairwise(found))


def test_pages_lead_to_each_other(finished: Path) -> None:
    order = ["C", "B", "D", "A", ATTACK]
    for place, patient in enumerate(order):
        steps = {rel: page_of(finished, patient).find("a", rel=rel) for rel in ("prev", "next")}
        before = steps["prev"] and steps["prev"]["href"]
        after = steps["next"] and steps["next"]["href"]
        assert before == (f"{patients_page(order[place - 1])}.html" if place else None)
        last = place == len(order) - 1
        assert after == (None if last else f"{patients_page(order[place + 1])}.html")
        links = {tag["href"] for tag in page_of(finished, patient).find_all("a", href=True)}
        assert {"patients.html", "../index.html"} <= links


def test_only_a_patient_with_a_volume_can_be_scrolled(finished: Path) -> None:
    viewer = page_of(finished, "C").select_one(".viewer")
    assert (viewer["data-columns"], viewer["data-depth"], viewer["data-step"]) == ("3", "5", "1")
    assert len(viewer.find_all("img")) == 8
    assert viewer.select_one("input[type=range]")["max"] == "4"
    other = page_of(finished, "B")
    assert not other.select_one(".viewer")
    assert "Two patients are shown whole" in words_of(other)


def test_volumes_of_real_patients_need_leave(folder: Path) -> None:
    soup = page_of(built(folder, "real"), "C")
    assert not soup.select_one(".viewer")
    assert address("all t1") not in str(soup)
    said = words_of(soup.select_one("#volume"))
    assert "real_volumes: true" in said
    assert "A volume of this patient lies in the folder patients/ all the same" in said
    assert "lies in the folder" not in words_of(page_of(folder, "B").select_one("#volume"))
    built(folder, "home")
    assert page_of(folder, "C").select_one(".viewer")
    assert not page_of(folder, "B").select_one(".viewer")


def test_page_that_would_be_too_large_leaves_the_volume_out(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folder / "patients" / "2.json"
    content = json.loads(path.read_text())
    content["volume"]["images"]["t1"] = address("x" * 100_000)
    path.write_text(json.dumps(content))
    monkeypatch.setattr(pages, "MOST_BYTES", 120_000)
    soup = page_of(built(folder), "C")
    assert not soup.select_one(".viewer")
    assert "larger than" in words_of(soup.select_one("#volume"))
    assert max(path.stat().st_size for path in own_pages(folder)) <= 120_000


def test_gallery_that_would_be_too_large_keeps_pictures_of_the_worst(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in (folder / "patients").glob("*.json"):
        content = json.loads(path.read_text())
        content["slices"][1]["images"]["flair"] = address("x" * 30_000)
        path.write_text(json.dumps(content))
    monkeypatch.setattr(patients, "FEWER_PICTURES", (3, 1, 0))
    monkeypatch.setattr(pages, "MOST_BYTES", 140_000)
    page = gallery_of(built(folder))
    pictured = [bool(row.img) for row in page.select("table.gallery tbody tr")]
    assert pictured == [True, False, False, False, True]
    assert "all but the worst 1 patient of this part are on their own pages" in words_of(page)


def test_nothing_there_is_a_gallery_that_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant_studies(tmp_path / "params", monkeypatch)
    said = words_of(gallery_of(built(tmp_path / "empty")))
    assert "There are no pictures: patients/ is empty" in said
    assert "There is no reported patient to show" in said


def test_patient_without_pictures_has_a_page_that_says_so(folder: Path) -> None:
    (folder / "patients" / "0.json").unlink()
    soup = page_of(built(folder), "A")
    assert "There are no pictures of this patient: notebook 05_fusion wrote none." in words_of(soup)
    assert not soup.find("script")


def test_page_of_a_patient_who_is_gone_is_removed(folder: Path) -> None:
    stale = folder / "html" / "patient-Z.html"
    stale.parent.mkdir()
    stale.write_text("old")
    built(folder)
    assert not stale.exists()


def test_ids_are_text_and_safe_names(finished: Path) -> None:
    assert re.fullmatch(r"patient-[A-Za-z0-9_.-]+", patients_page(ATTACK))
    soup = page_of(finished, ATTACK)
    assert soup.h1.bdi.get_text() == ATTACK
    assert len(soup.find_all("script")) == 1
    for path in own_pages(finished):
        assert "<script>alert" not in path.read_text(encoding="utf-8")
        for tag in soup_of(path).find_all(string=re.compile("\u202e")):
            inside = "\u2068" in tag or tag.parent.name in ("bdi", "option")
            assert inside, f"the ID is not kept to itself: {tag!r}"


def test_pages_need_nothing_from_outside(finished: Path) -> None:
    for path in own_pages(finished):
        soup = soup_of(path)
        assert not soup.find_all(["link", "iframe", "object", "embed", "base"])
        assert all(not tag.get("src") for tag in soup.find_all("script"))
        assert all(str(tag["src"]).startswith("data:image/png") for tag in soup.find_all("img"))
        assert "url(" not in "".join(tag.get_text() for tag in soup.find_all("style"))
        attributes = {name for tag in soup.find_all(True) for name in tag.attrs}
        assert not [name for name in attributes if name.startswith("on")]
        for tag in soup.find_all("a", href=True):
            target = str(tag["href"]).partition("#")[0]
            file = path.parent / target if target else path
            assert file.is_file(), f"{path.name}: {tag['href']}"
        code = "".join(tag.get_text() for tag in soup.find_all("script"))
        assert not re.search(r"https?:|fetch|import|eval|innerHTML", code)


def test_overlays_are_described_in_words(finished: Path) -> None:
    overlay = page_of(finished, "A").select("section.slice")[1].select_one(".overlay")
    assert " ".join(overlay["alt"].split()) == (
        "truth laid over it, in the colours of the classes: necrotic core in 3 voxels, "
        "edema in 2, enhancing tumour in 1"
    )


def test_who_has_no_page_is_in_the_gallery_without_a_link(folder: Path) -> None:
    report_of = settings.load("small").report.model_copy(update={"patient_pages": 2})
    study = settings.load("small").model_copy(update={"report": report_of})
    found = dict(patients.every_page(pages.collect(study, folder), folder))
    assert set(found) == {"patients", patients_page("C"), patients_page(ATTACK)}
    soup = BeautifulSoup(found["patients"], "html.parser")
    assert "2 of 5 patients have a page of their own" in words_of(soup)
    links = [row.th.a and row.th.a["href"] for row in soup.select("table.gallery tbody tr")]
    wanted = [f"{patients_page('C')}.html", None, None, None, f"{patients_page(ATTACK)}.html"]
    assert links == wanted
    assert all(row.img for row in soup.select("table.gallery tbody tr"))
