"""Figures of the experiments, continued: every patient and group is there, and said in words."""

import pandas as pd

from gliomalib.figures import picture, sites
from gliomalib.schema import SEQUENCES
from gliomalib.scoring import tables

SITES = pd.DataFrame(
    [
        {"patient_id": name, "part": part, "network": network, "region": region, "fold": 0,
         "dice": dice}
        for network in ("2D", "3D", "fused")
        for part, name, dice in (
            ("test", "A", 0.8), ("test", "B", 0.7), ("external", "C", 0.5), ("external", "D", 0.4)
        )
        for region in tables.CLASSES
    ]
)  # fmt: skip
BESIDE = pd.DataFrame(
    [
        {"of": network, "score": "mean", "internal": 0.75, "internal_low": 0.7,
         "internal_high": 0.8, "external": 0.45, "external_low": 0.4, "external_high": 0.5}
        for network in ("2D", "3D", "fused")
    ]
)  # fmt: skip
VALUES = pd.DataFrame(
    [
        {"patient_id": name, "part": part, "sequence": sequence, "value": base + step / 500}
        for part, name, base in (("test", "A", 0.3), ("external", "C", 0.5))
        for sequence in SEQUENCES
        for step in range(100)
    ]
)
BINS = pd.DataFrame(
    {"part": ["internal", "internal", "external"], "confidence": [0.6, 0.9, 0.9],
     "accuracy": [0.5, 0.9, 0.7], "n": [100, 300, 200]}
)  # fmt: skip


def test_every_patient_of_both_sites_is_a_point() -> None:
    picture = sites.both_sites(SITES, BESIDE)
    (axes,) = picture.figure.axes
    points = [len(one.get_offsets()) for one in axes.collections if "Path" in type(one).__name__]
    assert sum(points) == 12
    assert [one.get_text() for one in axes.get_xticklabels()] == ["2D", "3D", "fused"]
    assert "fused 0.75 internal, 0.45 external." in picture.alt


def test_the_legend_of_many_patients_is_seen() -> None:
    many = pd.concat([SITES.assign(patient_id=SITES["patient_id"] + str(k)) for k in range(100)])
    legend = sites.both_sites(many, BESIDE).figure.axes[0].get_legend()
    assert [text.get_text() for text in legend.get_texts()] == ["internal", "external"]
    assert all(mark.get_markersize() >= picture.SEEN for mark in legend.legend_handles)


def test_without_another_site_the_study_stands_alone() -> None:
    alone = BESIDE.assign(external=None, external_low=None, external_high=None).astype(
        {"external": float, "external_low": float, "external_high": float}
    )
    picture = sites.both_sites(SITES[SITES["part"] == "test"], alone)
    assert picture.figure.axes[0].get_legend_handles_labels()[1] == ["internal"]
    assert "external" not in picture.alt
    shown = sites.intensities(VALUES[VALUES["part"] == "test"])
    assert "external" not in shown.alt


def test_each_sequence_has_a_panel_and_its_medians_are_said() -> None:
    picture = sites.intensities(VALUES)
    assert [axes.get_title() for axes in picture.figure.axes] == ["T1", "T1ce", "T2", "FLAIR"]
    assert "t2 internal 0.399" in picture.alt and "t2 external 0.599" in picture.alt


def test_reliability_says_how_much_too_sure_each_group_is() -> None:
    picture = sites.reliability(BINS)
    assert "external 0.2, internal 0.025" in picture.alt
    labels = picture.figure.axes[0].get_legend_handles_labels()[1]
    assert labels == ["confidence is accuracy", "internal", "external"]


def test_each_site_has_its_row_and_none_is_an_empty_picture() -> None:
    rows = [("all sites", 0.1, 0.05, 0.15), ("TCIA01", 0.0, 0.0, 0.0)]
    table = pd.DataFrame(rows, columns=["site", "drop", "low", "high"])
    picture = sites.drops(table)
    (axes,) = picture.figure.axes
    assert [one.get_text() for one in axes.get_yticklabels()] == ["all sites", "TCIA01"]
    assert "all sites 0.1" in picture.alt
    nothing = sites.drops(table.iloc[:0])
    assert nothing.alt == nothing.figure.axes[0].texts[0].get_text()
    assert nothing.alt.startswith("No drop was measured"), "and no empty axes"
