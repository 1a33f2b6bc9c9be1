"""Does the classifier take a ring of false enhancing tumour for enhancing tumour? Notebook 06."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gliomalib import progress, settings
from gliomalib.digits import spoken
from gliomalib.experiments.values import of, pooled, value
from gliomalib.fusion import average, slices
from gliomalib.networks import predict
from gliomalib.networks.training import Trained
from gliomalib.pipeline import folds
from gliomalib.schema import FloatArray, StoredCase, Value, Volume
from gliomalib.scoring import rings

RULES = {
    "ring_turned_to_enhancing": "with a ring of enhancing tumour planted between the boundaries "
    "of the two branches",
    "own_ring_turned_to_enhancing": "in which fusion makes a ring by itself, against the same "
    "slice with the ring taken out",
}
"""Names of the values, and which slices each is about."""

SHARE = (
    "share of the slices that the classifier calls enhancing tumour because of the ring, of those"
)
NOT_SEEN = "the classifier's images are not made of the fused volume"


def values(
    material: folds.Material, trained: Sequence[Trained], table: pd.DataFrame
) -> list[Value]:
    """Return how often a ring turns a slice of held-out patients to enhancing tumour.

    ``table`` is that of ``folds.classify_slices``. Asked are slices whose class is another one in
    truth and, without the ring, for the classifier too; the planted ring is the positive control.
    NaN with a note where no slice can be asked.
    """
    study = material.study
    if study.classifier.image not in ("probabilities", "flair_masked"):
        return [_none(name, NOT_SEEN) for name in RULES]
    held_out = [
        (split.fold, patient, made.checkpoint)
        for split, made in zip(material.splits, trained, strict=True)
        for patient in split.test
    ]
    counts = []
    for fold, patient, weights in progress.steps(held_out, "slices with rings"):
        rows = table[(table["fold"] == fold) & (table["patient_id"] == patient)].sort_values("z")
        counts.append(_counts(material, fold, weights, rows))
    by_ring = np.swapaxes(counts, 0, 1)
    return [_share(name, pairs, study) for name, pairs in zip(RULES, by_ring, strict=True)]


def sentence(values: Sequence[Value]) -> str:
    """Say what rings do to the classifier."""
    planted, own = (of(values, name) for name in RULES)
    if math.isnan(planted.value):
        return f"Rings were not asked about: {planted.note}."
    text = f"A planted ring turns {spoken(planted)} of its slices to enhancing tumour; "
    if math.isnan(own.value):
        return f"{text}fusion itself makes none in slices that could turn."
    return f"{text}the rings that fusion makes by itself turn {spoken(own)}."


def _counts(
    material: folds.Material, fold: int, weights: Path, rows: pd.DataFrame
) -> list[tuple[int, int]]:
    """Return for either ring the slices that turned and those that were asked, of a patient."""
    plan, case = material.study.fusion, material.store.get(str(rows["patient_id"].iloc[0]))
    p2d, p3d = (
        folds.volume(material, branch, fold, case.grid.patient_id) for branch in plan.branches
    )
    fused = average.weighted_average(p2d, p3d, plan.alpha)
    shell = rings.between(p2d, p3d) & (case.labels != rings.ENHANCING)
    ring = shell & rings.made_by_fusion(fused, p2d, p3d)
    truth, own = rows["truth"].to_numpy(), rows["predicted"].to_numpy()
    ringed = rings.repainted(fused, shell, enhancing=True)
    plain = rings.repainted(fused, ring, enhancing=False)
    planted = _classes(material.study, weights, case, ringed, shell, own)
    without = _classes(material.study, weights, case, plain, ring, own)
    counts = []
    for mask, before, after in ((shell, own, planted), (ring, without, own)):
        asked = mask.any(axis=(0, 1)) & (truth != rings.ENHANCING) & (before != rings.ENHANCING)
        counts.append((int((after[asked] == rings.ENHANCING).sum()), int(asked.sum())))
    return counts


def _classes(
    study: settings.Study,
    weights: Path,
    case: StoredCase,
    volume: Volume,
    changed: rings.Mask,
    classes: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Return the classes of all slices (Z,), asked anew only where ``changed`` has voxels."""
    places = np.flatnonzero(changed.any(axis=(0, 1)))
    if places.size:
        images = slices.fused_slices(volume, case.labels, study.classifier, case.images)
        chosen = slices.subset(images, places)
        classes = classes.copy()
        classes[places] = predict.classify(weights, chosen, study.device).argmax(axis=1)
    return classes


def _share(name: str, counts: NDArray[np.int64], study: settings.Study) -> Value:
    """Return the share of turned slices, of counts (patients, 2), intervals over patients."""
    counts = counts[counts[:, 1] > 0]
    if not len(counts):
        return _none(name, "no slice has such a ring and could turn")

    def share(stack: FloatArray) -> dict[str, FloatArray]:
        return {"share": stack[:, 0, 0] / stack[:, 0, 1]}

    interval = pooled(counts, study, "rings", name, scores=share)["share"]
    turned, asked = counts.sum(axis=0)
    return value(name, interval, f"{SHARE} {RULES[name]}; {turned} of {asked}")


def _none(name: str, note: str) -> Value:
    return Value(name, math.nan, rule=f"{SHARE} {RULES[name]}", note=note)
