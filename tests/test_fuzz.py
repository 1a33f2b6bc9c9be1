"""Whatever comes in at a door is taken for what it is, or refused in one sentence.

``make soak`` tries 17,000 inputs and prints what became of them; the tests try 850.
"""

import sys
from collections.abc import Iterator

import pytest

from tests.fuzz import (
    checkpoints,
    commands,
    doors,
    headers,
    masks,
    published,
    reports,
    results,
    studies,
    tables,
    trees,
)
from tests.fuzz.doors import Door, Tally

DATA = tuple(door.DOOR for door in (trees, headers, tables, masks, studies, commands))
RESULTS = tuple(door.DOOR for door in (checkpoints, results, reports, published))
"""Doors of what the user brings, and of what an earlier run or somebody else has left."""


@pytest.fixture(scope="module")
def tallies() -> Iterator[list[Tally]]:
    """Gather what became of the inputs; a soak prints it at the end."""
    made: list[Tally] = []
    yield made
    if doors.SOAK and made:
        sys.stderr.write("\n" + "\n".join(doors.table(made)) + "\n")


@pytest.mark.parametrize("door", DATA + RESULTS, ids=lambda door: door.name)
def test_nothing_goes_wrong_at(door: Door, tallies: list[Tally]) -> None:
    tally = doors.try_all(door)
    tallies.append(tally)
    assert not tally.wrong, "\n".join(doors.table([tally]))
    assert tally.tried >= doors.INPUTS * door.percent // 100
    assert 0 < tally.refused < tally.tried


def test_every_input_has_its_door() -> None:
    # of as many again the doors of results have their share on top
    assert sum(door.percent for door in DATA) == 100
    assert sum(door.percent for door in RESULTS) == 70
