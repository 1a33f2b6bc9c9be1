"""What was measured: a value for each row of ``rows.yml``, or why there is none."""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

import yaml

from gliomalib import provenance

ROWS = Path(__file__).with_name("rows.yml")


@dataclass(frozen=True)
class Row:
    """A row as it is declared, and what came out: seconds of both, or a reason for none."""

    key: str
    what: str
    peer: str
    unit: str
    at_least: float | None = None
    at_most: float | None = None
    value: float | None = None
    ours: float | None = None
    theirs: float | None = None
    note: str = ""

    @property
    def reach(self) -> float:
        """The value from which, or up to which, the row is met."""
        return float(self.at_least if self.at_most is None else self.at_most)  # type: ignore[arg-type]

    @property
    def score(self) -> float | None:
        """How far beyond its reach the value is: from 1 on the row is met."""
        if self.value is None:
            return None
        return self.reach / self.value if self.at_least is None else self.value / self.reach

    @property
    def outcome(self) -> str:
        """Say in words whether the row is met, missed or did not run."""
        if self.score is None:
            return "did not run"
        return "met" if self.score >= 1 else "missed"


@dataclass(frozen=True)
class Pair:
    """Seconds of the fastest run of our way and of its peer's."""

    ours: float
    theirs: float

    @property
    def times_as_fast(self) -> float:
        """How many times the speed of the peer ours is."""
        return self.theirs / self.ours


def seconds(work: Callable[[], object]) -> float:
    """Return the seconds that ``work`` takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def in_turn(ours: Callable[[], object], theirs: Callable[[], object], runs: int = 5) -> Pair:
    """Time both in turn, once for nothing, so that a machine that slows down slows both."""
    return alternated(partial(seconds, ours), partial(seconds, theirs), runs)


def alternated(ours: Callable[[], float], theirs: Callable[[], float], runs: int = 5) -> Pair:
    """Do as `in_turn` with what times itself: each returns seconds, as ``Peer.seconds`` does."""
    ours(), theirs()
    return paired([(ours(), theirs()) for _ in range(runs)])


def paired(seconds_of_both: Sequence[tuple[float, float]]) -> Pair:
    """Return the fastest of several runs, ours and its peer's.

    What else a machine does only makes a run slower: as Python's ``timeit`` says, the fastest is
    nearest to what the work takes, for both.
    """
    return Pair(*map(min, zip(*seconds_of_both, strict=True)))


@dataclass
class Ledger:
    """The rows in their order, filled one by one."""

    rows: dict[str, Row] = field(default_factory=dict)

    @classmethod
    def declared(cls) -> "Ledger":
        """Return the rows of ``rows.yml``, none of them run."""
        declared = yaml.safe_load(ROWS.read_text(encoding="utf-8"))
        return cls({key: Row(key, **row) for key, row in declared.items()})

    def compared(self, key: str, pair: Pair, note: str = "") -> None:
        """Fill a row with a ratio, turned as its reach wants it."""
        row = self.rows[key]
        value = pair.times_as_fast if row.at_most is None else 1 / pair.times_as_fast
        self._fill(key, value=value, ours=pair.ours, theirs=pair.theirs, note=note)

    def measured(self, key: str, value: float, note: str = "") -> None:
        """Fill a row with a value in its own unit."""
        self._fill(key, value=value, note=note)

    def at_worst(self, key: str, value: float, note: str) -> None:
        """Fill a row of several measurements with the largest of them."""
        if self.rows[key].value is None or value > self.rows[key].value:  # type: ignore[operator]
            self.measured(key, value, note)

    def skipped(self, key: str, reason: str) -> None:
        """Say why a row did not run."""
        self._fill(key, note=reason)

    def _fill(self, key: str, **measured: float | str | None) -> None:
        self.rows[key] = Row(**{**asdict(self.rows[key]), **measured})  # type: ignore[arg-type]

    def lines(self) -> list[str]:
        """Return a line a row for the terminal."""
        return [
            f"{row.outcome:12}{'' if row.value is None else f'{row.value:8.2f}'} {row.unit:16}"
            f"{'≤' if row.at_least is None else '≥'} {row.reach:g}  {row.what}; {row.peer}"
            f"{f' ({row.note})' if row.note else ''}"
            for row in self.rows.values()
        ]

    def content(self) -> str:
        """Return all rows as JSON, with the machine and the commit."""
        rows = [{**asdict(row), "outcome": row.outcome} for row in self.rows.values()]
        origin = {
            "commit": provenance.commit(),
            "hardware": provenance.hardware(),
            "versions": provenance.versions(),
        }
        return json.dumps({"rows": rows, **origin}, indent=1, ensure_ascii=False) + "\n"
