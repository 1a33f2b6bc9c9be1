"""One notebook through papermill, in this process."""

import json
import sys

import pytest

from gliomalib import provenance, records
from gliomalib.runner import execution, stamps
from gliomalib.runner.jobs import THREADS, Job, RunError
from gliomalib.runner.locks import held
from gliomalib.runner.watch import EVENTS
from tests.toy_project import FIRST, Project, finished, leave, write_notebook


@pytest.mark.parametrize("python", [sys.executable, "/{prefix}/{connection_file}/$HOME/python"])
def test_kernel_is_this_python_with_fixed_threads(
    python: str, toy: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", python)
    toy.study("threads: 3\n")
    variables = toy.planned()[FIRST].environment
    assert {variables[name] for name in THREADS} == {"3"}
    assert execution.kernel_class(variables, 0)().format_kernel_cmd()[0] == python
    toy.study("threads: 0\n")
    assert not set(THREADS) & set(toy.planned()[FIRST].environment)


@pytest.fixture
def project(toy: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Toy project in which kernels import the copied package."""
    toy.with_package()
    monkeypatch.setattr(provenance, "PROJECT_DIR", toy.root)
    return toy


def run(project: Project, *code: str) -> Job:
    write_notebook(project.root, FIRST, *code)
    job = project.planned(FIRST)[FIRST]
    execution.execute(job)
    return job


def test_kernel_and_kept_files(project: Project) -> None:
    patience = execution.kernel_class({}, 0)().shutdown_wait_time
    check = f"""
import os, sys
assert sys.executable == {sys.executable!r}, sys.executable
assert os.environ["OMP_NUM_THREADS"] == "1"
# twice this is what it may wait at its end, and it is told to stop after half of its time
from ipykernel.iostream import OutStream
assert 2 * OutStream.flush_timeout < {patience} / 2
assert get_ipython().kernel.iopub_socket.io_thread.socket.context.sndtimeo == 3000
assert os.getcwd() == {str(project.root / "notebooks")!r}
print(os.getcwd())
"""
    job = run(project, check, leave(FIRST))
    assert stamps.is_current(job)
    kept = job.executed.read_text()
    assert str(project.root) not in kept
    assert 'data_dir = \\"data\\"' in kept
    assert not job.attempt.exists()
    code = records.read(job.record).provenance["exit_code"]
    if code == -6:
        # libzmq aborts now and then when all is written ("pfd.revents & POLLIN"); always is a fault
        code = records.read(run(project, check, leave(FIRST)).record).provenance["exit_code"]
    assert code == 0


def test_the_record_says_how_the_process_ended(project: Project) -> None:
    job = run(project, leave(FIRST), "import atexit, os\natexit.register(os._exit, 7)")
    assert records.read(job.record).provenance["exit_code"] == 7
    assert stamps.is_current(job)


def test_notebook_without_record_is_not_done(project: Project) -> None:
    job = finished(project.planned(FIRST)[FIRST])
    with pytest.raises(RunError, match="the notebook ended without a record"):
        run(project, "x = 1")
    assert not job.record.exists(), "the record of an earlier run does not stand in for it"
    assert not stamps.is_current(job)


def test_a_run_that_another_process_is_at_is_left_alone(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(execution, "LINGERING_S", 0.0)
    job = finished(project.planned(FIRST)[FIRST])
    log, lock = job.attempt.with_suffix(".txt"), job.work_dir / "locks" / f"{FIRST}.lock"
    log.parent.mkdir()
    log.write_text("epoch 1 of 9")
    with held(lock, "its run"), pytest.raises(RunError, match="is being run by another process"):
        execution.execute(job)
    assert log.read_text() == "epoch 1 of 9"
    assert not (job.work_dir / EVENTS).exists(), "whoever follows the other one would hear of it"
    assert stamps.is_current(job)


def test_killed_kernel_is_not_done(project: Project) -> None:
    with pytest.raises(RunError, match="its process ended before the notebook did"):
        run(project, leave(FIRST), "import os; os._exit(9)")


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("\n  \nx = 1\nraise ValueError('a\\n\\n b c\\n')", "ValueError: b c"),
        ("raise KeyError", "KeyError"),
        ("from gliomalib.schema import DataError; raise DataError('a\\nb')", "a b"),
    ],
)
def test_a_failure_names_the_cell_its_error_and_the_log(
    code: str, sentence: str, project: Project
) -> None:
    with pytest.raises(RunError) as caught:
        run(project, "print('epoch 1')\nprint('epoch 2')", code)
    job = project.planned(FIRST)[FIRST]
    first = code.strip().splitlines()[0]
    assert str(caught.value).splitlines() == [
        f"{FIRST}, cell [4], {first[:80]}",
        f"  {sentence}",
        f"  log: {job.attempt}",
    ]
    assert job.attempt.with_suffix(".txt").read_text() == "epoch 1\nepoch 2\n"
    running, failed = map(json.loads, (job.work_dir / EVENTS).read_text().splitlines()[-2:])
    assert (running["event"], failed["event"]) == ("running", "failed")
    assert failed["text"] == str(caught.value)
