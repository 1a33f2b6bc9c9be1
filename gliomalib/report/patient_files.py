"""What a study left of each reported patient: pictures, scores, the classifier's answers.

Nothing here trusts a file: pictures that are no pictures and rows that are no rows are named.
"""

from __future__ import annotations

import csv
import hashlib
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

SCORES, SLICES = "05_fusion.scores", "06_train_resnet50.slices"
CLASSES = ("NCR", "ED", "ET")
"""Regions that are one class each; the mean Dice of a patient is over these."""

FUSED = "fused"
Picture = Annotated[str, Field(pattern=r"^data:image/png;base64,[A-Za-z0-9+/]+=*$")]
Number = Annotated[float, BeforeValidator(lambda text: "nan" if text == "" else text)]
"""A cell of a table; an empty one is a number that is not defined."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Slice(_Part):
    """One axial slice: a picture a sequence, an overlay a layer."""

    z: int
    why: str
    wrong: int
    tumour: int
    voxels: dict[str, tuple[int, int, int]] = {}
    images: dict[str, Picture] = Field(min_length=1)
    labels: dict[str, Picture]


class Volume(_Part):
    """All slices of a volume as mosaics; ``shape`` and ``step`` are those of the mosaics."""

    columns: int = Field(ge=1)
    step: int = Field(1, ge=1)
    shape: tuple[int, int, int] | None = None
    images: dict[str, Picture] = Field(min_length=1)
    labels: dict[str, Picture]


class Pictures(_Part):
    """The content of ``patients/<id>.json`` as ``gliomalib.figures.gallery`` writes it."""

    patient_id: str
    part: str
    fold: int
    spacing_mm: tuple[float, float, float]
    shape: tuple[int, int, int]
    layers: tuple[str, ...] = Field(min_length=1)
    slices: tuple[Slice, ...] = Field(min_length=1)
    volume: Volume | None

    @property
    def largest(self) -> Slice:
        """The slice with most tumour."""
        return max(self.slices, key=lambda one: one.tumour)

    @model_validator(mode="after")
    def _whole(self) -> Pictures:
        parts: list[Slice | Volume] = [*self.slices, *([self.volume] if self.volume else [])]
        for part in parts:
            lacking = set(self.layers) - set(part.labels)
            if lacking or set(part.images) != set(self.slices[0].images):
                raise ValueError(f"a picture is missing: {', '.join(lacking) or 'a sequence'}")
        if min(*self.shape, *(self.spacing_mm)) <= 0:
            raise ValueError(f"the shape is {self.shape}, the spacing {self.spacing_mm}")
        return self


class Score(_Part):
    """A row of the scores of notebook 05."""

    patient_id: str = Field(min_length=1)
    region: str
    network: str
    part: str
    fold: int
    dice: Number
    hd95_mm: Number
    state: Literal["both", "missed", "spurious", "empty"]
    truth_ml: Number
    predicted_ml: Number


class Answer(_Part):
    """What notebook 06 says of one slice."""

    patient_id: str = Field(min_length=1)
    part: str
    fold: int
    z: int = Field(ge=0)
    truth: int = Field(ge=0, le=3)
    predicted: int = Field(ge=0, le=3)


@dataclass(frozen=True)
class Patient:
    """One reported patient. ``page`` is the name of his page without ending.

    ``fault`` says why there are no pictures, empty where there are.
    """

    patient_id: str
    page: str
    part: str
    pictures: Pictures | None
    fault: str
    scores: tuple[Score, ...]
    answers: tuple[Answer, ...]

    @cached_property
    def masks(self) -> tuple[Score, ...]:
        """The scores of the fused volume for the three classes, of all folds."""
        return tuple(s for s in self.scores if s.network == FUSED and s.region in CLASSES)

    @cached_property
    def zeros(self) -> tuple[Score, ...]:
        """The class masks of the fused volume whose Dice is exactly 0."""
        return tuple(score for score in self.masks if score.dice == 0)

    @cached_property
    def folds(self) -> tuple[int, ...]:
        """The folds with scores of this patient."""
        return tuple(sorted({score.fold for score in self.scores}))

    @property
    def fold(self) -> int | None:
        """The fold whose pictures are shown, else the first with scores or answers."""
        if self.pictures is not None:
            return self.pictures.fold
        rows: list[Score | Answer] = [*self.scores, *self.answers]
        return min((row.fold for row in rows), default=None)

    def dice(self, region: str) -> float:
        """Return Dice of the fused volume in ``region``, folds averaged; NaN where there is none.

        ``mean`` is the mean over the three classes, of the defined ones as in notebook 05.
        """
        names = CLASSES if region == "mean" else (region,)
        fused = [s for s in self.scores if s.network == FUSED and s.region in names]
        by_fold = [_mean(s.dice for s in fused if s.fold == fold) for fold in self.folds]
        return _mean(by_fold)

    def right(self, fold: int | None = None) -> tuple[int, int]:
        """Return how many slices were classified right, and of how many; of one fold or of all."""
        rows = [a for a in self.answers if fold is None or a.fold == fold]
        return sum(row.truth == row.predicted for row in rows), len(rows)


@dataclass(frozen=True)
class Cohort:
    """All reported patients, worst first within each part, and what is wrong with the files."""

    patients: tuple[Patient, ...]
    picture_faults: tuple[str, ...]
    table_faults: tuple[str, ...]

    @property
    def faults(self) -> tuple[str, ...]:
        """All that is missing or damaged, a sentence each."""
        return (*self.picture_faults, *self.table_faults)

    @property
    def parts(self) -> list[tuple[str, list[Patient]]]:
        """Each part with its patients, held-out ones before external ones."""
        names = dict.fromkeys(patient.part for patient in self.patients)
        return [(name, [p for p in self.patients if p.part == name]) for name in names]


def read(report_dir: Path) -> Cohort:
    """Return every patient with pictures, scores or answers; missing and damaged files are named.

    Worst first by the mean Dice of the fused volume over the three classes, those without last.
    """
    pictures, damaged, faults = _all_pictures(report_dir)
    scores, fault = _table(report_dir, SCORES, Score)
    answers, other = _table(report_dir, SLICES, Answer)
    by_patient, answers_of = _grouped(scores), _grouped(answers)
    names = sorted({*pictures, *damaged, *by_patient, *answers_of})
    pages = page_names(names)
    absent = "There are no pictures of this patient: notebook 05_fusion wrote none."
    found = []
    for name in names:
        own, said = by_patient.get(name, ()), answers_of.get(name, ())
        one = pictures.get(name)
        rows: list[Score | Answer] = [*own, *said]
        part = one.part if one else next((row.part for row in rows), "not known")
        why = "" if one else damaged.get(name, absent)
        found.append(Patient(name, pages[name], part, one, why, own, said))
    ranked = tuple(sorted(found, key=_worst_first))
    return Cohort(ranked, tuple(faults), tuple(filter(None, (fault, other))))


def page_names(patient_ids: Iterable[str]) -> dict[str, str]:
    """Return a name for the page of each patient that is safe for a file and belongs to him alone.

    An ID with other signs than letters, digits, ``_``, ``-`` and ``.``, a long one, and those that
    differ in case only get a digest.
    """
    slugs = {name: re.sub(r"[^A-Za-z0-9_.-]+", "_", name)[:60] for name in patient_ids}
    folded = [slug.casefold() for slug in slugs.values()]
    return {
        name: f"patient-{slug}"
        if slug == name and folded.count(slug.casefold()) == 1
        else f"patient-{slug}-{hashlib.sha256(name.encode('utf-8', 'replace')).hexdigest()[:10]}"
        for name, slug in slugs.items()
    }


def _worst_first(patient: Patient) -> tuple[int, bool, float, str]:
    place = {"test": 0, "external": 1}.get(patient.part, 2)
    mean = patient.dice("mean")
    undefined = math.isnan(mean)
    return place, undefined, 0.0 if undefined else mean, patient.patient_id


def _mean(values: Iterable[float]) -> float:
    defined = [value for value in values if not math.isnan(value)]
    return fmean(defined) if defined else math.nan


def _all_pictures(report_dir: Path) -> tuple[dict[str, Pictures], dict[str, str], list[str]]:
    """Return pictures by patient, what is said of damaged files by their name, and faults."""
    found: dict[str, Pictures] = {}
    damaged: dict[str, str] = {}
    paths = sorted((report_dir / "patients").glob("*.json"))
    faults = [] if paths else ["There are no pictures: patients/ is empty; run notebook 05_fusion."]
    for path in paths:
        try:
            one = Pictures.model_validate_json(path.read_bytes())
        except (ValueError, OSError) as error:
            said = f"patients/{path.name} cannot be read ({_said(error)}); run notebook 05_fusion"
            damaged[path.stem] = f"There are no pictures of this patient: {said} again."
            faults.append(f"{said} again.")
            continue
        if one.patient_id in found:
            faults.append(
                f"patients/{path.name} is of a patient who has another file; it is left out."
            )
        found.setdefault(one.patient_id, one)
    return found, {name: text for name, text in damaged.items() if name not in found}, faults


Row = TypeVar("Row", Score, Answer)


def _table(report_dir: Path, name: str, kind: type[Row]) -> tuple[list[Row], str]:
    """Return the rows of a table, and what is wrong with it: then there are no rows."""
    path = report_dir / "tables" / f"{name}.csv"
    notebook = name.partition(".")[0]
    if not path.is_file():
        return [], f"tables/{path.name} is missing; run notebook {notebook}."
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            return [kind.model_validate(row) for row in csv.DictReader(stream)], ""
    except (ValueError, OSError, csv.Error) as error:
        said = f"tables/{path.name} cannot be read ({_said(error)})"
        return [], f"{said}; run notebook {notebook} again."


def _said(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        where = ".".join(str(step) for step in first["loc"])
        return f"{where}: {first['msg']}" if where else first["msg"]
    return type(error).__name__


def _grouped(rows: Sequence[Row]) -> dict[str, tuple[Row, ...]]:
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row.patient_id, []).append(row)
    return {name: tuple(group) for name, group in groups.items()}
