"""Confusion matrix and Dice of a patient as exact functions of the weight α, over all of 0–1.

α·S₂D + (1 − α)·S₃D is a line in α for each class, and the class of a voxel is the highest of its
four lines. So a voxel changes its class at most three times, where two lines meet, and all scores
are constant between these α. Everything here is exact: float16 numbers in 0–1 are whole multiples
of 2⁻²⁴, so differences of them have no rounding in float64, and two lines meet at a fraction of
two whole numbers up to 2²⁵. Such fractions are equal or at least 2⁻⁵⁰ apart, float64 below 1 are
at most 2⁻⁵³ apart, and division rounds correctly: α are equal if and only if their float64 are.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gliomalib.fusion import average
from gliomalib.fusion.optimum import Curve, cells_of
from gliomalib.schema import N_CLASSES, Confusion, FloatArray, Labels, Volume, check_same_grid
from gliomalib.scoring import metrics, tables


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
        truth, old, new = self.moves[self.cells <= cells_of(self.alphas, alpha)].T
        counts = self.first.copy()
        np.subtract.at(counts, (truth, old), 1)
        np.add.at(counts, (truth, new), 1)
        return counts


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
    return Curve(steps.alphas, values).shortened()


def ties(p2d: Volume, p3d: Volume, alpha: float) -> int:
    """Return in how many voxels rounding may decide on the class of the weighted average.

    Their two highest sums are equal or neighbours in float16, in which the average is stored. So
    its confusion matrix differs from ``Steps.at`` in no more voxels than these.
    """
    fused = average.weighted_average(p2d, p3d, alpha).probabilities
    second, first = np.partition(fused, N_CLASSES - 2, axis=0)[-2:]
    return int((first - second <= np.spacing(first)).sum())


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


def _of(heights: FloatArray, line: NDArray[np.intp]) -> FloatArray:
    return np.asarray(np.take_along_axis(heights, line[None], axis=0)[0])
