"""Bring a whole study up to date: Snakemake over the chain, one at a time for each study."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Never

import psutil

from gliomalib import inputs
from gliomalib.provenance import CORES, PROJECT_DIR, write_atomic
from gliomalib.runner.jobs import Folders, Job, RunError, plan
from gliomalib.runner.locks import held
from gliomalib.runner.stamps import forget_changed, page_digest
from gliomalib.runner.watch import EVENTS, LOG, Watch
from gliomalib.schema import SettingsError

PROFILES = PROJECT_DIR / "profiles"
"""Folders of options with which Snakemake runs the same notebooks elsewhere."""


@dataclass(frozen=True)
class Place:
    """Where notebooks run: on ``cores`` of this machine, or where a Snakemake ``profile`` says.

    ``profile`` is a name below ``profiles/``, or a folder.
    """

    cores: int
    profile: str = ""

    @property
    def options(self) -> list[str]:
        """What Snakemake is told; ``SettingsError`` without such a profile or without a core."""
        if self.cores < 1:
            raise SettingsError(f"{self.cores} cores: give a whole number above 0 (CORES=2)")
        if not self.profile:
            return ["--cores", str(self.cores), "--resources", "gpu=1", "--quiet", "all"]
        folder = PROFILES / self.profile
        # a path of the user is no name, and an absolute one takes the place of the folder
        folder = folder if folder.is_dir() else inputs.absolute(self.profile)
        if not (folder / "config.yaml").is_file():
            names = ", ".join(sorted(path.parent.name for path in PROFILES.glob("*/config.yaml")))
            raise SettingsError(
                f"{folder}: no profile, config.yaml is missing; take one of {names}, or a folder"
            )
        if inputs.content_of(folder / "config.yaml").get("dry-run"):
            raise SettingsError(f"{folder}: makes a dry run only; take another profile")
        return ["--profile", str(folder)]

    def workers(self, jobs: Sequence[Job]) -> int:
        """Return how many of these jobs of a study may run at a time; a cluster takes them all."""
        return len(jobs) if self.profile else max(self.cores // max(jobs[0].study.threads, 1), 1)


GRACE_S = 10.0
"""Seconds after which what was told to stop is killed; a cluster waits 30 for all."""


def bring_up_to_date(
    study: str, folders: Folders, place: Place, until: str = "", quiet: bool = False
) -> None:
    """Run what is out of date in a study, in parallel, and tell how far it is.

    Where a run went through and nothing changed since, Snakemake, which needs seconds to see that,
    is not started. Raises ``RunError`` when a notebook failed or when another process runs the
    same study; a run that was killed is simply started again. At SIGTERM, with which schedulers
    announce the end, all processes end within seconds, and it is a ``RunError`` too.
    """
    options = place.options
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
        if digest and made.is_file() and made.read_text() == digest:
            return
        if made.is_file():
            # as long as nobody knows how this ends, nothing is up to date
            write_atomic(made, "")
        texts = {name: str(folder or "") for name, folder in asdict(folders).items()}
        run = {"study": study, "until": until, "folders": texts, "profile": place.profile}
        write_atomic(work / "run.json", json.dumps(run))
        variables = {**os.environ, "PYTHONPATH": str(PROJECT_DIR), CORES: str(place.cores)}
        # safe path: a file in the working folder is no module, nor is it on the node of a cluster
        variables |= {"GLIOMA_PYTHON": sys.executable, "PYTHONSAFEPATH": "1"}
        watch = Watch(jobs, changed, place.workers(jobs), quiet)
        if not _finished(snakemake_command(options), work, variables, lock, watch):
            where = "printed above" if watch.failed else f"in {work / LOG}"
            raise RunError(f"the study {study} is not complete: the reason is {where}")
        if digest:
            write_atomic(made, digest)


def snakemake_command(options: Sequence[str]) -> list[str]:
    """Return the call of Snakemake for a study, in whose working folder it has to run.

    Dates of files are no trigger, since git sets them as it likes; Snakemake's own lock is off,
    since it outlives a killed process. Snakemake, shells and YAML give some signs a meaning of
    their own, so no path goes through them: folders stand in ``run.json``, and what a rule makes
    has a fixed name below the working folder.
    """
    return [
        *(sys.executable, "-m", "snakemake", "--snakefile", str(PROJECT_DIR / "Snakefile")),
        *options,
        *("--scheduler", "greedy", "--rerun-incomplete", "--nolock", "--keep-going"),
        *("--rerun-triggers", "params", "input"),
    ]


def _finished(
    command: list[str], work: Path, variables: dict[str, str], lock: int, watch: Watch
) -> bool:
    """Run ``command`` in ``work`` to its end, with the lock; return whether all went well."""
    (work / LOG).parent.mkdir(exist_ok=True)
    with (work / LOG).open("wb") as out, (work / EVENTS).open("w+b") as events:
        process = subprocess.Popen(
            command, cwd=work, pass_fds=(lock,), env=variables, stdout=out, stderr=out
        )
        began = time.monotonic()
        with answering(_stop) as interrupts:
            try:
                while process.poll() is None:
                    watch.follow(events, time.monotonic() - began)
                    with suppress(subprocess.TimeoutExpired):
                        process.wait(0.3)
                watch.follow(events, time.monotonic() - began)
            finally:
                # who asks a second time must not keep anything alive
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                end(process)
                watch.show("")
            if process.returncode and interrupts:
                _stop(*interrupts)
    return bool(process.returncode == 0)


@contextmanager
def answering(stop: Callable[..., Any]) -> Iterator[list[int]]:
    """Call ``stop`` at SIGTERM for a while, and yield a list to which each interrupt is added.

    The terminal tells an interrupt to all of its processes: those that end by it are waited for.
    """
    interrupts: list[int] = []
    handlers = {signal.SIGTERM: stop, signal.SIGINT: lambda number, _: interrupts.append(number)}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield interrupts
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


def _stop(number: int, *_: Any) -> Never:
    name = signal.Signals(number).name
    raise RunError(f"the study was told to stop ({name}); start it again, and it goes on")


def end(process: subprocess.Popen[bytes]) -> None:
    """End Snakemake and all that it started; at SIGTERM it alone would wait for its jobs."""
    if process.poll() is not None:
        # its number may be that of another process by now
        return
    snakemake = psutil.Process(process.pid)
    # Snakemake first, so that it starts nothing in place of what ends
    living = [snakemake, *snakemake.children(recursive=True)]
    for send in (psutil.Process.terminate, psutil.Process.kill):
        for each in living:
            with suppress(psutil.NoSuchProcess):
                send(each)
        _, living = psutil.wait_procs(living, GRACE_S)
