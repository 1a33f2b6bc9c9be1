"""Class probabilities from finished trainings: of volumes by the U-Nets, of slices by ResNet50."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from gliomalib.data.arrays import ArrayFile
from gliomalib.networks import models, samples
from gliomalib.provenance import code_digest, digest_of, file_digest
from gliomalib.schema import (
    N_CLASSES,
    DataError,
    Float32Array,
    GliomaError,
    RecordError,
    SettingsError,
    SliceSet,
    StoredCase,
    Volume,
)
from gliomalib.settings import Segmentation

SLICES_AT_ONCE = 32
"""Axial slices that the 2D net takes in one pass."""

OVERLAP = 0.5
"""Share of a box that it has in common with its neighbour, where a volume is cut into boxes."""

REMEDY = "run the training notebook again"


@dataclass(frozen=True)
class Segmenter:
    """A trained U-Net, its dimensions (2 or 3), and the threads that its training had."""

    network: nn.Module
    dims: int
    settings: Segmentation
    threads: int
    device: torch.device


@dataclass(frozen=True)
class SliceClassifier:
    """A trained ResNet50, and the threads that its training had."""

    network: nn.Module
    threads: int
    device: torch.device


def load_segmenter(checkpoint: str | Path, device: str = "auto") -> Segmenter:
    """Return the U-Net of a finished training.

    Raises ``RecordError`` for a missing or damaged file, ``SettingsError`` for a classifier.
    """
    target = models.find_device(device)
    with _content(Path(checkpoint), ("unet2d", "unet3d")) as content:
        settings = Segmentation.model_validate(content["settings"])
        dims = 2 if content["network"] == "unet2d" else 3
        network = models.unet(settings, dims)
        network.load_state_dict(content["state"])
        return Segmenter(network.to(target).eval(), dims, settings, _threads(content), target)


def load_classifier(checkpoint: str | Path, device: str = "auto") -> SliceClassifier:
    """Return the ResNet50 of a finished training.

    Raises ``RecordError`` for a missing or damaged file, ``SettingsError`` for a U-Net.
    """
    target = models.find_device(device)
    with _content(Path(checkpoint), ("resnet50",)) as content:
        network = models.empty_resnet50()
        network.load_state_dict(content["state"])
        return SliceClassifier(network.to(target).eval(), _threads(content), target)


def segment(segmenter: Segmenter | str | Path, case: StoredCase, device: str = "auto") -> Volume:
    """Return the class probabilities (4, X, Y, Z) float16 of a case on its own grid.

    The 2D net goes through the axial slices; one without any brain, such as it never saw in
    training, is no tumour with certainty. The 3D net takes the whole volume, or, where that is
    larger than the training ``patch``, half-overlapping boxes with Gaussian weights. ``device``
    counts for a checkpoint; a loaded net stays where it is.
    """
    return Volume(unrounded(segmenter, case, device).astype(np.float16), case.grid)


def unrounded(
    segmenter: Segmenter | str | Path, case: StoredCase, device: str = "auto"
) -> Float32Array:
    """Return what ``segment`` does as the network gives it, in float32, shape (4, X, Y, Z).

    For scores that ask whether a probability is exactly 1: float16 rounds many others to 1.
    """
    if not isinstance(segmenter, Segmenter):
        segmenter = load_segmenter(segmenter, device)
    seen = case.images[samples.channels_of(segmenter.settings.sequences)]
    images = torch.from_numpy(np.array(seen, np.float32)).to(segmenter.device)
    with torch.inference_mode(), models.threads(segmenter.threads):
        infer = _slicewise if segmenter.dims == 2 else _whole
        return np.ascontiguousarray(infer(segmenter, images).cpu().numpy(), dtype=np.float32)


def _slicewise(segmenter: Segmenter, images: Tensor) -> Tensor:
    slices = images.permute(3, 0, 1, 2)  # (C, X, Y, Z) to (Z, C, X, Y)
    with_brain = slices.flatten(1).any(dim=1)
    probabilities = slices.new_zeros((len(slices), N_CLASSES, *slices.shape[2:]))
    probabilities[:, 0] = 1
    if with_brain.any():
        parts = torch.split(slices[with_brain], SLICES_AT_ONCE)
        answers = [segmenter.network(part).softmax(dim=1) for part in parts]
        probabilities[with_brain] = torch.cat(answers)
    return probabilities.permute(1, 2, 3, 0)


def _whole(segmenter: Segmenter, images: Tensor) -> Tensor:
    from monai.inferers.utils import sliding_window_inference  # noqa: PLC0415  # slow

    def probabilities(box: Tensor) -> Tensor:
        """Return the class probabilities (B, 4, *S) of boxes (B, C, *S)."""
        # softmax before boxes are averaged: a mean of logits would let the surest box win
        return cast(Tensor, segmenter.network(box).softmax(dim=1))

    patch = segmenter.settings.patch
    if patch is None or all(a <= b for a, b in zip(images.shape[1:], patch, strict=True)):
        return probabilities(images[None])[0]
    averaged = sliding_window_inference(
        images[None], patch, 1, probabilities, overlap=OVERLAP, mode="gaussian"
    )
    return cast(Tensor, averaged)[0]


def segment_all(
    checkpoint: str | Path, cases: Iterable[StoredCase], directory: str | Path, device: str = "auto"
) -> list[Path]:
    """Predict every case to ``directory/<patient>.npy`` and return the files in that order.

    A file that this checkpoint and this code made of the same images stays as it is. Raises
    ``DataError`` for a patient that is given more than once.
    """
    segmenter = load_segmenter(checkpoint, device)
    made_by = [file_digest(Path(checkpoint)), code_digest(sys.modules[__name__])]
    paths: list[Path] = []
    for case in cases:
        path = Path(directory) / f"{case.grid.patient_id}.npy"
        if path in paths:
            raise DataError(f"{case.grid.patient_id} is duplicated; predict each patient once")
        images = hashlib.sha256(np.ascontiguousarray(case.images).data).hexdigest()
        key = digest_of([made_by, asdict(case.grid), images])
        if not ArrayFile(path, REMEDY).intact(key=key):
            save(segment(segmenter, case), path, key)
        paths.append(path)
    return paths


def save(volume: Volume, path: str | Path, key: str = "") -> None:
    """Write a volume and its grid, see ``data.arrays``; ``key`` names what it was made from."""
    ArrayFile(Path(path), REMEDY).write([volume.probabilities], volume.grid, {"key": key})


def load(path: str | Path) -> Volume:
    """Return a saved volume, memory-mapped; ``DataError`` where missing, damaged or another's."""
    return Volume(*ArrayFile(Path(path), REMEDY).read())


def classify(
    classifier: SliceClassifier | str | Path,
    slices: SliceSet,
    device: str = "auto",
    batch: int = 64,
) -> Float32Array:
    """Return the class probabilities (N, 4) of fused slices, in their order.

    ``device`` counts for a checkpoint; a loaded net stays where it is. Raises what
    ``load_classifier`` raises.
    """
    if not isinstance(classifier, SliceClassifier):
        classifier = load_classifier(classifier, device)
    answers = []
    with torch.inference_mode(), models.threads(classifier.threads):
        for part in torch.split(torch.from_numpy(slices.images), batch):
            logits = classifier.network(part.to(classifier.device).float())
            answers.append(logits.softmax(dim=1).cpu())
    probabilities: Float32Array = torch.cat(answers).numpy()
    return probabilities


@contextmanager
def _content(checkpoint: Path, networks: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """Open a finished training; what goes wrong in the block is a fault of the file."""
    try:
        content = torch.load(checkpoint, map_location="cpu", weights_only=True)
        if content["network"] not in networks:
            kinds = f"holds {content['network']}; give one of {', '.join(networks)}"
            raise SettingsError(f"{checkpoint}: {kinds}")
        yield content
    except GliomaError:
        raise
    except FileNotFoundError:
        raise RecordError(f"{checkpoint}: this training is missing; run its notebook") from None
    except Exception as error:  # bytes of another kind of file can raise anything here
        raise RecordError(
            f"{checkpoint}: not the result of a training ({type(error).__name__}); "
            "delete it and run its notebook again"
        ) from None


def _threads(content: dict[str, Any]) -> int:
    threads = int(content["threads"])
    if threads < 0:
        raise ValueError("fewer than no threads")
    return threads
