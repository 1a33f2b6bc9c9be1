"""What a study says while it runs: one line that is rewritten on a terminal, plain lines elsewhere.

Every run adds its events to a log in the study's working folder, which is no part of a report.
Whoever started the study follows that file; a machine may as well.
"""

import fcntl
import json
import shutil
import sys
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Any, TextIO

from gliomalib import records
from gliomalib.provenance import naming
from gliomalib.runner.jobs import Job
from gliomalib.schema import GliomaError, RecordError

EVENTS, LOG = Path("logs", "events.jsonl"), Path("logs", "study.log")
"""The events, and what Snakemake and the runs print, seen from the working folder."""


@contextmanager
def telling(job: Job) -> Iterator[TextIO]:
    """Add the start and the end of a run to the events; yield the file for what it prints."""
    job.attempt.parent.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    with job.attempt.with_suffix(".txt").open("w", encoding="utf-8") as printed:
        tell(job, "running")
        try:
            yield printed
        except (GliomaError, OSError) as error:
            # a disk that is too full for an event must not hide why the run failed
            with suppress(OSError):
                tell(job, "failed", time.monotonic() - started, str(error))
            raise
    tell(job, "done", time.monotonic() - started)


def tell(job: Job, event: str, seconds: float = 0.0, text: str = "") -> None:
    """Add ``running``, ``done`` or ``failed`` of a run to the events, in one piece."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    row = {"time": now, "run": job.name, "event": event, "seconds": round(seconds, 3), "text": text}
    path = job.work_dir / EVENTS
    with naming(path), path.open("a", encoding="utf-8") as stream:
        # on a shared disk two nodes may take the same place for the end of the file
        fcntl.flock(stream, fcntl.LOCK_EX)
        stream.write(json.dumps(row) + "\n")


def event_in(line: str | bytes) -> dict[str, Any]:
    """Return the event of a line: none where a full disk cut it, to which the next was added."""
    try:
        event: dict[str, Any] = json.loads(line)
    except ValueError:
        return {}
    return event


class Watch:
    """Tells of the jobs that will run: of ``jobs`` the ``changed`` and all that need one of them.

    ``workers`` run at a time. ``quiet`` leaves out everything but faults.
    """

    def __init__(
        self, jobs: Sequence[Job], changed: Collection[str], workers: int, quiet: bool = False
    ) -> None:
        self.jobs: dict[str, Job] = {}
        for job in jobs:
            if job.name in changed or not self.jobs.keys().isdisjoint(job.needs):
                self.jobs[job.name] = job
        self.workers, self.quiet = workers, quiet
        self.live = sys.stdout.isatty() and not quiet
        self.earlier = {job.name: _seconds(job) for job in jobs}
        self.started: dict[str, float] = {}
        self.ended: set[str] = set()
        self.failed = 0

    def follow(self, events: IO[bytes], now: float) -> None:
        """Tell of the events since the last call, and of the whole study after ``now`` seconds."""
        while (line := events.readline()).endswith(b"\n"):
            event = event_in(line)
            if event.get("run") in self.jobs:
                self._see(event, now)
        events.seek(-len(line), 1)
        if self.live and self.jobs:
            done = f"{len(self.ended) - self.failed} of {len(self.jobs)} done"
            done += f", {self.failed} failed" if self.failed else ""
            runs = [self.jobs[run] for run in self.started if run not in self.ended]
            times = f"{_clock(now)} elapsed, {self.left(now)}"
            text = " · ".join([f"{done}, {times}", *map(_last_line, runs)])
            width = max(shutil.get_terminal_size().columns - 1, 1)
            self.show(text if len(text) <= width else text[: width - 1] + "…")

    def left(self, now: float) -> str:
        """Return how long the rest takes by earlier records: shared out, or its longest chain."""
        rest, ends = dict[str, float](), dict[str, float]()
        for name, job in self.jobs.items():
            earlier = 0.0 if name in self.ended else self.earlier[name]
            if earlier is None:
                return "time left unknown"
            rest[name] = max(earlier - (now - self.started.get(name, now)), 0.0)
            ends[name] = rest[name] + max(ends.get(need, 0.0) for need in ("", *job.needs))
        return f"about {_clock(max(sum(rest.values()) / self.workers, *ends.values()))} left"

    def show(self, text: str) -> None:
        """Put ``text`` in place of the last line of a terminal."""
        if self.live:
            sys.stdout.write(f"\r\x1b[K{text}")
            sys.stdout.flush()

    def _see(self, event: dict[str, Any], now: float) -> None:
        run, kind = event["run"], event["event"]
        if kind == "running":
            self.started[run] = now
            text = f"running, {len(self.started)} of {len(self.jobs)}"
        else:
            self.ended.add(run)
            text = f"done in {_clock(event['seconds'])}, {self.left(now)}"
        if kind == "failed":
            self.failed += 1
            self.show("")
            sys.stderr.write(f"error: {event['text']}\n")
        elif not self.live and not self.quiet:
            sys.stdout.write(f"{run}: {text}\n")
            sys.stdout.flush()


def _clock(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))


def _seconds(job: Job) -> float | None:
    try:
        return records.read(job.record).wall_s
    except RecordError:
        return None


def _last_line(job: Job) -> str:
    printed = ""
    # from the node of a cluster the event may be here before the file
    with suppress(OSError):
        printed = job.attempt.with_suffix(".txt").read_text(encoding="utf-8", errors="replace")
    return f"{job.name} {next(filter(str.strip, reversed(printed.splitlines())), '')}".strip()
