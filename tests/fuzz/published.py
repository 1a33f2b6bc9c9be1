"""Files of a paper's claims: each claim is judged and told as its file says, or it is refused."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from hypothesis import strategies as st

from gliomalib import settings
from gliomalib.provenance import PROJECT_DIR
from gliomalib.report import references
from gliomalib.schema import SettingsError, Value
from gliomalib.verdicts import claims, judge, outcome
from tests.fuzz import bombs, edits
from tests.fuzz.doors import Door, Known, Outcome, sentence
from tests.report.small_study import make_record

SOURCE = PROJECT_DIR / "tests" / "reference" / "next-paper.yml"
ACT = "!!python/object/apply:os.mkdir [{fired}]"
"""A tag by which an unsafe loader would act."""

LAUGHS = "".join(
    f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9) if n else 'x'}]\n" for n in range(12)
)
"""Twelve lines that mean 30 billion values."""


@dataclass(frozen=True)
class Made:
    """Changes to a sound file, lines behind it, or bytes in its place."""

    changes: tuple[edits.Edit, ...] = ()
    lines: str = ""
    whole: bytes | None = None


@cache
def base() -> Any:
    """Return a sound file of claims as plain values: two claims, a reference, a gate."""
    content = yaml.safe_load(SOURCE.read_text())
    first, *_, last = content["claims"]
    first = {**first, "figure": "dice", "gate": {"notebook": "05_fusion", "value": "passed"}}
    last = {**last, "reference": {"value": 12.5, "source": "others"}}
    return {**content, "claims": [first, last]}


def content(made: Made, fired: Path) -> bytes:
    """Return the bytes of a file; what would act in it makes ``fired``."""
    if made.whole is not None:
        return made.whole
    text = yaml.safe_dump(edits.edited(base(), made.changes), sort_keys=False)
    return (text + made.lines.replace("{fired}", str(fired))).encode()


def attempt(made: Made, folder: Path) -> Outcome:
    """Read a file of claims, judge each on a record that has its number, and tell of it."""
    path, fired = folder / "published.yml", folder / bombs.FIRED
    path.write_bytes(content(made, fired))
    try:
        stated, paper = claims.load(path), claims.paper(path)
    except SettingsError as error:
        return Outcome(True, sentence(error, folder))
    finally:
        assert not fired.exists(), "what stands in the file was run"
    assert made.whole is None
    study = settings.load("smoke")
    runs = {claim.run: [] for claim in stated}
    for claim in stated:
        runs[claim.run].append(Value(claim.value, 0.5, (0.4, 0.6), 40, rule="mean"))
    made_records = {
        name: make_record("x", notebook=c.notebook, variant=c.variant, study="smoke",
                          values=tuple(runs[name]))
        for c in stated for name in [c.run]
    }  # fmt: skip
    verdicts = judge.judge_all(stated, made_records, study)
    table = outcome.table(verdicts)
    assert len(table) == len(stated) and judge.answer(verdicts, study).strip()
    for claim in stated:
        claim.told(Value(claim.value, 0.5, (0.4, 0.6), 40)), claim.told(None)
    assert paper.title in references.sentences(paper)[1]
    references.bibtex(paper).encode()
    return Outcome(False)


LINES = st.one_of(
    st.sampled_from(["", f"x: {ACT}\n", f"{ACT}\n", LAUGHS, "x: &a [*a]\n", "<<: *b\n", "\0"]),
    st.sampled_from(["claims: []\n", "---\nclaims: []\n", "x: !!binary aGk=\n", "? {a: b}\n: c\n"]),
    st.text("{}[]:-?!&*|>'\"#%@`,\n ab1\t", max_size=16),
)


@st.composite
def files(draw: st.DrawFn) -> Made:
    """Return files with one or two faults, and files that are none."""
    way = draw(st.integers(0, 9))
    if way == 0:
        return Made(whole=draw(edits.RAW))
    if way == 1:
        return Made(lines=draw(LINES))
    return Made(draw(edits.edits(base())))


DOOR = Door(
    "published",
    20,
    files(),
    attempt,
    (
        Known("a sound file", Made()),
        Known("a tag that acts", Made(lines=f"x: {ACT}\n"), ("not YAML",)),
        Known("a billion laughs", Made(lines=LAUGHS), ("aliases stand for",)),
        Known("nested too deep", Made(whole=edits.DEEP), ("recursion",)),
        Known("a claim twice", Made(((("claims", 1, "id"), "C1"),)), ("duplicated",)),
        Known("a kind of two lines", Made(((("claims", 1, "decision", "kind"), "a\nb"),))),
        Known("an address that acts", Made(((("paper", "address"), edits.ACTING[3]),))),
    ),
)
