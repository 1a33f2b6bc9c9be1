"""A rehearsal tells what would fail, changes little, and touches nothing of the study itself."""

import json
import subprocess
from pathlib import Path
from typing import Any

import psutil
import pytest

from gliomalib import inputs, provenance, settings
from gliomalib.cohort import splits
from gliomalib.data.readers import survey
from gliomalib.networks import footprint, models
from gliomalib.runner import rehearsal
from gliomalib.runner.jobs import Folders, RunError
from gliomalib.runner.watch import EVENTS
from gliomalib.schema import DataError, SettingsError
from tests import tiny_study
from tests.processes import wait_for
from tests.toy_project import FIRST, SECOND, THIRD, Project, write_notebook

LEAVING = """
from pathlib import Path
from gliomalib import settings, toy
from gliomalib.schema import SettingsError
variant = globals().get("variant", "")
if variant == "deep":
    raise SettingsError("unet2d: 9 channels are too many for 32 voxels; take fewer")
toy.PROJECT = Path(report_dir).parent
toy.leave({name!r}, study, settings.load(study).compute.steps, variant)
"""

SLEEPING = """
(Path(report_dir).parents[3] / "begun").touch()
time.sleep(600)
"""


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "has_gpu", lambda: False)
    monkeypatch.setattr(models, "cpu_precisions", lambda: {"32-true"})
    monkeypatch.setattr(footprint, "free_bytes", lambda _: 10**12)


def test_a_setting_that_fails_is_told_by_its_name(tmp_path: Path) -> None:
    toy = Project(tmp_path / "project").with_package()
    toy.study("variants: {03_train_unet2d: {deep: {channels: [1, 2, 3, 4, 5, 6, 7, 8, 9]}}}")
    for name in (FIRST, SECOND, THIRD):
        write_notebook(toy.root, name, LEAVING.format(name=name))
    done = toy.call("rehearse", "toy", "--until", THIRD, patience_s=400)
    assert done.returncode == 1
    assert "changed for the rehearsal: compute.steps: None → 2" in done.stdout
    assert "unet2d: 9 channels are too many for 32 voxels; take fewer" in done.stderr
    last = f"error: the rehearsal of toy has runs that failed: {THIRD}.deep"
    assert done.stderr.splitlines()[-1] == last
    # the other runs went on, in folders of the rehearsal, with two steps
    home = toy.root / "data/rehearsal/toy"
    assert sorted((home / "ran.txt").read_text().split()) == [FIRST, SECOND, THIRD]
    left = json.loads((home / f"reports/toy/records/{THIRD}.json").read_text())
    assert left["values"][0]["value"] == rehearsal.STEPS
    assert not (toy.root / "reports").exists() and not (toy.root / "data/toy").exists()


def test_a_rehearsal_that_is_told_to_stop_leaves_nothing_running(tmp_path: Path) -> None:
    toy = Project(tmp_path / "project").with_package()
    toy.study("")
    write_notebook(toy.root, FIRST, "from pathlib import Path\nimport time\n" + SLEEPING)
    process = subprocess.Popen(
        toy.command("rehearse", "toy", "--until", FIRST),
        cwd=toy.root,
        env=toy.environment(),
        stderr=subprocess.PIPE,
        text=True,
    )
    assert wait_for((toy.root / "begun").exists, process)
    all_of_it = psutil.Process(process.pid).children(recursive=True)
    assert len(all_of_it) > 2
    process.terminate()
    _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert said.endswith("rehearsal of toy is not complete: the reason is printed above\n")
    _, left = psutil.wait_procs(all_of_it, 10)
    for each in left:
        each.kill()
    assert not left


def prepared(
    study: str, tmp_path: Path, source: Path | None = None, **more: Any
) -> rehearsal.Rehearsal:
    return rehearsal.prepare(study, Folders(tmp_path / "data", tmp_path / "reports", source), more)


def test_sizes_of_networks_stay_and_patients_become_few(
    no_gpu: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(provenance.CORES, "3")
    made = prepared("phantom-full", tmp_path)
    whole, small = made.whole, made.small
    assert made.patients == (300, 60)
    assert small.data.phantoms.internal == 4 and small.data.phantoms.external == 1
    assert small.preprocessing == whole.preprocessing
    assert small.leakage.repeats == 5
    for section in ("unet2d", "unet3d", "classifier"):
        before, after = getattr(whole, section), getattr(small, section)
        same = before.model_copy(update={"epochs": after.epochs, "precision": "32-true"})
        assert after == same and after.epochs == 1
    assert "device: cuda → cpu" in made.changes
    assert "threads: 0 → 3" in made.changes
    assert "unet3d.precision: bf16-mixed → 32-true" in made.changes
    assert small.variants == whole.variants
    # as its notebooks will read it
    assert json.loads((made.params / "phantom-full.yml").read_text())["compute"] == {"steps": 2}


def test_a_batch_is_halved_until_it_fits(
    no_gpu: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = settings.load("brats")
    need = footprint.step_bytes(study.unet2d, 2, 128, 16)
    monkeypatch.setattr(footprint, "free_bytes", lambda _: need / rehearsal.ROOM + 1)
    made = prepared("phantom-full", tmp_path)
    assert made.small.unet2d.batch_size == 16
    assert "unet2d.batch_size: 64 → 16" in made.changes


def test_four_patients_are_linked_and_their_tables(no_gpu: None, tmp_path: Path) -> None:
    root = tmp_path / "raw"
    for number in range(1, 7):
        name = f"BraTS20_Training_{number:03d}"
        tiny_study.write_case(root / name, tiny_study.phantom(number), masked=number != 2)
    (root / "name_mapping.csv").write_text("BraTS_2020_subject_ID,Grade\n")
    settings_of = {"data.internal_releases": ["brats2020"]}
    made = prepared("brats", tmp_path, root, **settings_of)
    assert made.patients == (5, 0)
    source = made.folders.source
    assert source is not None and (source / "name_mapping.csv").is_symlink()
    cases = survey.survey(source).cases
    assert [case.case_id[-3:] for case in cases] == ["001", "003", "004", "005"]
    with pytest.raises(DataError, match="nobody of brats2019 with a mask; give DATA=/path"):
        prepared("brats", tmp_path, root, **{"data.internal_releases": ["brats2019"]})


def test_folds_by_site_are_rehearsed_with_patients_of_several_sites(
    no_gpu: None, tmp_path: Path
) -> None:
    names, sites = [f"BraTS20_Training_{number:03d}" for number in range(1, 7)], "AAAABB"
    for number, name in enumerate(names):
        tiny_study.write_case(tmp_path / "raw" / name, tiny_study.phantom(number))
    rows = [
        f"HGG,Brats17_{site}_{name[-3:]}_1,{name}" for site, name in zip(sites, names, strict=True)
    ]
    table = "\n".join(["Grade,BraTS_2017_subject_ID,BraTS_2020_subject_ID", *rows])
    (tmp_path / "raw" / "name_mapping.csv").write_text(table)
    asked = {"data.internal_releases": ["brats2020"], "split.by": "site"}
    made = prepared("brats", tmp_path, tmp_path / "raw", **asked)
    assert made.patients == (6, 0) and made.folders.source is not None
    people = {case.patient_id: case.site for case in survey.survey(made.folders.source).cases}
    assert sorted(people.values()) == ["A", "A", "B", "B"]
    deals = splits.make_site_splits(people, (), made.small.split, made.small.seed)
    assert [len(split.test) for split in deals] == [2, 2]
    splits.write_deals({"site": deals}, made.work)
    assert made.cohort.is_file(), "what was measured would not be told"


def test_a_study_of_few_patients_needs_no_rehearsal(no_gpu: None, tmp_path: Path) -> None:
    for few in (0, 1, 2, 3):
        with pytest.raises(
            DataError, match=f"a rehearsal takes 4 patients, found {few}; run the study"
        ):
            prepared("phantom-full", tmp_path, **{"data.phantoms.internal": few})


def test_the_derived_study_is_read_as_it_was_written(no_gpu: None, toy: Project) -> None:
    toy.study("")
    path = toy.root / "notebooks/params/toy.yml"
    path.write_text(path.read_text().replace("Toy", "Größe 🧠"))
    made = rehearsal.prepare("toy", toy.folders)
    assert inputs.content_of(made.params / "toy.yml")["title"] == "Größe 🧠"


def test_a_second_rehearsal_waits_for_the_first(no_gpu: None, toy: Project) -> None:
    with (
        rehearsal.alone("toy", toy.folders),
        pytest.raises(RunError, match="the rehearsal of toy is being run by another process"),
        rehearsal.alone("toy", toy.folders),
    ):
        pass
    with pytest.raises(SettingsError, match="no study"), rehearsal.alone("../x", toy.folders):
        pass


def test_half_an_event_hides_no_failure(no_gpu: None, toy: Project) -> None:
    made = rehearsal.prepare("toy", toy.folders)
    rows = ['{"time": "2026', json.dumps({"run": FIRST, "event": "failed", "text": "why"})]
    provenance.write_atomic(made.work / EVENTS, "\n".join(rows))
    assert rehearsal.failures(made) == {FIRST: "why"}
