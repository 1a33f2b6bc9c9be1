"""What is said of times: planted ones found again, the slow end kept, everything said."""

from dataclasses import replace
from itertools import product

import numpy as np
import pandas as pd
import pytest

from gliomalib import settings
from gliomalib.experiments import efficiency, timing
from gliomalib.parameters import NETWORKS
from gliomalib.pipeline.patient import STAGES
from gliomalib.schema import Value
from gliomalib.scoring import tables

SMOKE = settings.load("smoke")
SECONDS = dict(zip(STAGES, (0.2, 0.1, 0.05, 0.04, 0.03, 0.02, 0.06), strict=True))
NEEDED = {
    *(f"seconds_per_patient_{way}" for way in ("2d", "3d", "fused", "all")),
    *("seconds_p95_all", "cold_seconds_all"),
    *("share_reading", "peak_memory_gb"),
    *(f"{what}_{name}" for what in ("parameters", "gflops") for name in ("2d", "3d", "resnet50")),
    *(f"bf16_speedup_{name}" for name in ("2d", "3d", "resnet50")),
    *("bf16_changed_voxels", "bf16_changed_slices", "bf16_dice_change"),
}


def a_pass(patient: str, repeat: int, factor: float = 1.0, load: float = 0.0) -> dict[str, object]:
    times = {stage: factor * seconds for stage, seconds in SECONDS.items()}
    return {"patient_id": patient, "repeat": repeat, "load": load, **times}


def planted(passes: list[dict[str, object]], speed_up: float = 2.0) -> timing.Measured:
    """Return what would be measured if a pass took half a second on a quiet machine."""
    timed = [
        {"engine": engine, "patient_id": patient, "repeat": repeat}
        | {name: SECONDS[name] / (1 if engine == "float32" else speed_up) for name in NETWORKS}
        for repeat, patient, engine in product((0, 1), "AB", ("float32", "bf16"))
    ]
    changes = [("A", 0.01, 0.1, -0.002), ("B", 0.03, 0.3, -0.004)]
    sizes = [(name, 7, 1.5) for name in NETWORKS]
    return timing.Measured(
        passes=pd.DataFrame(passes),
        engines=pd.DataFrame(timed),
        changes=pd.DataFrame(changes, columns=["patient_id", "voxels", "slices", "dice"]),
        sizes=pd.DataFrame(sizes, columns=["network", "parameters", "gflops"]),
        hardware={"processor": "a chip", "cores": "8", "threads": "2", "device": "cpu"},
        memory_gb=1.25,
    )


def steady() -> timing.Measured:
    warm = [a_pass(patient, repeat) for repeat in (0, 1) for patient in "AB"]
    return planted([a_pass("A", -1, 4.0, load=3.0), *warm])


def named(measured: timing.Measured) -> dict[str, Value]:
    return {one.name: one for one in efficiency.values(measured, SMOKE)}


def test_planted_times_come_back() -> None:
    found = named(steady())
    assert found["seconds_per_patient_2d"].value == pytest.approx(0.35)
    assert found["seconds_per_patient_3d"].value == pytest.approx(0.34)
    assert found["seconds_per_patient_fused"].value == pytest.approx(0.42)
    assert found["seconds_per_patient_all"].value == pytest.approx(0.5)
    assert found["seconds_per_patient_all"].ci95 == pytest.approx((0.5, 0.5))
    assert found["share_reading"].value == pytest.approx(0.6)
    assert found["cold_seconds_all"].value == pytest.approx(5.0)
    assert found["bf16_speedup_3d"].value == 2.0
    assert found["bf16_changed_voxels"].value == pytest.approx(0.02)
    assert found["bf16_dice_change"].value == pytest.approx(-0.003)


def test_real_time_is_judged_by_the_slow_end_and_not_by_the_median() -> None:
    quick = [a_pass("A", repeat) for repeat in range(18)]
    slow = [a_pass("A", repeat, 3.0) for repeat in (18, 19)]
    cold = a_pass("A", -1, 9.0)
    found = named(planted([cold, *quick, *slow]))
    assert found["seconds_per_patient_all"].value == pytest.approx(0.5)
    expected = np.quantile([0.5] * 18 + [1.5] * 2, 0.95)
    assert found["seconds_p95_all"].value == pytest.approx(expected) and expected > 1
    assert named(planted([cold, *quick]))["seconds_p95_all"].value == pytest.approx(0.5)


def test_a_single_patient_has_no_interval_and_says_so() -> None:
    found = named(planted([a_pass("A", -1), a_pass("A", 0), a_pass("A", 1, 2.0)]))
    assert found["seconds_per_patient_all"].ci95 is None
    assert "none for a single patient" in found["seconds_per_patient_all"].rule
    assert "1 patient, no interval" in efficiency.conclusion(
        list(found.values()), planted([a_pass("A", -1), a_pass("A", 0)])
    )


def test_every_value_is_there_with_its_rule() -> None:
    found = named(steady())
    assert set(found) >= NEEDED
    assert all(one.rule for one in found.values())
    assert "float32_speedup_2d" not in found
    trained = {name for name, one in found.items() if one.n_seeds}
    assert trained == {"bf16_changed_voxels", "bf16_changed_slices", "bf16_dice_change"}


def test_caveats_say_where_times_hold() -> None:
    told = " ".join(efficiency.caveats(steady()))
    assert "a chip (8 cores, 2 used" in told
    assert "is taken as real time" in told and "2 patients" in told


def test_the_conclusion_names_what_helps_and_only_that() -> None:
    for speed_up, words in ((2.0, "bf16 2d 2.0×"), (0.5, "float32: nothing for certain")):
        measured = replace(steady(), engines=planted([a_pass("A", 0)], speed_up).engines)
        text = efficiency.conclusion(efficiency.values(measured, SMOKE), measured)
        assert words in text and "95th percentile 0.50 s, on a chip (8 cores" in text


def test_the_plane_has_the_scores_of_the_notebooks_before() -> None:
    dice = {"2D": 0.3, "3D": 0.4, "fused": 0.6}
    keys = ["network", "patient_id", "region"]
    scores = pd.DataFrame(list(product(dice, "AB", tables.REGIONS)), columns=keys)
    scores = scores.assign(dice=scores["network"].map(dice), state="both", part="test", fold=0)
    slices = pd.DataFrame({"patient_id": list("AABB"), "truth": range(4), "part": "test"})
    slices = slices.assign(predicted=[0, 1, 2, 2], fold=0, z=[0, 1, 0, 1])
    measured = steady()
    found = efficiency.plane(measured, scores, slices, SMOKE)
    assert found["way"].tolist() == ["2D", "3D", "fused", "fused + ResNet50"]
    assert found["score"].tolist() == pytest.approx([0.3, 0.4, 0.6, 0.75])
    assert found["metric"].tolist() == ["mean Dice"] * 3 + ["accuracy"]
    assert found[list(STAGES)].sum(axis=1).tolist() == pytest.approx([0.35, 0.34, 0.42, 0.5])
    assert found["unet2d"].tolist() == pytest.approx([0.05, 0, 0.05, 0.05])
