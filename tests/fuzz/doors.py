"""A door is where something of the user's comes in: a folder, a file, a table, a command line.

Whatever comes, it is taken for what it is or refused in one sentence of the project's own. A door
is tried with the faults of the past first and then with as many inputs as are asked for. What goes
wrong is kept by where it went wrong, each with the shortest input, and does not end the trial.
"""

import os
import re
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.strategies import SearchStrategy

from gliomalib.schema import GliomaError

SOAK = os.environ.get("GLIOMA_SOAK", "")
"""Empty for the tests; in a soak any text, and another number gives other inputs."""

INPUTS = 10_000 if SOAK else 500
SEED = int(SOAK) if SOAK.isdecimal() else 1
STEP = 200
"""Inputs between two lines of progress."""


@dataclass(frozen=True)
class Outcome:
    """What became of an input: whether any of it was refused, and all that was said of it."""

    refused: bool
    said: str = ""


@dataclass(frozen=True)
class Known:
    """A fault of the past: what came in, and words that must be said of it."""

    name: str
    input: Any
    says: tuple[str, ...] = ()


@dataclass(frozen=True)
class Door:
    """``attempt`` takes an input and an empty folder; what it raises is wrong."""

    name: str
    percent: int
    inputs: SearchStrategy[Any]
    attempt: Callable[[Any, Path], Outcome]
    corpus: tuple[Known, ...]


@dataclass
class Tally:
    """How many inputs were tried and refused, and what went wrong: place → the shortest input."""

    door: str
    tried: int = 0
    refused: int = 0
    n_wrong: int = 0
    wrong: dict[str, str] = field(default_factory=dict)

    def add(self, attempt: Callable[[], Outcome], name: str) -> None:
        """Count one attempt."""
        self.tried += 1
        try:
            self.refused += attempt().refused
        except Exception as error:
            self.n_wrong += 1
            place = _place(error)
            if len(name) < len(self.wrong.get(place, name + " ")):
                self.wrong[place] = name


def try_all(door: Door) -> Tally:
    """Return what became of the corpus of a door, and of its share of ``INPUTS``."""
    tally = Tally(door.name)
    for known in door.corpus:
        tally.add(lambda known=known: _known(door, known), f"{known.name}: {known.input!r}")

    # an input is not made smaller: the trial goes on, and the shortest of a kind is kept
    @seed(SEED)
    @settings(
        max_examples=max(1, INPUTS * door.percent // 100 - tally.tried),
        phases=[Phase.generate],
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(door.inputs)
    def trial(made: Any) -> None:
        tally.add(lambda: in_a_folder(door.attempt, made), repr(made))
        if SOAK and tally.tried % STEP == 0:
            sys.stderr.write(f"{line(tally)}\n")

    trial()
    return tally


def in_a_folder(attempt: Callable[[Any, Path], Outcome], made: Any) -> Outcome:
    """Return the outcome of an attempt in a folder of its own; a warning of ours is wrong."""
    with tempfile.TemporaryDirectory(prefix="door-") as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.filterwarnings("error", module="gliomalib")
        return attempt(made, Path(folder).resolve())


def _known(door: Door, known: Known) -> Outcome:
    outcome = in_a_folder(door.attempt, known.input)
    for words in known.says:
        assert words in outcome.said, f"{known.name}: {words!r} is not said in {outcome.said!r}"
    return outcome


def line(tally: Tally) -> str:
    """Return a row of the table that a soak prints."""
    return f"{tally.door:10} {tally.tried:7} {tally.refused:7} {tally.n_wrong:7}"


def table(tallies: list[Tally]) -> Iterator[str]:
    """Yield the lines that a soak prints: a row a door, all of them, and what went wrong."""
    yield f"{'door':10} {'tried':>7} {'refused':>7} {'wrong':>7}"
    yield from map(line, tallies)
    counts = [(tally.tried, tally.refused, tally.n_wrong) for tally in tallies]
    yield line(Tally("all", *map(sum, zip(*counts, strict=True))))
    for tally in tallies:
        yield from (f"{tally.door}: {place}\n  {made}" for place, made in tally.wrong.items())


def sentence(error: GliomaError, *paths: object) -> str:
    """Return what an error says, if it is one line; the names in ``paths`` may have several."""
    text = str(error)
    for path in paths:
        text = text.replace(str(path), "…")
    assert text.strip() and "\n" not in text, f"no sentence: {text!r}"
    return str(error)


def _place(error: Exception) -> str:
    """Return what was raised, and the last line of the project or of a door that it came from."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if re.search("/(gliomalib|fuzz)/", frame.filename)] or frames
    where = f"{Path(ours[-1].filename).name}:{ours[-1].lineno}"
    # neither the folder of an attempt nor a number makes it another fault
    what = re.sub(r"\S*/door-\w+|\d+(\.\d+)?", "…", str(error).strip())
    return f"{type(error).__name__} at {where}: {what.partition(chr(10))[0][:160]}"
