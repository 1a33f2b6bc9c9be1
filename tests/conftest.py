"""What all tests share: where real patients are, if they are anywhere."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


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
