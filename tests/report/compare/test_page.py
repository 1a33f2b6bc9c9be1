"""Two runs side by side: every planted difference is found and worded, and nothing else is."""

from __future__ import annotations

import base64
import json
import math
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from bs4 import BeautifulSoup
from hypothesis import given
from hypothesis import strategies as st
from nbformat import NotebookNode, v4

from gliomalib import records
from gliomalib.report import pages
from gliomalib.report.compare import lines as linediff
from gliomalib.report.compare import notebooks, runs
from gliomalib.report.compare import page as compare
from gliomalib.report.compare import records as differences
from gliomalib.schema import Record, RecordError, SettingsError, Value

ATTACK = '<script>alert("x")</script>\u202e'
PIXELS = tuple(base64.b64encode(bytes([number]) * 60).decode() for number in range(9))
FUSION, CLOCK, LAST = "05_fusion", "14_efficiency", "15_reproducibility_report"
VARIANT = "03_train_unet2d.ce"
RUNS = ("03_train_unet2d", VARIANT, FUSION, CLOCK, LAST)
DICE = Value("dice", 0.70, (0.60, 0.80), 12, 1, 0, "", "mean over patients")
COUNT = Value("voxels", 120.0, None, 12, rule="counted")
SECONDS = Value("seconds_per_patient", 1.5, (1.2, 1.8), 3, unit="s", rule="median")
PARAMETERS = {"seed": 3, "unet2d": {"loss": "focal", "channels": [8, 16]}, "title": "A study"}
PROVENANCE = {
    "commit": "abc",
    "lock_sha256": "def",
    "code_digest": "c0de",
    "data_digest": "da7a",
    "versions": {"python": "3.11.9", "torch": "2.12.1"},
}


def record_of(name: str, **changes: object) -> Record:
    notebook, _, variant = name.partition(".")
    record = Record(
        notebook=notebook,
        study="smoke",
        variant=variant,
        claims=(),
        values=(DICE, COUNT, SECONDS),
        parameters=PARAMETERS,
        seed=3,
        device="cpu",
        wall_s=61.5,
        peak_memory_bytes=10**9,
        provenance=PROVENANCE,
    )
    return replace(record, **changes)  # type: ignore[arg-type]


def shown(kind: str, data: str, **metadata: object) -> NotebookNode:
    return v4.new_output("display_data", {kind: data}, metadata=metadata)


def log(text: str) -> NotebookNode:
    return v4.new_output("stream", name="stdout", text=text)


def cell(number: int, source: str, *outputs: NotebookNode, tags: tuple[str, ...] = ()) -> object:
    made = v4.new_code_cell(
        source, execution_count=number, outputs=list(outputs), metadata={"tags": list(tags)}
    )
    made["id"] = f"c-{number}"
    return made


def notebook_of(name: str) -> NotebookNode:
    table = pd.DataFrame({"network": ["2D", "3D"], "dice": [0.5, 0.75], "seconds": [50.2, 60.1]})
    cells = [
        v4.new_markdown_cell(f"# {name}", id="text"),
        cell(1, "alpha: float = None  # weight", tags=("parameters",)),
        cell(2, '# Parameters\ndata_dir = "data"\nseed = 3\n', tags=("injected-parameters",)),
        cell(3, "train()", log("unet2d: epoch 8 of 8, val loss 0.03, 50 s, 0 s left\n")),
        cell(4, "table", shown("text/html", table.to_html())),
        cell(5, "figure", shown("image/png", PIXELS[0], **{"image/png": {"alt": "Bars of A"}})),
        cell(6, "records.versions_of(record)", shown("text/html", "<p>commit abc</p>")),
        cell(7, "say()", shown("text/markdown", "**Conclusion.** Dice is 0.70.")),
    ]
    return v4.new_notebook(cells=cells)


def verdict_rows() -> list[dict[str, str]]:
    common = {"published": "0.99", "reason": "below", "statement": "Fused is better"}
    return [
        {**common, "claim": "C1", "obtained": "0.70", "verdict": "holds", "notebook": FUSION},
        {**common, "claim": "Q3", "obtained": "1.5 s", "verdict": "holds", "notebook": CLOCK},
    ]


def make_report(folder: Path) -> Path:
    (folder / "notebooks").mkdir(parents=True)
    (folder / "tables").mkdir()
    for name in RUNS:
        records.write(record_of(name), folder)
        nbformat.write(notebook_of(name), folder / "notebooks" / f"{name}.ipynb")
    write_verdicts(folder, verdict_rows())
    cases = pd.DataFrame({"case_id": ["P1", "P2"], "release": "phantom"})
    cases.to_csv(folder / "tables" / runs.CASES, index=False)
    return folder


def write_verdicts(folder: Path, rows: list[dict[str, str]]) -> None:
    path = folder / "tables" / f"{LAST}.verdicts.csv"
    pd.DataFrame(rows).to_csv(path, index=False)


@pytest.fixture
def a(tmp_path: Path) -> Path:
    return make_report(tmp_path / "one" / "smoke")


@pytest.fixture
def b(a: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(a, tmp_path / "two" / "smoke"))


def change_record(folder: Path, name: str = FUSION, **changes: object) -> None:
    records.write(record_of(name, **changes), folder)


def change_values(folder: Path, *values: Value, name: str = FUSION) -> None:
    kept = {value.name: value for value in (DICE, COUNT, SECONDS)} | {v.name: v for v in values}
    change_record(folder, name, values=tuple(kept.values()))


def change_cell(
    folder: Path, number: int, change: Callable[[NotebookNode], None], name: str = FUSION
) -> None:
    path = folder / "notebooks" / f"{name}.ipynb"
    notebook = nbformat.read(path, as_version=4)
    for one in notebook.cells:
        if one.get("execution_count") == number:
            change(one)
    nbformat.write(notebook, path)


def put(*outputs: NotebookNode) -> Callable[[NotebookNode], None]:
    return lambda cell: cell.update(outputs=list(outputs))


def comparison(a: Path, b: Path) -> compare.Comparison:
    return compare.compare(runs.read("A", a), runs.read("B", b))


def page_of(a: Path, b: Path) -> BeautifulSoup:
    return BeautifulSoup(compare.page(comparison(a, b)), features="html.parser")


def said(soup: BeautifulSoup, where: str) -> str:
    found = soup.select_one(where)
    assert found is not None, where
    # names stand in tags of their own, and no blank stands before a comma
    return re.sub(r" (?=[.,:;])", "", " ".join(found.get_text(" ").split()))


def differing_cells(a: Path, b: Path) -> list[tuple[str, str, str, tuple[str, ...]]]:
    return [
        (notebook.run, one.place, one.state, one.why)
        for notebook in comparison(a, b).notebooks
        for one in notebook.cells
        if one.state != "same"
    ]


# --- nothing differs


def test_a_copy_is_the_same_everywhere(a: Path, b: Path) -> None:
    found = comparison(a, b)
    assert {pair.kind for pair in found.values} == {"equal"} and len(found.values) == 15
    assert not found.parameters and not found.origins and not found.verdicts
    assert not found.missing and not any(found.lone_values.values())
    assert (found.cells("same"), found.same) == (35, True)
    told = said(page_of(a, b), ".answer")
    assert told.startswith("Of all that both have, the same came out, but for what a clock")
    assert "A and B are two runs of the study smoke. They were made on the same data" in told
    assert "Of 8 values that both have, 8 are equal." in told, "15 less 3 of notebook 14 and 4 of s"
    assert "A clock makes 7 more values: none of them differs" in told
    assert "None of 2 verdicts changed." in told and "Cell by cell, 35 came out the same." in told


def test_what_neither_has_is_said_and_is_no_difference(a: Path, b: Path) -> None:
    found = comparison(a, b)
    assert found.absent[0].startswith("Neither has a record of 01_data_exploration, ")
    assert "Neither has a record of" in said(page_of(a, b), ".banner.stop")


# --- parameters and origin


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
    assert "secret" not in compare.page(comparison(a, b))


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
    assert "Of their origin differ: commit, device and torch." in said(soup, ".answer")


def test_data_are_the_same_by_digest_else_by_their_list_else_not(a: Path, b: Path) -> None:
    for name in RUNS:
        change_record(b, name, provenance={**PROVENANCE, "data_digest": "else"})
    told = said(page_of(a, b), ".answer")
    assert "Both list the same 2 cases; the data digests differ" in told
    assert "whether the voxels are the same is not known" in told
    (b / "tables" / runs.CASES).write_text("case_id,release\nP2,phantom\nP3,x\nP4,x\n")
    told = said(page_of(a, b), ".answer")
    assert "They were made on other data: 2 cases in A, 3 in B, 1 in both lists." in told
    (b / "tables" / runs.CASES).unlink()
    soup = page_of(a, b)
    assert "Whether the data are the same is not known." in said(soup, ".answer")
    assert "01_data_exploration.cases.csv is missing" in said(soup, ".banner.stop")


# --- values


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
    assert sum(pair.kind == "equal" for pair in found.values) == 15 - (kind != "equal")
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
    assert [p.kind for p in found.values if p.kind != "equal"] == ["clock"]
    assert found.same, "a clock is no difference"
    soup = page_of(a, b)
    assert "Made by a clock: never counted as not reproduced (1)" in said(soup, "#values")
    assert "8 are equal." in said(soup, ".answer") and "1 of them differ" in said(soup, ".answer")
    assert "03_train_unet2d.ce 1 min 2 s 1 h 0 min" in said(soup, "#times")


def test_values_of_one_side_are_listed(a: Path, b: Path) -> None:
    change_record(a, values=(DICE, COUNT, SECONDS, replace(DICE, name="new_in_a")))
    change_record(b, values=(DICE, SECONDS))
    found = comparison(a, b)
    assert found.lone_values == {"A": {FUSION: ["voxels", "new_in_a"]}, "B": {}}
    soup = page_of(a, b)
    assert "Only in A (2) 05_fusion: voxels, new_in_a" in said(soup, "#values")
    assert "Others stand on one side alone: 2 in A." in said(soup, ".answer")
    assert not found.same


@given(
    st.tuples(*[st.floats(-2, 2)] * 2).map(sorted), st.tuples(*[st.floats(-2, 2)] * 2).map(sorted)
)
def test_overlap_is_symmetric_and_means_a_common_point(one: list[float], two: list[float]) -> None:
    left, right = (replace(DICE, ci95=(ends[0], ends[1])) for ends in (one, two))
    common = any(one[0] <= end <= one[1] for end in two) or two[0] <= one[0] <= two[1]
    assert differences.overlap(left, right) is common
    assert differences.overlap(right, left) is common


# --- verdicts


def test_a_changed_verdict_is_shown_from_both_sides(a: Path, b: Path) -> None:
    rows = verdict_rows()
    rows[0] |= {"verdict": "does not hold", "obtained": "0.51", "reason": "far below"}
    write_verdicts(b, rows)
    soup = page_of(a, b)
    told = said(soup, "#verdicts")
    assert "C1 Fused is better holds obtained 0.70 below does not hold obtained 0.51" in told
    assert "Q3" not in told and "1 of 2 verdicts changed." in said(soup, ".answer")
    assert not comparison(a, b).same


def test_a_verdict_that_a_clock_decides_is_marked_and_not_counted(a: Path, b: Path) -> None:
    rows = verdict_rows()
    rows[1] |= {"verdict": "does not hold"}
    write_verdicts(b, rows)
    assert "decided by a clock" in said(page_of(a, b), "#verdicts")
    assert comparison(a, b).same


def test_a_claim_of_one_side_and_a_renumbered_one_are_named(a: Path, b: Path) -> None:
    rows = [{**verdict_rows()[0], "statement": "3D is better"}]
    write_verdicts(b, rows)
    told = said(page_of(a, b), "#verdicts")
    assert "in B this number stands for: 3D is better" in told
    assert "Q3 Fused is better" in told and "not judged" in told


def test_a_missing_table_of_verdicts_is_said(a: Path, b: Path) -> None:
    (b / "tables" / f"{LAST}.verdicts.csv").unlink()
    soup = page_of(a, b)
    assert "Verdicts cannot be compared" in said(soup, ".answer")
    assert f"B: tables/{LAST}.verdicts.csv is missing" in said(soup, ".banner.stop")


# --- cells


def test_a_changed_output_is_shown_as_a_small_difference(a: Path, b: Path) -> None:
    change_cell(b, 7, put(shown("text/markdown", "**Conclusion.** Dice is 0.71.")))
    assert differing_cells(a, b) == [(FUSION, "8", "differs", ("output",))]
    soup = page_of(a, b)
    lines = soup.select(f"article[id='{FUSION}'] .diff .line")
    assert [" ".join(line.get_text().split()) for line in lines] == [
        "A **Conclusion.** Dice is 0.70.",
        "B **Conclusion.** Dice is 0.71.",
    ]
    assert [mark.get_text() for mark in soup.select(".diff mark")] == ["0.70.", "0.71."]
    assert "Cell by cell, 34 came out the same and 1 differ." in said(soup, ".answer")
    assert "cell 8: output" in said(soup, f"article[id='{FUSION}']")


def test_a_table_is_compared_row_by_row_but_for_its_times(a: Path, b: Path) -> None:
    table = pd.DataFrame({"network": ["2D", "3D"], "dice": [0.5, 0.75], "seconds": [1.0, 2.0]})
    change_cell(b, 4, put(shown("text/html", table.to_html())))
    assert differing_cells(a, b) == [(FUSION, "5", "clock", ())]
    table.loc[1, "dice"] = 0.76
    change_cell(b, 4, put(shown("text/html", table.to_html())))
    assert differing_cells(a, b) == [(FUSION, "5", "differs", ("output",))]
    marked = [mark.get_text().strip() for mark in page_of(a, b).select(".diff mark")]
    assert "0.75" in marked and "0.76" in marked and "2D" not in marked


def test_rows_of_claims_that_a_clock_decides_do_not_count(a: Path, b: Path) -> None:
    def table(first: str, third: str) -> NotebookNode:
        rows = pd.DataFrame({"claim": ["C1", "Q3"], "obtained": [first, third]})
        return shown("text/html", rows.to_html())

    change_cell(a, 4, put(table("0.70", "1.5 s")), LAST)
    change_cell(b, 4, put(table("0.70", "1.9 s")), LAST)
    assert differing_cells(a, b) == [(LAST, "5", "clock", ())]
    change_cell(b, 4, put(table("0.71", "1.9 s")), LAST)
    assert differing_cells(a, b) == [(LAST, "5", "differs", ("output",))]


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("unet2d: epoch 8 of 8, val loss 0.03, 90 s, 0 s left\n", "clock"),
        ("unet2d: epoch 4 of 8, val loss 0.05, 45 s, 45 s left\nunet2d: epoch 8 of 8, val loss "
         "0.03, 90 s, 0 s left\n", "clock"),
        ("unet2d: epoch 8 of 8, val loss 0.04, 50 s, 0 s left\n", "differs"),
        ("unet2d: epoch 8 of 8, val loss 0.03, 50 s, 0 s left\na warning\n", "differs"),
        ("", "clock"),
    ],
)  # fmt: skip
def test_logs_are_compared_without_times_and_slow_steps(
    text: str, state: str, a: Path, b: Path
) -> None:
    change_cell(b, 3, put(log(text)))
    assert [one[2] for one in differing_cells(a, b)] == [state]


def test_a_log_in_pieces_is_the_same_log(a: Path, b: Path) -> None:
    pieces = ("unet2d: epoch 8 of 8, val", " loss 0.03, 50 s, 0 s left\n")
    change_cell(b, 3, put(*map(log, pieces)))
    assert differing_cells(a, b) == []


def test_pictures_are_compared_by_their_bytes_and_shown_twice(a: Path, b: Path) -> None:
    change_cell(b, 5, put(shown("image/png", PIXELS[0], **{"image/png": {"alt": "reworded"}})))
    assert differing_cells(a, b) == [], "the same bytes"
    change_cell(b, 5, put(shown("image/png", PIXELS[1], **{"image/png": {"alt": "Bars of B"}})))
    assert differing_cells(a, b) == [(FUSION, "6", "differs", ("picture",))]
    pictures = page_of(a, b).select(".two img")
    assert [one["alt"] for one in pictures] == ["A: Bars of A", "B: Bars of B"]
    assert [str(one["src"]).rpartition(",")[2] for one in pictures] == [*PIXELS[:2]]
    change_cell(b, 5, put())
    assert "no picture here" in said(page_of(a, b), ".two")


def test_a_picture_in_another_format_is_told_from_another_picture(a: Path, b: Path) -> None:
    change_cell(b, 5, put(shown("image/svg+xml", "<svg/>")))
    assert differing_cells(a, b)[0][3] == ("picture in another format",)
    source = str(page_of(a, b).select(".two img")[1]["src"])
    assert base64.b64decode(source.rpartition(",")[2]) == b"<svg/>"


def test_code_counts_exactly_and_the_folders_of_a_machine_do_not(a: Path, b: Path) -> None:
    change_cell(b, 2, lambda one: one.update(source='# Parameters\ndata_dir = "/tmp"\nseed = 3\n'))
    change_cell(b, 4, lambda one: one.update(source="table  \n"))
    assert differing_cells(a, b) == []
    change_cell(b, 2, lambda one: one.update(source='# Parameters\ndata_dir = "/tmp"\nseed = 4\n'))
    change_cell(b, 4, lambda one: one.update(source="table == 0x0000001"))
    change_cell(a, 4, lambda one: one.update(source="table == 0x0000002"))
    assert [one[1:] for one in differing_cells(a, b)] == [
        ("3", "differs", ("code",)),
        ("5", "differs", ("code",)),
    ]


def test_provenance_and_all_of_notebook_14_are_lenient_but_not_blind(a: Path, b: Path) -> None:
    change_cell(b, 6, put(shown("text/html", "<p>commit xyz</p>")))
    for number in (4, 7):
        change_cell(b, number, put(shown("text/plain", "another time")), CLOCK)
    assert [one[:3] for one in differing_cells(a, b)] == [
        (FUSION, "7", "clock"),
        (CLOCK, "5", "clock"),
        (CLOCK, "8", "clock"),
    ]
    assert comparison(a, b).same
    stopped = v4.new_output("error", ename="ValueError", evalue="no", traceback=[])
    change_cell(b, 7, put(stopped), CLOCK)
    change_cell(b, 5, put(), CLOCK)
    assert [one[:3] for one in differing_cells(a, b)][-2:] == [
        (CLOCK, "6", "differs"),
        (CLOCK, "8", "differs"),
    ]


def test_addresses_in_memory_do_not_count(a: Path, b: Path) -> None:
    for folder, place in ((a, "0x7f00aa11"), (b, "0x7f00bb22")):
        change_cell(folder, 7, put(shown("text/plain", f"<Thing at {place}>")))
    assert differing_cells(a, b) == [(FUSION, "8", "clock", ())]


def test_a_missing_cell_an_idle_cell_and_a_new_one_are_named(a: Path, b: Path) -> None:
    change_cell(a, 3, lambda one: one.update(id="only-here", source="only_here()"))
    change_cell(b, 3, lambda one: one.update(id="renamed", source="more()"))
    change_cell(a, 4, lambda one: one.update(id="renamed-too"))
    change_cell(b, 7, lambda one: one.update(execution_count=None, outputs=[]))
    assert [one[1:] for one in differing_cells(a, b)] == [
        ("4", "missing", ("only in A",)),
        ("8", "missing", ("not executed in B",)),
        ("4", "missing", ("only in B",)),
    ], "the fifth cell has another id and the same code"


def test_cells_without_ids_are_paired_in_order(a: Path, b: Path) -> None:
    for folder in (a, b):
        path = folder / "notebooks" / f"{FUSION}.ipynb"
        content = json.loads(path.read_text(encoding="utf-8"))
        content["nbformat_minor"] = 4
        for one in content["cells"]:
            one.pop("id", None)
        path.write_text(json.dumps(content), encoding="utf-8")
    assert differing_cells(a, b) == []
    change_cell(b, 7, put(shown("text/plain", "else")))
    assert [one[1:3] for one in differing_cells(a, b)] == [("8", "differs")]


def test_a_missing_notebook_counts_all_its_cells(a: Path, b: Path) -> None:
    (b / "notebooks" / f"{VARIANT}.ipynb").unlink()
    found = comparison(a, b)
    assert found.cells("missing") == 7 and found.cells("same") == 28 and not found.same
    soup = page_of(a, b)
    assert f"B has no executed copy of {VARIANT}." in said(soup, ".banner.stop")
    assert f"{VARIANT} only in A – – – 7" in said(soup, "#cells table")
    (a / "notebooks" / f"{FUSION}.ipynb").write_text("{ no notebook")
    soup = page_of(a, b)
    assert f"A: notebooks/{FUSION}.ipynb: the file is damaged" in said(soup, ".banner.stop")
    assert f"{FUSION} only in B – – – 7" in said(soup, "#cells table")


def test_a_missing_record_is_named_on_both_ways(a: Path, b: Path) -> None:
    (b / "records" / f"{FUSION}.json").unlink()
    (a / "records" / f"{VARIANT}.json").write_text("{}")
    soup = page_of(a, b)
    told = said(soup, ".banner.stop")
    assert f"B has no record of {FUSION}." in told and f"A has no record of {VARIANT}." in told
    assert f"A: records/{VARIANT}.json: not a record" in told and str(a) not in soup.get_text()
    assert "Others stand on one side alone: 3 in A and 3 in B." in said(soup, ".answer")
    assert f"{FUSION} 1 min 2 s no record" in said(soup, "#times")


# --- another study, hostile names, the page itself


def test_another_study_is_named_and_its_cells_are_not_compared(a: Path, b: Path) -> None:
    for name in RUNS:
        change_record(b, name, study="brats", provenance={**PROVENANCE, "data_digest": "x"})
    found = comparison(a, b)
    assert not found.same_study and found.notebooks == () and found.absent == []
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
    assert "There is no parameter file of" in said(soup, ".banner.stop")
    assert soup.select(".two img")[1]["alt"] == 'B: "><script>0.9'


def test_the_page_needs_nothing_from_outside_and_names_its_rules(a: Path, b: Path) -> None:
    change_cell(b, 5, put(shown("image/png", PIXELS[1])))
    soup = page_of(a, b)
    addresses = [str(tag[key]) for key in ("src", "href") for tag in soup.find_all(attrs={key: 1})]
    assert addresses == []
    for tag in soup.find_all(["img", "a"]):
        address = str(tag.get("src") or tag.get("href"))
        assert address.startswith(("data:image/", "#")), address
        assert not address.startswith("#") or soup.find(id=address[1:]), address
    assert all(rule in said(soup, "#cells") for rule in notebooks.RULES)
    assert all(one.get("alt") for one in soup.find_all("img"))


def test_a_page_is_never_larger_than_it_may_be(a: Path, b: Path) -> None:
    big = 400_000
    for folder, letter in ((a, "A"), (b, "B")):
        for name in RUNS:
            outputs = [shown("image/png", letter * big), shown("image/png", letter * 900)]
            change_cell(folder, 5, put(*outputs), name)
    page = compare.page(comparison(a, b))
    assert 2 * big < len(page.encode()) <= pages.MOST_BYTES
    soup = BeautifulSoup(page, features="html.parser")
    # all five small pairs have room, and as many of the large ones as there is room for
    assert len(soup.select(".two")) == 4 + 3
    assert soup.get_text().count("1 pair of pictures differ here and are not shown") == 1


def test_too_many_lines_are_counted_instead_of_shown(
    a: Path, b: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder, letter in ((a, "a"), (b, "b")):
        text = "\n".join(f"{letter}{line}" for line in range(100))
        change_cell(folder, 7, put(shown("text/plain", text)))
    soup = page_of(a, b)
    assert len(soup.select(".diff .line")) == linediff.MOST_LINES
    assert "176 more lines of output, not shown" in said(soup, f"article[id='{FUSION}']")
    monkeypatch.setattr(compare, "MOST_TEXT", (10,))
    told = said(page_of(a, b), f"article[id='{FUSION}']")
    assert "lines differ here and are not shown: the page would be too large" in told


# --- lines


@given(st.lists(st.sampled_from("abcd")), st.lists(st.sampled_from("abcd")))
def test_differing_lines_are_lines_of_their_side(a: list[str], b: list[str]) -> None:
    left, right = ([linediff.Text(line, line) for line in side] for side in (a, b))
    lines, cut = linediff.differing(left, right)
    assert (a == b) == (not lines and not cut)
    for line in lines:
        text = "".join(part for part, _ in line.parts)
        assert text in {"A": a, "B": b, "": [*a, "…"]}[line.mark]
    if a != b and not cut:
        marks = [line.mark for line in lines]
        assert marks.count("A") - marks.count("B") == len(a) - len(b)


def test_only_the_words_that_differ_are_marked() -> None:
    lines, _ = linediff.differing(
        [linediff.Text("mean of 12 patients", "x")], [linediff.Text("mean of 10 patients", "y")]
    )
    assert [[text for text, changed in line.parts if changed] for line in lines] == [["12"], ["10"]]


def test_a_difference_far_into_a_long_line_stays_in_sight() -> None:
    before, after = "word " * 200, " word" * 200
    sides_of = [linediff.Text(f"{before}{number}{after}", number) for number in ("0.7", "0.8")]
    lines, _ = linediff.differing(sides_of[:1], sides_of[1:])
    for line, number in zip(lines, ("0.7", "0.8"), strict=True):
        assert [part for part in line.parts if part[1]] == [(number, True)]
        assert 100 < line.size < linediff.MOST_CHARACTERS


# --- folders


def test_a_report_is_a_name_or_a_folder(a: Path, b: Path, tmp_path: Path) -> None:
    assert runs.find("smoke", a.parent) == a
    assert runs.find(str(b), a.parent) == b
    path = compare.build("smoke", str(b), a.parent)
    assert path == a.parent / "compare-smoke-smoke.html" and path.is_file()
    other = compare.build("smoke", str(b), a.parent, tmp_path / "new" / "page.html")
    assert other == tmp_path / "new" / "page.html"
    assert other.read_bytes() == path.read_bytes()
    assert str(tmp_path) not in path.read_text(encoding="utf-8")


def test_what_cannot_be_compared_is_one_sentence(a: Path, tmp_path: Path) -> None:
    reports = a.parent
    with pytest.raises(SettingsError, match="there is no report 'other': take one of smoke in"):
        compare.build("smoke", "other", reports)
    with pytest.raises(SettingsError, match="a run to compare is not named"):
        compare.build("smoke", " ", reports)
    with pytest.raises(SettingsError, match="A and B are this one folder"):
        compare.build("smoke", str(a), reports)
    (reports / "empty").mkdir()
    with pytest.raises(RecordError, match="there are no records in this folder"):
        compare.build("smoke", "empty", reports)
    (reports / "empty" / "records").mkdir()
    (reports / "empty" / "records" / "05_fusion.json").write_text("{}")
    with pytest.raises(RecordError, match=r"not one record can be read: records/05_fusion\.json"):
        compare.build("smoke", "empty", reports)
    assert not list(reports.glob("*.html"))
