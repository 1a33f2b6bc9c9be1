"""What a study says while it runs: one line that is rewritten on a terminal, plain lines elsewhere.

Every run adds its events to ``logs/events.jsonl`` of the study's working folder, which is no part
of a report. Whoever started the study follows that file; a machine may as well.
"""

import json
import shutil
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Any

from gliomalib import records
from gliomalib.runner.jobs import Job
from gliomalib.schema import RecordError

EVENTS = Path("logs", "events.jsonl")
"""Where the events are, seen from the working folder of a study."""


def tell(job: Job, event: str, seconds: float = 0.0, text: str = "") -> None:
    """Add an event of a run to the log: ``running``, ``done`` or ``failed``."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    row = {"time": now, "run": job.name, "event": event, "seconds": round(seconds, 3), "text": text}
    with (job.work_dir / EVENTS).open("a", encoding="utf-8") as stream:
        # in one piece: runs side by side write here
        stream.write(json.dumps(row) + "\n")


class Watch:
    """Tells of the ``jobs`` that are out of date, ``workers`` of which run at a time.

    ``began`` is when, in seconds of any clock, which is the clock of every ``now``; ``quiet``
    leaves out everything but faults.
    """

    def __init__(self, jobs: Sequence[Job], workers: int, began: float, quiet: bool) -> None:
        self.jobs = {job.name: job for job in jobs}
        self.workers, self.began, self.quiet = workers, began, quiet
        self.live = sys.stdout.isatty() and not quiet
        self.earlier = {job.name: _seconds(job) for job in jobs}
        self.started: dict[str, float] = {}
        self.ended: set[str] = set()
        self.failed = False

    def follow(self, log: IO[bytes], now: float) -> None:
        """Tell of what was added to the log since the last call, and how far the study is."""
        while (line := log.readline()).endswith(b"\n"):
            event = json.loads(line)
            if event["run"] in self.jobs:
                self._see(event, now)
        log.seek(-len(line), 1)
        if self.live and self.jobs:
            done = f"{len(self.ended)} of {len(self.jobs)} done, {_clock(now - self.began)} elapsed"
            runs = [self.jobs[run] for run in self.started if run not in self.ended]
            text = f"{done}, {self.left(now)} · {', '.join(map(_last_line, runs))}"
            width = max(shutil.get_terminal_size().columns - 1, 1)
            self.show(text if len(text) <= width else text[: width - 1] + "…")

    def left(self, now: float) -> str:
        """Return how long the rest takes by earlier records: shared out, or its longest chain."""
        rest, chain = 0.0, dict[str, float]()
        for name, job in self.jobs.items():
            seconds = 0.0 if name in self.ended else self.earlier[name]
            if seconds is None:
                return "time left unknown"
            seconds = max(seconds - (now - self.started.get(name, now)), 0.0)
            chain[name] = seconds + max((chain.get(need, 0.0) for need in job.needs), default=0.0)
            rest += seconds
        return f"about {_clock(max([rest / self.workers, *chain.values()]))} left"

    def show(self, text: str) -> None:
        """Put ``text`` in place of the last line of a terminal."""
        if self.live:
            sys.stdout.write(f"\r\x1b[K{text}")
            sys.stdout.flush()

    def _see(self, event: dict[str, Any], now: float) -> None:
        run, text = event["run"], f"running, {len(self.started) + 1} of {len(self.jobs)}"
        if event["event"] == "running":
            self.started[run] = now
        else:
            self.ended.add(run)
            text = f"done in {_clock(event['seconds'])}, {self.left(now)}"
        if event["event"] == "failed":
            self.failed = True
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
    lines = job.printed.read_text(encoding="utf-8", errors="replace").split("\n")
    return f"{job.name} {next(filter(str.strip, reversed(lines)), '')}".strip()
