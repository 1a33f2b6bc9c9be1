"""The pages of the patients: a gallery, worst first, and a page each.

Nothing is computed but what sorting, counting and placing marks on a line need.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

from gliomalib import digits, settings
from gliomalib.report import pages, patient_files, words
from gliomalib.report.pages import Report
from gliomalib.report.patient_files import CLASSES, Answer, Cohort, Patient, Score
from gliomalib.schema import CLASS_COLOURS, CLASS_NAMES

GALLERY = "patients"
"""Name of the gallery's page without ending."""

REGIONS = {
    "NCR": "necrotic core",
    "ED": "edema",
    "ET": "enhancing tumour",
    "WT": "whole tumour",
    "TC": "tumour core",
}
PARTS = {"test": "held-out", "external": "external"}
SEQUENCES = {"t1": "T1", "t1ce": "T1ce", "t2": "T2", "flair": "FLAIR"}
STATES = {
    "missed": "Missed: the truth has voxels, the prediction has none",
    "spurious": "Predicted where the truth has none",
    "elsewhere": "Dice exactly 0 although both have voxels: predicted in another place",
    "empty": "Empty in truth and prediction: what Dice is then is a rule, not a measurement",
}
MOST_TOLD = 5
"""At most so many patients of the left tail are explained one by one."""

FEWER_PICTURES = (200, 100, 50, 25, 10, 5, 0)
"""How many pictures a part of the gallery has where all of them would make it too large."""

BIN, DOT_ROOM = 0.02, 30
"""Width in Dice within which points are stacked, and the height of a full stack."""


@dataclass(frozen=True)
class Run:
    """Neighbouring slices with one answer: the first, how many, the class."""

    start: int
    length: int
    label: int


@dataclass(frozen=True)
class Dot:
    """A patient on a line from Dice 0 to 1, raised where others stand already."""

    patient: Patient
    value: float
    lift: float
    is_zero: bool
    is_empty: bool


def every_page(report: Report, report_dir: Path) -> Iterator[tuple[str, str]]:
    """Yield name and content of the gallery and of the page of every reported patient."""
    cohort = patient_files.read(report_dir)
    yield GALLERY, gallery_page(report, cohort)
    for place, patient in enumerate(cohort.patients):
        before = cohort.patients[place - 1] if place else None
        after = cohort.patients[place + 1] if place + 1 < len(cohort.patients) else None
        yield patient.page, patient_page(report, cohort, patient, (before, after))


def gallery_page(report: Report, cohort: Cohort) -> str:
    """Return the page of all patients, with as many pictures in each part as the page can hold.

    The page says so where pictures are left out; then the worst patients keep theirs.
    """
    page = ""
    for most in (len(cohort.patients), *FEWER_PICTURES):
        page = pages.render("patients.html.j2", most=most, **_given(report, cohort))
        if len(page.encode()) <= pages.MOST_BYTES:
            break
    return page


def patient_page(
    report: Report,
    cohort: Cohort,
    patient: Patient,
    neighbours: tuple[Patient | None, Patient | None] = (None, None),
) -> str:
    """Return the page of one patient.

    A volume is left out, and the page says so, where it would make the page too large, and of a
    real patient where the study does not allow it (it may lie there from an earlier run).
    """
    why = no_volume(report.study, patient)
    shown = _without_volume(patient) if why else patient
    given = {**_given(report, cohort), "neighbours": neighbours}
    page = pages.render("patient.html.j2", patient=shown, no_volume=why, **given)
    if why or len(page.encode()) <= pages.MOST_BYTES:
        return page
    why = f"Its pictures would make this page larger than {words.memory(pages.MOST_BYTES)}."
    return pages.render("patient.html.j2", patient=_without_volume(patient), no_volume=why, **given)


def no_volume(study: settings.Study, patient: Patient) -> str:
    """Say why there is no volume to scroll; empty where there is one to show."""
    if patient.pictures is None:
        return "There are no pictures of this patient."
    allowed = not study.real_data or study.report.real_volumes
    if patient.pictures.volume is not None and allowed:
        return ""
    if allowed:
        return (
            "Only a handful of patients are shown whole, to keep the report small: the worst, the "
            "middle and the best held-out one, and the worst external one."
        )
    left = "" if patient.pictures.volume is None else (
        " A volume of this patient lies in the folder patients/ all the same, from a run where "
        "that was set: do not pass that folder on."
    )  # fmt: skip
    return (
        "The volume of a real patient may not be passed on under the terms of the data. To see it "
        "at home, set real_volumes: true under report in the study’s parameter file and run "
        f"notebook 05_fusion again.{left}"
    )


def tail(patients: Sequence[Patient]) -> list[Patient]:
    """Return the worst quarter of the patients with a mean Dice, at least one, at most five."""
    ranked = sorted(
        (patient for patient in patients if not math.isnan(patient.dice("mean"))),
        key=lambda patient: (patient.dice("mean"), patient.patient_id),
    )
    return ranked[: min(MOST_TOLD, max(1, len(ranked) // 4))]


def explained(patient: Patient, is_low: bool) -> str:
    """Say in words what makes the mean Dice of a patient: masks of exactly 0, or low ones.

    ``is_low`` says that he is in the left tail, where a mean without zeros is one that is low.
    """
    folds = len({score.fold for score in patient.masks})
    over = f" over {folds} folds" if folds > 1 else ""
    zeros, masks = len(patient.zeros), len(patient.masks)
    said = [_zeros(region, patient) for region in CLASSES]
    rest = [
        f"{REGIONS[region]} {digits.number(round(patient.dice(region), 3))}"
        for region in CLASSES
        if not math.isnan(patient.dice(region)) and patient.dice(region) > 0
    ]
    counted = f"{zeros or 'none'} of the {words.counted(masks, 'class mask')}{over}"
    verb = "is" if zeros <= 1 else "are"
    kind = ", the mean is low without zeros" if is_low else ""
    if zeros:
        kind = f"; the mean is pulled down by {'this zero' if zeros == 1 else 'these zeros'}"
    told = "; ".join(filter(None, said))
    others = f" Dice: {words.listed(rest)}." if rest else ""
    return (
        f"mean {digits.number(round(patient.dice('mean'), 3))}; {counted} {verb} exactly 0{kind}."
        f"{' ' + told[0].upper() + told[1:] + '.' if told else ''}{others}"
    )


def notable(scores: Sequence[Score], state: str) -> list[str]:
    """Return in words the masks of one of ``STATES``, region by region."""
    found = [score for score in scores if state_of(score) == state]
    return [
        f"{name} by {words.listed([_volumes(s) for s in found if s.region == region])}"
        for region, name in REGIONS.items()
        if any(s.region == region for s in found)
    ]


def state_of(score: Score) -> str:
    """Return the state of a mask, ``elsewhere`` where both have voxels and share none."""
    return "elsewhere" if score.state == "both" and score.dice == 0 else score.state


def flagged(patient: Patient) -> list[str]:
    """Return the class masks of the fused volume that are missed, empty or exactly 0, in short."""
    found: dict[str, int] = {}
    for score in patient.masks:
        if (state := state_of(score)) != "both":
            text = {"elsewhere": "elsewhere", "empty": "empty in both"}.get(state, state)
            found[f"{score.region} {text}"] = found.get(f"{score.region} {text}", 0) + 1
    folds = len({score.fold for score in patient.masks})
    return [f"{text} ({n} of {folds} folds)" if folds > 1 else text for text, n in found.items()]


def runs(answers: Sequence[Answer], which: str) -> list[Run]:
    """Return neighbouring slices with the same ``truth``, ``predicted`` or ``wrong`` as one run."""
    found: list[Run] = []
    for answer in sorted(answers, key=lambda answer: answer.z):
        label = int(answer.truth != answer.predicted) if which == "wrong" else (
            answer.truth if which == "truth" else answer.predicted
        )  # fmt: skip
        last = found[-1] if found else None
        if last and last.label == label and last.start + last.length == answer.z:
            found[-1] = replace(last, length=last.length + 1)
        else:
            found.append(Run(answer.z, 1, label))
    return found


def dots(patients: Sequence[Patient], region: str) -> list[Dot]:
    """Return a point for every patient with a Dice in ``region``, stacked where they are close."""
    ranked = sorted((p for p in patients if not math.isnan(p.dice(region))),
                    key=lambda p: (p.dice(region), p.patient_id))  # fmt: skip
    stacks = [list(g) for _, g in groupby(ranked, key=lambda p: math.floor(p.dice(region) / BIN))]
    highest = max(map(len, stacks), default=1)
    rise = min(8.0, DOT_ROOM / max(1, highest - 1))
    return [
        Dot(
            patient,
            patient.dice(region),
            round(place * rise, 2),
            any(region in (zero.region, "mean") for zero in patient.zeros),
            any(s.region == region and s.state == "empty" for s in patient.masks),
        )
        for stack in stacks
        for place, patient in enumerate(stack)
    ]


def isolated(text: str) -> str:
    """Return text between marks that keep its direction of writing to itself."""
    return f"\N{FIRST STRONG ISOLATE}{text}\N{POP DIRECTIONAL ISOLATE}"


def _zeros(region: str, patient: Patient) -> str:
    zeros = [score for score in patient.zeros if score.region == region]
    of = len([score for score in patient.masks if score.region == region])
    texts = []
    for state, text in (
        ("missed", "missed"),
        ("spurious", "predicted where there is none"),
        ("elsewhere", "predicted in another place"),
        ("empty", "empty in truth and prediction"),
    ):
        found = [score for score in zeros if state_of(score) == state]
        if found:
            times = f" in {len(found)} of {of} folds" if of > 1 else ""
            truth, predicted = (
                _range([s.truth_ml for s in found]),
                _range([s.predicted_ml for s in found]),
            )
            volumes = f"truth {truth} mL, predicted {predicted}{' mL' if predicted != '0' else ''}"
            texts.append(f"{REGIONS[region]} {text}{times} ({volumes})")
    return "; ".join(texts)


def _range(values: Sequence[float]) -> str:
    low, high = digits.number(min(values)), digits.number(max(values))
    return low if low == high else f"{low} to {high}"


def _volumes(score: Score) -> str:
    volumes = [
        f"{name} {digits.number(value)} mL"
        for name, value in (("truth", score.truth_ml), ("predicted", score.predicted_ml))
        if value
    ]
    return f"{score.network} ({', '.join(volumes)})" if volumes else score.network


_SHARED = {
    "regions": REGIONS,
    "classes": CLASSES,
    "class_names": CLASS_NAMES,
    "colours": CLASS_COLOURS,
    "part_names": PARTS,
    "sequence_names": SEQUENCES,
    "states": STATES,
    "gallery": GALLERY,
    "tail": tail,
    "explained": explained,
    "notable": notable,
    "flagged": flagged,
    "state_of": state_of,
    "runs": runs,
    "dots": dots,
    "isolated": isolated,
    "is_nan": math.isnan,
    "dice_values": lambda patient, names: [patient.dice(name) for name in names],
}


def _given(report: Report, cohort: Cohort) -> dict[str, Any]:
    made = {entry.name: entry for entry in report.entries}
    return {"report": report, "cohort": cohort, "made": made, **_SHARED}


def _without_volume(patient: Patient) -> Patient:
    if patient.pictures is None or patient.pictures.volume is None:
        return patient
    return replace(patient, pictures=patient.pictures.model_copy(update={"volume": None}))
