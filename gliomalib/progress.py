"""A line now and then for whatever takes longer than ten seconds: how far, and how long still."""

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TypeVar

log = logging.getLogger("gliomalib")

SECONDS_BETWEEN_LINES = 10.0

T = TypeVar("T")
R = TypeVar("R")


def steps(items: Sequence[T], title: str) -> Iterator[T]:
    """Yield the items to be worked on one by one, and log how many are done and the seconds left.

    A line comes every ten seconds at most, and none where all is done sooner. The time left is
    that of the mean item so far.
    """
    lines = _Lines(title, len(items))
    for done, item in enumerate(items, start=1):
        yield item
        lines.tell(done)


def mapped(work: Callable[[T], R], items: Sequence[T], workers: int, title: str) -> Iterator[R]:
    """Yield what ``work`` makes of each item, in order, in so many processes, with those lines."""
    if workers <= 1 or len(items) <= 1:
        yield from map(work, steps(items, title))
        return
    # fork would copy locks that other threads of this process may hold
    with ProcessPoolExecutor(min(workers, len(items)), mp_context=get_context("spawn")) as pool:
        yield from results(pool.map(work, items), len(items), title)


def results(items: Iterable[T], total: int, title: str) -> Iterator[T]:
    """Yield what workers hand back, ``total`` in all, with the lines of ``steps``."""
    lines = _Lines(title, total)
    for done, result in enumerate(items, start=1):
        lines.tell(done)
        yield result


class _Lines:
    def __init__(self, title: str, total: int) -> None:
        self.title, self.total = title, total
        self.started = self.last = time.monotonic()

    def tell(self, done: int) -> None:
        now = time.monotonic()
        if done < self.total and now - self.last >= SECONDS_BETWEEN_LINES:
            self.last = now
            left = (now - self.started) / done * (self.total - done)
            log.info("%s: %d of %d, %.0f s left", self.title, done, self.total, left)
