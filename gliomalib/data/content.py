"""What the content of a case cannot be, and what is doubtful: its voxels side by side.

Beside each limit stands the worst of 24 whole real patients, 368 in boxes and 200 phantoms.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatch
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gliomalib.data import affines
from gliomalib.data.nifti import NiftiVolume
from gliomalib.digits import percent
from gliomalib.schema import SEQUENCES, Case, DataError, Fault

FEW = 8
"""So many values are a mask or a map of tissues and no scan, which has at least 100."""
SAME = 0.9995
"""Correlation of ranks from which two files are one scan; two sequences have up to 0.97."""
IN_AIR = 0.01
"""Share of a tumour that may lie where no sequence shows anything: experts go past the edge of
the brain by a voxel here and there, up to 0.012 %."""
STRETCH = 5.0
"""How far all values may reach, in lengths of the range of the brain; the farthest reach 2.3."""
MIRRORED = 0.25
"""Share of a tumour that FLAIR must show brighter than its mirror image; the least is 0.385."""
FEWEST = 100
"""Voxels outside of the mirror image, or of a brain, from which a share says something."""
SAMPLE = 5_000
"""Voxels on which two scans are compared; there are forty times as many for their range."""

_TAILS = 0.1
_PREDICTED = re.compile(r"(?<![a-z])(pred|auto|infer|output|ensemble|nn-?unet(?!_raw))", re.I)
_ENDS = {"LR": "left and right", "PA": "front and back", "SI": "top and bottom"}

Volumes = Mapping[str, NiftiVolume]


def check_brain(name: str, volume: NiftiVolume) -> None:
    """Raise ``DataError`` for a sequence with as few values as in no scan of a brain."""
    values = _few_values(volume.values)
    message = f"{volume.path}: {name} is {' or '.join(map(str, values))} in every voxel"
    if len(values) > 1:
        message += "; it shows no brain, so check that it is the right file"
        raise DataError(message, "no brain")
    if values:
        kind = "constant volume" if values[0] else "empty volume"
        raise DataError(f"{message}; fetch it again", kind)


def predicted(case: Case, mask_pattern: str) -> Iterator[Fault]:
    """Yield a fault where the name of the mask, or of its own folder, says it is a prediction.

    A folder is its own where the images do not lie in it too; of a mask alone, two folders are.
    A file that matches ``mask_pattern`` is the expert's.
    """
    mask = case.segmentation
    if mask is None or (mask_pattern and fnmatch(mask.name, mask_pattern)):
        return
    shared = Path(os.path.commonpath([mask, *case.images.values()]))
    own = mask.relative_to(shared).parts if case.images else mask.parts[-3:]
    if any(_PREDICTED.search(part) for part in own):
        yield case.fault(
            *(mask, "predicted mask"),
            "by its name this is a prediction and not an expert's mask; remove it, or say with "
            f"--mask-pattern or data.mask_pattern, as '{mask.name}', that it is one",
        )


def impossible(case: Case, volumes: Volumes, tumour: NDArray[np.intp]) -> Iterator[Fault]:
    """Yield a fault for each scan that is there twice, and for a mask that lies in the air.

    ``volumes`` have one shape; ``tumour`` are the places of its voxels in Fortran's order.
    """
    for (name, first), (copy, second) in _same(volumes):
        yield case.fault(
            *(second.path, "same scan twice"),
            f"{copy} shows the same voxels as {name} ({first.path.name}), so one of them is a "
            "copy; fetch both again",
        )
    images = [_flat(volumes[name]) for name in SEQUENCES if name in volumes]
    if len(images) == len(SEQUENCES) and tumour.size:
        # around a brain every voxel is as in the corner
        air = np.all([image[tumour] == image[0] for image in images], axis=0)
        if air.mean() > IN_AIR:
            yield case.fault(
                *(volumes["seg"].path, "mask in air"),
                f"{percent(air.mean(), 1)} of the tumour lies where no sequence shows anything; "
                "check that mask and images are one patient's and lie alike",
            )


def doubtful(case: Case, volumes: Volumes, tumour: NDArray[np.intp]) -> Iterator[Fault]:
    """Yield a note on each header that leaves something open, on outliers and a mirrored mask.

    Arguments are those of `impossible`. The same doubt about several files is one note.
    """
    for kind, sentence in dict.fromkeys(d for volume in volumes.values() for d in volume.doubts):
        own = (v.path for v in volumes.values() if (kind, sentence) in v.doubts)
        first, *others = dict.fromkeys(own)
        more = f" (so in {len(others)} more of its files)" if others else ""
        yield case.fault(first, kind, sentence + more)
    for name in SEQUENCES:
        if name in volumes and (times := _stretch(_flat(volumes[name]))) > STRETCH:
            yield case.fault(
                *(volumes[name].path, "far outliers"),
                f"the values of {name} reach {times:.3g} times as far as those of the brain "
                "without its most extreme 0.2 %; min-max squeezes all others",
            )
    if "flair" in volumes and tumour.size:
        seg = volumes["seg"]
        share, axis = min(_brighter(_flat(volumes["flair"]), seg, tumour))
        if share < MIRRORED:
            letter = affines.axes_of(seg.affine)[axis]
            ends = next(ends for letters, ends in _ENDS.items() if letter in letters)
            yield case.fault(
                *(seg.path, "mirrored mask"),
                f"with {ends} exchanged the mask fits FLAIR better, as only {percent(share)} of it "
                "is brighter than its mirror image; check its orientation",
            )


def _few_values(values: NDArray[Any]) -> list[Any]:
    """Return the values that occur if they are at most ``FEW``, otherwise none."""
    # a sparse look first: sorting all voxels takes long and nearly every scan fails it
    if np.unique(values[::8, ::8, ::8]).size > FEW:
        return []
    occurring = np.unique(values)
    return occurring.tolist() if occurring.size <= FEW else []


def _flat(volume: NiftiVolume) -> NDArray[Any]:
    # as files are stored, so that nothing is copied
    return volume.values.ravel(order="F")


def _same(volumes: Volumes) -> Iterator[Sequence[tuple[str, NiftiVolume]]]:
    if len(volumes) < 2:
        return
    size = next(iter(volumes.values())).values.size
    step = max(1, round((size / SAMPLE) ** (1 / 3)))
    sample = np.array([v.values[::step, ::step, ::step].ravel() for v in volumes.values()])
    inside = (sample != sample[:, :1]).any(axis=0)
    # ranks, so that neither a rising map nor a voxel of another value hides a copy
    ranks = sample[:, inside].argsort(axis=1, kind="stable").argsort(axis=1)
    if ranks.shape[1] > 1:
        alike = np.abs(np.corrcoef(ranks))
        pairs = combinations(enumerate(volumes.items()), 2)
        yield from ((first, second) for (i, first), (j, second) in pairs if alike[i, j] > SAME)


def _stretch(values: NDArray[Any]) -> float:
    """Return how far all values reach, in lengths of the range of the brain and the background."""
    # an odd step, as an even one would meet the same columns of voxels again and again
    sample = values[:: max(1, values.size // (40 * SAMPLE)) | 1]
    brain = sample[sample != values[0]]
    if brain.size < FEWEST:
        return 1.0
    low, high = np.percentile(brain, [_TAILS, 100 - _TAILS])
    low, high = min(low, float(values[0])), max(high, float(values[0]))
    return float((float(values.max()) - float(values.min())) / max(high - low, 1e-9))


def _brighter(
    flair: NDArray[Any], mask: NiftiVolume, tumour: NDArray[np.intp]
) -> Iterator[tuple[float, int]]:
    """Yield for each axis the share of a tumour that is brighter than its mirror image."""
    marked, stride = np.zeros(flair.size, bool), 1
    marked[tumour] = True
    tumour = tumour[:: 1 + tumour.size // SAMPLE]
    for axis, n in enumerate(mask.values.shape):
        mirror = tumour + (n - 1 - 2 * (tumour // stride % n)) * stride
        alone = ~marked[mirror]
        here, there = flair[tumour[alone]], flair[mirror[alone]]
        brighter = (here > there) + 0.5 * (here == there)
        yield (float(brighter.mean()) if here.size >= FEWEST else 1.0), axis
        stride *= n
