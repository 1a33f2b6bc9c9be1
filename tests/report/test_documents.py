"""The model card, downloads, and what methods, card, errors and downloads have in common."""

import gzip
import json
from dataclasses import replace
from pathlib import Path

import pytest

from gliomalib import records, settings
from gliomalib.report import documents, pages
from gliomalib.schema import Exclusion, Value
from tests import planted_report as planted
from tests.report.reading import (
    DOCUMENTS,
    MOST_BYTES,
    collected,
    own_scripts,
    part,
    scripts,
    soup,
    text,
)


def test_every_table_and_record_can_be_taken_away(folder: Path) -> None:
    (folder / "tables" / "05_fusion.x y.csv").write_text("a,b\n1,2\n3,4\n5,6\n")
    packed = gzip.compress(b"c,d,e\n1,2,3\n")
    (folder / "tables" / "05_fusion.large.csv.gz").write_bytes(packed)
    (folder / "tables" / "05_fusion.broken.csv").write_bytes(b"\xff\xfe\x00")
    (folder / "tables" / "05_fusion.cut.csv.gz").write_bytes(packed[:20])
    page = dict(documents.every_page(collected(folder), folder))["downloads"]
    links = [tag["href"] for tag in soup(page).select(".files a")]
    wanted = {f"../{path.parent.name}/{path.name}" for path in
              [*folder.glob("tables/*.csv*"), *folder.glob("records/*.json")]}  # fmt: skip
    assert {link.replace("%20", " ") for link in links} == wanted
    assert len(links) == len(wanted)
    assert "CSV, 3 rows, 2 columns, 0.0 kB a , b" in text(page)
    assert "CSV, 1 row, 3 columns, 0.0 kB c , d , e" in text(page)
    assert text(page).count("a table that cannot be read") == 2
    assert "demo.zip" in text(page), "and the archive is named, which git does not keep"
    values = len(json.loads((folder / "records" / "05_fusion.json").read_text())["values"])
    assert f"JSON, {values} values" in text(page)


def test_hostile_names_are_text(folder: Path) -> None:
    planted.exclude(folder, "demo", Exclusion(planted.ATTACK, "x", "kind", planted.ATTACK))
    own, name = settings.load("demo"), "05_fusion"
    caveats = (*own.caveats, f"Look at {planted.ATTACK}.")
    found = [Value(planted.ATTACK, 1.0, None, 2, rule=planted.ATTACK)]
    records.write(planted.record(own, name, found, caveats=caveats), folder)
    (folder / "tables" / "05_fusion.odd.csv").write_text(f'"{planted.ATTACK[:20]}"\n1\n')
    for name, page in documents.every_page(collected(folder), folder):
        assert scripts(soup(page)) <= own_scripts(), name
        assert "alert(1)</script>" not in page, name
    errors = dict(documents.every_page(collected(folder), folder))["errors"]
    told = [tag.get_text() for tag in part(errors, "excluded").find_all("bdi")]
    assert any(planted.ATTACK in one for one in told), "marks of direction must stay isolated"


@pytest.mark.parametrize("study", ["brats-mini", "demo"])
def test_pages_stand_on_their_own(tmp_path: Path, study: str) -> None:
    folder = planted.fill(tmp_path / study, study)
    report_of = collected(folder, study)
    pages_of = dict(documents.every_page(report_of, folder))
    assert tuple(pages_of) == DOCUMENTS
    for name, page in pages_of.items():
        found = soup(page)
        assert len(page.encode()) < MOST_BYTES
        assert len(found.find_all("h1")) == 1
        assert not found.find_all(["link", "iframe", "img"])
        assert str(tmp_path) not in page
        ids = [tag["id"] for tag in found.find_all(id=True)]
        assert len(ids) == len(set(ids)), name
        assert ("Synthetic patients" in text(page)) == (not report_of.study.real_data)
        assert page == dict(documents.every_page(report_of, folder))[name]


def test_scores_of_the_card_are_the_records(folder: Path) -> None:
    page = documents.card_page(collected(folder))
    shown = {tag["value"] for tag in part(page, "metrics").find_all("data")}
    wanted = [value for name in ("03_train_unet2d", "04_train_unet3d", "05_fusion")
              for value in planted.values()[name] if "dice" in value.name]  # fmt: skip
    assert shown == {str(value.value) for value in wanted} | {"0.8125"}
    assert "11 patients, 1 missed" in text(str(part(page, "metrics")))


def test_sizes_of_the_card_are_the_records(folder: Path) -> None:
    shown = [
        tag["value"] for tag in part(documents.card_page(collected(folder)), "networks")("data")
    ]
    assert shown == ["402113.0", "1205117.0", "23516228.0"]
    records.record_path(folder, "14_efficiency").unlink()
    page = documents.card_page(collected(folder))
    assert text(page).count("not known: notebook 14 left no record of them") == 6


def test_known_failures_are_shown_and_silence_is_named(folder: Path) -> None:
    found = text(str(part(documents.card_page(collected(folder)), "failures")))
    assert "class_collapse" in found
    assert "ece_internal" in found
    assert "Not known of 04_train_unet3d and 06_train_resnet50" in found
    assert "Not known of 05_fusion: no record says anything of it" in found
    missed = found.partition("Lost classes")[0]
    assert "dice_ET" in missed
    assert "dice_WT" not in missed


def test_use_is_limited_by_what_the_networks_saw(tmp_path: Path) -> None:
    synthetic, real = (
        text(documents.card_page(collected(tmp_path, name))) for name in ("demo", "brats")
    )
    for page in (synthetic, real):
        assert "no medical device" in page
    assert "They have seen no patient" in synthetic
    assert "They have seen no patient" not in real
    assert "BraTS 2018 (the organisers' terms" in real
    assert "small networks that fit a CPU" in synthetic
    assert "small networks that fit a CPU" not in real


def test_settings_are_those_of_the_record_else_of_the_study(folder: Path) -> None:
    other = settings.load("demo", {"fusion.alpha": 0.35})
    for parameters, alpha in ((None, 0.35), ({"alpha": 1}, 0.6)):
        made = planted.record(other, pages.FUSED, planted.values()[pages.FUSED])
        made = made if parameters is None else replace(made, parameters=parameters)
        records.write(made, folder)
        assert collected(folder).as_run(pages.FUSED).fusion.alpha == alpha
    records.record_path(folder, pages.FUSED).unlink()
    assert collected(folder).as_run(pages.FUSED) == settings.load("demo")


def test_a_value_that_is_not_there_is_none(folder: Path) -> None:
    report = collected(folder)
    accuracy = report.value(pages.CLASSES, "accuracy")
    assert accuracy is not None and accuracy.value == 0.8125
    assert report.value(pages.CLASSES, "no such value") is None
    assert report.value("09_loss_ablations", "accuracy") is None


def test_a_study_of_another_paper_names_that_one_alone(folder: Path) -> None:
    report_of = collected(folder)
    study = report_of.study.model_copy(update={"published": "tests/reference/next-paper.yml"})
    page = documents.methods_page(replace(report_of, study=study))
    assert "arXiv 2011.00848" in page and "Isensee" in page
    assert "2502.18775" not in page and "A subclass of glioma" not in page
    assert "2502.18775" in documents.methods_page(report_of), "the next page is of the first again"
