"""Studies through a real SLURM on this machine, and through Kubernetes as a dry run."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from gliomalib.provenance import PROJECT_DIR
from gliomalib.runner.chain import CHAIN
from gliomalib.runner.jobs import Folders, plan
from gliomalib.runner.snakemake import PROFILES, snakemake_command
from tests import slurm
from tests.toy_project import FIRST, SECOND, Project, write_notebook

UNTIL = "" if os.environ.get("GLIOMA_SOAK") else "02_preprocessing"
"""How far the study goes: each job waits for the next look of Snakemake at SLURM, seconds apart."""

MAY_DIFFER = {
    *(("wall_s",), ("peak_memory_bytes",), ("provenance", "date")),
    # ipykernel may hang or abort at its very end, when all has been written
    ("provenance", "exit_code"),
}
"""What a record says of its own run; everything else in it is a result or what led to it."""

TIMES = {
    **{f"14_efficiency.{table}.csv": b"" for table in ("passes", "plane", "engines")},
    "16_reproducibility_report.compute.csv": b"",
    "16_reproducibility_report.assumptions.csv": b"what real time is,",
    "16_reproducibility_report.verdicts.csv": b"Q3,",
}
"""Tables that hold seconds of the run itself → how such a line begins."""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Start SLURM and give the environment of its commands; skip where it is not installed."""
    pytest.importorskip("snakemake_executor_plugin_slurm", reason="no extra `cluster` here")
    if missing := slurm.missing():
        pytest.skip(f"no {missing[0]} here: .ci/run installs slurmctld, slurmd and munge")
    with slurm.running(tmp_path_factory.mktemp("slurm")) as environment:
        yield environment


@pytest.fixture(scope="module")
def profile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fill in the profile of the project for this SLURM, as a user fills in a copy."""
    options = yaml.safe_load((PROFILES / "slurm" / "config.yaml").read_text(encoding="utf-8"))
    # there is no data base of past jobs here, and jobs are short
    options |= {"slurm-status-command": "squeue", "slurm-init-seconds-before-status-checks": 1}
    folder = tmp_path_factory.mktemp("profile")
    (folder / "config.yaml").write_text(yaml.safe_dump(options))
    return folder


def run_study(folder: Path, environment: dict[str, str] | None, *words: str) -> str:
    where = [f"--data-dir={folder / 'data'}", f"--report-dir={folder / 'reports'}"]
    done = subprocess.run(
        [sys.executable, "-m", "gliomalib", "study", "smoke", f"--until={UNTIL}", *where, *words],
        cwd=PROJECT_DIR,
        env=environment,
        capture_output=True,
        text=True,
        timeout=1200,
        check=False,
    )
    log = folder / "data" / "smoke" / "logs" / "study.log"
    assert done.returncode == 0, f"{done.stderr}\n{log.read_text()[-3000:]}"
    return done.stdout


def leaves(content: Any, *place: Any) -> dict[tuple[Any, ...], Any]:
    """Return every single value of a JSON file by its place, but those that may differ."""
    if place in MAY_DIFFER:
        return {}
    if isinstance(content, dict | list):
        rows = content.items() if isinstance(content, dict) else enumerate(content)
        found = {place: type(content).__name__}
        for key, value in rows:
            found |= leaves(value, *place, key)
        return found
    return {place: content}


def record_of(path: Path) -> dict[tuple[Any, ...], Any]:
    content = json.loads(path.read_text(encoding="utf-8"))
    if path.stem == "14_efficiency":
        # its numbers are seconds, shares of them and memory: what it measured, and on how many
        content["conclusion"] = None
        for value in content["values"]:
            value |= {"value": None, "ci95": None}
    return leaves(content)


def records_of(folder: Path) -> dict[str, dict[tuple[Any, ...], Any]]:
    paths = sorted((folder / "reports" / "smoke" / "records").glob("*.json"))
    return {path.stem: record_of(path) for path in paths}


def tables_of(folder: Path) -> dict[str, list[bytes]]:
    return {path.name: table_of(path) for path in (folder / "reports/smoke/tables").iterdir()}


def table_of(path: Path) -> list[bytes]:
    lines, timed = path.read_bytes().splitlines(), TIMES.get(path.name)
    return [line for line in lines if timed is None or not line.startswith(timed)]


def test_a_study_through_slurm_leaves_the_records_of_one_machine(
    cluster: dict[str, str], profile: Path, tmp_path: Path
) -> None:
    there, here = tmp_path / "there", tmp_path / "here"
    said = run_study(there, cluster, f"--profile={profile}")
    run_study(here, None, "--cores=2")
    far, near = records_of(there), records_of(here)
    folders = Folders(there / "data", there / "reports")
    assert far.keys() == near.keys() == {job.name for job in plan("smoke", folders, UNTIL)}
    for name, values in near.items():
        assert len(values) > 200
        assert far[name] == values, name
    assert tables_of(there) == tables_of(here)
    for name in far:
        assert f"{name}: running" in said and f"{name}: done in" in said
    again = run_study(there, cluster, f"--profile={profile}")
    assert again == run_study(there, None, "--cores=2"), "one machine finds no more to do"
    # a whole study gives its answer once more
    assert ": running" not in again if not UNTIL else again == "", "a second run does nothing"
    assert records_of(there) == far


SEEN = """
import json, os, pathlib, subprocess
asked = subprocess.run(
    ["squeue", "-h", "-j", os.environ["SLURM_JOB_ID"], "-o", "%C %m %l"],
    capture_output=True, text=True).stdout.strip()
names = ("GLIOMA_CORES", "OMP_NUM_THREADS", "PYTHONPATH")
here = [os.environ.get(name) for name in names]
pathlib.Path("../seen.json").write_text(json.dumps([asked, *here]))
"""

CLUSTER = """
threads: 1
cluster:
  data: {cpus: 2, memory_mb: 1500, minutes: 25}
  networks: {memory_mb: 900, minutes: 5}
"""


def test_a_node_gives_what_was_asked_and_says_what_went_wrong(
    cluster: dict[str, str], profile: Path, tmp_path: Path
) -> None:
    project = Project(tmp_path / "a b's").with_package()
    shutil.copytree(PROFILES, project.root / "profiles")
    project.study(CLUSTER)
    words = "the mask of case 355 has label 7: expected 0, 1, 2 or 4"
    fail = f"from gliomalib.schema import DataError\nraise DataError({words!r})"
    write_notebook(project.root, FIRST, SEEN, fail)
    done = subprocess.run(
        project.command("study", "toy", f"--profile={profile}", f"--until={SECOND}"),
        cwd=project.root,
        env={**cluster, "PYTHONPATH": str(project.root)},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    log = (project.root / "data/toy/logs/study.log").read_text()
    assert done.returncode == 1, done.stdout + done.stderr
    assert project.ran() == [], "what needs a failed one is not started"
    assert done.stderr.count(words) == 1, done.stderr + log
    seen = json.loads((project.root / "seen.json").read_text())
    assert seen == ["2 1500M 25:00", "2", "1", str(project.root)]
    assert done.stderr.endswith("the study toy is not complete: the reason is printed above\n")
    assert words in log, "what a node printed is in the log as well"
    assert slurm.said(cluster, "squeue", "-h", "--states=PD,R") == ""


def test_kubernetes_would_be_asked_for_the_same_jobs(tmp_path: Path) -> None:
    pytest.importorskip("snakemake_executor_plugin_kubernetes", reason="no extra `kubernetes` here")
    folders = {"data": str(tmp_path / "data"), "reports": str(tmp_path / "reports"), "source": ""}
    run = {"study": "phantom-full", "until": "", "profile": "kubernetes", "folders": folders}
    (tmp_path / "run.json").write_text(json.dumps(run))
    done = subprocess.run(
        snakemake_command(["--profile", str(PROFILES / "kubernetes")]),
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(PROJECT_DIR)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert "This was a dry-run" in said
    # every run is a rule of its name, and asks for what the study file says
    rules = {block.partition(":")[0]: block for block in said.split("\nrule ")[1:]}
    jobs = {job.name: job for job in plan("phantom-full", Folders.of(**folders))}
    assert rules.keys() - jobs.keys() == {"report", "everything"} and not jobs.keys() - rules.keys()
    for name, job in jobs.items():
        asked = set(re.search("resources: (.*)", rules[name])[1].split(", "))  # type: ignore[index]
        node, on_gpu = job.node, CHAIN[job.notebook].asks == "networks"
        assert {f"mem_mb={node.memory_mb}", f"runtime={node.minutes}"} <= asked
        assert ("gpu=1" in asked) == on_gpu and "gpu_manufacturer=nvidia" in asked
        assert ("slurm_extra=--exclusive" in asked) == (job.notebook == "14_efficiency")
    assert not (tmp_path / "data").exists()
