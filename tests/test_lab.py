"""``make lab``: the server listens to this machine alone and answers nobody without its token."""

import json
import os
import re
import shlex
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gliomalib.provenance import PROJECT_DIR

CARELESS = """
c.ServerApp.ip = "0.0.0.0"
c.ServerApp.allow_remote_access = True
c.ServerApp.allow_origin = "*"
c.IdentityProvider.token = ""
c.PasswordIdentityProvider.password_required = False
"""
"""What a container or an old tutorial may have left in the configuration of a user."""

SECONDS = 60


def command() -> list[str]:
    """Return the words of the recipe, with this very Python and without a browser."""
    text = (PROJECT_DIR / "Makefile").read_text()
    recipe = re.search(r"^lab:.*\n\t@(.+)$", text, re.MULTILINE)
    assert recipe
    words = shlex.split(recipe[1].replace("$(BIN)/python", sys.executable))
    return ["env", *words, "--no-browser", "--allow-root", "--ServerApp.port=0"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """Start the lab of a careless user; give what the server says of itself."""
    home = tmp_path_factory.mktemp("home")
    (home / ".jupyter").mkdir()
    for name in ("jupyter_server_config.py", "jupyter_lab_config.py"):
        (home / ".jupyter" / name).write_text(CARELESS)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("JUPYTER")}
    environment = {**kept, "HOME": str(home), "JUPYTER_RUNTIME_DIR": str(home / "runtime")}
    with (home / "log").open("w") as log:
        started = subprocess.Popen(
            command(), cwd=PROJECT_DIR, env=environment, stdout=log, stderr=log
        )
    try:
        yield _says(home / "runtime", started, home / "log")
    finally:
        started.terminate()
        started.wait(SECONDS)


def _says(runtime: Path, started: subprocess.Popen[bytes], log: Path) -> dict[str, Any]:
    for _ in range(10 * SECONDS):
        for path in runtime.glob("jpserver-*.json"):
            return dict(json.loads(path.read_text()))
        assert started.poll() is None, log.read_text()
        time.sleep(0.1)
    raise AssertionError(log.read_text())


def answer(server: dict[str, Any], **headers: str) -> int:
    address = f"http://127.0.0.1:{server['port']}/api/contents"
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(urllib.request.Request(address, headers=headers), timeout=20) as reply:
            return int(reply.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_it_listens_to_this_machine_alone(server: dict[str, Any]) -> None:
    assert server["hostname"] in ("localhost", "127.0.0.1")
    assert not server["password"] and len(server["token"]) == 48


def test_nobody_gets_in_without_the_token(server: dict[str, Any]) -> None:
    assert answer(server) == 403
    assert answer(server, Authorization="token guessed") == 403
    assert answer(server, Authorization=f"token {server['token']}") == 200
    # a page of the web that calls this machine by a name of its own
    assert answer(server, Host="example.org", Authorization=f"token {server['token']}") == 403
