"""Other ways to run a network give its answer, and say where they were not tried."""

import pytest
import torch

from gliomalib import settings
from gliomalib.experiments import runtimes
from gliomalib.networks import models
from tests.networks.toys import smoke_unet

SHAPE = (12, 8, 6)
SMOKE = settings.load("smoke")


@pytest.mark.parametrize("dims", [2, 3])
def test_onnx_gives_the_answer_of_a_u_net(dims: int) -> None:
    network = smoke_unet(dims)
    twin = runtimes.OnnxNetwork(network, 1)
    # batches of another number of slices, and images of another size
    sizes = [(5, 4, 12, 8), (1, 4, 12, 8), (2, 4, 16, 8)]
    sizes = sizes if dims == 2 else [(1, 4, *SHAPE), (1, 4, 8, 8, 8)]
    for number, size in enumerate(sizes):
        images = torch.rand(size, generator=torch.Generator().manual_seed(number))
        with torch.inference_mode():
            torch.testing.assert_close(twin(images), network(images), atol=1e-4, rtol=1e-4)
    assert len(twin.sessions) == 2


def test_onnx_gives_the_answer_of_resnet50_and_keeps_to_the_threads() -> None:
    torch.manual_seed(1)
    network = models.empty_resnet50().eval()
    twin = runtimes.OnnxNetwork(network, 1)
    images = torch.rand(3, 3, 32, 32)
    with torch.inference_mode():
        torch.testing.assert_close(twin(images), network(images), atol=1e-3, rtol=1e-3)
    options = twin.sessions[(3, 32, 32)].get_session_options()
    assert options.intra_op_num_threads == 1


def test_autocast_rounds_and_gives_float32_back() -> None:
    network, images = smoke_unet(2), torch.rand(2, 4, 8, 8)
    with torch.inference_mode():
        plain, rounded = network(images), runtimes.Autocast(network, torch.bfloat16)(images)
    assert rounded.dtype == torch.float32
    apart = (plain - rounded).abs().max()
    assert 0 < apart < 0.1 * plain.abs().max()


def test_engines_of_a_cpu_say_what_was_not_tried() -> None:
    networks = {"unet2d": smoke_unet(2), "unet3d": smoke_unet(3)}
    made = {one.name: one for one in runtimes.engines(networks, torch.device("cpu"), 1)}
    assert list(made) == ["bf16", "onnx", "compile"]
    assert set(made["bf16"].networks) == set(made["onnx"].networks) == set(networks)
    assert not made["compile"].networks and "not tried on a CPU" in made["compile"].note


def test_engines_of_a_gpu_say_what_was_not_tried() -> None:
    made = {
        one.name: one
        for one in runtimes.engines({"unet2d": smoke_unet(2)}, torch.device("cuda"), 1)
    }
    assert list(made) == ["bf16", "fp16", "onnx", "compile"]
    assert made["compile"].networks and not made["onnx"].networks
    assert "not tried on a GPU" in made["onnx"].note
