"""The rows of the benchmarks: which way a row is met, and that none is left out silently."""

import html
from pathlib import Path

import pytest

from tests.benchmarks import page
from tests.benchmarks.ledger import Ledger, Pair, paired


def row(key: str, value: float) -> str:
    ledger = Ledger.declared()
    ledger.measured(key, value)
    return ledger.rows[key].outcome


@pytest.mark.parametrize(
    ("key", "value", "outcome"),
    [
        ("preprocess_reading", 1.5, "met"),
        ("preprocess_reading", 1.51, "missed"),
        ("preprocess_monai", 4.0, "met"),
        ("preprocess_monai", 3.99, "missed"),
    ],
)
def test_a_row_is_met_up_to_or_from_its_reach(key: str, value: float, outcome: str) -> None:
    assert row(key, value) == outcome


def test_a_ratio_is_turned_as_its_reach_wants_it() -> None:
    ledger = Ledger.declared()
    for key in ("preprocess_reading", "preprocess_monai"):
        ledger.compared(key, Pair(ours=2, theirs=1))
    assert [ledger.rows[key].value for key in ("preprocess_reading", "preprocess_monai")] == [
        2,
        0.5,
    ]


def test_of_several_runs_the_fastest_of_each_side_count() -> None:
    assert paired([(3, 8), (2, 9), (4, 6)]) == Pair(ours=2, theirs=6)


def test_a_row_that_did_not_run_stands_on_the_page_with_its_reason(tmp_path: Path) -> None:
    ledger = Ledger.declared()
    ledger.measured("help", 0.4)
    ledger.skipped("gpu_patient", "no GPU here")
    text = html.unescape(page.write(ledger, tmp_path, 60).read_text(encoding="utf-8"))
    assert f"1 of {len(ledger.rows)} rows ran, and 1 of them" in text
    assert "did not run: no GPU here" in text
    assert all(each.what in text for each in ledger.rows.values())


def test_each_row_has_one_reach() -> None:
    for each in Ledger.declared().rows.values():
        assert (each.at_least is None) != (each.at_most is None), each.key
