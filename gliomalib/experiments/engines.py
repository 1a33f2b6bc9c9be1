"""What the way from file to class costs: seconds, memory, operations, and other ways to run it.

Nothing here is a result about patients. A network is put into another arithmetic or another
runtime by a module that stands in its place, so that every way goes through the same code.
"""

from __future__ import annotations

import gc
import math
import resource
import sys
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gliomalib import progress, provenance, settings
from gliomalib.data.readers import survey
from gliomalib.networks import models, predict
from gliomalib.pipeline import patient
from gliomalib.schema import Case, StoredCase, Volume

NETWORKS = ("unet2d", "unet3d", "resnet50")
STAGES = ("read", "preprocess", "unet2d", "unet3d", "fusion", "slices", "resnet50")
"""The way from file to class, in its order."""

CPU_COMPILE = "torch.compile was not tried on a CPU: there it takes tens of seconds and a compiler"
GPU_ONNX = "ONNX Runtime was not tried on a GPU: it is installed for the CPU only"


@dataclass(frozen=True)
class Pipeline:
    """The three loaded networks of a fold, and the settings that join them."""

    flat: predict.Segmenter
    deep: predict.Segmenter
    classifier: nn.Module
    study: settings.Study

    @property
    def device(self) -> torch.device:
        """Where the networks are."""
        return self.flat.device

    @property
    def networks(self) -> dict[str, nn.Module]:
        """The networks by name."""
        found = (self.flat.network, self.deep.network, self.classifier)
        return dict(zip(NETWORKS, found, strict=True))

    def swapped(self, others: Mapping[str, nn.Module]) -> Pipeline:
        """Return the pipeline with ``others`` in the place of the networks that they name."""
        flat, deep, classifier = ({**self.networks, **others}[name] for name in NETWORKS)
        pair = replace(self.flat, network=flat), replace(self.deep, network=deep)
        return Pipeline(*pair, classifier, self.study)


@dataclass(frozen=True)
class Answer:
    """What a pass says of a case: the volumes by network, and probabilities (Z, 4) of slices."""

    case: StoredCase
    volumes: Mapping[str, Volume]
    named: NDArray[np.float32]


@dataclass(frozen=True)
class Engine:
    """Another way to run some networks; without any, ``note`` says why in a sentence."""

    name: str
    networks: Mapping[str, nn.Module]
    note: str = ""
    set_up_s: float = 0.0


class Clock:
    """Seconds of each stage of one pass, by the wall.

    Garbage is collected between stages and not within them, and a GPU is waited for at both ends,
    so that nothing of one stage counts to another.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count the block to the stage ``name``; only a block that ends well is counted."""
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
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def load(checkpoints: Mapping[str, Path], study: settings.Study) -> Pipeline:
    """Return the networks of a fold, ready on the study's device and with its threads.

    Raises ``RecordError`` where a checkpoint is missing or none, ``SettingsError`` where it holds
    another network.
    """
    networks = patient.load(checkpoints, study.device)
    flat, deep = (
        replace(segmenter, threads=study.threads)
        for segmenter in (networks.unet2d, networks.unet3d)
    )
    return Pipeline(flat, deep, networks.resnet50.network, study)


def from_files(case: Case, pipeline: Pipeline, clock: Clock) -> Answer:
    """Carry a case from its files to the classes of its slices, as ``apply`` does.

    The mask is not read: whoever asks for a class has none. Raises ``DataError`` for files that
    cannot be used.
    """
    with clock.stage("read"):
        scan = survey.read(replace(case, segmentation=None))
    with clock.stage("preprocess"):
        stored = patient.prepared(scan, pipeline.study.preprocessing)
    del scan
    return from_store(stored, pipeline, clock)


def from_store(case: StoredCase, pipeline: Pipeline, clock: Clock) -> Answer:
    """Carry a preprocessed case to the classes of its slices."""
    study = pipeline.study
    classifier = predict.SliceClassifier(pipeline.classifier, study.threads, pipeline.device)
    networks = patient.Networks(pipeline.flat, pipeline.deep, classifier)
    answer = patient.answer(networks, case, study, clock.stage)
    volumes = {"unet2d": answer.p2d, "unet3d": answer.p3d, "fused": answer.fused}
    return Answer(case, volumes, answer.classes)


def again(case: StoredCase, pipeline: Pipeline) -> tuple[Answer, dict[str, float]]:
    """Return ``from_store`` of a case, and the seconds of its stages."""
    clock = Clock(pipeline.device)
    return from_store(case, pipeline, clock), clock.seconds


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
    fed, networks = inputs(case, pipeline), pipeline.networks
    return {name: sum(operations(networks[name], one) for one in fed[name]) for name in NETWORKS}


def inputs(case: StoredCase, pipeline: Pipeline) -> dict[str, list[Tensor]]:
    """Return all that each network is fed for a case, batch by batch."""
    fed: dict[str, list[Tensor]] = {name: [] for name in NETWORKS}
    hooks = [
        network.register_forward_pre_hook(lambda _, given, kept=fed[name]: kept.append(given[0]))
        for name, network in pipeline.networks.items()
    ]
    try:
        again(case, pipeline)
    finally:
        for hook in hooks:
            hook.remove()
    return fed


# --- other ways to run it


class Autocast(nn.Module):
    """A network whose products are taken in ``dtype``; what comes out is float32 again."""

    def __init__(self, network: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.network, self.dtype = network, dtype

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits of ``images``."""
        with torch.autocast(images.device.type, self.dtype):
            found = self.network(images)
        return cast(Tensor, found.float())


class OnnxNetwork(nn.Module):
    """A network in ONNX Runtime on the CPU; each new size of image is exported at its first call.

    The number of slices (B, C, X, Y) is free, that of volumes (B, C, X, Y, Z) is fixed.
    """

    def __init__(self, network: nn.Module, threads: int) -> None:
        super().__init__()
        self.network, self.threads = network, threads
        self.sessions: dict[tuple[int, ...], Any] = {}

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits of ``images``."""
        size = tuple(images.shape[1:] if images.ndim == 4 else images.shape)
        if size not in self.sessions:
            self.sessions[size] = _session(self.network, images, self.threads)
        session = self.sessions[size]
        given = {session.get_inputs()[0].name: images.contiguous().numpy()}
        return torch.from_numpy(session.run(None, given)[0])


def _session(network: nn.Module, images: Tensor, threads: int) -> Any:
    import onnxruntime  # type: ignore[import-untyped]  # noqa: PLC0415  # slow

    free = ({0: torch.export.Dim("batch")},) if images.ndim == 4 else None
    # a single image would be taken for a size that is fixed
    example = torch.cat([images, images]) if free and len(images) == 1 else images
    # the exporter cannot trace what inference mode made
    with warnings.catch_warnings(), torch.inference_mode(False), torch.no_grad():
        # the exporter copies an object of torch's own that torch has since renamed
        warnings.filterwarnings("ignore", ".*LeafSpec.*", FutureWarning)
        made = torch.onnx.export(
            network, (example.clone(),), dynamo=True, verbose=False, dynamic_shapes=free
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or torch.get_num_threads()
    model = cast(Any, made).model_proto.SerializeToString()
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def engines(pipeline: Pipeline) -> list[Engine]:
    """Return the other ways to run the networks on this device, none of them set up yet."""
    networks, on_gpu = pipeline.networks, pipeline.device.type == "cuda"
    found = [_autocast("bf16", networks, torch.bfloat16)]
    if on_gpu:
        compiled = {name: compiled_network(one) for name, one in networks.items()}
        half = _autocast("fp16", networks, torch.float16)
        return [*found, half, Engine("onnx", {}, GPU_ONNX), Engine("compile", compiled)]
    threads = pipeline.study.threads
    exported = {name: OnnxNetwork(one, threads) for name, one in networks.items()}
    return [*found, Engine("onnx", exported), Engine("compile", {}, CPU_COMPILE)]


def compiled_network(network: nn.Module, backend: str = "inductor") -> nn.Module:
    """Return a network that torch compiles at its first call."""
    return cast(nn.Module, torch.compile(network, backend=backend))


def _autocast(name: str, networks: Mapping[str, nn.Module], dtype: torch.dtype) -> Engine:
    return Engine(name, {network: Autocast(one, dtype) for network, one in networks.items()})


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
) -> tuple[dict[str, list[Answer]], list[dict[str, Any]]]:
    """Run the networks of every engine beside the pipeline's own, patient by patient, in rounds.

    Returns what each engine answers, from a first round that is not timed, and a row a network of
    it, patient and round: engine, network, patient_id, repeat, seconds, float32, and their ratio
    speed_up.
    """
    others = {one.name: pipeline.swapped(one.networks) for one in made if one.networks}
    found = {name: [again(one.case, other)[0] for one in answers] for name, other in others.items()}
    rows = []
    rounds = list(product(range(pipeline.study.efficiency.repeats), answers))
    for repeat, one in progress.steps(rounds, "engines, timed passes"):
        base = again(one.case, pipeline)[1]
        at = {"patient_id": one.case.grid.patient_id, "repeat": repeat}
        for engine in made:
            if engine.networks:
                own = again(one.case, others[engine.name])[1]
                rows += [
                    {"engine": engine.name, "network": name, **at, "seconds": own[name],
                     "float32": base[name], "speed_up": base[name] / own[name]}
                    for name in engine.networks
                ]  # fmt: skip
    return found, rows


def differences(
    pipeline: Pipeline, made: Sequence[Engine], case: StoredCase
) -> list[dict[str, Any]]:
    """Return a row a network of each engine: engine, network, set_up_s, difference, note.

    ``difference`` is the largest one of a class probability to the pipeline's own network, on the
    first batch of a case; an engine that was not run has one row with its note.
    """
    fed, rows = inputs(case, pipeline), []
    for engine in made:
        about = {"engine": engine.name, "set_up_s": engine.set_up_s, "note": engine.note}
        for name, other in engine.networks.items():
            pair, images = (pipeline.networks[name], other), fed[name][0]
            with torch.inference_mode():
                one, two = (network(images).softmax(dim=1) for network in pair)
            apart = float((one - two).abs().max())
            rows.append({**about, "network": name, "difference": apart})
        if not engine.networks:
            rows.append({**about, "network": "–", "difference": math.nan})
    return rows


# --- what it ran on


def hardware(pipeline: Pipeline) -> dict[str, str]:
    """Return what the times were taken on: no name of the machine, no path."""
    import onnxruntime  # noqa: PLC0415  # slow

    return {
        **provenance.hardware(),
        "device": models.device_name(pipeline.device),
        "threads": str(pipeline.study.threads or torch.get_num_threads()),
        "torch": torch.__version__.partition("+")[0],
        "ONNX Runtime": onnxruntime.__version__,
    }


def peak_memory_gb(device: torch.device) -> dict[str, float]:
    """Return the highest memory so far of the process, and of the GPU if that is the device."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = {"process": (peak if sys.platform == "darwin" else peak * 1024) / 1e9}
    if device.type == "cuda":
        found["gpu"] = torch.cuda.max_memory_allocated(device) / 1e9
    return found
