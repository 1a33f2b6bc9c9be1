"""The networks of a fold in bfloat16, and what a run costs in operations."""

from dataclasses import replace
from typing import cast

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


def bf16(networks: patient.Networks) -> patient.Networks:
    """Return the networks with their products taken in bfloat16."""
    parts = vars(networks).items()
    return patient.Networks(
        **{name: replace(part, network=Autocast(part.network)) for name, part in parts}
    )


def operations(networks: patient.Networks, case: StoredCase, study: Study) -> dict[str, int]:
    """Return the floating point operations of each network for all slices of a case.

    Two for each multiply and add of convolutions and matrix products; norms and activations do not
    count (torch's FlopCounterMode).
    """
    from torch.utils.flop_counter import FlopCounterMode  # noqa: PLC0415  # slow

    counters = {name: FlopCounterMode(display=False) for name in patient.STAGES}
    patient.answer(networks, case, study, stage=counters.__getitem__)
    return {name: int(counters[name].get_total_flops()) for name in NETWORKS}
