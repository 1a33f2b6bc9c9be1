"""Fusion fitted to inner patients by likelihood: one weight, stacking, and a weight for each voxel.

All of it sees the two class probabilities of a voxel and nothing of the image. Probabilities below
``FLOOR`` count as ``FLOOR`` wherever a logarithm is taken, since float16 rounds smaller ones to 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, optimize, special
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from gliomalib.schema import (
    CLASS_NAMES,
    N_CLASSES,
    DataError,
    Labels,
    MismatchError,
    RecordError,
    Volume,
    check_same_grid,
)

Singles = NDArray[np.float32]
Floats = NDArray[np.float64]

Pair = tuple[Volume, Volume]
"""The volumes of the 2D and of the 3D branch of one patient."""

Training = Sequence[tuple[Pair, Labels]]
"""Inner patients; a sequence that reads them from disk will do, they are gone through in order."""

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


def singles(pair: Pair) -> tuple[Singles, Singles]:
    """Return the probabilities of both branches as float32 (4, X, Y, Z).

    Raises ``MismatchError`` as ``check_same_grid`` does and ``ValueError`` for
    probabilities outside of 0–1 or that do not sum to 1.
    """
    check_same_grid(*pair)
    flat, deep = (volume.probabilities.astype(np.float32) for volume in pair)
    for values in (flat, deep):
        off = float(np.abs(values.sum(axis=0) - 1).max(initial=0))
        if not (values.min(initial=0) >= 0 and off <= SUM_TOLERANCE):
            raise ValueError(
                f"probabilities of {pair[0].grid.patient_id} start at {values.min():.3g} and their "
                f"sums are up to {off:.3g} away from 1; predict them again"
            )
    return flat, deep


def check_labels(pair: Pair, labels: Labels) -> None:
    """Refuse labels that are not on the grid of the pair or not canonical.

    Raises ``MismatchError`` and ``ValueError``.
    """
    name = pair[0].grid.patient_id
    if labels.shape != pair[0].grid.shape:
        raise MismatchError(
            f"the labels have shape {labels.shape}, the grid of {name} is {pair[0].grid.shape}; "
            "take the labels of the same stored case"
        )
    if labels.max(initial=0) >= N_CLASSES:
        raise ValueError(
            f"the labels of {name} go up to {labels.max()}, the classes are 0 to {N_CLASSES - 1}; "
            "convert the labels to the canonical ones first"
        )


def entropy(probabilities: Singles) -> Singles:
    """Return the entropy over the first axis, divided by its maximum: 0 sure, 1 all classes alike.

    ``probabilities`` has shape (4, …).
    """
    return np.asarray(special.entr(probabilities).sum(axis=0) / np.float32(np.log(N_CLASSES)))


# --- one weight


def cross_entropy_alpha(training: Training) -> float:
    """Return the α with the least mean −log(α·p₂D + (1 − α)·p₃D) of the true classes.

    All voxels of all patients count alike. The function is convex in α, and what is solved is
    that its derivative is 0; where it rises (or falls) all the way the end 0 (or 1) is the answer.
    Raises what ``singles`` and ``check_labels`` raise.
    """
    each = [_true_probabilities(pair, labels) for pair, labels in training]
    flat, deep, counts = (np.concatenate(parts) for parts in zip(*each, strict=True))

    def derivative(alpha: float) -> float:
        return float((counts * (deep - flat) / (alpha * flat + (1 - alpha) * deep)).sum())

    if derivative(0) >= 0:
        return 0.0
    if derivative(1) <= 0:
        return 1.0
    return float(optimize.brentq(derivative, 0, 1, xtol=1e-9))


def _true_probabilities(pair: Pair, labels: Labels) -> tuple[Floats, Floats, Floats]:
    """Return what both branches give to the true class, each different pair once, with counts."""
    singles(pair)
    check_labels(pair, labels)
    index = labels[None].astype(np.intp)
    taken = [np.take_along_axis(volume.probabilities, index, axis=0).ravel() for volume in pair]
    bits = (taken[0].view(np.uint16).astype(np.uint32) << 16) | taken[1].view(np.uint16)
    different, counts = np.unique(bits, return_counts=True)
    first, second = (
        _floored(half.astype(np.uint16).view(np.float16))
        for half in (different >> 16, different & 0xFFFF)
    )
    return first, second, counts.astype(np.float64)


def _floored(probabilities: NDArray[Any]) -> Floats:
    return np.maximum(probabilities.astype(np.float64), FLOOR)


# --- stacking


@dataclass(frozen=True)
class Stack:
    """Multinomial logistic regression on the eight log-probabilities of a voxel, 2D first.

    ``weights`` (4, 8) and ``offsets`` (4,) give the logits of the classes; ``voxels`` is the
    number of each class that it was fitted to.
    """

    weights: Floats
    offsets: Floats
    voxels: tuple[int, ...]

    def apply(self, pair: Pair) -> Singles:
        """Return the stacked probabilities (4, X, Y, Z)."""
        flat, deep = singles(pair)
        features = _logs(flat, deep)
        logits = self.weights.astype(np.float32) @ features
        logits += self.offsets.astype(np.float32)[:, None]
        return np.asarray(special.softmax(logits, axis=0).reshape(flat.shape))


def fit_stack(training: Training, seed: int) -> Stack:
    """Fit stacking to a sample of inner voxels that has every class equally often.

    ``VOXELS_OF_CLASS`` voxels of each class (all where it has fewer) are drawn from all patients
    together. A sample by class changes nothing in a logistic model but the offsets, by the log of
    sampled share over true share of each class (Prentice and Pyke 1979,
    doi:10.1093/biomet/66.3.403); this is taken back. The penalty is scikit-learn's usual one
    (L2, C = 1). ``training`` is gone through twice.

    Raises
    ------
    DataError
        Where a class has no voxel in any patient.
    RecordError
        Where the regression does not converge.
    """
    counts = np.stack([_class_counts(pair, labels) for pair, labels in training])
    total = counts.sum(axis=0)
    absent = [name for name, count in zip(CLASS_NAMES, total, strict=True) if not count]
    if absent:
        raise DataError(
            f"the {len(counts)} inner patients have no voxel of class {', '.join(absent)}; "
            "stacking needs every class, so give more patients or leave this rule out"
        )
    drawn = [_drawn(counts[:, label], label, seed) for label in range(N_CLASSES)]
    features, truth = [], []
    for number, (pair, labels) in enumerate(training):
        logs = _logs(*singles(pair))
        for label in range(N_CLASSES):
            places = np.flatnonzero(labels == label)[drawn[label][number]]
            features.append(logs[:, places].T)
            truth.append(np.full(len(places), label))
    model = LogisticRegression(max_iter=ITERATIONS, tol=TOLERANCE)
    classes = np.concatenate(truth)
    _fit(model, model, np.concatenate(features), classes)
    sampled = np.bincount(classes, minlength=N_CLASSES)
    shift = np.log(total / total.sum()) - np.log(sampled / sampled.sum())
    return Stack(model.coef_, model.intercept_ + shift, tuple(sampled.tolist()))


def _class_counts(pair: Pair, labels: Labels) -> NDArray[np.intp]:
    check_labels(pair, labels)
    return np.bincount(labels.ravel(), minlength=N_CLASSES)


def _drawn(counts: NDArray[np.intp], label: int, seed: int) -> list[NDArray[np.int64]]:
    """Draw voxels of one class: for each patient, which of its voxels of that class."""
    generator = np.random.default_rng([seed, label])
    ends = counts.cumsum()
    size = min(VOXELS_OF_CLASS, int(ends[-1]))
    picked = np.sort(generator.choice(int(ends[-1]), size, replace=False))
    parts = np.split(picked, np.searchsorted(picked, ends[:-1]))
    return [part - start for part, start in zip(parts, ends - counts, strict=True)]


def _logs(flat: Singles, deep: Singles) -> Singles:
    both = np.concatenate([flat, deep]).reshape(2 * N_CLASSES, -1)
    return np.asarray(np.log(np.maximum(both, np.float32(FLOOR))))


def _fit(last: LogisticRegression, model: Any, features: Singles, truth: NDArray[Any]) -> None:
    """Fit ``model``, whose last step is the regression ``last``."""
    model.fit(features.astype(np.float64), truth)  # float32 would end far from the optimum
    if last.n_iter_.max() >= ITERATIONS:
        raise RecordError(
            f"a logistic regression on {len(truth)} voxels did not converge in {ITERATIONS} "
            "rounds; look at the probabilities of the inner patients"
        )


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

    def alpha(self, pair: Pair) -> Singles:
        """Return the weight of the 2D branch in each voxel, float32 (X, Y, Z)."""
        flat, deep = singles(pair)
        shape = flat.shape[1:]
        if self.model is None:
            return np.full(shape, self.share, dtype=np.float32)
        features = gate_features(flat, deep, pair[0].grid.spacing_mm)
        chance = self.model.predict_proba(features.reshape(len(features), -1).T)[:, 1]
        return np.asarray(chance.astype(np.float32).reshape(shape))

    def apply(self, pair: Pair) -> Singles:
        """Return the fused probabilities (4, X, Y, Z)."""
        flat, deep = singles(pair)
        alpha = self.alpha(pair)
        return np.asarray(alpha * flat + (1 - alpha) * deep)


def gate_features(flat: Singles, deep: Singles, spacing_mm: tuple[float, float, float]) -> Singles:
    """Return what the gate sees of each voxel, float32 (5, X, Y, Z).

    Entropy of the 2D and of the 3D branch, their highest probabilities, and how many millimetres
    the voxel lies inside a region where the branches differ (0 where they agree; beyond the
    volume they agree).
    """
    differ = np.pad(flat.argmax(axis=0) != deep.argmax(axis=0), 1)
    depth = ndimage.distance_transform_edt(differ, sampling=spacing_mm)[1:-1, 1:-1, 1:-1]
    parts = [entropy(flat), entropy(deep), flat.max(axis=0), deep.max(axis=0), depth]
    return np.stack(parts).astype(np.float32)


def fit_gate(training: Training, seed: int) -> Gate:
    """Fit the gate to the inner voxels in which just one of the branches is right.

    A logistic regression (L2, C = 1, features of unit variance) says from ``gate_features`` which
    one; of more than ``GATE_VOXELS`` voxels so many are drawn. Where it is always the same branch
    every voxel is given to that branch, and where there is no such voxel α is one half.

    Raises ``RecordError`` where the regression does not converge.
    """
    features, right = [], []
    for pair, labels in training:
        check_labels(pair, labels)
        flat, deep = singles(pair)
        first, second = flat.argmax(axis=0) == labels, deep.argmax(axis=0) == labels
        one = first != second
        features.append(gate_features(flat, deep, pair[0].grid.spacing_mm)[:, one].T)
        right.append(first[one])
    seen, target = np.concatenate(features), np.concatenate(right)
    kept = np.random.default_rng(seed).permutation(len(target))[:GATE_VOXELS]
    seen, target = seen[kept], target[kept]
    if not (target.any() and not target.all()):
        return Gate(None, float(target.mean()) if len(target) else 0.5, len(target))
    last = LogisticRegression(max_iter=ITERATIONS, tol=TOLERANCE)
    model = make_pipeline(StandardScaler(), last)
    _fit(last, model, seen, target)
    return Gate(model, float(target.mean()), len(target))
