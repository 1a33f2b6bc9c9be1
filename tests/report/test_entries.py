"""What a study should have left beside what is there."""

import json
from pathlib import Path

import nbformat
import pytest
from nbformat import v4

from gliomalib import records, report
from tests.report import reading
from tests.report import small_study as small
from tests.report.reading import soup_of


def test_commands_repeat_the_run_without_this_machines_paths(small_folder: Path) -> None:
    report.build("small", small_folder)
    pages = [small_folder / "html" / f"{name}.html" for name in ("about", small.VARIANT)]
    commands = [
        tag.get_text() for page in pages for tag in soup_of(page).select("#again pre, .again pre")
    ]
    assert "make report STUDY=small" in commands
    wanted = json.dumps(
        {"study": "small", "variant": "half", "alpha": 0.25, "weights": "/path/to/w.pt"}
    )
    target = f"reports/small/notebooks/{small.VARIANT}.ipynb"
    assert f"papermill notebooks/05_fusion.ipynb {target} -y '{wanted}'" in commands
    assert not any("/home/me" in command for command in commands)


def test_deleted_record_shows_in_words(small_folder: Path) -> None:
    records.record_path(small_folder, "05_fusion").unlink()
    page = small.index_text(small_folder)
    assert "This report is not complete. Of 4 runs, 1 lacks" in page
    assert "05_fusion: It left no record" in page
    assert "It left no record" in small.text_of(small_folder / "html" / "05_fusion.html")


def test_missing_notebook_shows_in_words(small_folder: Path) -> None:
    report.build("small", small_folder)
    (small_folder / "notebooks" / "05_fusion.ipynb").unlink()
    page = small.index_text(small_folder)
    assert "05_fusion: There is no executed copy" in page
    assert not (small_folder / "html" / "05_fusion.html").exists(), "a page of an older run is left"


def test_variant_that_did_not_run_is_missed(small_folder: Path) -> None:
    records.record_path(small_folder, small.VARIANT).unlink()
    (small_folder / "notebooks" / f"{small.VARIANT}.ipynb").unlink()
    page = small.index_text(small_folder)
    assert f"{small.VARIANT}: It has not run, or its results were deleted" in page
    told = small.text_of(small_folder / "html" / "05_fusion.html")
    assert "The same with other parameters: half missing" in told


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"cells": 3, "nbformat": 4}'])
def test_damaged_files_are_named(small_folder: Path, content: str) -> None:
    records.record_path(small_folder, "05_fusion").write_text(content)
    (small_folder / "notebooks" / "01_data_exploration.ipynb").write_text(content)
    page = small.index_text(small_folder)
    assert "01_data_exploration: Its executed copy cannot be read" in page
    assert "05_fusion: Its record cannot be read: records/05_fusion.json" in page


def test_a_notebook_that_stopped_is_named(small_folder: Path) -> None:
    notebook = small.make_notebook("05_fusion")
    error = v4.new_output(
        "error", ename="ValueError", evalue=small.ATTACK, traceback=[f"at {small.ATTACK}"]
    )
    notebook.cells[-1].outputs = [error]
    notebook.cells.append(v4.new_code_cell("never()", id="c9"))
    nbformat.write(notebook, small_folder / "notebooks" / "05_fusion.ipynb")
    page = small.index_text(small_folder)
    assert f"It stopped with an error: ValueError: {small.ATTACK}" in page
    assert "1 of its 4 code cells were not executed" in page
    own = small_folder / "html" / "05_fusion.html"
    assert "This cell stopped with an error." in small.text_of(own)
    assert reading.scripts(soup_of(own)) <= reading.own_scripts()


def test_unexpected_results_are_named(small_folder: Path) -> None:
    records.write(small.make_record("05_fusion.old", study="demo"), small_folder)
    page = small.index_text(small_folder)
    assert "05_fusion.old: There is no executed copy" in page
    assert "It is not in the study's list" in page
    assert "Its record belongs to the study 'demo'" in page


def test_damaged_verdict_table_is_named(small_folder: Path) -> None:
    path = small_folder / "tables" / "16_reproducibility_report.verdicts.csv"
    path.write_bytes(b"\xff\xfe\x00")
    page = small.index_text(small_folder)
    assert f"The claims are not decided: tables/{path.name} cannot be read; run notebook 16" in page
