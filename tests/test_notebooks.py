"""The study ``smoke`` through all notebooks: straight, killed in training, and one by one."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from gliomalib import parameters, records, settings
from gliomalib.provenance import PROJECT_DIR
from gliomalib.schema import Record
from gliomalib.verdicts import claims
from tests.processes import kill, start, wait_for

MINUTES = 60
UNTIL = "05_fusion"
"""How far the study that is killed goes: what follows is not trained in more than one go."""


def command(folder: Path, *more: str, study: str = "smoke") -> list[str]:
    where = ["--data-dir", str(folder / "data"), "--report-dir", str(folder / "reports")]
    return [sys.executable, "-m", "gliomalib", "study", study, "--cores", "2", *where, *more]


def run_study(folder: Path, *more: str, study: str = "smoke") -> str:
    done = subprocess.run(
        command(folder, *more, study=study),
        cwd=PROJECT_DIR,
        capture_output=True,
        text=True,
        timeout=20 * MINUTES,
        check=False,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said[-3000:]
    return said


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("straight")
    run_study(folder)
    return folder


@pytest.fixture(scope="module")
def found(straight: Path) -> dict[str, Record]:
    return records.read_all(straight / "reports" / "smoke")


def numbers(report_dir: Path) -> dict[str, Any]:
    """Everything that a record claims: values with intervals and counts, and its conclusion."""
    paths = sorted((report_dir / "records").glob("*.json"))
    contents = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in paths}
    return {name: (one["values"], one["conclusion"]) for name, one in contents.items()}


def written(report_dir: Path) -> dict[Path, int]:
    """Return the records, tables, executed notebooks and pages, each with when it was written."""
    folders = ("records", "tables", "notebooks", "html")
    paths = [path for folder in folders for path in (report_dir / folder).iterdir()]
    assert paths
    return {path: path.stat().st_mtime_ns for path in paths}


def test_every_notebook_leaves_a_record_and_an_executed_copy(
    straight: Path, found: dict[str, Record]
) -> None:
    variants = settings.load("smoke").variants
    names = [f"{notebook}.{name}" for notebook, own in variants.items() for name in own]
    assert set(found) == {*parameters.NOTEBOOKS, *names}
    for name in found:
        assert (straight / "reports" / "smoke" / "notebooks" / f"{name}.ipynb").is_file()
        assert (straight / "reports" / "smoke" / "html" / f"{name}.html").is_file()


def test_every_claim_has_a_verdict_and_none_is_decided_on_phantoms(straight: Path) -> None:
    page = (straight / "reports" / "smoke" / "index.html").read_text(encoding="utf-8")
    assert "say nothing about" in page
    for claim in claims.load():
        assert claim.id in page
    path = straight / "reports/smoke/tables/16_reproducibility_report.verdicts.csv"
    verdicts = pd.read_csv(path).set_index("claim")["verdict"]
    assert list(verdicts.index) == [claim.id for claim in claims.load()]
    assert "not run" not in set(verdicts), "a number is missing"
    without_network = verdicts[verdicts.str.startswith("problem")].to_dict()
    assert without_network == {
        "W1": "problem confirmed", "W2": "problem confirmed", "W3": "problem not confirmed"
    }  # fmt: skip
    assert set(verdicts.drop(list(without_network))) <= {"not testable on this data", "not judged"}


def test_the_example_for_notebooks_of_ones_own_gives_the_dice_of_the_study(straight: Path) -> None:
    readme = (PROJECT_DIR / "notebooks" / "README.md").read_text(encoding="utf-8")
    code = readme.split("```python\n")[1].split("```")[0].replace('"demo"', '"smoke"')
    for name, folder in (('Path("data")', "data"), ('Path("reports")', "reports")):
        assert name in code
        code = code.replace(name, f"Path({str(straight / folder)!r})")
    code = code.replace("data/demo/raw", str(straight / "data" / "smoke" / "raw"))
    *lines, last = code.strip().splitlines()
    names: dict[str, Any] = {}
    exec("\n".join([*lines, f"dice = {last}"]), names)
    scores = pd.read_csv(straight / "reports/smoke/tables/05_fusion.scores.csv")
    row = scores.query("network == 'fused' and region == 'WT' and part == 'test'").set_index(
        "patient_id"
    )
    assert names["dice"] == pytest.approx(row.loc[names["case"].patient_id, "dice"], abs=1e-4)


def test_records_say_what_was_small_and_random(found: dict[str, Record]) -> None:
    for record in found.values():
        caveats = " ".join(record.caveats)
        assert "Synthetic patients" in caveats and "Small networks that fit a CPU" in caveats
        assert "random weights" in caveats


def test_a_second_run_starts_no_notebook_and_writes_nothing(straight: Path) -> None:
    before = numbers(straight / "reports" / "smoke")
    results = written(straight / "reports" / "smoke")
    said = run_study(straight)
    assert "running" not in said, "a notebook was started"
    assert written(straight / "reports" / "smoke") == results
    assert numbers(straight / "reports" / "smoke") == before


def test_a_study_of_masks_answers_what_needs_no_image(tmp_path: Path) -> None:
    run_study(tmp_path, study="smoke-masks")
    report = tmp_path / "reports" / "smoke-masks"
    found = records.read_all(report)
    assert set(found) == set(parameters.NOTEBOOKS)
    ended = {name for name, record in found.items() if record.conclusion == records.NO_IMAGES}
    assert ended == {*parameters.NEED_IMAGES, "07_baselines"}
    for name in ended:
        copy = (report / "notebooks" / f"{name}.ipynb").read_text(encoding="utf-8")
        assert records.NO_IMAGES in copy and "SystemExit" not in copy
        assert (report / "html" / f"{name}.html").is_file()
    names = {name: {value.name for value in record.values} for name, record in found.items()}
    assert "mean_lost_in_plane" in names["02_preprocessing"]
    assert {"accuracy_position", "accuracy_area_rule_dominant"} <= names["07_baselines"]
    assert "neighbour_slice_gain" in names["11_leakage_audit"]
    assert "highest_patient_accuracy" in names["15_specification_curve"]
    page = (report / "index.html").read_text(encoding="utf-8")
    assert "stopped with an error" not in page and "not executed" not in page
    assert "No network was trained" in (report / "html" / "methods.html").read_text("utf-8")


def test_a_study_of_boxes_says_what_boxes_cannot_show(tmp_path: Path) -> None:
    run_study(tmp_path, study="smoke-boxes")
    report = tmp_path / "reports" / "smoke-boxes"
    found = records.read_all(report)
    assert {name.partition(".")[0] for name in found} == set(parameters.NOTEBOOKS)
    not_applicable = {
        (name, value.name)
        for name, record in found.items()
        for value in record.values
        if value.note.startswith("not applicable to boxes")
    }
    assert not_applicable >= {
        ("02_preprocessing", "mean_lost_in_plane"),
        ("02_preprocessing", "worst_dice_ceiling"),
        ("07_baselines", "fused_mean_region_dice_full_scan"),
    }
    assert not any(name == "08_alpha_sweep" for name, _ in not_applicable)
    assert "Without tumour: 4 slices of 1 patient." in found["06_train_resnet50"].conclusion
    page = (report / "index.html").read_text(encoding="utf-8")
    assert "stopped with an error" not in page and "not executed" not in page
    assert "false alarms there cannot happen" in page
    about = (report / "html" / "about.html").read_text(encoding="utf-8")
    assert "false alarms there cannot happen" in about.partition('id="limits"')[2]


@pytest.fixture
def killed(tmp_path: Path) -> Path:
    """Start a study and kill all of its processes while the 3D network is trained."""
    variables = {**os.environ, "PYTHONPATH": str(PROJECT_DIR)}
    process = start(command(tmp_path, "--until", UNTIL), tmp_path, variables)
    folder = tmp_path / "data" / "smoke" / "checkpoints" / "unet3d" / "fold0"
    begun = wait_for((folder / "last.ckpt").exists, process, 0.005, 6 * MINUTES)
    assert begun, "the study ended before its 3D network was trained"
    kill(process, tmp_path)
    assert not (folder / "final.pt").exists(), "killed too late"
    return tmp_path


def test_a_killed_run_gives_the_numbers_of_a_straight_one(straight: Path, killed: Path) -> None:
    run_study(killed, "--until", UNTIL)
    log = (killed / "reports/smoke/notebooks/04_train_unet3d.ipynb").read_text(encoding="utf-8")
    assert "goes on" in log, "the 3D training was not resumed"
    again, first = (numbers(folder / "reports" / "smoke") for folder in (killed, straight))
    assert UNTIL in again and again == {name: first[name] for name in again}


def papermill(straight: Path, tmp_path: Path, text: str) -> subprocess.CompletedProcess[str]:
    parameters = tmp_path / "my.yml"
    where = f"data_dir: {straight / 'data'}\nreport_dir: {tmp_path / 'reports'}\nstudy: smoke\n"
    parameters.write_text(where + text)
    program = Path(sys.executable).with_name("papermill")
    files = ["05_fusion.ipynb", tmp_path / "05.ipynb", "-f", parameters]
    return subprocess.run(
        [program, *files, "-k", "python3", "--no-progress-bar"],
        cwd=PROJECT_DIR / "notebooks",
        capture_output=True,
        text=True,
        timeout=3 * MINUTES,
        check=False,
        env={**os.environ, "PYTHONPATH": str(PROJECT_DIR), "OMP_NUM_THREADS": "1"},
    )


def test_one_notebook_runs_alone_with_another_parameter(straight: Path, tmp_path: Path) -> None:
    done = papermill(straight, tmp_path, "alpha: 0.0\n")
    assert done.returncode == 0, done.stderr[-2000:]
    record = records.read(records.record_path(tmp_path / "reports" / "smoke", "05_fusion"))
    values = {one.name: one.value for one in record.values}
    assert record.parameters["fusion"]["alpha"] == 0
    assert values["fused_minus_3d_mean_dice"] == 0


def test_a_misspelt_parameter_stops_the_notebook_with_the_right_ones(
    straight: Path, tmp_path: Path
) -> None:
    done = papermill(straight, tmp_path, "aplha: 0.5\n")
    assert done.returncode != 0
    assert "no parameter aplha" in done.stderr and "alpha" in done.stderr
    assert not records.record_path(tmp_path / "reports" / "smoke", "05_fusion").exists()


@pytest.mark.parametrize("notebook", ["03_train_unet2d", "04_train_unet3d"])
@pytest.mark.parametrize(
    ("rule", "state", "passes"),
    [("exclude", "empty", True), ("exclude", "missed", False), ("brats", "empty", False)],
)
def test_a_mask_lacks_a_dice_only_where_the_rule_leaves_it_out(
    notebook: str, rule: str, state: str, passes: bool
) -> None:
    cells = json.loads((PROJECT_DIR / "notebooks" / f"{notebook}.ipynb").read_text())["cells"]
    check = [line for cell in cells for line in cell["source"] if "left_out" in line]
    study = settings.load("smoke", {"evaluation.empty": rule})
    scores = pd.DataFrame({"dice": [0.5, math.nan], "state": ["both", state]})
    names = {"scores": scores, "run": SimpleNamespace(study=study)}
    if passes:
        exec("".join(check), names)
    else:
        with pytest.raises(AssertionError, match="a mask has no Dice"):
            exec("".join(check), names)
