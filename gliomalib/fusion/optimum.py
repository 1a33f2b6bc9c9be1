"""Dice as an exact function of the weight α over all of 0–1, where it is highest, how surely.

α·S₂D + (1 − α)·S₃D is a line in α for each class, and the class of a voxel is the highest of its
four lines. So a voxel changes its class at most three times, where two lines meet, and all scores
are constant between these α. Everything here is exact: float16 numbers in 0–1 are whole multiples
of 2⁻²⁴, so differences of them have no rounding in float64, and two lines meet at a fraction of
two whole numbers up to 2²⁵. Such fractions are equal or at least 2⁻⁵⁰ apart, float64 below 1 are
at most 2⁻⁵³ apart, and division rounds correctly: α are equal if and only if their float64 are.

``average.alpha_sweep`` takes the weighted sums in float32. Its class of a voxel is the exact one
except where the two highest sums are closer than that rounding, about 2⁻²³: at an α where lines
meet, and very near to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gliomalib.fusion import average
from gliomalib.schema import N_CLASSES, Confusion, Labels, Volume
from gliomalib.scoring import bootstrap, metrics

Floats = NDArray[np.float64]
Cells = NDArray[np.intp]
"""Places on 0–1 in rising order: cell 2i is the single α number i, cell 2i + 1 all α that lie
between it and the next one."""

TIE = 1e-14
"""Dice that differ by less count as equal; two of one patient of 4 million voxels differ by 6e-14
or not at all, and a mean over patients is exact to about 1e-15."""

GRID = 1000
"""The bootstrap looks at the middles of this many equal parts of 0–1."""


@dataclass(frozen=True)
class Steps:
    """The confusion matrix of one patient, or of several together, at every α.

    ``alphas`` float64 (m,) rise from 0 to 1; in between are the α at which voxels change their
    class. ``first`` is the matrix (4, 4) at α = 0. Change number j happens on entering cell
    ``cells[j]`` (they rise): a voxel of true class ``moves[j, 0]`` goes from class
    ``moves[j, 1]`` to ``moves[j, 2]``; ``moves`` is uint8 (n, 3).
    """

    alphas: Floats
    first: Confusion
    cells: Cells
    moves: NDArray[np.uint8]

    @property
    def n_cells(self) -> int:
        """Number of single α and of intervals between them."""
        return 2 * len(self.alphas) - 1


@dataclass(frozen=True)
class Curve:
    """A score at every α: ``values`` (2m − 1,) in the cells of ``alphas`` (m,), 0 to 1."""

    alphas: Floats
    values: Floats

    @property
    def points(self) -> Floats:
        """The values at the single α, shape (m,); ties of two classes go to the lower one there."""
        return self.values[::2]

    @property
    def between(self) -> Floats:
        """The values in the open intervals between neighbouring α, shape (m − 1,)."""
        return self.values[1::2]

    def at(self, alphas: ArrayLike) -> Floats:
        """Return the values at any α, of the same shape; ``ValueError`` outside of 0–1."""
        return np.asarray(self.values[_cells_of(self.alphas, alphas)])


@dataclass(frozen=True)
class Best:
    """The highest value of a curve and the open intervals of α that have it, in rising order.

    ``higher`` holds single α whose value is higher still. There classes tie and the lower one is
    taken, so such a value belongs to the order of the classes and not to the weight; α = 0 and
    α = 1 can be among them.
    """

    value: float
    intervals: tuple[tuple[float, float], ...]
    higher: tuple[float, ...]

    @property
    def width(self) -> float:
        """How much of 0–1 has the highest value."""
        return sum(end - start for start, end in self.intervals)

    @property
    def alpha(self) -> float:
        """The middle of the widest interval, the lowest of equally wide ones."""
        start, end = max(self.intervals, key=lambda interval: interval[1] - interval[0])
        return (start + end) / 2


def steps_of(p2d: Volume, p3d: Volume, labels: Labels) -> Steps:
    """Return the confusion matrix of a patient as a function of the weight of the 2D branch.

    Only voxels to which the branches give different classes are followed: where α = 0 and α = 1
    have the same class, every α has it. ``labels`` are canonical, (X, Y, Z) on the grid of both.
    Raises what ``average.alpha_sweep`` raises.
    """
    first = average.alpha_sweep(p2d, p3d, labels, [0.0])[0]
    differ = p2d.probabilities.argmax(axis=0) != p3d.probabilities.argmax(axis=0)
    high, low = (volume.probabilities[:, differ].astype(np.float64) for volume in (p2d, p3d))
    found = list(_changes(low, high))
    alpha = np.concatenate([part.alpha for part in found])
    after = np.concatenate([np.full(len(part.alpha), part.after) for part in found])
    moves = np.concatenate([part.moves(labels[differ]) for part in found])
    alphas = np.unique(np.append(alpha, [0.0, 1.0]))
    cells = 2 * np.searchsorted(alphas, alpha) + after
    order = np.argsort(cells, kind="stable")
    return Steps(alphas, first, cells[order], moves[order])


@dataclass(frozen=True)
class _Change:
    """Voxels that go from one class to another on reaching an α, or just ``after`` it."""

    alpha: Floats
    after: bool
    voxels: NDArray[np.intp]
    old: NDArray[np.intp]
    new: NDArray[np.intp]

    def moves(self, truth: Labels) -> NDArray[np.uint8]:
        return np.stack([truth[self.voxels], self.old, self.new], axis=1).astype(np.uint8)

    def real(self) -> _Change:
        """Leave out those whose class stays."""
        kept = self.old != self.new
        parts = (self.alpha, self.voxels, self.old, self.new)
        alpha, voxels, old, new = (part[kept] for part in parts)
        return _Change(alpha, self.after, voxels, old, new)


def _changes(low: Floats, high: Floats) -> Iterator[_Change]:
    """Follow the highest of four lines that run from ``low`` at α = 0 to ``high`` at α = 1."""
    slope, voxels, line = high - low, np.arange(low.shape[1]), low.argmax(axis=0)
    for _ in range(N_CLASSES - 1):
        below, above = _of(low, line) - low, high - _of(high, line)
        # the highest line is met by steeper ones only; those that end below it come too late
        ahead = (below + above > 0) & (above >= 0)
        meets = np.full(low.shape, np.inf)
        np.divide(below, below + above, out=meets, where=ahead)
        alpha = meets.min(axis=0)
        going = np.isfinite(alpha)
        low, high, slope, meets = (part[:, going] for part in (low, high, slope, meets))
        alpha, line, voxels = alpha[going], line[going], voxels[going]
        tied = meets == alpha
        here = np.minimum(line, tied.argmax(axis=0))
        steepest = np.where(tied, slope, -np.inf).argmax(axis=0)
        following = np.where(alpha < 1, steepest, here)
        yield _Change(alpha, False, voxels, line, here).real()
        yield _Change(alpha, True, voxels, here, following).real()
        line = steepest


def _of(heights: Floats, line: NDArray[np.intp]) -> Floats:
    return np.asarray(np.take_along_axis(heights, line[None], axis=0)[0])


def pooled(patients: Sequence[Steps]) -> Steps:
    """Return the steps of the voxels of all patients together.

    Raises ``ValueError`` for no patient.
    """
    alphas = _all_alphas([steps.alphas for steps in patients])
    cells = [_renumbered(steps.cells, steps.alphas, alphas) for steps in patients]
    together = np.concatenate(cells)
    order = np.argsort(together, kind="stable")
    moves = np.concatenate([steps.moves for steps in patients])
    first = np.stack([steps.first for steps in patients]).sum(axis=0)
    return Steps(alphas, first, together[order], moves[order])


def confusions_at(steps: Steps, alphas: ArrayLike) -> Confusion:
    """Return the matrices (n, 4, 4) at the weights ``alphas`` (n,), in any order.

    Raises ``ValueError`` for an α outside of 0–1.
    """
    wanted, back = np.unique(_cells_of(steps.alphas, alphas), return_inverse=True)
    place = np.searchsorted(wanted, steps.cells)
    counts = np.zeros((len(wanted) + 1, N_CLASSES, N_CLASSES), dtype=np.int64)
    truth, old, new = steps.moves.T
    np.add.at(counts, (place, truth, new), 1)
    np.add.at(counts, (place, truth, old), -1)
    found: Confusion = (steps.first + counts.cumsum(axis=0))[back]
    return found


def dice_at(steps: Steps, classes: tuple[int, ...], empty: metrics.EmptyRule) -> Curve:
    """Return Dice of some classes merged into one mask, at every α.

    Only α at which this Dice changes are kept. Parameters and errors are those of
    ``metrics.dice``.
    """
    metrics.dice(steps.first, classes, empty)  # refuses unknown classes and rules
    chosen = list(classes)
    truth, old, new = np.isin(steps.moves, chosen).T
    gain = new.astype(np.float64) - old

    def along(start: np.int64, changes: Floats) -> Floats:
        added = np.bincount(steps.cells, weights=changes, minlength=steps.n_cells)
        return np.asarray(start + added.cumsum())

    common = along(steps.first[np.ix_(chosen, chosen)].sum(), gain * truth)
    total = along(steps.first[:, chosen].sum(), gain) + steps.first[chosen].sum()
    values = np.full(steps.n_cells, 1.0 if empty == "brats" else np.nan)
    np.divide(2 * common, total, out=values, where=total > 0)
    return _shortened(Curve(steps.alphas, values))


def best(steps: Steps, classes: tuple[int, ...], empty: metrics.EmptyRule) -> Best:
    """Return the highest Dice of a patient and all α that reach it.

    Parameters and errors are those of ``metrics.dice``, and ``best_of``.
    """
    return best_of(dice_at(steps, classes, empty))


def best_of(curve: Curve) -> Best:
    """Return the highest value of a curve in an interval of α, and all such intervals.

    Intervals next to one another are one if the α between them is as high. NaN is no candidate;
    raises ``ValueError`` where there is nothing else.
    """
    if np.isnan(curve.between).all():
        raise ValueError("the score is NaN at every α; leave this patient out and count it")
    value = float(np.nanmax(curve.between))
    reached = curve.between >= value - TIE
    joined = reached[:-1] & reached[1:] & (curve.points[1:-1] >= value - TIE)
    starts = curve.alphas[:-1][reached & ~np.append(False, joined)]
    ends = curve.alphas[1:][reached & ~np.append(joined, False)]
    higher = curve.alphas[curve.points > value + TIE]
    pairs = zip(starts.tolist(), ends.tolist(), strict=True)
    return Best(value, tuple(pairs), tuple(higher.tolist()))


def mean_curve(curves: Sequence[Curve], undefined: metrics.Undefined | None = None) -> Curve:
    """Return the mean of several curves at every α, of patients or of the classes of one.

    All α of all curves are kept that change the mean, at about 100 bytes each while it is taken.
    Sums are taken in whole multiples of a small unit, so that equal means are equal numbers.

    Parameters
    ----------
    curves
        At least one, with values in 0–1.
    undefined
        What NaN is, see ``metrics.Undefined``; None refuses it. With ``exclude`` a mean is of
        those curves that are defined at that α.

    Raises
    ------
    ValueError
        For no curve, and for NaN without a rule.
    """
    missing = sum(bool(np.isnan(curve.values).any()) for curve in curves)
    if missing and undefined is None:
        raise ValueError(
            f"{missing} of {len(curves)} curves have NaN; leave them out by a named rule and count "
            "them, or say what NaN is"
        )
    alphas = _all_alphas([curve.alphas for curve in curves])
    unit = 2.0 ** (62 - len(curves).bit_length())
    wholes = (np.rint(np.nan_to_num(curve.values) * unit).astype(np.int64) for curve in curves)
    sums = _added(curves, alphas, wholes) / unit
    if not missing:
        return _shortened(Curve(alphas, sums / len(curves)))
    there = ((~np.isnan(curve.values)).astype(np.int64) for curve in curves)
    known = _added(curves, alphas, there)
    count = known if undefined == "exclude" else np.full(len(sums), len(curves))
    values = np.full(len(sums), np.nan)
    usable = known == len(curves) if undefined == "nan" else count > 0
    np.divide(sums, count, out=values, where=usable)
    return _shortened(Curve(alphas, values))


def _added(
    curves: Sequence[Curve], alphas: Floats, wholes: Iterable[NDArray[np.int64]]
) -> NDArray[np.int64]:
    """Return the sum in the cells of ``alphas`` of a whole number in each cell of each curve."""
    total = np.zeros(2 * len(alphas) - 1, dtype=np.int64)
    for curve, whole in zip(curves, wholes, strict=True):
        cells = _renumbered(np.arange(len(whole)), curve.alphas, alphas)
        total[cells] += np.diff(whole, prepend=0)
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

    Parameters
    ----------
    curves
        One a patient.
    alpha
        The weight that is put to the test, 0–1.
    seed, draws
        Seed and size of the bootstrap.

    Raises
    ------
    ValueError
        For no patient, NaN in a curve, or a weight outside of 0–1.
    """
    exact = best_of(mean_curve(curves))
    tried = np.unique([*(np.arange(GRID) + 0.5) / GRID, exact.alpha, alpha])
    rows = np.stack([curve.at(tried) for curve in curves])
    given = int(np.searchsorted(tried, alpha))

    def lost(sums: Floats) -> Floats:
        return np.asarray((sums[:, 0].max(axis=1) - sums[:, 0, given]) / len(rows))

    where = bootstrap.argmax_interval(rows, tried, seed, draws)
    if where.ci95:
        low, high = where.ci95[0] - 0.5 / GRID, where.ci95[1] + 0.5 / GRID
        where = replace(where, ci95=(max(low, 0.0), min(high, 1.0)))
    loss = bootstrap.confusion_interval(rows[:, None], lost, seed, draws)
    return {"alpha": replace(where, value=exact.alpha), "lost": loss}


def _cells_of(known: Floats, alphas: ArrayLike) -> Cells:
    """Return the cell of each α."""
    wanted = np.asarray(alphas, dtype=np.float64)
    outside = wanted[~((wanted >= 0) & (wanted <= 1))]
    if outside.size:
        raise ValueError(f"alpha is {outside.flat[0]}; the weight of the 2D branch lies in 0–1")
    place = np.searchsorted(known, wanted, side="right") - 1
    return np.asarray(2 * place + (known[place] != wanted))


def _all_alphas(each: Sequence[Floats]) -> Floats:
    if not each:
        raise ValueError("there is no patient; give at least one")
    return np.unique(np.concatenate(each))


def _renumbered(cells: Cells, alphas: Floats, into: Floats) -> Cells:
    """Return cells of ``alphas`` as the cells of ``into`` in which they begin."""
    return np.asarray(2 * np.searchsorted(into, alphas)[cells // 2] + cells % 2)


def _shortened(curve: Curve) -> Curve:
    """Leave out the α at which nothing changes."""
    left, point, right = curve.between[:-1], curve.points[1:-1], curve.between[1:]
    unknown = np.isnan(left) & np.isnan(point) & np.isnan(right)
    kept = np.concatenate([[True], ~(unknown | ((left == point) & (point == right))), [True]])
    values = np.empty(2 * kept.sum() - 1)
    values[::2], values[1::2] = curve.points[kept], curve.between[kept[:-1]]
    return Curve(curve.alphas[kept], values)
