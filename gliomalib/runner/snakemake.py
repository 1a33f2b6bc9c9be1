"""Bring a whole study up to date: Snakemake over the chain, one at a time for each study."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from gliomalib.provenance import CORES, PROJECT_DIR, write_atomic
from gliomalib.runner.jobs import Folders, Job, RunError, plan
from gliomalib.runner.locks import held
from gliomalib.runner.stamps import forget_changed
from gliomalib.runner.watch import EVENTS, Watch

LOG = EVENTS.with_name("study.log")
"""What Snakemake and the runs print, seen from the working folder of a study."""


def bring_up_to_date(
    study: str, folders: Folders, cores: int, until: str = "", quiet: bool = False
) -> None:
    """Run what is out of date in a study, in parallel on ``cores``, and tell how far it is.

    Raises ``RunError`` when a notebook failed or when another process runs the same study; a run
    that was killed is simply started again.
    """
    jobs = plan(study, folders, until)
    work, page = folders.data / study, folders.reports / study / "index.html"
    with held(work / "locks" / "study.lock", f"the study {study}") as lock:
        stale = _with_dependants(jobs, forget_changed(jobs))
        if stale:
            # a page that is there, from git for instance, would pass for the result of this run
            page.unlink(missing_ok=True)
        if not page.is_file():
            (work / "done" / "page").unlink(missing_ok=True)
        texts = {name: str(folder or "") for name, folder in asdict(folders).items()}
        run = json.dumps({"study": study, "until": until, "folders": texts})
        write_atomic(work / "run.json", run)
        variables = {**os.environ, "PYTHONPATH": str(PROJECT_DIR), CORES: str(cores)}
        variables["GLIOMA_PYTHON"] = sys.executable
        workers = max(cores // max(jobs[0].study.threads, 1), 1)
        watch = Watch(stale, workers, time.monotonic(), quiet)
        if _finished(snakemake_command(cores), work, variables, lock, watch) != 0:
            said = (work / LOG).read_text(encoding="utf-8", errors="replace").split("\n")
            last = next(filter(str.strip, reversed(said)), "it was stopped").strip()
            reason = "the reason is printed above" if watch.failed else f"{last} ({work / LOG})"
            raise RunError(f"the study {study} is not complete: {reason}")


def snakemake_command(cores: int) -> list[str]:
    """Return the call of Snakemake for a study, in whose working folder it has to run.

    Dates of files are no trigger, since git sets them as it likes; Snakemake's own lock is off,
    since it outlives a killed process. Snakemake, shells and YAML give some signs a meaning of
    their own, so no path goes through them: folders stand in ``run.json``, and what a rule makes
    has a fixed name below the working folder.
    """
    return [
        # -P: a file in the working folder is no module
        *(sys.executable, "-P", "-m", "snakemake"),
        *("--snakefile", str(PROJECT_DIR / "Snakefile")),
        *("--cores", str(cores), "--resources", "gpu=1", "--scheduler", "greedy"),
        *("--rerun-incomplete", "--nolock", "--keep-going"),
        *("--rerun-triggers", "params", "input"),
        *("--quiet", "all"),
    ]


def _with_dependants(jobs: Sequence[Job], changed: Sequence[str]) -> list[Job]:
    """Return the jobs that will run: those that changed and all that need one of them."""
    stale = dict.fromkeys(changed)
    for job in jobs:
        if not stale.keys().isdisjoint(job.needs):
            stale[job.name] = None
    return [job for job in jobs if job.name in stale]


def _finished(
    command: list[str], work: Path, variables: dict[str, str], lock: int, watch: Watch
) -> int:
    """Run ``command`` in ``work`` to its end, with the lock, and return its exit code."""
    (work / EVENTS).parent.mkdir(exist_ok=True)
    with (
        (work / LOG).open("wb") as out,
        (work / EVENTS).open("w+b") as events,
        subprocess.Popen(
            command, cwd=work, pass_fds=(lock,), env=variables, stdout=out, stderr=out
        ) as process,
    ):
        while process.poll() is None:
            # at an interrupt the terminal told Snakemake as well: let it end its jobs
            with suppress(KeyboardInterrupt, subprocess.TimeoutExpired):
                watch.follow(events, time.monotonic())
                process.wait(0.3)
        watch.follow(events, time.monotonic())
        watch.show("")
        return process.returncode
