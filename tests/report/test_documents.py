"""The methods text, the model card, downloads, and what these pages have in common."""

import gzip
import json
import math
import re
from dataclasses import replace
from pathlib import Path

import pytest

from gliomalib import records, report, settings
from gliomalib.report import documents, pages
from gliomalib.schema import Exclusion, Value
from gliomalib.scoring import training_noise
from tests import planted_report as planted
from tests.report.reading import (
    DOCUMENTS,
    MOST_BYTES,
    STUDIES,
    collected,
    own_scripts,
    part,
    scripts,
    section,
    soup,
    text,
)


def test_every_table_and_record_can_be_taken_away(folder: Path) -> None:
    # signs at which Python, but no table, begins a line
    (folder / "tables" / "05_fusion.x y.csv").write_text("a,b\n1,2\n3,4\u2028\n5\x0c,6\n")
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
    assert "Not known for 04_train_unet3d and 06_train_resnet50" in found
    assert "Not known for 05_fusion: no record says anything about it" in found
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


def test_counts_are_those_of_the_record(folder: Path) -> None:
    data = section(folder, "Data")
    assert "Of 64 examinations, those of 47 patients" in data
    assert "those of 9 patients as external set" in data
    assert "6 further examinations" in data
    assert "2 examinations were excluded" in data
    split = section(folder, "Split")
    plan = settings.load("demo").split
    held_out, kept = f"{100 * plan.test_share:g}\u00a0%", f"{100 * plan.val_share:g}\u00a0%"
    assert f"{held_out} were held out for testing (11 patients), and {kept} of all" in split


def test_phantoms_of_two_sites_are_said_to_be_the_same(folder: Path) -> None:
    name, plain = "01_data_exploration", section(folder, "Data")
    values = [*planted.values()[name], Value("linked_by_twin", 9.0, rule="as it is")]
    records.write(planted.record(settings.load("demo"), name, values), folder)
    said = "9 patients of the second site were held-out patients of the first, imaged again"
    assert said in section(folder, "Data") and said not in plain


def test_a_count_that_is_not_defined_is_not_known(folder: Path) -> None:
    name = "01_data_exploration"
    values = [replace(value, value=math.nan) for value in planted.values()[name]]
    records.write(planted.record(settings.load("demo"), name, values), folder)
    assert "How many took part is not known" in section(folder, "Data")
    assert "excluded" not in text(report.build("demo", folder).read_text())
    assert "How many patients is not known." in text((folder.parent / "index.html").read_text())


def test_what_only_a_record_knows_is_said_to_be_unknown(folder: Path) -> None:
    for name in ("01_data_exploration", "02_preprocessing", "14_efficiency"):
        records.record_path(folder, name).unlink()
    assert "How many took part is not known" in section(folder, "Data")
    assert "How much of the tumour the box cuts off is not known" in section(
        folder, "Preprocessing"
    )
    assert "parameters are not known" in section(folder, "Segmentation networks")
    # the plan of the study file alone gives no number of patients
    assert "patients)" not in section(folder, "Split")


def test_a_run_with_other_parameters_is_described_as_it_ran(folder: Path) -> None:
    other = settings.load("demo", {"fusion.alpha": 0.35, "unet2d.epochs": 77})
    for name in ("05_fusion", "03_train_unet2d"):
        records.write(planted.record(other, name, planted.values()[name]), folder)
    assert "α = 0.35" in section(folder, "Fusion")
    assert "for 77 epochs in batches of 16 slices" in section(folder, "Training")
    # the classifier ran with the study's own weight, which is now another one
    assert "with α = 0.6" in section(folder, "Classification")
    page = soup(documents.methods_page(collected(folder)))
    assert page.find("math") is not None
    assert page.find("math").find_all("mn")[-1].get_text() == "0.35"


@pytest.mark.parametrize("study", STUDIES)
def test_sentences_are_right_for_every_study(tmp_path: Path, study: str) -> None:
    own = settings.load(study)
    told = documents.sections(collected(tmp_path, study))
    whole = " ".join(told.values())
    assert ("All patients are synthetic" in whole) == (not own.real_data)
    assert ("MNI152" in whole) == (not own.real_data)
    assert ("Menze et al. 2015" in whole) == own.real_data
    folds = own.split.folds > 1
    assert (f"into {own.split.folds} folds" in told["Split"]) == folds
    assert ("counts once, with the mean" in told["Evaluation"]) == folds
    assert ("none was set aside for validation" in told["Split"]) == (not own.split.val_share)
    for network in (own.unet2d, own.unet3d):
        assert f"{network.channels[-2]} and {network.channels[-1]} channels" in whole
        assert f"a learning rate of {network.learning_rate:g}" in told["Training"]
    assert ("ImageNet (Deng" in whole) == (own.classifier.weights == "imagenet")
    assert f"{own.classifier.image_size} × {own.classifier.image_size}" in told["Classification"]
    assert f"voxels of {own.preprocessing.voxel}" in told["Preprocessing"]
    boxes = own.data.extent == "boxes"
    assert ("no whole head of which a crop could cut something off" in whole) == boxes
    assert ("cut to the central" in told["Preprocessing"]) == (not boxes)
    draws = f"{own.evaluation.bootstrap:,}".replace(",", "\u202f")
    shown = draws if own.evaluation.bootstrap >= 10_000 else str(own.evaluation.bootstrap)
    assert f"from {shown} draws" in told["Evaluation"]
    assert f"±{training_noise.MARGIN:g} Dice" in told["Evaluation"]
    assert not re.search(r"\bNone\b|\bnan\b|[{}]|\.\.|  ", whole)


def test_external_releases_and_their_absence_are_told(tmp_path: Path) -> None:
    mini = section(tmp_path, "Data", "brats-mini")
    assert "is BraTS 2021 (Baid et al. 2021, Menze et al. 2015" in mini
    assert "There was no external set" in section(tmp_path, "Data", "brats")


def test_variants_are_told_and_those_that_did_not_run(folder: Path) -> None:
    told = section(folder, "Further runs")
    assert "No run with other parameters left a record" in told
    assert "04_train_unet3d.seed2 (seed: 2026)" in told.partition("not run:")[2]
    own = settings.load("demo", {"seed": 2026})
    found = planted.dice("", 0.5, 11)
    records.write(planted.record(own, "04_train_unet3d.seed2", found), folder)
    told = section(folder, "Further runs")
    assert "04_train_unet3d.seed2 (seed: 2026)" in told.partition("not run:")[0]
    software = section(folder, "Software, seeds and hardware")
    assert "root seed 2025" in software
    assert "04_train_unet3d.seed2 was run from 2026" in software


def test_the_page_has_the_text_to_copy(folder: Path) -> None:
    report_of = collected(folder)
    copied = part(documents.methods_page(report_of), "copy").pre
    assert copied is not None
    assert copied.get_text() == documents.plain(documents.sections(report_of), report_of.paper)
    assert "<" not in copied.get_text()


def test_a_text_without_records_says_that_it_is_a_plan(tmp_path: Path, folder: Path) -> None:
    told = "There is no record of 01_data_exploration, 02_preprocessing"
    for page in (documents.methods_page, documents.card_page):
        assert told in text(page(collected(tmp_path)))
        assert "There is no record of" not in text(page(collected(folder)))


def test_versions_and_hardware_are_the_records(folder: Path) -> None:
    told = section(folder, "Software, seeds and hardware")
    assert "Python 3.11.9, PyTorch (Paszke et al. 2019) 2.11.0 and MONAI" in told
    assert "A Good Machine, 4 cores" in told
    assert "commit abc123" in told
    assert "9 min 0 s of wall time" in told
    assert "1.2 GB" in told
    hardware = {"processor": "A Good Machine", "cores": "4"}
    origin = {"commit": "other", "lock_sha256": "d1", "versions": {}, "hardware": hardware}
    planted.rewrite(folder, "04_train_unet3d", provenance=origin)
    told = section(folder, "Software, seeds and hardware")
    assert "abc123 or other (the records differ)" in told
