"""Processes that a test starts, waits for and kills with all that they started."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil


def wait_for(
    condition: Callable[[], object],
    process: Any = None,
    pause: float = 0.1,
    patience_s: float = 40.0,
) -> bool:
    """Wait until something holds; return whether it came before the end of a process."""
    deadline = time.monotonic() + patience_s
    while not condition():
        if process is not None and process.poll() is not None:
            return bool(condition())
        assert time.monotonic() < deadline, f"waited {patience_s:.0f} s in vain"
        time.sleep(pause)
    return True


def start(command: list[str], folder: Path, environment: dict[str, str]) -> subprocess.Popen[str]:
    """Start a study in a session of its own; what it says goes to ``said.txt``."""
    with (folder / "said.txt").open("w") as said:
        return subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            start_new_session=True,
            stdout=said,
            stderr=said,
            text=True,
        )


def kill(process: subprocess.Popen[str], folder: Path) -> None:
    """Kill a study with all that it started, as a node that goes down does."""
    with suppress(psutil.NoSuchProcess):
        family = [process.pid, *(p.pid for p in psutil.Process(process.pid).children(True))]
        for pid in family:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    process.wait()
    # a run that was just being started was no descendant of anybody, and holds the study's lock
    wait_for(lambda: not _killed(left_running(folder)))


def _killed(processes: list[psutil.Process]) -> list[psutil.Process]:
    for each in processes:
        with suppress(psutil.NoSuchProcess):
            each.kill()
    return processes


def left_running(folder: Path) -> list[psutil.Process]:
    """Return the processes that work in a folder or name it."""
    there = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            words = [*process.cmdline(), process.cwd()]
            if process.status() != psutil.STATUS_ZOMBIE and any(str(folder) in w for w in words):
                there.append(process)
    return there
