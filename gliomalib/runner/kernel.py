"""The kernel in which a notebook runs: this very Python, with a fixed number of threads."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ipykernel.kernelspec import get_kernel_dict
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager

from gliomalib.provenance import PROJECT_DIR

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")


def environment(threads: int, work_dir: Path) -> dict[str, str]:
    """Return the variables of a kernel: ``threads`` (0: as many as there are), nobody's start-up.

    The number of threads is fixed because sums over a varying number of them vary; the user's
    own IPython profile is left out because it could run code before the first cell.
    """
    more = os.environ.get("PYTHONPATH")
    found = {
        "PYTHONPATH": os.pathsep.join([str(PROJECT_DIR), *([more] if more else [])]),
        "PYTHONNOUSERSITE": "1",
        "IPYTHONDIR": str(work_dir / "ipython"),
        # cuBLAS repeats its results only with a workspace of fixed size
        "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    }
    return found | (dict.fromkeys(THREADS, str(threads)) if threads else {})


def kernel_class(variables: Mapping[str, str], lock: int) -> type[AsyncKernelManager]:
    """Return a kernel manager that starts this interpreter with ``variables``.

    A kernel installed by the user under the same name is never taken. The kernel inherits the
    lock ``lock``, so that one that outlives a killed parent is waited for.
    """
    spec = KernelSpec(**{**get_kernel_dict(), "env": dict(variables)})
    # what goes wrong in a cell reaches the notebook; the rest is talk about the connection
    spec.argv = [*spec.argv, "--log-level=CRITICAL"]

    class Kernel(AsyncKernelManager):
        @property
        def kernel_spec(self) -> KernelSpec:
            return spec

        async def start_kernel(self, **options: Any) -> Any:  # type: ignore[override]
            options |= {"pass_fds": (lock,), "transport_encryption": "auto"}
            return await super().start_kernel(**options)

    return Kernel
