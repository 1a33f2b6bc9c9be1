"""Locks: one process at a time."""

import os
from pathlib import Path

import pytest

from gliomalib.runner import locks
from gliomalib.runner.jobs import RunError


def test_lock_is_one_process_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "a" / "lock"
    with (
        locks.held(path, "the study"),
        pytest.raises(RunError, match=f"the study is being run.*number {os.getpid()}"),
        locks.held(path, "the study"),
    ):
        pass
    with locks.held(path, "the study"):
        pass
