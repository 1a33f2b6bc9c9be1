"""Two runs side by side on one page: what differs between their records."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gliomalib.provenance import write_atomic
from gliomalib.report import pages
from gliomalib.report.compare import records
from gliomalib.report.compare.records import Side
from gliomalib.report.phrases import listed
from gliomalib.schema import SettingsError


@dataclass(frozen=True)
class Comparison:
    """All that the page shows of two runs."""

    a: Side
    b: Side
    values: Sequence[records.ValuePair]
    lone_values: dict[str, dict[str, list[str]]]
    parameters: Sequence[records.Difference]
    origins: Sequence[records.Difference]
    verdicts: Sequence[records.Verdicts]

    @property
    def same(self) -> bool:
        """Whether nothing differs and nothing is missing, a clock and the provenance aside."""
        kinds = {pair.kind for pair in self.values} - {"equal", "clock"}
        changed = [pair for pair in self.verdicts if not records.clocked(pair)]
        lone = any(self.lone_values.values())
        return not (kinds or changed or lone or self.parameters or self.missing)

    @property
    def missing(self) -> list[str]:
        """What cannot be read, and what one side has and the other has not, in sentences."""
        sentences = [
            f"{side.letter}: {fault}." for side in (self.a, self.b) for fault in side.faults
        ]
        for side, other in ((self.a, self.b), (self.b, self.a)):
            if lacking := [name for name in other.records if name not in side.records]:
                sentences.append(f"{side.letter} has no record of {listed(lacking)}.")
        return sentences


def build(a: str, b: str, report_dir: str | Path, out: str | Path | None = None) -> Path:
    """Write the page of two runs and return its path: ``compare-<a>-<b>.html``, or ``out``.

    ``a`` and ``b`` are each the name of a study in ``report_dir``, where the page goes, or the
    folder of a report. Raises ``SettingsError`` where there is no such report, or both are the same
    folder, and ``RecordError`` where no record can be read.
    """
    report_dir = Path(report_dir)
    folders = [records.find(name, report_dir) for name in (a, b)]
    if folders[0] == folders[1]:
        raise SettingsError(f"{folders[0]}: A and B are this one folder; give two runs to compare")
    found = compare(records.read("A", folders[0]), records.read("B", folders[1]))
    path = Path(out) if out else report_dir / f"compare-{folders[0].name}-{folders[1].name}.html"
    return write_atomic(path, page(found))


def compare(a: Side, b: Side) -> Comparison:
    """Lay two runs side by side."""
    return Comparison(
        a=a,
        b=b,
        values=records.values(a, b),
        lone_values=records.lone_values(a, b),
        parameters=records.differences(a, b, records.parameters),
        origins=records.differences(a, b, pages.origin),
        verdicts=records.verdicts(a, b),
    )


def page(found: Comparison) -> str:
    """Return the page."""
    return pages.render(
        "compare.html.j2",
        found=found,
        clocked=records.clocked,
        n_shared=len(records.shared(found.a, found.b)),
        all_runs=records.in_order([*found.a.records, *found.b.records]),
    )
