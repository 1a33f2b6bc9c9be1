"""Run one notebook through papermill; it is done when its record is there, and not before.

It runs in this very Python with a fixed number of threads, whatever kernels are installed.
"""

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO

import nbformat
import papermill
from ipykernel.kernelspec import get_kernel_dict
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from papermill.exceptions import PapermillExecutionError

from gliomalib import provenance, records, schema
from gliomalib.runner.executed import tidy
from gliomalib.runner.jobs import Job, RunError
from gliomalib.runner.locks import held
from gliomalib.runner.stamps import doubt_needed, write_stamp
from gliomalib.runner.watch import telling

WANTING = ("StoredError", "MismatchError", "RecordError")
"""Errors of a notebook that did not find what another one should have left."""

FIRST_LINES = (
    "import sys; sys.modules['rfc3987_syntax'] = None; "
    "from ipykernel.iostream import OutStream; OutStream.flush_timeout = 2.0; "
    "get_ipython().kernel.iopub_socket.io_thread.socket.context.sndtimeo = 3000"
)
"""Spares a kernel, in which MONAI loads jsonschema, what ``__main__`` spares its parent. At its end
ipykernel 7.4 may wait for a thread of its own that is gone: twice these seconds, not twice ten; and
its control thread may send to it, which would wait for ever."""

LINGERING_S = 20.0
"""How long the kernel of a killed run may take to notice that its parent is gone."""


def execute(job: Job) -> float:
    """Run the notebook of ``job`` and return the seconds that it took.

    Leaves the record, the executed notebook and the stamp. Raises ``RunError`` with the
    notebook's own sentence when it fails; what an earlier run left is then gone, except for
    checkpoints, and the copy as far as it got lies in the study's ``logs``.
    """
    started = time.monotonic()
    lock = job.work_dir / "locks" / f"{job.name}.lock"
    # first the lock: the log may be that of another process, which is at this very run
    with held(lock, job.name, LINGERING_S) as descriptor, telling(job) as printed:
        for leftover in (job.stamp, job.record, job.executed):
            leftover.unlink(missing_ok=True)
        notebook, exit_code = _run(job, descriptor, printed)
        _complete_record(job, exit_code)
        provenance.write_atomic(job.executed, nbformat.writes(notebook) + "\n")
        job.attempt.unlink(missing_ok=True)
        write_stamp(job)
    return time.monotonic() - started


def kernel_class(variables: Mapping[str, str], lock: int) -> type[Any]:
    """Return a kernel manager that starts this interpreter with ``variables``.

    A kernel installed by the user under the same name is never taken. The kernel inherits the
    lock ``lock``, so that one that outlives a killed parent is waited for. Once it has started a
    kernel, the class has its ``process``.
    """
    spec = KernelSpec(**get_kernel_dict())
    # what goes wrong in a cell reaches the notebook; the rest is talk about the connection
    spec.argv = [*spec.argv, "--log-level=CRITICAL", f"--IPKernelApp.exec_lines={FIRST_LINES}"]

    class Kernel(AsyncKernelManager):
        process: subprocess.Popen[bytes]
        # after half of it a kernel is told to stop: on a busy machine 2.5 s are too short
        shutdown_wait_time = 30.0

        @property
        def kernel_spec(self) -> KernelSpec:
            """Return the specification of this very Python."""
            return spec

        def format_kernel_cmd(self, extra_arguments: list[str] | None = None) -> list[str]:
            """Return the command, its first word as it is."""
            # braces in the path of the interpreter itself would be filled in as well
            return [sys.executable, *super().format_kernel_cmd(extra_arguments)[1:]]

        async def start_kernel(self, **options: Any) -> Any:  # type: ignore[override]
            """Start the kernel with the variables and the lock, and keep its process."""
            # not in the specification of the kernel, where a dollar sign is filled in
            options |= {"env": {**os.environ, **options.get("env", {}), **variables}}
            options |= {"pass_fds": (lock,), "transport_encryption": "auto"}
            await super().start_kernel(**options)
            # its manager forgets the process, and the code with which it ended, at the end
            type(self).process = self.provisioner.process  # type: ignore[union-attr]

    return Kernel


def _run(job: Job, lock: int, printed: TextIO) -> tuple[nbformat.NotebookNode, int | None]:
    kernel = kernel_class(job.environment, lock)
    try:
        done = papermill.execute_notebook(
            _unformatted(job.path),
            _unformatted(job.attempt),
            parameters=job.parameters,
            cwd=job.path.parent,
            kernel_name="python3",
            language="python",
            progress_bar=False,
            stdout_file=printed,
            kernel_manager_class=kernel,
        )
    except PapermillExecutionError as error:
        if error.ename in WANTING:
            doubt_needed(job)
        first = next(filter(str.strip, error.source.splitlines()), "").strip()
        cell = f"cell [{error.exec_count}], {first:.80}"
        raise RunError(f"{job.name}, {cell}\n  {_sentence(error)}\n  log: {job.attempt}") from None
    except RuntimeError as error:
        raise RunError(
            f"{job.name}: its process ended before the notebook did, most often for want of "
            f"memory or because it was stopped ({_one_line(str(error))}) {_where(job.attempt)}"
        ) from None
    return tidy(done, job), kernel.process.returncode


def _unformatted(path: Path) -> str:
    """Return a path in which papermill, for which it is a format string, fills in nothing."""
    return str(path).replace("{", "{{").replace("}", "}}")


def _complete_record(job: Job, exit_code: int | None) -> None:
    """Check that the record is there and of this job, and add what only its end shows."""
    if not job.record.is_file():
        raise RunError(
            f"{job.name}: the notebook ended without a record, {job.record} is missing "
            f"{_where(job.attempt)}"
        )
    record = records.read(job.record)
    written = (record.notebook, record.variant, record.study)
    if written != (job.notebook, job.variant, job.study.study):
        raise RunError(f"{job.record}: the record is of {'/'.join(written)}, not of {job.name}")
    origin = {**record.provenance, "exit_code": exit_code}
    records.write(replace(record, provenance=origin), job.report_dir)


def _sentence(error: PapermillExecutionError) -> str:
    kind = getattr(schema, error.ename, None)
    # our own errors are sentences for the reader; of any other the kind and the last line are told
    if isinstance(kind, type) and issubclass(kind, schema.GliomaError):
        return _one_line(str(error.evalue))
    lines = [line for line in str(error.evalue).splitlines() if line.strip()]
    return ": ".join([str(error.ename), *map(_one_line, lines[-1:])])


def _one_line(text: str) -> str:
    return " ".join(text.split())[:600]


def _where(attempt: Path) -> str:
    return f"(the notebook as far as it got: {attempt})"
