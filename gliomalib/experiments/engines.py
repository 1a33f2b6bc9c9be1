"""Other ways to run the networks of a fold, and what a run costs in operations.

Each way is a module that takes the place of a network, so that all go through the same code.
"""

import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import torch
from torch import Tensor, nn

from gliomalib.parameters import NETWORKS
from gliomalib.pipeline import patient
from gliomalib.schema import StoredCase
from gliomalib.settings import Study


class Autocast(nn.Module):
    """A network whose products are taken in bfloat16; what comes out is float32 again."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits of ``images``."""
        with torch.autocast(images.device.type, torch.bfloat16):
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


def engines(networks: patient.Networks, threads: int) -> dict[str, patient.Networks]:
    """Return the networks by the way to run them: float32 (as they are), bf16, and onnx on a CPU.

    ``threads`` are those of ONNX Runtime, 0 for as many as torch takes.
    """
    ways = {"float32": networks, "bf16": swapped(networks, Autocast)}
    if networks.unet2d.device.type == "cpu":
        ways["onnx"] = swapped(networks, lambda network: OnnxNetwork(network, threads))
    return ways


def swapped(
    networks: patient.Networks, other: Callable[[nn.Module], nn.Module]
) -> patient.Networks:
    """Return what ``other`` makes of each of the networks."""
    parts = vars(networks).items()
    return patient.Networks(**{key: replace(it, network=other(it.network)) for key, it in parts})


def operations(networks: patient.Networks, case: StoredCase, study: Study) -> dict[str, int]:
    """Return the floating point operations of each network for all slices of a case.

    Two for each multiply and add of convolutions and matrix products; norms and activations do not
    count (torch's FlopCounterMode).
    """
    from torch.utils.flop_counter import FlopCounterMode  # noqa: PLC0415  # slow

    counters = {name: FlopCounterMode(display=False) for name in patient.STAGES}
    patient.answer(networks, case, study, stage=counters.__getitem__)
    return {name: int(counters[name].get_total_flops()) for name in NETWORKS}
