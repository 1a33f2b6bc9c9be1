"""Peers that live in an environment of their own, ``.venv-bench``, asked line by line in JSON.

A peer is a module that hands what it can do to `serve`; run as ``python -m`` it waits for
requests, so that its process stays warm and can be timed in turn with ours.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

PROJECT = Path(__file__).parents[2]
PYTHON = PROJECT / ".venv-bench" / "bin" / "python"
READY = PROJECT / ".venv-bench" / ".ready"


def missing() -> str:
    """Say why no peer can be asked; empty where they can."""
    return "" if READY.exists() else "the peers have no environment; make bench makes it"


class Peer:
    """A process of the peers' Python that runs ``module``; a context, at whose end it is gone."""

    def __init__(self, module: str, **environment: str) -> None:
        self.process = subprocess.Popen(
            [str(PYTHON), "-m", module],
            cwd=PROJECT,
            env={**os.environ, **environment, "PYTHONPATH": str(PROJECT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, name: str, **words: Any) -> Any:
        """Return what the function ``name`` of the module answers to ``words`` (JSON)."""
        return self._answer(name, words)["answer"]

    def seconds(self, name: str, **words: Any) -> float:
        """Return the seconds that the function took, measured in its own process."""
        return float(self._answer(name, words)["seconds"])

    def _answer(self, name: str, words: Mapping[str, Any]) -> dict[str, Any]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps([name, words]) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the peer ended at {name} with status {self.process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def __enter__(self) -> "Peer":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # the end of its input ends its loop
        self.process.communicate()


def serve(works: Mapping[str, Callable[..., Any]]) -> None:
    """Answer requests on standard input until it ends; what a function prints goes to stderr."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        name, words = json.loads(line)
        started = time.perf_counter()
        answer = works[name](**words)
        seconds = time.perf_counter() - started
        answers.write(json.dumps({"answer": answer, "seconds": seconds}) + "\n")
        answers.flush()
