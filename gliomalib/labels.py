"""Label conventions: what a release writes for each class, and the regions made of classes."""

from collections.abc import Iterable
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from gliomalib.schema import N_CLASSES, DataError, Labels, SettingsError

_UNTIL_2022 = MappingProxyType({0: 0, 1: 1, 2: 2, 4: 3})
_SINCE_2023 = MappingProxyType({0: 0, 1: 1, 2: 2, 3: 3})

CONVENTIONS = MappingProxyType(
    {
        "phantom_copy": _UNTIL_2022,
        "phantom": _UNTIL_2022,
        "msd_task01": MappingProxyType({0: 0, 1: 2, 2: 1, 3: 3}),
        "brats2017": _UNTIL_2022,
        "brats2018": _UNTIL_2022,
        "brats2019": _UNTIL_2022,
        "brats2020": _UNTIL_2022,
        "brats2021": _UNTIL_2022,
        "upenn_gbm": _UNTIL_2022,
        "ucsf_pdgm": _UNTIL_2022,
        "brats2023": _SINCE_2023,
        "brats_africa": _SINCE_2023,
        "brats2024": MappingProxyType({**_SINCE_2023, 4: 0}),
    }
)
"""Release → {label in its files: canonical label}, oldest release first.

Until 2022 (Menze et al. 2015, Bakas et al. 2017; UPENN-GBM and UCSF-PDGM follow them): 1 necrotic
and non-enhancing core, 2 edema, 4 enhancing tumour. From 2023 on enhancing tumour is 3. In 2024 a
resection cavity is 4 (de Verdier et al. 2024, arXiv 2405.18368): it counts as no tumour here,
since a cavity is none and the paper's four classes have no place for it. The Decathlon's task has
1 edema, 2 non-enhancing and 3 enhancing tumour (its dataset.json).

Releases stand in the order in which their images and masks were made: the Decathlon's are BraTS
2016 and 2017, UPENN-GBM came out in 2021 and UCSF-PDGM in 2022. Where several raw labels are one
canonical label, the first is the one that `to_raw` writes.
"""

RELEASES = tuple(CONVENTIONS)
"""Releases whose labels are known, oldest first."""

REGIONS = MappingProxyType({"WT": (1, 2, 3), "TC": (1, 3), "ET": (3,)})
"""Whole tumour, tumour core and enhancing tumour as canonical labels."""

ROUNDING = 1e-3
"""How far from a whole number a label may be: scaling by a header's slope leaves such rests."""

_UNKNOWN = 255


def to_canonical(raw: NDArray[Any], release: str, where: str) -> Labels:
    """Return canonical labels 0 to 3 (uint8, same shape) for the labels of a release.

    ``where`` names the file in errors. Raises ``DataError`` for a value that is farther than
    ``ROUNDING`` from a whole number or that the release does not know, and ``SettingsError`` for
    an unknown release.
    """
    convention = _convention(release)
    table = np.full(256, _UNKNOWN, dtype=np.uint8)
    table[list(convention)] = list(convention.values())
    with np.errstate(invalid="ignore"):
        whole = np.clip(np.rint(raw), -1, 256) if raw.dtype.kind == "f" else raw
        # what is no byte wraps around, and the comparison tells it
        codes = whole.astype(np.uint8, copy=False)
        labels = _translated(codes, table)
        if codes is raw and labels.max(initial=0) != _UNKNOWN:
            return labels
        strange = (labels == _UNKNOWN) | (codes != whole)
        if raw.dtype.kind == "f":
            strange |= np.abs(raw - whole) > ROUNDING
    if strange.any():
        raise DataError(_complaint(raw[strange], convention, f"{where} ({release})"))
    return labels


def to_raw(labels: Labels, release: str) -> Labels:
    """Return the labels that a release writes (uint8) for canonical ones; undoes `to_canonical`.

    The resection cavity of 2024 does not come back: it became no tumour and is written as 0.

    Raises ``DataError`` for a label above 3 and ``SettingsError`` for an unknown release.
    """
    convention = _convention(release)
    if labels.size and int(labels.max()) >= N_CLASSES:
        raise DataError(f"canonical labels are 0 to {N_CLASSES - 1}, found {int(labels.max())}")
    first = {canonical: raw for raw, canonical in reversed(list(convention.items()))}
    table = np.array([first[label] for label in range(N_CLASSES)], dtype=np.uint8)
    raw: Labels = table[labels]
    return raw


def _translated(codes: Labels, table: Labels) -> Labels:
    """Return ``table[codes]``, in the order in memory, four times as fast: by bytes."""
    order: Literal["C", "F"] = "F" if codes.flags.fnc else "C"
    translated = bytearray(codes.ravel(order).data).translate(table.tobytes())
    return np.frombuffer(translated, np.uint8).reshape(codes.shape, order=order)


def _convention(release: str) -> MappingProxyType[int, int]:
    if release not in CONVENTIONS:
        raise SettingsError(
            f"the labels of release {release!r} are not known: known are {', '.join(RELEASES)}"
        )
    return CONVENTIONS[release]


def _complaint(wrong: NDArray[Any], allowed: Iterable[int], where: str) -> str:
    values, counts = np.unique(wrong, return_counts=True)
    counted = ", ".join(
        f"{value:.8g} in {count} voxel{'s' if count > 1 else ''}"
        for value, count in zip(values[:5], counts[:5], strict=True)
    )
    more = f" and {len(values) - 5} more values" if len(values) > 5 else ""
    with np.errstate(invalid="ignore"):
        off = float(np.abs(values - np.rint(values)).max())
    broken = f" (up to {off:.3g} off a whole number)" if off > ROUNDING else ""
    return (
        f"{where}: unknown label {counted}{more}{broken}; allowed are "
        f"{', '.join(map(str, allowed))}, so check that this is the mask and that its release is "
        "named rightly"
    )
