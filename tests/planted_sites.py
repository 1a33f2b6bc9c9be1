"""Two planted groups of patients: known drops, shifts, calibration and gain of the z-score."""

from pathlib import Path

import numpy as np
import pandas as pd

from gliomalib.experiments.external_sites import (
    AGAIN,
    FAULTY,
    NO_MASK,
    NONE,
    OVERLAP,
    SCORED,
    Z_SCORE,
    GroupScores,
    Sites,
)
from gliomalib.pipeline import folds, preprocess
from gliomalib.schema import SEQUENCES, FloatArray, Split
from gliomalib.scoring import calibration, tables
from tests.planted_branches import begin

INSIDE, OUTSIDE = tuple(f"I{n:02d}" for n in range(40)), tuple(f"E{n:02d}" for n in range(35))
LOST = {"2D": 0.2, "3D": 0.02, "fused": 0.1}
"""The planted drop of each network."""


def sites_of(root: Path, inside: tuple[str, ...], outside: tuple[str, ...]) -> Sites:
    run = begin(root, "13_external_validation")
    store = preprocess.open_store(run.work_dir / "store", run.study.preprocessing)
    material = folds.Material(run, (Split(0, ("T",), (), inside, outside),), store)
    fates = [SCORED] * len(outside) + (
        [OVERLAP, OVERLAP, NO_MASK, FAULTY, AGAIN] if outside else []
    )
    cases = pd.DataFrame({"fate": fates}).assign(release="r", site="site B", patient_id="x")
    return Sites(material, material, cases, {})


def score_rows(name: str, part: str) -> list[dict[str, object]]:
    rng = np.random.default_rng((len(name), int(name[1:]), ord(name[0])))
    level = rng.normal(0.8, 0.05)
    rows: list[dict[str, object]] = []
    for network, lost in LOST.items():
        for region in tables.REGIONS:
            dice = level - (lost if part == "external" else 0)
            about = {"patient_id": name, "part": part, "fold": 0, "network": network}
            rows.append({**about, "region": region, "dice": dice, "state": "both"})
    return rows


def tally(name: str, honest: bool) -> FloatArray:
    rng = np.random.default_rng(int(name[1:]))
    sure = rng.uniform(0.5, 1, 4000)
    truth = (rng.random(4000) > (sure if honest else sure - 0.2)).astype(int)
    rest = (1 - sure) / 3
    return calibration.tally(np.stack([sure, rest, rest, rest], axis=1), truth)


def scores_of(inside: tuple[str, ...], outside: tuple[str, ...]) -> GroupScores:
    people = [("test", name) for name in inside] + [("external", name) for name in outside]
    scores = pd.DataFrame([row for part, name in people for row in score_rows(name, part)])
    slices = pd.DataFrame(
        [
            {"patient_id": name, "part": part, "fold": 0, "z": z, "truth": z % 4}
            for part, name in people
            for z in range(20)
        ]
    )
    right = slices["z"] < np.where(slices["part"] == "test", 16, 12)
    slices["predicted"] = slices["truth"].where(right, (slices["truth"] + 1) % 4)
    values = np.linspace(0.2, 0.6, 100)
    intensities = pd.DataFrame(
        [
            {"patient_id": name, "part": part, "sequence": sequence, "value": value}
            for part, name in people
            for sequence in SEQUENCES
            for value in values + (0.1 if (part, sequence) == ("external", "t2") else 0)
        ]
    )
    won = {NONE: 0.0, Z_SCORE: 0.03}
    remedied = pd.concat(
        [
            scores[scores["network"] == "fused"].assign(
                network=key,
                dice=lambda own, key=key, gain=gain: (
                    own["dice"]
                    + np.where(own["part"] == "external", gain, -gain)
                    + (own["patient_id"].str[1:].astype(int) % 5 - 2) * 0.001 * (key != NONE)
                ),
            )
            for key, gain in won.items()
        ]
    )
    tallies = {
        "test": {name: tally(name, True) for name in inside},
        "external": {name: tally(name, False) for name in outside},
    }
    return GroupScores(scores, slices, intensities, tallies, remedied)
