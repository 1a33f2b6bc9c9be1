"""Rules that fuse the 2D and the 3D branch: fitted to inner patients, applied to any pair.

A rule is fitted with ``fit``, which sees the inner patients and nothing else; what it returns
takes pairs of volumes without labels. ``oracle`` is the exception, and no method. Any two volumes
on one grid are a pair: ``half`` on two seeds of the 3D net is their average.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import special

from gliomalib.fusion import average, exact_sweep, learned, optimum
from gliomalib.fusion.learned import InnerPatients, VolumePair
from gliomalib.fusion.staple import staple
from gliomalib.schema import (
    Confusion,
    DataError,
    Float32Array,
    FloatArray,
    Labels,
    SettingsError,
    Volume,
    check_same_grid,
)
from gliomalib.scoring import metrics
from gliomalib.settings import PAPER_ALPHA

FittedOn = Literal["nothing", "inner patients", "the patient itself (bound, not a method)"]

TUMOUR = (1, 2, 3)
"""Classes whose Dice is averaged, within a patient first, where a rule is chosen by Dice."""

CLASS_STEP = 0.05
"""Step of the search for a weight of each class."""

CLASS_ROUNDS = 10
"""Rounds over the classes after which that search ends, whether or not weights still move."""

LOG_WEIGHT = 0.5
"""Weight of the 2D branch in the log pool: not fitted, so that it differs from ``half`` in the
kind of mean only; stacking contains the log pool with any weight."""

EVEN = 1e-6
"""What decides where a rule has nothing to go by: this much of the plain mean."""

Fuse = Callable[[VolumePair], NDArray[Any]]
"""From the volumes of a pair to probabilities (4, X, Y, Z)."""


@dataclass(frozen=True)
class Evidence:
    """What a rule may be fitted to."""

    inner: InnerPatients
    seed: int
    empty: metrics.EmptyRule


@dataclass(frozen=True)
class Fitted:
    """A rule ready for use; ``parameters`` are for tables and records."""

    parameters: Mapping[str, Any]
    fuse: Fuse

    def apply(self, pair: VolumePair) -> Volume:
        """Return the fused probabilities (4, X, Y, Z) float16 on the grid of the pair.

        They sum to 1 as closely as float16 can say. Raises ``MismatchError`` where the two are not
        on one grid and ``ValueError`` for what is no probability.
        """
        check_same_grid(*pair)
        return Volume(self.fuse(pair).astype(np.float16, copy=False), pair[0].grid)


@dataclass(frozen=True)
class Rule:
    """A way to fuse: key, title in tables, the patients from whom it learns, and how it learns."""

    key: str
    title: str
    fitted_on: FittedOn
    fit: Callable[[Evidence], Fitted] = field(repr=False)


def fit(
    rule_key: str, inner: InnerPatients, seed: int, empty: metrics.EmptyRule = "brats"
) -> Fitted:
    """Fit the rule of this key of ``RULES`` to inner patients, at least two.

    A rule that is fitted on nothing looks at none of them. ``seed`` is for ``stacking`` and
    ``gate``, which draw voxels; ``empty`` counts where Dice decides (``chosen_alpha``,
    ``per_class_alpha``: with ``exclude`` means leave out what is undefined at that weight). Raises
    ``SettingsError`` for an unknown key, ``DataError`` for too few patients or where ``stacking``
    lacks a class, ``RecordError`` where a regression does not converge.
    """
    if rule_key not in RULES:
        raise SettingsError(
            f"there is no fusion rule {rule_key!r} to fit: take one of {', '.join(RULES)}"
        )
    rule = RULES[rule_key]
    if rule.fitted_on == "inner patients" and len(inner) < 2:
        raise DataError(
            f"{rule_key} is fitted to inner patients and got {len(inner)}; give at least two"
        )
    return rule.fit(Evidence(inner, seed, empty))


def oracle(pair: VolumePair, labels: Labels, empty: metrics.EmptyRule = "brats") -> Fitted:
    """Return the α that is best for this very patient: a bound for all rules with one α.

    It sees the labels of the patient on whom it is judged, so it is no method and its Dice no
    result. The α is the middle of the widest interval with the highest mean Dice of the three
    tumour classes, ``dice``; where rounding to float16 takes voxels of a tiny class from it, a
    fixed α that is then better is taken. Raises what ``exact_sweep.steps_of`` raises.
    """
    best = ORACLE.fit(Evidence([(pair, labels)], 0, empty))

    def score(rule: Fitted) -> float:
        """Return the mean Dice of the classes that have one."""
        counts = metrics.confusion_matrix(labels, rule.apply(pair).probabilities.argmax(axis=0))
        dice = np.array([metrics.dice(counts, (label,), empty) for label in TUMOUR])
        return float(dice[~np.isnan(dice)].sum() / max((~np.isnan(dice)).sum(), 1))

    fixed = (_weighted(**{**best.parameters, "alpha": alpha}) for alpha in (PAPER_ALPHA, 0, 0.5, 1))
    return max([best, *fixed], key=score)


# --- one weight for all voxels


def _weighted(alpha: float, **more: float) -> Fitted:
    def fuse(pair: VolumePair) -> NDArray[np.float16]:
        """Return the weighted average of a pair."""
        return average.weighted_average(*pair, alpha).probabilities

    return Fitted({"alpha": alpha, **more}, fuse)


def _fixed(alpha: float) -> Callable[[Evidence], Fitted]:
    return lambda _: _weighted(alpha)


def _chosen(evidence: Evidence) -> Fitted:
    curves = []
    for pair, labels in evidence.inner:
        steps = exact_sweep.steps_of(*pair, labels)
        classes = [exact_sweep.dice_at(steps, (label,), evidence.empty) for label in TUMOUR]
        curves.append(optimum.mean_curve(classes, "exclude"))
    best = optimum.best_of(optimum.mean_curve(curves, "exclude"))
    return _weighted(best.alpha, dice=best.value, width=best.width)


def _scalar(evidence: Evidence) -> Fitted:
    return _weighted(learned.cross_entropy_alpha(evidence.inner))


# --- a weight for each class


@dataclass(frozen=True)
class _Open:
    """The voxels of a patient that some weights can change, (4, n) each, and a count of others."""

    p2d: Float32Array
    p3d: Float32Array
    truth: Labels
    settled: Confusion


def _per_class(evidence: Evidence) -> Fitted:
    """Search one class after the other for a weight that gives more Dice than all before.

    The search starts at the best common α, so on the inner patients it never ends below it. Of
    weights with equal Dice the first one stays.
    """
    start = _chosen(evidence).parameters["alpha"]
    patients = [_open(pair, labels) for pair, labels in evidence.inner]
    weights = np.full(4, start)
    dice = _mean_dice(patients, weights, evidence.empty)
    for _ in range(CLASS_ROUNDS):
        before = weights
        for label in range(len(weights)):
            for value in np.linspace(0, 1, round(1 / CLASS_STEP) + 1):
                tried = np.where(np.arange(len(weights)) == label, value, weights)
                reached = _mean_dice(patients, tried, evidence.empty)
                if reached > dice:
                    weights, dice = tried, reached
        if (weights == before).all():
            break
    parameters = {"alphas": tuple(weights.tolist()), "dice": dice}
    return Fitted(parameters, partial(weighted_by_class, weights))


def _open(pair: VolumePair, labels: Labels) -> _Open:
    """Leave out voxels of which one class is above the others even at its lower probability."""
    average.check_labels(pair[0], labels)
    p2d, p3d = (values.reshape(len(values), -1) for values in learned.branches(pair))
    # whatever its weight, a class has at least ``low`` and any other at most ``high``
    low, high = np.minimum(p2d, p3d), np.maximum(p2d, p3d)
    safest = low.argmax(axis=0)
    np.put_along_axis(high, safest[None], 0, axis=0)
    settled = low.max(axis=0) > high.max(axis=0)
    truth = labels.ravel()
    counts = metrics.confusion_matrix(truth[settled], safest[settled])
    return _Open(p2d[:, ~settled], p3d[:, ~settled], truth[~settled], counts)


def _mean_dice(patients: Sequence[_Open], weights: FloatArray, empty: metrics.EmptyRule) -> float:
    means = []
    for patient in patients:
        predicted = _by_class(weights, patient.p2d, patient.p3d).argmax(axis=0)
        counts = patient.settled + metrics.confusion_matrix(patient.truth, predicted)
        dice = np.array([metrics.dice(counts, (label,), empty) for label in TUMOUR])
        if not np.isnan(dice).all():
            means.append(float(dice[~np.isnan(dice)].mean()))
    return float(np.mean(means)) if means else float("nan")


def weighted_by_class(weights: FloatArray, pair: VolumePair) -> Float32Array:
    """Return α_k·S₂D + (1 − α_k)·S₃D of each class k, normalised; ``weights`` are α (4,)."""
    fused = _by_class(weights, *learned.branches(pair))
    return np.asarray(fused / fused.sum(axis=0))


def _by_class(weights: FloatArray, p2d: Float32Array, p3d: Float32Array) -> Float32Array:
    """Return the sums before they are normalised; where a voxel is left with nothing, the mean."""
    alpha = weights.astype(np.float32).reshape(-1, *[1] * (p2d.ndim - 1))
    # weights such as 0 for the one class that 2D sees and 1 for the one that 3D sees leave 0/0
    even = np.float32(EVEN / 2) * (p2d + p3d)
    return np.asarray(alpha * p2d + (1 - alpha) * p3d + even)


# --- rules of one voxel at a time


def _plain(fuse: Fuse) -> Callable[[Evidence], Fitted]:
    return lambda _: Fitted({}, fuse)


def _log_pool(pair: VolumePair) -> Float32Array:
    """Return the geometric mean of both branches, normalised (Genest and Zidek 1986)."""
    log2d, log3d = (np.log(np.maximum(p, learned.FLOOR)) for p in learned.branches(pair))
    return np.asarray(special.softmax(LOG_WEIGHT * log2d + (1 - LOG_WEIGHT) * log3d, axis=0))


def _entropy_weighted(pair: VolumePair) -> Float32Array:
    """Weigh each branch by 1 − H / log 4; where both know nothing they count alike."""
    p2d, p3d = learned.branches(pair)
    # rounding may take the entropy of four equal probabilities above 1
    sure2d, sure3d = (np.maximum(1 - learned.entropy(p), 0) + EVEN for p in (p2d, p3d))
    alpha = sure2d / (sure2d + sure3d)
    return np.asarray(alpha * p2d + (1 - alpha) * p3d)


def _staple(pair: VolumePair) -> FloatArray:
    first, second = (p.argmax(axis=0).astype(np.uint8) for p in learned.branches(pair))
    return staple(first, second, pair[0].grid.spacing_mm)


def _stacking(evidence: Evidence) -> Fitted:
    stack = learned.fit_stack(evidence.inner, evidence.seed)
    logistic = {"weights": stack.weights.tolist(), "offsets": stack.offsets.tolist()}
    return Fitted({**logistic, "voxels": stack.voxels}, stack.apply)


def _gate(evidence: Evidence) -> Fitted:
    gate = learned.fit_gate(evidence.inner, evidence.seed)
    return Fitted({"share_2d_right": gate.share, "voxels": gate.voxels}, gate.apply)


RULES: Mapping[str, Rule] = {
    rule.key: rule
    for rule in (
        Rule("two_d", "2D only", "nothing", _fixed(1.0)),
        Rule("three_d", "3D only", "nothing", _fixed(0.0)),
        Rule("half", "α = 0.5", "nothing", _fixed(0.5)),
        Rule("published", f"α = {PAPER_ALPHA:g}", "nothing", _fixed(PAPER_ALPHA)),
        Rule("chosen_alpha", "α of best inner Dice", "inner patients", _chosen),
        Rule("per_class_alpha", "α of each class", "inner patients", _per_class),
        Rule("learnable_scalar", "α of least cross-entropy", "inner patients", _scalar),
        Rule("log_pool", "geometric mean (log pool)", "nothing", _plain(_log_pool)),
        Rule("entropy_weighted", "weighted by entropy", "nothing", _plain(_entropy_weighted)),
        Rule("stacking", "stacking", "inner patients", _stacking),
        Rule("gate", "gate for each voxel", "inner patients", _gate),
        Rule("staple", "STAPLE", "nothing", _plain(_staple)),
    )
}
"""All rules that ``fit`` knows, by key."""

ORACLE = Rule("oracle", "oracle α", "the patient itself (bound, not a method)", _chosen)
"""The rule of ``oracle``."""
