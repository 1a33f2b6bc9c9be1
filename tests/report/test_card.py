"""The model card: every number a record's, nothing silently absent."""

from pathlib import Path

from gliomalib import records
from gliomalib.report import documents
from tests import planted_report as planted
from tests.report.reading import collected, part, text


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
