"""Whatever a study's files say, its pages only show it, and stay in their folder."""

import json
from pathlib import Path

import pytest

from gliomalib import records, report
from gliomalib.report import patient_files
from gliomalib.settings import load
from tests.fuzz.edits import ACTING
from tests.fuzz.reports import check_harmless
from tests.report import small_cohort, small_study

FORMULAS = "".join(f"$\\text{{{text}}}$ ${text}$ $$\\href{{{text}}}{{y}}$$\n" for text in ACTING)
TEXTS = "\n\n".join(
    f"{text} [a]({text}) ![b]({text}) <a href='{text}'>c</a> `{text}`" for text in ACTING
)
ODD = '<img src=x onerror=plant()>"'
"""As much as the name of a file can hold of it."""


def plant(folder: Path) -> None:
    """Put what acts into every text of a finished study."""
    path = folder / "notebooks" / "05_fusion.ipynb"
    content = json.loads(path.read_text())
    markdown, *_, last = content["cells"]
    markdown["source"] += f"\n\n{TEXTS}\n\n{FORMULAS}"
    html, svg = last["outputs"][1], last["outputs"][2]
    html["data"] = {"text/html": "".join(f"<p title='{text}'>{text}</p>" for text in ACTING)}
    svg["data"] = {"image/svg+xml": f"<svg><title>{''.join(ACTING)}</title><path d='M0 0'/></svg>"}
    svg["metadata"] = {"image/svg+xml": {"alt": "".join(ACTING)}}
    last["source"] = last["outputs"][0]["text"] = "".join(ACTING)
    path.write_text(json.dumps(content))
    whole = " ".join(ACTING)
    values = (*small_study.VALUES, small_study.Value(whole, 1.0, None, 2, unit=whole, rule=whole))
    provenance = small_study.make_record("05_fusion").provenance | {"commit": whole}
    for name in ("05_fusion", f"05_fusion.{ODD}"):
        made = small_study.make_record(
            name, conclusion=whole, device=whole, values=values, provenance=provenance
        )
        records.write(made, folder)
    (folder / "tables" / f"05_fusion.{ODD}.csv").write_text(f'"{ODD}"\n1\n')
    table = small_study.verdict_table()
    for name in ("group", "statement", "obtained", "verdict", "reason", "restriction"):
        table.loc[0, name] = whole
    table.to_csv(folder / "tables" / "16_reproducibility_report.verdicts.csv", index=False)


def test_nothing_that_a_study_says_acts_on_its_pages(small_folder: Path) -> None:
    plant(small_folder)
    report.build("small", small_folder)
    pages = [*small_folder.parent.rglob("*.html")]
    for path in pages:
        check_harmless(path.read_text(encoding="utf-8"))
    shown = "".join(path.read_text(encoding="utf-8") for path in pages)
    assert "&lt;script&gt;plant()&lt;/script&gt;" in shown, "and nothing of it was left out"


@pytest.mark.parametrize("name", ["x/../../../outside", "/outside", "a/b", "x\0y", "y" * 200])
def test_an_id_that_leads_elsewhere_gets_no_page(name: str, planted: Path, tmp_path: Path) -> None:
    path = planted / "tables" / f"{patient_files.SCORE_TABLE}.csv"
    path.write_text(path.read_text().replace("\nB,", f'\n"{name}",'))
    before = {file for file in tmp_path.rglob("*") if planted not in file.parents}
    cohort = patient_files.of_study(load("small"), planted)
    assert any("does not hold what it should" in fault for fault in cohort.table_faults)
    report.build("small", planted)
    after = {file for file in tmp_path.rglob("*") if planted not in file.parents}
    assert {file.name for file in after - before} <= {"index.html"}
    assert not list(tmp_path.rglob("*outside*"))


def test_the_planted_ids_are_those_of_the_table(planted: Path) -> None:
    path = planted / "tables" / f"{patient_files.SCORE_TABLE}.csv"
    assert "\nB," in path.read_text() and "B" in small_cohort.DICE
