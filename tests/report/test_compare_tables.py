"""Tables of two runs: what is one table, what is apart and by how much, what is a clock's."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gliomalib.report import compare_tables
from gliomalib.schema import Record, Value
from gliomalib.verdicts import argument
from tests.report.two_runs import CLOCK, FUSION, LAST

TABLE = "patient_id,dice,verdict\nP1,0.5,holds\nP2,,open\n"


@pytest.mark.parametrize(
    ("changed", "how"),
    [
        (TABLE, ""),
        (TABLE.replace("0.5", "0.50"), ""),
        (TABLE.replace("0.5", "0.4"), "by 0.2 at most in 1 of 6 cells"),
        (TABLE.replace("open", "holds"), "in words in 1 of 6 cells"),
        (TABLE.replace("P2,,", "P2,0.1,"), "in words in 1 of 6 cells"),
        (TABLE.replace("0.5", "inf"), "in words in 1 of 6 cells"),
        (TABLE + "P3,1,open\n", "in the number of rows, 2 in A and 3 in B"),
        (TABLE.replace("dice", "iou"), "in columns"),
    ],
)
def test_a_changed_cell_is_found_and_measured(changed: str, how: str) -> None:
    assert compare_tables.difference(TABLE, changed) == how


@given(st.lists(st.floats(width=32), min_size=1), st.data())
def test_the_gap_is_that_of_the_slow_and_obvious_version(
    numbers: list[float], data: st.DataObject
) -> None:
    others = data.draw(st.lists(st.floats(width=32), min_size=len(numbers), max_size=len(numbers)))
    text, twin = ("x\n" + "".join(f"{x!r}\n" for x in column) for column in (numbers, others))
    same = all(
        repr(x) == repr(y) or x == y or abs(x - y) <= 1e-9 * max(abs(x), abs(y)) < float("inf")
        for x, y in zip(numbers, others, strict=True)
    )
    assert (compare_tables.difference(text, twin) == "") == same
    assert compare_tables.difference(text, text) == ""


def test_a_clock_and_the_commit_of_a_run_are_no_difference(tmp_path: Path) -> None:
    rows = "claim,run commit,verdict,notebook\nC1,abc,holds,05_fusion\n"
    one, other = tmp_path / "one.csv", tmp_path / "other.csv"
    one.write_text(f"{rows}Q3,abc,holds,{CLOCK}\n")
    other.write_text(f"{rows.replace('abc', 'xyz')}Q3,xyz,fails,{CLOCK}\n")
    assert compare_tables.pair(LAST, f"{LAST}.verdicts", one, other).kind == "equal"
    other.write_text(rows.replace("holds", "fails"))
    pair = compare_tables.pair(LAST, f"{LAST}.verdicts", one, other)
    assert (pair.kind, pair.how) == ("differs", "in words in 1 of 3 cells")
    for run, name in ((CLOCK, f"{CLOCK}.passes"), (LAST, f"{LAST}.compute")):
        assert compare_tables.pair(run, name, one, other).kind == "clock"


def test_seconds_behind_an_assumption_are_a_clocks_too() -> None:
    tables = []
    for seconds, dice in ((0.1, 0.5), (0.2, 0.5), (0.2, 0.6)):
        values = {
            CLOCK: Value("seconds_per_patient_all", seconds, rule="r"),
            "07_baselines": Value("fused_mean_region_dice_full_scan", dice, rule="r"),
        }
        records = {
            name: Record(name, "brats", "", (), (value,), {}, 1, "cpu", 1.0, 1, {})
            for name, value in values.items()
        }
        tables.append(argument.assumptions(records).to_csv(index=False))
    one, slower, worse = tables
    assert one != slower and compare_tables.difference(one, slower) == ""
    assert compare_tables.difference(slower, worse).startswith("in words in 1 of")


def test_a_damaged_table_is_named(tmp_path: Path) -> None:
    one, other = tmp_path / "one.csv.gz", tmp_path / "other.csv"
    one.write_bytes(b"no gzip")
    other.write_text(TABLE)
    assert "as one cannot be read" in compare_tables.pair(FUSION, "05_fusion.x", one, other).how


def test_a_cell_that_is_too_long_for_a_table_is_named(tmp_path: Path) -> None:
    one, other = tmp_path / "one.csv", tmp_path / "other.csv"
    one.write_text(f"a\n{'x' * 200_000}\n")
    other.write_text("a\nx\n")
    assert "as one cannot be read" in compare_tables.pair(FUSION, "05_fusion.x", one, other).how
