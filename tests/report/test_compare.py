"""Two runs side by side: parameters, origin, values, verdicts, and what the page never contains."""

import math
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gliomalib.report import compare
from gliomalib.schema import RecordError, SettingsError, Value
from tests.report.two_runs import (
    ATTACK,
    CLOCK,
    COUNT,
    DICE,
    FUSION,
    LAST,
    PARAMETERS,
    PROVENANCE,
    RUNS,
    SECONDS,
    VARIANT,
    change_record,
    change_values,
    comparison,
    make_report,
    page_of,
    said,
    verdict_rows,
    write_verdicts,
)


@pytest.fixture
def a(tmp_path: Path) -> Path:
    return make_report(tmp_path / "one" / "smoke")


@pytest.fixture
def b(a: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(a, tmp_path / "two" / "smoke"))


def test_a_copy_is_the_same_everywhere(a: Path, b: Path) -> None:
    found = comparison(a, b)
    kinds = [pair.kind for pair in found.values]
    assert (kinds.count("equal"), kinds.count("clock"), len(kinds)) == (8, 7, 15)
    assert not found.parameters and not found.origins and not found.verdicts
    assert not found.missing and not any(found.lone_values.values())
    assert found.same
    told = said(page_of(a, b), ".answer")
    assert told.startswith("Parameters, values and verdicts came out the same, except for what")
    assert "A and B are two runs of the study smoke. They were made on the same data" in told
    assert "Of 8 values that both have, 8 are equal." in told, "15 less 3 of notebook 14 and 4 of s"
    assert "A clock makes 7 more values" in told
    assert "None of 2 verdicts changed." in told


def test_another_study_is_named(a: Path, b: Path) -> None:
    for name in RUNS:
        change_record(b, name, study="brats", provenance={**PROVENANCE, "data_digest": "x"})
    soup = page_of(a, b)
    assert said(soup, "h1") == "smoke and brats side by side"
    assert said(soup, ".answer").startswith("A is the study smoke, B the study brats: a value")


def test_hostile_names_appear_as_text(a: Path, b: Path) -> None:
    for folder in (a, b):
        for name in RUNS:
            change_record(folder, name, study=ATTACK)
    hostile = replace(DICE, name=f"dice{ATTACK}", rule=ATTACK, unit=ATTACK)
    for folder, number in ((a, 0.1), (b, 0.9)):
        value = replace(hostile, value=number, ci95=(number, number))
        change_record(
            folder, study=ATTACK, values=(value,), parameters={ATTACK: f"{ATTACK}{number}"}
        )
        rows = [{**verdict_rows()[0], "statement": ATTACK, "verdict": f"{number}{ATTACK}"}]
        write_verdicts(folder, rows)
    (b / "records" / f"{VARIANT}.json").unlink()
    soup = page_of(a, b)
    assert not soup.find_all("script")
    assert len([one for one in soup.find_all("bdi") if ATTACK.strip() in one.get_text()]) >= 4


def test_cells_are_left_to_nbdime_and_both_folders_are_named(a: Path, b: Path) -> None:
    soup = page_of(a, b)
    told = said(soup, "#cells")
    assert "by nbdiff-web A.ipynb B.ipynb (package nbdime)" in told
    assert "A.ipynb is of …/one/smoke/notebooks and B.ipynb of …/two/smoke/notebooks" in told
    addresses = [str(tag[key]) for key in ("src", "href") for tag in soup.find_all(attrs={key: 1})]
    assert addresses == []


def test_a_changed_parameter_is_shown_with_both_values(a: Path, b: Path) -> None:
    changed = {**PARAMETERS, "seed": 4, "unet2d": {"loss": "dice", "channels": [8, 16]}}
    for name in RUNS:
        change_record(b, name, parameters=changed if name == FUSION else {**PARAMETERS, "seed": 4})
    found = comparison(a, b)
    assert [(one.name, one.a, one.b) for one in found.parameters] == [
        ("seed", "3", "4"),
        ("unet2d.loss", "focal", "dice"),
    ]
    assert [one.runs for one in found.parameters] == [tuple(RUNS), (FUSION,)]
    told = said(page_of(a, b), "#parameters")
    assert "seed 3 4 all 5 runs" in told and "unet2d.loss focal dice 05_fusion" in told
    assert "title" not in told and not found.same


def test_a_parameter_that_one_does_not_know_and_folders_are_named(a: Path, b: Path) -> None:
    own = {"classifier": {"weights_file": "/home/me/secret/w.pt"}}
    change_record(b, parameters={**PARAMETERS, **own})
    (found,) = comparison(a, b).parameters
    assert (found.a, found.b) == ("not stated", "/path/to/w.pt")
    assert "secret" not in compare.page_of(comparison(a, b))


def test_origin_is_compared_run_by_run(a: Path, b: Path) -> None:
    versions = {"versions": {"python": "3.11.9", "torch": "2.13.0"}}
    change_record(b, provenance={**PROVENANCE, "commit": "xyz", **versions}, device="cuda")
    found = {one.name: (one.a, one.b, one.runs) for one in comparison(a, b).origins}
    assert found == {
        "commit": ("abc", "xyz", (FUSION,)),
        "device": ("cpu", "cuda", (FUSION,)),
        "torch": ("2.12.1", "2.13.0", (FUSION,)),
    }
    soup = page_of(a, b)
    assert "commit abc xyz 05_fusion" in said(soup, "#origin")
    assert "Their origin differs in commit, device and torch." in said(soup, ".answer")


def test_data_are_the_same_by_digest_or_not(a: Path, b: Path) -> None:
    for name in RUNS:
        change_record(b, name, provenance={**PROVENANCE, "data_digest": "else"})
    assert "They were not all made on the same data" in said(page_of(a, b), ".answer")


@pytest.mark.parametrize(
    ("value", "kind", "told"),
    [
        (replace(DICE, value=0.75, ci95=(0.65, 0.85)), "within", "1 differ with intervals that"),
        (replace(DICE, value=0.90, ci95=(0.80, 0.95)), "within", "1 differ with intervals that"),
        (replace(DICE, value=0.90, ci95=(0.81, 0.95)), "beyond", "1 differ with intervals apart"),
        (replace(DICE, value=0.30, ci95=(0.20, 0.59)), "beyond", "1 differ with intervals apart"),
        (replace(DICE, ci95=None), "open", "1 differ without two intervals"),
        (replace(DICE, value=math.nan, ci95=(math.nan, math.nan)), "open", "1 differ without two"),
        (replace(DICE, ci95=(0.60, 0.81)), "within", "1 differ with intervals that overlap"),
        (replace(DICE, n_missed=2), "within", "1 differ with intervals that overlap"),
        (replace(DICE, n_seeds=3), "within", "1 differ with intervals that overlap"),
        (replace(COUNT, value=121.0), "open", "1 differ without two intervals"),
        (replace(DICE, value=0.70 * (1 + 1e-12)), "equal", "8 values that both have, 8 are equal"),
    ],
)
def test_a_changed_value_is_judged_by_its_intervals(
    value: Value, kind: str, told: str, a: Path, b: Path
) -> None:
    change_values(b, value)
    found = comparison(a, b)
    changed = [p for p in found.values if p.run == FUSION and p.name == value.name]
    assert [pair.kind for pair in changed] == [kind]
    assert found.same == (kind == "equal")
    assert sum(pair.kind == "equal" for pair in found.values) == 8 - (kind != "equal")
    assert told in said(page_of(a, b), ".answer")


def test_both_values_intervals_difference_and_counts_are_shown(a: Path, b: Path) -> None:
    changed = replace(DICE, value=0.9, ci95=(0.85, 0.95), n_patients=10, unit="Dice", rule="new")
    change_values(b, changed)
    told = said(page_of(a, b), "#values")
    assert "Intervals apart (1) value A B B − A what else differs 05_fusion dice" in told
    assert "0.70 0.60 to 0.80 0.900 Dice 0.850 to 0.950 0.2 patients 12 in A, 10 in B; unit" in told
    assert "unit none in A, Dice in B; made by a rule that is worded differently" in told


def test_equal_values_by_another_rule_are_named(a: Path, b: Path) -> None:
    change_values(b, replace(DICE, rule="mean over patients, worded anew"))
    told = said(page_of(a, b), "#values")
    assert "1 value equal in both though the rule is worded differently: 05_fusion dice" in told
    assert comparison(a, b).same


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (FUSION, replace(SECONDS, value=99.0, ci95=(98.0, 99.5))),
        (CLOCK, replace(DICE, value=0.1, ci95=(0.05, 0.15))),
        (CLOCK, replace(COUNT, value=3.0)),
    ],
)
def test_what_a_clock_makes_is_shown_and_never_counted(
    name: str, value: Value, a: Path, b: Path
) -> None:
    change_values(b, value, name=name)
    change_record(b, VARIANT, wall_s=3600.0)
    found = comparison(a, b)
    assert sum(pair.kind == "clock" for pair in found.values) == 7
    assert found.same, "a clock is no difference"
    soup = page_of(a, b)
    assert "Made by a clock: never counted as not reproduced (7)" in said(soup, "#values")
    assert "8 are equal." in said(soup, ".answer")
    assert "03_train_unet2d.ce 1 min 2 s 1 h 0 min" in said(soup, "#times")


def test_values_of_one_side_are_listed(a: Path, b: Path) -> None:
    change_record(a, values=(DICE, COUNT, SECONDS, replace(DICE, name="new_in_a")))
    change_record(b, values=(DICE, SECONDS))
    found = comparison(a, b)
    assert found.lone_values == {"A": {FUSION: ["voxels", "new_in_a"]}, "B": {}}
    soup = page_of(a, b)
    assert "Only in A (2) 05_fusion: voxels, new_in_a" in said(soup, "#values")
    assert "Others are on one side alone: 2 in A." in said(soup, ".answer")
    assert not found.same


@given(
    st.tuples(*[st.floats(-2, 2)] * 2).map(sorted), st.tuples(*[st.floats(-2, 2)] * 2).map(sorted)
)
def test_overlap_is_symmetric_and_means_a_common_point(one: list[float], two: list[float]) -> None:
    left, right = (replace(DICE, ci95=(ends[0], ends[1])) for ends in (one, two))
    common = any(one[0] <= end <= one[1] for end in two) or two[0] <= one[0] <= two[1]
    assert compare.overlap(left, right) is common
    assert compare.overlap(right, left) is common


def test_a_changed_verdict_is_shown_from_both_sides(a: Path, b: Path) -> None:
    rows = verdict_rows()
    rows[0] |= {"verdict": "does not hold", "obtained": "0.51", "reason": "far below"}
    write_verdicts(b, rows)
    soup = page_of(a, b)
    told = said(soup, "#verdicts")
    assert "C1 Fused is better holds obtained 0.70 below does not hold obtained 0.51" in told
    assert "Q3" not in told and "1 of 2 verdicts changed." in said(soup, ".answer")
    assert not comparison(a, b).same


def test_a_clocks_verdict_a_claim_of_one_side_and_a_renumbered_one_are_named(
    a: Path, b: Path
) -> None:
    fused, clock = verdict_rows()
    write_verdicts(b, [fused, {**clock, "verdict": "does not hold"}])
    assert "decided by a clock" in said(page_of(a, b), "#verdicts")
    assert comparison(a, b).same, "a clock's verdict is not counted"
    write_verdicts(b, [{**fused, "statement": "3D is better"}])
    told = said(page_of(a, b), "#verdicts")
    assert "C1 Fused is better holds obtained 0.70 below not judged" in told
    assert "C1 3D is better not judged holds" in told and "Q3 Fused is better" in told


def test_a_missing_table_of_verdicts_is_said(a: Path, b: Path) -> None:
    (b / "tables" / f"{LAST}.verdicts.csv").unlink()
    soup = page_of(a, b)
    assert "Verdicts cannot be compared" in said(soup, ".answer")
    assert f"B: tables/{LAST}.verdicts.csv is missing" in said(soup, ".banner.stop")


def test_a_missing_record_is_named_on_both_ways(a: Path, b: Path) -> None:
    (b / "records" / f"{FUSION}.json").unlink()
    (a / "records" / f"{VARIANT}.json").write_text("{}")
    soup = page_of(a, b)
    told = said(soup, ".banner.stop")
    assert f"B has no record of {FUSION}." in told and f"A has no record of {VARIANT}." in told
    assert f"A: records/{VARIANT}.json: not a record" in told and str(a) not in soup.get_text()
    assert "Others are on one side alone: 3 in A and 3 in B." in said(soup, ".answer")
    assert f"{FUSION} 1 min 2 s no record" in said(soup, "#times")


def test_a_report_is_a_name_or_a_folder(a: Path, b: Path, tmp_path: Path) -> None:
    assert compare.find("smoke", a.parent) == a
    assert compare.find(str(b), a.parent) == b
    path = compare.build("smoke", str(b), a.parent)
    assert path == a.parent / "compare-smoke-smoke.html" and path.is_file()
    other = compare.build("smoke", str(b), a.parent, tmp_path / "new" / "page.html")
    assert other == tmp_path / "new" / "page.html"
    assert other.read_bytes() == path.read_bytes()
    assert str(tmp_path) not in path.read_text(encoding="utf-8")


def test_what_cannot_be_compared_is_one_sentence(a: Path, tmp_path: Path) -> None:
    reports = a.parent
    (reports / "empty").mkdir()
    for missing in ("other", "", "empty"):
        message = f"there is no report '{missing}' with records: take one of smoke in"
        with pytest.raises(SettingsError, match=message):
            compare.build("smoke", missing, reports)
    with pytest.raises(SettingsError, match="A and B are this one folder"):
        compare.build("smoke", str(a), reports)
    (reports / "empty" / "records").mkdir()
    (reports / "empty" / "records" / "05_fusion.json").write_text("{}")
    with pytest.raises(RecordError, match=r"not one record can be read: records/05_fusion\.json"):
        compare.build("smoke", "empty", reports)
    assert not list(reports.glob("*.html"))


def test_tables_are_compared_cell_by_cell(a: Path, b: Path) -> None:
    for folder, dice in ((a, "0.5"), (b, "0.6")):
        (folder / "tables" / f"{FUSION}.scores.csv").write_text(f"dice\n{dice}\n")
    found = comparison(a, b)
    how = "by 0.17 at most in 1 of 1 cells"
    assert [(pair.name, pair.how) for pair in found.tables if pair.how] == [
        (f"{FUSION}.scores", how)
    ]
    assert not found.same
    assert f"{FUSION}.scores: {how}" in said(page_of(a, b), "#tables")
    (b / "tables" / f"{FUSION}.scores.csv").unlink()
    assert f"B has no table {FUSION}.scores." in comparison(a, b).missing
    assert "None of the 1 that both have" in said(page_of(a, b), "#tables")


def test_all_that_differs_is_a_line_and_all_else_is_counted(a: Path, b: Path) -> None:
    counts = [
        "values: 8 the same, 0 different, 7 of a clock",
        "tables: 1 the same, 0 different, 0 of a clock",
    ]
    assert compare.sentences(comparison(a, b)) == counts
    change_record(
        b,
        provenance={**PROVENANCE, "commit": "xyz"},
        values=(replace(DICE, value=0.75, ci95=(0.7, 0.9)), SECONDS),
    )
    (b / "records" / f"{VARIANT}.json").unlink()
    write_verdicts(b, [{**row, "verdict": "fails"} for row in verdict_rows()])
    assert compare.sentences(comparison(a, b)) == [
        f"B has no record of {VARIANT}.",
        f"{FUSION}: dice differs by 0.05, 0.7 became 0.75 (intervals overlap)",
        f"table {LAST}.verdicts: differs in words in 1 of 7 cells",
        f"{FUSION}: only A has voxels",
        "claim C1: holds became fails",
        "claim Q3: holds became fails",
        "commit: abc became xyz",
        "values: 4 the same, 1 different, 6 of a clock",
        "tables: 0 the same, 1 different, 0 of a clock",
    ]
