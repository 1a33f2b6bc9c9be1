"""The networks and their losses: a MONAI U-Net in 2D and 3D, and torchvision's ResNet50.

MONAI and torchvision are imported where they are needed: they take seconds, and most notebooks
only read what a network left behind.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from gliomalib.networks import small_maps
from gliomalib.provenance import file_digest
from gliomalib.schema import N_CLASSES, SettingsError
from gliomalib.settings import Classifier, Segmentation

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
"""Channel statistics with which torchvision's ImageNet weights were trained."""

ONEDNN_FROM = 20480
"""Product of batch, channels and the first two axes above which torch takes oneDNN anyway."""

MEMORY_FORMAT = {2: torch.channels_last, 3: torch.channels_last_3d}


class Padded(nn.Module):
    """A network that takes any size: it pads to what its strides divide and crops back.

    Zeros are added at the end of each axis; zero is the background of a scan scaled to 0–1.
    Input (B, C, *S), output (B, classes, *S).
    """

    def __init__(self, network: nn.Module, multiple: int) -> None:
        super().__init__()
        self.network = network
        self.multiple = multiple

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits on the grid of ``images``."""
        size = images.shape[2:]
        padded = pad_to_multiple(images, self.multiple)
        logits = self.network(padded.contiguous(memory_format=MEMORY_FORMAT[len(size)]))
        return cast(Tensor, logits[(..., *(slice(length) for length in size))])


class Conv3d(nn.Conv3d):
    """A 3D convolution that oneDNN computes for a single volume too.

    torch hands a small volume to oneDNN only in a batch or in groups, and otherwise takes twice as
    long (``slow_conv3d``): so the filters become two groups, each of which sees all channels.
    """

    def forward(self, images: Tensor) -> Tensor:
        """Return what ``nn.Conv3d`` does."""
        slow = images.device.type == "cpu" and images.shape[:4].numel() <= ONEDNN_FROM
        if not slow or len(images) > 1 or self.out_channels % 2:
            return super().forward(images)
        twice = torch.cat([images, images], dim=1)
        return nn.functional.conv3d(
            twice, self.weight, self.bias, self.stride, self.padding, self.dilation, groups=2
        )


def pad_to_multiple(images: Tensor, multiple: int) -> Tensor:
    """Add zeros at the end of each spatial axis of (B, C, *S) up to the next multiple.

    Where that leaves a single voxel at the bottleneck the last axis gets one more multiple: an
    instance norm has nothing to normalise over one voxel.
    """
    size = images.shape[2:]
    steps = [-(-length // multiple) for length in size]
    steps[-1] += max(steps) == 1
    widths: list[int] = []
    for length, count in zip(reversed(size), reversed(steps), strict=True):
        widths += [0, count * multiple - length]
    return nn.functional.pad(images, widths)


def unet(settings: Segmentation, dims: int) -> nn.Module:
    """Return a MONAI U-Net for ``dims`` 2 or 3 that takes images (B, C, *S) of any size S.

    C is the number of ``sequences`` that the settings name. Strides are 2 where they name none,
    the norm is MONAI's instance norm. The output is logits (B, 4, *S). Weights come from torch's
    global generator: the caller seeds it.
    """
    from monai.networks.nets.unet import UNet  # noqa: PLC0415  # slow

    strides = settings.strides or (2,) * (len(settings.channels) - 1)
    network = UNet(
        spatial_dims=dims,
        in_channels=len(settings.sequences),
        out_channels=N_CLASSES,
        channels=settings.channels,
        strides=strides,
        num_res_units=settings.residual_units,
        dropout=settings.dropout,
    )
    for part in network.modules():
        if type(part) is nn.Conv3d:
            part.__class__ = Conv3d
    # faster for convolutions of batches on a CPU, and what tensor cores take on a GPU
    network = network.to(memory_format=MEMORY_FORMAT[dims])  # type: ignore[call-overload]
    return Padded(network, math.prod(strides))


class CrossEntropy(nn.Module):
    """Cross-entropy of logits (B, 4, ...) and classes (B, 1, ...), shaped as MONAI's losses."""

    def __init__(self, weights: Sequence[float] | None = None) -> None:
        super().__init__()
        self.weights: Tensor | None
        self.register_buffer("weights", None if weights is None else torch.tensor(weights))

    def forward(self, logits: Tensor, classes: Tensor) -> Tensor:
        """Return the mean over all elements, weighted by their classes where there are weights."""
        return nn.functional.cross_entropy(logits, classes.squeeze(1).long(), weight=self.weights)


class Focal(nn.Module):
    """Focal loss of logits (B, 4, *S) and classes (B, 1, *S), −(1 − p)^γ·log p over a softmax.

    Lin et al. 2017 (arXiv 1708.02002), averaged over the classes too as MONAI does. Only the true
    class of a voxel has a loss, so the other three are not computed.
    """

    def __init__(self, gamma: float, weights: Sequence[float] | None = None) -> None:
        super().__init__()
        self.gamma, self.weights = gamma, weights

    def forward(self, logits: Tensor, classes: Tensor) -> Tensor:
        """Return the mean over all voxels and classes, each voxel weighted by its class."""
        index = classes.long()
        log_p = logits.float().log_softmax(dim=1).gather(1, index)
        losses = -((1 - log_p.exp()) ** self.gamma) * log_p
        if self.weights:
            losses = losses * torch.tensor(self.weights, device=index.device)[index]
        return losses.mean() / N_CLASSES


def segmentation_loss(settings: Segmentation) -> nn.Module:
    """Return the loss of logits (B, 4, *S) and labels (B, 1, *S) that the settings name.

    ``dice_ce`` adds soft Dice over the whole batch, because most slices lack most classes.
    """
    if settings.loss == "focal":
        return Focal(settings.focal_gamma, settings.class_weights)
    return _plain_loss(settings.loss, settings.class_weights)


def classification_loss(settings: Classifier) -> nn.Module:
    """Return the loss of logits (B, 4, 1) and classes (B, 1, 1) that the settings name.

    ``dice`` is soft Dice per class over the batch (Milletari et al. 2016, arXiv 1606.04797): a
    single image has no overlap to speak of, a batch has.
    """
    from monai.losses.dice import DiceLoss  # noqa: PLC0415  # slow

    if settings.loss == "dice":
        return DiceLoss(to_onehot_y=True, softmax=True, batch=True)
    return _plain_loss(settings.loss)


def _plain_loss(name: str, weights: Sequence[float] | None = None) -> nn.Module:
    from monai.losses.dice import DiceCELoss  # noqa: PLC0415  # slow

    if name == "cross_entropy":
        return CrossEntropy(weights)
    tensor = None if weights is None else torch.tensor(weights)
    return DiceCELoss(to_onehot_y=True, softmax=True, batch=True, weight=tensor)


class Normalised(nn.Module):
    """A network that sees its images (B, 3, H, W) scaled by ImageNet's mean and deviation."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.mean: Tensor
        self.std: Tensor
        for name, numbers in (("mean", IMAGENET_MEAN), ("std", IMAGENET_STD)):
            constant = torch.tensor(numbers).reshape(1, -1, 1, 1)
            self.register_buffer(name, constant, persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits (B, 4) of images scaled to 0–1."""
        return cast(Tensor, self.network((images - self.mean) / self.std))


def resnet50(settings: Classifier) -> tuple[nn.Module, str]:
    """Return torchvision's ResNet50 with a four-class head, and where its weights come from.

    ``imagenet`` downloads torchvision's IMAGENET1K_V1 weights, ``file`` reads a state dict of a
    ResNet50, also from a web server (its head is replaced when it has another number of classes),
    ``random`` starts each block as the identity, which learns faster. Raises ``SettingsError``
    where the weights cannot be had; another kind of weights is never taken instead.
    """
    random = settings.weights == "random"
    wrapped = empty_resnet50(identity_blocks=random)
    if random:
        return wrapped, "ResNet50 from random weights, not ImageNet"
    if settings.weights == "imagenet":
        from torchvision.models import ResNet50_Weights  # noqa: PLC0415  # slow

        state = _weights_at(ResNet50_Weights.IMAGENET1K_V1.url, "weights: imagenet")
        source = "ImageNet weights (torchvision IMAGENET1K_V1)"
    else:
        place = cast(str, settings.weights_file)
        path = Path(place).expanduser()
        state = (
            _weights_at(place, f"weights_file {place}") if "://" in place else _weights_from(path)
        )
        source = f"weights of the file {path.name}"
    head = "" if _fill(wrapped.network, state, source) else ", with a new four-class head"
    return wrapped, f"ResNet50 from {source}{head}"


def empty_resnet50(identity_blocks: bool = False) -> Normalised:
    """Return a ResNet50 with four classes and random weights, to be filled or trained."""
    from torchvision import models  # noqa: PLC0415  # slow

    network = models.resnet50(weights=None, zero_init_residual=identity_blocks)
    network.fc = nn.Linear(network.fc.in_features, N_CLASSES)
    small_maps.hasten(network)
    return Normalised(network)


def _weights_at(address: str, setting: str) -> dict[str, Any]:
    """Fetch a state dict, once; the name of its file holds its SHA-256, as torchvision's do."""
    path = Path(torch.hub.get_dir()) / "checkpoints" / address.rpartition("/")[2]
    digest = path.stem.rpartition("-")[2]
    if not re.fullmatch("[0-9a-f]{8,64}", digest):
        raise SettingsError(
            f"{setting}: nobody can check a download whose name has no hash; call it "
            "NAME-XXXXXXXX.pth, where the eight digits begin its SHA-256"
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            torch.hub.download_url_to_file(address, str(path), digest, progress=False)
    except (OSError, RuntimeError, ValueError) as error:
        raise SettingsError(
            f"{setting} cannot be downloaded ({error}); set weights: file with "
            "weights_file: PATH of a local copy, or weights: random"
        ) from None
    # torch's own loader would unpickle whatever lies there under this name, and look at no digest
    if not file_digest(path).startswith(digest):
        raise SettingsError(f"{path}: not the weights of this name; delete it to fetch them again")
    return _weights_from(path)


def _weights_from(path: Path) -> dict[str, Any]:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise SettingsError(f"weights_file {path}: there is no such file; correct it") from None
    except Exception as error:  # bytes of another kind of file can raise anything here
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise SettingsError(f"weights_file {path}: not a state dict ({reason})") from None
    if not isinstance(state, dict) or not all(isinstance(part, Tensor) for part in state.values()):
        raise SettingsError(
            f"weights_file {path}: holds {type(state).__name__}, not a state dict of tensors; "
            "save it with torch.save(network.state_dict(), path)"
        )
    return state


def _fill(network: nn.Module, state: dict[str, Any], source: str) -> bool:
    """Put ``state`` into a ResNet50; return whether the head was taken over."""
    head = state.get("fc.weight")
    other_head = head is not None and head.ndim == 2 and len(head) != N_CLASSES
    if other_head:
        fresh = network.state_dict()
        state = {**state, **{name: fresh[name] for name in ("fc.weight", "fc.bias")}}
    try:
        network.load_state_dict(state)
    except (RuntimeError, TypeError, AttributeError) as error:
        faults = " ".join(str(error).split())
        raise SettingsError(
            f"{source}: not those of torchvision's ResNet50 ({faults:.400}); give another file"
        ) from None
    return not other_head


def parameter_count(module: nn.Module) -> int:
    """Return the number of trainable parameters."""
    return sum(part.numel() for part in module.parameters() if part.requires_grad)


def find_device(name: str) -> torch.device:
    """Return what ``auto``, ``cpu`` or ``cuda`` means here; ``SettingsError`` for no GPU."""
    available = has_gpu()
    if name == "cuda" and not available:
        raise SettingsError("device: cuda, but torch finds no GPU here; set device: auto or cpu")
    return torch.device("cuda" if available and name != "cpu" else "cpu")


def has_gpu() -> bool:
    """Tell whether torch finds a GPU here."""
    return torch.cuda.is_available()


def device_name(device: torch.device) -> str:
    """Return what the device is called in a record."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


def gpu_peak(device: torch.device) -> int:
    """Return the most bytes that this process had on a GPU so far, 0 for a CPU."""
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else 0


def cpu_precisions() -> set[str]:
    """Return the precisions that pay on this processor: bfloat16 where it multiplies such numbers.

    Without AMX or AVX512_BF16 torch converts each number forth and back, which is slower.
    """
    has = torch.cpu.get_capabilities()
    fast = has.get("amx_bf16") or has.get("avx512_bf16")
    return {"32-true", "bf16-mixed"} if fast else {"32-true"}


@contextmanager
def threads(number: int) -> Iterator[None]:
    """Let torch use ``number`` threads inside the block (0: as many as it does anyway)."""
    before = torch.get_num_threads()
    torch.set_num_threads(number or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
