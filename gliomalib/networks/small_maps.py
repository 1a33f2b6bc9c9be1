"""Convolutions of small maps as one product of matrices, for networks that run on a CPU.

The last stages of a ResNet50 have maps of few pixels where its images are small. The convolutions
of torch are made for large maps: on these, most of a training step goes into them. As a product of
matrices, with a row for each position and what a kernel sees there::

    a map (C, 2, 2)          its windows (4, C · 3 · 3)
    ┌───┬───┐                ┌─────────────────────┐   ┌───────────┐
    │   │   │                │ top left            │   │ kernels   │
    ├───┼───┤   ─────────→   │ top right           │ · │ (out) as  │ = (4, out)
    │   │   │                │ …                   │   │ columns   │
    └───┴───┘                └─────────────────────┘   └───────────┘
"""

from torch import Tensor, nn
from torch.nn import functional

SMALL = {1: 8, 3: 2}
"""Side of a kernel → the longest side of a map, in pixels, up to which the product is faster."""


class SmallMapConv2d(nn.Conv2d):
    """A convolution with the parameters and the results of ``nn.Conv2d``, rounding aside."""

    def forward(self, input: Tensor) -> Tensor:
        """Return the maps (B, out, H', W') of maps (B, C, H, W)."""
        side, step = self.kernel_size[0], self.stride[0]
        if input.device.type != "cpu" or max(input.shape[-2:]) > SMALL[side]:
            return super().forward(input)
        # how many positions there are, and which: every step-th pixel is the middle of a window
        windows = input[..., ::step, ::step].movedim(1, -1)
        places = windows.shape[:-1]
        if side > 1:
            windows = functional.unfold(input, side, padding=side // 2, stride=step).mT
        # one plain matrix: where no gradients are asked for, torch multiplies bfloat16 of more than
        # two axes another way, with which a whole ResNet50 takes thirty times as long
        rows = windows.reshape(-1, windows.shape[-1])
        # channels stay last in memory, so that the next kernels of one pixel find rows, no copies
        maps = functional.linear(rows, self.weight.flatten(1)).reshape(*places, -1)
        return maps.movedim(-1, 1)


def hasten(network: nn.Module) -> None:
    """Let a network's convolutions take the product where their maps are small.

    Parameters and their names stay as they are, so weights can be exchanged with a plain network.
    Kernels are those of a ResNet: 1×1 or 3×3, padded to the size of the map, without bias; others
    stay as they are.
    """
    for part in network.modules():
        if type(part) is nn.Conv2d and _fits(part):
            # the forward pass alone differs; a module made anew would draw its weights again
            part.__class__ = SmallMapConv2d


def _fits(part: nn.Conv2d) -> bool:
    """Tell whether ``SmallMapConv2d`` does what this convolution does."""
    (side, other), middle = part.kernel_size, part.kernel_size[0] // 2
    return (
        side in SMALL
        and (side, part.stride[0], middle) == (other, part.stride[1], part.padding[0])
        and (part.padding, part.padding_mode) == ((middle, middle), "zeros")
        and (part.dilation, part.groups, part.bias) == ((1, 1), 1, None)
    )
