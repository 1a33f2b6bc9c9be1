"""Class probabilities from finished trainings: of volumes by the U-Nets, of slices by ResNet50."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import TypeAdapter
from torch import Tensor, nn

from gliomalib.networks import models, samples
from gliomalib.provenance import code_digest, digest_of, file_digest, write_atomic
from gliomalib.schema import (
    N_CLASSES,
    DataError,
    Grid,
    Probabilities,
    RecordError,
    SettingsError,
    SliceSet,
    StoredCase,
    Volume,
)
from gliomalib.settings import Segmentation

SLICES_AT_ONCE = 32
OVERLAP = 0.5


@dataclass(frozen=True)
class Segmenter:
    """A trained U-Net, its dimensions (2 or 3), and the threads that its training had."""

    network: nn.Module
    dims: int
    settings: Segmentation
    threads: int
    device: torch.device


def load_segmenter(checkpoint: Path, device: str = "auto") -> Segmenter:
    """Return the U-Net of a finished training.

    Raises ``RecordError`` where the file is missing or no such checkpoint, ``SettingsError``
    where it holds a classifier.
    """
    content = _read(checkpoint, ("unet2d", "unet3d"))
    settings = Segmentation.model_validate(content["settings"])
    dims = 2 if content["network"] == "unet2d" else 3
    network, where = models.unet(settings, dims), models.find_device(device)
    network.load_state_dict(content["state"])
    return Segmenter(network.to(where).eval(), dims, settings, content["threads"], where)


def segment(segmenter: Segmenter | Path, case: StoredCase, device: str = "auto") -> Volume:
    """Return the class probabilities (4, X, Y, Z) float16 of a case on its own grid.

    The 2D net goes through the axial slices; one without any brain, such as it never saw in
    training, is no tumour with certainty. The 3D net takes the whole volume, or, where that is
    larger than the training ``patch``, half-overlapping boxes with Gaussian weights. ``device``
    counts for a checkpoint; a loaded net stays where it is.
    """
    probabilities = _inferred(segmenter, case, device).to(torch.float16).cpu().numpy()
    return Volume(np.ascontiguousarray(probabilities), case.grid)


def unrounded(
    segmenter: Segmenter | Path, case: StoredCase, device: str = "auto"
) -> NDArray[np.float32]:
    """Return what ``segment`` does as the network gives it, in float32, shape (4, X, Y, Z).

    For scores that ask whether a probability is exactly 1: float16 rounds many others to 1.
    """
    probabilities = _inferred(segmenter, case, device).cpu().numpy()
    return np.ascontiguousarray(probabilities, dtype=np.float32)


def _inferred(segmenter: Segmenter | Path, case: StoredCase, device: str) -> Tensor:
    if isinstance(segmenter, Path):
        segmenter = load_segmenter(segmenter, device)
    seen = case.images[samples.channels_of(segmenter.settings.sequences)]
    images = torch.from_numpy(np.array(seen, np.float32)).to(segmenter.device)
    with torch.inference_mode(), models.threads(segmenter.threads):
        return _slicewise(segmenter, images) if segmenter.dims == 2 else _whole(segmenter, images)


def _slicewise(segmenter: Segmenter, images: Tensor) -> Tensor:
    slices = images.permute(3, 0, 1, 2)
    shown = slices.flatten(1).any(dim=1)
    found = slices.new_zeros((len(slices), N_CLASSES, *slices.shape[2:]))
    found[:, 0] = 1
    if shown.any():
        parts = torch.split(slices[shown], SLICES_AT_ONCE)
        found[shown] = torch.cat([segmenter.network(part).softmax(dim=1) for part in parts])
    return found.permute(1, 2, 3, 0)


def _whole(segmenter: Segmenter, images: Tensor) -> Tensor:
    from monai.inferers.utils import sliding_window_inference  # noqa: PLC0415  # slow

    def probabilities(box: Tensor) -> Tensor:
        found: Tensor = segmenter.network(box).softmax(dim=1)
        return found

    patch = segmenter.settings.patch
    if patch is None or all(a <= b for a, b in zip(images.shape[1:], patch, strict=True)):
        return probabilities(images[None])[0]
    averaged = sliding_window_inference(
        images[None], patch, 1, probabilities, overlap=OVERLAP, mode="gaussian"
    )
    assert isinstance(averaged, Tensor)
    return averaged[0]


def segment_all(
    checkpoint: Path, cases: Iterable[StoredCase], directory: Path, device: str = "auto"
) -> list[Path]:
    """Predict every case to ``directory/<patient>.npy`` and return the files in that order.

    A file that this checkpoint and this code made of the same images stays as it is. Raises
    ``DataError`` where a patient comes twice.
    """
    segmenter = load_segmenter(checkpoint, device)
    made_by = [file_digest(checkpoint), code_digest(sys.modules[__name__])]
    paths: list[Path] = []
    for case in cases:
        path = directory / f"{case.grid.patient_id}.npy"
        if path in paths:
            raise DataError(f"{case.grid.patient_id} comes twice; predict each patient once")
        key = digest_of([made_by, asdict(case.grid), _array_digest(case.images)])
        if not _made_before(path, key):
            save(segment(segmenter, case), path, key)
        paths.append(path)
    return paths


def save(volume: Volume, path: Path, key: str = "") -> None:
    """Write a volume to ``path`` (.npy) with its grid in a ``.json`` beside it, written last.

    ``key`` names what the volume was made from. A killed process leaves either both files or no
    ``.json``, without which the array does not count.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    sidecar, unfinished = path.with_suffix(".json"), path.with_suffix(".unfinished")
    sidecar.unlink(missing_ok=True)
    with unfinished.open("wb") as stream:
        np.save(stream, volume.probabilities)
    unfinished.replace(path)
    content = {"grid": asdict(volume.grid), "key": key, "bytes": path.stat().st_size}
    write_atomic(sidecar, json.dumps(content, indent=1) + "\n")


def load(path: Path) -> Volume:
    """Return a saved volume, memory-mapped.

    Raises ``DataError`` where the array or its ``.json`` is missing or the two do not agree.
    """
    try:
        content = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        probabilities: Probabilities = np.load(path, mmap_mode="r")
        grid = TypeAdapter(Grid).validate_python(content["grid"])
    except FileNotFoundError as error:
        raise DataError(
            f"{error.filename}: this prediction is missing; run the training notebook again"
        ) from None
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path}: not a prediction ({error}); delete it and predict again"
        ) from None
    if probabilities.shape[1:] != grid.shape:
        raise DataError(
            f"{path}: has shape {probabilities.shape}, its grid says {grid.shape}; "
            "delete it and predict again"
        )
    return Volume(probabilities, grid)


def classify(
    checkpoint: Path, slices: SliceSet, device: str = "auto", batch: int = 64
) -> NDArray[np.float32]:
    """Return the class probabilities (N, 4) of fused slices, in their order.

    Raises ``RecordError`` where the file is missing or no such checkpoint, ``SettingsError``
    where it holds a U-Net.
    """
    content = _read(checkpoint, ("resnet50",))
    network, where = models.empty_resnet50(), models.find_device(device)
    network.load_state_dict(content["state"])
    network.to(where).eval()
    found = []
    with torch.inference_mode(), models.threads(content["threads"]):
        for part in torch.split(torch.from_numpy(slices.images), batch):
            found.append(network(part.to(where).float()).softmax(dim=1).cpu())
    probabilities: NDArray[np.float32] = torch.cat(found).numpy()
    return probabilities


def _read(checkpoint: Path, networks: tuple[str, ...]) -> dict[str, Any]:
    try:
        content = torch.load(checkpoint, map_location="cpu", weights_only=True)
        network = content["network"]
    except FileNotFoundError:
        raise RecordError(f"{checkpoint}: this training is missing; run its notebook") from None
    except Exception as error:  # bytes of another kind of file can raise anything here
        raise RecordError(
            f"{checkpoint}: not the result of a training ({type(error).__name__}); "
            "delete it and run its notebook again"
        ) from None
    if network not in networks:
        raise SettingsError(f"{checkpoint}: holds {network}; give one of {', '.join(networks)}")
    return dict(content)


def _array_digest(array: NDArray[np.float16]) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def _made_before(path: Path, key: str) -> bool:
    sidecar = path.with_suffix(".json")
    if not (path.is_file() and sidecar.is_file()):
        return False
    content = json.loads(sidecar.read_text(encoding="utf-8"))
    return bool(content["key"] == key and content["bytes"] == path.stat().st_size)
