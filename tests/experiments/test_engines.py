"""Costs are measured as they are: planted times, counted operations, and answers that agree."""

import platform
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from gliomalib import settings
from gliomalib.experiments import engines, runtimes
from gliomalib.fusion import slices
from gliomalib.networks import models, predict
from gliomalib.pipeline import patient
from gliomalib.schema import StoredCase
from tests.networks.toys import smoke_unet
from tests.planted_branches import grid

SHAPE = (12, 8, 6)
CPU = torch.device("cpu")
SMOKE = settings.load("smoke")


@pytest.fixture(scope="module")
def pipeline() -> engines.Pipeline:
    torch.manual_seed(0)
    unet2d = predict.Segmenter(smoke_unet(2), 2, SMOKE.unet2d, 1, CPU)
    unet3d = predict.Segmenter(smoke_unet(3), 3, SMOKE.unet3d, 1, CPU)
    resnet50 = predict.SliceClassifier(models.empty_resnet50().eval(), 1, CPU)
    return engines.Pipeline(patient.Networks(unet2d, unet3d, resnet50), SMOKE)


@pytest.fixture(scope="module")
def case() -> StoredCase:
    images = np.random.default_rng(3).random((4, *SHAPE)).astype(np.float16)
    images[..., 0] = 0
    return StoredCase(grid("A", SHAPE), images, np.zeros(SHAPE, np.uint8))


class Wall:
    """A clock on the wall that a test moves on; a look at it takes a millisecond."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr(engines.time, "perf_counter", self.look)

    def look(self) -> float:
        self.now += 0.001
        return self.now

    def goes_on(self, seconds: float) -> None:
        self.now += seconds


def test_a_stage_is_as_long_as_its_block_and_no_other_counts_to_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wall, clock = Wall(monkeypatch), engines.Clock(CPU)
    with clock.stage("short"):
        wall.goes_on(2)
    wall.goes_on(30)
    with clock.stage("long"):
        wall.goes_on(10)
    assert clock.seconds == pytest.approx({"short": 2.001, "long": 10.001})


def test_garbage_is_not_collected_within_a_stage_and_is_collected_before_it() -> None:
    import gc

    found = []

    class Cycle:
        def __init__(self) -> None:
            self.own = self

        def __del__(self) -> None:
            found.append(clock.seconds.copy())

    clock = engines.Clock(CPU)
    with clock.stage("makes"):
        Cycle()
        assert not gc.isenabled()
    assert gc.isenabled()
    with clock.stage("next"):
        assert len(found) == 1
    assert set(found[0]) <= {"makes"}


def test_a_stage_that_fails_is_not_counted_and_leaves_the_collector_on() -> None:
    import gc

    clock = engines.Clock(CPU)
    with pytest.raises(ZeroDivisionError), clock.stage("fails"):
        _ = 1 / 0
    assert clock.seconds == {} and gc.isenabled()


@pytest.mark.parametrize(("width", "kernel"), [(3, 1), (5, 3)])
def test_operations_of_a_convolution_are_the_formula(width: int, kernel: int) -> None:
    network = nn.Conv2d(2, width, kernel, padding=kernel // 2)
    images = torch.rand(7, 2, 6, 4)
    expected = 2 * 7 * 6 * 4 * width * 2 * kernel**2
    assert engines.operations(network, images) == expected


def test_operations_of_a_case_are_those_of_all_its_slices(
    pipeline: engines.Pipeline, case: StoredCase
) -> None:
    found = engines.operations_of(case, pipeline)
    one = torch.rand(1, 4, *SHAPE[:2])
    assert found["unet2d"] == 5 * engines.operations(pipeline.networks["unet2d"], one)
    image = torch.rand(1, 3, 32, 32)
    assert found["resnet50"] == 6 * engines.operations(pipeline.networks["resnet50"], image)
    assert found["unet3d"] > 0


def test_a_pass_times_every_stage_and_gives_what_predict_gives(
    pipeline: engines.Pipeline, case: StoredCase
) -> None:
    answer, seconds = engines.again(case, pipeline)
    assert list(seconds) == list(engines.STAGES[2:])
    assert all(one > 0 for one in seconds.values())
    shown = slices.fused_slices(answer.volumes["fused"], case.labels, SMOKE.classifier)
    expected = predict.classify(pipeline.loaded.resnet50, shown)
    np.testing.assert_allclose(answer.named, expected, atol=1e-6)


def test_hooks_leave_the_networks_as_they_were(
    pipeline: engines.Pipeline, case: StoredCase
) -> None:
    fed = engines.inputs(case, pipeline)
    assert [tuple(one.shape) for one in fed["unet2d"]] == [(5, 4, 12, 8)]
    assert [tuple(one.shape) for one in fed["unet3d"]] == [(1, 4, *SHAPE)]
    assert not any(network._forward_pre_hooks for network in pipeline.networks.values())


def test_a_compiled_network_gives_the_same_answer(
    pipeline: engines.Pipeline, case: StoredCase
) -> None:
    compiled = runtimes.compiled_network(pipeline.networks["unet2d"], "eager")
    engine = engines.set_up(runtimes.Engine("compile", {"unet2d": compiled}), pipeline, case)
    assert engine.networks and engine.set_up_s > 0 and not engine.note
    row = engines.differences(pipeline, [engine], case)[0]
    assert row["difference"] == pytest.approx(0, abs=1e-6)


def test_a_compiling_that_fails_gives_a_sentence_and_no_path(
    pipeline: engines.Pipeline, case: StoredCase
) -> None:
    def broken(graph: object, example: object) -> object:
        raise OSError("no compiler at /usr/local/bin/c++")

    compiled = runtimes.compiled_network(pipeline.networks["unet2d"], broken)  # type: ignore[arg-type]
    engine = engines.set_up(runtimes.Engine("compile", {"unet2d": compiled}), pipeline, case)
    assert not engine.networks
    assert engine.note.startswith("compile cannot be used here: its first pass raised ")
    assert "/" not in engine.note
    assert engines.differences(pipeline, [engine], case)[0]["note"] == engine.note


def test_engines_are_timed_beside_float32(
    pipeline: engines.Pipeline, case: StoredCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    wall = Wall(monkeypatch)

    class Slow(nn.Module):
        def __init__(self, network: nn.Module) -> None:
            super().__init__()
            self.network = network

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            wall.goes_on(0.2)
            found: torch.Tensor = self.network(images)
            return found

    made = [
        runtimes.Engine("slow", {"unet3d": Slow(pipeline.networks["unet3d"])}),
        runtimes.Engine("absent", {}, "not here"),
    ]
    other = replace(case, grid=replace(case.grid, patient_id="B"))
    answers = [engines.again(one, pipeline)[0] for one in (case, other)]
    found, rows = engines.beside(answers, pipeline, made)
    assert list(found) == ["slow"] and len(found["slow"]) == 2
    np.testing.assert_array_equal(found["slow"][0].named, answers[0].named)
    assert rows["patient_id"].tolist() == ["A", "B"] * SMOKE.efficiency.repeats
    assert (rows["network"] == "unet3d").all() and (rows["seconds"] >= 0.2).all()
    assert rows["speed_up"].equals(rows["float32"] / rows["seconds"])
    assert (rows["speed_up"] < 1).all()


def test_hardware_names_no_machine_and_no_path(pipeline: engines.Pipeline) -> None:
    found = engines.hardware(pipeline)
    assert found["device"] == "cpu" and found["threads"] == "1"
    assert int(found["cores"]) >= 1 and found["processor"]
    text = " ".join(found.values())
    assert platform.node() not in text and "/" not in text
