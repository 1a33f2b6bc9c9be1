"""The methods text: every number a record's or a setting's."""

import re
from pathlib import Path

import pytest

from gliomalib import records, settings
from gliomalib.report import documents, methods
from gliomalib.schema import Value
from gliomalib.scoring import training_noise
from tests import planted_report as planted
from tests.report.reading import STUDIES, collected, part, section, soup, text


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


def test_what_only_a_record_knows_is_said_to_be_unknown(folder: Path) -> None:
    for name in ("01_data_exploration", "02_preprocessing", "14_efficiency"):
        records.record_path(folder, name).unlink()
    assert "How many took part is not known" in section(folder, "Data")
    assert "What the box cuts off the tumour is not known" in section(folder, "Preprocessing")
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
    told = methods.sections(collected(tmp_path, study))
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
    assert ("what a crop of a whole head would cut off is not applicable" in whole) == boxes
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
    assert copied.get_text() == methods.plain(methods.sections(report_of), report_of.paper)
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
