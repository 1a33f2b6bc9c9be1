"""Where both branches are right, where one, where none: what fusion can gain at all."""

from gliomalib.fusion import average, learned
from gliomalib.schema import Labels
from gliomalib.scoring import metrics


def error_correlation(pair: learned.VolumePair, labels: Labels) -> dict[str, float]:
    """Return how the errors of the two branches go together, over all voxels of a patient.

    Nothing can be gained by fusion where both are wrong in the same way. ``phi`` is the correlation
    of right and wrong (Kuncheva and Whitaker 2003, doi:10.1023/A:1022859003006), −1 to 1 and NaN
    where it is 0/0, as for a branch without an error. The others are shares of all voxels:
    ``disagreement`` of different classes, ``one_right`` of those where just one branch is right.
    Raises what ``average.check_labels`` and ``learned.branches`` raise.
    """
    average.check_labels(pair[0], labels)
    first, second = (values.argmax(axis=0) for values in learned.branches(pair))
    pairs = metrics.confusion_matrix(first != labels, second != labels)
    (right, only2d), (only3d, wrong) = pairs[:2, :2].tolist()  # only2d: 2D alone is right
    margins = (right + only2d) * (only3d + wrong) * (right + only3d) * (only2d + wrong)
    alike, unlike = right * wrong, only2d * only3d
    return {
        "phi": (alike - unlike) / margins**0.5 if margins else float("nan"),
        "disagreement": float((first != second).mean()),
        "one_right": (only2d + only3d) / labels.size,
    }
