"""Whatever comes in at a door is taken for what it is, or refused in one sentence.

``make soak`` tries 10,000 inputs and prints what became of them; the tests try 500.
"""

import sys
from collections.abc import Iterator

import pytest

from tests.fuzz import commands, doors, headers, masks, studies, tables, trees
from tests.fuzz.doors import Door, Tally

DOORS = tuple(door.DOOR for door in (trees, headers, tables, masks, studies, commands))


@pytest.fixture(scope="module")
def tallies() -> Iterator[list[Tally]]:
    """Gather what became of the inputs; a soak prints it at the end."""
    made: list[Tally] = []
    yield made
    if doors.SOAK and made:
        sys.stderr.write("\n" + "\n".join(doors.table(made)) + "\n")


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.name)
def test_nothing_goes_wrong_at(door: Door, tallies: list[Tally]) -> None:
    tally = doors.try_all(door)
    tallies.append(tally)
    assert not tally.wrong, "\n".join(doors.table([tally]))
    assert tally.tried >= doors.INPUTS * door.percent // 100
    assert 0 < tally.refused < tally.tried


def test_every_input_has_its_door() -> None:
    assert sum(door.percent for door in DOORS) == 100
