"""The process that forks for each request: what reaches a fork, and how either end is told."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gliomalib import provenance
from gliomalib.runner import loaded, warm

SERVER = """
import sys
from gliomalib.runner import loaded
loaded.load = lambda: sys.stdout.write("out ") and sys.stderr.write("err ")
words = loaded.words()
if words:
    exec(words[0])
"""
"""Loads nothing, and runs what it is asked as code."""

ASK = """
import sys
from gliomalib.runner.warm import run_there
code = run_there(sys.argv[1:])
sys.exit(99 if code is None else code)
"""


class Asked:
    """A process that asks for a piece of code to be run, in ``folder``."""

    def __init__(self, code: str, address: str, folder: Path, **variables: str) -> None:
        environment = {**os.environ, "PYTHONPATH": str(provenance.PROJECT_DIR), **variables}
        self.process = subprocess.Popen(
            [sys.executable, "-c", ASK, code],
            cwd=folder,
            env={**environment, warm.ADDRESS: address},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def end(self) -> tuple[int, str, str]:
        out, err = self.process.communicate(timeout=300)
        return self.process.returncode, out, err


@pytest.fixture
def address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(warm, "SERVER", SERVER)
    variables = {**os.environ, "PYTHONPATH": str(provenance.PROJECT_DIR)}
    with warm.loading(variables, tmp_path / "log.txt") as (place, _):
        yield place
    assert sorted((tmp_path / "log.txt").read_text().split()) == ["err", "out"]


def test_a_fork_has_streams_folder_and_environment_of_who_asks(
    address: str, tmp_path: Path
) -> None:
    code = (
        "import json, os\n"
        "print(json.dumps([os.getcwd(), os.environ['ASKED'], 'GLIOMA_WARM' in os.environ]))\n"
        "for stream in (sys.stdout, sys.stderr):\n    stream.reconfigure(errors='replace')\n"
        "print('said', file=sys.stderr)\nsys.exit(7)"
    )
    status, out, err = Asked(code, address, tmp_path, ASKED="one\ntwo").end()
    assert (status, err) == (7, "said\n")
    assert json.loads(out) == [str(tmp_path.resolve()), "one\ntwo", False]


def test_forks_run_side_by_side_and_know_nothing_of_one_another(
    address: str, tmp_path: Path
) -> None:
    meet = (
        "import pathlib, time\npathlib.Path('{me}').touch()\n"
        "while not pathlib.Path('{other}').exists(): time.sleep(0.02)\n"
        "print('{me}', 'mine' in globals())\nmine = 1"
    )
    names = [("a", "b"), ("b", "a")]
    both = [Asked(meet.format(me=x, other=y), address, tmp_path) for x, y in names]
    assert [each.end() for each in both] == [(0, f"{me} False\n", "") for me, _ in names]


@pytest.mark.parametrize(
    ("code", "status"),
    [("", 0), ("sys.exit(254)", 254), ("sys.exit(255)", 1), ("1 / 0", 1)],
)
def test_the_exit_code_is_that_of_the_fork(
    code: str, status: int, address: str, tmp_path: Path
) -> None:
    assert Asked(f"pass\n{code}", address, tmp_path).end()[0] == status


def test_a_fork_that_is_killed_is_a_failure(address: str, tmp_path: Path) -> None:
    code = "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)"
    assert Asked(code, address, tmp_path).end()[0] == 1
    assert Asked("print(1)", address, tmp_path).end() == (0, "1\n", "")


def test_who_is_killed_takes_the_fork_along(address: str, tmp_path: Path) -> None:
    code = (
        "import os, pathlib, time\npathlib.Path('pid').write_text(str(os.getpid()))\n"
        "time.sleep(200)"
    )
    asked = Asked(code, address, tmp_path)
    wait_for(lambda: (tmp_path / "pid").is_file() and (tmp_path / "pid").read_text() != "")
    asked.process.kill()
    asked.end()
    wait_for(lambda: not Path(f"/proc/{(tmp_path / 'pid').read_text()}").exists())
    assert Asked("print(1)", address, tmp_path).end() == (0, "1\n", "")


def test_an_interrupt_is_for_the_fork_whose_end_is_waited_for(address: str, tmp_path: Path) -> None:
    code = (
        "import os, pathlib, time\npathlib.Path('pid').write_text(str(os.getpid()))\n"
        "try:\n    time.sleep(200)\nexcept KeyboardInterrupt:\n    sys.exit(5)"
    )
    asked = Asked(code, address, tmp_path)
    wait_for(lambda: (tmp_path / "pid").is_file() and (tmp_path / "pid").read_text() != "")
    asked.process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    assert asked.process.poll() is None
    os.kill(int((tmp_path / "pid").read_text()), signal.SIGINT)
    assert asked.end()[0] == 5


def test_a_request_without_an_end_harms_no_other(address: str, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as stream:
        stream.connect(address)
        stream.sendall(b'{"words": ')
    assert Asked("print(1)", address, tmp_path).end() == (0, "1\n", "")


def test_other_code_than_was_loaded_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(warm, "SERVER", SERVER)
    shutil.copytree(provenance.PACKAGE_DIR, tmp_path / "gliomalib")
    variables = {**os.environ, "PYTHONPATH": str(tmp_path)}
    with warm.loading(variables, tmp_path / "log.txt") as (place, _):
        assert Asked("print(1)", place, tmp_path).end() == (0, "1\n", "")
        module = tmp_path / "gliomalib" / "digits.py"
        text = module.read_text()
        module.write_text(f"{text}\nMORE = 1\n")
        assert Asked("print(1)", place, tmp_path).end() == (99, "", "")
        module.write_text(text)
        assert Asked("print(1)", place, tmp_path).end() == (0, "1\n", "")


def test_without_an_address_or_anybody_there_nobody_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for address in ("", str(tmp_path / "nobody")):
        monkeypatch.setenv(warm.ADDRESS, address)
        assert warm.run_there(["run"]) is None


def test_a_kernel_is_forked_only_from_what_was_loaded_with_its_variables(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert not loaded.fits({})
    monkeypatch.setitem(loaded.variables_when_loaded, "OMP_NUM_THREADS", "1")
    assert loaded.fits({"OMP_NUM_THREADS": "1"})
    assert not loaded.fits({"OMP_NUM_THREADS": "2"})
    assert not loaded.fits({"OMP_NUM_THREADS": "1", "IPYTHONDIR": "x"})


def wait_for(condition: object) -> None:
    """Wait until ``condition`` holds; fail after five minutes."""
    deadline = time.monotonic() + 300
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)
