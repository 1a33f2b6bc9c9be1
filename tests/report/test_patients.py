"""Pages of patients: what they show, in which order, what they never contain."""

import math
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote

import pytest
from bs4 import BeautifulSoup
from hypothesis import given
from hypothesis import strategies as st

from gliomalib import report, settings
from gliomalib.report import pages, patient_files, patients
from gliomalib.report.patient_files import Answer
from tests.report import small_cohort as cohort
from tests.report.reading import needs_nothing, soup_of, words_of
from tests.report.small_study import plant_studies


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return a finished study with its pages, to be read only."""
    base = tmp_path_factory.mktemp("patients")
    with pytest.MonkeyPatch.context() as patch:
        plant_studies(base / "params", patch)
        planted = cohort.fill(base / "small")
        report.build("small", planted)
        yield planted


def test_gallery_is_worst_first_and_parts_stand_apart(finished: Path) -> None:
    tables = cohort.gallery_of(finished).select("table.gallery tbody")
    order = [[words_of(row.th) for row in table("tr")] for table in tables]
    assert order == [["C", "B", "D", "A"], [cohort.ATTACK]]


def test_gallery_rows_say_dice_masks_and_slices(finished: Path) -> None:
    row = cohort.gallery_of(finished).select("table.gallery tbody tr")[1]
    shown = [float(tag["value"]) for tag in row.find_all("data")]
    assert shown == pytest.approx([0.5, 0.0, 0.8, 0.7, 0.75, 0.65])
    assert "NCR missed" in words_of(row)
    assert "3 of 5" in words_of(row)
    assert row["data-values"].split() == [str(value) for value in [*shown, 0.6]]
    images = row.find_all("img")
    assert [tag["src"] for tag in images] == [
        cohort.address("slice 3 flair"),
        cohort.address("slice 3 fused"),
    ]
    assert row.th.a["href"] == cohort.link_to("B")


def test_every_patient_is_a_point_and_zeros_are_marked(finished: Path) -> None:
    first, second = cohort.gallery_of(finished).select("svg.strip")
    # four lines, the mean and each class
    assert len(first.select(".dot")) == 16
    assert len(second.select(".dot")) == 4
    marked = [words_of(tag.title) for tag in first.select(".dot.zero")]
    assert len(marked) == 2
    assert "NCR 0.000" in marked[1]
    assert "ET 1.000, empty in truth" in words_of(first.select_one(".dot.ruled"))


def test_left_tail_tells_zeros_from_low_everywhere(finished: Path, planted: Path) -> None:
    tail = cohort.gallery_of(finished).select("ul.tail")[0]
    assert words_of(tail) == (
        "C : mean Dice 0.2; none of the 3 class masks has a Dice of exactly 0, the mean is low "
        "without zeros. Dice: necrotic core 0.3, edema 0.2 and enhancing tumour 0.1."
    )
    without = [r for n in "ABD" for r in cohort.rows_of(n, "test", cohort.DICE[n][1])]
    cohort.write_table(planted / "tables" / "05_fusion.scores.csv", without)
    assert words_of(cohort.gallery_of(cohort.built(planted)).select("ul.tail")[0]) == (
        "B : mean Dice 0.5; 1 of the 3 class masks has a Dice of exactly 0; this zero pulls the "
        "mean down. Necrotic core missed (truth 0.3 mL, predicted 0). Dice: edema 0.8 and "
        "enhancing tumour 0.7."
    )


@given(st.lists(st.floats(0, 1), max_size=40))
def test_tail_is_the_worst_quarter_at_least_one_at_most_five(values: list[float]) -> None:
    group = [cohort.patient_with(f"{place}", {"NCR": value}) for place, value in enumerate(values)]
    worst = patients.tail(group)
    assert len(worst) == (0 if not values else min(5, max(1, len(values) // 4)))
    assert [one.dice("mean") for one in worst] == sorted(values)[: len(worst)]


def test_page_says_who_it_is(finished: Path) -> None:
    soup = cohort.page_of(finished, "C")
    assert soup.h1.bdi.get_text() == "C"
    assert "Held-out patient, fold 0" in words_of(soup)
    assert "Patient C" in soup.title.get_text()
    assert "Synthetic patients" in words_of(soup)


def test_truth_and_fused_stand_side_by_side_without_scripts(finished: Path) -> None:
    for z, group in enumerate(cohort.page_of(finished, "C").select("section.slice"), start=2):
        truth, fused = group.select(".row")
        for name, row in (("truth", truth), ("fused", fused)):
            overlays = [tag["src"] for tag in row.select(".overlay.on")]
            assert overlays == [cohort.address(f"slice {z} {name}")] * 4
        scans = [tag["src"] for tag in fused.select(".scan")]
        assert scans == [cohort.address(f"slice {z} {name}") for name in patients.SEQUENCES]
        assert {tag["data-layer"] for tag in fused.select(".overlay")} == set(cohort.LAYERS)
    assert cohort.page_of(finished, "C").select_one(".controls").has_attr("hidden")


def test_scores_are_those_of_the_table(finished: Path) -> None:
    soup = cohort.page_of(finished, "B")
    rows = cohort.rows_of("B", *cohort.DICE["B"])
    expected = {(row["region"], row["network"]): row for row in rows}
    names = ("necrotic core", "edema", "enhancing tumour", "whole tumour", "tumour core")
    for region, name in zip(("NCR", "ED", "ET", "WT", "TC"), names, strict=True):
        tables = soup.select("table.masks tbody")
        group = next(table for table in tables if name in words_of(table.tr))
        for row in group("tr")[1:]:
            wanted = expected[region, words_of(row.th)]
            numbers = [wanted[key] for key in ("dice", "hd95_mm", "truth_ml", "predicted_ml")]
            shown = [float(tag["value"]) for tag in row.find_all("data")]
            numbers = [math.nan if number == "" else float(number) for number in numbers]
            assert shown == pytest.approx(numbers, nan_ok=True)


def test_masks_that_are_missed_or_empty_have_a_sentence(finished: Path) -> None:
    said = words_of(cohort.page_of(finished, "B").select_one("#scores"))
    assert "Missed: the truth has voxels, the prediction has none. necrotic core by 2D" in said
    assert "(truth 0.3 mL)" in said
    said = words_of(cohort.page_of(finished, "D").select_one("#scores"))
    assert "Empty in truth and prediction" in said
    assert "enhancing tumour by 2D, 3D and fused" in said
    assert "No mask is missed" in words_of(cohort.page_of(finished, "C").select_one("#scores"))


def test_strip_shows_every_slice_and_counts(finished: Path) -> None:
    section = cohort.page_of(finished, "A").select_one("#classifier")
    assert "right in 3 of 5 slices of the fused volume and wrong in 2" in words_of(section)
    runs = {
        "truth": ["0 to 0: no tumour", "1 to 2: edema", "3 to 3: necrotic core"],
        "predicted": ["0 to 0: no tumour", "1 to 1: edema", "2 to 3: enhancing tumour"],
    }
    assert [words_of(tag) for tag in section.select("svg title")] == [
        f"{which}, slices {run}" for which in runs for run in (*runs[which], "4 to 4: no tumour")
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
    for which in ("truth", "predicted", "wrong"):
        wanted = [int(getattr(answer, which)) for answer in answers]
        found = patients.runs(answers, which)
        assert [run.label for run in found for _ in range(run.length)] == wanted
        assert all(a.label != b.label for a, b in pairwise(found))


def test_pages_lead_to_each_other(finished: Path) -> None:
    order = ["C", "B", "D", "A", cohort.ATTACK]
    addresses = [None, *map(cohort.link_to, order), None]
    for patient, before, after in zip(order, addresses, addresses[2:], strict=False):
        page = cohort.page_of(finished, patient)
        steps = [page.find("a", rel=rel) for rel in ("prev", "next")]
        assert [step and step["href"] for step in steps] == [before, after]
        links = {tag["href"] for tag in page.find_all("a", href=True)}
        assert {"patients.html", "../index.html"} <= links


def test_only_a_patient_with_a_volume_can_be_scrolled(finished: Path) -> None:
    viewer = cohort.page_of(finished, "C").select_one(".viewer")
    assert (viewer["data-columns"], viewer["data-depth"], viewer["data-step"]) == ("3", "5", "1")
    assert len(viewer.find_all("img")) == 8
    assert viewer.select_one("input[type=range]")["max"] == "4"
    other = cohort.page_of(finished, "B")
    assert not other.select_one(".viewer")
    assert "Two patients are shown whole" in words_of(other)


def test_volumes_of_real_patients_need_leave(planted: Path) -> None:
    soup = cohort.page_of(cohort.built(planted, "real"), "C")
    assert not soup.select_one(".viewer")
    assert cohort.address("all t1") not in str(soup)
    said = words_of(soup.select_one("#volume"))
    assert "real_volumes: true" in said
    assert "A volume of this patient lies in the folder patients/ all the same" in said
    assert "lies in the folder" not in words_of(cohort.page_of(planted, "B").select_one("#volume"))
    cohort.built(planted, "home")
    assert cohort.page_of(planted, "C").select_one(".viewer")
    assert not cohort.page_of(planted, "B").select_one(".viewer")


def test_a_large_gallery_keeps_pictures_of_the_worst(
    planted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patients, "MOST_PICTURES", 1)
    page = cohort.gallery_of(cohort.built(planted))
    pictured = [bool(row.img) for row in page.select("table.gallery tbody tr")]
    assert pictured == [True, False, False, False, True]
    assert "all but the worst 1 patient of this part are on their own pages" in words_of(page)


def test_nothing_there_is_a_gallery_that_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant_studies(tmp_path / "params", monkeypatch)
    said = words_of(cohort.gallery_of(cohort.built(tmp_path / "empty")))
    assert "There are no pictures: patients/ is empty" in said
    assert "There is no reported patient to show" in said


def test_patient_without_pictures_has_a_page_that_says_so(planted: Path) -> None:
    (planted / "patients" / "0.json").unlink()
    soup = cohort.page_of(cohort.built(planted), "A")
    assert "There are no pictures of this patient: notebook 05_fusion wrote none" in words_of(soup)
    assert not soup.find("script")


def test_ids_are_text(finished: Path) -> None:
    soup = cohort.page_of(finished, cohort.ATTACK)
    assert soup.h1.bdi.get_text() == cohort.ATTACK
    assert len(soup.find_all("script")) == 1
    for path in cohort.own_pages(finished):
        assert "<img src=x" not in path.read_text(encoding="utf-8")


def test_pages_need_nothing_from_outside(finished: Path) -> None:
    for path in cohort.own_pages(finished):
        soup = soup_of(path)
        assert needs_nothing(soup)
        for tag in soup.find_all("a", href=True):
            target = str(tag["href"]).partition("#")[0]
            file = path.parent / unquote(target) if target else path
            assert file.is_file(), f"{path.name}: {tag['href']}"
        code = "".join(tag.get_text() for tag in soup.find_all("script"))
        assert not re.search(r"https?:|fetch|import|eval|innerHTML", code)


def test_overlays_are_described_in_words(finished: Path) -> None:
    overlay = cohort.page_of(finished, "A").select("section.slice")[1].select_one(".overlay")
    assert " ".join(overlay["alt"].split()) == (
        "truth laid over it, in the colours of the classes: necrotic core in 3 voxels, "
        "edema in 2, enhancing tumour in 1"
    )


def test_who_has_no_page_is_in_the_gallery_without_a_link(planted: Path) -> None:
    report_of = settings.load("small").report.model_copy(update={"patient_pages": 2})
    study = settings.load("small").model_copy(update={"report": report_of})
    found = dict(
        patients.every_page(pages.collect(study, planted), patient_files.of_study(study, planted))
    )
    assert set(found) == {
        "patients",
        cohort.patients_page("C"),
        cohort.patients_page(cohort.ATTACK),
    }
    soup = BeautifulSoup(found["patients"], "html.parser")
    assert "2 of 5 patients have a page of their own" in words_of(soup)
    links = [row.th.a and row.th.a["href"] for row in soup.select("table.gallery tbody tr")]
    wanted = [
        cohort.link_to("C"),
        None,
        None,
        None,
        cohort.link_to(cohort.ATTACK),
    ]
    assert links == wanted
    assert all(row.img for row in soup.select("table.gallery tbody tr"))


def test_every_slice_has_a_bar_of_its_scale_and_ways_to_be_drawn(finished: Path) -> None:
    soup = cohort.page_of(finished, "C")
    bars = {(words_of(tag), tag["style"]) for tag in soup.select(".row .scale")}
    # 8 voxels of 2 mm are 16 mm across
    assert bars == {("5 mm", "width: 31.2%")}
    assert [tag["data-view"] for tag in soup.select("[data-view]")] == [
        "contour",
        "filled",
        "errors",
    ]


def test_whoever_has_a_page_can_be_put_beside_another(finished: Path) -> None:
    chooser = cohort.gallery_of(finished).select_one(".beside-chooser")
    assert chooser.has_attr("hidden"), "without scripts it would do nothing"
    choices = [[tag["value"] for tag in select("option")] for select in chooser("select")]
    names = ["C", "B", "D", "A", cohort.ATTACK]
    assert choices == [[*map(cohort.link_to, names)]] * 2


def test_a_link_leads_to_a_page_with_any_sign_in_its_name(planted: Path) -> None:
    path = planted / "tables" / "05_fusion.scores.csv"
    path.write_text(path.read_text().replace("\nB,", "\nB#1?%41,"))
    link = cohort.gallery_of(cohort.built(planted)).find("a", string="B#1?%41")
    assert not set("#?") & set(link["href"])
    assert (planted / "html" / unquote(link["href"])).is_file()
