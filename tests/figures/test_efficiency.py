"""Figures of time add up, mark the line of real time, and show what has no interval."""

import pandas as pd
import pytest

from gliomalib.figures import efficiency

WAYS = pd.DataFrame(
    [
        {"way": way, "seconds": seconds, "low": seconds / 1.2, "high": high, "metric": metric,
         "score": score, "lower": score - 0.1, "upper": score + 0.1,
         **{stage: seconds / 7 for stage in efficiency.STAGE_COLOURS}}
        for way, seconds, high, metric, score in (
            ("2D", 0.7, 0.8, "mean Dice", 0.5), ("3D", 0.6, 0.7, "mean Dice", 0.4),
            ("fused", 0.9, 1.4, "mean Dice", 0.55), ("fused + ResNet50", 2.1, 2.4, "accuracy", 0.8),
        )
    ]
)  # fmt: skip


def test_stages_add_up_to_the_seconds_of_each_way() -> None:
    picture = efficiency.stages(WAYS, 1.0)
    axes = picture.figure.axes[0]
    ends = {round(bar.get_y()): bar.get_x() + bar.get_width() for bar in axes.patches}
    assert list(ends.values()) == pytest.approx(WAYS["seconds"].tolist())
    assert "fused + ResNet50 2.1" in picture.alt
    shown = axes.get_legend_handles_labels()[1]
    assert set(shown) == {*efficiency.STAGE_COLOURS, "1 s, assumed"}


def test_the_real_time_line_is_orange_and_the_time_logarithmic() -> None:
    axes = efficiency.latency(WAYS, 1.0).figure.axes[0]
    line = next(one for one in axes.lines if one.get_label() == "1 s, assumed")
    assert line.get_color() == "#d55e00" and list(line.get_xdata()) == [1.0, 1.0]
    assert axes.get_xscale() == "log"
    low, high = axes.get_xlim()
    assert low < 0.5 and high > 2.4


def test_an_accuracy_has_another_mark_than_a_dice() -> None:
    picture = efficiency.latency(WAYS, 1.0)
    marks = {one.get_label(): one.get_marker() for one in picture.figure.axes[0].lines}
    assert marks["fused: mean Dice"] == "o" and marks["fused + ResNet50: slices right"] == "D"
    assert "2D 0.7 s, mean Dice 0.50" in picture.alt and "accuracy 0.80" in picture.alt


def test_a_time_without_an_interval_is_drawn_all_the_same() -> None:
    bare = WAYS.assign(low=float("nan"), high=float("nan"))
    low, high = efficiency.latency(bare, 1.0).figure.axes[0].get_xlim()
    assert 0 < low < 0.6 and high > 2.1
