"""The door: look at every file of a case once, and report all that is wrong with it."""

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gliomalib import labels, progress
from gliomalib.data import affines, fingerprint, nifti, orientation
from gliomalib.data.nifti import NiftiVolume
from gliomalib.schema import N_CLASSES, SEQUENCES, Case, DataError, Fault, Float32Array

IDENTITY = SEQUENCES[0]
"""The sequence by whose voxels a scan is recognised; without images it is the mask."""


@dataclass(frozen=True)
class Inspection:
    """What one look at a case found; what could not be read is None.

    ``case`` carries the digests of its files, ``n_bytes`` is their size on disk. ``content`` is
    equal for the same scan however it is stored, ``signature`` alike for the same scan processed
    otherwise (None unless asked for). ``voxels`` counts the canonical labels, and ``axes`` are
    directions such as LPS.
    """

    case: Case
    faults: tuple[Fault, ...]
    n_bytes: int
    content: str | None = None
    signature: Float32Array | None = None
    voxels: tuple[int, ...] | None = None
    shape: tuple[int, ...] | None = None
    spacing_mm: tuple[float, float, float] | None = None
    axes: str | None = None

    @property
    def grid(self) -> dict[str, str | None]:
        """How the scan lies, as a table shows it: shape, spacing_mm and axes."""
        shape = "×".join(map(str, self.shape or ())) or None
        spacing = "×".join(f"{size:.4g}" for size in self.spacing_mm or ()) or None
        return {"shape": shape, "spacing_mm": spacing, "axes": self.axes}


def inspect_all(
    cases: Sequence[Case], *, signatures: bool, workers: int | None = None
) -> list[Inspection]:
    """Inspect cases side by side and return them in their order.

    ``workers`` threads share the work (None: one per processor); decompression leaves Python free
    to run them at once.
    """
    work = partial(inspect, signatures=signatures)
    with ThreadPoolExecutor(workers or os.cpu_count()) as pool:
        return list(progress.results(pool.map(work, cases), len(cases), "cases inspected"))


def inspect(case: Case, *, signatures: bool = False) -> Inspection:
    """Read every file of a case and return all of its faults, not only the first."""
    faults: list[Fault] = []
    contents = {}
    for path in dict.fromkeys(case.files.values()):
        with _noted(case, path, faults):
            contents[path] = nifti.read_bytes(path)
    volumes = _decoded(case, contents, faults)
    for name, volume in volumes.items():
        if name != "seg":
            with _noted(case, volume.path, faults):
                _check_brain(name, volume)
    voxels = _class_voxels(case, volumes["seg"], faults) if "seg" in volumes else None
    digests = {path: hashlib.sha256(content).hexdigest() for path, content in contents.items()}
    inspection = Inspection(
        case=replace(case, digests=tuple(digests.get(path, "") for path in case.files.values())),
        faults=(),
        n_bytes=sum(map(len, contents.values())),
        voxels=voxels,
    )
    known_by = IDENTITY if case.images else "seg"
    if known_by in volumes:
        signed = signatures and known_by == IDENTITY
        inspection = _recognised(inspection, volumes[known_by], signed, faults)
    # one 4-D file is decoded for each of its sequences and would report its damage four times
    unique = {fault.message: fault for fault in faults}
    return replace(inspection, faults=tuple(unique.values()))


@contextmanager
def _noted(case: Case, path: Path, faults: list[Fault]) -> Iterator[None]:
    """Add to ``faults`` what is raised, and go on."""
    try:
        yield
    except DataError as error:
        whose = (case.case_id, case.patient_id, case.release)
        faults.append(Fault(*whose, path, error.kind, str(error)))


def _decoded(
    case: Case, contents: Mapping[Path, bytes], faults: list[Fault]
) -> dict[str, NiftiVolume]:
    volumes = {}
    for name, path in case.files.items():
        if path in contents:
            with _noted(case, path, faults):
                volumes[name] = nifti.decode(path, contents[path], nifti.channel_of(case, name))
    # a file that cannot be decoded has been reported, so the grid is that of the first that can
    for volume in list(volumes.values())[1:]:
        with _noted(case, volume.path, faults):
            first = next(iter(volumes.values()))
            nifti.check_same_grid([first, volume], nifti.mask_of_own_origin(case))
    return volumes


def _check_brain(name: str, volume: NiftiVolume) -> None:
    values = _few_values(volume.values)
    message = f"{volume.path}: {name} is {' or '.join(map(str, values))} in every voxel"
    if len(values) > 1:
        message += "; it shows no brain, so check that it is the right file"
        raise DataError(message, "no brain")
    if values:
        kind = "constant volume" if values[0] else "empty volume"
        raise DataError(f"{message}; fetch it again", kind)


def _few_values(values: NDArray[Any]) -> list[Any]:
    """Return the values that occur if they are one or two, as in no scan of a brain."""
    # a sparse look first: sorting all voxels takes long and nearly every scan fails it
    if np.unique(values[::8, ::8, ::8]).size > 2:
        return []
    occurring = np.unique(values)
    return occurring.tolist() if occurring.size <= 2 else []


def _class_voxels(case: Case, mask: NiftiVolume, faults: list[Fault]) -> tuple[int, ...] | None:
    """Return how many voxels each canonical label has, None for a mask with unknown labels."""
    # most of a mask is 0, so only the rest is translated
    marked = mask.values[mask.values != 0]
    counts = None
    with _noted(case, mask.path, faults):
        try:
            canonical = labels.to_canonical(marked, case.release, str(mask.path))
        except DataError as error:
            raise DataError(str(error), "unknown label") from None
        counts = np.bincount(canonical, minlength=N_CLASSES)
        counts[0] += mask.values.size - marked.size
        if not counts[1:].any():
            raise DataError(
                f"{mask.path}: the mask holds no tumour; check that it is this patient's mask, or "
                "leave the case out",
                "no tumour",
            )
    return None if counts is None else tuple(counts.tolist())


def _recognised(
    inspection: Inspection, volume: NiftiVolume, signatures: bool, faults: list[Fault]
) -> Inspection:
    """Return an inspection with what the identity sequence tells of the scan."""
    inspection = replace(
        inspection,
        shape=tuple(volume.values.shape),
        spacing_mm=volume.spacing_mm,
        axes=affines.axes_of(volume.affine),
    )
    if _few_values(volume.values):
        return inspection
    with _noted(inspection.case, volume.path, faults):
        try:
            content = fingerprint.content_digest(volume.values)
            # fingerprints are compared voxel by voxel, so all scans must lie alike
            turned = orientation.turned(
                volume.values, orientation.turn_of(np.asarray(volume.affine))
            )
            signature = fingerprint.signature(turned) if signatures else None
        except ValueError as error:
            message = f"{volume.path}: shows no brain ({error}); check that it is the right file"
            raise DataError(message, "no brain") from None
        inspection = replace(inspection, content=content, signature=signature)
    return inspection
