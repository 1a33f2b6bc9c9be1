"""Other ways to run a network: less exact arithmetic, ONNX Runtime, compiled by torch.

Each is a module that takes the place of the network, so that every way goes through the same
code.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Engine:
    """Another way to run some networks; without any, ``note`` says why in a sentence."""

    name: str
    networks: Mapping[str, nn.Module]
    note: str = ""
    set_up_s: float = 0.0


class Autocast(nn.Module):
    """A network whose products are taken in ``dtype``; what comes out is float32 again."""

    def __init__(self, network: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.network, self.dtype = network, dtype

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits of ``images``."""
        with torch.autocast(images.device.type, self.dtype):
            logits = self.network(images)
        return cast(Tensor, logits.float())


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
        size = images.shape[1:] if images.ndim == 4 else images.shape
        if size not in self.sessions:
            self.sessions[size] = _session(self.network, images, self.threads)
        session = self.sessions[size]
        feed = {session.get_inputs()[0].name: images.contiguous().numpy()}
        return torch.from_numpy(session.run(None, feed)[0])


def _session(network: nn.Module, images: Tensor, threads: int) -> Any:
    import onnxruntime  # type: ignore[import-untyped]  # noqa: PLC0415  # slow

    free = ({0: torch.export.Dim("batch")},) if images.ndim == 4 else None
    # a batch of one image would be exported with a fixed size of 1
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


def engines(networks: Mapping[str, nn.Module], device: torch.device, threads: int) -> list[Engine]:
    """Return the other ways to run ``networks`` on their device, none of them set up yet.

    ``threads`` are those of ONNX Runtime on the CPU, 0 for as many as torch takes.
    """
    bf16, fp16 = (
        Engine(name, {key: Autocast(network, dtype) for key, network in networks.items()})
        for name, dtype in (("bf16", torch.bfloat16), ("fp16", torch.float16))
    )
    if device.type == "cuda":
        note = "ONNX Runtime was not tried on a GPU: it is installed for the CPU only"
        compiled = {key: compiled_network(network) for key, network in networks.items()}
        return [bf16, fp16, Engine("onnx", {}, note), Engine("compile", compiled)]
    note = "torch.compile was not tried on a CPU: there it takes tens of seconds and a compiler"
    exported = {key: OnnxNetwork(network, threads) for key, network in networks.items()}
    return [bf16, Engine("onnx", exported), Engine("compile", {}, note)]


def compiled_network(network: nn.Module, backend: str = "inductor") -> nn.Module:
    """Return a network that torch compiles at its first call."""
    return cast(nn.Module, torch.compile(network, backend=backend))
