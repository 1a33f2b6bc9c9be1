"""The figure of time adds up, marks the line of real time and names the scores."""

import pandas as pd
import pytest

from gliomalib.figures import efficiency

WAYS = pd.DataFrame(
    [
        {"way": way, "metric": metric, "score": score,
         **{stage: seconds / 7 for stage in efficiency.STAGE_COLOURS}}
        for way, seconds, metric, score in (
            ("2D", 0.7, "mean Dice", 0.5), ("3D", 0.6, "mean Dice", 0.4),
            ("fused", 0.9, "mean Dice", 0.55), ("fused + ResNet50", 2.1, "accuracy", 0.8),
        )
    ]
)  # fmt: skip


def test_stages_add_up_to_the_seconds_of_each_way() -> None:
    picture = efficiency.stages(WAYS, 1.0)
    axes = picture.figure.axes[0]
    ends = {round(bar.get_y()): bar.get_x() + bar.get_width() for bar in axes.patches}
    assert list(ends.values()) == pytest.approx([0.7, 0.6, 0.9, 2.1])
    assert "fused + ResNet50 (accuracy 0.80) 2.1" in picture.alt
    shown = axes.get_legend_handles_labels()[1]
    assert set(shown) == {*efficiency.STAGE_COLOURS, "1 s, assumed"}
    line = next(line for line in axes.lines if line.get_label() == "1 s, assumed")
    assert line.get_color() == "#d55e00" and list(line.get_xdata()) == [1.0, 1.0]
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names[2:] == ["fused\nmean Dice 0.55", "fused + ResNet50\naccuracy 0.80"]
