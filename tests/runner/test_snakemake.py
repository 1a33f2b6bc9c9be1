"""The chain through real Snakemake and papermill: one story, since each start takes seconds."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path

import psutil
import pytest

from gliomalib import provenance
from gliomalib.provenance import CORES
from gliomalib.runner import snakemake
from gliomalib.runner.jobs import Job, RunError, plan
from gliomalib.runner.snakemake import PROFILES, Place
from gliomalib.schema import SettingsError
from tests.nasty import EVERY_SIGN
from tests.processes import wait_for
from tests.toy_project import (
    FIFTH,
    FIRST,
    FOURTH,
    SECOND,
    THIRD,
    Project,
    finished,
    leave,
    write_notebook,
)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Toy project through which the tests of the next section go, one after the other."""
    # whatever a shell, Snakemake, Jupyter or a format string gives a meaning to, but a colon
    name = EVERY_SIGN.replace(":", "") + "{study}{prefix} $HOME"
    return Project(tmp_path_factory.mktemp("chain") / name).with_package()


def test_first_run_runs_all_and_a_second_nothing(project: Project) -> None:
    cores = f"import os\nassert os.environ[{CORES!r}] == '2'"
    write_notebook(project.root, FIRST, cores, leave(FIRST))
    assert project.make(SECOND) == [FIRST, SECOND]
    before = project.written()
    assert before
    assert project.make(SECOND) == [], "a notebook was started"
    assert project.written() == before, "a result was written anew"


def test_text_and_dates_make_nothing_stale(project: Project) -> None:
    notebook = project.root / f"notebooks/{FIRST}.ipynb"
    notebook.write_text(notebook.read_text().replace("a question", "a better question"))
    for path in project.root.rglob("*.*"):
        path.touch()
    assert project.make(SECOND) == []


def test_failure_is_one_sentence_and_stops_what_follows(project: Project) -> None:
    words = "the mask of case 355 has label 7: expected 0, 1, 2 or 4"
    fail = f"from gliomalib.schema import DataError\nraise DataError({words!r})"
    write_notebook(project.root, SECOND, "x = 1", fail)
    page = project.root / "reports/toy/index.html"
    page.write_text("results of another day")
    done = project.call("study", "toy", "--cores", "2", "--until", THIRD)
    said = done.stdout + done.stderr
    assert done.returncode == 1
    log = project.root / f"data/toy/logs/{SECOND}.ipynb"
    block = f"error: {SECOND}, cell [4], from gliomalib.schema import DataError\n  {words}\n  log: "
    assert said.count(f"{block}{log}\n") == 1 and said.count(words) == 1
    assert "Traceback" not in said
    assert done.stdout.startswith(f"{SECOND}: running, 1 of 2\n"), (
        "the first one is not out of date"
    )
    assert done.stderr.endswith("the study toy is not complete: the reason is printed above\n")
    assert project.ran() == [], "neither the notebook before it nor the one after it"
    assert log.is_file()
    assert not (project.root / f"reports/toy/records/{SECOND}.json").exists()
    assert not page.exists(), "an old page does not pass for the result of this run"


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("raise SystemExit('no room')", "no room"),
        ("raise SystemExit(1)", ""),
    ],
)
def test_an_end_without_a_word_of_any_run_names_the_log(
    code: str, reason: str, toy: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = [sys.executable, "-c", code]
    monkeypatch.setattr(snakemake, "snakemake_command", lambda options: command)
    log = toy.root / "data" / "toy" / "logs" / "study.log"
    with pytest.raises(RunError) as caught:
        snakemake.bring_up_to_date("toy", toy.folders, Place(2), FIFTH)
    assert str(caught.value) == f"the study toy is not complete: the reason is in {log}"
    assert log.read_text().strip() == reason


@pytest.mark.parametrize(
    ("changed", "counted"),
    [([], 0), ([FIFTH], 1), ([FOURTH], 2), ([SECOND], 4), ([FIRST, FIFTH], 5)],
)
def test_those_that_need_a_changed_one_are_counted_with_it(
    changed: list[str],
    counted: int,
    toy: Project,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    jobs = toy.planned()
    for job in jobs.values():
        finished(job)
    for name in changed:
        jobs[name].record.write_text("edited")
    first = jobs[changed[0] if changed else FIRST]
    event = json.dumps({"run": first.name, "event": "running", "text": ""})
    write = f"open('logs/events.jsonl', 'a').write({event!r} + chr(10))"
    command = [sys.executable, "-c", write]
    monkeypatch.setattr(snakemake, "snakemake_command", lambda options: command)
    snakemake.bring_up_to_date("toy", toy.folders, Place(2), FIFTH)
    said = capsys.readouterr().out
    assert said == (f"{first.name}: running, 1 of {counted}\n" if counted else "")


def test_a_place_is_cores_here_or_a_profile(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("executor: slurm\n")
    assert Place(3).options[:2] == ["--cores", "3"]
    assert Place(3, "slurm").options == ["--profile", str(PROFILES / "slurm")]
    assert Place(3, str(tmp_path)).options == ["--profile", str(tmp_path)]


@pytest.mark.parametrize(
    ("profile", "said"),
    [
        ("slrum", "slrum: no profile, config.yaml is missing; take one of kubernetes, slurm, or a"),
        ("kubernetes", "kubernetes: makes a dry run only; take another profile"),
    ],
)
def test_a_profile_that_runs_nothing_stops_before_anything_is_touched(
    profile: str, said: str, toy: Project
) -> None:
    with pytest.raises(SettingsError, match=said):
        snakemake.bring_up_to_date("toy", toy.folders, Place(2, profile), FIFTH)
    with pytest.raises(SettingsError, match="0 cores: give a whole number above 0"):
        snakemake.bring_up_to_date("toy", toy.folders, Place(0), FIFTH)
    assert not (toy.root / "data").exists()


@pytest.mark.parametrize(("place", "workers"), [(Place(2), 1), (Place(9), 3), (Place(1, "p"), 5)])
def test_a_machine_divides_its_cores_and_a_cluster_takes_every_job(
    place: Place, workers: int, toy: Project
) -> None:
    toy.study("threads: 3\n")
    assert place.workers([*toy.planned().values()]) == workers


CHANGES: dict[str, Callable[[Project, Job], object]] = {
    "its record edited": lambda _, job: job.record.write_text("edited"),
    "its record gone": lambda _, job: job.record.unlink(),
    "its copy gone": lambda _, job: job.executed.unlink(),
    "its stamp gone": lambda _, job: job.stamp.unlink(),
    "its code changed": lambda toy, job: write_notebook(toy.root, job.notebook, "y = 1"),
    "its text changed": lambda toy, job: write_notebook(
        toy.root, job.notebook, leave(job.notebook), text="other"
    ),
    "the study changed": lambda toy, _: toy.study("seed: 7\n"),
    "a variant more": lambda toy, _: toy.study(f"variants: {{{THIRD}: {{b: {{seed: 3}}}}}}\n"),
    "the page gone": lambda _, job: (job.report_dir / "index.html").unlink(),
    "what the page was made of gone": lambda _, job: (job.work_dir / "done/page").unlink(),
    "another template": lambda *_: (provenance.PACKAGE_DIR / "report/new.html.j2").write_text("x"),
    "another page's code": lambda *_: (provenance.PACKAGE_DIR / "report/__init__.py").write_text(
        "y = 1"
    ),
}


@pytest.fixture
def whole(toy: Project, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Give a toy study that ran to its end; return the exit codes to come of its Snakemake."""
    toy.every_notebook()
    shutil.copytree(provenance.PACKAGE_DIR, toy.root / "gliomalib")
    monkeypatch.setattr(provenance, "PACKAGE_DIR", toy.root / "gliomalib")
    ends = [0]

    def command(_: Sequence[str]) -> list[str]:
        # like Snakemake: brings all up to date, or ends badly
        if code := ends.pop():
            return [sys.executable, "-c", f"raise SystemExit({code})"]
        jobs = plan("toy", toy.folders)
        for job in jobs:
            finished(job)
        for page in (jobs[0].report_dir / "index.html", jobs[0].work_dir / "done" / "page"):
            page.write_text("")
        return [sys.executable, "-c", ""]

    monkeypatch.setattr(snakemake, "snakemake_command", command)
    snakemake.bring_up_to_date("toy", toy.folders, Place(2))
    assert ends == []
    return ends


def test_where_nothing_changed_snakemake_is_not_started(whole: list[int], toy: Project) -> None:
    for path in toy.root.rglob("*.*"):
        path.touch()
    snakemake.bring_up_to_date("toy", toy.folders, Place(2))


@pytest.mark.parametrize("number", [0, -1])
@pytest.mark.parametrize("change", CHANGES)
def test_whatever_changed_snakemake_is_started(
    change: str, number: int, whole: list[int], toy: Project
) -> None:
    CHANGES[change](toy, plan("toy", toy.folders)[number])
    # whether it then fails or is through
    for code in (1, 0):
        whole.append(code)
        with nullcontext() if code == 0 else pytest.raises(RunError, match="not complete"):
            snakemake.bring_up_to_date("toy", toy.folders, Place(2))
        assert whole == [], "it was not asked"
    snakemake.bring_up_to_date("toy", toy.folders, Place(2))


def test_after_a_run_that_failed_snakemake_is_started(whole: list[int], toy: Project) -> None:
    template = provenance.PACKAGE_DIR / "report" / "new.html.j2"
    template.write_text("x")
    whole.append(1)
    with pytest.raises(RunError, match="not complete"):
        snakemake.bring_up_to_date("toy", toy.folders, Place(2))
    # all is as it was before, but who knows how far it got
    template.unlink()
    whole.append(0)
    snakemake.bring_up_to_date("toy", toy.folders, Place(2))
    assert whole == [], "it was not asked"


CHECKPOINT = """
import os, pathlib, time
kept = pathlib.Path("../data/toy/checkpoints/epoch.txt")
kept.parent.mkdir(parents=True, exist_ok=True)
if not kept.exists():
    kept.write_text("3")
    pathlib.Path("../kernel.txt").write_text(str(os.getpid()))
    time.sleep(60)
"""


def test_killed_run_is_simply_started_again(project: Project) -> None:
    write_notebook(project.root, SECOND, CHECKPOINT, leave(SECOND, value=5))
    process = subprocess.Popen(
        project.command("study", "toy", "--cores", "2", "--until", SECOND),
        cwd=project.root,
        env=project.environment(),
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    number = project.root / "kernel.txt"
    wait_for(lambda: number.is_file() and number.read_text() != "")
    second = project.call("study", "toy", "--until", SECOND)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert second.returncode == 1
    assert "the study toy is being run by another process" in second.stderr

    assert project.make(SECOND) == [SECOND], "only what was killed, without any unlocking"
    assert (project.root / "data/toy/checkpoints/epoch.txt").is_file()
    assert not alive(int(number.read_text())), "the kernel of the killed run is gone"


WORK = """
import os, pathlib, time
pathlib.Path("../working.txt").write_text(str(os.getpid()))
time.sleep({seconds})
"""


@pytest.mark.parametrize(
    ("number", "tell"),
    [
        # a scheduler tells the process that it started, and no other; a terminal tells all
        (signal.SIGTERM, os.kill),
        (signal.SIGINT, os.killpg),
    ],
)
def test_told_to_stop_all_processes_end_within_the_grace(
    number: signal.Signals, tell: Callable[[int, int], None], project: Project
) -> None:
    working = project.root / "working.txt"
    working.unlink(missing_ok=True)
    write_notebook(project.root, SECOND, WORK.format(seconds=60), leave(SECOND, value=6))
    # who runs these tests in the background has interrupts ignored, and so has all that they start
    heard = ("env", "--default-signal=INT")
    process = subprocess.Popen(
        [*heard, *project.command("study", "toy", "--cores", "2", "--until", SECOND)],
        cwd=project.root,
        env=project.environment(),
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for(lambda: working.is_file() and working.read_text() != "")
    started = [process.pid, *(each.pid for each in psutil.Process(process.pid).children(True))]
    assert int(working.read_text()) in started and len(started) == 4, "Snakemake, a run, its kernel"
    tell(process.pid, number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    told = f"error: the study was told to stop ({number.name}); start it again, and it goes on\n"
    assert said == told
    wait_for(lambda: not any(map(alive, started)))
    write_notebook(project.root, SECOND, leave(SECOND, value=int(number)))
    assert project.make(SECOND) == [SECOND]


MEET = """
import pathlib, time
pathlib.Path(f"../here_{me}").touch()
for _ in range(300):
    # a variant does not wait, or the two runs of 03 could hold both processes
    if variant or pathlib.Path(f"../here_{other}").exists():
        break
    time.sleep(0.1)
else:
    raise TimeoutError("the other branch never came")
"""


def test_branches_run_side_by_side_and_variants_too(project: Project) -> None:
    write_notebook(project.root, THIRD, f"me, other = 3, 4{MEET}", leave(THIRD))
    write_notebook(project.root, FOURTH, f"me, other = 4, 3{MEET}", leave(FOURTH))
    project.study(f"variants: {{{THIRD}: {{slow: {{learning_rate: 0.5}}}}}}\n")
    ran = project.make(FIFTH)
    assert sorted(ran) == [THIRD, f"{THIRD}.slow", FOURTH, FIFTH]
    variant = (project.root / f"reports/toy/notebooks/{THIRD}.slow.ipynb").read_text()
    assert "learning_rate = 0.5" in variant


FOLDERS = """
import json, pathlib
here = pathlib.Path(report_dir) / study / "records"
here.mkdir(parents=True, exist_ok=True)
values = [{"name": "files", "value": len(os.listdir(source_dir)), "ci95": None, "rule": "toy"}]
print("read", source_dir)
(here / "01_data_exploration.json").write_text(json.dumps({
    "notebook": "01_data_exploration", "study": study, "variant": "", "values": values,
    "claims": [], "parameters": {}, "seed": 1, "device": "cpu", "wall_s": 0,
    "peak_memory_bytes": 0, "provenance": {"versions": {}, "hardware": {}}, "caveats": [],
    "conclusion": ""}))
"""


@pytest.mark.parametrize("name", [EVERY_SIGN, "-two\nlines Größe 日本"])
def test_the_folders_that_were_named_are_read_and_written(
    name: str, project: Project, tmp_path: Path
) -> None:
    write_notebook(project.root, FIRST, f"import os\nsource_dir: str\n{FOLDERS}")
    top = {what: tmp_path / what / name for what in ("source", "data-dir", "report-dir")}
    top["source"].mkdir(parents=True)
    (top["source"] / "names.csv").write_text("a,b")
    words = ["--cores=1", f"--until={FIRST}", *(f"--{what}={at}" for what, at in top.items())]
    for _ in range(2):
        done = project.call("study", *words, "--", "toy")
        assert done.returncode == 0, done.stderr
        record = top["report-dir"] / "toy" / "records" / f"{FIRST}.json"
        assert '"value": 1' in record.read_text()
    assert done.stdout == "", "a second run does nothing"
    executed = (top["report-dir"] / "toy" / "notebooks" / f"{FIRST}.ipynb").read_text()
    assert str(tmp_path) not in executed and "read DATA" in executed
    assert (top["data-dir"] / "toy" / "done" / f"{FIRST}.json").is_file()
    made = [path.relative_to(tmp_path).parts[:2] for path in tmp_path.glob("*/*")]
    assert sorted(made) == sorted((what, name) for what in top), "and no other folder"


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(") ")[-1][0] != "Z"
    except OSError:
        return False


def test_what_has_ended_is_not_ended_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of a process that is gone may be another's by now."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    monkeypatch.setattr(psutil, "Process", pytest.fail)
    snakemake.end(process)


def test_who_tells_it_to_stop_twice_leaves_nothing_alive(
    toy: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snakemake, "GRACE_S", 2.0)
    deaf = "signal.signal(signal.SIGTERM, signal.SIG_IGN); open('ready', 'w').close()"
    command = [sys.executable, "-c", f"import signal, time; {deaf}; time.sleep(60)"]
    monkeypatch.setattr(snakemake, "snakemake_command", lambda options: command)

    def ask() -> None:
        wait_for((toy.root / "data" / "toy" / "ready").is_file)
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.5)

    asking = threading.Thread(target=ask)
    # whatever happens, this process goes on
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        asking.start()
        with pytest.raises(RunError, match="told to stop"):
            snakemake.bring_up_to_date("toy", toy.folders, Place(2), FIFTH)
        asking.join()
        left = [each for each in psutil.Process().children() if deaf in each.cmdline()[-1]]
    finally:
        signal.signal(signal.SIGTERM, before)
    for each in left:
        each.kill()
    assert not left


def test_what_ignores_the_first_word_is_killed_with_all_below_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(snakemake, "GRACE_S", 0.5)
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)"
    child = f"{deaf}; open({str(tmp_path / 'ready')!r}, 'w').close(); time.sleep(60)"
    parent = f"import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {child!r}])"
    process = subprocess.Popen([sys.executable, "-c", f"{parent}; time.sleep(60)"])
    wait_for((tmp_path / "ready").is_file)
    below = psutil.Process(process.pid).children()
    snakemake.end(process)
    assert len(below) == 1 and not alive(below[0].pid)
