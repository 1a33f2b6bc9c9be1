"""Bring a whole study up to date: Snakemake over the chain, one at a time for each study."""

import json
import os
import subprocess
import sys
import time
from contextlib import nullcontext, suppress
from dataclasses import asdict
from pathlib import Path

from gliomalib.provenance import CORES, PROJECT_DIR, write_atomic
from gliomalib.runner.jobs import Folders, RunError, plan
from gliomalib.runner.locks import held
from gliomalib.runner.stamps import forget_changed, page_digest
from gliomalib.runner.warm import ADDRESS, PAYS_FROM, loading
from gliomalib.runner.watch import EVENTS, LOG, Watch


def bring_up_to_date(
    study: str, folders: Folders, cores: int, until: str = "", quiet: bool = False
) -> None:
    """Run what is out of date in a study, in parallel on ``cores``, and tell how far it is.

    Where a run went through and nothing changed since, Snakemake, which needs seconds to see that,
    is not started. Raises ``RunError`` when a notebook failed or when another process runs the
    same study; a run that was killed is simply started again.
    """
    jobs = plan(study, folders, until)
    work, page = folders.data / study, folders.reports / study / "index.html"
    with held(work / "locks" / "study.lock", f"the study {study}") as lock:
        changed = forget_changed(jobs)
        if changed:
            # a page that is there, from git for instance, would pass for the result of this run
            page.unlink(missing_ok=True)
        made = work / "done" / "page"
        if not page.is_file():
            made.unlink(missing_ok=True)
        digest = "" if until else page_digest(jobs)
        if digest and not changed and made.is_file() and made.read_text() == digest:
            return
        if made.is_file():
            # as long as nobody knows how this ends, nothing is up to date
            write_atomic(made, "")
        texts = {name: str(folder or "") for name, folder in asdict(folders).items()}
        run = json.dumps({"study": study, "until": until, "folders": texts})
        write_atomic(work / "run.json", run)
        variables = {**os.environ, "PYTHONPATH": str(PROJECT_DIR), CORES: str(cores)}
        variables["GLIOMA_PYTHON"] = sys.executable
        watch = Watch(jobs, changed, cores, quiet)
        log = work / LOG
        log.parent.mkdir(exist_ok=True)
        # the search path is that of the runs, the rest that of their kernels
        kernel = {**variables, **jobs[0].environment, "PYTHONPATH": variables["PYTHONPATH"]}
        many = len(watch.jobs) >= PAYS_FROM
        warm = loading(kernel, log) if many else nullcontext(("", lock))
        with warm as (variables[ADDRESS], alive):
            done = _finished(snakemake_command(cores), work, variables, (lock, alive), watch)
        if not done:
            where = "printed above" if watch.failed else f"in {log}"
            raise RunError(f"the study {study} is not complete: the reason is {where}")
        if digest:
            write_atomic(made, digest)


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


def _finished(
    command: list[str], work: Path, variables: dict[str, str], kept: tuple[int, ...], watch: Watch
) -> bool:
    """Run ``command``, which has the descriptors ``kept``, in ``work``; return if all went well."""
    with (work / LOG).open("wb") as out, (work / EVENTS).open("w+b") as events:
        process = subprocess.Popen(
            command, cwd=work, pass_fds=kept, env=variables, stdout=out, stderr=out
        )
        began = time.monotonic()
        while process.poll() is None:
            # at an interrupt the terminal told Snakemake as well: let it end its jobs
            with suppress(KeyboardInterrupt, subprocess.TimeoutExpired):
                watch.follow(events, time.monotonic() - began)
                process.wait(0.3)
        watch.follow(events, time.monotonic() - began)
    watch.show("")
    return bool(process.returncode == 0)
