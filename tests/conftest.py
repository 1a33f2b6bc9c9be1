"""What tests share: where real patients are, if they are anywhere, and a toy project."""

import os
from pathlib import Path

import pytest

from gliomalib import settings
from gliomalib.runner import jobs
from tests.toy_project import Project


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start with the study through all notebooks: it is the longest, the rest runs beside it."""
    items.sort(key=lambda item: item.path.name != "test_notebooks.py")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder with the ten real patients; tests that need it skip where it is not."""
    folder = os.environ.get("GLIOMA_REAL_DATA", "")
    if not folder:
        pytest.skip("GLIOMA_REAL_DATA does not point to real patients")
    return Path(folder)


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Toy project that this process takes for its own."""
    project = Project(tmp_path / "project")
    monkeypatch.setattr(jobs, "NOTEBOOKS_DIR", project.root / "notebooks")
    monkeypatch.setattr(settings, "STUDIES_DIR", project.root / "notebooks" / "params")
    return project
