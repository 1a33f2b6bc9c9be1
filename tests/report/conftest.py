"""Folders of finished studies that several test modules read or spoil."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from gliomalib import report
from tests import planted_report
from tests.report import small_cohort, small_study
from tests.test_browser import browser

__all__ = ["browser"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a finished study ``demo`` without pages, to be spoilt by one test."""
    return planted_report.fill(tmp_path / "reports" / "demo")


@pytest.fixture
def small_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a finished small study without pages, to be spoilt by one test."""
    small_study.plant_studies(tmp_path / "params", monkeypatch)
    return small_study.fill(tmp_path / "reports" / "small")


@pytest.fixture
def planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a finished study with pictures of patients and no pages, to be spoilt by one test."""
    small_study.plant_studies(tmp_path / "params", monkeypatch)
    return small_cohort.fill(tmp_path / "small")


@pytest.fixture(scope="module")
def small_report(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return a finished small study with its pages, to be read only."""
    base = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        small_study.plant_studies(base / "params", patch)
        folder = small_study.fill(base / "small")
        report.build("small", folder)
        yield folder
