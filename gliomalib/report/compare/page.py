"""Two runs side by side on one page: what differs between their records, and cell by cell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from markupsafe import Markup

from gliomalib import settings
from gliomalib.provenance import write_atomic
from gliomalib.report import entries, pages
from gliomalib.report.compare import notebooks as reruns
from gliomalib.report.compare import records
from gliomalib.report.compare import runs as sides
from gliomalib.report.compare.notebooks import Cell, NotebookPair
from gliomalib.report.compare.runs import Side
from gliomalib.report.words import counted, listed
from gliomalib.schema import SettingsError

MOST_TEXT = (500_000, 100_000, 0)
"""Characters of differing lines on a page: the first of these with which it is small enough."""

SPARE = 100_000
"""Bytes kept free of pictures."""

KINDS = {
    "beyond": "Intervals apart",
    "open": "No interval to judge by",
    "within": "Intervals overlap",
    "clock": "Made by a clock: never counted as not reproduced",
}
"""Kinds of values that differ, the ones to read first at the top, with their headings."""


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
        changed = [one for one in self.verdicts if not one.clock]
        lone = any(self.lone_values.values())
        told = kinds or changed or lone or self.parameters or self.missing
        return not told and not self.cells("differs") and not self.cells("missing")

    @property
    def times(self) -> list[records.Time]:
        """Wall times of every run."""
        return records.times(self.a, self.b)

    @property
    def lone_values(self) -> dict[str, dict[str, list[str]]]:
        """Side → run → names of the values that just this side has."""
        pairs = ((self.a, self.b), (self.b, self.a))
        return {side.letter: records.lone_values(side, other) for side, other in pairs}

    @property
    def missing(self) -> list[str]:
        """What cannot be read, and what one side has and the other has not, in sentences."""
        told = [f"{side.letter}: {fault}." for side in (self.a, self.b) for fault in side.faults]
        for side, other in ((self.a, self.b), (self.b, self.a)):
            for what in ("records", "notebooks"):
                names = [n for n in getattr(other, what) if n not in getattr(side, what)]
                if names:
                    noun = "record" if what == "records" else "executed copy"
                    told.append(f"{side.letter} has no {noun} of {listed(names)}.")
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
        absent = [one for one in wanted if one not in self.a.records and one not in self.b.records]
        return [f"Neither has a record of {listed(absent)}."] if absent else []

    def of_kind(self, kind: str) -> list[records.ValuePair]:
        """Return the values of both that are equal, beyond, open, within or clock."""
        return [pair for pair in self.values if pair.kind == kind]

    def cells(self, state: str) -> int:
        """Return how many cells of all notebooks are same, clock, differs or missing."""
        return sum(notebook.count(state) for notebook in self.notebooks)


def build(a: str, b: str, report_dir: Path, out: Path | None = None) -> Path:
    """Write the page of two runs and return its path.

    Parameters
    ----------
    a, b
        Each the name of a study in ``report_dir``, or the folder of a report.
    report_dir
        The folder of all reports, where the page goes as ``compare-<a>-<b>.html``.
    out
        Another file for the page.

    Raises
    ------
    SettingsError
        Where there is no such report, or both are the same folder.
    RecordError
        Where there is a folder without a record that can be read.
    """
    folders = [sides.find(given, report_dir) for given in (a, b)]
    if folders[0] == folders[1]:
        raise SettingsError(f"{folders[0]}: A and B are this one folder; give two runs to compare")
    found = compare(sides.read("A", folders[0]), sides.read("B", folders[1]))
    path = out or report_dir / f"compare-{found.a.name}-{found.b.name}.html"
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
    """Return the page; differing lines and pictures for which it has no room are counted on it."""
    for most_text in MOST_TEXT:
        bare = _rendered(found, most_text, 0)
        room = pages.MOST_BYTES - len(bare.encode()) - SPARE
        if room > 0:
            break
    return _rendered(found, most_text, room)


def answer(found: Comparison) -> list[Markup]:
    """Return what the page says first: which runs these are, and how much came out the same."""
    told = [_studies(found), _data(found), _values(found), _clock(found), _rest(found)]
    told = [sentence for sentence in told if sentence]
    return [_outcome(found), *told] if found.same_study else told


def _rendered(found: Comparison, most_text: int, room: int) -> str:
    notebooks = _with_pictures(_with_text(found.notebooks, most_text), room)
    return pages.render(
        "compare.html.j2",
        found=replace(found, notebooks=notebooks),
        answer=answer(found),
        kinds=KINDS,
        rules=reruns.RULES,
        n_shared=len(records.shared(found.a, found.b)),
    )


def _with_text(notebooks: Sequence[NotebookPair], most: int) -> list[NotebookPair]:
    left = most
    kept = []
    for notebook in notebooks:
        cells: list[Cell] = []
        for cell in notebook.cells:
            size = sum(one.size for one in cell.differences)
            fits = size <= left
            left -= size if fits else 0
            cells.append(cell if fits else replace(cell, differences=(), left_out=("lines",)))
        kept.append(replace(notebook, cells=tuple(cells)))
    return kept


def _with_pictures(notebooks: Sequence[NotebookPair], room: int) -> list[NotebookPair]:
    """Keep the first pictures of every notebook, then the second ones, as long as there is room."""
    ranked = [
        (rank, place, cell, number)
        for place, notebook in enumerate(notebooks)
        for rank, (cell, number) in enumerate(
            (cell, number)
            for cell, one in enumerate(notebook.cells)
            for number in range(len(one.pictures))
        )
    ]
    kept, left = set(), room
    for _, *at in sorted(ranked):
        place, cell, number = at
        pair = notebooks[place].cells[cell].pictures[number]
        size = sum(len(one.address) + len(one.alt.encode()) + 200 for one in pair if one)
        if size <= left:
            kept.add((place, cell, number))
            left -= size
    return [
        replace(
            notebook,
            cells=tuple(
                _picked(one, [n for n in range(len(one.pictures)) if (place, cell, n) in kept])
                for cell, one in enumerate(notebook.cells)
            ),
        )
        for place, notebook in enumerate(notebooks)
    ]


def _picked(cell: Cell, numbers: Sequence[int]) -> Cell:
    lost = len(cell.pictures) - len(numbers)
    told = (counted(lost, "pair") + " of pictures",) if lost else ()
    pictures = tuple(cell.pictures[number] for number in numbers)
    return replace(cell, pictures=pictures, left_out=(*cell.left_out, *told))


# --- the first paragraph


def _named(side: Side) -> Markup:
    return Markup(" and ").join(Markup("<bdi>{}</bdi>").format(one) for one in side.studies)


def _outcome(found: Comparison) -> Markup:
    if found.same:
        what = "Of all that both have, the same" if found.absent else "The same"
        return Markup(f"{what} came out, but for what a clock or the provenance makes.")
    return Markup("Not everything came out the same.")


def _studies(found: Comparison) -> Markup:
    if found.same_study:
        return Markup("A and B are two runs of the study {}.").format(_named(found.a))
    return Markup(
        "A is the study {}, B the study {}: a value under one name is of other patients or other "
        "settings."
    ).format(_named(found.a), _named(found.b))


def _data(found: Comparison) -> Markup:
    a, b = found.a, found.b
    digests = [
        {record.provenance.get("data_digest") for record in s.records.values()} for s in (a, b)
    ]
    if digests[0] == digests[1] and len(digests[0]) == 1 and None not in digests[0]:
        return Markup("They were made on the same data, by digest.")
    if not (a.cases and b.cases):
        return Markup("Whether the data are the same is not known.")
    if a.cases == b.cases:
        return Markup(
            "Both list the same {}; the data digests differ, as they also do where the same files "
            "lie in another folder, so whether the voxels are the same is not known."
        ).format(counted(len(a.cases), "case"))
    both = len(set(a.cases) & set(b.cases))
    return Markup("They were made on other data: {} in A, {} in B, {} in both lists.").format(
        counted(len(a.cases), "case"), len(b.cases), both
    )


def _values(found: Comparison) -> Markup:
    judged = [pair.kind for pair in found.values if not pair.clock]
    ways = {
        "equal": "are equal",
        "within": "differ with intervals that overlap",
        "beyond": "differ with intervals apart",
        "open": "differ without two intervals to judge by",
    }
    told = [f"{judged.count(kind)} {way}" for kind, way in ways.items() if kind in judged]
    lone = {side: sum(map(len, runs.values())) for side, runs in found.lone_values.items()}
    alone = listed([f"{number} in {side}" for side, number in lone.items() if number])
    have = f"Of {counted(len(judged), 'value')} that both have, {listed(told)}."
    only = f" Others stand on one side alone: {alone}." if alone else ""
    return Markup((have if judged else "They have no value in common.") + only)


def _clock(found: Comparison) -> Markup:
    made = [pair.kind for pair in found.values if pair.clock]
    differ = f"{made.count('clock')} of them differ" if "clock" in made else "none of them differs"
    return Markup(
        f"A clock makes {counted(len(made), 'more value')}: {differ}; such values are compared "
        "and never counted as not reproduced."
        if made
        else ""
    )


def _rest(found: Comparison) -> Markup:
    told = []
    if found.a.verdicts and found.b.verdicts:
        decided = len(set(found.a.verdicts) | set(found.b.verdicts))
        changed = f"{len(found.verdicts)} of {counted(decided, 'verdict')} changed"
        told.append(f"{changed}." if found.verdicts else f"None of {decided} verdicts changed.")
    else:
        told.append("Verdicts cannot be compared: a table of them is missing.")
    names = sorted({one.name for one in found.origins})
    told.append(
        f"Of their origin differ: {listed(names)}." if names else "Their origin is the same."
    )
    if found.same_study:
        ways = {
            "same": "came out the same",
            "clock": "differ in nothing but what a clock or the provenance makes",
            "differs": "differ",
            "missing": "are missing or not executed on a side",
        }
        counts = [
            f"{found.cells(state)} {way}" for state, way in ways.items() if found.cells(state)
        ]
        told.append(f"Cell by cell, {listed(counts) or 'there is nothing to compare'}.")
    return Markup(" ").join(told)
