"""Counts on the whole scan from those in the box: tumour that the crop cut off counts as missed.

Networks see the box only. A Dice of the box leaves out what lies beyond it, so it is no match for
one that others report of whole scans.
"""

import numpy as np

from gliomalib import settings
from gliomalib.experiments.values import mean_interval
from gliomalib.pipeline import folds, preprocess
from gliomalib.pipeline.store import Store
from gliomalib.schema import Confusion, FloatArray
from gliomalib.scoring import bootstrap


def outside(store: Store, patient: str) -> FloatArray:
    """Return the voxels outside of the box by true class (4,), in voxels of the store's size.

    Raises as ``Store.get``.
    """
    facts, spacing_mm = preprocess.crop_facts(store, patient), store.get(patient).grid.spacing_mm
    left = np.subtract(facts.voxels, facts.in_box, dtype=np.float64)
    return np.asarray(left * facts.voxel_mm3 / np.prod(spacing_mm))


def background(material: folds.Material) -> dict[str, bootstrap.Interval]:
    """Return the share of voxels without tumour, in the whole scan and in the paper's crop of it.

    By ``scan`` and ``crop``, mean over the held-out patients. Empty where patients are made up,
    are boxes, or were cropped otherwise: no such share says anything of BraTS.
    """
    study = material.study
    paper = study.preprocessing.crop_mm == (settings.PAPER_PICTURE, settings.PAPER_PICTURE)
    if not (study.real_data and paper and study.data.extent != "boxes"):
        return {}
    names = sorted({name for split in material.splits for name in split.test})
    facts = [preprocess.crop_facts(material.store, name) for name in names]
    frames = {"scan": [one.voxels for one in facts], "crop": [one.in_plane for one in facts]}
    shares = {frame: [own[0] / sum(own) for own in each] for frame, each in frames.items()}
    return {
        frame: mean_interval(each, study, "background", frame) for frame, each in shares.items()
    }


def counts(store: Store, patient: str, in_box: Confusion) -> Confusion:
    """Return a patient's counts (4, 4) on the whole scan, all outside of the box called no tumour.

    ``in_box`` are the counts in the box, rows the truth. What is outside is rounded to whole voxels
    of the store. Raises as ``Store.get``.
    """
    whole = in_box.copy()
    whole[:, 0] += np.rint(outside(store, patient)).astype(np.int64)
    return whole
