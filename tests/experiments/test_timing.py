"""Timed passes: the right patients, as often as asked, ending where the notebooks did."""

import math
import platform
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gliomalib import settings
from gliomalib.experiments import efficiency, engines, timing
from gliomalib.pipeline import folds
from gliomalib.schema import Grid, MismatchError, Split, Volume
from tests import tiny_study
from tests.planted_branches import begin

SMOKE = settings.load("smoke")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_study.make(tmp_path_factory.mktemp("efficiency"))


def opened(root: Path, **more: object) -> folds.Material:
    return folds.open_material(begin(root, "14_efficiency", **more))


@pytest.fixture(scope="module")
def measured(root: Path) -> timing.Measured:
    return timing.measure(opened(root, patients=2, repeats=2))


def test_held_out_patients_are_timed_as_often_as_asked(measured: timing.Measured) -> None:
    expected = list(tiny_study.SPLITS[0].test) * 2
    assert measured.warm["patient_id"].tolist() == expected
    assert measured.warm["repeat"].tolist() == [0, 0, 1, 1]
    assert (measured.passes[list(engines.STAGES)] > 0).all(axis=None)
    assert measured.cold["load"] > 0 and (measured.warm["load"] == 0).all()


def test_onnx_changes_no_voxel_and_every_value_is_finite(measured: timing.Measured) -> None:
    of_onnx = measured.changes[measured.changes["engine"] == "onnx"]
    assert len(of_onnx) == 2 and (of_onnx["voxels"] < 1e-4).all()
    found = {value.name: value.value for value in efficiency.values(measured, SMOKE)}
    assert all(map(math.isfinite, found.values())) and found["bf16_speedup_2d"] > 0
    assert found["onnx_largest_difference"] <= efficiency.TOLERANCE
    table = efficiency.engine_table(measured)
    assert table["engine"].tolist() == ["bf16"] * 3 + ["onnx"] * 3 + ["compile"]
    assert table["speed_up"].isna().tolist() == [False] * 6 + [True]


def test_nothing_said_holds_the_name_of_the_machine_or_a_path(
    root: Path, measured: timing.Measured
) -> None:
    values = efficiency.values(measured, SMOKE)
    said = [efficiency.conclusion(values, measured), *efficiency.caveats(measured)]
    text = " ".join([*said, *(value.rule for value in values)])
    assert platform.node() not in text and str(root) not in text
    assert measured.hardware["processor"] in text


def test_external_patients_follow_when_the_held_out_ones_are_few(
    root: Path, tmp_path: Path
) -> None:
    material = opened(root, patients=3)
    first, *_ = tiny_study.PATIENTS
    fewer = Split(0, (tiny_study.PATIENTS[1],), (), (tiny_study.PATIENTS[2],), (first,))
    found = timing.chosen(replace(material, splits=(fewer,)))
    assert [case.patient_id for case in found] == [tiny_study.PATIENTS[2], first]
    one = timing.chosen(opened(root, patients=1))
    assert [case.patient_id for case in one] == [tiny_study.PATIENTS[2]]


def test_a_patient_who_is_not_in_the_table_is_named(root: Path) -> None:
    material = opened(root)
    strange = replace(material, splits=(Split(0, (), (), ("nobody",)),))
    with pytest.raises(MismatchError, match=r"cases\.csv lacks nobody"):
        timing.chosen(strange)


def test_a_pass_that_does_not_end_where_the_notebooks_did_is_refused(root: Path) -> None:
    material = opened(root)
    patient = tiny_study.SPLITS[0].test[0]
    case = material.store.get(patient)
    volumes = {name: folds.volume(material, name, 0, patient) for name in folds.BRANCHES}
    empty = np.zeros((0, 4), np.float32)
    timing.check_same(material, [engines.Answer(case, volumes, empty)])
    turned = volumes["unet3d"].probabilities[::-1]
    wrong = {**volumes, "unet3d": Volume(turned, volumes["unet3d"].grid)}
    with pytest.raises(MismatchError, match=rf"unet3d of {patient}: .* not as predicted"):
        timing.check_same(material, [engines.Answer(case, wrong, empty)])


def test_voxels_that_change_are_counted_and_identical_ones_are_not() -> None:
    grid = Grid("A", (2, 2, 2), (1.0, 1.0, 1.0), (0, 0, 0), ())
    one = np.zeros((4, 2, 2, 2), np.float16)
    one[0] = 1
    other = one.copy()
    other[:, 0, 0, 0] = [0, 0, 1, 0]
    assert timing.changed(Volume(one, grid), Volume(one.copy(), grid)) == 0
    assert timing.changed(Volume(one, grid), Volume(other, grid)) == 1 / 8
