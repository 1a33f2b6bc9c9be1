"""How long it takes before anything is computed: help, and the start of a notebook."""

import json
import os
import subprocess
import sys
from pathlib import Path

from gliomalib.provenance import PROJECT_DIR
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
    ledger.measured("help", min(times), "best of 9")


def computing(notebook: Path) -> float:
    """Return the seconds of the cells after the one in which an executed notebook begins."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    begins = next(n for n, cell in enumerate(code) if "records.begin" in "".join(cell["source"]))
    return sum(cell["metadata"]["papermill"]["duration"] for cell in code[begins + 1 :])


def bench_notebook_start(tmp_path: Path, ledger: Ledger) -> None:
    folders = Folders(tmp_path / "data", tmp_path / "reports")
    words = ["run", FIRST, "--study=smoke", f"--data-dir={folders.data}"]
    words.append(f"--report-dir={folders.reports}")
    job = plan("smoke", folders, FIRST)[0]
    call(*words)
    times = [seconds(lambda: call(*words)) - computing(job.executed) for _ in range(3)]
    note = "call, plan, papermill, kernel, imports and end of notebook 01, best of 3"
    ledger.measured("notebook_start", min(times), note)
