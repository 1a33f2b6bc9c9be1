"""What could change the result of a notebook, as one digest."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from gliomalib import provenance, settings
from gliomalib.runner.chain import CHAIN
from gliomalib.runner.jobs import Job, RunError


def with_digest(job: Job, upstream: Mapping[str, str]) -> Job:
    """Return the job with its digest, made of its code, parameters, data and ``upstream``.

    Markdown, comments and docstrings do not count, nor does any file's date. Raises
    ``SettingsError`` for a parameter that the notebook does not take or of the wrong type.
    """
    settings.from_parameters(job.notebook, job.parameters)
    sources = code_cells(job.path)
    cells = [ast.dump(_parsed(job.path, source)) for source in sources]
    files = {name: _digest_of_file(name) for name in CHAIN[job.notebook].files}
    parts = {
        "cells": cells,
        "code": provenance.imports_digest(sources),
        "study": job.study.model_dump(mode="json", exclude={"variants"}),
        "own": dict(job.own),
        "source": _listing(job.folders.source) if "source_dir" in job.parameters else "",
        "files": files,
        "upstream": dict(upstream),
    }
    return replace(job, digest=provenance.digest_of(parts))


def code_cells(path: Path) -> list[str]:
    """Return the code cells of a notebook; raises ``RunError`` where it is missing or broken."""
    return [_source(cell) for cell in cells_of(path) if cell["cell_type"] == "code"]


def cells_of(path: Path) -> list[dict[str, Any]]:
    """Return all cells of a notebook file as they stand in its JSON."""
    try:
        cells: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["cells"]
    except FileNotFoundError:
        raise RunError(f"{path}: this notebook is missing; take it from the repository") from None
    except (ValueError, KeyError) as error:
        raise RunError(f"{path}: not a notebook ({error}); take it from the repository") from None
    return cells


def _source(cell: Mapping[str, Any]) -> str:
    return "".join(cell["source"])


def _parsed(path: Path, source: str) -> ast.Module:
    try:
        return ast.parse(source)
    except SyntaxError as error:
        raise RunError(
            f"{path}: a code cell is not Python: {error.msg} in {error.text!r}"
        ) from None


@lru_cache(maxsize=8)
def _listing(folder: Path) -> str:
    found = sorted(path for path in folder.rglob("*") if path.suffix in {".gz", ".nii", ".csv"})
    sizes = {str(path.relative_to(folder)): path.stat().st_size for path in found}
    return provenance.digest_of([str(folder), sizes])


def _digest_of_file(name: str) -> str:
    path = provenance.PROJECT_DIR / name
    return provenance.file_digest(path) if path.is_file() else "missing"
