"""The runs of a study: parameters, places, needs, and a digest of what could change a result."""

import ast
import json
import os
import shutil
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from gliomalib import inputs, machines, provenance, settings
from gliomalib.parameters import LAST_NOTEBOOK, NETWORKS, from_parameters, parameters_of
from gliomalib.runner.chain import BRANCHES, CHAIN, wanted
from gliomalib.runner.listing import listing
from gliomalib.schema import DataError, GliomaError, Named, SettingsError, run_name, split_run_name
from gliomalib.verdicts import claims

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")

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
    def of(cls, data: str = "", reports: str = "", source: str = "") -> Self:
        """Return absolute folders from what the user typed; empty means the default."""
        typed = {"data": data, "reports": reports, "source": source}
        return cls(**{name: inputs.absolute(text) for name, text in typed.items() if text})

    @classmethod
    def described(cls, file: Path) -> Self:
        """Return the folders of a run whose description, JSON, has them as ``folders``.

        Raises ``SettingsError`` where it has none.
        """
        try:
            return cls.of(**json.loads(file.read_text(encoding="utf-8"))["folders"])
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            message = f"{file}: describes no folders of a run ({error}); name them one by one"
            raise SettingsError(message) from None


@dataclass(frozen=True)
class Job(Named):
    """One run of one notebook: with the study's parameters, or with those of a variant.

    ``overrides`` are put over the study's parameters; ``needs`` are the names of the jobs whose
    results it reads; ``digest`` changes when anything changes that could change the result, here
    or upstream.
    """

    notebook: str
    variant: str
    study: settings.Study
    overrides: Mapping[str, Any]
    folders: Folders
    needs: tuple[str, ...] = ()
    digest: str = field(default="", compare=False)

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
        return CHAIN[self.notebook].asks == "networks" and (
            asked == "cuda" or (asked == "auto" and shutil.which("nvidia-smi") is not None)
        )

    @property
    def node(self) -> machines.Node:
        """What this run asks of a cluster."""
        return self.study.node(CHAIN[self.notebook].asks)

    @property
    def environment(self) -> dict[str, str]:
        """The variables of its kernel: the number of threads, and nobody's own start-up.

        That number (0: as many as there are) is fixed because sums over a varying number of them
        vary; the user's IPython profile is left out because it could run code before the first
        cell.
        """
        places = [str(provenance.PROJECT_DIR), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
        variables = {
            "PYTHONPATH": os.pathsep.join(dict.fromkeys(filter(None, places))),
            "PYTHONNOUSERSITE": "1",
            "IPYTHONDIR": str(self.work_dir / "ipython"),
            # cuBLAS repeats its results only with a workspace of fixed size
            "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
            "PYDEVD_DISABLE_FILE_VALIDATION": "1",
        }
        threads = self.study.threads
        return variables | (dict.fromkeys(THREADS, str(threads)) if threads else {})

    @property
    def parameters(self) -> dict[str, Any]:
        """What papermill gives to the notebook; all folders are absolute."""
        places = {"data_dir": "data", "report_dir": "reports", "source_dir": "source"}
        taken = parameters_of(self.notebook)
        folders = {
            name: str(folder)
            for name, place in places.items()
            if (folder := getattr(self.folders, place)) != getattr(Folders, place) and name in taken
        }
        variant = {"variant": self.variant} if self.variant else {}
        return {"study": self.study.study, **variant, **folders, **self.overrides}


def plan(study: str, folders: Folders | None = None, until: str = "") -> tuple[Job, ...]:
    """Return the jobs of a study, each after those that it needs.

    With ``until`` only that notebook and what it needs. Raises ``SettingsError`` for an unknown
    study, notebook or parameter, ``DataError`` where the study needs a folder that is not there,
    and ``RunError`` for a missing or broken notebook.
    """
    folders = folders or Folders()
    _check_project(provenance.PROJECT_DIR)
    chosen = settings.load(study)
    if chosen.published:
        claims.load(chosen.published)
    check_source(chosen, folders)
    _check_variants(chosen)
    jobs: dict[str, Job] = {}
    for notebook in wanted(until):
        variants = chosen.variants.get(notebook, {})
        for variant, overrides in {"": {}, **variants}.items():
            job = Job(notebook, variant, chosen, overrides, folders)
            job = replace(job, needs=tuple(_needed(job, jobs.values())))
            jobs[job.name] = with_digest(job, {name: jobs[name].digest for name in job.needs})
    return tuple(jobs.values())


def with_digest(job: Job, needed: Mapping[str, str]) -> Job:
    """Return the job with its digest, made of its code, parameters, data and ``needed`` digests.

    Markdown, comments and docstrings do not count, nor does the date of any file. Raises
    ``SettingsError`` for a parameter that the notebook does not take or of the wrong type, and
    ``RunError`` where the notebook is missing or broken.
    """
    source = job.folders.source if "source_dir" in job.parameters else None
    weights = from_parameters(job.notebook, job.parameters).classifier.weights_file
    files = CHAIN[job.notebook].files
    if job.notebook == LAST_NOTEBOOK and job.study.published:
        files += (job.study.published,)
    read = [provenance.PROJECT_DIR / name for name in files]
    read += [NOTEBOOKS_DIR / Path(weights).expanduser()] if weights else []
    cells = [cell for cell in cells_of(job.path) if cell["cell_type"] == "code"]
    sources = ["".join(cell["source"]) for cell in cells]
    parts = {
        "cells": [ast.dump(_parsed(job.path, source)) for source in sources],
        "code": provenance.imports_digest(sources),
        "study": job.study.model_dump(mode="json", exclude={"variants", "published"}),
        "overrides": dict(job.overrides),
        "source": listing(source, job.work_dir / "seen.json") if source else None,
        "files": [provenance.file_digest(path) if path.is_file() else "missing" for path in read],
        "needed": dict(needed),
    }
    return replace(job, digest=provenance.digest_of(parts))


def cells_of(path: str | Path) -> list[dict[str, Any]]:
    """Return all cells of a notebook's JSON; ``RunError`` where it is missing or no notebook."""
    try:
        cells: list[dict[str, Any]] = json.loads(Path(path).read_text(encoding="utf-8"))["cells"]
    except FileNotFoundError:
        raise RunError(f"{path}: this notebook is missing; take it from the repository") from None
    except (ValueError, KeyError, TypeError) as error:
        raise RunError(f"{path}: not a notebook ({error}); take it from the repository") from None
    return cells


def _parsed(path: Path, source: str) -> ast.Module:
    try:
        return ast.parse(source)
    except SyntaxError as error:
        raise RunError(
            f"{path}: a code cell is not Python: {error.msg} in {error.text!r}"
        ) from None


def _needed(job: Job, planned: Collection[Job]) -> Iterator[str]:
    step, study = CHAIN[job.notebook], job.study
    if "branches" in job.overrides:
        study = from_parameters(job.notebook, job.parameters)
    fuses = study.fusion.branches if set(BRANCHES) <= set(step.after) else ()
    branches = [split_run_name(branch) for branch in fuses]
    fused = {run_name(NETWORKS[network][0], variant) for network, variant in branches}
    if lacking := fused - {other.name for other in planned}:
        raise SettingsError(
            f"{job.study.study}.yml: {job.name} fuses what {min(lacking)} would train, which is no "
            "variant of the study; correct fusion.branches or add it"
        )
    for other in planned:
        read = other.notebook in step.after and (step.variants_too or not other.variant)
        if read or other.name in fused:
            yield other.name


def _check_project(project: Path) -> None:
    if os.pathsep in str(inputs.absolute(str(project))):
        raise RunError(
            f"{project}: Python divides its search path at {os.pathsep!r}, so that code of another "
            "folder could run; rename this folder"
        )


def check_source(study: settings.Study, folders: Folders) -> None:
    """Raise ``DataError`` where the study has no folder of patients, or where there is none."""
    if study.data.source == "folder" and folders.source is None:
        raise DataError(
            f"the study {study.study} reads patients from a folder: say which with DATA=/path"
        )
    if folders.source is not None and not folders.source.is_dir():
        raise DataError(f"{folders.source}: there is no such folder; DATA must name one")


def _check_variants(study: settings.Study) -> None:
    for notebook, variants in study.variants.items():
        if notebook not in CHAIN:
            raise SettingsError(
                f"{study.study}.yml: variants of {notebook!r}, which is no notebook: take one of "
                f"{', '.join(CHAIN)}"
            )
        if variants and "variant" not in parameters_of(notebook):
            raise SettingsError(f"{study.study}.yml: {notebook} takes no variants; remove them")
        wrong = [name for name in variants if not settings.NAME.fullmatch(name)]
        if wrong:
            raise SettingsError(
                f"{study.study}.yml: {wrong[0]!r} cannot name a variant: letters, digits, - and _"
            )
