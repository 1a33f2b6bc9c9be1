"""The way from file to class: right patients, planted times found again, everything said."""

from __future__ import annotations

import json
import math
import platform
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gliomalib import records, settings
from gliomalib.experiments import efficiency
from gliomalib.experiments import engines as profiling
from gliomalib.pipeline import folds
from gliomalib.schema import Grid, MismatchError, Split, Value, Volume
from gliomalib.scoring import tables
from tests import tiny_study

SMOKE = settings.load("smoke")
SECONDS = {"read": 0.2, "preprocess": 0.1, "unet2d": 0.05, "unet3d": 0.04, "fusion": 0.03,
           "slices": 0.02, "resnet50": 0.06}  # fmt: skip
NEEDED = {
    *(f"seconds_per_patient_{way}" for way in ("2d", "3d", "fused", "all")),
    *("seconds_per_slice_all", "slices_per_second_all", "seconds_p95_all", "cold_seconds_all"),
    *("share_reading", "within_real_time", "peak_memory_gb", "onnx_largest_difference"),
    *(f"{what}_{name}" for what in ("parameters", "gflops") for name in ("2d", "3d", "resnet50")),
    *(f"{one}_speedup_{name}" for one in ("bf16", "onnx") for name in ("2d", "3d", "resnet50")),
    *("bf16_changed_voxels", "bf16_changed_slices", "bf16_dice_change"),
}  # fmt: skip


def a_pass(patient: str, repeat: int, factor: float = 1.0, load: float = 0.0) -> dict[str, object]:
    times = {stage: factor * seconds for stage, seconds in SECONDS.items()}
    return {"patient_id": patient, "repeat": repeat, "depth": 10, "load": load, **times}


def planted(passes: list[dict[str, object]], speed_up: float = 2.0) -> efficiency.Measured:
    """Return what would be measured if a pass took half a second on a quiet machine."""
    engines = [
        {"engine": engine, "network": network, "patient_id": patient, "repeat": repeat,
         "seconds": SECONDS[network] / speed_up, "float32": SECONDS[network], "speed_up": speed_up}
        for engine in ("bf16", "onnx") for network in profiling.NETWORKS
        for patient in "AB" for repeat in (0, 1)
    ]  # fmt: skip
    setups = [
        {"engine": engine, "network": network, "set_up_s": 1.0, "difference": 1e-5, "note": ""}
        for engine in ("bf16", "onnx") for network in profiling.NETWORKS
    ]  # fmt: skip
    absent = {"engine": "compile", "network": "–", "set_up_s": 0.0, "difference": math.nan}
    changes = [("bf16", "A", 0.01, 0.1, -0.002), ("bf16", "B", 0.03, 0.3, -0.004)]
    sizes = [(name, 7, 1.5, 2.0) for name in profiling.NETWORKS]
    return efficiency.Measured(
        passes=pd.DataFrame(passes),
        engines=pd.DataFrame(engines),
        changes=pd.DataFrame(changes, columns=["engine", "patient_id", "voxels", "slices", "dice"]),
        setups=pd.DataFrame([*setups, {**absent, "note": "not tried here"}]),
        sizes=pd.DataFrame(sizes, columns=["network", "parameters", "gflops", "checkpoint_mb"]),
        hardware={"processor": "a chip", "cores": "8", "threads": "2", "device": "cpu"},
        memory_gb={"process": 1.25},
    )


def steady() -> efficiency.Measured:
    warm = [a_pass(patient, repeat) for repeat in (0, 1) for patient in "AB"]
    return planted([a_pass("A", -1, 4.0, load=3.0), *warm])


def named(measured: efficiency.Measured) -> dict[str, Value]:
    return {one.name: one for one in efficiency.values(measured, SMOKE)}


# --- planted times


def test_planted_times_come_back() -> None:
    found = named(steady())
    assert found["seconds_per_patient_2d"].value == pytest.approx(0.35)
    assert found["seconds_per_patient_3d"].value == pytest.approx(0.34)
    assert found["seconds_per_patient_fused"].value == pytest.approx(0.42)
    assert found["seconds_per_patient_all"].value == pytest.approx(0.5)
    assert found["seconds_per_patient_all"].ci95 == pytest.approx((0.5, 0.5))
    assert found["seconds_per_slice_all"].value == pytest.approx(0.05)
    assert found["slices_per_second_all"].value == pytest.approx(20)
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
    assert found["within_real_time"].value == 0
    assert named(planted([cold, *quick]))["within_real_time"].value == 1
    assert "a chip" in found["within_real_time"].rule


def test_a_single_patient_has_no_interval_and_says_so() -> None:
    found = named(planted([a_pass("A", -1), a_pass("A", 0), a_pass("A", 1, 2.0)]))
    assert found["seconds_per_patient_all"].ci95 is None
    assert "none for a single patient" in found["seconds_per_patient_all"].rule
    assert "no interval, 1 patients" in efficiency.conclusion(
        list(found.values()), planted([a_pass("A", -1), a_pass("A", 0)])
    )


def test_every_value_is_there_with_its_rule() -> None:
    found = named(steady())
    assert set(found) >= NEEDED
    assert all(one.rule for one in found.values())
    assert "compile_speedup_2d" not in found


def test_caveats_say_what_was_not_run_and_where_times_hold() -> None:
    told = " ".join(efficiency.caveats(steady()))
    assert "a chip (8 cores, 2 used" in told and "not tried here." in told
    assert "by assumption" in told and "2 patients" in told


def test_the_conclusion_names_what_helps_and_only_that() -> None:
    for speed_up, words in ((2.0, "bf16 2d 2.0×"), (0.5, "in torch: nothing for certain")):
        measured = replace(steady(), engines=planted([a_pass("A", 0)], speed_up).engines)
        text = efficiency.conclusion(efficiency.values(measured, SMOKE), measured)
        assert words in text and "real time is met on a chip" in text
        assert "bf16 changes 2.000% of voxels, 20.0% of slices" in text


def test_stages_have_their_cold_time_their_percentile_and_their_share() -> None:
    table = efficiency.stage_table(steady()).set_index("stage")
    assert list(table.index) == ["load", *profiling.STAGES, "all"]
    assert table["cold_s"]["load"] == 3.0 and table["cold_s"]["read"] == pytest.approx(0.8)
    assert table["cold_s"]["all"] == pytest.approx(5.0)
    assert table["share"]["read"] == pytest.approx(0.4)
    assert table["slice_ms"]["unet2d"] == pytest.approx(5.0)
    assert table["share"][list(profiling.STAGES)].sum() == pytest.approx(1)


def test_the_plane_has_the_scores_of_the_notebooks_before() -> None:
    rows = [
        {"patient_id": patient, "region": region, "dice": dice, "state": "both", "part": "test",
         "fold": 0, "network": network}
        for network, dice in (("2D", 0.3), ("3D", 0.4), ("fused", 0.6))
        for patient in "AB" for region in tables.REGIONS
    ]  # fmt: skip
    slices = pd.DataFrame(
        {"patient_id": list("AABB"), "truth": [0, 1, 2, 3], "predicted": [0, 1, 2, 2],
         "part": "test", "fold": 0}
    )  # fmt: skip
    measured = steady()
    values = efficiency.values(measured, SMOKE)
    found = efficiency.plane(measured, values, pd.DataFrame(rows), slices, SMOKE)
    assert found["way"].tolist() == ["2D", "3D", "fused", "fused + ResNet50"]
    assert found["score"].tolist() == pytest.approx([0.3, 0.4, 0.6, 0.75])
    assert found["metric"].tolist() == ["mean Dice"] * 3 + ["accuracy"]
    assert found["seconds"].tolist() == pytest.approx([0.35, 0.34, 0.42, 0.5])
    assert found["unet2d"].tolist() == pytest.approx([0.05, 0, 0.05, 0.05])


# --- answers compared


def test_voxels_that_change_are_counted_and_identical_ones_are_not() -> None:
    grid = Grid("A", (2, 2, 2), (1.0, 1.0, 1.0), (0, 0, 0), ())
    one = np.zeros((4, 2, 2, 2), np.float16)
    one[0] = 1
    other = one.copy()
    other[:, 0, 0, 0] = [0, 0, 1, 0]
    assert efficiency._changed(Volume(one, grid), Volume(one.copy(), grid)) == 0
    assert efficiency._changed(Volume(one, grid), Volume(other, grid)) == 1 / 8


# --- a study on disk


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_study.make(tmp_path_factory.mktemp("efficiency"))


def begin(root: Path, **more: object) -> records.Run:
    where = {"data_dir": str(root / "data"), "report_dir": str(root / "reports")}
    return records.begin("14_efficiency", {"study": tiny_study.STUDY, **where, **more})


@pytest.fixture(scope="module")
def measured(root: Path) -> efficiency.Measured:
    return efficiency.measure(folds.open_material(begin(root, patients=2, repeats=2)))


def test_held_out_patients_are_timed_as_often_as_asked(measured: efficiency.Measured) -> None:
    expected = list(tiny_study.SPLITS[0].test) * 2
    assert measured.warm["patient_id"].tolist() == expected
    assert measured.warm["repeat"].tolist() == [0, 0, 1, 1]
    assert (measured.passes[list(profiling.STAGES)] > 0).all(axis=None)
    assert measured.cold["load"] > 0 and (measured.warm["load"] == 0).all()


def test_onnx_changes_no_voxel_and_every_value_is_finite(measured: efficiency.Measured) -> None:
    of_onnx = measured.changes[measured.changes["engine"] == "onnx"]
    assert len(of_onnx) == 2 and (of_onnx["voxels"] < 1e-4).all()
    found = named(measured)
    assert set(found) >= NEEDED
    assert found["onnx_largest_difference"].value <= efficiency.TOLERANCE
    assert all(math.isfinite(one.value) for one in found.values())
    table = efficiency.engine_table(measured)
    assert table["engine"].tolist() == ["bf16"] * 3 + ["onnx"] * 3 + ["compile"]
    assert table["speed_up"].isna().tolist() == [False] * 6 + [True]


def test_the_record_holds_no_name_of_the_machine_and_no_path(
    root: Path, measured: efficiency.Measured
) -> None:
    run = begin(root)
    values = efficiency.values(measured, run.study)
    text = efficiency.conclusion(values, measured)
    told = (*run.study.caveats, *efficiency.caveats(measured))
    records.finish(
        run,
        records.NotebookResult(
            values=values, caveats=told, conclusion=text, device=measured.hardware["device"]
        ),
    )
    written = records.record_path(run.report_dir, run.name).read_text(encoding="utf-8")
    assert platform.node() not in written and str(root) not in written
    assert json.loads(written)["device"] == "cpu"
    assert measured.hardware["processor"] in written


def test_external_patients_follow_when_the_held_out_ones_are_few(
    root: Path, tmp_path: Path
) -> None:
    material = folds.open_material(begin(root, patients=3))
    first, *_ = tiny_study.PATIENTS
    fewer = Split(0, (tiny_study.PATIENTS[1],), (), (tiny_study.PATIENTS[2],), (first,))
    found = efficiency.chosen(replace(material, splits=(fewer,)))
    assert [case.patient_id for case in found] == [tiny_study.PATIENTS[2], first]
    one = efficiency.chosen(folds.open_material(begin(root, patients=1)))
    assert [case.patient_id for case in one] == [tiny_study.PATIENTS[2]]


def test_a_patient_who_is_not_in_the_table_is_named(root: Path) -> None:
    material = folds.open_material(begin(root))
    strange = replace(material, splits=(Split(0, (), (), ("nobody",)),))
    with pytest.raises(MismatchError, match=r"cases\.csv lacks nobody"):
        efficiency.chosen(strange)


def test_a_pass_that_does_not_end_where_the_notebooks_did_is_refused(root: Path) -> None:
    material = folds.open_material(begin(root))
    patient = tiny_study.SPLITS[0].test[0]
    case = material.store.get(patient)
    volumes = {name: folds.volume(material, name, 0, patient) for name in folds.BRANCHES}
    empty = np.zeros((0, 4), np.float32)
    efficiency._check_same(material, [profiling.Answer(case, volumes, empty)])
    turned = volumes["unet3d"].probabilities[::-1]
    wrong = {**volumes, "unet3d": Volume(turned, volumes["unet3d"].grid)}
    with pytest.raises(MismatchError, match=rf"unet3d of {patient}: .* not as predicted"):
        efficiency._check_same(material, [profiling.Answer(case, wrong, empty)])
