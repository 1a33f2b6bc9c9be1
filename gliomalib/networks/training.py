"""Train one network on one fold, so that a run that was killed goes on as if it had not been."""

from __future__ import annotations

import hashlib
import json
import logging
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from gliomalib.machines import Compute
from gliomalib.networks import models, samples
from gliomalib.networks.job import Job, Plan
from gliomalib.provenance import code_digest, digest_of, file_digest, open_atomic, write_atomic
from gliomalib.schema import DataError, SettingsError, SliceSet, StoredCase
from gliomalib.settings import Classifier, Segmentation

log = logging.getLogger("gliomalib")

DIMS = {"unet2d": 2, "unet3d": 3}

WAIT_S = 60
"""Seconds that a node waits for what the first one writes."""


@dataclass(frozen=True)
class Trained:
    """A finished training: the weights of its last epoch and how it went.

    ``history`` has a row per epoch (from 0) and part (train, val): epoch, part, loss, seconds.
    ``resumed_from`` is the number of epochs that an earlier, interrupted call had finished.
    """

    checkpoint: Path
    key: str
    history: pd.DataFrame
    device: str
    n_parameters: int
    resumed_from: int
    note: str

    @property
    def seconds(self) -> float:
        """Seconds of all epochs together."""
        return float(self.history["seconds"].sum())


def train_segmenter(job: Job, train: Sequence[StoredCase], val: Sequence[StoredCase]) -> Trained:
    """Train the 2D or the 3D U-Net and return the weights of its last epoch.

    The 2D net sees all axial slices with any brain, the 3D net whole volumes or one ``patch``
    per volume and epoch. ``val`` gives a curve and decides nothing. A training that the folder
    holds already is returned, an interrupted one goes on from its last whole epoch; on a CPU both
    give the bits of a straight run. Raises ``DataError`` without training volumes and
    ``SettingsError`` for a job that cannot run here.
    """
    settings = job.settings
    if job.network not in DIMS or not isinstance(settings, Segmentation):
        raise SettingsError(
            f"{job.network}: not a segmenter with its settings; take unet2d, unet3d"
        )
    if not train:
        raise DataError(f"{job.title}: no training volume; check the split")
    dims = DIMS[job.network]
    parts = [_segmenter_samples(settings, dims, cases) for cases in (train, val) if cases]
    content = [
        [(case.grid.patient_id, case.grid.shape) for case in cases] for cases in (train, val)
    ]
    if job.processes > 1 and len({shape for part in content for _, shape in part}) > 1:
        raise SettingsError(
            f"{job.title}: scans of several sizes cannot be shared by {job.processes} processes; "
            "set crop_mm and depth_mm, or compute: {devices: 1, num_nodes: 1}"
        )
    if not len(parts[0]):
        raise DataError(f"{job.title}: no voxel but zeros in the training volumes; check the store")
    plan = _plan(job, content, parts, models.segmentation_loss(settings))
    return _train(plan, lambda: (models.unet(settings, dims), ""))


def train_classifier(job: Job, train: SliceSet, val: SliceSet | None) -> Trained:
    """Train the ResNet50 on fused slices; otherwise as ``train_segmenter``.

    Raises ``SettingsError`` also where the starting weights cannot be had, and for batches of one
    image, of which a batch norm learns nothing.
    """
    settings = job.settings
    if job.network != "resnet50" or not isinstance(settings, Classifier):
        raise SettingsError(f"{job.network}: not a classifier with its settings; take resnet50")
    size, count = settings.batch_size, len(train.classes)
    if count < 2:
        raise DataError(f"{job.title}: {count} training slices; check the split")
    if size == 1 or (size == 2 and count % 2 and not job.compute.steps):
        raise SettingsError(
            f"{job.title}: batch_size is {size}, so one of {count} slices is alone in a batch; a "
            "batch norm needs 2 or more, so set batch_size: 3 or more"
        )
    sets = [train] if val is None or not len(val.classes) else [train, val]
    content = [_slices_digest(slices) for slices in sets]
    parts = [samples.FusedImages(slices, settings.balanced, settings.augment) for slices in sets]
    plan = _plan(job, content, parts, models.classification_loss(settings))
    return _train(plan, lambda: models.resnet50(settings))


def _segmenter_samples(
    settings: Segmentation, dims: int, cases: Sequence[StoredCase]
) -> samples.Samples:
    if dims == 2:
        return samples.AxialSlices(cases, settings.sequences)
    return samples.Boxes(cases, settings.patch, settings.sequences)


def _slices_digest(slices: SliceSet) -> str:
    digest = hashlib.sha256(repr((slices.images.shape, slices.patients)).encode())
    for array in (slices.images, slices.classes, slices.z):
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _plan(job: Job, content: Any, parts: Sequence[samples.Samples], loss: nn.Module) -> Plan:
    """Check that the job can run here, and name it by all that its result depends on.

    ``content`` says what the samples are made of. Code that made them is not in the key: what
    counts of it is in ``content`` and in the job's ``data_digest``.
    """
    device = models.find_device(job.device)
    precision = job.settings.precision
    if device.type == "cpu" and precision not in models.cpu_precisions():
        raise SettingsError(
            f"{job.title}: this processor has no arithmetic for precision {precision}; "
            "set precision: 32-true"
        )
    if device.type == "cuda" and job.compute.devices > torch.cuda.device_count():
        raise SettingsError(
            f"{job.title}: {job.compute.devices} devices are asked for, and this machine has "
            f"{torch.cuda.device_count()}; set compute: {{devices: {torch.cuda.device_count()}}}"
        )
    asked = {
        "network": job.network,
        "settings": job.settings.model_dump(mode="json"),
        "fold": job.fold,
        "seed": job.seed,
        "data_digest": job.data_digest,
    }
    if job.compute != Compute():
        asked["compute"] = job.compute.model_dump(mode="json")
    if isinstance(job.settings, Classifier) and job.settings.weights_file:
        path = Path(job.settings.weights_file).expanduser()
        asked["weights"] = file_digest(path) if path.is_file() else "missing"
    if job.network == "resnet50" and job.processes > 1 and device.type == "cpu":
        raise SettingsError(
            f"{job.title}: batch norms of {job.processes} processes have one mean on GPUs only; "
            "set compute: {devices: 1, num_nodes: 1} on a CPU"
        )
    key = digest_of([asked, content, code_digest(models, sys.modules[__name__])])
    val = parts[1] if len(parts) > 1 and len(parts[1]) else None
    return Plan(job, key, parts[0], val, loss, device)


def _train(plan: Plan, build: Callable[[], tuple[nn.Module, str]]) -> Trained:
    """Return the training in the plan's folder, made or finished now if need be."""
    from gliomalib.networks import ranks  # noqa: PLC0415  # slow: brings Lightning

    finished = _finished(plan)
    if finished:
        log.info("%s: trained before, taken from %s", plan.job.title, plan.final.name)
        return finished
    writes = ranks.is_first_node(plan)
    # the fork gives the caller's random numbers back as they were
    with models.threads(plan.job.threads), torch.random.fork_rng():
        torch.manual_seed(plan.job.seed_of("weights"))
        network, note = build()
        # another training goes only now that this one can begin
        plan.job.directory.mkdir(parents=True, exist_ok=True)
        # the summary first: weights without it count as nothing
        for path in (plan.summary, plan.final) if writes else ():
            path.unlink(missing_ok=True)
        resumed = _epochs_done(plan)
        if resumed:
            log.info("%s: goes on after epoch %d", plan.job.title, resumed)
        history = ranks.fit(plan, network, resume=resumed > 0)
    if writes:
        _save(plan, network, {"note": note, "resumed_from": resumed, "history": history})
        plan.last.unlink()
    return _whole(plan)


def _whole(plan: Plan) -> Trained:
    """Return the training that was written last, on another node perhaps a moment later."""
    for _ in range(WAIT_S):
        if finished := _finished(plan):
            return finished
        time.sleep(1)
    raise SettingsError(
        f"{plan.job.title}: the first node left no {plan.summary} in {WAIT_S} s; give all nodes "
        "one data_dir on a disk that they share"
    )


def _epochs_done(plan: Plan) -> int:
    """Return how many whole epochs the job's checkpoint holds; delete a file that is not one."""
    if not plan.last.is_file():
        return 0
    try:
        checkpoint = torch.load(plan.last, map_location="cpu", weights_only=True)
        if checkpoint["key"] == plan.key:
            return int(checkpoint["rows"][-1]["epoch"]) + 1
        fault = "is of another training"
    except Exception as error:  # bytes of another kind of file can raise anything here
        fault = f"is no checkpoint ({type(error).__name__})"
    log.warning("%s: %s %s, so it begins anew", plan.job.title, plan.last.name, fault)
    plan.last.unlink()
    return 0


def _save(plan: Plan, network: nn.Module, facts: dict[str, Any]) -> None:
    """Write the weights, then the summary without which they do not count as finished."""
    job = plan.job
    state = {name: part.cpu() for name, part in network.state_dict().items()}
    content = {"network": job.network, "settings": job.settings.model_dump(mode="json")}
    with open_atomic(plan.final) as stream:
        torch.save({**content, "key": plan.key, "threads": job.threads, "state": state}, stream)
    summary = {
        **facts,
        **content,
        "key": plan.key,
        "fold": job.fold,
        "seed": job.seed,
        "data_digest": job.data_digest,
        "weights_sha256": file_digest(plan.final),
        "device": models.device_name(plan.device),
        "n_parameters": models.parameter_count(network),
        "gpu_bytes": models.gpu_peak(plan.device),
    }
    write_atomic(plan.summary, json.dumps(summary, indent=1) + "\n")


def _finished(plan: Plan) -> Trained | None:
    """Return what the folder holds, or None where it is unfinished, damaged or another training."""
    if not (plan.summary.is_file() and plan.final.is_file()):
        return None
    try:
        summary = json.loads(plan.summary.read_text(encoding="utf-8"))
        if summary["key"] != plan.key or summary["weights_sha256"] != file_digest(plan.final):
            return None
        history = pd.DataFrame(summary["history"], columns=["epoch", "part", "loss", "seconds"])
        names = ("key", "device", "n_parameters", "resumed_from", "note")
        return Trained(plan.final, history=history, **{name: summary[name] for name in names})
    except (ValueError, LookupError, TypeError):
        return None
