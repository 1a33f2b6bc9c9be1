"""How much memory a step of training takes, known without a step: on torch's device of shapes."""

from __future__ import annotations

import psutil
import torch
from torch import Tensor, nn

from gliomalib.networks import models
from gliomalib.settings import Classifier, Segmentation, Study

COPIES = 4
"""How many times a step holds each weight: itself, its gradient and two averages of AdamW."""

SLACK = 1.3
"""What a step takes beyond what autograd keeps; measured on full-size networks, see the tests."""


def step_bytes(settings: Segmentation | Classifier, dims: int, side: int, batch: int) -> int:
    """Return the bytes of a step on ``batch`` squares (``dims`` 2) or cubes of ``side`` voxels.

    What autograd keeps for the way back is counted in float32; half precision takes less. A
    classifier has ``dims`` 2. Nothing is computed: tensors on ``meta`` have a shape and no content.
    """
    kept: dict[int, int] = {}

    def count(tensor: Tensor) -> Tensor:
        """Count the memory of a tensor that autograd keeps."""
        # what two layers keep is one piece of memory
        storage = tensor.untyped_storage()
        kept[storage._cdata] = storage.nbytes()
        return tensor

    network: nn.Module
    loss: nn.Module | None
    with torch.device("meta"), torch.autograd.graph.saved_tensors_hooks(count, lambda part: part):
        if isinstance(settings, Classifier):
            network, loss = models.empty_resnet50(), None
            images = torch.empty((batch, 3, side, side))
        else:
            network, loss = models.unet(settings, dims), models.segmentation_loss(settings)
            images = torch.empty((batch, len(settings.sequences), *(side,) * dims))
        # the result holds what was counted until here
        answer = network(images)
        answer = loss(answer, torch.zeros((batch, 1, *(side,) * dims))) if loss else answer
    weights = 4 * models.parameter_count(network)
    return round(SLACK * sum(kept.values())) + COPIES * weights


def free_bytes(study: Study) -> int:
    """Return the memory that is free where a study would train: on its GPU, else of the machine."""
    device = models.find_device("cpu" if study.device == "cpu" else "auto")
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return int(psutil.virtual_memory().available)
