"""What the way from file to class costs: seconds, memory, operations, with every engine."""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from gliomalib import progress, provenance, settings
from gliomalib.data import orientation
from gliomalib.experiments.runtimes import Engine
from gliomalib.networks import models
from gliomalib.pipeline import patient
from gliomalib.schema import Case, Float32Array, StoredCase, Volume

NETWORKS = ("unet2d", "unet3d", "resnet50")
STAGES = ("read", "preprocess", "unet2d", "unet3d", "fusion", "slices", "resnet50")
"""The stages from file to class, in their order."""


@dataclass(frozen=True)
class Pipeline:
    """The three loaded networks of a fold, and the settings that join them."""

    loaded: patient.Networks
    study: settings.Study

    @property
    def device(self) -> torch.device:
        """Where the networks are."""
        return self.loaded.unet2d.device

    @property
    def networks(self) -> dict[str, nn.Module]:
        """The networks by name."""
        return {name: getattr(self.loaded, name).network for name in NETWORKS}

    def swapped(self, others: Mapping[str, nn.Module]) -> Pipeline:
        """Return the pipeline with ``others`` instead of the networks that they name."""
        changed = {
            name: replace(getattr(self.loaded, name), network=network)
            for name, network in others.items()
        }
        return replace(self, loaded=replace(self.loaded, **changed))


@dataclass(frozen=True)
class Answer:
    """What a pass gives for a case: the volumes by network, and probabilities (Z, 4) of slices."""

    case: StoredCase
    volumes: Mapping[str, Volume]
    named: Float32Array


class Clock:
    """Seconds of wall time of each stage of one pass.

    Garbage is collected between stages and not within them, and a GPU is waited for at both ends,
    so that no stage pays for another.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count the block to the stage ``name``; a block that raises is not counted."""
        # the two young generations: a full collection would walk all of torch before each stage
        gc.collect(1)
        collecting = gc.isenabled()
        gc.disable()
        try:
            self._wait()
            started = time.perf_counter()
            yield
            self._wait()
            self.seconds[name] = time.perf_counter() - started
        finally:
            if collecting:
                gc.enable()

    def _wait(self) -> None:
        # a GPU works on after the call has returned
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def load(checkpoints: Mapping[str, str | Path], study: settings.Study) -> Pipeline:
    """Return the networks of a fold on the study's device, with its threads.

    Raises what ``patient.load`` raises.
    """
    networks = patient.load(checkpoints, study.device)
    loaded = {name: replace(getattr(networks, name), threads=study.threads) for name in NETWORKS}
    return Pipeline(patient.Networks(**loaded), study)


def from_files(case: Case, pipeline: Pipeline, clock: Clock) -> Answer:
    """Carry a case from its files to the classes of its slices, as ``apply`` does.

    The mask is not read, as a patient whose class is asked for has none. Raises ``DataError`` for
    files that cannot be used.
    """
    with clock.stage("read"):
        scan = orientation.read(replace(case, segmentation=None))
    with clock.stage("preprocess"):
        stored = patient.prepared(scan, pipeline.study.preprocessing)
    del scan
    return _from_store(stored, pipeline, clock)


def _from_store(case: StoredCase, pipeline: Pipeline, clock: Clock) -> Answer:
    answer = patient.answer(pipeline.loaded, case, pipeline.study, clock.stage)
    volumes = {"unet2d": answer.p2d, "unet3d": answer.p3d, "fused": answer.fused}
    return Answer(case, volumes, answer.classes)


def again(case: StoredCase, pipeline: Pipeline) -> tuple[Answer, dict[str, float]]:
    """Carry a preprocessed case to the classes of its slices; return the seconds of stages too."""
    clock = Clock(pipeline.device)
    return _from_store(case, pipeline, clock), clock.seconds


# --- what a network is


def operations(network: nn.Module, images: Tensor) -> int:
    """Return the floating point operations of one call: two for each multiply and add.

    Convolutions and matrix products count, norms and activations do not (torch's FlopCounterMode).
    """
    from torch.utils.flop_counter import FlopCounterMode  # noqa: PLC0415  # slow

    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        network(images)
    return int(counter.get_total_flops())


def operations_of(case: StoredCase, pipeline: Pipeline) -> dict[str, int]:
    """Return the ``operations`` of each network for all slices of a case."""
    networks = pipeline.networks
    return {
        name: sum(operations(networks[name], images) for images in batches)
        for name, batches in inputs(case, pipeline).items()
    }


def inputs(case: StoredCase, pipeline: Pipeline) -> dict[str, list[Tensor]]:
    """Return all that each network is fed for a case, batch by batch."""
    fed: dict[str, list[Tensor]] = {name: [] for name in NETWORKS}
    hooks = [
        # a closure over ``name`` would see the last one only, so each hook holds its own list
        network.register_forward_pre_hook(lambda _, args, kept=fed[name]: kept.append(args[0]))
        for name, network in pipeline.networks.items()
    ]
    try:
        again(case, pipeline)
    finally:
        for hook in hooks:
            hook.remove()
    return fed


# --- other ways to run it


def set_up(engine: Engine, pipeline: Pipeline, case: StoredCase) -> Engine:
    """Return an engine after its first pass, with the seconds of it: export or compiling included.

    One that cannot be used here comes back without networks and with the reason.
    """
    if not engine.networks:
        return engine
    clock = Clock(pipeline.device)
    try:
        with clock.stage("set up"):
            again(case, pipeline.swapped(engine.networks))
    except Exception as error:  # what a missing compiler or operator raises is not known beforehand
        # the text of the error may hold paths of this machine
        reason = f"{engine.name} cannot be used here: its first pass raised {type(error).__name__}"
        return Engine(engine.name, {}, reason)
    return replace(engine, set_up_s=clock.seconds["set up"])


def beside(
    answers: Sequence[Answer], pipeline: Pipeline, made: Sequence[Engine]
) -> tuple[dict[str, list[Answer]], pd.DataFrame]:
    """Run the networks of every engine beside the pipeline's own, patient by patient, in rounds.

    Returns what each engine answers, from a first round that is not timed, and a table with
    a row per network of it, patient and round; ``speed_up`` is float32 by seconds.
    """
    running = [engine for engine in made if engine.networks]
    others = {engine.name: pipeline.swapped(engine.networks) for engine in running}
    theirs = {
        name: [again(answer.case, other)[0] for answer in answers] for name, other in others.items()
    }
    rows = []
    rounds = list(product(range(pipeline.study.efficiency.repeats), answers))
    for repeat, answer in progress.steps(rounds, "engines, timed passes"):
        who, float32 = answer.case.grid.patient_id, again(answer.case, pipeline)[1]
        for engine in running:
            seconds = again(answer.case, others[engine.name])[1]
            rows += [
                (engine.name, name, who, repeat, seconds[name], float32[name])
                for name in engine.networks
            ]
    columns = ["engine", "network", "patient_id", "repeat", "seconds", "float32"]
    table = pd.DataFrame(rows, columns=columns)
    return theirs, table.assign(speed_up=table["float32"] / table["seconds"])


def differences(
    pipeline: Pipeline, made: Sequence[Engine], case: StoredCase
) -> list[dict[str, Any]]:
    """Return a row per network of each engine: engine, network, set_up_s, difference, note.

    ``difference`` is the largest of a class probability, on the first batch of a case; an engine
    that was not run has one row with its note.
    """
    fed, rows = inputs(case, pipeline), []
    for engine in made:
        about = {"engine": engine.name, "set_up_s": engine.set_up_s, "note": engine.note}
        apart = {}
        for name, other in engine.networks.items():
            pair, images = (pipeline.networks[name], other), fed[name][0]
            with torch.inference_mode():
                first, second = (network(images).softmax(dim=1) for network in pair)
            apart[name] = float((first - second).abs().max())
        for name, difference in (apart or {"–": math.nan}).items():
            rows.append({**about, "network": name, "difference": difference})
    return rows


# --- what it ran on


def hardware(pipeline: Pipeline) -> dict[str, str]:
    """Return what the times were taken on: no name of the machine, no path."""
    import onnxruntime  # type: ignore[import-untyped]  # noqa: PLC0415  # slow

    return {
        **provenance.hardware(),
        "device": models.device_name(pipeline.device),
        "threads": str(pipeline.study.threads or torch.get_num_threads()),
        "torch": torch.__version__.partition("+")[0],
        "ONNX Runtime": onnxruntime.__version__,
    }


def peak_memory_gb(device: torch.device) -> dict[str, float]:
    """Return the highest memory so far of the process, and of the GPU if that is the device."""
    memory = {"process": provenance.peak_memory() / 1e9}
    if device.type == "cuda":
        memory["gpu"] = torch.cuda.max_memory_allocated(device) / 1e9
    return memory
