"""A notebook takes its own parameters and no others; they go over the settings of the study."""

import pytest

from gliomalib import parameters, settings
from gliomalib.schema import SettingsError


@pytest.mark.parametrize("notebook", parameters.NOTEBOOKS)
def test_each_parameter_overrides_a_setting_that_exists(notebook: str) -> None:
    known = settings.load("demo").model_dump()
    for name, path in parameters.parameters_of(notebook).items():
        place = known
        for part in path.split(".") if path else ():
            assert part in place, f"{notebook}: {name} overrides {path}, which is no setting"
            place = place[part]


def test_parameters_that_are_none_are_as_the_study_says() -> None:
    smoke = settings.load("smoke")
    given = {"study": "smoke", "epochs": None, "batch_size": 17, "seed": 0}
    study = parameters.from_parameters("03_train_unet2d", given)
    assert study.unet2d == smoke.unet2d.model_copy(update={"batch_size": 17})
    assert (study.seed, study.unet3d) == (0, smoke.unet3d), "the other branch keeps its own"


def test_a_misspelt_parameter_lists_the_right_ones() -> None:
    with pytest.raises(SettingsError) as caught:
        parameters.from_parameters("05_fusion", {"study": "smoke", "alfa": 0.5})
    assert str(caught.value) == (
        "05_fusion has no parameter alfa: its parameters are "
        "study, seed, device, data_dir, report_dir, alpha, real_volumes"
    )
    with pytest.raises(SettingsError, match="no notebook '05': take one of 01_data_exploration"):
        parameters.parameters_of("05")


def test_an_empty_name_of_a_study_is_not_taken_for_none_at_all() -> None:
    assert parameters.from_parameters("05_fusion", {"study": None}).study == "demo"
    with pytest.raises(SettingsError, match="there is no study '': take one of"):
        parameters.from_parameters("05_fusion", {"study": ""})


def test_a_parameter_of_the_wrong_type_is_named() -> None:
    with pytest.raises(SettingsError, match="data_dir: text was expected, found 0"):
        parameters.from_parameters("05_fusion", {"data_dir": 0})
    with pytest.raises(SettingsError, match=r"fusion.alpha: .* \(found 'much'\)"):
        parameters.from_parameters("05_fusion", {"study": "smoke", "alpha": "much"})
