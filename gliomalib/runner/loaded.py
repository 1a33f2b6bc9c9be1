"""The process that ``warm`` starts: it loads everything once, and forks itself for each run.

It loads in the environment of a kernel and without any thread, so that a fork starts from the
state of a fresh interpreter: its numbers are the same.
"""

import gc
import importlib
import json
import os
import selectors
import signal
import socket
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gliomalib import provenance
from gliomalib.runner.warm import ADDRESS, REFUSED

variables_when_loaded: dict[str, str] = {}
"""The environment in which this process loaded everything; empty in any other process."""


def fits(variables: Mapping[str, str]) -> bool:
    """Whether this process has loaded everything, and with these variables."""
    return bool(variables_when_loaded) and variables_when_loaded.items() >= variables.items()


def words() -> list[str]:
    """Serve at the socket whose descriptor the command line gives.

    Returns the words of a command line in each fork, and none at the end in this process itself.
    """
    listener, digest = socket.socket(fileno=int(sys.argv[1])), sources()
    load()
    return Server(listener, digest).serve()


def sources() -> str:
    """Return a digest of the files of the package as they are now."""
    paths = provenance.modules()
    return provenance.digest_of({name: provenance.file_digest(paths[name]) for name in paths})


def load() -> None:
    """Import what runs and kernels need, and parse the package for their digests."""
    variables_when_loaded.update(os.environ)
    rooms = (name for name in provenance.modules() if name and name.split(".")[0] != "report")
    modules = [f"{provenance.PACKAGE_DIR.name}.{name}" for name in sorted(rooms)]
    provenance.package_digest(without=())
    provenance.imports_digest(f"import {name}" for name in modules)
    for name in ("ipykernel.ipkernel", *modules):
        importlib.import_module(name)
    # what is loaded lives as long as the process: no fork looks through it again
    gc.collect()
    gc.freeze()


@dataclass
class Server:
    """Forks a process for each request, until standard input ends."""

    listener: socket.socket
    digest: str
    runs: dict[int, socket.socket] = field(default_factory=dict)
    ends: tuple[socket.socket, socket.socket] = field(default_factory=socket.socketpair)
    """Where the system writes when a run ends, and where that is read."""

    def serve(self) -> list[str]:
        """Return the words that a fork has to run; in the process itself, at its end, none."""
        self.ends[0].setblocking(False)
        signal.set_wakeup_fd(self.ends[0].fileno())
        signal.signal(signal.SIGCHLD, lambda *_: None)
        # else each fork would write what is left in them
        sys.stdout.flush()
        sys.stderr.flush()
        # an interrupt from the terminal is for the runs
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        while True:
            with selectors.DefaultSelector() as waiting:
                for source in (self.listener, self.ends[1], sys.stdin, *self.runs.values()):
                    waiting.register(source, selectors.EVENT_READ)
                ready = [key.fileobj for key, _ in waiting.select()]
            for pid, stream in list(self.runs.items()):
                if stream in ready:
                    # whoever asked is gone
                    os.kill(pid, signal.SIGKILL)
            if self.ends[1] in ready:
                self.ends[1].recv(4096)
            self._answer()
            if self.listener in ready and (words := self._accept()):
                return words
            if sys.stdin in ready:
                for pid in self.runs:
                    os.kill(pid, signal.SIGKILL)
                return []

    def _answer(self) -> None:
        """Tell how runs ended."""
        for pid in list(self.runs):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                with self.runs.pop(pid) as stream:
                    code = os.waitstatus_to_exitcode(status)
                    _send(stream, bytes([code if 0 <= code < REFUSED[0] else 1]))

    def _accept(self) -> list[str]:
        """Take a request and fork; return the words of it in the fork, none in this process."""
        stream, _ = self.listener.accept()
        text, streams, _, _ = socket.recv_fds(stream, 1 << 16, 2)
        while not text.endswith(b"\n") and (more := stream.recv(1 << 16)):
            text += more
        pid = 0
        if not text.endswith(b"\n"):
            stream.close()
        elif sources() != self.digest:
            _send(stream, REFUSED)
            stream.close()
        elif pid := os.fork():
            self.runs[pid] = stream
        else:
            return self._become(json.loads(text), [stream, *self.runs.values()], streams)
        for number in streams:
            os.close(number)
        return []

    def _become(
        self, request: dict[str, Any], inherited: list[socket.socket], streams: list[int]
    ) -> list[str]:
        """Be the process that was asked for: its streams, signals, folder and environment."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for held in (self.listener, *self.ends, *inherited):
            held.close()
        with Path(os.devnull).open("rb") as nothing:
            for number, stream in enumerate((nothing.fileno(), *streams)):
                os.dup2(stream, number)
        for stream in streams:
            os.close(stream)
        for number, name in ((1, "stdout"), (2, "stderr")):
            # the former one may remember a place in the file of another
            old = getattr(sys, name)
            new = os.fdopen(number, "w", 1, old.encoding, old.errors, closefd=False)
            setattr(sys, name, new)
            setattr(sys, f"__{name}__", new)
        os.environ.clear()
        # it asks nobody else
        os.environ.update({k: v for k, v in request["variables"].items() if k != ADDRESS})
        os.chdir(request["folder"])
        return list(request["words"])


def _send(stream: socket.socket, answer: bytes) -> None:
    # whoever asked may be gone
    with suppress(OSError):
        stream.sendall(answer)
