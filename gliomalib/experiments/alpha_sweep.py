"""Where the weight α is best: of Dice exactly, and of the classifier's accuracy at eleven values.

Dice is a step function of α that ``optimum`` knows for each patient. Patients are the unit: the
folds of a patient are averaged first, and every interval comes from drawing patients with their
whole curve.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gliomalib import progress, settings
from gliomalib.experiments import values as summaries
from gliomalib.fusion import average, optimum, slices
from gliomalib.networks import predict
from gliomalib.pipeline import folds
from gliomalib.schema import Confusion, RecordError, SliceSet, Split, Value
from gliomalib.scoring import bootstrap, comparisons, metrics
from gliomalib.scoring import tables as evaluate
from gliomalib.scoring.comparisons import MARGIN

Floats = NDArray[np.float64]

PUBLISHED = summaries.PUBLISHED_ALPHA

LEVELS = tuple(round(0.1 * step, 1) for step in range(11))
"""The α at which slices are classified."""

WAYS = {"resnet50": "ResNet50", "area_rule": "area rule, no network"}
"""How a fused slice gets its class: by the study's network, or by its areas alone."""

SCORES = ("accuracy", "balanced_accuracy")

SLICES_AT_ONCE = 256
"""More than in training, where it is a setting: a quarter quicker on a CPU."""


@dataclass(frozen=True)
class Sweep:
    """Dice at every α: region → patient → curve; ``mean`` is of a patient's NCR, ED and ET."""

    curves: Mapping[str, Mapping[str, optimum.Curve]]

    def known(self, region: str) -> dict[str, optimum.Curve]:
        """Return the curves of the patients who have a score of that region at every α."""
        found = self.curves[region]
        return {name: one for name, one in found.items() if not np.isnan(one.values).any()}


@dataclass(frozen=True)
class Optimum:
    """The best α of a region's mean Dice, with intervals over patients.

    ``lost`` is the best mean Dice less that at 0.6, ``flat`` the width of all α whose mean Dice
    lies within ``MARGIN`` of the best, ``equal`` the test whether each patient's loss at 0.6 is
    within that margin in the mean. ``left_out`` patients have no score at some α.
    """

    alpha: bootstrap.Interval
    dice: float
    lost: bootstrap.Interval
    flat: bootstrap.Interval
    equal: comparisons.Equivalence
    left_out: int


def alphas(study: settings.Study) -> NDArray[np.float64]:
    """Return the values of α that the sweep looks at, 0 and 1 and the study's own included."""
    steps = round(1 / study.fusion.sweep_step)
    grid = np.linspace(0, 1, steps + 1)
    return np.unique(np.round(np.append(grid, study.fusion.alpha), 6))


def on_grid(
    cases: Iterable[evaluate.CaseVolumes], grid: NDArray[np.float64]
) -> tuple[list[str], Confusion]:
    """Return the patients and their exact confusions at every α, shape (patients, α, 4, 4)."""
    patients: list[str] = []
    matrices = [np.empty((0, len(grid), 4, 4), dtype=np.int64)]
    for case, flat, deep in cases:
        patients.append(case.grid.patient_id)
        matrices.append(average.alpha_sweep(flat, deep, case.labels, grid.tolist())[None])
    return patients, np.concatenate(matrices)


def dice_curves(
    patients: Sequence[str], confusions: Confusion, empty: metrics.EmptyRule
) -> dict[str, NDArray[np.float64]]:
    """Return Dice by region, shape (distinct patients, α); several folds are averaged first."""
    names = np.array(patients)
    curves: dict[str, NDArray[np.float64]] = {}
    for region, classes in evaluate.REGIONS.items():
        rows = [[metrics.dice(matrix, classes, empty) for matrix in one] for one in confusions]
        dice = np.array(rows)
        curves[region] = np.stack(
            [dice[names == name].mean(axis=0) for name in sorted(set(patients))]
        )
    of_classes = [curves[region] for region in evaluate.CLASSES]
    return {"mean": np.nanmean(of_classes, axis=0), **curves}


def curve_table(
    curves: Mapping[str, NDArray[np.float64]], grid: NDArray[np.float64], study: settings.Study
) -> pd.DataFrame:
    """Return mean Dice at every α with its 95 % band: region, alpha, dice, low, high."""
    tables = []
    for region, curve in curves.items():
        known = curve[~np.isnan(curve).any(axis=1)]
        seed = settings.named_seed(study.seed, "band", region)
        low, high = bootstrap.mean_band(known, seed, study.evaluation.bootstrap)
        columns = {"alpha": grid, "dice": known.mean(axis=0), "low": low, "high": high}
        tables.append(pd.DataFrame({"region": region, **columns}))
    return pd.concat(tables, ignore_index=True)


def exact(material: folds.Material, part: str) -> Sweep:
    """Return Dice of every patient of a part as an exact function of α."""
    parts: dict[str, dict[str, list[optimum.Curve]]] = {name: {} for name in evaluate.REGIONS}
    for case, flat, deep in folds.branch_volumes(material, part):
        steps = optimum.steps_of(flat, deep, case.labels)
        for region, classes in evaluate.REGIONS.items():
            curve = optimum.dice_at(steps, classes, material.study.evaluation.empty)
            parts[region].setdefault(case.grid.patient_id, []).append(curve)
    curves = {
        region: {name: _mean(found[name]) for name in sorted(found)}
        for region, found in parts.items()
    }
    of_classes = {
        name: _mean([curves[region][name] for region in evaluate.CLASSES]) for name in curves["WT"]
    }
    return Sweep({"mean": of_classes, **curves})


def optima(sweep: Sweep, study: settings.Study) -> dict[str, Optimum]:
    """Return the optimum of each region that some patient has.

    Raises ``RecordError`` where nobody has a mean Dice.
    """
    if not sweep.known("mean"):
        raise RecordError("no patient has a mean Dice at every α; look at evaluation.empty")
    return {
        region: _optimum(sweep, region, study) for region in sweep.curves if sweep.known(region)
    }


def optima_table(found: Mapping[str, Optimum]) -> pd.DataFrame:
    """Return optima as a table: region, best α, Dice there, loss at 0.6, flat width, verdict."""
    rows = []
    for region, one in found.items():
        rows.append(
            {"region": region, "patients": one.alpha.n, "best α": one.alpha.value,
             "low": _ends(one.alpha)[0], "high": _ends(one.alpha)[1], "Dice there": one.dice,
             f"lost at {PUBLISHED:g}": one.lost.value, "lost, high": _ends(one.lost)[1],
             f"within {MARGIN:g}": one.flat.value, f"0.6 against best, ±{MARGIN:g}":
             one.equal.verdict}
        )  # fmt: skip
    return pd.DataFrame(rows)


def patients(sweep: Sweep) -> pd.DataFrame:
    """Return each patient's own optimum of the mean Dice.

    Columns: patient_id, best α, Dice there, Dice at 0.6, lost, width (of all best α), within 0.01
    (width of all α so near to the best), 0.6 is best.
    """
    rows = []
    for name, curve in sweep.known("mean").items():
        best, here = optimum.best_of(curve), float(curve.at(PUBLISHED))
        rows.append(
            {"patient_id": name, "best α": best.alpha, "Dice there": best.value,
             "Dice at 0.6": here, "lost": max(best.value - here, 0.0), "width": best.width,
             "within 0.01": _width(curve, MARGIN), "0.6 is best":
             here >= best.value - optimum.TIE}
        )  # fmt: skip
    return pd.DataFrame(rows)


def spans(sweep: Sweep) -> pd.DataFrame:
    """Return the intervals of α that are best for each patient, and those nearly as good.

    Columns: patient_id, within (0 or ``MARGIN`` of the patient's best mean Dice), start, end.
    """
    rows = [
        {"patient_id": name, "within": within, "start": start, "end": end}
        for name, curve in sweep.known("mean").items()
        for within in (MARGIN, 0.0)
        for start, end in _near(curve, within)
    ]
    return pd.DataFrame(rows)


def values(
    found: Mapping[str, Optimum], sweep: Sweep, held_back: Sweep, study: settings.Study
) -> list[Value]:
    """Return best α, what 0.6 costs, and what an α costs that was chosen on other patients.

    ``held_back`` are the validation patients; without any there is no value ``chosen_alpha``.
    """
    mean, curves = found["mean"], list(sweep.known("mean").values())
    values = [_best_alpha(region, one) for region, one in found.items()]
    values.append(_on_grid(curves, study))
    again = "never negative; the best is chosen anew in each resample"
    rule = f"best mean Dice less that at α = {PUBLISHED:g}, {again}"
    values.append(_value("lost_at_published_alpha", mean.lost, rule))
    values.append(_equal(mean.equal))
    rule = f"width of all α whose mean Dice lies within {MARGIN:g} of the best"
    values.append(_value("flat_width", mean.flat, rule))
    own = patients(sweep)["0.6 is best"]
    share = bootstrap.wilson(int(own.sum()), len(own))
    rule = f"share of patients whose own best α include {PUBLISHED:g}, exactly; Wilson interval"
    values.append(_value("patients_with_published_best", share, rule))
    chosen = list(held_back.known("mean").values())
    if chosen:
        alpha = optimum.best_of(optimum.mean_curve(chosen)).alpha
        rule = f"α with the best mean Dice of {len(chosen)} validation patients"
        values.append(Value("chosen_alpha", alpha, n_patients=len(curves), rule=rule))
        lost = _intervals(curves, alpha, study, "chosen")["lost"]
        rule = f"best mean Dice of these patients less that at α = {alpha:.3f}, {again}"
        values.append(_value("lost_at_chosen_alpha", lost, rule))
    return values


def classified(material: folds.Material) -> pd.DataFrame:
    """Return the class of every held-out slice, fused at each of ``LEVELS``, in both ``WAYS``.

    Columns: way, alpha, patient_id, z, truth, predicted. The ResNet50 is the study's of that fold,
    trained on slices fused with the study's α; equal images are classified once.
    """
    tables = [
        _rows(found, way, alpha, predicted)
        for split in material.splits
        for alpha, found, ways in _fused(material, split)
        for way, predicted in ways.items()
    ]
    return pd.concat(tables, ignore_index=True)


def levels(table: pd.DataFrame, study: settings.Study) -> pd.DataFrame:
    """Return the scores of the slices at each α: way, score, alpha, value, low, high.

    Slices are pooled, intervals come from drawing patients; ``table`` is ``classified``'s.
    """
    rows = []
    for (way, alpha), part in table.groupby(["way", "alpha"], sort=False):
        counts = evaluate.patient_confusions(part.assign(part="test"), "test")
        seed = _seed(study, "levels", str(way))  # the same patients are drawn at every α
        found = bootstrap.confusion_intervals(counts, _scores, seed, study.evaluation.bootstrap)
        for score, one in found.items():
            low, high = _ends(one)
            rows.append(
                {"way": way, "score": score, "alpha": alpha, "value": one.value, "low": low,
                 "high": high}
            )  # fmt: skip
    return pd.DataFrame(rows)


def level_values(table: pd.DataFrame, study: settings.Study) -> list[Value]:
    """Return the best of ``LEVELS`` for the accuracy on slices and what 0.6 loses, in both ways."""
    values = []
    grid = np.array(LEVELS)
    trained = f", trained on slices fused at α = {study.fusion.alpha:g}"
    for way, suffix in (("resnet50", "accuracy"), ("area_rule", "area_rule")):
        rows = _accuracies(table[table["way"] == way])
        seed, draws = _seed(study, "level", way), study.evaluation.bootstrap
        who = f"{WAYS[way]}{trained if way == 'resnet50' else ''}"
        best = bootstrap.argmax_interval(rows, grid, seed, draws)
        rule = f"α of {len(grid)} with the best accuracy on slices ({who}), middle of a plateau"
        values.append(_value(f"best_alpha_{suffix}", best, rule))
        lost = _lost(rows, int(np.searchsorted(grid, PUBLISHED)), seed, draws)
        rule = f"best accuracy of {len(grid)} α less that at {PUBLISHED:g} ({who}), never negative"
        values.append(_value(f"lost_at_published_alpha_{suffix}", lost, rule))
    return values


def _mean(curves: Sequence[optimum.Curve]) -> optimum.Curve:
    return optimum.mean_curve(curves, "exclude")


def _optimum(sweep: Sweep, region: str, study: settings.Study) -> Optimum:
    curves = list(sweep.known(region).values())
    found = _intervals(curves, PUBLISHED, study, region)
    mean = optimum.mean_curve(curves)
    best = optimum.best_of(mean)
    losses = [float(curve.at(best.alpha) - curve.at(PUBLISHED)) for curve in curves]
    seed, draws = _seed(study, "equal", region), study.evaluation.bootstrap
    return Optimum(
        alpha=found["alpha"], dice=best.value, lost=found["lost"],
        flat=_flat(curves, mean, study, region),
        equal=comparisons.equivalence(losses, seed, MARGIN, draws),
        left_out=len(sweep.curves[region]) - len(curves),
    )  # fmt: skip


def _intervals(
    curves: Sequence[optimum.Curve], alpha: float, study: settings.Study, name: str
) -> dict[str, bootstrap.Interval]:
    seed = _seed(study, "optimum", name)
    return optimum.optimum_intervals(curves, alpha, seed, study.evaluation.bootstrap)


def _flat(
    curves: Sequence[optimum.Curve], mean: optimum.Curve, study: settings.Study, name: str
) -> bootstrap.Interval:
    """Return the exact width, its interval from the middles of equal parts of 0–1."""
    tried = (np.arange(optimum.GRID) + 0.5) / optimum.GRID
    rows = np.stack([curve.at(tried) for curve in curves])

    def width(sums: Floats) -> Floats:
        best = sums.max(axis=2, keepdims=True)
        return np.asarray((sums >= best - MARGIN * len(rows)).mean(axis=(1, 2)))

    seed, draws = _seed(study, "flat", name), study.evaluation.bootstrap
    found = bootstrap.confusion_interval(rows[:, None], width, seed, draws)
    return replace(found, value=_width(mean, MARGIN))


def _near(curve: optimum.Curve, within: float) -> list[tuple[float, float]]:
    """Return the intervals of α whose value lies ``within`` of the best one."""
    good = curve.between >= optimum.best_of(curve).value - max(within, optimum.TIE)
    edges = np.diff(np.concatenate([[0], good.astype(np.int8), [0]]))
    starts, ends = (curve.alphas[np.flatnonzero(edges == step)] for step in (1, -1))
    return list(zip(starts.tolist(), ends.tolist(), strict=True))


def _width(curve: optimum.Curve, within: float) -> float:
    return sum(end - start for start, end in _near(curve, within))


def _best_alpha(region: str, one: Optimum) -> Value:
    rule = (
        "exact α with the best mean Dice over all of 0–1, middle of the widest plateau; interval "
        f"by resampling patients; {one.left_out} patients without a score left out"
    )
    return _value("best_alpha" if region == "mean" else f"best_alpha_{region}", one.alpha, rule)


def _equal(found: comparisons.Equivalence) -> Value:
    told = "no test for a single patient" if found.tost_p is None else f"p = {found.tost_p:.3g}"
    rule = (
        f"1 if two one-sided tests put the mean loss at α = {PUBLISHED:g} within ±{found.margin:g} "
        f"Dice of the best α of these patients, taken as known, else 0: {found.verdict}, {told}"
    )
    number = float(found.verdict == "equivalent")
    return Value("published_alpha_equivalent", number, n_patients=found.n, rule=rule)


def _on_grid(curves: Sequence[optimum.Curve], study: settings.Study) -> Value:
    grid = alphas(study)
    rows = np.stack([curve.at(grid) for curve in curves])
    found = bootstrap.argmax_interval(rows, grid, _seed(study, "grid"), study.evaluation.bootstrap)
    rule = f"the same on a grid of steps of {study.fusion.sweep_step:g}"
    return _value("best_alpha_grid", found, rule)


def _fused(
    material: folds.Material, split: Split
) -> Iterator[tuple[float, SliceSet, dict[str, NDArray[np.int64]]]]:
    """Yield for each α the held-out slices of a fold and their classes in both ways."""
    plan = material.study.classifier
    checkpoint = folds.checkpoint(material, "resnet50", split.fold)
    before: SliceSet | None = None
    by_network = np.empty(0, dtype=np.int64)
    for alpha in progress.steps(LEVELS, f"resnet50, fold {split.fold}: levels of α"):
        sets, by_area = [], []
        for patient in split.test:
            case = material.store.get(patient)
            flat, deep = (
                folds.volume(material, name, split.fold, patient) for name in folds.BRANCHES
            )
            fused = average.weighted_average(flat, deep, alpha)
            sets.append(slices.fused_slices(fused, case.labels, plan, case.images))
            labels = evaluate.predicted_labels(fused)
            by_area.append(slices.slice_classes(labels, plan.label_rule))
        found = slices.concatenate(sets)
        if before is None or not np.array_equal(before.images, found.images):
            probabilities = predict.classify(
                checkpoint, found, material.study.device, SLICES_AT_ONCE
            )
            by_network = probabilities.argmax(axis=1)
        before = found
        yield alpha, found, {"resnet50": by_network, "area_rule": np.concatenate(by_area)}


def _rows(found: SliceSet, way: str, alpha: float, predicted: NDArray[np.int64]) -> pd.DataFrame:
    return pd.DataFrame(
        {"way": way, "alpha": alpha, "patient_id": found.patients, "z": found.z,
         "truth": found.classes, "predicted": predicted}
    )  # fmt: skip


def _scores(stack: Floats) -> dict[str, Floats]:
    found = metrics.stacked_scores(stack.astype(np.int64), "macro", "exclude")
    return {name: found[name] for name in SCORES}


def _accuracies(table: pd.DataFrame) -> Floats:
    """Return the share of right slices of each patient at each α, shape (patients, α)."""
    right = table.assign(right=(table["truth"] == table["predicted"]).astype(float))
    wide = right.pivot_table(index="patient_id", columns="alpha", values="right")
    return np.asarray(wide[list(LEVELS)].to_numpy(dtype=np.float64))


def _lost(rows: Floats, given: int, seed: int, draws: int) -> bootstrap.Interval:
    def lost(sums: Floats) -> Floats:
        return np.asarray((sums[:, 0].max(axis=1) - sums[:, 0, given]) / len(rows))

    return bootstrap.confusion_interval(rows[:, None], lost, seed, draws)


def _ends(interval: bootstrap.Interval) -> tuple[float, float]:
    return interval.ci95 or (math.nan, math.nan)


def _value(name: str, found: bootstrap.Interval, rule: str) -> Value:
    return Value(name, found.value, found.ci95, found.n, rule=rule)


def _seed(study: settings.Study, *names: str) -> int:
    return settings.named_seed(study.seed, "sweeps", *names)
