"""Settings refuse what they do not know and say what they would take."""

import math
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gliomalib import settings
from gliomalib.provenance import PROJECT_DIR
from gliomalib.schema import SettingsError

TOY = """
study: toy
title: Toy
unet2d: {epochs: 2, batch_size: 4}
unet3d: {epochs: 3, batch_size: 1}
classifier: {epochs: 1, batch_size: 8, weights: random}
"""


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(settings, "STUDIES_DIR", tmp_path)
    (tmp_path / "toy.yml").write_text(TOY)
    return tmp_path / "toy.yml"


@pytest.mark.parametrize("study", settings.studies())
def test_every_study_file_is_read_and_has_its_own_name(study: str) -> None:
    assert settings.load(study).study == study
    assert (settings.STUDIES_DIR / f"{study}.yml").is_file()


def test_the_studies_of_the_design_are_there() -> None:
    assert {"smoke", "demo", "brats-cubes", "brats-mini", "brats", "phantom-full"} <= set(
        settings.studies()
    )


def test_defaults_are_those_of_the_paper(write: Path) -> None:
    study = settings.load("toy")
    assert study.fusion.alpha == 0.6
    assert study.unet2d.loss == "focal"
    assert study.classifier.loss == "dice"
    assert study.split.test_share == 0.2
    assert study.preprocessing.crop_mm == (128.0, 128.0)


def test_settings_cannot_be_changed(write: Path) -> None:
    study = settings.load("toy")
    with pytest.raises(ValueError, match="frozen"):
        study.seed = 3


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("sed: 1", ["toy.yml: sed: ", "known keys are study, title, seed"]),
        ("fusion: {alfa: 0.5}", ["fusion.alfa: ", "known keys are branches, alpha, sweep_step"]),
        ("fusion: {alpha: 1.5}", ["fusion.alpha: ", "found 1.5"]),
        ("seed: many", ["seed: ", "found 'many'"]),
        ("device: tpu", ["device: ", "found 'tpu'"]),
        ("threads: true", ["threads: ", "a number was expected", "found True"]),
        ("fusion: {alpha: yes}", ["fusion.alpha: ", "a number was expected"]),
        ("evaluation: {bootstrap: .inf}", ["toy.yml: ", "no text, finite number or list"]),
        ("preprocessing: {depth_mm: .nan}", ["toy.yml: ", "no text, finite number or list"]),
        ("preprocessing: {crop_mm: [true, 8]}", ["preprocessing.crop_mm", "a number was"]),
        ("seed: 1\nseed: 2", ["toy.yml: line ", "gives seed a second time; keep one"]),
        ("fusion: {alpha: 0.5, alpha: 0.6}", ["toy.yml: line ", "gives alpha a second time"]),
        ("data: {phantoms: {sight: B}}", ["data.phantoms.sight: ", "internal, external"]),
        ("data: {phantoms: {site: Z}}", ["data.phantoms.site: ", "'A' or 'B'", "found 'Z'"]),
        ("data: {phantoms: {spacing_mm: 0.1}}", ["data.phantoms.spacing_mm: ", "found 0.1"]),
        ("cluster: {data: {gpu: 1}}", ["cluster.data.gpu: ", "keys are cpus, memory_mb, minutes"]),
        ("cluster: {rest: {minutes: 0}}", ["cluster.rest.minutes: ", "found 0"]),
        ("- a", ["toy.yml: not YAML"]),
    ],
)
def test_wrong_lines_are_named_with_the_right_ones(write: Path, line: str, said: list[str]) -> None:
    write.write_text(f"{TOY}{line}\n")
    with pytest.raises(SettingsError) as caught:
        settings.load("toy")
    for words in said:
        assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "study: Field required"),
        ("[1, 2]", "settings are lines"),
        ("a sentence", "settings are lines"),
    ],
)
def test_a_file_that_is_no_list_of_settings_is_named(write: Path, text: str, said: str) -> None:
    write.write_text(text)
    with pytest.raises(SettingsError, match=f"toy.yml: {said}"):
        settings.load("toy")


def test_a_study_under_another_name_is_refused(write: Path) -> None:
    write.with_name("copy.yml").write_text(TOY)
    with pytest.raises(SettingsError, match=r"copy.yml: study is 'toy', it must be 'copy'"):
        settings.load("copy")


def test_an_unknown_study_lists_the_known(write: Path) -> None:
    with pytest.raises(SettingsError, match="no study 'tay': take one of toy"):
        settings.load("tay")


@pytest.mark.parametrize(
    ("weights", "fits"),
    [
        ("weights: random", True),
        ("weights: file, weights_file: x.pt", True),
        ("weights: file", False),
        ("weights: random, weights_file: x.pt", False),
    ],
)
def test_a_weights_file_goes_with_its_setting(write: Path, weights: str, fits: bool) -> None:
    write.write_text(TOY.replace("weights: random", weights))
    if fits:
        assert settings.load("toy").classifier.weights in weights
    else:
        with pytest.raises(SettingsError, match="weights: file goes with weights_file"):
            settings.load("toy")


def test_strides_stand_between_the_channels(write: Path) -> None:
    assert settings.load("toy").unet2d.strides is None
    fits = {"unet2d.channels": [8, 16, 32], "unet2d.strides": [1, 2]}
    assert settings.load("toy", fits).unet2d.strides == (1, 2)
    for strides, said in (([1, 2, 2], "3 channels have 2 strides"), ([0, 2], "unet2d.strides.0")):
        with pytest.raises(SettingsError, match=said):
            settings.load("toy", fits | {"unet2d.strides": strides})


def test_overrides_need_a_section_where_one_is_meant(write: Path) -> None:
    write.write_text(f"{TOY}fusion: 5\n")
    with pytest.raises(SettingsError, match=r"toy.yml: fusion is 5, expected lines of alpha"):
        settings.load("toy", {"fusion.alpha": 0.5})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("unet2d.learning_rate", math.inf),
        ("unet2d.focal_gamma", math.nan),
        ("unet2d.class_weights", [math.nan, 1, 1, 1]),
        ("unet2d.class_weights", [-1, 1, 1, 1]),
        ("preprocessing.crop_mm", [math.inf, 128]),
    ],
)
def test_a_parameter_that_is_no_number_to_train_with_is_refused(
    name: str, value: object, write: Path
) -> None:
    with pytest.raises(SettingsError, match=name):
        settings.load("toy", {name: value})


def test_overrides_go_over_the_file_and_make_sections(write: Path) -> None:
    study = settings.load("toy", {"fusion.alpha": 0.25, "unet2d.epochs": 9, "seed": 7})
    assert (study.fusion.alpha, study.unet2d.epochs, study.seed) == (0.25, 9, 7)
    assert study.unet2d.batch_size == 4
    assert settings.load("toy").unet2d.epochs == 2


@given(st.integers(0, 2**32), st.lists(st.text(max_size=4), min_size=1, max_size=3))
def test_seeds_are_32_bit_and_repeat(root: int, names: list[str]) -> None:
    seed = settings.named_seed(root, *names)
    assert 0 <= seed < 2**32
    assert seed == settings.named_seed(root, *names)


def test_seeds_differ_by_root_and_by_name() -> None:
    seeds = {settings.named_seed(root, "split", fold) for root in range(20) for fold in range(20)}
    assert len(seeds) == 400
    assert settings.named_seed(2025, "split") == 1715159313, "a change moves every result"


def test_seeds_do_not_depend_on_the_process() -> None:
    code = "from gliomalib.settings import named_seed; print(named_seed(1, 'a', 2))"
    said = subprocess.run(
        [sys.executable, "-c", code],
        cwd=PROJECT_DIR,
        env={"PYTHONHASHSEED": "77"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(said.stdout) == settings.named_seed(1, "a", 2)


def test_a_voxel_has_one_side_or_three() -> None:
    cube = settings.Preprocessing(spacing_mm=2)
    assert (cube.voxel_mm, cube.voxel) == ((2.0, 2.0, 2.0), "2 mm")
    assert cube.voxel_ml == pytest.approx(0.008)
    given = {"preprocessing.spacing_mm": [0.5, 0.5, 3.0], "preprocessing.crop_mm": None}
    study = settings.load("brats", given)
    assert study.preprocessing.voxel == "0.5 × 0.5 × 3 mm"
    assert study.preprocessing.voxel_ml == pytest.approx(0.00075)
    assert not study.full_size, "slices of 3 mm are not the paper's"
    assert any("voxels of 0.5 × 0.5 × 3 mm." in caveat for caveat in study.caveats)
    for wrong in ([1.0, 1.0], [1.0, 1.0, 0.0], 0):
        with pytest.raises(SettingsError, match="spacing_mm"):
            settings.load("brats", {"preprocessing.spacing_mm": wrong})


def test_boxes_around_the_tumour_are_a_limit() -> None:
    boxes = settings.load("brats", {"data.extent": "boxes"}).caveats
    assert any("Boxes around the tumour" in caveat for caveat in boxes)
    assert not any("Boxes" in caveat for caveat in settings.load("brats").caveats)


def test_synthetic_studies_say_so() -> None:
    demo, real = settings.load("demo"), settings.load("brats")
    assert any("Synthetic patients" in caveat for caveat in demo.caveats)
    assert not any("Synthetic patients" in caveat for caveat in real.caveats)
    assert not demo.full_size
    assert real.full_size


@pytest.mark.parametrize(
    ("size", "spacing", "side"), [(32, 1.0, 32), (None, 2.0, 64), (None, 1.0, 128), (224, 2.0, 224)]
)
def test_small_pictures_are_a_limit(size: int | None, spacing: float, side: int) -> None:
    given = {"classifier.image_size": size, "preprocessing.spacing_mm": spacing}
    study = settings.load("brats", given)
    limit = f"ResNet50 sees pictures of {side} × {side} pixels; the paper crops to 128 × 128."
    assert (limit in study.caveats) == (side < 128)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (TOY.encode("utf-16-le"), "toy.yml: not YAML"),
        (TOY.replace("Toy", "2025-01-31").encode(), "toy.yml: .*put dates in quotes"),
        (TOY.replace("Toy", "2025-13-01").encode(), "toy.yml: .*put dates in quotes"),
        (TOY.replace("Toy", "!!int ''").encode(), "toy.yml: holds what is no text"),
        (TOY.replace("Toy", "!!bool x").encode(), "toy.yml: holds what is no text"),
        ((TOY + "data: &a {phantoms: *a}").encode(), "toy.yml"),
        ((TOY + "a: " + 3000 * "[").encode(), "toy.yml"),
        (b"\x00\x01", "toy.yml: not YAML"),
    ],
)
def test_a_file_of_any_bytes_is_one_sentence(content: bytes, words: str, write: Path) -> None:
    write.write_bytes(content)
    with pytest.raises(SettingsError, match=words):
        settings.load("toy")


@pytest.mark.parametrize("name", ["../toy", "", ".", "a b", "-x", "100%", "toy\n", "ü"])
def test_no_name_of_a_study_leads_elsewhere(name: str, write: Path) -> None:
    folder = write.parent / "params"
    folder.mkdir()
    (folder / f"{name.replace('/', '')}.yml").write_text(
        TOY.replace("study: toy", f"study: {name!r}")
    )
    settings.STUDIES_DIR = folder
    assert settings.studies() == []
    with pytest.raises(SettingsError, match="there is no study"):
        settings.load(name)
