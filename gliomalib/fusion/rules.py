"""Rules that fuse the 2D and the 3D branch: fitted to inner patients, applied to any pair.

A rule is fitted with ``fit``, which sees the training patients and nothing else; what it returns
takes pairs of volumes without labels. ``oracle`` is the exception, and no method. Any two volumes
on one grid are a pair: ``half`` on two seeds of the 3D net is their average.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import special

from gliomalib.fusion import average, learned, optimum
from gliomalib.fusion.staple import staple
from gliomalib.schema import Confusion, DataError, Labels, SettingsError, Volume, check_same_grid
from gliomalib.scoring import metrics

Pair = learned.Pair
"""The volumes of the 2D and of the 3D branch of one patient."""

Training = learned.Training
"""Inner patients: pairs with their labels."""

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


@dataclass(frozen=True)
class Rule:
    """A way to fuse: its key, what tables call it, and the patients from whom it learns."""

    key: str
    title: str
    fitted_on: FittedOn


RULES: Mapping[str, Rule] = MappingProxyType(
    {
        rule.key: rule
        for rule in (
            Rule("two_d", "2D only", "nothing"),
            Rule("three_d", "3D only", "nothing"),
            Rule("half", "α = 0.5", "nothing"),
            Rule("published", "α = 0.6", "nothing"),
            Rule("chosen_alpha", "α of best inner Dice", "inner patients"),
            Rule("per_class_alpha", "α of each class", "inner patients"),
            Rule("learnable_scalar", "α of least cross-entropy", "inner patients"),
            Rule("log_pool", "log pool (equal weights)", "nothing"),
            Rule("entropy_weighted", "weighted by entropy", "nothing"),
            Rule("stacking", "stacking", "inner patients"),
            Rule("gate", "gate for each voxel", "inner patients"),
            Rule("staple", "STAPLE", "nothing"),
        )
    }
)
"""All rules that ``fit`` knows, by key."""

ORACLE = Rule("oracle", "oracle α", "the patient itself (bound, not a method)")

Combine = Callable[[Pair], NDArray[Any]]


@dataclass(frozen=True)
class Fitted:
    """A rule ready for use; ``found`` holds what was fitted, for tables and records."""

    rule: Rule
    found: Mapping[str, Any]
    combine: Combine

    def apply(self, pair: Pair) -> Volume:
        """Return the fused probabilities (4, X, Y, Z) float16 on the grid of the pair.

        They sum to 1 as closely as float16 can say. Raises ``MismatchError`` where the two are not
        on one grid and ``ValueError`` for what is no probability.
        """
        check_same_grid(*pair)
        return Volume(self.combine(pair).astype(np.float16, copy=False), pair[0].grid)


@dataclass(frozen=True)
class _Inner:
    """What a rule may be fitted to."""

    training: Training
    seed: int
    empty: metrics.EmptyRule


def fit(rule_key: str, training: Training, seed: int, empty: metrics.EmptyRule = "brats") -> Fitted:
    """Fit a rule to inner patients.

    Parameters
    ----------
    rule_key
        A key of ``RULES``.
    training
        Pairs and labels of the inner patients, at least two; a rule that is fitted on nothing
        looks at none of them.
    seed
        For ``stacking`` and ``gate``, which draw voxels.
    empty
        The rule for empty masks where Dice decides (``chosen_alpha``, ``per_class_alpha``); with
        ``exclude`` means leave out what is undefined at that weight.

    Raises
    ------
    SettingsError
        For an unknown key.
    DataError
        For fewer than two inner patients, and where ``stacking`` lacks a class. The other rules
        take patients without a class as they come.
    RecordError
        Where a regression does not converge.
    """
    if rule_key not in RULES:
        raise SettingsError(
            f"there is no fusion rule {rule_key!r} to fit: take one of {', '.join(RULES)}"
        )
    rule = RULES[rule_key]
    if rule.fitted_on == "inner patients" and len(training) < 2:
        raise DataError(
            f"{rule_key} is fitted to inner patients and got {len(training)}; give at least two"
        )
    found, combine = _FITS[rule_key](_Inner(training, seed, empty))
    return Fitted(rule, found, combine)


def oracle(pair: Pair, labels: Labels, empty: metrics.EmptyRule = "brats") -> Fitted:
    """Return the α that is best for this very patient: a bound for all rules with one α.

    It sees the labels of the patient on whom it is judged, so it is no method and its Dice no
    result. The α is the middle of the widest interval with the highest mean Dice of the three
    tumour classes. Raises what ``optimum.steps_of`` raises.
    """
    best = optimum.best_of(_tumour_curve(pair, labels, empty))
    found, combine = _linear(best.alpha)
    return Fitted(ORACLE, {**found, "dice": best.value}, combine)


def error_correlation(pair: Pair, labels: Labels) -> dict[str, float]:
    """Return how the errors of the two branches go together, over all voxels of a patient.

    Nothing can be gained by fusion where both are wrong in the same way. Correlations count a
    voxel as right or wrong (Kuncheva and Whitaker 2003, doi:10.1023/A:1022859003006).

    Returns
    -------
    ``phi``, the correlation of the errors, and Yule's ``yule_q``, both −1 to 1 and NaN where they
    are 0/0, as for a branch without an error; as shares of all voxels ``disagreement`` (different
    classes), ``one_right``, ``both_right``, ``both_wrong_same`` and ``both_wrong_differently``.

    Raises
    ------
    MismatchError, ValueError
        As ``Fitted.apply``, and for labels that do not belong.
    """
    learned.check_labels(pair, labels)
    first, second = (values.argmax(axis=0) for values in learned.singles(pair))
    (right, only2d), (only3d, wrong) = metrics.confusion_matrix(
        first != labels, second != labels, 2
    ).tolist()  # only2d: the 2D branch alone is right
    margins = (right + only2d) * (only3d + wrong) * (right + only3d) * (only2d + wrong)
    alike, unlike = right * wrong, only2d * only3d
    same = int(((first == second) & (first != labels)).sum())
    shares = {
        "disagreement": int((first != second).sum()),
        "one_right": only2d + only3d,
        "both_right": right,
        "both_wrong_same": same,
        "both_wrong_differently": wrong - same,
    }
    undefined = float("nan")
    return {
        "phi": (alike - unlike) / margins**0.5 if margins else undefined,
        "yule_q": (alike - unlike) / (alike + unlike) if alike + unlike else undefined,
        **{name: count / labels.size for name, count in shares.items()},
    }


# --- one weight for all voxels


def _linear(alpha: float) -> tuple[dict[str, Any], Combine]:
    return {"alpha": alpha}, partial(_average, alpha)


def _average(alpha: float, pair: Pair) -> NDArray[np.float16]:
    return average.weighted_average(*pair, alpha).probabilities


def _chosen(inner: _Inner) -> tuple[dict[str, Any], Combine]:
    curves = [_tumour_curve(pair, labels, inner.empty) for pair, labels in inner.training]
    best = optimum.best_of(optimum.mean_curve(curves, "exclude"))
    found, combine = _linear(best.alpha)
    return {**found, "dice": best.value, "width": best.width}, combine


def _tumour_curve(pair: Pair, labels: Labels, empty: metrics.EmptyRule) -> optimum.Curve:
    """Return the mean Dice of the tumour classes of one patient at every α."""
    steps = optimum.steps_of(*pair, labels)
    each = [optimum.dice_at(steps, (label,), empty) for label in TUMOUR]
    return optimum.mean_curve(each, "exclude")


def _scalar(inner: _Inner) -> tuple[dict[str, Any], Combine]:
    return _linear(learned.cross_entropy_alpha(inner.training))


# --- a weight for each class


@dataclass(frozen=True)
class _Open:
    """The voxels of a patient that some weights can change, (4, n) each, and a count of others."""

    flat: learned.Singles
    deep: learned.Singles
    truth: Labels
    settled: Confusion

    def confusion(self, weights: learned.Floats) -> Confusion:
        found = _by_class(weights, self.flat, self.deep).argmax(axis=0)
        return self.settled + metrics.confusion_matrix(self.truth, found)


def _per_class(inner: _Inner) -> tuple[dict[str, Any], Combine]:
    """Search one class after the other for a weight that gives more Dice than all before.

    The search starts at the best common α, so on the inner patients it never ends below it.
    """
    start = _chosen(inner)[0]["alpha"]
    patients = [_open(pair, labels) for pair, labels in inner.training]
    weights = np.full(4, start)
    dice = _mean_dice(patients, weights, inner.empty)
    for _ in range(CLASS_ROUNDS):
        before = weights
        for label in range(len(weights)):
            for value in np.linspace(0, 1, round(1 / CLASS_STEP) + 1):
                tried = np.where(np.arange(len(weights)) == label, value, weights)
                reached = _mean_dice(patients, tried, inner.empty)
                if reached > dice:
                    weights, dice = tried, reached
        if (weights == before).all():
            break
    found = {"alphas": tuple(weights.tolist()), "dice": dice}
    return found, partial(_weighted_by_class, weights)


def _open(pair: Pair, labels: Labels) -> _Open:
    """Leave out voxels of which one class is above the others even at its lower probability."""
    learned.check_labels(pair, labels)
    flat, deep = (values.reshape(len(values), -1) for values in learned.singles(pair))
    low, rest = np.minimum(flat, deep), np.maximum(flat, deep)
    safest = low.argmax(axis=0)
    np.put_along_axis(rest, safest[None], 0, axis=0)
    settled = low.max(axis=0) > rest.max(axis=0)
    truth = labels.ravel()
    counts = metrics.confusion_matrix(truth[settled], safest[settled])
    return _Open(flat[:, ~settled], deep[:, ~settled], truth[~settled], counts)


def _mean_dice(
    patients: Sequence[_Open], weights: learned.Floats, empty: metrics.EmptyRule
) -> float:
    confusions = [patient.confusion(weights) for patient in patients]
    dice = np.array(
        [[metrics.dice(one, (label,), empty) for label in TUMOUR] for one in confusions]
    )
    means = [float(row[~np.isnan(row)].mean()) for row in dice if not np.isnan(row).all()]
    return float(np.mean(means)) if means else float("nan")


def _weighted_by_class(weights: learned.Floats, pair: Pair) -> learned.Singles:
    fused = _by_class(weights, *learned.singles(pair))
    return np.asarray(fused / fused.sum(axis=0))


def _by_class(
    weights: learned.Floats, flat: learned.Singles, deep: learned.Singles
) -> learned.Singles:
    """Return the sums before they are normalised; where a voxel is left with nothing, the mean."""
    alpha = weights.astype(np.float32).reshape(-1, *[1] * (flat.ndim - 1))
    even = np.float32(EVEN / 2) * (flat + deep)
    return np.asarray(alpha * flat + (1 - alpha) * deep + even)


# --- rules of one voxel at a time


def _log_pool(pair: Pair) -> learned.Singles:
    """Return the geometric mean of both branches, normalised (Genest and Zidek 1986)."""
    flat, deep = (np.log(np.maximum(one, learned.FLOOR)) for one in learned.singles(pair))
    return np.asarray(special.softmax(LOG_WEIGHT * flat + (1 - LOG_WEIGHT) * deep, axis=0))


def _entropy_weighted(pair: Pair) -> learned.Singles:
    """Weigh each branch by 1 − H / log 4; where both know nothing they count alike."""
    flat, deep = learned.singles(pair)
    sure2d, sure3d = (np.maximum(1 - learned.entropy(one), 0) + EVEN for one in (flat, deep))
    alpha = sure2d / (sure2d + sure3d)
    return np.asarray(alpha * flat + (1 - alpha) * deep)


def _staple(pair: Pair) -> learned.Floats:
    first, second = (one.argmax(axis=0).astype(np.uint8) for one in learned.singles(pair))
    return staple(first, second, pair[0].grid.spacing_mm)


def _stacking(inner: _Inner) -> tuple[dict[str, Any], Combine]:
    stack = learned.fit_stack(inner.training, inner.seed)
    parts = {"weights": stack.weights.tolist(), "offsets": stack.offsets.tolist()}
    return {**parts, "voxels": stack.voxels}, stack.apply


def _gate(inner: _Inner) -> tuple[dict[str, Any], Combine]:
    gate = learned.fit_gate(inner.training, inner.seed)
    return {"share_2d_right": gate.share, "voxels": gate.voxels}, gate.apply


_FITS: Mapping[str, Callable[[_Inner], tuple[dict[str, Any], Combine]]] = MappingProxyType(
    {
        "two_d": lambda _: _linear(1.0),
        "three_d": lambda _: _linear(0.0),
        "half": lambda _: _linear(0.5),
        "published": lambda _: _linear(0.6),
        "chosen_alpha": _chosen,
        "per_class_alpha": _per_class,
        "learnable_scalar": _scalar,
        "log_pool": lambda _: ({}, _log_pool),
        "entropy_weighted": lambda _: ({}, _entropy_weighted),
        "stacking": _stacking,
        "gate": _gate,
        "staple": lambda _: ({}, _staple),
    }
)
