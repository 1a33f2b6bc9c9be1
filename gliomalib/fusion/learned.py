"""Fusion fitted to inner patients by likelihood: one weight, stacking, and a weight for each voxel.

All of it sees the two class probabilities of a voxel and nothing of the image. Probabilities below
``FLOOR`` count as ``FLOOR`` wherever a logarithm is taken, since float16 rounds smaller ones to 0.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, optimize, special
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from gliomalib.fusion import average
from gliomalib.schema import (
    CLASS_NAMES,
    N_CLASSES,
    DataError,
    Float32Array,
    FloatArray,
    Labels,
    RecordError,
    Volume,
    check_same_grid,
)

VolumePair = tuple[Volume, Volume]
"""The volumes of the 2D and of the 3D branch of one patient."""

InnerPatients = Sequence[tuple[VolumePair, Labels]]
"""Pairs with labels; a sequence that reads them from disk will do, it is gone through in order."""

FLOOR = 2.0**-25
"""Half of the smallest float16."""

SUM_TOLERANCE = 0.01
"""How far the sum of the probabilities of a voxel may be from 1; float16 stays within 0.002."""

VOXELS_OF_CLASS = 5_000
"""Voxels of each class that stacking is fitted to."""

GATE_VOXELS = 200_000
"""Voxels that the gate is fitted to, at most."""

ITERATIONS, TOLERANCE = 2_000, 1e-6
"""Rounds of a logistic regression after which it counts as failed, and when it is done."""


def branches(pair: VolumePair) -> tuple[Float32Array, Float32Array]:
    """Return the probabilities of the 2D and of the 3D branch as float32 (4, X, Y, Z).

    Raises ``MismatchError`` as ``check_same_grid`` does and ``ValueError`` for
    probabilities outside of 0–1 or that do not sum to 1.
    """
    check_same_grid(*pair)
    p2d, p3d = (volume.probabilities.astype(np.float32) for volume in pair)
    for volume, values in zip(pair, (p2d, p3d), strict=True):
        average.check_probabilities(volume)
        off = float(np.abs(values.sum(axis=0) - 1).max(initial=0))
        if off > SUM_TOLERANCE:
            raise ValueError(
                f"the probabilities of {pair[0].grid.patient_id} have sums up to {off:.3g} away "
                "from 1; predict them again"
            )
    return p2d, p3d


def entropy(probabilities: Float32Array) -> Float32Array:
    """Return the entropy of (4, …) over its maximum: 0 sure, 1 all classes alike, shape (…)."""
    return np.asarray(special.entr(probabilities).sum(axis=0) / np.float32(np.log(N_CLASSES)))


# --- one weight


def cross_entropy_alpha(inner: InnerPatients) -> float:
    """Return the α with the least mean −log(α·p₂D + (1 − α)·p₃D) of the true classes.

    All voxels of all patients count alike. The function is convex in α, and what is solved is
    that its derivative is 0; where it rises (or falls) all the way the end 0 (or 1) is the answer.
    Raises what ``branches`` and ``check_labels`` raise.
    """
    each = [_true_probabilities(pair, labels) for pair, labels in inner]
    p2d, p3d, counts = (np.concatenate(parts) for parts in zip(*each, strict=True))

    # its sign alone counts; dividing by the number of voxels would only cost digits
    def derivative(alpha: float) -> float:
        """Return the slope of the log-likelihood at a weight."""
        return float((counts * (p3d - p2d) / (alpha * p2d + (1 - alpha) * p3d)).sum())

    if derivative(0) >= 0:
        return 0.0
    if derivative(1) <= 0:
        return 1.0
    return float(optimize.brentq(derivative, 0, 1, xtol=1e-9))


def _true_probabilities(
    pair: VolumePair, labels: Labels
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return what both branches give to the true class, each different pair once, with counts."""
    branches(pair)
    average.check_labels(pair[0], labels)
    index = labels[None].astype(np.intp)
    p2d, p3d = (
        np.take_along_axis(volume.probabilities, index, axis=0).ravel().view(np.uint16)
        for volume in pair
    )
    # two float16 side by side in 32 bits: millions of voxels become a few thousand distinct pairs
    distinct, counts = np.unique((p2d.astype(np.uint32) << 16) | p3d, return_counts=True)
    first, second = (
        np.maximum(half.astype(np.uint16).view(np.float16).astype(np.float64), FLOOR)
        for half in (distinct >> 16, distinct & 0xFFFF)
    )
    return first, second, counts.astype(np.float64)


# --- stacking


@dataclass(frozen=True)
class Stack:
    """Multinomial logistic regression on the eight log-probabilities of a voxel, 2D first.

    ``weights`` (4, 8) and ``offsets`` (4,) give the logits of the classes; ``voxels`` is the
    number of each class that it was fitted to.
    """

    weights: FloatArray
    offsets: FloatArray
    voxels: tuple[int, ...]

    def apply(self, pair: VolumePair) -> Float32Array:
        """Return the stacked probabilities (4, X, Y, Z)."""
        p2d, p3d = branches(pair)
        features = _logs(p2d, p3d)
        logits = self.weights.astype(np.float32) @ features
        logits += self.offsets.astype(np.float32)[:, None]
        return np.asarray(special.softmax(logits, axis=0).reshape(p2d.shape))


def fit_stack(inner: InnerPatients, seed: int) -> Stack:
    """Fit stacking to a sample of inner voxels that has every class equally often.

    ``VOXELS_OF_CLASS`` voxels of each class (all where it has fewer) are drawn from all patients
    together. A sample by class changes nothing in a logistic model but the offsets, by the log of
    sampled share over true share of each class (Prentice and Pyke 1979,
    doi:10.1093/biomet/66.3.403); this is taken back. The penalty is scikit-learn's usual one
    (L2, C = 1). ``inner`` is gone through twice. Raises ``DataError`` where a class has no voxel
    in any patient and ``RecordError`` where the regression does not converge.
    """
    counts_of_patients = []
    for pair, labels in inner:
        average.check_labels(pair[0], labels)
        counts_of_patients.append(np.bincount(labels.ravel(), minlength=N_CLASSES))
    counts = np.stack(counts_of_patients)
    total = counts.sum(axis=0)
    absent = [name for name, count in zip(CLASS_NAMES, total, strict=True) if not count]
    if absent:
        raise DataError(
            f"the {len(counts)} inner patients have no voxel of class {', '.join(absent)}; "
            "stacking needs every class, so give more patients or leave this rule out"
        )
    # which voxels is settled by counts alone, so that one patient at a time need be in memory
    drawn = [draw_voxels(counts[:, label], label, seed) for label in range(N_CLASSES)]
    features, truth = [], []
    for number, (pair, labels) in enumerate(inner):
        logs = _logs(*branches(pair))
        for label in range(N_CLASSES):
            places = np.flatnonzero(labels == label)[drawn[label][number]]
            features.append(logs[:, places].T)
            truth.append(np.full(len(places), label))
    classes = np.concatenate(truth)
    model = _regression(np.concatenate(features), classes)
    sampled = np.bincount(classes, minlength=N_CLASSES)
    # the offsets learned the shares of the sample; back to those of all voxels
    shift = np.log(total / total.sum()) - np.log(sampled / sampled.sum())
    return Stack(model.coef_, model.intercept_ + shift, tuple(sampled.tolist()))


def draw_voxels(counts: NDArray[np.intp], label: int, seed: int) -> list[NDArray[np.int64]]:
    """Draw ``VOXELS_OF_CLASS`` voxels of one class from the ``counts`` (n,) of all patients.

    Returned are for each patient the places of the drawn ones among its own, in rising order.
    """
    generator = np.random.default_rng([seed, label])
    ends = counts.cumsum()
    size = min(VOXELS_OF_CLASS, int(ends[-1]))
    picked = np.sort(generator.choice(int(ends[-1]), size, replace=False))
    parts = np.split(picked, np.searchsorted(picked, ends[:-1]))
    return [part - start for part, start in zip(parts, ends - counts, strict=True)]


def _logs(p2d: Float32Array, p3d: Float32Array) -> Float32Array:
    rows = np.concatenate([p2d, p3d]).reshape(2 * N_CLASSES, -1)
    return np.asarray(np.log(np.maximum(rows, np.float32(FLOOR))))


def _regression(features: NDArray[Any], truth: NDArray[Any]) -> LogisticRegression:
    # in float32 the solver stops far from the optimum
    model = LogisticRegression(max_iter=ITERATIONS, tol=TOLERANCE)
    model.fit(features.astype(np.float64), truth)
    if model.n_iter_.max() >= ITERATIONS:
        raise RecordError(
            f"a logistic regression on {len(truth)} voxels did not converge in {ITERATIONS} "
            "rounds; look at the probabilities of the inner patients"
        )
    return model


# --- a weight for each voxel


@dataclass(frozen=True)
class Gate:
    """α of a voxel: how probably the 2D branch is the right one, should just one be right.

    ``model`` takes the five numbers of ``gate_features``. It was fitted to ``voxels`` voxels, in
    the share ``share`` of which the 2D branch was right; where there was nothing to fit it is
    None, and ``share`` the α of every voxel.
    """

    model: Any
    share: float
    voxels: int

    def alpha(self, pair: VolumePair) -> Float32Array:
        """Return the weight of the 2D branch in each voxel, float32 (X, Y, Z)."""
        p2d, p3d = branches(pair)
        shape = p2d.shape[1:]
        if self.model is None:
            return np.full(shape, self.share, dtype=np.float32)
        features = gate_features(p2d, p3d, pair[0].grid.spacing_mm)
        chance = self.model.predict_proba(features.reshape(len(features), -1).T)[:, 1]
        return np.asarray(chance.astype(np.float32).reshape(shape))

    def apply(self, pair: VolumePair) -> Float32Array:
        """Return the fused probabilities (4, X, Y, Z)."""
        p2d, p3d = branches(pair)
        alpha = self.alpha(pair)
        return np.asarray(alpha * p2d + (1 - alpha) * p3d)


def gate_features(
    p2d: Float32Array, p3d: Float32Array, spacing_mm: tuple[float, float, float]
) -> Float32Array:
    """Return what the gate sees of each voxel, float32 (5, X, Y, Z).

    Entropy of the 2D and of the 3D branch, their highest probabilities, and how many millimetres
    the voxel lies inside a region where the branches differ (0 where they agree; beyond the
    volume they agree).
    """
    # a margin of agreement, so that a volume of pure disagreement has a depth as well
    differ = np.pad(p2d.argmax(axis=0) != p3d.argmax(axis=0), 1)
    depth = ndimage.distance_transform_edt(differ, sampling=spacing_mm)[1:-1, 1:-1, 1:-1]
    parts = [entropy(p2d), entropy(p3d), p2d.max(axis=0), p3d.max(axis=0), depth]
    return np.stack(parts).astype(np.float32)


def fit_gate(inner: InnerPatients, seed: int) -> Gate:
    """Fit the gate to the inner voxels in which just one of the branches is right.

    A logistic regression (L2, C = 1, features of unit variance) says from ``gate_features`` which
    one; of more than ``GATE_VOXELS`` voxels so many are drawn. Where it is always the same branch
    every voxel is given to that branch, and where there is no such voxel α is one half. Raises
    ``RecordError`` where the regression does not converge.
    """
    features, right = [], []
    for pair, labels in inner:
        average.check_labels(pair[0], labels)
        p2d, p3d = branches(pair)
        first, second = p2d.argmax(axis=0) == labels, p3d.argmax(axis=0) == labels
        disputed = first != second
        features.append(gate_features(p2d, p3d, pair[0].grid.spacing_mm)[:, disputed].T)
        right.append(first[disputed])
    seen, target = np.concatenate(features), np.concatenate(right)
    kept = np.random.default_rng(seed).permutation(len(target))[:GATE_VOXELS]
    seen, target = seen[kept], target[kept]
    if not (target.any() and not target.all()):
        return Gate(None, float(target.mean()) if len(target) else 0.5, len(target))
    scaler = StandardScaler()
    regression = _regression(scaler.fit_transform(seen.astype(np.float64)), target)
    model = make_pipeline(scaler, regression)
    return Gate(model, float(target.mean()), len(target))
