"""Where the weight α of the 2D branch is best for Dice, exactly over all of 0–1: notebook 08.

Dice is a step function of α that ``optimum`` knows for each patient. Patients are the unit: the
folds of a patient are averaged first, and every interval comes from drawing patients with their
whole curve.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from gliomalib import settings
from gliomalib.digits import spoken
from gliomalib.experiments import alpha_levels
from gliomalib.experiments.values import ends, of, pooled, value
from gliomalib.fusion import optimum
from gliomalib.pipeline import folds
from gliomalib.schema import FloatArray, RecordError, Value
from gliomalib.scoring import bootstrap, comparisons, tables
from gliomalib.scoring.comparisons import MARGIN
from gliomalib.settings import PAPER_ALPHA, named_seed

PAPER, NEAR = f"{PAPER_ALPHA:g}", f"within {MARGIN:g}"
"""How the paper's α, and all α nearly as good as the best, stand in tables and sentences."""

AGAIN = "never negative; the best is chosen anew in each resample"


@dataclass(frozen=True)
class Sweep:
    """Dice at every α: region → patient → curve; ``mean`` is of a patient's NCR, ED and ET."""

    curves: Mapping[str, Mapping[str, optimum.Curve]]

    def defined(self, region: str) -> dict[str, optimum.Curve]:
        """Return the curves of the patients who have a score of that region at every α."""
        curves = self.curves[region]
        return {name: curve for name, curve in curves.items() if not np.isnan(curve.values).any()}


@dataclass(frozen=True)
class Optimum:
    """The best α of a region's mean Dice, with intervals over patients.

    ``lost`` is the best mean Dice minus that at the paper's α, ``plateau`` the width of all α whose
    mean Dice lies within ``MARGIN`` of the best, ``equal`` the test whether each patient's loss at
    the paper's α is within that margin in the mean. ``left_out`` patients lack a score at some α.
    """

    alpha: bootstrap.Interval
    dice: float
    lost: bootstrap.Interval
    plateau: bootstrap.Interval
    equal: comparisons.Equivalence
    left_out: int


def alphas(study: settings.Study) -> FloatArray:
    """Return the values of α that curves are drawn at, 0 and 1 and the study's own included."""
    grid = np.linspace(0, 1, round(1 / study.fusion.sweep_step) + 1)
    return np.unique(np.round(np.append(grid, study.fusion.alpha), 6))


def exact(material: folds.Material, part: str) -> Sweep:
    """Return Dice of every patient of a part as an exact function of α."""
    by_fold = defaultdict(list)
    for case, p2d, p3d in folds.branch_volumes(material, part):
        steps = optimum.steps_of(p2d, p3d, case.labels)
        for region, classes in tables.REGIONS.items():
            curve = optimum.dice_at(steps, classes, material.study.evaluation.empty)
            by_fold[case.grid.patient_id, region].append(curve)
    curves: dict[str, dict[str, optimum.Curve]] = {name: {} for name in ("mean", *tables.REGIONS)}
    for (patient, region), of_folds in sorted(by_fold.items()):
        curves[region][patient] = optimum.mean_curve(of_folds, "exclude")
    for patient in curves["WT"]:
        of_classes = [curves[region][patient] for region in tables.CLASSES]
        curves["mean"][patient] = optimum.mean_curve(of_classes, "exclude")
    return Sweep(curves)


def curve_table(sweep: Sweep, study: settings.Study) -> pd.DataFrame:
    """Return mean Dice at ``alphas`` with its 95 % band, for regions that some patient has.

    Columns: region, alpha, dice, low, high, patients, left_out (they lack a score at some α).
    """
    grid, parts = alphas(study), []
    for region in sweep.curves:
        if not (curves := sweep.defined(region)):
            continue
        rows = np.stack([curve.at(grid) for curve in curves.values()])
        root = named_seed(study.seed, "band", region)
        low, high = bootstrap.mean_band(rows, root, study.evaluation.bootstrap)
        columns = {"alpha": grid, "dice": rows.mean(axis=0), "low": low, "high": high}
        counts = {"patients": len(rows), "left_out": len(sweep.curves[region]) - len(rows)}
        parts.append(pd.DataFrame({"region": region, **columns, **counts}))
    return pd.concat(parts, ignore_index=True)


def optima(sweep: Sweep, study: settings.Study) -> dict[str, Optimum]:
    """Return the optimum of each region that some patient has.

    Raises ``RecordError`` where nobody has a mean Dice.
    """
    if not sweep.defined("mean"):
        raise RecordError("no patient has a mean Dice at every α; look at evaluation.empty")
    regions = filter(sweep.defined, sweep.curves)
    return {region: _optimum(sweep, region, study) for region in regions}


def optima_table(optima: Mapping[str, Optimum]) -> pd.DataFrame:
    """Return optima as a table, one row per region.

    Columns: region, patients, best α with low and high, Dice there, what the paper's α loses with
    the upper end, width of all α within ``MARGIN`` of the best, answer of the test of equivalence.
    """
    columns = ["region", "patients", "best α", "low", "high", "Dice there", f"lost at {PAPER}"]
    columns += ["lost, high", NEAR, f"{PAPER} against best, ±{MARGIN:g}"]
    rows = []
    for region, best in optima.items():
        alpha, lost = (best.alpha.value, *ends(best.alpha)), (best.lost.value, ends(best.lost)[1])
        judged = (best.plateau.value, best.equal.verdict)
        rows.append((region, best.alpha.n, *alpha, best.dice, *lost, *judged))
    return pd.DataFrame(rows, columns=columns)


def patients(sweep: Sweep) -> pd.DataFrame:
    """Return each patient's own optimum of the mean Dice.

    Columns: patient_id, best α, Dice there, Dice at the paper's α, lost, width (of all best α),
    width of all α within ``MARGIN`` of it, whether the paper's α is best.
    """
    columns = ["patient_id", "best α", "Dice there", f"Dice at {PAPER}", "lost", "width", NEAR]
    rows = []
    for name, curve in sweep.defined("mean").items():
        best, at_paper = optimum.best_of(curve), float(curve.at(PAPER_ALPHA))
        lost, near = max(best.value - at_paper, 0.0), _width(curve, MARGIN)
        is_best = at_paper >= best.value - optimum.TIE
        rows.append((name, best.alpha, best.value, at_paper, lost, best.width, near, is_best))
    return pd.DataFrame(rows, columns=[*columns, f"{PAPER} is best"])


def spans(sweep: Sweep) -> pd.DataFrame:
    """Return the intervals of α that are best for each patient, and those nearly as good.

    Columns: patient_id, within (0 or ``MARGIN`` of the patient's best mean Dice), start, end.
    """
    rows = [
        (name, within, start, end)
        for name, curve in sweep.defined("mean").items()
        for within in (MARGIN, 0.0)
        for start, end in _near(curve, within)
    ]
    return pd.DataFrame(rows, columns=["patient_id", "within", "start", "end"])


def values(
    optima: Mapping[str, Optimum], sweep: Sweep, held_back: Sweep, study: settings.Study
) -> list[Value]:
    """Return best α, what the paper's costs, and what an α costs chosen on other patients.

    ``held_back`` are the validation patients; without any there is no value ``chosen_alpha``.
    """
    mean, curves = optima["mean"], list(sweep.defined("mean").values())
    share = bootstrap.wilson(int(patients(sweep)[f"{PAPER} is best"].sum()), len(curves))
    how = (
        "exact α with the best mean Dice over all of 0–1, middle of the widest plateau; "
        "interval by resampling patients"
    )
    lost = f"best mean Dice minus that at α = {PAPER}, {AGAIN}"
    width = f"width of all α whose mean Dice lies {NEAR} of the best"
    return [
        *(
            value(
                "best_alpha" if region == "mean" else f"best_alpha_{region}",
                best.alpha,
                f"{how}; {best.left_out} patients without a score left out",
            )
            for region, best in optima.items()
        ),
        _on_grid(curves, study),
        value("lost_at_published_alpha", mean.lost, lost),
        _equivalent(mean.equal),
        value("flat_width", mean.plateau, width),
        value("patients_with_published_best", share, f"share whose best α include {PAPER}; Wilson"),
        *_chosen(curves, list(held_back.defined("mean").values()), study),
    ]


def conclusion(values: Sequence[Value]) -> str:
    """Say where the best α lies, for Dice and for slices, and what the paper's costs."""
    best, lost = of(values, "best_alpha"), of(values, "lost_at_published_alpha")
    equal = of(values, "published_alpha_equivalent").value == 1
    text = (
        f"The best α for the mean Dice is {spoken(best, places=2)}. The published {PAPER} costs "
        f"{spoken(lost, places=4)} Dice against the best α, chosen anew in each resample, and is "
        f"{'' if equal else 'not shown to be '}equivalent to the best α of these patients by "
        f"±{MARGIN:g}. The α {NEAR} of the best have a width of "
        f"{spoken(of(values, 'flat_width'), places=2)}. {alpha_levels.sentence(values)}"
    )
    if any(value.name == "chosen_alpha" for value in values):
        return text
    return f"{text} There were no validation patients, so no α was chosen independently."


def _on_grid(curves: Sequence[optimum.Curve], study: settings.Study) -> Value:
    grid, seed = alphas(study), named_seed(study.seed, "sweeps", "grid")
    rows = np.stack([curve.at(grid) for curve in curves])
    best = bootstrap.argmax_interval(rows, grid, seed, study.evaluation.bootstrap)
    return value("best_alpha_grid", best, f"the same in steps of {study.fusion.sweep_step:g}")


def _equivalent(test: comparisons.Equivalence) -> Value:
    p = "no test for a single patient" if test.tost_p is None else f"p = {test.tost_p:.3g}"
    rule = (
        f"1 if two one-sided tests put the mean loss at α = {PAPER} within ±{test.margin:g} "
        f"Dice of the best α of these patients, taken as known, else 0: {test.verdict}, {p}"
    )
    is_equal = float(test.verdict == "equivalent")
    return Value("published_alpha_equivalent", is_equal, n_patients=test.n, rule=rule)


def _optimum(sweep: Sweep, region: str, study: settings.Study) -> Optimum:
    curves = list(sweep.defined(region).values())
    intervals = _intervals(curves, PAPER_ALPHA, study, region)
    best = optimum.best_of(optimum.mean_curve(curves))
    losses = [float(curve.at(best.alpha) - curve.at(PAPER_ALPHA)) for curve in curves]
    root, draws = named_seed(study.seed, "sweeps", "equal", region), study.evaluation.bootstrap
    return Optimum(
        alpha=intervals["alpha"],
        dice=best.value,
        lost=intervals["lost"],
        plateau=_plateau(curves, study, region),
        equal=comparisons.equivalence(losses, root, MARGIN, draws),
        left_out=len(sweep.curves[region]) - len(curves),
    )


def _intervals(
    curves: Sequence[optimum.Curve], alpha: float, study: settings.Study, name: str
) -> dict[str, bootstrap.Interval]:
    root = named_seed(study.seed, "sweeps", "optimum", name)
    return optimum.optimum_intervals(curves, alpha, root, study.evaluation.bootstrap)


def _plateau(
    curves: Sequence[optimum.Curve], study: settings.Study, name: str
) -> bootstrap.Interval:
    """Return the exact width, its interval from the middles of equal parts of 0–1."""
    tried = (np.arange(optimum.GRID) + 0.5) / optimum.GRID
    rows = np.stack([curve.at(tried) for curve in curves])

    def width(sums: FloatArray) -> dict[str, FloatArray]:
        # sums are over patients, so a margin of the mean is as many times larger
        least = sums.max(axis=(1, 2), keepdims=True) - MARGIN * len(rows)
        return {"width": (sums >= least).mean(axis=(1, 2))}

    drawn = pooled(rows, study, "sweeps", "flat", name, scores=width)["width"]
    return replace(drawn, value=_width(optimum.mean_curve(curves), MARGIN))


def _near(curve: optimum.Curve, within: float) -> list[tuple[float, float]]:
    """Return the intervals of α whose value lies ``within`` of the best one.

    Neighbouring steps that are both good are one interval::

        good    1 1 0 0 1
        edges  +1 0 -1 0 +1 -1      a start where it goes up, an end where it goes down
    """
    good = curve.between >= optimum.best_of(curve).value - max(within, optimum.TIE)
    edges = np.diff(np.concatenate([[0], good.astype(np.int8), [0]]))
    starts, stops = (curve.alphas[np.flatnonzero(edges == step)] for step in (1, -1))
    return list(zip(starts.tolist(), stops.tolist(), strict=True))


def _width(curve: optimum.Curve, within: float) -> float:
    return sum(end - start for start, end in _near(curve, within))


def _chosen(
    curves: Sequence[optimum.Curve], held_back: Sequence[optimum.Curve], study: settings.Study
) -> list[Value]:
    """Return the best α of the patients ``held_back`` and what it costs these ``curves``."""
    if not held_back:
        return []
    alpha = optimum.best_of(optimum.mean_curve(held_back)).alpha
    lost = _intervals(curves, alpha, study, "chosen")["lost"]
    picked = f"α with the best mean Dice of {len(held_back)} validation patients"
    rule = f"best mean Dice of these patients minus that at α = {alpha:.3f}, {AGAIN}"
    return [
        Value("chosen_alpha", alpha, n_patients=len(curves), rule=picked),
        value("lost_at_chosen_alpha", lost, rule),
    ]
