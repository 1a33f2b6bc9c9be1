"""STAPLE: one segmentation from several, each trusted as far as it agrees with the others.

Warfield, Zou and Wells (2004, doi:10.1109/TMI.2004.828354) take the truth of each voxel as hidden
and each segmentation as a rater of unknown sensitivity and specificity; expectation-maximisation
finds both. A rater of masks is described by four numbers of voxels only, how often which raters
said yes, so it runs over these patterns and not over voxels.

With two raters there is little to find. The four counts cannot fix the five unknowns, and no third
opinion says who is right. From the usual start (both raters .99999) the voxels that one rater has
and the other has not end near one half: with 1000 voxels in common, 100 of each rater alone and
8800 of neither, at .49; with 300 of neither, at .52. The raters' own numbers hardly matter (150 and
50 alone: .49 and .49). So of two classes in dispute that one wins by a hair which is the more
frequent in the box, and against background it is mostly background, unless the box is tight. Where
one rater only adds to the other both classes end at .50, equal in the float16 of a volume, whose
argmax is the lower class. Where they have nothing in common, the one with more voxels is right. It
is here because it is often proposed.
"""

import numpy as np
from scipy import ndimage

from gliomalib.schema import N_CLASSES, FloatArray, Labels, MismatchError

MARGIN_MM = 10.0
"""How far the box reaches beyond the tumour of either rater: what lies outside does not count."""

START = 0.99999
"""Sensitivity and specificity of both raters at the start, the usual ones."""

SMALLEST_STEP, ITERATIONS = 1e-9, 10_000
"""The end: no probability of a pattern moves by more, or so many rounds."""

SAID = np.array([[1, 1, 0, 0], [1, 0, 1, 0]], dtype=bool)
"""What each of the two raters says in the four patterns: both, first, second, neither."""


def staple(first: Labels, second: Labels, spacing_mm: tuple[float, float, float]) -> FloatArray:
    """Return the probabilities (4, X, Y, Z) of two segmentations under STAPLE.

    Every class, background too, is judged against the rest, in the box around the tumour of both
    (see ``MARGIN_MM``); then the four probabilities of a voxel are brought to the sum 1. Where
    all are 0, which two raters without anything in common can do, both raters count half. Outside
    of the box, and where there is no tumour at all, it is background. Both have canonical labels
    0–3, (X, Y, Z); ``spacing_mm`` is the voxel size along each axis. Raises ``MismatchError``
    where the shapes differ.
    """
    if first.shape != second.shape:
        raise MismatchError(
            f"segmentations have shapes {first.shape} and {second.shape}; take both of one grid"
        )
    probabilities = np.zeros((N_CLASSES, *first.shape))
    probabilities[0] = 1
    tumour = (first > 0) | (second > 0)
    # one object, or none where there is no tumour
    for around in ndimage.find_objects(tumour.astype(np.uint8)):
        margins = [int(np.ceil(MARGIN_MM / step)) for step in spacing_mm]
        box = tuple(
            slice(max(part.start - margin, 0), part.stop + margin)
            for part, margin in zip(around, margins, strict=True)
        )
        probabilities[:, *box] = _in_box(first[box], second[box])
    return probabilities


def rater_patterns(counts: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Run STAPLE on one mask of two raters.

    ``counts`` (4,) are the voxels that both, only the first, only the second and neither rater
    gave to it. Returned are the probability (4,) that such a voxel belongs to the mask, and the
    sensitivities and specificities (2,) of the raters. The prior is the mean share of voxels that
    the raters gave to the mask. A sensitivity (or specificity) that no voxel tells anything about
    keeps its last value.
    """
    yes, no = np.full(2, START), np.full(2, START)
    prior = float((SAID @ counts).sum() / (2 * counts.sum()))
    truth = np.full(4, prior)
    for _ in range(ITERATIONS if 0 < prior < 1 else 0):
        inside = prior * np.where(SAID, yes[:, None], 1 - yes[:, None]).prod(axis=0)
        outside = (1 - prior) * np.where(SAID, 1 - no[:, None], no[:, None]).prod(axis=0)
        # expectation: how probable the mask is, given what was said; then each rater anew by it
        before, truth = truth, _ratio(inside, inside + outside, truth)
        yes = _ratio(SAID @ (counts * truth), (counts * truth).sum(), yes)
        no = _ratio(~SAID @ (counts * (1 - truth)), (counts * (1 - truth)).sum(), no)
        if np.abs(truth - before).max() < SMALLEST_STEP:
            break
    return truth, yes, no


def _in_box(first: Labels, second: Labels) -> FloatArray:
    fused = np.empty((N_CLASSES, *first.shape))
    for label in range(N_CLASSES):
        # voxels about which the raters say the same have the same probability in every round, so
        # the four patterns (the columns of SAID) are counted once and stand for all voxels
        pattern = 3 - 2 * (first == label).astype(np.intp) - (second == label)
        counts = np.bincount(pattern.ravel(), minlength=4).astype(np.float64)
        fused[label] = rater_patterns(counts)[0][pattern]
    classes = np.arange(N_CLASSES)[:, None, None, None]
    votes = ((first == classes).astype(np.float64) + (second == classes)) / 2
    return _ratio(fused, fused.sum(axis=0), votes)


def _ratio(above: FloatArray, below: FloatArray | np.float64, otherwise: FloatArray) -> FloatArray:
    """Return above / below, and ``otherwise`` where that is 0/0."""
    above, below, result = np.broadcast_arrays(above, below, otherwise)
    return np.asarray(np.divide(above, below, out=result.copy(), where=below > 0))
