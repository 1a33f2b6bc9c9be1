"""One training, epoch by epoch: losses, optimiser, loaders, seeds and checkpoints."""

from __future__ import annotations

import logging
import math
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any, cast

import numpy as np
import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from numpy.typing import NDArray
from torch import Tensor, distributed, nn
from torch.optim.swa_utils import update_bn

from gliomalib.networks.job import Job, Plan
from gliomalib.networks.loading import Ahead, Batch, Drawn, collate, collate_float32, share
from gliomalib.networks.samples import Samples, batches
from gliomalib.provenance import open_atomic
from gliomalib.schema import RecordError, SettingsError

log = logging.getLogger("gliomalib")

Row = dict[str, Any]
"""One part (train, val) of an epoch (from 0): epoch, part, loss, seconds."""

SECONDS_BETWEEN_LINES = 5.0
SETTLING_BATCHES = 40


def fit(plan: Plan, network: nn.Module, resume: bool) -> list[Row]:
    """Train ``network`` to its last epoch, from the plan's checkpoint if ``resume``.

    Returns the history. Raises ``SettingsError`` when a loss is no longer finite and
    ``RecordError`` for a checkpoint that fits neither network nor optimiser.
    """
    rows = epochs(plan, network, resume)
    settle(plan, network)
    return rows


def epochs(plan: Plan, network: nn.Module, resume: bool) -> list[Row]:
    """Train as ``fit``, without what it does after the last epoch."""
    with _quiet(plan.device):
        loop = Loop(plan, network)
        if resume:
            loop.restore()
        loop.run()
    return loop.rows


def settle(plan: Plan, network: nn.Module) -> None:
    """Take the means and variances of all batch norms anew, from batches of the last weights.

    Running averages lag behind the weights: ResNet50 was seen to call every empty slice edema
    where its batches did not. Wu and Johnson 2021, arXiv 2105.07576, section 3; a network without
    batch norms stays as it is.
    """
    device = next(network.parameters()).device
    drawn = of_epoch(plan, plan.job.settings.epochs)
    batches = islice(drawn, min(SETTLING_BATCHES, plan.steps))
    with _quiet(plan.device):
        update_bn((images.float() for images, *_ in batches), network, device)


class Loop:
    """A network in training, on the device or as the process that Lightning's Fabric gives it."""

    def __init__(self, plan: Plan, network: nn.Module) -> None:
        self.plan, self.rows = plan, list[Row]()
        self.fabric = _fabric(plan)
        self.fabric.launch()
        if self.fabric.world_size > 1:
            network = nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
        self.network, self.criterion = network, self.fabric.to_device(plan.loss)
        optimiser, self.rates = optimiser_of(plan, network)
        self.forward, self.optimiser = self.fabric.setup(network, optimiser)
        self.line_at = 0.0

    @property
    def _contents(self) -> dict[str, Any]:
        """What a checkpoint holds beside its key and its rows."""
        precision = self.fabric.strategy.precision
        parts = (self.network, self.optimiser, self.rates, precision)
        return dict(zip(("network", "optimiser", "rates", "precision"), parts, strict=True))

    def restore(self) -> None:
        """Go back to the end of the last whole epoch."""
        path = self.plan.last
        try:
            content = torch.load(path, map_location="cpu", weights_only=True)
            self.rows = list(content["rows"])
            for name, part in self._contents.items():
                part.load_state_dict(content[name])
        except Exception as error:
            fault = f"cannot be resumed from ({type(error).__name__})"
            raise RecordError(f"{path}: {fault}; delete it and run again") from None

    def run(self) -> None:
        """Train and validate epoch by epoch, with a checkpoint after each."""
        rank, processes = self.fabric.global_rank, self.fabric.world_size
        first = self.rows[-1]["epoch"] + 1 if self.rows else 0
        for epoch in range(first, self.plan.job.settings.epochs):
            # dropout goes on alike in a resumed training, whatever was drawn in this process before
            torch.manual_seed(self.plan.job.seed_of("epoch", epoch, *([rank] if rank else [])))
            self._part(epoch, "train", of_epoch(self.plan, epoch, rank, processes))
            if self.plan.val is not None:
                self._part(epoch, "val", held_out(self.plan, rank, processes))
            self._keep()

    def _part(self, epoch: int, part: str, drawn: Ahead) -> None:
        """Go through the batches of a part and add its row."""
        started, job, learns = time.monotonic(), self.plan.job, part == "train"
        # stays on the device until the part ends: a float at each step would wait for the GPU
        total, count = torch.zeros((), device=self.fabric.device), 0
        self.forward.train(learns)
        with torch.set_grad_enabled(learns):
            for batch in islice(drawn, job.compute.steps):
                loss, size = self._loss(self.fabric.to_device(batch))
                if learns:
                    self._step(loss, drawn)
                total, count = total + loss.detach() * size, count + size
        # a mean over samples: batches differ in size by one
        mean = float(total) / count
        if not math.isfinite(mean):
            raise SettingsError(
                f"{job.title}: the {part} loss is {mean} in epoch {epoch + 1}; "
                "lower learning_rate or take precision: 32-true"
            )
        seconds = round(time.monotonic() - started, 3)
        self.rows.append({"epoch": epoch, "part": part, "loss": mean, "seconds": seconds})

    def _loss(self, batch: Batch) -> tuple[Tensor, int]:
        """Return the loss of the whole batch, of which this process may have a share, its size."""
        images, targets, counts = batch
        with self.fabric.autocast():
            logits = self.forward(images.float())
            if self.plan.job.network == "resnet50":
                logits = logits.unsqueeze(-1)  # MONAI's losses want a spatial axis
            if self.fabric.world_size > 1:
                # overlaps of shares do not add up to the overlap of all
                logits, targets, counts = map(_of_all, (logits, targets, counts))
                logits, targets = logits[counts], targets[counts]
            return cast(Tensor, self.criterion(logits, targets)), len(logits)

    def _step(self, loss: Tensor, drawn: Ahead) -> None:
        """Follow the gradients of a loss; the next batch is drawn while they are computed."""
        # in the backward pass itself: what torch does in Python before it waits for the interpreter
        loss.register_hook(drawn.draw_ahead)  # type: ignore[no-untyped-call]
        self.optimiser.zero_grad()
        # processes average their gradients, each of which is a part of one sum
        self.fabric.backward(loss * self.fabric.world_size)
        self.optimiser.step()
        self.rates.step()

    def _keep(self) -> None:
        """Keep a checkpoint of a whole epoch, and write a line now and then."""
        if self.fabric.is_global_zero:
            content = {name: part.state_dict() for name, part in self._contents.items()}
            with open_atomic(self.plan.last) as stream:
                torch.save({"key": self.plan.key, "rows": self.rows, **content}, stream)
            is_last = self.rows[-1]["epoch"] + 1 == self.plan.job.settings.epochs
            if is_last or time.monotonic() - self.line_at >= SECONDS_BETWEEN_LINES:
                self.line_at = time.monotonic()
                _write_line(self.plan.job, self.rows)
        self.fabric.barrier()


def _of_all(part: Tensor) -> Tensor:
    """Return the parts of all processes, of which only this one's own leads back to weights."""
    parts = [torch.empty_like(part) for _ in range(distributed.get_world_size())]
    distributed.all_gather(parts, part.detach().contiguous())
    parts[distributed.get_rank()] = part
    return torch.cat(parts)


def _fabric(plan: Plan) -> Fabric:
    compute = plan.job.compute
    return Fabric(
        accelerator="gpu" if plan.device.type == "cuda" else "cpu",
        devices=compute.devices,
        num_nodes=compute.num_nodes,
        strategy="ddp" if plan.job.processes > 1 else "auto",
        precision=plan.job.settings.precision,
        # a cluster's variables would make Lightning expect other processes than ours
        plugins=[LightningEnvironment()],
    )


def optimiser_of(
    plan: Plan, network: nn.Module
) -> tuple[torch.optim.AdamW, torch.optim.lr_scheduler.LambdaLR]:
    """Return AdamW and its rates, a short warm-up and a cosine to 0, whatever validation says.

    The rate of step t of T is learning_rate · min((t + 1) / W, (1 + cos(π·t / T)) / 2), where the
    warm-up W is the first twentieth of the steps; weight decay is torch's, 0.01.
    """
    settings = plan.job.settings
    steps = settings.epochs * plan.steps
    warm_up = max(steps // 20, 1)
    # fused: one pass over the weights, a fifth of a step of ResNet50 on a CPU
    optimiser = torch.optim.AdamW(network.parameters(), lr=settings.learning_rate, fused=True)
    return optimiser, torch.optim.lr_scheduler.LambdaLR(
        optimiser,
        lambda step: min((step + 1) / warm_up, (1 + math.cos(math.pi * step / steps)) / 2),
    )


def of_epoch(plan: Plan, epoch: int, rank: int = 0, processes: int = 1) -> Ahead:
    """Return the training samples as they are drawn in an epoch, by its seed alone."""
    seed = plan.job.seed_of("epoch", epoch)
    order = plan.train.order(np.random.default_rng(seed))
    if plan.job.compute.steps:
        # whole batches, however few samples a rehearsal has
        order = np.resize(order, plan.steps * plan.job.settings.batch_size)
    return _loader(plan, Drawn(plan.train, seed, True), order, (rank, processes))


def held_out(plan: Plan, rank: int = 0, processes: int = 1) -> Ahead:
    """Return the samples of validation, the same at every epoch."""
    samples = cast(Samples, plan.val)
    drawn = Drawn(samples, plan.job.seed_of("val"), False)
    return _loader(plan, drawn, np.arange(len(samples)), (rank, processes))


def _loader(plan: Plan, drawn: Drawn, order: NDArray[np.int64], place: tuple[int, int]) -> Ahead:
    on_gpu = plan.device.type == "cuda"
    return Ahead(
        drawn,
        batch_sampler=[
            share(batch, *place) for batch in batches(order, plan.job.settings.batch_size)
        ],
        collate_fn=collate if on_gpu else collate_float32,
        pin_memory=on_gpu,
        # without its own generator a loader draws from torch's global one, where dropout draws
        generator=torch.Generator().manual_seed(drawn.seed),
    )


def _write_line(job: Job, rows: list[dict[str, Any]]) -> None:
    done, epochs = rows[-1]["epoch"] + 1, job.settings.epochs
    last = [row for row in rows if row["epoch"] == done - 1]
    losses = ", ".join(f"{row['part']} loss {row['loss']:.4g}" for row in last)
    seconds = sum(row["seconds"] for row in rows)
    left = seconds / done * (epochs - done)
    log.info(
        "%s: epoch %d of %d, %s, %.0f s, %.0f s left",
        *(job.title, done, epochs, losses, seconds, left),
    )


@contextmanager
def _quiet(device: torch.device) -> Iterator[None]:
    """Silence Lightning, make a CPU deterministic, and put everything back afterwards."""
    logger = logging.getLogger("lightning_fabric")
    level = logger.level
    memory = cast(Any, torch.utils.deterministic)
    strict, filled = torch.are_deterministic_algorithms_enabled(), memory.fill_uninitialized_memory
    logger.setLevel(logging.ERROR)
    torch.use_deterministic_algorithms(device.type == "cpu")
    # no layer reads what nobody wrote; to fill such memory costs a tenth of a 2D step
    memory.fill_uninitialized_memory = False
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="lightning_fabric")
            yield
    finally:
        torch.use_deterministic_algorithms(strict)
        memory.fill_uninitialized_memory = filled
        logger.setLevel(level)
