"""Which variants of a study may be set beside its own run, and what their networks are called."""

from typing import Any

import pytest

from gliomalib import settings
from gliomalib.pipeline import variants
from gliomalib.schema import SettingsError

GIVEN = {
    "03_train_unet2d": {
        "recipe": {"loss": "cross_entropy", "dropout": 0.2},
        "ce": {"loss": "cross_entropy"},
        "seed2": {"seed": 8},
        "ce_seed2": {"loss": "cross_entropy", "seed": 8},
        "weighted": {"class_weights": [0.1, 1, 1, 1]},
    },
    "04_train_unet3d": {"seed2": {"seed": 8}},
}


def study(given: dict[str, Any] = GIVEN) -> settings.Study:
    return settings.load("smoke").model_copy(update={"variants": given})


def names(*varying: str, notebook: str = "03_train_unet2d") -> list[str]:
    return [one.variant for one in variants.siblings(study(), notebook, varying)]


@pytest.mark.parametrize(
    ("varying", "expected"),
    [
        (("loss",), ["", "ce"]),
        (("seed",), ["", "seed2"]),
        (("loss", "seed"), ["", "ce", "seed2", "ce_seed2"]),
        (("class_weights",), ["", "weighted"]),
        (("loss", "dropout"), ["", "recipe", "ce"]),
        ((), [""]),
    ],
)
def test_a_variant_that_changes_anything_else_is_left_out(
    varying: tuple[str, ...], expected: list[str]
) -> None:
    assert names(*varying) == expected


def test_the_own_run_comes_first_and_a_notebook_without_variants_has_it_alone() -> None:
    assert names("seed", notebook="04_train_unet3d") == ["", "seed2"]
    assert names("seed", notebook="06_train_resnet50") == [""]


def test_each_has_the_settings_of_its_run() -> None:
    own, ce, seed2 = variants.siblings(study(), "03_train_unet2d", ("loss", "seed"))[:3]
    assert own.study.unet2d.loss == seed2.study.unet2d.loss == "focal"
    assert ce.study.unet2d.loss == "cross_entropy" and ce.study.unet3d.loss == "focal"
    assert own.study.seed == ce.study.seed == 7 and seed2.study.seed == 8


def test_names_are_those_of_records_and_of_networks() -> None:
    flat = variants.siblings(study(), "03_train_unet2d", ("loss",))
    assert [one.name for one in flat] == ["03_train_unet2d", "03_train_unet2d.ce"]
    assert [one.network for one in flat] == ["unet2d", "unet2d.ce"]
    deep = variants.siblings(study(), "04_train_unet3d", ("seed",))
    assert [one.network for one in deep] == ["unet3d", "unet3d.seed2"]
    sorter = variants.siblings(study(), "06_train_resnet50", ())
    assert sorter[0].network == "resnet50"


def test_a_notebook_that_trains_nothing_has_no_network() -> None:
    own = variants.Sibling("05_fusion", "", study())
    with pytest.raises(SettingsError, match="05_fusion trains no network"):
        _ = own.network


def test_a_misspelt_value_of_a_variant_is_an_error() -> None:
    wrong = study({"03_train_unet2d": {"ce": {"loss": "crossentropy"}}})
    with pytest.raises(SettingsError, match="crossentropy"):
        variants.siblings(wrong, "03_train_unet2d", ("loss",))
