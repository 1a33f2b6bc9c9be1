"""What a study should have left behind, beside what is there."""

import ast
import csv
import io
import json
import re
import shlex
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from nbformat import NotebookNode

from gliomalib import parameters, records, settings
from gliomalib.parameters import INJECTED_TAG, LAST_NOTEBOOK
from gliomalib.provenance import PROJECT_DIR
from gliomalib.report import notebooks, phrases
from gliomalib.schema import Record, RecordError, run_name, split_run_name

Content = TypeVar("Content")

VERDICTS = f"{LAST_NOTEBOOK}.verdicts"
"""The table of verdicts."""

VERDICT_COLUMNS = ("claim", "statement", "published", "obtained", "verdict", "reason", "notebook")
"""What no row of it may lack."""

FOLDERS = ("data_dir", "report_dir")
"""Parameters that say where files lie on one machine, and nothing about a result."""

ABSENT = {
    (False, False): "It has not run, or its results were deleted: no record, no executed copy.",
    (False, True): "It left no record: it did not finish, and what its page shows does not count.",
    (True, False): "There is no executed copy: its values cannot be read beside their code.",
}
"""Whether there is a record, and an executed copy → what is to be said of it."""


@dataclass(frozen=True)
class Entry:
    """One expected run of a notebook, with what was found of it.

    ``problems`` are sentences that a reader must see before the numbers; ``missing`` says that
    the record or the executed copy is absent or unusable. ``rule`` is the decision rule that the
    notebook states before its result. ``command`` runs it alone with its parameters, ``shortest``
    is the shortest way to make its figures and tables once more.
    """

    name: str
    heading: str
    question: str
    rule: str
    record: Record | None
    executed: NotebookNode | None
    problems: tuple[str, ...]
    command: str
    shortest: str
    tables: tuple[str, ...]

    @property
    def notebook(self) -> str:
        """The notebook, without the variant."""
        return split_run_name(self.name)[0]

    @property
    def variant(self) -> str:
        """The variant, empty for the study's own run."""
        return split_run_name(self.name)[1]

    @property
    def missing(self) -> bool:
        """Whether the record or the executed copy is not there."""
        return self.record is None or self.executed is None


def expected(study: settings.Study) -> list[str]:
    """Return the names of all runs of a study: each notebook, followed by its variants."""
    return [
        run_name(notebook, variant)
        for notebook in parameters.NOTEBOOKS
        for variant in ("", *study.variants.get(notebook, {}))
    ]


def entries(study: settings.Study, report_dir: Path) -> list[Entry]:
    """Return every expected run, and after its notebook every run that nobody expected."""
    wanted = expected(study)
    found = [*report_dir.glob("records/*.json"), *report_dir.glob("notebooks/*.ipynb")]
    extra = sorted({path.stem for path in found} - set(wanted))
    order = sorted([*wanted, *extra], key=lambda name: split_run_name(name)[0])
    return [_entry(study, report_dir, name, name in wanted) for name in order]


def rows(report_dir: Path, table: str, needs: Collection[str] = ()) -> list[dict[str, str]]:
    """Return the rows of a table, ``05_fusion.scores``, as text.

    Raises ``RecordError`` where the table is missing, damaged or without a column that it needs.
    """
    path, run = records.table_path(report_dir, table), table.partition(".")[0]
    if not path.is_file():
        raise RecordError(f"tables/{path.name} is missing; run notebook {run}")
    try:
        reader = csv.DictReader(io.StringIO(records.table_text(path), ""), strict=True)
        content = list(reader)
        # the reader puts None where a row is shorter or longer than the heads
        cells = ((*row, *row.values()) for row in content)
        if not {*needs} <= {*(reader.fieldnames or ())} or any(None in row for row in cells):
            raise ValueError("not the columns that it should have")
        return content
    except (ValueError, csv.Error):
        raise RecordError(f"tables/{path.name} cannot be read; run notebook {run} again") from None


def readable(report_dir: Path) -> tuple[dict[str, Record], list[str]]:
    """Return the records of a study by the names of their runs, and what is damaged."""
    paths = sorted(report_dir.glob("records/*.json"), key=lambda path: split_run_name(path.stem))
    read = {path.stem: _readable(path, records.read) for path in paths}
    made = {name: record for name, (record, _) in read.items() if record is not None}
    return made, [fault for _, fault in read.values() if fault]


def _entry(study: settings.Study, report_dir: Path, name: str, is_expected: bool) -> Entry:
    path = records.record_path(report_dir, name)
    record, record_fault = _readable(path, records.read)
    path = report_dir / "notebooks" / f"{name}.ipynb"
    executed, notebook_fault = _readable(path, notebooks.read)
    faults = {"record": record_fault, "executed copy": notebook_fault}
    problems = [f"Its {what} cannot be read: {fault}." for what, fault in faults.items() if fault]
    absent = ABSENT.get((bool(record or record_fault), bool(executed or notebook_fault)))
    problems += [absent] if absent else []
    problems += _doubts(study, record, executed)
    if not is_expected:
        problems.append("It is not in the study's list: left from earlier, or run by hand.")
    text = next(iter(texts(name, executed)), "")
    command, shortest = _commands(study, name, executed)
    return Entry(
        name=name,
        heading=_heading(name, text),
        question=paragraph("Question", text),
        rule=paragraph("Rule", text),
        record=record,
        executed=executed,
        problems=tuple(problems),
        command=command,
        shortest=shortest,
        tables=tuple(path.name for path in records.tables_of(report_dir, name)),
    )


def _readable(path: Path, read_file: Callable[[Path], Content]) -> tuple[Content | None, str]:
    """Return the content of a file, None where it is missing or damaged, and what is wrong."""
    if not path.is_file():
        return None, ""
    try:
        return read_file(path), ""
    except RecordError as error:
        # the page is read elsewhere: a folder of this machine would say nothing there
        return None, str(error).replace(f"{path.parents[1]}/", "")


def _doubts(
    study: settings.Study, record: Record | None, executed: NotebookNode | None
) -> list[str]:
    doubts = []
    if record is not None and record.study != study.study:
        doubts.append(f"Its record belongs to the study {record.study!r}, not to this one.")
    cells = [] if executed is None else executed.cells
    code = [cell for cell in cells if cell.cell_type == "code" and cell.source.strip()]
    doubts += [
        f"It stopped with an error: {output.ename}: {output.evalue}"
        for cell in code
        for output in cell.outputs
        if output.output_type == "error"
    ]
    idle = sum(cell.execution_count is None for cell in code)
    if idle:
        doubts.append(f"{idle} of its {len(code)} code cells were not executed.")
    return doubts


def _heading(name: str, text: str) -> str:
    notebook, variant = split_run_name(name)
    match = re.search(r"^#\s+(.+?)\s*#*$", text, re.MULTILINE)
    heading = _plain(match[1]) if match else ""
    # the number stands beside the heading already
    heading = re.sub(r"^\d+\s*[·:.–—-]?\s*", "", heading) or notebook
    return f"{heading} ({variant})" if variant else heading


def texts(name: str, executed: NotebookNode | None) -> list[str]:
    """Return the text cells of a run: of the executed copy, else of the notebook in the project."""
    path = PROJECT_DIR / "notebooks" / f"{split_run_name(name)[0]}.ipynb"
    notebook = _readable(path, notebooks.read)[0] if executed is None else executed
    cells = [] if notebook is None else notebook.cells
    return [str(cell.source) for cell in cells if cell.cell_type == "markdown"]


def paragraph(label: str, text: str) -> str:
    """Return the paragraph that begins with ``**label.**``, without the label, as plain text."""
    match = re.search(rf"^\*\*{label}[.:]?\*\*[.:]?\s*(.+?)(?=\n\s*\n|\Z)", text, re.M | re.S)
    return _plain(match[1]) if match else ""


def _plain(markdown: str) -> str:
    without_links = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", markdown)
    without_marks = re.sub(r"[*`]|^[#>\s]+|(?<!\w)_|_(?!\w)", "", without_links, flags=re.MULTILINE)
    return " ".join(without_marks.split())


def _commands(study: settings.Study, name: str, executed: NotebookNode | None) -> tuple[str, str]:
    """Return the command that runs one notebook with the parameters of a run, and the shortest.

    The shortest gives the run as it was: by hand, as a variant, or by make.
    """
    notebook, variant = split_run_name(name)
    planned = {"study": study.study, **({"variant": variant} if variant else {})}
    planned |= study.variants.get(notebook, {}).get(variant, {})
    parameters = _portable({**planned, **_injected(executed)})
    target = f"reports/{study.study}/notebooks/{name}.ipynb"
    text = json.dumps(parameters, ensure_ascii=False)
    by_hand = shlex.join(["papermill", f"notebooks/{notebook}.ipynb", target, "-y", text])
    if parameters != _portable(planned):
        return by_hand, by_hand
    if variant:
        words = [".venv/bin/python", "-m", "gliomalib", "run", notebook, "--study", study.study]
        source = ["--source", "/path/to/data"] if study.real_data else []
        return by_hand, shlex.join([*words, "--variant", variant, *source])
    data = " DATA=/path/to/data" if study.real_data else ""
    return by_hand, f"make report STUDY={study.study} UNTIL={notebook}{data}"


def _injected(executed: NotebookNode | None) -> dict[str, Any]:
    cells = [] if executed is None else executed.cells
    source = "".join(c.source for c in cells if INJECTED_TAG in c.metadata.get("tags", []))
    try:
        lines = [node for node in ast.parse(source).body if isinstance(node, ast.Assign)]
        return {ast.unparse(node.targets[0]): ast.literal_eval(node.value) for node in lines}
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError):
        # the cell is shown on its page all the same
        return {}


def _portable(parameters: Mapping[str, Any]) -> dict[str, Any]:
    said = {k: v for k, v in parameters.items() if k not in FOLDERS and v not in (None, "")}
    return {name: phrases.portable(value) for name, value in said.items()}
