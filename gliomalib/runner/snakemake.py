"""Bring a whole study up to date: Snakemake over the chain, one at a time for each study."""

import os
import subprocess
import sys
from collections.abc import Mapping

from gliomalib.provenance import CORES, PROJECT_DIR
from gliomalib.runner.jobs import Folders, RunError, plan
from gliomalib.runner.locks import held
from gliomalib.runner.stamps import forget_changed


def bring_up_to_date(study: str, folders: Folders, cores: int, until: str = "") -> None:
    """Run what is out of date in a study, in parallel on ``cores``.

    Raises ``RunError`` when a notebook failed or when another process runs the same study; a run
    that was killed is simply started again.
    """
    jobs = plan(study, folders, until)
    work = folders.data / study
    with held(work / "locks" / "study.lock", f"the study {study}") as lock:
        if forget_changed(jobs):
            # a page that is there, from git for instance, would pass for the result of this run
            (folders.reports / study / "index.html").unlink(missing_ok=True)
        variables = {**os.environ, "PYTHONPATH": str(PROJECT_DIR), CORES: str(cores)}
        if _finished(snakemake_command(study, folders, cores, until), variables, lock) != 0:
            raise RunError(f"the study {study} is not complete: the reason is printed above")


def snakemake_command(study: str, folders: Folders, cores: int, until: str = "") -> list[str]:
    """Return the call of Snakemake for a study.

    Dates of files are no trigger, since git sets them as it likes; Snakemake's own lock is off,
    since it outlives a killed process, and its state lies in the study's working folder.
    """
    config = {"study": study, "data_dir": folders.data, "report_dir": folders.reports}
    config |= {"source": folders.source} if folders.source else {}
    config |= {"until": until} if until else {}
    return [
        *(sys.executable, "-m", "snakemake"),
        *("--snakefile", str(PROJECT_DIR / "Snakefile")),
        *("--directory", str(folders.data / study)),
        *("--cores", str(cores), "--resources", "gpu=1", "--scheduler", "greedy"),
        *("--rerun-incomplete", "--nolock", "--keep-going"),
        *("--rerun-triggers", "params", "input"),
        *("--quiet", "all"),
        *("--config", *(f"{key}={value}" for key, value in config.items())),
    ]


def _finished(command: list[str], variables: Mapping[str, str], lock: int) -> int:
    """Run ``command`` to its end, with the lock, and return its exit code."""
    with subprocess.Popen(command, pass_fds=(lock,), env=variables) as process:
        while True:
            try:
                return process.wait()
            except KeyboardInterrupt:
                # the terminal told Snakemake as well: let it end its jobs
                continue
