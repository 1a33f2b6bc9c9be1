"""The way of one patient through the method of the paper, from a scan to a class for each slice.

    scan ─ prepared ─┬─ 2D U-Net ─ p2d ─┐
                     │                  ├─ S = α·p2d + (1 − α)·p3d ─ slices ─ ResNet50 ─ classes
                     └─ 3D U-Net ─ p3d ─┘

Whoever wants a step to be timed gives a ``stage``; the numbers are the same.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gliomalib.fusion import average, slices
from gliomalib.networks import predict
from gliomalib.pipeline import preprocess
from gliomalib.schema import Float32Array, Scan, StoredCase, Volume
from gliomalib.settings import Preprocessing, Study

STAGES = ("read", "preprocess", "unet2d", "unet3d", "fusion", "slices", "resnet50")
"""The stages from file to class, in their order."""

Stage = Callable[[str], AbstractContextManager[Any]]
"""What is entered with the name of each stage around its work, such as a clock."""


@dataclass(frozen=True)
class Networks:
    """The three networks of a fold, loaded."""

    unet2d: predict.Segmenter
    unet3d: predict.Segmenter
    resnet50: predict.SliceClassifier


@dataclass(frozen=True)
class Answer:
    """What the networks say of a case.

    Three volumes on its grid, and the class probabilities (Z, 4) of its axial slices.
    """

    p2d: Volume
    p3d: Volume
    fused: Volume
    classes: Float32Array


def load(checkpoints: Mapping[str, str | Path], device: str = "auto") -> Networks:
    """Return the networks of a fold from their checkpoints by name.

    Raises ``RecordError`` for a file that is missing or no checkpoint, ``SettingsError`` for the
    checkpoint of another network.
    """
    return Networks(
        unet2d=predict.load_segmenter(checkpoints["unet2d"], device),
        unet3d=predict.load_segmenter(checkpoints["unet3d"], device),
        resnet50=predict.load_classifier(checkpoints["resnet50"], device),
    )


def prepared(scan: Scan, settings: Preprocessing) -> StoredCase:
    """Return an upright scan as the networks see it; its mask is not used, all labels are 0.

    Raises ``DataError`` for a constant volume.
    """
    images, grid = preprocess.prepare_images(scan, settings)
    return StoredCase(grid, images, np.zeros(grid.shape, np.uint8))


def segment(
    branches: Sequence[predict.Segmenter], case: StoredCase, stage: Stage = nullcontext
) -> tuple[Volume, Volume]:
    """Return the class probabilities of both branches, p2d and p3d."""
    unet2d, unet3d = branches
    with stage("unet2d"):
        p2d = predict.segment(unet2d, case)
    with stage("unet3d"):
        p3d = predict.segment(unet3d, case)
    return p2d, p3d


def answer(
    networks: Networks, case: StoredCase, study: Study, stage: Stage = nullcontext
) -> Answer:
    """Carry a preprocessed case to the classes of its slices, with the study's α.

    ``stage`` is entered for unet2d, unet3d, fusion, slices and resnet50, one after the other.
    """
    p2d, p3d = segment((networks.unet2d, networks.unet3d), case, stage)
    with stage("fusion"):
        fused = average.weighted_average(p2d, p3d, study.fusion.alpha)
    with stage("slices"):
        images = slices.fused_slices(fused, case.labels, study.classifier, case.images)
    with stage("resnet50"):
        classes = predict.classify(networks.resnet50, images)
    return Answer(p2d, p3d, fused, classes)
