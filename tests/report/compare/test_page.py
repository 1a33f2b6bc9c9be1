"""The page of two runs: its first sentences, and what it never contains."""

from dataclasses import replace
from pathlib import Path

from tests.report.compare.two_runs import (
    ATTACK,
    DICE,
    PROVENANCE,
    RUNS,
    VARIANT,
    change_record,
    comparison,
    page_of,
    said,
    verdict_rows,
    write_verdicts,
)


def test_a_copy_is_the_same_everywhere(a: Path, b: Path) -> None:
    found = comparison(a, b)
    kinds = [pair.kind for pair in found.values]
    assert (kinds.count("equal"), kinds.count("clock"), len(kinds)) == (8, 7, 15)
    assert not found.parameters and not found.origins and not found.verdicts
    assert not found.missing and not any(found.lone_values.values())
    assert found.same
    told = said(page_of(a, b), ".answer")
    assert told.startswith("Parameters, values and verdicts came out the same, but for what a")
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
