"""Executed notebooks as they are kept: no path of the machine, the words of today."""

import html
import json
from dataclasses import replace
from pathlib import Path

import nbformat
import pytest
from papermill.translators import PythonTranslator

from gliomalib import provenance
from gliomalib.runner import executed
from tests.nasty import NAMES
from tests.toy_project import FIRST, Project


def executed_notebook() -> nbformat.NotebookNode:
    """Return a notebook as papermill leaves it, with paths of the machine."""
    home = Path.home()
    root = provenance.PROJECT_DIR
    said = f"{root}/gliomalib/x.py:3 {home}/secret /tmp/ipykernel_71/42.py:1: {root}-other"
    picture = {"image/png": f"{root}/abc", "text/plain": f"{root}/abc"}
    cells = [
        nbformat.v4.new_markdown_cell("old words"),
        nbformat.v4.new_code_cell("x = 1", metadata={"tags": ["parameters"]}),
        nbformat.v4.new_code_cell("x = 2", metadata={"tags": ["injected-parameters"]}),
        nbformat.v4.new_code_cell(
            "y = x",
            metadata={
                "papermill": {"duration": 1.5, "start_time": "2026-01-01"},
                "execution": {"iopub.status.busy": "2026-01-01"},
            },
            outputs=[
                nbformat.v4.new_output("stream", text=said),
                nbformat.v4.new_output("display_data", data=picture),
            ],
        ),
    ]
    notebook = nbformat.v4.new_notebook(cells=cells)
    notebook.metadata["papermill"] = {"input_path": str(root), "duration": 3.0}
    return notebook


def test_executed_notebook_keeps_durations_and_no_paths(toy: Project) -> None:
    job = toy.planned()[FIRST]
    kept = executed.tidy(executed_notebook(), job)
    nbformat.validate(kept)
    stream, picture = kept.cells[3].outputs
    root = provenance.PROJECT_DIR
    assert stream.text == f"./gliomalib/x.py:3 ~/secret a cell:1: {root}-other"
    assert picture.data == {"image/png": f"{root}/abc"}, "text stands for it in a terminal only"
    assert kept.cells[3].metadata == {"papermill": {"duration": 1.5}}
    assert kept.metadata.papermill == {"duration": 3.0, "run": FIRST}
    assert "2026" not in json.dumps(kept)


@pytest.mark.parametrize("name", NAMES)
def test_a_folder_of_any_name_is_hidden_however_it_is_written(name: str, toy: Project) -> None:
    source = toy.root / name
    job = replace(toy.planned()[FIRST], folders=replace(toy.folders, source=source))
    ran = executed_notebook()
    ran.cells[2].source = PythonTranslator.codify({"source_dir": str(source)})
    outputs = ran.cells[3].outputs
    outputs[0].text = f"{source} {source!r} {[str(source)]}"
    outputs[1].data["text/html"] = html.escape(f"{source}/x.nii")
    kept = executed.tidy(ran, job)
    assert 'source_dir = "DATA"' in kept.cells[2].source
    assert kept.cells[3].outputs[0].text == "DATA PosixPath('DATA') ['DATA']".replace(
        "'DATA'", repr(str(source)).replace(repr(str(source))[1:-1], "DATA")
    )
    assert kept.cells[3].outputs[1].data["text/html"] == "DATA/x.nii"


def test_a_notebook_that_ended_itself_is_cut_off_there(toy: Project) -> None:
    ended = executed_notebook()
    output = nbformat.v4.new_output
    ended.cells[3].outputs = [
        output("stream", name="stdout", text="No images."),
        output("stream", name="stderr", text="To exit: use 'exit'."),
        output("error", ename="SystemExit", evalue="0", traceback=["SystemExit: 0"]),
    ]
    ended.cells += [nbformat.v4.new_markdown_cell("what follows"), nbformat.v4.new_code_cell("z")]
    kept = executed.tidy(ended, toy.planned()[FIRST])
    assert len(kept.cells) == 4
    assert [shown.text for shown in kept.cells[3].outputs] == ["No images."]


def test_reworded_text_reaches_the_executed_copy_and_code_does_not(toy: Project) -> None:
    job = toy.planned()[FIRST]
    job.executed.parent.mkdir(parents=True)
    kept = executed.tidy(executed_notebook(), job)
    nbformat.write(kept, job.executed)
    source = nbformat.v4.new_notebook(cells=[kept.cells[0], kept.cells[1], kept.cells[3]])
    source.cells[0] = nbformat.v4.new_markdown_cell("new words")
    source.cells.append(nbformat.v4.new_markdown_cell("more words"))
    nbformat.write(source, job.path)
    assert executed.refresh_text(job)
    after = nbformat.read(job.executed, as_version=4)
    assert [cell.source for cell in after.cells] == [
        "new words",
        "x = 1",
        "x = 2",
        "y = x",
        "more words",
    ]
    assert after.cells[3].outputs == kept.cells[3].outputs
    assert not executed.refresh_text(job)
    source.cells[2].source = "y = 3 * x"
    nbformat.write(source, job.path)
    assert not executed.refresh_text(job), "a copy that ran other code is left alone"


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"cells": [{}], "nbformat": 4}'])
def test_a_damaged_copy_is_left_to_the_report(text: str, toy: Project) -> None:
    job = toy.planned()[FIRST]
    provenance.write_atomic(job.executed, text)
    assert not executed.refresh_text(job)
    assert job.executed.read_text() == text
