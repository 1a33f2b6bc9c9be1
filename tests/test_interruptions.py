"""Whatever ends a study, started again it gives what an undisturbed one gives.

``make soak`` kills a study with real trainings at 20 random moments besides, prints what became
of all faults and writes it to the file that ``GLIOMA_FAULTS`` names.
"""

import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gliomalib.provenance import PACKAGE_DIR, PROJECT_DIR
from tests.interruptions import (
    PATIENCE_S,
    SOAK,
    Tally,
    half_written,
    outcome,
    small_disk,
    study,
)
from tests.processes import kill, left_running, start, wait_for
from tests.toy_project import SECOND, THIRD, Project, write_notebook

N_ARRAYS = 40

PLACES = ("data/toy", "reports")
"""Where a study works, and where its results go."""

STORE = """
from pathlib import Path
import numpy as np
from gliomalib.data.arrays import ArrayFile
store = Path("../data/toy/store")
files = [ArrayFile(store / f"P{number}.npy", "run it again") for number in range(40)]
"""

WRITING = """
import time
from gliomalib.schema import Grid
total = 0.0
for number, file in enumerate(files):
    fault = Path("../fault.txt")
    if number == 20 and fault.exists():
        exec(fault.read_text())
    if not file.intact(made=number):
        array = np.random.default_rng(number).random((1, 32, 32, 32))
        grid = Grid(f"P{number}", array.shape[1:], (1, 1, 1), (0, 0, 0), ((1, 0, 0, 0),) * 4)
        file.write([array], grid, {"made": number})
        print("made", number)
    total += float(file.read()[0].sum())
    time.sleep(0.02)
"""

READING = "total = sum(float(file.read()[0].max()) for file in files)"


def leaving(name: str) -> str:
    # the record is written again and again: a moment that is easily hit
    return f"from gliomalib import toy\nfor _ in range(100):\n    toy.leave({name!r}, study, total)"


@pytest.fixture(scope="module")
def all_faults() -> Iterator[Tally]:
    made = Tally()
    yield made
    report = json.dumps(made.report(), indent=1)
    if SOAK:
        sys.stderr.write(f"\n{report}\n")
    if kept := os.environ.get("GLIOMA_FAULTS"):
        Path(kept).write_text(report + "\n", encoding="utf-8")


@pytest.fixture
def tally(all_faults: Tally) -> Iterator[Tally]:
    made = Tally()
    yield made
    all_faults.add(made)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Return a toy project that has run: 02 writes arrays and 03 reads them."""
    project = Project(tmp_path_factory.mktemp("whole") / "project").with_package()
    write_notebook(project.root, SECOND, STORE, WRITING, leaving(SECOND))
    write_notebook(project.root, THIRD, STORE, READING, leaving(THIRD))
    assert called(project).returncode == 0
    return project


@pytest.fixture
def fresh(whole: Project, tmp_path: Path) -> Project:
    """Return a copy of the toy project whose study has not run."""
    root = tmp_path / "project"
    shutil.copytree(whole.root, root, ignore=shutil.ignore_patterns("toy", "reports"))
    copy = object.__new__(Project)
    copy.root = root
    # the writer's own study is called toy, as the module is
    (root / "data").mkdir(exist_ok=True)
    shutil.copy(whole.root / "gliomalib" / "toy.py", root / "gliomalib")
    return copy


def called(project: Project, until: str = THIRD) -> subprocess.CompletedProcess[str]:
    return project.call("study", "toy", "--cores=2", f"--until={until}", patience_s=PATIENCE_S)


def check_survived(fresh: Project, whole: Project, tally: Tally, *redone: str) -> None:
    """Start the study again and compare all that it leaves with the undisturbed one."""
    assert half_written(fresh.root / "data" / "toy") == []
    assert half_written(fresh.root / "reports") == []
    done = called(fresh)
    assert done.returncode == 0, done.stdout + done.stderr
    for name in redone:
        assert f"{name}: running, " in done.stdout, "the log says what is done again"
    tally.redone += redone
    assert outcome(fresh.root / "reports/toy") == outcome(whole.root / "reports/toy")
    tally.survive()


def made_in(project: Project) -> int:
    """Return how many arrays the last run of 02 had to make."""
    copy = project.root / f"reports/toy/notebooks/{SECOND}.ipynb"
    return copy.read_text().count('"made ')


@pytest.mark.parametrize("seed", range(5 if SOAK else 1))
def test_killed_while_arrays_and_records_are_written(
    seed: int, fresh: Project, whole: Project, tally: Tally
) -> None:
    rng = random.Random(f"{SOAK}, {seed}")
    what, begun, longest = (
        ("arrays", "data/toy/store/P3.json", 0.4),
        ("records", f"reports/toy/records/{SECOND}.json", 0.05),
    )[seed % 2]
    process = start(
        fresh.command("study", "toy", "--cores", "2", "--until", THIRD),
        fresh.root,
        fresh.environment(),
    )
    assert wait_for((fresh.root / begun).exists, process, 0.005, PATIENCE_S)
    time.sleep(rng.uniform(0, longest))
    kill(process, fresh.root)
    tally.inject(f"SIGKILL while {what} are written")
    check_survived(fresh, whole, tally, SECOND)
    assert made_in(fresh) < N_ARRAYS, "what was whole is not made again"


OUT_OF_MEMORY = """
import resource
resource.setrlimit(resource.RLIMIT_AS, (2**30, resource.getrlimit(resource.RLIMIT_AS)[1]))
bytearray(2**31)
"""

KILLED = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"


@pytest.mark.parametrize(
    ("kind", "code", "sentence"),
    [
        ("out of memory, refused", OUT_OF_MEMORY, "MemoryError"),
        ("out of memory, killed", KILLED, "most often for want of memory"),
    ][: None if SOAK else 1],
)
def test_a_worker_without_memory(
    kind: str, code: str, sentence: str, fresh: Project, whole: Project, tally: Tally
) -> None:
    (fresh.root / "fault.txt").write_text(code)
    done = called(fresh)
    tally.inject(kind)
    assert done.returncode == 1 and sentence in done.stderr and "Traceback" not in done.stderr
    (fresh.root / "fault.txt").unlink()
    check_survived(fresh, whole, tally, SECOND)
    assert made_in(fresh) == N_ARRAYS - 20


@pytest.mark.parametrize("place", PLACES if SOAK else PLACES[:1])
def test_a_full_disk(place: str, fresh: Project, whole: Project, tally: Tally) -> None:
    size = "4m" if place == "data/toy" else "16k"
    with small_disk(fresh.root / place, size) as change:
        done = called(fresh)
        tally.inject("full disk")
        said = done.stdout + done.stderr
        full = ("No space left on device", "is the disk full?")
        assert done.returncode == 1 and any(words in said for words in full), said
        assert "Traceback" not in said
        change("size=64m")
        check_survived(fresh, whole, tally)


@pytest.mark.parametrize("place", PLACES if SOAK else PLACES[1:])
def test_a_folder_that_may_only_be_read(
    place: str, fresh: Project, whole: Project, tally: Tally
) -> None:
    with small_disk(fresh.root / place, "64m") as change:
        change("ro")
        done = called(fresh)
        tally.inject("read-only folder")
        said = done.stdout + done.stderr
        assert done.returncode == 1 and "Read-only file system" in said, said
        assert "Traceback" not in said
        change("rw")
        check_survived(fresh, whole, tally)


def test_a_removed_input(fresh: Project, whole: Project, tally: Tally) -> None:
    assert called(fresh, SECOND).returncode == 0
    (fresh.root / "data/toy/store/P7.json").unlink()
    (fresh.root / "data/toy/store/P8.npy").unlink()
    done = called(fresh)
    tally.inject("removed input")
    assert done.returncode == 1 and "P7.json: is missing; run it again" in done.stderr
    check_survived(fresh, whole, tally, SECOND, THIRD)
    assert made_in(fresh) == 2


STUDY = "hasty"
UNTIL = "05_fusion"

TINY = """
study: hasty
title: Six tiny patients and trainings that are long enough to be killed
seed: 7
device: cpu
threads: 1
data:
  source: phantom
  phantoms: {internal: 6, external: 2, copies: 0, spacing_mm: 4.0}
preprocessing: {crop_mm: [128, 128], depth_mm: 128, spacing_mm: 4.0}
split: {folds: 1, test_share: 0.34, val_share: 0.17}
unet2d: {channels: [8, 16], residual_units: 0, epochs: 40, batch_size: 16, learning_rate: 0.003}
unet3d: {channels: [8, 16], residual_units: 0, epochs: 120, batch_size: 1, learning_rate: 0.005}
classifier: {weights: random, epochs: 1, batch_size: 16, image_size: 32, learning_rate: 0.001}
evaluation: {bootstrap: 200}
"""


def real_project(root: Path) -> Path:
    """Copy what a study needs of the project, with a study that is made to be killed."""
    shutil.copytree(PACKAGE_DIR, root / "gliomalib")
    shutil.copytree(PROJECT_DIR / "notebooks", root / "notebooks")
    (root / "data").mkdir()
    for path in (PROJECT_DIR / "data").glob("*.yml"):
        shutil.copy(path, root / "data")
    for name in ("Snakefile", "requirements.lock", "CITATION.cff"):
        shutil.copy(PROJECT_DIR / name, root)
    (root / f"notebooks/params/{STUDY}.yml").write_text(TINY)
    return root


def started(root: Path) -> subprocess.Popen[str]:
    variables = {**os.environ, "PYTHONPATH": str(root)}
    return start(study(STUDY, UNTIL), root, variables)


def finish(root: Path) -> str:
    process = started(root)
    assert process.wait(PATIENCE_S) == 0, (root / "said.txt").read_text()
    return (root / "said.txt").read_text()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = real_project(tmp_path_factory.mktemp("undisturbed") / "project")
    finish(root)
    return root


NOTEBOOKS = {"unet2d": "03_train_unet2d", "unet3d": "04_train_unet3d"}

MOMENTS = [(what, name) for what in ("training",) * 3 + ("prediction",) * 2 for name in NOTEBOOKS]


def started_for(root: Path, what: str, network: str) -> subprocess.Popen[str]:
    """Start the study and return when it is in the training or the prediction of a network."""
    work = root / "data" / STUDY
    trained = work / "checkpoints" / network / "fold0"
    volumes = work / "predictions" / network / "fold0"
    # what an earlier run finished is to be made once more
    if what == "prediction":
        shutil.rmtree(volumes, ignore_errors=True)
    elif (trained / "final.pt").exists():
        shutil.rmtree(trained)
    (work / "done" / f"{NOTEBOOKS[network]}.json").unlink(missing_ok=True)
    there = trained / "last.ckpt"
    before = there.stat().st_mtime_ns if there.exists() else 0

    def has_begun() -> bool:
        if what == "prediction":
            return any(volumes.glob("*.json"))
        return there.exists() and there.stat().st_mtime_ns != before

    process = started(root)
    assert wait_for(has_begun, process, 0.002, PATIENCE_S), (root / "said.txt").read_text()
    return process


@pytest.mark.skipif(not SOAK, reason="long: part of make soak")
def test_trainings_and_predictions_killed_at_random_moments(
    undisturbed: Path, tmp_path: Path, tally: Tally
) -> None:
    root = real_project(tmp_path / "project")
    rng, said = random.Random(SOAK), root / "said.txt"
    for what, network in MOMENTS:
        process = started_for(root, what, network)
        time.sleep(rng.uniform(0, 2 if what == "training" else 0.1))
        kill(process, root)
        tally.inject(f"SIGKILL, {what} {network}")
        tally.redone += [line for line in said.read_text().splitlines() if "running" in line]
        assert half_written(root / "data" / STUDY) == []
        assert half_written(root / "reports") == []
    # as a scheduler does before it takes the node
    process = started_for(root, "training", "unet3d")
    time.sleep(rng.uniform(0, 1))
    process.terminate()
    assert process.wait(30) == 1
    assert wait_for(lambda: not left_running(root))
    tally.inject("SIGTERM in a training")
    finish(root)
    copy = root / f"reports/{STUDY}/notebooks/{NOTEBOOKS['unet3d']}.ipynb"
    assert "goes on after epoch" in copy.read_text(), "the training was not resumed"
    assert outcome(root / "reports" / STUDY) == outcome(undisturbed / "reports" / STUDY)
    tally.survive()


@pytest.mark.skipif(not SOAK, reason="long: part of make soak")
def test_pages_killed_at_random_moments(undisturbed: Path, tmp_path: Path, tally: Tally) -> None:
    variables = {**os.environ, "PYTHONPATH": str(undisturbed)}
    folder = tmp_path / "reports" / STUDY
    shutil.copytree(undisturbed / "reports" / STUDY, folder)
    words = [sys.executable, "-m", "gliomalib", "report", STUDY, f"--report-dir={tmp_path}/reports"]

    def pages() -> dict[str, bytes]:
        return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*.html")}

    subprocess.run(words, cwd=undisturbed, env=variables, check=True)
    straight, rng = pages(), random.Random(SOAK)
    for _ in range(5):
        first = min(folder.glob("html/*.html"), key=lambda path: path.stat().st_mtime_ns)
        shutil.rmtree(folder / "html")
        process = start(words, undisturbed, variables)
        assert wait_for(first.exists, process, 0.002, PATIENCE_S)
        time.sleep(rng.uniform(0, 0.3))
        kill(process, tmp_path)
        tally.inject("SIGKILL while pages are written")
        assert half_written(folder) == []
    subprocess.run(words, cwd=undisturbed, env=variables, check=True)
    assert pages() == straight
    tally.survive()
