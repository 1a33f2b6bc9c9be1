"""Two runs of a small study that can be made to differ, and what reads their page."""

import base64
import re
from collections.abc import Callable
from pathlib import Path

import nbformat
import pandas as pd
from bs4 import BeautifulSoup
from nbformat import NotebookNode, v4

from gliomalib import records
from gliomalib.report.compare import page as compare
from gliomalib.report.compare import records as sides
from gliomalib.schema import Record, Value
from tests.report.small_study import make_record

ATTACK = '<script>alert("x")</script>\u202e'
PIXELS = tuple(base64.b64encode(bytes([number]) * 60).decode() for number in range(9))

FUSION, CLOCK, LAST = "05_fusion", "14_efficiency", "16_reproducibility_report"

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
    own = {"study": "smoke", "values": (DICE, COUNT, SECONDS), "provenance": PROVENANCE}
    return make_record(name, **{**own, "parameters": PARAMETERS, **changes})


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
    return folder


def write_verdicts(folder: Path, rows: list[dict[str, str]]) -> None:
    path = folder / "tables" / f"{LAST}.verdicts.csv"
    pd.DataFrame(rows).to_csv(path, index=False)


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
    return compare.compare(sides.read("A", a), sides.read("B", b))


def page_of(a: Path, b: Path) -> BeautifulSoup:
    return BeautifulSoup(compare.page(comparison(a, b)), features="html.parser")


def said(soup: BeautifulSoup, where: str) -> str:
    found = soup.select_one(where)
    assert found is not None, where
    # names stand in tags of their own, and no blank stands before a comma
    return re.sub(r" (?=[.,:;])", "", " ".join(found.get_text(" ").split()))


def differing_cells(a: Path, b: Path) -> list[tuple[str, int, tuple[str, ...]]]:
    return [
        (notebook.run, one.place, tuple(one.why))
        for notebook in comparison(a, b).notebooks
        for one in notebook.differing
    ]


def n_same(a: Path, b: Path) -> int:
    return sum(notebook.same for notebook in comparison(a, b).notebooks)
