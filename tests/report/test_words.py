"""Counts, times and sizes in plain words."""

import pytest

from gliomalib.report import words


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (59.9, "59.9 s"), (59.99, "1 min 0 s"), (3599.7, "1 h 0 min")],
)
def test_durations(seconds: float, text: str) -> None:
    assert words.duration(seconds) == text
