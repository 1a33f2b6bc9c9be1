"""Does the classifier take a ring of false enhancing tumour for enhancing tumour? Notebook 06."""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gliomalib import progress, settings
from gliomalib.digits import spoken
from gliomalib.experiments.values import of, pooled_share, value
from gliomalib.fusion import average, slices
from gliomalib.networks import predict
from gliomalib.networks.training import Trained
from gliomalib.pipeline import folds
from gliomalib.schema import Value
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


def values(
    material: folds.Material, trained: Sequence[Trained], table: pd.DataFrame
) -> list[Value]:
    """Return how often a ring turns a slice of held-out patients to enhancing tumour.

    ``table`` is that of ``folds.classify_slices``. Asked are slices whose class is another one in
    truth and, without the ring, for the classifier too; the planted ring is the positive control.
    NaN with a note where no slice can be asked, and in variants, of whom nobody asks.
    """
    study = material.study
    if material.run.variant:
        return [_none(name, "they are those of the study's own classifier") for name in RULES]
    if study.classifier.image not in ("probabilities", "flair_masked"):
        return [
            _none(name, "the classifier's images are not made of the fused volume")
            for name in RULES
        ]
    held_out, counts = table[table["part"] == "test"], []
    for split, made in zip(material.splits, trained, strict=True):
        # once a fold: to read a network takes longer than to ask it about a patient
        classifier = predict.load_classifier(made.checkpoint, study.device)
        patients = held_out[held_out["fold"] == split.fold].groupby("patient_id", sort=False)
        steps = progress.steps(list(patients), f"fold {split.fold}: slices with rings")
        counts += [_counts(material, classifier, rows.sort_values("z")) for _, rows in steps]
    return [
        _share(name, pairs, study)
        for name, pairs in zip(RULES, np.swapaxes(counts, 0, 1), strict=True)
    ]


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
    material: folds.Material, classifier: predict.SliceClassifier, rows: pd.DataFrame
) -> list[tuple[int, int]]:
    """Return for either ring the slices that turned and those that were asked, of a patient."""
    study, fold, patient = material.study, int(rows["fold"].iloc[0]), rows["patient_id"].iloc[0]
    case = material.store.get(patient)
    p2d, p3d = folds.pair(material, fold, patient, study.fusion.branches)
    fused = average.weighted_average(p2d, p3d, study.fusion.alpha)
    shell = rings.between(p2d, p3d) & (case.labels != rings.ENHANCING)
    ring = shell & rings.made_by_fusion(fused, p2d, p3d)
    truth, own = rows["truth"].to_numpy(), rows["predicted"].to_numpy()

    def repainted(mask: rings.Mask, *, enhancing: bool) -> NDArray[np.int64]:
        """Return the classes of all slices once a ring is painted."""
        # the slices without the ring are as they were
        classes, places = own.copy(), np.flatnonzero(mask.any(axis=(0, 1)))
        if places.size:
            volume = rings.repainted(fused, mask, enhancing=enhancing)
            images = slices.fused_slices(volume, case.labels, study.classifier, case.images)
            chosen = slices.subset(images, places)
            classes[places] = predict.classify(classifier, chosen).argmax(axis=1)
        return classes

    with_shell, without = repainted(shell, enhancing=True), repainted(ring, enhancing=False)
    counts = []
    for mask, before, after in ((shell, own, with_shell), (ring, without, own)):
        asked = mask.any(axis=(0, 1)) & (truth != rings.ENHANCING) & (before != rings.ENHANCING)
        counts.append((int((after[asked] == rings.ENHANCING).sum()), int(asked.sum())))
    return counts


def _share(name: str, counts: NDArray[np.int64], study: settings.Study) -> Value:
    """Return the share of turned slices, of counts (patients, 2), intervals over patients."""
    turned, asked = counts.sum(axis=0)
    if not asked:
        return _none(name, "no slice has such a ring and could turn")
    rule = f"{SHARE} {RULES[name]}; {turned} of {asked}"
    return value(name, pooled_share(counts, study, "rings", name), rule, n_seeds=1)


def _none(name: str, note: str) -> Value:
    return Value(name, math.nan, rule=f"{SHARE} {RULES[name]}", note=note)
