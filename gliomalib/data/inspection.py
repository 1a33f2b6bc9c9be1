"""The door: look at every file of a case once, and say all that is wrong with it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from gliomalib import labels, progress
from gliomalib.data import fingerprint, nifti
from gliomalib.data.nifti import NiftiVolume
from gliomalib.schema import N_CLASSES, SEQUENCES, Case, DataError, Fault

IDENTITY = SEQUENCES[0]
"""The sequence by whose voxels a scan is recognised."""


@dataclass(frozen=True)
class Inspection:
    """What one look at a case found; what could not be read is None.

    ``case`` carries the digests of its files. ``content`` is equal for the same scan however it
    is stored, ``signature`` alike for the same scan processed otherwise (None unless asked for);
    ``voxels`` counts canonical labels, ``raw_labels`` those in the file but 0; ``axes`` are
    directions such as LPS.
    """

    case: Case
    faults: tuple[Fault, ...]
    n_bytes: int
    content: str | None = None
    signature: NDArray[np.float32] | None = None
    voxels: tuple[int, ...] | None = None
    raw_labels: tuple[tuple[int, int], ...] = ()
    shape: tuple[int, ...] | None = None
    spacing_mm: tuple[float, float, float] | None = None
    axes: str | None = None


def inspect_all(
    cases: Sequence[Case], *, signatures: bool, workers: int | None = None
) -> list[Inspection]:
    """Inspect cases side by side, in their order; decompression leaves Python free to do so."""
    work = partial(inspect, signatures=signatures)
    with ThreadPoolExecutor(workers or os.cpu_count()) as pool:
        return list(progress.results(pool.map(work, cases), len(cases), "cases inspected"))


def inspect(case: Case, *, signatures: bool = False) -> Inspection:
    """Read every file of a case and return all of its faults, not only the first."""
    files, faults = _read(case)
    volumes, more = _decoded(case, files)
    faults += more
    # a file that cannot be decoded has said so already
    faults += _grid_faults(case, list(volumes.values()))
    for name, volume in volumes.items():
        if name != "seg":
            faults += _flat(case, name, volume)
    counts, raw, wrong = _labels(case, volumes.get("seg"))
    digests = tuple(_digest(files[path]) if path in files else "" for path in case.files.values())
    found = Inspection(
        case=replace(case, digests=digests),
        faults=tuple({fault.message: fault for fault in [*faults, *wrong]}.values()),
        n_bytes=sum(map(len, files.values())),
        voxels=counts,
        raw_labels=raw,
    )
    known = volumes.get(IDENTITY)
    return found if known is None else _recognised(found, known, signatures)


def _read(case: Case) -> tuple[dict[Path, bytes], list[Fault]]:
    files: dict[Path, bytes] = {}
    faults = []
    for path in dict.fromkeys(case.files.values()):
        try:
            files[path] = nifti.read_bytes(path)
        except DataError as error:
            faults.append(_fault(case, path, error))
    return files, faults


def _decoded(case: Case, files: dict[Path, bytes]) -> tuple[dict[str, NiftiVolume], list[Fault]]:
    volumes: dict[str, NiftiVolume] = {}
    faults = []
    for name, path in case.files.items():
        if path not in files:
            continue
        try:
            volumes[name] = nifti.decode(path, files[path], nifti.channel_of(case, name))
        except DataError as error:
            faults.append(_fault(case, path, error))
    return volumes, faults


def _grid_faults(case: Case, volumes: list[NiftiVolume]) -> list[Fault]:
    faults = []
    for other in volumes[1:]:
        try:
            nifti.check_same_grid([volumes[0], other])
        except DataError as error:
            faults.append(_fault(case, other.path, error))
    return faults


def _flat(case: Case, name: str, volume: NiftiVolume) -> list[Fault]:
    found = _few_values(volume.values)
    if not found:
        return []
    message = f"{volume.path}: {name} is {' or '.join(map(str, found))} in every voxel"
    if len(found) > 1:
        what, advice = "no brain", "it shows no brain, so check that it is the right file"
    else:
        what, advice = "constant volume" if found[0] else "empty volume", "fetch it again"
    return [_fault(case, volume.path, DataError(f"{message}; {advice}", what))]


def _few_values(values: NDArray[Any]) -> list[Any]:
    """Return the values that occur if they are one or two, as in no scan of a brain."""
    if np.unique(values[::8, ::8, ::8]).size > 2:
        return []
    found = np.unique(values)
    return found.tolist() if found.size <= 2 else []


def _labels(
    case: Case, mask: NiftiVolume | None
) -> tuple[tuple[int, ...] | None, tuple[tuple[int, int], ...], list[Fault]]:
    if mask is None:
        return None, (), []
    marked = mask.values[mask.values != 0]
    try:
        found = labels.to_canonical(marked, case.release, str(mask.path))
    except DataError as error:
        return None, (), [_fault(case, mask.path, DataError(str(error), "unknown label"))]
    counts = np.bincount(found, minlength=N_CLASSES)
    counts[0] += mask.values.size - marked.size
    values, voxels = np.unique(marked, return_counts=True)
    raw = tuple((int(value), int(n)) for value, n in zip(values, voxels, strict=True))
    faults = []
    if not counts[1:].any():
        message = (
            f"{mask.path}: the mask holds no tumour; check that it is this patient's mask, or "
            "leave the case out"
        )
        faults.append(_fault(case, mask.path, DataError(message, "no tumour")))
    return tuple(int(n) for n in counts), raw, faults


def _recognised(found: Inspection, known: NiftiVolume, signatures: bool) -> Inspection:
    """Return an inspection with what its identity sequence says of the scan."""
    found = replace(
        found,
        shape=tuple(known.values.shape),
        spacing_mm=known.spacing_mm,
        axes="".join(nib.orientations.aff2axcodes(np.asarray(known.affine))),
    )
    if _few_values(known.values):
        return found
    try:
        content = fingerprint.content_digest(known.values)
        signature = fingerprint.signature(_in_one_orientation(known)) if signatures else None
    except ValueError as error:
        message = f"{known.path}: shows no brain ({error}); check that it is the right file"
        fault = _fault(found.case, known.path, DataError(message, "no brain"))
        return replace(found, faults=(*found.faults, fault))
    return replace(found, content=content, signature=signature)


def _in_one_orientation(volume: NiftiVolume) -> NDArray[Any]:
    """Return the voxels flipped and turned so that the axes run as those of BraTS (LPS)."""
    own = nib.orientations.io_orientation(np.asarray(volume.affine))
    turn = nib.orientations.ornt_transform(own, nib.orientations.axcodes2ornt("LPS"))
    turned: NDArray[Any] = nib.orientations.apply_orientation(volume.values, turn)
    return turned


def _fault(case: Case, path: Path, error: DataError) -> Fault:
    return Fault(case.case_id, case.patient_id, case.release, path, error.kind, str(error))


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
