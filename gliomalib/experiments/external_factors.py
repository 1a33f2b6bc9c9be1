"""What of another site costs Dice: one property of its scanner at a time, on the same phantoms.

A phantom is imaged at its own site with one property of the second one and everything else as it
was: the same anatomy, the same draws of noise, the same networks. What Dice loses is then the
effect of that property.
"""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from gliomalib import progress, settings
from gliomalib.cohort import table as casetable
from gliomalib.experiments import comparing, external_sites
from gliomalib.experiments.external_sites import Sites
from gliomalib.phantoms import mri, patient, write
from gliomalib.pipeline import preprocess
from gliomalib.schema import Case, Scan, StoredCase, Value
from gliomalib.scoring import tables as evaluate
from gliomalib.scoring import training_noise

PHANTOMS = 12
"""How many phantoms are imaged anew with each property."""

OWN, ALL = "own site", "all at once"
"""No property of the second site, and all of them: both are in the store."""


def measure(sites: Sites, phantoms: int = PHANTOMS) -> pd.DataFrame:
    """Return Dice of the fused volume with each property of the second site.

    Columns: patient_id, network (the property: ``mri.FACTORS``, ``OWN`` and ``ALL``), region,
    those of ``tables.RULES``, state. Empty where nobody was imaged at both sites.
    """
    pairs = sorted((own, there) for there, own in sites.twins.items())[:phantoms]
    if not pairs:
        return pd.DataFrame()
    inside, rows = sites.inside, []
    table = casetable.read_cases(inside.run.work_dir / "cases.csv")
    cases = {case.patient_id: case for case in casetable.cases_of(table, "internal")}
    segment = external_sites.pipeline(inside, inside.splits[0])
    for own, there in progress.steps(pairs, "phantoms imaged with one property"):
        stored = {OWN: inside.store.get(own), ALL: inside.store.get(there)}
        stored |= dict(_one_each(cases[own], sites.study))
        for factor, case in stored.items():
            counts = evaluate.confusion_of(case, segment(case))
            rows += comparing.dice_rows({"patient_id": own, "network": factor}, counts, sites.study)
    return evaluate.with_mean(pd.DataFrame(rows))


def drops(table: pd.DataFrame) -> pd.DataFrame:
    """Return what each property costs in mean Dice: factor, phantoms, drop, low, high.

    ``table`` is that of ``measure``.
    """
    rows = []
    for factor, effect in _effects(table).items():
        low, high = effect.ci95 or (float("nan"),) * 2
        rows.append((factor, effect.n, effect.value, low, high))
    return pd.DataFrame(rows, columns=["factor", "phantoms", "drop", "low", "high"])


def values(table: pd.DataFrame, sites: Sites) -> list[Value]:
    """Return ``drop_contrast`` and so on; ``table`` is that of ``measure``."""
    return [
        Value(
            f"drop_{factor}",
            effect.value,
            effect.ci95,
            effect.n,
            n_seeds=effect.seeds,
            rule=(
                f"mean of NCR, ED and ET Dice, fused, own site less own site with the {factor} of "
                f"site {sites.study.data.phantoms.external_site}, paired by phantom, Student's t"
            ).replace("_", " "),
        )
        for factor, effect in _effects(table).items()
        if factor in mri.FACTORS
    ]


def conclusion(costs: pd.DataFrame) -> str:
    """Say which property costs most, and what all cost; ``costs`` is the table of ``drops``."""
    if costs.empty:
        return "No patient was imaged at both sites, so no property of a scanner can be blamed."
    together = costs[costs["factor"] == ALL].iloc[0]
    alone = costs[costs["factor"] != ALL]
    worst = alone.iloc[alone["drop"].argmax()]
    return (
        f"On {worst['phantoms']} phantoms all properties of the second site together cost "
        f"{together['drop']:.3f} of mean Dice ({together['low']:.3f} to {together['high']:.3f}). "
        f"Alone, {worst['factor'].replace('_', ' ')} costs most: {worst['drop']:.3f} "
        f"({worst['low']:.3f} to {worst['high']:.3f})."
    )


def _effects(table: pd.DataFrame) -> dict[str, training_noise.Effect]:
    if table.empty:
        return {}
    mean = table[table["region"] == "mean"]
    wide = mean.pivot(index="patient_id", columns="network", values="dice")
    return {
        factor: training_noise.paired((wide[OWN] - wide[factor]).to_numpy()[:, None])
        for factor in (*mri.FACTORS, ALL)
    }


def _one_each(case: Case, study: settings.Study) -> Iterator[tuple[str, StoredCase]]:
    """Yield each property with the case as a scanner that has it sees it."""
    plan, number = write.origin_of(case)
    anatomy, spacing = patient.grown(plan, number), (plan.spacing_mm,) * 3
    for factor in mri.FACTORS:
        scanner = mri.with_one_of(plan.site, factor, study.data.phantoms.external_site)
        made = patient.imaged(anatomy, scanner)
        scan = Scan(case, made.images, made.labels, spacing, made.affine)
        yield factor, preprocess.prepare(scan, study.preprocessing)[0]
