"""What a study should have left beside what is there."""

from __future__ import annotations

import json
from pathlib import Path

import nbformat
import pytest
from nbformat import v4

from gliomalib import records, report
from tests.report.small_study import (
    ATTACK,
    VARIANT,
    fill,
    index_text,
    make_notebook,
    make_record,
    plant_studies,
    soup_of,
    text_of,
    verdict_table,
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a finished study without pages, to be spoilt by one test."""
    plant_studies(tmp_path / "params", monkeypatch)
    return fill(tmp_path / "reports" / "small")


def test_commands_repeat_the_run_without_this_machines_paths(folder: Path) -> None:
    soup = soup_of(report.build("small", folder))
    commands = [tag.get_text() for tag in soup.select("pre")]
    assert "make report STUDY=small" in commands
    wanted = json.dumps(
        {"study": "small", "variant": "half", "alpha": 0.25, "weights": "/path/to/w.pt"}
    )
    target = f"reports/small/notebooks/{VARIANT}.ipynb"
    assert f"papermill notebooks/05_fusion.ipynb {target} -y '{wanted}'" in commands
    assert not any("/home/me" in command for command in commands)


def test_deleted_record_shows_in_words(folder: Path) -> None:
    records.record_path(folder, "05_fusion").unlink()
    page = index_text(folder)
    assert "This report is not complete. Of 4 runs, 1 lacks" in page
    assert "05_fusion : It left no record" in page
    assert "It left no record" in text_of(folder / "html" / "05_fusion.html")
    assert soup_of(folder / "index.html").find(id="05_fusion").find("table") is None


def test_missing_notebook_shows_in_words(folder: Path) -> None:
    report.build("small", folder)
    (folder / "notebooks" / "05_fusion.ipynb").unlink()
    page = index_text(folder)
    assert "05_fusion : There is no executed copy" in page
    assert not (folder / "html" / "05_fusion.html").exists(), "a page of an older run is left"


def test_variant_that_did_not_run_is_missed(folder: Path) -> None:
    records.record_path(folder, VARIANT).unlink()
    (folder / "notebooks" / f"{VARIANT}.ipynb").unlink()
    assert f"{VARIANT} : It has not run, or its results were deleted" in index_text(folder)


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"cells": 3, "nbformat": 4}'])
def test_damaged_files_are_named(folder: Path, content: str) -> None:
    records.record_path(folder, "05_fusion").write_text(content)
    (folder / "notebooks" / "01_data_exploration.ipynb").write_text(content)
    page = index_text(folder)
    assert "01_data_exploration : Its executed copy cannot be read" in page
    assert "05_fusion : Its record cannot be read: records/05_fusion.json" in page


def test_a_notebook_that_stopped_is_named(folder: Path) -> None:
    notebook = make_notebook("05_fusion")
    error = v4.new_output("error", ename="ValueError", evalue=ATTACK, traceback=[f"at {ATTACK}"])
    notebook.cells[-1].outputs = [error]
    notebook.cells.append(v4.new_code_cell("never()", id="c9"))
    nbformat.write(notebook, folder / "notebooks" / "05_fusion.ipynb")
    page = index_text(folder)
    assert f"It stopped with an error: ValueError: {ATTACK}" in page
    assert "1 of its 4 code cells were not executed" in page
    own = folder / "html" / "05_fusion.html"
    assert "This cell stopped with an error." in text_of(own)
    assert not soup_of(own).find_all("script")


def test_unexpected_results_are_named(folder: Path) -> None:
    records.write(make_record("05_fusion.old"), folder)
    page = index_text(folder)
    assert "05_fusion.old : There is no executed copy" in page
    assert "It is not in the study's list" in page


def test_record_of_another_study_is_named(folder: Path) -> None:
    records.write(make_record("05_fusion", study="demo"), folder)
    assert "Its record belongs to the study 'demo'" in index_text(folder)


def test_verdict_table_without_a_column_is_named(folder: Path) -> None:
    path = folder / "tables" / "15_reproducibility_report.verdicts.csv"
    verdict_table().drop(columns=["verdict", "reason"]).to_csv(path, index=False)
    page = index_text(folder)
    assert "The claims are not decided: tables/15" in page
    assert "has no column verdict, reason" in page
