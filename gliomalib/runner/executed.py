"""Executed notebooks as they are kept: no paths of the machine, text as in the project."""

import html
import re
import sys
from itertools import islice
from pathlib import Path
from typing import Any, cast

import nbformat

from gliomalib import provenance
from gliomalib.parameters import INJECTED_TAG
from gliomalib.runner.jobs import Job, cells_of

BETWEEN_TAGS = re.compile(r">\s*\n\s*<")
CELL_FILE = re.compile(r"\S*/ipykernel_\d+/\d+\.py")


def tidy(notebook: nbformat.NotebookNode, job: Job) -> nbformat.NotebookNode:
    """Return a copy of an executed notebook with durations, without paths and dates.

    One that ended itself (``records.end_without_images``) is cut off there.
    """
    kept: nbformat.NotebookNode = notebook.copy()
    runtime = notebook.metadata.get("papermill", {}).get("duration")
    kept.metadata = nbformat.from_dict(
        {
            "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
            "language_info": {"name": "python"},
            "papermill": {"duration": runtime, "run": job.name},
        }
    )
    kept.cells = [_tidy_cell(cell, _names(job)) for cell in _until_end(notebook.cells)]
    return kept


def refresh_text(job: Job) -> bool:
    """Put the project's present markdown into the executed notebook; say if that changed it.

    A reworded sentence reruns nothing, and still reaches the report. Where the code cells are
    not those that ran, or the copy is damaged, nothing is touched.
    """
    try:
        ran = nbformat.read(job.executed, as_version=4)
        nbformat.validate(ran)
    except (nbformat.ValidationError, ValueError, LookupError, TypeError, AttributeError):
        # the report names a damaged copy
        return False
    present = cells_of(job.path)
    code = ["".join(c["source"]) for c in present if c["cell_type"] == "code"]
    written = [c for c in ran.cells if INJECTED_TAG not in c.metadata.get("tags", [])]
    if [c.source for c in written if c.cell_type == "code"] != code:
        return False
    cells = _with_present_text(ran.cells, present)
    if cells == ran.cells:
        return False
    ran.cells = cells
    provenance.write_atomic(job.executed, nbformat.writes(ran) + "\n")
    return True


def _with_present_text(
    ran: list[nbformat.NotebookNode], present: list[dict[str, Any]]
) -> list[nbformat.NotebookNode]:
    executed = iter([cell for cell in ran if cell.cell_type == "code"])
    cells: list[nbformat.NotebookNode] = []
    for cell in present:
        if cell["cell_type"] == "code":
            has_given = "parameters" in cell["metadata"].get("tags", [])
            cells += islice(executed, 2 if has_given else 1)
        else:
            cells.append(nbformat.from_dict({**cell, "source": "".join(cell["source"])}))
    return cells


def _until_end(cells: list[nbformat.NotebookNode]) -> list[nbformat.NotebookNode]:
    """Return the cells up to the one that ended the notebook, which said why before."""
    for number, cell in enumerate(cells):
        outputs = cell.get("outputs", [])
        # papermill raises any error but ``SystemExit`` with 0
        if any(output.output_type == "error" for output in outputs):
            cell.outputs = [output for output in outputs if output.get("name") == "stdout"]
            return cells[: number + 1]
    return cells


def _tidy_cell(cell: nbformat.NotebookNode, names: dict[str, str]) -> nbformat.NotebookNode:
    kept = _renamed(cell, names)
    kept.metadata.pop("execution", None)
    timing = kept.metadata.pop("papermill", {})
    if timing.get("duration") is not None:
        kept.metadata["papermill"] = {"duration": timing["duration"]}
    for output in kept.get("outputs", []):
        # what stands beside a table or a picture for a terminal: "<Figure size 640x480>"
        if len(output.get("data", {})) > 1:
            output["data"].pop("text/plain", None)
        if "text/html" in output.get("data", {}):
            output["data"]["text/html"] = BETWEEN_TAGS.sub("><", output["data"]["text/html"])
    if INJECTED_TAG in kept.metadata.get("tags", []):
        kept["id"] = INJECTED_TAG
    return cast(nbformat.NotebookNode, nbformat.from_dict(kept))


def _names(job: Job) -> dict[str, str]:
    """Return what stands for each folder of this machine, longest paths first."""
    folders = {
        provenance.PROJECT_DIR: ".",
        job.folders.data: "data",
        job.folders.reports: "reports",
        Path(sys.prefix): "python",
        Path(sys.base_prefix): "python",
        Path.home(): "~",
        **({job.folders.source: "DATA"} if job.folders.source else {}),
    }
    named = {str(path): name for path, name in folders.items() if len(path.parts) > 1}
    written = {form: name for path, name in named.items() for form in _forms(path)}
    # a folder inside another must be named before that one is
    return dict(sorted(written.items(), key=lambda entry: -len(entry[0])))


def _forms(path: str) -> set[str]:
    """Return how a path may stand in a notebook: itself, in code, as Python shows it, in HTML."""
    in_code = path.encode("unicode_escape").decode().replace('"', r"\"")
    return {path, in_code, repr(path)[1:-1], html.escape(path), html.escape(path, quote=False)}


def _renamed(value: Any, names: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return type(value)(
            {
                key: part if key.startswith("image/") else _renamed(part, names)
                for key, part in value.items()
            }
        )
    if isinstance(value, list):
        return [_renamed(part, names) for part in value]
    if not isinstance(value, str):
        return value
    value = CELL_FILE.sub("a cell", value)
    for path, name in names.items():
        # the whole path only: not the beginning of a longer name, nor the end of one
        value = re.sub(rf"(?<![\w.-]){re.escape(path)}(?![\w-])", name, value)
    return value
