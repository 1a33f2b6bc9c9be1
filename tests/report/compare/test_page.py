"""The page of two runs: its first sentences, and what it never contains."""

from dataclasses import replace
from pathlib import Path

from bs4 import BeautifulSoup

from gliomalib.report import pages
from gliomalib.report.compare import page as compare
from tests.report.compare.two_runs import (
    ATTACK,
    DICE,
    PIXELS,
    PROVENANCE,
    RUNS,
    VARIANT,
    change_cell,
    change_record,
    comparison,
    n_same,
    page_of,
    put,
    said,
    shown,
    verdict_rows,
    write_verdicts,
)


def test_a_copy_is_the_same_everywhere(a: Path, b: Path) -> None:
    found = comparison(a, b)
    kinds = [pair.kind for pair in found.values]
    assert (kinds.count("equal"), kinds.count("clock"), len(kinds)) == (8, 7, 15)
    assert not found.parameters and not found.origins and not found.verdicts
    assert not found.missing and not any(found.lone_values.values())
    assert (n_same(a, b), found.same) == (35, True)
    told = said(page_of(a, b), ".answer")
    assert told.startswith("Of all that both have, the same came out, but for what a clock")
    assert "A and B are two runs of the study smoke. They were made on the same data" in told
    assert "Of 8 values that both have, 8 are equal." in told, "15 less 3 of notebook 14 and 4 of s"
    assert "A clock makes 7 more values" in told
    assert (
        "None of 2 verdicts changed." in told
        and "Cell by cell, 35 came out the same and none differs." in told
    )


def test_another_study_is_named_and_its_cells_are_not_compared(a: Path, b: Path) -> None:
    for name in RUNS:
        change_record(b, name, study="brats", provenance={**PROVENANCE, "data_digest": "x"})
    found = comparison(a, b)
    assert found.notebooks == ()
    soup = page_of(a, b)
    assert said(soup, "h1") == "smoke and brats side by side"
    assert said(soup, ".answer").startswith("A is the study smoke, B the study brats: a value")
    assert "Not compared: the two are not of one study" in said(soup, "#cells")


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
        text = shown("text/html", f"<table><tr><td>&lt;script&gt;{number}</td></tr></table>")
        change_cell(folder, 4, put(text, shown("text/plain", f"{ATTACK}{number}")))
        alt = {"image/png": {"alt": f'"><script>{number}'}}
        change_cell(folder, 5, put(shown("image/png", PIXELS[int(number * 9)], **alt)))
    (b / "records" / f"{VARIANT}.json").unlink()
    soup = page_of(a, b)
    assert not soup.find_all("script")
    assert len([one for one in soup.find_all("bdi") if ATTACK.strip() in one.get_text()]) >= 4
    assert soup.select(".two img")[1]["alt"] == '"><script>0.9'


def test_the_page_needs_nothing_from_outside_and_names_its_rules(a: Path, b: Path) -> None:
    change_cell(b, 5, put(shown("image/png", PIXELS[1])))
    soup = page_of(a, b)
    addresses = [str(tag[key]) for key in ("src", "href") for tag in soup.find_all(attrs={key: 1})]
    assert addresses == []
    for tag in soup.find_all(["img", "a"]):
        address = str(tag.get("src") or tag.get("href"))
        assert address.startswith(("data:image/", "#")), address
        assert not address.startswith("#") or soup.find(id=address[1:]), address
    assert "What counts as the same" in said(soup, "#cells")
    assert all(one.get("alt") for one in soup.find_all("img"))


def test_a_page_is_never_larger_than_it_may_be(a: Path, b: Path) -> None:
    big = 200_000
    for folder, letter in ((a, "A"), (b, "B")):
        for name in RUNS:
            outputs = [shown("image/png", letter * big), shown("image/png", letter * 900)]
            change_cell(folder, 5, put(*outputs), name)
    page = compare.page(comparison(a, b))
    assert 2 * big < len(page.encode()) <= pages.MOST_BYTES
    soup = BeautifulSoup(page, features="html.parser")
    # there is room for one cell with its two pairs, half of the page is for the tables
    assert len(soup.select(".two")) == 2
    assert soup.get_text().count("What differs here is not shown") == 3
