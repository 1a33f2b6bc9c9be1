"""Fused axial slices for the classifier, each with the one class that a rule gives it."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from gliomalib.schema import (
    N_CLASSES,
    SEQUENCES,
    Labels,
    MismatchError,
    SettingsError,
    SliceSet,
    StoredCase,
    Volume,
)
from gliomalib.settings import Classifier

FLAIR, T1CE, T2 = (SEQUENCES.index(name) for name in ("flair", "t1ce", "t2"))
ENHANCING = 3


def slice_classes(labels: Labels, rule: str) -> NDArray[np.int64]:
    """Return the class of each axial slice, (Z,), of labels (X, Y, Z).

    The paper does not say how a slice that holds several sub-regions gets one label: ``rule`` is
    one of ``LABEL_RULES``. A slice without tumour is 0. Raises ``SettingsError`` for another rule.
    """
    if rule not in LABEL_RULES:
        raise SettingsError(f"label_rule {rule!r} is unknown: take one of {', '.join(LABEL_RULES)}")
    per_class = [(labels == index).sum(axis=(0, 1)) for index in range(1, N_CLASSES)]
    areas = np.stack(per_class, axis=1)  # (Z, 3)
    return np.where(areas.any(axis=1), LABEL_RULES[rule](areas), 0).astype(np.int64)


def _highest(scores: NDArray[np.int64] | NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the class of the largest column, the last one of equals."""
    # argmax takes the first of equals, so it looks from the last column backwards
    last = scores.shape[1] - 1
    return np.asarray(last - np.argmax(scores[:, ::-1], axis=1) + 1)


LABEL_RULES: Mapping[str, Callable[[NDArray[np.int64]], NDArray[np.int64]]] = {
    "dominant": _highest,
    "enhancing_first": lambda areas: np.where(
        areas[:, ENHANCING - 1] > 0, ENHANCING, _highest(areas)
    ),
    "largest_share": lambda areas: _highest(areas / np.maximum(areas.sum(axis=0), 1)),
}
"""Rule → the class of each slice from its areas (Z, 3) of the sub-regions, in voxels.

``dominant`` takes the sub-region with the largest area in the slice, ``enhancing_first`` 3 where
there is any enhancing tumour and else the dominant one, ``largest_share`` the sub-region of whose
own volume the slice holds the largest share. At a tie the higher class wins.
"""

LEAST_MM2 = {"one voxel": 0.0, "40 mm²": 40.0}
"""Area below which a slice counts as without tumour; 40 mm² are ten voxels of 2 mm."""


def classes_of(case: StoredCase, rule: str, least_mm2: float) -> NDArray[np.int64]:
    """Return the class of each axial slice (Z,): 0 where the tumour is smaller than the least."""
    width, height, _ = case.grid.spacing_mm
    area = (case.labels > 0).sum(axis=(0, 1)) * width * height
    return np.where(area >= least_mm2, slice_classes(case.labels, rule), 0)


def fused_slices(
    volume: Volume, labels: Labels, settings: Classifier, images: NDArray[np.float16] | None = None
) -> SliceSet:
    """Return all axial slices of a fused volume as images with the class of the expert's labels.

    ``labels`` (X, Y, Z) and ``images`` (4, X, Y, Z) are those of the stored case; without images
    nobody knows which slices are ``blank``. Three channels:
    ``probabilities`` takes those of the three sub-regions; ``flair_masked`` takes FLAIR, T1ce and
    1 − P(no tumour), ``mri`` FLAIR, T1ce and T2, and both need ``images``; ``truth`` takes the
    expert's three sub-regions, which tells how much of the task is a tautology. With
    ``image_size`` the slices are resized to that square, bilinear and antialiased. Raises
    ``MismatchError`` where labels or images are not on the volume's grid, ``SettingsError`` where
    images are needed and not given.
    """
    images = images if images is not None and len(images) else None
    shape = volume.grid.shape
    shapes = {"probabilities": volume.probabilities.shape, "labels": (N_CLASSES, *labels.shape)}
    if images is not None:
        shapes["images"] = images.shape
    for name, actual in shapes.items():
        if actual != (N_CLASSES, *shape):
            raise MismatchError(
                f"{volume.grid.patient_id}: the {name} are {actual[1:]} voxels, the fused volume's "
                f"grid is {shape}; take them from the same stored case"
            )
    channels = _channels(volume, labels, settings.image, images)
    return SliceSet(
        images=resized(np.moveaxis(channels, 3, 0), settings.image_size),
        classes=slice_classes(labels, settings.label_rule),
        patients=(volume.grid.patient_id,) * shape[2],
        z=np.arange(shape[2], dtype=np.int64),
        blank=None if images is None else ~np.any(images, axis=(0, 1, 2)),
    )


def _channels(
    volume: Volume, labels: Labels, kind: str, images: NDArray[np.float16] | None
) -> NDArray[np.float16]:
    """Return the three channels (3, X, Y, Z) that ``fused_slices`` describes."""
    if kind == "probabilities":
        return volume.probabilities[1:]
    if kind == "truth":
        return np.stack([labels == index for index in range(1, N_CLASSES)]).astype(np.float16)
    if images is None:
        raise SettingsError(
            f"{volume.grid.patient_id}: image: {kind} needs the scan's images; pass them"
        )
    if kind == "mri":
        return np.asarray(images[[FLAIR, T1CE, T2]], dtype=np.float16)
    tumour = 1 - volume.probabilities[0].astype(np.float32)
    return np.stack([images[FLAIR], images[T1CE], tumour]).astype(np.float16)


def concatenate(sets: Sequence[SliceSet]) -> SliceSet:
    """Join slices of volumes in order; ``MismatchError`` for none, and for different sizes."""
    sizes = sorted({part.images.shape[2:] for part in sets})
    if len(sizes) != 1:
        raise MismatchError(
            f"slices of the sizes {sizes} do not make one set; "
            "give at least one volume, and set image_size for volumes of different sizes"
        )
    blanks = [part.blank for part in sets if part.blank is not None]
    return SliceSet(
        images=np.concatenate([part.images for part in sets]),
        classes=np.concatenate([part.classes for part in sets]),
        patients=tuple(name for part in sets for name in part.patients),
        z=np.concatenate([part.z for part in sets]),
        blank=np.concatenate(blanks) if len(blanks) == len(sets) else None,
    )


def subset(slices: SliceSet, rows: NDArray[np.int64]) -> SliceSet:
    """Return the slices of these rows, in their order; a row may come several times."""
    return SliceSet(
        images=slices.images[rows],
        classes=slices.classes[rows],
        patients=tuple(slices.patients[row] for row in rows),
        z=slices.z[rows],
        blank=None if slices.blank is None else slices.blank[rows],
    )


def resized(images: NDArray[np.float16], size: int | None) -> NDArray[np.float16]:
    """Return images (N, C, H, W) as squares of ``size`` (None: as they are), antialiased."""
    if size is None or images.shape[2:] == (size, size):
        return np.ascontiguousarray(images)
    import torch  # noqa: PLC0415  # slow, and half of the notebooks do without

    scaled = torch.nn.functional.interpolate(
        torch.from_numpy(images.astype(np.float32)), (size, size), mode="bilinear", antialias=True
    )
    return scaled.numpy().astype(np.float16)
