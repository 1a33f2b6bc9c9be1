"""Two runs side by side on one page: what their records say differently.

Nothing is tested here: two numbers are equal or not, and two printed intervals overlap or not.
"""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from gliomalib import inputs, records
from gliomalib.parameters import LAST_NOTEBOOK
from gliomalib.provenance import write_atomic
from gliomalib.report import compare_tables, entries, pages
from gliomalib.report.compare_tables import CLOSE, TablePair
from gliomalib.report.pages import ABSENT, TIMES
from gliomalib.report.phrases import dotted, listed, portable
from gliomalib.schema import Record, RecordError, SettingsError, Value, split_run_name

CLOCK_UNITS = {"s", "ms", "min", "h", "1/s"}
"""Units of values that a clock makes, in whatever notebook."""

KINDS = {
    "within": "intervals overlap",
    "beyond": "intervals apart",
    "open": "without two intervals",
}
"""How two values differ → what that is called."""

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
    verdicts: dict[str, dict[str, str]]
    faults: tuple[str, ...]

    @property
    def label(self) -> str:
        """The folder; what is above it on this machine says nothing where the page is read."""
        return "/".join(["…", *self.folder.parts[-2:]])

    @property
    def studies(self) -> tuple[str, ...]:
        """The studies that its records name; more than one where somebody mixed them."""
        return tuple(sorted({record.study for record in self.records.values()}))

    @cached_property
    def tables(self) -> dict[str, dict[str, Path]]:
        """The files of the tables that each run left, by run and name."""
        paths = {run: records.tables_of(self.folder, run) for run in self.records}
        return {run: {path.name.split(".csv")[0]: path for path in paths[run]} for run in paths}


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


@dataclass(frozen=True)
class Comparison:
    """All that the page shows of two runs."""

    a: Side
    b: Side

    @cached_property
    def shared(self) -> list[str]:
        """The runs of which both sides have a record."""
        return sorted(self.a.records.keys() & self.b.records.keys(), key=split_run_name)

    @cached_property
    def values(self) -> list[ValuePair]:
        """Every value that both have, by run and name, in the order of A."""
        return [
            _pair(run, value, other)
            for run in self.shared
            for value in self.a.records[run].values
            for other in self.b.records[run].values
            if value.name == other.name
        ]

    @cached_property
    def tables(self) -> list[TablePair]:
        """Every table that both left."""
        pairs = [(run, self.a.tables[run], self.b.tables[run]) for run in self.shared]
        return [
            compare_tables.pair(run, name, left[name], right[name])
            for run, left, right in pairs
            for name in left
            if name in right
        ]

    @cached_property
    def lone_values(self) -> dict[str, dict[str, list[str]]]:
        """Side → run → the names of the values that just this side has."""
        lone: dict[str, dict[str, list[str]]] = {self.a.letter: {}, self.b.letter: {}}
        both = {(pair.run, pair.name) for pair in self.values}
        for side in (self.a, self.b):
            for run, record in side.records.items():
                if names := [v.name for v in record.values if (run, v.name) not in both]:
                    lone[side.letter][run] = names
        return lone

    @cached_property
    def parameters(self) -> list[Difference]:
        """The settings, by their dotted names, that are not the same."""
        return self._differences(_parameters)

    @cached_property
    def origins(self) -> list[Difference]:
        """What is not the same of commit, lock, code, data, versions, seed and device."""
        return self._differences(pages.origin)

    @cached_property
    def verdicts(self) -> list[tuple[Mapping[str, str], Mapping[str, str]]]:
        """The rows in A and in B of each claim whose verdicts differ, empty where it has none.

        No claim differs where a side has no verdict table: then there is nothing to compare.
        """
        a, b = self.a.verdicts, self.b.verdicts
        pairs = [(a.get(name, {}), b.get(name, {})) for name in (a | b if a and b else ())]
        return [(row, twin) for row, twin in pairs if row.get("verdict") != twin.get("verdict")]

    @property
    def same(self) -> bool:
        """Whether nothing differs and nothing is missing, a clock and the provenance aside."""
        kinds = {pair.kind for pair in self.values} - {"equal", "clock"}
        changed = [p for p in self.verdicts if TIMES not in [row.get("notebook") for row in p]]
        lone = any(self.lone_values.values())
        tables = [pair for pair in self.tables if pair.kind == "differs"]
        return not (kinds or changed or lone or tables or self.parameters or self.missing)

    @property
    def missing(self) -> list[str]:
        """What cannot be read, and what one side has and the other has not, in sentences."""
        sides = (self.a, self.b)
        sentences = [f"{side.letter}: {fault}." for side in sides for fault in side.faults]
        for side, other in ((self.a, self.b), (self.b, self.a)):
            if lacking := [name for name in other.records if name not in side.records]:
                sentences.append(f"{side.letter} has no record of {listed(lacking)}.")
            left = {name for run in self.shared for name in other.tables[run]}
            if tables := sorted(left.difference(*(side.tables[run] for run in self.shared))):
                sentences.append(f"{side.letter} has no table {listed(tables)}.")
        return sentences

    def _differences(self, told: Callable[[Record], Mapping[str, str]]) -> list[Difference]:
        """Return what the records tell differently, by name, each pair of answers once."""
        found: dict[tuple[str, str, str], list[str]] = {}
        for run in self.shared:
            left, right = told(self.a.records[run]), told(self.b.records[run])
            for name in dict.fromkeys([*left, *right]):
                answers = (left.get(name, ABSENT), right.get(name, ABSENT))
                if answers[0] != answers[1]:
                    found.setdefault((name, *answers), []).append(run)
        return [Difference(*key, tuple(runs)) for key, runs in sorted(found.items())]


def sentences(found: Comparison) -> list[str]:
    """Return a line for each value and table that differs or is missing, then how many did not."""
    lines = [*found.missing]
    for pair in (pair for pair in found.values if pair.kind in KINDS):
        how = ", ".join((KINDS[pair.kind], *pair.notes))
        by = f"{pair.b.value - pair.a.value:.2g}, {pair.a.value:.6g} became {pair.b.value:.6g}"
        lines.append(f"{pair.run}: {pair.name} differs by {by} ({how})")
    lines += [f"table {pair.name}: differs {pair.how}" for pair in found.tables if pair.how]
    for letter, runs in found.lone_values.items():
        there = {run: names for run, names in runs.items() if run in found.shared}
        lines += [f"{run}: only {letter} has {listed(names)}" for run, names in there.items()]
    for row, twin in found.verdicts:
        verdicts = [each.get("verdict", "not judged") for each in (row, twin)]
        lines.append(f"claim {(row or twin)['claim']}: {' became '.join(verdicts)}")
    changed = (*found.parameters, *found.origins)
    lines += [f"{each.name}: {each.a} became {each.b}" for each in changed]
    for what, pairs in (("values", found.values), ("tables", found.tables)):
        kinds = [pair.kind for pair in pairs]
        same, clocks = kinds.count("equal"), kinds.count("clock")
        lines.append(
            f"{what}: {same} the same, {len(kinds) - same - clocks} different, {clocks} of a clock"
        )
    return lines


def build(a: str, b: str, report_dir: str | Path, out: str | Path | None = None) -> Path:
    """Write the page of two runs and return its path: ``compare-<a>-<b>.html``, or ``out``.

    ``a`` and ``b`` are each the name of a study in ``report_dir``, where the page goes, or the
    folder of a report. Raises ``SettingsError`` where there is no such report, or both are the same
    folder, and ``RecordError`` where no record can be read.
    """
    report_dir = Path(report_dir)
    folders = [find(name, report_dir) for name in (a, b)]
    if folders[0] == folders[1]:
        raise SettingsError(f"{folders[0]}: A and B are this one folder; give two runs to compare")
    page = page_of(Comparison(read("A", folders[0]), read("B", folders[1])))
    path = Path(out) if out else report_dir / f"compare-{folders[0].name}-{folders[1].name}.html"
    return write_atomic(path, page)


def page_of(found: Comparison) -> str:
    """Return the page of two runs."""
    return pages.render("compare.html.j2", found=found)


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
    made, faults = entries.readable(folder)
    if not made:
        raise RecordError(f"{folder}: not one record can be read: {faults[0]}")
    try:
        rows = entries.rows(folder, entries.VERDICTS, entries.VERDICT_COLUMNS)
    except RecordError as error:
        rows = []
        # a run up to some notebook has no verdicts yet
        faults += [str(error)] if LAST_NOTEBOOK in made else []
    verdicts = {f"{row['claim']} {row['statement']}": row for row in rows}
    return Side(letter, folder, made, verdicts, tuple(faults))


def overlap(a: Value, b: Value) -> bool | None:
    """Say whether the intervals of two values overlap; None where one is missing or undefined."""
    if a.ci95 is None or b.ci95 is None or not all(map(math.isfinite, (*a.ci95, *b.ci95))):
        return None
    return max(a.ci95[0], b.ci95[0]) <= min(a.ci95[1], b.ci95[1])


def _parameters(record: Record) -> dict[str, str]:
    settings = {name: portable(value) for name, value in dotted(record.parameters).items()}
    return {
        name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for name, value in settings.items()
    }


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
