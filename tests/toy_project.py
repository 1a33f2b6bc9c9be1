"""A copy of the project with toy notebooks that leave a record and a line in a log of what ran."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Self

import nbformat

from gliomalib import provenance
from gliomalib.parameters import parameters_of
from gliomalib.runner import stamps
from gliomalib.runner.chain import CHAIN
from gliomalib.runner.jobs import Folders, Job, plan

FIRST, SECOND, THIRD, FOURTH, FIFTH = list(CHAIN)[:5]

TOY_STUDY = """
study: toy
title: Toy
unet2d: {epochs: 1, batch_size: 1}
unet3d: {epochs: 1, batch_size: 1}
classifier: {epochs: 1, batch_size: 1, weights: random}
"""

TOY_MODULE = '''
"""What a toy notebook calls: it leaves a record and a line in a log of what ran."""
import json
import pathlib

from gliomalib.provenance import write_atomic

PROJECT = pathlib.Path(__file__).parent.parent


def leave(notebook, study, value, variant=""):
    name = f"{notebook}.{variant}" if variant else notebook
    with (PROJECT / "ran.txt").open("a") as log:
        log.write(name + "\\n")
    path = PROJECT / "reports" / study / "records" / f"{name}.json"
    entry = {"name": "x", "value": value, "ci95": None, "rule": "toy"}
    write_atomic(path, json.dumps({
        "notebook": notebook, "study": study, "variant": variant, "values": [entry], "claims": [],
        "parameters": {}, "seed": 1, "device": "cpu", "wall_s": 0, "peak_memory_bytes": 0,
        "provenance": {"versions": {}, "hardware": {}}, "caveats": [], "conclusion": ""}))
'''

HEAD = 'study: str = "demo"  # study\n'


def write_notebook(project: Path, name: str, *code: str, text: str = "a question") -> None:
    """Write a toy notebook: a title, a parameters cell, then ``code``."""
    has_variant = "variant" in parameters_of(name)
    parameters = HEAD + ('variant: str = ""  # variant' if has_variant else "")
    cells = [
        nbformat.v4.new_markdown_cell(f"# {text}"),
        nbformat.v4.new_code_cell(parameters, metadata={"tags": ["parameters"]}),
        *(nbformat.v4.new_code_cell(source) for source in code),
    ]
    notebook = nbformat.v4.new_notebook(cells=cells)
    nbformat.write(notebook, project / "notebooks" / f"{name}.ipynb")


def leave(name: str, value: int = 1) -> str:
    """Return the code of a toy notebook that leaves ``value``."""
    more = ", variant" if "variant" in parameters_of(name) else ""
    return f"from gliomalib import toy\ntoy.leave({name!r}, study, {value}{more})"


class Project:
    """Toy notebooks 01 to 05 and the study ``toy`` in a folder of their own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "notebooks" / "params").mkdir(parents=True)
        self.study()
        for name in list(CHAIN)[:5]:
            write_notebook(root, name, leave(name))

    def with_package(self) -> Self:
        """Copy the package and the Snakefile, for processes of their own.

        Compiled modules come along: they stay valid, as a copied file keeps its date.
        """
        shutil.copytree(provenance.PACKAGE_DIR, self.root / "gliomalib")
        shutil.copy(provenance.PROJECT_DIR / "Snakefile", self.root)
        (self.root / "data").mkdir(exist_ok=True)
        shutil.copy(provenance.PROJECT_DIR / "data" / "names.yml", self.root / "data")
        (self.root / "gliomalib" / "toy.py").write_text(TOY_MODULE)
        # jsonschema takes this for addresses, which no notebook has; it compiles grammars for a
        # second in each process, and there are a dozen of them
        (self.root / "rfc3987_syntax.py").write_text("raise ImportError")
        return self

    def study(self, more: str = "") -> None:
        (self.root / "notebooks/params/toy.yml").write_text(TOY_STUDY + more)

    def every_notebook(self) -> None:
        for name in list(CHAIN)[5:]:
            write_notebook(self.root, name, leave(name))

    @property
    def folders(self) -> Folders:
        return Folders(self.root / "data", self.root / "reports")

    def planned(self, until: str = FIFTH) -> dict[str, Job]:
        return {job.name: job for job in plan("toy", self.folders, until)}

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "gliomalib", *words]

    def environment(self) -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": str(self.root)}

    def call(self, *words: str, patience_s: float = 80) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*words),
            cwd=self.root,
            env=self.environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=patience_s,
        )

    def make(self, until: str) -> list[str]:
        """Bring the toy study up to date and return which notebooks ran."""
        done = self.call("study", "toy", "--cores", "2", "--until", until)
        assert done.returncode == 0, done.stdout + done.stderr
        return self.ran()

    def written(self) -> dict[Path, int]:
        """Return the files of the toy study's report, each with when it was written."""
        paths = (self.root / "reports" / "toy").rglob("*.*")
        return {path: path.stat().st_mtime_ns for path in paths}

    def ran(self) -> list[str]:
        """Return the notebooks that ran since the last call."""
        log = self.root / "ran.txt"
        names = log.read_text().split() if log.is_file() else []
        log.unlink(missing_ok=True)
        return names


def finished(job: Job) -> Job:
    """Leave what a finished job leaves."""
    for path in (job.record, job.executed):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
    stamps.write_stamp(job)
    return job
