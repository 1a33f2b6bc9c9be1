"""Convolutions as products of matrices are those of torch, and their gradients too."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional
from torchvision import models as torchvision_models

from gliomalib.networks import models
from gliomalib.networks.small_maps import SmallMapConv2d, hasten


@given(
    st.sampled_from([1, 3]),
    st.integers(1, 3),
    st.tuples(st.integers(1, 9), st.integers(1, 9)),
    st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 4)),
)
@settings(deadline=None)
def test_maps_and_gradients_are_those_of_torch(
    side: int, step: int, sides: tuple[int, int], sizes: tuple[int, int, int]
) -> None:
    batch, channels, out = sizes
    plain = nn.Conv2d(channels, out, side, step, padding=side // 2, bias=False).double()
    fast = nn.Conv2d(channels, out, side, step, padding=side // 2, bias=False).double()
    fast.load_state_dict(plain.state_dict())
    hasten(fast)
    assert type(fast) is SmallMapConv2d
    results = []
    for network in (plain, fast):
        maps = torch.linspace(-1, 1, batch * channels * sides[0] * sides[1], dtype=torch.float64)
        maps = maps.sin().reshape(batch, channels, *sides).requires_grad_()
        made = network(maps)
        weights = torch.arange(made.numel(), dtype=torch.float64).cos().reshape(made.shape)
        (made * weights).sum().backward()
        results.append((made, maps.grad, network.weight.grad))
    for expected, found in zip(*results, strict=True):
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(
    "other",
    [
        nn.Conv2d(4, 4, 5, padding=2, bias=False),
        nn.Conv2d(4, 4, (1, 3), padding=(0, 1), bias=False),
        nn.Conv2d(4, 4, 3, bias=False),
        nn.Conv2d(4, 4, 3, padding="same", bias=False),
        nn.Conv2d(4, 4, 3, padding=(1, 0), bias=False),
        nn.Conv2d(4, 4, 3, (1, 2), padding=1, bias=False),
        nn.Conv2d(4, 4, 3, padding=1, dilation=2, bias=False),
        nn.Conv2d(4, 4, 3, padding=1, groups=2, bias=False),
        nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect", bias=False),
        nn.Conv2d(4, 4, 3, padding=1),
        nn.Conv3d(4, 4, 1, bias=False),
    ],
    ids=str,
)
def test_other_convolutions_stay_as_they_are(other: nn.Module) -> None:
    before = type(other)
    hasten(other)
    assert type(other) is before


def test_a_resnet50_of_small_images_takes_them_and_keeps_its_weights(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    torch.manual_seed(0)
    plain = torchvision_models.resnet50(num_classes=4).eval()
    # the one that is trained and that predicts
    fast = models.empty_resnet50().eval().network
    fast.load_state_dict(plain.state_dict())
    assert fast.state_dict().keys() == plain.state_dict().keys()
    products = []
    product = functional.linear

    def counted(rows: torch.Tensor, *rest: torch.Tensor) -> torch.Tensor:
        products.append(rows.shape)
        return product(rows, *rest)

    monkeypatch.setattr(functional, "linear", counted)
    images = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(fast(images), plain(images), rtol=1e-4, atol=1e-4)
        # the head is a product too; large images have no small maps
        assert len(products) > 30
        # with more axes torch has no fast product in bfloat16 where no gradients are asked for
        assert all(len(shape) == 2 for shape in products)
        products.clear()
        fast(torch.rand(1, 3, 288, 288))
        assert len(products) == 1
