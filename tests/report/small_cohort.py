"""A few reported patients with made-up pictures and scores, and what reads their pages."""

import base64
import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from bs4 import BeautifulSoup

from gliomalib import report
from gliomalib.report import patients
from gliomalib.report.patient_files import Patient, Score
from tests.report.reading import soup_of

ATTACK = "<img src=x onerror=alert(1)>\"'abc"

LAYERS = ("truth", "2D", "3D", "fused")

DICE = {
    "A": ("test", {"NCR": 0.9, "ED": 0.8, "ET": 0.7}),
    "B": ("test", {"NCR": 0.0, "ED": 0.8, "ET": 0.7}),
    "C": ("test", {"NCR": 0.3, "ED": 0.2, "ET": 0.1}),
    "D": ("test", {"NCR": 0.6, "ED": 0.6, "ET": 1.0}),
    ATTACK: ("external", {"NCR": 0.5, "ED": 0.4, "ET": 0.3}),
}
"""Part and Dice of the fused volume of each patient; the mean of B is above that of C."""


def address(text: str) -> str:
    return f"data:image/png;base64,{base64.b64encode(text.encode()).decode()}"


def pictures_of(patient: str, part: str, *, volume: bool = False) -> dict[str, Any]:
    def both(where: str) -> dict[str, Any]:
        return {
            "images": {name: address(f"{where} {name}") for name in patients.SEQUENCES},
            "labels": {name: address(f"{where} {name}") for name in LAYERS},
        }

    voxels = {name: [3, 2, 1] for name in LAYERS}
    worst = {"z": 2, "why": "most voxels wrong", "wrong": 9, "tumour": 4, "voxels": voxels}
    largest = {"z": 3, "why": "most tumour", "wrong": 5, "tumour": 6, "voxels": voxels}
    slices = [{**worst, **both("slice 2")}, {**largest, **both("slice 3")}]
    return {
        "patient_id": patient, "part": part, "fold": 0, "spacing_mm": [2.0, 2.0, 2.0],
        "shape": [8, 8, 5], "layers": LAYERS, "slices": slices,
        "volume": {"columns": 3, "step": 1, "shape": [8, 8, 5], **both("all")} if volume else None,
    }  # fmt: skip


def rows_of(patient: str, part: str, dice: dict[str, float]) -> Iterator[dict[str, Any]]:
    for network in LAYERS[1:]:
        for region, value in {**dice, "WT": 0.75, "TC": 0.65}.items():
            missed, empty = value == 0, value == 1
            yield {
                "patient_id": patient, "region": region, "dice": value,
                "hd95_mm": "" if missed else 3.21, "network": network, "part": part, "fold": 0,
                "state": "missed" if missed else "empty" if empty else "both",
                "truth_ml": 0.3 if missed else 0 if empty else 12.5,
                "predicted_ml": 0 if missed or empty else 11.25,
            }  # fmt: skip


def write_table(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def fill(folder: Path, *, volume_of: str = "C") -> Path:
    (folder / "patients").mkdir(parents=True)
    for place, (patient, (part, _)) in enumerate(DICE.items()):
        content = pictures_of(patient, part, volume=patient == volume_of)
        (folder / "patients" / f"{place}.json").write_text(json.dumps(content))
    scores = [row for name, (part, dice) in DICE.items() for row in rows_of(name, part, dice)]
    write_table(folder / "tables" / "05_fusion.scores.csv", scores)
    answers = [
        {"patient_id": name, "z": z, "truth": truth, "predicted": predicted, "p0": 0.5,
         "fold": 0, "part": part}
        for name, (part, _) in DICE.items()
        for z, truth, predicted in ((0, 0, 0), (1, 2, 2), (2, 2, 3), (3, 1, 3), (4, 0, 0))
    ]  # fmt: skip
    write_table(folder / "tables" / "06_train_resnet50.slices.csv", answers)
    return folder


def gallery_of(folder: Path) -> BeautifulSoup:
    return soup_of(folder / "html" / "patients.html")


def page_of(folder: Path, patient: str) -> BeautifulSoup:
    return soup_of(folder / "html" / f"{patients_page(patient)}.html")


def patients_page(patient: str) -> str:
    return f"patient-{patient}"


def built(folder: Path, study: str = "small") -> Path:
    report.build(study, folder)
    return folder


def own_pages(folder: Path) -> list[Path]:
    return sorted((folder / "html").glob("patient*.html"))


def link_to(patient: str) -> str:
    return quote(f"{patients_page(patient)}.html")


def scores_of(patient: str, dice: dict[str, float], fold: int = 0) -> list[Score]:
    return [
        Score(patient_id=patient, region=region, network="fused", part="test", fold=fold,
              dice=value, hd95_mm=1.0, state="both", truth_ml=1.0, predicted_ml=1.0)
        for region, value in dice.items()
    ]  # fmt: skip


def patient_with(name: str, dice: dict[str, float]) -> Patient:
    return Patient(name, f"patient-{name}", "test", None, tuple(scores_of(name, dice)), ())
