"""Train on several devices and nodes: a process for each, which take their shares of each batch.

The loss is that of the whole batch and the gradients are averaged, so the curve is that of one
process up to rounding, where no dropout is drawn: each process draws its own. Instance norms see
one image at a time. Batch norms are synchronised, on GPUs only; an image that fills a share counts
in their means. Of several nodes each runs the same training in a folder that all of them see, with
``NODE_RANK``, ``MASTER_ADDR`` and ``MASTER_PORT`` of torch; the first one writes.
"""

import copy
import logging
import os
from mmap import mmap
from multiprocessing import connection, reduction
from typing import Any

import numpy as np
import torch
from lightning_fabric.plugins.environments.lightning import find_free_network_port
from torch import multiprocessing, nn

from gliomalib.networks import loop, models
from gliomalib.networks.job import Plan
from gliomalib.schema import GliomaError, SettingsError


def fit(plan: Plan, network: nn.Module, resume: bool) -> list[dict[str, Any]]:
    """Train ``network`` as ``loop.fit``, in as many processes as the job asks for.

    Raises ``SettingsError`` also where one of them failed; the others are then ended.
    """
    if plan.job.processes == 1:
        return loop.fit(plan, network, resume=resume)
    reduction.ForkingPickler.register(np.memmap, as_file)
    context = multiprocessing.get_context("spawn")
    faults = context.SimpleQueue()
    several = plan.job.compute.num_nodes > 1
    port = os.environ.get("MASTER_PORT", free_port()) if several else free_port()
    # threads are shared out; a number that the study names holds for each process
    threads = plan.job.threads or max(torch.get_num_threads() // plan.job.compute.devices, 1)
    processes = [
        context.Process(target=_work, args=((plan, network, resume), (rank, port, threads), faults))
        for rank in range(plan.job.compute.devices)
    ]
    try:
        for process in processes:
            process.start()
        _wait(processes)
    finally:
        for process in processes:
            process.terminate()
    if any(process.exitcode for process in processes):
        codes = ", ".join(str(process.exitcode) for process in processes)
        ended = f"{plan.job.title}: a process ended before its training did (exit codes {codes})"
        raise SettingsError(ended if faults.empty() else faults.get())
    content = torch.load(plan.last, map_location="cpu", weights_only=True)
    state = {name.removeprefix("network."): part for name, part in content["state_dict"].items()}
    network.load_state_dict({name: state[name] for name in network.state_dict()})
    loop.settle(plan, network)
    return list(content["rows"])


def is_first_node(plan: Plan) -> bool:
    """Whether this node writes what a training leaves; all others read it."""
    return plan.job.compute.num_nodes == 1 or os.environ.get("NODE_RANK", "0") == "0"


def _work(task: tuple[Plan, nn.Module, bool], place: tuple[int, str, int], faults: Any) -> None:
    """Train as the process ``rank`` of this node; put the sentence of an error into ``faults``."""
    (plan, network, resume), (rank, port, threads) = task, place
    os.environ |= {"LOCAL_RANK": str(rank), "MASTER_PORT": port}
    # what comes from another process lies in memory that all of them would write to
    network = copy.deepcopy(network)
    if rank == 0 and is_first_node(plan):
        logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        with models.threads(threads):
            loop.epochs(plan, network, resume)
    except GliomaError as error:
        faults.put(str(error))
        raise SystemExit(1) from None


def _wait(processes: list[Any]) -> None:
    """Wait for all processes, or for the first that fails: others would wait for it for ever."""
    running: dict[Any, Any] = {process.sentinel: process for process in processes}
    while running:
        for sentinel in connection.wait([*running]):
            process = running.pop(sentinel)
            process.join()
            if process.exitcode:
                return


def free_port() -> str:
    """Return a port of this machine on which nobody listens."""
    return str(find_free_network_port())


def as_file(array: Any) -> tuple[Any, ...]:
    """Send a piece of a mapped file as its place, and not as the gigabytes in it."""
    whole = array
    while isinstance(whole.base, np.memmap):
        whole = whole.base
    if not (isinstance(whole.base, mmap) and array.flags.c_contiguous):
        return np.asarray, (np.array(array),)
    offset = whole.offset + array.ctypes.data - whole.ctypes.data
    return np.memmap, (array.filename, array.dtype, "r", offset, array.shape)
