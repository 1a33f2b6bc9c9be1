"""One run of one notebook: its parameters, and where everything of it lies."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gliomalib import provenance, settings
from gliomalib.runner.chain import CHAIN
from gliomalib.schema import GliomaError, run_name

NOTEBOOKS_DIR = provenance.PROJECT_DIR / "notebooks"


class RunError(GliomaError):
    """A notebook cannot run, or did not get to its end."""


@dataclass(frozen=True)
class Folders:
    """Where a run reads and writes: the parents of the study's folders, and the user's data."""

    data: Path = provenance.PROJECT_DIR / "data"
    reports: Path = provenance.PROJECT_DIR / "reports"
    source: Path | None = None

    @classmethod
    def of(cls, data: str = "", reports: str = "", source: str = "") -> Folders:
        """Return absolute folders from what the user typed; empty means the default."""
        given = {"data": data, "reports": reports, "source": source}
        return cls(
            **{name: Path(text).expanduser().resolve() for name, text in given.items() if text}
        )


@dataclass(frozen=True)
class Job:
    """One run of one notebook: with the study's parameters, or with those of a variant.

    ``digest`` changes when anything changes that could change the result, here or upstream.
    """

    notebook: str
    variant: str
    study: settings.Study
    own: Mapping[str, Any]
    folders: Folders
    needs: tuple[str, ...] = ()
    digest: str = field(default="", compare=False)

    @property
    def name(self) -> str:
        """Name of the run, of its record and of its executed notebook."""
        return run_name(self.notebook, self.variant)

    @property
    def path(self) -> Path:
        """The notebook in the project."""
        return NOTEBOOKS_DIR / f"{self.notebook}.ipynb"

    @property
    def work_dir(self) -> Path:
        """The study's working folder, outside of git."""
        return self.folders.data / self.study.study

    @property
    def report_dir(self) -> Path:
        """The study's folder of results."""
        return self.folders.reports / self.study.study

    @property
    def record(self) -> Path:
        """The record that the notebook leaves; nothing else says that it is done."""
        return self.report_dir / "records" / f"{self.name}.json"

    @property
    def executed(self) -> Path:
        """The executed copy of a notebook that got to its end."""
        return self.report_dir / "notebooks" / f"{self.name}.ipynb"

    @property
    def attempt(self) -> Path:
        """The executed copy as it grows; it stays here when the notebook fails."""
        return self.work_dir / "logs" / f"{self.name}.ipynb"

    @property
    def stamp(self) -> Path:
        """What says with which digest the record was made."""
        return self.work_dir / "done" / f"{self.name}.json"

    @property
    def on_gpu(self) -> bool:
        """Whether this run will hold a GPU, as far as can be told without loading torch."""
        asked = self.study.device
        return CHAIN[self.notebook].gpu and (
            asked == "cuda" or (asked == "auto" and shutil.which("nvidia-smi") is not None)
        )

    @property
    def alone(self) -> bool:
        """Whether nothing else may run beside it, because it measures time."""
        return CHAIN[self.notebook].alone

    @property
    def parameters(self) -> dict[str, Any]:
        """What papermill gives to the notebook, folders relative to the notebook's own."""
        known = settings.parameters_of(self.notebook)
        given: dict[str, Any] = {"study": self.study.study}
        if self.variant:
            given["variant"] = self.variant
        if self.folders.data != Folders.data:
            given["data_dir"] = _seen_from_notebooks(self.folders.data)
        if self.folders.reports != Folders.reports:
            given["report_dir"] = _seen_from_notebooks(self.folders.reports)
        if "source_dir" in known and self.folders.source is not None:
            given["source_dir"] = _seen_from_notebooks(self.folders.source)
        return {**given, **self.own}


def _seen_from_notebooks(folder: Path) -> str:
    return os.path.relpath(folder, NOTEBOOKS_DIR)
