"""How the intensities of a patient lie, and the z-score that brings another site's back.

All of it works on stored cases, that is after min–max. The brain is every voxel in which some
sequence is above 0, as for the 2D branch; what lies outside stays as it is.
"""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import wasserstein_distance

from gliomalib.experiments.values import PREFIXES
from gliomalib.schema import SEQUENCES, DataError, FloatArray, StoredCase

PROFILE = np.arange(100) + 0.5
"""Percentiles that stand for a distribution: a hundred values of equal weight per patient, so that
a large brain weighs no more than a small one."""


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


def shifts(profiles: pd.DataFrame) -> pd.DataFrame:
    """Return how far each sequence has moved between two groups of patients.

    ``profiles`` are ``external_sites.GroupScores.intensities``. One row per sequence: the median
    of both parts; ``distance`` between them, 1-D Wasserstein in the unit of the values; for
    comparison ``one_test`` and ``one_external``, the mean distance of a patient of that part to
    the other test patients. NaN where nobody is there.
    """
    rows = []
    for sequence in SEQUENCES:
        table = profiles[profiles["sequence"] == sequence].sort_values("patient_id", kind="stable")
        of_parts = (table.loc[table["part"] == part, "value"] for part in PREFIXES)
        both = [values.to_numpy(dtype=np.float64).reshape(-1, len(PROFILE)) for values in of_parts]
        medians = [np.median(values) if len(values) else np.nan for values in both]
        row = dict(zip([f"median_{part}" for part in PREFIXES], medians, strict=True))
        rows.append({"sequence": sequence, **row, **_distances(*both)})
    return pd.DataFrame(rows)


def fit(cases: Iterable[StoredCase]) -> FloatArray:
    """Return mean and SD in the brain by sequence, each the mean over ``cases``, shape (2, 4).

    They should be those of a fold's training part. Raises ``DataError`` for no case, and for a
    case without brain.
    """
    moments = [(values.mean(axis=1), values.std(axis=1)) for values in map(_inside, cases)]
    if not moments:
        raise DataError("there is no training patient to fit the z-score on; check the split")
    return np.asarray(np.mean(moments, axis=0))


def z_score(case: StoredCase, reference: FloatArray) -> StoredCase:
    """Return the case with mean and SD of each sequence in the brain moved to those of ``fit``.

    What would leave 0–1, where the networks learned, is set to its end.
    """
    values = _inside(case)
    mean, sd = values.mean(axis=1, keepdims=True), values.std(axis=1, keepdims=True)
    # a sequence that is flat in the brain has nothing to scale: it gets the reference's mean
    scaled = (values - mean) / np.maximum(sd, np.finfo(float).tiny)
    images = np.array(case.images)
    images[:, brain(case)] = np.clip(scaled * reference[1][:, None] + reference[0][:, None], 0, 1)
    return replace(case, images=images)


def _distances(test: FloatArray, external: FloatArray) -> dict[str, float]:
    n = len(test)
    among = [_distance(test[i], np.delete(test, i, axis=0)) for i in range(n) if n > 1]
    to = [_distance(patient, test) for patient in external if n]
    return {
        "distance": _distance(test, external) if to else np.nan,
        "one_test": float(np.mean(among)) if among else np.nan,
        "one_external": float(np.mean(to)) if to else np.nan,
    }


def _distance(one: FloatArray, other: FloatArray) -> float:
    return float(wasserstein_distance(one.ravel(), other.ravel()))


def _inside(case: StoredCase) -> FloatArray:
    return np.asarray(case.images[:, brain(case)], dtype=np.float64)
