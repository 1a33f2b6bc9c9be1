"""What of another site costs Dice: one property of its scanner at a time, on the same phantoms.

A phantom is imaged at its own site with one property of the second one and everything else as it
was: the same anatomy, the same draws of noise, the same networks. What Dice loses is then the
effect of that property.
"""

from collections.abc import Iterator
from dataclasses import replace

import pandas as pd

from gliomalib import progress, settings
from gliomalib.cohort import table as casetable
from gliomalib.experiments import comparing, external_sites
from gliomalib.experiments.external_sites import Sites
from gliomalib.experiments.values import ONE_TRAINING, ends
from gliomalib.phantoms import patient, write
from gliomalib.phantoms.mri import SITES
from gliomalib.pipeline import preprocess
from gliomalib.schema import Case, Scan, StoredCase, Value
from gliomalib.scoring import tables as evaluate
from gliomalib.scoring import training_noise

PHANTOMS = 12
"""How many phantoms are imaged anew with each property."""

FACTORS = {
    "contrast": "contrast",
    "noise": "noise",
    "slice_thickness": "slice_mm",
    "dose": "dose",
    "shading": "bias",
}
"""Name of a property → field of ``mri.Site``; gain is none of them, as min–max takes it away."""

OWN, ALL = "own site", "all at once"
"""No property of the second site, and all of them: both are in the store."""


def measure(sites: Sites, phantoms: int = PHANTOMS) -> pd.DataFrame:
    """Return Dice of the fused volume with each property of the second site.

    Columns: patient_id, network (the property: ``FACTORS``, ``OWN`` and ``ALL``), region, those of
    ``tables.RULES``, state. Without rows where nobody was imaged at both sites.
    """
    inside, rows = sites.inside, []
    table = casetable.read_cases(inside.run.work_dir / "cases.csv")
    cases = {case.patient_id: case for case in casetable.cases_of(table, "internal")}
    segment = external_sites.pipeline(inside, inside.splits[0])
    pairs = sorted((own, there) for there, own in sites.twins.items())[:phantoms]
    for own, there in progress.steps(pairs, "phantoms imaged with one property"):
        stored = {OWN: inside.store.get(own), ALL: inside.store.get(there)}
        stored |= dict(_one_each(cases[own], sites.study))
        for factor, case in stored.items():
            counts = evaluate.confusion_of(case, segment(case))
            rows += comparing.dice_rows({"patient_id": own, "network": factor}, counts, sites.study)
    return pd.DataFrame(rows, columns=["patient_id", "network", "region", *evaluate.RULES, "state"])


def drops(table: pd.DataFrame) -> pd.DataFrame:
    """Return what each property, and all, cost in mean Dice; ``table`` is that of ``measure``.

    Columns: title (the property), phantoms, drop, low, high.
    """
    mean = evaluate.with_mean(table).query("region == 'mean'")
    wide = mean.pivot(index="patient_id", columns="network", values="dice")
    rows = []
    for factor in (*FACTORS, ALL) if len(wide) else ():
        effect = training_noise.paired((wide[OWN] - wide[factor]).to_numpy()[:, None])
        title = factor.replace("_", " ")
        rows.append((title, effect.n, effect.value, *ends(effect)))
    return pd.DataFrame(rows, columns=["title", "phantoms", "drop", "low", "high"])


def values(costs: pd.DataFrame, study: settings.Study) -> list[Value]:
    """Return ``drop_contrast`` and so on; ``costs`` is the table of ``drops``."""
    rule = (
        "mean of NCR, ED and ET Dice, fused, own site less own site with the {} of site "
        f"{study.data.phantoms.external_site}, paired by phantom, Student's t"
    )
    return [
        Value(
            f"drop_{row['title'].replace(' ', '_')}",
            row["drop"],
            comparing.interval(row),
            row["phantoms"],
            rule=rule.format(row["title"]),
            n_seeds=1,
            note=ONE_TRAINING,
        )
        for _, row in costs.iterrows()
        if row["title"] != ALL
    ]


def conclusion(costs: pd.DataFrame) -> str:
    """Say which property costs most, and what all cost; ``costs`` is the table of ``drops``."""
    if costs.empty:
        return "No patient was imaged at both sites, so no property of a scanner can be blamed."
    *alone, together = (row for _, row in costs.iterrows())
    worst = max(alone, key=lambda row: row["drop"])
    said = "{drop:.3f} of mean Dice ({low:.3f} to {high:.3f})".format
    return (
        f"On {worst['phantoms']} phantoms all properties of the second site together cost "
        f"{said(**together)}. Alone, {worst['title']} costs most: {said(**worst)}."
    )


def _one_each(case: Case, study: settings.Study) -> Iterator[tuple[str, StoredCase]]:
    """Yield each property with the case as a scanner that has it sees it."""
    plan, number = write.origin_of(case)
    own, other = SITES[plan.site], SITES[study.data.phantoms.external_site]
    for factor, field in FACTORS.items():
        scanner = replace(own, **{field: getattr(other, field)})
        made = patient.make_patient(plan, number, scanner)
        scan = Scan(case, made.images, made.labels, (plan.spacing_mm,) * 3, made.affine)
        yield factor, preprocess.prepare(scan, study.preprocessing)[0]
