"""Where the weight α of the 2D branch is best for Dice, exactly over all of 0–1: notebook 08.

Dice is a step function of α that ``exact_sweep`` knows for each patient. Patients are the unit: the
folds and the trainings of a patient are averaged first, and every interval comes from drawing
patients with their whole curve. It is then widened by how far the trainings differ
(``training_noise.widened``): simulated with three trainings of 60 patients, whose best α differ by
0.05 or 0.1 between trainings, it held the true best α in 97 % of studies, without that in
69 to 88 %, and by drawing trainings as well as patients in 88 to 92 %.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from gliomalib.digits import counted, spoken
from gliomalib.experiments import alpha_levels
from gliomalib.experiments.alpha_curves import Sweep, defined
from gliomalib.experiments.values import ONE_TRAINING, ends, of, pooled, value
from gliomalib.fusion import optimum
from gliomalib.schema import FloatArray, RecordError, Value
from gliomalib.scoring import bootstrap, training_noise
from gliomalib.scoring.training_noise import MARGIN
from gliomalib.settings import PAPER_ALPHA, Study, named_seed

PAPER, NEAR = f"{PAPER_ALPHA:g}", f"within {MARGIN:g}"
"""How the paper's α, and all α nearly as good as the best, stand in tables and sentences."""

AGAIN = "never negative; the best is chosen anew in each resample"


@dataclass(frozen=True)
class Optimum:
    """The best α of a region's mean Dice, with intervals over patients and trainings.

    ``lost`` is the best mean Dice minus that at the paper's α, ``plateau`` the width of all α whose
    mean Dice lies within ``MARGIN`` of the best. ``left_out`` patients lack a score at some α.
    ``trainings`` has best α, what the paper's loses and that width by seed, 0 the study's own.
    """

    alpha: bootstrap.Interval
    dice: float
    lost: bootstrap.Interval
    plateau: bootstrap.Interval
    left_out: int
    trainings: Mapping[int, tuple[float, float, float]]


def alphas(study: Study) -> FloatArray:
    """Return the values of α that curves are drawn at, 0 and 1 and the study's own included."""
    grid = np.linspace(0, 1, round(1 / study.fusion.sweep_step) + 1)
    return np.unique(np.round(np.append(grid, study.fusion.alpha), 6))


def curve_table(sweep: Sweep, study: Study) -> pd.DataFrame:
    """Return mean Dice at ``alphas`` with its 95 % band, for regions that some patient has.

    Columns: region, alpha, dice, low, high, patients, left_out (they lack a score at some α).
    """
    grid, parts = alphas(study), []
    for region, curves in sweep.curves.items():
        if not (whole := defined(curves)):
            continue
        rows = np.stack([curve.at(grid) for curve in whole.values()])
        low, high = _band(rows, study, region)
        columns = {"alpha": grid, "dice": rows.mean(axis=0), "low": low, "high": high}
        counts = {"patients": len(rows), "left_out": len(curves) - len(rows)}
        parts.append(pd.DataFrame({"region": region, **columns, **counts}))
    return pd.concat(parts, ignore_index=True)


def _band(rows: FloatArray, study: Study, region: str) -> FloatArray:
    """Return both ends (2, α) of the means of curves (patients, α), drawn as whole curves."""

    def means(sums: FloatArray) -> dict[str, FloatArray]:
        """Return the mean at each α of what was drawn."""
        return {str(at): column / len(rows) for at, column in enumerate(sums[:, 0].T)}

    return np.transpose([*map(ends, pooled(rows, study, "band", region, scores=means).values())])


def optima(sweep: Sweep, study: Study) -> dict[str, Optimum]:
    """Return the optimum of each region that some patient has.

    Raises ``RecordError`` where nobody has a mean Dice.
    """
    if not defined(sweep.curves["mean"]):
        raise RecordError("no patient has a mean Dice at every α; look at evaluation.empty")
    regions = [region for region, curves in sweep.curves.items() if defined(curves)]
    return {region: _optimum(sweep, region, study) for region in regions}


def optima_table(optima: Mapping[str, Optimum]) -> pd.DataFrame:
    """Return optima as a table, one row per region.

    Columns: region, patients, best α with low and high, Dice there, what the paper's α loses with
    the upper end, width of all α within ``MARGIN`` of the best.
    """
    columns = ["region", "patients", "best α", "low", "high", "Dice there", f"lost at {PAPER}"]
    rows = []
    for region, best in optima.items():
        alpha, lost = (best.alpha.value, *ends(best.alpha)), (best.lost.value, ends(best.lost)[1])
        rows.append((region, best.alpha.n, *alpha, best.dice, *lost, best.plateau.value))
    return pd.DataFrame(rows, columns=[*columns, "lost, high", NEAR])


def trainings(optima: Mapping[str, Optimum]) -> pd.DataFrame:
    """Return the optimum of the mean Dice of each training by itself, seed 0 the study's own."""
    rows = [(seed, *of_seed) for seed, of_seed in optima["mean"].trainings.items()]
    return pd.DataFrame(rows, columns=["seed", "best α", f"lost at {PAPER}", NEAR])


def values(optima: Mapping[str, Optimum]) -> list[Value]:
    """Return best α and what the paper's costs."""
    mean, of_seeds = optima["mean"], trainings(optima)
    how = (
        "exact α with the best mean Dice over all of 0–1, middle of the widest plateau, of the "
        "trainings' mean; interval by resampling patients, widened by the spread of the trainings; "
        f"{counted(mean.left_out, 'patient')} without a score left out"
    )
    lost = f"best mean Dice minus that at α = {PAPER}, {AGAIN}; widened by the trainings"
    width = f"width of all α whose mean Dice lies {NEAR} of the best; widened by the trainings"
    more = {"n_seeds": len(of_seeds), "note": ONE_TRAINING if len(of_seeds) == 1 else ""}
    alone, each, n = of_seeds["best α"], "best α of a training by itself", mean.alpha.n
    return [
        value("best_alpha", mean.alpha, how, **more),
        value("lost_at_published_alpha", mean.lost, lost, **more),
        value("flat_width", mean.plateau, width, **more),
        Value("best_alpha_seed_low", alone.min(), n_patients=n, rule=f"lowest {each}"),
        Value("best_alpha_seed_high", alone.max(), n_patients=n, rule=f"highest {each}"),
    ]


def conclusion(values: Sequence[Value]) -> str:
    """Say where the best α lies, for Dice and for slices, and what the paper's costs."""
    best, lost = of(values, "best_alpha"), of(values, "lost_at_published_alpha")
    little = ends(lost)[1] <= MARGIN
    text = f"The best α for the mean Dice is {spoken(best, places=2)}."
    if best.n_seeds > 1:
        low, high = (of(values, f"best_alpha_seed_{end}").value for end in ("low", "high"))
        text += f" The trainings by themselves have it from {low:.2f} to {high:.2f}."
    return (
        f"{text} The published {PAPER} costs {spoken(lost, places=4)} Dice against the best α, "
        "chosen anew in each resample: "
        f"{'at most' if little else 'it may be more than'} {MARGIN:g}. The "
        f"α {NEAR} of the best have a width of {spoken(of(values, 'flat_width'), places=2)}. "
        f"{alpha_levels.sentence(values)}"
    )


def _optimum(sweep: Sweep, region: str, study: Study) -> Optimum:
    mean = sweep.mean(region)
    root, draws = named_seed(study.seed, "sweeps", "optimum", region), study.evaluation.bootstrap
    over_patients = optimum.optimum_intervals(mean, PAPER_ALPHA, root, draws)
    plateau = _plateau(mean, study, region)
    intervals = (over_patients["alpha"], over_patients["lost"], plateau)
    alone = sweep.trainings(region) if len(sweep.by_seed) > 1 else {0: mean}
    of_seeds = {seed: _optimum_of(of_seed) for seed, of_seed in alone.items()}
    pairs = zip(intervals, zip(*of_seeds.values(), strict=True), strict=True)
    # beyond 0 and 1 no α, loss or width can be
    alpha, lost, plateau = (training_noise.widened(*pair).within(0.0, 1.0) for pair in pairs)
    left_out = len(sweep.curves[region]) - len(mean.curves)
    return Optimum(alpha, mean.best.value, lost, plateau, left_out, of_seeds)


def _optimum_of(mean: optimum.Mean) -> tuple[float, float, float]:
    """Return the best α of the mean curve, what the paper's loses, and the width near the best."""
    lost = max(mean.best.value - mean.at(PAPER_ALPHA), 0.0)
    return mean.best.alpha, lost, mean.width_near(MARGIN)


def _plateau(mean: optimum.Mean, study: Study, name: str) -> bootstrap.Interval:
    """Return the exact width, its interval from the middles of equal parts of 0–1."""
    tried = (np.arange(optimum.GRID) + 0.5) / optimum.GRID
    rows = np.stack([curve.at(tried) for curve in mean.curves])

    def width(sums: FloatArray) -> dict[str, FloatArray]:
        """Return how much of 0–1 is nearly as good as the best."""
        # sums are over patients, so a margin of the mean is as many times larger
        least = sums.max(axis=(1, 2), keepdims=True) - MARGIN * len(rows)
        return {"width": (sums >= least).mean(axis=(1, 2))}

    drawn = pooled(rows, study, "sweeps", "flat", name, scores=width)["width"]
    return replace(drawn, value=mean.width_near(MARGIN))
