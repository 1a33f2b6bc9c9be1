"""The argument of notebook 15: every claim is judged, nothing is hidden."""

from __future__ import annotations

from dataclasses import replace

from gliomalib import claims, settings, verdicts
from gliomalib.schema import Record, Value


def record(**values: tuple[float, float, float]) -> Record:
    found = tuple(
        Value(name, value, (low, high), 40, rule="r") for name, (value, low, high) in values.items()
    )
    return Record("05_fusion", "brats", "", (), found, {}, 1, "cuda", 1.0, 1, {})


REAL = settings.load("brats", {"study": "brats"})
GAINS = record(
    fused_minus_2d_mean_dice=(0.05, 0.02, 0.08), fused_minus_3d_mean_dice=(-0.02, -0.03, -0.01)
)


def by_id(found: list[claims.Verdict]) -> dict[str, str]:
    return {one.claim.id: one.verdict for one in found}


def test_each_claim_is_judged_also_without_its_notebook() -> None:
    found = verdicts.judge_all(claims.load(), {"05_fusion": GAINS}, REAL)
    assert len(found) == len(claims.load())
    named = by_id(found)
    assert named["C7"] == "reproduced" and named["C8"] == "not reproduced"
    assert named["C1"] == "not run"


def test_on_phantoms_the_same_numbers_decide_nothing() -> None:
    study = settings.load("phantom-full")
    found = verdicts.judge_all(
        claims.load(), {"05_fusion": replace(GAINS, study="phantom-full")}, study
    )
    assert by_id(found)["C7"] == "not testable on this data"
    assert verdicts.answer(found, study).startswith("These results were made on synthetic")


def test_the_counts_cover_all_claims() -> None:
    found = verdicts.judge_all(claims.load(), {"05_fusion": GAINS}, REAL)
    assert sum(one.value for one in verdicts.values(found)) == len(found)
    answer = verdicts.answer(found, REAL)
    assert "1 reproduced" in answer and "1 not reproduced" in answer


def test_real_data_without_a_decision_says_so() -> None:
    found = verdicts.judge_all(claims.load(), {}, REAL)
    assert "Nothing is decided" in verdicts.answer(found, REAL)


def test_only_claims_with_both_numbers_are_drawn() -> None:
    alpha = replace(record(best_alpha=(0.4, 0.3, 0.5)), notebook="08_alpha_sweep")
    found = verdicts.judge_all(claims.load(), {"08_alpha_sweep": alpha}, REAL)
    table = verdicts.numbers(found)
    assert table["claim"].tolist() == ["C9"]
    assert table.loc[0, "published"] == 0.6 and table.loc[0, "value"] == 0.4


def test_compute_is_listed_by_notebook() -> None:
    table = verdicts.compute({"05_fusion": replace(GAINS, wall_s=90, peak_memory_bytes=2 * 10**9)})
    assert table.loc[0, "minutes"] == 1.5 and table.loc[0, "peak memory, GB"] == 2
