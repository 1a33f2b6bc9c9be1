"""The classes of slices fused at six α, by a network and by their areas alone: notebook 08."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from gliomalib import progress, settings
from gliomalib.digits import spoken
from gliomalib.experiments import gates
from gliomalib.experiments.values import ends, of, pooled, value
from gliomalib.fusion import average, slices
from gliomalib.networks import predict
from gliomalib.pipeline import folds
from gliomalib.schema import Split, Value
from gliomalib.scoring import bootstrap, tables
from gliomalib.settings import PAPER_ALPHA

LEVELS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
"""The α at which slices are classified."""

WAYS: Mapping[str, str] = {"resnet50": "accuracy", "area_rule": "area_rule"}
"""How a fused slice gets its class, by the study's network or its areas → end of values' names."""

SLICES_AT_ONCE = 256
"""More than in training, where it is a setting: a quarter quicker on a CPU."""


def classified(material: folds.Material) -> pd.DataFrame:
    """Return the class of every held-out slice, fused at each of ``LEVELS``, in both ``WAYS``.

    Columns: way, alpha, patient_id, z, truth, predicted. The ResNet50 is the study's of that fold,
    trained on slices fused with the study's α; equal images are classified once.
    """
    tables_of_folds = [_classified(material, split) for split in material.splits]
    return pd.concat(tables_of_folds, ignore_index=True)


def scores(table: pd.DataFrame, study: settings.Study) -> pd.DataFrame:
    """Return the accuracy of the slices at each α: way, alpha, value, low, high.

    Slices are pooled, intervals come from drawing patients; ``table`` is that of ``classified``.
    """
    rows = []
    for (way, alpha), part in table.groupby(["way", "alpha"], sort=False):
        counts = tables.patient_confusions(part.assign(part="test"), "test")
        # α is not in the seed's name: the same patients are drawn at every α
        accuracy = pooled(counts, study, "sweeps", "levels", str(way))["accuracy"]
        rows.append((way, alpha, accuracy.value, *ends(accuracy)))
    return pd.DataFrame(rows, columns=["way", "alpha", "value", "low", "high"])


def values(table: pd.DataFrame, study: settings.Study, gate: Value) -> list[Value]:
    """Return the best of ``LEVELS`` for the accuracy on slices, and what the paper's α loses.

    Both for both ``WAYS``; ``table`` is that of ``classified``. Those of ResNet50 say in their note
    where they are not judged.
    """
    found, draws = [], study.evaluation.bootstrap
    right = table.assign(right=(table["truth"] == table["predicted"]).astype(float))
    trained = f"ResNet50, trained on slices fused at α = {study.fusion.alpha:g}"
    for way, suffix in WAYS.items():
        of_way = right[right["way"] == way]
        wide = of_way.pivot_table(index="patient_id", columns="alpha", values="right")
        # the share of right slices of each patient at each α, shape (patients, α)
        rows = wide[list(LEVELS)].to_numpy(dtype=np.float64)
        who = trained if way == "resnet50" else "area rule, no network"
        root = settings.named_seed(study.seed, "sweeps", "level", way)
        intervals = bootstrap.argmax_intervals(rows, LEVELS, PAPER_ALPHA, root, draws)
        best = f"α of {len(LEVELS)} with the best accuracy on slices ({who}), middle of a plateau"
        lost = f"best accuracy of {len(LEVELS)} α minus that at {PAPER_ALPHA:g} ({who}), "
        rules = {"best_alpha": best, "lost_at_published_alpha": f"{lost}never negative"}
        note = gates.closed(gate) if way == "resnet50" else ""
        for (name, rule), interval in zip(rules.items(), intervals.values(), strict=True):
            found.append(value(f"{name}_{suffix}", interval, rule, n_seeds=1, note=note))
    return found


def sentence(values: Sequence[Value]) -> str:
    """Say at which α slices are classified best, and what the paper's α loses."""
    parts = []
    for suffix, who in (("accuracy", "the ResNet50"), ("area_rule", "their areas alone")):
        best = of(values, f"best_alpha_{suffix}")
        lost = of(values, f"lost_at_published_alpha_{suffix}")
        where = f"best at α = {spoken(best, places=1)}, where {PAPER_ALPHA:g} loses {spoken(lost)}"
        if lost.value == 0 and lost.ci95 in (None, (0.0, 0.0)):
            patients = f"({lost.n_patients} patients)"
            where = f"no better at any other α than at {PAPER_ALPHA:g} {patients}"
        parts.append(f"by {who} {best.note or f'it is {where}'}")
    return f"Accuracy on slices: {'; '.join(parts)}."


def _classified(material: folds.Material, split: Split) -> pd.DataFrame:
    plan, rows = material.study.classifier, []
    fold = split.fold
    weights = folds.checkpoint(material, "resnet50", fold)
    classifier = predict.load_classifier(weights, material.study.device)
    images, by_network = np.empty((0,), np.float16), np.empty((0,), np.int64)
    for alpha in progress.steps(LEVELS, f"resnet50, fold {fold}: levels of α"):
        sets, by_area = [], []
        for patient in split.test:
            case = material.store.get(patient)
            fused = average.weighted_average(*folds.pair(material, fold, patient), alpha)
            sets.append(slices.fused_slices(fused, case.labels, plan, case.images))
            by_area.append(slices.slice_classes(tables.predicted_labels(fused), plan.label_rule))
        held_out = slices.concatenate(sets)
        # images of the scan or of the truth are the same at every α, and so are their classes
        if not np.array_equal(images, held_out.images):
            images = held_out.images
            probabilities = predict.classify(classifier, held_out, batch=SLICES_AT_ONCE)
            by_network = probabilities.argmax(axis=1)
        about = {"alpha": alpha, "patient_id": held_out.patients, "z": held_out.z}
        about["truth"] = held_out.classes
        for way, predicted in (("resnet50", by_network), ("area_rule", np.concatenate(by_area))):
            rows.append(pd.DataFrame({"way": way, **about, "predicted": predicted}))
    return pd.concat(rows)
