"""What a study left of each reported patient: pictures, scores, the classifier's answers.

A damaged picture file or table is named and left out.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from statistics import fmean
from typing import Annotated, Literal, Self, TypeVar
from urllib.parse import quote

from pydantic import BaseModel, BeforeValidator, Field, field_validator, model_validator

from gliomalib import records, settings
from gliomalib.report import entries
from gliomalib.schema import N_CLASSES, RecordError

SCORE_TABLE, SLICE_TABLE = "05_fusion.scores", "06_train_resnet50.slices"
CLASSES = ("NCR", "ED", "ET")
"""Regions that are one class each; the mean Dice of a patient is over these."""

FUSED = "fused"
Picture = Annotated[str, Field(pattern=r"^data:image/(png|webp);base64,[A-Za-z0-9+/]+=*$")]
Count = Annotated[int, Field(ge=0)]
Size = Annotated[int, Field(gt=0)]
Shape = tuple[Size, Size, Size]
Length = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Label = Annotated[int, Field(ge=0, lt=N_CLASSES)]
PatientId = Annotated[str, Field(pattern=r"^[^/\x00]{1,128}$")]
"""What a page can be called after: nothing that leads into another folder."""

Number = Annotated[float, BeforeValidator(lambda text: "nan" if text == "" else text)]
"""A cell of a table; an empty one is a number that is not defined."""


class Slice(BaseModel, frozen=True):
    """One axial slice: a picture per sequence, an overlay per layer."""

    z: Count
    why: str
    wrong: Count
    tumour: Count
    voxels: dict[str, tuple[int, int, int]]
    images: dict[str, Picture] = Field(min_length=1)
    labels: dict[str, Picture]


class Volume(BaseModel, frozen=True):
    """All slices of a volume as mosaics; ``shape`` and ``step`` are those of the mosaics."""

    columns: Size
    step: Size
    shape: Shape
    images: dict[str, Picture] = Field(min_length=1)
    labels: dict[str, Picture]


class Pictures(BaseModel, frozen=True):
    """The content of ``patients/<id>.json`` as ``gliomalib.figures.gallery`` writes it."""

    patient_id: PatientId
    part: str
    fold: int
    spacing_mm: tuple[Length, Length, Length]
    shape: Shape
    layers: tuple[str, ...] = Field(min_length=1)
    slices: tuple[Slice, ...] = Field(min_length=1)
    volume: Volume | None

    @model_validator(mode="after")
    def _every_layer_is_drawn(self) -> Self:
        drawn: list[Slice | Volume] = [*self.slices, *filter(None, [self.volume])]
        for part in drawn:
            if lacking := {*self.layers} - part.labels.keys():
                raise ValueError(f"there is no picture of {', '.join(sorted(lacking))}")
        return self


class Score(BaseModel, frozen=True):
    """A row of the scores of notebook 05."""

    patient_id: PatientId
    region: str
    network: str
    part: str
    fold: int
    dice: Number
    hd95_mm: Number
    state: Literal["both", "missed", "spurious", "empty"]
    truth_ml: Number
    predicted_ml: Number

    @field_validator("dice")
    @classmethod
    def _is_a_share(cls, dice: float) -> float:
        # one that is not defined, NaN, is neither
        if dice < 0 or dice > 1:
            raise ValueError("a Dice is between 0 and 1")
        return dice


class Answer(BaseModel, frozen=True):
    """What notebook 06 says of one slice."""

    patient_id: PatientId
    part: str
    fold: int
    z: Count
    truth: Label
    predicted: Label

    @property
    def wrong(self) -> bool:
        """Whether the classifier says another class than the truth."""
        return self.truth != self.predicted


@dataclass(frozen=True)
class Patient:
    """One reported patient. ``page`` is the name of its page without ending, empty without one."""

    patient_id: str
    page: str
    part: str
    pictures: Pictures | None
    scores: tuple[Score, ...]
    answers: tuple[Answer, ...]

    @property
    def link(self) -> str:
        """The address of its page as seen from the others, empty where it has none."""
        return quote(f"{self.page}.html") if self.page else ""

    @cached_property
    def masks(self) -> tuple[Score, ...]:
        """The scores of the fused volume for the three classes, of all folds."""
        return self._fused(*CLASSES)

    @cached_property
    def zeros(self) -> tuple[Score, ...]:
        """The class masks of the fused volume whose Dice is exactly 0."""
        return tuple(score for score in self.masks if score.dice == 0)

    @cached_property
    def folds(self) -> tuple[int, ...]:
        """The folds with scores of this patient."""
        return tuple(sorted({score.fold for score in self.scores}))

    @property
    def is_ranked(self) -> bool:
        """Whether the Dice of its whole tumour is a measurement: defined, and of some voxels."""
        is_defined = not math.isnan(self.dice("WT"))
        return is_defined and all(score.state != "empty" for score in self._fused("WT"))

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
        fused = self.masks if region == "mean" else self._fused(region)
        return _mean(_mean(s.dice for s in fused if s.fold == fold) for fold in self.folds)

    def right(self, fold: int | None = None) -> tuple[int, int]:
        """Return how many slices were classified right, and of how many; of one fold or of all."""
        rows = [a for a in self.answers if fold is None or a.fold == fold]
        return sum(not row.wrong for row in rows), len(rows)

    def _fused(self, *regions: str) -> tuple[Score, ...]:
        return tuple(s for s in self.scores if s.network == FUSED and s.region in regions)


@dataclass(frozen=True)
class Cohort:
    """All reported patients, worst first within each part, and what is wrong with the files."""

    patients: tuple[Patient, ...]
    picture_faults: tuple[str, ...]
    table_faults: tuple[str, ...]

    @property
    def links(self) -> dict[str, str]:
        """Who has a page → its address as seen from the others."""
        return {patient.patient_id: patient.link for patient in self.patients if patient.page}


def of_study(study: settings.Study, report_dir: Path) -> Cohort:
    """Return every patient with pictures, scores or answers; missing and damaged files are named.

    Worst first by the mean Dice of the fused volume over the three classes, those without last.
    ``chosen`` says who has a page. Nobody is shown where the study has no images, and that there
    are no files is no fault then.
    """
    if study.data.extent == "masks":
        return Cohort((), (records.NO_IMAGES,), ())
    pictures, faults = _all_pictures(report_dir)
    scores, score_faults = _table(report_dir, SCORE_TABLE, Score)
    answers, answer_faults = _table(report_dir, SLICE_TABLE, Answer)
    found = []
    for name in sorted({*pictures, *scores, *answers}):
        drawn, rows = pictures.get(name), (scores.get(name, ()), answers.get(name, ()))
        part = drawn.part if drawn else next(r.part for group in rows for r in group)
        found.append(Patient(name, f"patient-{name}", part, drawn, *rows))
    ranked = sorted(found, key=_worst_first)
    kept = chosen(ranked, study.report.patient_pages)
    patients = tuple(p if p.patient_id in kept else replace(p, page="") for p in ranked)
    return Cohort(patients, tuple(faults), (*score_faults, *answer_faults))


def chosen(patients: Sequence[Patient], most: int | None) -> set[str]:
    """Return who has a page of its own: everyone, or ``most`` from the worst to the best.

    First come those whose volume can be scrolled; then, by the Dice of the whole tumour in the
    fused volume, the worst, the best and evenly between them. A Dice that only stands for an
    empty mask ranks nobody; who has no rank comes last.
    """
    if most is None or len(patients) <= most:
        return {patient.patient_id for patient in patients}
    whole = [p for p in patients if p.pictures is not None and p.pictures.volume is not None][:most]
    others = [patient for patient in patients if patient not in whole]
    ranked = [patient for patient in ranked_by("WT", others) if patient.is_ranked]
    room = min(most - len(whole), len(ranked))
    # from the first to the last rank in equal steps; a single page is that of the worst
    places = [round(n * (len(ranked) - 1) / max(room - 1, 1)) for n in range(room)]
    unranked = [patient for patient in others if not patient.is_ranked]
    kept = [*whole, *(ranked[place] for place in places), *unranked][:most]
    return {patient.patient_id for patient in kept}


def ranked_by(region: str, patients: Iterable[Patient]) -> list[Patient]:
    """Return the patients with a Dice in ``region``, the worst first."""
    defined = [patient for patient in patients if not math.isnan(patient.dice(region))]
    return sorted(defined, key=lambda patient: (patient.dice(region), patient.patient_id))


def _worst_first(patient: Patient) -> tuple[int, bool, float, str]:
    place, mean = {"test": 0, "external": 1}.get(patient.part, 2), patient.dice("mean")
    # NaN is neither below nor above any number: it would leave the order to chance
    return place, math.isnan(mean), 0.0 if math.isnan(mean) else mean, patient.patient_id


def _mean(values: Iterable[float]) -> float:
    defined = [value for value in values if not math.isnan(value)]
    return fmean(defined) if defined else math.nan


def _all_pictures(report_dir: Path) -> tuple[dict[str, Pictures], list[str]]:
    """Return pictures by patient, and a sentence for each file that is missing or damaged."""
    found: dict[str, Pictures] = {}
    paths = sorted((report_dir / "patients").glob("*.json"))
    faults = [] if paths else ["There are no pictures: patients/ is empty; run notebook 05_fusion."]
    for path in paths:
        try:
            drawn = Pictures.model_validate_json(path.read_bytes())
        except ValueError:
            faults.append(f"patients/{path.name} cannot be read; run notebook 05_fusion again.")
        else:
            found[drawn.patient_id] = drawn
    return found, faults


Row = TypeVar("Row", Score, Answer)


def _table(
    report_dir: Path, name: str, kind: type[Row]
) -> tuple[dict[str, tuple[Row, ...]], list[str]]:
    """Return the rows of a table by patient, and what is wrong with it: then there are no rows."""
    try:
        rows = [kind.model_validate(row) for row in entries.rows(report_dir, name)]
    except RecordError as error:
        return {}, [f"{error}."]
    except ValueError:
        run = name.partition(".")[0]
        return {}, [f"tables/{name}.csv does not hold what it should; run notebook {run} again."]
    patient_of = attrgetter("patient_id")
    groups = groupby(sorted(rows, key=patient_of), key=patient_of)
    return {name: tuple(group) for name, group in groups}, []
