"""Counts on the whole scan from those in the box: tumour that the crop cut off counts as missed.

Networks see the box only. A Dice of the box leaves out what lies beyond it, so it is no match for
one that others report of whole scans.
"""

from __future__ import annotations

import numpy as np

from gliomalib.pipeline import preprocess
from gliomalib.pipeline.store import Store
from gliomalib.schema import Confusion, FloatArray


def outside(store: Store, patient: str) -> FloatArray:
    """Return the voxels outside of the box by true class (4,), in voxels of the store's size.

    Raises as ``Store.get``.
    """
    facts, spacing_mm = preprocess.crop_facts(store, patient), store.get(patient).grid.spacing_mm
    left = np.subtract(facts.voxels, facts.in_box, dtype=np.float64)
    return np.asarray(left * facts.voxel_mm3 / np.prod(spacing_mm))


def counts(store: Store, patient: str, in_box: Confusion) -> Confusion:
    """Return a patient's counts (4, 4) on the whole scan, all outside of the box called no tumour.

    ``in_box`` are the counts in the box, rows the truth. What is outside is rounded to whole voxels
    of the store. Raises as ``Store.get``.
    """
    whole = in_box.copy()
    whole[:, 0] += np.rint(outside(store, patient)).astype(np.int64)
    return whole
