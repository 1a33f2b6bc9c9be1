"""What all tests share: where real patients are, if they are anywhere."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder with the ten real patients; tests that need it skip where it is not."""
    folder = os.environ.get("GLIOMA_REAL_DATA", "")
    if not folder:
        pytest.skip("GLIOMA_REAL_DATA does not point to real patients")
    return Path(folder)
