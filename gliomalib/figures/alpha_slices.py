"""One slice of three patients, fused at every α, for the page on which a reader drags α.

The page repeats the fusion of the pixels whose class depends on α, from their probabilities as
they are stored, to the bit; of every other pixel it gets the class. What the library says at each
α stands beside them, to compare with.
"""

from base64 import b64encode
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from gliomalib.experiments import alpha_curves, alpha_sweep
from gliomalib.experiments.alpha_levels import LEVELS
from gliomalib.figures import gallery, picture
from gliomalib.fusion import average, optimum, slices
from gliomalib.pipeline import folds
from gliomalib.schema import N_CLASSES, FloatArray, StoredCase, Volume
from gliomalib.scoring import metrics, tables


def table(material: folds.Material, sweep: alpha_curves.Sweep) -> pd.DataFrame:
    """Return a row for each of the patients who are ``chosen``: the slice with most tumour.

    Columns: patient_id, rank, dice (of the whole tumour), own (mean Dice at each α of the sweep),
    and those of ``sliced``. Networks are those of the study's own seed.
    """
    own, plan, rows = sweep.by_seed[0], material.study, []
    whole, mean = own["WT"], own["mean"]
    for patient, rank in chosen(whole, plan.fusion.alpha).items():
        fold = next(split.fold for split in material.splits if patient in split.test)
        pair, case = folds.pair(material, fold, patient), material.store.get(patient)
        alphas = alpha_sweep.alphas(plan)
        dice, curve = whole[patient].at(plan.fusion.alpha), mean[patient].at(alphas)
        about = {"patient_id": patient, "rank": rank, "dice": dice, "own": _joined(curve.round(6))}
        rows.append({**about, **sliced(case, pair, alphas, plan.classifier.label_rule)})
    return pd.DataFrame(rows)


def chosen(curves: Mapping[str, optimum.Curve], alpha: float) -> dict[str, str]:
    """Return the worst, the middle and the best patient by their Dice at ``alpha``, with the rank.

    As notebook 05 chooses; who has no Dice is not ranked, and of two patients none is the middle.
    """
    dice = {name: float(curve.at(alpha)) for name, curve in curves.items()}
    ranked = sorted((name for name in dice if not np.isnan(dice[name])), key=dice.__getitem__)
    places = {"worst": 0, "middle": len(ranked) // 2, "best": -1} if ranked else {}
    return {ranked[place]: rank for rank, place in places.items()}


def sliced(
    case: StoredCase, pair: tuple[Volume, Volume], alphas: FloatArray, rule: str
) -> dict[str, Any]:
    """Return the slice with most tumour, fused at each α: what a page shows, and what is right.

    ``z``, ``width``, ``height``, ``aspect``, ``flair``, and ``pictures`` of the truth and of the
    fused classes at ``levels``. ``truth`` and ``fixed`` have a digit a pixel, row by row, a dot
    where the class depends on α; ``p2d`` and ``p3d`` are the probabilities of these, float16 (n, 4)
    in base64. At each α, ``classes`` is the class of the slice by ``rule``, ``voxels`` of 1 to 3
    are in what the rule looks at, ``counts`` are the 4×4 of the slice. Errors are the average's.
    """
    z = picture.busiest_slice(case.labels)
    # what share of a class lies in a slice is known from the whole volume only
    kept, place = (slice(None), z) if rule == "largest_share" else (slice(z, z + 1), 0)
    shape = case.labels[..., kept].shape
    p2d, p3d = (Volume(v.probabilities[..., kept], replace(v.grid, shape=shape)) for v in pair)
    fused_at = (average.weighted_average(p2d, p3d, alpha) for alpha in alphas)
    labels = [tables.predicted_labels(fused) for fused in fused_at]
    truth, maps = case.labels[..., z].T, np.stack([of[..., place].T for of in labels])
    moving = (maps != maps[0]).any(axis=0)
    pixels = [v.probabilities[..., z].transpose(2, 1, 0)[moving].astype("<f2") for v in pair]
    at = [int(abs(alphas - level).argmin()) for level in LEVELS]
    across, along, _ = case.grid.spacing_mm
    return {
        **{"z": z, "width": shape[0], "height": shape[1], "rule": rule},
        **{"aspect": shape[0] * across / (shape[1] * along), "levels": _joined(alphas[at])},
        "flair": gallery.grey(case.images[slices.FLAIR, ..., z].T),
        "pictures": _joined(map(gallery.coloured, [truth, *maps[at]])),
        "truth_class": slices.slice_classes(case.labels, rule)[z],
        "truth": _joined(truth.ravel(), ""),
        "fixed": _joined(np.where(moving, ".", maps[0].astype(str)).ravel(), ""),
        **dict(zip(("p2d", "p3d"), (b64encode(part).decode() for part in pixels), strict=True)),
        "classes": _joined((slices.slice_classes(of, rule)[place] for of in labels), ""),
        "voxels": _joined((of == c).sum() for of in labels for c in range(1, N_CLASSES)),
        "counts": _joined(n for of in maps for n in metrics.confusion_matrix(truth, of).ravel()),
    }


def _joined(parts: Iterable[Any], between: str = " ") -> str:
    return between.join(map(str, parts))
