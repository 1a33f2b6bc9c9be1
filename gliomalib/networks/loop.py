"""One Lightning training, epoch by epoch: losses, optimiser, loaders, seeds and checkpoints."""

from __future__ import annotations

import logging
import math
import signal
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.plugins.io.torch_io import TorchCheckpointIO
from lightning_fabric.utilities.warnings import PossibleUserWarning
from numpy.typing import NDArray
from torch import Tensor, distributed, nn
from torch.optim.swa_utils import update_bn

from gliomalib.networks.job import Job, Plan
from gliomalib.networks.loading import Ahead, Batch, Drawn, collate, collate_float32, share
from gliomalib.networks.samples import batches
from gliomalib.provenance import open_atomic
from gliomalib.schema import RecordError, SettingsError

log = logging.getLogger("gliomalib")

SECONDS_BETWEEN_LINES = 5.0
SETTLING_BATCHES = 40


def _of_all(part: Tensor) -> Tensor:
    """Return the parts of all processes, of which only this one's own leads back to weights."""
    parts = [torch.empty_like(part) for _ in range(distributed.get_world_size())]
    distributed.all_gather(parts, part.detach().contiguous())
    parts[distributed.get_rank()] = part
    return torch.cat(parts)


class Loop(pl.LightningModule):
    """Losses, optimiser and loaders; the rows of the history travel in its checkpoint."""

    def __init__(self, network: nn.Module, plan: Plan) -> None:
        super().__init__()
        self.network, self.plan = network, plan
        self.criterion = plan.loss
        self.rows: list[dict[str, Any]] = []
        self.sums: dict[str, tuple[Tensor | float, int]] = {}
        self.restored = False

    def on_train_start(self) -> None:
        """Note that all of a checkpoint has been taken over: what fails now is not its fault."""
        self.restored = True

    def _loss(self, batch: Batch, part: str) -> Tensor:
        images, targets, counts = batch
        logits = self.network(images.float())
        if self.plan.job.network == "resnet50":
            logits = logits.unsqueeze(-1)  # MONAI's losses want a spatial axis
        if self.trainer.world_size > 1:
            # of the whole batch: overlaps of shares do not add up to the overlap of all
            logits, targets, counts = map(_of_all, (logits, targets, counts))
            logits, targets = logits[counts], targets[counts]
        loss = cast(Tensor, self.criterion(logits, targets))
        # stays on the device until the epoch ends: a float at each step would wait for the GPU
        total, count = self.sums.get(part, (0.0, 0))
        self.sums[part] = (total + loss.detach() * len(logits), count + len(logits))
        # processes average their gradients, each of which is a part of one sum
        return loss * self.trainer.world_size

    def training_step(self, batch: Batch, _: int) -> Tensor:
        """Return the loss of a batch; the next one is drawn while its gradients are computed."""
        loss = self._loss(batch, "train")
        # in the backward pass itself: what torch does in Python before it waits for the interpreter
        loss.register_hook(self._draw_ahead)  # type: ignore[no-untyped-call]
        return loss

    def _draw_ahead(self, _: Tensor) -> None:
        cast(Ahead, self.trainer.train_dataloader).draw_ahead()

    def validation_step(self, batch: Batch, _: int) -> None:
        """Count the loss of a batch."""
        self._loss(batch, "val")

    def configure_optimizers(self) -> Any:
        """AdamW with a short warm-up and a cosine to 0: fixed, whatever the validation says.

        The rate of step t of T is learning_rate · min((t + 1) / W, (1 + cos(π·t / T)) / 2), where
        the warm-up W is the first twentieth of the steps; weight decay is torch's, 0.01.
        """
        settings = self.plan.job.settings
        steps = settings.epochs * self.plan.steps
        warm_up = max(steps // 20, 1)
        # fused: one pass over the weights, a fifth of a step of ResNet50 on a CPU
        optimiser = torch.optim.AdamW(self.parameters(), lr=settings.learning_rate, fused=True)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimiser,
            lambda step: min((step + 1) / warm_up, (1 + math.cos(math.pi * step / steps)) / 2),
        )
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def train_dataloader(self) -> Any:
        """Shuffle, draw and vary by the seed of this epoch alone."""
        return self.of_epoch(self.current_epoch)

    def of_epoch(self, epoch: int) -> Any:
        """Return the training samples as they are drawn in an epoch."""
        samples, seed = self.plan.train, self.plan.job.seed_of("epoch", epoch)
        order = samples.order(np.random.default_rng(seed))
        if self.plan.job.compute.steps:
            # whole batches, however few samples a rehearsal has
            order = np.resize(order, self.plan.steps * self.plan.job.settings.batch_size)
        return self._loader(Drawn(samples, seed, True), order)

    def val_dataloader(self) -> Any:
        """Draw the same samples at every epoch."""
        samples = self.plan.val
        if samples is None:
            return []
        drawn = Drawn(samples, self.plan.job.seed_of("val"), False)
        return self._loader(drawn, np.arange(len(samples)))

    def _loader(self, drawn: Drawn, order: NDArray[np.int64]) -> Any:
        # without a trainer the samples are only looked at, by one process
        rank, processes = 0, 1
        if self._trainer:
            rank, processes = self.trainer.global_rank, self.trainer.world_size
        whole = batches(order, self.plan.job.settings.batch_size)
        return Ahead(
            drawn,
            batch_sampler=[share(batch, rank, processes) for batch in whole],
            collate_fn=collate if self.plan.device.type == "cuda" else collate_float32,
            pin_memory=self.plan.device.type == "cuda",
            # without its own generator a loader draws from torch's global one, where dropout draws
            generator=torch.Generator().manual_seed(drawn.seed),
        )

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Say in the checkpoint whose it is and how its epochs went."""
        checkpoint["key"], checkpoint["rows"] = self.plan.key, self.rows

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take the history over."""
        self.rows = list(checkpoint["rows"])


class _EveryEpoch(pl.Callback):
    """Seed each epoch by its number, and at its end keep a checkpoint and write a line."""

    def __init__(self) -> None:
        self.line = 0.0

    def on_train_epoch_start(self, trainer: pl.Trainer, loop: Any) -> None:
        """Seed the epoch by its number."""
        # dropout goes on alike in a resumed training, whatever was drawn in this process before
        rank = [trainer.global_rank] if trainer.global_rank else []
        torch.manual_seed(loop.plan.job.seed_of("epoch", trainer.current_epoch, *rank))
        loop.sums = {}
        self.marks = [time.monotonic()]

    def on_validation_start(self, trainer: pl.Trainer, loop: Any) -> None:
        """Note when training ended."""
        self.marks.append(time.monotonic())

    def on_train_epoch_end(self, trainer: pl.Trainer, loop: Any) -> None:
        """Add the rows of the epoch, keep a checkpoint, and write a line now and then."""
        spent = dict(zip(("train", "val"), np.diff([*self.marks, time.monotonic()]), strict=False))
        epoch, job = trainer.current_epoch, loop.plan.job
        for part, (total, count) in loop.sums.items():
            # a mean over samples: batches differ in size by one
            loss = float(total) / count
            if not math.isfinite(loss):
                raise SettingsError(
                    f"{job.title}: the {part} loss is {loss} in epoch {epoch + 1}; "
                    "lower learning_rate or take precision: 32-true"
                )
            seconds = round(float(spent[part]), 3)
            loop.rows.append({"epoch": epoch, "part": part, "loss": loss, "seconds": seconds})
        trainer.save_checkpoint(loop.plan.last)
        is_last = epoch + 1 == job.settings.epochs
        if trainer.is_global_zero and (
            is_last or time.monotonic() - self.line >= SECONDS_BETWEEN_LINES
        ):
            self.line = time.monotonic()
            _write_line(job, loop.rows)


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


class _WholeFiles(TorchCheckpointIO):
    """Checkpoints that are whole or not there, whenever the process is killed."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        """Write a checkpoint whole or not at all."""
        with open_atomic(Path(path)) as stream:
            torch.save(checkpoint, stream)


def fit(plan: Plan, network: nn.Module, resume: bool) -> list[dict[str, Any]]:
    """Train ``network`` to its last epoch, from the plan's checkpoint if ``resume``.

    Returns the history, a row per epoch (from 0) and part (train, val): epoch, part, loss, seconds.
    An interrupt comes out as ``KeyboardInterrupt``. Raises ``SettingsError`` when a loss is no
    longer finite and ``RecordError`` for a checkpoint that fits neither network nor optimiser.
    """
    rows = epochs(plan, network, resume)
    settle(plan, network)
    return rows


def epochs(plan: Plan, network: nn.Module, resume: bool) -> list[dict[str, Any]]:
    """Train as ``fit``, without what it does after the last epoch."""
    loop = Loop(network, plan)
    handler = signal.getsignal(signal.SIGINT)
    try:
        with _quiet(plan.device):
            checkpoint = plan.last if resume else None
            _trainer(plan).fit(loop, ckpt_path=checkpoint, weights_only=True)
    except SystemExit:
        # Lightning ends the process at an interrupt and ignores later ones; a notebook lives on
        signal.signal(signal.SIGINT, handler)
        raise KeyboardInterrupt from None
    except Exception as error:
        if loop.restored or not resume:
            raise
        fault = f"cannot be resumed from ({type(error).__name__})"
        raise RecordError(f"{plan.last}: {fault}; delete it and run again") from None
    return loop.rows


def settle(plan: Plan, network: nn.Module) -> None:
    """Take the means and variances of all batch norms anew, from batches of the last weights.

    Running averages lag behind the weights: ResNet50 was seen to call every empty slice edema
    where its batches did not. Wu and Johnson 2021, arXiv 2105.07576, section 3; a network without
    batch norms stays as it is.
    """
    device = next(network.parameters()).device
    drawn = Loop(network, plan).of_epoch(plan.job.settings.epochs)
    batches = islice(drawn, min(SETTLING_BATCHES, plan.steps))
    with _quiet(plan.device):
        update_bn((images.float() for images, *_ in batches), network, device)


def _trainer(plan: Plan) -> pl.Trainer:
    compute = plan.job.compute
    return pl.Trainer(
        accelerator="gpu" if plan.device.type == "cuda" else "cpu",
        devices=compute.devices,
        num_nodes=compute.num_nodes,
        strategy="ddp" if plan.job.processes > 1 else "auto",
        sync_batchnorm=plan.job.processes > 1,
        # a loader gives each process its share itself
        use_distributed_sampler=False,
        precision=plan.job.settings.precision,
        max_epochs=plan.job.settings.epochs,
        callbacks=[_EveryEpoch()],
        # a cluster's variables would make Lightning expect other processes than ours
        plugins=[LightningEnvironment(), _WholeFiles()],
        default_root_dir=plan.job.directory,
        reload_dataloaders_every_n_epochs=1,
        limit_train_batches=plan.steps,
        limit_val_batches=compute.steps if plan.val else 0,
        num_sanity_val_steps=0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


@contextmanager
def _quiet(device: torch.device) -> Iterator[None]:
    """Silence Lightning, make a CPU deterministic, and put everything back afterwards."""
    loggers = [logging.getLogger(name) for name in ("pytorch_lightning", "lightning_fabric")]
    levels = [logger.level for logger in loggers]
    memory = cast(Any, torch.utils.deterministic)
    strict, filled = torch.are_deterministic_algorithms_enabled(), memory.fill_uninitialized_memory
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    torch.use_deterministic_algorithms(device.type == "cpu")
    # no layer reads what nobody wrote; to fill such memory costs a tenth of a 2D step
    memory.fill_uninitialized_memory = False
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"pytorch_lightning|lightning_fabric")
            warnings.filterwarnings("ignore", category=PossibleUserWarning)
            yield
    finally:
        torch.use_deterministic_algorithms(strict)
        memory.fill_uninitialized_memory = filled
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
