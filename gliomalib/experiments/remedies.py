"""How the intensities of a patient lie, and three simple ways to bring another site's back.

All of it works on stored cases, that is after min–max. The brain is every voxel in which some
sequence is above 0, as for the 2D branch; what lies outside stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats as distributions

from gliomalib.experiments.values import PREFIXES
from gliomalib.schema import SEQUENCES, DataError, FloatArray, StoredCase, Volume

LANDMARKS = (0, 1, 10, 20, 30, 40, 50, 60, 70, 80, 90, 99, 100)
"""Percentiles that are moved onto one another: those of Nyúl, Udupa and Zhang (2000,
doi:10.1109/42.836373) between their ends of 1 and 99, and the extremes, so that none is cut off."""

PROFILE = np.arange(100) + 0.5
"""Percentiles that stand for a distribution: a hundred values of equal weight per patient, so that
a large brain weighs no more than a small one."""

MIRRORS: tuple[tuple[int, ...], ...] = ((0,), (1,), (0, 1))
"""Axes of (X, Y, Z) that are mirrored: left–right, front–back, both."""


@dataclass(frozen=True, eq=False)
class Reference:
    """How the training patients look in the brain: means over patients, by sequence.

    ``mean`` and ``sd`` have shape (4,), ``quantiles`` (4, len(LANDMARKS)).
    """

    mean: FloatArray
    sd: FloatArray
    quantiles: FloatArray


Segment = Callable[[StoredCase], Volume]
"""The trained pipeline up to the fused volume."""


@dataclass(frozen=True)
class Remedy:
    """What a remedy is called, and how it treats the images (None: it mirrors them)."""

    title: str
    treat: Callable[[StoredCase, Reference], StoredCase] | None


def brain(case: StoredCase) -> NDArray[np.bool_]:
    """Return which voxels (X, Y, Z) belong to the brain.

    Raises ``DataError`` where there is none.
    """
    inside: NDArray[np.bool_] = np.any(case.images > 0, axis=0)
    if not inside.any():
        raise DataError(
            f"{case.grid.patient_id}: no voxel of the box is above 0 in any sequence; "
            "leave the patient out"
        )
    return inside


def profile(case: StoredCase) -> FloatArray:
    """Return the percentiles ``PROFILE`` of each sequence inside the brain, shape (4, 100)."""
    return np.asarray(np.percentile(_inside(case), PROFILE, axis=1).T)


def distance(one: NDArray[Any], other: NDArray[Any]) -> float:
    """Return the 1-D Wasserstein distance of two samples, in the unit of the values."""
    return float(distributions.wasserstein_distance(np.ravel(one), np.ravel(other)))


def shifts(intensities: pd.DataFrame) -> pd.DataFrame:
    """Return how far each sequence has moved between two groups of patients.

    ``intensities`` is that of ``external_sites.GroupScores``. One row per sequence: mean, sd and
    the percentiles 5, 50 and 95 of both parts; ``distance`` between the parts; for comparison
    ``one_test`` and ``one_external``, the mean distance of a patient of that part to the other
    test patients. NaN where nobody is there.
    """
    rows = []
    for sequence in SEQUENCES:
        table = intensities[intensities["sequence"] == sequence]
        row: dict[str, object] = {"sequence": sequence}
        both = [_by_patient(table[table["part"] == part]) for part in PREFIXES]
        for part, values in zip(PREFIXES, both, strict=True):
            row |= {f"{name}_{part}": number for name, number in _summary(values).items()}
        rows.append(row | _distances(*both))
    return pd.DataFrame(rows)


def fit(cases: Iterable[StoredCase]) -> Reference:
    """Return how ``cases`` look on average; they should be those of a fold's training part.

    Raises ``DataError`` for no case, and for a case without brain.
    """
    described = [
        (values.mean(axis=1), values.std(axis=1), np.percentile(values, LANDMARKS, axis=1).T)
        for values in map(_inside, cases)
    ]
    if not described:
        raise DataError("there is no training patient to fit a remedy on; check the split")
    return Reference(*(np.mean(part, axis=0) for part in zip(*described, strict=True)))


def z_score(case: StoredCase, reference: Reference) -> StoredCase:
    """Return the case with mean and SD of each sequence in the brain moved to the reference's.

    What would leave 0–1, where the networks learned, is set to its end.
    """
    values = _inside(case)
    mean, sd = values.mean(axis=1, keepdims=True), values.std(axis=1, keepdims=True)
    # a sequence that is flat in the brain has nothing to scale: it gets the reference's mean
    scaled = (values - mean) / np.maximum(sd, np.finfo(float).tiny)
    return _with(case, scaled * reference.sd[:, None] + reference.mean[:, None])


def histogram(case: StoredCase, reference: Reference) -> StoredCase:
    """Return the case with its landmarks in the brain moved to the reference's, linear between."""
    moved = [
        np.interp(values, np.percentile(values, LANDMARKS), landmarks)
        for values, landmarks in zip(_inside(case), reference.quantiles, strict=True)
    ]
    return _with(case, np.array(moved))


def mirrored(case: StoredCase, axes: Sequence[int]) -> StoredCase:
    """Return the case mirrored along ``axes`` of (X, Y, Z).

    Its grid stays that of the case: what is predicted from it must be mirrored back.
    """
    images = np.flip(case.images, _behind_first(axes))
    return StoredCase(case.grid, images, np.flip(case.labels, tuple(axes)))


def tta(segment: Segment, case: StoredCase, straight: Volume) -> Volume:
    """Return the mean of ``straight``, the case's volume, and of those of its ``MIRRORS``.

    Each is mirrored back before the mean is taken (test-time augmentation).
    """
    # the sum is taken in float32: four float16 volumes would lose their last digits
    total = straight.probabilities.astype(np.float32)
    for axes in MIRRORS:
        turned = segment(mirrored(case, axes)).probabilities
        total = total + np.flip(turned, _behind_first(axes))
    return replace(straight, probabilities=(total / (1 + len(MIRRORS))).astype(np.float16))


REMEDIES: Mapping[str, Remedy] = {
    "z_score": Remedy("z-score", z_score),
    "histogram": Remedy("histogram", histogram),
    "tta": Remedy("mirror images averaged", None),
}
"""All that are tried, listed before any result was seen: the family of Holm's adjustment."""


def treated(
    key: str, segment: Segment, case: StoredCase, reference: Reference, straight: Volume
) -> Volume:
    """Return the volume (4, X, Y, Z) of a case under the remedy ``key`` of ``REMEDIES``."""
    treat = REMEDIES[key].treat
    if treat is None:
        return tta(segment, case, straight)
    return segment(treat(case, reference))


def _by_patient(table: pd.DataFrame) -> FloatArray:
    profiles = [rows["value"].to_numpy() for _, rows in table.groupby("patient_id", sort=True)]
    return np.array(profiles, dtype=np.float64).reshape(-1, len(PROFILE))


def _summary(values: FloatArray) -> dict[str, float]:
    if not len(values):
        return dict.fromkeys(("mean", "sd", "p5", "p50", "p95"), np.nan)
    low, middle, high = np.percentile(values, [5, 50, 95])
    return {"mean": values.mean(), "sd": values.std(), "p5": low, "p50": middle, "p95": high}


def _distances(test: FloatArray, external: FloatArray) -> dict[str, float]:
    n = len(test)
    among = [distance(test[i], np.delete(test, i, axis=0)) for i in range(n) if n > 1]
    to = [distance(patient, test) for patient in external if n]
    return {
        "distance": distance(test, external) if to else np.nan,
        "one_test": float(np.mean(among)) if among else np.nan,
        "one_external": float(np.mean(to)) if to else np.nan,
    }


def _inside(case: StoredCase) -> FloatArray:
    return np.asarray(case.images[:, brain(case)], dtype=np.float64)


def _behind_first(axes: Sequence[int]) -> tuple[int, ...]:
    # images and probabilities are (4, X, Y, Z)
    return tuple(axis + 1 for axis in axes)


def _with(case: StoredCase, values: FloatArray) -> StoredCase:
    """Return the case with other values (4, n) in the brain."""
    images = np.array(case.images)
    images[:, brain(case)] = np.clip(values, 0, 1)
    return replace(case, images=images)
