"""Products in bfloat16 round the answer of a network, and its operations are counted."""

from dataclasses import replace

import numpy as np
import torch
from torch import nn

from gliomalib import settings
from gliomalib.experiments import engines
from gliomalib.networks import models, predict
from gliomalib.parameters import NETWORKS
from gliomalib.pipeline import patient
from gliomalib.schema import StoredCase
from tests.networks.toys import smoke_unet
from tests.planted_branches import grid

SHAPE = (12, 8, 6)
SMOKE = settings.load("smoke")


def networks() -> patient.Networks:
    torch.manual_seed(0)
    target = torch.device("cpu")
    return patient.Networks(
        predict.Segmenter(smoke_unet(2), 2, SMOKE.unet2d, 1, target),
        predict.Segmenter(smoke_unet(3), 3, SMOKE.unet3d, 1, target),
        predict.SliceClassifier(models.empty_resnet50().eval(), 1, target),
    )


def test_autocast_rounds_and_gives_float32_back() -> None:
    network, images = smoke_unet(2), torch.rand(2, 4, 8, 8)
    with torch.inference_mode():
        plain, rounded = network(images), engines.Autocast(network)(images)
    assert rounded.dtype == torch.float32
    apart = (plain - rounded).abs().max()
    assert 0 < apart < 0.1 * plain.abs().max()


def test_every_network_is_rounded() -> None:
    rounded = engines.bf16(networks())
    assert all(isinstance(getattr(rounded, name).network, engines.Autocast) for name in NETWORKS)


def test_operations_are_two_for_each_product_of_every_slice() -> None:
    images = np.random.default_rng(3).random((4, *SHAPE)).astype(np.float16)
    images[..., 0] = 0  # the 2D net does not see a slice without brain
    case = StoredCase(grid("A", SHAPE), images, np.zeros(SHAPE, np.uint8))
    loaded = networks()
    widths = {"unet2d": nn.Conv2d(4, 4, 3, padding=1), "unet3d": nn.Conv3d(4, 4, 1)}
    planted = {
        name: replace(getattr(loaded, name), network=network) for name, network in widths.items()
    }
    found = engines.operations(replace(loaded, **planted), case, SMOKE)
    assert found["unet2d"] == 2 * 5 * 12 * 8 * 4 * 4 * 9
    assert found["unet3d"] == 2 * 6 * 12 * 8 * 4 * 4
    fewer = replace(case, images=images[..., :3], labels=case.labels[..., :3])
    fewer = replace(fewer, grid=grid("A", (12, 8, 3)))
    half = engines.operations(loaded, fewer, SMOKE)["resnet50"]
    assert found["resnet50"] == 2 * half > 0
