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
from multiprocessing import reduction
from typing import Any

import numpy as np
import torch
from lightning_fabric.plugins.environments.lightning import find_free_network_port
from torch import multiprocessing, nn
from torch.multiprocessing.spawn import ProcessException, start_processes

from gliomalib.networks import loop, models
from gliomalib.networks.job import Plan
from gliomalib.schema import GliomaError, SettingsError

NODES = ("NODE_RANK", "MASTER_ADDR", "MASTER_PORT")
"""Variables by which several nodes find one another."""


def fit(plan: Plan, network: nn.Module, resume: bool) -> list[dict[str, Any]]:
    """Train ``network`` as ``loop.fit``, in as many processes as the job asks for.

    Raises ``SettingsError`` also where one of them failed; the others are then ended.
    """
    if plan.job.processes == 1:
        return loop.fit(plan, network, resume=resume)
    reduction.ForkingPickler.register(np.memmap, as_file)
    devices = plan.job.compute.devices
    several = plan.job.compute.num_nodes > 1
    port = os.environ["MASTER_PORT"] if several else str(find_free_network_port())
    # threads are shared out; a number that the study names holds for each process
    threads = plan.job.threads or max(torch.get_num_threads() // devices, 1)
    faults = multiprocessing.get_context("spawn").SimpleQueue()
    task = (plan, network, resume)
    processes: Any = start_processes(  # type: ignore[no-untyped-call]
        _work, (task, port, threads, faults), devices, join=False
    )
    try:
        # torch waits for all, or for the first that fails: others would wait for it for ever
        while not processes.join():
            pass
    except ProcessException as error:
        ended = (
            f"{plan.job.title}: a process ended before its training did "
            f"({error.msg.splitlines()[-1]}); run it again, or with compute: {{devices: 1}}"
        )
        raise SettingsError(ended if faults.empty() else faults.get()) from error
    finally:
        for process in processes.processes:
            process.terminate()
    content = torch.load(plan.last, map_location="cpu", weights_only=True)
    network.load_state_dict(content["network"])
    loop.settle(plan, network)
    return list(content["rows"])


def is_first_node(plan: Plan) -> bool:
    """Whether this node writes what a training leaves; all others read it.

    Raises ``SettingsError`` for several nodes that cannot find one another.
    """
    if plan.job.compute.num_nodes == 1:
        return True
    if missing := [name for name in NODES if name not in os.environ]:
        raise SettingsError(
            f"{plan.job.title}: {plan.job.compute.num_nodes} nodes train together, and this one "
            f"has no {', '.join(missing)}; set {', '.join(NODES)} on each"
        )
    return os.environ["NODE_RANK"] == "0"


def _work(
    rank: int, task: tuple[Plan, nn.Module, bool], port: str, threads: int, faults: Any
) -> None:
    """Train as the process ``rank`` of this node; put the sentence of an error into ``faults``."""
    plan, network, resume = task
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


def as_file(array: Any) -> tuple[Any, ...]:
    """Send a piece of a mapped file as its place, and not as the gigabytes in it."""
    whole = array
    while isinstance(whole.base, np.memmap):
        whole = whole.base
    if not (isinstance(whole.base, mmap) and array.flags.c_contiguous):
        return np.asarray, (np.array(array),)
    offset = whole.offset + array.ctypes.data - whole.ctypes.data
    return np.memmap, (array.filename, array.dtype, "r", offset, array.shape)
