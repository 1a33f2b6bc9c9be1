"""A page for each statement: what was said, what was known, by which rule, and what changes it."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from gliomalib.report import evidence
from gliomalib.report.pages import Report, render
from gliomalib.report.statements import Number, Statement
from gliomalib.verdicts import decisions, outcome

MARGIN = 0.08
"""Share of a drawn line that stays free on either side."""


@dataclass(frozen=True)
class Mark:
    """A number on a line: of what it is, where in percent of its length, how it reads."""

    kind: str
    at: float
    text: str


@dataclass(frozen=True)
class Line:
    """A number on a line with its interval, beside what it is compared with.

    ``start`` and ``width`` of the interval are percentages of the line, the width 0 without one.
    """

    marks: tuple[Mark, ...]
    start: float
    width: float


def every_page(report: Report) -> Iterator[tuple[str, str]]:
    """Yield the name (without ending) and the HTML of the page of each statement."""
    paged = [statement for statement in report.statements if statement.page]
    around = [None, *paged, None]
    for statement, before, after in zip(paged, around, around[2:], strict=False):
        claim = statement.claim
        picture = evidence.figure(report, claim.run, claim.figure) if claim else ""
        context = {
            "one": statement,
            "around": (before, after),
            "picture": Markup(picture),
            "line": line(statement),
            "changes": changes(report, statement),
            "columns": outcome.RECIPE,
        }
        place = f"html/{statement.page}.html"
        yield statement.page, render("claim.html.j2", place, report=report, **context)


def line(statement: Statement) -> Line | None:
    """Return a statement's number on a line, None where there is no number to draw."""
    claim, obtained = statement.claim, statement.obtained
    if claim is None or obtained is None or isinstance(claim.decision, decisions.Found):
        return None
    value = obtained.value.value
    if math.isnan(value):
        return None
    numbers = [("obtained", value)]
    numbers += [("limit", limit) for limit in decisions.limits(claim.decision, claim.compared)]
    numbers += [("reference", claim.compared)] if claim.compared is not None else []
    ends = decisions.interval(obtained.value) or (value, value)
    place = _scale([*ends, *(number for _, number in numbers)])
    marks = tuple(Mark(kind, place(number), claim.shown(number)) for kind, number in numbers)
    start, end = map(place, ends)
    return Line(marks, start, round(end - start, 2))


def changes(report: Report, statement: Statement) -> list[tuple[str, Number]]:
    """Return what the number is under other choices, with the name of each.

    Those are the values of the same record whose name goes on behind the statement's, such as
    another rule for empty masks or one grade alone, and its value in each variant of the notebook.
    """
    if statement.claim is None:
        return []
    run, name = statement.claim.run, statement.claim.value
    values = report.records[run].values if run in report.records else ()
    named = [value.name for value in values if value.name.startswith(f"{name}_")]
    others = [(run, each, each.removeprefix(f"{name}_").replace("_", " ")) for each in named]
    others += [
        (entry.name, name, entry.variant or "the study's own run")
        for entry in report.entries
        if entry.notebook == statement.claim.notebook and entry.name != run
    ]
    numbers = [(label, report.number(where, which)) for where, which, label in others]
    return [(label, number) for label, number in numbers if number]


def _scale(numbers: Sequence[float]) -> Callable[[float], float]:
    """Return what puts a number on a line with room for all of them, in percent of its length."""
    low, high = min(numbers), max(numbers)
    span = (high - low) or abs(high) or 1.0
    return lambda number: round(100 * (MARGIN + (number - low) / span * (1 - 2 * MARGIN)), 2)
