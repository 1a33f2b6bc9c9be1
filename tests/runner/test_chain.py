"""The chain through real Snakemake and papermill, on a copy of the project with toy notebooks."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import nbformat
import pytest

from gliomalib import provenance, runner, settings
from gliomalib.__main__ import main
from gliomalib.runner import RunError, chain, digests, executed, jobs, kernel, locks, stamps
from gliomalib.schema import DataError, SettingsError

TOY_STUDY = """
study: toy
title: Toy
unet2d: {epochs: 1, batch_size: 1}
unet3d: {epochs: 1, batch_size: 1}
classifier: {epochs: 1, batch_size: 1, weights: random}
"""

TOY_MODULE = '''
"""What a toy notebook calls: it leaves a record and a line in a log of what ran."""
import json
import pathlib

PROJECT = pathlib.Path(__file__).parent.parent


def leave(notebook, study, value, variant=""):
    name = f"{notebook}.{variant}" if variant else notebook
    with (PROJECT / "ran.txt").open("a") as log:
        log.write(name + "\\n")
    path = PROJECT / "reports" / study / "records" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    entry = {"name": "x", "value": value, "ci95": None, "rule": "toy"}
    path.write_text(json.dumps({
        "notebook": notebook, "study": study, "variant": variant, "values": [entry], "claims": [],
        "parameters": {}, "seed": 1, "device": "cpu", "wall_s": 0, "peak_memory_bytes": 0,
        "provenance": {}, "caveats": [], "conclusion": ""}))
'''

HEAD = 'study: str = "demo"  # study\n'


def write_notebook(project: Path, name: str, *code: str, text: str = "a question") -> None:
    """Write a toy notebook: a title, a parameters cell, then ``code``."""
    has_variant = "variant" in settings.parameters_of(name)
    parameters = HEAD + ('variant: str = ""  # variant' if has_variant else "")
    cells = [
        nbformat.v4.new_markdown_cell(f"# {text}"),
        nbformat.v4.new_code_cell(parameters, metadata={"tags": ["parameters"]}),
        *(nbformat.v4.new_code_cell(source) for source in code),
    ]
    notebook = nbformat.v4.new_notebook(cells=cells)
    nbformat.write(notebook, project / "notebooks" / f"{name}.ipynb")


def leave(name: str, value: int = 1) -> str:
    """Return the code of a toy notebook that leaves ``value``."""
    more = ", variant" if "variant" in settings.parameters_of(name) else ""
    return f"from gliomalib import toy\ntoy.leave({name!r}, study, {value}{more})"


class Project:
    """A copy of the package, the Snakefile and toy notebooks 01 to 05 in a folder of its own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "notebooks" / "params").mkdir(parents=True)
        package = provenance.PACKAGE_DIR
        shutil.copytree(package, root / "gliomalib", ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(provenance.PROJECT_DIR / "Snakefile", root)
        (root / "gliomalib" / "toy.py").write_text(TOY_MODULE)
        self.study()
        for name in list(runner.CHAIN)[:5]:
            write_notebook(root, name, leave(name))

    def study(self, more: str = "") -> None:
        """Write the toy study with more lines."""
        (self.root / "notebooks/params/toy.yml").write_text(TOY_STUDY + more)

    def command(self, *words: str) -> list[str]:
        """Return a call of the copied package."""
        return [sys.executable, "-m", "gliomalib", *words]

    def environment(self) -> dict[str, str]:
        """Return this process's variables with the copy in front."""
        return {**os.environ, "PYTHONPATH": str(self.root)}

    def call(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run the copied package to its end."""
        return subprocess.run(
            self.command(*words),
            cwd=self.root,
            env=self.environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=80,
        )

    def make(self, until: str) -> list[str]:
        """Bring the toy study up to date and return which notebooks ran."""
        done = self.call("study", "toy", "--cores", "2", "--until", until)
        assert done.returncode == 0, done.stdout + done.stderr
        return self.ran()

    def written(self) -> dict[Path, int]:
        """Return the files of the toy study's report, each with when it was written."""
        paths = (self.root / "reports" / "toy").rglob("*.*")
        return {path: path.stat().st_mtime_ns for path in paths}

    def ran(self) -> list[str]:
        """Return the notebooks that ran since the last call."""
        log = self.root / "ran.txt"
        names = log.read_text().split() if log.is_file() else []
        log.unlink(missing_ok=True)
        return names


FIRST, SECOND, THIRD, FOURTH, FIFTH = list(runner.CHAIN)[:5]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Toy project through which the tests of the next section go, one after the other."""
    return Project(tmp_path_factory.mktemp("chain") / "a project")


# --- the chain through real Snakemake: one story in five tests, since each start takes seconds


def test_first_run_runs_all_and_a_second_nothing(project: Project) -> None:
    assert project.make(SECOND) == [FIRST, SECOND]
    before = project.written()
    assert before
    assert project.make(SECOND) == [], "a notebook was started"
    assert project.written() == before, "a result was written anew"


def test_text_and_dates_make_nothing_stale(project: Project) -> None:
    write_notebook(project.root, FIRST, leave(FIRST), text="a better question")
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
    assert f"error: {SECOND}: {words} (the notebook as far as it got:" in said
    assert "Traceback" not in said
    assert project.ran() == [], "neither the notebook before it nor the one after it"
    assert (project.root / f"data/toy/logs/{SECOND}.ipynb").is_file()
    assert not (project.root / f"reports/toy/records/{SECOND}.json").exists()
    assert not page.exists(), "an old page does not pass for the result of this run"


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


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until ``condition`` holds; fail after 40 s."""
    deadline = time.monotonic() + 40
    while not condition():
        assert time.monotonic() < deadline, "waited 40 s in vain"
        time.sleep(0.1)


def alive(pid: int) -> bool:
    """Whether a process that is not a zombie has this number."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(") ")[-1][0] != "Z"
    except OSError:
        return False


# --- the parts, in this process


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Toy project that this process takes for its own."""
    copy = Project(tmp_path / "project")
    monkeypatch.setattr(jobs, "NOTEBOOKS_DIR", copy.root / "notebooks")
    monkeypatch.setattr(settings, "STUDIES_DIR", copy.root / "notebooks" / "params")
    return copy


def folders(project: Project) -> runner.Folders:
    """Return the folders of a toy project."""
    return runner.Folders(project.root / "data", project.root / "reports")


def planned(project: Project, until: str = FIFTH) -> dict[str, runner.Job]:
    """Return the jobs of the toy study by name."""
    return {job.name: job for job in runner.plan("toy", folders(project), until)}


def test_chain_names_real_notebooks_in_an_order_that_works() -> None:
    seen: list[str] = []
    for name, step in runner.CHAIN.items():
        assert set(step.after) <= set(seen), f"{name} stands above what it needs"
        seen.append(name)
    assert set(seen) == set(settings.NOTEBOOKS)
    assert seen[-1] == chain.LAST


def test_last_notebook_waits_for_everything(toy: Project) -> None:
    toy.study(f"variants: {{{THIRD}: {{slow: {{learning_rate: 0.5}}}}}}\n")
    for name in runner.CHAIN:
        write_notebook(toy.root, name, leave(name))
    jobs = planned(toy, "")
    assert set(jobs[chain.LAST].needs) == set(jobs) - {chain.LAST}
    assert f"{THIRD}.slow" in jobs[chain.LAST].needs
    assert jobs["05_fusion"].needs == (THIRD, FOURTH), "a variant holds up only who asks for it"


def changed(before: dict[str, runner.Job], after: dict[str, runner.Job]) -> list[str]:
    """Return the names of the jobs whose digest differs."""
    return [name for name in after if before[name].digest != after[name].digest]


def test_code_changes_the_digest_here_and_downstream(toy: Project) -> None:
    before = planned(toy)
    write_notebook(toy.root, THIRD, leave(THIRD, value=2))
    assert changed(before, planned(toy)) == [THIRD, FIFTH]


def test_comments_and_markdown_do_not_change_the_digest(toy: Project) -> None:
    before = planned(toy)
    write_notebook(toy.root, FIRST, "# why\n" + leave(FIRST), text="other words")
    assert changed(before, planned(toy)) == []


def test_parameters_change_the_digest_and_variants_only_their_own(toy: Project) -> None:
    toy.study(f"variants: {{{THIRD}: {{slow: {{epochs: 3}}}}}}\n")
    before = planned(toy)
    toy.study(f"variants: {{{THIRD}: {{slow: {{epochs: 4}}}}}}\n")
    assert changed(before, planned(toy)) == [f"{THIRD}.slow"]
    toy.study(f"seed: 7\nvariants: {{{THIRD}: {{slow: {{epochs: 3}}}}}}\n")
    assert changed(before, planned(toy)) == list(before)


def test_library_code_changes_the_digest_and_its_docstrings_do_not(
    toy: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provenance, "PACKAGE_DIR", toy.root / "gliomalib")
    write_notebook(toy.root, FIRST, "x = 1")

    def edited(old: str, new: str) -> list[str]:
        before = planned(toy, SECOND)
        module = toy.root / "gliomalib" / "toy.py"
        module.write_text(module.read_text().replace(old, new))
        return changed(before, planned(toy, SECOND))

    assert edited("What a toy notebook calls", "Called by toys") == []
    assert edited('"wall_s": 0', '"wall_s": 1') == [SECOND]


def test_published_values_make_stale_only_what_reads_them(
    toy: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in runner.CHAIN:
        write_notebook(toy.root, name, leave(name))
    monkeypatch.setattr(provenance, "PROJECT_DIR", toy.root)
    before = planned(toy, "")
    (toy.root / "data").mkdir()
    (toy.root / "data" / "published.yml").write_text("accuracy: 99.25")
    assert changed(before, planned(toy, "")) == ["12_metric_forensics", chain.LAST]


def test_new_patients_in_the_folder_change_the_digest(toy: Project, tmp_path: Path) -> None:
    source = tmp_path / "patients"
    source.mkdir()
    (source / "a.nii.gz").write_bytes(b"1")

    def digest() -> str:
        digests._listing.cache_clear()
        where = replace(folders(toy), source=source)
        return runner.plan("toy", where, FIRST)[0].digest

    before = digest()
    os.utime(source / "a.nii.gz", (1, 1))
    assert digest() == before
    (source / "b.nii.gz").write_bytes(b"2")
    assert digest() != before


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("{03_train_unet2d: {a: {learning_rte: 1}}}", "no parameter learning_rte: its parameters"),
        ("{03_train_unet2d: {a: {epochs: many}}}", "epochs"),
        ("{03_train_unet2: {a: {epochs: 1}}}", "'03_train_unet2', which is no notebook"),
        ("{05_fusion: {a: {alpha: 0.5}}}", "05_fusion takes no variants"),
        ("{03_train_unet2d: {a/b: {epochs: 1}}}", "'a/b' cannot name a variant"),
    ],
)
def test_wrong_variants_stop_before_anything_runs(toy: Project, more: str, words: str) -> None:
    toy.study(f"variants: {more}\n")
    with pytest.raises(SettingsError, match=words):
        planned(toy)


def test_wrong_notebook_study_and_folder_are_named(toy: Project) -> None:
    with pytest.raises(SettingsError, match=r"no notebook '99'.*01_data_exploration"):
        planned(toy, "99")
    with pytest.raises(SettingsError, match="no study 'toys': take one of toy"):
        runner.plan("toys")
    with pytest.raises(DataError, match="nowhere: there is no such folder"):
        runner.plan("toy", runner.Folders(source=Path("/nowhere")))
    toy.study("data: {source: folder}\n")
    with pytest.raises(DataError, match="say which with DATA="):
        planned(toy)


def test_broken_and_missing_notebooks_are_named(toy: Project) -> None:
    write_notebook(toy.root, FIRST, "%matplotlib inline")
    with pytest.raises(RunError, match=r"01_data_exploration.ipynb: a code cell is not Python"):
        planned(toy)
    (toy.root / "notebooks" / f"{FIRST}.ipynb").write_text("{}")
    with pytest.raises(RunError, match=r"01_data_exploration.ipynb: not a notebook"):
        planned(toy)
    (toy.root / "notebooks" / f"{FIRST}.ipynb").unlink()
    with pytest.raises(RunError, match=r"01_data_exploration.ipynb: this notebook is missing"):
        planned(toy)


def test_folders_reach_the_notebook_without_the_path_of_the_project(toy: Project) -> None:
    source = toy.root / "patients"
    source.mkdir()
    jobs = runner.plan("toy", replace(folders(toy), source=source), SECOND)
    assert jobs[0].parameters == {
        "study": "toy",
        "data_dir": "../data",
        "report_dir": "../reports",
        "source_dir": "../patients",
    }
    assert "source_dir" not in jobs[1].parameters
    assert runner.plan("toy", until=FIRST)[0].parameters == {"study": "toy"}


def finished(job: runner.Job) -> runner.Job:
    """Leave what a finished job leaves."""
    for path in (job.record, job.executed):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
    stamps.write_stamp(job)
    return job


def test_a_stamp_holds_for_one_record_and_one_digest(toy: Project) -> None:
    job = finished(planned(toy)[FIRST])
    assert stamps.is_current(job)
    assert not stamps.is_current(replace(job, digest="other"))
    job.record.write_text('{"edited": 1}')
    assert runner.forget_changed([job]) == [FIRST]
    assert not job.stamp.exists()
    finished(job).executed.unlink()
    assert not stamps.is_current(job)
    finished(job).stamp.write_text("half a st")
    assert not stamps.is_current(job)


def test_page_changes_with_text_and_templates(toy: Project) -> None:
    jobs = list(planned(toy).values())
    before = runner.page_digest(jobs)
    write_notebook(toy.root, FIRST, leave(FIRST), text="other words")
    assert runner.page_digest(jobs) != before


def test_lock_is_one_process_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "a" / "lock"
    with (
        locks.held(path, "the study"),
        pytest.raises(RunError, match=f"the study is being run.*number {os.getpid()}"),
        locks.held(path, "the study"),
    ):
        pass
    with locks.held(path, "the study"):
        pass


def test_kernel_is_this_python_with_fixed_threads(tmp_path: Path) -> None:
    variables = kernel.environment(3, tmp_path)
    assert {variables[name] for name in kernel.THREADS} == {"3"}
    assert not set(kernel.THREADS) & set(kernel.environment(0, tmp_path))
    spec = kernel.kernel_class(variables, 0)().kernel_spec
    assert spec is not None
    assert spec.argv[0] == sys.executable
    assert spec.env["OMP_NUM_THREADS"] == "3"


def executed_notebook() -> nbformat.NotebookNode:
    """Return a notebook as papermill leaves it, with paths of the machine."""
    home = Path.home()
    root = provenance.PROJECT_DIR
    said = f"{root}/gliomalib/x.py:3 {home}/secret /tmp/ipykernel_71/42.py:1: {root}-other"
    picture = {"image/png": f"{root}/abc", "text/plain": f"{root}/abc"}
    cells = [
        nbformat.v4.new_markdown_cell("old words"),
        nbformat.v4.new_code_cell("x = 1", metadata={"tags": ["parameters"]}),
        nbformat.v4.new_code_cell("x = 2", metadata={"tags": ["injected-parameters"]}),
        nbformat.v4.new_code_cell(
            "y = x",
            metadata={
                "papermill": {"duration": 1.5, "start_time": "2026-01-01"},
                "execution": {"iopub.status.busy": "2026-01-01"},
            },
            outputs=[
                nbformat.v4.new_output("stream", text=said),
                nbformat.v4.new_output("display_data", data=picture),
            ],
        ),
    ]
    notebook = nbformat.v4.new_notebook(cells=cells)
    notebook.metadata["papermill"] = {"input_path": str(root), "duration": 3.0}
    return notebook


def test_executed_notebook_keeps_durations_and_no_paths(toy: Project) -> None:
    job = planned(toy)[FIRST]
    kept = executed.tidy(executed_notebook(), job)
    nbformat.validate(kept)
    stream, picture = kept.cells[3].outputs
    root = provenance.PROJECT_DIR
    assert stream.text == f"./gliomalib/x.py:3 ~/secret a cell:1: {root}-other"
    assert picture.data == {"image/png": f"{root}/abc"}, "text stands for it in a terminal only"
    assert kept.cells[3].metadata == {"papermill": {"duration": 1.5}}
    assert kept.metadata.papermill == {"duration": 3.0, "run": FIRST}
    assert "2026" not in json.dumps(kept)


def test_reworded_text_reaches_the_executed_copy_and_code_does_not(toy: Project) -> None:
    job = planned(toy)[FIRST]
    job.executed.parent.mkdir(parents=True)
    kept = executed.tidy(executed_notebook(), job)
    nbformat.write(kept, job.executed)
    source = nbformat.v4.new_notebook(cells=[kept.cells[0], kept.cells[1], kept.cells[3]])
    source.cells[0] = nbformat.v4.new_markdown_cell("new words")
    source.cells.append(nbformat.v4.new_markdown_cell("more words"))
    nbformat.write(source, job.path)
    assert executed.refresh_text(job)
    after = nbformat.read(job.executed, as_version=4)
    assert [cell.source for cell in after.cells] == [
        "new words",
        "x = 1",
        "x = 2",
        "y = x",
        "more words",
    ]
    assert after.cells[3].outputs == kept.cells[3].outputs
    assert not executed.refresh_text(job)
    source.cells[2].source = "y = 3 * x"
    nbformat.write(source, job.path)
    assert not executed.refresh_text(job), "a copy that ran other code is left alone"


class TestExecution:
    """One notebook through papermill, in this process."""

    @pytest.fixture
    def toy_project(self, toy: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
        """Toy project in which kernels import the copied package."""
        from gliomalib.runner import execution

        monkeypatch.setattr(execution, "NOTEBOOKS_DIR", toy.root / "notebooks")
        monkeypatch.setattr(kernel, "PROJECT_DIR", toy.root)
        monkeypatch.setattr(provenance, "PROJECT_DIR", toy.root)
        return toy

    def run(self, project: Project, *code: str) -> runner.Job:
        """Run a toy notebook 01 with ``code``."""
        from gliomalib.runner.execution import execute

        write_notebook(project.root, FIRST, *code)
        job = planned(project, FIRST)[FIRST]
        execute(job)
        return job

    def test_kernel_and_kept_files(self, toy_project: Project) -> None:
        check = f"""
import os, sys
assert sys.executable == {sys.executable!r}, sys.executable
assert os.environ["OMP_NUM_THREADS"] == "1"
assert os.getcwd() == {str(toy_project.root / "notebooks")!r}
print(os.getcwd())
"""
        job = self.run(toy_project, check, leave(FIRST))
        assert stamps.is_current(job)
        kept = job.executed.read_text()
        assert str(toy_project.root) not in kept
        assert 'data_dir = \\"data\\"' in kept
        assert not job.attempt.exists()

    def test_notebook_without_record_is_not_done(self, toy_project: Project) -> None:
        job = finished(planned(toy_project, FIRST)[FIRST])
        with pytest.raises(RunError, match="the notebook ended without a record"):
            self.run(toy_project, "x = 1")
        assert not job.record.exists(), "the record of an earlier run does not stand in for it"
        assert not stamps.is_current(job)

    def test_killed_kernel_is_not_done(self, toy_project: Project) -> None:
        with pytest.raises(RunError, match="its process ended before the notebook did"):
            self.run(toy_project, leave(FIRST), "import os; os._exit(9)")


def test_command_line_says_one_sentence(
    toy: Project, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["studies"]) == 0
    assert capsys.readouterr().out == "toy            Toy\n"
    wrong = tmp_path / "more.yml"
    wrong.write_text("sed: 1\n")
    assert main(["run", FIRST, "--study", "toy", "-f", str(wrong)]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"error: {FIRST} has no parameter sed: its parameters are study, seed")
    assert main(["run", FIRST, "--study", "toy", "--variant", "x"]) == 1
    assert "has no 01_data_exploration.x: take 01_data_exploration" in capsys.readouterr().err
    wrong.write_text("[1, 2]\n")
    assert main(["run", FIRST, "--study", "toy", "-f", str(wrong)]) == 1
    assert "parameters are lines of `name: value`, found [1, 2]" in capsys.readouterr().err


def test_starting_the_chain_loads_nothing_heavy() -> None:
    heavy = ["torch", "matplotlib", "papermill", "monai", "pandas", "nibabel", "nbformat"]
    code = (
        "import sys, gliomalib.runner, gliomalib.__main__\n"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=provenance.PROJECT_DIR,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"


def test_a_classifier_waits_for_the_variants_whose_volumes_it_fuses(toy: Project) -> None:
    toy.study(
        f"variants:\n  {FOURTH}: {{seed2: {{seed: 3}}, other: {{seed: 4}}}}\n"
        "  06_train_resnet50: {two: {branches: [unet3d, unet3d.seed2]}, ce: {loss: dice_ce}}\n"
    )
    for name in runner.CHAIN:
        write_notebook(toy.root, name, leave(name))
    jobs = planned(toy, "06_train_resnet50")
    assert f"{FOURTH}.seed2" in jobs["06_train_resnet50.two"].needs
    assert f"{FOURTH}.other" not in jobs["06_train_resnet50.two"].needs
    assert jobs["06_train_resnet50.ce"].needs == ("05_fusion",)


def test_only_what_measures_time_runs_alone(toy: Project) -> None:
    for name in runner.CHAIN:
        write_notebook(toy.root, name, leave(name))
    alone = [name for name, job in planned(toy, "").items() if job.alone]
    assert alone == ["14_efficiency"]
    assert "workflow.cores if job.alone" in (provenance.PROJECT_DIR / "Snakefile").read_text()
