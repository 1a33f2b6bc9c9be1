"""Runs and kernels that are forked from a loaded process do what fresh ones do, and end as they."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest

from gliomalib import provenance
from gliomalib.runner import jobs, warm
from tests.toy_project import FIRST, SECOND, Project, leave, write_notebook

ALONE = "14_efficiency"


class Warm(Project):
    """A toy project beside a process that has loaded everything."""

    address = ""

    def environment(self) -> dict[str, str]:
        return {**super().environment(), warm.ADDRESS: self.address}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warm]:
    """Give a toy project; the process loads for ten seconds, so that all tests share it."""
    root = tmp_path_factory.mktemp("warm") / "project"
    made = Warm(root).with_package()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(provenance, "PROJECT_DIR", root)
        patch.setattr(jobs, "NOTEBOOKS_DIR", root / "notebooks")
        patch.setattr(jobs.settings, "STUDIES_DIR", root / "notebooks" / "params")
        patch.setenv("PYTHONPATH", str(root))
        variables = {**os.environ, **made.planned()[FIRST].environment}
        with warm.loading(variables, root / "log.txt") as (made.address, _):
            yield made


def outputs(project: Project, notebook: str, address: str) -> list[str]:
    """Return what those cells of a notebook print that print, when it is run by ``run``."""
    done = subprocess.run(
        project.command("run", notebook, "--study", "toy"),
        cwd=project.root,
        env={**project.environment(), warm.ADDRESS: address},
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{notebook}: running\n{notebook}: done in ")
    executed = nbformat.read(project.root / f"reports/toy/notebooks/{notebook}.ipynb", 4)
    cells = [cell for cell in executed.cells if cell.cell_type == "code" and cell.outputs]
    return ["".join(output.get("text", "") for output in cell.outputs) for cell in cells]


LOADED = "import sys\nprint('torch' in sys.modules)"

SURROUNDINGS = """
import json, os, signal, sys, threading, logging, warnings
from multiprocessing import resource_tracker
apart = ("JPY_PARENT_PID", "JPY_SESSION_NAME", "GLIOMA_WARM", "_")
print(json.dumps({
    "variables": {name: text for name, text in os.environ.items() if name not in apart},
    "folder": os.getcwd(),
    "path": sorted(sys.path),
    "python": [sys.executable, sys.flags.optimize, sys.flags.no_user_site],
    "main": [__name__, "__file__" in globals(), sorted(n for n in globals() if n[0] != "_")],
    "interrupt": str(signal.getsignal(signal.SIGINT)),
    "child": str(signal.getsignal(signal.SIGCHLD)),
    "session": os.getsid(0) == os.getpid() == os.getpgid(0),
    "shell": str(type(get_ipython())),
    "log": logging.getLogger("gliomalib").level,
}, sort_keys=True))
"""

NUMBERS = """
import hashlib, random
import numpy as np, torch
from gliomalib.networks import models
print(torch.get_num_threads(), torch.initial_seed(), torch.random.default_generator.initial_seed())
torch.manual_seed(0)
net = torch.nn.Sequential(torch.nn.Conv3d(2, 8, 3), torch.nn.ReLU(), torch.nn.Conv3d(8, 3, 3))
steps = torch.optim.AdamW(net.parameters())
for _ in range(3):
    loss = net(torch.randn(2, 2, 17, 13, 11)).softmax(1).square().mean()
    loss.backward()
    steps.step()
    print(loss.item().hex())
numbers = np.random.default_rng(0).normal(size=(301, 203)).astype(np.float32)
made = (numbers @ numbers.T, np.linalg.svd(numbers)[1], numbers.sum(), np.exp(numbers).mean(0))
for part in (*made, *(p.detach().numpy() for p in net.parameters())):
    print(hashlib.sha256(np.asarray(part).tobytes()).hexdigest())
"""


def test_a_forked_kernel_has_the_surroundings_of_a_fresh_one_and_its_numbers(project: Warm) -> None:
    write_notebook(project.root, FIRST, LOADED, SURROUNDINGS, NUMBERS, leave(FIRST))
    loaded, around, numbers = outputs(project, FIRST, project.address)
    fresh, *others = outputs(project, FIRST, "")
    assert (loaded, fresh) == ("True\n", "False\n")
    assert json.loads(around) == json.loads(others[0])
    assert numbers == others[1]


def test_what_measures_time_loads_for_itself(project: Warm) -> None:
    write_notebook(project.root, ALONE, LOADED, leave(ALONE))
    assert outputs(project, ALONE, project.address) == ["False\n"]


def test_it_says_what_a_run_says(project: Warm) -> None:
    for address in (project.address, ""):
        project.address, kept = address, project.address
        done = project.call("run", "18_none", "--study", "toy")
        project.address = kept
        assert done.returncode == 1
        assert done.stderr.startswith("error: there is no notebook '18_none'")
        assert done.stdout == ""


def test_other_code_is_not_run_by_what_was_loaded_before(project: Warm) -> None:
    write_notebook(project.root, FIRST, LOADED, leave(FIRST))
    module = project.root / "gliomalib" / "toy.py"
    text = module.read_text()
    module.write_text(f"{text}\nMORE = 1\n")
    assert outputs(project, FIRST, project.address) == ["False\n"]
    module.write_text(text)
    assert outputs(project, FIRST, project.address) == ["True\n"]


def test_where_nobody_listens_a_run_loads_for_itself(project: Warm) -> None:
    write_notebook(project.root, FIRST, LOADED, leave(FIRST))
    nobody = str(project.root / "nobody")
    assert outputs(project, FIRST, nobody) == ["False\n"]


WAIT = """
import os, pathlib, time
pathlib.Path("../pids.txt").write_text(f"{os.getpid()} {os.getppid()}")
time.sleep(60)
"""


@pytest.mark.parametrize("killed", ["who asked", "the run", "the kernel"])
def test_one_of_three_that_is_killed_takes_the_others_along(killed: str, project: Warm) -> None:
    write_notebook(project.root, SECOND, WAIT, leave(SECOND))
    noted = project.root / "pids.txt"
    noted.unlink(missing_ok=True)
    words = project.command("run", SECOND, "--study", "toy")
    asking = subprocess.Popen(
        words, cwd=project.root, env=project.environment(), stderr=subprocess.PIPE, text=True
    )
    wait_for(lambda: noted.is_file() and noted.read_text() != "")
    kernel, run = map(int, noted.read_text().split())
    pid = {"who asked": asking.pid, "the run": run, "the kernel": kernel}[killed]
    os.kill(pid, signal.SIGKILL)
    _, said = asking.communicate(timeout=300)
    assert asking.returncode == (-signal.SIGKILL if killed == "who asked" else 1)
    if killed == "the kernel":
        assert "its process ended before the notebook did" in said
    wait_for(lambda: not any(map(alive, (kernel, run))))
    assert outputs_after(project) == "True\n", "it still serves"


def outputs_after(project: Warm) -> str:
    write_notebook(project.root, SECOND, LOADED, leave(SECOND))
    return outputs(project, SECOND, project.address)[0]


def test_it_has_one_thread_when_it_forks(project: Warm) -> None:
    if sys.platform != "linux":
        pytest.skip("threads are counted in /proc")
    write_notebook(project.root, SECOND, WAIT, leave(SECOND))
    parents = [
        int(path.parent.name)
        for path in Path("/proc").glob("[0-9]*/environ")
        if project.root.name and _is_server(path.parent, project)
    ]
    assert len(parents) == 1
    assert "\nThreads:\t1\n" in Path(f"/proc/{parents[0]}/status").read_text()


def test_it_ends_with_the_block(project: Warm, tmp_path: Path) -> None:
    with warm.loading({**os.environ}, tmp_path / "log.txt") as (address, _):
        assert Path(address).exists()
    assert not Path(address).parent.exists()
    assert (tmp_path / "log.txt").read_text() == ""


def _is_server(process: Path, project: Warm) -> bool:
    try:
        command = (process / "cmdline").read_bytes().decode()
        return warm.SERVER in command and str(project.root) in (process / "environ").read_text()
    except OSError:
        return False


def wait_for(condition: object) -> None:
    """Wait until ``condition`` holds; fail after five minutes."""
    deadline = time.monotonic() + 300
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(") ")[-1][0] != "Z"
    except OSError:
        return False
