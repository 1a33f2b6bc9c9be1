"""A line only where something takes long, and with the time that is left."""

import logging
from collections.abc import Iterator

import psutil
import pytest

from gliomalib import progress


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Let the clock go on by what stands first in a list, at each look."""
    ticks = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: ticks[0])
    return ticks


def test_every_item_comes_once_and_in_order() -> None:
    assert list(progress.steps([3, 1, 2], "numbers")) == [3, 1, 2]
    assert list(progress.steps([], "nothing")) == []


def test_short_work_says_nothing(clock: list[float], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "gliomalib"):
        for _ in progress.steps(range(9), "volumes"):
            clock[0] += 1
    assert caplog.messages == []


def test_long_work_says_how_far_and_how_long(
    clock: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "gliomalib"):
        for _ in progress.steps(range(10), "volumes"):
            clock[0] += 4
    assert caplog.messages == ["volumes: 3 of 10, 28 s left", "volumes: 6 of 10, 16 s left",
                               "volumes: 9 of 10, 4 s left"]  # fmt: skip


def test_results_of_workers_are_told_as_they_come_in(
    clock: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    def made() -> Iterator[int]:
        for number in range(5):
            clock[0] += 6
            yield number

    with caplog.at_level(logging.INFO, "gliomalib"):
        assert list(progress.told(made(), 5, "phantoms", 1)) == [0, 1, 2, 3, 4]
    assert caplog.messages == ["phantoms: 2 of 5, 18 s left", "phantoms: 4 of 5, 6 s left"]


@pytest.mark.parametrize("workers", [1, 2])
def test_work_is_handed_back_in_order_by_one_or_several(workers: int) -> None:
    assert list(progress.mapped(abs, [-3, 1, -2], workers, "numbers")) == [3, 1, 2]
    assert list(progress.mapped(abs, [-3], workers, "numbers")) == [3]
    assert list(progress.mapped(abs, [], workers, "numbers")) == []
    assert progress.in_threads(abs, [-3, 1, -2], workers, "numbers") == [3, 1, 2]
    assert progress.in_threads(abs, [], workers, "numbers") == []


def test_no_process_lives_on_for_which_the_end_of_a_kernel_would_wait() -> None:
    before = psutil.Process().children()
    assert list(progress.mapped(abs, [-3, 1], 2, "numbers")) == [3, 1]
    assert psutil.Process().children() == before
    assert list(progress.mapped(abs, [-3, 1], 2, "numbers")) == [3, 1], "and again"


def test_the_last_item_needs_no_line(clock: list[float], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "gliomalib"):
        for _ in progress.steps([0], "volumes"):
            clock[0] += 60
    assert caplog.messages == []
