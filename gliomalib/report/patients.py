"""The pages of the patients: a gallery, worst first, and a page each.

Nothing is computed but what sorting, counting and placing marks on a line need.
"""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import Any

from gliomalib.report import pages
from gliomalib.report.pages import Report
from gliomalib.report.patient_files import CLASSES, Answer, Cohort, Patient, Score, ranked_by
from gliomalib.report.phrases import STATES
from gliomalib.schema import CLASS_COLOURS, CLASS_NAMES

SEQUENCES = {"t1": "T1", "t1ce": "T1ce", "t2": "T2", "flair": "FLAIR"}
MOST_TOLD = 5
"""At most so many patients of the left tail are explained one by one."""

MOST_PICTURES = 100
"""So many pictures has each part of the gallery at most, those of the worst: about 5 kB each."""

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


def every_page(report: Report, cohort: Cohort) -> Iterator[tuple[str, str]]:
    """Yield name and content of the gallery and of the page of every patient who has one.

    Where the gallery leaves pictures out, it says so, and the worst patients keep theirs. Of a
    real patient no volume is shown unless the study allows it (one may lie there from an earlier
    run): the page says so.
    """
    context = _context(report, cohort)
    gallery = {"most": MOST_PICTURES, **context}
    yield "patients", pages.render("patients.html.j2", "html/patients.html", **gallery)
    context["allowed"] = not report.study.real_data or report.study.report.real_volumes
    with_page = [patient for patient in cohort.patients if patient.page]
    around = [None, *with_page, None]
    for patient, before, after in zip(with_page, around, around[2:], strict=False):
        own = {"patient": patient, "neighbours": (before, after), **context}
        yield patient.page, pages.render("patient.html.j2", f"html/{patient.page}.html", **own)


def tail(patients: Sequence[Patient]) -> list[Patient]:
    """Return the worst quarter of the patients with a mean Dice, at least one, at most five."""
    ranked = ranked_by("mean", patients)
    return ranked[: min(MOST_TOLD, max(1, len(ranked) // 4))]


def state_of(score: Score) -> str:
    """Return the state of a mask, ``elsewhere`` where both have voxels and share none."""
    return "elsewhere" if score.state == "both" and score.dice == 0 else score.state


def flagged(patient: Patient) -> list[str]:
    """Return the class masks of the fused volume that are missed, empty or exactly 0, in short."""
    texts = {"empty": "empty in both", "elsewhere": "without overlap"}
    states = [(score.region, state_of(score)) for score in patient.masks]
    found = Counter(f"{region} {texts.get(s, s)}" for region, s in states if s != "both")
    folds = len({score.fold for score in patient.masks})
    return [f"{text} ({n} of {folds} folds)" if folds > 1 else text for text, n in found.items()]


def runs(answers: Sequence[Answer], which: str) -> list[Run]:
    """Return neighbouring slices with the same ``truth``, ``predicted`` or ``wrong`` as one run."""
    numbered = enumerate(sorted(answers, key=attrgetter("z")))
    # z less the place in the list is the same as long as no slice is left out
    groups = groupby(numbered, key=lambda pair: (getattr(pair[1], which), pair[1].z - pair[0]))
    neighbours = [(int(label), [answer.z for _, answer in group]) for (label, _), group in groups]
    return [Run(slices[0], len(slices), label) for label, slices in neighbours]


def dots(patients: Sequence[Patient], region: str) -> list[Dot]:
    """Return a point for every patient with a Dice in ``region``, stacked where they are close."""
    close = groupby(ranked_by(region, patients), key=lambda p: math.floor(p.dice(region) / BIN))
    stacks = [list(group) for _, group in close]
    highest = max(map(len, stacks), default=1)
    rise = min(8.0, DOT_ROOM / max(1, highest - 1))
    return [
        Dot(patient, patient.dice(region), round(place * rise, 2))
        for stack in stacks
        for place, patient in enumerate(stack)
    ]


def _context(report: Report, cohort: Cohort) -> dict[str, Any]:
    made = {entry.name: entry for entry in report.entries}
    return {
        **{"report": report, "cohort": cohort, "made": made},
        **{"classes": CLASSES, "states": STATES, "sequence_names": SEQUENCES},
        **{"class_names": CLASS_NAMES, "colours": CLASS_COLOURS},
        **{function.__name__: function for function in (tail, flagged, state_of, runs, dots)},
    }
