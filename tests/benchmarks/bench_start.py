"""How long it takes before anything is computed: help, and the start of a notebook."""

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from gliomalib.provenance import PROJECT_DIR
from gliomalib.runner import warm
from gliomalib.runner.jobs import Folders, plan
from tests.benchmarks.ledger import Ledger, seconds

FIRST = "01_data_exploration"


def call(*words: str, **variables: str) -> None:
    """Run ``python -m gliomalib`` with these words to a good end."""
    command = [sys.executable, "-m", "gliomalib", *words]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT_DIR), **variables}
    subprocess.run(command, env=environment, check=True, capture_output=True, cwd=PROJECT_DIR)


def bench_help(ledger: Ledger) -> None:
    times = [seconds(lambda: call("--help")) for _ in range(9)]
    ledger.measured("help", statistics.median(times[1:]), "median of 8")


def computing(notebook: Path) -> float:
    """Return the seconds of the cells after the one in which an executed notebook begins."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    begins = next(n for n, cell in enumerate(code) if "records.begin" in "".join(cell["source"]))
    return sum(cell["metadata"]["papermill"]["duration"] for cell in code[begins + 1 :])


def starts(words: Sequence[str], notebook: Path, variables: Mapping[str, str]) -> float:
    """Return the seconds of a run besides those of its computing cells, median of three."""
    times = []
    for _ in range(3):
        taken = seconds(lambda: call("run", FIRST, *words, **variables))
        times.append(taken - computing(notebook))
    return statistics.median(times)


def bench_notebook_start(tmp_path: Path, ledger: Ledger) -> None:
    folders = Folders(tmp_path / "data", tmp_path / "reports")
    words = ["--study=smoke", f"--data-dir={folders.data}", f"--report-dir={folders.reports}"]
    job = plan("smoke", folders, FIRST)[0]
    variables = {**os.environ, "PYTHONPATH": str(PROJECT_DIR)}
    with warm.loading({**job.environment, **variables}, tmp_path / "log.txt") as (address, _):
        # the first one waits until everything is loaded, which a study does once
        call("run", FIRST, *words, **{warm.ADDRESS: address})
        forked = starts(words, job.executed, {warm.ADDRESS: address})
    fresh = starts(words, job.executed, {warm.ADDRESS: ""})
    note = f"call, plan, papermill, kernel and its end; {fresh:.1f} s in a fresh process"
    ledger.measured("notebook_start", forked, note)
