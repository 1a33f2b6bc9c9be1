"""Two pages to try choices on: the weight α on single slices, and what the paper left open.

They show what notebooks 08 and 15 measured. Nothing is computed here but places on a picture; the
browser repeats the fusion itself, from the stored probabilities.
"""

import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import jinja2
from markupsafe import Markup
from pydantic import BaseModel, BeforeValidator, TypeAdapter

from gliomalib import records
from gliomalib.report import entries
from gliomalib.report.pages import Report, render
from gliomalib.report.patient_files import Picture
from gliomalib.report.site import CONTROLS
from gliomalib.schema import CLASS_COLOURS, CLASS_NAMES, RecordError
from gliomalib.verdicts import claims

DAMAGED = (RecordError, ValueError, KeyError, ArithmeticError, jinja2.UndefinedError)
"""What a page raises whose table holds something else."""

SLICES, CURVES = "08_alpha_sweep.slices", "08_alpha_sweep.curves"
CELLS = "15_specification_curve.cells"
TOP = 0.9995
"""Accuracies above are drawn here: an error of 0 has no logarithm."""

Apart = BeforeValidator(str.split)
log = logging.getLogger(__name__)


class Slice(BaseModel, frozen=True, extra="allow"):
    """A row of ``gliomalib.figures.alpha_slices.table``; the script reads the other columns."""

    own: Annotated[tuple[float, ...], Apart]
    flair: Picture
    pictures: Annotated[tuple[Picture, ...], Apart]


@dataclass(frozen=True)
class Frame:
    """Where values from ``low`` to ``high`` are drawn, between the edges of a picture."""

    low: float
    high: float
    left: float = 60
    right: float = 632
    top: float = 12
    bottom: float = 232

    def x(self, share: float) -> float:
        """Return the place of a share of the way from left to right."""
        return round(self.left + share * (self.right - self.left), 1)

    def y(self, value: float) -> float:
        """Return the height of a value; one outside of the frame lies on its edge."""
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return round(self.bottom - share * (self.bottom - self.top), 1)

    def line(self, shares: Sequence[float], values: Sequence[float]) -> str:
        """Return the path through points; those that are not defined are left out."""
        points = [p for p in zip(shares, values, strict=True) if not math.isnan(p[1])]
        return "L".join(f"{self.x(share)} {self.y(value)}" for share, value in points)


def every_page(report: Report, report_dir: Path) -> Iterator[tuple[str, str]]:
    """Yield name and content of each page whose table is there; of a damaged one it says so."""
    for table, page in ((SLICES, alpha_page), (CELLS, multiverse_page)):
        place, title = CONTROLS[table]
        if records.table_path(report_dir, table).is_file():
            try:
                content = page(report, report_dir)
            except DAMAGED as error:
                log.warning("%s of %s cannot be tried: %s", title, report.study.study, error)
                content = render("damaged.html.j2", place, report=report, name=title, table=table)
            yield Path(place).stem, content


def alpha_page(report: Report, report_dir: Path) -> str:
    """Return the page on which α is dragged; raises where a table of notebook 08 is damaged."""
    slices = TypeAdapter(list[Slice]).validate_python(entries.rows(report_dir, SLICES))
    if not slices:
        raise RecordError(f"tables/{SLICES}.csv has no row; run notebook 08_alpha_sweep again")
    curve = [row for row in entries.rows(report_dir, CURVES) if row["region"] == "mean"]
    alphas = [float(row["alpha"]) for row in curve]
    mean, low, high = zip(*(_measured(row, "dice") for row in curve), strict=True)
    drawn = [*mean, *low, *high, *(dice for of_slice in slices for dice in of_slice.own)]
    tenths = [10 * dice for dice in drawn if not math.isnan(dice)]
    frame = Frame(math.floor(min(tenths)) / 10, math.floor(max(tenths) + 1) / 10)
    data = {"alphas": alphas, "mean": mean, "ends": [low, high], "slices": slices, "frame": frame}
    return render(
        "alpha.html.j2",
        CONTROLS[SLICES][0],
        report=report,
        plan=report.as_run("08_alpha_sweep"),
        **data,
        patients=curve[0]["patients"],
        band=frame.line([*alphas, *alphas[::-1]], [*high, *low[::-1]]),
        classes=dict(zip(CLASS_NAMES, CLASS_COLOURS, strict=True)),
        data=_embedded(data),
    )


def multiverse_page(report: Report, report_dir: Path) -> str:
    """Return the page of specifications; raises where the table of notebook 15 is damaged."""
    # slow: brings torch and scikit-learn
    from gliomalib.experiments.metric_forensics import POINT  # noqa: PLC0415
    from gliomalib.experiments.specifications import CHOICES, TITLES  # noqa: PLC0415

    # of the paper with which notebook 15 compares, whatever the study examines
    printed = claims.printed(claims.load(), notebook="06_train_resnet50")["accuracy"]
    examined = claims.paper()
    whose = "The paper" if report.paper == examined else f"T{examined.short[1:]}"
    rows = entries.rows(report_dir, CELLS)
    if not rows:
        raise RecordError(
            f"tables/{CELLS}.csv has no row; run notebook 15_specification_curve again"
        )
    measured = [_measured(row, "accuracy") for row in rows]
    lowest = min(printed - POINT, *(value for value, *_ in measured))
    frame = Frame(height(lowest), height(TOP), bottom=300)
    cells = []
    for place, (row, numbers) in enumerate(zip(rows, measured, strict=True)):
        y, low, high = (frame.y(height(number)) for number in numbers)
        drawn = {"x": frame.x((place + 0.5) / len(rows)), "y": y, "low": low, "high": high}
        chosen = {choice: row[choice] for choice in CHOICES}
        cells.append({"chosen": chosen, "is": numbers, "at": drawn})
    data = {"cells": cells, "printed": printed, "point": POINT}
    drawn_by = {"frame": frame, "height": height, "choices": CHOICES, "titles": TITLES}
    drawn_by |= {"report": report, "whose": whose}
    context: dict[str, Any] = {**data, **drawn_by, "data": _embedded(data)}
    return render("multiverse.html.j2", CONTROLS[CELLS][0], **context)


def height(accuracy: float) -> float:
    """Return where an accuracy is drawn: 90, 99 and 99.9 % are equally far apart."""
    return -math.log10(1 - min(accuracy, TOP))


def _measured(row: dict[str, str], name: str) -> tuple[float, float, float]:
    value, low, high = (float(row[column] or "nan") for column in (name, "low", "high"))
    return value, low, high


def _embedded(data: Any) -> Markup:
    """Return data as JSON that may stand in a script; what is no number becomes null."""
    return Markup(TypeAdapter(Any).dump_json(data).decode().replace("<", r"\u003c"))
