"""Where a score is highest, as an exact function of the weight α over all of 0–1, and how surely.

A score is a step function of α. A tie of two classes has a class of its own (the lower of the
two), so that a single α may have another score than both sides of it. Cells hold them apart: even
ones are single α, odd ones the open intervals between. Curves are joined by putting each cell
where it begins among all α::

    α of one patient    0          0.25                   0.6         1
                        ├───────────┼──────────────────────┼──────────┤
    its cells           0     1     2           3          4     5    6

    α of two patients   0    0.1   0.25        0.5        0.6         1
                        ├─────┼─────┼───────────┼──────────┼──────────┤
    cells of both       0  1  2  3  4     5     6     7    8     9    10
    one's begin in      0  1        4     5                8     9    10

The mean of a cohort has the steps of all its patients, some ten thousand each. So it is taken in
parts of 0–1, one after the other, and never lies in memory as a whole.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gliomalib.schema import FloatArray
from gliomalib.scoring import bootstrap

TIE = 1e-14
"""Dice that differ by less count as equal; two of one patient of 4 million voxels differ by 6e-14
or not at all, and a mean over patients is exact to about 1e-15."""

GRID = 1000
"""The bootstrap looks at the middles of this many equal parts of 0–1."""

JOINED = 1_000_000
"""α of all curves of a cohort that are joined at once, at about 100 bytes each."""


@dataclass(frozen=True)
class Curve:
    """A score at every α of 0–1 or of a part of it.

    ``values`` float64 (2m − 1,) are those in the cells of ``alphas`` float64 (m,), which rise.
    """

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

    @property
    def parts(self) -> Iterable["Curve"]:
        """The curve itself, its only part."""
        return (self,)

    def at(self, alphas: ArrayLike) -> FloatArray:
        """Return the values at any α, of the same shape; ``ValueError`` outside of 0–1."""
        wanted = np.asarray(alphas, dtype=np.float64)
        outside = wanted[~((wanted >= 0) & (wanted <= 1))]
        if outside.size:
            raise ValueError(f"alpha is {outside.flat[0]}; the weight of the 2D branch lies in 0–1")
        return np.asarray(self.values[cells_of(self.alphas, wanted)])

    def part(self, low: float, high: float) -> "Curve":
        """Return the curve from ``low`` to ``high``, both of them included."""
        start, end = np.searchsorted(self.alphas, (low, high), side="right")
        inside = self.alphas[start:end]
        alphas = np.concatenate([[low], inside[inside < high], [high]])
        values = np.empty(2 * len(alphas) - 1)
        values[::2] = self.at(alphas)
        values[1::2] = self.between[start - 1 : start + len(alphas) - 2]
        return Curve(alphas, values)

    def shortened(self) -> "Curve":
        """Return it without the α at which nothing changes: the point is what both sides are."""
        left, point, right = self.between[:-1], self.points[1:-1], self.between[1:]
        undefined = np.isnan(left) & np.isnan(point) & np.isnan(right)
        same = undefined | ((left == point) & (point == right))
        kept = np.concatenate([[True], ~same, [True]])
        if kept.all():
            return self
        values = np.empty(2 * kept.sum() - 1)
        values[::2], values[1::2] = self.points[kept], self.between[kept[:-1]]
        return Curve(self.alphas[kept], values)


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


@dataclass(frozen=True)
class Mean:
    """The mean curve of patients, taken in parts of 0–1 whenever it is gone through.

    ``curves`` of all 0–1 may lie in files and be read whenever they are gone through. Raises
    ``ValueError`` then for no patient, and for NaN.
    """

    curves: Collection[Curve]

    @property
    def parts(self) -> Iterator[Curve]:
        """The mean over one part of 0–1 after the other; each ends where the next one begins."""
        for low, high in pairwise(self._borders):
            yield mean_curve([curve.part(low, high) for curve in self.curves])

    @cached_property
    def best(self) -> Best:
        """Where it is highest."""
        return best_of(self)

    def width_near(self, margin: float) -> float:
        """Return how much of 0–1 is within a margin of the best."""
        return sum(end - start for start, end in _reached(self.parts, self.best.value - margin))

    def at(self, alpha: float) -> float:
        """Return the mean at one α of 0–1."""
        return float(np.mean([curve.at(alpha) for curve in self.curves]))

    @cached_property
    def _borders(self) -> FloatArray:
        """Return the α at which parts of about ``JOINED`` α of all curves begin, and 1."""
        counts = np.zeros(GRID, dtype=np.int64)
        for curve in self.curves:
            counts += np.histogram(curve.alphas, GRID, (0, 1))[0]
        filled = counts.cumsum()
        inner = np.searchsorted(filled, np.arange(JOINED, filled[-1], JOINED)) / GRID
        return np.unique([0, *inner, 1])


def best_of(curve: Curve | Mean) -> Best:
    """Return the highest value of a curve in an interval of α, and all such intervals.

    Values within ``TIE`` of the highest count as highest, and intervals side by side as one where
    the α between them is as high. NaN is no candidate; raises ``ValueError`` for nothing else.
    """
    value = max(float(np.fmax.reduce(part.between)) for part in curve.parts)
    if np.isnan(value):
        raise ValueError("the score is NaN at every α; leave this patient out and count it")
    return Best(value, tuple(_reached(curve.parts, value - TIE)))


def _reached(parts: Iterable[Curve], least: float) -> list[tuple[float, float]]:
    """Return the open intervals of α that reach a value, joined where the α between does."""
    found: list[tuple[float, float]] = []
    for part in parts:
        high = part.between >= least
        joined = high[:-1] & high[1:] & (part.points[1:-1] >= least)
        starts = part.alphas[:-1][high & ~np.append(False, joined)].tolist()
        ends = part.alphas[1:][high & ~np.append(joined, False)].tolist()
        if found and starts and found[-1][1] == starts[0] and part.points[0] >= least:
            # one interval from the last part on into this one
            starts[0] = found.pop()[0]
        found += zip(starts, ends, strict=True)
    return found


def mean_curve(
    curves: Sequence[Curve], undefined: Literal["nan", "exclude"] | None = None
) -> Curve:
    """Return the mean of several curves over the same α, of patients or of the classes of one.

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
        return curves[0].shortened()
    alphas, places = np.unique(
        np.concatenate([curve.alphas for curve in curves]), return_inverse=True
    )
    # whole numbers add up without rounding, in any order; their sum stays below 2⁶³
    unit = 2.0 ** (62 - len(curves).bit_length())
    wholes = (np.rint(np.nan_to_num(curve.values) * unit).astype(np.int64) for curve in curves)
    sums = _added(places, wholes)
    if not missing:
        return Curve(alphas, sums / (unit * len(curves))).shortened()
    defined = ((~np.isnan(curve.values)).astype(np.int64) for curve in curves)
    count = _added(places, defined)
    values = np.full(len(sums), np.nan)
    enough = count >= (1 if undefined == "exclude" else len(curves))
    np.divide(sums, unit * count, out=values, where=enough)
    return Curve(alphas, values).shortened()


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


def cells_of(alphas: FloatArray, wanted: ArrayLike) -> NDArray[np.intp]:
    """Return in which cell of ``alphas`` each wanted α lies, from the first of them to the last."""
    place = np.searchsorted(alphas, wanted, side="right") - 1
    return np.asarray(2 * place + (alphas[place] != wanted))


def optimum_intervals(
    mean: Mean, alpha: float, seed: int, draws: int = bootstrap.DRAWS
) -> dict[str, bootstrap.Interval]:
    """Return the best α of the mean curve and what ``alpha`` loses against it, with intervals.

    ``alpha`` is the middle of the exact optimum. ``lost`` is the highest mean score less that at
    the weight given; both are of the same patients, so it is never negative and on the average
    too large: a best α looks better where it was chosen. Patients are drawn with their whole
    curve, as in ``bootstrap``; draws look at the middles of ``GRID`` equal parts of 0–1, at the
    exact optimum and at the weight given, and the interval of α is half a part wider at both ends.
    Raises ``ValueError`` for no patient, NaN in a curve, or a weight outside of 0–1.
    """
    tried = np.unique([*(np.arange(GRID) + 0.5) / GRID, mean.best.alpha, alpha])
    rows = np.stack([curve.at(tried) for curve in mean.curves])
    intervals = bootstrap.argmax_intervals(rows, tried, alpha, seed, draws)
    where = replace(intervals["alpha"], value=mean.best.alpha)
    if where.ci95:
        wider = where.ci95[0] - 0.5 / GRID, where.ci95[1] + 0.5 / GRID
        where = replace(where, ci95=wider).within(0.0, 1.0)
    return {**intervals, "alpha": where}
