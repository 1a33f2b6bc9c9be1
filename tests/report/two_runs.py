"""Two runs of a small study that can be made to differ, and what reads their page."""

import re
from pathlib import Path

import pandas as pd
from bs4 import BeautifulSoup

from gliomalib import records
from gliomalib.report import compare
from gliomalib.schema import Record, Value
from tests.report.small_study import make_record

ATTACK = '<script>alert("x")</script>\u202e'

FUSION, CLOCK, LAST = "05_fusion", "14_efficiency", "16_reproducibility_report"

VARIANT = "03_train_unet2d.ce"

RUNS = ("03_train_unet2d", VARIANT, FUSION, CLOCK, LAST)
DICE = Value("dice", 0.70, (0.60, 0.80), 12, 1, 0, "", "mean over patients")
COUNT = Value("voxels", 120.0, None, 12, rule="counted")
SECONDS = Value("seconds_per_patient", 1.5, (1.2, 1.8), 3, unit="s", rule="median")
PARAMETERS = {"seed": 3, "unet2d": {"loss": "focal", "channels": [8, 16]}, "title": "A study"}

PROVENANCE = {
    "hardware": {},
    "commit": "abc",
    "lock_sha256": "def",
    "code_digest": "c0de",
    "data_digest": "da7a",
    "versions": {"python": "3.11.9", "torch": "2.12.1"},
}


def record_of(name: str, **changes: object) -> Record:
    own = {"study": "smoke", "values": (DICE, COUNT, SECONDS), "provenance": PROVENANCE}
    return make_record(name, **{**own, "parameters": PARAMETERS, **changes})


def verdict_rows() -> list[dict[str, str]]:
    common = {"published": "0.99", "reason": "below", "statement": "Fused is better"}
    return [
        {**common, "claim": "C1", "obtained": "0.70", "verdict": "holds", "notebook": FUSION},
        {**common, "claim": "Q3", "obtained": "1.5 s", "verdict": "holds", "notebook": CLOCK},
    ]


def make_report(folder: Path) -> Path:
    (folder / "tables").mkdir(parents=True)
    for name in RUNS:
        records.write(record_of(name), folder)
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


def comparison(a: Path, b: Path) -> compare.Comparison:
    return compare.Comparison(compare.read("A", a), compare.read("B", b))


def page_of(a: Path, b: Path) -> BeautifulSoup:
    return BeautifulSoup(compare.page_of(comparison(a, b)), features="html.parser")


def said(soup: BeautifulSoup, where: str) -> str:
    found = soup.select_one(where)
    assert found is not None, where
    # names stand in tags of their own, and no blank stands before a comma
    return re.sub(r" (?=[.,:;])", "", " ".join(found.get_text(" ").split()))
