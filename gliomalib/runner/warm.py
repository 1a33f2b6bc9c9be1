"""While a study runs, one process has loaded what notebooks need; each run is a fork of it.

Loading takes a run six seconds of a processor, most of what a short notebook needs. This module
starts that process and asks it; what it does is in ``loaded``.
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

ADDRESS = "GLIOMA_WARM"
"""Variable that says where that process listens; without it a run loads for itself."""

REFUSED = b"\xff"
"""What it answers where the code is no longer that which it loaded."""

PAYS_FROM = 3
"""Runs of a study from which one that loads everything is faster than each for itself."""

SERVER = (
    "import sys; from gliomalib.runner import loaded; words = loaded.words();"
    "from gliomalib.__main__ import main; sys.exit(main(words) if words else 0)"
)


@contextmanager
def loading(variables: Mapping[str, str], log: Path) -> Iterator[tuple[str, int]]:
    """Let a process load everything with ``variables``; yield where it listens, and a descriptor.

    It ends when nobody has that descriptor any more, at the end of this block at the latest.
    """
    # short, since the address of a socket has 100 signs at most
    with tempfile.TemporaryDirectory(prefix="gliomalib-") as folder, log.open("ab") as out:
        address = str(Path(folder) / "warm")
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(address)
            # what comes before everything is loaded waits
            listener.listen(64)
            process = subprocess.Popen(
                [sys.executable, "-P", "-c", SERVER, str(listener.fileno())],
                env=variables,
                pass_fds=(listener.fileno(),),
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=out,
            )
        try:
            yield address, process.stdin.fileno() if process.stdin else -1
        finally:
            # its standard input ends, and with it whatever still runs there
            process.communicate()


def run_there(words: Sequence[str]) -> int | None:
    """Run a command line in a fork of that process; return its exit code, None without any."""
    if not os.environ.get(ADDRESS):
        return None
    request = {"words": [*words], "folder": str(Path.cwd()), "variables": dict(os.environ)}
    with socket.socket(socket.AF_UNIX) as stream:
        try:
            stream.connect(os.environ[ADDRESS])
            socket.send_fds(stream, [json.dumps(request).encode() + b"\n"], [1, 2])
        except OSError:
            return None
        answer = b""
        while True:
            # the terminal interrupts the fork as well: let it end
            with suppress(KeyboardInterrupt):
                try:
                    answer = stream.recv(1)
                except ConnectionResetError:
                    # it ended before it took this
                    return None
                break
    return None if answer == REFUSED else answer[0] if answer else 1
