"""Two runs side by side on one page: what differs between their records, and cell by cell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gliomalib import settings
from gliomalib.provenance import write_atomic
from gliomalib.report import entries, pages
from gliomalib.report.compare import notebooks as reruns
from gliomalib.report.compare import records
from gliomalib.report.compare import runs as sides
from gliomalib.report.compare.notebooks import Cell, NotebookPair
from gliomalib.report.compare.runs import Side
from gliomalib.report.phrases import listed
from gliomalib.schema import SettingsError


@dataclass(frozen=True)
class Comparison:
    """All that the page shows of two runs."""

    a: Side
    b: Side
    values: Sequence[records.ValuePair]
    parameters: Sequence[records.Difference]
    origins: Sequence[records.Difference]
    verdicts: Sequence[records.Changed]
    notebooks: Sequence[NotebookPair]

    @property
    def same_study(self) -> bool:
        """Whether both are runs of one study, so that their cells can be laid side by side."""
        return self.a.studies == self.b.studies

    @property
    def same(self) -> bool:
        """Whether nothing differs and nothing is missing, a clock and the provenance aside."""
        kinds = {pair.kind for pair in self.values} - {"equal", "clock"}
        changed = [verdict for verdict in self.verdicts if not verdict.clock]
        lone = any(self.lone_values.values())
        cells = self.cells("differs") + self.cells("missing")
        return not (kinds or changed or lone or cells or self.parameters or self.missing)

    @property
    def lone_values(self) -> dict[str, dict[str, list[str]]]:
        """Side → run → names of the values that just this side has."""
        sides = ((self.a, self.b), (self.b, self.a))
        return {side.letter: records.lone_values(side, other) for side, other in sides}

    @property
    def missing(self) -> list[str]:
        """What cannot be read, and what one side has and the other has not, in sentences."""
        told = [f"{side.letter}: {fault}." for side in (self.a, self.b) for fault in side.faults]
        for side, other in ((self.a, self.b), (self.b, self.a)):
            for noun, theirs, names in (
                ("record", side.records, other.records),
                ("executed copy", side.notebooks, other.notebooks),
            ):
                if lacking := [name for name in names if name not in theirs]:
                    told.append(f"{side.letter} has no {noun} of {listed(lacking)}.")
        return told

    @property
    def absent(self) -> list[str]:
        """What the study should hold and neither side has, in sentences."""
        if len(self.a.studies) != 1 or not self.same_study:
            return []
        study = self.a.studies[0]
        try:
            wanted = entries.expected(settings.load(study))
        except SettingsError:
            return [f"There is no parameter file of {study}: what it should hold is not known."]
        absent = [run for run in wanted if run not in self.a.records and run not in self.b.records]
        return [f"Neither has a record of {listed(absent)}."] if absent else []

    @property
    def same_data(self) -> bool:
        """Whether all records of both state one and the same digest of the data."""
        both = [*self.a.records.values(), *self.b.records.values()]
        digests = {record.provenance.get("data_digest") for record in both}
        return len(digests) == 1 and None not in digests

    def cells(self, state: str) -> int:
        """Return how many cells of all notebooks are same, clock, differs or missing."""
        return sum(notebook.count(state) for notebook in self.notebooks)


def build(a: str, b: str, report_dir: str | Path, out: str | Path | None = None) -> Path:
    """Write the page of two runs and return its path: ``compare-<a>-<b>.html``, or ``out``.

    ``a`` and ``b`` are each the name of a study in ``report_dir``, where the page goes, or the
    folder of a report. Raises ``SettingsError`` where there is no such report, or both are the same
    folder, and ``RecordError`` where there is a folder without a record that can be read.
    """
    report_dir = Path(report_dir)
    folders = [sides.find(name, report_dir) for name in (a, b)]
    if folders[0] == folders[1]:
        raise SettingsError(f"{folders[0]}: A and B are this one folder; give two runs to compare")
    found = compare(sides.read("A", folders[0]), sides.read("B", folders[1]))
    path = Path(out) if out else report_dir / f"compare-{found.a.name}-{found.b.name}.html"
    return write_atomic(path, page(found))


def compare(a: Side, b: Side) -> Comparison:
    """Lay two runs side by side; their notebooks only where both are of one study."""
    return Comparison(
        a=a,
        b=b,
        values=records.values(a, b),
        parameters=records.parameters(a, b),
        origins=records.origins(a, b),
        verdicts=records.verdicts(a, b),
        notebooks=reruns.compare(a, b) if a.studies == b.studies else (),
    )


def page(found: Comparison) -> str:
    """Return the page; differing cells for which it has no room are named on it without more."""
    page, room = "", 0
    # the page without any of them says how much room is left
    for _ in range(2):
        fitting = replace(found, notebooks=_fitting(found.notebooks, room))
        page = pages.render(
            "compare.html.j2",
            found=fitting,
            n_shared=len(records.shared(found.a, found.b)),
            all_runs=sides.in_order([*found.a.records, *found.b.records]),
        )
        room = pages.MOST_BYTES - len(page.encode())
    return page


def _fitting(notebooks: Sequence[NotebookPair], room: int) -> list[NotebookPair]:
    """Return the notebooks with what differs in a cell as long as ``room`` (bytes) is left."""
    left = room
    kept = []
    for notebook in notebooks:
        cells: list[Cell] = []
        for cell in notebook.cells:
            fits = cell.size <= left
            left -= cell.size if fits else 0
            cells.append(cell if fits else replace(cell, lines=(), pictures=(), left_out=True))
        kept.append(replace(notebook, cells=tuple(cells)))
    return kept
