"""What two runs hold, and what their records say differently: parameters, values, verdicts, origin.

Nothing is tested here: two numbers are equal or not, and two printed intervals overlap or not.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gliomalib import inputs, records
from gliomalib.report import entries
from gliomalib.report.pages import ABSENT, TIMES
from gliomalib.report.phrases import dotted
from gliomalib.schema import Record, RecordError, SettingsError, Value, split_run_name

CLOCK_UNITS = {"s", "ms", "min", "h", "1/s"}
"""Units of values that a clock makes, in whatever notebook."""

CLOSE = 1e-9
"""Relative difference up to which two numbers of two records are one number."""

COUNTED = ("n_patients", "n_empty", "n_missed", "n_seeds", "unit")
"""What must be the same of two values beside the numbers."""


@dataclass(frozen=True)
class Side:
    """Run ``letter`` (A or B) as it was found, by the names of its records.

    ``verdicts`` are the rows of the verdict table by claim and its sentence, which another
    version may number otherwise. ``faults`` says in a sentence each what cannot be read.
    """

    letter: str
    folder: Path
    records: Mapping[str, Record]
    verdicts: Mapping[str, Mapping[str, str]]
    faults: tuple[str, ...]

    @property
    def label(self) -> str:
        """The folder; what is above it on this machine says nothing where the page is read."""
        return "/".join(["…", *self.folder.parts[-2:]])

    @property
    def studies(self) -> tuple[str, ...]:
        """The studies that its records name; more than one where somebody mixed them."""
        return tuple(sorted({record.study for record in self.records.values()}))


def find(given: str, report_dir: Path) -> Path:
    """Return the folder of a report: of a study in ``report_dir``, or the folder ``given``.

    Raises ``SettingsError`` where there are records in neither.
    """
    for folder in (report_dir / given, inputs.absolute(given)):
        if any(folder.glob("records/*.json")):
            return folder.resolve()
    known = sorted(path.parent.name for path in report_dir.glob("*/records"))
    raise SettingsError(
        f"there is no report {given!r} with records: take one of "
        f"{', '.join(known) or 'those to be made'} in {report_dir}, or the folder of a report"
    )


def read(letter: str, folder: Path) -> Side:
    """Read what is there of a run; what is damaged is named in its ``faults``.

    Raises ``RecordError`` where not one record can be read.
    """
    made, faults = entries.readable(folder, "records/*.json", records.read)
    if not made:
        raise RecordError(f"{folder}: not one record can be read: {faults[0]}")
    try:
        rows = entries.rows(folder, entries.VERDICTS)
    except RecordError as error:
        rows = []
        faults.append(str(error))
    verdicts = {f"{row['claim']} {row['statement']}": row for row in rows}
    return Side(letter, folder, made, verdicts, tuple(faults))


def in_order(names: Sequence[str]) -> list[str]:
    """Return the names of runs as a study runs them, each notebook before its variants."""
    return sorted(set(names), key=split_run_name)


@dataclass(frozen=True)
class Difference:
    """Something that A and B say differently, in the same two ways in each of ``runs``."""

    name: str
    a: str
    b: str
    runs: tuple[str, ...]


@dataclass(frozen=True)
class ValuePair:
    """A value of both runs. ``kind`` is equal, beyond, open, within or clock.

    ``clock``: a clock makes it, be it equal or not; ``beyond``: the intervals are apart;
    ``within``: they overlap; ``open``: one has none, so nothing says how far apart is far.
    ``notes`` says what else is not the same about it.
    """

    run: str
    name: str
    a: Value
    b: Value
    kind: str
    notes: tuple[str, ...]


class Verdicts(NamedTuple):
    """The rows of one claim in A and in B, empty where it was not judged."""

    a: Mapping[str, str]
    b: Mapping[str, str]


def shared(a: Side, b: Side) -> list[str]:
    """Return the names of the runs of which both sides have a record."""
    return in_order([name for name in a.records if name in b.records])


def differences(a: Side, b: Side, told: Callable[[Record], Mapping[str, str]]) -> list[Difference]:
    """Return what the records tell differently, by name, each pair of answers once."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for run in shared(a, b):
        left, right = told(a.records[run]), told(b.records[run])
        for name in dict.fromkeys([*left, *right]):
            answers = (left.get(name, ABSENT), right.get(name, ABSENT))
            if answers[0] != answers[1]:
                found.setdefault((name, *answers), []).append(run)
    return [Difference(*key, tuple(runs)) for key, runs in sorted(found.items())]


def parameters(record: Record) -> dict[str, str]:
    """Return the settings of a run by their dotted names, as text."""
    return {name: _text(value) for name, value in dotted(record.parameters).items()}


def values(a: Side, b: Side) -> list[ValuePair]:
    """Return every value that both have, by run and name, in the order of A."""
    return [
        _pair(run, value, other)
        for run in shared(a, b)
        for value in a.records[run].values
        for other in b.records[run].values
        if value.name == other.name
    ]


def lone_values(a: Side, b: Side) -> dict[str, dict[str, list[str]]]:
    """Return side → run → the names of the values that just this side has."""
    lone: dict[str, dict[str, list[str]]] = {a.letter: {}, b.letter: {}}
    for side, other in ((a, b), (b, a)):
        theirs = {(run, value.name) for run, made in other.records.items() for value in made.values}
        for run, record in side.records.items():
            if names := [v.name for v in record.values if (run, v.name) not in theirs]:
                lone[side.letter][run] = names
    return lone


def verdicts(a: Side, b: Side) -> list[Verdicts]:
    """Return the claims whose verdicts differ, and those that one side alone judged.

    Empty where a side has no verdict table: then there is nothing to compare.
    """
    if not (a.verdicts and b.verdicts):
        return []
    claims = dict.fromkeys([*a.verdicts, *b.verdicts])
    pairs = [Verdicts(a.verdicts.get(name, {}), b.verdicts.get(name, {})) for name in claims]
    return [pair for pair in pairs if pair.a.get("verdict") != pair.b.get("verdict")]


def clocked(pair: Verdicts) -> bool:
    """Say whether a clock decides this claim."""
    return any(row.get("notebook") == TIMES for row in pair)


def overlap(a: Value, b: Value) -> bool | None:
    """Say whether the intervals of two values overlap; None where one is missing or undefined."""
    if a.ci95 is None or b.ci95 is None or not all(map(math.isfinite, (*a.ci95, *b.ci95))):
        return None
    return max(a.ci95[0], b.ci95[0]) <= min(a.ci95[1], b.ci95[1])


def _text(value: Any) -> str:
    if isinstance(value, str):
        # a folder of one machine says nothing on another
        return f"/path/to/{Path(value).name}" if Path(value).is_absolute() else value
    return json.dumps(value, ensure_ascii=False)


def _pair(run: str, a: Value, b: Value) -> ValuePair:
    notes = [
        f"{name.removeprefix('n_')} {getattr(a, name) or 'none'} in A, "
        f"{getattr(b, name) or 'none'} in B"
        for name in COUNTED
        if getattr(a, name) != getattr(b, name)
    ]
    left, right = ((value.value, *(value.ci95 or ())) for value in (a, b))
    comparable = not notes and len(left) == len(right)
    if split_run_name(run)[0] == TIMES or {a.unit, b.unit} & CLOCK_UNITS:
        kind = "clock"
    elif comparable and np.allclose(left, right, rtol=CLOSE, atol=1e-12, equal_nan=True):
        kind = "equal"
    else:
        kind = {True: "within", False: "beyond", None: "open"}[overlap(a, b)]
    notes += ["made by a rule that is worded differently"] if a.rule != b.rule else []
    return ValuePair(run, a.name, a, b, kind, tuple(notes))
