"""Two runs of a small study, equal until a test changes one."""

import shutil
from pathlib import Path

import pytest

from tests.report.compare.two_runs import make_report


@pytest.fixture
def a(tmp_path: Path) -> Path:
    return make_report(tmp_path / "one" / "smoke")


@pytest.fixture
def b(a: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(a, tmp_path / "two" / "smoke"))
