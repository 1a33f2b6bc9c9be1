"""What settings, regions and states are called in the sentences of a report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gliomalib import digits, settings
from gliomalib.report import words
from gliomalib.schema import split_run_name

BRANCHES = {"unet2d": "the 2D network", "unet3d": "the 3D network"}

PRECISIONS = {
    "32-true": "in 32-bit floating point",
    "bf16-mixed": "in mixed precision with bfloat16",
    "16-mixed": "in mixed precision with float16",
}

LOSSES = {
    "cross_entropy": "cross-entropy",
    "dice": "soft Dice loss over the batch (Milletari et al. 2016)",
    "dice_ce": "the sum of soft Dice loss over the batch (Milletari et al. 2016) and cross-entropy",
}

WEIGHTS = {
    "imagenet": "from weights trained on ImageNet (Deng et al. 2009; torchvision's IMAGENET1K_V1)",
    "file": "from weights of a file that the user named",
    "random": "from random weights, where the paper starts from ImageNet",
}

IMAGES = {
    "probabilities": "the fused probabilities of the three sub-regions",
    "flair_masked": "FLAIR, contrast-enhanced T1 and the fused probability of any tumour",
    "truth": "the experts' masks of the three sub-regions, not a prediction",
    "mri": "FLAIR, contrast-enhanced T1 and T2, not the fused volume",
}

LABEL_RULES = {
    "dominant": "the sub-region with the largest area in the slice",
    "enhancing_first": "enhancing tumour where the slice has any, else the sub-region with the "
    "largest area",
    "largest_share": "the sub-region of whose own volume the slice holds the largest share",
}

EMPTY = {
    "brats": "a mask that is empty in truth and prediction counts as 1, one that is empty in only "
    "one of them as 0 (the rule of BraTS)",
    "exclude": "a mask that is empty in truth and prediction is left out and counted, one that is "
    "empty in only one of them counts as 0",
}

REGIONS = {
    "NCR": "necrotic core",
    "ED": "edema",
    "ET": "enhancing tumour",
    "WT": "whole tumour",
    "TC": "tumour core",
}

PARTS = {"test": "held-out", "external": "external"}

STATES = {
    "missed": "Missed: the truth has voxels, the prediction has none",
    "spurious": "Predicted where the truth has none",
    "elsewhere": "Dice exactly 0 although both have voxels: predicted in another place",
    "empty": "Empty in truth and prediction: what Dice is then is a rule, not a measurement",
}
"""State of a mask → what it means."""


def branch(name: str) -> str:
    """Return what a branch of the fused volume is called, ``network`` or ``network.variant``."""
    network, variant = split_run_name(name)
    return f"{BRANCHES[network]} of the run {variant}" if variant else BRANCHES[network]


def sequences(network: settings.Segmentation) -> str:
    """Return the sequences that a network sees."""
    titles = {"t1": "T1", "t1ce": "contrast-enhanced T1", "t2": "T2", "flair": "FLAIR"}
    return words.listed([titles[name] for name in network.sequences])


def shape(network: settings.Segmentation) -> str:
    """Return widths, residual units, norm and dropout of a U-Net."""
    units = "no residual units"
    if network.residual_units:
        units = f"{words.counted(network.residual_units, 'residual unit')} per level"
    dropout = f"dropout of {network.dropout:g}" if network.dropout else "no dropout"
    widths = words.listed([str(width) for width in network.channels])
    return f"{widths} channels wide from top to bottom, with instance norm, {units} and {dropout}"


def loss(network: settings.Segmentation) -> str:
    """Return the loss of a U-Net with its exponent and its weights."""
    text = LOSSES.get(network.loss, "")
    if network.loss == "focal":
        text = f"focal loss (Lin et al. 2017, γ = {network.focal_gamma:g})"
    if network.class_weights is None:
        return text
    weights = words.listed([f"{weight:g}" for weight in network.class_weights])
    return f"{text}, the four classes weighted {weights}"


def schedule(plan: settings.Optimisation, what: str) -> str:
    """Return epochs, batches of ``what``, learning rate and precision."""
    return (
        f"for {words.counted(plan.epochs, 'epoch')} in batches of {items(plan.batch_size, what)}, "
        f"from a learning rate of {plan.learning_rate:g}, {PRECISIONS[plan.precision]}"
    )


def items(count: int, what: str) -> str:
    """Return ``16 slices``, ``1 box``."""
    plural = {"box": "boxes", "copy": "copies"}.get(what, f"{what}s")
    return f"{digits.number(count)} {what if count == 1 else plural}"


def changes(changed: Mapping[str, object]) -> str:
    """Return ``loss: dice_ce, seed: 2026``, the parameters in which a variant differs."""
    return ", ".join(f"{key}: {setting(value)}" for key, value in changed.items())


def setting(value: object) -> str:
    """Return the value of a setting as a reader writes it."""
    return words.listed([str(part) for part in value]) if isinstance(value, list) else str(value)


def dotted(content: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested settings by their dotted names: ``unet2d.loss``."""
    flat: dict[str, Any] = {}
    for key, value in content.items():
        is_nested = isinstance(value, Mapping)
        flat |= dotted(value, f"{prefix}{key}.") if is_nested else {f"{prefix}{key}": value}
    return flat
