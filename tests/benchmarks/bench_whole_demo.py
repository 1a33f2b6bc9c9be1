"""How long the demo takes from nothing to its report, where that goes, and a second call."""

import json
import os
from pathlib import Path

from tests.benchmarks.bench_start import call
from tests.benchmarks.ledger import Ledger, seconds

NETWORKS = (
    *("train_segmenters", "predict_volumes", "train_classifiers", "classify_slices"),
    *(
        "ringed_slices.values",
        "alpha_levels.classified",
        "leakage_audit.networks",
        "specifications.measure",
    ),
)
"""What trains or applies networks or trees, by cell; a cell that predicts and scores is not in."""

CORES = 2


def bench_report_demo(tmp_path: Path, ledger: Ledger) -> None:
    if os.environ.get("GLIOMA_DEMO") == "0":
        for row in ("report_demo", "report_demo_outside", "report_idle"):
            ledger.skipped(row, "left out by GLIOMA_DEMO=0: the demo takes longer than all others")
        return
    words = ["study", "demo", f"--cores={CORES}", f"--data-dir={tmp_path / 'data'}"]
    words.append(f"--report-dir={tmp_path / 'reports'}")
    whole = seconds(lambda: call(*words))
    note = f"{whole:.0f} s with {CORES} cores; {longest(tmp_path)}"
    ledger.measured("report_demo", whole / 60, note)
    inside = sum(in_networks(path) for path in executed(tmp_path))
    ledger.measured(
        "report_demo_outside",
        1 - inside / (CORES * whole),
        f"of {CORES * whole:.0f} s on {CORES} cores {inside:.0f} are in cells that train or apply",
    )
    idle = min(seconds(lambda: call(*words)) for _ in range(3))
    ledger.measured("report_idle", idle, "best of 3, after the run above")


def executed(folder: Path) -> list[Path]:
    """Return the executed notebooks of the demo."""
    return sorted((folder / "reports" / "demo" / "notebooks").glob("*.ipynb"))


def in_networks(notebook: Path) -> float:
    """Return the seconds of the cells that train or apply networks or trees."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return sum(
        cell["metadata"]["papermill"]["duration"]
        for cell in cells
        if cell["cell_type"] == "code" and any(w in "".join(cell["source"]) for w in NETWORKS)
    )


def longest(folder: Path) -> str:
    """Name the three runs that took longest, by the events of the study."""
    lines = (folder / "data" / "demo" / "logs" / "events.jsonl").read_text().splitlines()
    done = [row for row in map(json.loads, lines) if row["event"] == "done"]
    most = sorted(done, key=lambda row: -row["seconds"])[:3]
    return "longest: " + ", ".join(f"{row['run']} {row['seconds']:.0f} s" for row in most)
