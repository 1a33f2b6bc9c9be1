"""Timed passes: the right patients, as often as asked, ending where the notebooks did."""

import gc
import math
import platform
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from gliomalib import settings
from gliomalib.experiments import efficiency, timing
from gliomalib.parameters import NETWORKS
from gliomalib.pipeline import folds, patient
from gliomalib.schema import Grid, MismatchError, Split, Volume
from tests import tiny_study
from tests.planted_branches import begin

SMOKE = settings.load("smoke")


class Wall:
    """A clock on the wall that a test moves on; a look at it takes a millisecond."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr(timing.time, "perf_counter", self.look)

    def look(self) -> float:
        self.now += 0.001
        return self.now

    def goes_on(self, seconds: float) -> None:
        self.now += seconds


def test_a_stage_is_as_long_as_its_block_and_no_other_counts_to_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wall, clock = Wall(monkeypatch), timing.Clock()
    with clock.stage("short"):
        wall.goes_on(2)
    wall.goes_on(30)
    with clock.stage("long"):
        wall.goes_on(10)
    assert clock.seconds == pytest.approx({"short": 2.001, "long": 10.001})


def test_garbage_is_not_collected_within_a_stage_and_is_collected_before_it() -> None:
    found = []

    class Cycle:
        def __init__(self) -> None:
            self.own = self

        def __del__(self) -> None:
            found.append(clock.seconds.copy())

    clock = timing.Clock()
    with clock.stage("makes"):
        Cycle()
        assert not gc.isenabled()
    assert gc.isenabled()
    with clock.stage("next"):
        assert len(found) == 1
    assert set(found[0]) <= {"makes"}


def test_a_stage_that_fails_is_not_counted_and_leaves_the_collector_on() -> None:
    clock = timing.Clock()
    with pytest.raises(ZeroDivisionError), clock.stage("fails"):
        _ = 1 / 0
    assert clock.seconds == {} and gc.isenabled()


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
    assert (measured.passes[list(patient.STAGES)] > 0).all(axis=None)
    assert measured.cold["load"] > 0 and (measured.warm["load"] == 0).all()


def test_every_value_is_finite(measured: timing.Measured) -> None:
    assert len(measured.changes) == 2
    found = {value.name: value.value for value in efficiency.values(measured, SMOKE)}
    assert all(map(math.isfinite, found.values())) and found["bf16_speedup_2d"] > 0
    assert found["parameters_resnet50"] == 23_516_228 and found["gflops_3d"] > 0


def test_engines_are_timed_beside_float32_and_what_they_change_is_counted(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    material, wall = opened(root, patients=2, repeats=2), Wall(monkeypatch)

    class Turned(nn.Module):
        def __init__(self, network: nn.Module) -> None:
            super().__init__()
            self.network = network

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            wall.goes_on(0.2)
            logits: torch.Tensor = self.network(images)
            return -logits

    networks = timing.load(material)
    others = replace(
        networks, unet3d=replace(networks.unet3d, network=Turned(networks.unet3d.network))
    )
    cases = [material.store.get(name) for name in tiny_study.SPLITS[0].test]
    timed, changes = timing.beside(networks, others, cases, material.study)
    assert timed["engine"].tolist() == ["float32", "bf16"] * 4
    assert (timed.query("engine == 'bf16'")["unet3d"] >= 0.2).all()
    assert len(changes) == 2 and (changes["voxels"] > 0).all()


def test_a_speed_up_is_taken_within_a_round() -> None:
    about = [("float32", 0, 8.0), ("bf16", 0, 16.0), ("float32", 1, 4.0), ("bf16", 1, 1.0)]
    rows = [
        {
            "engine": engine,
            "patient_id": "A",
            "repeat": repeat,
            **dict.fromkeys(NETWORKS, s),
        }
        for engine, repeat, s in about
    ]
    measured = timing.Measured(*[pd.DataFrame(rows)] * 4, {}, 0.0)
    assert measured.speed_ups["unet3d"].tolist() == [0.5, 4.0]


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
    name = tiny_study.SPLITS[0].test[0]
    volumes = {network: folds.volume(material, network, 0, name) for network in folds.BRANCHES}
    empty = np.zeros((0, 4), np.float32)
    answer = patient.Answer(volumes["unet2d"], volumes["unet3d"], volumes["unet2d"], empty)
    timing.check_same(material, [answer])
    turned = volumes["unet3d"].probabilities[::-1]
    wrong = replace(answer, p3d=Volume(turned, volumes["unet3d"].grid))
    with pytest.raises(MismatchError, match=rf"unet3d of {name}: .* not as predicted"):
        timing.check_same(material, [wrong])


def test_voxels_that_change_are_counted_and_identical_ones_are_not() -> None:
    grid = Grid("A", (2, 2, 2), (1.0, 1.0, 1.0), (0, 0, 0), ())
    one = np.zeros((4, 2, 2, 2), np.float16)
    one[0] = 1
    other = one.copy()
    other[:, 0, 0, 0] = [0, 0, 1, 0]
    assert timing.changed(Volume(one, grid), Volume(one.copy(), grid)) == 0
    assert timing.changed(Volume(one, grid), Volume(other, grid)) == 1 / 8
