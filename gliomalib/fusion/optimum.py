"""Dice as an exact function of the weight α over all of 0–1, where it is highest, how surely.

α·S₂D + (1 − α)·S₃D is a line in α for each class, and the class of a voxel is the highest of its
four lines. So a voxel changes its class at most three times, where two lines meet, and all scores
are constant between these α. Everything here is exact: float16 numbers in 0–1 are whole multiples
of 2⁻²⁴, so differences of them have no rounding in float64, and two lines meet at a fraction of
two whole numbers up to 2²⁵. Such fractions are equal or at least 2⁻⁵⁰ apart, float64 below 1 are
at most 2⁻⁵³ apart, and division rounds correctly: α are equal if and only if their float64 are.

A tie of two lines has a class of its own (the lower of the two), so that a single α may have
another score than both sides of it. Cells hold them apart: even ones are single α, odd ones the
open intervals between. Curves are joined by putting each cell where it begins among all α::

    α of one patient    0          0.25                   0.6         1
                        ├───────────┼──────────────────────┼──────────┤
    its cells           0     1     2           3          4     5    6

    α of two patients   0    0.1   0.25        0.5        0.6         1
                        ├─────┼─────┼───────────┼──────────┼──────────┤
    cells of both       0  1  2  3  4     5     6     7    8     9    10
    one's begin in      0  1        4     5                8     9    10
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gliomalib.fusion import average
from gliomalib.schema import N_CLASSES, Confusion, FloatArray, Labels, Volume, check_same_grid
from gliomalib.scoring import bootstrap, metrics, tables

TIE = 1e-14
"""Dice that differ by less count as equal; two of one patient of 4 million voxels differ by 6e-14
or not at all, and a mean over patients is exact to about 1e-15."""

GRID = 1000
"""The bootstrap looks at the middles of this many equal parts of 0–1."""


@dataclass(frozen=True)
class Steps:
    """The confusion matrix of one patient at every α.

    ``alphas`` float64 (m,) rise from 0 to 1; in between are the α at which voxels change their
    class. ``first`` is the matrix (4, 4) at α = 0. Change number j happens on entering cell
    ``cells[j]`` (they rise; cell 2i is the single α number i, cell 2i + 1 all α between it and the
    next one): a voxel of true class ``moves[j, 0]`` goes from class
    ``moves[j, 1]`` to ``moves[j, 2]``; ``moves`` is uint8 (n, 3).
    """

    alphas: FloatArray
    first: Confusion
    cells: NDArray[np.intp]
    moves: NDArray[np.uint8]

    def at(self, alpha: float) -> Confusion:
        """Return the matrix (4, 4) at one α."""
        truth, old, new = self.moves[self.cells <= _cells(self.alphas, alpha)].T
        counts = self.first.copy()
        np.subtract.at(counts, (truth, old), 1)
        np.add.at(counts, (truth, new), 1)
        return counts


@dataclass(frozen=True)
class Curve:
    """A score at every α: ``values`` (2m − 1,) in the cells of ``alphas`` (m,), 0 to 1."""

    alphas: FloatArray
    values: FloatArray

    @property
    def points(self) -> FloatArray:
        """The values at the single α, shape (m,); ties of two classes go to the lower one there."""
        return self.values[::2]

    @property
    def between(self) -> FloatArray:
        """The values in the open intervals between neighbouring α, shape (m − 1,)."""
        return self.values[1::2]

    def at(self, alphas: ArrayLike) -> FloatArray:
        """Return the values at any α, of the same shape; ``ValueError`` outside of 0–1."""
        wanted = np.asarray(alphas, dtype=np.float64)
        outside = wanted[~((wanted >= 0) & (wanted <= 1))]
        if outside.size:
            raise ValueError(f"alpha is {outside.flat[0]}; the weight of the 2D branch lies in 0–1")
        return np.asarray(self.values[_cells(self.alphas, wanted)])


@dataclass(frozen=True)
class Best:
    """The highest value of a curve and the open intervals of α that have it, in rising order.

    A single α may be higher still: there classes tie and the lower one is taken, so its value
    belongs to the order of the classes and not to the weight.
    """

    value: float
    intervals: tuple[tuple[float, float], ...]

    @property
    def width(self) -> float:
        """How much of 0–1 has the highest value."""
        return sum(end - start for start, end in self.intervals)

    @property
    def alpha(self) -> float:
        """The middle of the widest interval, the lowest of equally wide ones."""
        start, end = max(self.intervals, key=lambda interval: interval[1] - interval[0])
        return (start + end) / 2


def ties(p2d: Volume, p3d: Volume, alpha: float) -> int:
    """Return in how many voxels rounding may decide on the class of the weighted average.

    Their two highest sums are equal or neighbours in float16, in which the average is stored. So
    its confusion matrix differs from ``Steps.at`` in no more voxels than these.
    """
    fused = average.weighted_average(p2d, p3d, alpha).probabilities
    second, first = np.partition(fused, N_CLASSES - 2, axis=0)[-2:]
    return int((first - second <= np.spacing(first)).sum())


def steps_of(p2d: Volume, p3d: Volume, labels: Labels) -> Steps:
    """Return the confusion matrix of a patient as a function of the weight of the 2D branch.

    Only voxels to which the branches give different classes are followed: where α = 0 and α = 1
    have the same class, every α has it. ``labels`` are canonical, (X, Y, Z) on the grid of both.
    Raises ``MismatchError`` and ``ValueError`` as ``average.weighted_average`` and
    ``average.check_labels`` do.
    """
    check_same_grid(p2d, p3d)
    average.check_labels(p2d, labels)
    for volume in (p2d, p3d):
        average.check_probabilities(volume)
    class2d, class3d = (tables.predicted_labels(volume) for volume in (p2d, p3d))
    differ = class2d != class3d
    at_1, at_0 = (volume.probabilities[:, differ].astype(np.float64) for volume in (p2d, p3d))
    changes = zip(*_changes(at_0, at_1), strict=True)
    alpha, after, voxels, old, new = (np.concatenate(part) for part in changes)
    real = old != new
    alphas = np.unique(np.append(alpha[real], [0.0, 1.0]))
    # a change at α number i is in cell 2i, one just after it in cell 2i + 1
    cells = 2 * np.searchsorted(alphas, alpha[real]) + after[real]
    moves = np.stack([labels[differ][voxels], old, new], axis=1)[real].astype(np.uint8)
    order = np.argsort(cells, kind="stable")
    first = metrics.confusion_matrix(labels, class3d)
    return Steps(alphas, first, cells[order], moves[order])


def _changes(at_0: FloatArray, at_1: FloatArray) -> Iterator[tuple[NDArray[Any], ...]]:
    """Follow the highest of four lines per voxel, from its height at α = 0 to that at α = 1.

    Each round goes to the next α at which another line meets the highest one. It yields what
    happens at that α, then what happens just after it: α, 0 or 1 for after, the voxels, their old
    and their new class, which may be the same.
    """
    slope, voxels, line = at_1 - at_0, np.arange(at_0.shape[1]), at_0.argmax(axis=0)
    for _ in range(N_CLASSES - 1):
        below, above = _of(at_0, line) - at_0, at_1 - _of(at_1, line)
        # the highest line is met by steeper ones only; those that end below it come too late
        ahead = (below + above > 0) & (above >= 0)
        meets = np.full(at_0.shape, np.inf)
        np.divide(below, below + above, out=meets, where=ahead)
        alpha = meets.min(axis=0)
        going = np.isfinite(alpha)
        at_0, at_1, slope, meets = (part[:, going] for part in (at_0, at_1, slope, meets))
        alpha, line, voxels = alpha[going], line[going], voxels[going]
        # at the α itself the lowest of the tied classes counts, after it the steepest line leads;
        # after α = 1 there is nothing
        tied = meets == alpha
        here = np.minimum(line, tied.argmax(axis=0))
        steepest = np.where(tied, slope, -np.inf).argmax(axis=0)
        following = np.where(alpha < 1, steepest, here)
        yield alpha, np.zeros_like(line), voxels, line, here
        yield alpha, np.ones_like(line), voxels, here, following
        line = steepest


def _cells(alphas: FloatArray, wanted: ArrayLike) -> NDArray[np.intp]:
    """Return in which cell of ``alphas`` each wanted α of 0–1 lies."""
    place = np.searchsorted(alphas, wanted, side="right") - 1
    return np.asarray(2 * place + (alphas[place] != wanted))


def _of(heights: FloatArray, line: NDArray[np.intp]) -> FloatArray:
    return np.asarray(np.take_along_axis(heights, line[None], axis=0)[0])


def dice_at(steps: Steps, classes: tuple[int, ...], empty: metrics.EmptyRule) -> Curve:
    """Return Dice of some classes merged into one mask, at every α.

    Only α at which this Dice changes are kept. Parameters and errors are those of
    ``metrics.dice``.
    """
    metrics.dice(steps.first, classes, empty)  # refuses unknown classes and rules
    chosen = list(classes)
    truth, old, new = np.isin(steps.moves, chosen).T
    gain = new.astype(np.float64) - old
    n_cells = 2 * len(steps.alphas) - 1

    def along(start: np.int64, changes: FloatArray) -> FloatArray:
        """Return a count in each cell from that at α = 0 and its changes."""
        added = np.bincount(steps.cells, weights=changes, minlength=n_cells)
        return np.asarray(start + added.cumsum())

    common = along(steps.first[np.ix_(chosen, chosen)].sum(), gain * truth)
    total = along(steps.first[:, chosen].sum(), gain) + steps.first[chosen].sum()
    values = np.full(n_cells, 1.0 if empty == "brats" else np.nan)
    np.divide(2 * common, total, out=values, where=total > 0)
    return _shortened(Curve(steps.alphas, values))


def best_of(curve: Curve) -> Best:
    """Return the highest value of a curve in an interval of α, and all such intervals.

    Values within ``TIE`` of the highest count as highest, and intervals side by side as one where
    the α between them is as high. NaN is no candidate; raises ``ValueError`` for nothing else.
    """
    if np.isnan(curve.between).all():
        raise ValueError("the score is NaN at every α; leave this patient out and count it")
    value = float(np.nanmax(curve.between))
    reached = curve.between >= value - TIE
    joined = reached[:-1] & reached[1:] & (curve.points[1:-1] >= value - TIE)
    starts = curve.alphas[:-1][reached & ~np.append(False, joined)]
    ends = curve.alphas[1:][reached & ~np.append(joined, False)]
    return Best(value, tuple(zip(starts.tolist(), ends.tolist(), strict=True)))


def mean_curve(
    curves: Sequence[Curve], undefined: Literal["nan", "exclude"] | None = None
) -> Curve:
    """Return the mean of several curves at every α, of patients or of the classes of one.

    All α of all curves, with values in 0–1, are kept that change the mean, at about 100 bytes each
    while it is taken. Sums are in whole multiples of a small unit, so that equal means are equal
    numbers. ``undefined`` says what NaN is: NaN for all, or left out; with ``exclude`` a mean is
    of those curves that are defined at that α. Raises ``ValueError`` for no curve, and for NaN
    without a rule.
    """
    if not curves:
        raise ValueError("there is no patient; give at least one")
    missing = sum(bool(np.isnan(curve.values).any()) for curve in curves)
    if missing and undefined is None:
        raise ValueError(
            f"{missing} of {len(curves)} curves have NaN; leave them out by a named rule and count "
            "them, or say what NaN is"
        )
    if len(curves) == 1:
        # no copy: all patients' curves are in memory together, most of them of one fold
        return _shortened(curves[0])
    alphas, places = np.unique(
        np.concatenate([curve.alphas for curve in curves]), return_inverse=True
    )
    # whole numbers add up without rounding, in any order; their sum stays below 2⁶³
    unit = 2.0 ** (62 - len(curves).bit_length())
    wholes = (np.rint(np.nan_to_num(curve.values) * unit).astype(np.int64) for curve in curves)
    if not missing:
        # no name for the sums, which are as large as their mean: they go before it is shortened
        return _shortened(Curve(alphas, _added(places, wholes) / (unit * len(curves))))
    sums = _added(places, wholes)
    defined = ((~np.isnan(curve.values)).astype(np.int64) for curve in curves)
    count = _added(places, defined)
    values = np.full(len(sums), np.nan)
    enough = count >= (1 if undefined == "exclude" else len(curves))
    np.divide(sums, unit * count, out=values, where=enough)
    return _shortened(Curve(alphas, values))


def _added(places: NDArray[np.intp], wholes: Iterable[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Return the sum of whole numbers in the cells of several curves, in the cells of all α.

    ``places`` says for each α of each curve, one curve after the other, which of all α it is.
    """
    # a curve is its jumps: each is put into the cell in which it begins, and the running sum
    # carries it through the finer cells behind
    total, start = np.zeros(2 * places.max() + 1, dtype=np.int64), 0
    for whole in wholes:
        jumps, end = np.diff(whole, prepend=0), start + len(whole) // 2 + 1
        # cell 2i goes to α number i wherever that is now, cell 2i + 1 to the first one behind it
        points, start = 2 * places[start:end], end
        total[points] += jumps[::2]
        total[points[:-1] + 1] += jumps[1::2]
    return total.cumsum(out=total)


def optimum_intervals(
    curves: Sequence[Curve], alpha: float, seed: int, draws: int = bootstrap.DRAWS
) -> dict[str, bootstrap.Interval]:
    """Return the best α of the mean curve and what ``alpha`` loses against it, with intervals.

    ``alpha`` is the middle of the exact optimum. ``lost`` is the highest mean score less that at
    the weight given; both are of the same patients, so it is never negative and on the average
    too large: a best α looks better where it was chosen. Patients are drawn with their whole
    curve, as in ``bootstrap``; draws look at the middles of ``GRID`` equal parts of 0–1, at the
    exact optimum and at the weight given, and the interval of α is half a part wider at both ends.
    Raises ``ValueError`` for no patient, NaN in a curve, or a weight outside of 0–1.
    """
    exact = best_of(mean_curve(curves))
    tried = np.unique([*(np.arange(GRID) + 0.5) / GRID, exact.alpha, alpha])
    rows = np.stack([curve.at(tried) for curve in curves])
    intervals = bootstrap.argmax_intervals(rows, tried, alpha, seed, draws)
    where = replace(intervals["alpha"], value=exact.alpha)
    if where.ci95:
        wider = where.ci95[0] - 0.5 / GRID, where.ci95[1] + 0.5 / GRID
        where = replace(where, ci95=wider).within(0.0, 1.0)
    return {**intervals, "alpha": where}


def _shortened(curve: Curve) -> Curve:
    """Leave out the α at which nothing changes: the point is what both sides are."""
    left, point, right = curve.between[:-1], curve.points[1:-1], curve.between[1:]
    undefined = np.isnan(left) & np.isnan(point) & np.isnan(right)
    kept = np.concatenate([[True], ~(undefined | ((left == point) & (point == right))), [True]])
    if kept.all():
        return curve
    values = np.empty(2 * kept.sum() - 1)
    values[::2], values[1::2] = curve.points[kept], curve.between[kept[:-1]]
    return Curve(curve.alphas[kept], values)
