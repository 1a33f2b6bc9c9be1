"""Locks: one process at a time."""

import errno
import fcntl
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


@pytest.mark.parametrize(
    ("module", "name", "number"),
    [(fcntl, "flock", errno.ENOLCK), (os, "pwrite", errno.ENOSPC)],
)
def test_a_disk_that_takes_no_lock_is_named(
    module: object, name: str, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(module, name, refuse)
    with (
        pytest.raises(OSError, match=os.strerror(number)) as caught,
        locks.held(tmp_path / "x", ""),
    ):
        pass
    assert caught.value.filename == str(tmp_path / "x")
