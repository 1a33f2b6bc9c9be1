"""The door: look at every file of a case once, and report all that is wrong with it."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gliomalib import labels, progress
from gliomalib.data import affines, content, fingerprint, nifti, orientation
from gliomalib.data.nifti import NiftiVolume
from gliomalib.provenance import cores
from gliomalib.schema import N_CLASSES, SEQUENCES, Case, DataError, Fault, Float32Array

IDENTITY = SEQUENCES[0]
"""The sequence by whose voxels a scan is recognised; without images it is the mask."""


@dataclass(frozen=True)
class Inspection:
    """What one look at a case found; what could not be read is None.

    ``case`` carries the digests of its files. ``notes`` are doubts about a case that can be used,
    each shaped like a fault. ``content`` is equal for the same scan however it is stored,
    ``signature`` alike for the same scan processed otherwise (None unless asked for). ``voxels``
    counts the canonical labels, and ``axes`` are directions such as LPS.
    """

    case: Case
    faults: tuple[Fault, ...]
    content: str | None = None
    signature: Float32Array | None = None
    voxels: tuple[int, ...] | None = None
    shape: tuple[int, ...] | None = None
    spacing_mm: tuple[float, float, float] | None = None
    axes: str | None = None
    notes: tuple[Fault, ...] = ()

    @property
    def grid(self) -> dict[str, str | None]:
        """How the scan lies, as a table shows it: shape, spacing_mm and axes."""
        shape = "×".join(map(str, self.shape or ())) or None
        spacing = "×".join(f"{size:.4g}" for size in self.spacing_mm or ()) or None
        return {"shape": shape, "spacing_mm": spacing, "axes": self.axes}


def inspect_all(
    cases: Sequence[Case], *, signatures: bool, workers: int | None = None, mask_pattern: str = ""
) -> list[Inspection]:
    """Inspect cases side by side and return them in their order.

    ``workers`` threads share the work (None: one per core that may be used).
    """
    work = partial(inspect, signatures=signatures, mask_pattern=mask_pattern)
    return progress.in_threads(work, cases, workers or cores(), "cases inspected")


def inspect(case: Case, *, signatures: bool = False, mask_pattern: str = "") -> Inspection:
    """Read every file of a case and return all of its faults, not only the first.

    A mask that calls itself a prediction is a fault, but where it matches ``mask_pattern``.
    """
    faults = list(content.predicted(case, mask_pattern))
    stored = {}
    for path in dict.fromkeys(case.files.values()):
        with _noted(case, path, faults):
            stored[path] = nifti.read_bytes(path)
    volumes = _decoded(case, stored, faults)
    shown = {}
    for name, volume in volumes.items():
        with _noted(case, volume.path, faults):
            if name != "seg":
                content.check_brain(name, volume)
            shown[name] = volume
    voxels, tumour = _tumour(case, volumes.get("seg"), faults)
    # voxels of files that differ in shape do not lie side by side
    beside = shown if len({volume.values.shape for volume in shown.values()}) == 1 else {}
    faults += content.impossible(case, beside, tumour)
    known_by = IDENTITY if case.images else "seg"
    scan, digest, signature = volumes.get(known_by), None, None
    if known_by in shown and (case.images or tumour.size):
        signed = signatures and known_by == IDENTITY
        digest, signature = _recognised(case, shown[known_by], signed, faults)
    digests = {path: hashlib.sha256(packed).hexdigest() for path, packed in stored.items()}
    return Inspection(
        case=replace(case, digests=tuple(digests.get(path, "") for path in case.files.values())),
        # one 4-D file is decoded for each of its sequences and would report its damage four times
        faults=tuple({fault.message: fault for fault in faults}.values()),
        content=digest,
        signature=signature,
        voxels=voxels,
        shape=scan.values.shape if scan else None,
        spacing_mm=scan.spacing_mm if scan else None,
        axes=affines.axes_of(scan.affine) if scan else None,
        notes=tuple(content.doubtful(case, beside, tumour)),
    )


@contextmanager
def _noted(case: Case, path: Path, faults: list[Fault], kind: str = "") -> Iterator[None]:
    """Add to ``faults`` what is raised, as ``kind`` where one is given, and go on."""
    try:
        yield
    except DataError as error:
        whose = (case.case_id, case.patient_id, case.release)
        faults.append(Fault(*whose, path, kind or error.kind, str(error)))


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


def _tumour(
    case: Case, mask: NiftiVolume | None, faults: list[Fault]
) -> tuple[tuple[int, ...] | None, NDArray[np.intp]]:
    """Return how many voxels each canonical label has, and where in Fortran's order the tumour is.

    None and nowhere without a mask or for one with unknown labels.
    """
    if mask is None:
        return None, np.zeros(0, np.intp)
    # most of a mask is 0, so only the rest is translated
    values = mask.values.ravel(order="F")
    marked = np.flatnonzero(values != 0)
    with _noted(case, mask.path, faults, "unknown label"):
        canonical = labels.to_canonical(values[marked], case.release, str(mask.path))
        counts = np.bincount(canonical, minlength=N_CLASSES)
        counts[0] += values.size - marked.size
        if not canonical.any():
            faults.append(_no_tumour(case, mask.path, values[marked]))
        return tuple(counts.tolist()), marked[canonical > 0]
    return None, marked[:0]


def _no_tumour(case: Case, path: Path, raw: NDArray[Any]) -> Fault:
    if (raw > labels.ROUNDING).any():
        # some releases mark what surgery left, which is no tumour
        kind, what = "cavity only", "a resection cavity and no tumour, as after treatment;"
    else:
        kind, what = "no tumour", "no tumour; check that it is this patient's mask, or"
    return case.fault(path, kind, f"the mask holds {what} leave the case out")


def _recognised(
    case: Case, volume: NiftiVolume, signatures: bool, faults: list[Fault]
) -> tuple[str | None, Float32Array | None]:
    """Return the content digest of the identity sequence, and its signature if asked for."""
    try:
        digest = fingerprint.content_digest(volume.values)
        # signatures are compared voxel by voxel, so all scans must lie alike
        turned = orientation.turned(volume.values, orientation.turn_of(np.asarray(volume.affine)))
        return digest, fingerprint.signature(turned) if signatures else None
    except ValueError as error:
        sentence = f"shows no brain ({error}); check that it is the right file"
        faults.append(case.fault(volume.path, "no brain", sentence))
    return None, None
