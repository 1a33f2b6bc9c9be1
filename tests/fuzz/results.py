"""Records of every kind: what is read is what stands there, or the file is refused."""

import json
import math
import tempfile
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from gliomalib import records
from gliomalib.report import pages
from gliomalib.schema import Exclusion, RecordError
from tests.fuzz import edits
from tests.fuzz.doors import Door, Known, Outcome, sentence
from tests.report.small_study import make_record

NAME = "05_fusion"


@dataclass(frozen=True)
class Made:
    """A record with changes, or bytes in its place."""

    changes: tuple[edits.Edit, ...] = ()
    whole: bytes | None = None


@cache
def base() -> Any:
    """Return a sound record as its file holds it."""
    with tempfile.TemporaryDirectory() as folder:
        exclusion = Exclusion("P1", "brats2020", "damaged gzip", "fetch it again")
        path = records.write(make_record(NAME, exclusions=(exclusion,)), folder)
        return json.loads(path.read_text())


def attempt(made: Made, folder: Path) -> Outcome:
    """Read a record, and tell of it as the pages and the notebooks do."""
    path = records.record_path(folder, NAME)
    path.parent.mkdir()
    content = edits.edited(base(), made.changes)
    path.write_bytes(edits.as_json(content) if made.whole is None else made.whole)
    try:
        record = records.read(path)
    except RecordError as error:
        return Outcome(True, sentence(error, folder))
    assert made.whole is None
    records.value_table(record.values), records.versions_of(record), pages.origin(record)
    # under the name of its file: what a record calls itself may be no name of a file
    again = json.loads(
        records.write(replace(record, notebook=NAME, variant=""), folder).read_text()
    )
    for name in ("study", "device", "conclusion", "parameters", "claims"):
        assert _plain(again[name]) == _plain(content[name]), name
    numbers = [[entry["value"], entry["n_patients"]] for entry in content["values"]]
    assert [[v["value"], v["n_patients"]] for v in again["values"]] == numbers
    return Outcome(False)


def _plain(content: Any) -> Any:
    """Return content with the numbers that JSON has no word for as a record writes them."""
    if isinstance(content, dict):
        return {name: _plain(value) for name, value in content.items()}
    if isinstance(content, list):
        return [_plain(value) for value in content]
    finite = not isinstance(content, float) or math.isfinite(content)
    return content if finite else None


@st.composite
def files(draw: st.DrawFn) -> Made:
    """Return records with one or two faults, and files that are none."""
    if draw(st.integers(0, 9)) == 0:
        return Made(whole=draw(edits.RAW))
    return Made(draw(edits.edits(base())))


VALUE: edits.Place = ("values", 0, "value")
NO = ("not a record",)
DOOR = Door(
    "records",
    30,
    files(),
    attempt,
    (
        Known("a sound record", Made()),
        Known("nested too deep", Made(whole=edits.DEEP), ("recursion",)),
        Known("a list", Made(whole=b"[]"), NO),
        Known("a text for a number", Made(((VALUE, "<b>"),)), NO),
        Known("no finite number", Made(((VALUE, math.inf),)), NO),
        Known("an integer without end", Made(((VALUE, 10**400),)), NO),
        Known("an interval in letters", Made(((("values", 0, "ci95"), "ab"),)), NO),
        Known("settings in a list", Made(((("parameters",), [1]),)), NO),
        Known("a study in a list", Made(((("study",), ["small"]),)), NO),
        Known("versions in a list", Made(((("provenance", "versions"), ["torch"]),)), NO),
        Known("half a character", Made(((("conclusion",), "\ud800"),)), NO),
        Known("one key too many", Made(((("values", 0, "x"), 1),)), NO),
    ),
)
