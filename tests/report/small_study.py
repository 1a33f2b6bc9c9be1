"""A small finished study with made-up records, and what reads its pages."""

import base64
import math
from dataclasses import replace
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from nbformat import NotebookNode, v4

from gliomalib import parameters, records, report, settings
from gliomalib.schema import Record, Value
from tests.report.reading import soup_of, words_of

NAMES = ("01_data_exploration", "05_fusion", "16_reproducibility_report")

VARIANT = "05_fusion.half"

ATTACK = '<script>alert("x")</script>'

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)

STUDY = """
study: {name}
title: A made-up study <b>for tests</b>
seed: 3
data: {{source: {source}}}
unet2d: {{epochs: 1, batch_size: 1}}
unet3d: {{epochs: 1, batch_size: 1}}
classifier: {{epochs: 1, batch_size: 1, weights: random}}
variants: {{05_fusion: {{half: {{alpha: 0.5}}}}}}
report: {{real_volumes: {volumes}}}
"""

VALUES = (
    Value("dice_ET", 0.71234, (0.6512, 0.7688), 8, 1, 2, "Dice", "mean; both empty counts 1"),
    Value("difference", -0.012345, (-0.0312, 0.0021), 8, 0, 0, "Dice", "paired"),
    Value("external", 0.5, None, 4, 0, 0, "Dice", "mean over external patients"),
    Value("parameters", 1234567, None, 0, 0, 0, "", "trainable"),
    Value("p", 3.2e-7, None, 8, 0, 0, "", "a test of the difference"),
    Value("hd95", math.nan, None, 8, 0, 8, "mm", "undefined where nothing was predicted"),
)


def make_record(name: str, **changes: object) -> Record:
    notebook, _, variant = name.partition(".")
    record = Record(
        notebook=notebook,
        study="small",
        variant=variant,
        claims=("C1",),
        values=VALUES,
        parameters={},
        seed=3,
        device="cpu",
        wall_s=61.5,
        peak_memory_bytes=1_200_000_000,
        provenance={
            "date": "2026-01-01",
            "commit": "abc",
            "lock_sha256": "def",
            "versions": {"python": "3.11.9"},
            "hardware": {"processor": "A", "cores": "2"},
        },
        caveats=(f"Patient {ATTACK} was looked at twice.",),
        conclusion=f"Conclusion of {name} {ATTACK}.",
    )
    return replace(record, **changes)  # type: ignore[arg-type]


def output(kind: str, data: str, metadata: dict[str, object] | None = None) -> NotebookNode:
    return v4.new_output("display_data", {kind: data}, metadata=metadata or {})


def make_notebook(name: str) -> NotebookNode:
    table = pd.DataFrame({"patient": [f"P1{ATTACK}", "P2"], "dice": [0.5, 0.75]})
    picture = base64.b64encode(PIXEL).decode()
    outputs = [
        v4.new_output("stream", name="stderr", text=f"epoch 1 of {ATTACK}\n" * 12),
        output("text/html", table.to_html()),
        output("image/png", picture, {"image/png": {"alt": "Dice of each patient"}}),
        output("image/png", picture),
        output("text/markdown", f"**Answer** of {ATTACK}"),
        output("application/javascript", "alert(1)"),
    ]
    text = (
        f"# {name[:2]} · Is {name} right?\n\n**Question.** Does `it` hold\nfor all of us?\n\n"
        f"**Rule.** Above 0 it holds.\n\nSee [the next](05_fusion.ipynb), [gone](no.ipynb), "
        f"[the paper](https://arxiv.org/abs/2502.18775). ![far](https://example.org/far.png)"
    )
    given = 'study = "small"\nalpha = 0.25\ndata_dir = "/home/me/data"\nweights = "/home/me/w.pt"\n'
    notebook_cells = [
        v4.new_markdown_cell(text),
        v4.new_code_cell(
            "study: str = 'demo'", execution_count=1, metadata={"tags": ["parameters"]}
        ),
        v4.new_code_cell(
            f"# Parameters\n{given}", execution_count=2, metadata={"tags": ["injected-parameters"]}
        ),
        v4.new_code_cell("show('<i>')", execution_count=3, outputs=outputs),
    ]
    for place, cell in enumerate(notebook_cells):
        cell["id"] = f"c{place}"
    return v4.new_notebook(cells=notebook_cells, metadata={"language_info": {"name": "python"}})


def verdict_table() -> pd.DataFrame:
    row = {
        "claim": "C1",
        "group": "",
        "statement": f"Fused is better {ATTACK}",
        "published": 0.9925,
        "obtained": "81.20 %",
        "95 % interval": "74.3 % to 87.1 %",
        "patients": 8,
        "reference": "0.85 (winner of 2020)",
        "rule fixed": "before the first run",
        "rule commit": "2952f5b",
        "run commit": "9362d2112345",
        "rests on": "restricted",
        "restriction": "boxes around the tumour",
        "verdict": "not reproduced",
        "reason": "wholly below",
        "notebook": "05_fusion",
    }
    other = {**row, "claim": "C2", "verdict": "not run", "obtained": "–", "notebook": "09_more"}
    other |= {"rests on": "none needed", "restriction": "–"}
    return pd.DataFrame([row, other])


def fill(folder: Path) -> Path:
    for name in (*NAMES, VARIANT):
        records.write(make_record(name), folder)
        path = folder / "notebooks" / f"{name}.ipynb"
        path.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(make_notebook(name), path)
    tables = folder / "tables"
    tables.mkdir()
    verdict_table().to_csv(tables / "16_reproducibility_report.verdicts.csv", index=False)
    (tables / "05_fusion.scores.csv").write_text("a\n1\n")
    (tables / f"{VARIANT}.scores.csv").write_text("a\n1\n")
    (folder / "figures").mkdir()
    (folder / "figures" / "overview.png").write_bytes(PIXEL)
    return folder


def plant_studies(folder: Path, patch: pytest.MonkeyPatch) -> None:
    folder.mkdir(exist_ok=True)
    for name, source in {"small": "phantom", "real": "folder", "home": "folder"}.items():
        text = STUDY.format(name=name, source=source, volumes=name == "home")
        (folder / f"{name}.yml").write_text(text)
    patch.setattr(settings, "STUDIES_DIR", folder)
    patch.setattr(parameters, "NOTEBOOKS", {name: {} for name in NAMES})


def text_of(path: Path) -> str:
    # whether a name before a colon is a link or not
    return words_of(soup_of(path)).replace(" :", ":")


def all_pages(folder: Path) -> list[Path]:
    """Return the index and all pages but those of patients, which have tests of their own."""
    others = sorted((folder / "html").glob("*.html"))
    return [folder / "index.html", *(one for one in others if not one.name.startswith("patient"))]


def index_text(folder: Path, study: str = "small") -> str:
    return text_of(report.build(study, folder))
