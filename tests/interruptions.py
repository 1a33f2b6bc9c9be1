"""What ends a study before its time, and how to tell that nothing was lost by it."""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch

from gliomalib import records
from gliomalib.data.arrays import ArrayFile
from gliomalib.provenance import file_digest
from gliomalib.report.compare import CLOCK_UNITS

SOAK = int(os.environ.get("GLIOMA_SOAK", "0"))
"""Seed of the long part; 0 leaves it out."""

PATIENCE_S = 3600


@dataclass
class Tally:
    """What became of the faults: kind → how many were injected, and how many were survived."""

    injected: Counter[str] = field(default_factory=Counter)
    survived: Counter[str] = field(default_factory=Counter)
    redone: list[str] = field(default_factory=list)

    def inject(self, kind: str) -> None:
        self.injected[kind] += 1

    def survive(self) -> None:
        """Count all that was injected so far as survived: what came out is what should."""
        self.survived = self.injected.copy()

    def add(self, other: "Tally") -> None:
        """Add what became of the faults of one test."""
        self.injected += other.injected
        self.survived += other.survived
        self.redone += other.redone

    def report(self) -> dict[str, Any]:
        injected, survived = self.injected.total(), self.survived.total()
        total = {"injected": injected, "survived": survived, "lost": injected - survived}
        return {"faults": total, "kinds": self.injected, "redone": self.redone}


def half_written(folder: Path) -> list[str]:
    """Return the files under ``folder`` that pass for whole and are not: none, whenever killed.

    A name that begins with a dot counts for nothing, an array or weights without their notes too.
    """
    wrong = []
    for path in sorted(folder.rglob("*")):
        if any(part.startswith(".") for part in path.relative_to(folder).parts):
            continue
        try:
            _read(path)
        except FileNotFoundError:
            continue
        except Exception as error:
            wrong.append(f"{path}: {error!r}")
    return wrong


def _read(path: Path) -> None:
    if path.parent.name == "records":
        records.read(path)
    elif path.name == "training.json":
        assert json.loads(path.read_text())["weights_sha256"] == file_digest(
            path.with_name("final.pt")
        )
    elif path.suffix == ".json" and path.with_suffix(".npy").exists():
        assert ArrayFile(path.with_suffix(".npy"), "").intact(), "an array that is not whole"
    elif path.suffix in (".json", ".ipynb") and "logs" not in path.parts:
        json.loads(path.read_text())
    elif path.suffix in (".ckpt", ".pt"):
        torch.load(path, weights_only=True)
    elif path.suffix == ".html":
        assert path.read_text().rstrip().endswith("</html>"), "a page without its end"
    elif path.suffix == ".png":
        assert path.read_bytes().endswith(b"IEND\xaeB`\x82"), "half a picture"


def outcome(report: Path) -> dict[str, Any]:
    """Return all that records and tables say, what a clock or the day decides left out."""
    found: dict[str, Any] = {}
    for path in sorted(report.glob("records/*.json")):
        content = json.loads(path.read_text(encoding="utf-8"))
        for name in ("wall_s", "peak_memory_bytes"):
            del content[name]
        # ipykernel may hang or abort at its very end, when all has been written
        for name in ("date", "exit_code"):
            content["provenance"].pop(name, None)
        content["values"] = [v for v in content["values"] if v.get("unit") not in CLOCK_UNITS]
        found[path.name] = content
    for path in sorted(report.glob("tables/*.csv*")):
        found[path.name] = path.read_bytes()
    return found


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Callable[[str], None]]:
    """Put a small disk at ``folder`` and yield what changes its options (``ro``, ``size=8m``).

    Skips the test where nobody may mount one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    try:
        subprocess.run(mount, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        reason = getattr(error, "stderr", "") or str(error)
        pytest.skip(f"no small disk can be mounted here: {reason.strip()}")

    def change(options: str) -> None:
        words = ["mount", "-o", f"remount,{options}", str(folder)]
        subprocess.run(words, check=True, capture_output=True)

    try:
        yield change
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def study(name: str, until: str) -> list[str]:
    command = [sys.executable, "-m", "gliomalib", "study", name, "--cores", "2"]
    return [*command, f"--until={until}"]
