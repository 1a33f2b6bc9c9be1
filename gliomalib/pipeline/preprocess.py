"""From a scan to what both branches read: min-max, central box, voxel size of the study.

Minimum and maximum are those of the whole scan; only what the box keeps is scaled, and resampled
then. What the box cuts off the tumour is counted on the raw scan and kept beside the array,
because no later step can bring it back.
"""

from __future__ import annotations

import hashlib
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import ndimage

from gliomalib import progress
from gliomalib.data import nifti, orientation
from gliomalib.pipeline.store import Store
from gliomalib.provenance import code_digest, cores, digest_of
from gliomalib.schema import (
    N_CLASSES,
    SEQUENCES,
    Affine,
    Case,
    DataError,
    Float32Array,
    Grid,
    Labels,
    MismatchError,
    Scan,
    StoredCase,
)
from gliomalib.settings import Preprocessing

TIE_ORDER = (1, 3, 2, 0)
"""Which label wins when as many voxels of a block hold it as hold another: the rarer in BraTS.

The order is fixed, so that no patient's labels depend on another's: necrotic core, enhancing
tumour, edema, no tumour.
"""

WHOLE_FACTOR_TOLERANCE = 1e-3
"""How far the ratio of two voxel sizes may be from a whole number to count as one."""


@dataclass(frozen=True)
class CropFacts:
    """Voxels of the raw scan per canonical label (index): all, in the in-plane crop, in the box.

    Shares of a tumour that is not there are not numbers (NaN).
    """

    voxels: tuple[int, ...]
    in_plane: tuple[int, ...]
    in_box: tuple[int, ...]
    voxel_mm3: float

    @property
    def lost_in_plane(self) -> float:
        """Share of the whole tumour outside the in-plane crop, all slices kept."""
        return _lost(sum(self.voxels[1:]), sum(self.in_plane[1:]))

    @property
    def lost_by_box(self) -> float:
        """Share of the whole tumour outside the box."""
        return _lost(sum(self.voxels[1:]), sum(self.in_box[1:]))

    @property
    def dice_ceiling(self) -> float:
        """Whole-tumour Dice on the full scan of a prediction that is perfect in the box.

        2·|in| / (|in| + |all|): the prediction is the tumour's part in the box (Dice 1945).
        """
        kept, tumour = sum(self.in_box[1:]), sum(self.voxels[1:])
        return 2 * kept / (kept + tumour) if tumour else math.nan


@dataclass(frozen=True)
class _Box:
    """The central box in voxels of the scan, and the grid that it becomes."""

    start: tuple[int, int, int]
    size: tuple[int, int, int]
    shape: tuple[int, int, int]
    factors: tuple[float, float, float]

    @property
    def whole(self) -> bool:
        """Say whether every voxel of the grid is a block of whole voxels of the scan."""
        return all(factor.is_integer() for factor in self.factors)


def prepare(scan: Scan, settings: Preprocessing) -> tuple[StoredCase, CropFacts]:
    """Return a scan as the store keeps it, and what the crop kept and lost.

    Images and grid are those of `prepare_images`. Labels follow by the majority vote
    (`TIE_ORDER`) where voxels are joined, else by the nearest voxel. Raises ``DataError`` without
    a mask or for a constant volume.
    """
    if scan.labels is None:
        message = f"case {scan.case.case_id} has no mask, so it cannot be studied; leave it out"
        raise DataError(message)
    images, grid = prepare_images(scan, settings)
    box = _central_box(scan, settings)
    inside = _inside(box, scan.shape)
    mask = np.ascontiguousarray(scan.labels[inside])
    labels = _on_grid(_padded(mask, box, scan.shape), box, images=False)
    facts = CropFacts(
        voxels=_counts(scan.labels),
        in_plane=_counts(scan.labels[inside[:2]]),
        in_box=_counts(scan.labels[inside]),
        voxel_mm3=float(math.prod(scan.spacing_mm)),
    )
    return StoredCase(grid, images, labels.astype(np.uint8)), facts


def prepare_images(scan: Scan, settings: Preprocessing) -> tuple[NDArray[np.float16], Grid]:
    """Return what the networks see of a scan (4, X, Y, Z) in 0–1, and the grid on which it lies.

    The box of ``crop_mm`` by ``depth_mm`` lies around the scan's geometric centre and is filled
    with 0 where the scan is smaller. Voxels with a whole ratio of sizes along every axis are
    joined by their mean; a scan with the voxels of the study keeps its own, and others are
    interpolated linearly. The scan must be upright, as
    ``orientation.read`` gives it; it needs no mask. Raises ``DataError`` for a constant volume.
    """
    box = _central_box(scan, settings)
    images = np.empty((len(scan.images), *box.shape), np.float16)

    def fill_in(place: int) -> None:
        """Put one sequence, scaled and on the grid, into its place."""
        part = _scaled(scan, place, _inside(box, scan.shape))
        images[place] = _on_grid(_padded(part, box, scan.shape), box, images=True)

    progress.in_threads(fill_in, range(len(images)), cores(), "volumes")
    grid = Grid(
        patient_id=scan.case.patient_id,
        shape=box.shape,
        spacing_mm=settings.voxel_mm,
        crop_start=box.start,
        affine=_grid_affine(scan.affine, box),
    )
    return images, grid


def store_key(settings: Preprocessing) -> str:
    """Return the name of the store that these settings and the present code make."""
    return digest_of([settings.model_dump(mode="json"), code_digest(sys.modules[__name__])])


def open_store(root: str | Path, settings: Preprocessing) -> Store:
    """Return the store under ``root`` that these settings and the present code make."""
    return Store(Path(root), store_key(settings))


def kept_box(scan: Scan, settings: Preprocessing) -> tuple[slice, slice, slice]:
    """Return the voxels of a scan that the central box keeps, along x, y and z."""
    across, down, along = _inside(_central_box(scan, settings), scan.shape)
    return across, down, along


def source_digest(case: Case, stored: Mapping[Path, bytes]) -> str:
    """Return a digest of the bytes ``stored`` in a case's files, its identity and its release.

    Raises ``DataError`` for a file that is not the one that was inspected.
    """
    digests = {path: hashlib.sha256(content).hexdigest() for path, content in stored.items()}
    files = {name: digests[path] for name, path in case.files.items()}
    inspected = case.digests or tuple(files.values())
    for (name, digest), before in zip(files.items(), inspected, strict=True):
        if digest != before:
            raise DataError(
                f"{case.files[name]}: this is not the file that 01_data_exploration looked at; "
                "run it again, or put the old file back",
                "file replaced",
            )
    return digest_of([case.case_id, case.patient_id, case.release, files])


def fill(
    store: Store, cases: Sequence[Case], settings: Preprocessing, workers: int = 1
) -> pd.DataFrame:
    """Put every case that is not fresh into the store and return one row per case, in order.

    Columns: case_id, patient_id, release, voxels_1 to voxels_3 and voxels_tumour of the raw
    scan, the same as mm3_…, lost_in_plane, lost_by_box, dice_ceiling. ``workers`` threads work
    side by side. Raises ``DataError`` for two cases of one patient or a case that cannot be
    prepared, and ``MismatchError`` for a store of other settings or code.
    """
    if store.key != store_key(settings):
        raise MismatchError(
            f"store {store.key} is not the one of these settings and this code "
            f"({store_key(settings)}); open it with open_store(root, settings)"
        )
    _check_one_case_each(cases)
    work = partial(_fill_one, store, settings)
    done = progress.in_threads(work, cases, workers, "cases preprocessed")
    return pd.DataFrame([_row(case, facts) for case, facts in zip(cases, done, strict=True)])


def crop_facts(store: Store, patient_id: str) -> CropFacts:
    """Return what the crop kept and lost of a stored patient; raises as ``Store.get``."""
    entry = store.facts(patient_id)["crop"]
    counts = {name: tuple(entry[name]) for name in ("voxels", "in_plane", "in_box")}
    return CropFacts(**counts, voxel_mm3=entry["voxel_mm3"])


def _fill_one(store: Store, settings: Preprocessing, case: Case) -> CropFacts:
    content = nifti.read_files(case)
    digest = source_digest(case, content)
    if not store.is_fresh(case.patient_id, digest):
        stored, facts = prepare(orientation.read(case, content), settings)
        about = {"case_id": case.case_id, "release": case.release}
        store.put(stored, digest, {**about, "crop": asdict(facts)})
    return crop_facts(store, case.patient_id)


def _check_one_case_each(cases: Sequence[Case]) -> None:
    first: dict[str, str] = {}
    for case in cases:
        if case.patient_id in first:
            raise DataError(
                f"patient {case.patient_id} has two cases, {first[case.patient_id]} and "
                f"{case.case_id}; a store holds one examination per patient, so leave one out"
            )
        first[case.patient_id] = case.case_id


def _row(case: Case, facts: CropFacts) -> dict[str, Any]:
    counts = {str(label): facts.voxels[label] for label in range(1, N_CLASSES)}
    counts["tumour"] = sum(facts.voxels[1:])
    return {
        "case_id": case.case_id,
        "patient_id": case.patient_id,
        "release": case.release,
        **{f"voxels_{name}": count for name, count in counts.items()},
        **{f"mm3_{name}": count * facts.voxel_mm3 for name, count in counts.items()},
        "lost_in_plane": facts.lost_in_plane,
        "lost_by_box": facts.lost_by_box,
        "dice_ceiling": facts.dice_ceiling,
    }


def _lost(tumour: int, kept: int) -> float:
    return 1 - kept / tumour if tumour else math.nan


def _central_box(scan: Scan, settings: Preprocessing) -> _Box:
    extents = (*(settings.crop_mm or (None, None)), settings.depth_mm)
    sides = zip(extents, scan.shape, scan.spacing_mm, settings.voxel_mm, strict=True)
    axes = [_axis(*side) for side in sides]
    return _Box(*zip(*axes, strict=True))


def _axis(
    extent: float | None, n: int, spacing: float, wanted: float
) -> tuple[int, int, int, float]:
    """Return start and size of the box along an axis, its voxels on the grid, and their ratio."""
    factor = wanted / spacing
    if round(factor) and abs(factor - round(factor)) <= WHOLE_FACTOR_TOLERANCE:
        factor = float(round(factor))
    # all slices: rather a partly empty last slice than one slice less
    voxels = max(1, math.ceil(n / factor) if extent is None else round(extent / wanted))
    size = round(voxels * factor)
    return (n - size) // 2, size, voxels, factor


def _inside(box: _Box, shape: Sequence[int]) -> tuple[slice, ...]:
    """Voxels of the scan that the box holds."""
    rows = zip(box.start, box.size, shape, strict=True)
    return tuple(slice(max(0, start), min(n, start + size)) for start, size, n in rows)


def _scaled(scan: Scan, place: int, inside: tuple[slice, ...]) -> Float32Array:
    """Return a part of a volume, 0 being the least value of the whole volume and 1 the largest."""
    volume, case_id = scan.images[place], scan.case.case_id
    low, high = (np.float32(end) for end in (volume.min(), volume.max()))
    if low == high:
        raise DataError(
            f"case {case_id}: {SEQUENCES[place]} is {low:g} in every voxel, so min-max has no "
            "range; fetch the case again"
        )
    # single precision from here on, as what was stored before
    part = np.array(volume[inside], np.float32, order="C")
    part -= low
    part /= high - low
    return part


def _padded(part: NDArray[Any], box: _Box, shape: Sequence[int]) -> NDArray[Any]:
    """Return the part of a scan inside the box as the whole box, 0 outside of the scan."""
    rows = zip(box.start, box.size, shape, strict=True)
    pad = [(max(0, -start), max(0, start + size - n)) for start, size, n in rows]
    return np.pad(part, pad) if np.any(pad) else part


def _on_grid(volume: NDArray[Any], box: _Box, *, images: bool) -> NDArray[Any]:
    if not box.whole:
        return _interpolated(volume, box, order=1 if images else 0)
    if box.size == box.shape:
        return volume
    # every axis becomes two, the blocks and the voxels in a block, and the second is joined
    x, y, z = box.shape
    a, b, c = (round(factor) for factor in box.factors)
    blocks = volume.reshape(x, a, y, b, z, c)
    return blocks.mean(axis=(1, 3, 5)) if images else _majority(blocks)


def _majority(blocks: NDArray[np.uint8]) -> Labels:
    # argmax takes the first of equals, which is why the labels stand in the order of ties
    counts = np.stack([(blocks == label).sum(axis=(1, 3, 5)) for label in TIE_ORDER])
    return np.asarray(np.array(TIE_ORDER, np.uint8)[counts.argmax(axis=0)])


def _interpolated(volume: NDArray[Any], box: _Box, order: Literal[0, 1]) -> NDArray[Any]:
    """Sample the crop at the centres of the grid's voxels; outside of the crop is the edge."""
    centre = np.array(_first_centre(box)) - box.start
    step = np.asarray(box.factors)
    return np.asarray(
        ndimage.affine_transform(volume, step, centre, box.shape, order=order, mode="nearest")
    )


def _first_centre(box: _Box) -> tuple[float, ...]:
    """Centre of the grid's first voxel in voxels of the scan; box and grid share their centre."""
    rows = zip(box.start, box.size, box.shape, box.factors, strict=True)
    # to the centre of the box, and from there back by half of the grid
    return tuple(start + (size - 1) / 2 - factor * (n - 1) / 2 for start, size, n, factor in rows)


def _grid_affine(affine: Affine, box: _Box) -> Affine:
    # voxel of the grid → voxel of the scan → millimetres
    step = np.diag([*box.factors, 1.0])
    step[:3, 3] = _first_centre(box)
    return tuple(tuple(float(entry) for entry in row) for row in np.asarray(affine) @ step)


def _counts(labels: Labels) -> tuple[int, ...]:
    # a look for each label is ten times as fast as a bincount, which makes 8 bytes of each voxel
    counts = [int(np.count_nonzero(labels == label)) for label in range(1, N_CLASSES)]
    return (labels.size - sum(counts), *counts)
